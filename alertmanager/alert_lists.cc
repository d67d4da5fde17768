#include "alertmanager/alert_lists.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "alertmanager/journal.h"

namespace tocsin::alertmanager {

AlertStatus StatusOfAlert(const ListParts& parts, const model::Alert& alert) {
  AlertStatus status;
  status.silenced_by = parts.silences->Muting(alert.labels, parts.now);
  if (parts.inhibitor != nullptr) {
    if (auto source = parts.inhibitor->InhibitedBy(alert.labels, parts.now)) {
      status.inhibited_by.push_back(FingerprintText(*source));
    }
  }
  status.suppressed = !status.silenced_by.empty() || !status.inhibited_by.empty();
  return status;
}

bool ReceiverWanted(const AlertFilter& filter, const Config& config, const std::string& name) {
  if (filter.receiver && !filter.receiver->Matches(name)) return false;
  if (filter.receiver_matchers.empty()) return true;
  const ReceiverConfig* receiver = config.FindReceiver(name);
  return receiver != nullptr && MatchesAll(filter.receiver_matchers, model::Labels::FromPairs(receiver->labels));
}

namespace {

bool Wanted(const AlertFilter& filter, const AlertStatus& status) {
  const bool muted = !status.muted_by.empty();
  if (!filter.active && !status.suppressed && !muted) return false;
  if (!filter.silenced && !status.silenced_by.empty()) return false;
  if (!filter.inhibited && !status.inhibited_by.empty()) return false;
  return filter.muted || !muted;
}

}  // namespace

// ---- alerts ------------------------------------------------------------------------------------

AlertList::AlertList(const ListParts& parts, AlertFilter filter) : filter_(std::move(filter)) {
  if (parts.prepared == nullptr) return;
  auto found = parts.alerts->Candidates(filter_.matchers);
  fingerprints_ = found ? std::move(*found) : parts.alerts->Fingerprints();
  if (filter_.matchers.empty()) out_.reserve(fingerprints_.size());
}

bool AlertList::Step(const ListParts& parts, size_t count) {
  for (; count > 0 && at_ < fingerprints_.size(); --count, ++at_) {
    const KnownAlert* known = parts.alerts->Find(fingerprints_[at_]);
    if (known != nullptr) Look(parts, *known);
  }
  return at_ < fingerprints_.size();
}

void AlertList::Look(const ListParts& parts, const KnownAlert& known) {
  const model::Alert& alert = *known.alert;
  if (alert.ResolvedAt(parts.now) || !MatchesAll(filter_.matchers, alert.labels)) return;
  AlertView view{.alert = known.alert, .status = {}, .receivers = nullptr};
  if (known.placement != nullptr && known.placement->valid) {
    view.receivers = {known.placement, &known.placement->receivers};
  } else {
    auto receivers = std::make_shared<std::vector<std::string>>();
    for (const Route* route : parts.prepared->root->Match(alert.labels)) receivers->push_back(route->options().receiver);
    view.receivers = std::move(receivers);
  }
  if ((filter_.receiver || !filter_.receiver_matchers.empty()) &&
      std::ranges::none_of(*view.receivers, [&](const std::string& name) {
        return ReceiverWanted(filter_, *parts.prepared->config, name);
      })) {
    return;
  }
  view.status = StatusOfAlert(parts, alert);
  if (known.placement != nullptr && known.placement->valid) {
    parts.dispatcher->AddMutedBy(*known.placement, &view.status.muted_by);
  }
  view.status.suppressed = view.status.suppressed || !view.status.muted_by.empty();
  if (Wanted(filter_, view.status)) out_.push_back(std::move(view));
}

KnownList::KnownList(const ListParts& parts, Matchers matchers, size_t limit) : matchers_(std::move(matchers)), limit_(limit) {
  auto found = parts.alerts->Candidates(matchers_);
  fingerprints_ = found ? std::move(*found) : parts.alerts->Fingerprints();
}

bool KnownList::Step(const ListParts& parts, size_t count) {
  for (; count > 0 && at_ < fingerprints_.size() && out_.size() < limit_; --count, ++at_) {
    const KnownAlert* known = parts.alerts->Find(fingerprints_[at_]);
    if (known != nullptr && MatchesAll(matchers_, known->alert->labels)) out_.push_back(known->alert);
  }
  return at_ < fingerprints_.size() && out_.size() < limit_;
}

// ---- groups ------------------------------------------------------------------------------------

GroupList::GroupList(const ListParts& parts, AlertFilter filter) : filter_(std::move(filter)) {
  if (parts.dispatcher != nullptr) groups_ = parts.dispatcher->Groups();
}

bool GroupList::Step(const ListParts& parts, size_t count) {
  for (; count > 0 && (!members_.empty() || at_ < groups_.size()); --count) {
    if (members_.empty()) {
      // Null when it was swept meanwhile, or belongs to a configuration that has gone.
      if (const auto group = groups_[at_++].lock()) Begin(parts, *group);
    } else {
      Look(parts, members_.back());
      members_.pop_back();
      if (members_.empty()) End();
    }
  }
  return !members_.empty() || at_ < groups_.size();
}

void GroupList::Begin(const ListParts& parts, const AggregationGroup& group) {
  const RouteOptions& route = group.route().options();
  if (!ReceiverWanted(filter_, *parts.prepared->config, route.receiver)) return;
  view_ = {.key = group.key(),
           .labels = group.labels(),
           .route_index = group.route().index(),
           .route_labels = route.labels,
           .receiver = route.receiver,
           .alerts = {},
           .next_flush = group.next_flush()};
  members_ = group.Alerts();
  muted_by_ = group.muted_by();
}

void GroupList::Look(const ListParts& parts, const model::AlertPtr& member) {
  if (member->ResolvedAt(parts.now) || !MatchesAll(filter_.matchers, member->labels)) return;
  AlertView alert{.alert = member, .status = StatusOfAlert(parts, *member), .receivers = nullptr};
  alert.status.muted_by = muted_by_;
  alert.status.suppressed = alert.status.suppressed || !muted_by_.empty();
  if (Wanted(filter_, alert.status)) view_.alerts.push_back(std::move(alert));
}

void GroupList::End() {
  if (!view_.alerts.empty()) out_.push_back(std::move(view_));
}

void GroupList::Finish(std::vector<GroupView>* groups) {
  std::map<uint64_t, std::shared_ptr<std::vector<std::string>>> receivers;  // of each alert, among these groups
  for (GroupView& view : *groups) {
    std::ranges::stable_sort(view.alerts, [](const AlertView& a, const AlertView& b) { return AlertBefore(*a.alert, *b.alert); });
    for (const AlertView& alert : view.alerts) {
      auto& names = receivers[alert.alert->fingerprint()];
      if (names == nullptr) names = std::make_shared<std::vector<std::string>>();
      names->push_back(view.receiver);
    }
  }
  for (auto& [fingerprint, names] : receivers) std::ranges::sort(*names);
  for (GroupView& view : *groups) {
    for (AlertView& alert : view.alerts) alert.receivers = receivers[alert.alert->fingerprint()];
  }
  std::ranges::sort(*groups, [](const GroupView& a, const GroupView& b) {
    if (a.labels != b.labels) return LabelSetBefore(a.labels, b.labels);
    return std::tie(a.receiver, a.route_index) < std::tie(b.receiver, b.route_index);
  });
}

}  // namespace tocsin::alertmanager
