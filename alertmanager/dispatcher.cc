#include "alertmanager/dispatcher.h"

namespace tocsin::alertmanager {

Dispatcher::Dispatcher(Parts parts, PreparedPtr prepared) : parts_(parts), prepared_(std::move(prepared)) {
  timer_ = parts_.executor->After(parts_.maintenance_interval, gate_.Wrap([this] { Sweep(); }));
}

Dispatcher::~Dispatcher() { parts_.metrics->aggregation_groups->Add(-static_cast<double>(groups_.size())); }

void Dispatcher::Insert(const model::AlertPtr& alert) {
  const base::Duration begin = parts_.executor->Monotonic();
  for (const Route* route : prepared_->root->Match(alert->labels)) InsertAt(*route, alert);
  parts_.metrics->processing->Observe(base::ToSeconds(parts_.executor->Monotonic() - begin));
}

void Dispatcher::InsertAt(const Route& route, const model::AlertPtr& alert) {
  model::Labels labels = route.GroupLabels(alert->labels);
  auto& group = groups_[{route.index(), std::string(labels.view().encoded())}];
  const bool is_new = group == nullptr;
  if (is_new) {
    group = std::make_unique<AggregationGroup>(parts_.executor, parts_.notifier, prepared_, &route, std::move(labels));
    parts_.metrics->aggregation_groups->Add(1);
  }
  const bool is_member = group->Has(alert->fingerprint());
  if (is_new) {
    group->Start(alert, parts_.not_before);
  } else {
    group->Insert(alert);
  }
  if (!is_member) {
    parts_.journal->Grouped(*alert, AlertJournal::GroupOf(group->key(), route.options()),
                            is_new ? group->next_flush() : base::Time{});
  }
}

void Dispatcher::Load(const std::vector<model::AlertPtr>& alerts, base::Time now) {
  for (const model::AlertPtr& alert : alerts) {
    for (const Route* route : prepared_->root->Match(alert->labels)) {
      if (alert->ResolvedAt(now) &&
          !parts_.notifier->WasTold(*prepared_, *route, GroupKey(*route, route->GroupLabels(alert->labels)), *alert)) {
        continue;
      }
      InsertAt(*route, alert);
    }
  }
}

const AggregationGroup* Dispatcher::Find(const Route& route, model::LabelsView labels) const {
  const model::Labels group = route.GroupLabels(labels);
  const auto it = groups_.find({route.index(), std::string(group.view().encoded())});
  return it == groups_.end() ? nullptr : it->second.get();
}

std::vector<const AggregationGroup*> Dispatcher::Groups() const {
  std::vector<const AggregationGroup*> out;
  out.reserve(groups_.size());
  for (const auto& [key, group] : groups_) out.push_back(group.get());
  return out;
}

void Dispatcher::Sweep() {
  const size_t swept = std::erase_if(groups_, [](const auto& entry) { return entry.second->idle(); });
  parts_.metrics->aggregation_groups->Add(-static_cast<double>(swept));
  timer_ = parts_.executor->After(parts_.maintenance_interval, gate_.Wrap([this] { Sweep(); }));
}

}  // namespace tocsin::alertmanager
