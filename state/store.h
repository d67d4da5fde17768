#pragma once

// Durable records behind one interface: silences, the notification log, alerts for the next start,
// and journals of events (what happened to alerts, what rules did).  What a record's bytes mean is
// its owner's business; the store keeps them and gives them back.
//
//   state::Contents contents;
//   ASSIGN_OR_RETURN(auto store, state::OpenSqliteStore({.folder = dir, .executor = executor}, &contents));
//   silences->Restore(std::move(contents.silences));
//   ...
//   state::Transaction t;
//   t.PutSilence({.id = id, .bytes = bytes, .updated_at = now, .expires_at = ends + retention});
//   t.AppendPack(state::Journal::kAlerts, {.chapter = c, .first = a, .last = b, .events = 7, .bytes = events});
//   store->Commit(std::move(t), gate_.Wrap(...));  // when `done` has an OK, a power cut loses nothing
//
// Threads: loop only; `done` callbacks run on the loop, in order of the calls.  Disk work is done on
// Lane::kDurable.  Commits that wait while the disk is busy are written as one transaction.
// Errors:  kResourceExhausted (disk full), kUnavailable (other I/O): nothing of the transaction is
// kept, and later commits may succeed.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/metrics.h"
#include "base/result.h"
#include "base/time.h"

namespace tocsin::state {

struct SilenceRecord {
  std::string id;
  std::string bytes;
  base::Time updated_at{};
  base::Time expires_at{};  // when it may be forgotten: its end and the retention
};

// What a receiver was told of a group the last time.
struct NotificationRecord {
  std::string group_key;
  std::string receiver_key;  // receiver/integration/index
  base::Time sent_at{};      // the tick of the flush
  std::vector<uint64_t> firing;    // hashes of alerts
  std::vector<uint64_t> resolved;
  std::vector<uint64_t> left_out;  // told as firing before; this message was silent about them
  std::string receiver_data;  // what the receiver wants back, such as a message's id
  base::Time expires_at{};
};

// A send that has begun and whose answer is not known.  Putting the NotificationRecord of the same
// keys removes it; one that is there at a start was cut off by a crash.
struct IntentRecord {
  std::string group_key;
  std::string receiver_key;
  base::Time sent_at{};
  std::string bytes;
};

struct AlertRecord {
  uint64_t fingerprint = 0;
  std::string bytes;
};

enum class Journal {
  kAlerts,  // an alert's way: received, grouped, silenced, sent, ...
  kRules,   // state changes of alerting rules
};

// What happened within one flush, in its owner's encoding; the store compresses it.  Later packs of a
// chapter may refer to what earlier ones said, so chapters are read and forgotten as a whole.
struct EventPack {
  int64_t chapter = 0;  // later chapters have higher numbers
  base::Time first{};
  base::Time last{};
  uint32_t events = 0;
  std::string bytes;
};

// What was stored when the store was opened.  No order is promised.
struct Contents {
  std::vector<SilenceRecord> silences;
  std::vector<NotificationRecord> notifications;
  std::vector<IntentRecord> intents;
  std::vector<AlertRecord> alerts;
  int64_t last_alert_chapter = 0;  // of Journal::kAlerts; 0: there is none
  // What was lost, for people: a damaged file that was set aside.  Logged already.
  std::vector<std::string> losses;
};

// Changes that are kept together or not at all, applied in order.
class Transaction {
 public:
  Transaction();
  Transaction(Transaction&&) noexcept;
  Transaction& operator=(Transaction&&) noexcept;
  ~Transaction();

  void PutSilence(SilenceRecord record);  // replaces the one with its id
  void ForgetSilence(std::string id);

  void PutNotification(NotificationRecord record);  // also removes the intent of the same keys
  void ForgetNotification(std::string group_key, std::string receiver_key);
  void PutIntent(IntentRecord record);
  void ForgetIntent(std::string group_key, std::string receiver_key);

  void PutAlert(AlertRecord record);  // replaces the one with its fingerprint
  void ForgetAlert(uint64_t fingerprint);

  // Journals are a file of their own, written after the records.  A journal that cannot be written
  // does not fail a transaction that changes records too: it is logged and counted.
  void AppendPack(Journal journal, EventPack pack);

  // Silences and notifications with expires_at <= now.
  void ForgetExpired(base::Time now);
  // Forgets the chapters that ended before `before`, and the oldest while the journal's file has more
  // than `max_bytes` in use; never the one that was written last.
  void BoundJournal(Journal journal, base::Time before, uint64_t max_bytes);

  bool empty() const;
  struct Rep;
  Rep* rep() { return rep_.get(); }  // for stores

 private:
  std::unique_ptr<Rep> rep_;
};

struct PackQuery {
  Journal journal = Journal::kAlerts;
  base::Time from{};  // chapters with something in [from, to)
  base::Time to{base::Duration(INT64_MAX)};
  // Called on lane kQueries: chapters from the newest to the oldest, the packs of each in the order of
  // writing, up to `to`.  False: no further chapter is wanted.  A pack that cannot be read any more has
  // no bytes.
  std::function<bool(const EventPack&)> visit{};
};

class Store {
 public:
  using Done = std::move_only_function<void(base::Status)>;

  virtual ~Store() = default;

  // Makes the changes durable, then calls `done`.  An empty transaction is fine.
  virtual void Commit(Transaction transaction, Done done) = 0;

  // Reads a journal; sees every commit that was called before.  Commits go on meanwhile.
  virtual void ReadPacks(PackQuery query, Done done) = 0;

  // Finishes what was asked for, closes the files, then calls `done`.  Nothing may be asked for
  // afterwards.
  virtual void Stop(base::Task done) = 0;
};

struct SqliteOptions {
  std::string folder;  // made if missing; holds state.db and journal.db
  base::Executor* executor = nullptr;
  base::Registry* registry = nullptr;  // tocsin_state_* metrics; may be null
};

// Opens or makes the store and reads all records.  Blocks: call it at start, before the loop runs.
// A damaged file is set aside as <name>.damaged-<time> and a new one begun; what was lost is
// logged and in contents->losses.
// Errors: kFailedPrecondition (another process has it open, or a newer version wrote it),
// kPermissionDenied, kUnavailable, kResourceExhausted.
base::Result<std::unique_ptr<Store>> OpenSqliteStore(const SqliteOptions& options, Contents* contents);

// Keeps nothing but the journals, in memory: for tests, simulations and rule unit tests.
std::unique_ptr<Store> NewMemoryStore(base::Executor* executor);

}  // namespace tocsin::state
