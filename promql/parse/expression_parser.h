#pragma once

// Recursive descent over the grammar of Prometheus 3.14 (promql/parser/generated_parser.y), binary
// operators by precedence climbing.  Internal to promql/parse: parser.h is the way in.
//
// A function that returns null, or false, is unwinding after a syntax error (token_stream.h).

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "promql/parse/token_stream.h"

namespace tocsin::promql {

class ExpressionParser : public TokenStream {
 public:
  ExpressionParser(std::string_view text, const ParseOptions& options)
      : TokenStream(text, LexMode::kExpression), options_(options) {}

  // The tree of the text; not null if ok().
  ExprPtr ParseExpression();
  // The matchers of one vector selector and nothing else.
  model::Matchers ParseSelector();
  // Adds the errors of types.  REQUIRES: no errors so far.
  void Check(Expr* e);
  // Adds an error if the tree is too deep to work with.
  void CheckHeight();

 private:
  // Syntax: how strongly things bind.
  static constexpr int kAnyPrecedence = 0;
  static constexpr int kPowPrecedence = 6;

  void DropRest();
  bool EnterLevel();

  ExprPtr ParseBinary(int min_precedence);
  ExprPtr ParseOperators(ExprPtr lhs, int min_precedence);
  ExprPtr ParseOperand();
  ExprPtr ParseUnary();
  ExprPtr ParsePostfix(ExprPtr e);
  bool ParseModifiers(Binary* binary);
  bool ParseFill(VectorMatching* matching);
  bool ParseFillValue(double* value);
  ExprPtr ParsePrimary();
  ExprPtr ParseParen();
  ExprPtr ParseWord();
  ExprPtr ParseCall(const Token& name);
  bool ParseArguments(std::vector<ExprPtr>* args);
  ExprPtr ParseAggregate(const Token& op);
  bool ParseAggregateBody(Aggregate* aggregate, std::vector<ExprPtr>* args);
  void FinishAggregate(const Token& op, Aggregate* aggregate, std::vector<ExprPtr> args);
  bool ParseGrouping(std::vector<std::string>* labels);
  bool ParseGroupingLabel(std::vector<std::string>* labels);

  // parse_selectors.cc
  ExprPtr ParseVectorSelector(const Token* name);
  bool ParseMatchers(model::Matchers* matchers, ByteRange* braces);
  bool ParseMatcher(model::Matchers* matchers);
  void AddMatcher(model::MatchOp op, std::string_view name, ByteRange pos, std::string_view value,
                  model::Matchers* matchers);
  bool ParseBrackets(ExprPtr* e);
  bool ParseSubqueryStep(Subquery* subquery, bool* recovered);
  bool ParseOffset(Expr* e);
  bool ParseAt(Expr* e);
  void SetRangeModifier(Expr* e, bool anchored);
  TimeShift* ShiftOf(Expr* e, std::string_view modifier);

  // parse_durations.cc
  ExprPtr ParseDuration(int min_precedence);
  ExprPtr ParseDurationOperators(ExprPtr lhs, int min_precedence);
  ExprPtr ParseDurationOperand();
  ExprPtr ParseOffsetDuration();
  ExprPtr ParseSignedOffsetDuration(const Token& sign);
  ExprPtr ParseDurationCall();
  ExprPtr ParseDurationParen();
  ExprPtr ParseDurationLiteral();
  ExprPtr JoinDurations(ExprPtr lhs, const Token& op, ExprPtr rhs);
  ExprPtr ApplySign(const Token& sign, ExprPtr e, bool wrap);
  ExprPtr Positive(ExprPtr e);
  void RequireDurationExpressions(const Expr& e);

  ParseOptions options_;
  int level_ = 0;   // of functions on the stack
  int height_ = 0;  // of the tree returned last
};

// The range of an expression a duration was written as: nanoseconds, or an expression.
base::Duration FixedDuration(const Expr& e);
std::unique_ptr<DurationExpr> TakeDurationExpr(ExprPtr e);

}  // namespace tocsin::promql
