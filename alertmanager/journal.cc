#include "alertmanager/journal.h"

#include <absl/hash/hash.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <tuple>

#include "alertmanager/gated.h"
#include "alertmanager/notification_log.h"
#include "alertmanager/route.h"
#include "base/coding.h"
#include "base/digest.h"
#include "base/log.h"

namespace tocsin::alertmanager {

namespace {

constexpr base::Duration kFlushEvery = std::chrono::seconds(1);
constexpr size_t kPackBytes = 256 << 10;
constexpr base::Duration kChapterLasts = std::chrono::hours(1);
constexpr size_t kChapterBytes = 16 << 20;
constexpr size_t kChapterDescriptions = 300'000;
constexpr size_t kMaxUnwritten = 64 << 20;
// After this much the store looks at the bounds, between collections.
constexpr size_t kBoundEvery = 8 << 20;
// An error or comment is kept up to this length.
constexpr size_t kMaxText = 1000;
// How far before the journal's last event a delivery may have begun that is missing in it.
constexpr base::Duration kRecoverWithin = std::chrono::hours(2);
// What holds an alert back is forgotten when no flush has asked for so many chapters.
constexpr uint32_t kHoldsFor = 48;

int64_t Millis(base::Time t) { return base::ToUnixMillis(t); }
int64_t Millis(base::Duration d) { return std::chrono::floor<std::chrono::milliseconds>(d).count(); }

}  // namespace

std::string FingerprintText(uint64_t fingerprint) { return fmt::format("{:016x}", fingerprint); }

uint64_t FingerprintOf(std::string_view text) {
  uint64_t fingerprint = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), fingerprint, 16);
  return error == std::errc() && end == text.data() + text.size() ? fingerprint : 0;
}

AlertJournal::AlertJournal(base::Executor* executor, state::Store* store, base::Registry* registry,
                           JournalOptions options)
    : executor_(executor), store_(store), options_(options) {
  dropped_ = registry->AddCounter("tocsin_alert_journal_dropped_total",
                                  "Events of the alert journal lost because the disk is full or too slow.");
  written_ = registry->AddCounter("tocsin_alert_journal_events_total", "Events written to the alert journal.");
  bytes_ = registry->AddCounter("tocsin_alert_journal_bytes_total",
                                "Bytes of events written to the alert journal, before compression.");
}

AlertJournal::Group AlertJournal::GroupOf(std::string_view key, const RouteOptions& route) {
  return {.key = key,
          .receiver = route.receiver,
          .wait = route.group_wait,
          .interval = route.group_interval,
          .repeat = route.repeat_interval};
}

// ---- chapters and descriptions -----------------------------------------------------------------

void AlertJournal::NextChapter(base::Time now) {
  // Chapters are in order even when the clock is set back.
  chapter_ = std::max(chapter_ + 1, now.time_since_epoch().count());
  chapter_ends_ = now + kChapterLasts;
  chapter_bytes_ = 0;
  // Alerts that the chapter before did not speak of are forgotten.
  absl::erase_if(alerts_, [this](const auto& entry) {
    return entry.second.chapter != chapter_serial_ && entry.second.chapter_seen != chapter_serial_;
  });
  ++chapter_serial_;
  absl::erase_if(suppressed_, [this](const auto& entry) { return chapter_serial_ - entry.second.chapter > kHoldsFor; });
  alerts_described_ = 0;
  groups_.clear();
  texts_.clear();
  BeginPack();
}

void AlertJournal::BeginPack() {
  pack_.clear();
  before_pack_ = {.alerts = alerts_described_,
                  .groups = static_cast<uint32_t>(groups_.size()),
                  .texts = static_cast<uint32_t>(texts_.size())};
  described_labels_ = {};
  described_annotations_ = {};
  described_url_.clear();
}

