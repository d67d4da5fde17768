#pragma once

// Silences: who may be changed how, which alerts they mute, and when they are forgotten.  A change
// is durable before it is acknowledged and takes effect.
//
//   silences.Set(silence, [](base::Result<std::string> id) { ... });
//   std::vector<std::string> ids = silences.Muting(alert->labels, executor->Now());
//
// Threads: loop only; a Silence is immutable once shared.
// Errors:  kInvalidArgument (Alertmanager's words), kNotFound, kResourceExhausted (a limit), and
//          kUnavailable when the disk fails: nothing has changed then.
// Cost:    Muting() looks up one bucket a label and checks the silences in it; silences without an
//          equality matcher are checked every time.

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "alertmanager/config_block.h"
#include "alertmanager/matcher_index.h"
#include "alertmanager/matchers.h"
#include "alertmanager/silence_schedule.h"
#include "base/executor.h"
#include "base/metrics.h"
#include "base/result.h"
#include "base/time.h"
#include "model/labels.h"
#include "state/store.h"

namespace tocsin::alertmanager {

enum class SilenceState { kPending, kActive, kExpired };
std::string_view SilenceStateName(SilenceState state);  // pending, active, expired

struct Silence {
  std::string id;                      // a version 4 UUID; empty when it is new
  std::vector<Matchers> matcher_sets;  // any set suffices; of a set every matcher must match
  base::Time starts_at{};
  base::Time ends_at{};
  base::Time updated_at{};
  std::string created_by;
  std::string comment;
  Pairs annotations;
  // tocsin's own; amtool and other clients of the API do not see them.
  std::string schedule;                // a list of time intervals (silence_schedule.h); empty: always
  SchedulePtr intervals;               // `schedule`, read
  std::vector<std::string> receivers;  // it holds for these only; empty: for all

  // Reads `schedule`.  Errors: kInvalidArgument.
  base::Status SetSchedule(std::string text);
  // Active, and within the schedule.
  bool HoldsAt(base::Time now) const;
  // `receiver` empty: any; then only silences for all receivers count.
  bool IsFor(std::string_view receiver) const;
  SilenceState StateAt(base::Time now) const;
  bool Matches(model::LabelsView labels) const;
};
using SilencePtr = std::shared_ptr<const Silence>;

struct SilenceLimits {
  int64_t max_silences = 0;            // 0: none.  Counts expired ones too, as upstream
  int64_t max_silence_size_bytes = 0;  // 0: none
};

class Silences {
 public:
  struct Options {
    base::Duration retention = std::chrono::hours(120);
    SilenceLimits limits;
    bool log_changes = false;
    std::function<std::string()> new_id;  // gives version 4 UUIDs
    // Called when a change is durable and in use; `before` is null for a new one.  May be null.
    std::function<void(const Silence& now, const Silence* before)> on_change;
  };
  // The pointers outlive the object.
  Silences(base::Executor* executor, state::Store* store, base::Registry* registry, Options options);

  // What the store had kept.  Before anything else.
  void Restore(std::vector<state::SilenceRecord> records);

  // Makes or changes a silence; `done` gets its id, which is new where the rules demand it.
  void Set(Silence silence, std::move_only_function<void(base::Result<std::string>)> done);
  // Ends it now; fine when it has ended already.
  void Expire(const std::string& id, std::move_only_function<void(base::Status)> done);

  SilencePtr Find(std::string_view id) const;  // null if unknown
  std::vector<SilencePtr> List() const;        // by id
  size_t size() const { return by_id_.size(); }
  size_t CountInState(SilenceState state, base::Time now) const;

  // Ids of the silences that hold now, for this receiver (empty: for all), and match; sorted.
  std::vector<std::string> Muting(model::LabelsView labels, base::Time now, std::string_view receiver = {}) const;

  // Forgets what ended longer ago than the retention; the number of them.
  size_t Collect();

 private:
  struct Entry {
    SilencePtr silence;
    uint32_t slot = 0;  // in slots_ and index_
  };
  void Insert(SilencePtr silence);
  void Erase(std::map<std::string, Entry, std::less<>>::iterator entry);
  // Hangs a silence into the index, or takes out one that ended so long ago that no correction of the
  // clock can bring it back.
  void Index(const Entry& entry, base::Time now);
  base::Status CheckLimits(const Silence& silence, bool is_new) const;
  // Writes `changed` as one transaction and takes it into use once it is on disk.
  void Store(std::vector<Silence> changed, std::move_only_function<void(base::Status)> done);
  void Log(const Silence& silence) const;
  template <class Visit>
  void VisitMatching(model::LabelsView labels, base::Time now, std::string_view receiver, Visit visit) const;

  base::Executor* const executor_;
  state::Store* const store_;
  const Options options_;
  std::map<std::string, Entry, std::less<>> by_id_;
  std::vector<SilencePtr> slots_;  // null where free
  std::vector<uint32_t> free_slots_;
  std::vector<bool> indexed_;      // by slot
  MatcherIndex index_;             // of slots
  int64_t being_added_ = 0;
  base::Counter* queries_;
  base::Histogram* query_duration_;
  base::Gauge* size_bytes_;
  base::Summary* gc_duration_;
  base::Counter* maintenance_;
  base::Gate gate_;
};

// Why a silence may not be stored, in Alertmanager's words.
base::Status ValidateSilence(const Silence& silence);
// Whether `next` may take the place of `previous` under the same id.
bool CanUpdateSilence(const Silence& previous, const Silence& next, base::Time now);

// Whether a set of matchers accepts nearly every alert: each matches values that nobody uses.
bool MutesNearlyAll(const Silence& silence);

// A silence as bytes for the store, and back.
std::string EncodeSilence(const Silence& silence);
base::Result<Silence> DecodeSilence(std::string_view bytes);

}  // namespace tocsin::alertmanager
