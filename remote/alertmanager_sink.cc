#include "remote/alertmanager_sink.h"

#include <algorithm>
#include <deque>
#include <set>
#include <utility>

#include "base/duration.h"
#include "base/log.h"
#include "base/text.h"

namespace tocsin::remote {
namespace {

constexpr std::string_view kSchemeLabel = "__scheme__";
constexpr std::string_view kAddressLabel = "__address__";
constexpr std::string_view kPathLabel = "__alerts_path__";

std::string JobName(size_t index) { return "config-" + std::to_string(index); }

// Go's path.Join("/", prefix, "/api/v2/alerts").
std::string AlertsPath(const AlertmanagerConfig& config) {
  std::vector<std::string> parts;
  const std::string whole = config.path_prefix + "/api/" + config.api_version + "/alerts";
  for (std::string_view part : base::Split(whole, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else {
      parts.emplace_back(part);
    }
  }
  return "/" + base::Join(parts, "/");
}

void AppendLabels(model::LabelsView labels, std::string* out) {
  *out += '{';
  bool first = true;
  for (const auto& [name, value] : labels) {
    if (!std::exchange(first, false)) *out += ',';
    base::AppendJsonString(name, out);
    *out += ':';
    base::AppendJsonString(value, out);
  }
  *out += '}';
}

}  // namespace

std::string AlertsJson(std::span<const model::AlertPtr> alerts) {
  std::string out = "[";
  for (const model::AlertPtr& alert : alerts) {
    if (out.size() > 1) out += ',';
    out += R"({"labels":)";
    AppendLabels(alert->labels, &out);
    out += R"(,"annotations":)";
    AppendLabels(alert->annotations, &out);
    out += R"(,"startsAt":")" + base::FormatRfc3339Millis(alert->starts_at) + '"';
    if (alert->ends_at != base::Time{}) {
      out += R"(,"endsAt":")" + base::FormatRfc3339Millis(alert->ends_at) + '"';
    }
    out += R"(,"generatorURL":)";
    base::AppendJsonString(alert->generator_url, &out);
    out += '}';
  }
  return out + "]";
}

std::map<std::string, discovery::DiscoveryConfig> AlertmanagerDiscovery(const AlertingConfig& config) {
  std::map<std::string, discovery::DiscoveryConfig> out;
  for (size_t i = 0; i < config.alertmanagers.size(); ++i) {
    out[JobName(i)] = config.alertmanagers[i].discovery;
  }
  return out;
}

// One entry of alerting.alertmanagers with what discovery has found for it.
struct AlertmanagerSink::Entry {
  AlertmanagerConfig config;
  net::HttpConfigPtr http;
  std::vector<std::string> urls;
  std::vector<std::string> dropped;
};

struct AlertmanagerSink::Queue {
  std::string url;
  net::HttpConfigPtr http;
  base::Duration timeout{};
  std::deque<model::AlertPtr> waiting;
  bool sending = false;
  bool wanted = true;  // false: no longer found; goes when its request has ended
  net::Call call;
};

struct AlertmanagerSink::Metrics {
  explicit Metrics(base::Registry* registry)
      : latency(registry->AddSummaryFamily("prometheus_notifications_latency_seconds",
                                           "Latency quantiles for sending alert notifications.", {"alertmanager"},
                                           {0.5, 0.9, 0.99})),
        errors(registry->AddCounterFamily("prometheus_notifications_errors_total",
                                          "Total number of sent alerts affected by errors.", {"alertmanager"})),
        sent(registry->AddCounterFamily("prometheus_notifications_sent_total", "Total number of alerts sent.",
                                        {"alertmanager"})),
        dropped(registry->AddCounterFamily(
            "prometheus_notifications_dropped_total",
            "Total number of alerts dropped due to errors when sending to Alertmanager.", {"alertmanager"})),
        length(registry->AddGaugeFamily("prometheus_notifications_queue_length",
                                        "The number of alert notifications in the queue.", {"alertmanager"})),
        capacity(registry->AddGaugeFamily("prometheus_notifications_queue_capacity",
                                          "The capacity of the alert notifications queue.", {"alertmanager"})),
        discovered(registry->AddGauge("prometheus_notifications_alertmanagers_discovered",
                                      "The number of alertmanagers discovered and active.")) {}

  void Remove(const std::string& url) {
    const std::vector<std::string> labels = {url};
    latency->Remove(labels);
    for (auto* family : {errors, sent, dropped}) family->Remove(labels);
    for (auto* family : {length, capacity}) family->Remove(labels);
  }