AlertJournal::KnownAlert& AlertJournal::Known(const model::Alert& alert) {
  KnownAlert& known = alerts_[alert.fingerprint()];
  if (known.chapter == chapter_serial_) return known;
  known.number = alerts_described_++;
  known.chapter = chapter_serial_;
  describing_.clear();
  base::PutVarint(&describing_, Millis(alert.starts_at));
  AppendLabelsAfter(alert.labels, described_labels_, &describing_);
  AppendLabelsAfter(alert.annotations, described_annotations_, &describing_);
  if (alert.generator_url == described_url_) {
    describing_ += '\0';
  } else {
    describing_ += '\1';
    base::PutText(&describing_, alert.generator_url);
    described_url_ = alert.generator_url;
  }
  described_labels_ = alert.labels;
  described_annotations_ = alert.annotations;
  AddTo(JournalKind::kDescribeAlert, describing_);
  return known;
}

uint64_t AlertJournal::HashOf(const Group& g) {
  return absl::HashOf(g.key, g.receiver, g.wait.count(), g.interval.count(), g.repeat.count());
}

uint64_t AlertJournal::PairOf(const model::Alert& alert, const Group& group) {
  return absl::HashOf(HashOf(group), alert.fingerprint());
}

uint32_t AlertJournal::NumberOf(const Group& group) {
  const auto [at, added] = groups_.try_emplace(HashOf(group), static_cast<uint32_t>(groups_.size()));
  if (!added) return at->second;
  describing_.clear();
  base::PutText(&describing_, group.key);
  base::PutText(&describing_, group.receiver);
  for (base::Duration d : {group.wait, group.interval, group.repeat}) base::PutVarint(&describing_, Millis(d));
  AddTo(JournalKind::kDescribeGroup, describing_);
  return at->second;
}

uint32_t AlertJournal::NumberOfText(std::string_view text) {
  text = text.substr(0, kMaxText);
  const auto [at, added] = texts_.try_emplace(text, static_cast<uint32_t>(texts_.size()));
  if (!added) return at->second;
  describing_.clear();
  base::PutText(&describing_, text);
  AddTo(JournalKind::kDescribeText, describing_);
  return at->second;
}

// ---- events ------------------------------------------------------------------------------------

bool AlertJournal::Begin() {
  if (!on()) return false;
  const base::Time now = executor_->Now();
  if (chapter_ == 0 || now >= chapter_ends_ || chapter_bytes_ >= kChapterBytes ||
      alerts_described_ + groups_.size() + texts_.size() >= kChapterDescriptions) {
    Write([] {});
    NextChapter(now);
  }
  last_ = now;
  payload_.clear();
  return true;
}

void AlertJournal::AddTo(JournalKind kind, const std::string& payload) {
  const int64_t now = Millis(last_);
  if (pack_.empty()) {
    first_ = last_;
    last_ms_ = now;
    pack_ += static_cast<char>(kJournalVersion);
    base::PutUvarint(&pack_, static_cast<uint64_t>(now));
    for (const uint32_t count : {before_pack_.alerts, before_pack_.groups, before_pack_.texts}) base::PutUvarint(&pack_, count);
  }
  pack_ += static_cast<char>(kind);
  base::PutVarint(&pack_, now - last_ms_);
  last_ms_ = now;
  base::PutText(&pack_, payload);
}

void AlertJournal::Add(JournalKind kind) {
  AddTo(kind, payload_);
  ++events_;
  if (pack_.size() >= kPackBytes) return Write([] {});
  if (armed_) return;
  armed_ = true;
  timer_ = executor_->After(kFlushEvery, gate_.Wrap([this] { Write([] {}); }));
}

void AlertJournal::Received(const model::Alert& alert, bool again) {
  if (!Begin()) return;
  // Described anew: its start and texts may be others than those of the time before.
  alerts_[alert.fingerprint()].chapter = 0;
  KnownAlert& known = Known(alert);
  known.resolved = false;
  base::PutUvarint(&payload_, known.number);
  payload_ += again ? '\1' : '\0';
  Add(JournalKind::kReceived);
}

void AlertJournal::Ended(const model::Alert& alert, bool timed_out) {
  KnownAlert& known = Known(alert);
  known.resolved = true;
  base::PutUvarint(&payload_, known.number);
  payload_ += timed_out ? '\1' : '\0';
  base::PutVarint(&payload_, Millis(alert.ends_at));
  Add(JournalKind::kResolved);
}

