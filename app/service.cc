#include "app/service.h"

#include <unistd.h>

#include <csignal>

#include "alertmanager/upstream_snapshot.h"
#include "app/features.h"
#include "app/guarded_server.h"
#include "app/pages.h"
#include "api/query_logs.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/number.h"
#include "base/text.h"
#include "base/url.h"
#include "base/version.h"
#include "tools/check_rules.h"

namespace tocsin::app {
namespace {

constexpr uint64_t kLogPageBytes = 32 << 10;
constexpr uint64_t kMaxLogSegmentBytes = 1 << 30;

// For everybody who looks; as the pages of Prometheus know them.
constexpr std::string_view kReloadFailed = "Configuration reload has failed.";
#if defined(__aarch64__)
constexpr std::string_view kArchitecture = "arm64";
#else
constexpr std::string_view kArchitecture = "amd64";
#endif
constexpr std::string_view kStarting = "tocsin is starting and replaying the write-ahead log (WAL).";
constexpr std::string_view kStopping = "tocsin is shutting down and gracefully stopping all operations.";

// What the kinds of the flags do not say.
base::Status CheckFlags(const Flags& flags) {
  const uint64_t segment = flags.Bytes("storage.tsdb.wal-segment-size");
  if (segment < kLogPageBytes || segment > kMaxLogSegmentBytes) {
    return base::InvalidArgument("--storage.tsdb.wal-segment-size=" + flags.String("storage.tsdb.wal-segment-size") +
                                 ": write 32KB to 1GB");
  }
  return {};
}

std::string HostName() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "localhost";
}

// The address under which people reach the server, without a slash at the end.
std::string ExternalUrl(const Flags& flags) {
  std::string url = flags.String("web.external-url");
  if (url.empty()) {
    const std::string listen = flags.List("web.listen-address").front();
    const size_t colon = listen.rfind(':');  // an address without port is refused when listening
    url = "http://" + HostName() + (colon == std::string::npos ? "" : listen.substr(colon));
  } else if (url.find("://") == std::string::npos) {
    url = "http://" + url;
  }
  while (url.ends_with('/')) url.pop_back();
  return url;
}

std::string RoutePrefix(const Flags& flags, const std::string& external_url) {
  std::string prefix = flags.String("web.route-prefix");
  if (!flags.Given("web.route-prefix")) {
    if (const auto url = base::ParseUrl(external_url)) prefix = url->path;
  }
  while (prefix.ends_with('/')) prefix.pop_back();
  if (!prefix.empty() && prefix[0] != '/') prefix = "/" + prefix;
  return prefix;
}

promql::ParseOptions ParseOptionsOf(const Flags& flags) {
  const tools::LanguageFeatures features = tools::FeaturesOf(flags.List("enable-feature"));
  return {.experimental_functions = features.experimental_functions,
          .extended_range_selectors = features.extended_range_selectors,
          .binop_fill_modifiers = features.binop_fill_modifiers};
}

alertmanager::Options AlertmanagerOptions(const Flags& flags, const std::string& external_url,
                                          const net::EventLoop* loop) {
  alertmanager::Options options;
  options.external_url = external_url;
  options.retention = flags.Duration("data.retention");
  options.journal = {.retention = flags.Duration("journal.retention"), .max_bytes = flags.Bytes("journal.max-size")};
  options.event_recorder = true;
  options.clock = [loop] { return loop->Now(); };
  if (flags.String("alertmanager.compat") == "upstream") options.compat = alertmanager::Compat::Upstream();
  return options;
}

// 0 is as if not given; without either the time is the database's default.
config::Retention RetentionOf(const Flags& flags) {
  config::Retention retention;
  if (flags.Given("storage.tsdb.retention.time")) retention.time = flags.Duration("storage.tsdb.retention.time");
  if (flags.Given("storage.tsdb.retention.size")) retention.bytes = flags.Bytes("storage.tsdb.retention.size");
  if (retention.time.count() == 0 && retention.bytes == 0) retention.time = tsdb::DbOptions{}.retention_time;
  return retention;
}

tsdb::DbOptions DatabaseOptions(const Flags& flags, const config::StorageConfig& storage) {
  tsdb::DbOptions options;
  options.path = flags.String("storage.tsdb.path");
  while (options.path.size() > 1 && options.path.ends_with('/')) options.path.pop_back();
  const config::Retention retention = storage.retention.value_or(RetentionOf(flags));
  options.retention_time = retention.time;
  options.retention_bytes = retention.bytes;
  options.retention_percentage = retention.percentage;
  options.xor2 = storage.float_chunk_encoding.empty() ? HasFeature(flags, kXor2) : storage.float_chunk_encoding == "xor2";
  options.start_times = HasFeature(flags, kStartTimes);
  options.histogram_start_times = HasFeature(flags, kHistogramStartTimes);
  options.min_block_duration = flags.Duration("storage.tsdb.min-block-duration");
  if (flags.Given("storage.tsdb.max-block-duration")) {
    options.max_block_duration = flags.Duration("storage.tsdb.max-block-duration");
  }
  options.maintenance_interval = flags.Duration("storage.tsdb.block-reload-interval");
  options.wal_segment_bytes = flags.Bytes("storage.tsdb.wal-segment-size") / kLogPageBytes * kLogPageBytes;
  if (!flags.Bool("storage.tsdb.wal-compression")) options.wal_compression = tsdb::WalCompression::kNone;
  else if (flags.String("storage.tsdb.wal-compression-type") == "zstd") {
    options.wal_compression = tsdb::WalCompression::kZstd;
  }
  if (flags.String("storage.tsdb.wal-sync") == "none") options.wal_sync = tsdb::WalSync::kNone;
  options.out_of_order_window = storage.out_of_order_time_window;
  options.memory_snapshot = HasFeature(flags, "memory-snapshot-on-shutdown");
  if (HasFeature(flags, "exemplar-storage")) options.max_exemplars = static_cast<size_t>(storage.max_exemplars);
  options.lock_file = !flags.Bool("storage.tsdb.no-lockfile");
  return options;
}

base::Status CheckChunkEncoding(const tsdb::DbOptions& options) {
  if (!options.start_times || options.xor2) return {};
  return base::InvalidArgument(
      "float chunk encoding \"xor\" is incompatible with start-timestamp storage (--enable-feature=st-storage): XOR chunks do "
      "not store start timestamps; set storage.tsdb.chunk_encoding.floats to xor2");
}

std::string RetentionText(const tsdb::DbOptions& options) {
  std::string text;
  if (options.retention_time.count() > 0) text = base::FormatDuration(options.retention_time);
  if (options.retention_bytes > 0) {
    text += (text.empty() ? "" : " or ") + base::FormatBytes(options.retention_bytes);
  }
  if (options.retention_percentage > 0) {
    text += (text.empty() ? "" : " or ") + base::FormatV(options.retention_percentage) + "%";
  }
  return text;
}

// What explain tells of the alerting rules.
std::vector<alertmanager::RuleFact> RuleFacts(const ruler::Ruler& ruler) {
  std::vector<alertmanager::RuleFact> out;
  for (const auto& group : ruler.Status()) {
    for (const ruler::RuleStatus& rule : group->rules) {
      if (!rule.spec->is_alert()) continue;
      alertmanager::RuleFact fact{.group = group->name,
                                  .file = group->file,
                                  .name = rule.spec->name(),
                                  .query = rule.spec->query,
                                  .hold = rule.spec->hold,
                                  .keep_firing = rule.spec->keep_firing,
                                  .interval = group->interval,
                                  .last_evaluation = rule.last_evaluation,
                                  .error = rule.last_error};
      for (const ruler::ActiveAlert& a : rule.alerts) {
        fact.alerts.push_back({.labels = a.labels,
                               .firing = a.state == ruler::AlertState::kFiring,
                               .active_at = a.active_at,
                               .keep_firing_since = a.keep_firing_since,
                               .value = a.value});
      }
      out.push_back(std::move(fact));
    }
  }
  return out;
}

}  // namespace