  base::Family<base::Summary>* latency;
  base::Family<base::Counter>* errors;
  base::Family<base::Counter>* sent;
  base::Family<base::Counter>* dropped;
  base::Family<base::Gauge>* length;
  base::Family<base::Gauge>* capacity;
  base::Gauge* discovered;
};

AlertmanagerSink::AlertmanagerSink(AlertmanagerSinkOptions options)
    : options_(std::move(options)), metrics_(std::make_unique<Metrics>(options_.registry)) {}

AlertmanagerSink::~AlertmanagerSink() = default;

void AlertmanagerSink::Apply(const AlertingConfig& config) {
  std::vector<std::unique_ptr<Entry>> before = std::exchange(entries_, {});
  for (size_t i = 0; i < config.alertmanagers.size(); ++i) {
    auto entry = std::make_unique<Entry>();
    entry->config = config.alertmanagers[i];
    entry->http = std::make_shared<net::HttpConfig>(entry->config.http);
    // Until discovery answers for the new configuration, alerts go where they went.
    if (i < before.size()) entry->urls = before[i]->urls;
    for (const std::string& url : entry->urls) {
      auto found = queues_.find(url);
      if (found == queues_.end()) continue;
      found->second->http = entry->http;
      found->second->timeout = entry->config.timeout;
    }
    entries_.push_back(std::move(entry));
  }
  SweepQueues();
}

void AlertmanagerSink::SetTargets(const std::string& job, const discovery::TargetGroups& groups) {
  size_t index = 0;
  while (index < entries_.size() && JobName(index) != job) ++index;
  if (index == entries_.size() || stopping_) return;
  Entry& entry = *entries_[index];
  entry.urls.clear();
  entry.dropped.clear();
  std::set<std::string> seen;
  for (const auto& group : groups) {
    for (const model::Labels& target : group->targets) {
      model::LabelsBuilder labels(group->labels);
      for (const auto& [name, value] : target) labels.Set(name, value);
      labels.Set(kSchemeLabel, entry.config.scheme);
      labels.Set(kPathLabel, AlertsPath(entry.config));
      auto url = [&] {
        return std::string(labels.Get(kSchemeLabel)) + "://" + std::string(labels.Get(kAddressLabel)) +
               std::string(labels.Get(kPathLabel));
      };
      const std::string before = url();
      if (!model::Relabel(entry.config.relabel, &labels)) {
        entry.dropped.push_back(before);
        continue;
      }
      const std::string_view address = labels.Get(kAddressLabel);
      if (address.empty() || address.find('/') != std::string_view::npos) {
        base::LogError("alertmanager with a bad address left out",
                       {{"address", address}, {"expected", "host:port, without a scheme or a path"}});
        continue;
      }
      if (seen.insert(url()).second) entry.urls.push_back(url());
    }
  }
  for (const std::string& url : entry.urls) {
    auto& queue = queues_[url];
    if (queue == nullptr) {
      queue = std::make_unique<Queue>();
      queue->url = url;
      metrics_->capacity->With({url})->Set(static_cast<double>(options_.queue_capacity));
      metrics_->length->With({url})->Set(0);
      for (auto* family : {metrics_->sent, metrics_->errors, metrics_->dropped}) family->With({url});
    }
    queue->http = entry.http;
    queue->timeout = entry.config.timeout;
  }
  SweepQueues();
}

// Queues of Alertmanagers that no entry names any more end.
void AlertmanagerSink::SweepQueues() {
  std::set<std::string> wanted;
  for (const auto& entry : entries_) wanted.insert(entry->urls.begin(), entry->urls.end());
  metrics_->discovered->Set(static_cast<double>(wanted.size()));
  std::vector<std::string> gone;
  for (auto& [url, queue] : queues_) {
    queue->wanted = wanted.contains(url);
    if (!queue->wanted && !queue->sending) gone.push_back(url);
  }
  for (const std::string& url : gone) DropQueue(url);
}

void AlertmanagerSink::DropQueue(const std::string& url) {
  queues_.erase(url);
  metrics_->Remove(url);
}

