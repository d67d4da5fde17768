#pragma once

// Text to tokens with byte positions, in two modes: expressions, and the series notation of test
// scripts ("up{job="a"} 1 2+3x4 _ {{schema:1}}").  Prometheus's rules to the letter, since which
// token an error names, and where, is part of its interface (promql/parser/lex.go of 3.14).
//
// Internal to promql/parse.  Errors: a token of type kError whose text is the message; after it the
// lexer must not be asked again.

#include <cstdint>
#include <string>
#include <string_view>

namespace tocsin::promql {

// In the order of Prometheus's grammar: messages name the unnamed ones by number.
enum class TokenType {
  kEql, kBlank, kColon, kComma, kComment, kDuration, kEof, kError, kIdentifier, kLeftBrace,
  kLeftBracket, kLeftParen, kOpenHist, kCloseHist, kMetricIdentifier, kNumber, kRightBrace,
  kRightBracket, kRightParen, kSemicolon, kSpace, kString, kTimes,

  kHistogramDescStart, kSumDesc, kCountDesc, kSchemaDesc, kOffsetDesc, kNegativeOffsetDesc,
  kBucketsDesc, kNegativeBucketsDesc, kZeroBucketDesc, kZeroBucketWidthDesc, kCustomValuesDesc,
  kCounterResetHintDesc, kHistogramDescEnd,

  kOperatorsStart, kAdd, kDiv, kEqlc, kEqlRegex, kGte, kGtr, kTrimUpper, kTrimLower, kLand, kLor,
  kLss, kLte, kLunless, kMod, kMul, kNeq, kNeqRegex, kPow, kSub, kAt, kAtan2, kOperatorsEnd,

  kAggregatorsStart, kAvg, kBottomk, kCount, kCountValues, kGroup, kMax, kMin, kQuantile, kStddev,
  kStdvar, kSum, kTopk, kLimitk, kLimitRatio, kAggregatorsEnd,

  kKeywordsStart, kBool, kBy, kGroupLeft, kGroupRight, kFill, kFillLeft, kFillRight, kIgnoring,
  kOffset, kSmoothed, kAnchored, kOn, kWithout, kKeywordsEnd,

  kPreprocessorStart, kStart, kEnd, kStep, kRange, kMaxOf, kMinOf, kPreprocessorEnd,

  kCounterResetHintsStart, kUnknownCounterReset, kCounterReset, kNotCounterReset, kGaugeType,
  kCounterResetHintsEnd,
};

struct Token {
  TokenType type = TokenType::kEof;
  int32_t pos = 0;
  std::string_view text;  // borrows the input, except of kError
  std::string error;      // of kError

  int32_t end() const { return pos + static_cast<int32_t>(text.size()); }
};

bool IsOperatorToken(TokenType t);
bool IsAggregatorToken(TokenType t);
bool IsKeywordToken(TokenType t);

// The token as messages describe it: identifier "foo", <op:+>, "}", end of input.
std::string DescribeToken(const Token& token);

enum class LexMode { kExpression, kSeries };

class Lexer {
 public:
  // `input` is borrowed for the life of the lexer and its tokens.
  explicit Lexer(std::string_view input, LexMode mode = LexMode::kExpression)
      : input_(input), series_(mode == LexMode::kSeries) {}

  Token Next();

  // Where the token in the making starts: an error is said to reach from here to the end.
  int32_t start() const { return start_; }

 private:
  enum class State {
    kStatements, kBraces, kHistogram, kHistogramDesc, kBuckets, kValues, kEscape, kString,
    kRawString, kSpace, kComment, kNumber, kNumberOrDuration, kIdentifier, kKeyword, kDurationExpr,
    kEnd,
  };
  enum class HistogramState { kNone, kOpen, kMul, kAdd, kSub };

  State Run(State state);
  State Statements();
  State Braces();
  State Histogram();
  State HistogramDesc();
  State Buckets();
  State Values();
  State Escape();
  State String();
  State RawString();
  State Space();
  State Comment();
  State Number();
  State NumberOrDuration();
  State Identifier();
  State Keyword();
  State DurationExpr();
  State Colon();

  char32_t Take();  // kEofRune at the end
  char32_t Peek();
  void Back() { pos_ -= width_; }
  bool PeekIn(std::string_view set);
  bool Accept(std::string_view set);
  void Emit(TokenType type);
  State EmitThen(TokenType type, State next) {
    Emit(type);
    return next;
  }
  State Fail(std::string message);
  void SkipSpaces();
  std::string_view Word() const { return input_.substr(start_, pos_ - start_); }
  bool ScanNumber();
  bool ScanDurationTail();
  bool ScanDurationKeyword();
  bool ParenFollows() const;

  std::string_view input_;
  bool series_;
  State state_ = State::kStatements;
  int32_t pos_ = 0;
  int32_t start_ = 0;
  int32_t width_ = 0;  // of the rune taken last
  Token token_;
  bool scanned_ = false;

  int paren_depth_ = 0;
  bool brace_open_ = false;
  bool bracket_open_ = false;
  bool got_colon_ = false;     // in the open bracket
  bool got_duration_ = false;  // in a bracket
  char32_t quote_ = 0;         // of the string being read
  HistogramState histogram_ = HistogramState::kNone;
};

}  // namespace tocsin::promql
