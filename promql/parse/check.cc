// Types: what each function, operator and aggregation may be given.

#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/number.h"
#include "promql/parse/expression_parser.h"
#include "promql/parse/functions.h"

namespace tocsin::promql {
namespace {

class Checker {
 public:
  using Report = std::function<void(ByteRange, std::string)>;
  Checker(std::string_view text, Report report) : text_(text), report_(std::move(report)) {}

  // Checks the tree and returns its type.  Chains of operators are walked, not descended.
  ValueType Check(Expr* e);

 private:
  ValueType CheckOne(Expr* e, ValueType first);
  void CheckAggregate(const Aggregate& e);
  ValueType CheckBinary(Binary* e, ValueType lhs);
  void CheckMatching(Binary* e, bool vectors);
  void CheckCall(Call* e);
  void CheckInfo(const Call& e);
  void CheckSelector(const VectorSelector& e);
  void Expect(Expr* e, ValueType want, std::string_view where);
  ByteRange OperatorRange(const Binary& e) const;
  void Error(ByteRange pos, std::string message) { report_(pos, std::move(message)); }

  std::string_view text_;
  Report report_;
  const Expr* any_selector_ = nullptr;  // may match everything: the second argument of info()
};

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

ValueType Checker::Check(Expr* e) {
  std::vector<Expr*> chain;
  for (Expr* at = e;;) {
    chain.push_back(at);
    if (at->kind == ExprKind::kBinary) {
      at = As<Binary>(*at).lhs.get();
    } else if (at->kind == ExprKind::kSubquery) {
      at = As<Subquery>(*at).expr.get();
    } else {
      break;
    }
  }
  ValueType type = ValueType::kNone;
  while (!chain.empty()) {
    type = CheckOne(chain.back(), type);
    chain.pop_back();
  }
  return type;
}

// `first`: the type of the first operand where that was checked before.
ValueType Checker::CheckOne(Expr* e, ValueType first) {
  switch (e->kind) {
    case ExprKind::kNumber:
    case ExprKind::kDuration: return ValueType::kScalar;
    case ExprKind::kString: return ValueType::kString;
    case ExprKind::kVectorSelector: CheckSelector(As<VectorSelector>(*e)); return ValueType::kVector;
    case ExprKind::kMatrixSelector:
      CheckSelector(*As<MatrixSelector>(*e).vector);
      return ValueType::kMatrix;
    case ExprKind::kSubquery:
      if (first != ValueType::kVector) {
        Error(e->pos, fmt::format("subquery is only allowed on instant vector, got {} instead",
                                  ValueTypeCode(first)));
      }
      return ValueType::kMatrix;
    case ExprKind::kCall: CheckCall(&As<Call>(*e)); return As<Call>(*e).function->return_type;
    case ExprKind::kAggregate: CheckAggregate(As<Aggregate>(*e)); return ValueType::kVector;
    case ExprKind::kBinary: return CheckBinary(&As<Binary>(*e), first);
    case ExprKind::kUnary: {
      ValueType type = Check(As<Unary>(*e).expr.get());
      if (type != ValueType::kScalar && type != ValueType::kVector) {
        Error(e->pos, fmt::format("unary expression only allowed on expressions of type scalar or "
                                  "instant vector, got \"{}\"",
                                  ValueTypeName(type)));
      }
      return type;
    }
    case ExprKind::kParen: return Check(As<Paren>(*e).expr.get());
    case ExprKind::kStepInvariant: return Check(As<StepInvariant>(*e).expr.get());
  }
  return ValueType::kNone;
}

void Checker::Expect(Expr* e, ValueType want, std::string_view where) {
  ValueType type = Check(e);
  if (type == want) return;
  Error(e->pos, fmt::format("expected type {} in {}, got {}", ValueTypeName(want), where,
                            ValueTypeName(type)));
}

void Checker::CheckAggregate(const Aggregate& e) {
  Expect(e.expr.get(), ValueType::kVector, "aggregation expression");
  if (e.param == nullptr) return;
  bool name = e.op == AggregateOp::kCountValues;
  Expect(e.param.get(), name ? ValueType::kString : ValueType::kScalar, "aggregation parameter");
}

// The operator with its modifiers, without the blanks around them.
ByteRange Checker::OperatorRange(const Binary& e) const {
  ByteRange r{e.lhs->pos.end, e.rhs->pos.start - 1};
  auto size = static_cast<int32_t>(text_.size());
  while (r.start < size && IsBlank(text_[r.start])) ++r.start;
  while (r.end > r.start && IsBlank(text_[r.end])) --r.end;
  return r;
}

ValueType Checker::CheckBinary(Binary* e, ValueType lhs) {
  ValueType rhs = Check(e->rhs.get());
  bool scalars = lhs == ValueType::kScalar && rhs == ValueType::kScalar;
  if (e->return_bool && !IsComparison(e->op)) {
    Error(OperatorRange(*e), "bool modifier can only be used on comparison operators");
  }
  if (IsComparison(e->op) && !e->return_bool && scalars) {
    Error(OperatorRange(*e), "comparisons between scalars must use BOOL modifier");
  }
  VectorMatching& matching = *e->matching;
  if (IsSetOp(e->op) && matching.card == Cardinality::kOneToOne) {
    matching.card = Cardinality::kManyToMany;
  }
  for (const std::string& label : matching.labels) {
    if (!matching.on) break;
    for (const std::string& include : matching.include) {
      if (label != include) continue;
      Error(OperatorRange(*e), fmt::format("label {} must not occur in ON and GROUP clause at once",
                                           base::Quote(label)));
    }
  }
  for (auto [type, side] : {std::pair(lhs, e->lhs.get()), std::pair(rhs, e->rhs.get())}) {
    if (type == ValueType::kScalar || type == ValueType::kVector) continue;
    Error(side->pos, "binary expression must contain only scalar and instant vector types");
  }
  CheckMatching(e, lhs == ValueType::kVector && rhs == ValueType::kVector);
  if (IsSetOp(e->op) && (lhs == ValueType::kScalar || rhs == ValueType::kScalar)) {
    Error(e->pos, fmt::format("set operator \"{}\" not allowed in binary scalar expression",
                              BinaryOpText(e->op)));
  }
  return scalars ? ValueType::kScalar : ValueType::kVector;
}

void Checker::CheckMatching(Binary* e, bool vectors) {
  const VectorMatching& matching = *e->matching;
  bool fills = matching.fill_left || matching.fill_right;
  if (!vectors) {
    if (!matching.labels.empty()) {
      Error(e->pos, "vector matching only allowed between instant vectors");
    }
    if (fills) {
      Error(e->pos, "filling in missing series only allowed between instant vectors");
    }
    e->matching.reset();
    return;
  }
  if (!IsSetOp(e->op)) return;
  if (matching.card == Cardinality::kOneToMany || matching.card == Cardinality::kManyToOne) {
    Error(e->pos, fmt::format("no grouping allowed for \"{}\" operation", BinaryOpText(e->op)));
  }
  if (matching.card != Cardinality::kManyToMany) {
    Error(e->pos, "set operations must always be many-to-many");
  }
  if (fills) Error(e->pos, "filling in missing series not allowed for set operators");
}

void Checker::CheckCall(Call* e) {
  const FunctionSpec& f = *e->function;
  size_t count = e->args.size();
  size_t declared = f.arg_types.size();
  if (f.variadic == 0) {
    if (count != declared) {
      Error(e->pos, fmt::format("expected {} argument(s) in call to \"{}\", got {}", declared,
                                f.name, count));
    }
  } else {
    size_t least = declared - 1;
    if (count < least) {
      Error(e->pos, fmt::format("expected at least {} argument(s) in call to \"{}\", got {}", least,
                                f.name, count));
    } else if (f.variadic > 0 && count > least + static_cast<size_t>(f.variadic)) {
      Error(e->pos, fmt::format("expected at most {} argument(s) in call to \"{}\", got {}",
                                least + static_cast<size_t>(f.variadic), f.name, count));
    }
  }
  if (f.name == "info" && count > 1) CheckInfo(*e);
  std::string where = fmt::format("call to function \"{}\"", f.name);
  for (size_t i = 0; i < count; ++i) {
    if (i >= declared && f.variadic == 0) break;
    Expect(e->args[i].get(), f.arg_types[std::min(i, declared - 1)], where);
  }
}

void Checker::CheckInfo(const Call& e) {
  const Expr& labels = *e.args[1];
  ValueType type = TypeOf(labels);
  if (type != ValueType::kVector) {
    Error(e.pos, fmt::format("expected type {} in call to function \"info\", got {}",
                             ValueTypeName(ValueType::kVector), ValueTypeName(type)));
  }
  if (labels.kind != ExprKind::kVectorSelector) {
    Error(labels.pos, "expected label selectors only");
  } else if (!As<VectorSelector>(labels).name.empty()) {
    Error(labels.pos, "expected label selectors only, got vector selector instead");
  } else {
    any_selector_ = &labels;
  }
}

void Checker::CheckSelector(const VectorSelector& e) {
  if (!e.name.empty()) {
    for (size_t i = 0; i + 1 < e.matchers.size(); ++i) {
      if (e.matchers[i].name() != model::kMetricName) continue;
      Error(e.pos, fmt::format("metric name must not be set twice: {} or {}", base::Quote(e.name),
                               base::Quote(e.matchers[i].value())));
    }
    return;
  }
  if (&e == any_selector_) return;
  for (const model::Matcher& m : e.matchers) {
    if (!m.matches_empty()) return;
  }
  Error(e.pos, "vector selector must contain at least one non-empty matcher");
}

}  // namespace

void ExpressionParser::Check(Expr* e) {
  Checker checker(text(), [this](ByteRange pos, std::string message) {
    AddError(pos, std::move(message));
  });
  checker.Check(e);
}

}  // namespace tocsin::promql
