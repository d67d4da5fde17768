#include "ruler/ruler.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/check.h"
#include "base/log.h"

namespace tocsin::ruler {
namespace {

// One group's metrics, found once.
struct GroupCounts {
  base::Counter* evaluations = nullptr;
  base::Counter* failures = nullptr;
  base::Counter* iterations = nullptr;
  base::Counter* missed = nullptr;
  base::Gauge* last_duration = nullptr;
  base::Gauge* last_rule_sum = nullptr;
  base::Gauge* last_evaluation = nullptr;
  base::Gauge* last_samples = nullptr;
};

// The metrics of all groups; a group's are removed with it.
struct GroupMetrics {
  base::Family<base::Counter>* evaluations;
  base::Family<base::Counter>* failures;
  base::Family<base::Counter>* iterations;
  base::Family<base::Counter>* missed;
  base::Family<base::Gauge>* interval;
  base::Family<base::Gauge>* last_duration;
  base::Family<base::Gauge>* last_rule_sum;
  base::Family<base::Gauge>* last_evaluation;
  base::Family<base::Gauge>* last_samples;
  base::Family<base::Gauge>* last_restore;
  base::Family<base::Gauge>* rules;
  base::Summary* evaluation_seconds;
  base::Summary* group_seconds;

  explicit GroupMetrics(base::Registry* r) {
    const base::Registry::Labels by_group = {"rule_group"};
    auto counter = [&](const char* name, const char* help) { return r->AddCounterFamily(name, help, by_group); };
    auto gauge = [&](const char* name, const char* help) { return r->AddGaugeFamily(name, help, by_group); };
    evaluations = counter("prometheus_rule_evaluations_total", "The total number of rule evaluations.");
    failures = counter("prometheus_rule_evaluation_failures_total", "The total number of rule evaluation failures.");
    iterations = counter("prometheus_rule_group_iterations_total",
                         "The total number of scheduled rule group evaluations, executed or missed.");
    missed = counter("prometheus_rule_group_iterations_missed_total",
                     "The total number of rule group evaluations missed due to slow evaluation.");
    interval = gauge("prometheus_rule_group_interval_seconds", "The interval of a rule group.");
    last_duration = gauge("prometheus_rule_group_last_duration_seconds", "The duration of the last evaluation.");
    last_rule_sum = gauge("prometheus_rule_group_last_rule_duration_sum_seconds",
                          "The sum of the durations of the rules of the last evaluation.");
    last_evaluation = gauge("prometheus_rule_group_last_evaluation_timestamp_seconds",
                            "The time of the last evaluation, in seconds since the epoch.");
    last_samples = gauge("prometheus_rule_group_last_evaluation_samples", "The samples the last evaluation returned.");
    last_restore = gauge("prometheus_rule_group_last_restore_duration_seconds",
                         "The duration of the last restoration of alerts.");
    rules = gauge("prometheus_rule_group_rules", "The number of rules.");
    evaluation_seconds = r->AddSummary("prometheus_rule_evaluation_duration_seconds",
                                       "The duration of a rule's evaluation.", {0.5, 0.9, 0.99});
    group_seconds = r->AddSummary("prometheus_rule_group_duration_seconds",
                                  "The duration of a rule group's evaluation.", {0.01, 0.05, 0.5, 0.9, 0.99});
  }

  GroupCounts Add(const Group& group) {
    const std::string key = group.spec().Key();
    interval->With({key})->Set(base::ToSeconds(group.interval()));
    rules->With({key})->Set(static_cast<double>(group.spec().rules.size()));
    return {.evaluations = evaluations->With({key}),
            .failures = failures->With({key}),
            .iterations = iterations->With({key}),
            .missed = missed->With({key}),
            .last_duration = last_duration->With({key}),
            .last_rule_sum = last_rule_sum->With({key}),
            .last_evaluation = last_evaluation->With({key}),
            .last_samples = last_samples->With({key})};
  }

  void Remove(const std::string& key) {
    const std::string values[] = {key};
    for (auto* family : {evaluations, failures, iterations, missed}) family->Remove(values);
    for (auto* family : {interval, last_duration, last_rule_sum, last_evaluation, last_samples, last_restore, rules}) {
      family->Remove(values);
    }
  }
};

// A group with its timer.  Between evaluations the loop owns it.
struct Running {
  std::unique_ptr<Group> group;
  std::shared_ptr<const GroupStatus> status;
  std::string key;
  GroupCounts counts;       // valid while it is in running_
  base::Timer timer;
  base::Time slot{};        // the last one evaluated, or the one before the first
  bool lent = false;
  int evaluations = 0;
  bool restore = false;     // after the second evaluation
  bool stopped = false;     // no further evaluation
  std::function<void()> when_idle;  // called once when it is not lent
};
using RunningPtr = std::shared_ptr<Running>;

}  // namespace

class Ruler::Impl : public std::enable_shared_from_this<Ruler::Impl> {
 public:
  Impl(base::Executor* executor, GroupEnvironment environment, std::vector<model::AlertSink*> sinks,
       base::Registry* registry)
      : executor_(executor), environment_(environment), sinks_(std::move(sinks)), metrics_(registry) {
    environment_.clock = executor;
  }

