#pragma once

// The Ruler runs groups at their slots and hands alerts on.
//
//   ruler::Ruler ruler(executor, environment, sinks, registry);
//   ASSIGN_OR_RETURN(auto update, ruler.Prepare(groups, settings));   // all that can fail
//   ruler.Apply(std::move(update));
//   ruler.Start();
//
// Threads: loop only, but for Prepare().  Groups are lent to lane kIntake for each evaluation.
// Time:    the first evaluation is at the group's next slot.  Missed slots are counted and never run
//          late in a burst.
// Source:  Prometheus 3.14, rules/manager.go, rules/group.go.

#include <memory>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/metrics.h"
#include "base/result.h"
#include "model/alert.h"
#include "model/relabel.h"
#include "ruler/group.h"

namespace tocsin::ruler {

// A checked set of groups, not yet running.
struct RulerUpdate {
  std::vector<std::unique_ptr<Group>> groups;
  GroupSettings settings;
  model::RelabelRules alert_relabel;
};

class Ruler {
 public:
  // `environment`'s pointers and the sinks outlive the ruler.
  Ruler(base::Executor* executor, GroupEnvironment environment, std::vector<model::AlertSink*> sinks,
        base::Registry* registry);
  ~Ruler();
  Ruler(const Ruler&) = delete;
  Ruler& operator=(const Ruler&) = delete;

  // Any thread.
  base::Result<RulerUpdate> Prepare(const std::vector<GroupSpec>& groups, const GroupSettings& settings,
                                    model::RelabelRules alert_relabel = {}) const;
  // Groups that did not change keep running with their state; others stop after their evaluation and
  // hand their rules' state to the new ones; series of removed rules end.
  void Apply(RulerUpdate update);
  // Begins to evaluate.  Groups that are there at this moment restore their `for` state.
  void Start();
  // No evaluation begins any more; `done` when the last has ended.
  void Stop(base::Task done);

  // By file and name.
  std::vector<std::shared_ptr<const GroupStatus>> Status() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace tocsin::ruler
