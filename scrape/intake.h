#pragma once

// Reads the body of one scrape of one target and appends it, with the target's own series (up,
// scrape_*) and stale markers for what is gone.
//
// Threads: lent to one worker at a time.

#include <memory>
#include <string>
#include <vector>

#include "base/executor.h"
#include "scrape/exposition.h"
#include "scrape/metrics.h"
#include "scrape/negotiate.h"
#include "scrape/scraper.h"
#include "scrape/series_cache.h"

namespace tocsin::scrape {

// Does not change while an Intake lives.
struct IntakeOptions {
  ScrapeConfigPtr config;
  TargetPtr target;
  base::Executor* executor = nullptr;  // Monotonic() only
  storage::Appendable* storage = nullptr;
  Metrics* metrics = nullptr;
  bool append_metadata = false;
  bool start_zeros = false;           // a zero is stored where a counter began
  bool start_times = false;           // samples are stored with when what they count began
  bool type_and_unit_labels = false;  // series get __type__ and __unit__ of their families
  bool extra_scrape_metrics = false;  // also where the job does not ask for them
};

struct Scraped {
  model::Timestamp t = 0;      // of samples without one
  base::Time now{};            // what is too far in the future
  base::Duration begin{};      // Monotonic() when the scrape began
  base::Status fetched;        // what went wrong before there was a body
  bool body_too_large = false;
  std::string body;
  std::string content_type;
  bool gzipped = false;        // still to be decoded
};

struct ScrapeReport {
  base::Status status;  // of the scrape, not of storing the report
  size_t scraped = 0;           // samples in the body
  size_t after_relabeling = 0;
  size_t series_added = 0;
  base::Duration duration{};
  std::shared_ptr<const FamilyMetadata> metadata;  // null: as before
};

class Intake {
 public:
  explicit Intake(IntakeOptions options);
  ~Intake();

  ScrapeReport Run(Scraped scraped);

  // Stale markers for everything, because the target is gone: series that go on elsewhere have newer
  // samples and refuse theirs.
  void MarkAllStale(model::Timestamp t);

  // Goes on where an Intake for a target of the same labels ended.  Where the settings make the same
  // series of the same lines its whole memory is taken over; else series that the next scrape does not
  // have get a stale marker then.
  void Continue(Intake* before);

  // Whether there is nothing that would need a stale marker.
  bool empty() const;

 private:
  void Inherit(Intake* before);
  void TakeOver(Intake* before);

  struct NewSeries;
  struct PendingExemplars;
  struct PendingHistogram;
  struct Start;
  struct Batch;

  base::Status Decode(Scraped* scraped);
  static void KeepBuffer(Scraped* scraped);
  base::Status Parse(const Scraped& scraped, Batch* batch);
  base::Status TakeSeries(const Entry& entry, const Scraped& scraped, Batch* batch);
  base::Result<SeriesCache::Index> Lookup(const Entry& entry, Batch* batch, bool* dropped, bool* repeated);
  size_t TakeRepeated(const Scraped& scraped, size_t at, bool read_gaps, Batch* batch);
  void SetGap(std::string_view text);
  std::string MetricName(SeriesCache::Index i) const;
  void Describe(LabelPairs* labels) const;
  void TakeStart(const Entry& entry, model::Timestamp t, SeriesCache::Index i, Batch* batch);
  void AppendStarts(storage::Appender* app, const Batch& batch);
  void TakeMetadata(const Entry& entry);
  void ForgetFamilies(bool flushed, bool forced, bool read_all);
  void ForgetSeriesWithoutSamples(Batch* batch);
  base::Status Append(storage::Appender* app, Batch* batch);
  void AppendExemplars(storage::Appender* app, Batch* batch);
  base::Status Reresolve(storage::Appender* app, SeriesCache::Index i);
  bool Count(storage::AppendOutcome outcome, Batch* batch);
  void MarkStale(storage::Appender* app, model::Timestamp t);
  void AppendReport(storage::Appender* app, const ScrapeReport& report, const Scraped& scraped, size_t bytes);
  std::vector<std::pair<std::string_view, double>> ReportValues(const ScrapeReport& report,
                                                                const Scraped& scraped, size_t bytes) const;
  void WarnOfDrops(const Batch& batch);

  const IntakeOptions options_;
  std::unique_ptr<SeriesCache> cache_;
  ExpositionFormat format_ = ExpositionFormat::kText;
  model::MetricType type_ = model::MetricType::kUnknown;  // of the family being read
  std::string unit_;                                      // that was told last
  std::vector<storage::SeriesRef> inherited_;
  std::vector<storage::SeriesRef> report_refs_;  // in order of ReportValues
  Families families_;
  bool families_changed_ = false;
  uint32_t families_read_ = 0;  // the last scrape that was kept and of which every comment was read
  size_t families_before_ = 0;  // their number after the last scrape in which old ones were looked for
  const Families::value_type* last_family_ = nullptr;  // whose metadata came last
  uint32_t number_ = 0;      // of the scrape
};

}  // namespace tocsin::scrape
