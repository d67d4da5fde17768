#include "alertmanager/matchers.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "base/number.h"
#include "base/text.h"

namespace tocsin::alertmanager {

namespace {

constexpr std::string_view kReserved = "{}!=~,\\\"'`";

bool IsSpace(char32_t r) {
  return (r >= '\t' && r <= '\r') || r == ' ' || r == 0x85 || r == 0xA0 || r == 0x1680 ||
         (r >= 0x2000 && r <= 0x200A) || r == 0x2028 || r == 0x2029 || r == 0x202F || r == 0x205F ||
         r == 0x3000;
}

bool IsReserved(char32_t r) {
  return IsSpace(r) || (r < 0x80 && kReserved.find(static_cast<char>(r)) != std::string_view::npos);
}

bool NeedsQuotes(std::string_view name) {
  while (!name.empty()) {
    int size = 1;
    if (IsReserved(base::DecodeRune(name, &size))) return true;
    name.remove_prefix(static_cast<size_t>(size));
  }
  return false;
}

// OpenMetrics's escapes: only backslash, line feed and double quote.
std::string EscapeValue(std::string_view value) {
  std::string out;
  out.reserve(value.size());
  for (char c : value) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"') {
      out += "\\\"";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

base::Result<Matcher> Matcher::Make(MatchOp op, std::string_view name, std::string_view value) {
  Matcher m;
  m.op_ = op;
  m.name_ = name;
  m.value_ = value;
  if (op == MatchOp::kRegex || op == MatchOp::kNotRegex) {
    ASSIGN_OR_RETURN(base::Regex regex, base::Regex::Anchored(value));
    m.regex_.emplace(std::move(regex));
    if (value.find('.') != std::string_view::npos) {
      ASSIGN_OR_RETURN(base::Regex by_line, base::Regex::Anchored("(?-s:" + m.value_ + ")"));
      m.regex_by_line_.emplace(std::move(by_line));
    }
  }
  return m;
}

Matcher Matcher::Equal(std::string_view name, std::string_view value) {
  Matcher m;
  m.name_ = name;
  m.value_ = value;
  return m;
}

bool Matcher::Matches(std::string_view label_value) const {
  switch (op_) {
    case MatchOp::kEqual: return label_value == value_;
    case MatchOp::kNotEqual: return label_value != value_;
    case MatchOp::kRegex: return MatchesRegex(label_value);
    case MatchOp::kNotRegex: return !MatchesRegex(label_value);
  }
  return false;
}

bool Matcher::MatchesRegex(std::string_view text) const {
  const bool lines = regex_by_line_ && text.find('\n') != std::string_view::npos;
  return (lines ? *regex_by_line_ : *regex_).Matches(text);
}

std::vector<std::string> Matcher::set_matches() const {
  return op_ == MatchOp::kRegex ? regex_->set_matches() : std::vector<std::string>{};
}

std::string Matcher::ToString() const {
  return fmt::format("{}{}\"{}\"", NeedsQuotes(name_) ? base::Quote(name_) : name_,
                     model::MatchOpText(op_), EscapeValue(value_));
}

bool operator<(const Matcher& a, const Matcher& b) {
  return std::tie(a.name_, a.value_, a.op_) < std::tie(b.name_, b.value_, b.op_);
}

bool MatchesAll(std::span<const Matcher> matchers, model::LabelsView labels) {
  return std::ranges::all_of(matchers, [&](const Matcher& m) { return m.Matches(labels); });
}

std::string MatchersText(std::span<const Matcher> matchers) {
  std::string out = "{";
  for (const Matcher& m : matchers) {
    if (out.size() > 1) out += ',';
    out += m.ToString();
  }
  return out + "}";
}

std::string MatcherSetsText(std::span<const Matchers> sets) {
  std::string text;
  for (const Matchers& set : sets) text += (text.empty() ? "" : " or ") + MatchersText(set);
  return text;
}

bool IsValidLabelName(std::string_view name, MatcherMode mode) {
  return mode == MatcherMode::kClassic ? model::IsLegacyLabelName(name)
                                       : !name.empty() && base::IsValidUtf8(name);
}

namespace {

// ---- The UTF-8 grammar -------------------------------------------------------------------------

struct Token {
  enum Kind { kEof, kOpen, kClose, kComma, kOperator, kQuoted, kUnquoted } kind = kEof;
  MatchOp op = MatchOp::kEqual;
  std::string_view text;
  int start = 0;  // columns count runes from 0
  int end = 0;
};

class Lexer {
 public:
  explicit Lexer(std::string_view input) : input_(input) {}

  int column() const { return column_; }

  base::Result<Token> Peek() {
    if (!peeked_) peeked_ = Scan();
    return *peeked_;
  }
  base::Result<Token> Next() {
    base::Result<Token> t = Peek();
    if (t) peeked_.reset();
    return t;
  }

 private:
  char32_t Rune(int* size) const { return base::DecodeRune(input_.substr(position_), size); }
  bool done() const { return position_ >= input_.size(); }
  void Advance(int size) {
    position_ += static_cast<size_t>(size);
    ++column_;
  }
  bool Accept(char c) {
    if (done() || input_[position_] != c) return false;
    Advance(1);
    return true;
  }
  Token Emit(Token::Kind kind, size_t begin, int start) const {
    return {.kind = kind, .text = input_.substr(begin, position_ - begin), .start = start, .end = column_};
  }

  base::Result<Token> Scan() {
    int size = 1;
    while (!done() && IsSpace(Rune(&size))) Advance(size);
    const size_t begin = position_;
    const int start = column_;
    if (done()) return Emit(Token::kEof, begin, start);
    const char32_t r = Rune(&size);
    if (r == '=' || r == '!') return ScanOperator(begin, start);
    if (r == '"') return ScanQuoted(begin, start);
    if (!IsReserved(r)) {
      while (!done() && !IsReserved(Rune(&size))) Advance(size);
      return Emit(Token::kUnquoted, begin, start);
    }
    Advance(size);
    if (r == '{') return Emit(Token::kOpen, begin, start);
    if (r == '}') return Emit(Token::kClose, begin, start);
    if (r == ',') return Emit(Token::kComma, begin, start);
    return base::InvalidArgument(
        fmt::format("{}:{}: {}: invalid input", start, column_, input_.substr(begin, position_ - begin)));
  }

  base::Result<Token> ScanOperator(size_t begin, int start) {
    MatchOp op = MatchOp::kEqual;
    if (Accept('=')) {
      if (Accept('~')) op = MatchOp::kRegex;
    } else {
      Advance(1);  // the !
      if (Accept('=')) {
        op = MatchOp::kNotEqual;
      } else if (Accept('~')) {
        op = MatchOp::kNotRegex;
      } else {
        return base::InvalidArgument(fmt::format("{}:{}: {}: expected one of '=~'", start, column_,
                                                 input_.substr(begin, position_ - begin)));
      }
    }
    Token t = Emit(Token::kOperator, begin, start);
    t.op = op;
    return t;
  }

  base::Result<Token> ScanQuoted(size_t begin, int start) {
    Advance(1);
    bool escaped = false;
    int size = 1;
    while (!done()) {
      const char32_t r = Rune(&size);
      Advance(size);
      if (escaped) {
        escaped = false;
      } else if (r == '\\') {
        escaped = true;
      } else if (r == '"') {
        return Emit(Token::kQuoted, begin, start);
      }
    }
    return base::InvalidArgument(
        fmt::format("{}:{}: {}: missing end \"", start, column_, input_.substr(begin)));
  }

  const std::string_view input_;
  size_t position_ = 0;
  int column_ = 0;
  std::optional<base::Result<Token>> peeked_;
};

auto Unexpected(const Token& t, std::string_view expected) {
  if (t.kind == Token::kEof) return base::InvalidArgument(fmt::format("end of input: {}", expected));
  return base::InvalidArgument(fmt::format("{}:{}: unexpected {}: {}", t.start, t.end, t.text, expected));
}

base::Result<std::string> TokenText(const Token& t) {
  if (t.kind == Token::kUnquoted) {
    if (base::IsValidUtf8(t.text)) return std::string(t.text);
  } else if (auto text = base::Unquote(t.text); text && base::IsValidUtf8(*text)) {
    return std::move(*text);
  }
  return base::InvalidArgument(fmt::format("{}:{}: {}: invalid input", t.start, t.end, t.text));
}

// Adds what was expected to a lexer's error, as upstream does.
template <class T>
base::Result<T> Expecting(base::Result<T> t, std::string_view expected) {
  if (t) return t;
  return base::InvalidArgument(fmt::format("{}: {}", t.error().message(), expected));
}

base::Result<Matcher> ParseOne(Lexer& lexer) {
  ASSIGN_OR_RETURN(Token t, Expecting(lexer.Next(), "expected label name"));
  if (t.kind != Token::kQuoted && t.kind != Token::kUnquoted) return Unexpected(t, "expected label name");
  ASSIGN_OR_RETURN(std::string name, TokenText(t));
  constexpr std::string_view kOperator = "expected an operator such as '=', '!=', '=~' or '!~'";
  ASSIGN_OR_RETURN(t, Expecting(lexer.Next(), kOperator));
  if (t.kind != Token::kOperator) return Unexpected(t, kOperator);
  const MatchOp op = t.op;
  ASSIGN_OR_RETURN(t, Expecting(lexer.Next(), "expected label value"));
  if (t.kind != Token::kQuoted && t.kind != Token::kUnquoted) return Unexpected(t, "expected label value");
  ASSIGN_OR_RETURN(std::string value, TokenText(t));
  auto m = Matcher::Make(op, name, value);
  if (!m) return base::InvalidArgument("failed to create matcher: " + m.error().message());
  return m;
}

base::Result<Matchers> ParseUtf8(std::string_view input) {
  Lexer lexer(input);
  Matchers out;
  ASSIGN_OR_RETURN(Token t, lexer.Peek());
  if (t.kind == Token::kEof) return out;
  const bool open = t.kind == Token::kOpen;
  if (open) base::Ignore(lexer.Next());  // peeked above
  ASSIGN_OR_RETURN(t, lexer.Peek());
  while (t.kind != Token::kClose && !(open && out.empty() && t.kind == Token::kEof)) {
    ASSIGN_OR_RETURN(Matcher m, ParseOne(lexer));
    out.push_back(std::move(m));
    constexpr std::string_view kEnd = "expected a comma or close brace";
    ASSIGN_OR_RETURN(t, Expecting(lexer.Peek(), kEnd));
    if (t.kind == Token::kEof || t.kind == Token::kClose) break;
    if (t.kind != Token::kComma) return Unexpected(t, kEnd);
    base::Ignore(lexer.Next());  // peeked above
    constexpr std::string_view kMore = "expected a matcher or close brace after comma";
    ASSIGN_OR_RETURN(t, Expecting(lexer.Peek(), kMore));
    if (t.kind == Token::kEof || t.kind == Token::kClose) break;
    if (t.kind != Token::kQuoted && t.kind != Token::kUnquoted) return Unexpected(t, kMore);
  }
  if (t.kind == Token::kEof) {
    if (open) {
      return base::InvalidArgument(fmt::format("0:{}: end of input: expected close brace", lexer.column()));
    }
    return out;
  }
  if (!open) return base::InvalidArgument(fmt::format("0:{}: }}: expected opening brace", lexer.column()));
  base::Ignore(lexer.Next());  // the close brace, peeked
  ASSIGN_OR_RETURN(t, Expecting(lexer.Next(), "expected end of input"));
  if (t.kind != Token::kEof) {
    return base::InvalidArgument(fmt::format("{}:{}: {}: expected end of input", t.start, t.end, t.text));
  }
  return out;
}

// ---- The classic grammar -----------------------------------------------------------------------

base::Result<std::string> UnescapeClassic(std::string_view raw) {
  std::string_view rest = raw;
  auto quote_error = [&] {
    return base::InvalidArgument(fmt::format("matcher value contains unescaped double quote: {}", raw));
  };
  bool trailing_quote = false;
  if (!rest.empty() && rest.front() == '"') {
    rest.remove_prefix(1);
    trailing_quote = true;
  }
  if (!base::IsValidUtf8(rest)) {
    return base::InvalidArgument(fmt::format("matcher value not valid UTF-8: {}", raw));
  }
  std::string value;
  for (size_t i = 0; i < rest.size(); ++i) {
    const char c = rest[i];
    if (c == '\\' && i + 1 < rest.size()) {
      const char next = rest[++i];
      if (next == 'n') {
        value += '\n';
      } else if (next == '"' || next == '\\') {
        value += next;
      } else {  // a spurious escape stands for itself
        value += '\\';
        value += next;
      }
    } else if (c == '"') {
      if (!trailing_quote || i + 1 < rest.size()) return quote_error();
      trailing_quote = false;
    } else {
      value += c;
    }
  }
  if (trailing_quote) return quote_error();
  return value;
}

base::Result<Matcher> ParseClassicOne(std::string_view text) {
  std::string_view rest = base::Trim(text);
  auto bad = [&] { return base::InvalidArgument(fmt::format("bad matcher format: {}", text)); };
  size_t n = 0;
  auto is_name = [](char c, bool first) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' ||
           (!first && c >= '0' && c <= '9');
  };
  while (n < rest.size() && is_name(rest[n], n == 0)) ++n;
  if (n == 0) return bad();
  const std::string_view name = rest.substr(0, n);
  rest = base::Trim(rest.substr(n));
  MatchOp op;
  if (rest.starts_with("=~")) {
    op = MatchOp::kRegex;
  } else if (rest.starts_with("!=")) {
    op = MatchOp::kNotEqual;
  } else if (rest.starts_with("!~")) {
    op = MatchOp::kNotRegex;
  } else if (rest.starts_with("=")) {
    op = MatchOp::kEqual;
  } else {
    return bad();
  }
  rest = base::Trim(rest.substr(op == MatchOp::kEqual ? 1 : 2));
  ASSIGN_OR_RETURN(std::string value, UnescapeClassic(rest));
  return Matcher::Make(op, name, value);
}

base::Result<Matchers> ParseClassic(std::string_view input) {
  if (input.starts_with('{')) input.remove_prefix(1);
  if (input.ends_with('}')) input.remove_suffix(1);
  std::vector<std::string_view> parts;
  bool quoted = false;
  bool escaped = false;
  size_t begin = 0;
  for (size_t i = 0; i < input.size(); ++i) {
    const char c = input[i];
    if (c == ',' && !quoted) {
      parts.push_back(input.substr(begin, i - begin));
      begin = i + 1;
      continue;  // leaves `escaped` as it is, as upstream
    }
    if (c == '"') {
      if (!escaped) quoted = !quoted;
      escaped = false;
    } else if (c == '\\') {
      escaped = !escaped;
    } else {
      escaped = false;
    }
  }
  if (auto last = base::Trim(input.substr(begin)); !last.empty()) parts.push_back(last);
  Matchers out;
  for (std::string_view part : parts) {
    ASSIGN_OR_RETURN(Matcher m, ParseClassicOne(part));
    out.push_back(std::move(m));
  }
  return out;
}

base::Result<Matcher> Single(base::Result<Matchers> matchers) {
  if (!matchers) return std::unexpected(matchers.error());
  if (matchers->empty()) return base::InvalidArgument("no matchers");
  if (matchers->size() > 1) {
    return base::InvalidArgument(fmt::format("expected 1 matcher, found {}", matchers->size()));
  }
  return std::move(matchers->front());
}

std::string Suggest(std::span<const Matcher> matchers, bool braces) {
  std::string text = MatchersText(matchers);
  return braces ? text : text.substr(1, text.size() - 2);
}

void Warn(std::vector<MatcherWarning>* warnings, bool disagreement, std::span<const Matcher> classic,
          bool braces) {
  if (warnings == nullptr) return;
  warnings->push_back(
      {.message = disagreement
                      ? "Matchers input has disagreement: the UTF-8 and the classic grammar read it "
                        "differently; the classic reading counts"
                      : "Alertmanager is moving to a new parser for labels and matchers, and this input "
                        "is incompatible; it was read with the classic grammar. Double-quote regular "
                        "expressions and values and escape backslashes",
       .suggestion = Suggest(classic, braces)});
}

}  // namespace

base::Result<Matchers> ParseMatchers(std::string_view input, MatcherMode mode,
                                     std::vector<MatcherWarning>* warnings) {
  if (mode == MatcherMode::kUtf8) return ParseUtf8(input);
  base::Result<Matchers> classic = ParseClassic(input);
  if (mode == MatcherMode::kClassic) return classic;
  base::Result<Matchers> utf8 = ParseUtf8(input);
  if (!classic) return utf8 ? std::move(utf8) : std::move(classic);
  if (!utf8 || *utf8 != *classic) {
    Warn(warnings, utf8.has_value(), *classic, input.starts_with('{'));
  }
  return classic;
}

base::Result<Matcher> ParseMatcher(std::string_view input, MatcherMode mode,
                                   std::vector<MatcherWarning>* warnings) {
  if (mode == MatcherMode::kUtf8) return Single(ParseUtf8(input));
  base::Result<Matcher> classic = ParseClassicOne(input);
  if (mode == MatcherMode::kClassic) return classic;
  base::Result<Matcher> utf8 = Single(ParseUtf8(input));
  if (!classic) return utf8 ? std::move(utf8) : std::move(classic);
  if (!utf8 || !(*utf8 == *classic)) {
    Warn(warnings, utf8.has_value(), std::span(&*classic, 1), false);
  }
  return classic;
}

}  // namespace tocsin::alertmanager
