#pragma once

// What the files of the Prometheus API share.  Internal to api/.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "api/answer.h"
#include "api/prometheus.h"
#include "api/query_gate.h"
#include "api/query_logs.h"
#include "api/remote_write.h"
#include "base/regex.h"

namespace tocsin::api {

// What a handler may use on a worker: taken from the backend when the request came.
struct Call {
  std::shared_ptr<const net::HttpRequest> request;
  PathParams path;
  base::Time now{};
  base::Executor* executor = nullptr;
  const promql::Engine* engine = nullptr;
  storage::Queryable* queryable = nullptr;
  storage::Appendable* appendable = nullptr;
  TsdbAccess tsdb;
};

// A query on its way.
struct QueryRun {
  Call call;
  std::atomic<bool> cancelled{false};
  base::Duration entered{};  // of the monotonic clock
  base::Duration waited{};   // in line
  uint64_t ticket = 0;
  std::shared_ptr<ActiveQueries> active;  // null: not noted
  QueryLog* log = nullptr;          // null: not logged

  // Written by the worker, read when it has ended.
  mutable base::Duration prepared{};  // time to parse and plan
  mutable base::Duration evaluated{};
  mutable int64_t samples_looked_at = 0;
  mutable int64_t samples_read = 0;
};

// The handlers that are plain functions of the call.  Any thread.
Answer InstantQuery(const QueryRun& run);
Answer RangeQuery(const QueryRun& run);
Answer ExplainQuery(const QueryRun& run);
Answer QueryExemplars(const Call& call);
Answer FormatQuery(const Call& call);
Answer ParseQuery(const Call& call);
Answer ListSeries(const Call& call);
Answer LabelNames(const Call& call);
Answer LabelValues(const Call& call);
Answer TsdbStatus(const Call& call);
Answer TsdbBlocks(const Call& call);
Answer DeleteSeries(const Call& call);
Answer CleanTombstones(const Call& call);
Answer TakeSnapshot(const Call& call);
net::HttpResponse RemoteRead(const Call& call, const model::Labels& external_labels);
net::HttpResponse Federate(const Call& call, const model::Labels& external_labels);

// Those that show the state of the loop.  Loop only.
using Backend = PrometheusBackend;
Answer ShowTargets(const Backend& backend, const PrometheusApiOptions& options, const Call& call);
Answer TargetsMetadata(const Backend& backend, const Call& call);
Answer ScrapePools(const Backend& backend);
Answer ScrapePoolConfig(const Backend& backend, const Call& call);
Answer RelabelSteps(const Backend& backend, const Call& call);
Answer MetricMetadata(const Backend& backend, const Call& call);
Answer ShowRules(const Backend& backend, const Call& call);
Answer ShowAlerts(const Backend& backend);
Answer ShowAlertmanagers(const Backend& backend);
Answer ShowConfig(const Backend& backend);
Answer ShowFlags(const Backend& backend);
Answer ShowRuntimeInfo(const Backend& backend, const Call& call);
Answer ShowBuildInfo();
Answer ShowFeatures(const Backend& backend, const PrometheusApiOptions& options);
Answer ShowWalReplay(const Backend& backend);
Answer ShowCompaction(const Backend& backend);
Answer ShowNotifications(const Backend& backend);
net::HttpResponse StreamNotifications(const Backend& backend);

// {"version":"3.14.0",...} of buildinfo and /version.
void WriteBuildInfo(JsonWriter* json);

// A line of the query log of a rule's query.
std::string RuleQueryLine(const ruler::RuleQuery& query, base::Time now);

class PrometheusApi::Impl : public std::enable_shared_from_this<PrometheusApi::Impl>,
                            public ruler::QueryObserver {
 public:
  Impl(PrometheusApiOptions options, const PrometheusBackend* backend);

  void Register(Router* router);
  void Stop(base::Task done);
  void SetActiveQueries(std::shared_ptr<ActiveQueries> active) {
    active_queries_ = std::move(active);
  }
  void SetQueryLog(std::string path) {
    if (query_log_) query_log_->SetPath(std::move(path));
  }

  bool WantsQueries() const override { return query_log_ != nullptr && query_log_->enabled(); }
  void OnQuery(const ruler::RuleQuery& query) override {
    query_log_->Append(RuleQueryLine(query, executor_->Now()));
  }
  void OnSamplesRead(int64_t samples) override {
    query_samples_->Add(static_cast<double>(samples));
    query_samples_read_->Add(static_cast<double>(samples));
  }

 private:
  using Methods = std::initializer_list<std::string_view>;
  using Work = std::function<Answer(const Call&)>;
  enum class Needs { kNothing, kStorage };

  // Runs `work` on the loop.
  void Quick(Router* router, Methods methods, std::string_view pattern, Work work);
  // Runs `work` on a worker; 503 until the storage is there.
  void Offloaded(Router* router, Methods methods, std::string_view pattern, Work work);
  void Query(Router* router, std::string_view pattern, Answer (*run)(const QueryRun&));
  void Admin(Router* router, std::string_view name, Work work);

  void RegisterQueries(Router* router);
  void RegisterStatus(Router* router);
  void RegisterWrites(Router* router);
  void RegisterManagement(Router* router);  // management.cc

  bool Ready() const { return backend_->queryable != nullptr && !backend_->stopping; }
  // Answers 503 and returns false when the storage is not there.
  bool RequireReady(const ExchangePtr& x) const;
  Call MakeCall(const ExchangePtr& x, const PathParams& path) const;
  void Send(const ExchangePtr& x, Answer answer) const;
  void Send(const ExchangePtr& x, net::HttpResponse response) const;
  void AddCors(const net::HttpRequest& request, net::HttpResponse* response) const;
  // Work on a lane, counted for Stop().
  void Offload(base::Lane lane, base::Task work, base::Task done);
  // What ++in_flight_ counted is over.  Loop.
  void WorkEnded();
  void ObserveQuery(std::string_view slice, base::Duration d);
  void ServeQuery(ExchangePtr x, const PathParams& path, Answer (*run)(const QueryRun&));
  void ServeWrite(ExchangePtr x);
  void Reload(ExchangePtr x);
  // Runs `work` with the external labels on a worker and sends what it gives.
  void ServeRaw(ExchangePtr x, const PathParams& path,
                net::HttpResponse (*work)(const Call&, const model::Labels&));

  const PrometheusApiOptions options_;
  const PrometheusBackend* const backend_;
  base::Executor* const executor_;
  std::optional<base::Regex> cors_origin_;
  bool any_origin_ = false;
  QueryGate gate_;
  RemoteWriteReceiver receiver_;
  std::shared_ptr<ActiveQueries> active_queries_;
  std::unique_ptr<QueryLog> query_log_;
  base::Gauge* queries_ = nullptr;
  base::Family<base::Summary>* query_durations_ = nullptr;
  base::Family<base::Histogram>* query_duration_histogram_ = nullptr;
  base::Counter* query_samples_ = nullptr;
  base::Counter* query_samples_read_ = nullptr;
  base::Counter* federation_errors_ = nullptr;

  int in_flight_ = 0;  // pieces of work on workers
  base::Task on_idle_;  // set by Stop()
};

}  // namespace tocsin::api
