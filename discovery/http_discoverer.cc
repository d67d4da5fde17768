// Target groups from a URL that answers with a JSON list, asked every refresh_interval.

#include <utility>

#include "base/duration.h"
#include "base/log.h"
#include "base/text.h"
#include "base/url.h"
#include "discovery/discovery.h"

namespace tocsin::discovery {
namespace {

constexpr base::Duration kLeastPause = std::chrono::seconds(1);

base::Status CheckAnswer(const net::FetchResponse& response) {
  if (response.status != 200) {
    return base::Unavailable("server returned HTTP status " + std::to_string(response.status));
  }
  std::string type = base::ToLower(response.headers.Get("Content-Type"));
  std::string bare = base::ReplaceAll(base::ReplaceAll(type, " ", ""), "\"", "");
  if (bare != "application/json" && bare != "application/json;charset=utf-8") {
    return base::Unavailable("unsupported content type \"" + type + "\"; answer with application/json");
  }
  return {};
}

class HttpDiscoverer : public Discoverer {
 public:
  HttpDiscoverer(const DiscoveryOptions& options, const HttpSdConfig& config)
      : executor_(options.executor),
        client_(options.http),
        config_(config),
        http_(std::make_shared<const net::HttpConfig>(config.http)),
        on_failure_(options.on_failure) {
    if (options.registry == nullptr) return;
    failures_ = options.registry->AddCounter("prometheus_sd_http_failures_total",
                                             "Number of HTTP service discovery refresh failures.");
  }

  ~HttpDiscoverer() override { gate_.Close(); }

  void Start(std::function<void(TargetGroups)> update) override {
    update_ = std::move(update);
    Ask();
  }

 private:
  void Ask() {
    net::FetchRequest request;
    request.url = config_.url;
    request.timeout = config_.refresh_interval;
    request.config = http_;
    request.headers.Set("Accept", "application/json");
    request.headers.Set("X-Prometheus-Refresh-Interval-Seconds",
                        std::to_string(std::chrono::floor<std::chrono::seconds>(config_.refresh_interval).count()));
    call_ = client_->Fetch(std::move(request),
                           [this](base::Result<net::FetchResponse> response) { Answered(std::move(response)); });
  }

  void Answered(base::Result<net::FetchResponse> response) {
    base::Status status;
    if (!response) {
      status = std::unexpected(response.error());
    } else {
      status = CheckAnswer(*response);
    }
    if (!status) {
      Take(std::unexpected(status.error()));
      return;
    }
    struct Work {
      std::string body;
      base::Result<TargetGroups> groups = TargetGroups();
    };
    auto work = std::make_shared<Work>();
    work->body = std::move(response->body);
    executor_->Offload(base::Lane::kBackground,
                       [work, url = config_.url] {
                         auto doc = base::yaml::Parse(work->body, "body");
                         work->groups = doc ? ReadTargetGroups(*doc, url, "__meta_url", url)
                                            : std::unexpected(doc.error());
                       },
                       gate_.Wrap([this, work] { Take(std::move(work->groups)); }));
  }

  void Take(base::Result<TargetGroups> groups) {
    timer_ = executor_->After(std::max(config_.refresh_interval, kLeastPause), [this] { Ask(); });
    if (!groups) {
      if (on_failure_) {
        on_failure_(Shown(), groups.error().message());
      } else {
        base::LogError("targets not fetched, the last ones stay",
                       {{"url", Shown()}, {"error", groups.error().message()}});
      }
      if (failures_ != nullptr) failures_->Add(1);
      if (std::exchange(first_, false)) update_({});
      return;
    }
    if (!std::exchange(first_, false) && SameGroups(*groups, last_)) return;
    last_ = *groups;
    update_(std::move(*groups));
  }

  std::string Shown() const {
    auto url = base::ParseUrl(config_.url);
    return url ? url->Redacted() : config_.url;
  }

  base::Executor* const executor_;
  net::HttpClient* const client_;
  const HttpSdConfig config_;
  const net::HttpConfigPtr http_;
  const std::function<void(const std::string&, const std::string&)> on_failure_;
  base::Counter* failures_ = nullptr;
  std::function<void(TargetGroups)> update_;
  bool first_ = true;
  TargetGroups last_;
  net::Call call_;
  base::Timer timer_;
  base::Gate gate_;
};

}  // namespace

std::unique_ptr<Discoverer> MakeHttpDiscoverer(const DiscoveryOptions& options, const HttpSdConfig& config) {
  return std::make_unique<HttpDiscoverer>(options, config);
}

}  // namespace tocsin::discovery