void AlertJournal::Resolved(const model::Alert& alert) {
  if (Begin()) Ended(alert, false);
}

void AlertJournal::FoundResolved(const model::Alert& alert) {
  if (!on()) return;
  const auto known = alerts_.find(alert.fingerprint());
  if (known != alerts_.end() && known->second.resolved) {
    known->second.chapter_seen = chapter_serial_;
    return;
  }
  if (Begin()) Ended(alert, alert.timeout);
}

void AlertJournal::Grouped(const model::Alert& alert, const Group& group, base::Time next_flush) {
  if (!Begin()) return;
  base::PutUvarint(&payload_, NumberOf(alert));
  base::PutUvarint(&payload_, NumberOf(group));
  base::PutVarint(&payload_, next_flush == base::Time{} ? 0 : Millis(next_flush));
  Add(JournalKind::kGrouped);
}

void AlertJournal::Suppressed(const model::Alert& alert, const Group& group, SuppressCause cause,
                              std::span<const std::string> by) {
  if (!Begin()) return;
  uint64_t hash = base::kFnv1a64Offset + static_cast<uint64_t>(cause);
  for (const std::string& text : by) hash = base::Fnv1a64(hash, text);
  // Each chapter tells it once, so that it need not be looked for further back.
  Hold& hold = suppressed_[PairOf(alert, group)];
  if (hold.cause == hash && hold.chapter == chapter_serial_) return;
  hold = {.cause = hash, .chapter = chapter_serial_};
  base::PutUvarint(&payload_, NumberOf(alert));
  base::PutUvarint(&payload_, NumberOf(group));
  payload_ += static_cast<char>(cause);
  base::PutUvarint(&payload_, by.size());
  for (const std::string& text : by) base::PutUvarint(&payload_, NumberOfText(text));
  Add(JournalKind::kSuppressed);
}

void AlertJournal::Passed(const model::Alert& alert, const Group& group) {
  if (suppressed_.empty() || suppressed_.erase(PairOf(alert, group)) == 0 || !Begin()) return;
  base::PutUvarint(&payload_, NumberOf(alert));
  base::PutUvarint(&payload_, NumberOf(group));
  Add(JournalKind::kReleased);
}

void AlertJournal::AppendAlerts(const std::vector<model::AlertPtr>* alerts) {
  for (const bool resolved : {false, true}) {
    uint64_t count = 0;
    int64_t before = 0;
    numbers_.clear();
    if (alerts != nullptr) {
      for (const model::AlertPtr& alert : *alerts) {
        if ((alert->ends_at != base::Time{}) != resolved) continue;
        const auto number = static_cast<int64_t>(NumberOf(*alert));
        base::PutVarint(&numbers_, number - before);
        before = number;
        ++count;
      }
    }
    base::PutUvarint(&payload_, count);
    payload_ += numbers_;
  }
}

void AlertJournal::AppendDelivery(const FlushOf& flush, uint8_t cause) {
  base::PutUvarint(&payload_, NumberOf(flush.group));
  base::PutUvarint(&payload_, NumberOfText(flush.integration));
  payload_ += static_cast<char>(cause);
  base::PutVarint(&payload_, Millis(flush.tick));
}

void AlertJournal::NotSent(const FlushOf& flush, NotSentCause cause, base::Time due) {
  if (!Begin()) return;
  AppendDelivery(flush, static_cast<uint8_t>(cause));
  base::PutVarint(&payload_, due == base::Time{} ? 0 : Millis(due));
  AppendAlerts(flush.alerts);
  Add(JournalKind::kNotSent);
}

void AlertJournal::Request(const FlushOf& flush, const Answer& answer) {
  if (!Begin()) return;
  AppendDelivery(flush, static_cast<uint8_t>(answer.outcome));
  base::PutUvarint(&payload_, static_cast<uint64_t>(answer.attempt));
  base::PutUvarint(&payload_, static_cast<uint64_t>(answer.step));
  base::PutUvarint(&payload_, static_cast<uint64_t>(std::max(answer.status, 0)));
  base::PutUvarint(&payload_, static_cast<uint64_t>(std::max<int64_t>(answer.duration.count() / 1000, 0)));
  base::PutVarint(&payload_, Millis(answer.wait));
  base::PutUvarint(&payload_, NumberOfText(flush.reason));
  base::PutUvarint(&payload_, NumberOfText(answer.text));
  AppendAlerts(flush.alerts);
  Add(JournalKind::kRequest);
  // What went well is known to the notification log, and so put right after a crash; the rest is not.
  if (answer.outcome == RequestOutcome::kRetry || answer.outcome == RequestOutcome::kRefused) FlushSoon();
}

