#pragma once

// What an Intake has read of one body and not yet appended.
// Threads: one at a time.

#include <cstdint>
#include <utility>
#include <vector>

#include "scrape/intake.h"
#include "scrape/series_cache.h"
#include "storage/appender.h"

namespace tocsin::scrape {

// Samples further ahead of the clock are refused.
inline constexpr int64_t kMaxAheadMs = 10 * 60 * 1000;

struct Intake::NewSeries {
  SeriesCache::Index series;
  model::Labels labels;
};

struct Intake::PendingHistogram {
  SeriesCache::Index series;
  model::Timestamp t;
  bool track;
  model::HistogramPtr histogram;
  model::Timestamp start;  // 0: not known, or not to be stored
};

// What a counter or histogram was when it began.
struct Intake::Start {
  SeriesCache::Index series;
  model::Timestamp t;
  model::HistogramPtr histogram;  // null: a float
};

struct Intake::PendingExemplars {
  SeriesCache::Index series;
  std::vector<model::Exemplar> exemplars;
};

struct Intake::Batch {
  std::vector<storage::FloatSample> samples;
  std::vector<model::Timestamp> start_times;  // of the samples, up to the last that has one to be stored
  std::vector<SeriesCache::Index> series;  // of each sample
  std::vector<uint8_t> track;              // of each sample: whether it counts for staleness
  std::vector<storage::AppendOutcome> outcomes;
  std::vector<PendingHistogram> histograms;
  std::vector<PendingExemplars> exemplars;
  std::vector<Start> starts;
  std::vector<NewSeries> added;
  std::vector<SeriesCache::Index> refused;  // a sample of theirs was not taken
  std::vector<std::pair<SeriesCache::Index, model::Metadata>> metadata;

  size_t scraped = 0;
  size_t after_relabeling = 0;
  size_t series_added = 0;
  size_t accepted = 0;            // against sample_limit
  size_t added_within_limit = 0;  // new series before it was exceeded
  bool all_tracked = true;        // of `track`
  bool over_sample_limit = false;
  bool over_bucket_limit = false;
  bool read_families = false;  // every comment, and not only those that are new
  size_t duplicates = 0;
  size_t out_of_order = 0;
  size_t out_of_bounds = 0;
  size_t exemplars_out_of_order = 0;

  // Empty again, with the memory of what is large and not huge.
  void Clear() {
    constexpr size_t kMostKept = 20000;
    Batch empty;
    if (samples.capacity() <= kMostKept) {
      samples.clear();
      series.clear();
      track.clear();
      outcomes.clear();
      empty.samples.swap(samples);
      empty.series.swap(series);
      empty.track.swap(track);
      empty.outcomes.swap(outcomes);
    }
    *this = std::move(empty);
  }
};

}  // namespace tocsin::scrape
