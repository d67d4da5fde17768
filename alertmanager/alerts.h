#pragma once

// The alerts that are known, one a fingerprint: how a new report of an alert merges with the one
// before, how many of a name are kept, and when resolved ones are forgotten.
//
// Kept over restarts: what changed is saved once a second, and before a message about it goes out.
// A sender repeats a firing alert every minute, each time with a later end; that alone is not saved.
// An alert that fired when it was saved last therefore counts as firing at the next start, for as
// long as resolve_timeout gives its sender to say otherwise.
//
// Threads: loop only; alerts are immutable.
// Limits:  per alertname, the option; new alerts beyond it are dropped and counted.
// Cost:    one look-up a report; the first filter by a label name reads every alert once.

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "alertmanager/matchers.h"
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

// A record for the store; `ended` says that the alert is known to have ended.
std::string EncodeAlert(const model::Alert& alert, bool ended);
struct DecodedAlert {
  model::Alert alert;
  bool ended = false;
};
base::Result<DecodedAlert> DecodeAlert(std::string_view bytes);

struct Placement;  // alertmanager/dispatcher.h

struct KnownAlert {
  model::AlertPtr alert;
  std::shared_ptr<const Placement> placement;  // where the dispatcher put it, for as long as it is valid
  base::Time saved_at{};
  bool saved_firing = false;  // what the record says
  bool unsaved = false;       // waits for the next save
};

class AlertStore {
 public:
  struct Options {
    int64_t per_alertname_limit = 0;
    bool names_in_metrics = false;
    bool durable = true;
  };
  AlertStore(base::Executor* executor, state::Store* store, base::Registry* registry, Options options);

  void Restore(std::vector<state::AlertRecord> records);
  // Once after Restore(), when the configuration is known: alerts that fired when they were saved last
  // fire for at least so long from now on.
  void Extend(base::Duration resolve_timeout);

  struct Stored {
    KnownAlert* known;  // until the next change
    bool was_known;
    bool was_firing;
  };
  // Nullopt: over the limit.
  std::optional<Stored> Put(const model::AlertPtr& alert);

  KnownAlert* Find(uint64_t fingerprint);
  template <class Fn>
  void ForEach(Fn fn) {
    for (auto& [fingerprint, known] : alerts_) fn(known);
  }
  std::vector<uint64_t> Fingerprints() const;  // sorted
  std::vector<model::AlertPtr> List() const;   // by fingerprint
  size_t size() const { return alerts_.size(); }

  // The fingerprints (sorted) of a superset of the alerts that match, found by the equality matcher
  // that fewest alerts have; nullopt: all must be looked at.
  std::optional<std::vector<uint64_t>> Candidates(const Matchers& matchers);

  // Saves those of `alerts` whose records are not up to date, because a message about them goes out
  // now: the store writes in order.
  void Save(std::span<const model::AlertPtr> alerts);
  void SaveAll();

  // Forgets resolved alerts that `may_go`, at most `limit`; returns them.
  std::vector<model::AlertPtr> Collect(size_t limit, const std::function<bool(const KnownAlert&)>& may_go);

 private:
  // The alerts by the value of one label.
  struct LabelIndex {
    std::string name;
    absl::flat_hash_map<uint64_t, std::vector<uint64_t>> by_value;  // hash of the value: fingerprints
    uint64_t used = 0;  // the query that used it last
  };
  bool Admit(const model::Alert& alert);
  bool NeedsSave(const KnownAlert& known, const model::Alert* before, base::Time now) const;
  void MarkUnsaved(uint64_t fingerprint, KnownAlert* known);
  void AppendRecord(uint64_t fingerprint, KnownAlert* known, base::Time now, state::Transaction* t);
  void Commit(state::Transaction t, std::vector<uint64_t> saved);
  void SaveSome();
  LabelIndex* IndexOf(const std::string& name);

  base::Executor* const executor_;
  state::Store* const store_;
  const Options options_;
  absl::flat_hash_map<uint64_t, KnownAlert> alerts_;
  std::map<std::string, int64_t, std::less<>> per_name_;  // only when there is a limit
  std::vector<uint64_t> restored_firing_;
  std::vector<uint64_t> unsaved_;
  bool save_armed_ = false;
  base::Timer save_timer_;
  std::vector<std::unique_ptr<LabelIndex>> indexes_;
  uint64_t queries_ = 0;
  base::Family<base::Counter>* limited_;
  base::Gate gate_;
};

}  // namespace tocsin::alertmanager