void AlertJournal::Finish(JournalKind kind, const FlushOf& flush, uint8_t cause, int attempt, std::string_view text) {
  if (!Begin()) return;
  AppendDelivery(flush, cause);
  base::PutUvarint(&payload_, static_cast<uint64_t>(attempt));
  base::PutUvarint(&payload_, NumberOfText(flush.reason));
  base::PutUvarint(&payload_, NumberOfText(text));
  AppendAlerts(flush.alerts);
  Add(kind);
  FlushSoon();
}

void AlertJournal::Unanswered(const FlushOf& flush, UnansweredCause cause, int attempt, std::string_view text) {
  Finish(JournalKind::kUnanswered, flush, static_cast<uint8_t>(cause), attempt, text);
}

void AlertJournal::GaveUp(const FlushOf& flush, int attempt, std::string_view text) {
  Finish(JournalKind::kGaveUp, flush, 0, attempt, text);
}

void AlertJournal::Silence(SilenceChange change, std::string_view id, std::string_view matchers, std::string_view by,
                           std::string_view comment, base::Time starts_at, base::Time ends_at) {
  if (!Begin()) return;
  payload_ += static_cast<char>(change);
  for (std::string_view text : {id, matchers, by, comment}) base::PutText(&payload_, text.substr(0, kMaxText));
  base::PutVarint(&payload_, Millis(starts_at));
  base::PutVarint(&payload_, Millis(ends_at));
  Add(JournalKind::kSilence);
}

void AlertJournal::Service(ServiceEvent event, std::string_view text) {
  if (!Begin()) return;
  payload_ += static_cast<char>(event);
  base::PutText(&payload_, text.substr(0, kMaxText));
  Add(JournalKind::kService);
}

// ---- to the store ------------------------------------------------------------------------------

void AlertJournal::Write(base::Task done) {
  armed_ = false;
  timer_.Cancel();
  state::Transaction t;
  size_t bytes = pack_.size();
  uint32_t events = std::exchange(events_, 0);
  if (bytes > 0 && watcher_) watcher_(chapter_, pack_, events);
  if (bytes > 0 && unwritten_ + bytes > kMaxUnwritten) {
    Lost(events);
    bytes = 0;
    events = 0;
  } else if (bytes > 0) {
    unwritten_ += bytes;
    chapter_bytes_ += bytes;
    unbounded_bytes_ += bytes;
    t.AppendPack(state::Journal::kAlerts,
                 {.chapter = chapter_, .first = first_, .last = last_, .events = events, .bytes = std::move(pack_)});
    if (unbounded_bytes_ >= kBoundEvery) Bound(&t);
  }
  BeginPack();
  store_->Commit(std::move(t), Gated<base::Status>(gate_, [this, bytes, events, done = std::move(done)](base::Status s) mutable {
    unwritten_ -= std::min(unwritten_, bytes);
    if (s) {
      written_->Add(events);
      bytes_->Add(static_cast<double>(bytes));
    } else {
      base::LogWarn("events of the alert journal were lost", {{"events", static_cast<int64_t>(events)}, {"error", s.error()}});
      Lost(events);
    }
    done();
  }));
}

void AlertJournal::Watch(Watcher watcher) {
  const bool begins = watcher != nullptr && watcher_ == nullptr;
  if (begins && before_pack_.alerts + before_pack_.groups + before_pack_.texts > 0) {
    Write([] {});
    chapter_ends_ = {};  // the next event begins another
  }
  watcher_ = std::move(watcher);
}

void AlertJournal::Lost(uint32_t events) {
  dropped_->Add(events);
  // What the lost events described must be described anew.
  chapter_ends_ = {};
}

