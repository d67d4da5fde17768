#pragma once

// The parts of `tocsin serve`, wired together, and their life: start, reload, stop.
//
//   start   configuration checked -> durable state read -> port open -> database replayed -> ready
//   reload  both configurations, rules and templates loaded on a worker -> all of it applied, or none
//   stop    scraping -> rules -> Alertmanager -> queries -> database -> durable state -> port -> loop
//
// Threads: loop only, but for what the parts say themselves.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "alertmanager/alertmanager.h"
#include "api/alertmanager/insight.h"
#include "api/alertmanager/v2.h"
#include "api/http/router.h"
#include "api/notifications.h"
#include "api/prometheus.h"
#include "app/configuration.h"
#include "app/flags.h"
#include "base/metrics.h"
#include "discovery/discovery.h"
#include "net/event_loop.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/smtp_client.h"
#include "net/web_config.h"
#include "promql/engine.h"
#include "remote/alertmanager_sink.h"
#include "ruler/ruler.h"
#include "scrape/scraper.h"
#include "state/store.h"
#include "tsdb/db.h"

namespace tocsin::app {

class Service {
 public:
  // `flags` outlives the service.
  Service(const Flags& flags, base::FileSystem* fs);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // Loads the configuration, opens state and port.  Errors: why it cannot start.
  base::Status Start();
  // Until stopped.  Returns the exit status.
  int Run();

 private:
  void OpenDatabase();
  void MakeDiscoveries();
  void DatabaseOpened(base::Result<std::unique_ptr<tsdb::Db>> opened);
  base::Status OpenState();
  base::Status Listen();
  void FillBackend();

  // Calls `done` on the loop with what became of it.
  void Reload(std::function<void(base::Status)> done);
  base::Status Apply(std::shared_ptr<const Configuration> configuration);
  void WatchFiles();

  void Stop();
  void StopSteps(size_t next);

  const Flags& flags_;
  base::FileSystem* const fs_;
  base::Registry registry_;
  net::EventLoop loop_;  // after what its workers use
  ConfigurationSources sources_;
  std::shared_ptr<const Configuration> configuration_;
  std::string external_url_;
  std::string route_prefix_;

  std::unique_ptr<net::HttpClient> http_;
  std::unique_ptr<net::MailClient> mail_;
  std::optional<promql::Engine> engine_;
  std::unique_ptr<tsdb::Db> db_;
  std::unique_ptr<state::Store> store_;
  state::Contents contents_;
  std::unique_ptr<alertmanager::Alertmanager> alertmanager_;
  std::unique_ptr<scrape::Scraper> scraper_;
  std::unique_ptr<discovery::Discovery> discovery_;
  std::unique_ptr<remote::AlertmanagerSink> remote_alertmanagers_;
  std::unique_ptr<discovery::Discovery> alerting_discovery_;
  std::unique_ptr<ruler::Ruler> ruler_;

  std::optional<api::Notifications> notifications_;
  api::PrometheusBackend backend_;
  std::unique_ptr<api::PrometheusApi> api_;
  std::unique_ptr<api::AlertmanagerApi> alertmanager_api_;
  std::unique_ptr<api::InsightApi> insight_;
  std::unique_ptr<api::Router> router_;
  std::unique_ptr<net::WebGuard> guard_;
  std::unique_ptr<net::HttpServer> server_;

  base::Gauge* reload_ok_ = nullptr;
  base::Gauge* reload_time_ = nullptr;
  base::Gauge* ready_ = nullptr;
  bool reloading_ = false;
  std::vector<std::function<void(base::Status)>> reload_waiters_;
  uint64_t digest_ = 0;
  base::Timer watch_timer_;
  bool stopping_ = false;
  int exit_status_ = 0;
  base::Time start_time_{};
  base::Gate gate_;
};

}  // namespace tocsin::app
