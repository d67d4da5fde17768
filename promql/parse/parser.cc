#include "promql/parse/parser.h"

#include <fmt/core.h>

#include "promql/parse/expression_parser.h"

namespace tocsin::promql {
namespace {

// More than any expression people write, and little enough to parse in a moment.
constexpr size_t kMaxBytes = 1 << 20;

ParseErrors TooLong(std::string_view text) {
  return {{{ByteRange{}, fmt::format("expression is {} bytes long, the limit is {} (1 MB)",
                                     text.size(), kMaxBytes)}}};
}

}  // namespace

std::expected<ExprPtr, ParseErrors> ParseAll(std::string_view text, const ParseOptions& options) {
  if (text.size() > kMaxBytes) return std::unexpected(TooLong(text));
  ExpressionParser parser(text, options);
  ExprPtr e = parser.ParseExpression();
  if (parser.ok()) parser.Check(e.get());
  if (parser.ok()) parser.CheckHeight();
  if (!parser.ok()) return std::unexpected(ParseErrors{parser.TakeErrors()});
  return e;
}

base::Result<ExprPtr> Parse(std::string_view text, const ParseOptions& options) {
  auto e = ParseAll(text, options);
  if (!e) return base::InvalidArgument(e.error().First(text));
  return *std::move(e);
}

base::Result<model::Matchers> ParseMetricSelector(std::string_view text) {
  if (text.size() > kMaxBytes) return base::InvalidArgument(TooLong(text).First(text));
  ExpressionParser parser(text, {});
  model::Matchers matchers = parser.ParseSelector();
  if (!parser.ok()) {
    return base::InvalidArgument(ParseErrors{parser.TakeErrors()}.First(text));
  }
  return matchers;
}

}  // namespace tocsin::promql
