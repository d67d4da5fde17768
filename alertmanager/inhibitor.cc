#include "alertmanager/inhibitor.h"

#include <algorithm>

namespace tocsin::alertmanager {

Inhibitor::Inhibitor(std::span<const InhibitRuleConfig> rules) {
  for (const InhibitRuleConfig& config : rules) {
    std::vector<std::string> names = config.equal;
    std::ranges::sort(names);
    const auto equal = std::ranges::find(equals_, names, &Equal::names);
    const auto equal_index = static_cast<size_t>(equal - equals_.begin());
    if (equal == equals_.end()) equals_.push_back({.names = std::move(names), .by_values = {}});
    const auto index = static_cast<uint32_t>(rules_.size());
    rules_.push_back({.source = config.AllSource(), .target = config.AllTarget(), .equal = equal_index});
    sources_.Add(index, rules_.back().source);
  }
}

// The values of the equal labels; a missing label is an empty one, so that labels missing on both
// sides count as equal.
std::string Inhibitor::KeyOf(const Equal& equal, model::LabelsView labels) {
  std::string key;
  for (const std::string& name : equal.names) {
    key += labels.Get(name);
    key += '\xff';
  }
  return key;
}

void Inhibitor::Update(const model::AlertPtr& alert, base::Time now) {
  sources_.Visit(alert->labels, [&](uint32_t index) {
    const Rule& rule = rules_[index];
    if (!MatchesAll(rule.source, alert->labels)) return true;
    if (alert->ResolvedAt(now)) {
      Remove(rule, index, *alert);
      return true;
    }
    Equal& equal = equals_[rule.equal];
    std::vector<Sources>& list = equal.by_values[KeyOf(equal, alert->labels)];
    auto at = std::ranges::lower_bound(list, index, {}, &Sources::rule);
    if (at == list.end() || at->rule != index) {
      at = list.insert(at, {.rule = index, .one_sided = {}, .two_sided = {}});
    }
    auto& side = MatchesAll(rule.target, alert->labels) ? at->two_sided : at->one_sided;
    side[alert->fingerprint()] = alert;
    return true;
  });
}

void Inhibitor::Remove(const Rule& rule, uint32_t index, const model::Alert& alert) {
  Equal& equal = equals_[rule.equal];
  const auto values = equal.by_values.find(KeyOf(equal, alert.labels));
  if (values == equal.by_values.end()) return;
  std::vector<Sources>& list = values->second;
  const auto at = std::ranges::lower_bound(list, index, {}, &Sources::rule);
  if (at == list.end() || at->rule != index) return;
  at->one_sided.erase(alert.fingerprint());
  at->two_sided.erase(alert.fingerprint());
  if (at->one_sided.empty() && at->two_sided.empty()) list.erase(at);
  if (list.empty()) equal.by_values.erase(values);
}

void Inhibitor::Forget(const model::Alert& alert) {
  sources_.Visit(alert.labels, [&](uint32_t index) {
    if (MatchesAll(rules_[index].source, alert.labels)) Remove(rules_[index], index, alert);
    return true;
  });
}

std::optional<uint64_t> Inhibitor::InhibitedBy(model::LabelsView labels, base::Time now) const {
  auto firing = [&](const std::map<uint64_t, model::AlertPtr>& side) -> std::optional<uint64_t> {
    for (const auto& [fingerprint, alert] : side) {
      if (!alert->ResolvedAt(now)) return fingerprint;
    }
    return std::nullopt;
  };
  std::optional<uint64_t> found;
  uint32_t found_rule = 0;
  for (const Equal& equal : equals_) {
    if (equal.by_values.empty()) continue;
    const auto values = equal.by_values.find(KeyOf(equal, labels));
    if (values == equal.by_values.end()) continue;
    for (const Sources& sources : values->second) {
      if (found && sources.rule > found_rule) break;  // the first rule decides
      const Rule& rule = rules_[sources.rule];
      if (!MatchesAll(rule.target, labels)) continue;
      auto source = firing(sources.one_sided);
      if (!source && !sources.two_sided.empty() && !MatchesAll(rule.source, labels)) source = firing(sources.two_sided);
      if (!source) continue;
      found = source;
      found_rule = sources.rule;
      break;
    }
  }
  return found;
}

}  // namespace tocsin::alertmanager
