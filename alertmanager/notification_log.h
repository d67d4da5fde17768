#pragma once

// What each receiver was last told of each group, so that nothing is told twice.  Entries are
// durable before a send counts as done; the intent to send, with what it is about to say, is durable
// before the send begins.  A send without an answer (cut off by a stop, a crash or its deadline) may
// have been heard: until the next answer the receiver counts as knowing only what it knows either way,
// and as possibly believing what the lost message said.
//
// Threads: loop only.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/metrics.h"
#include "base/result.h"
#include "base/time.h"
#include "model/alert.h"
#include "state/store.h"

namespace tocsin::alertmanager {

// xxhash64 over name 0xff value 0xff, by name: how the log knows alerts, as upstream's.
uint64_t AlertHash(model::LabelsView labels);

struct NotificationEntry {
  // The tick of the flush (or the send's end under upstream's rule); earlier if the clock was set back since.
  base::Time sent_at{};
  std::vector<uint64_t> firing;   // hashes, sorted
  std::vector<uint64_t> resolved;
  // Told as firing before and suppressed at this message, which therefore is silent about them.  They
  // are new to it when nothing suppresses them any more, but their end is told.
  std::vector<uint64_t> left_out;
  std::string receiver_data;
  base::Time expires_at{};
  base::Duration clock_offset{};  // ClockOffset() when sent_at was taken
};

// What is kept of the hashes of sends whose answers are not known, besides those of the last one: a receiver
// that is never heard of while alerts come and go must not fill the memory.  Of alerts beyond it the end may
// stay untold.
inline constexpr size_t kMaxUnansweredHashes = 100'000;

// Sends whose answers are not known, as one: what the receiver may have been told since its entry.
struct UnansweredSend {
  base::Time tick{};             // of the last one; the store keeps it beside the bytes
  std::vector<uint64_t> firing;  // hashes, sorted
  std::vector<uint64_t> resolved;
  bool in_journal = false;  // the journal has the event
};
// The bytes of an intent.  What cannot be read is a send of unknown content.
std::string EncodeUnanswered(const UnansweredSend& send);
UnansweredSend DecodeUnanswered(std::string_view bytes);

// Why a notification goes out, in the words templates see; or why not.
struct NotifyDecision {
  bool notify = false;
  std::string_view reason;  // empty when it does not
};

struct DedupQuestion {
  const NotificationEntry* last = nullptr;        // null: never told
  const UnansweredSend* unanswered = nullptr;     // null: there is none
  std::vector<uint64_t> firing;                   // sorted
  std::vector<uint64_t> resolved;                 // sorted
  bool send_resolved = false;
  base::Time tick{};
  base::Duration repeat_interval{};
  // Upstream's rule: an entry of exactly the interval's age is not yet old enough.
  bool strictly_older = false;
};
NotifyDecision DecideNotification(const DedupQuestion& q);

class NotificationLog {
 public:
  // `forget_told_firing`: upstream's rule, by which every entry goes after two repeat intervals.  Else
  // one that says that alerts fire stays for the retention, until their end is told.
  NotificationLog(base::Executor* executor, state::Store* store, base::Registry* registry,
                  base::Duration retention, bool forget_told_firing);

  void Restore(std::vector<state::NotificationRecord> records, std::vector<state::IntentRecord> intents);

  // Null if the receiver was never told, or the entry has expired.
  const NotificationEntry* Find(const std::string& group_key, const std::string& receiver_key) const;

  // Null if every send is answered.
  const UnansweredSend* Unanswered(const std::string& group_key, const std::string& receiver_key) const;
  // What a receiver may believe of a group; until the next change of the log.
  struct Beliefs {
    const NotificationEntry* told = nullptr;
    const UnansweredSend* unanswered = nullptr;
    // Whether it was told that the alert with this hash fires, or may have been, and not of its end.
    bool MayFire(uint64_t hash) const;
  };
  Beliefs BeliefsOf(const std::string& group_key, const std::string& receiver_key) const;

  // Records that a send begins and what it says; `done` once it is on disk (or could not be written:
  // the send goes on, since a message twice is better than none).
  void Intend(const std::string& group_key, const std::string& receiver_key, UnansweredSend says, base::Task done);
  // The send ended without an answer, and the journal says so.
  void LeaveUnanswered(const std::string& group_key, const std::string& receiver_key, UnansweredSend said);
  // The send failed for good: nothing was told.
  void Abandon(const std::string& group_key, const std::string& receiver_key);
  // The receiver knows: from now on Find() gives this.  `done` once it is on disk.
  void Record(const std::string& group_key, const std::string& receiver_key, NotificationEntry entry,
              base::Duration repeat_interval, base::Task done);

  // When the clock was set back, the times of messages before go back with it, so that nothing is repeated late.
  // Set forward, it makes repetitions come early.
  void FollowClock();
  base::Duration ClockOffset() const;  // of the wall clock from the monotonic one

  size_t Collect();  // forgets what has expired
  size_t size() const { return entries_.size(); }

 private:
  using Key = std::pair<std::string, std::string>;
  // Best effort: an intent that is not up to date only makes a later send a possible repetition.
  void PutIntent(const Key& key, const UnansweredSend& send);

  base::Executor* const executor_;
  state::Store* const store_;
  const base::Duration retention_;
  const bool forget_told_firing_;
  std::map<Key, NotificationEntry> entries_;
  std::map<Key, UnansweredSend> unanswered_;
  base::Duration followed_;  // the clock's offset as FollowClock() last saw it
  base::Counter* queries_;
  base::Gauge* size_bytes_;
  base::Summary* gc_duration_;
  base::Counter* maintenance_;
  base::Gate gate_;
};

}  // namespace tocsin::alertmanager
