// The part of the lexer for the values of a series line: numbers, repetitions, histograms.

#include <fmt/core.h>

#include <algorithm>

#include "base/number.h"
#include "promql/parse/lexer.h"
#include "promql/parse/lexer_words.h"

namespace tocsin::promql {
namespace {

constexpr Word kHistogramKeys[] = {
    {"buckets", TokenType::kBucketsDesc},
    {"count", TokenType::kCountDesc},
    {"counter_reset_hint", TokenType::kCounterResetHintDesc},
    {"custom_values", TokenType::kCustomValuesDesc},
    {"n_buckets", TokenType::kNegativeBucketsDesc},
    {"n_offset", TokenType::kNegativeOffsetDesc},
    {"offset", TokenType::kOffsetDesc},
    {"schema", TokenType::kSchemaDesc},
    {"sum", TokenType::kSumDesc},
    {"z_bucket", TokenType::kZeroBucketDesc},
    {"z_bucket_w", TokenType::kZeroBucketWidthDesc},
};
static_assert(std::ranges::is_sorted(kHistogramKeys, {}, &Word::text));

constexpr Word kCounterResetHints[] = {
    {"gauge", TokenType::kGaugeType},
    {"not_reset", TokenType::kNotCounterReset},
    {"reset", TokenType::kCounterReset},
    {"unknown", TokenType::kUnknownCounterReset},
};

}  // namespace

Lexer::State Lexer::Values() {
  if (histogram_ != HistogramState::kNone) return State::kHistogram;
  constexpr State kSame = State::kValues;
  char32_t r = Take();
  switch (r) {
    case kEofRune: return State::kStatements;
    case '+': return EmitThen(TokenType::kAdd, kSame);
    case '-': return EmitThen(TokenType::kSub, kSame);
    case 'x': return EmitThen(TokenType::kTimes, kSame);
    case '_': return EmitThen(TokenType::kBlank, kSame);
    case '{':
      if (Peek() != '{') break;
      Take();
      histogram_ = HistogramState::kOpen;
      return EmitThen(TokenType::kOpenHist, State::kHistogram);
    default: break;
  }
  if (IsSpaceRune(r)) {
    // The token is the first blank; the others of the run are dropped.
    Emit(TokenType::kSpace);
    SkipSpaces();
    return kSame;
  }
  if (IsDigitRune(r) || (r == '.' && IsDigitRune(Peek()))) {
    pos_ = start_;
    return Number() == State::kEnd ? State::kEnd : kSame;
  }
  // May be no word of the notation: the parser says so.
  if (IsAlphaRune(r)) return State::kKeyword;
  return Fail("unexpected character in series sequence: " + QuoteRune(r));
}

Lexer::State Lexer::Histogram() {
  switch (histogram_) {
    case HistogramState::kMul:
    case HistogramState::kAdd:
    case HistogramState::kSub: {
      TokenType type = histogram_ == HistogramState::kMul   ? TokenType::kTimes
                       : histogram_ == HistogramState::kAdd ? TokenType::kAdd
                                                            : TokenType::kSub;
      histogram_ = HistogramState::kNone;
      Take();
      return EmitThen(type, State::kValues);
    }
    case HistogramState::kNone:
    case HistogramState::kOpen: break;
  }
  if (bracket_open_) return State::kBuckets;
  char32_t r = Take();
  switch (r) {
    case ':': return EmitThen(TokenType::kColon, State::kHistogram);
    case '-': return EmitThen(TokenType::kSub, State::kHistogram);
    case '[':
      bracket_open_ = true;
      got_colon_ = false;
      got_duration_ = false;
      return EmitThen(TokenType::kLeftBracket, State::kBuckets);
    case '}':
      if (Peek() != '}') break;
      Take();
      switch (Peek()) {
        case 'x': histogram_ = HistogramState::kMul; break;
        case '+': histogram_ = HistogramState::kAdd; break;
        case '-': histogram_ = HistogramState::kSub; break;
        default:
          histogram_ = HistogramState::kNone;
          return EmitThen(TokenType::kCloseHist, State::kValues);
      }
      return EmitThen(TokenType::kCloseHist, State::kHistogram);
    default: break;
  }
  if (IsSpaceRune(r)) return EmitThen(TokenType::kSpace, State::kSpace);
  if (IsAlphaRune(r)) return State::kHistogramDesc;
  if (IsDigitRune(r)) {
    pos_ = start_;
    return State::kNumber;
  }
  return Fail("histogram description incomplete unexpected: " + QuoteRune(r));
}

Lexer::State Lexer::HistogramDesc() {
  while (IsAlphaRune(Peek())) Take();
  if (TokenType key = FindWord(kHistogramKeys, Word()); key != TokenType::kError) {
    if (Peek() != ':') return Fail("missing `:` for histogram descriptor");
    return EmitThen(key, State::kHistogram);
  }
  if (KeywordType(Word()) == TokenType::kNumber) {  // Inf, NaN
    return EmitThen(TokenType::kNumber, State::kHistogram);
  }
  if (TokenType hint = FindWord(kCounterResetHints, Word()); hint != TokenType::kError) {
    return EmitThen(hint, State::kHistogram);
  }
  return Fail("bad histogram descriptor found: " + base::Quote(Word()));
}

Lexer::State Lexer::Buckets() {
  char32_t r = Take();
  if (IsSpaceRune(r)) return EmitThen(TokenType::kSpace, State::kSpace);
  if (r == '-') return EmitThen(TokenType::kSub, State::kNumber);
  if (r == ']') {
    bracket_open_ = false;
    return EmitThen(TokenType::kRightBracket, State::kHistogram);
  }
  if (IsDigitRune(r)) {
    pos_ = start_;
    return State::kNumber;
  }
  if (IsAlphaRune(r)) {
    if (KeywordType(Word()) == TokenType::kNumber) {  // Inf, NaN
      return EmitThen(TokenType::kNumber, State::kStatements);
    }
    return State::kBuckets;
  }
  return Fail("invalid character in buckets description: " + QuoteRune(r));
}

}  // namespace tocsin::promql
