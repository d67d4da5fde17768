#include "templates/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cwctype>

#include "base/number.h"
#include "base/text.h"

namespace tocsin::templates {

namespace {

constexpr std::string_view kSpaces = " \t\r\n";

bool IsSpace(char c) { return kSpaces.find(c) != std::string_view::npos; }

// "{{- " and " -}}" take the white space beside them away.
bool HasLeftTrim(std::string_view s) { return s.size() >= 2 && s[0] == '-' && IsSpace(s[1]); }
bool HasRightTrim(std::string_view s) { return s.size() >= 2 && IsSpace(s[0]) && s[1] == '-'; }

struct Keyword {
  std::string_view word;
  TokenKind kind;
};
constexpr Keyword kKeywords[] = {
    {"nil", TokenKind::kNil}, {"block", TokenKind::kBlock}, {"break", TokenKind::kBreak},
    {"continue", TokenKind::kContinue}, {"define", TokenKind::kDefine}, {"else", TokenKind::kElse},
    {"end", TokenKind::kEnd}, {"if", TokenKind::kIf}, {"range", TokenKind::kRange},
    {"template", TokenKind::kTemplate}, {"with", TokenKind::kWith},
};

// What Go calls printable is more than can be told without its tables; separators and controls are not.
bool IsPrintable(char32_t r) {
  return r >= 0x20 && r != 0x7f && !(r >= 0x80 && r <= 0xa0) && r != 0xad && !(r >= 0x2000 && r <= 0x200f) &&
         !(r >= 0x2028 && r <= 0x202f) && r != 0xfeff && r != 0x3000;
}

std::string DescribeRune(char32_t r) {
  std::string text = fmt::format("U+{:04X}", static_cast<uint32_t>(r));
  if (IsPrintable(r)) {
    text += " '";
    base::AppendUtf8(r, &text);
    text += '\'';
  }
  return text;
}

}  // namespace

bool IsWordRune(char32_t r) {
  if (r < 0x80) return r == '_' || (r >= '0' && r <= '9') || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z');
  // Letters of other scripts: what is neither a space, a control nor a common mark.
  return IsPrintable(r) && r >= 0xaa && r != 0xd7 && r != 0xf7 && !(r >= 0xab && r <= 0xb4) &&
         !(r >= 0xb6 && r <= 0xb9) && !(r >= 0xbb && r <= 0xbf) && !(r >= 0x2010 && r <= 0x2bff) && r != 0xfffd;
}

std::string Token::ToString() const {
  if (kind == TokenKind::kEof) return "EOF";
  if (kind == TokenKind::kError) return text;
  if (kind >= TokenKind::kDot) return "<" + text + ">";
  if (text.size() > 10) return base::Quote(base::TruncateRunes(text, 10)) + "...";
  return base::Quote(text);
}

Token Lexer::Next() {
  for (;;) {
    Token t;
    switch (state_) {
      case State::kText: t = LexText(); break;
      case State::kLeftDelim: t = LexLeftDelim(); break;
      case State::kInside: t = LexInside(); break;
      case State::kDone: return Token{TokenKind::kEof, input_.size(), line_, ""};
    }
    // An empty text is the sign that a state only moved on.
    if (t.kind != TokenKind::kText || !t.text.empty()) return t;
  }
}

Token Lexer::Emit(TokenKind kind) {
  Token t{kind, start_, start_line_, std::string(input_.substr(start_, pos_ - start_))};
  Ignore();
  return t;
}

void Lexer::Ignore() {
  line_ += static_cast<int>(std::ranges::count(input_.substr(start_, pos_ - start_), '\n'));
  start_ = pos_;
  start_line_ = line_;
}

Token Lexer::Fail(std::string message) {
  Token t{TokenKind::kError, start_, start_line_, std::move(message)};
  state_ = State::kDone;
  return t;
}

char32_t Lexer::Peek(int* size) const {
  int n = 0;
  const char32_t r = pos_ >= input_.size() ? 0 : base::DecodeRune(Rest(), &n);
  if (size != nullptr) *size = n;
  return r;
}

bool Lexer::Accept(std::string_view chars) {
  if (pos_ >= input_.size() || chars.find(input_[pos_]) == std::string_view::npos) return false;
  ++pos_;
  return true;
}

void Lexer::AcceptRun(std::string_view chars) {
  while (Accept(chars)) {
  }
}

Token Lexer::LexText() {
  const size_t open = input_.find("{{", pos_);
  if (open == std::string_view::npos) {
    pos_ = input_.size();
    state_ = State::kDone;
    if (start_ == pos_) return Token{TokenKind::kEof, pos_, line_, ""};
    return Emit(TokenKind::kText);
  }
  size_t end = open;
  if (HasLeftTrim(input_.substr(open + 2))) {
    while (end > start_ && IsSpace(input_[end - 1])) --end;
  }
  pos_ = end;
  Token t = Emit(TokenKind::kText);
  pos_ = open;
  Ignore();
  state_ = State::kLeftDelim;
  return t;
}

Token Lexer::LexLeftDelim() {
  pos_ += 2;
  const size_t marker = HasLeftTrim(Rest()) ? 2 : 0;
  if (Rest().substr(marker).starts_with("/*")) {
    pos_ += marker;
    Ignore();
    return LexComment();
  }
  Token t = Emit(TokenKind::kLeftDelim);
  pos_ += marker;
  Ignore();
  paren_depth_ = 0;
  state_ = State::kInside;
  return t;
}

Token Lexer::LexComment() {
  const size_t close = input_.find("*/", pos_ + 2);
  if (close == std::string_view::npos) return Fail("unclosed comment");
  pos_ = close + 2;
  bool trim = false;
  if (!AtRightDelim(&trim)) return Fail("comment ends before closing delimiter");
  pos_ += trim ? 4 : 2;
  if (trim) AcceptRun(kSpaces);
  Ignore();
  state_ = State::kText;
  return Token{TokenKind::kText, pos_, line_, ""};
}

bool Lexer::AtRightDelim(bool* trim) const {
  const std::string_view rest = Rest();
  *trim = HasRightTrim(rest) && rest.substr(2).starts_with("}}");
  return *trim || rest.starts_with("}}");
}

Token Lexer::LexRightDelim() {
  bool trim = false;
  AtRightDelim(&trim);
  if (trim) {
    pos_ += 2;
    Ignore();
  }
  pos_ += 2;
  Token t = Emit(TokenKind::kRightDelim);
  if (trim) {
    AcceptRun(kSpaces);
    Ignore();
  }
  state_ = State::kText;
  return t;
}

Token Lexer::LexInside() {
  bool trim = false;
  if (AtRightDelim(&trim)) {
    if (paren_depth_ > 0) return Fail("unclosed left paren");
    return LexRightDelim();
  }
  int size = 0;
  const char32_t r = Peek(&size);
  if (pos_ >= input_.size()) return Fail("unclosed action");
  if (r < 0x80 && IsSpace(static_cast<char>(r))) return LexSpace();
  if (r == '+' || r == '-' || (r >= '0' && r <= '9')) return LexNumber();
  if (r == '.') {
    const bool digit = pos_ + 1 < input_.size() && input_[pos_ + 1] >= '0' && input_[pos_ + 1] <= '9';
    if (digit) return LexNumber();
    ++pos_;
    return LexFieldOrVariable(TokenKind::kField);
  }
  if (IsWordRune(r)) return LexIdentifier();
  pos_ += static_cast<size_t>(size);
  switch (r) {
    case '=': return Emit(TokenKind::kAssign);
    case ':':
      if (!Accept("=")) return Fail("expected :=");
      return Emit(TokenKind::kDeclare);
    case '|': return Emit(TokenKind::kPipe);
    case '"': return LexQuote();
    case '`': return LexRawQuote();
    case '$': return LexFieldOrVariable(TokenKind::kVariable);
    case '\'': return LexChar();
    case '(': ++paren_depth_; return Emit(TokenKind::kLeftParen);
    case ')':
      if (--paren_depth_ < 0) return Fail("unexpected right paren");
      return Emit(TokenKind::kRightParen);
    default:
      if (r >= 0x20 && r < 0x7f) return Emit(TokenKind::kChar);
      return Fail("unrecognized character in action: " + DescribeRune(r));
  }
}

Token Lexer::LexSpace() {
  const size_t begin = pos_;
  AcceptRun(kSpaces);
  // The last space may belong to a trim marker before }}.
  const std::string_view from_last = input_.substr(pos_ - 1);
  if (HasRightTrim(from_last) && from_last.substr(2).starts_with("}}")) {
    --pos_;
    if (pos_ == begin) {
      if (paren_depth_ > 0) return Fail("unclosed left paren");
      return LexRightDelim();
    }
  }
  return Emit(TokenKind::kSpace);
}

Token Lexer::LexIdentifier() {
  int size = 0;
  char32_t r = 0;
  while (r = Peek(&size), pos_ < input_.size() && IsWordRune(r)) pos_ += static_cast<size_t>(size);
  if (!AtTerminator()) return Fail("bad character " + DescribeRune(Peek()));
  const std::string_view word = input_.substr(start_, pos_ - start_);
  if (word == "true" || word == "false") return Emit(TokenKind::kBool);
  for (const Keyword& k : kKeywords) {
    if (k.word == word) return Emit(k.kind);
  }
  return Emit(TokenKind::kIdentifier);
}

Token Lexer::LexFieldOrVariable(TokenKind kind) {
  if (AtTerminator()) return Emit(kind == TokenKind::kVariable ? kind : TokenKind::kDot);
  int size = 0;
  char32_t r = 0;
  while (r = Peek(&size), pos_ < input_.size() && IsWordRune(r)) pos_ += static_cast<size_t>(size);
  if (!AtTerminator()) return Fail("bad character " + DescribeRune(Peek()));
  return Emit(kind);
}

bool Lexer::AtTerminator() const {
  if (pos_ >= input_.size()) return true;
  const char c = input_[pos_];
  return IsSpace(c) || c == '.' || c == ',' || c == '|' || c == ':' || c == ')' || c == '(' ||
         Rest().starts_with("}}");
}

Token Lexer::LexChar() {
  for (; pos_ < input_.size(); ++pos_) {
    const char c = input_[pos_];
    if (c == '\n') break;
    if (c == '\\' && pos_ + 1 < input_.size() && input_[pos_ + 1] != '\n') {
      ++pos_;
    } else if (c == '\'') {
      ++pos_;
      return Emit(TokenKind::kCharConstant);
    } else if (c == '\\') {
      break;
    }
  }
  return Fail("unterminated character constant");
}

Token Lexer::LexQuote() {
  for (; pos_ < input_.size(); ++pos_) {
    const char c = input_[pos_];
    if (c == '\n') break;
    if (c == '\\' && pos_ + 1 < input_.size() && input_[pos_ + 1] != '\n') {
      ++pos_;
    } else if (c == '"') {
      ++pos_;
      return Emit(TokenKind::kString);
    } else if (c == '\\') {
      break;
    }
  }
  return Fail("unterminated quoted string");
}

Token Lexer::LexRawQuote() {
  const size_t close = input_.find('`', pos_);
  if (close == std::string_view::npos) return Fail("unterminated raw quoted string");
  pos_ = close + 1;
  return Emit(TokenKind::kRawString);
}

bool Lexer::ScanNumber() {
  Accept("+-");
  std::string_view digits = "0123456789_";
  bool decimal = true;
  bool hex = false;
  if (Accept("0")) {
    if (Accept("xX")) {
      digits = "0123456789abcdefABCDEF_";
      decimal = false;
      hex = true;
    } else if (Accept("oO")) {
      digits = "01234567_";
      decimal = false;
    } else if (Accept("bB")) {
      digits = "01_";
      decimal = false;
    }
  }
  AcceptRun(digits);
  if (Accept(".")) AcceptRun(digits);
  if ((decimal && Accept("eE")) || (hex && Accept("pP"))) {
    Accept("+-");
    AcceptRun("0123456789_");
  }
  Accept("i");
  int size = 0;
  const char32_t r = Peek(&size);
  if (pos_ < input_.size() && IsWordRune(r)) {
    pos_ += static_cast<size_t>(size);
    return false;
  }
  return true;
}

Token Lexer::LexNumber() {
  auto bad = [this] { return Fail("bad number syntax: " + base::Quote(input_.substr(start_, pos_ - start_))); };
  if (!ScanNumber()) return bad();
  if (pos_ < input_.size() && (input_[pos_] == '+' || input_[pos_] == '-')) {
    // 1+2i: without spaces, and it must end in i.
    if (!ScanNumber() || input_[pos_ - 1] != 'i') return bad();
    return Emit(TokenKind::kComplex);
  }
  return Emit(TokenKind::kNumber);
}

}  // namespace tocsin::templates
