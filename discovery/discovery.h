#pragma once

// Keeps the target groups of every job up to date.  The same object serves scraping and the
// Alertmanagers that alerts are sent to, under different job names.
//
//   Discovery discovery({.executor = &loop, .fs = fs, .http = client, .registry = &registry, .name = "scrape"},
//                       [&](const std::string& job, const std::vector<TargetGroupPtr>& groups) {
//                         scrapes.SetTargets(job, groups);
//                       });
//   discovery.Apply({{"node", config}});
//   discovery.Stop();
//
// Updates: after Apply() each job's groups arrive once, as soon as all of its sources have been asked
// (on the next turn of the loop if there are only static ones); after that whenever they changed,
// at most every `update_interval` a job.  An update is always all groups of the job.  A source that
// cannot be read keeps what it gave before.
//
// Threads: loop only.  Files are read on the background lane.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/file_system.h"
#include "base/metrics.h"
#include "discovery/config.h"
#include "discovery/target_group.h"
#include "net/http_client.h"

namespace tocsin::discovery {

using TargetGroups = std::vector<TargetGroupPtr>;

// One source of groups of one job.
class Discoverer {
 public:
  virtual ~Discoverer() = default;  // stops; its callback is not called again
  // Calls `update` with all groups of this source: once when it has first been asked (an empty list
  // if it could not be read), then whenever they changed.  Never before Start() has returned.
  virtual void Start(std::function<void(TargetGroups)> update) = 0;
};

struct DiscoveryOptions {
  base::Executor* executor = nullptr;
  base::FileSystem* fs = nullptr;
  net::HttpClient* http = nullptr;       // null: http_sd finds nothing
  base::Registry* registry = nullptr;    // null: not counted
  std::string name = "scrape";           // label `name` of the metrics
  base::Duration update_interval = std::chrono::seconds(5);
  // Told each time a source (a file, a pattern, a URL) cannot be read, with the reason.  Null: an error in the log.
  std::function<void(const std::string& source, const std::string& error)> on_failure;
};

class Discovery {
 public:
  using OnUpdate = std::function<void(const std::string& job, const TargetGroups& groups)>;

  Discovery(DiscoveryOptions options, OnUpdate on_update);
  ~Discovery();
  Discovery(const Discovery&) = delete;
  Discovery& operator=(const Discovery&) = delete;

  // Sets the jobs.  Jobs whose configuration is the same keep their sources and their groups (and get
  // an update on the next turn); jobs that are gone get no further update.
  void Apply(const std::map<std::string, DiscoveryConfig>& jobs);
  // No update comes after this.
  void Stop();

 private:
  struct Rep;
  std::unique_ptr<Rep> rep_;
};

std::unique_ptr<Discoverer> MakeFileDiscoverer(const DiscoveryOptions& options, const FileSdConfig& config);
std::unique_ptr<Discoverer> MakeHttpDiscoverer(const DiscoveryOptions& options, const HttpSdConfig& config);

}  // namespace tocsin::discovery