  const GroupEnvironment& environment() const { return environment_; }

  void Apply(RulerUpdate update) {
    TOCSIN_DCHECK(executor_->OnThread());
    const bool same_settings = settings_.default_interval == update.settings.default_interval &&
                               settings_.query_offset == update.settings.query_offset &&
                               settings_.external_url == update.settings.external_url &&
                               settings_.external_labels == update.settings.external_labels;
    settings_ = update.settings;
    alert_relabel_ = std::move(update.alert_relabel);
    std::map<std::string, RunningPtr> before = std::exchange(running_, {});
    for (std::unique_ptr<Group>& group : update.groups) {
      const std::string key = group->spec().Key();
      const auto old = before.find(key);
      if (old != before.end() && same_settings && old->second->group->spec().SameAs(group->spec())) {
        running_[key] = old->second;
        before.erase(old);
        continue;
      }
      auto running = std::make_shared<Running>();
      running->group = std::move(group);
      running->key = key;
      running->status = running->group->MakeStatus();
      running->restore = !started_;
      running_[key] = running;
      running->counts = metrics_.Add(*running->group);
      if (old != before.end()) {
        Replace(old->second, running);
        before.erase(old);
      } else {
        if (started_) running->group->SkipRestore();
        if (started_) Begin(running);
      }
    }
    for (auto& [key, old] : before) Remove(old);
  }

  void Start() {
    started_ = true;
    for (auto& [key, running] : running_) {
      if (!running->stopped && running->slot == base::Time{}) Begin(running);
    }
  }

  void Stop(base::Task done) {
    stopping_ = true;
    stop_done_ = std::move(done);
    for (auto& [key, running] : running_) {
      running->stopped = true;
      running->timer.Cancel();
    }
    FinishStop();
  }

  std::vector<std::shared_ptr<const GroupStatus>> Status() const {
    std::vector<std::shared_ptr<const GroupStatus>> all;
    for (const auto& [key, running] : running_) all.push_back(running->status);
    return all;
  }

 private:
  void FinishStop() {
    if (stopping_ && lent_ == 0 && stop_done_) std::exchange(stop_done_, nullptr)();
  }

  // Waits for the next slot.
  void Begin(const RunningPtr& running) {
    if (running->slot == base::Time{}) running->slot = running->group->SlotAt(executor_->Now());
    Schedule(running);
  }

  void Schedule(const RunningPtr& running) {
    if (running->stopped || stopping_) return;
    const base::Time now = executor_->Now();
    const base::Duration interval = running->group->interval();
    const int64_t missed = (now - running->slot) / interval - 1;
    if (missed > 0) {
      running->counts.missed->Add(static_cast<double>(missed));
      running->counts.iterations->Add(static_cast<double>(missed));
    }
    const base::Time next = running->slot + (std::max<int64_t>(missed, 0) + 1) * interval;
    running->timer = executor_->After(next - now, [self = weak_from_this(), running, next] {
      if (auto alive = self.lock()) alive->Evaluate(running, next);
    });
  }

  void Evaluate(const RunningPtr& running, base::Time slot) {
    if (running->stopped || stopping_) return;
    running->slot = slot;
    running->lent = true;
    ++lent_;
    ++running->evaluations;
    const bool restore = running->restore && running->evaluations == 2;
    auto result = std::make_shared<GroupResult>();
    executor_->Offload(
        base::Lane::kIntake,
        [running, slot, restore, result] {
          *result = running->group->Evaluate(slot);
          if (restore) running->group->Restore(slot);
        },
        [self = shared_from_this(), running, result] { self->Evaluated(running, *result); });
  }

  void Evaluated(const RunningPtr& running, const GroupResult& result) {
    running->lent = false;
    --lent_;
    running->status = result.status;
    if (running_.contains(running->key) && running_[running->key] == running) Count(*running, result);
    Send(result.alerts);
    if (running->when_idle) std::exchange(running->when_idle, nullptr)();
    Schedule(running);
    FinishStop();
  }

