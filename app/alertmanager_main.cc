#include "app/alertmanager_main.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <thread>

#include "alertmanager/alertmanager.h"
#include "alertmanager/config.h"
#include "alertmanager/upstream_snapshot.h"
#include "api/alertmanager/insight.h"
#include "api/alertmanager/v2.h"
#include "api/http/router.h"
#include "app/guarded_server.h"
#include "app/pages.h"
#include "app/verbs.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/text.h"
#include "base/url.h"
#include "base/version.h"
#include "net/event_loop.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/smtp_client.h"
#include "state/store.h"

namespace tocsin::app {

namespace {

constexpr base::Duration kStopGrace = std::chrono::seconds(5);

std::string Hostname() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 && name[0] != 0 ? name : "localhost";
}

std::string HelpOfCompat() {
  std::string text =
      "--alertmanager.compat=upstream restores what Alertmanager does differently:\n";
  for (const auto& [name, meaning] : alertmanager::Compat::Describe()) {
    text += "  " + std::string(name) + ": " + std::string(meaning) + "\n";
  }
  return text;
}

// The external URL without a slash at its end, and the prefix of routes that goes with it.
struct Address {
  std::string external_url;
  std::string route_prefix;  // "" or "/x"
};

base::Result<Address> ResolveAddress(const Flags& flags) {
  std::string text = flags.String("web.external-url");
  if (text.empty()) {
    const std::string listen = flags.List("web.listen-address").front();
    text = "http://" + Hostname() + listen.substr(std::min(listen.rfind(':'), listen.size())) + "/";
  }
  auto url = base::ParseUrl(text);
  if (!url) return std::unexpected(url.error().Within("--web.external-url"));
  if (!url->IsHttp()) {
    return base::InvalidArgument("--web.external-url=" + text + ": write http:// or https:// and a host");
  }
  while (url->path.ends_with('/')) url->path.pop_back();
  Address a{.external_url = url->ToString(), .route_prefix = url->path};
  if (flags.Given("web.route-prefix")) {
    a.route_prefix = flags.String("web.route-prefix");
    while (a.route_prefix.ends_with('/')) a.route_prefix.pop_back();
    if (!a.route_prefix.empty() && !a.route_prefix.starts_with('/')) a.route_prefix.insert(0, "/");
  }
  return a;
}

base::Result<alertmanager::Options> OptionsOf(const Flags& flags, const Address& address,
                                              const net::EventLoop* loop) {
  alertmanager::Options o;
  o.external_url = address.external_url;
  o.retention = flags.Duration("data.retention");
  o.journal = {.retention = flags.Duration("journal.retention"), .max_bytes = flags.Bytes("journal.max-size")};
  o.maintenance_interval = flags.Duration("data.maintenance-interval");
  o.alert_gc_interval = flags.Duration("alerts.gc-interval");
  o.dispatch_maintenance_interval = flags.Duration("dispatch.maintenance-interval");
  o.dispatch_start_delay = flags.Duration("dispatch.start-delay");
  o.per_alertname_limit = flags.Int("alerts.per-alertname-limit");
  o.silence_limits = {.max_silences = flags.Int("silences.max-silences"),
                      .max_silence_size_bytes = flags.Int("silences.max-silence-size-bytes")};
  o.log_silences = flags.Bool("log.silences");
  o.version = base::kAlertmanagerVersion;
  o.hostname = Hostname();
  o.clock = [loop] { return loop->Now(); };
  if (const std::string& compat = flags.String("alertmanager.compat"); compat == "upstream") {
    o.compat = alertmanager::Compat::Upstream();
  } else if (!compat.empty()) {
    return base::InvalidArgument("--alertmanager.compat=" + compat + ": the only value is upstream");
  }
  for (const std::string& list : flags.List("enable-feature")) {
    for (std::string_view feature : base::Split(list, ',')) {
      if (feature == "alert-names-in-metrics") {
        o.alert_names_in_metrics = true;
      } else if (feature == "receiver-name-in-metrics") {
        o.receiver_names_in_metrics = true;
      } else if (feature == "classic-mode") {
        o.matcher_mode = alertmanager::MatcherMode::kClassic;
      } else if (feature == "utf8-strict-mode") {
        o.matcher_mode = alertmanager::MatcherMode::kUtf8;
      } else if (feature == "group-key-in-metrics") {
        o.group_keys_in_metrics = true;
      } else if (feature == "event-recorder") {
        o.event_recorder = true;
      } else if (feature == "auto-gomemlimit") {
        base::LogWarn("feature has no meaning in this version", {{"feature", feature}});
      } else if (!feature.empty()) {
        return base::InvalidArgument("Unknown option '" + std::string(feature) + "' for --enable-feature");
      }
    }
  }
  return o;
}

base::Status ConfigureLogging(const Flags& flags) {
  base::LogOptions log;
  const std::string& level = flags.String("log.level");
  const std::string& format = flags.String("log.format");
  constexpr std::pair<std::string_view, base::LogLevel> kLevels[] = {{"debug", base::LogLevel::kDebug},
                                                                     {"info", base::LogLevel::kInfo},
                                                                     {"warn", base::LogLevel::kWarn},
                                                                     {"error", base::LogLevel::kError}};
  const auto found = std::ranges::find(kLevels, level, [](const auto& l) { return l.first; });
  if (found == std::end(kLevels)) return base::InvalidArgument("--log.level=" + level + ": write debug, info, warn or error");
  log.level = found->second;
  if (format != "logfmt" && format != "json") {
    return base::InvalidArgument("--log.format=" + format + ": write logfmt or json");
  }
  log.format = format == "json" ? base::LogFormat::kJson : base::LogFormat::kLogfmt;
  base::ConfigureLog(log);
  return {};
}

// The running service.  Loop only.
class Service {
 public:
  explicit Service(const Flags& flags) : flags_(flags) {}

