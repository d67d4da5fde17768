#pragma once

// The alerts that are known, one a fingerprint: how a new report of an alert merges with the one
// before, how many of a name are kept, and when resolved ones are forgotten.  Kept over restarts.
//
// Threads: loop only; alerts are immutable.
// Limits:  per alertname, the option; new alerts beyond it are dropped and counted.

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/executor.h"
#include "base/metrics.h"
#include "base/result.h"
#include "base/time.h"
#include "model/alert.h"
#include "state/store.h"

namespace tocsin::alertmanager {

// One alert out of two reports of it that overlap in time.
model::AlertPtr MergeAlerts(const model::AlertPtr& a, const model::AlertPtr& b, base::Time now);
// What is stored when `next` arrives and `previous` was there (or null).
model::AlertPtr UpdatedAlert(const model::AlertPtr& previous, model::AlertPtr next, base::Time now);

std::string EncodeAlert(const model::Alert& alert);
base::Result<model::Alert> DecodeAlert(std::string_view bytes);

class AlertStore {
 public:
  struct Options {
    int64_t per_alertname_limit = 0;
    bool names_in_metrics = false;
    bool durable = true;
  };
  AlertStore(base::Executor* executor, state::Store* store, base::Registry* registry, Options options);

  void Restore(std::vector<state::AlertRecord> records);

  // Stores the alerts; returns what each became, without those over the limit.
  std::vector<model::AlertPtr> Put(std::span<const model::AlertPtr> alerts);

  model::AlertPtr Find(uint64_t fingerprint) const;
  std::vector<model::AlertPtr> List() const;  // by fingerprint
  size_t size() const { return alerts_.size(); }

  // Forgets resolved alerts; returns them.
  std::vector<model::AlertPtr> Collect();

 private:
  bool Admit(const model::Alert& alert);

  base::Executor* const executor_;
  state::Store* const store_;
  const Options options_;
  std::unordered_map<uint64_t, model::AlertPtr> alerts_;
  std::map<std::string, int64_t, std::less<>> per_name_;  // only when there is a limit
  base::Family<base::Counter>* limited_;
  base::Gate gate_;
};

}  // namespace tocsin::alertmanager
