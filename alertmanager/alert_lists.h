#pragma once

// The lists that people and tools ask for: alerts with their status, and groups.  A list is made in
// steps on the loop, a few alerts each, so that a hundred thousand hold nothing up; what is still to
// be sorted is finished on any thread.
//
//   auto list = std::make_shared<AlertList>(parts, filter);
//   executor->Slice([list, this] { return list->Step(Parts(), 64); }, [list] { Show(list->Take()); });
//
// Threads: loop only but for GroupList::Finish().  A configuration may change between two steps.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "alertmanager/alertmanager.h"
#include "alertmanager/alerts.h"
#include "alertmanager/dispatcher.h"
#include "alertmanager/inhibitor.h"
#include "alertmanager/prepared.h"
#include "alertmanager/silences.h"

namespace tocsin::alertmanager {

// What is looked at; all but the store may change with a configuration.
struct ListParts {
  AlertStore* alerts;
  const Silences* silences;
  const Inhibitor* inhibitor;    // may be null
  const Dispatcher* dispatcher;  // null: nothing is placed
  PreparedPtr prepared;
  base::Time now;
};

// Silenced and inhibited by what; not yet muted.
AlertStatus StatusOfAlert(const ListParts& parts, const model::Alert& alert);

// Whether alerts of a receiver are asked for.
bool ReceiverWanted(const AlertFilter& filter, const Config& config, const std::string& name);

class AlertList {
 public:
  AlertList(const ListParts& parts, AlertFilter filter);
  // Looks at `count` more alerts; false: that was all.
  bool Step(const ListParts& parts, size_t count);
  std::vector<AlertView> Take() { return std::move(out_); }  // by fingerprint

 private:
  void Look(const ListParts& parts, const KnownAlert& known);

  const AlertFilter filter_;
  std::vector<uint64_t> fingerprints_;
  size_t at_ = 0;
  std::vector<AlertView> out_;
};

// Alerts that match, also resolved ones.
class KnownList {
 public:
  KnownList(const ListParts& parts, Matchers matchers, size_t limit);
  bool Step(const ListParts& parts, size_t count);
  std::vector<model::AlertPtr> Take() { return std::move(out_); }  // by fingerprint

 private:
  const Matchers matchers_;
  const size_t limit_;
  std::vector<uint64_t> fingerprints_;
  size_t at_ = 0;
  std::vector<model::AlertPtr> out_;
};

class GroupList {
 public:
  GroupList(const ListParts& parts, AlertFilter filter);
  bool Step(const ListParts& parts, size_t count);  // `count` alerts or groups
  std::vector<GroupView> Take() { return std::move(out_); }
  // Sorts groups and their alerts and names the alerts' receivers.
  static void Finish(std::vector<GroupView>* groups);

 private:
  void Begin(const ListParts& parts, const AggregationGroup& group);
  void Look(const ListParts& parts, const model::AlertPtr& member);
  void End();

  const AlertFilter filter_;
  std::vector<std::weak_ptr<const AggregationGroup>> groups_;
  size_t at_ = 0;
  // Of the group that is being looked at.
  GroupView view_;
  std::vector<model::AlertPtr> members_;
  std::vector<std::string> muted_by_;
  std::vector<GroupView> out_;
};

}  // namespace tocsin::alertmanager
