// What templates see of a group, and the order of its alerts.

#include <algorithm>

#include "alertmanager/notifier.h"
#include "base/regex.h"

namespace tocsin::alertmanager {

namespace {

templates::KeyValues ToKeyValues(model::LabelsView labels) {
  templates::KeyValues out;
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

bool AlertBefore(const model::Alert& a, const model::Alert& b) {
  for (std::string_view key : {model::kJob, model::kInstance}) {
    const bool has_a = a.labels.Has(key), has_b = b.labels.Has(key);
    if (!has_a && !has_b) continue;
    if (has_a != has_b) return has_a;
    if (a.labels.Get(key) != b.labels.Get(key)) return a.labels.Get(key) < b.labels.Get(key);
  }
  return LabelSetBefore(a.labels, b.labels);
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
