#pragma once

#include <string>

#include "promql/parse/ast.h"

namespace tocsin::promql {

// One line, in Prometheus's canonical form.
std::string Print(const Expr& e);
// Several lines where a line would pass `max_width` characters (promql format, format_query).
std::string Prettify(const Expr& e, int max_width = 100);

}  // namespace tocsin::promql
