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
    route->children_.push_back(Make(child, route.get(), index));
  }
  route->IndexChildren();
  return route;
}

std::shared_ptr<const Route> Route::Compile(const RouteConfig& config) {
  int index = 0;
  return Make(config, nullptr, &index);
}

void Route::IndexChildren() {
  for (uint32_t i = 0; i < children_.size(); ++i) {
    const Matcher* best = nullptr;
    for (const Matcher& m : children_[i]->matchers_) {
      if (m.op() == MatchOp::kEqual && !m.value().empty()) {
        best = &m;
        break;
      }
    }
    if (best != nullptr) {
      by_equality_[best->name()][best->value()].push_back(i);
    } else {
      unindexed_.push_back(i);
    }
  }
}

bool Route::Collect(model::LabelsView labels, std::vector<const Route*>* out) const {
  if (!MatchesAll(matchers_, labels)) return false;
  const size_t before = out->size();
  std::vector<uint32_t> candidates = unindexed_;
  for (const auto& [name, values] : by_equality_) {
    if (const auto it = values.find(labels.Get(name)); it != values.end()) {
      candidates.insert(candidates.end(), it->second.begin(), it->second.end());
    }
  }
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

model::Labels Route::GroupLabels(model::LabelsView labels) const {
  if (options_.group_by_all) return model::Labels(labels);
  std::vector<model::Label> kept;
  for (const std::string& name : options_.group_by) {
    if (labels.Has(name)) kept.push_back({name, labels.Get(name)});
  }
  return model::Labels::FromLabels(std::move(kept));
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
