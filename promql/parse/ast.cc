#include "promql/parse/ast.h"

#include "base/check.h"
#include "promql/parse/functions.h"

namespace tocsin::promql {
namespace {

std::unique_ptr<DurationExpr> CloneDuration(const std::unique_ptr<DurationExpr>& e) {
  if (e == nullptr) return nullptr;
  return std::unique_ptr<DurationExpr>(static_cast<DurationExpr*>(Clone(*e).release()));
}

ExprPtr CloneOrNull(const ExprPtr& e) { return e == nullptr ? nullptr : Clone(*e); }

TimeShift CloneShift(const TimeShift& s) {
  TimeShift out;
  out.offset = s.offset;
  out.offset_expr = CloneDuration(s.offset_expr);
  out.at = s.at;
  out.at_ms = s.at_ms;
  return out;
}

std::unique_ptr<VectorSelector> CloneSelector(const VectorSelector& e) {
  auto out = std::make_unique<VectorSelector>();
  out->pos = e.pos;
  out->name = e.name;
  out->matchers = e.matchers;
  out->shift = CloneShift(e.shift);
  out->anchored = e.anchored;
  out->smoothed = e.smoothed;
  return out;
}

// Destroys a + b + c + ... (and x[1m:][1m:]...) from the outside in, not by recursion: the text may
// hold a hundred thousand of them before the parser says that this is too many.
void DestroyChain(ExprPtr e) {
  while (e != nullptr) {
    ExprPtr next;
    if (e->kind == ExprKind::kBinary) next = std::move(As<Binary>(*e).lhs);
    if (e->kind == ExprKind::kSubquery) next = std::move(As<Subquery>(*e).expr);
    e = std::move(next);
  }
}

}  // namespace

Subquery::~Subquery() { DestroyChain(std::move(expr)); }
Binary::~Binary() { DestroyChain(std::move(lhs)); }

std::string_view ValueTypeName(ValueType t) {
  switch (t) {
    case ValueType::kNone: return "none";
    case ValueType::kScalar: return "scalar";
    case ValueType::kVector: return "instant vector";
    case ValueType::kMatrix: return "range vector";
    case ValueType::kString: return "string";
  }
  return "none";
}

std::string_view ValueTypeCode(ValueType t) {
  switch (t) {
    case ValueType::kNone: return "none";
    case ValueType::kScalar: return "scalar";
    case ValueType::kVector: return "vector";
    case ValueType::kMatrix: return "matrix";
    case ValueType::kString: return "string";
  }
  return "none";
}

std::string_view AggregateOpName(AggregateOp op) {
  switch (op) {
    case AggregateOp::kSum: return "sum";
    case AggregateOp::kAvg: return "avg";
    case AggregateOp::kCount: return "count";
    case AggregateOp::kMin: return "min";
    case AggregateOp::kMax: return "max";
    case AggregateOp::kGroup: return "group";
    case AggregateOp::kStddev: return "stddev";
    case AggregateOp::kStdvar: return "stdvar";
    case AggregateOp::kTopk: return "topk";
    case AggregateOp::kBottomk: return "bottomk";
    case AggregateOp::kCountValues: return "count_values";
    case AggregateOp::kQuantile: return "quantile";
    case AggregateOp::kLimitk: return "limitk";
    case AggregateOp::kLimitRatio: return "limit_ratio";
  }
  return "";
}

std::string_view BinaryOpText(BinaryOp op) {
  switch (op) {
    case BinaryOp::kAdd: return "+";
    case BinaryOp::kSub: return "-";
    case BinaryOp::kMul: return "*";
    case BinaryOp::kDiv: return "/";
    case BinaryOp::kMod: return "%";
    case BinaryOp::kPow: return "^";
    case BinaryOp::kAtan2: return "atan2";
    case BinaryOp::kEq: return "==";
    case BinaryOp::kNe: return "!=";
    case BinaryOp::kLt: return "<";
    case BinaryOp::kLe: return "<=";
    case BinaryOp::kGt: return ">";
    case BinaryOp::kGe: return ">=";
    case BinaryOp::kAnd: return "and";
    case BinaryOp::kOr: return "or";
    case BinaryOp::kUnless: return "unless";
    case BinaryOp::kTrimUpper: return "</";
    case BinaryOp::kTrimLower: return ">/";
  }
  return "";
}

ValueType TypeOf(const Expr& e) {
  switch (e.kind) {
    case ExprKind::kNumber:
    case ExprKind::kDuration: return ValueType::kScalar;
    case ExprKind::kString: return ValueType::kString;
    case ExprKind::kVectorSelector:
    case ExprKind::kAggregate: return ValueType::kVector;
    case ExprKind::kMatrixSelector:
    case ExprKind::kSubquery: return ValueType::kMatrix;
    case ExprKind::kCall: {
      const FunctionSpec* f = As<Call>(e).function;
      return f == nullptr ? ValueType::kNone : f->return_type;
    }
    case ExprKind::kBinary: {
      const auto& b = As<Binary>(e);
      // The right side first: it is the shallow one in a + b + c + ...
      bool scalar = TypeOf(*b.rhs) == ValueType::kScalar && TypeOf(*b.lhs) == ValueType::kScalar;
      return scalar ? ValueType::kScalar : ValueType::kVector;
    }
    case ExprKind::kUnary: return TypeOf(*As<Unary>(e).expr);
    case ExprKind::kParen: return TypeOf(*As<Paren>(e).expr);
    case ExprKind::kStepInvariant: return TypeOf(*As<StepInvariant>(e).expr);
  }
  return ValueType::kNone;
}

ExprPtr Clone(const Expr& e) {
  // Fills the position, which all nodes have.
  auto done = [&](auto out) -> ExprPtr {
    out->pos = e.pos;
    return out;
  };
  switch (e.kind) {
    case ExprKind::kNumber: {
      auto out = std::make_unique<NumberLiteral>();
      out->value = As<NumberLiteral>(e).value;
      out->is_duration = As<NumberLiteral>(e).is_duration;
      return done(std::move(out));
    }
    case ExprKind::kString: {
      auto out = std::make_unique<StringLiteral>();
      out->value = As<StringLiteral>(e).value;
      return done(std::move(out));
    }
    case ExprKind::kVectorSelector: return CloneSelector(As<VectorSelector>(e));
    case ExprKind::kMatrixSelector: {
      const auto& m = As<MatrixSelector>(e);
      auto out = std::make_unique<MatrixSelector>();
      out->vector = CloneSelector(*m.vector);
      out->range = m.range;
      out->range_expr = CloneDuration(m.range_expr);
      return done(std::move(out));
    }
    case ExprKind::kSubquery: {
      const auto& s = As<Subquery>(e);
      auto out = std::make_unique<Subquery>();
      out->expr = Clone(*s.expr);
      out->range = s.range;
      out->range_expr = CloneDuration(s.range_expr);
      out->step = s.step;
      out->step_expr = CloneDuration(s.step_expr);
      out->shift = CloneShift(s.shift);
      return done(std::move(out));
    }
    case ExprKind::kCall: {
      auto out = std::make_unique<Call>();
      out->function = As<Call>(e).function;
      for (const ExprPtr& arg : As<Call>(e).args) out->args.push_back(Clone(*arg));
      return done(std::move(out));
    }
    case ExprKind::kAggregate: {
      const auto& a = As<Aggregate>(e);
      auto out = std::make_unique<Aggregate>();
      out->op = a.op;
      out->expr = CloneOrNull(a.expr);
      out->param = CloneOrNull(a.param);
      out->grouping = a.grouping;
      out->without = a.without;
      return done(std::move(out));
    }
    case ExprKind::kBinary: {
      const auto& b = As<Binary>(e);
      auto out = std::make_unique<Binary>();
      out->op = b.op;
      out->lhs = Clone(*b.lhs);
      out->rhs = Clone(*b.rhs);
      out->matching = b.matching;
      out->return_bool = b.return_bool;
      return done(std::move(out));
    }
    case ExprKind::kUnary: {
      auto out = std::make_unique<Unary>();
      out->negate = As<Unary>(e).negate;
      out->expr = Clone(*As<Unary>(e).expr);
      return done(std::move(out));
    }
    case ExprKind::kParen: {
      auto out = std::make_unique<Paren>();
      out->expr = Clone(*As<Paren>(e).expr);
      return done(std::move(out));
    }
    case ExprKind::kStepInvariant: {
      auto out = std::make_unique<StepInvariant>();
      out->expr = Clone(*As<StepInvariant>(e).expr);
      return done(std::move(out));
    }
    case ExprKind::kDuration: {
      const auto& d = As<DurationExpr>(e);
      auto out = std::make_unique<DurationExpr>();
      out->op = d.op;
      out->lhs = CloneOrNull(d.lhs);
      out->rhs = CloneOrNull(d.rhs);
      out->wrapped = d.wrapped;
      return done(std::move(out));
    }
  }
  TOCSIN_CHECK(false) << "unknown kind of expression " << static_cast<int>(e.kind);
  return nullptr;
}

std::vector<const Expr*> Children(const Expr& e) {
  switch (e.kind) {
    case ExprKind::kNumber:
    case ExprKind::kString:
    case ExprKind::kVectorSelector: return {};
    case ExprKind::kMatrixSelector: return {As<MatrixSelector>(e).vector.get()};
    case ExprKind::kSubquery: return {As<Subquery>(e).expr.get()};
    case ExprKind::kCall: {
      std::vector<const Expr*> out;
      for (const ExprPtr& arg : As<Call>(e).args) out.push_back(arg.get());
      return out;
    }
    case ExprKind::kAggregate: {
      const auto& a = As<Aggregate>(e);
      if (a.param == nullptr) return {a.expr.get()};
      return {a.param.get(), a.expr.get()};
    }
    case ExprKind::kBinary: return {As<Binary>(e).lhs.get(), As<Binary>(e).rhs.get()};
    case ExprKind::kUnary: return {As<Unary>(e).expr.get()};
    case ExprKind::kParen: return {As<Paren>(e).expr.get()};
    case ExprKind::kStepInvariant: return {As<StepInvariant>(e).expr.get()};
    case ExprKind::kDuration: {
      const auto& d = As<DurationExpr>(e);
      std::vector<const Expr*> out;
      if (d.lhs != nullptr) out.push_back(d.lhs.get());
      if (d.rhs != nullptr) out.push_back(d.rhs.get());
      return out;
    }
  }
  return {};
}

}  // namespace tocsin::promql