void AlertmanagerSink::Send(std::span<const model::AlertPtr> alerts) {
  if (stopping_) return;
  std::set<std::string> served;  // an Alertmanager that two entries find gets the alerts once
  for (const auto& entry : entries_) {
    std::vector<model::AlertPtr> own;
    if (!entry->urls.empty()) {
      for (const model::AlertPtr& alert : alerts) {
        if (entry->config.alert_relabel.empty()) {
          own.push_back(alert);
          continue;
        }
        model::LabelsBuilder labels(alert->labels);
        if (!model::Relabel(entry->config.alert_relabel, &labels)) continue;
        auto changed = std::make_shared<model::Alert>(*alert);
        changed->labels = labels.Build();
        changed->known_fingerprint = 0;
        own.push_back(std::move(changed));
      }
    }
    for (const std::string& url : entry->urls) {
      auto found = queues_.find(url);
      if (own.empty() || found == queues_.end() || !served.insert(url).second) continue;
      Queue* queue = found->second.get();
      queue->waiting.insert(queue->waiting.end(), own.begin(), own.end());
      if (queue->waiting.size() > options_.queue_capacity) {
        const size_t excess = queue->waiting.size() - options_.queue_capacity;
        queue->waiting.erase(queue->waiting.begin(), queue->waiting.begin() + static_cast<ptrdiff_t>(excess));
        metrics_->dropped->With({url})->Add(static_cast<double>(excess));
        base::LogWarn("alert notification queue full, dropping the oldest alerts",
                      {{"alertmanager", url}, {"num_dropped", excess}});
      }
      Pump(queue);
    }
  }
}

void AlertmanagerSink::Pump(Queue* queue) {
  metrics_->length->With({queue->url})->Set(static_cast<double>(queue->waiting.size()));
  if (queue->sending || queue->waiting.empty()) return;
  const size_t count = std::min(queue->waiting.size(), options_.max_batch);
  const std::vector<model::AlertPtr> batch(queue->waiting.begin(),
                                           queue->waiting.begin() + static_cast<ptrdiff_t>(count));
  queue->waiting.erase(queue->waiting.begin(), queue->waiting.begin() + static_cast<ptrdiff_t>(count));
  metrics_->length->With({queue->url})->Set(static_cast<double>(queue->waiting.size()));
  queue->sending = true;
  net::FetchRequest request;
  request.method = "POST";
  request.url = queue->url;
  request.headers = {{"Content-Type", "application/json"}, {"User-Agent", options_.user_agent}};
  request.body = AlertsJson(batch);
  request.timeout = queue->timeout;
  request.config = queue->http;
  const base::Duration begin = options_.executor->Monotonic();
  queue->call = options_.http->Fetch(
      std::move(request), [this, queue, count, begin](base::Result<net::FetchResponse> response) {
        Sent(queue, count, options_.executor->Monotonic() - begin, std::move(response));
      });
}

void AlertmanagerSink::Sent(Queue* queue, size_t count, base::Duration took,
                            base::Result<net::FetchResponse> response) {
  queue->sending = false;
  const std::string url = queue->url;
  if (response && response->status / 100 != 2) {
    response = base::Unavailable("bad response status " + std::to_string(response->status) + " " +
                                 std::string(net::StatusText(response->status)) + ": " +
                                 base::TruncateRunes(response->body, 200));
  }
  const auto alerts = static_cast<double>(count);
  metrics_->latency->With({url})->Observe(base::ToSeconds(took));
  metrics_->sent->With({url})->Add(alerts);
  if (!response) {
    metrics_->errors->With({url})->Add(alerts);
    metrics_->dropped->With({url})->Add(alerts);
    base::LogError("Error sending alerts",
                   {{"alertmanager", url}, {"count", count}, {"err", response.error()}});
  }
  if (!queue->wanted && queue->waiting.empty()) {
    DropQueue(url);
  } else {
    Pump(queue);
  }
  CheckStopped();
}

std::vector<std::string> AlertmanagerSink::ActiveUrls() const {
  std::vector<std::string> out;
  for (const auto& entry : entries_) out.insert(out.end(), entry->urls.begin(), entry->urls.end());
  return out;
}

std::vector<std::string> AlertmanagerSink::DroppedUrls() const {
  std::vector<std::string> out;
  for (const auto& entry : entries_) out.insert(out.end(), entry->dropped.begin(), entry->dropped.end());
  return out;
}

void AlertmanagerSink::Stop(base::Duration grace, base::Task done) {
  stopping_ = true;
  stopped_ = std::move(done);
  grace_ = options_.executor->After(grace, [this] {
    for (auto& [url, queue] : queues_) {
      if (!queue->waiting.empty() || queue->sending) {
        base::LogWarn("alerts not sent before the end",
                      {{"alertmanager", url}, {"num_dropped", queue->waiting.size()}});
      }
      metrics_->dropped->With({url})->Add(static_cast<double>(queue->waiting.size()));
      queue->waiting.clear();
      queue->sending = false;
      queue->call.Cancel();
    }
    CheckStopped();
  });
  CheckStopped();
}

void AlertmanagerSink::CheckStopped() {
  if (!stopping_ || !stopped_) return;
  for (const auto& [url, queue] : queues_) {
    if (queue->sending || !queue->waiting.empty()) return;
  }
  grace_.Cancel();
  options_.executor->Post(std::exchange(stopped_, nullptr));
}

}  // namespace tocsin::remote