  void Count(const Running& running, const GroupResult& result) {
    const GroupCounts& counts = running.counts;
    counts.iterations->Add();
    counts.evaluations->Add(static_cast<double>(result.rules_took.size()));
    counts.failures->Add(static_cast<double>(result.failures));
    counts.last_duration->Set(base::ToSeconds(result.took));
    counts.last_evaluation->Set(base::ToSeconds(running.slot.time_since_epoch()));
    counts.last_samples->Set(static_cast<double>(result.samples));
    metrics_.group_seconds->Observe(base::ToSeconds(result.took));
    base::Duration sum{0};
    for (const base::Duration took : result.rules_took) {
      metrics_.evaluation_seconds->Observe(base::ToSeconds(took));
      sum += took;
    }
    counts.last_rule_sum->Set(base::ToSeconds(sum));
  }

  // External labels and alert relabeling come between the rules and every sink.
  void Send(const std::vector<model::AlertPtr>& alerts) {
    if (alerts.empty() || sinks_.empty()) return;
    std::vector<model::AlertPtr> out;
    model::LabelsBuilder labels;
    for (const model::AlertPtr& alert : alerts) {
      if (settings_.external_labels.empty() && alert_relabel_.empty()) {
        out.push_back(alert);
        continue;
      }
      labels.Reset(alert->labels);
      for (const auto& [name, value] : settings_.external_labels) {
        if (labels.Get(name).empty()) labels.Set(name, value);
      }
      if (!model::Relabel(alert_relabel_, &labels) || labels.empty()) continue;
      auto changed = std::make_shared<model::Alert>(*alert);
      changed->labels = labels.Build();
      out.push_back(std::move(changed));
    }
    for (model::AlertSink* sink : sinks_) sink->Send(out);
  }

  static void WhenIdle(const RunningPtr& running, std::function<void()> fn) {
    if (running->lent) running->when_idle = std::move(fn);
    else fn();
  }

  // The new group takes over the old one's state once its evaluation has ended.
  void Replace(const RunningPtr& old, const RunningPtr& running) {
    old->stopped = true;
    old->timer.Cancel();
    WhenIdle(old, [self = weak_from_this(), old, running] {
      running->group->TakeStateFrom(old->group.get());
      auto alive = self.lock();
      if (!alive) return;
      if (alive->started_) running->group->SkipRestore();
      alive->EndSeries(old, base::Duration(0));
      if (alive->started_) alive->Begin(running);
    });
  }

  void Remove(const RunningPtr& old) {
    old->stopped = true;
    old->timer.Cancel();
    metrics_.Remove(old->key);
    WhenIdle(old, [self = weak_from_this(), old] {
      // Two intervals later, in case another server's rules go on writing the same series.
      if (auto alive = self.lock()) alive->EndSeries(old, 2 * old->group->interval());
    });
  }

  void EndSeries(const RunningPtr& old, base::Duration delay) {
    old->timer = executor_->After(delay, [self = weak_from_this(), old] {
      auto alive = self.lock();
      if (!alive || alive->stopping_) return;
      const base::Time now = alive->executor_->Now();
      ++alive->lent_;
      alive->executor_->Offload(
          base::Lane::kIntake, [old, now] { old->group->WriteStaleMarkers(now); },
          [alive, old] {
            --alive->lent_;
            alive->ending_.erase(old);
            alive->FinishStop();
          });
    });
    ending_.insert(old);
  }

  base::Executor* const executor_;
  GroupEnvironment environment_;
  const std::vector<model::AlertSink*> sinks_;
  GroupMetrics metrics_;
  GroupSettings settings_;
  model::RelabelRules alert_relabel_;
  std::map<std::string, RunningPtr> running_;  // by key
  std::set<RunningPtr> ending_;                // removed, until their series are ended
  bool started_ = false;
  bool stopping_ = false;
  int lent_ = 0;
  base::Task stop_done_;
};

Ruler::Ruler(base::Executor* executor, GroupEnvironment environment,
             std::vector<model::AlertSink*> sinks, base::Registry* registry)
    : impl_(std::make_shared<Impl>(executor, environment, std::move(sinks), registry)) {}

Ruler::~Ruler() = default;

base::Result<RulerUpdate> Ruler::Prepare(const std::vector<GroupSpec>& groups, const GroupSettings& settings,
                                         model::RelabelRules alert_relabel) const {
  RulerUpdate update{.groups = {}, .settings = settings, .alert_relabel = std::move(alert_relabel)};
  for (const GroupSpec& spec : groups) {
    ASSIGN_OR_RETURN(std::unique_ptr<Group> group, Group::Make(spec, settings, impl_->environment()));
    update.groups.push_back(std::move(group));
  }
  return update;
}

void Ruler::Apply(RulerUpdate update) { impl_->Apply(std::move(update)); }
void Ruler::Start() { impl_->Start(); }
void Ruler::Stop(base::Task done) { impl_->Stop(std::move(done)); }
std::vector<std::shared_ptr<const GroupStatus>> Ruler::Status() const { return impl_->Status(); }

}  // namespace tocsin::ruler
