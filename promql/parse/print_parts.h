#pragma once

// Pieces of expressions that both printers write.  Internal to promql/parse.

#include <string>

#include "promql/parse/ast.h"

namespace tocsin::promql {

void AppendAggregateHead(const Aggregate& e, std::string* out);  // "sum by (a) ", or "sum"
void AppendMatching(const Binary& e, std::string* out);          // " on (a) group_left ()"
void AppendOperator(const Binary& e, std::string* out);          // "== bool on (a) group_left ()"
void AppendSubquerySuffix(const Subquery& e, std::string* out);  // "[5m:1m] @ 1.000 offset 5m"

}  // namespace tocsin::promql
