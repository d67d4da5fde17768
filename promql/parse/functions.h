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
  // 0: exactly arg_types; n > 0: between size-1 and size-1+n arguments; -1: size-1 or more.  What comes
  // beyond arg_types has the type of the last.
  int variadic = 0;
  ValueType return_type = ValueType::kVector;
  bool experimental = false;
};

const FunctionSpec* FindFunction(std::string_view name);  // null if there is none
std::span<const FunctionSpec> AllFunctions();

}  // namespace tocsin::promql
