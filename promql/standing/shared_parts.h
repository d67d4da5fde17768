#pragma once

// Equal subtrees of queries that are evaluated one after the other at one time, as the rules of a group are:
// each is computed once an evaluation, for all queries that have it.
//
//   SharedParts parts(plans, options, changed_by);   // then each query is told to read from them
//   parts.Begin();
//   ...                                              // the queries run, in the order of `plans`
//   parts.End();
//
// 1. What is shared: the largest subtrees that are equal (promql/plan/equality.h) in two queries or more,
//    outside of subqueries and of what is the same at every step, and that have the same value in both: what
//    the queries before one of them write does not change it after it was computed for the other.
// 2. A part is computed when the first query asks for it, over kept selections of its own, and is a table of
//    values until the evaluation ends.  Its readers copy the values, and repeat its annotations at their own
//    places, its samples read and the most it held at once.
// 3. A part that cannot be computed is not shared: its readers run like any other query, so that each has
//    its own error.
//
// Threads: one at a time, as the queries.

#include <functional>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "promql/exec/shared.h"
#include "promql/standing/kept_operators.h"

namespace tocsin::promql::standing {

class SharedPart {
 public:
  // `parts`: all of them; they outlive this.
  SharedPart(std::shared_ptr<const plan::Plan> plan, const plan::Node& node, const exec::RunOptions& options,
             SharedParts* parts);

  // Computes it, if that was not done in the evaluation.  False: it cannot be read this time.
  bool Compute(storage::StandingSource* source, base::Duration deadline, model::Timestamp at);
  bool keepable() const { return operators_.keepable(); }
  // Raised when the rows are others.
  uint64_t version() const { return operators_.version(); }
  // An operator of an equal node.
  exec::OperatorPtr NewReader(const plan::Node& node, const exec::Grid* grid);
  // The values go.
  void Drop();

 private:
  class Reader;

  const std::shared_ptr<const plan::Plan> plan_;  // that the node is of
  const plan::Node& node_;
  const SharedParts& parts_;
  KeptOperators operators_;
  exec::Effects effects_;
  uint64_t computed_in_ = 0;  // the evaluation
  bool computed_ = false;
};

class SharedParts {
 public:
  // For a part of query `i`: 1 + the last query before it whose results the part may read; 0: none.
  using ChangedBy = std::function<size_t(size_t query, const Expr& part)>;

  // `plans` in the order of evaluation; null where there is none.
  SharedParts(std::span<const std::shared_ptr<const plan::Plan>> plans, const exec::RunOptions& options,
              const ChangedBy& changed_by);
  SharedParts(const SharedParts&) = delete;
  SharedParts& operator=(const SharedParts&) = delete;

  size_t size() const { return parts_.size(); }

  // An evaluation of all queries begins, and ends.  Outside of one nothing is kept for others.
  void Begin();
  void End();
  // Which evaluation it is; 0: none.
  uint64_t evaluation() const { return inside_ ? evaluation_ : 0; }

  // Of which the node is; null: none.
  SharedPart* Find(const plan::Node& node) const;

 private:
  std::vector<std::unique_ptr<SharedPart>> parts_;
  std::unordered_map<const plan::Node*, SharedPart*> by_node_;
  uint64_t evaluation_ = 0;
  bool inside_ = false;
};

}  // namespace tocsin::promql::standing
