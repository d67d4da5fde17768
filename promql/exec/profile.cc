#include "promql/exec/profile.h"

namespace tocsin::promql::exec {
namespace {

// Adds the time until it dies.
class Stopwatch {
 public:
  Stopwatch(const Run& run, base::Duration* total) : run_(run), total_(total), begin_(Now()) {}
  ~Stopwatch() { *total_ += Now() - begin_; }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  base::Duration Now() const {
    return run_.options().monotonic ? run_.options().monotonic() : base::Duration{0};
  }
  const Run& run_;
  base::Duration* const total_;
  const base::Duration begin_;
};

class MeasuredOperator : public Operator {
 public:
  MeasuredOperator(Profile* profile, const plan::Node& node, const Grid* grid, OperatorPtr op)
      : Operator(node, grid), cost_(profile->of(node)), op_(std::move(op)) {}

  void LeaveLabels() override { op_->LeaveLabels(); }
  RowSet row_set() const override { return op_->row_set(); }

  base::Status Open(Run& run) override {
    const Stopwatch watch(run, &cost_.time);
    RETURN_IF_ERROR(op_->Open(run));
    series_ = op_->series();
    cost_.series = static_cast<int64_t>(series_.size());
    return {};
  }

  base::Status Eval(Run& run, StepSpan span, Block* out) override {
    const Stopwatch watch(run, &cost_.time);
    RETURN_IF_ERROR(op_->Eval(run, span, out));
    cost_.samples += static_cast<int64_t>(out->CountPresent());
    if (out->has_histograms()) series_ = op_->series();  // whose labels may be found only now
    return {};
  }

 private:
  plan::NodeCost& cost_;
  OperatorPtr op_;
};

}  // namespace

OperatorPtr Measured(Profile* profile, const plan::Node& node, const Grid* grid, OperatorPtr op) {
  return std::make_unique<MeasuredOperator>(profile, node, grid, std::move(op));
}

}  // namespace tocsin::promql::exec
