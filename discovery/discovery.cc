#include "discovery/discovery.h"

#include <optional>
#include <utility>

#include "base/check.h"

namespace tocsin::discovery {
namespace {

struct Metrics {
  base::Family<base::Gauge>* targets = nullptr;
  base::Family<base::Counter>* updates = nullptr;

  explicit Metrics(base::Registry* registry) {
    if (registry == nullptr) return;
    targets = registry->AddGaugeFamily("prometheus_sd_discovered_targets",
                                       "Current number of discovered targets.", {"name", "config"});
    updates = registry->AddCounterFamily("prometheus_sd_updates_total",
                                         "Total number of update events sent to the SD consumers.", {"name"});
  }
};

}  // namespace

struct Discovery::Rep {
  struct Job {
    std::string name;
    DiscoveryConfig config;
    std::vector<std::unique_ptr<Discoverer>> sources;
    std::vector<std::optional<TargetGroups>> found;  // by source; nullopt: not asked yet
    std::optional<base::Duration> sent_at;           // Monotonic(); nullopt: nothing sent yet
    bool send_pending = false;
    base::Timer timer;
  };

  Rep(DiscoveryOptions o, OnUpdate u) : options(std::move(o)), on_update(std::move(u)), metrics(options.registry) {}

  // Sends the job's groups once all sources have answered, and not too soon after the last time.
  void ScheduleSend(Job* job, bool at_once) {
    for (const auto& groups : job->found) {
      if (!groups) return;
    }
    if (job->send_pending && !at_once) return;
    base::Duration delay{0};
    if (job->sent_at && !at_once) {
      delay = *job->sent_at + options.update_interval - options.executor->Monotonic();
    }
    job->send_pending = true;
    job->timer = options.executor->After(delay, [this, job] { Send(job); });
  }

  void Send(Job* job) {
    job->send_pending = false;
    job->sent_at = options.executor->Monotonic();
    TargetGroups all = job->config.static_groups;
    for (const auto& groups : job->found) all.insert(all.end(), groups->begin(), groups->end());
    if (metrics.targets != nullptr) {
      size_t targets = 0;
      for (const TargetGroupPtr& group : all) targets += group->targets.size();
      metrics.targets->With({options.name, job->name})->Set(static_cast<double>(targets));
      metrics.updates->With({options.name})->Add(1);
    }
    // The job may be gone after this: a listener may apply another configuration.
    std::string name = job->name;
    on_update(name, all);
  }

  std::unique_ptr<Job> Start(const std::string& name, const DiscoveryConfig& config) {
    auto job = std::make_unique<Job>();
    job->name = name;
    job->config = config;
    for (const FileSdConfig& sd : config.files) job->sources.push_back(MakeFileDiscoverer(options, sd));
    if (options.http != nullptr) {
      for (const HttpSdConfig& sd : config.http) job->sources.push_back(MakeHttpDiscoverer(options, sd));
    }
    job->found.resize(job->sources.size());
    for (size_t i = 0; i < job->sources.size(); ++i) {
      job->sources[i]->Start([this, j = job.get(), i](TargetGroups groups) {
        bool first = !j->found[i];
        j->found[i] = std::move(groups);
        ScheduleSend(j, first && !j->sent_at);
      });
    }
    ScheduleSend(job.get(), true);
    return job;
  }

  const DiscoveryOptions options;
  const OnUpdate on_update;
  Metrics metrics;
  std::map<std::string, std::unique_ptr<Job>> jobs;
};

Discovery::Discovery(DiscoveryOptions options, OnUpdate on_update)
    : rep_(std::make_unique<Rep>(std::move(options), std::move(on_update))) {}

Discovery::~Discovery() = default;

void Discovery::Apply(const std::map<std::string, DiscoveryConfig>& jobs) {
  TOCSIN_DCHECK(rep_->options.executor->OnThread());
  std::map<std::string, std::unique_ptr<Rep::Job>> next;
  for (const auto& [name, config] : jobs) {
    auto old = rep_->jobs.find(name);
    if (old != rep_->jobs.end() && old->second->config.SameAs(config)) {
      rep_->ScheduleSend(old->second.get(), true);
      next.emplace(name, std::move(old->second));
      rep_->jobs.erase(old);
    } else {
      next.emplace(name, rep_->Start(name, config));
    }
  }
  if (rep_->metrics.targets != nullptr) {
    for (const auto& [name, job] : rep_->jobs) {
      if (!next.contains(name)) rep_->metrics.targets->Remove(std::vector<std::string>{rep_->options.name, name});
    }
  }
  rep_->jobs = std::move(next);
}

void Discovery::Stop() { rep_->jobs.clear(); }

}  // namespace tocsin::discovery
