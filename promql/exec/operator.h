#pragma once

// An operator computes one node of a plan over the steps of its grid.  Open() finds series and label
// sets, once a run; Eval() then fills blocks, span after span.
//
//   auto op = MakeOperator(run, node, grid);      // announces its selections to the run
//   RETURN_IF_ERROR(op->Open(run));
//   RETURN_IF_ERROR(op->Eval(run, {0, grid.count}, &block));
//
// Rows of a block are those of series(); scalars have one row without labels.  Label sets of rows may
// repeat only where the operator says so.
//
// Threads: one.  The grid outlives the operator.

#include <memory>
#include <vector>

#include "base/result.h"
#include "promql/exec/block.h"
#include "promql/exec/pieces.h"
#include "promql/exec/run.h"
#include "promql/plan/plan.h"

namespace tocsin::promql::exec {

class Operator {
 public:
  virtual ~Operator() = default;
  Operator(const Operator&) = delete;
  Operator& operator=(const Operator&) = delete;

  // Nobody asks for the labels of rows that are floats.  Before Open(); an operator that needs them itself
  // makes them all the same.
  virtual void LeaveLabels() {}
  virtual base::Status Open(Run& run) = 0;
  // Where labels were left: the set whose series the rows are, one for one, but for metadata where
  // `drops_metadata`.  Null set: series() has the labels.
  struct RowSet {
    const storage::SeriesSet* set = nullptr;
    bool drops_metadata = false;
  };
  virtual RowSet row_set() const { return {}; }
  virtual base::Status Eval(Run& run, StepSpan span, Block* out) = 0;
  // Once open: how to compute the rows apart; null: only whole.
  virtual RowPieces* pieces() { return nullptr; }

  const SeriesTable& series() const { return series_; }

 protected:
  Operator(const plan::Node& node, const Grid* grid) : node_(node), grid_(*grid) {}

  const plan::Node& node_;
  const Grid& grid_;
  SeriesTable series_;
};
using OperatorPtr = std::unique_ptr<Operator>;

// The operator of a node, with those of its inputs.
// Errors: kFailedPrecondition: a duration expression, a label name or a regular expression that only
// shows itself now.
base::Result<OperatorPtr> MakeOperator(Run& run, const plan::Node& node, const Grid* grid);

// By kind, for build.cc.
base::Result<OperatorPtr> MakeSelector(Run& run, const plan::Node& node, const Grid* grid);
base::Result<OperatorPtr> MakeTimestamp(Run& run, const plan::Node& node, const Grid* grid);
base::Result<OperatorPtr> MakeRangeCall(Run& run, const plan::Node& node, const Grid* grid);
base::Result<OperatorPtr> MakeScalarCall(Run& run, const plan::Node& node, const Grid* grid);
base::Result<OperatorPtr> MakeElementCall(Run& run, const plan::Node& node, const Grid* grid);
base::Result<OperatorPtr> MakeVectorCall(Run& run, const plan::Node& node, const Grid* grid);
base::Result<OperatorPtr> MakeLabelCall(Run& run, const plan::Node& node, const Grid* grid);
base::Result<OperatorPtr> MakeHistogramCall(Run& run, const plan::Node& node, const Grid* grid);
base::Result<OperatorPtr> MakeInfo(Run& run, const plan::Node& node, const Grid* grid);
base::Result<OperatorPtr> MakeAggregate(Run& run, const plan::Node& node, const Grid* grid);
base::Result<OperatorPtr> MakeAggregateK(Run& run, const plan::Node& node, const Grid* grid);
base::Result<OperatorPtr> MakeCountValues(Run& run, const plan::Node& node, const Grid* grid);
base::Result<OperatorPtr> MakeBinary(Run& run, const plan::Node& node, const Grid* grid);
base::Result<OperatorPtr> MakeVectorBinary(Run& run, const plan::Node& node, const Grid* grid);
base::Result<OperatorPtr> MakeSetOperator(Run& run, const plan::Node& node, const Grid* grid);

// A range vector at the root of an instant query: the points themselves.
struct RawSeries {
  model::LabelsView labels;
  bool drop_name = false;
  std::vector<model::Timestamp> times;
  std::vector<double> values;
  std::vector<model::HistogramPtr> histograms;  // empty, or one (or null) a time
};
base::Result<std::vector<RawSeries>> EvalRawRange(Run& run, const plan::Node& node,
                                                  const Grid* grid);

// A block of an input, with its samples counted against the run's limit until it goes or is filled
// again.
class HeldBlock {
 public:
  HeldBlock() = default;
  base::Status Eval(Run& run, Operator& op, StepSpan span) {
    Drop(run);
    RETURN_IF_ERROR(op.Eval(run, span, &block_));
    charged_ = static_cast<int64_t>(block_.CountPresent());
    evaluation_ = run.evaluation();
    return run.Charge(charged_);
  }
  void Drop(Run& run) {
    if (evaluation_ == run.evaluation()) run.Release(charged_);
    charged_ = 0;
  }
  Block& operator*() { return block_; }
  Block* operator->() { return &block_; }

 private:
  Block block_;
  int64_t charged_ = 0;
  uint64_t evaluation_ = 0;  // that it was charged in
};

}  // namespace tocsin::promql::exec
