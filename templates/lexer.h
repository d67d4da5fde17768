#pragma once

// Text to tokens.  Source of the rules: Go's text/template/parse.

#include <string>
#include <string_view>

namespace tocsin::templates {

enum class TokenKind {
  kError,  // its text is the message
  kEof, kText, kLeftDelim, kRightDelim, kSpace,
  kChar,  // , and other marks
  kAssign, kDeclare, kPipe, kLeftParen, kRightParen,
  kBool, kCharConstant, kComplex, kNumber, kString, kRawString, kIdentifier, kField, kVariable,
  // Keywords follow.
  kDot, kNil, kBlock, kBreak, kContinue, kDefine, kElse, kEnd, kIf, kRange, kTemplate, kWith,
};

struct Token {
  TokenKind kind = TokenKind::kEof;
  size_t pos = 0;
  int line = 1;
  std::string text;

  std::string ToString() const;  // as in messages
};

class Lexer {
 public:
  explicit Lexer(std::string_view input) : input_(input) {}
  Token Next();

 private:
  enum class State { kText, kLeftDelim, kInside, kDone };

  Token LexText();
  Token LexInside();
  Token LexLeftDelim();
  Token LexRightDelim();
  Token LexComment();
  Token LexSpace();
  Token LexQuote();
  Token LexRawQuote();
  Token LexChar();
  Token LexNumber();
  Token LexIdentifier();
  Token LexFieldOrVariable(TokenKind kind);

  Token Emit(TokenKind kind);
  Token Fail(std::string message);
  std::string_view Rest() const { return input_.substr(pos_); }
  char32_t Peek(int* size = nullptr) const;  // 0 at the end
  bool Accept(std::string_view chars);
  void AcceptRun(std::string_view chars);
  bool ScanNumber();
  bool AtTerminator() const;
  bool AtRightDelim(bool* trim) const;
  void Ignore();

  std::string_view input_;
  State state_ = State::kText;
  size_t pos_ = 0;
  size_t start_ = 0;
  int line_ = 1;        // at pos_
  int start_line_ = 1;  // at start_
  int paren_depth_ = 0;
};

bool IsWordRune(char32_t rune);  // a letter, a digit, _

}  // namespace tocsin::templates
