#pragma once

// The tree of a PromQL expression: a value with byte positions.  Made by Parse() (parser.h), printed
// by Print() (printer.h).  Grammar: Prometheus 3.14, promql/parser/generated_parser.y.
//
// Threads: immutable once parsed; share by shared_ptr<const Expr>.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "model/matcher.h"
#include "model/sample.h"

namespace tocsin::promql {

// Bytes [start, end) of the text.
struct ByteRange {
  int32_t start = 0;
  int32_t end = 0;
};

enum class ValueType { kNone, kScalar, kVector, kMatrix, kString };
std::string_view ValueTypeName(ValueType t);  // "instant vector", "range vector", ...: as in messages
std::string_view ValueTypeCode(ValueType t);  // "vector", "matrix", ...: as in the API

enum class ExprKind {
  kNumber, kString, kVectorSelector, kMatrixSelector, kSubquery, kCall, kAggregate, kBinary, kUnary,
  kParen, kStepInvariant, kDuration,
};

struct Expr {
  explicit Expr(ExprKind k) : kind(k) {}
  virtual ~Expr() = default;
  const ExprKind kind;
  ByteRange pos;
};
using ExprPtr = std::unique_ptr<Expr>;

// The static type of an expression.
ValueType TypeOf(const Expr& e);

struct NumberLiteral : Expr {
  NumberLiteral() : Expr(ExprKind::kNumber) {}
  double value = 0;
  bool is_duration = false;  // written 5m: prints as a duration
};

struct StringLiteral : Expr {
  StringLiteral() : Expr(ExprKind::kString) {}
  std::string value;
};

// Arithmetic on durations: [5m + step()], offset -(2 * 1m).  Leaves are NumberLiteral (seconds).
// kAdd without lhs is a number in parentheses: (5m).
enum class DurationOp { kAdd, kSub, kMul, kDiv, kMod, kPow, kNegate, kStep, kRange, kMin, kMax };
struct DurationExpr : Expr {
  DurationExpr() : Expr(ExprKind::kDuration) {}
  DurationOp op = DurationOp::kAdd;
  ExprPtr lhs;  // null for kStep, kRange, kNegate and the kAdd of one number
  ExprPtr rhs;  // null for kStep and kRange
  bool wrapped = false;  // in parentheses
};

enum class AtKind { kNone, kTimestamp, kStart, kEnd };

// offset and @ of a selector or subquery.
struct TimeShift {
  base::Duration offset{0};              // as written; with offset_expr, 0 until resolved
  std::unique_ptr<DurationExpr> offset_expr;
  AtKind at = AtKind::kNone;
  model::Timestamp at_ms = 0;            // with kTimestamp
};

struct VectorSelector : Expr {
  VectorSelector() : Expr(ExprKind::kVectorSelector) {}
  std::string name;              // the metric name before the braces, if written there
  model::Matchers matchers;      // in written order; that of the name last, as Prometheus has it
  TimeShift shift;
  bool anchored = false;         // 3.x extended range selectors
  bool smoothed = false;
};

struct MatrixSelector : Expr {
  MatrixSelector() : Expr(ExprKind::kMatrixSelector) {}
  std::unique_ptr<VectorSelector> vector;
  base::Duration range{0};
  std::unique_ptr<DurationExpr> range_expr;
};

struct Subquery : Expr {
  Subquery() : Expr(ExprKind::kSubquery) {}
  ~Subquery() override;
  ExprPtr expr;
  base::Duration range{0};
  std::unique_ptr<DurationExpr> range_expr;
  base::Duration step{0};  // 0: the default
  std::unique_ptr<DurationExpr> step_expr;
  TimeShift shift;
};

struct FunctionSpec;  // functions.h

struct Call : Expr {
  Call() : Expr(ExprKind::kCall) {}
  const FunctionSpec* function = nullptr;
  std::vector<ExprPtr> args;
};

enum class AggregateOp {
  kSum, kAvg, kCount, kMin, kMax, kGroup, kStddev, kStdvar, kTopk, kBottomk, kCountValues, kQuantile,
  kLimitk, kLimitRatio,
};
std::string_view AggregateOpName(AggregateOp op);

struct Aggregate : Expr {
  Aggregate() : Expr(ExprKind::kAggregate) {}
  AggregateOp op = AggregateOp::kSum;
  ExprPtr expr;
  ExprPtr param;  // topk, quantile, ...
  std::vector<std::string> grouping;
  bool without = false;
};

enum class BinaryOp {
  kAdd, kSub, kMul, kDiv, kMod, kPow, kAtan2,
  kEq, kNe, kLt, kLe, kGt, kGe,
  kAnd, kOr, kUnless,
  kTrimUpper, kTrimLower,  // </ and >/ on histograms
};
std::string_view BinaryOpText(BinaryOp op);
inline bool IsComparison(BinaryOp op) { return op >= BinaryOp::kEq && op <= BinaryOp::kGe; }
inline bool IsSetOp(BinaryOp op) { return op >= BinaryOp::kAnd && op <= BinaryOp::kUnless; }

enum class Cardinality { kOneToOne, kManyToOne, kOneToMany, kManyToMany };

struct VectorMatching {
  Cardinality card = Cardinality::kOneToOne;
  std::vector<std::string> labels;   // of on() or ignoring()
  bool on = false;
  std::vector<std::string> include;  // of group_left() or group_right()
  std::optional<double> fill_left;   // fill modifiers
  std::optional<double> fill_right;
};

struct Binary : Expr {
  Binary() : Expr(ExprKind::kBinary) {}
  ~Binary() override;
  BinaryOp op = BinaryOp::kAdd;
  ExprPtr lhs;
  ExprPtr rhs;
  std::optional<VectorMatching> matching;  // where both sides are vectors
  bool return_bool = false;
};

struct Unary : Expr {
  Unary() : Expr(ExprKind::kUnary) {}
  bool negate = false;
  ExprPtr expr;
};

struct Paren : Expr {
  Paren() : Expr(ExprKind::kParen) {}
  ExprPtr expr;
};

// Marks what gives the same at every step (an @ with constants); added by the plan, never parsed.
struct StepInvariant : Expr {
  StepInvariant() : Expr(ExprKind::kStepInvariant) {}
  ExprPtr expr;
};

ExprPtr Clone(const Expr& e);
// The direct children, in the order of the text.
std::vector<const Expr*> Children(const Expr& e);

template <class T>
const T& As(const Expr& e) {
  return static_cast<const T&>(e);
}
template <class T>
T& As(Expr& e) {
  return static_cast<T&>(e);
}

}  // namespace tocsin::promql
