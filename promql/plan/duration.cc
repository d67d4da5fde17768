// Duration expressions: [5m + step()], offset -(2 * 1m).

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "promql/plan/plan.h"

namespace tocsin::promql::plan {
namespace {

base::Result<double> Seconds(const Expr& e, const QueryTimes& times) {
  if (e.kind == ExprKind::kNumber) return As<NumberLiteral>(e).value;
  if (e.kind == ExprKind::kParen) return Seconds(*As<Paren>(e).expr, times);
  if (e.kind != ExprKind::kDuration) {
    return base::Internal("promql plan: not a duration expression");
  }
  const auto& d = As<DurationExpr>(e);
  double a = 0;
  double b = 0;
  if (d.lhs) {
    ASSIGN_OR_RETURN(a, Seconds(*d.lhs, times));
  }
  if (d.rhs) {
    ASSIGN_OR_RETURN(b, Seconds(*d.rhs, times));
  }
  switch (d.op) {
    case DurationOp::kAdd: return d.lhs ? a + b : b;
    case DurationOp::kSub: return d.lhs ? a - b : -b;
    case DurationOp::kNegate: return -(d.rhs ? b : a);
    case DurationOp::kMul: return a * b;
    case DurationOp::kDiv:
      if (b == 0) {
        return base::FailedPrecondition(
            fmt::format("{}:{}: division by zero", e.pos.start, e.pos.end));
      }
      return a / b;
    case DurationOp::kMod:
      if (b == 0) {
        return base::FailedPrecondition(
            fmt::format("{}:{}: modulo by zero", e.pos.start, e.pos.end));
      }
      return std::fmod(a, b);
    case DurationOp::kPow: return std::pow(a, b);
    case DurationOp::kStep: return static_cast<double>(times.step_ms) / 1000;
    case DurationOp::kRange: return static_cast<double>(times.end - times.start) / 1000;
    case DurationOp::kMin: return std::isnan(a) || std::isnan(b) ? std::nan("") : std::min(a, b);
    case DurationOp::kMax: return std::isnan(a) || std::isnan(b) ? std::nan("") : std::max(a, b);
  }
  return base::Internal("promql plan: unknown operator of durations");
}

}  // namespace

base::Result<int64_t> ResolveDuration(const DurationExpr& expr, const QueryTimes& times,
                                      Sign sign) {
  ASSIGN_OR_RETURN(double seconds, Seconds(expr, times));
  const auto fail = [&](std::string_view what) {
    return base::InvalidArgument(fmt::format("{}:{}: {}", expr.pos.start, expr.pos.end, what));
  };
  if (std::isnan(seconds) || std::isinf(seconds)) return fail("duration is NaN or infinite");
  if (seconds <= 0 && sign == Sign::kPositive) return fail("duration must be greater than 0");
  constexpr double kMaxSeconds = 9223372036854775808.0 / 1e9;  // nanoseconds in 64 bits
  if (seconds > kMaxSeconds || seconds < -kMaxSeconds) return fail("duration is out of range");
  return static_cast<int64_t>(seconds * 1000);
}

}  // namespace tocsin::promql::plan
