#include "alertmanager/notification_log.h"

#include <algorithm>

#include "alertmanager/gated.h"
#include "alertmanager/record_codec.h"
#include "base/digest.h"
#include "base/log.h"

namespace tocsin::alertmanager {

uint64_t AlertHash(model::LabelsView labels) {
  std::string bytes;
  for (const auto [name, value] : labels) {
    bytes += name;
    bytes += '\xff';
    bytes += value;
    bytes += '\xff';
  }
  return base::Xxh64(bytes);
}

namespace {

constexpr uint8_t kUnansweredVersion = 1;
// Two clocks are not read at one instant, and small corrections are no matter.
constexpr base::Duration kLeastStep = std::chrono::seconds(1);

using Hashes = std::vector<uint64_t>;

// Sorted, as all that is given to them.
Hashes Without(const Hashes& all, const Hashes& these) {
  Hashes out;
  std::ranges::set_difference(all, these, std::back_inserter(out));
  return out;
}

// As many of `earlier` as there is room for.
void AddEarlier(const Hashes& earlier, Hashes* all) {
  Hashes more = Without(earlier, *all);
  if (more.size() > kMaxUnansweredHashes) more.resize(kMaxUnansweredHashes);
  Hashes out;
  std::ranges::merge(*all, more, std::back_inserter(out));
  *all = std::move(out);
}

void AddEarlier(const UnansweredSend& earlier, UnansweredSend* all) {
  AddEarlier(earlier.firing, &all->firing);
  AddEarlier(earlier.resolved, &all->resolved);
}

bool Has(const Hashes& hashes, uint64_t hash) { return std::ranges::binary_search(hashes, hash); }

// What the receiver knows if it heard the unanswered message and if it did not.
NotificationEntry KnownForCertain(const NotificationEntry& told, const UnansweredSend& unanswered) {
  return {.sent_at = told.sent_at,
          .firing = Without(told.firing, unanswered.resolved),
          .resolved = Without(told.resolved, unanswered.firing),
          .left_out = told.left_out};
}

}  // namespace

std::string EncodeUnanswered(const UnansweredSend& send) {
  RecordWriter w(kUnansweredVersion);
  w.Varint(send.in_journal ? 1 : 0);
  for (const Hashes* hashes : {&send.firing, &send.resolved}) {
    w.Varint(hashes->size());
    for (const uint64_t hash : *hashes) w.Varint(hash);
  }
  return w.Take();
}

UnansweredSend DecodeUnanswered(std::string_view bytes) {
  RecordReader r(bytes);
  UnansweredSend send;
  r.Version(kUnansweredVersion);
  send.in_journal = r.Varint() != 0;
  for (Hashes* hashes : {&send.firing, &send.resolved}) {
    hashes->resize(r.Count());
    for (uint64_t& hash : *hashes) hash = r.Varint();
    std::ranges::sort(*hashes);
  }
  return r.ok() ? std::move(send) : UnansweredSend{};
}

NotifyDecision DecideNotification(const DedupQuestion& q) {
  constexpr std::string_view kFirst = "first notification";
  if (q.unanswered != nullptr) {
    const NotificationEntry told = q.last != nullptr ? *q.last : NotificationEntry{};
    const NotificationEntry certain = KnownForCertain(told, *q.unanswered);
    // It may believe that something fires, and must hear of the end.
    if (q.firing.empty() && !(told.firing.empty() && q.unanswered->firing.empty())) return {true, "all alerts resolved"};
    DedupQuestion answered = q;
    answered.unanswered = nullptr;
    if (q.last != nullptr) answered.last = &certain;
    return DecideNotification(answered);
  }
  if (q.last == nullptr) {
    // Alerts that nobody was told of need not be reported as resolved.
    return q.firing.empty() ? NotifyDecision{} : NotifyDecision{true, kFirst};
  }
  if (!std::ranges::includes(q.last->firing, q.firing)) {
    return {true, q.last->firing.empty() ? kFirst : "new alerts added"};
  }
  // Also without send_resolved, so that the log forgets what was firing.
  if (q.firing.empty()) {
    const bool believes = !q.last->firing.empty() ||
                          std::ranges::any_of(q.resolved, [&](uint64_t hash) { return Has(q.last->left_out, hash); });
    return believes ? NotifyDecision{true, "all alerts resolved"} : NotifyDecision{};
  }
  if (q.send_resolved && !std::ranges::includes(q.last->resolved, q.resolved)) {
    return {true, "some alerts resolved"};
  }
  const base::Time due = q.tick - q.repeat_interval;
  if (q.strictly_older ? q.last->sent_at < due : q.last->sent_at <= due) {
    return {true, "repeat interval elapsed"};
  }
  return {};
}

NotificationLog::NotificationLog(base::Executor* executor, state::Store* store, base::Registry* registry,
                                 base::Duration retention, bool forget_told_firing)
    : executor_(executor), store_(store), retention_(retention), forget_told_firing_(forget_told_firing),
      followed_(ClockOffset()) {
  queries_ = registry->AddCounter("alertmanager_nflog_queries_total",
                                  "Number of notification log queries were received.");
  registry->AddHistogram("alertmanager_nflog_query_duration_seconds",
                         "Duration of notification log query evaluation.", base::DefaultBuckets());
  registry->AddCounter("alertmanager_nflog_query_errors_total",
                       "Number notification log received queries that failed.");
  registry->AddCounter("alertmanager_nflog_gossip_messages_propagated_total",
                       "Number of received gossip messages that have been further gossiped.");
  size_bytes_ = registry->AddGauge("alertmanager_nflog_snapshot_size_bytes",
                                   "Size of the stored notification log in bytes.");
  registry->AddSummary("alertmanager_nflog_snapshot_duration_seconds",
                       "Duration of the last notification log snapshot.", {});
  gc_duration_ = registry->AddSummary("alertmanager_nflog_gc_duration_seconds",
                                      "Duration of the last notification log garbage collection cycle.", {});
  maintenance_ = registry->AddCounter("alertmanager_nflog_maintenance_total",
                                      "How many maintenances were executed for the notification log.");
  registry->AddCounter("alertmanager_nflog_maintenance_errors_total",
                       "How many maintenances were executed for the notification log that failed.");
}

void NotificationLog::Restore(std::vector<state::NotificationRecord> records,
                              std::vector<state::IntentRecord> intents) {
  const base::Time now = executor_->Now();
  for (state::NotificationRecord& r : records) {
    std::ranges::sort(r.firing);
    std::ranges::sort(r.resolved);
    std::ranges::sort(r.left_out);
    entries_[{std::move(r.group_key), std::move(r.receiver_key)}] = {
        .sent_at = std::min(r.sent_at, now),  // later: the clock was set back
        .firing = std::move(r.firing),
        .resolved = std::move(r.resolved),
        .left_out = std::move(r.left_out),
        .receiver_data = std::move(r.receiver_data),
        .expires_at = r.expires_at,
        .clock_offset = ClockOffset()};
  }
  for (state::IntentRecord& i : intents) {
    UnansweredSend send = DecodeUnanswered(i.bytes);
    send.tick = i.sent_at;
    send.in_journal = true;  // AlertJournal::Recover() saw to it
    unanswered_[{std::move(i.group_key), std::move(i.receiver_key)}] = std::move(send);
  }
}

const NotificationEntry* NotificationLog::Find(const std::string& group_key,
                                               const std::string& receiver_key) const {
  queries_->Add();
  const auto it = entries_.find({group_key, receiver_key});
  if (it == entries_.end() || it->second.expires_at <= executor_->Now()) return nullptr;
  return &it->second;
}

const UnansweredSend* NotificationLog::Unanswered(const std::string& group_key, const std::string& receiver_key) const {
  const auto it = unanswered_.find({group_key, receiver_key});
  return it == unanswered_.end() ? nullptr : &it->second;
}

NotificationLog::Beliefs NotificationLog::BeliefsOf(const std::string& group_key, const std::string& receiver_key) const {
  return {.told = Find(group_key, receiver_key), .unanswered = Unanswered(group_key, receiver_key)};
}

bool NotificationLog::Beliefs::MayFire(uint64_t hash) const {
  return (told != nullptr && (Has(told->firing, hash) || Has(told->left_out, hash))) ||
         (unanswered != nullptr && Has(unanswered->firing, hash));
}

void NotificationLog::Intend(const std::string& group_key, const std::string& receiver_key, UnansweredSend says,
                             base::Task done) {
  // What an earlier message may have said stays possible until this one is answered.
  if (const auto earlier = unanswered_.find({group_key, receiver_key}); earlier != unanswered_.end()) {
    AddEarlier(earlier->second, &says);
    earlier->second.tick = says.tick;  // Collect() leaves a receiver alone that is being told
  }
  state::Transaction t;
  t.PutIntent({.group_key = group_key, .receiver_key = receiver_key, .sent_at = says.tick, .bytes = EncodeUnanswered(says)});
  store_->Commit(std::move(t), Gated<base::Status>(gate_, [done = std::move(done)](base::Status s) mutable {
    if (!s) {
      base::LogError("the intent to notify could not be stored; notifying all the same",
                     {{"error", s.error()}});
    }
    done();
  }));
}

void NotificationLog::PutIntent(const Key& key, const UnansweredSend& send) {
  state::Transaction t;
  t.PutIntent({.group_key = key.first, .receiver_key = key.second, .sent_at = send.tick, .bytes = EncodeUnanswered(send)});
  store_->Commit(std::move(t), [](base::Status s) { base::Ignore(s); });
}

void NotificationLog::LeaveUnanswered(const std::string& group_key, const std::string& receiver_key, UnansweredSend said) {
  const Key key(group_key, receiver_key);
  UnansweredSend& send = unanswered_[key];
  AddEarlier(send, &said);
  said.in_journal = true;
  send = std::move(said);
  PutIntent(key, send);
}

void NotificationLog::Abandon(const std::string& group_key, const std::string& receiver_key) {
  if (const UnansweredSend* earlier = Unanswered(group_key, receiver_key)) {
    return PutIntent({group_key, receiver_key}, *earlier);
  }
  state::Transaction t;
  t.ForgetIntent(group_key, receiver_key);
  store_->Commit(std::move(t), [](base::Status s) { base::Ignore(s); });  // as PutIntent()
}

void NotificationLog::Record(const std::string& group_key, const std::string& receiver_key,
                             NotificationEntry entry, base::Duration repeat_interval, base::Task done) {
  const bool until_told = !(entry.firing.empty() && entry.left_out.empty()) && !forget_told_firing_;
  entry.expires_at = entry.sent_at + (until_told ? retention_ : std::min(retention_, 2 * repeat_interval));
  state::Transaction t;
  t.PutNotification({.group_key = group_key,
                     .receiver_key = receiver_key,
                     .sent_at = entry.sent_at,
                     .firing = entry.firing,
                     .resolved = entry.resolved,
                     .left_out = entry.left_out,
                     .receiver_data = entry.receiver_data,
                     .expires_at = entry.expires_at});
  entries_[{group_key, receiver_key}] = std::move(entry);
  unanswered_.erase({group_key, receiver_key});
  store_->Commit(std::move(t), Gated<base::Status>(gate_, [done = std::move(done)](base::Status s) mutable {
    if (!s) {
      base::LogError("a notification that was sent could not be stored; it may be repeated after a restart",
                     {{"error", s.error()}});
    }
    done();
  }));
}

base::Duration NotificationLog::ClockOffset() const { return executor_->Now().time_since_epoch() - executor_->Monotonic(); }

void NotificationLog::FollowClock() {
  const base::Duration offset = ClockOffset();
  if (offset > followed_ - kLeastStep && offset < followed_ + kLeastStep) return;
  followed_ = offset;
  for (auto& [key, entry] : entries_) {
    if (entry.clock_offset <= offset) continue;
    entry.sent_at -= entry.clock_offset - offset;
    entry.clock_offset = offset;
  }
}

size_t NotificationLog::Collect() {
  const base::Duration begin = executor_->Monotonic();
  FollowClock();
  const base::Time now = executor_->Now();
  size_t forgotten = std::erase_if(entries_, [&](const auto& e) { return e.second.expires_at <= now; });
  state::Transaction t;
  forgotten += std::erase_if(unanswered_, [&](const auto& e) {
    const bool expired = e.second.tick + retention_ <= now;
    if (expired) t.ForgetIntent(e.first.first, e.first.second);
    return expired;
  });
  if (!t.empty()) {
    store_->Commit(std::move(t), [](base::Status s) { base::Ignore(s); });  // the next start reads it and forgets it again
  }
  size_t bytes = 0;
  for (const auto& [key, e] : entries_) {
    bytes += key.first.size() + key.second.size() + 8 * (e.firing.size() + e.resolved.size() + e.left_out.size() + 3);
  }
  for (const auto& [key, e] : unanswered_) {
    bytes += key.first.size() + key.second.size() + 8 * (e.firing.size() + e.resolved.size() + 1);
  }
  size_bytes_->Set(static_cast<double>(bytes));
  maintenance_->Add();
  gc_duration_->Observe(base::ToSeconds(executor_->Monotonic() - begin));
  return forgotten;
}

}  // namespace tocsin::alertmanager
