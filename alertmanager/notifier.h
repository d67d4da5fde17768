#pragma once

// The way from a flushed group to the receivers:
//
//   1. inhibition, active and mute time intervals, silences take alerts out;
//   2. each integration of the receiver, at the same time: compares with what it was last told,
//      records the intent, builds and sends the request until it is accepted, hopeless or late, and
//      records what the receiver now knows.
//
// Two sends to one integration about one group never run at once: the second waits and compares anew.
//
// Threads: loop only; requests are built on workers.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "alertmanager/alertmanager.h"
#include "alertmanager/am_metrics.h"
#include "alertmanager/inhibitor.h"
#include "alertmanager/journal.h"
#include "alertmanager/notification_log.h"
#include "alertmanager/prepared.h"
#include "alertmanager/random.h"
#include "alertmanager/silences.h"

namespace tocsin::alertmanager {

struct FlushedGroup {
  PreparedPtr prepared;
  const Route* route = nullptr;  // of `prepared`
  std::string key;
  model::Labels labels;
  base::Time tick{};
  base::Duration budget{};             // after which the attempts end
  std::vector<model::AlertPtr> alerts;  // sorted; those that fire have no end
};

struct NotifyResult {
  bool ok = false;                     // every integration knows
  std::vector<std::string> muted_by;   // time intervals
};

class Notifier {
 public:
  struct Parts {
    base::Executor* executor;
    Transport transport;
    NotificationLog* log;
    Silences* silences;
    AmMetrics* metrics;
    AlertJournal* journal;
    Random* random;
    const Options* options;
  };
  explicit Notifier(Parts parts);
  ~Notifier();

  // The inhibitor of the current configuration; it changes with each reload.
  void SetInhibitor(const Inhibitor* inhibitor) { inhibitor_ = inhibitor; }

  void Notify(FlushedGroup group, std::move_only_function<void(NotifyResult)> done);

  // Whether some integration of the route's receiver was told that the alert fires.
  bool WasTold(const Prepared& prepared, const Route& route, const std::string& group_key,
               const model::Alert& alert) const;

  // A flush came due while the one before is under way; it follows that one.
  void TickWaits(std::string_view key, const RouteOptions& route, base::Time tick);

  // Ends what is under way without success.
  void CancelAll();
  // From now on what is cancelled is cancelled because of the end.
  void Stopping() { stopping_ = true; }
  size_t in_flight() const { return deliveries_.size(); }
  // Called whenever in_flight() has become 0.
  void OnIdle(base::Task fn) { on_idle_ = std::move(fn); }

 private:
  class Delivery;
  struct Selection {
    std::vector<model::AlertPtr> kept;
    std::vector<model::AlertPtr> suppressed;
    std::vector<std::string> muted_by;
  };
  Selection Select(const FlushedGroup& group);
  void Suppress(const FlushedGroup& group, const model::AlertPtr& alert, SuppressCause cause,
                std::span<const std::string> by, Selection* selection);
  void Finished(Delivery* delivery);

  const Parts parts_;
  const Inhibitor* inhibitor_ = nullptr;
  bool stopping_ = false;
  std::map<Delivery*, std::unique_ptr<Delivery>> deliveries_;
  // What runs for a group and integration, the first, and what waits for it.
  std::map<std::string, std::vector<Delivery*>> lanes_;
  base::Task on_idle_;
  base::Gate gate_;
};

// Sorts alerts as in messages: by job, instance, then labels.
void SortAlerts(std::vector<model::AlertPtr>* alerts);
bool AlertBefore(const model::Alert& a, const model::Alert& b);

// Fewer labels first, then by name and value, as Prometheus orders label sets.
bool LabelSetBefore(model::LabelsView a, model::LabelsView b);

// What templates and webhooks see of a group.
templates::NotificationData MakeNotificationData(const FlushedGroup& group, const std::string& receiver,
                                                 const std::vector<model::AlertPtr>& alerts,
                                                 std::string_view reason, const std::string& external_url);

}  // namespace tocsin::alertmanager
