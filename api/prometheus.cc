#include "api/prometheus.h"

#include <utility>

#include "api/prometheus_impl.h"
#include "base/check.h"
#include "base/random.h"

namespace tocsin::api {
namespace {

constexpr std::string_view kV1 = "/api/v1";

std::string V1(std::string_view path) { return std::string(kV1) + std::string(path); }

}  // namespace

PrometheusApi::PrometheusApi(PrometheusApiOptions options, const PrometheusBackend* backend)
    : impl_(std::make_shared<Impl>(std::move(options), backend)) {}
PrometheusApi::~PrometheusApi() = default;
void PrometheusApi::Register(Router* router) { impl_->Register(router); }
void PrometheusApi::Stop(base::Task done) { impl_->Stop(std::move(done)); }
void PrometheusApi::SetActiveQueries(std::shared_ptr<ActiveQueries> active) {
  impl_->SetActiveQueries(std::move(active));
}
void PrometheusApi::SetQueryLog(std::string path) { impl_->SetQueryLog(std::move(path)); }
ruler::QueryObserver* PrometheusApi::rule_queries() { return impl_.get(); }

PrometheusApi::Impl::Impl(PrometheusApiOptions options, const PrometheusBackend* backend)
    : options_(std::move(options)),
      backend_(backend),
      executor_(backend->executor),
      any_origin_(options_.cors_origin == ".*"),
      gate_(backend->executor, options_.max_concurrency),
      receiver_(backend->registry, options_.seed != 0 ? options_.seed : base::SystemSeed()) {
  if (!any_origin_) {
    auto regex = base::Regex::Anchored(options_.cors_origin);
    TOCSIN_CHECK(regex.has_value()) << "cors_origin: " << regex.error().message();
    cors_origin_ = *std::move(regex);
  }
  base::Registry* registry = backend->registry;
  query_durations_ = registry->AddSummaryFamily("prometheus_engine_query_duration_seconds",
                                                "Query timings", {"slice"}, {0.5, 0.9, 0.99});
  query_duration_histogram_ = registry->AddHistogramFamily(
      "prometheus_engine_query_duration_histogram_seconds",
      "The duration of various parts of PromQL query execution.", {"slice"}, {0.01, 0.1, 1, 10});
  query_samples_ = registry->AddCounter("prometheus_engine_query_samples_total",
                                        "The total number of samples loaded by all queries.");
  query_samples_read_ = registry->AddCounter("prometheus_engine_query_samples_read_total",
                                             "The total number of samples read by all queries.");
  if (options_.files != nullptr) query_log_ = std::make_unique<QueryLog>(options_.files, registry);
  queries_ = registry->AddGauge("prometheus_engine_queries",
                                "The current number of queries being executed or waiting.");
  registry
      ->AddGauge("prometheus_engine_queries_concurrent_max", "The max number of concurrent queries.")
      ->Set(options_.max_concurrency);
  federation_errors_ = registry->AddCounter(
      "prometheus_web_federation_errors_total",
      "Total number of errors that occurred while sending federation responses.");
}

void PrometheusApi::Impl::Register(Router* router) {
  RegisterQueries(router);
  RegisterStatus(router);
  RegisterWrites(router);
  RegisterManagement(router);
  router->Add({"OPTIONS"}, V1("/*path"), [self = shared_from_this()](ExchangePtr x, const auto&) {
    self->Send(x, Answer::Nothing());
  });
}

void PrometheusApi::Impl::RegisterQueries(Router* router) {
  Query(router, "/query", &InstantQuery);
  Query(router, "/query_range", &RangeQuery);
  Query(router, "/explain", &ExplainQuery);
  Offloaded(router, {"GET", "POST"}, "/query_exemplars", &QueryExemplars);
  Offloaded(router, {"GET", "POST"}, "/format_query", &FormatQuery);
  Offloaded(router, {"GET", "POST"}, "/parse_query", &ParseQuery);
  Offloaded(router, {"GET", "POST"}, "/series", &ListSeries);
  Offloaded(router, {"GET", "POST"}, "/labels", &LabelNames);
  Offloaded(router, {"GET"}, "/label/:name/values", &LabelValues);
}

void PrometheusApi::Impl::RegisterStatus(Router* router) {
  const Backend& b = *backend_;
  Offloaded(router, {"GET"}, "/status/tsdb", &TsdbStatus);
  Offloaded(router, {"GET"}, "/status/tsdb/blocks", &TsdbBlocks);
  Quick(router, {"GET"}, "/status/config", [&b](const Call&) { return ShowConfig(b); });
  Quick(router, {"GET"}, "/status/flags", [&b](const Call&) { return ShowFlags(b); });
  Quick(router, {"GET"}, "/status/runtimeinfo", [&b](const Call& c) { return ShowRuntimeInfo(b, c); });
  Quick(router, {"GET"}, "/status/buildinfo", [](const Call&) { return ShowBuildInfo(); });
  Quick(router, {"GET"}, "/features",
        [&b, this](const Call&) { return ShowFeatures(b, options_); });
  Quick(router, {"GET"}, "/targets", [&b, this](const Call& c) { return ShowTargets(b, options_, c); });
  Quick(router, {"GET"}, "/targets/metadata", [&b](const Call& c) { return TargetsMetadata(b, c); });
  Quick(router, {"GET"}, "/targets/relabel_steps", [&b](const Call& c) { return RelabelSteps(b, c); });
  Quick(router, {"GET"}, "/scrape_pools", [&b](const Call&) { return ScrapePools(b); });
  Quick(router, {"GET"}, "/scrape_pools/config", [&b](const Call& c) { return ScrapePoolConfig(b, c); });
  Quick(router, {"GET"}, "/metadata", [&b](const Call& c) { return MetricMetadata(b, c); });
  Quick(router, {"GET"}, "/rules", [&b](const Call& c) { return ShowRules(b, c); });
  Quick(router, {"GET"}, "/alerts", [&b](const Call&) { return ShowAlerts(b); });
  Quick(router, {"GET"}, "/alertmanagers", [&b](const Call&) { return ShowAlertmanagers(b); });
  // These answer while the log is replayed, too.
  router->Add({"GET"}, V1("/status/walreplay"),
              [self = shared_from_this()](ExchangePtr x, const auto&) {
                self->Send(x, ShowWalReplay(*self->backend_));
              });
  router->Add({"GET"}, V1("/status/compaction"), [self = shared_from_this()](ExchangePtr x, const auto&) {
    self->Send(x, ShowCompaction(*self->backend_));
  });
  router->Add({"GET"}, V1("/notifications"), [self = shared_from_this()](ExchangePtr x, const auto&) {
    self->Send(x, ShowNotifications(*self->backend_));
  });
  router->Add({"GET"}, V1("/notifications/live"), [self = shared_from_this()](ExchangePtr x, const auto&) {
    self->Send(x, StreamNotifications(*self->backend_));
  });
}

void PrometheusApi::Impl::RegisterWrites(Router* router) {
  router->Add({"POST"}, V1("/write"), [self = shared_from_this()](ExchangePtr x, const auto&) {
    self->ServeWrite(std::move(x));
  });
  router->Add({"POST"}, V1("/read"), [self = shared_from_this()](ExchangePtr x, const auto& path) {
    self->ServeRaw(std::move(x), path, &RemoteRead);
  });
  router->Add({"POST"}, V1("/otlp/v1/metrics"), [](ExchangePtr x, const auto&) {
    x->Respond(net::HttpResponse::Text(
        404, "otlp write receiver needs to be enabled with --web.enable-otlp-receiver\n"));
  });
  Admin(router, "delete_series", &DeleteSeries);
  Admin(router, "clean_tombstones", &CleanTombstones);
  Admin(router, "snapshot", &TakeSnapshot);
}

void PrometheusApi::Impl::Quick(Router* router, Methods methods, std::string_view pattern,
                                Work work) {
  router->Add(methods, V1(pattern),
              [self = shared_from_this(), work = std::move(work)](ExchangePtr x, const auto& path) {
                if (self->RequireReady(x)) self->Send(x, work(self->MakeCall(x, path)));
              });
}

void PrometheusApi::Impl::Offloaded(Router* router, Methods methods, std::string_view pattern,
                                    Work work) {
  router->Add(methods, V1(pattern),
              [self = shared_from_this(), work = std::move(work)](ExchangePtr x, const auto& path) {
                if (!self->RequireReady(x)) return;
                auto answer = std::make_shared<Answer>(Answer::Nothing());
                self->Offload(
                    base::Lane::kQueries,
                    [answer, work, call = self->MakeCall(x, path)] { *answer = work(call); },
                    [self, answer, x] { self->Send(x, std::move(*answer)); });
              });
}

void PrometheusApi::Impl::Admin(Router* router, std::string_view name, Work work) {
  auto guarded = [this, work = std::move(work)](const Call& call) {
    if (options_.enable_admin_api) return work(call);
    return Answer::Error(ErrorType::kUnavailable, "admin APIs disabled");
  };
  Offloaded(router, {"POST", "PUT"}, "/admin/tsdb/" + std::string(name), std::move(guarded));
}

void PrometheusApi::Impl::Query(Router* router, std::string_view pattern,
                                Answer (*run)(const QueryRun&)) {
  router->Add({"GET", "POST"}, V1(pattern),
              [self = shared_from_this(), run](ExchangePtr x, const auto& path) {
                if (self->RequireReady(x)) self->ServeQuery(std::move(x), path, run);
              });
}

void PrometheusApi::Impl::ObserveQuery(std::string_view slice, base::Duration d) {
  query_durations_->With({slice})->Observe(base::ToSeconds(d));
  query_duration_histogram_->With({slice})->Observe(base::ToSeconds(d));
}

void PrometheusApi::Impl::ServeQuery(ExchangePtr x, const PathParams& path,
                                     Answer (*run)(const QueryRun&)) {
  auto query = std::make_shared<QueryRun>();
  query->call = MakeCall(x, path);
  query->entered = executor_->Monotonic();
  query->active = active_queries_;
  query->log = query_log_.get();
  queries_->Add(1);
  auto self = shared_from_this();
  x->OnClientGone([self, query] {
    query->cancelled = true;
    if (self->gate_.Forget(query->ticket)) self->queries_->Add(-1);
  });
  auto work = [self, x, query, run] {
    query->waited = self->executor_->Monotonic() - query->entered;
    self->ObserveQuery("queue_time", query->waited);
    auto answer = std::make_shared<Answer>(Answer::Nothing());
    self->Offload(
        base::Lane::kQueries, [answer, query, run] { *answer = run(*query); },
        [self, answer, query, x] {
          if (query->prepared.count() > 0) self->ObserveQuery("prepare_time", query->prepared);
          if (query->evaluated.count() > 0) self->ObserveQuery("inner_eval", query->evaluated);
          self->query_samples_->Add(static_cast<double>(query->samples_read));
          self->query_samples_read_->Add(static_cast<double>(query->samples_read));
          self->queries_->Add(-1);
          self->Send(x, std::move(*answer));
          self->gate_.Leave();
        });
  };
  auto timed_out = [self, x] {
    self->queries_->Add(-1);
    self->Send(x, Answer::Error(ErrorType::kTimeout, "query timed out in query queue"));
  };
  query->ticket = gate_.Enter(backend_->engine->options().timeout, std::move(work),
                              std::move(timed_out));
}

bool PrometheusApi::Impl::RequireReady(const ExchangePtr& x) const {
  if (Ready()) return true;
  auto response = net::HttpResponse::Text(503, "Service Unavailable");
  response.headers.Set("X-Prometheus-Stopping", backend_->stopping ? "true" : "false");
  Send(x, std::move(response));
  return false;
}

Call PrometheusApi::Impl::MakeCall(const ExchangePtr& x, const PathParams& path) const {
  return {.request = x->request_ptr(),
          .path = path,
          .now = executor_->Now(),
          .executor = executor_,
          .engine = backend_->engine,
          .queryable = backend_->queryable,
          .appendable = backend_->appendable,
          .tsdb = backend_->tsdb};
}

void PrometheusApi::Impl::Send(const ExchangePtr& x, Answer answer) const {
  Send(x, std::move(answer).ToResponse());
}

void PrometheusApi::Impl::Send(const ExchangePtr& x, net::HttpResponse response) const {
  AddCors(x->request(), &response);
  x->Respond(std::move(response));
}

void PrometheusApi::Impl::AddCors(const net::HttpRequest& request,
                                  net::HttpResponse* response) const {
  std::string_view origin = request.headers.Get("Origin");
  if (origin.empty()) return;
  net::Headers& headers = response->headers;
  headers.Set("Access-Control-Allow-Headers", "Accept, Authorization, Content-Type, Origin");
  headers.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS");
  headers.Set("Access-Control-Expose-Headers", "Date");
  headers.Set("Vary", "Origin");
  if (any_origin_) {
    headers.Set("Access-Control-Allow-Origin", "*");
  } else if (cors_origin_->Matches(origin)) {
    headers.Set("Access-Control-Allow-Origin", origin);
  }
}

void PrometheusApi::Impl::Offload(base::Lane lane, base::Task work, base::Task done) {
  ++in_flight_;
  executor_->Offload(lane, std::move(work),
                     [self = shared_from_this(), done = std::move(done)]() mutable {
                       done();
                       self->WorkEnded();
                     });
}

void PrometheusApi::Impl::WorkEnded() {
  if (--in_flight_ == 0 && on_idle_) std::exchange(on_idle_, nullptr)();
}

void PrometheusApi::Impl::Stop(base::Task done) {
  if (in_flight_ == 0) {
    executor_->Post(std::move(done));
  } else {
    on_idle_ = std::move(done);
  }
}

}  // namespace tocsin::api
