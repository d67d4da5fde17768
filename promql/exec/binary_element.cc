#include "promql/exec/binary_element.h"

#include "promql/exec/histogram_math.h"

namespace tocsin::promql::exec {
namespace {

ElementResult Float(double v, bool keep) { return {{v, nullptr}, keep, false}; }
ElementResult Histogram(model::HistogramPtr h, bool keep) {
  return {{0, std::move(h)}, keep, false};
}
ElementResult Incompatible() { return {{}, false, true}; }

ElementResult AddHistograms(Annotations& annotations, BinaryOp op, const Element& a,
                            const Element& b, ByteRange pos) {
  const bool add = op == BinaryOp::kAdd;
  HistogramSum sum(*a.h);
  const auto added = add ? sum.Add(*b.h) : sum.Subtract(*b.h);
  if (!added.compatible) {
    annotations.IncompatibleBucketLayout(BinaryOpText(op), pos);
    return Incompatible();
  }
  const auto operation = add ? HistogramOperation::kAddition : HistogramOperation::kSubtraction;
  if (added.collision) annotations.CounterResetCollision(operation, pos);
  if (added.reconciled) annotations.MismatchedCustomBuckets(operation, pos);
  if (!add) sum.set_counter_reset(model::CounterReset::kGauge);
  return Histogram(sum.Build(), true);
}

}  // namespace

ElementResult BinaryElement(Annotations& annotations, BinaryOp op, const Element& a,
                            const Element& b, ByteRange pos) {
  const bool trim = op == BinaryOp::kTrimLower || op == BinaryOp::kTrimUpper;
  if (!a.h && !b.h && !trim) {
    if (IsComparison(op)) return Float(a.v, CompareFloats(op, a.v, b.v));
    double v = 0;
    WithArithmetic(op, [&](auto fn) { v = fn(a.v, b.v); });
    return Float(v, true);
  }
  if (!a.h && b.h && op == BinaryOp::kMul) return Histogram(Scaled(*b.h, a.v), true);
  if (a.h && !b.h) {
    if (op == BinaryOp::kMul) return Histogram(Scaled(*a.h, b.v), true);
    if (op == BinaryOp::kDiv) return Histogram(Divided(*a.h, b.v), true);
    if (trim) {
      return Histogram(
          Trimmed(*a.h, b.v, op == BinaryOp::kTrimUpper ? Trim::kUpper : Trim::kLower), true);
    }
  }
  if (a.h && b.h) {
    if (op == BinaryOp::kAdd || op == BinaryOp::kSub) {
      return AddHistograms(annotations, op, a, b, pos);
    }
    if (op == BinaryOp::kEq) return Histogram(a.h, SameHistogram(*a.h, *b.h));
    if (op == BinaryOp::kNe) return Histogram(a.h, !SameHistogram(*a.h, *b.h));
  }
  annotations.IncompatibleTypes(a.h ? "histogram" : "float", BinaryOpText(op),
                                b.h ? "histogram" : "float", pos);
  return Incompatible();
}

}  // namespace tocsin::promql::exec
