#pragma once

// The functions of the language: names, types of arguments, whether experimental.  What they compute
// is in promql/exec.

#include <span>
#include <string_view>
#include <vector>

#include "promql/parse/ast.h"

namespace tocsin::promql {

struct FunctionSpec {
  std::string_view name;
  std::vector<ValueType> arg_types;
  // 0: exactly arg_types; n > 0: the last n are optional; -1: the last repeats any number of times.
  int variadic = 0;
  ValueType return_type = ValueType::kVector;
  bool experimental = false;
};

const FunctionSpec* FindFunction(std::string_view name);  // null if there is none
std::span<const FunctionSpec> AllFunctions();

}  // namespace tocsin::promql
