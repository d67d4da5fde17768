#include "scrape/scraper.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "base/check.h"
#include "base/duration.h"
#include "scrape/pool.h"

namespace tocsin::scrape {

std::string_view HealthName(Health health) {
  switch (health) {
    case Health::kUnknown: return "unknown";
    case Health::kUp: return "up";
    case Health::kDown: return "down";
  }
  return "unknown";
}

struct Scraper::Rep {
  Env env;
  std::map<std::string, std::unique_ptr<Pool>, std::less<>> pools;
  // Pools of jobs that are gone and still owe stale markers.
  std::vector<std::unique_ptr<Pool>> retiring;
};

Scraper::Scraper(const ScraperOptions& options) : rep_(std::make_unique<Rep>()) {
  TOCSIN_CHECK(options.executor != nullptr);
  TOCSIN_CHECK(options.client != nullptr);
  TOCSIN_CHECK(options.storage != nullptr);
  TOCSIN_CHECK(options.registry != nullptr);
  rep_->env.options = options;
  rep_->env.metrics = std::make_unique<Metrics>(options.registry);
  rep_->env.returns = std::make_unique<Returns>(options.executor);
}

Scraper::~Scraper() = default;

void Scraper::Reload(const std::vector<ScrapeConfigPtr>& jobs, const model::Labels& external_labels) {
  TOCSIN_DCHECK(rep_->env.options.executor->OnThread());
  rep_->env.seed = OffsetSeed(rep_->env.options.host, external_labels);
  std::erase_if(rep_->retiring, [](const auto& pool) { return !pool->retiring(); });
  std::set<std::string_view> names;
  for (const ScrapeConfigPtr& job : jobs) {
    names.insert(job->job_name);
    const auto found = rep_->pools.find(job->job_name);
    if (found == rep_->pools.end()) {
      rep_->pools.emplace(job->job_name, std::make_unique<Pool>(&rep_->env, job));
    } else if (found->second->config() != job) {
      const base::Duration begin = rep_->env.options.executor->Monotonic();
      found->second->Reconfigure(job);
      rep_->env.metrics->reload_length->With({base::FormatGoDuration(job->scrape_interval)})
          ->Observe(base::ToSeconds(rep_->env.options.executor->Monotonic() - begin));
    }
  }
  for (auto at = rep_->pools.begin(); at != rep_->pools.end();) {
    if (names.contains(at->first)) {
      ++at;
      continue;
    }
    at->second->RetireAll();
    if (at->second->retiring()) rep_->retiring.push_back(std::move(at->second));
    at = rep_->pools.erase(at);
  }
}

void Scraper::SetTargets(std::string_view job, std::vector<model::TargetGroup> groups) {
  TOCSIN_DCHECK(rep_->env.options.executor->OnThread());
  const auto found = rep_->pools.find(job);
  if (found != rep_->pools.end()) found->second->SetGroups(std::move(groups));
}

std::vector<TargetStatus> Scraper::ActiveTargets(std::string_view job) const {
  // After Stop() the last to come back tells that it is over, which is not to happen here.
  if (!rep_->pools.empty()) rep_->env.returns->Take();
  std::vector<TargetStatus> all;
  for (const auto& [name, pool] : rep_->pools) {
    if (!job.empty() && job != name) continue;
    const size_t first = all.size();
    pool->AppendActive(&all);
    std::sort(all.begin() + static_cast<std::ptrdiff_t>(first), all.end(),
              [](const TargetStatus& a, const TargetStatus& b) {
                return std::tie(a.target->url, a.target->hash) < std::tie(b.target->url, b.target->hash);
              });
  }
  return all;
}

std::vector<DroppedTargets> Scraper::Dropped(std::string_view job) const {
  std::vector<DroppedTargets> all;
  for (const auto& [name, pool] : rep_->pools) {
    if (job.empty() || job == name) all.push_back(pool->Dropped());
  }
  return all;
}

std::vector<std::string> Scraper::Jobs() const {
  std::vector<std::string> names;
  for (const auto& [name, pool] : rep_->pools) names.push_back(name);
  return names;
}

ScrapeConfigPtr Scraper::ConfigOf(std::string_view job) const {
  const auto found = rep_->pools.find(job);
  return found == rep_->pools.end() ? nullptr : found->second->config();
}

void Scraper::Stop(base::Task done) {
  TOCSIN_DCHECK(rep_->env.options.executor->OnThread());
  rep_->env.returns->Take();
  rep_->pools.clear();
  rep_->retiring.clear();
  rep_->env.in_flight->WhenNone(std::move(done));
}

}  // namespace tocsin::scrape
