// Functions that give a scalar: time(), pi(), start(), max_of(), scalar() ...

#include <cmath>
#include <limits>
#include <numbers>

#include "promql/exec/operator.h"

namespace tocsin::promql::exec {
namespace {

using plan::Function;

// Go's math.Max and Min: NaN wins, unless an infinity decides; -0 is less than 0.
double GoMax(double a, double b) {
  if (std::isinf(a) && a > 0) return a;
  if (std::isinf(b) && b > 0) return b;
  if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<double>::quiet_NaN();
  if (a == 0 && b == 0) return std::signbit(a) ? b : a;
  return a > b ? a : b;
}
double GoMin(double a, double b) {
  if (std::isinf(a) && a < 0) return a;
  if (std::isinf(b) && b < 0) return b;
  if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<double>::quiet_NaN();
  if (a == 0 && b == 0) return std::signbit(a) ? a : b;
  return a < b ? a : b;
}

class ScalarCallOperator : public Operator {
 public:
  ScalarCallOperator(const plan::Node& node, const Grid* grid, std::vector<OperatorPtr> inputs)
      : Operator(node, grid), inputs_(std::move(inputs)), blocks_(inputs_.size()) {
    series_.emplace_back();
  }

  base::Status Open(Run& run) override {
    for (const OperatorPtr& op : inputs_) RETURN_IF_ERROR(op->Open(run));
    return {};
  }

  base::Status Eval(Run& run, StepSpan span, Block* out) override {
    for (size_t i = 0; i < inputs_.size(); ++i) {
      RETURN_IF_ERROR(blocks_[i].Eval(run, *inputs_[i], span));
    }
    out->Reset(1, span.count);
    const plan::QueryTimes& times = run.times();
    for (size_t s = 0; s < span.count; ++s) {
      double v = 0;
      switch (node_.function) {
        case Function::kTime: v = static_cast<double>(grid_.time(span.first + s)) / 1000; break;
        case Function::kPi: v = std::numbers::pi; break;
        case Function::kStart: v = static_cast<double>(times.start) / 1000; break;
        case Function::kEnd: v = static_cast<double>(times.end) / 1000; break;
        case Function::kRange: v = static_cast<double>(times.end - times.start) / 1000; break;
        case Function::kStep:
          v = times.start == times.end ? 0 : static_cast<double>(times.step_ms) / 1000;
          break;
        case Function::kMaxOf: v = GoMax(blocks_[0]->values(0)[s], blocks_[1]->values(0)[s]); break;
        case Function::kMinOf: v = GoMin(blocks_[0]->values(0)[s], blocks_[1]->values(0)[s]); break;
        default: v = OnlyFloat(*blocks_[0], s); break;
      }
      out->SetFloat(0, s, v);
    }
    for (HeldBlock& b : blocks_) b.Drop(run);
    return {};
  }

 private:
  // scalar(): the one float of a step, else NaN.
  static double OnlyFloat(const Block& in, size_t step) {
    double value = std::numeric_limits<double>::quiet_NaN();
    bool found = false;
    for (size_t row = 0; row < in.rows(); ++row) {
      if (in.cells(row)[step] != kFloat) continue;
      if (found) return std::numeric_limits<double>::quiet_NaN();
      found = true;
      value = in.values(row)[step];
    }
    return value;
  }

  std::vector<OperatorPtr> inputs_;
  std::vector<HeldBlock> blocks_;
};

}  // namespace

base::Result<OperatorPtr> MakeScalarCall(Run& run, const plan::Node& node, const Grid* grid) {
  std::vector<OperatorPtr> inputs;
  for (const auto& input : node.inputs) {
    ASSIGN_OR_RETURN(OperatorPtr op, MakeOperator(run, *input, grid));
    inputs.push_back(std::move(op));
  }
  return std::make_unique<ScalarCallOperator>(node, grid, std::move(inputs));
}

}  // namespace tocsin::promql::exec
