#pragma once

// Binary operators between two elements of vectors: floats or histograms.

#include <cmath>

#include "model/histogram.h"
#include "promql/exec/annotations.h"
#include "promql/parse/ast.h"

namespace tocsin::promql::exec {

struct Element {
  double v = 0;
  model::HistogramPtr h;  // null: a float
};

struct ElementResult {
  Element value;
  bool keep = false;          // of a comparison
  bool incompatible = false;  // the types do not go together; noted, and there is no element
};

ElementResult BinaryElement(Annotations& annotations, BinaryOp op, const Element& a,
                            const Element& b, ByteRange pos);

// Whether the result is of another kind than the metric (so that its name goes).
inline bool ChangesMeaning(BinaryOp op) { return op <= BinaryOp::kAtan2; }

inline bool CompareFloats(BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::kEq: return a == b;
    case BinaryOp::kNe: return a != b;
    case BinaryOp::kLt: return a < b;
    case BinaryOp::kLe: return a <= b;
    case BinaryOp::kGt: return a > b;
    default: return a >= b;
  }
}

// Calls fn with the operator as a function of two doubles: the switch is outside of the loop.
template <class Fn>
inline void WithArithmetic(BinaryOp op, Fn&& fn) {
  switch (op) {
    case BinaryOp::kAdd: return fn([](double a, double b) { return a + b; });
    case BinaryOp::kSub: return fn([](double a, double b) { return a - b; });
    case BinaryOp::kMul: return fn([](double a, double b) { return a * b; });
    case BinaryOp::kDiv: return fn([](double a, double b) { return a / b; });
    case BinaryOp::kMod: return fn([](double a, double b) { return std::fmod(a, b); });
    case BinaryOp::kPow: return fn([](double a, double b) { return std::pow(a, b); });
    default: return fn([](double a, double b) { return std::atan2(a, b); });
  }
}

}  // namespace tocsin::promql::exec