Service::Service(const Flags& flags, base::FileSystem* fs) : flags_(flags), fs_(fs) {
  start_time_ = loop_.Now();
  external_url_ = ExternalUrl(flags_);
  route_prefix_ = RoutePrefix(flags_, external_url_);
  sources_ = {.fs = fs_,
              .prometheus_file = flags_.String("config.file"),
              .alertmanager_file = flags_.String("alertmanager.config.file"),
              .alertmanager = AlertmanagerOptions(flags_, external_url_, &loop_),
              .parse = ParseOptionsOf(flags_),
              .load = {.protobuf_first = HasFeature(flags_, kStartZeros) || HasFeature(flags_, kStartTimes), .retention = RetentionOf(flags_)}};
}

Service::~Service() = default;

base::Status Service::Start() {
  RETURN_IF_ERROR(CheckFlags(flags_));
  ASSIGN_OR_RETURN(configuration_, LoadConfiguration(sources_));
  RETURN_IF_ERROR(CheckChunkEncoding(DatabaseOptions(flags_, configuration_->prometheus.storage)));
  if (HasFeature(flags_, kXor2)) {
    base::LogWarn("--enable-feature=xor2-encoding only sets the default of storage.tsdb.chunk_encoding.floats and goes "
                  "away in a later version; set it to xor2 in the configuration file instead");
  }
  digest_ = ConfigurationDigest(sources_);

  base::AddProcessMetrics(&registry_);
  registry_
      .AddGaugeFamily("prometheus_build_info", "Constant 1, with the version in its labels.",
                      {"branch", "goarch", "goos", "goversion", "revision", "tags", "version"})
      ->With({"", kArchitecture, "linux", "", "tocsin " + std::string(base::kVersion), "", base::kPrometheusVersion})
      ->Set(1);
  registry_.AddGaugeFamily("tocsin_build_info", "Constant 1, with the version in its label.", {"version"})
      ->With({base::kVersion})
      ->Set(1);
  reload_ok_ = registry_.AddGauge("prometheus_config_last_reload_successful",
                                  "Whether the last configuration reload was successful.");
  reload_time_ = registry_.AddGauge("prometheus_config_last_reload_success_timestamp_seconds",
                                    "When the configuration was last reloaded successfully.");
  ready_ = registry_.AddGauge("prometheus_ready", "Whether the server has started and is ready.");
  notifications_.emplace(&loop_, &registry_, static_cast<size_t>(std::max<int64_t>(0, flags_.Int("web.max-notifications-subscribers"))));
  notifications_->Add(kStarting);

  http_ = net::MakeHttpClient(&loop_);
  mail_ = net::MakeSmtpClient(&loop_);
  const tools::LanguageFeatures features = tools::FeaturesOf(flags_.List("enable-feature"));
  engine_.emplace(promql::EngineOptions{
      .max_samples = flags_.Int("query.max-samples"),
      .timeout = flags_.Duration("query.timeout"),
      .lookback = flags_.Duration("query.lookback-delta"),
      .default_subquery_step =
          [interval = configuration_->prometheus.global.evaluation_interval](base::Duration) { return interval; },
      .parse = sources_.parse,
      .delayed_name_removal = features.delayed_name_removal,
      .type_and_unit_labels = features.type_and_unit_labels,
      .use_start_timestamps = features.use_start_timestamps,
      .per_step_stats = features.per_step_stats,
      .clock = &loop_,
      .helpers = loop_.helpers()});
  RETURN_IF_ERROR(OpenState());
  FillBackend();
  return Listen();
}

