#pragma once

// The alerts of one group of one route, and its clock: the first flush comes group_wait after the
// first alert (at once if that alert is older), then one each group_interval.  Resolved alerts stay
// until every integration knows; an empty group keeps its clock until the dispatcher sweeps it.
//
// Threads: loop only.

#include <absl/container/flat_hash_map.h>

#include <functional>
#include <string>
#include <vector>

#include "alertmanager/alerts.h"
#include "alertmanager/notifier.h"
#include "alertmanager/prepared.h"
#include "alertmanager/route.h"
#include "base/executor.h"
#include "model/alert.h"

namespace tocsin::alertmanager {

class AggregationGroup {
 public:
  AggregationGroup(base::Executor* executor, Notifier* notifier, AlertStore* alerts, PreparedPtr prepared,
                   const Route* route, model::Labels labels);

  // Starts the clock with `first` in the group; no flush comes before `least_delay` is over.
  void Start(const model::AlertPtr& first, base::Duration least_delay);
  bool started() const { return started_; }
  // Adds the alert, or takes its new state; true: it was not in the group.
  bool Insert(const model::AlertPtr& alert);

  bool Has(uint64_t fingerprint) const { return alerts_.contains(fingerprint); }
  const Route& route() const { return *route_; }
  const model::Labels& labels() const { return labels_; }
  const std::string& key() const { return key_; }
  // Nothing in it and nothing under way.
  bool idle() const { return alerts_.empty() && !flushing_; }
  std::vector<model::AlertPtr> Alerts() const;  // in no order
  const std::vector<std::string>& muted_by() const { return muted_by_; }
  base::Time next_flush() const { return next_; }

 private:
  void Arm(base::Time at);
  void Tick();
  void Flush(base::Time tick);
  void Flushed(const std::vector<model::AlertPtr>& resolved, NotifyResult result);

  base::Executor* const executor_;
  Notifier* const notifier_;
  AlertStore* const store_;
  const PreparedPtr prepared_;
  const Route* const route_;
  const model::Labels labels_;
  const std::string key_;
  absl::flat_hash_map<uint64_t, model::AlertPtr> alerts_;
  bool started_ = false;
  std::vector<std::string> muted_by_;
  base::Time next_{};
  bool flushing_ = false;
  bool tick_waits_ = false;  // a tick came while the flush before was under way
  base::Timer timer_;
  base::Gate gate_;
};

}  // namespace tocsin::alertmanager