void AlertJournal::Bound(state::Transaction* t) {
  unbounded_bytes_ = 0;
  t->BoundJournal(state::Journal::kAlerts, executor_->Now() - options_.retention, options_.max_bytes);
}

void AlertJournal::Collect() {
  if (!on()) return;
  state::Transaction t;
  Bound(&t);
  store_->Commit(std::move(t), [](base::Status s) {
    if (!s) base::LogWarn("old events of the alert journal could not be forgotten", {{"error", s.error()}});
  });
}

// ---- after a crash -----------------------------------------------------------------------------

namespace {

// team/slack/0 is the receiver team's first Slack.
std::string_view ReceiverOfKey(std::string_view key) {
  for (int slashes = 0; slashes < 2; ++slashes) key = key.substr(0, key.rfind('/'));
  return key;
}

}  // namespace

void AlertJournal::Recover(std::span<const state::IntentRecord> intents,
                           std::span<const state::NotificationRecord> notifications) {
  if (!on()) return;
  state::Transaction t;
  for (const state::IntentRecord& i : intents) {
    UnansweredSend send = DecodeUnanswered(i.bytes);
    if (std::exchange(send.in_journal, true)) continue;
    Unanswered({.group = {.key = i.group_key, .receiver = ReceiverOfKey(i.receiver_key)},
                .integration = i.receiver_key,
                .tick = i.sent_at},
               UnansweredCause::kCrash, 0, "");
    state::IntentRecord told = i;
    told.bytes = EncodeUnanswered(send);
    t.PutIntent(std::move(told));
  }
  if (!t.empty()) {
    store_->Commit(std::move(t), [](base::Status s) {
      if (!s) base::LogWarn("the journal's note of sends without answer may be repeated", {{"error", s.error()}});
    });
  }

  using Delivery = std::tuple<std::string, std::string, int64_t>;  // group, integration, tick
  struct Search {
    std::vector<state::NotificationRecord> candidates;
    std::set<Delivery> found;
    base::Time last{};  // of the journal
    JournalChapter chapter;
    int64_t number = 0;
    int64_t oldest = 0;  // the chapters that matter come after
  };
  auto search = std::make_shared<Search>();
  search->candidates.assign(notifications.begin(), notifications.end());
  // All but what this start has written; of times nothing is certain, since the clock may have been set.
  state::PackQuery query;
  query.visit = [search, mine = chapter_](const state::EventPack& pack) {
    if (pack.chapter == mine) return true;
    // Chapters are numbered by a time that is never set back, unlike those of events.
    if (search->number == 0) search->oldest = pack.chapter - (kRecoverWithin + kChapterLasts).count();
    search->last = std::max(search->last, pack.last);
    if (pack.chapter != search->number) {
      search->chapter = {};
      search->number = pack.chapter;
    }
    base::Ignore(search->chapter.Read(pack.bytes, [&](JournalEntry e) {  // what is unreadable stays unknown
      const bool delivered = e.kind == JournalKind::kRecovered || e.kind == JournalKind::kNotSent ||
                             (e.kind == JournalKind::kRequest && e.cause == static_cast<uint8_t>(RequestOutcome::kDelivered));
      if (delivered && e.group != nullptr) {
        search->found.emplace(e.group->key, e.integration, Millis(e.tick));
      }
    }));
    return pack.chapter > search->oldest;
  };
  store_->ReadPacks(std::move(query), Gated<base::Status>(gate_, [this, search](base::Status s) {
    if (!s) return base::LogWarn("the alert journal could not be read", {{"error", s.error()}});
    if (search->last == base::Time{}) return;  // there was none
    for (const state::NotificationRecord& n : search->candidates) {
      if (n.sent_at < search->last - kRecoverWithin) continue;
      if (search->found.contains({n.group_key, n.receiver_key, Millis(n.sent_at)})) continue;
      Finish(JournalKind::kRecovered,
             {.group = {.key = n.group_key, .receiver = ReceiverOfKey(n.receiver_key)},
              .integration = n.receiver_key,
              .tick = n.sent_at},
             0, 0, "");
    }
  }));
}

}  // namespace tocsin::alertmanager
