#pragma once

// The way of each alert, step by step, for `tocsin explain` and the history: received, grouped,
// suppressed by what, each request to a receiver with its answer, each flush without one and why,
// resolved.  Each request has one event; each flush of a group has one for each integration.
//
//   journal.Request({.group = group, .integration = key, .tick = tick, .alerts = &alerts},
//                   {.outcome = RequestOutcome::kDelivered, .attempt = 1, .status = 200});
//
// Events are bytes in one buffer (journal_format.h), handed to the store each second, or at once
// after a request that failed.  What a kill -9 leaves unsaid of that second is put right by Recover().
//
// Threads: loop only.
// Cost:    some 100 ns an event; describing an alert, once a chapter, some 200 ns.
// Limits:  a chapter ends after an hour, 16 MiB or 300,000 descriptions.  kMaxUnwritten bytes wait for
//          the disk; beyond it events are dropped and counted.

#include <absl/container/flat_hash_map.h>

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "alertmanager/journal_format.h"
#include "base/executor.h"
#include "base/metrics.h"
#include "base/text_hash.h"
#include "base/time.h"
#include "model/alert.h"
#include "state/store.h"

namespace tocsin::alertmanager {

struct RouteOptions;

struct JournalOptions {
  base::Duration retention = std::chrono::days(30);  // 0: no journal is kept
  uint64_t max_bytes = 512 << 20;                    // of its file
};

std::string FingerprintText(uint64_t fingerprint);  // 16 hex digits
uint64_t FingerprintOf(std::string_view text);      // and back; 0 for what is none

class AlertJournal {
 public:
  AlertJournal(base::Executor* executor, state::Store* store, base::Registry* registry, JournalOptions options);

  bool on() const { return options_.retention > base::Duration{}; }

  // A group and its timers, as of now.
  struct Group {
    std::string_view key;
    std::string_view receiver;
    base::Duration wait{}, interval{}, repeat{};
  };
  static Group GroupOf(std::string_view key, const RouteOptions& route);

  // A flush of a group, as one integration sees it.
  struct FlushOf {
    Group group;
    std::string_view integration{};  // empty: none in particular
    base::Time tick{};
    std::string_view reason{};       // "first notification"
    const std::vector<model::AlertPtr>* alerts = nullptr;  // resolved ones have an end
  };
  struct Answer {
    RequestOutcome outcome = RequestOutcome::kDelivered;
    int attempt = 1;
    int step = 0;
    int status = 0;
    base::Duration duration{};
    base::Duration wait{};  // until the next attempt
    std::string_view text{};  // the receiver's words, or an error
  };

  void Received(const model::Alert& alert, bool again);
  // The sender said so.
  void Resolved(const model::Alert& alert);
  // A flush found it ended; an event unless that was known.
  void FoundResolved(const model::Alert& alert);
  // `next_flush` is set for the first alert of a new group.
  void Grouped(const model::Alert& alert, const Group& group, base::Time next_flush);
  // An event when the cause is not the one before.
  void Suppressed(const model::Alert& alert, const Group& group, SuppressCause cause, std::span<const std::string> by);
  // Nothing holds the alert back; an event if something did.
  void Passed(const model::Alert& alert, const Group& group);

  void NotSent(const FlushOf& flush, NotSentCause cause, base::Time due = {});
  void Request(const FlushOf& flush, const Answer& answer);
  void Unanswered(const FlushOf& flush, UnansweredCause cause, int attempt, std::string_view text);
  void GaveUp(const FlushOf& flush, int attempt, std::string_view text);

  void Silence(SilenceChange change, std::string_view id, std::string_view matchers, std::string_view by,
               std::string_view comment, base::Time starts_at, base::Time ends_at);
  void Service(ServiceEvent event, std::string_view text);

