#pragma once

// The operators of a plan's node, made and opened once over kept selections, then moved from time to time:
// all label sets, groups and join tables are made when series come or go.
//
//   KeptOperators kept(*plan->root, options);
//   ASSIGN_OR_RETURN(bool done, kept.Run(storage->standing(), deadline, slot_ms));
//   if (!done) ...                                   // evaluate it like any other query
//   if (kept.version() != seen) ...                  // series() are others
//   Read(kept.series(), kept.block());
//
// Threads: one at a time.
// Errors:  as promql/engine.h says; after one everything is made anew.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "promql/exec/operator.h"
#include "promql/exec/run.h"
#include "promql/plan/plan.h"
#include "storage/standing.h"

namespace tocsin::promql::standing {

class SharedPart;
class SharedParts;

class KeptOperators : private exec::Elsewhere {
 public:
  // The node outlives this.
  KeptOperators(const plan::Node& root, exec::RunOptions options);
  ~KeptOperators() override;
  KeptOperators(const KeptOperators&) = delete;
  KeptOperators& operator=(const KeptOperators&) = delete;

  // What is computed for several is read from `parts`, which outlive this; but not `self`, which is computed
  // here.  Before Run().
  void ReadFrom(SharedParts* parts, const SharedPart* self);

  // Evaluates at `at`.  `source` is the same at each call.  False: it cannot be kept, or not this time.
  base::Result<bool> Run(storage::StandingSource* source, base::Duration deadline, model::Timestamp at);
  // Whether trying again makes sense.
  bool keepable() const { return keepable_; }

  // ---- After Run() gave true, until the next. ----

  uint64_t version() const { return version_; }
  const exec::SeriesTable& series() const;
  const exec::Block& block() const;
  exec::Run& run();

  // Gives the block's memory back.
  void DropBlock();

 private:
  struct Tree;

  exec::OperatorPtr NewReader(const plan::Node& node, const exec::Grid* grid) override;
  base::Result<bool> TryRun(storage::StandingSource* source, model::Timestamp at);
  base::Result<bool> MakeTree(model::Timestamp at);
  bool ComputeParts(storage::StandingSource* source, model::Timestamp at);
  base::Status OpenTree();
  base::Status EvalTree();
  bool StillOpen() const;

  const plan::Node& root_;
  exec::RunOptions options_;  // with the deadline of the last run
  SharedParts* parts_ = nullptr;
  const SharedPart* self_ = nullptr;

  std::unique_ptr<storage::StandingReader> reader_;
  std::map<std::string, storage::KeptSeries*> selections_;  // by matchers; the reader's
  std::unique_ptr<Tree> tree_;
  std::vector<SharedPart*> used_;  // of the tree that is being made
  bool keepable_ = true;
  uint64_t version_ = 0;
};

}  // namespace tocsin::promql::standing
