// What templates see of a group, and the order of its alerts.

#include <algorithm>

#include "alertmanager/notifier.h"
#include "base/regex.h"

namespace tocsin::alertmanager {

namespace {

templates::KeyValues ToKeyValues(model::LabelsView labels) {
  templates::KeyValues out;
  out.reserve(labels.size());
  for (const auto [name, value] : labels) out.emplace_back(name, value);
  return out;
}

templates::GoTime GoTimeOf(base::Time t, std::chrono::minutes offset) {
  const auto utc = templates::GoTime::FromTime(t);
  return offset.count() == 0 ? utc : utc.In(templates::Zone::Fixed("", static_cast<int>(offset.count()) * 60));
}

// Keeps of `common` what `labels` has too.
void Intersect(model::LabelsView labels, templates::KeyValues* common) {
  std::erase_if(*common, [&](const auto& pair) { return labels.Get(pair.first) != pair.second || !labels.Has(pair.first); });
}

}  // namespace

bool LabelSetBefore(model::LabelsView a, model::LabelsView b) {
  const size_t na = a.size(), nb = b.size();
  if (na != nb) return na < nb;
  auto i = a.begin();
  auto j = b.begin();
  for (; i != a.end(); ++i, ++j) {
    // The set that has the smaller name lacks nothing there; the other one comes first.
    if (i->name != j->name) return i->name > j->name;
    if (i->value != j->value) return i->value < j->value;
  }
  return false;
}

namespace {

// What the order of an alert depends on, found once.
struct OrderKey {
  explicit OrderKey(const model::Alert& alert)
      : labels(alert.labels), job(labels.Get(model::kJob)), instance(labels.Get(model::kInstance)) {}
  model::LabelsView labels;
  std::string_view job;
  std::string_view instance;
};

bool Before(const OrderKey& a, const OrderKey& b) {
  for (const auto key : {&OrderKey::job, &OrderKey::instance}) {
    // Labels are never empty: an empty value is a label that is not there, and comes last.
    if ((a.*key).empty() != (b.*key).empty()) return !(a.*key).empty();
    if (const int order = (a.*key).compare(b.*key); order != 0) return order < 0;
  }
  return LabelSetBefore(a.labels, b.labels);
}

}  // namespace

bool AlertBefore(const model::Alert& a, const model::Alert& b) { return Before(OrderKey(a), OrderKey(b)); }

void SortAlerts(std::vector<model::AlertPtr>* alerts) {
  std::vector<std::pair<OrderKey, model::AlertPtr>> keyed;
  keyed.reserve(alerts->size());
  for (model::AlertPtr& alert : *alerts) {
    const OrderKey key(*alert);
    keyed.emplace_back(key, std::move(alert));
  }
  std::ranges::stable_sort(keyed, [](const auto& a, const auto& b) { return Before(a.first, b.first); });
  for (size_t i = 0; i < keyed.size(); ++i) (*alerts)[i] = std::move(keyed[i].second);
}

templates::NotificationData MakeNotificationData(const FlushedGroup& group, const std::string& receiver,
                                                 const std::vector<model::AlertPtr>& alerts,
                                                 std::string_view reason, const std::string& external_url) {
  templates::NotificationData d;
  d.receiver = base::QuoteMeta(receiver);
  d.status = "resolved";
  d.notification_reason = reason;
  d.group_labels = ToKeyValues(group.labels);
  d.external_url = external_url;
  d.alerts.reserve(alerts.size());
  for (const model::AlertPtr& a : alerts) {
    const bool resolved = a->ends_at != base::Time{};
    if (!resolved) d.status = "firing";
    d.alerts.push_back({.status = resolved ? "resolved" : "firing",
                        .labels = ToKeyValues(a->labels),
                        .annotations = ToKeyValues(a->annotations),
                        .starts_at = GoTimeOf(a->starts_at, a->starts_offset),
                        .ends_at = resolved ? GoTimeOf(a->ends_at, a->ends_offset) : templates::GoTime{},
                        .generator_url = a->generator_url,
                        .fingerprint = FingerprintText(a->fingerprint())});
  }
  if (!alerts.empty()) {
    d.common_labels = ToKeyValues(alerts.front()->labels);
    d.common_annotations = ToKeyValues(alerts.front()->annotations);
    for (const model::AlertPtr& a : alerts) {
      Intersect(a->labels, &d.common_labels);
      Intersect(a->annotations, &d.common_annotations);
    }
  }
  return d;
}

}  // namespace tocsin::alertmanager
