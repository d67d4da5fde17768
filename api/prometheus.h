#pragma once

// Prometheus's HTTP API: /api/v1, federation, /metrics and the management endpoints.
//
//   api::PrometheusBackend backend{.executor = &loop, .registry = &metrics, .engine = &engine, ...};
//   api::PrometheusApi prometheus(options, &backend);
//   prometheus.Register(&router);
//   ...
//   backend.queryable = db;              // when storage has opened: until then answers are 503
//
// Threads: loop only.  Queries, lists of series and what else costs time run on Lane::kQueries, remote
//          write on Lane::kIntake; a query is cancelled when its client goes away.
// Errors:  the envelope {"status":"error","errorType":...,"error":...} with Prometheus's status codes.

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/http/router.h"
#include "api/notifications.h"
#include "base/executor.h"
#include "base/metrics.h"
#include "base/result.h"
#include "promql/engine.h"
#include "ruler/query_observer.h"
#include "ruler/status.h"
#include "scrape/scraper.h"
#include "storage/appender.h"
#include "storage/queryable.h"
#include "tsdb/db.h"

namespace tocsin::base {
class FileSystem;
}

namespace tocsin::api {

// What /api/v1/status/runtimeinfo shows.
struct RuntimeInfo {
  base::Time start_time{};
  std::string working_directory;
  std::string host;
  bool reload_ok = true;
  base::Time last_config_time{};
  uint64_t wal_corruptions = 0;
  int threads = 0;
  std::string retention;  // "15d", "15d or 1GiB"
};

// The database beyond reading and writing.  Called on workers.
struct TsdbAccess {
  std::function<tsdb::HeadStats(size_t top)> stats;
  std::function<std::vector<tsdb::BlockInfo>()> blocks;
  std::function<base::Status(model::Timestamp mint, model::Timestamp maxt,
                             std::span<const model::Matchers> any_of)>
      delete_series;
  std::function<base::Status()> clean_tombstones;
  std::function<base::Result<std::string>(tsdb::Db::SnapshotHead)> snapshot;
};

// All of them of one database, which outlives the access.
inline TsdbAccess AccessTo(tsdb::Db* db) {
  return {
      .stats = [db](size_t top) { return db->Stats(top); },
      .blocks = [db] { return db->Blocks(); },
      .delete_series = [db](model::Timestamp mint, model::Timestamp maxt,
                            std::span<const model::Matchers> any_of) {
        return db->DeleteSeries(mint, maxt, any_of);
      },
      .clean_tombstones = [db] { return db->CleanTombstones(); },
      .snapshot = [db](tsdb::Db::SnapshotHead head) { return db->Snapshot(head); },
  };
}

// Whether there is each feature of an area: features["tsdb"]["exemplar_storage"].
using Features = std::map<std::string, std::map<std::string, bool>>;

// Where the answers come from.  Filled by app/, which may change it on the loop at any time.  The
// functions are called on the loop; an empty one stands for "there is none of this".
struct PrometheusBackend {
  base::Executor* executor = nullptr;
  base::Registry* registry = nullptr;
  const promql::Engine* engine = nullptr;

  // Null until the storage is open, and again when it is about to close.
  storage::Queryable* queryable = nullptr;
  storage::Appendable* appendable = nullptr;
  TsdbAccess tsdb;
  std::shared_ptr<const tsdb::Progress> progress;

  bool stopping = false;
  std::function<std::string()> config_yaml;                       // the configuration in force
  std::function<std::map<std::string, std::string>()> flags;
  std::function<RuntimeInfo()> runtime_info;
  std::function<model::Labels()> external_labels;
  Notifications* notifications = nullptr;
  std::function<Features()> features;  // beside those of the API and the language

  std::function<std::vector<scrape::TargetStatus>(std::string_view job)> active_targets;  // "": all
  std::function<std::vector<scrape::DroppedTargets>(std::string_view job)> dropped_targets;
  std::function<std::vector<std::string>()> scrape_jobs;
  std::function<scrape::ScrapeConfigPtr(std::string_view job)> scrape_config;
  std::function<std::string(const scrape::ScrapeConfig&)> scrape_config_yaml;

  std::function<std::vector<std::shared_ptr<const ruler::GroupStatus>>()> rule_groups;
  std::function<std::vector<std::string>()> alertmanagers;  // URLs that alerts are sent to
  std::function<std::vector<std::string>()> dropped_alertmanagers;

  // Reads all configuration again; calls back on the loop.
  std::function<void(std::function<void(base::Status)> done)> reload;
  std::function<void()> quit;
};

struct PrometheusApiOptions {
  bool enable_lifecycle = false;
  bool enable_admin_api = false;
  bool remote_write_receiver = false;
  int max_concurrency = 20;           // of queries at once; others wait
  std::string external_url;           // "http://host:9090/prefix"
  std::string listen_address;         // ":9090"
  std::string cors_origin = ".*";     // an anchored regular expression
  base::FileSystem* files = nullptr;  // of the query log; null: there is none
  uint64_t seed = 0;                  // of hashes; 0: random, so that nobody can make them collide
};

class ActiveQueries;

class PrometheusApi {
 public:
  // `backend` outlives the API.  REQUIRES: options.cors_origin compiles.
  PrometheusApi(PrometheusApiOptions options, const PrometheusBackend* backend);
  ~PrometheusApi();
  PrometheusApi(const PrometheusApi&) = delete;
  PrometheusApi& operator=(const PrometheusApi&) = delete;

  // The routes.  The API outlives the router's use of them.
  void Register(Router* router);

  // Where running queries are noted; null: nowhere.  Loop only, as all here.
  void SetActiveQueries(std::shared_ptr<ActiveQueries> active);
  // global.query_log_file of the configuration in force; the same path opens the file anew.
  void SetQueryLog(std::string path);

  // Is told of rules' queries, for the query log and the metrics; lives as long as this.
  ruler::QueryObserver* rule_queries();

  // Queries that wait or run are cancelled; `done` when no worker uses the backend any more.
  void Stop(base::Task done);

  class Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace tocsin::api
