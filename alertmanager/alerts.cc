#include "alertmanager/alerts.h"

#include <fmt/format.h>

#include <algorithm>

#include "alertmanager/gated.h"
#include "alertmanager/record_codec.h"
#include "base/log.h"

namespace tocsin::alertmanager {

model::AlertPtr MergeAlerts(const model::AlertPtr& a, const model::AlertPtr& b, base::Time now) {
  if (b->updated_at < a->updated_at) return MergeAlerts(b, a, now);
  // From here on `b` is the younger report.
  auto merged = std::make_shared<model::Alert>(*b);
  if (a->starts_at < b->starts_at) {
    merged->starts_at = a->starts_at;
    merged->starts_offset = a->starts_offset;
  }
  if (b->ResolvedAt(now)) {
    // Both ended: the later end counts.
    if (a->ResolvedAt(now) && a->ends_at > b->ends_at) {
      merged->ends_at = a->ends_at;
      merged->ends_offset = a->ends_offset;
    }
  } else if (a->ends_at > b->ends_at && !a->timeout) {
    // An end that the sender gave beats one that only comes from resolve_timeout.
    merged->ends_at = a->ends_at;
    merged->ends_offset = a->ends_offset;
  }
  return merged;
}

model::AlertPtr UpdatedAlert(const model::AlertPtr& previous, model::AlertPtr next, base::Time now) {
  if (previous == nullptr) return next;
  const bool overlap = (next->ends_at > previous->starts_at && next->ends_at < previous->ends_at) ||
                       (next->starts_at > previous->starts_at && next->starts_at < previous->ends_at);
  return overlap ? MergeAlerts(previous, next, now) : next;
}

namespace {

constexpr uint8_t kAlertVersion = 1;
constexpr int64_t kDay = 24 * 60;  // minutes

void EncodeLabels(RecordWriter& w, const model::Labels& labels) {
  w.Varint(labels.size());
  for (const auto [name, value] : labels) {
    w.Text(name);
    w.Text(value);
  }
}

model::Labels DecodeLabels(RecordReader& r) {
  std::vector<model::Label> labels;
  for (size_t n = r.Count(); n > 0 && r.ok(); --n) {
    const std::string_view name = r.Text();
    labels.push_back({name, r.Text()});
  }
  return r.ok() ? model::Labels::FromLabels(std::move(labels)) : model::Labels();
}

}  // namespace

std::string EncodeAlert(const model::Alert& a) {
  RecordWriter w(kAlertVersion);
  EncodeLabels(w, a.labels);
  EncodeLabels(w, a.annotations);
  w.Time(a.starts_at);
  w.Time(a.ends_at);
  w.Time(a.updated_at);
  w.Text(a.generator_url);
  w.Varint(a.timeout ? 1 : 0);
  // Offsets lie within a day, east or west.
  w.Varint(static_cast<uint64_t>(a.starts_offset.count() + kDay));
  w.Varint(static_cast<uint64_t>(a.ends_offset.count() + kDay));
  return w.Take();
}

base::Result<model::Alert> DecodeAlert(std::string_view bytes) {
  RecordReader r(bytes);
  model::Alert a;
  r.Version(kAlertVersion);
  a.labels = DecodeLabels(r);
  a.annotations = DecodeLabels(r);
  a.starts_at = r.Time();
  a.ends_at = r.Time();
  a.updated_at = r.Time();
  a.generator_url = r.Text();
  a.timeout = r.Varint() != 0;
  a.starts_offset = std::chrono::minutes(static_cast<int64_t>(r.Varint() % (2 * kDay)) - kDay);
  a.ends_offset = std::chrono::minutes(static_cast<int64_t>(r.Varint() % (2 * kDay)) - kDay);
  if (!r.ok() || !r.at_end()) {
    return base::DataLoss(fmt::format("alert record of {} bytes is damaged or of a newer version", bytes.size()));
  }
  return a;
}

AlertStore::AlertStore(base::Executor* executor, state::Store* store, base::Registry* registry, Options options)
    : executor_(executor), store_(store), options_(options) {
  limited_ = registry->AddCounterFamily("alertmanager_alerts_limited_total",
                                        "Total number of alerts that were dropped due to per alert name limit.",
                                        options_.names_in_metrics ? base::Registry::Labels{"alertname"}
                                                                  : base::Registry::Labels{});
  if (!options_.names_in_metrics) limited_->With(std::initializer_list<std::string_view>{});
}

void AlertStore::Restore(std::vector<state::AlertRecord> records) {
  for (const state::AlertRecord& record : records) {
    auto alert = DecodeAlert(record.bytes);
    if (!alert) {
      base::LogError("a stored alert cannot be read and is left out", {{"error", alert.error()}});
      continue;
    }
    const uint64_t fingerprint = alert->fingerprint();
    if (Admit(*alert)) alerts_[fingerprint] = std::make_shared<const model::Alert>(std::move(*alert));
  }
}

bool AlertStore::Admit(const model::Alert& alert) {
  if (options_.per_alertname_limit <= 0) return true;
  int64_t& count = per_name_[std::string(alert.name())];
  if (count < options_.per_alertname_limit) {
    ++count;
    return true;
  }
  if (options_.names_in_metrics) {
    limited_->With({alert.name()})->Add();
  } else {
    limited_->With(std::initializer_list<std::string_view>{})->Add();
  }
  return false;
}

std::vector<model::AlertPtr> AlertStore::Put(std::span<const model::AlertPtr> alerts) {
  const base::Time now = executor_->Now();
  std::vector<model::AlertPtr> stored;
  stored.reserve(alerts.size());
  state::Transaction t;
  for (const model::AlertPtr& alert : alerts) {
    const uint64_t fingerprint = alert->fingerprint();
    auto it = alerts_.find(fingerprint);
    if (it == alerts_.end() && !Admit(*alert)) continue;
    model::AlertPtr& slot = alerts_[fingerprint];
    slot = UpdatedAlert(slot, alert, now);
    stored.push_back(slot);
    if (options_.durable) {
      t.PutAlert({.fingerprint = fingerprint, .bytes = EncodeAlert(*slot), .ends_at = slot->ends_at});
    }
  }
  if (!t.empty()) {
    store_->Commit(std::move(t), [](base::Status s) {
      if (!s) base::LogWarn("alerts could not be stored for the next start", {{"error", s.error()}});
    });
  }
  return stored;
}

model::AlertPtr AlertStore::Find(uint64_t fingerprint) const {
  const auto it = alerts_.find(fingerprint);
  return it == alerts_.end() ? nullptr : it->second;
}

std::vector<model::AlertPtr> AlertStore::List() const {
  std::vector<std::pair<uint64_t, model::AlertPtr>> sorted(alerts_.begin(), alerts_.end());
  std::ranges::sort(sorted, {}, &std::pair<uint64_t, model::AlertPtr>::first);
  std::vector<model::AlertPtr> out;
  out.reserve(sorted.size());
  for (auto& [fingerprint, alert] : sorted) out.push_back(std::move(alert));
  return out;
}

std::vector<model::AlertPtr> AlertStore::Collect() {
  const base::Time now = executor_->Now();
  std::vector<model::AlertPtr> gone;
  state::Transaction t;
  for (auto it = alerts_.begin(); it != alerts_.end();) {
    if (!it->second->ResolvedAt(now)) {
      ++it;
      continue;
    }
    if (options_.durable) t.ForgetAlert(it->first);
    if (options_.per_alertname_limit > 0) {
      if (auto count = per_name_.find(it->second->name()); count != per_name_.end() && --count->second <= 0) {
        per_name_.erase(count);
      }
    }
    gone.push_back(std::move(it->second));
    it = alerts_.erase(it);
  }
  if (!t.empty()) {
    store_->Commit(std::move(t), [](base::Status s) {
      if (!s) base::LogWarn("resolved alerts could not be forgotten", {{"error", s.error()}});
    });
  }
  return gone;
}

}  // namespace tocsin::alertmanager
