#include "alertmanager/am_metrics.h"

namespace tocsin::alertmanager {

AmMetrics::AmMetrics(base::Registry* r, std::string_view version, Extra extra) : receiver_names_(extra.receiver_names) {
  auto labels = [&](std::initializer_list<std::string> names) {
    base::Registry::Labels out(names);
    if (extra.receiver_names) out.insert(out.begin() + 1, "receiver_name");
    return out;
  };
  notifications = r->AddCounterFamily("alertmanager_notifications_total",
                                      "The total number of attempted notifications.", labels({"integration"}));
  notifications_failed = r->AddCounterFamily("alertmanager_notifications_failed_total",
                                             "The total number of failed notifications.",
                                             labels({"integration", "reason"}));
  requests = r->AddCounterFamily("alertmanager_notification_requests_total",
                                 "The total number of attempted notification requests.", labels({"integration"}));
  requests_failed = r->AddCounterFamily("alertmanager_notification_requests_failed_total",
                                        "The total number of failed notification requests.", labels({"integration"}));
  latency = r->AddHistogramFamily("alertmanager_notification_latency_seconds",
                                  "The latency of notifications in seconds.", labels({"integration"}),
                                  {1, 5, 10, 15, 20});
  suppressed = r->AddCounterFamily("alertmanager_notifications_suppressed_total",
                                   "The total number of notifications suppressed for being silenced, inhibited, "
                                   "outside of active time intervals or within muted time intervals.", {"reason"});
  for (std::string_view reason : {"silence", "inhibition", "mute_time_interval", "active_time_interval"}) {
    suppressed->With({reason});
  }
  if (!extra.receiver_names) {
    for (const ReceiverKind& kind : ReceiverKinds()) {
      const std::string_view i = kind.integration;
      notifications->With({i});
      requests->With({i});
      requests_failed->With({i});
      latency->With({i});
      for (std::string_view reason : FailureReasonNames()) notifications_failed->With({i, reason});
    }
  }
  templates_replaced = r->AddCounter("tocsin_notification_templates_replaced_total",
                                     "Notifications sent as plain text because a template failed.");
  base::Registry::Labels received_labels = {"status", "version"};
  if (extra.alert_names) received_labels.push_back("alertname");
  received = r->AddCounterFamily("alertmanager_alerts_received_total",
                                 "The total number of received alerts.", received_labels);
  invalid = r->AddCounterFamily("alertmanager_alerts_invalid_total",
                                "The total number of received alerts that were invalid.", {"version"});
  if (!extra.alert_names) {
    received_firing = received->With({"firing", "v2"});
    received_resolved = received->With({"resolved", "v2"});
  }
  invalid->With({"v2"});
  config_hash = r->AddGauge("alertmanager_config_hash", "Hash of the currently loaded alertmanager configuration.");
  reload_successful = r->AddGauge("alertmanager_config_last_reload_successful",
                                  "Whether the last configuration reload attempt was successful.");
  reload_time = r->AddGauge("alertmanager_config_last_reload_success_timestamp_seconds",
                            "Timestamp of the last successful configuration reload.");
  receivers = r->AddGauge("alertmanager_receivers", "Number of configured receivers.");
  integrations = r->AddGauge("alertmanager_integrations", "Number of configured integrations.");
  inhibition_rules = r->AddGauge("alertmanager_inhibition_rules", "Number of configured inhibition rules.");
  aggregation_groups = r->AddGauge("alertmanager_dispatcher_aggregation_groups",
                                   "Number of active aggregation groups.");
  r->AddCounter("alertmanager_dispatcher_aggregation_group_limit_reached_total",
                "Number of times when dispatcher failed to create new aggregation group due to limit.");
  processing = r->AddSummary("alertmanager_dispatcher_alert_processing_duration_seconds",
                             "Summary of latencies for the processing of alerts.", {});
  alerts = r->AddGaugeFamily("alertmanager_alerts", "How many alerts by state.",
                             extra.group_keys ? base::Registry::Labels{"state", "group_key"} : base::Registry::Labels{"state"});
  silences = r->AddGaugeFamily("alertmanager_silences", "How many silences by state.", {"state"});
  if (!extra.group_keys) {
    for (std::string_view state : {"active", "suppressed", "unprocessed"}) alerts->With({state});
  }
  for (std::string_view state : {"active", "pending", "expired"}) silences->With({state});
  r->AddGaugeFamily("alertmanager_build_info", "A metric with a constant '1' value labeled by version, revision, branch and so on.",
                    {"branch", "goarch", "goos", "goversion", "revision", "tags", "version"})
      ->With({"", "amd64", "linux", "", "", "tocsin", version})->Set(1);
  r->AddGauge("alertmanager_cluster_enabled", "Indicates whether the clustering is enabled or not.");
}

void AmMetrics::CountFailure(std::string_view integration, std::string_view receiver, FailureReason reason) const {
  const std::string_view name = FailureReasonName(reason);
  (receiver_names_ ? notifications_failed->With({integration, receiver, name})
                   : notifications_failed->With({integration, name}))
      ->Add();
}

}  // namespace tocsin::alertmanager
