#pragma once

// The tree of an expression as /api/v1/parse_query gives it, for the browser's tree view.

#include "api/http/json.h"
#include "promql/parse/ast.h"

namespace tocsin::api {

void WriteTree(const promql::Expr& e, JsonWriter* json);

}  // namespace tocsin::api
