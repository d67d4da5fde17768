#include "alertmanager/aggregation_group.h"

#include <algorithm>

#include "alertmanager/gated.h"

namespace tocsin::alertmanager {

namespace {
// A flush may take as long as the interval, but never less than this, as upstream's.
constexpr base::Duration kMinBudget = std::chrono::seconds(10);
// A tick that comes later than this was not on time: the system slept, or its clock was set.
constexpr base::Duration kMaxLateness = std::chrono::seconds(1);
}  // namespace

AggregationGroup::AggregationGroup(base::Executor* executor, Notifier* notifier, AlertStore* alerts,
                                   PreparedPtr prepared, const Route* route, model::Labels labels)
    : executor_(executor), notifier_(notifier), store_(alerts), prepared_(std::move(prepared)), route_(route),
      labels_(std::move(labels)), key_(GroupKey(*route, labels_)) {}

void AggregationGroup::Start(const model::AlertPtr& first, base::Duration least_delay) {
  started_ = true;
  Insert(first);
  const base::Time now = executor_->Now();
  base::Time at = now + route_->options().group_wait;
  if (first->starts_at + route_->options().group_wait < now) at = now;
  Arm(std::max(at, now + least_delay));
}

bool AggregationGroup::Insert(const model::AlertPtr& alert) {
  return alerts_.insert_or_assign(alert->fingerprint(), alert).second;
}

std::vector<model::AlertPtr> AggregationGroup::Alerts() const {
  std::vector<model::AlertPtr> out;
  out.reserve(alerts_.size());
  for (const auto& [fingerprint, alert] : alerts_) out.push_back(alert);
  return out;
}

void AggregationGroup::Arm(base::Time at) {
  next_ = at;
  timer_ = executor_->After(at - executor_->Now(), gate_.Wrap([this] { Tick(); }));
}

void AggregationGroup::Tick() {
  if (flushing_) {
    tick_waits_ = true;
    notifier_->TickWaits(key_, route_->options(), next_);
    return;
  }
  const base::Time now = executor_->Now();
  const bool on_time = now >= next_ - kMaxLateness && now <= next_ + kMaxLateness;
  // The nominal time, so that intervals do not grow by the timer's lateness.
  const base::Time tick = on_time ? next_ : now;
  Arm(std::max(tick + route_->options().group_interval, now));
  Flush(tick);
}

void AggregationGroup::Flush(base::Time tick) {
  if (alerts_.empty()) return;
  const base::Time now = executor_->Now();
  FlushedGroup group{.prepared = prepared_,
                     .route = route_,
                     .key = key_,
                     .labels = labels_,
                     .tick = tick,
                     .budget = std::max(route_->options().group_interval, kMinBudget)};
  group.alerts = Alerts();
  // What the receivers are about to be told must be known after a crash.
  store_->Save(group.alerts);
  std::vector<model::AlertPtr> resolved;
  for (model::AlertPtr& alert : group.alerts) {
    if (alert->ResolvedAt(now)) {
      resolved.push_back(alert);
    } else {
      // Without its end it cannot resolve on the way, as time goes on.
      auto firing = std::make_shared<model::Alert>(*alert);
      firing->ends_at = base::Time{};
      alert = std::move(firing);
    }
  }
  SortAlerts(&group.alerts);
  flushing_ = true;
  notifier_->Notify(std::move(group),
                    Gated<NotifyResult>(gate_, [this, resolved = std::move(resolved)](NotifyResult result) {
                      Flushed(resolved, std::move(result));
                    }));
}

void AggregationGroup::Flushed(const std::vector<model::AlertPtr>& resolved, NotifyResult result) {
  flushing_ = false;
  muted_by_ = std::move(result.muted_by);
  if (result.ok) {
    for (const model::AlertPtr& alert : resolved) {
      // One that fired again meanwhile is another object.
      const auto it = alerts_.find(alert->fingerprint());
      if (it != alerts_.end() && it->second == alert) alerts_.erase(it);
    }
  }
  if (!std::exchange(tick_waits_, false)) return;
  const base::Time now = executor_->Now();
  Arm(now + route_->options().group_interval);
  Flush(now);
}

}  // namespace tocsin::alertmanager