base::Status Service::OpenState() {
  if (configuration_->alertmanager == nullptr) return {};
  std::string folder = flags_.String("storage.path");
  if (folder.empty()) folder = base::JoinPath(flags_.String("storage.tsdb.path"), "alertmanager");
  RETURN_IF_ERROR(fs_->CreateFolders(folder));
  ASSIGN_OR_RETURN(store_, state::OpenSqliteStore(
                               {.folder = folder, .executor = &loop_, .registry = &registry_}, &contents_));
  alertmanager::ImportUpstreamSnapshots(folder, fs_, store_.get(), &contents_);
  alertmanager_ = std::make_unique<alertmanager::Alertmanager>(
      &loop_, store_.get(), &registry_, alertmanager::Transport{.http = http_.get(), .mail = mail_.get()},
      sources_.alertmanager);
  alertmanager_->Restore(std::move(contents_));
  return {};
}

void Service::FillBackend() {
  backend_.executor = &loop_;
  backend_.registry = &registry_;
  backend_.engine = &*engine_;
  backend_.config_yaml = [this] { return configuration_->prometheus_yaml; };
  backend_.flags = [this] {
    std::map<std::string, std::string> all;
    for (const auto& [name, value] : flags_.values()) all[name] = value;
    return all;
  };
  backend_.runtime_info = [this] {
    char folder[4096] = {};
    api::RuntimeInfo info;
    info.start_time = start_time_;
    info.working_directory = ::getcwd(folder, sizeof folder) != nullptr ? folder : "";
    info.host = HostName();
    info.reload_ok = reload_ok_->value() == 1;
    info.last_config_time = base::FromUnixMillis(static_cast<int64_t>(reload_time_->value() * 1000));
    if (db_ != nullptr) info.wal_corruptions = db_->LogCorruptions();
    info.threads = base::ProcessThreads();
    info.retention = RetentionText(DatabaseOptions(flags_, configuration_->prometheus.storage));
    return info;
  };
  backend_.notifications = &*notifications_;
  backend_.features = [this] { return FeatureReport(flags_); };
  backend_.external_labels = [this] { return configuration_->prometheus.global.external_labels; };
  backend_.active_targets = [this](std::string_view job) {
    return scraper_ ? scraper_->ActiveTargets(job) : std::vector<scrape::TargetStatus>{};
  };
  backend_.dropped_targets = [this](std::string_view job) {
    return scraper_ ? scraper_->Dropped(job) : std::vector<scrape::DroppedTargets>{};
  };
  backend_.scrape_jobs = [this] { return scraper_ ? scraper_->Jobs() : std::vector<std::string>{}; };
  backend_.scrape_config = [this](std::string_view job) -> scrape::ScrapeConfigPtr {
    return scraper_ ? scraper_->ConfigOf(job) : nullptr;
  };
  backend_.scrape_config_yaml = [this](const scrape::ScrapeConfig& job) {
    return configuration_->prometheus.JobYaml(job.job_name);
  };
  backend_.rule_groups = [this] {
    return ruler_ ? ruler_->Status() : std::vector<std::shared_ptr<const ruler::GroupStatus>>{};
  };
  backend_.alertmanagers = [this] {
    std::vector<std::string> urls;
    if (alertmanager_) urls.push_back(external_url_ + "/api/v2/alerts");
    if (remote_alertmanagers_) {
      for (std::string& url : remote_alertmanagers_->ActiveUrls()) urls.push_back(std::move(url));
    }
    return urls;
  };
  backend_.dropped_alertmanagers = [this] {
    return remote_alertmanagers_ ? remote_alertmanagers_->DroppedUrls() : std::vector<std::string>{};
  };
  backend_.reload = [this](std::function<void(base::Status)> done) { Reload(std::move(done)); };
  backend_.quit = [this] { Stop(); };
}

