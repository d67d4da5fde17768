#pragma once

// Runs parsed templates.  Internal to the room; TemplateSet is the public face.

#include <string>
#include <string_view>

#include "base/result.h"
#include "templates/parser.h"
#include "templates/template.h"

namespace tocsin::templates {

struct HtmlTemplate;  // html_plan.h

// Where an execution finds templates, functions and texts to parse on the way.
struct Program {
  const TreeMap* trees = nullptr;
  const FunctionMap* functions = nullptr;
};

base::Result<std::string> ExecuteTemplate(const Program& program, std::string_view name, const Value& data,
                                          const ExecuteOptions& options);

// and, or, not, len, index, slice, print*, html, js, urlquery, eq...; the same for all sets.
const FunctionMap& Builtins();

// &, <, >, quotes and NUL as text/template's html function writes them.
std::string HtmlEscape(std::string_view text);

}  // namespace tocsin::templates
