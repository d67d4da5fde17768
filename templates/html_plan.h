#pragma once

// How the actions of a template are escaped in HTML: worked out once per execution from the text
// around them.  Internal to the room.

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "templates/ast.h"
#include "templates/html_escapers.h"
#include "templates/parser.h"
#include "templates/value.h"

namespace tocsin::templates {

// One template in one context.
struct HtmlTemplate {
  const Tree* tree = nullptr;
  std::map<const Node*, std::vector<Escaper>> actions;
  std::map<const Node*, std::string> texts;  // those that are changed
  std::map<const Node*, const HtmlTemplate*> calls;

  const std::string* TextOf(const Node& node) const {
    const auto it = texts.find(&node);
    return it == texts.end() ? nullptr : &it->second;
  }
  const HtmlTemplate* CallOf(const Node& node) const {
    const auto it = calls.find(&node);
    return it == calls.end() ? nullptr : it->second;
  }
};

struct HtmlPlan {
  const HtmlTemplate* main = nullptr;
  std::map<std::string, std::unique_ptr<HtmlTemplate>> templates;
};

// Errors: kInvalidArgument, "html/template:NAME:LINE:COLUMN: ..." in Go's words.
base::Result<std::shared_ptr<const HtmlPlan>> PlanHtml(const TreeMap& trees, std::string_view name);

// What an action prints.
base::Result<std::string> EscapeForHtml(const HtmlTemplate& html, const Node& action, const Value& value);

}  // namespace tocsin::templates