base::Status Service::Listen() {
  const api::PrometheusApiOptions options{
      .enable_lifecycle = flags_.Bool("web.enable-lifecycle"),
      .enable_admin_api = flags_.Bool("web.enable-admin-api"),
      .remote_write_receiver = flags_.Bool("web.enable-remote-write-receiver"),
      .max_concurrency = static_cast<int>(flags_.Int("query.max-concurrency")),
      .external_url = external_url_,
      .listen_address = flags_.List("web.listen-address").front(),
      .cors_origin = flags_.String("web.cors.origin"),
      .files = fs_};
  if (auto regex = base::Regex::Anchored(options.cors_origin); !regex) {
    return base::InvalidArgument("--web.cors.origin: " + regex.error().message());
  }
  router_ = std::make_unique<api::Router>(api::RouterOptions{.prefix = route_prefix_});
  api_ = std::make_unique<api::PrometheusApi>(options, &backend_);
  api_->Register(router_.get());
  if (alertmanager_) {
    const auto replies = std::make_shared<api::Replies>(&loop_, &registry_, api::AlertmanagerApiOptions{});
    alertmanager_api_ = std::make_unique<api::AlertmanagerApi>(&loop_, alertmanager_.get(), replies);
    insight_ = std::make_unique<api::InsightApi>(
        &loop_, alertmanager_.get(), replies, [this] { return ruler_ ? RuleFacts(*ruler_) : std::vector<alertmanager::RuleFact>{}; });
    insight_->Register(router_.get());
    alertmanager_api_->Register(router_.get());
  }
  RegisterPages(router_.get());

  net::HttpServerOptions server;
  server.max_connections = static_cast<int>(flags_.Int("web.max-connections"));
  server.read_timeout = flags_.Duration("web.read-timeout");
  server.on_request = api::PrometheusHttpMetrics(&registry_);
  ASSIGN_OR_RETURN(GuardedServer guarded, MakeGuardedServer(&loop_, fs_, flags_.String("web.config.file"), std::move(server),
                                                            router_->AsHandler()));
  guard_ = std::move(guarded.guard);
  server_ = std::move(guarded.server);
  for (const std::string& address : flags_.List("web.listen-address")) {
    ASSIGN_OR_RETURN(const std::string bound, server_->Listen(address));
    base::LogInfo("Start listening for connections", {{"address", bound}});
  }
  return {};
}

