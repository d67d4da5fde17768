// Operators, calls, aggregations and literals.

#include <fmt/core.h>

#include <algorithm>

#include "base/number.h"
#include "model/labels.h"
#include "promql/parse/expression_parser.h"
#include "promql/parse/functions.h"

namespace tocsin::promql {
namespace {

// Parentheses and other things in each other; each takes some frames of the stack.
constexpr int kMaxLevel = 1000;
// Of the tree: a + b + c + ... is a chain, and whoever walks the tree goes down it.
constexpr int kMaxHeight = 5000;

struct Operator {
  BinaryOp op;
  int precedence;
};

std::optional<Operator> OperatorOf(TokenType t) {
  switch (t) {
    case TokenType::kLor: return Operator{BinaryOp::kOr, 1};
    case TokenType::kLand: return Operator{BinaryOp::kAnd, 2};
    case TokenType::kLunless: return Operator{BinaryOp::kUnless, 2};
    case TokenType::kEqlc: return Operator{BinaryOp::kEq, 3};
    case TokenType::kNeq: return Operator{BinaryOp::kNe, 3};
    case TokenType::kLss: return Operator{BinaryOp::kLt, 3};
    case TokenType::kLte: return Operator{BinaryOp::kLe, 3};
    case TokenType::kGtr: return Operator{BinaryOp::kGt, 3};
    case TokenType::kGte: return Operator{BinaryOp::kGe, 3};
    case TokenType::kTrimUpper: return Operator{BinaryOp::kTrimUpper, 3};
    case TokenType::kTrimLower: return Operator{BinaryOp::kTrimLower, 3};
    case TokenType::kAdd: return Operator{BinaryOp::kAdd, 4};
    case TokenType::kSub: return Operator{BinaryOp::kSub, 4};
    case TokenType::kMul: return Operator{BinaryOp::kMul, 5};
    case TokenType::kDiv: return Operator{BinaryOp::kDiv, 5};
    case TokenType::kMod: return Operator{BinaryOp::kMod, 5};
    case TokenType::kAtan2: return Operator{BinaryOp::kAtan2, 5};
    case TokenType::kPow: return Operator{BinaryOp::kPow, 6};
    default: return std::nullopt;
  }
}

AggregateOp AggregateOpOf(TokenType t) {
  switch (t) {
    case TokenType::kAvg: return AggregateOp::kAvg;
    case TokenType::kBottomk: return AggregateOp::kBottomk;
    case TokenType::kCount: return AggregateOp::kCount;
    case TokenType::kCountValues: return AggregateOp::kCountValues;
    case TokenType::kGroup: return AggregateOp::kGroup;
    case TokenType::kMax: return AggregateOp::kMax;
    case TokenType::kMin: return AggregateOp::kMin;
    case TokenType::kQuantile: return AggregateOp::kQuantile;
    case TokenType::kStddev: return AggregateOp::kStddev;
    case TokenType::kStdvar: return AggregateOp::kStdvar;
    case TokenType::kTopk: return AggregateOp::kTopk;
    case TokenType::kLimitk: return AggregateOp::kLimitk;
    case TokenType::kLimitRatio: return AggregateOp::kLimitRatio;
    default: return AggregateOp::kSum;
  }
}

bool TakesParam(AggregateOp op) {
  switch (op) {
    case AggregateOp::kTopk:
    case AggregateOp::kBottomk:
    case AggregateOp::kCountValues:
    case AggregateOp::kQuantile:
    case AggregateOp::kLimitk:
    case AggregateOp::kLimitRatio: return true;
    default: return false;
  }
}

// Words that call a function when a parenthesis follows.
bool MayCall(TokenType t) {
  switch (t) {
    case TokenType::kIdentifier:
    case TokenType::kStart:
    case TokenType::kEnd:
    case TokenType::kStep:
    case TokenType::kRange:
    case TokenType::kMaxOf:
    case TokenType::kMinOf: return true;
    default: return false;
  }
}

// Words that may be the name of a metric.
bool IsMetricWord(TokenType t) {
  if (MayCall(t) || IsAggregatorToken(t)) return true;
  switch (t) {
    case TokenType::kMetricIdentifier:
    case TokenType::kBy:
    case TokenType::kFill:
    case TokenType::kFillLeft:
    case TokenType::kFillRight:
    case TokenType::kLand:
    case TokenType::kLor:
    case TokenType::kLunless:
    case TokenType::kOffset:
    case TokenType::kWithout:
    case TokenType::kAnchored:
    case TokenType::kSmoothed: return true;
    default: return false;
  }
}

bool IsLabelWord(TokenType t) {
  if (IsMetricWord(t)) return true;
  switch (t) {
    case TokenType::kBool:
    case TokenType::kGroupLeft:
    case TokenType::kGroupRight:
    case TokenType::kIgnoring:
    case TokenType::kOn:
    case TokenType::kAtan2: return true;
    default: return false;
  }
}

bool IsSign(TokenType t) { return t == TokenType::kAdd || t == TokenType::kSub; }

bool StartsExpression(TokenType t) {
  if (IsMetricWord(t) || IsSign(t)) return true;
  switch (t) {
    case TokenType::kNumber:
    case TokenType::kDuration:
    case TokenType::kString:
    case TokenType::kLeftParen:
    case TokenType::kLeftBrace: return true;
    default: return false;
  }
}

}  // namespace

ExprPtr ExpressionParser::ParseExpression() {
  if (PeekType() == TokenType::kEof) {
    AddError({}, "no expression found in input");
    return nullptr;
  }
  ExprPtr e = ParseBinary(kAnyPrecedence);
  // What is left over fits nowhere; if an error was just reported it is only dropped.
  if (e != nullptr && !AtEnd()) {
    while (!AtEnd() && DropToken()) {
    }
  }
  if (unwinding() && Recover("", "")) DropRest();
  return e;
}

model::Matchers ExpressionParser::ParseSelector() {
  model::Matchers matchers;
  TokenType t = PeekType();
  ExprPtr e;
  if (t == TokenType::kLeftBrace) {
    e = ParseVectorSelector(nullptr);
  } else if (IsMetricWord(t)) {
    Token name = Consume();
    e = ParseVectorSelector(&name);
  } else {
    BeginUnwinding();
  }
  if (e != nullptr) {
    while (!AtEnd() && DropToken()) {
    }
    matchers = std::move(As<VectorSelector>(*e).matchers);
  }
  if (unwinding() && Recover("", "")) DropRest();
  return matchers;
}

void ExpressionParser::CheckHeight() {
  if (height_ <= kMaxHeight) return;
  AddError({0, static_cast<int32_t>(text().size())},
           fmt::format("expression is {} operators deep, the limit is {}: split it into recording "
                       "rules, or match several series with one regular expression",
                       height_, kMaxHeight));
}

void ExpressionParser::DropRest() {
  while (!AtEnd()) Consume();
}

bool ExpressionParser::EnterLevel() {
  if (level_ < kMaxLevel) return true;
  AddError(RangeOf(Peek()),
           fmt::format("expression is nested more than {} levels deep; split it into recording rules",
                       kMaxLevel));
  GiveUp();
  return false;
}

ExprPtr ExpressionParser::ParseBinary(int min_precedence) {
  if (!EnterLevel()) return nullptr;
  ++level_;
  ExprPtr e = ParseOperand();
  if (e != nullptr) e = ParseOperators(std::move(e), min_precedence);
  --level_;
  return e;
}

// Operators that bind at least as strongly as `min_precedence`, and their right sides.
ExprPtr ExpressionParser::ParseOperators(ExprPtr lhs, int min_precedence) {
  for (;;) {
    std::optional<Operator> op = OperatorOf(PeekType());
    if (!op || op->precedence < min_precedence) return lhs;
    int height = height_;
    Consume();
    auto binary = std::make_unique<Binary>();
    binary->op = op->op;
    binary->matching.emplace();
    bool from_the_right = op->op == BinaryOp::kPow;
    if (ParseModifiers(binary.get())) {
      binary->rhs = ParseBinary(from_the_right ? op->precedence : op->precedence + 1);
    }
    if (binary->rhs == nullptr) return nullptr;
    binary->lhs = std::move(lhs);
    binary->pos = {binary->lhs->pos.start, binary->rhs->pos.end};
    const VectorMatching& matching = *binary->matching;
    if (!options_.binop_fill_modifiers && (matching.fill_left || matching.fill_right)) {
      AddError(binary->pos, "binop fill modifiers are experimental and not enabled");
    }
    height_ = std::max(height, height_) + 1;
    lhs = std::move(binary);
  }
}

// bool, on (...), ignoring (...), group_left (...), fill (...).
bool ExpressionParser::ParseModifiers(Binary* binary) {
  VectorMatching& matching = *binary->matching;
  if (ConsumeIf(TokenType::kBool)) binary->return_bool = true;
  TokenType t = PeekType();
  if (t == TokenType::kOn || t == TokenType::kIgnoring) {
    Consume();
    matching.on = t == TokenType::kOn;
    if (!ParseGrouping(&matching.labels)) return false;
    t = PeekType();
    if (t == TokenType::kGroupLeft || t == TokenType::kGroupRight) {
      Consume();
      matching.card = t == TokenType::kGroupLeft ? Cardinality::kManyToOne
                                                 : Cardinality::kOneToMany;
      if (PeekType() == TokenType::kLeftParen && !ParseGrouping(&matching.include)) return false;
    }
  }
  return ParseFill(&matching);
}

bool ExpressionParser::ParseFill(VectorMatching* matching) {
  double value = 0;
  TokenType t = PeekType();
  switch (t) {
    case TokenType::kFill:
      Consume();
      if (!ParseFillValue(&value)) return false;
      matching->fill_left = matching->fill_right = value;
      return true;
    case TokenType::kFillLeft:
    case TokenType::kFillRight: {
      bool left = t == TokenType::kFillLeft;
      Consume();
      if (!ParseFillValue(&value)) return false;
      (left ? matching->fill_left : matching->fill_right) = value;
      if (!ConsumeIf(left ? TokenType::kFillRight : TokenType::kFillLeft)) return true;
      if (!ParseFillValue(&value)) return false;
      (left ? matching->fill_right : matching->fill_left) = value;
      return true;
    }
    default: return true;
  }
}

bool ExpressionParser::ParseFillValue(double* value) {
  if (!Expect(TokenType::kLeftParen)) return false;
  bool negative = false;
  if (IsSign(PeekType())) negative = Consume().type == TokenType::kSub;
  TokenType t = PeekType();
  if (t != TokenType::kNumber && t != TokenType::kDuration) {
    BeginUnwinding();
    return false;
  }
  *value = NumberOrDuration(Consume());
  if (negative) *value = -*value;
  return Expect(TokenType::kRightParen);
}

ExprPtr ExpressionParser::ParseOperand() {
  while (!StartsExpression(PeekType())) {
    if (!DropToken()) return nullptr;
  }
  if (IsSign(PeekType())) return ParseUnary();
  ExprPtr e = ParsePrimary();
  return e == nullptr ? nullptr : ParsePostfix(std::move(e));
}

// A sign binds as * does: -1 ^ 2 is -(1 ^ 2).
ExprPtr ExpressionParser::ParseUnary() {
  Token sign = Consume();
  ExprPtr e = ParseBinary(kPowPrecedence);
  if (e == nullptr) return nullptr;
  bool negate = sign.type == TokenType::kSub;
  if (e->kind == ExprKind::kNumber) {
    if (negate) As<NumberLiteral>(*e).value *= -1;
    e->pos.start = sign.pos;
    return e;
  }
  auto unary = std::make_unique<Unary>();
  unary->negate = negate;
  unary->pos = {sign.pos, e->pos.end};
  unary->expr = std::move(e);
  ++height_;
  return unary;
}

// [...], offset, @, anchored, smoothed: they bind more strongly than all operators.
ExprPtr ExpressionParser::ParsePostfix(ExprPtr e) {
  for (;;) {
    bool ok = true;
    switch (PeekType()) {
      case TokenType::kLeftBracket: ok = ParseBrackets(&e); break;
      case TokenType::kOffset: ok = ParseOffset(e.get()); break;
      case TokenType::kAt: ok = ParseAt(e.get()); break;
      case TokenType::kAnchored:
      case TokenType::kSmoothed:
        SetRangeModifier(e.get(), Consume().type == TokenType::kAnchored);
        break;
      default: return e;
    }
    if (!ok) return nullptr;
  }
}

ExprPtr ExpressionParser::ParsePrimary() {
  height_ = 1;
  switch (PeekType()) {
    case TokenType::kNumber:
    case TokenType::kDuration: {
      Token token = Consume();
      auto literal = std::make_unique<NumberLiteral>();
      literal->value = NumberOrDuration(token);
      literal->is_duration = token.type == TokenType::kDuration;
      literal->pos = RangeOf(token);
      return literal;
    }
    case TokenType::kString: {
      Token token = Consume();
      auto literal = std::make_unique<StringLiteral>();
      literal->value = Unquote(token);
      literal->pos = RangeOf(token);
      return literal;
    }
    case TokenType::kLeftParen: return ParseParen();
    case TokenType::kLeftBrace: return ParseVectorSelector(nullptr);
    default: return ParseWord();
  }
}

ExprPtr ExpressionParser::ParseParen() {
  Token open = Consume();
  ExprPtr e = ParseBinary(kAnyPrecedence);
  Token close;
  while (e != nullptr && !ConsumeIf(TokenType::kRightParen, &close)) {
    if (!DropToken()) return nullptr;
    // What comes after the dropped token may go on with the expression.
    e = ParsePostfix(std::move(e));
    if (e != nullptr) e = ParseOperators(std::move(e), kAnyPrecedence);
  }
  if (e == nullptr) return nullptr;
  auto paren = std::make_unique<Paren>();
  paren->expr = std::move(e);
  paren->pos = {open.pos, close.end()};
  ++height_;
  return paren;
}

// An aggregation, a call or a metric.
ExprPtr ExpressionParser::ParseWord() {
  Token word = Consume();
  TokenType next = PeekType();
  if (IsAggregatorToken(word.type) &&
      (next == TokenType::kLeftParen || next == TokenType::kBy || next == TokenType::kWithout)) {
    return ParseAggregate(word);
  }
  if (MayCall(word.type) && next == TokenType::kLeftParen) return ParseCall(word);
  return ParseVectorSelector(&word);
}

ExprPtr ExpressionParser::ParseCall(const Token& name) {
  auto call = std::make_unique<Call>();
  if (!ParseArguments(&call->args)) return nullptr;
  call->function = FindFunction(name.text);
  if (call->function == nullptr) {
    AddError(RangeOf(name),
             fmt::format("unknown function with name {}", base::Quote(name.text)));
  } else if (call->function->experimental && !options_.experimental_functions) {
    AddError(RangeOf(name), fmt::format("function {} is not enabled", base::Quote(name.text)));
  }
  call->pos = {name.pos, last_closing()};
  return call;
}

// REQUIRES: a parenthesis is ahead.  Sets height_ to one more than that of the highest.
bool ExpressionParser::ParseArguments(std::vector<ExprPtr>* args) {
  int height = 0;
  Consume();
  if (!ConsumeIf(TokenType::kRightParen)) {
    bool more = true;
    while (more) {
      ExprPtr e = ParseBinary(kAnyPrecedence);
      if (e == nullptr) return false;
      height = std::max(height, height_);
      args->push_back(std::move(e));
      more = false;
      while (!more && !ConsumeIf(TokenType::kRightParen)) {
        Token comma;
        if (!ConsumeIf(TokenType::kComma, &comma)) {
          if (!DropToken()) return false;
        } else if (StartsExpression(PeekType())) {
          more = true;
        } else {
          AddError(RangeOf(comma), "trailing commas not allowed in function call args");
        }
      }
    }
  }
  height_ = height + 1;
  return true;
}

ExprPtr ExpressionParser::ParseAggregate(const Token& op) {
  auto aggregate = std::make_unique<Aggregate>();
  aggregate->op = AggregateOpOf(op.type);
  std::vector<ExprPtr> args;
  if (!ParseAggregateBody(aggregate.get(), &args)) {
    if (!Recover("aggregation", "")) return nullptr;
    args.clear();
    aggregate->pos.end = last_closing();
    height_ = 1;
  }
  FinishAggregate(op, aggregate.get(), std::move(args));
  return aggregate;
}

// by (x) (args), (args) by (x) or (args).  Sets where the aggregation ends.
bool ExpressionParser::ParseAggregateBody(Aggregate* aggregate, std::vector<ExprPtr>* args) {
  auto by_is_ahead = [&] {
    return PeekType() == TokenType::kBy || PeekType() == TokenType::kWithout;
  };
  auto parse_by = [&] {
    aggregate->without = Consume().type == TokenType::kWithout;
    return ParseGrouping(&aggregate->grouping);
  };
  bool by_first = by_is_ahead();
  if (by_first && !parse_by()) return false;
  while (PeekType() != TokenType::kLeftParen) {
    if (!DropToken()) return false;
  }
  if (!ParseArguments(args)) return false;
  // Taken here, before a look at what follows moves it on.
  aggregate->pos.end = last_closing();
  if (by_first || !by_is_ahead()) return true;
  if (!parse_by()) return false;
  aggregate->pos.end = last_closing();
  return true;
}

void ExpressionParser::FinishAggregate(const Token& op, Aggregate* aggregate,
                                       std::vector<ExprPtr> args) {
  aggregate->pos.start = op.pos;
  aggregate->pos.end = std::max(aggregate->pos.end, op.pos);  // it may have broken off before any parenthesis
  if (args.empty()) {
    AddError(aggregate->pos, "no arguments for aggregate expression provided");
    return;
  }
  size_t wanted = TakesParam(aggregate->op) ? 2 : 1;
  bool experimental =
      aggregate->op == AggregateOp::kLimitk || aggregate->op == AggregateOp::kLimitRatio;
  if (experimental && !options_.experimental_functions) {
    AddError(aggregate->pos,
             fmt::format("{}() is experimental and must be enabled with "
                         "--enable-feature=promql-experimental-functions",
                         AggregateOpName(aggregate->op)));
    return;
  }
  if (args.size() != wanted) {
    AddError(aggregate->pos,
             fmt::format("wrong number of arguments for aggregate expression provided, expected {}, "
                         "got {}",
                         wanted, args.size()));
    return;
  }
  aggregate->expr = std::move(args.back());
  if (wanted == 2) aggregate->param = std::move(args.front());
}

// (a, b, "c") of by, on, group_left and the like.  False: the input ended.
bool ExpressionParser::ParseGrouping(std::vector<std::string>* labels) {
  if (!ConsumeIf(TokenType::kLeftParen)) return Recover("grouping opts", "\"(\"");
  if (ConsumeIf(TokenType::kRightParen)) return true;
  if (!ParseGroupingLabel(labels)) return false;
  while (!ConsumeIf(TokenType::kRightParen)) {
    if (ConsumeIf(TokenType::kComma)) {
      if (ConsumeIf(TokenType::kRightParen)) return true;
      if (!ParseGroupingLabel(labels)) return false;
    } else if (!DropToken() && !Recover("grouping opts", "\",\" or \")\"")) {
      return false;
    }
  }
  return true;
}

bool ExpressionParser::ParseGroupingLabel(std::vector<std::string>* labels) {
  TokenType t = PeekType();
  if (t != TokenType::kString && !IsLabelWord(t)) return Recover("grouping opts", "label");
  Token token = Consume();
  std::string name = t == TokenType::kString ? Unquote(token) : std::string(token.text);
  if (!model::IsValidLabelName(name)) {
    AddError(RangeOf(token),
             fmt::format("invalid label name for grouping: {}", base::Quote(name)));
  }
  labels->push_back(std::move(name));
  return true;
}

}  // namespace tocsin::promql
