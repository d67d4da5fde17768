#include "promql/parse/lexer.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/number.h"
#include "base/text.h"
#include "promql/parse/lexer_words.h"

namespace tocsin::promql {
namespace {

constexpr char32_t kRuneError = 0xFFFD;
constexpr char32_t kMaxRune = 0x10FFFF;

constexpr Word kKeys[] = {
    {"anchored", TokenType::kAnchored},
    {"and", TokenType::kLand},
    {"atan2", TokenType::kAtan2},
    {"avg", TokenType::kAvg},
    {"bool", TokenType::kBool},
    {"bottomk", TokenType::kBottomk},
    {"by", TokenType::kBy},
    {"count", TokenType::kCount},
    {"count_values", TokenType::kCountValues},
    {"end", TokenType::kEnd},
    {"fill", TokenType::kFill},
    {"fill_left", TokenType::kFillLeft},
    {"fill_right", TokenType::kFillRight},
    {"group", TokenType::kGroup},
    {"group_left", TokenType::kGroupLeft},
    {"group_right", TokenType::kGroupRight},
    {"ignoring", TokenType::kIgnoring},
    {"inf", TokenType::kNumber},
    {"limit_ratio", TokenType::kLimitRatio},
    {"limitk", TokenType::kLimitk},
    {"max", TokenType::kMax},
    {"max_of", TokenType::kMaxOf},
    {"min", TokenType::kMin},
    {"min_of", TokenType::kMinOf},
    {"nan", TokenType::kNumber},
    {"offset", TokenType::kOffset},
    {"on", TokenType::kOn},
    {"or", TokenType::kLor},
    {"quantile", TokenType::kQuantile},
    {"range", TokenType::kRange},
    {"smoothed", TokenType::kSmoothed},
    {"start", TokenType::kStart},
    {"stddev", TokenType::kStddev},
    {"stdvar", TokenType::kStdvar},
    {"step", TokenType::kStep},
    {"sum", TokenType::kSum},
    {"topk", TokenType::kTopk},
    {"unless", TokenType::kLunless},
    {"without", TokenType::kWithout},
};
static_assert(std::ranges::is_sorted(kKeys, {}, &Word::text));

bool IsAlphaNumericRune(char32_t r) { return IsAlphaRune(r) || IsDigitRune(r); }

int DigitValue(char32_t r) {
  if (r >= '0' && r <= '9') return static_cast<int>(r - '0');
  if (r >= 'a' && r <= 'f') return static_cast<int>(r - 'a' + 10);
  if (r >= 'A' && r <= 'F') return static_cast<int>(r - 'A' + 10);
  return 16;
}

// Go's %#U of a rune: U+0063 'c'.
std::string RuneWithNumber(char32_t r) {
  std::string text;
  base::AppendUtf8(r, &text);
  std::string number = fmt::format("U+{:04X}", static_cast<uint32_t>(r));
  // What strconv would escape has no form to show.
  bool printable = r == '"' || r == '\\' || base::Quote(text).size() == text.size() + 2;
  return printable ? number + " '" + text + "'" : number;
}

bool HasName(TokenType t) {
  switch (t) {
    case TokenType::kOpenHist:
    case TokenType::kCloseHist:
    case TokenType::kLeftParen:
    case TokenType::kRightParen:
    case TokenType::kLeftBrace:
    case TokenType::kRightBrace:
    case TokenType::kLeftBracket:
    case TokenType::kRightBracket:
    case TokenType::kComma:
    case TokenType::kEql:
    case TokenType::kColon:
    case TokenType::kSemicolon:
    case TokenType::kBlank:
    case TokenType::kTimes:
    case TokenType::kSpace: return true;
    default:
      return (t > TokenType::kOperatorsStart && t < TokenType::kOperatorsEnd) ||
             IsAggregatorToken(t) || IsKeywordToken(t) ||
             (t > TokenType::kPreprocessorStart && t < TokenType::kPreprocessorEnd);
  }
}

std::string TokenText(const Token& token) {
  TokenType t = token.type;
  if (t == TokenType::kIdentifier || t == TokenType::kMetricIdentifier) {
    return base::Quote(token.text);
  }
  if (IsKeywordToken(t)) return fmt::format("<{}>", token.text);
  if (IsOperatorToken(t)) return fmt::format("<op:{}>", token.text);
  if (IsAggregatorToken(t)) return fmt::format("<aggr:{}>", token.text);
  if (token.text.size() > 10) return base::Quote(base::TruncateRunes(token.text, 10)) + "...";
  return base::Quote(token.text);
}

std::string TypeText(TokenType t) {
  switch (t) {
    case TokenType::kIdentifier: return "identifier";
    case TokenType::kMetricIdentifier: return "metric identifier";
    case TokenType::kString: return "string";
    case TokenType::kNumber: return "number";
    case TokenType::kDuration: return "duration";
    // The number that Prometheus's parser generator gives the type.
    default: return fmt::format("\"<Item {}>\"", 57346 + static_cast<int>(t));
  }
}

}  // namespace

std::string QuoteRune(char32_t r) {
  if (r == '\'') return "'\\''";
  if (r == '"') return "'\"'";
  if (r > kMaxRune) r = kRuneError;
  std::string text;
  base::AppendUtf8(r, &text);
  std::string quoted = base::Quote(text);
  quoted.front() = quoted.back() = '\'';
  return quoted;
}

TokenType KeywordType(std::string_view word) { return FindWord(kKeys, word); }

bool IsOperatorToken(TokenType t) {
  return t > TokenType::kOperatorsStart && t < TokenType::kOperatorsEnd;
}
bool IsAggregatorToken(TokenType t) {
  return t > TokenType::kAggregatorsStart && t < TokenType::kAggregatorsEnd;
}
bool IsKeywordToken(TokenType t) {
  return t > TokenType::kKeywordsStart && t < TokenType::kKeywordsEnd;
}

std::string DescribeToken(const Token& token) {
  if (token.type == TokenType::kEof) return "end of input";
  if (HasName(token.type)) return TokenText(token);
  return TypeText(token.type) + " " + TokenText(token);
}

Token Lexer::Next() {
  scanned_ = false;
  if (state_ == State::kEnd) {
    Emit(TokenType::kEof);
    return token_;
  }
  while (!scanned_) state_ = Run(state_);
  return std::move(token_);
}

Lexer::State Lexer::Run(State state) {
  switch (state) {
    case State::kStatements: return Statements();
    case State::kBraces: return Braces();
    case State::kHistogram: return Histogram();
    case State::kHistogramDesc: return HistogramDesc();
    case State::kBuckets: return Buckets();
    case State::kValues: return Values();
    case State::kEscape: return Escape();
    case State::kString: return String();
    case State::kRawString: return RawString();
    case State::kSpace: return Space();
    case State::kComment: return Comment();
    case State::kNumber: return Number();
    case State::kNumberOrDuration: return NumberOrDuration();
    case State::kIdentifier: return Identifier();
    case State::kKeyword: return Keyword();
    case State::kDurationExpr: return DurationExpr();
    case State::kEnd: break;
  }
  Emit(TokenType::kEof);
  return State::kEnd;
}

char32_t Lexer::Take() {
  if (static_cast<size_t>(pos_) >= input_.size()) {
    width_ = 0;
    return kEofRune;
  }
  auto byte = static_cast<unsigned char>(input_[pos_]);
  if (byte < 0x80) {
    width_ = 1;
    ++pos_;
    return byte;
  }
  int size = 1;
  char32_t rune = base::DecodeRune(input_.substr(pos_), &size);
  width_ = size;
  pos_ += size;
  return rune;
}

char32_t Lexer::Peek() {
  char32_t r = Take();
  Back();
  return r;
}

bool Lexer::PeekIn(std::string_view set) {
  char32_t r = Peek();
  return r < 0x80 && set.find(static_cast<char>(r)) != std::string_view::npos;
}

bool Lexer::Accept(std::string_view set) {
  if (!PeekIn(set)) return false;
  Take();
  return true;
}

void Lexer::Emit(TokenType type) {
  token_ = Token{.type = type, .pos = start_, .text = Word(), .error = {}};
  start_ = pos_;
  scanned_ = true;
}

Lexer::State Lexer::Fail(std::string message) {
  token_ = Token{.type = TokenType::kError, .pos = start_, .text = {}, .error = std::move(message)};
  scanned_ = true;
  return State::kEnd;
}

void Lexer::SkipSpaces() {
  while (IsSpaceRune(Peek())) Take();
  start_ = pos_;
}

Lexer::State Lexer::Statements() {
  if (histogram_ != HistogramState::kNone) return State::kHistogram;
  if (brace_open_) return State::kBraces;
  constexpr State kSame = State::kStatements;
  char32_t r = Take();
  switch (r) {
    case kEofRune:
      if (paren_depth_ != 0) return Fail("unclosed left parenthesis");
      if (bracket_open_) return Fail("unclosed left bracket");
      return EmitThen(TokenType::kEof, State::kEnd);
    case '#': return State::kComment;
    case ',': return EmitThen(TokenType::kComma, kSame);
    case ' ':
    case '\t':
    case '\n':
    case '\r': return State::kSpace;
    case '*': return EmitThen(TokenType::kMul, kSame);
    case '/': return EmitThen(TokenType::kDiv, kSame);
    case '%': return EmitThen(TokenType::kMod, kSame);
    case '+': return EmitThen(TokenType::kAdd, kSame);
    case '-': return EmitThen(TokenType::kSub, kSame);
    case '^': return EmitThen(TokenType::kPow, kSame);
    case '@': return EmitThen(TokenType::kAt, kSame);
    case '=':
      if (Accept("=")) return EmitThen(TokenType::kEqlc, kSame);
      if (Peek() == '~') return Fail("unexpected character after '=': '~'");
      return EmitThen(TokenType::kEql, kSame);
    case '!': {
      char32_t next = Take();
      if (next != '=') return Fail("unexpected character after '!': " + QuoteRune(next));
      return EmitThen(TokenType::kNeq, kSame);
    }
    case '<':
      if (Accept("=")) return EmitThen(TokenType::kLte, kSame);
      return EmitThen(Accept("/") ? TokenType::kTrimUpper : TokenType::kLss, kSame);
    case '>':
      if (Accept("=")) return EmitThen(TokenType::kGte, kSame);
      return EmitThen(Accept("/") ? TokenType::kTrimLower : TokenType::kGtr, kSame);
    case '"':
    case '\'': quote_ = r; return State::kString;
    case '`': quote_ = r; return State::kRawString;
    case '(':
      ++paren_depth_;
      return EmitThen(TokenType::kLeftParen, kSame);
    case ')':
      Emit(TokenType::kRightParen);
      if (--paren_depth_ < 0) return Fail("unexpected right parenthesis ')'");
      return kSame;
    case '{':
      brace_open_ = true;
      return EmitThen(TokenType::kLeftBrace, State::kBraces);
    case '[':
      if (bracket_open_) return Fail("unexpected left bracket '['");
      got_colon_ = false;
      Emit(TokenType::kLeftBracket);
      SkipSpaces();
      bracket_open_ = true;
      return State::kDurationExpr;
    case ']':
      if (!bracket_open_) return Fail("unexpected right bracket ']'");
      bracket_open_ = false;
      return EmitThen(TokenType::kRightBracket, kSame);
    default: break;
  }
  if (IsDigitRune(r) || (r == '.' && IsDigitRune(Peek()))) {
    pos_ = start_;
    return State::kNumberOrDuration;
  }
  if (IsAlphaRune(r) || r == ':') {
    if (!bracket_open_) {
      Back();
      return State::kKeyword;
    }
    if (r == ':') return Colon();
    char32_t lower = r | 0x20;
    bool may_be_keyword = lower == 's' || lower == 'r' || lower == 'm';
    if (may_be_keyword && ScanDurationKeyword()) return kSame;
    return Fail(fmt::format("unexpected character: {}, expected ':'", QuoteRune(r)));
  }
  return Fail("unexpected character: " + QuoteRune(r));
}

Lexer::State Lexer::Colon() {
  if (got_colon_) return Fail("unexpected colon ':'");
  got_colon_ = true;
  return EmitThen(TokenType::kColon, State::kStatements);
}

// The inside of [...] up to its first number; after a number, Statements() goes on.
Lexer::State Lexer::DurationExpr() {
  constexpr State kSame = State::kDurationExpr;
  char32_t r = Take();
  switch (r) {
    case kEofRune: return Fail("unexpected end of input in duration expression");
    case ']':
      bracket_open_ = false;
      got_colon_ = false;
      return EmitThen(TokenType::kRightBracket, State::kStatements);
    case ':':
      Emit(TokenType::kColon);
      if (!got_duration_) {
        return Fail("unexpected colon before duration in duration expression");
      }
      if (got_colon_) return Fail("unexpected repeated colon in duration expression");
      got_colon_ = true;
      return kSame;
    case '(':
      ++paren_depth_;
      return EmitThen(TokenType::kLeftParen, kSame);
    case ')':
      Emit(TokenType::kRightParen);
      if (--paren_depth_ < 0) return Fail("unexpected right parenthesis ')'");
      return kSame;
    case '+': return EmitThen(TokenType::kAdd, kSame);
    case '-': return EmitThen(TokenType::kSub, kSame);
    case '*': return EmitThen(TokenType::kMul, kSame);
    case '/': return EmitThen(TokenType::kDiv, kSame);
    case '%': return EmitThen(TokenType::kMod, kSame);
    case '^': return EmitThen(TokenType::kPow, kSame);
    case ',': return EmitThen(TokenType::kComma, kSame);
    default: break;
  }
  if (IsSpaceRune(r)) {
    SkipSpaces();
    return kSame;
  }
  if (IsDigitRune(r) || (r == '.' && IsDigitRune(Peek()))) {
    pos_ = start_;
    got_duration_ = true;
    return State::kNumberOrDuration;
  }
  char32_t lower = r | 0x20;
  if ((lower == 's' || lower == 'r' || lower == 'm') && ScanDurationKeyword()) return kSame;
  return Fail("unexpected character in duration expression: " + QuoteRune(r));
}

bool Lexer::ScanDurationKeyword() {
  while (IsAlphaRune(Peek())) Take();
  switch (KeywordType(Word())) {
    case TokenType::kStep: Emit(TokenType::kStep); return true;
    case TokenType::kRange: Emit(TokenType::kRange); return true;
    case TokenType::kMaxOf: Emit(TokenType::kMaxOf); return true;
    case TokenType::kMinOf: Emit(TokenType::kMinOf); return true;
    default: return false;
  }
}

Lexer::State Lexer::Braces() {
  constexpr State kSame = State::kBraces;
  char32_t r = Take();
  switch (r) {
    case kEofRune: return Fail("unexpected end of input inside braces");
    case '#': return State::kComment;
    case ',': return EmitThen(TokenType::kComma, kSame);
    case '"':
    case '\'': quote_ = r; return State::kString;
    case '`': quote_ = r; return State::kRawString;
    case '=':
      return EmitThen(Accept("~") ? TokenType::kEqlRegex : TokenType::kEql, kSame);
    case '!':
      switch (char32_t next = Take(); next) {
        case '~': return EmitThen(TokenType::kNeqRegex, kSame);
        case '=': return EmitThen(TokenType::kNeq, kSame);
        default:
          return Fail("unexpected character after '!' inside braces: " + QuoteRune(next));
      }
    case '{': return Fail("unexpected left brace '{'");
    case '}':
      brace_open_ = false;
      return EmitThen(TokenType::kRightBrace, series_ ? State::kValues : State::kStatements);
    default: break;
  }
  if (IsSpaceRune(r)) return State::kSpace;
  if (IsAlphaRune(r)) return State::kIdentifier;
  return Fail("unexpected character inside braces: " + QuoteRune(r));
}

Lexer::State Lexer::Identifier() {
  while (IsAlphaNumericRune(Peek())) Take();
  return EmitThen(TokenType::kIdentifier, State::kStatements);
}

Lexer::State Lexer::Keyword() {
  for (char32_t r = Peek(); IsAlphaNumericRune(r) || r == ':'; r = Peek()) Take();
  TokenType type = KeywordType(Word());
  if (type == TokenType::kError) {
    bool colon = Word().find(':') != std::string_view::npos;
    type = colon ? TokenType::kMetricIdentifier : TokenType::kIdentifier;
  }
  // "fill" is a keyword only before a parenthesis, so that metrics of that name keep working.
  if ((type == TokenType::kFill || type == TokenType::kFillLeft ||
       type == TokenType::kFillRight) &&
      !ParenFollows()) {
    type = TokenType::kIdentifier;
  }
  Emit(type);
  return series_ && Peek() != '{' ? State::kValues : State::kStatements;
}

bool Lexer::ParenFollows() const {
  for (char c : input_.substr(pos_)) {
    if (!IsSpaceRune(static_cast<unsigned char>(c))) return c == '(';
  }
  return false;
}

Lexer::State Lexer::Space() {
  SkipSpaces();
  return State::kStatements;
}

Lexer::State Lexer::Comment() {
  for (char32_t r = Peek(); r != '\r' && r != '\n' && r != kEofRune; r = Peek()) Take();
  return EmitThen(TokenType::kComment, State::kStatements);
}

Lexer::State Lexer::String() {
  for (;;) {
    char32_t r = Take();
    if (r == '\\') return State::kEscape;
    if (r == kRuneError) return Fail("invalid UTF-8 rune");
    if (r == kEofRune || r == '\n') return Fail("unterminated quoted string");
    if (r == quote_) return EmitThen(TokenType::kString, State::kStatements);
  }
}

Lexer::State Lexer::RawString() {
  for (;;) {
    char32_t r = Take();
    if (r == kRuneError) return Fail("invalid UTF-8 rune");
    if (r == kEofRune) return Fail("unterminated raw string");
    if (r == quote_) return EmitThen(TokenType::kString, State::kStatements);
  }
}

// After the backslash in a string: \n, \x41, \101, \u00e4, \U0001F600 and the like.
Lexer::State Lexer::Escape() {
  int digits = 0;
  uint32_t base = 16;
  uint32_t max = kMaxRune;
  char32_t r = Take();
  switch (r) {
    case 'a':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
    case 'v':
    case '\\': return State::kString;
    case 'x':
      digits = 2;
      max = 255;
      r = Take();
      break;
    case 'u':
      digits = 4;
      r = Take();
      break;
    case 'U':
      digits = 8;
      r = Take();
      break;
    case kEofRune: return Fail("escape sequence not terminated");
    default:
      if (r == quote_) return State::kString;
      if (r < '0' || r > '7') return Fail("unknown escape sequence " + RuneWithNumber(r));
      digits = 3;
      base = 8;
      max = 255;
  }
  uint32_t value = 0;
  for (; digits > 0; --digits) {
    auto digit = static_cast<uint32_t>(DigitValue(r));
    if (digit >= base) {
      if (r == kEofRune) return Fail("escape sequence not terminated");
      return Fail("illegal character " + RuneWithNumber(r) + " in escape sequence");
    }
    value = value * base + digit;
    if (digits > 1) r = Take();
  }
  if (value > max || (value >= 0xD800 && value < 0xE000)) {
    return Fail("escape sequence is an invalid Unicode code point");
  }
  return State::kString;
}

Lexer::State Lexer::Number() {
  if (!ScanNumber()) return Fail("bad number syntax: " + base::Quote(Word()));
  return EmitThen(TokenType::kNumber, State::kStatements);
}

Lexer::State Lexer::NumberOrDuration() {
  if (ScanNumber()) return EmitThen(TokenType::kNumber, State::kStatements);
  if (ScanDurationTail()) {
    Back();
    return EmitThen(TokenType::kDuration, State::kStatements);
  }
  return Fail("bad number or duration syntax: " + base::Quote(Word()));
}

// The units of a duration after its first number, and one rune beyond (which messages show).
bool Lexer::ScanDurationTail() {
  constexpr std::string_view kDigits = "0123456789";
  if (!Accept("smhdwy")) return false;
  Accept("s");
  while (Accept(kDigits)) {
    while (Accept(kDigits)) {
    }
    // A year can only come first.
    if (!Accept("smhdw")) return false;
    Accept("s");
  }
  return !IsAlphaNumericRune(Take());
}

// Takes what looks like a number: the parser finds out whether it is one.
bool Lexer::ScanNumber() {
  int32_t begin = pos_;
  std::string_view digits = "0123456789";
  bool hex = false;
  // Not in series, where 0x3 is three repetitions of 0.
  if (!series_ && Accept("0") && Accept("xX")) {
    hex = true;
    Accept("_");
    digits = "0123456789abcdefABCDEF";
  }
  bool dot = false;
  bool exponent = false;
  Accept(".");
  Accept(digits);
  for (;;) {
    if (PeekIn(".")) {
      Take();
      // A second dot, and a dot in a hexadecimal number, are in the word that messages show.
      if (dot) return false;
      dot = true;
      if (Accept("_.")) return false;
      if (hex) return false;
      continue;
    }
    if (PeekIn("eE")) {
      Take();
      if (exponent) return false;
      exponent = true;
      Accept("+-");
      if (Accept("._eE") || Peek() == kEofRune) return false;
      continue;
    }
    if (Accept("_")) {
      if (Accept("._eE") || Peek() == kEofRune) return false;
      continue;
    }
    if (!PeekIn(digits)) break;
    while (Accept(digits)) {
    }
  }
  if (pos_ == begin) return false;
  char32_t r = Peek();
  return (series_ && r == 'x') || !IsAlphaNumericRune(r);
}

}  // namespace tocsin::promql
