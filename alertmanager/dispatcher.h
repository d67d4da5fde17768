#pragma once

// Puts alerts into the groups of the routes they take, and sweeps empty groups.  One Dispatcher
// lives as long as one configuration.
//
// Threads: loop only.

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/hash/hash.h>

#include <memory>
#include <string>
#include <vector>

#include "alertmanager/aggregation_group.h"
#include "alertmanager/alerts.h"
#include "alertmanager/am_metrics.h"
#include "alertmanager/journal.h"
#include "alertmanager/notifier.h"
#include "alertmanager/prepared.h"

namespace tocsin::alertmanager {

// Where alerts go: one group for each route they take.  Alerts of the same groups share it, and an
// alert that comes again with the same labels is not routed again.
struct Placement {
  std::vector<AggregationGroup*> groups;
  std::vector<std::string> receivers;  // in the order of the routes
  bool valid = true;                   // false when a group was swept: route again
};

class Dispatcher {
 public:
  struct Parts {
    base::Executor* executor;
    Notifier* notifier;
    AmMetrics* metrics;
    AlertJournal* journal;
    AlertStore* alerts;
    base::Duration maintenance_interval;
    base::Duration not_before{};  // of the monotonic clock: no flush before
  };
  Dispatcher(Parts parts, PreparedPtr prepared);
  ~Dispatcher();

  void Insert(KnownAlert* known);
  // At the start of a configuration: places all alerts.  Resolved ones matter only to receivers that
  // know them firing.
  void Load(base::Time now);

  // Whether one of its groups still has it: some receiver is not yet told of its end.
  bool Holds(const KnownAlert& known) const;

  // The group that an alert of these labels is in by that route of the configuration; null: none.
  const AggregationGroup* Find(const Route& route, model::LabelsView labels) const;
  // In no order.
  std::vector<std::weak_ptr<const AggregationGroup>> Groups() const;
  // Names of the time intervals that mute the alert's groups.
  void AddMutedBy(const Placement& placement, std::vector<std::string>* names) const;

 private:
  // By route (four bytes of its index) and encoded group labels.
  using GroupMap = absl::flat_hash_map<std::string, std::shared_ptr<AggregationGroup>>;

  std::shared_ptr<const Placement> Place(const model::AlertPtr& alert);
  static std::string KeyOf(const Route& route, model::LabelsView labels);
  AggregationGroup* GroupOf(const Route& route, const model::AlertPtr& alert);
  void InsertInto(AggregationGroup* group, const model::AlertPtr& alert);
  void Sweep();

  const Parts parts_;
  const PreparedPtr prepared_;
  GroupMap groups_;
  // One for each list of groups that some alert has.
  struct ByGroups {
    using is_transparent = void;
    size_t operator()(const std::vector<AggregationGroup*>& groups) const { return absl::HashOf(groups); }
    size_t operator()(const std::shared_ptr<Placement>& p) const { return absl::HashOf(p->groups); }
  };
  struct SameGroups {
    using is_transparent = void;
    bool operator()(const std::shared_ptr<Placement>& a, const std::shared_ptr<Placement>& b) const { return a->groups == b->groups; }
    bool operator()(const std::shared_ptr<Placement>& a, const std::vector<AggregationGroup*>& b) const { return a->groups == b; }
  };
  absl::flat_hash_set<std::shared_ptr<Placement>, ByGroups, SameGroups> placements_;
  base::Timer timer_;
  base::Gate gate_;
};

}  // namespace tocsin::alertmanager
