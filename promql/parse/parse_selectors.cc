// Vector selectors, and what may follow an expression: [range], [range:step], offset, @.

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "base/number.h"
#include "promql/parse/expression_parser.h"

namespace tocsin::promql {
namespace {

std::optional<model::MatchOp> MatchOpOf(TokenType t) {
  switch (t) {
    case TokenType::kEql: return model::MatchOp::kEqual;
    case TokenType::kNeq: return model::MatchOp::kNotEqual;
    case TokenType::kEqlRegex: return model::MatchOp::kRegex;
    case TokenType::kNeqRegex: return model::MatchOp::kNotRegex;
    default: return std::nullopt;
  }
}

bool HasOffset(const TimeShift& shift) {
  return shift.offset != base::Duration::zero() || shift.offset_expr != nullptr;
}

// strconv's %f of an infinity has a sign.
std::string FixedText(double v) {
  return std::isinf(v) && v > 0 ? "+Inf" : base::FormatPrecision(v, 'f', 6);
}

}  // namespace

// `name`: the word before the braces, already consumed; null if there is none.
ExprPtr ExpressionParser::ParseVectorSelector(const Token* name) {
  auto selector = std::make_unique<VectorSelector>();
  if (name != nullptr) {
    selector->name = name->text;
    selector->pos = RangeOf(*name);
  }
  if (name == nullptr || PeekType() == TokenType::kLeftBrace) {
    ByteRange braces;
    if (!ParseMatchers(&selector->matchers, &braces)) return nullptr;
    selector->pos = {name == nullptr ? braces.start : name->pos, braces.end};
  }
  if (name != nullptr) {
    selector->matchers.push_back(model::Matcher::Equal(model::kMetricName, name->text));
  }
  height_ = 1;
  return selector;
}

// REQUIRES: a left brace is ahead.
bool ExpressionParser::ParseMatchers(model::Matchers* matchers, ByteRange* braces) {
  braces->start = Consume().pos;
  Token close;
  if (!ConsumeIf(TokenType::kRightBrace, &close)) {
    if (!ParseMatcher(matchers)) return false;
    while (!ConsumeIf(TokenType::kRightBrace, &close)) {
      if (ConsumeIf(TokenType::kComma)) {
        if (ConsumeIf(TokenType::kRightBrace, &close)) break;
        if (!ParseMatcher(matchers)) return false;
      } else if (!DropToken() && !Recover("label matching", "\",\" or \"}\"")) {
        return false;
      }
    }
  }
  braces->end = close.end();
  return true;
}

// name="value", "quoted name"="value" or "metric name".
bool ExpressionParser::ParseMatcher(model::Matchers* matchers) {
  TokenType t = PeekType();
  if (t != TokenType::kIdentifier && t != TokenType::kString) {
    return Recover("label matching", "identifier or \"}\"");
  }
  Token label = Consume();
  std::string name(label.text);
  if (t == TokenType::kString) name = Unquote(label);
  int32_t name_end = label.pos + static_cast<int32_t>(name.size());
  std::optional<model::MatchOp> op = MatchOpOf(PeekType());
  if (!op) {
    if (t == TokenType::kIdentifier) return Recover("label matching", "label matching operator");
    AddMatcher(model::MatchOp::kEqual, model::kMetricName, {label.pos, name_end}, name, matchers);
    return true;
  }
  Consume();
  Token value;
  if (!ConsumeIf(TokenType::kString, &value)) return Recover("label matching", "string");
  AddMatcher(*op, name, {label.pos, value.end()}, Unquote(value), matchers);
  return true;
}

void ExpressionParser::AddMatcher(model::MatchOp op, std::string_view name, ByteRange pos,
                                  std::string_view value, model::Matchers* matchers) {
  auto matcher = model::Matcher::Make(op, name, value);
  if (matcher) {
    matchers->push_back(*std::move(matcher));
  } else {
    AddError(pos, matcher.error().message());
  }
}

// [5m] makes *e a range vector, [5m:1m] a subquery.  After an error in the brackets *e stays.
bool ExpressionParser::ParseBrackets(ExprPtr* e) {
  Token open = Consume();
  int height = height_;
  ExprPtr range = ParseDuration(kAnyPrecedence);
  height_ = height;
  if (range == nullptr) {
    return Recover("subquery or range selector", "number, duration, step(), or range()");
  }
  PeekType();
  range = Positive(std::move(range));
  Token close;
  if (ConsumeIf(TokenType::kRightBracket, &close)) {
    auto matrix = std::make_unique<MatrixSelector>();
    const char* problem = nullptr;
    if ((*e)->kind != ExprKind::kVectorSelector) {
      problem = "ranges only allowed for vector selectors";
    } else if (const TimeShift& shift = As<VectorSelector>(**e).shift; HasOffset(shift)) {
      problem = "no offset modifiers allowed before range";
    } else if (shift.at != AtKind::kNone) {
      problem = "no @ modifiers allowed before range";
    }
    if (problem != nullptr) AddError({open.pos, close.end()}, problem);
    matrix->pos = {(*e)->pos.start, last_closing()};
    matrix->range = FixedDuration(*range);
    matrix->range_expr = TakeDurationExpr(std::move(range));
    // With another expression the vector stays null, and the error is already there.
    if ((*e)->kind == ExprKind::kVectorSelector) {
      matrix->vector.reset(static_cast<VectorSelector*>(e->release()));
    }
    *e = std::move(matrix);
    ++height_;
    return true;
  }
  if (!ConsumeIf(TokenType::kColon)) return Recover("subquery or range", "\":\" or \"]\"");
  auto subquery = std::make_unique<Subquery>();
  bool recovered = false;
  if (!ParseSubqueryStep(subquery.get(), &recovered)) return false;
  if (recovered) return true;
  height_ = height + 1;
  subquery->range = FixedDuration(*range);
  subquery->range_expr = TakeDurationExpr(std::move(range));
  subquery->pos = {(*e)->pos.start, last_closing()};
  subquery->expr = std::move(*e);
  *e = std::move(subquery);
  return true;
}

// What stands between the colon and the closing bracket, and that bracket.
bool ExpressionParser::ParseSubqueryStep(Subquery* subquery, bool* recovered) {
  if (ConsumeIf(TokenType::kRightBracket)) return true;
  int height = height_;
  ExprPtr step = ParseDuration(kAnyPrecedence);
  height_ = height;
  *recovered = true;
  if (step == nullptr) {
    return Recover("subquery selector", "number, duration, step(), range(), or \"]\"");
  }
  PeekType();
  step = Positive(std::move(step));
  if (!ConsumeIf(TokenType::kRightBracket)) return Recover("subquery selector", "\"]\"");
  *recovered = false;
  subquery->step = FixedDuration(*step);
  subquery->step_expr = TakeDurationExpr(std::move(step));
  return true;
}

// Where offset and @ of an expression are kept; null (and an error) if it cannot have them.
TimeShift* ExpressionParser::ShiftOf(Expr* e, std::string_view modifier) {
  switch (e->kind) {
    case ExprKind::kVectorSelector: return &As<VectorSelector>(*e).shift;
    case ExprKind::kSubquery: return &As<Subquery>(*e).shift;
    case ExprKind::kMatrixSelector:
      if (As<MatrixSelector>(*e).vector != nullptr) return &As<MatrixSelector>(*e).vector->shift;
      AddError(e->pos, "ranges only allowed for vector selectors");
      return nullptr;
    default:
      AddError(e->pos, fmt::format("{} modifier must be preceded by an instant vector selector or "
                                   "range vector selector or a subquery",
                                   modifier));
      return nullptr;
  }
}

bool ExpressionParser::ParseOffset(Expr* e) {
  Consume();
  int height = height_;
  ExprPtr offset = ParseOffsetDuration();
  height_ = height;
  if (offset == nullptr) return Recover("offset", "number, duration, step(), or range()");
  TimeShift* shift = ShiftOf(e, "offset");
  if (shift == nullptr) return true;
  if (HasOffset(*shift)) {
    AddError(e->pos, "offset may not be set multiple times");
  } else {
    shift->offset = FixedDuration(*offset);
    shift->offset_expr = TakeDurationExpr(std::move(offset));
  }
  e->pos.end = last_closing();
  return true;
}

bool ExpressionParser::ParseAt(Expr* e) {
  constexpr std::string_view kExpected = "timestamp";
  Consume();
  AtKind kind = AtKind::kTimestamp;
  double seconds = 0;
  TokenType t = PeekType();
  if (t == TokenType::kStart || t == TokenType::kEnd) {
    kind = t == TokenType::kStart ? AtKind::kStart : AtKind::kEnd;
    Consume();
    if (!Expect(TokenType::kLeftParen) || !Expect(TokenType::kRightParen)) {
      return Recover("@", kExpected);
    }
  } else {
    bool negative = false;
    if (t == TokenType::kAdd || t == TokenType::kSub) {
      negative = Consume().type == TokenType::kSub;
      t = PeekType();
    }
    if (t != TokenType::kNumber && t != TokenType::kDuration) return Recover("@", kExpected);
    seconds = NumberOrDuration(Consume());
    if (negative) seconds = -seconds;
    // 2^63 as a double: the first beyond what fits.
    constexpr double kBound = 9223372036854775808.0;
    if (!(seconds < kBound && seconds > -kBound)) {
      AddError(e->pos, "timestamp out of bounds for @ modifier: " + FixedText(seconds));
      seconds = 0;
    }
  }
  TimeShift* shift = ShiftOf(e, "@");
  if (shift == nullptr) return true;
  if (shift->at != AtKind::kNone) {
    AddError(e->pos, "@ <timestamp> may not be set multiple times");
    return true;
  }
  shift->at = kind;
  if (kind == AtKind::kTimestamp) {
    double ms = std::round(seconds * 1000);
    constexpr double kBound = 9223372036854775808.0;
    // Beyond the range of milliseconds Go's conversion gives the lowest number.
    shift->at_ms = ms < kBound && ms >= -kBound ? static_cast<int64_t>(ms) : model::kMinTimestamp;
  }
  e->pos.end = last_closing();
  return true;
}

void ExpressionParser::SetRangeModifier(Expr* e, bool anchored) {
  const char* name = anchored ? "anchored" : "smoothed";
  if (!options_.extended_range_selectors) {
    AddError(e->pos, fmt::format("{} modifier is experimental and not enabled", name));
    return;
  }
  VectorSelector* selector = nullptr;
  switch (e->kind) {
    case ExprKind::kVectorSelector: selector = &As<VectorSelector>(*e); break;
    case ExprKind::kMatrixSelector: selector = As<MatrixSelector>(*e).vector.get(); break;
    case ExprKind::kSubquery:
      AddError(e->pos, fmt::format("{} modifier is not supported for subqueries", name));
      return;
    default: AddError(e->pos, fmt::format("{} modifier not implemented", name)); return;
  }
  if (selector == nullptr) return;  // a range of something else, which is an error already
  (anchored ? selector->anchored : selector->smoothed) = true;
  if (anchored ? selector->smoothed : selector->anchored) {
    AddError(e->pos, "anchored and smoothed modifiers cannot be used together");
  }
}

}  // namespace tocsin::promql
