#pragma once

// The targets of one job and their loops.
//
// Threads: loop only; target groups are relabeled on Lane::kIntake.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "scrape/loop.h"

namespace tocsin::scrape {

class Pool {
 public:
  Pool(Env* env, ScrapeConfigPtr config);

  const ScrapeConfigPtr& config() const { return config_; }
  void Reconfigure(ScrapeConfigPtr config);
  void SetGroups(std::vector<model::TargetGroup> groups);
  // No targets any more.  Their series get stale markers as if discovery had lost them.
  void RetireAll();
  // Whether stale markers are still to be written.
  bool retiring() const { return !retired_.empty(); }

  void AppendActive(std::vector<TargetStatus>* out) const;
  DroppedTargets Dropped() const;

 private:
  struct Retired {
    LentIntake left;
    base::Timer timer;
  };
  // By public labels: series of equal public labels are the same, whatever steered the scrape.
  using RetiredMap = std::multimap<model::Labels, Retired>;

  void Rebuild();
  void Apply(TargetSet set, base::Duration took);
  void Retire(std::unique_ptr<Loop> loop);
  void WriteMarkers(RetiredMap::iterator at, base::Time when);
  void ForgetMetrics();

  Env* const env_;
  ScrapeConfigPtr config_;
  std::shared_ptr<const std::vector<model::TargetGroup>> groups_;
  bool building_ = false;
  bool stale_build_ = false;  // groups or settings changed meanwhile
  std::map<uint64_t, std::unique_ptr<Loop>> loops_;
  RetiredMap retired_;
  std::shared_ptr<const std::vector<DroppedTarget>> dropped_;
  size_t dropped_count_ = 0;
  base::Gate gate_;
};

}  // namespace tocsin::scrape
