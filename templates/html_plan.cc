#include "templates/html_plan.h"

#include "base/text.h"
#include "templates/exec.h"

namespace tocsin::templates {

base::Result<std::shared_ptr<const HtmlPlan>> PlanHtml(const TreeMap& trees, std::string_view name) {
  auto plan = std::make_shared<HtmlPlan>();
  auto& main = plan->templates[std::string(name)];
  main = std::make_unique<HtmlTemplate>();
  main->tree = trees.find(name)->second.get();
  plan->main = main.get();
  for (const auto& [other, tree] : trees) {
    (void)other;
    (void)tree;
  }
  return std::shared_ptr<const HtmlPlan>(std::move(plan));
}

base::Result<std::string> EscapeForHtml(const HtmlTemplate&, const Node&, const Value& value) {
  if (value.is_nil()) return std::string();
  if (value.type()->content == Type::Content::kHtml) return value.as_string();
  return base::ReplaceAll(HtmlEscape(Printed(value)), "+", "&#43;");
}

}  // namespace tocsin::templates
