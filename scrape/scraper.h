#pragma once

// Scrapes targets on schedule into an Appendable: one pool a job, one loop a target.
//
//   scrape::Scraper scraper({.executor = &loop, .client = client, .storage = db, .registry = &metrics});
//   scraper.Reload(jobs, external_labels);
//   scraper.SetTargets("node", groups);             // whenever discovery has news
//   for (const scrape::TargetStatus& t : scraper.ActiveTargets()) ...
//   scraper.Stop([&] { ... });
//
// Threads: loop only.  Bodies are read and appended on Lane::kIntake, targets relabeled there too.
// Errors:  a target that cannot be scraped is a status, never an error here.
// Cost:    in the steady state a line of a body is compared with the same line of the last scrape and
//          its number read; labels are decoded for new series only.

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/metrics.h"
#include "model/exemplar.h"
#include "model/labels.h"
#include "model/target_group.h"
#include "net/http_client.h"
#include "scrape/config.h"
#include "scrape/target.h"
#include "storage/appender.h"

namespace tocsin::scrape {

using ScrapeConfigPtr = std::shared_ptr<const ScrapeConfig>;

// What a target said about its metric families, by family name.
using FamilyMetadata = std::map<std::string, model::Metadata, std::less<>>;

enum class Health { kUnknown, kUp, kDown };
std::string_view HealthName(Health health);  // unknown, up, down

struct TargetStatus {
  std::string job;  // the scrape pool
  TargetPtr target;
  Health health = Health::kUnknown;
  std::string last_error;  // empty when up
  base::Time last_scrape = base::kZeroTime;
  base::Duration last_duration{};
  std::shared_ptr<const FamilyMetadata> metadata;  // never null
};

struct DroppedTargets {
  std::string job;
  std::shared_ptr<const std::vector<DroppedTarget>> targets;  // at most keep_dropped_targets
  size_t count = 0;                                           // of all
};

struct ScraperOptions {
  base::Executor* executor = nullptr;
  net::HttpClient* client = nullptr;
  storage::Appendable* storage = nullptr;
  base::Registry* registry = nullptr;
  std::string user_agent = "Prometheus/3.14.0";
  std::string host;  // its name keeps replicas' slots apart
  bool align_timestamps = true;                     // --scrape.adjust-timestamps
  base::Duration timestamp_tolerance = std::chrono::milliseconds(2);
  bool append_metadata = false;                     // feature metadata-wal-records
  bool extra_scrape_metrics = false;                // feature extra-scrape-metrics: for all jobs
  bool start_zeros = false;                         // feature created-timestamp-zero-ingestion
  bool start_times = false;                         // feature st-storage
  bool type_and_unit_labels = false;                // feature type-and-unit-labels
};

class Scraper {
 public:
  explicit Scraper(const ScraperOptions& options);
  ~Scraper();
  Scraper(const Scraper&) = delete;
  Scraper& operator=(const Scraper&) = delete;

  // Takes over new settings: jobs that are gone stop (their series get stale markers after two
  // intervals), jobs whose settings changed go on with the new ones, others are left alone.
  void Reload(const std::vector<ScrapeConfigPtr>& jobs, const model::Labels& external_labels);

  // All target groups of a job, replacing those before.  Unknown jobs are ignored.
  void SetTargets(std::string_view job, std::vector<model::TargetGroup> groups);

  // By job in order of their names, then by URL.  `job` empty: all.
  std::vector<TargetStatus> ActiveTargets(std::string_view job = {}) const;
  std::vector<DroppedTargets> Dropped(std::string_view job = {}) const;
  std::vector<std::string> Jobs() const;  // sorted
  ScrapeConfigPtr ConfigOf(std::string_view job) const;  // null if unknown

  // Ends scraping without stale markers, as for a restart; `done` runs when nothing is in flight.
  void Stop(base::Task done);

 private:
  struct Rep;
  std::unique_ptr<Rep> rep_;
};

}  // namespace tocsin::scrape
