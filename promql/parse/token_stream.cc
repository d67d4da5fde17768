#include "promql/parse/token_stream.h"

#include <fmt/core.h>

#include "base/duration.h"
#include "base/number.h"

namespace tocsin::promql {
namespace {

// More errors than this help nobody.
constexpr size_t kMaxErrors = 20;
constexpr int kAfterError = 3;

}  // namespace

const Token& TokenStream::Peek() {
  if (have_) return last_;
  do {
    last_ = lexer_.Next();
  } while (last_.type == TokenType::kComment);
  have_ = true;
  switch (last_.type) {
    case TokenType::kError:
      AddError({lexer_.start(), static_cast<int32_t>(text_.size())}, last_.error);
      break;
    case TokenType::kRightBrace:
    case TokenType::kRightParen:
    case TokenType::kRightBracket:
    case TokenType::kDuration:
    case TokenType::kNumber: last_closing_ = last_.end(); break;
    default: break;
  }
  return last_;
}

bool TokenStream::AtEnd() {
  TokenType t = PeekType();
  return t == TokenType::kEof || t == TokenType::kError;
}

Token TokenStream::Consume() {
  Peek();
  have_ = false;
  if (tokens_to_trust_ > 0) --tokens_to_trust_;
  return last_;
}

bool TokenStream::ConsumeIf(TokenType type, Token* token) {
  if (PeekType() != type) return false;
  Token t = Consume();
  if (token != nullptr) *token = std::move(t);
  return true;
}

bool TokenStream::DropToken() {
  if (tokens_to_trust_ == kAfterError && !AtEnd()) {
    have_ = false;
    return true;
  }
  if (tokens_to_trust_ == kAfterError) exhausted_ = true;
  unwinding_ = true;
  return false;
}

bool TokenStream::Expect(TokenType type, Token* token) {
  while (!ConsumeIf(type, token)) {
    if (!DropToken()) return false;
  }
  return true;
}

bool TokenStream::Recover(std::string_view context, std::string_view expected) {
  unwinding_ = true;
  if (exhausted_) return false;
  unwinding_ = false;
  tokens_to_trust_ = kAfterError;
  Unexpected(context, expected);
  return true;
}

void TokenStream::Unexpected(std::string_view context, std::string_view expected) {
  if (last_.type == TokenType::kError) return;  // the lexer has reported it
  std::string message = "unexpected " + DescribeToken(last_);
  if (!context.empty()) message += fmt::format(" in {}", context);
  if (!expected.empty()) message += fmt::format(", expected {}", expected);
  AddError(LastRange(), std::move(message));
}

void TokenStream::AddError(ByteRange pos, std::string message) {
  if (errors_.size() < kMaxErrors) errors_.push_back({pos, std::move(message)});
}

std::string TokenStream::Unquote(const Token& string) {
  auto unquoted = base::Unquote(string.text);
  if (unquoted) return *std::move(unquoted);
  AddError(LastRange(), fmt::format("error unquoting string {}: invalid syntax",
                                    base::Quote(string.text)));
  return {};
}

double TokenStream::Number(const Token& number) {
  auto value = base::ParsePromNumber(number.text);
  if (value) return *value;
  bool range = value.error().message().ends_with("value out of range");
  AddError(LastRange(),
           fmt::format("error parsing number: strconv.ParseFloat: parsing {}: {}",
                       base::Quote(number.text), range ? "value out of range" : "invalid syntax"));
  return 0;
}

double TokenStream::NumberOrDuration(const Token& token) {
  if (token.type == TokenType::kNumber) return Number(token);
  auto duration = base::ParseDuration(token.text);
  if (duration) return base::ToSeconds(*duration);
  // Prometheus's words; what to write instead is the hint of ParseErrors::Explain().
  bool range = duration.error().message().find("out of range") != std::string::npos;
  AddError(RangeOf(token),
           range ? "duration out of range"
                 : fmt::format("not a valid duration string: {}", base::Quote(token.text)));
  return 0;
}

}  // namespace tocsin::promql
