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
  if (!overlap) return next;
  if (next->updated_at < previous->updated_at) {
    // The clock was set back: what came last is the younger report all the same.
    auto younger = std::make_shared<model::Alert>(*next);
    younger->updated_at = previous->updated_at;
    next = std::move(younger);
  }
  return MergeAlerts(previous, next, now);
}

namespace {

constexpr uint8_t kAlertVersion = 2;  // 1 had label sets label by label
constexpr int64_t kDay = 24 * 60;     // minutes

// What changed is saved after so long, together.
constexpr base::Duration kSaveDelay = std::chrono::seconds(1);
// After a save that failed.
constexpr base::Duration kSaveAgain = std::chrono::seconds(30);
// An annotation that shows a value changes each minute; its record follows at this pace.
constexpr base::Duration kSaveTextsAfter = std::chrono::minutes(5);
// Records of one transaction, so that making them does not hold the loop.
constexpr size_t kSavedAtOnce = 2000;
// Indexes by label are made in one go on the loop, 100 ns an alert, and below a few hundred alerts not
// at all; the one used longest ago makes room.
constexpr size_t kLeastIndexed = 200;
constexpr size_t kMostIndexed = 150'000;
constexpr size_t kMaxIndexes = 4;

// Whether the bytes are a label set as model/labels.h describes it.
bool IsLabelSet(std::string_view bytes) {
  auto part = [&bytes](std::string_view* out) {
    if (bytes.empty()) return false;
    size_t length = static_cast<unsigned char>(bytes[0]);
    size_t begin = 1;
    if (length == 255) {
      if (bytes.size() < 4) return false;
      length = 0;
      for (size_t i = 3; i > 0; --i) length = length << 8 | static_cast<unsigned char>(bytes[i]);
      begin = 4;
    }
    if (bytes.size() - begin < length) return false;
    *out = bytes.substr(begin, length);
    bytes.remove_prefix(begin + length);
    return true;
  };
  std::string_view before, name, value;
  while (!bytes.empty()) {
    if (!part(&name) || !part(&value) || name <= before || value.empty()) return false;
    before = name;
  }
  return true;
}

uint64_t HashOf(std::string_view value) { return std::hash<std::string_view>()(value); }

}  // namespace

std::string EncodeAlert(const model::Alert& a, bool ended) {
  RecordWriter w(kAlertVersion);
  w.Text(a.labels.view().encoded());
  w.Text(a.annotations.view().encoded());
  w.Time(a.starts_at);
  w.Time(a.ends_at);
  w.Time(a.updated_at);
  w.Text(a.generator_url);
  w.Varint((a.timeout ? 1u : 0u) | (ended ? 2u : 0u));
  // Offsets lie within a day, east or west.
  w.Varint(static_cast<uint64_t>(a.starts_offset.count() + kDay));
  w.Varint(static_cast<uint64_t>(a.ends_offset.count() + kDay));
  return w.Take();
}

base::Result<DecodedAlert> DecodeAlert(std::string_view bytes) {
  RecordReader r(bytes);
  DecodedAlert out;
  model::Alert& a = out.alert;
  r.Version(kAlertVersion);
  const std::string_view labels = r.Text();
  const std::string_view annotations = r.Text();
  a.starts_at = r.Time();
  a.ends_at = r.Time();
  a.updated_at = r.Time();
  a.generator_url = r.Text();
  const uint64_t bits = r.Varint();
  a.timeout = (bits & 1) != 0;
  out.ended = (bits & 2) != 0;
  a.starts_offset = std::chrono::minutes(static_cast<int64_t>(r.Varint() % (2 * kDay)) - kDay);
  a.ends_offset = std::chrono::minutes(static_cast<int64_t>(r.Varint() % (2 * kDay)) - kDay);
  if (!r.ok() || !r.at_end() || labels.empty() || !IsLabelSet(labels) || !IsLabelSet(annotations)) {
    return base::DataLoss(fmt::format("alert record of {} bytes is damaged or of another version", bytes.size()));
  }
  a.labels = model::Labels::FromEncoded(labels);
  a.annotations = model::Labels::FromEncoded(annotations);
  a.known_fingerprint = a.labels.Fingerprint();
  return out;
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
    auto decoded = DecodeAlert(record.bytes);
    if (!decoded) {
      base::LogError("a stored alert cannot be read and is left out", {{"error", decoded.error()}});
      continue;
    }
    const uint64_t fingerprint = decoded->alert.fingerprint();
    if (!Admit(decoded->alert)) continue;
    alerts_[fingerprint] = {.alert = std::make_shared<const model::Alert>(std::move(decoded->alert)),
                            .placement = nullptr,
                            .saved_at = executor_->Now(),
                            .saved_firing = !decoded->ended};
    if (!decoded->ended) restored_firing_.push_back(fingerprint);
  }
}

