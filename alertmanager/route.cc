#include "alertmanager/route.h"

#include <algorithm>

#include "base/number.h"

namespace tocsin::alertmanager {

std::unique_ptr<Route> Route::Make(const RouteConfig& config, const Route* parent, int* index) {
  std::unique_ptr<Route> route(new Route);
  route->index_ = (*index)++;
  RouteOptions& o = route->options_;
  if (parent != nullptr) {
    o = parent->options_;
    o.mute_time_intervals.clear();
    o.active_time_intervals.clear();
  }
  if (!config.receiver.empty()) o.receiver = config.receiver;
  if (config.group_by) {
    o.group_by_all = config.group_by_all;
    o.group_by.clear();
    if (!o.group_by_all) {
      o.group_by = *config.group_by;
      std::ranges::sort(o.group_by);
    }
  }
  if (config.group_wait) o.group_wait = *config.group_wait;
  if (config.group_interval) o.group_interval = *config.group_interval;
  if (config.repeat_interval) o.repeat_interval = *config.repeat_interval;
  o.mute_time_intervals = config.mute_time_intervals;
  o.active_time_intervals = config.active_time_intervals;
  for (const auto& [name, value] : config.labels) {
    const auto it = std::ranges::find(o.labels, name, &std::pair<std::string, std::string>::first);
    if (it == o.labels.end()) {
      o.labels.emplace_back(name, value);
    } else {
      it->second = value;
    }
  }
  std::ranges::sort(o.labels);
  route->matchers_ = config.AllMatchers();
  route->continue_ = config.continue_matching;
  const std::string own = MatchersText(route->matchers_);
  route->key_ = parent == nullptr ? own : parent->key_ + "/" + own;
  for (const RouteConfig& child : config.routes) {
    const auto number = static_cast<uint32_t>(route->children_.size());
    route->children_.push_back(Make(child, route.get(), index));
    route->by_matchers_.Add(number, route->children_.back()->matchers_);
  }
  return route;
}

std::shared_ptr<const Route> Route::Compile(const RouteConfig& config) {
  int index = 0;
  return Make(config, nullptr, &index);
}

bool Route::Collect(model::LabelsView labels, std::vector<const Route*>* out) const {
  if (!MatchesAll(matchers_, labels)) return false;
  const size_t before = out->size();
  std::vector<uint32_t> candidates;
  by_matchers_.Visit(labels, [&](uint32_t i) {
    candidates.push_back(i);
    return true;
  });
  std::ranges::sort(candidates);
  for (uint32_t i : candidates) {
    if (children_[i]->Collect(labels, out) && !children_[i]->continue_) break;
  }
  if (out->size() == before) out->push_back(this);
  return true;
}

std::vector<const Route*> Route::Match(model::LabelsView labels) const {
  std::vector<const Route*> out;
  Collect(labels, &out);
  return out;
}

void Route::AppendGroupLabels(model::LabelsView labels, std::string* encoded) const {
  if (options_.group_by_all) {
    encoded->append(labels.encoded());
    return;
  }
  for (const std::string& name : options_.group_by) {
    const std::string_view value = labels.Get(name);
    if (!value.empty()) model::AppendEncodedLabel(name, value, encoded);
  }
}

model::Labels Route::GroupLabels(model::LabelsView labels) const {
  std::string encoded;
  AppendGroupLabels(labels, &encoded);
  return model::Labels::FromEncoded(encoded);
}

std::string LabelSetText(model::LabelsView labels) {
  std::string out = "{";
  for (const auto [name, value] : labels) {
    if (out.size() > 1) out += ", ";
    out += model::IsLegacyLabelName(name) ? std::string(name) : base::Quote(name);
    out += '=';
    out += base::Quote(value);
  }
  return out + "}";
}

std::string GroupKey(const Route& route, model::LabelsView group_labels) {
  return route.key() + ":" + LabelSetText(group_labels);
}

}  // namespace tocsin::alertmanager
