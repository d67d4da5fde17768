#include "alertmanager/dispatcher.h"

#include <algorithm>
#include <set>

#include "base/coding.h"

namespace tocsin::alertmanager {

Dispatcher::Dispatcher(Parts parts, PreparedPtr prepared) : parts_(parts), prepared_(std::move(prepared)) {
  timer_ = parts_.executor->After(parts_.maintenance_interval, gate_.Wrap([this] { Sweep(); }));
}

Dispatcher::~Dispatcher() {
  parts_.metrics->aggregation_groups->Add(-static_cast<double>(groups_.size()));
  parts_.alerts->ForEach([](KnownAlert& known) { known.placement = nullptr; });
}

std::string Dispatcher::KeyOf(const Route& route, model::LabelsView labels) {
  std::string key;
  base::PutBe32(&key, static_cast<uint32_t>(route.index()));
  route.AppendGroupLabels(labels, &key);
  return key;
}

AggregationGroup* Dispatcher::GroupOf(const Route& route, const model::AlertPtr& alert) {
  const std::string key = KeyOf(route, alert->labels);
  std::shared_ptr<AggregationGroup>& group = groups_[key];
  if (group == nullptr) {
    group = std::make_shared<AggregationGroup>(parts_.executor, parts_.notifier, parts_.alerts, prepared_, &route,
                                               model::Labels::FromEncoded(std::string_view(key).substr(4)));
    parts_.metrics->aggregation_groups->Add(1);
  }
  return group.get();
}

void Dispatcher::InsertInto(AggregationGroup* group, const model::AlertPtr& alert) {
  const bool begins = !group->started();
  const bool is_member = !begins && !group->Insert(alert);
  if (begins) group->Start(alert, parts_.not_before - parts_.executor->Monotonic());
  if (is_member) return;
  parts_.journal->Grouped(*alert, AlertJournal::GroupOf(group->key(), group->route().options()),
                          begins ? group->next_flush() : base::Time{});
}

std::shared_ptr<const Placement> Dispatcher::Place(const model::AlertPtr& alert) {
  std::vector<AggregationGroup*> groups;
  for (const Route* route : prepared_->root->Match(alert->labels)) groups.push_back(GroupOf(*route, alert));
  if (const auto same = placements_.find(groups); same != placements_.end()) return *same;
  auto placement = std::make_shared<Placement>();
  for (const AggregationGroup* group : groups) placement->receivers.push_back(group->route().options().receiver);
  placement->groups = std::move(groups);
  placements_.insert(placement);
  return placement;
}

void Dispatcher::Insert(KnownAlert* known) {
  const base::Duration begin = parts_.executor->Monotonic();
  if (known->placement == nullptr || !known->placement->valid) known->placement = Place(known->alert);
  for (AggregationGroup* group : known->placement->groups) InsertInto(group, known->alert);
  parts_.metrics->processing->Observe(base::ToSeconds(parts_.executor->Monotonic() - begin));
}

void Dispatcher::Load(base::Time now) {
  // By fingerprint, so that groups begin in the same order each time.
  for (const uint64_t fingerprint : parts_.alerts->Fingerprints()) {
    KnownAlert* known = parts_.alerts->Find(fingerprint);
    const model::AlertPtr& alert = known->alert;
    if (!alert->ResolvedAt(now)) {
      known->placement = Place(alert);
      for (AggregationGroup* group : known->placement->groups) InsertInto(group, alert);
      continue;
    }
    bool told = false;
    for (const Route* route : prepared_->root->Match(alert->labels)) {
      const std::string key = GroupKey(*route, route->GroupLabels(alert->labels));
      if (!parts_.notifier->WasTold(*prepared_, *route, key, *alert)) continue;
      InsertInto(GroupOf(*route, alert), alert);
      told = true;
    }
    if (told) known->placement = Place(alert);
  }
}

bool Dispatcher::Holds(const KnownAlert& known) const {
  return known.placement != nullptr && known.placement->valid &&
         std::ranges::any_of(known.placement->groups,
                             [&](const AggregationGroup* g) { return g->Has(known.alert->fingerprint()); });
}

const AggregationGroup* Dispatcher::Find(const Route& route, model::LabelsView labels) const {
  const auto at = groups_.find(KeyOf(route, labels));
  return at == groups_.end() ? nullptr : at->second.get();
}

std::vector<std::weak_ptr<const AggregationGroup>> Dispatcher::Groups() const {
  std::vector<std::weak_ptr<const AggregationGroup>> out;
  out.reserve(groups_.size());
  for (const auto& [key, group] : groups_) out.push_back(group);
  return out;
}

void Dispatcher::AddMutedBy(const Placement& placement, std::vector<std::string>* names) const {
  for (const AggregationGroup* group : placement.groups) {
    for (const std::string& name : group->muted_by()) {
      if (std::ranges::find(*names, name) == names->end()) names->push_back(name);
    }
  }
}

void Dispatcher::Sweep() {
  std::set<const AggregationGroup*> swept;
  for (const auto& [key, group] : groups_) {
    if (group->idle()) swept.insert(group.get());
  }
  if (!swept.empty()) {
    absl::erase_if(placements_, [&](const std::shared_ptr<Placement>& p) {
      if (std::ranges::none_of(p->groups, [&](const AggregationGroup* g) { return swept.contains(g); })) return false;
      p->valid = false;
      return true;
    });
    for (auto it = groups_.begin(); it != groups_.end();) {
      const auto at = it++;
      if (swept.contains(at->second.get())) groups_.erase(at);
    }
    parts_.metrics->aggregation_groups->Add(-static_cast<double>(swept.size()));
  }
  timer_ = parts_.executor->After(parts_.maintenance_interval, gate_.Wrap([this] { Sweep(); }));
}

}  // namespace tocsin::alertmanager
