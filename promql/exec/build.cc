// From plan nodes to operators, and the operators that need no file of their own.

#include <cmath>

#include "promql/exec/histogram_math.h"
#include "promql/exec/label_ops.h"
#include "promql/exec/operator.h"
#include "promql/exec/profile.h"
#include "promql/exec/sample_counts.h"
#include "promql/exec/shared.h"

namespace tocsin::promql::exec {
namespace {

using plan::Function;
using plan::NodeKind;

class NumberOperator : public Operator {
 public:
  NumberOperator(const plan::Node& node, const Grid* grid, double value)
      : Operator(node, grid), value_(value) {
    series_.emplace_back();
  }
  base::Status Open(Run&) override { return {}; }
  base::Status Eval(Run&, StepSpan span, Block* out) override {
    out->Reset(1, span.count);
    for (size_t s = 0; s < span.count; ++s) out->SetFloat(0, s, value_);
    return {};
  }

 private:
  const double value_;
};

// A string argument: read by the function from the plan, never evaluated.
class StringOperator : public Operator {
 public:
  StringOperator(const plan::Node& node, const Grid* grid) : Operator(node, grid) {}
  base::Status Open(Run&) override { return {}; }
  base::Status Eval(Run&, StepSpan span, Block* out) override {
    out->Reset(0, span.count);
    return {};
  }
};

class NegateOperator : public Operator {
 public:
  NegateOperator(const plan::Node& node, const Grid* grid, OperatorPtr input)
      : Operator(node, grid), input_(std::move(input)) {}

  base::Status Open(Run& run) override {
    RETURN_IF_ERROR(input_->Open(run));
    series_ = input_->series();
    if (node_.type == ValueType::kScalar) return {};
    for (Series& s : series_) s.drop_name = true;
    if (!run.options().delayed_name_removal) {
      merge_.BuildWithoutMetadata(std::move(series_), &run.arena(), &series_);
    }
    return {};
  }

  base::Status Eval(Run& run, StepSpan span, Block* out) override {
    Block* in = merge_.injective() ? out : &before_merge_;
    RETURN_IF_ERROR(input_->Eval(run, span, in));
    for (size_t row = 0; row < in->rows(); ++row) {
      double* v = in->values(row);
      const uint8_t* cells = in->cells(row);
      for (size_t s = 0; s < span.count; ++s) {
        v[s] = -v[s];
        if (cells[s] == kHistogram) in->SetHistogram(row, s, Scaled(*in->histogram(row, s), -1));
      }
    }
    if (merge_.injective()) return {};
    return merge_.Apply(before_merge_, series_.size(), out);
  }

 private:
  OperatorPtr input_;
  RowMerge merge_;
  Block before_merge_;
};

// Evaluated once, repeated at every step.
class StepInvariantOperator : public Operator, private Movable {
 public:
  StepInvariantOperator(const plan::Node& node, const Grid* grid) : Operator(node, grid) {}

  base::Status Init(Run& run) {
    RETURN_IF_ERROR(Move(run));
    run.OnMove(this);
    if (run.counts() != nullptr) run.counts()->Once(once_, grid_);
    ASSIGN_OR_RETURN(input_, MakeOperator(run, *node_.inputs[0], &once_));
    return {};
  }
  base::Status Open(Run& run) override {
    RETURN_IF_ERROR(input_->Open(run));
    series_ = input_->series();
    return {};
  }
  base::Status Eval(Run& run, StepSpan span, Block* out) override {
    if (!evaluated_) {
      RETURN_IF_ERROR(value_.Eval(run, *input_, {0, once_.count}));
      evaluated_ = true;
    }
    out->Reset(series_.size(), span.count);
    if (once_.count == 0) return {};
    for (size_t row = 0; row < series_.size(); ++row) {
      const uint8_t cell = value_->cells(row)[0];
      if (cell == kAbsent) continue;
      for (size_t s = 0; s < span.count; ++s) out->SetCell(row, s, *value_, row, 0);
    }
    if (span.count == 1) out->order = value_->order;
    return {};
  }

 private:
  base::Status Move(Run&) override {
    once_ = {grid_.start, grid_.step_ms, grid_.count == 0 ? 0u : 1u};
    evaluated_ = false;
    return {};
  }