  // Before the first event: new chapters come after this one, whatever the clock says.
  void ContinueAfter(int64_t chapter) { chapter_ = chapter; }
  // After a start: sends that began before a crash and whose answer nobody saw, and deliveries that
  // reached the notification log but not the journal, get their events.
  void Recover(std::span<const state::IntentRecord> intents, std::span<const state::NotificationRecord> notifications);

  // Called with each pack as it is handed to the store, from the beginning of a chapter on; null: nobody.
  using Watcher = std::function<void(int64_t chapter, std::string_view pack, uint32_t events)>;
  void Watch(Watcher watcher);

  // Hands what waits to the store, then calls `done`.
  void Flush(base::Task done) { Write(std::move(done)); }
  void FlushSoon() { Write([] {}); }

  // Forgets what is too old or too much.
  void Collect();

  const JournalOptions& options() const { return options_; }

 private:
  struct KnownAlert {
    uint32_t number = 0;
    uint32_t chapter = 0;  // in which the number holds
    uint32_t chapter_seen = 0;  // in which it was last asked about
    bool resolved = false;
  };
  // What holds an alert back in a group.
  struct Hold {
    uint64_t cause = 0;    // a hash
    uint32_t chapter = 0;  // that was told of it last
  };
  // How many of each the chapter has described.
  struct Described {
    uint32_t alerts = 0, groups = 0, texts = 0;
  };

  // Every event begins with this.  False: no journal is kept.
  bool Begin();
  void Write(base::Task done);
  void Lost(uint32_t events);
  void Bound(state::Transaction* t);
  void NextChapter(base::Time now);
  void BeginPack();
  // Describes the alert if this chapter has not; until the next one.
  KnownAlert& Known(const model::Alert& alert);
  uint32_t NumberOf(const model::Alert& alert) { return Known(alert).number; }
  uint32_t NumberOf(const Group& group);
  uint32_t NumberOfText(std::string_view text);
  // Two groups of one key may differ in receiver or timers.
  static uint64_t HashOf(const Group& group);
  static uint64_t PairOf(const model::Alert& alert, const Group& group);
  void Ended(const model::Alert& alert, bool timed_out);
  void Finish(JournalKind kind, const FlushOf& flush, uint8_t cause, int attempt, std::string_view text);
  void AppendAlerts(const std::vector<model::AlertPtr>* alerts);
  void AppendDelivery(const FlushOf& flush, uint8_t cause);

  // payload_ becomes an event.
  void Add(JournalKind kind);
  void AddTo(JournalKind kind, const std::string& payload);

  base::Executor* const executor_;
  state::Store* const store_;
  const JournalOptions options_;

  std::string pack_;     // the events since the last flush
  std::string payload_;  // of the event being written
  std::string numbers_;  // of its alerts
  std::string describing_;
  uint32_t events_ = 0;
  int64_t last_ms_ = 0;
  base::Time first_{}, last_{};  // of them

  int64_t chapter_ = 0;
  uint32_t chapter_serial_ = 0;
  base::Time chapter_ends_{};
  size_t chapter_bytes_ = 0;
  size_t unbounded_bytes_ = 0;  // since the store was last told the bounds
  uint32_t alerts_described_ = 0;
  Described before_pack_;
  model::Labels described_labels_;  // of the alert described last in this pack
  model::Labels described_annotations_;
  std::string described_url_;
  absl::flat_hash_map<uint64_t, KnownAlert> alerts_;
  absl::flat_hash_map<uint64_t, uint32_t> groups_;  // by HashOf()
  absl::flat_hash_map<std::string, uint32_t, base::TextHash, std::equal_to<>> texts_;
  absl::flat_hash_map<uint64_t, Hold> suppressed_;  // by PairOf()

  Watcher watcher_;
  size_t unwritten_ = 0;
  base::Timer timer_;
  bool armed_ = false;
  base::Counter* dropped_;
  base::Counter* written_;
  base::Counter* bytes_;
  base::Gate gate_;
};

}  // namespace tocsin::alertmanager
