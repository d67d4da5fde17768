#include "scrape/pool.h"

#include "base/duration.h"
#include "base/log.h"

namespace tocsin::scrape {

Pool::Pool(Env* env, ScrapeConfigPtr config)
    : env_(env), config_(std::move(config)),
      groups_(std::make_shared<std::vector<model::TargetGroup>>()),
      dropped_(std::make_shared<std::vector<DroppedTarget>>()) {
  env_->metrics->pools->Add();
  env_->metrics->pool_target_limit->With({config_->job_name})->Set(static_cast<double>(config_->target_limit));
}

void Pool::ForgetMetrics() {
  const std::vector<std::string> job = {config_->job_name};
  env_->metrics->pool_target_limit->Remove(job);
  env_->metrics->pool_targets->Remove(job);
  env_->metrics->pool_syncs->Remove(job);
  env_->metrics->sync_failed->Remove(job);
  env_->metrics->sync_length->Remove(job);
  env_->metrics->sync_length_histogram->Remove(job);
  env_->metrics->metadata_entries->Remove(job);
  env_->metrics->metadata_bytes->Remove(job);
}

void Pool::Reconfigure(ScrapeConfigPtr config) {
  config_ = std::move(config);
  env_->metrics->pool_reloads->Add();
  env_->metrics->pool_target_limit->With({config_->job_name})->Set(static_cast<double>(config_->target_limit));
  Rebuild();
}

void Pool::SetGroups(std::vector<model::TargetGroup> groups) {
  groups_ = std::make_shared<const std::vector<model::TargetGroup>>(std::move(groups));
  Rebuild();
}

void Pool::RetireAll() {
  groups_ = std::make_shared<std::vector<model::TargetGroup>>();
  stale_build_ = building_;  // what is being built is of no use any more
  for (auto& [hash, loop] : loops_) Retire(std::move(loop));
  loops_.clear();
  ForgetMetrics();
}

void Pool::Rebuild() {
  if (building_) {
    stale_build_ = true;
    return;
  }
  building_ = true;
  auto set = std::make_shared<TargetSet>();
  const base::Duration begin = env_->options.executor->Monotonic();
  auto apply = gate_.Wrap([this, set, begin] {
    building_ = false;
    if (std::exchange(stale_build_, false)) {
      Rebuild();
      return;
    }
    Apply(std::move(*set), env_->options.executor->Monotonic() - begin);
  });
  env_->in_flight->Begin();
  env_->options.executor->Offload(
      base::Lane::kIntake, [config = config_, groups = groups_, set] { *set = BuildTargets(*config, *groups); },
      [apply = std::move(apply), in_flight = env_->in_flight]() mutable {
        apply();
        in_flight->End();
      });
}

void Pool::Apply(TargetSet set, base::Duration took) {
  const std::string& job = config_->job_name;
  for (const std::string& failure : set.failures) {
    base::LogError("Creating target failed", {{"scrape_pool", job}, {"err", failure}});
  }
  env_->metrics->sync_failed->With({job})->Add(static_cast<double>(set.failures.size()));
  dropped_ = std::make_shared<const std::vector<DroppedTarget>>(std::move(set.dropped));
  dropped_count_ = set.dropped_count;

  // Those that stay go on; those that are gone are retired first, so that a target whose address or
  // settings changed finds the series of its predecessor.
  std::map<uint64_t, std::unique_ptr<Loop>> before = std::move(loops_);
  loops_.clear();
  std::vector<TargetPtr> added;
  for (TargetPtr& target : set.active) {
    const auto same = before.find(target->hash);
    if (same == before.end()) {
      added.push_back(std::move(target));
      continue;
    }
    same->second->Reconfigure(config_, std::move(target));
    loops_.insert(before.extract(same));
  }
  for (auto& [hash, loop] : before) Retire(std::move(loop));
  for (TargetPtr& target : added) {
    std::shared_ptr<Intake> left;
    const auto found = retired_.find(target->labels);
    if (found != retired_.end() && !*found->second.left.lent) {
      left = std::move(found->second.left.intake);
      retired_.erase(found);
    }
    const uint64_t hash = target->hash;
    auto loop = std::make_unique<Loop>(env_, config_, std::move(target), std::move(left));
    loop->Start();
    loops_.emplace(hash, std::move(loop));
  }

  std::string forced;
  if (config_->target_limit > 0 && loops_.size() > config_->target_limit) {
    env_->metrics->exceeded_target_limit->Add();
    forced = "target_limit exceeded (number of targets: " + std::to_string(loops_.size()) +
             ", limit: " + std::to_string(config_->target_limit) + ")";
  }
  for (const auto& [hash, loop] : loops_) loop->SetForcedError(forced);
  env_->metrics->pool_targets->With({job})->Set(static_cast<double>(loops_.size()));
  env_->metrics->pool_syncs->With({job})->Add();
  env_->metrics->sync_length->With({job})->Observe(base::ToSeconds(took));
  env_->metrics->sync_length_histogram->With({job})->Observe(base::ToSeconds(took));
}

// The target may come back, here or under another job, so its markers wait: they carry the time of
// the slot it would have had next, and are written two intervals and a bit later.
void Pool::Retire(std::unique_ptr<Loop> loop) {
  const base::Time slot = loop->NextSlot();
  const base::Duration interval = loop->target().interval;
  const model::Labels labels = loop->target().labels;
  LentIntake left = loop->TakeIntake();
  if (!*left.lent && left.intake->empty()) return;
  const auto at = retired_.emplace(labels, Retired{.left = std::move(left), .timer = {}});
  const base::Duration wait = slot - env_->options.executor->Now() + interval + interval / 10;
  at->second.timer = env_->options.executor->After(
      wait, gate_.Wrap([this, at, slot] { WriteMarkers(at, slot); }));
}

void Pool::WriteMarkers(RetiredMap::iterator at, base::Time when) {
  if (*at->second.left.lent) {  // a worker is stuck in the last scrape
    at->second.timer = env_->options.executor->After(
        std::chrono::seconds(1), gate_.Wrap([this, at, when] { WriteMarkers(at, when); }));
    return;
  }
  const std::shared_ptr<Intake> intake = std::move(at->second.left.intake);
  retired_.erase(at);
  env_->in_flight->Begin();
  env_->options.executor->Offload(
      base::Lane::kIntake, [intake, t = base::ToUnixMillis(when)] { intake->MarkAllStale(t); },
      [in_flight = env_->in_flight] { in_flight->End(); });
}

void Pool::AppendActive(std::vector<TargetStatus>* out) const {
  for (const auto& [hash, loop] : loops_) out->push_back(loop->Status());
}

DroppedTargets Pool::Dropped() const {
  return {.job = config_->job_name, .targets = dropped_, .count = dropped_count_};
}

}  // namespace tocsin::scrape
