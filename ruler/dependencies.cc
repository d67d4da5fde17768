#include "ruler/dependencies.h"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>

#include "promql/parse/functions.h"
#include "templates/rule_functions.h"

namespace tocsin::ruler {
namespace {

// What an expression reads.
struct Reads {
  bool anything = false;                             // names are not all known
  std::vector<const promql::VectorSelector*> selectors;
};

void FindReads(const promql::Expr& e, Reads* reads) {
  if (e.kind == promql::ExprKind::kVectorSelector) {
    const auto& selector = promql::As<promql::VectorSelector>(e);
    const bool named = std::ranges::any_of(
        selector.matchers, [](const model::Matcher& m) { return m.name() == model::kMetricName; });
    if (named) {
      reads->selectors.push_back(&selector);
    } else {
      reads->anything = true;
    }
  }
  // info() reads metrics that it does not name.
  if (e.kind == promql::ExprKind::kCall && promql::As<promql::Call>(e).function->name == "info") reads->anything = true;
  for (const promql::Expr* child : promql::Children(e)) FindReads(*child, reads);
}

Reads ReadsOf(const RuleSpec& rule) {
  Reads reads;
  FindReads(*rule.expr, &reads);
  if (!rule.is_alert()) return reads;
  for (const LabelList* list : {&rule.labels, &rule.annotations}) {
    for (const auto& [name, text] : *list) {
      // A template may run a query of its own.
      if (text.find("query") != std::string::npos && templates::HasActions(text)) reads.anything = true;
    }
  }
  return reads;
}

// What every series of the rule has: its name, and those labels that no template changes.
using FixedLabels = std::map<std::string_view, std::string_view>;

FixedLabels FixedLabelsOf(const RuleSpec& rule) {
  FixedLabels fixed;
  for (const auto& [name, value] : rule.labels) {
    if (!rule.is_alert() || !templates::HasActions(value)) fixed[name] = value;
  }
  if (rule.is_alert()) {
    fixed[model::kAlertName] = rule.alert;
    fixed[model::kMetricName] = "ALERTS";
  } else {
    fixed[model::kMetricName] = rule.record;
  }
  return fixed;
}

bool MayRead(const Reads& reads, const FixedLabels& written) {
  if (reads.anything) return true;
  return std::ranges::any_of(reads.selectors, [&](const promql::VectorSelector* s) {
    return std::ranges::all_of(s->matchers, [&](const model::Matcher& m) {
      const auto label = written.find(m.name());
      return label == written.end() || m.Matches(label->second);
    });
  });
}

bool ReadsFrom(const Reads& reads, const RuleSpec& writer) {
  FixedLabels written = FixedLabelsOf(writer);
  if (MayRead(reads, written)) return true;
  if (!writer.is_alert()) return false;
  written[model::kMetricName] = "ALERTS_FOR_STATE";
  return MayRead(reads, written);
}

// Whether both may write one series: then each must find what the other wrote.
bool MayWriteTheSame(const RuleSpec& a, const RuleSpec& b) {
  const FixedLabels fixed_a = FixedLabelsOf(a);
  const FixedLabels fixed_b = FixedLabelsOf(b);
  return std::ranges::all_of(fixed_a, [&](const auto& label) {
    const auto other = fixed_b.find(label.first);
    return other == fixed_b.end() || other->second == label.second;
  });
}

}  // namespace

std::vector<size_t> RulesNeeded(const std::vector<RuleSpec>& rules) {
  std::vector<size_t> needed(rules.size(), 0);
  for (size_t i = 0; i < rules.size(); ++i) {
    const Reads reads = ReadsOf(rules[i]);
    for (size_t j = i; j-- > 0;) {
      if (!ReadsFrom(reads, rules[j]) && !MayWriteTheSame(rules[i], rules[j])) continue;
      needed[i] = j + 1;
      break;
    }
  }
  return needed;
}

size_t LastWriterBefore(const std::vector<RuleSpec>& rules, size_t rule, const promql::Expr& part) {
  Reads reads;
  FindReads(part, &reads);
  for (size_t j = rule; j-- > 0;) {
    if (ReadsFrom(reads, rules[j])) return j + 1;
  }
  return 0;
}

}  // namespace tocsin::ruler
