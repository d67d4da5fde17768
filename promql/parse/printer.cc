#include "promql/parse/printer.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "base/duration.h"
#include "base/number.h"
#include "model/labels.h"
#include "promql/parse/functions.h"
#include "promql/parse/print_parts.h"

namespace tocsin::promql {
namespace {

void AppendLabels(const std::vector<std::string>& names, std::string* out) {
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) *out += ", ";
    *out += model::IsLegacyLabelName(names[i]) ? names[i] : base::Quote(names[i]);
  }
}

void Append(const Expr& e, std::string* out);

void AppendDuration(base::Duration d, std::string* out) {
  if (d < base::Duration::zero()) {
    *out += '-';
    d = -d;
  }
  *out += base::FormatDuration(d);
}

void AppendNumber(const NumberLiteral& e, std::string* out) {
  if (!e.is_duration) {
    base::AppendFormatF(e.value, out);
    return;
  }
  // Seconds as nanoseconds; what the text could hold fits.
  double ns = std::clamp(std::round(e.value * 1e9), -9.2e18, 9.2e18);
  AppendDuration(base::Duration(static_cast<int64_t>(ns)), out);
}

void AppendDurationExpr(const DurationExpr& e, std::string* out) {
  if (e.wrapped) *out += '(';
  auto call = [&](std::string_view name) {
    *out += name;
    *out += '(';
    Append(*e.lhs, out);
    *out += ", ";
    Append(*e.rhs, out);
    *out += ')';
  };
  auto infix = [&](char op) {
    if (e.lhs != nullptr) {
      Append(*e.lhs, out);
      *out += ' ';
      *out += op;
      *out += ' ';
    }
    Append(*e.rhs, out);
  };
  switch (e.op) {
    case DurationOp::kStep: *out += "step()"; break;
    case DurationOp::kRange: *out += "range()"; break;
    case DurationOp::kMin: call("min_of"); break;
    case DurationOp::kMax: call("max_of"); break;
    case DurationOp::kNegate:
      *out += '-';
      Append(*e.rhs, out);
      break;
    case DurationOp::kAdd: infix('+'); break;
    case DurationOp::kSub: infix('-'); break;
    case DurationOp::kMul: infix('*'); break;
    case DurationOp::kDiv: infix('/'); break;
    case DurationOp::kMod: infix('%'); break;
    case DurationOp::kPow: infix('^'); break;
  }
  if (e.wrapped) *out += ')';
}

void AppendRange(base::Duration range, const std::unique_ptr<DurationExpr>& expr,
                 std::string* out) {
  if (expr != nullptr) {
    AppendDurationExpr(*expr, out);
  } else {
    AppendDuration(range, out);
  }
}

void AppendAt(const TimeShift& shift, std::string* out) {
  switch (shift.at) {
    case AtKind::kNone: break;
    case AtKind::kTimestamp:
      *out += " @ " + base::FormatPrecision(static_cast<double>(shift.at_ms) / 1000.0, 'f', 3);
      break;
    case AtKind::kStart: *out += " @ start()"; break;
    case AtKind::kEnd: *out += " @ end()"; break;
  }
}

void AppendOffset(const TimeShift& shift, std::string* out) {
  if (shift.offset_expr != nullptr) {
    *out += " offset ";
    AppendDurationExpr(*shift.offset_expr, out);
  } else if (shift.offset != base::Duration::zero()) {
    *out += " offset ";
    AppendDuration(shift.offset, out);
  }
}

void AppendModifier(const VectorSelector& e, std::string* out) {
  if (e.anchored) {
    *out += " anchored";
  } else if (e.smoothed) {
    *out += " smoothed";
  }
}

// The name and the matchers, sorted as text.
void AppendSelector(const VectorSelector& e, std::string* out) {
  std::vector<std::string> matchers;
  for (const model::Matcher& m : e.matchers) {
    bool is_name = m.name() == model::kMetricName && m.op() == model::MatchOp::kEqual &&
                   m.value() == e.name && !m.value().empty();
    if (!is_name) matchers.push_back(m.ToString());
  }
  *out += e.name;
  if (matchers.empty()) {
    // Nothing else would be left of {}, as in info(x, {}).
    if (e.name.empty()) *out += "{}";
    return;
  }
  std::ranges::sort(matchers);
  *out += '{';
  for (size_t i = 0; i < matchers.size(); ++i) {
    if (i > 0) *out += ',';
    *out += matchers[i];
  }
  *out += '}';
}

