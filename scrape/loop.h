#pragma once

// Scrapes one target at its slot in each interval: fetch on the loop, the body on a worker, one at a
// time.  A slot that comes while the scrape before is still being stored is skipped and counted.
//
// Threads: loop only.

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/executor.h"
#include "net/http_client.h"
#include "scrape/intake.h"
#include "scrape/returns.h"
#include "scrape/scraper.h"

namespace tocsin::scrape {

// Counts work that must end before a Scraper may say that it has stopped.
class InFlight {
 public:
  void Begin() { ++count_; }
  void End();
  void WhenNone(base::Task done);

 private:
  int count_ = 0;
  base::Task done_;
};

// What all loops of a Scraper share; outlives them.
struct Env {
  ScraperOptions options;
  std::unique_ptr<Metrics> metrics;
  std::unique_ptr<Returns> returns;
  std::shared_ptr<InFlight> in_flight = std::make_shared<InFlight>();
  uint64_t seed = 0;
};

// An Intake that a worker may still have: while *lent it must not be touched.
struct LentIntake {
  std::shared_ptr<Intake> intake;
  std::shared_ptr<const bool> lent;
};

class Loop {
 public:
  // `intake` is what an earlier loop of the same target left behind; may be null.
  Loop(Env* env, ScrapeConfigPtr config, TargetPtr target, std::shared_ptr<Intake> intake);
  ~Loop();

  void Start();
  // Goes on with other settings; a scrape under way ends with the old ones.
  void Reconfigure(ScrapeConfigPtr config, TargetPtr target);
  // While set, each scrape fails with this text without asking the target.
  void SetForcedError(std::string error) { forced_error_ = std::move(error); }

  const Target& target() const { return *target_; }
  TargetStatus Status() const;

  // What is left when the loop ends.
  LentIntake TakeIntake();
  // When the next slot would be.
  base::Time NextSlot() const;

 private:
  std::shared_ptr<Intake> MakeIntake() const;
  void Schedule(base::Duration wait);
  void OnSlot();
  base::Time Align(base::Time now);
  void Scrape(base::Time at);
  net::FetchRequest Request() const;
  void OnResponse(std::shared_ptr<Scraped> scraped, base::Result<net::FetchResponse> response);
  void Store(std::shared_ptr<Scraped> scraped);
  void Finish(const ScrapeReport& report, base::Time at);
  void LogFailure(const std::string& error) const;
  // Counts what is remembered of the target's families, and no longer what was.
  void SetMetadata(std::shared_ptr<const FamilyMetadata> metadata);

  Env* const env_;
  ScrapeConfigPtr config_;
  TargetPtr target_;
  std::string accept_;
  net::HttpConfigPtr http_;
  std::shared_ptr<Intake> intake_;  // with a worker while *lent_
  const std::shared_ptr<bool> lent_ = std::make_shared<bool>(false);
  std::string forced_error_;
  std::optional<std::pair<ScrapeConfigPtr, TargetPtr>> next_settings_;

  base::Duration next_slot_{};  // Monotonic()
  base::Time aligned_{};        // a slot by the wall clock; others are whole intervals away
  std::optional<base::Duration> last_begin_;
  bool busy_ = false;     // fetching or storing

  Health health_ = Health::kUnknown;
  std::string last_error_;
  base::Time last_scrape_ = base::kZeroTime;
  base::Duration last_duration_{};
  std::shared_ptr<const FamilyMetadata> metadata_;
  base::Summary* interval_length_ = nullptr;
  base::Histogram* interval_length_histogram_ = nullptr;

  base::Gate gate_;
  base::Timer timer_;
  net::Call call_;
};

}  // namespace tocsin::scrape
