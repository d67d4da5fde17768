#pragma once

// The functions of rule templates (query, humanize, graphLink, ...) and the way a label or an
// annotation of an alerting rule is expanded.  Source: Prometheus 3.14, template/template.go.
//
//   RuleTemplateContext context{.query = ..., .now_ms = ts, .external_url = "http://p:9090"};
//   ASSIGN_OR_RETURN(std::string text, ExpandRuleTemplate("__alert_Down", text, data, context));
//
// Threads: any; `query` is called on the caller's.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "model/histogram.h"
#include "model/labels.h"
#include "model/sample.h"
#include "templates/template.h"

namespace tocsin::templates {

struct QuerySample {
  model::Labels labels;
  double value = 0;
  model::HistogramPtr histogram;  // instead of the value
};
// Runs a query as of the context's time.
using QueryCallback = std::function<base::Result<std::vector<QuerySample>>(const std::string& expr)>;

struct RuleTemplateContext {
  QueryCallback query;
  model::Timestamp now_ms = 0;
  std::string external_url;
};

FunctionMap RuleFunctions(const RuleTemplateContext& context);

// The data of an alert's templates: .Labels, .ExternalLabels, .ExternalURL, .Value.
Value AlertTemplateData(model::LabelsView labels, model::LabelsView external_labels,
                        const std::string& external_url, double value, model::HistogramPtr histogram);
// {{ $labels := .Labels }}...: stands before each rule template, so that $value and so on are there.
std::string_view RuleTemplateDefinitions();

// Expands `text`.  Errors: "error parsing template NAME: ...", "error executing template NAME: ...".
base::Result<std::string> ExpandRuleTemplate(const std::string& name, std::string_view text,
                                             const Value& data, const RuleTemplateContext& context,
                                             const ExecuteOptions& options = {});
// One label or annotation of an alerting rule, parsed once and expanded for each alert; the definitions
// stand before its text.  Threads: immutable.
class RuleTemplate {
 public:
  // Errors: "error parsing template NAME: ...".
  static base::Result<RuleTemplate> Parse(const std::string& name, std::string_view text);
  // Errors: "error executing template NAME: ...".
  base::Result<std::string> Expand(const Value& data, const RuleTemplateContext& context) const;

 private:
  RuleTemplate(std::string name, TemplateSet set) : name_(std::move(name)), set_(std::move(set)) {}
  std::string name_;
  TemplateSet set_;
};

// Whether `text` can be parsed, with the definitions before it.
base::Status CheckRuleTemplate(const std::string& name, std::string_view text);

}  // namespace tocsin::templates
