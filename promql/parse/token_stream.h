#pragma once

// What the parsers of expressions and of series lines stand on: one token of lookahead, errors, and
// recovery after a syntax error as Prometheus's generated parser does it, so that the errors after
// the first are the same too.  Internal to promql/parse.
//
// Recovery.  A token that fits nowhere begins the unwinding: functions return early until one whose
// grammar rule has an alternative for errors calls Recover(), which reports the last token read and
// lets the parsing go on.  Until a token has been accepted after that, others that do not fit are
// dropped without a report.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "promql/parse/lexer.h"
#include "promql/parse/parser.h"

namespace tocsin::promql {

class TokenStream {
 public:
  TokenStream(std::string_view text, LexMode mode) : text_(text), lexer_(text, mode) {}

  bool ok() const { return errors_.empty(); }
  std::vector<ParseError> TakeErrors() { return std::move(errors_); }

 protected:
  // The token ahead.  Reads it only now: what was read last decides positions and messages.
  const Token& Peek();
  TokenType PeekType() { return Peek().type; }
  bool AtEnd();  // of the input, or at an error of the lexer
  Token Consume();
  bool ConsumeIf(TokenType type, Token* token = nullptr);

  // The token ahead does not fit.  True: it was dropped, look again.  False: unwind.
  bool DropToken();
  // Consumes tokens up to one of this type.  False: unwind.
  bool Expect(TokenType type, Token* token = nullptr);
  // Ends the unwinding (if any) with "unexpected <last token> in <context>, expected <expected>".
  // False: there is nothing left to read, go on unwinding.
  bool Recover(std::string_view context, std::string_view expected);
  bool unwinding() const { return unwinding_; }
  void BeginUnwinding() { unwinding_ = true; }
  void GiveUp() { unwinding_ = exhausted_ = true; }  // nothing recovers from it

  void Unexpected(std::string_view context, std::string_view expected);
  void AddError(ByteRange pos, std::string message);

  static ByteRange RangeOf(const Token& t) { return {t.pos, t.end()}; }
  ByteRange LastRange() const { return RangeOf(last_); }
  int32_t last_closing() const { return last_closing_; }
  std::string_view text() const { return text_; }

  std::string Unquote(const Token& string);
  double Number(const Token& number);              // of kNumber
  double NumberOrDuration(const Token& token);     // seconds of a kDuration

 private:
  std::string_view text_;
  Lexer lexer_;
  bool have_ = false;        // last_ is ahead
  Token last_;               // the token read last
  int32_t last_closing_ = 0; // end of the last token that may close an expression
  bool unwinding_ = false;
  bool exhausted_ = false;
  int tokens_to_trust_ = 0;  // 3 after an error, one less for each token accepted since
  std::vector<ParseError> errors_;
};

}  // namespace tocsin::promql