int Service::Run() {
  loop_.OnSignal(SIGTERM, [this] { Stop(); });
  loop_.OnSignal(SIGINT, [this] { Stop(); });
  loop_.OnSignal(SIGHUP, [this] {
    Reload([](base::Status status) {
      if (!status) base::LogError("Error reloading config", {{"err", status.error()}});
    });
  });
  OpenDatabase();
  loop_.Run();
  return exit_status_;
}

void Service::OpenDatabase() {
  tsdb::DbOptions options = DatabaseOptions(flags_, configuration_->prometheus.storage);
  options.fs = fs_;
  options.executor = &loop_;
  options.registry = &registry_;
  backend_.progress = options.progress;
  using Opened = base::Result<std::unique_ptr<tsdb::Db>>;
  auto opened = std::make_shared<std::optional<Opened>>();
  auto active = std::make_shared<std::shared_ptr<api::ActiveQueries>>();
  loop_.Offload(
      base::Lane::kBackground,
      [opened, options, active, slots = static_cast<int>(flags_.Int("query.max-concurrency"))] {
        opened->emplace(tsdb::Db::Open(options));
        if (!**opened) return;
        // The folder is ours alone now.
        *active = std::make_shared<api::ActiveQueries>(
            options.fs, base::JoinPath(options.path, "queries.active"), slots);
      },
      gate_.Wrap([this, opened, active] {
        api_->SetActiveQueries(std::move(*active));
        DatabaseOpened(std::move(**opened));
      }));
}

void Service::DatabaseOpened(base::Result<std::unique_ptr<tsdb::Db>> opened) {
  if (!opened) {
    base::LogError("Opening storage failed", {{"err", opened.error()}});
    exit_status_ = 1;
    return Stop();
  }
  db_ = std::move(*opened);
  if (stopping_) return;
  backend_.tsdb = api::AccessTo(db_.get());
  backend_.appendable = db_.get();
  backend_.queryable = db_.get();

  scraper_ = std::make_unique<scrape::Scraper>(scrape::ScraperOptions{
      .executor = &loop_,
      .client = http_.get(),
      .storage = db_.get(),
      .registry = &registry_,
      .host = HostName(),
      .align_timestamps = flags_.Bool("scrape.adjust-timestamps"),
      .timestamp_tolerance = flags_.Duration("scrape.timestamp-tolerance"),
      .append_metadata = HasFeature(flags_, "metadata-wal-records"),
      .extra_scrape_metrics = HasFeature(flags_, "extra-scrape-metrics"),
      .start_zeros = HasFeature(flags_, kStartZeros),
      .start_times = HasFeature(flags_, kStartTimes),
      .type_and_unit_labels = HasFeature(flags_, kTypeAndUnitLabels)});
  remote_alertmanagers_ = std::make_unique<remote::AlertmanagerSink>(remote::AlertmanagerSinkOptions{
      .executor = &loop_,
      .http = http_.get(),
      .registry = &registry_,
      .queue_capacity = static_cast<size_t>(flags_.Int("alertmanager.notification-queue-capacity")),
      .max_batch = static_cast<size_t>(flags_.Int("alertmanager.notification-batch-size"))});
  MakeDiscoveries();
  std::vector<model::AlertSink*> sinks = {remote_alertmanagers_.get()};
  if (alertmanager_) sinks.push_back(alertmanager_.get());
  ruler_ = std::make_unique<ruler::Ruler>(
      &loop_,
      ruler::GroupEnvironment{.clock = &loop_,
                              .engine = &*engine_,
                              .storage = db_.get(),
                              .recorded = db_.get(),
                              .queries = api_->rule_queries(),
                              .resend_delay = flags_.Duration("rules.alert.resend-delay"),
                              .restore = {.outage_tolerance = flags_.Duration("rules.alert.for-outage-tolerance"),
                                          .grace_period = flags_.Duration("rules.alert.for-grace-period")}},
      std::move(sinks), &registry_);
  if (auto applied = Apply(configuration_); !applied) {
    base::LogError("Error applying the configuration", {{"err", applied.error()}});
    exit_status_ = 1;
    return Stop();
  }
  ruler_->Start();
  ready_->Set(1);
  notifications_->Remove(kStarting);
  base::LogInfo("Server is ready to receive web requests.",
                {{"after", loop_.Now() - start_time_}, {"url", external_url_}});
  if (AutoReloads(flags_)) WatchFiles();
}

