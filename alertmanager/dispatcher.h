#pragma once

// Puts alerts into the groups of the routes they take, and sweeps empty groups.  One Dispatcher
// lives as long as one configuration.
//
// Threads: loop only.

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "alertmanager/aggregation_group.h"
#include "alertmanager/am_metrics.h"
#include "alertmanager/journal.h"
#include "alertmanager/notifier.h"
#include "alertmanager/prepared.h"

namespace tocsin::alertmanager {

class Dispatcher {
 public:
  struct Parts {
    base::Executor* executor;
    Notifier* notifier;
    AmMetrics* metrics;
    AlertJournal* journal;
    base::Duration maintenance_interval;
    base::Time not_before;  // no flush before
  };
  Dispatcher(Parts parts, PreparedPtr prepared);
  ~Dispatcher();

  void Insert(const model::AlertPtr& alert);
  // At the start of a configuration: resolved alerts matter only to receivers that know them firing.
  void Load(const std::vector<model::AlertPtr>& alerts, base::Time now);

  // The group of an alert at a route, or null.
  const AggregationGroup* Find(const Route& route, model::LabelsView labels) const;
  std::vector<const AggregationGroup*> Groups() const;

 private:
  using Key = std::pair<int, std::string>;  // the route's index, the encoded group labels
  void InsertAt(const Route& route, const model::AlertPtr& alert);
  void Sweep();

  const Parts parts_;
  const PreparedPtr prepared_;
  std::map<Key, std::unique_ptr<AggregationGroup>> groups_;
  base::Timer timer_;
  base::Gate gate_;
};

}  // namespace tocsin::alertmanager