void AppendList(const std::vector<ExprPtr>& list, std::string* out) {
  for (size_t i = 0; i < list.size(); ++i) {
    if (i > 0) *out += ", ";
    Append(*list[i], out);
  }
}

void Append(const Expr& e, std::string* out) {
  switch (e.kind) {
    case ExprKind::kNumber: AppendNumber(As<NumberLiteral>(e), out); break;
    case ExprKind::kString: *out += base::Quote(As<StringLiteral>(e).value); break;
    case ExprKind::kVectorSelector: {
      const auto& s = As<VectorSelector>(e);
      AppendSelector(s, out);
      AppendAt(s.shift, out);
      AppendModifier(s, out);
      AppendOffset(s.shift, out);
      break;
    }
    case ExprKind::kMatrixSelector: {
      const auto& m = As<MatrixSelector>(e);
      AppendSelector(*m.vector, out);
      *out += '[';
      AppendRange(m.range, m.range_expr, out);
      *out += ']';
      AppendModifier(*m.vector, out);
      AppendAt(m.vector->shift, out);
      AppendOffset(m.vector->shift, out);
      break;
    }
    case ExprKind::kSubquery:
      Append(*As<Subquery>(e).expr, out);
      AppendSubquerySuffix(As<Subquery>(e), out);
      break;
    case ExprKind::kCall:
      *out += As<Call>(e).function->name;
      *out += '(';
      AppendList(As<Call>(e).args, out);
      *out += ')';
      break;
    case ExprKind::kAggregate: {
      const auto& a = As<Aggregate>(e);
      AppendAggregateHead(a, out);
      *out += '(';
      if (a.param != nullptr) {
        Append(*a.param, out);
        *out += ", ";
      }
      Append(*a.expr, out);
      *out += ')';
      break;
    }
    case ExprKind::kBinary: {
      const auto& b = As<Binary>(e);
      Append(*b.lhs, out);
      *out += ' ';
      AppendOperator(b, out);
      *out += ' ';
      Append(*b.rhs, out);
      break;
    }
    case ExprKind::kUnary:
      *out += As<Unary>(e).negate ? '-' : '+';
      Append(*As<Unary>(e).expr, out);
      break;
    case ExprKind::kParen:
      *out += '(';
      Append(*As<Paren>(e).expr, out);
      *out += ')';
      break;
    case ExprKind::kStepInvariant: Append(*As<StepInvariant>(e).expr, out); break;
    case ExprKind::kDuration: AppendDurationExpr(As<DurationExpr>(e), out); break;
  }
}

}  // namespace

void AppendAggregateHead(const Aggregate& e, std::string* out) {
  *out += AggregateOpName(e.op);
  if (!e.without && e.grouping.empty()) return;
  *out += e.without ? " without (" : " by (";
  AppendLabels(e.grouping, out);
  *out += ") ";
}

void AppendMatching(const Binary& e, std::string* out) {
  if (!e.matching) return;
  const VectorMatching& m = *e.matching;
  bool grouped = m.card == Cardinality::kManyToOne || m.card == Cardinality::kOneToMany;
  if (m.on || grouped || !m.labels.empty()) {
    *out += m.on ? " on (" : " ignoring (";
    AppendLabels(m.labels, out);
    *out += ')';
  }
  if (grouped) {
    *out += m.card == Cardinality::kManyToOne ? " group_left (" : " group_right (";
    AppendLabels(m.include, out);
    *out += ')';
  }
  if (m.fill_left && m.fill_right && *m.fill_left == *m.fill_right) {
    *out += fmt::format(" fill ({})", base::FormatV(*m.fill_left));
    return;
  }
  if (m.fill_left) *out += fmt::format(" fill_left ({})", base::FormatV(*m.fill_left));
  if (m.fill_right) *out += fmt::format(" fill_right ({})", base::FormatV(*m.fill_right));
}

void AppendOperator(const Binary& e, std::string* out) {
  *out += BinaryOpText(e.op);
  if (e.return_bool) *out += " bool";
  AppendMatching(e, out);
}

void AppendSubquerySuffix(const Subquery& e, std::string* out) {
  *out += '[';
  AppendRange(e.range, e.range_expr, out);
  *out += ':';
  if (e.step != base::Duration::zero() || e.step_expr != nullptr) {
    AppendRange(e.step, e.step_expr, out);
  }
  *out += ']';
  AppendAt(e.shift, out);
  AppendOffset(e.shift, out);
}

std::string Print(const Expr& e) {
  std::string out;
  Append(e, &out);
  return out;
}

}  // namespace tocsin::promql
