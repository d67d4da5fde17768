#pragma once

// Sends alerts to Alertmanagers elsewhere: POST <scheme>://<address><path_prefix>/api/v2/alerts.
//
//   remote::AlertmanagerSink sink({.executor = &loop, .http = client, .registry = &registry});
//   sink.Apply(config.alerting);
//   discovery.Apply(remote::AlertmanagerDiscovery(config.alerting));   // its updates: sink.SetTargets
//   ruler sends to &sink;
//   sink.Stop(10s, done);
//
// Each Alertmanager found has a queue of its own, so that a slow one holds up nobody else.  A full
// queue drops its oldest alerts; a batch that fails is dropped too, for the ruler sends firing
// alerts again anyway.  Both are counted.
//
// Threads: loop only.
// Source:  Prometheus 3.14, notifier/.

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/metrics.h"
#include "discovery/discovery.h"
#include "model/alert.h"
#include "net/http_client.h"
#include "remote/config.h"

namespace tocsin::remote {

struct AlertmanagerSinkOptions {
  base::Executor* executor = nullptr;
  net::HttpClient* http = nullptr;
  base::Registry* registry = nullptr;
  size_t queue_capacity = 10000;  // alerts for each Alertmanager (--alertmanager.notification-queue-capacity)
  size_t max_batch = 256;         // alerts in a request (--alertmanager.notification-batch-size)
  std::string user_agent = "Prometheus/3.14.0";
};

// The discovery jobs of alerting.alertmanagers: config-0, config-1, ... as their groups come back to
// SetTargets().
std::map<std::string, discovery::DiscoveryConfig> AlertmanagerDiscovery(const AlertingConfig& config);

class AlertmanagerSink : public model::AlertSink {
 public:
  explicit AlertmanagerSink(AlertmanagerSinkOptions options);
  ~AlertmanagerSink() override;
  AlertmanagerSink(const AlertmanagerSink&) = delete;
  AlertmanagerSink& operator=(const AlertmanagerSink&) = delete;

  // The entries of alerting.alertmanagers.  Queues of Alertmanagers that are named again live on.
  void Apply(const AlertingConfig& config);
  // What discovery found for one entry.  An unknown job is ignored: it is of an older configuration.
  void SetTargets(const std::string& job, const discovery::TargetGroups& groups);

  // The alerts have passed alerting.alert_relabel_configs already; each entry's own are applied here.
  void Send(std::span<const model::AlertPtr> alerts) override;

  // The URLs that alerts are sent to, and those that relabeling dropped, in order.
  std::vector<std::string> ActiveUrls() const;
  std::vector<std::string> DroppedUrls() const;

  // Takes no more alerts and sends what waits, for at most `grace`; then `done`.
  void Stop(base::Duration grace, base::Task done);

 private:
  struct Entry;
  struct Queue;
  struct Metrics;
  void Pump(Queue* queue);
  void Sent(Queue* queue, size_t count, base::Duration took, base::Result<net::FetchResponse> response);
  void DropQueue(const std::string& key);
  void SweepQueues();
  void CheckStopped();

  const AlertmanagerSinkOptions options_;
  std::unique_ptr<Metrics> metrics_;
  std::vector<std::unique_ptr<Entry>> entries_;
  std::map<std::string, std::unique_ptr<Queue>> queues_;  // by URL
  base::Gate gate_;
  bool stopping_ = false;
  base::Task stopped_;
  base::Timer grace_;
};

// The alerts as the body of a request; for tests and tools.
std::string AlertsJson(std::span<const model::AlertPtr> alerts);

}  // namespace tocsin::remote
