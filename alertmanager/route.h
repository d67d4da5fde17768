#pragma once

// The tree of routes, compiled: which routes an alert takes, and what each route says.  Children are
// indexed by what their matchers can match, so that the cost of routing depends on the routes that may
// match, not on how many there are.
//
// Threads: immutable after Compile().

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "alertmanager/config.h"
#include "alertmanager/matcher_index.h"
#include "alertmanager/matchers.h"
#include "base/time.h"
#include "model/labels.h"

namespace tocsin::alertmanager {

struct RouteOptions {
  std::string receiver;
  std::vector<std::string> group_by;  // sorted
  bool group_by_all = false;
  base::Duration group_wait = std::chrono::seconds(30);
  base::Duration group_interval = std::chrono::minutes(5);
  base::Duration repeat_interval = std::chrono::hours(4);
  std::vector<std::string> mute_time_intervals;    // not inherited
  std::vector<std::string> active_time_intervals;  // not inherited
  Pairs labels;                                    // merged from the root down
};

class Route {
 public:
  // `parent` is null for the root.  The tree keeps itself alive through the root.
  static std::shared_ptr<const Route> Compile(const RouteConfig& config);

  const RouteOptions& options() const { return options_; }
  const Matchers& matchers() const { return matchers_; }
  bool continue_matching() const { return continue_; }
  const std::vector<std::unique_ptr<Route>>& children() const { return children_; }
  // {}/{severity="page"}: part of group keys.
  const std::string& key() const { return key_; }
  // Position in the tree, depth first; tells apart routes of one key.
  int index() const { return index_; }

  // The routes of an alert, in order; never empty for the root.
  std::vector<const Route*> Match(model::LabelsView labels) const;

  // The labels an alert is grouped by here; and their encoding appended to `encoded`.
  model::Labels GroupLabels(model::LabelsView labels) const;
  void AppendGroupLabels(model::LabelsView labels, std::string* encoded) const;

 private:
  Route() = default;
  static std::unique_ptr<Route> Make(const RouteConfig& config, const Route* parent, int* index);
  // Appends the routes below (or this one) if this route matches; returns whether it does.
  bool Collect(model::LabelsView labels, std::vector<const Route*>* out) const;

  RouteOptions options_;
  Matchers matchers_;
  bool continue_ = false;
  std::string key_;
  int index_ = 0;
  std::vector<std::unique_ptr<Route>> children_;
  MatcherIndex by_matchers_;  // of children
};

// {alertname="X", cluster="Y"}: sorted, as group keys print label sets.
std::string LabelSetText(model::LabelsView labels);
// <route key>:<group labels>
std::string GroupKey(const Route& route, model::LabelsView group_labels);

}  // namespace tocsin::alertmanager