void AlertStore::Extend(base::Duration resolve_timeout) {
  const base::Time end = executor_->Now() + resolve_timeout;
  for (const uint64_t fingerprint : restored_firing_) {
    KnownAlert& known = alerts_.at(fingerprint);
    if (known.alert->ends_at >= end) continue;
    auto longer = std::make_shared<model::Alert>(*known.alert);
    longer->ends_at = end;
    longer->timeout = true;
    known.alert = std::move(longer);
  }
  restored_firing_ = {};
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

bool AlertStore::NeedsSave(const KnownAlert& known, const model::Alert* before, base::Time now) const {
  if (before == nullptr) return true;
  const model::Alert& after = *known.alert;
  const bool fires = !after.ResolvedAt(now);
  if (fires != known.saved_firing || before->starts_at != after.starts_at) return true;
  if (!fires) return before->ends_at != after.ends_at;
  // A later end is what every repetition brings; an earlier one is the sender's decision.
  if (after.ends_at < before->ends_at) return true;
  const bool texts = before->annotations != after.annotations || before->generator_url != after.generator_url;
  return texts && now - known.saved_at >= kSaveTextsAfter;
}

std::optional<AlertStore::Stored> AlertStore::Put(const model::AlertPtr& alert) {
  const base::Time now = executor_->Now();
  const uint64_t fingerprint = alert->fingerprint();
  auto it = alerts_.find(fingerprint);
  const bool was_known = it != alerts_.end();
  if (!was_known) {
    if (!Admit(*alert)) return std::nullopt;
    it = alerts_.try_emplace(fingerprint).first;
    for (auto& index : indexes_) {
      const std::string_view value = alert->labels.Get(index->name);
      if (!value.empty()) index->by_value[HashOf(value)].push_back(fingerprint);
    }
  }
  KnownAlert& known = it->second;
  const model::AlertPtr before = std::move(known.alert);
  known.alert = UpdatedAlert(before, alert, now);
  if (options_.durable && !known.unsaved && NeedsSave(known, before.get(), now)) MarkUnsaved(fingerprint, &known);
  return Stored{.known = &known, .was_known = was_known, .was_firing = was_known && !before->ResolvedAt(now)};
}

KnownAlert* AlertStore::Find(uint64_t fingerprint) {
  const auto it = alerts_.find(fingerprint);
  return it == alerts_.end() ? nullptr : &it->second;
}

std::vector<uint64_t> AlertStore::Fingerprints() const {
  std::vector<uint64_t> out;
  out.reserve(alerts_.size());
  for (const auto& [fingerprint, known] : alerts_) out.push_back(fingerprint);
  std::ranges::sort(out);
  return out;
}

std::vector<model::AlertPtr> AlertStore::List() const {
  std::vector<model::AlertPtr> out;
  out.reserve(alerts_.size());
  for (const uint64_t fingerprint : Fingerprints()) out.push_back(alerts_.at(fingerprint).alert);
  return out;
}

// ---- finding by label --------------------------------------------------------------------------

AlertStore::LabelIndex* AlertStore::IndexOf(const std::string& name) {
  const auto found = std::ranges::find_if(indexes_, [&](const auto& index) { return index->name == name; });
  if (found != indexes_.end()) return found->get();
  if (alerts_.size() < kLeastIndexed || alerts_.size() > kMostIndexed) return nullptr;
  if (indexes_.size() == kMaxIndexes) {
    const auto oldest = std::ranges::min_element(indexes_, {}, [](const auto& index) { return index->used; });
    if ((*oldest)->used == queries_) return nullptr;  // the query at hand holds lists of all of them
    indexes_.erase(oldest);
  }
  indexes_.push_back(std::make_unique<LabelIndex>());
  LabelIndex* index = indexes_.back().get();
  index->name = name;
  for (const auto& [fingerprint, known] : alerts_) {
    const std::string_view value = known.alert->labels.Get(name);
    if (!value.empty()) index->by_value[HashOf(value)].push_back(fingerprint);
  }
  return index;
}

std::optional<std::vector<uint64_t>> AlertStore::Candidates(const Matchers& matchers) {
  ++queries_;
  static const std::vector<uint64_t> kNone;
  const std::vector<uint64_t>* best = nullptr;
  for (const Matcher& m : matchers) {
    if (m.op() != MatchOp::kEqual || m.value().empty()) continue;
    LabelIndex* index = IndexOf(m.name());
    if (index == nullptr) continue;
    index->used = queries_;
    const auto it = index->by_value.find(HashOf(m.value()));
    const std::vector<uint64_t>* list = it == index->by_value.end() ? &kNone : &it->second;
    if (best == nullptr || list->size() < best->size()) best = list;
  }
  if (best == nullptr) return std::nullopt;
  std::vector<uint64_t> out = *best;
  std::ranges::sort(out);
  return out;
}

// ---- saving ------------------------------------------------------------------------------------

void AlertStore::MarkUnsaved(uint64_t fingerprint, KnownAlert* known) {
  known->unsaved = true;
  unsaved_.push_back(fingerprint);
  if (std::exchange(save_armed_, true)) return;
  save_timer_ = executor_->After(kSaveDelay, gate_.Wrap([this] { SaveSome(); }));
}

void AlertStore::AppendRecord(uint64_t fingerprint, KnownAlert* known, base::Time now, state::Transaction* t) {
  const bool ended = known->alert->ResolvedAt(now);
  t->PutAlert({.fingerprint = fingerprint, .bytes = EncodeAlert(*known->alert, ended)});
  known->unsaved = false;
  known->saved_firing = !ended;
  known->saved_at = now;
}

void AlertStore::Commit(state::Transaction t, std::vector<uint64_t> saved) {
  store_->Commit(std::move(t), Gated<base::Status>(gate_, [this, saved = std::move(saved)](base::Status s) {
    if (s) return;
    base::LogWarn("alerts could not be stored for the next start; trying again",
                  {{"alerts", saved.size()}, {"error", s.error()}});
    for (const uint64_t fingerprint : saved) {
      const auto it = alerts_.find(fingerprint);
      if (it == alerts_.end() || it->second.unsaved) continue;
      it->second.unsaved = true;
      unsaved_.push_back(fingerprint);
    }
    save_armed_ = true;
    save_timer_ = executor_->After(kSaveAgain, gate_.Wrap([this] { SaveSome(); }));
  }));
}

void AlertStore::SaveSome() {
  save_armed_ = false;
  const base::Time now = executor_->Now();
  state::Transaction t;
  std::vector<uint64_t> saved;
  while (!unsaved_.empty() && saved.size() < kSavedAtOnce) {
    const uint64_t fingerprint = unsaved_.back();
    unsaved_.pop_back();
    const auto it = alerts_.find(fingerprint);
    if (it == alerts_.end() || !it->second.unsaved) continue;
    AppendRecord(fingerprint, &it->second, now, &t);
    saved.push_back(fingerprint);
  }
  if (!unsaved_.empty()) {
    save_armed_ = true;
    executor_->Post(gate_.Wrap([this] { SaveSome(); }));
  }
  if (!saved.empty()) Commit(std::move(t), std::move(saved));
}

void AlertStore::SaveAll() {
  save_timer_.Cancel();
  while (!unsaved_.empty()) SaveSome();
}

void AlertStore::Save(std::span<const model::AlertPtr> alerts) {
  if (!options_.durable) return;
  const base::Time now = executor_->Now();
  state::Transaction t;
  std::vector<uint64_t> saved;
  for (const model::AlertPtr& alert : alerts) {
    const uint64_t fingerprint = alert->fingerprint();
    const auto it = alerts_.find(fingerprint);
    if (it == alerts_.end()) continue;
    KnownAlert& known = it->second;
    if (!known.unsaved && !(known.saved_firing && known.alert->ResolvedAt(now))) continue;
    AppendRecord(fingerprint, &known, now, &t);
    saved.push_back(fingerprint);
  }
  if (!saved.empty()) Commit(std::move(t), std::move(saved));
}

std::vector<model::AlertPtr> AlertStore::Collect(size_t limit, const std::function<bool(const KnownAlert&)>& may_go) {
  const base::Time now = executor_->Now();
  std::vector<model::AlertPtr> gone;
  state::Transaction t;
  for (auto it = alerts_.begin(); it != alerts_.end() && gone.size() < limit;) {
    const auto at = it++;
    const model::AlertPtr& alert = at->second.alert;
    if (!alert->ResolvedAt(now) || !may_go(at->second)) continue;
    if (options_.durable) t.ForgetAlert(at->first);
    if (options_.per_alertname_limit > 0) {
      if (auto count = per_name_.find(alert->name()); count != per_name_.end() && --count->second <= 0) {
        per_name_.erase(count);
      }
    }
    gone.push_back(alert);
    alerts_.erase(at);
  }
  if (gone.empty()) return gone;
  indexes_.clear();  // made anew when they are asked for
  if (options_.durable) {
    store_->Commit(std::move(t), [](base::Status s) {
      if (!s) base::LogWarn("resolved alerts could not be forgotten", {{"error", s.error()}});
    });
  }
  return gone;
}

}  // namespace tocsin::alertmanager
