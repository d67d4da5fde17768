#pragma once

// Text to tree.
//
//   ASSIGN_OR_RETURN(promql::ExprPtr expr, promql::Parse("sum(rate(x[5m]))"));
//
// Errors: kInvalidArgument; the message is Prometheus's "line:column: parse error: ...", what is wrong
// and what to write instead.  Bounds: 1 MB of text, 1000 levels of nesting.

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "promql/parse/ast.h"

namespace tocsin::promql {

struct ParseOptions {
  bool experimental_functions = false;
  bool extended_range_selectors = false;  // anchored, smoothed
  bool binop_fill_modifiers = false;      // fill, fill_left, fill_right
  bool duration_expressions = true;
};

struct ParseError {
  ByteRange pos;
  std::string message;  // without position
};

// All errors of a text, in Prometheus's order.
struct ParseErrors {
  std::vector<ParseError> errors;
  // "1:5: parse error: ..." of the first.
  std::string First(std::string_view text) const;
  // The line with a caret under the place, and what to write instead.
  std::string Explain(std::string_view text) const;
};

std::expected<ExprPtr, ParseErrors> ParseAll(std::string_view text, const ParseOptions& options = {});
base::Result<ExprPtr> Parse(std::string_view text, const ParseOptions& options = {});

// up{job="x"} as in match[]: a vector selector without offset.
base::Result<model::Matchers> ParseMetricSelector(std::string_view text);

}  // namespace tocsin::promql
