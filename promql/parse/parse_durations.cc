// Duration expressions: what stands in [...] and after offset.

#include <algorithm>
#include <cmath>

#include "promql/parse/expression_parser.h"

namespace tocsin::promql {
namespace {

bool IsSign(TokenType t) { return t == TokenType::kAdd || t == TokenType::kSub; }
bool IsLiteral(TokenType t) { return t == TokenType::kNumber || t == TokenType::kDuration; }

// Whether so many seconds do not fit 63 bits of nanoseconds.
bool OutOfRange(double seconds) {
  constexpr double kBound = 9223372036854775808.0 / 1e9;
  return seconds > kBound || seconds < -kBound;
}

// What stands for a duration that is wrong, so that the parsing can go on.
ExprPtr Zero() { return std::make_unique<NumberLiteral>(); }

struct Operator {
  DurationOp op;
  int precedence;
};

std::optional<Operator> OperatorOf(TokenType t) {
  switch (t) {
    case TokenType::kAdd: return Operator{DurationOp::kAdd, 4};
    case TokenType::kSub: return Operator{DurationOp::kSub, 4};
    case TokenType::kMul: return Operator{DurationOp::kMul, 5};
    case TokenType::kDiv: return Operator{DurationOp::kDiv, 5};
    case TokenType::kMod: return Operator{DurationOp::kMod, 5};
    case TokenType::kPow: return Operator{DurationOp::kPow, 6};
    default: return std::nullopt;
  }
}

ExprPtr WrapInParens(ExprPtr e, ByteRange pos) {
  if (e->kind == ExprKind::kDuration) {
    As<DurationExpr>(*e).wrapped = true;
    return e;
  }
  auto plus = std::make_unique<DurationExpr>();
  plus->op = DurationOp::kAdd;
  plus->rhs = std::move(e);
  plus->wrapped = true;
  plus->pos = pos;
  return plus;
}

}  // namespace

base::Duration FixedDuration(const Expr& e) {
  if (e.kind != ExprKind::kNumber) return base::Duration::zero();
  double ns = std::round(As<NumberLiteral>(e).value * 1e9);
  constexpr double kBound = 9223372036854775808.0;
  if (ns >= kBound) return base::Duration::max();
  if (!(ns >= -kBound)) return base::Duration::min();
  return base::Duration(static_cast<int64_t>(ns));
}

std::unique_ptr<DurationExpr> TakeDurationExpr(ExprPtr e) {
  if (e->kind != ExprKind::kDuration) return nullptr;
  return std::unique_ptr<DurationExpr>(static_cast<DurationExpr*>(e.release()));
}

void ExpressionParser::RequireDurationExpressions(const Expr& e) {
  if (!options_.duration_expressions) {
    AddError(e.pos, "experimental duration expression is not enabled");
  }
}

// A range or a step must be more than nothing, as far as this can be seen here.
ExprPtr ExpressionParser::Positive(ExprPtr e) {
  if (e->kind != ExprKind::kNumber || As<NumberLiteral>(*e).value > 0) return e;
  AddError(e->pos, "duration must be greater than 0");
  return Zero();
}

ExprPtr ExpressionParser::ParseDuration(int min_precedence) {
  if (!EnterLevel()) return nullptr;
  ++level_;
  ExprPtr e = ParseDurationOperand();
  if (e != nullptr) e = ParseDurationOperators(std::move(e), min_precedence);
  --level_;
  return e;
}

ExprPtr ExpressionParser::ParseDurationOperators(ExprPtr lhs, int min_precedence) {
  // A chain of them is a tree as deep as it is long; whoever needs this many is a machine gone wrong.
  constexpr int kMaxOperators = 1000;
  for (int count = 0;; ++count) {
    std::optional<Operator> op = OperatorOf(PeekType());
    if (!op || op->precedence < min_precedence) return lhs;
    if (count == kMaxOperators) {
      AddError(RangeOf(Peek()), "duration expression has more than 1000 operators");
      GiveUp();
      return nullptr;
    }
    Token token = Consume();
    bool from_the_right = op->op == DurationOp::kPow;
    ExprPtr rhs = ParseDuration(from_the_right ? op->precedence : op->precedence + 1);
    if (rhs == nullptr) return nullptr;
    lhs = JoinDurations(std::move(lhs), token, std::move(rhs));
  }
}

ExprPtr ExpressionParser::JoinDurations(ExprPtr lhs, const Token& op, ExprPtr rhs) {
  RequireDurationExpressions(*lhs);
  bool by_zero = rhs->kind == ExprKind::kNumber && As<NumberLiteral>(*rhs).value == 0;
  if (by_zero && (op.type == TokenType::kDiv || op.type == TokenType::kMod)) {
    AddError(RangeOf(op), op.type == TokenType::kDiv ? "division by zero" : "modulo by zero");
    return Zero();
  }
  auto e = std::make_unique<DurationExpr>();
  e->op = OperatorOf(op.type)->op;
  e->pos = {lhs->pos.start, rhs->pos.end};
  e->lhs = std::move(lhs);
  e->rhs = std::move(rhs);
  return e;
}

ExprPtr ExpressionParser::ParseDurationOperand() {
  switch (TokenType t = PeekType(); t) {
    case TokenType::kNumber:
    case TokenType::kDuration: {
      ExprPtr literal = ParseDurationLiteral();
      if (!OutOfRange(As<NumberLiteral>(*literal).value)) return literal;
      AddError(literal->pos, "duration out of range");
      return Zero();
    }
    case TokenType::kAdd:
    case TokenType::kSub: {
      Token sign = Consume();
      ExprPtr e = ParseDuration(kPowPrecedence);
      return e == nullptr ? nullptr : ApplySign(sign, std::move(e), false);
    }
    case TokenType::kStep:
    case TokenType::kRange:
    case TokenType::kMaxOf:
    case TokenType::kMinOf: {
      ExprPtr e = ParseDurationCall();
      if (e != nullptr) RequireDurationExpressions(*e);
      return e;
    }
    case TokenType::kLeftParen: return ParseDurationParen();
    default: BeginUnwinding(); return nullptr;
  }
}

ExprPtr ExpressionParser::ParseDurationLiteral() {
  Token token = Consume();
  auto literal = std::make_unique<NumberLiteral>();
  literal->value = NumberOrDuration(token);
  literal->is_duration = token.type == TokenType::kDuration;
  literal->pos = RangeOf(token);
  return literal;
}

ExprPtr ExpressionParser::ParseDurationParen() {
  Token open = Consume();
  ExprPtr e = ParseDuration(kAnyPrecedence);
  Token close;
  if (e == nullptr || !Expect(TokenType::kRightParen, &close)) return nullptr;
  RequireDurationExpressions(*e);
  return WrapInParens(std::move(e), {open.pos, close.end()});
}

// step(), range(), max_of(a, b), min_of(a, b).
ExprPtr ExpressionParser::ParseDurationCall() {
  Token word = Consume();
  auto e = std::make_unique<DurationExpr>();
  if (!Expect(TokenType::kLeftParen)) return nullptr;
  Token close;
  if (word.type == TokenType::kMaxOf || word.type == TokenType::kMinOf) {
    e->op = word.type == TokenType::kMaxOf ? DurationOp::kMax : DurationOp::kMin;
    e->lhs = ParseDuration(kAnyPrecedence);
    if (e->lhs == nullptr || !Expect(TokenType::kComma)) return nullptr;
    e->rhs = ParseDuration(kAnyPrecedence);
    if (e->rhs == nullptr) return nullptr;
  } else {
    e->op = word.type == TokenType::kStep ? DurationOp::kStep : DurationOp::kRange;
  }
  if (!Expect(TokenType::kRightParen, &close)) return nullptr;
  e->pos = {word.pos, close.end()};
  return e;
}

ExprPtr ExpressionParser::ApplySign(const Token& sign, ExprPtr e, bool wrap) {
  if (wrap) {
    ByteRange pos = e->pos;
    e = WrapInParens(std::move(e), pos);
  }
  bool negate = sign.type == TokenType::kSub;
  if (e->kind == ExprKind::kNumber) {
    auto& literal = As<NumberLiteral>(*e);
    if (negate) literal.value *= -1;
    if (OutOfRange(literal.value)) {
      AddError(RangeOf(sign), "duration out of range");
      return Zero();
    }
    literal.pos.start = sign.pos;
    return e;
  }
  if (!negate) return e;
  auto negated = std::make_unique<DurationExpr>();
  negated->op = DurationOp::kNegate;
  negated->pos = {sign.pos, e->pos.end};
  negated->rhs = std::move(e);
  return negated;
}

// After offset a duration ends with its first operand, so that "x offset 5m - 2" subtracts 2 from
// what the selector gives; only an operand in parentheses goes on: "offset (5m) + step()".
ExprPtr ExpressionParser::ParseOffsetDuration() {
  TokenType t = PeekType();
  if (IsSign(t)) {
    Token sign = Consume();
    return ParseSignedOffsetDuration(sign);
  }
  ExprPtr e = ParseDurationOperand();
  if (e == nullptr || t != TokenType::kLeftParen) return e;
  return ParseDurationOperators(std::move(e), kAnyPrecedence);
}

ExprPtr ExpressionParser::ParseSignedOffsetDuration(const Token& sign) {
  TokenType t = PeekType();
  if (IsLiteral(t)) return ApplySign(sign, ParseDurationLiteral(), false);
  if (t == TokenType::kLeftParen) {
    Consume();
    ExprPtr e = ParseDuration(kAnyPrecedence);
    if (e == nullptr || !Expect(TokenType::kRightParen)) return nullptr;
    return ApplySign(sign, std::move(e), true);
  }
  if (IsSign(t)) {
    ExprPtr e = ParseDuration(kPowPrecedence);
    if (e == nullptr) return nullptr;
    return ParseDurationOperators(ApplySign(sign, std::move(e), false), kAnyPrecedence);
  }
  ExprPtr e = ParseDurationOperand();
  if (e == nullptr) return nullptr;
  if (t == TokenType::kMaxOf || t == TokenType::kMinOf) {
    // Prometheus's position of a call after a sign ends before its closing parenthesis.
    e->pos.end = As<DurationExpr>(*e).rhs->pos.end;
  }
  if (sign.type == TokenType::kSub) return ApplySign(sign, std::move(e), false);
  auto plus = std::make_unique<DurationExpr>();
  plus->op = DurationOp::kAdd;
  plus->pos = {sign.pos, e->pos.end};
  plus->rhs = std::move(e);
  return plus;
}

}  // namespace tocsin::promql
