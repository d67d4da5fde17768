#include "alertmanager/silences.h"

#include <fmt/format.h>

#include <algorithm>

#include "alertmanager/gated.h"
#include "alertmanager/record_codec.h"
#include "base/check.h"
#include "base/log.h"
#include "base/text.h"

namespace tocsin::alertmanager {

std::string_view SilenceStateName(SilenceState state) {
  switch (state) {
    case SilenceState::kPending: return "pending";
    case SilenceState::kActive: return "active";
    case SilenceState::kExpired: break;
  }
  return "expired";
}

SilenceState Silence::StateAt(base::Time now) const {
  if (now < starts_at) return SilenceState::kPending;
  if (now > ends_at) return SilenceState::kExpired;
  return SilenceState::kActive;
}

base::Status Silence::SetSchedule(std::string text) {
  ASSIGN_OR_RETURN(intervals, ReadSchedule(text));
  schedule = intervals != nullptr ? std::move(text) : std::string();
  return {};
}

bool Silence::HoldsAt(base::Time now) const {
  return StateAt(now) == SilenceState::kActive && (intervals == nullptr || ContainsTime(*intervals, now));
}

bool Silence::IsFor(std::string_view receiver) const {
  return receivers.empty() || std::ranges::find(receivers, receiver) != receivers.end();
}

bool Silence::Matches(model::LabelsView labels) const {
  return std::ranges::any_of(matcher_sets, [&](const Matchers& set) { return MatchesAll(set, labels); });
}

base::Status ValidateSilence(const Silence& s) {
  if (s.matcher_sets.empty()) return base::InvalidArgument("at least one matcher required");
  for (const Matchers& set : s.matcher_sets) {
    if (set.empty()) return base::InvalidArgument("at least one matcher required");
    for (size_t i = 0; i < set.size(); ++i) {
      if (set[i].name().empty() || !base::IsValidUtf8(set[i].name())) {
        return base::InvalidArgument(
            fmt::format("invalid label matcher {}: invalid label name \"{}\"", i, set[i].name()));
      }
      if (!base::IsValidUtf8(set[i].value())) {
        return base::InvalidArgument(fmt::format("invalid label matcher {}: invalid label value \"{}\"", i,
                                                 base::ReplaceInvalidUtf8(set[i].value())));
      }
    }
    // Negative matchers count as selective here, although most of them match the empty value.
    if (std::ranges::all_of(set, [](const Matcher& m) {
          return (m.op() == MatchOp::kEqual || m.op() == MatchOp::kRegex) && m.matches_empty();
        })) {
      return base::InvalidArgument("at least one matcher must not match the empty string");
    }
  }
  if (s.starts_at == base::Time{}) return base::InvalidArgument("invalid zero start timestamp");
  if (s.ends_at == base::Time{}) return base::InvalidArgument("invalid zero end timestamp");
  if (s.ends_at < s.starts_at) return base::InvalidArgument("end time must not be before start time");
  return {};
}

bool MutesNearlyAll(const Silence& s) {
  return std::ranges::any_of(s.matcher_sets, [](const Matchers& set) {
    return std::ranges::all_of(set, [](const Matcher& m) { return m.Matches("~") && m.Matches("zq 7 unheard-of"); });
  });
}

bool CanUpdateSilence(const Silence& previous, const Silence& next, base::Time now) {
  if (previous.matcher_sets != next.matcher_sets || previous.receivers != next.receivers || previous.schedule != next.schedule) return false;
  switch (previous.StateAt(now)) {
    case SilenceState::kActive:
      return std::chrono::floor<std::chrono::seconds>(previous.starts_at) ==
                 std::chrono::floor<std::chrono::seconds>(next.starts_at) &&
             next.ends_at >= now;
    case SilenceState::kPending:
      return next.starts_at >= now;
    case SilenceState::kExpired:
      break;
  }
  return false;
}

// ---- bytes -------------------------------------------------------------------------------------

namespace {
constexpr uint8_t kSilenceVersion = 1;
// With a schedule and receivers after what version 1 has.
constexpr uint8_t kScheduledVersion = 2;
// Ended silences stay in the index for so long, since the clock may be set back.
constexpr base::Duration kIndexedAfterEnd = std::chrono::hours(1);
}

std::string EncodeSilence(const Silence& s) {
  const bool scheduled = !s.schedule.empty() || !s.receivers.empty();
  RecordWriter w(scheduled ? kScheduledVersion : kSilenceVersion);
  w.Text(s.id);
  w.Time(s.starts_at);
  w.Time(s.ends_at);
  w.Time(s.updated_at);
  w.Text(s.created_by);
  w.Text(s.comment);
  w.Varint(s.annotations.size());
  for (const auto& [name, value] : s.annotations) {
    w.Text(name);
    w.Text(value);
  }
  w.Varint(s.matcher_sets.size());
  for (const Matchers& set : s.matcher_sets) {
    w.Varint(set.size());
    for (const Matcher& m : set) {
      w.Varint(static_cast<uint64_t>(m.op()));
      w.Text(m.name());
      w.Text(m.value());
    }
  }
  if (scheduled) {
    w.Text(s.schedule);
    w.Varint(s.receivers.size());
    for (const std::string& receiver : s.receivers) w.Text(receiver);
  }
  return w.Take();
}

base::Result<Silence> DecodeSilence(std::string_view bytes) {
  RecordReader r(bytes);
  Silence s;
  const bool scheduled = !bytes.empty() && static_cast<uint8_t>(bytes.front()) == kScheduledVersion;
  r.Version(scheduled ? kScheduledVersion : kSilenceVersion);
  s.id = r.Text();
  s.starts_at = r.Time();
  s.ends_at = r.Time();
  s.updated_at = r.Time();
  s.created_by = r.Text();
  s.comment = r.Text();
  for (size_t n = r.Count(); n > 0 && r.ok(); --n) {
    std::string name(r.Text());
    s.annotations.emplace_back(std::move(name), r.Text());
  }
  bool known = true;
  for (size_t sets = r.Count(); sets > 0 && r.ok() && known; --sets) {
    Matchers set;
    for (size_t n = r.Count(); n > 0 && r.ok(); --n) {
      const uint64_t op = r.Varint();
      const std::string_view name = r.Text();
      const std::string_view value = r.Text();
      known = known && op <= static_cast<uint64_t>(MatchOp::kNotRegex);
      if (!r.ok() || !known) break;
      ASSIGN_OR_RETURN(Matcher m, Matcher::Make(static_cast<MatchOp>(op), name, value));
      set.push_back(std::move(m));
    }
    s.matcher_sets.push_back(std::move(set));
  }
  if (scheduled) {
    RETURN_IF_ERROR(s.SetSchedule(std::string(r.Text())));
    for (size_t n = r.Count(); n > 0 && r.ok(); --n) s.receivers.emplace_back(r.Text());
  }
  if (!r.ok() || !r.at_end() || !known) {
    return base::DataLoss(
        fmt::format("silence record of {} bytes is damaged or of a newer version", bytes.size()));
  }
  return s;
}

// ---- the store ---------------------------------------------------------------------------------

Silences::Silences(base::Executor* executor, state::Store* store, base::Registry* registry, Options options)
    : executor_(executor), store_(store), options_(std::move(options)) {
  queries_ = registry->AddCounter("alertmanager_silences_queries_total",
                                  "How many silence queries were received.");
  query_duration_ = registry->AddHistogram("alertmanager_silences_query_duration_seconds",
                                           "Duration of silence query evaluation.", base::DefaultBuckets());
  registry->AddCounter("alertmanager_silences_query_errors_total",
                       "How many silence received queries did not succeed.");
  registry->AddCounter("alertmanager_silences_gossip_messages_propagated_total",
                       "Number of received gossip messages that have been further gossiped.");
  size_bytes_ = registry->AddGauge("alertmanager_silences_snapshot_size_bytes",
                                   "Size of the stored silences in bytes.");
  registry->AddSummary("alertmanager_silences_snapshot_duration_seconds",
                       "Duration of the last silence snapshot.", {});
  gc_duration_ = registry->AddSummary("alertmanager_silences_gc_duration_seconds",
                                      "Duration of the last silence garbage collection cycle.", {});
  maintenance_ = registry->AddCounter("alertmanager_silences_maintenance_total",
                                      "How many maintenances were executed for silences.");
  registry->AddCounter("alertmanager_silences_maintenance_errors_total",
                       "How many maintenances were executed for silences that failed.");
}

void Silences::Restore(std::vector<state::SilenceRecord> records) {
  for (const state::SilenceRecord& record : records) {
    auto silence = DecodeSilence(record.bytes);
    if (!silence) {
      base::LogError("a stored silence cannot be read and is left out",
                     {{"id", record.id}, {"error", silence.error()}});
      continue;
    }
    Insert(std::make_shared<const Silence>(std::move(*silence)));
  }
}

void Silences::Index(const Entry& entry, base::Time now) {
  const bool wanted = entry.silence->ends_at + kIndexedAfterEnd > now;
  if (wanted == indexed_[entry.slot]) return;
  indexed_[entry.slot] = wanted;
  if (!wanted) return index_.Remove(entry.slot);
  for (const Matchers& set : entry.silence->matcher_sets) index_.Add(entry.slot, set);
}

void Silences::Insert(SilencePtr silence) {
  if (const auto old = by_id_.find(silence->id); old != by_id_.end()) Erase(old);
  uint32_t slot = 0;
  if (free_slots_.empty()) {
    slot = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
    indexed_.push_back(false);
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  slots_[slot] = silence;
  const std::string& id = slots_[slot]->id;
  Index(by_id_.insert_or_assign(id, Entry{.silence = std::move(silence), .slot = slot}).first->second, executor_->Now());
}

void Silences::Erase(std::map<std::string, Entry, std::less<>>::iterator entry) {
  const uint32_t slot = entry->second.slot;
  if (indexed_[slot]) index_.Remove(slot);
  indexed_[slot] = false;
  slots_[slot] = nullptr;
  free_slots_.push_back(slot);
  by_id_.erase(entry);
}

base::Status Silences::CheckLimits(const Silence& silence, bool is_new) const {
  const int64_t count = static_cast<int64_t>(by_id_.size()) + being_added_;
  if (is_new && options_.limits.max_silences > 0 && count + 1 > options_.limits.max_silences) {
    return base::ResourceExhausted(fmt::format("exceeded maximum number of silences: {} (limit: {})", count,
                                               options_.limits.max_silences));
  }
  const auto size = static_cast<int64_t>(EncodeSilence(silence).size());
  if (options_.limits.max_silence_size_bytes > 0 && size > options_.limits.max_silence_size_bytes) {
    return base::ResourceExhausted(fmt::format("silence exceeded maximum size: {} bytes (limit: {} bytes)",
                                               size, options_.limits.max_silence_size_bytes));
  }
  return {};
}

void Silences::Store(std::vector<Silence> changed, std::move_only_function<void(base::Status)> done) {
  state::Transaction t;
  for (const Silence& s : changed) {
    t.PutSilence({.id = s.id,
                  .bytes = EncodeSilence(s),
                  .updated_at = s.updated_at,
                  .expires_at = s.ends_at + options_.retention});
  }
  auto stored = [this, changed = std::move(changed), done = std::move(done)](base::Status status) mutable {
    if (!status) {
      base::LogError("silences could not be stored", {{"error", status.error()}});
      // A full disk is no limit of silences: nothing is wrong with what was asked for.
      done(base::Unavailable("the silence could not be stored: " + status.error().message()));
      return;
    }
    for (Silence& s : changed) {
      if (options_.log_changes) Log(s);
      const SilencePtr before = Find(s.id);
      const auto now = std::make_shared<const Silence>(std::move(s));
      Insert(now);
      if (options_.on_change) options_.on_change(*now, before.get());
    }
    done({});
  };
  store_->Commit(std::move(t), Gated<base::Status>(gate_, std::move(stored)));
}

void Silences::Log(const Silence& s) const {
  base::LogInfo("silence changed", {{"id", s.id},
                                    {"created_by", s.created_by},
                                    {"comment", s.comment},
                                    {"starts_at", s.starts_at},
                                    {"ends_at", s.ends_at},
                                    {"matchers", MatchersText(s.matcher_sets.front())},
                                    {"state", SilenceStateName(s.StateAt(executor_->Now()))}});
}

void Silences::Set(Silence silence, std::move_only_function<void(base::Result<std::string>)> done) {
  const base::Time now = executor_->Now();
  auto fail = [&](base::Error error) { done(std::unexpected(std::move(error))); };
  if (silence.starts_at == base::Time{}) silence.starts_at = now;
  if (auto valid = ValidateSilence(silence); !valid) {
    return fail(base::Error(base::Code::kInvalidArgument, "silence invalid: " + valid.error().message()));
  }
  SilencePtr previous = silence.id.empty() ? nullptr : Find(silence.id);
  if (!silence.id.empty() && previous == nullptr) {
    return fail(base::Error(base::Code::kNotFound, "silence not found"));
  }
  std::vector<Silence> changed;
  const bool is_new = previous == nullptr || !CanUpdateSilence(*previous, silence, now);
  silence.updated_at = now;
  if (is_new) {
    if (previous != nullptr && previous->StateAt(now) != SilenceState::kExpired) {
      // The one before is ended, so that what held until now stays on record.
      Silence ended = *previous;
      if (ended.StateAt(now) == SilenceState::kPending) ended.starts_at = now;
      ended.ends_at = now;
      ended.updated_at = now;
      changed.push_back(std::move(ended));
    }
    silence.id = options_.new_id();
    if (silence.starts_at < now) silence.starts_at = now;
  }
  if (auto allowed = CheckLimits(silence, is_new); !allowed) return fail(allowed.error());
  const std::string id = silence.id;
  changed.push_back(std::move(silence));
  being_added_ += is_new ? 1 : 0;
  Store(std::move(changed), [this, id, is_new, done = std::move(done)](base::Status status) mutable {
    being_added_ -= is_new ? 1 : 0;
    if (status) {
      done(id);
    } else {
      done(std::unexpected(std::move(status).error()));
    }
  });
}

void Silences::Expire(const std::string& id, std::move_only_function<void(base::Status)> done) {
  SilencePtr silence = Find(id);
  if (silence == nullptr) return done(base::NotFound("silence not found"));
  const base::Time now = executor_->Now();
  Silence ended = *silence;
  switch (silence->StateAt(now)) {
    case SilenceState::kExpired:
      return done({});
    case SilenceState::kPending:
      ended.starts_at = now;
      break;
    case SilenceState::kActive:
      break;
  }
  ended.ends_at = now;
  ended.updated_at = now;
  std::vector<Silence> changed;
  changed.push_back(std::move(ended));
  Store(std::move(changed), std::move(done));
}

SilencePtr Silences::Find(std::string_view id) const {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : it->second.silence;
}

std::vector<SilencePtr> Silences::List() const {
  queries_->Add();
  std::vector<SilencePtr> out;
  out.reserve(by_id_.size());
  for (const auto& [id, entry] : by_id_) out.push_back(entry.silence);
  return out;
}

size_t Silences::CountInState(SilenceState state, base::Time now) const {
  return static_cast<size_t>(
      std::ranges::count_if(by_id_, [&](const auto& entry) { return entry.second.silence->StateAt(now) == state; }));
}

template <class Visit>
void Silences::VisitMatching(model::LabelsView labels, base::Time now, std::string_view receiver, Visit visit) const {
  index_.Visit(labels, [&](uint32_t slot) {
    const Silence& s = *slots_[slot];
    return !s.HoldsAt(now) || !s.IsFor(receiver) || !s.Matches(labels) || visit(s);
  });
}

std::vector<std::string> Silences::Muting(model::LabelsView labels, base::Time now, std::string_view receiver) const {
  std::vector<std::string> ids;
  VisitMatching(labels, now, receiver, [&](const Silence& s) {
    ids.push_back(s.id);
    return true;
  });
  std::ranges::sort(ids);  // a silence of several sets may be found twice
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

size_t Silences::Collect() {
  const base::Duration begin = executor_->Monotonic();
  const base::Time now = executor_->Now();
  size_t forgotten = 0;
  size_t bytes = 0;
  for (auto it = by_id_.begin(); it != by_id_.end();) {
    const auto entry = it++;
    if (entry->second.silence->ends_at + options_.retention <= now) {
      Erase(entry);
      ++forgotten;
    } else {
      Index(entry->second, now);
      bytes += EncodeSilence(*entry->second.silence).size();
    }
  }
  size_bytes_->Set(static_cast<double>(bytes));
  maintenance_->Add();
  gc_duration_->Observe(base::ToSeconds(executor_->Monotonic() - begin));
  return forgotten;
}

}  // namespace tocsin::alertmanager
