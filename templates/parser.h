#pragma once

// Tokens to trees: one text gives the template it is named for and those it defines.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "templates/ast.h"

namespace tocsin::templates {

using TreeMap = std::map<std::string, std::shared_ptr<const Tree>, std::less<>>;

// Errors: kInvalidArgument, `template: NAME:LINE: ...` in Go's words.
// Bounds: 200 levels of nested blocks, 200 of parentheses.
base::Result<TreeMap> ParseTemplate(std::string_view name, std::string_view text,
                                    const std::function<bool(std::string_view)>& has_function);

}  // namespace tocsin::templates
