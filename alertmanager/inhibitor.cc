#include "alertmanager/inhibitor.h"

namespace tocsin::alertmanager {

Inhibitor::Inhibitor(std::span<const InhibitRuleConfig> rules) {
  for (const InhibitRuleConfig& config : rules) {
    rules_.push_back({.source = config.AllSource(),
                      .target = config.AllTarget(),
                      .equal = config.equal,
                      .by_equal = {}});
  }
}

// The values of the equal labels; a missing label is an empty one, so that labels missing on both
// sides count as equal.
std::string Inhibitor::EqualKey(const Rule& rule, model::LabelsView labels) {
  std::string key;
  for (const std::string& name : rule.equal) {
    key += labels.Get(name);
    key += '\xff';
  }
  return key;
}

void Inhibitor::Update(const model::AlertPtr& alert) {
  for (Rule& rule : rules_) {
    if (!MatchesAll(rule.source, alert->labels)) continue;
    Sources& sources = rule.by_equal[EqualKey(rule, alert->labels)];
    auto& side = MatchesAll(rule.target, alert->labels) ? sources.two_sided : sources.one_sided;
    side[alert->fingerprint()] = alert;
  }
}

void Inhibitor::Forget(const model::Alert& alert) {
  for (Rule& rule : rules_) {
    if (!MatchesAll(rule.source, alert.labels)) continue;
    const auto it = rule.by_equal.find(EqualKey(rule, alert.labels));
    if (it == rule.by_equal.end()) continue;
    it->second.one_sided.erase(alert.fingerprint());
    it->second.two_sided.erase(alert.fingerprint());
    if (it->second.one_sided.empty() && it->second.two_sided.empty()) rule.by_equal.erase(it);
  }
}

std::optional<uint64_t> Inhibitor::InhibitedBy(model::LabelsView labels, base::Time now) const {
  auto firing = [&](const std::map<uint64_t, model::AlertPtr>& side) -> std::optional<uint64_t> {
    for (const auto& [fingerprint, alert] : side) {
      if (!alert->ResolvedAt(now)) return fingerprint;
    }
    return std::nullopt;
  };
  for (const Rule& rule : rules_) {
    if (!MatchesAll(rule.target, labels)) continue;
    const auto it = rule.by_equal.find(EqualKey(rule, labels));
    if (it == rule.by_equal.end()) continue;
    if (auto source = firing(it->second.one_sided)) return source;
    if (it->second.two_sided.empty() || MatchesAll(rule.source, labels)) continue;
    if (auto source = firing(it->second.two_sided)) return source;
  }
  return std::nullopt;
}

}  // namespace tocsin::alertmanager
