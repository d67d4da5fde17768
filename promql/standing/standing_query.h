#pragma once

// A plan that is kept: a rule's expression, evaluated at every slot.
//
//   StandingQuery query(plan, text, options);
//   RETURN_IF_ERROR(query.Run(db, deadline, slot_ms));       // at each slot
//   if (query.version() != seen) MapRowsAnew(query.rows());  // only when series came or went
//   for (const StandingSample& s : query.samples()) Write(s.row, s.v);
//
// 1. The operators of the plan are kept (promql/standing/kept_operators.h): an evaluation moves the grid and
//    evaluates.  When a selection's set of series changed, they are made anew; storage's part is kept.  What a
//    group's queries have in common is computed once for all (promql/standing/shared_parts.h).
// 2. Where that cannot be (a store without kept selections, a window that reaches into blocks, label sets
//    that depend on values, as of count_values), the plan is run like any other query, with the same
//    result.
// 3. Nothing that was computed outlives an evaluation but label sets: time may go back, samples may come
//    late.
//
// Threads: one at a time.
// Errors:  as promql/engine.h says; after one the query can be run again.
// Cost:    of an evaluation in the steady state, see ARCHITECTURE.md; nothing is allocated, hashed or
//          compared by label.

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "promql/exec/result.h"
#include "promql/exec/run.h"
#include "promql/plan/plan.h"
#include "promql/standing/kept_operators.h"

namespace tocsin::promql::standing {

struct StandingSample {
  uint32_t row = 0;  // of rows()
  double v = 0;
  model::HistogramPtr h;  // null: a float
};

class StandingQuery {
 public:
  // `text` is what the plan was made of, for annotations; `options` are those of every run, but for the
  // deadline.
  StandingQuery(std::shared_ptr<const plan::Plan> plan, std::string text, exec::RunOptions options);
  ~StandingQuery();
  StandingQuery(const StandingQuery&) = delete;
  StandingQuery& operator=(const StandingQuery&) = delete;

  // Before the first Run(): what it has in common with other queries is read from `parts`, which outlive it.
  void ReadFrom(SharedParts* parts) { operators_.ReadFrom(parts, nullptr); }

  // Evaluates at `at`, until `deadline` by the options' clock.  `storage` outlives the query and is the same
  // at each call.  REQUIRES: the plan's type is an instant vector or a scalar.
  base::Status Run(storage::Queryable* storage, base::Duration deadline, model::Timestamp at);

  // ---- Of the last Run(); valid until the next.  After an error: empty. ----

  // Raised whenever rows() is another table.
  uint64_t version() const { return version_; }
  // Label sets that the result may have; a scalar has one, without labels.
  std::span<const model::LabelsView> rows() const { return rows_; }
  // Each row at most once.  In the order of sort() and its like, else that of the operator's rows: where
  // delayed name removal made several one, that is not the order of rows().
  std::span<const StandingSample> samples() const { return samples_; }
  const std::vector<std::string>& warnings() const { return warnings_; }
  const std::vector<std::string>& infos() const { return infos_; }
  int64_t samples_read() const { return samples_read_; }
  int64_t peak_samples() const { return peak_samples_; }
  // Whether it was evaluated over kept selections.
  bool kept() const { return kept_; }

  const std::string& text() const { return text_; }
  const std::shared_ptr<const plan::Plan>& plan() const { return plan_; }
  const exec::RunOptions& options() const { return options_; }

 private:
  // What the operators gave.
  base::Status TakeKept();
  base::Status RunOnce(storage::Queryable* storage, model::Timestamp at);
  void Forget();
  // What is to be known of the run beside its samples.
  void TakeNotes(exec::Run& run);

  const std::shared_ptr<const plan::Plan> plan_;
  const std::string text_;
  exec::RunOptions options_;  // with the deadline of the last run

  KeptOperators operators_;
  uint64_t opened_ = 0;          // their version that kept_rows_ are of
  exec::OutputRows kept_rows_;
  std::vector<uint8_t> taken_;   // scratch
  bool kept_ = false;

  uint64_t version_ = 0;
  std::span<const model::LabelsView> rows_;  // of kept_rows_, or once_rows_
  std::vector<StandingSample> samples_;
  std::vector<std::string> warnings_;
  std::vector<std::string> infos_;
  int64_t samples_read_ = 0;
  int64_t peak_samples_ = 0;
  std::vector<model::Labels> once_labels_;  // of a run that was not kept
  std::vector<model::LabelsView> once_rows_;
};

}  // namespace tocsin::promql::standing