  base::Status Start();
  int Run() {
    loop_.Run();
    return 0;
  }

 private:
  base::Result<alertmanager::PreparedPtr> Prepare() const;
  void Reload(std::function<void(base::Status)> done);
  void RegisterManagement();
  void Stop();

  const Flags& flags_;
  net::EventLoop loop_;
  base::Registry registry_;
  alertmanager::Options options_;
  std::unique_ptr<state::Store> store_;
  std::unique_ptr<net::HttpClient> http_;
  std::unique_ptr<net::MailClient> mail_;
  std::unique_ptr<alertmanager::Alertmanager> alertmanager_;
  std::unique_ptr<api::Router> router_;
  std::unique_ptr<api::AlertmanagerApi> api_;
  std::unique_ptr<api::InsightApi> insight_;
  std::unique_ptr<net::WebGuard> guard_;
  std::unique_ptr<net::HttpServer> server_;
  bool reloading_ = false;
  bool stopping_ = false;
  std::vector<std::function<void(base::Status)>> reload_waiters_;
};

// Any thread.
base::Result<alertmanager::PreparedPtr> Service::Prepare() const {
  const std::string& file = flags_.String("config.file");
  ASSIGN_OR_RETURN(const std::string text, base::RealFileSystem()->ReadFile(file));
  ASSIGN_OR_RETURN(alertmanager::ConfigPtr config,
                   alertmanager::LoadConfig(text, file, {.matcher_mode = options_.matcher_mode, .folder = {}}));
  for (const std::string& warning : config->warnings) base::LogWarn("configuration", {{"warning", warning}});
  return alertmanager::Alertmanager::Prepare(std::move(config), options_);
}

base::Status Service::Start() {
  RETURN_IF_ERROR(ConfigureLogging(flags_));
  ASSIGN_OR_RETURN(const Address address, ResolveAddress(flags_));
  ASSIGN_OR_RETURN(options_, OptionsOf(flags_, address, &loop_));
  base::LogInfo("starting tocsin alertmanager", {{"version", base::kVersion}, {"compatible_with", base::kAlertmanagerVersion}});
  if (flags_.Given("cluster.peer")) {
    base::LogWarn("--cluster.* flags are accepted, but this program does not gossip: it runs alone; several "
                  "instances will share their state through PostgreSQL");
  }
  for (const std::string& name : flags_.GivenButIgnored()) {
    base::LogInfo("a flag has no meaning here", {{"flag", "--" + name}});
  }
  ASSIGN_OR_RETURN(alertmanager::PreparedPtr prepared, Prepare());

  state::Contents contents;
  ASSIGN_OR_RETURN(store_, state::OpenSqliteStore({.folder = flags_.String("storage.path"), .executor = &loop_, .registry = &registry_}, &contents));
  alertmanager::ImportUpstreamSnapshots(flags_.String("storage.path"), base::RealFileSystem(), store_.get(), &contents);
  base::AddProcessMetrics(&registry_);
  http_ = net::MakeHttpClient(&loop_, {.user_agent = "Alertmanager/" + options_.version});
  mail_ = net::MakeSmtpClient(&loop_);
  alertmanager_ = std::make_unique<alertmanager::Alertmanager>(
      &loop_, store_.get(), &registry_, alertmanager::Transport{.http = http_.get(), .mail = mail_.get()}, options_);
  alertmanager_->Restore(std::move(contents));
  alertmanager_->Apply(std::move(prepared));

  router_ = std::make_unique<api::Router>(api::RouterOptions{.prefix = address.route_prefix});
  int concurrency = static_cast<int>(flags_.Int("web.get-concurrency"));
  if (concurrency <= 0) concurrency = std::max(8, static_cast<int>(std::thread::hardware_concurrency()));
  const auto replies = std::make_shared<api::Replies>(
      &loop_, &registry_, api::AlertmanagerApiOptions{.get_concurrency = concurrency, .timeout = flags_.Duration("web.timeout")});
  api_ = std::make_unique<api::AlertmanagerApi>(&loop_, alertmanager_.get(), replies);
  insight_ = std::make_unique<api::InsightApi>(&loop_, alertmanager_.get(), replies);
  insight_->Register(router_.get());
  api_->Register(router_.get());
  RegisterManagement();
  RegisterPages(router_.get());

  net::HttpServerOptions server;
  server.on_request = api::AlertmanagerHttpMetrics(&registry_);
  ASSIGN_OR_RETURN(GuardedServer guarded, MakeGuardedServer(&loop_, base::RealFileSystem(), flags_.String("web.config.file"), std::move(server),
                                                            router_->AsHandler()));
  guard_ = std::move(guarded.guard);
  server_ = std::move(guarded.server);
  for (const std::string& listen : flags_.List("web.listen-address")) {
    ASSIGN_OR_RETURN(const std::string bound, server_->Listen(listen));
    base::LogInfo("listening", {{"address", bound}});
  }
  loop_.OnSignal(SIGHUP, [this] { Reload([](base::Status) {}); });
  for (int signal : {SIGTERM, SIGINT}) loop_.OnSignal(signal, [this] { Stop(); });
  return {};
}

void Service::RegisterManagement() {
  auto text = [](std::string body) {
    return [body](api::ExchangePtr x, const api::PathParams&) { x->Respond(net::HttpResponse::Text(200, body)); };
  };
  router_->Add({"GET", "HEAD"}, "/-/healthy", text("OK"));
  router_->Add({"GET", "HEAD"}, "/-/ready", text("OK"));
  router_->Add({"POST"}, "/-/reload", [this](api::ExchangePtr x, const api::PathParams&) {
    Reload([x](base::Status s) {
      x->Respond(s ? net::HttpResponse::Text(200, "")
                   : net::HttpResponse::Text(500, "failed to reload config: " + s.error().message() + "\n"));
    });
  });
  router_->Add({"GET"}, "/metrics", [this](api::ExchangePtr x, const api::PathParams&) {
    net::HttpResponse r = net::HttpResponse::Text(200, registry_.Expose());
    r.headers.Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    x->Respond(std::move(r));
  });
  auto gone = [](api::ExchangePtr x, const api::PathParams&) {
    x->Respond(net::HttpResponse::Json(
        410, "{\"status\":\"deprecated\",\"error\":\"The Alertmanager v1 API was deprecated in version 0.16.0 and is "
             "removed as of version 0.28.0 - please use the equivalent route in the v2 API\"}\n"));
  };
  router_->Add({"GET", "POST", "PUT", "DELETE"}, "/api/v1/*rest", gone);
}

void Service::Reload(std::function<void(base::Status)> done) {
  reload_waiters_.push_back(std::move(done));
  if (std::exchange(reloading_, true)) return;
  // What is asked for while this one runs gets the next one, which reads the file anew.
  auto waiters = std::make_shared<std::vector<std::function<void(base::Status)>>>(std::move(reload_waiters_));
  reload_waiters_.clear();
  auto result = std::make_shared<base::Result<alertmanager::PreparedPtr>>(alertmanager::PreparedPtr());
  loop_.Offload(
      base::Lane::kBackground, [this, result] { *result = Prepare(); },
      [this, result, waiters] {
        base::Status status;
        if (stopping_) {
          status = base::Unavailable("the server is stopping");
        } else if (*result) {
          alertmanager_->Apply(std::move(**result));
          base::LogInfo("configuration loaded", {{"file", flags_.String("config.file")}});
        } else {
          alertmanager_->ReloadFailed();
          base::LogError("loading configuration failed", {{"file", flags_.String("config.file")}, {"error", result->error()}});
          status = std::unexpected(result->error());
        }
        for (auto& waiter : *waiters) waiter(status);
        reloading_ = false;
        if (!reload_waiters_.empty()) {
          auto next = std::move(reload_waiters_.back());
          reload_waiters_.pop_back();
          Reload(std::move(next));
        }
      });
}

void Service::Stop() {
  if (std::exchange(stopping_, true)) return;
  base::LogInfo("stopping");
  server_->Stop(kStopGrace, [this] {
    alertmanager_->Stop([this] {
      store_->Stop([this] {
        base::LogInfo("stopped; the state is saved");
        loop_.Stop();
      });
    });
  });
}

}  // namespace

int AlertmanagerVerb(const std::vector<std::string>& args, const tools::ToolIo& io) {
  const std::string compat = HelpOfCompat();
  Flags flags(AlertmanagerFlagTable(), "tocsin alertmanager [FLAGS]", compat);
  if (auto exit = flags.Parse(args, io)) return *exit;
  if (flags.Bool("version")) {
    io.out(VersionText("alertmanager"));
    return 0;
  }
  Service service(flags);
  if (auto started = service.Start(); !started) {
    io.err("error: " + started.error().message() + "\n");
    return 1;
  }
  return service.Run();
}

}  // namespace tocsin::app