void Service::MakeDiscoveries() {
  discovery::DiscoveryOptions options{.executor = &loop_,
                                      .fs = fs_,
                                      .http = http_.get(),
                                      .registry = &registry_,
                                      .name = "scrape",
                                      .update_interval = flags_.Duration("scrape.discovery-reload-interval")};
  discovery_ = std::make_unique<discovery::Discovery>(
      options, [this](const std::string& job, const discovery::TargetGroups& groups) {
        std::vector<model::TargetGroup> copies;
        for (const discovery::TargetGroupPtr& group : groups) copies.push_back(*group);
        scraper_->SetTargets(job, std::move(copies));
      });
  options.name = "notify";
  alerting_discovery_ = std::make_unique<discovery::Discovery>(
      options, [this](const std::string& job, const discovery::TargetGroups& groups) {
        remote_alertmanagers_->SetTargets(job, groups);
      });
}

base::Status Service::Apply(std::shared_ptr<const Configuration> configuration) {
  const config::PrometheusConfig& prometheus = configuration->prometheus;
  // What can fail comes first.
  const tsdb::DbOptions storage = DatabaseOptions(flags_, prometheus.storage);
  RETURN_IF_ERROR(CheckChunkEncoding(storage));
  ASSIGN_OR_RETURN(ruler::RulerUpdate update,
                   ruler_->Prepare(configuration->groups,
                                   {.default_interval = prometheus.global.evaluation_interval,
                                    .query_offset = prometheus.global.rule_query_offset,
                                    .external_url = external_url_,
                                    .external_labels = prometheus.global.external_labels},
                                   prometheus.alerting.alert_relabel));
  configuration_ = configuration;
  if (alertmanager_ && configuration->alertmanager) alertmanager_->Apply(configuration->alertmanager);
  std::vector<scrape::ScrapeConfigPtr> jobs;
  for (const config::ScrapeJob& job : prometheus.scrape_jobs) {
    jobs.push_back(std::make_shared<const scrape::ScrapeConfig>(job.scrape));
  }
  scraper_->Reload(jobs, prometheus.global.external_labels);
  discovery_->Apply(prometheus.ScrapeDiscovery());
  remote_alertmanagers_->Apply(prometheus.alerting);
  alerting_discovery_->Apply(remote::AlertmanagerDiscovery(prometheus.alerting));
  ruler_->Apply(std::move(update));
  db_->SetXor2(storage.xor2);
  db_->SetOutOfOrderWindow(storage.out_of_order_window);
  db_->SetMaxExemplars(storage.max_exemplars);
  db_->SetRetention({.time = storage.retention_time,
                      .bytes = storage.retention_bytes,
                      .percentage = storage.retention_percentage});
  api_->SetQueryLog(prometheus.global.query_log_file);
  reload_ok_->Set(1);
  reload_time_->Set(base::ToSeconds(loop_.Now().time_since_epoch()));
  return {};
}

