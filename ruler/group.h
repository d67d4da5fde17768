#pragma once

// A Group evaluates its rules in file order at one shared timestamp, once per interval; a rule sees
// what earlier rules of the same evaluation recorded.  The rules' results go to storage as one batch, or as
// several where a rule reads what another of the group wrote (ruler/dependencies.h).
//
// Threads: owned by the loop, lent to one worker for the length of Evaluate().  Between loans the
//          loop may call everything.
// Time:    slots come from the executor's clock, never from the OS.
// Errors:  a failing rule is marked unhealthy and the rest of the group still runs.

#include <memory>
#include <string>
#include <vector>

#include "base/executor.h"
#include "model/alert.h"
#include "ruler/alerting_rule.h"
#include "ruler/query_observer.h"
#include "ruler/rule.h"
#include "ruler/status.h"
#include "storage/appender.h"

namespace tocsin::ruler {

// What all groups share; outlives them.
struct GroupEnvironment {
  const base::Executor* clock = nullptr;
  const promql::Engine* engine = nullptr;
  storage::Queryable* storage = nullptr;
  storage::Appendable* recorded = nullptr;
  QueryObserver* queries = nullptr;  // null: nobody asks
  base::Duration resend_delay = std::chrono::minutes(1);
  RestoreOptions restore;
};

// What a reload may change for all groups.
struct GroupSettings {
  base::Duration default_interval = std::chrono::minutes(1);
  base::Duration query_offset{0};
  std::string external_url;
  model::Labels external_labels;
};

// What one evaluation hands back to the loop.  Immutable once returned.
struct GroupResult {
  std::vector<model::AlertPtr> alerts;  // to send
  std::shared_ptr<const GroupStatus> status;
  base::Duration took{0};
  std::vector<base::Duration> rules_took;
  size_t samples = 0;
  size_t failures = 0;  // rules
};

// The last slot of a group at or before `now`.
base::Time SlotAt(const GroupSpec& spec, base::Duration interval, base::Time now);

class Group {
 public:
  // Errors: an expression that cannot be planned.
  static base::Result<std::unique_ptr<Group>> Make(GroupSpec spec, const GroupSettings& settings,
                                                   const GroupEnvironment& environment);
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  const GroupSpec& spec() const { return spec_; }
  base::Duration interval() const { return interval_; }
  base::Duration query_offset() const { return query_offset_; }
  // Subtrees of the rules' expressions that are computed once an evaluation.
  size_t shared_parts() const { return common_.parts(); }

  // The last slot at or before `now`.  Slots are offset by a hash of file and group name, so that
  // thousands of groups with one interval do not wake in the same millisecond, and keep their
  // phase over restarts.
  base::Time SlotAt(base::Time now) const;

  // Evaluates every rule as of `slot`.  Runs on a worker while the group is lent.
  GroupResult Evaluate(base::Time slot);

  // Restores `for` state from what was stored before a restart; after the second evaluation.
  void Restore(base::Time ts);
  // For groups that are not there at the start: nothing is to be restored.
  void SkipRestore();

  // Takes over the state of rules with the same name and labels, and of what they wrote; `old` is
  // left without them, so that what remains in it is what has to be ended.
  void TakeStateFrom(Group* old);

  // Ends every series that the rules wrote and nobody took over: stale markers at `ts`.
  void WriteStaleMarkers(base::Time ts);

  std::shared_ptr<const GroupStatus> MakeStatus() const;

 private:
  struct Slot {
    std::unique_ptr<Rule> rule;
    WrittenSeries written;
    size_t needs = 0;     // rules before it that must be visible
    base::Status status;  // of the evaluation
    bool in_batch = false;
  };
  // The evaluation's batch, until what is in it is needed.
  struct Batch {
    std::unique_ptr<storage::Appender> appender;  // null: empty
    size_t first = 0;                             // rule that may have something in it
  };

  Group(GroupSpec spec, const GroupSettings& settings, const GroupEnvironment& environment);
  EvaluationContext ContextAt(base::Time slot) const;
  void EvaluateRule(Slot* slot, const EvaluationContext& context, Batch* batch, GroupResult* result);
  void Tell(const EvaluationContext& context) const;
  // Makes visible what the rules before `upto` wrote.
  void Flush(size_t upto, Batch* batch);
  void Conclude(Slot* slot, GroupResult* result);

  const GroupSpec spec_;
  const GroupEnvironment environment_;
  const GroupSettings settings_;
  const base::Duration interval_;
  const base::Duration query_offset_;
  promql::KeptGroup common_;  // what the rules' queries compute together; outlives them
  std::vector<Slot> slots_;
  base::Time last_slot_{};
  base::Duration last_took_{0};
};

}  // namespace tocsin::ruler
