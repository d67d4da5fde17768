#pragma once

// The metrics of the notification path, under Alertmanager's names, all there at 0 from the start.
// Threads: as base/metrics.h.

#include <string_view>

#include "alertmanager/receiver.h"
#include "base/metrics.h"

namespace tocsin::alertmanager {

struct AmMetrics {
  // Labels that are there only when the options say so.
  struct Extra {
    bool receiver_names = false;
    bool alert_names = false;
    bool group_keys = false;
  };
  AmMetrics(base::Registry* registry, std::string_view version, Extra extra);

  // The metric of an integration, with the receiver's name where the option says so.
  template <class M>
  M* Of(base::Family<M>* family, std::string_view integration, std::string_view receiver) const {
    return receiver_names_ ? family->With({integration, receiver}) : family->With({integration});
  }
  void CountFailure(std::string_view integration, std::string_view receiver, FailureReason reason) const;

  base::Family<base::Counter>* notifications;
  base::Family<base::Counter>* notifications_failed;
  base::Family<base::Counter>* requests;
  base::Family<base::Counter>* requests_failed;
  base::Family<base::Histogram>* latency;
  base::Family<base::Counter>* suppressed;        // reason
  base::Counter* templates_replaced;
  base::Family<base::Counter>* received;          // status, version[, alertname]
  base::Counter* received_firing = nullptr;       // of v2; null with alert names
  base::Counter* received_resolved = nullptr;
  base::Family<base::Counter>* invalid;           // version
  base::Gauge* config_hash;
  base::Gauge* reload_successful;
  base::Gauge* reload_time;
  base::Gauge* receivers;
  base::Gauge* integrations;
  base::Gauge* inhibition_rules;
  base::Gauge* aggregation_groups;
  base::Summary* processing;
  base::Family<base::Gauge>* alerts;              // state[, group_key]
  base::Family<base::Gauge>* silences;            // state

 private:
  const bool receiver_names_;
};

}  // namespace tocsin::alertmanager
