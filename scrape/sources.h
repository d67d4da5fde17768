#pragma once

// The reader of a body by its format, and what is done to native histograms on the way.

#include <memory>
#include <string_view>

#include "model/histogram.h"
#include "scrape/exposition.h"
#include "scrape/negotiate.h"

namespace tocsin::scrape {

struct SourceOptions {
  bool native_histograms = false;  // else only their classic part is read
  bool always_classic = false;     // the classic part too, where both are there
  bool starts = false;             // when counters began: what OpenMetrics calls _created is no series then
  bool convert_to_nhcb = false;    // classic histograms become native ones with custom bounds
};

// `body` must outlive the source.
std::unique_ptr<EntrySource> MakeSource(BodyFormat format, std::string_view body,
                                        const SourceOptions& options);

// Halves the resolution until a histogram has at most `bucket_limit` buckets (0: no limit) and its
// buckets grow by at least `min_factor` (0: as they are).  Null if that cannot be done.
model::HistogramPtr LimitBuckets(const model::HistogramPtr& histogram, uint64_t bucket_limit,
                                 double min_factor);

}  // namespace tocsin::scrape