  Grid once_;
  OperatorPtr input_;
  HeldBlock value_;
  bool evaluated_ = false;
};

base::Result<OperatorPtr> MakeCall(Run& run, const plan::Node& node, const Grid* grid) {
  const Function f = node.function;
  if (plan::IsRangeFunction(f)) return MakeRangeCall(run, node, grid);
  switch (f) {
    case Function::kTimestamp:
    case Function::kStartTimestamp:
      if (f == Function::kStartTimestamp && !run.options().use_start_timestamps) {
        return MakeElementCall(run, node, grid);
      }
      if (node.inputs[0]->kind == NodeKind::kInstantSelector) return MakeTimestamp(run, node, grid);
      return MakeElementCall(run, node, grid);
    case Function::kStart:
    case Function::kEnd:
    case Function::kRange:
    case Function::kStep:
    case Function::kPi:
    case Function::kTime:
    case Function::kMaxOf:
    case Function::kMinOf:
    case Function::kScalar: return MakeScalarCall(run, node, grid);
    case Function::kLabelJoin:
    case Function::kLabelReplace: return MakeLabelCall(run, node, grid);
    case Function::kHistogramQuantile:
    case Function::kHistogramQuantiles:
    case Function::kHistogramFraction: return MakeHistogramCall(run, node, grid);
    case Function::kInfo: return MakeInfo(run, node, grid);
    case Function::kAbsent:
    case Function::kSort:
    case Function::kSortDesc:
    case Function::kSortByLabel:
    case Function::kSortByLabelDesc:
    case Function::kVector: return MakeVectorCall(run, node, grid);
    default: return MakeElementCall(run, node, grid);
  }
}

base::Result<OperatorPtr> MakeAggregation(Run& run, const plan::Node& node, const Grid* grid) {
  switch (As<Aggregate>(*node.expr).op) {
    case AggregateOp::kTopk:
    case AggregateOp::kBottomk:
    case AggregateOp::kLimitk:
    case AggregateOp::kLimitRatio: return MakeAggregateK(run, node, grid);
    case AggregateOp::kCountValues: return MakeCountValues(run, node, grid);
    default: return MakeAggregate(run, node, grid);
  }
}

base::Result<OperatorPtr> MakeOperatorOfKind(Run& run, const plan::Node& node, const Grid* grid) {
  switch (node.kind) {
    case NodeKind::kNumber: return std::make_unique<NumberOperator>(node, grid, node.number);
    case NodeKind::kString: return std::make_unique<StringOperator>(node, grid);
    case NodeKind::kInstantSelector: return MakeSelector(run, node, grid);
    case NodeKind::kCall: return MakeCall(run, node, grid);
    case NodeKind::kAggregate: return MakeAggregation(run, node, grid);
    case NodeKind::kBinary: return MakeBinary(run, node, grid);
    case NodeKind::kNegate: {
      ASSIGN_OR_RETURN(OperatorPtr input, MakeOperator(run, *node.inputs[0], grid));
      return std::make_unique<NegateOperator>(node, grid, std::move(input));
    }
    case NodeKind::kStepInvariant: {
      auto op = std::make_unique<StepInvariantOperator>(node, grid);
      RETURN_IF_ERROR(op->Init(run));
      return op;
    }
    case NodeKind::kRangeSelector:
    case NodeKind::kSubquery: break;
  }
  return base::Internal("promql exec: a range vector where an instant vector is needed");
}

base::Result<OperatorPtr> MakeMeasured(Run& run, const plan::Node& node, const Grid* grid) {
  ASSIGN_OR_RETURN(OperatorPtr op, MakeOperatorOfKind(run, node, grid));
  if (run.profile() == nullptr) return op;
  return Measured(run.profile(), node, grid, std::move(op));
}

}  // namespace

base::Result<OperatorPtr> MakeOperator(Run& run, const plan::Node& node, const Grid* grid) {
  if (run.elsewhere() != nullptr) {
    if (OperatorPtr reader = run.elsewhere()->NewReader(node, grid)) return reader;
  }
  if (node.first_equal == nullptr) return MakeMeasured(run, node, grid);
  if (const auto& known = run.Shared(node.first_equal); known != nullptr) {
    OperatorPtr reader = SharedOperator::NewReader(known, node, grid);
    if (run.profile() == nullptr) return reader;
    return Measured(run.profile(), node, grid, std::move(reader));
  }
  ASSIGN_OR_RETURN(OperatorPtr op, MakeMeasured(run, node, grid));
  std::shared_ptr<SharedOperator>& shared = run.Shared(node.first_equal);
  shared = std::make_shared<SharedOperator>(node, std::move(op));
  return SharedOperator::NewReader(shared, node, grid);
}

}  // namespace tocsin::promql::exec