void Service::Reload(std::function<void(base::Status)> done) {
  reload_waiters_.push_back(std::move(done));
  if (reloading_) return;  // those who ask meanwhile get the answer of the reload after this one
  reloading_ = true;
  auto waiters = std::make_shared<std::vector<std::function<void(base::Status)>>>(std::move(reload_waiters_));
  reload_waiters_.clear();
  using Loaded = base::Result<std::shared_ptr<const Configuration>>;
  auto loaded = std::make_shared<std::optional<Loaded>>();
  auto digest = std::make_shared<uint64_t>(0);
  loop_.Offload(
      base::Lane::kBackground,
      [loaded, digest, sources = sources_] {
        *digest = ConfigurationDigest(sources);
        loaded->emplace(LoadConfiguration(sources));
      },
      gate_.Wrap([this, loaded, digest, waiters] {
        reloading_ = false;
        digest_ = *digest;
        base::Status status;
        if (!**loaded) status = std::unexpected((*loaded)->error());
        else if (stopping_) status = base::Unavailable("the server is stopping");
        else if (ruler_ == nullptr) configuration_ = ***loaded;  // used once the storage is open
        else status = Apply(***loaded);
        if (status) {
          notifications_->Remove(kReloadFailed);
          base::LogInfo("Completed loading of configuration file", {{"filename", sources_.prometheus_file}});
        } else {
          reload_ok_->Set(0);
          notifications_->Add(kReloadFailed);
          if (alertmanager_) alertmanager_->ReloadFailed();
          base::LogError("Failed to reload the configuration: everything old keeps running",
                         {{"err", status.error()}});
        }
        for (auto& waiter : *waiters) waiter(status);
        if (!reload_waiters_.empty()) {
          auto next = std::move(reload_waiters_.back());
          reload_waiters_.pop_back();
          Reload(std::move(next));
        }
      }));
}

void Service::WatchFiles() {
  watch_timer_ = loop_.After(flags_.Duration("config.auto-reload-interval"), [this] {
    auto digest = std::make_shared<uint64_t>(0);
    loop_.Offload(
        base::Lane::kBackground, [digest, sources = sources_] { *digest = ConfigurationDigest(sources); },
        gate_.Wrap([this, digest] {
          if (*digest != digest_) Reload([](base::Status) {});
          WatchFiles();
        }));
  });
}

void Service::Stop() {
  if (stopping_) return;
  stopping_ = true;
  backend_.stopping = true;
  ready_->Set(0);
  base::LogInfo("Stopping", {});
  notifications_->Add(kStopping);
  gate_.Close();
  watch_timer_.Cancel();
  if (discovery_) discovery_->Stop();
  if (alerting_discovery_) alerting_discovery_->Stop();
  StopSteps(0);
}

void Service::StopSteps(size_t next) {
  base::Task then = [this, next] { StopSteps(next + 1); };
  switch (next) {
    case 0: return scraper_ ? scraper_->Stop(std::move(then)) : then();
    case 1: return ruler_ ? ruler_->Stop(std::move(then)) : then();
    case 2: {
      // What waits for Alertmanagers elsewhere is sent, unless the flag says otherwise.
      const bool drain = flags_.Bool("alertmanager.drain-notification-queue-on-shutdown");
      const base::Duration grace = std::chrono::seconds(drain ? 10 : 0);
      return remote_alertmanagers_ ? remote_alertmanagers_->Stop(grace, std::move(then)) : then();
    }
    case 3: return alertmanager_ ? alertmanager_->Stop(std::move(then)) : then();
    case 4: return api_ ? api_->Stop(std::move(then)) : then();
    case 5:
      backend_.queryable = nullptr;
      backend_.appendable = nullptr;
      return db_ ? db_->Stop(std::move(then)) : then();
    case 6: return store_ ? store_->Stop(std::move(then)) : then();
    case 7:
      notifications_->EndStreams();
      return server_ ? server_->Stop(std::chrono::seconds(2), std::move(then)) : then();
    default:
      base::LogInfo("See you next time!", {});
      loop_.Stop();
  }
}

}  // namespace tocsin::app
