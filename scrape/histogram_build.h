#pragma once

// Classic histograms gathered into native ones with custom bounds, and buckets made compact.
// Source: Prometheus 3.14, util/convertnhcb and model/histogram.

#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/histogram.h"

namespace tocsin::scrape {

// Drops empty buckets at the ends of spans, and runs of more than `max_empty` inside; joins spans
// that are at most that far apart.
void CompactBuckets(size_t max_empty, std::vector<model::Span>* spans, std::vector<double>* buckets);

// Collects the series of one classic histogram, in any order.
class ClassicHistogram {
 public:
  void SetBucket(double upper_bound, double cumulative_count);
  void SetCount(double count);
  void SetSum(double sum) { sum_ = sum; }

  // Schema -53; integer if all counts are.
  // Errors: kInvalidArgument for counts that are negative, do not ascend or do not fit the total.
  base::Result<model::Histogram> Convert() const;

 private:
  struct Bucket {
    double upper_bound;
    double count;
  };
  void Fail(std::string message);

  std::vector<Bucket> buckets_;  // by bound
  double count_ = 0;
  double sum_ = 0;
  bool has_count_ = false;
  std::string problem_;
};

// name{a="b"} with only \\, \" and \n escaped, as ParseSeries() reads it.  `pairs` without the name.
void AppendSeriesText(std::string_view name,
                      const std::vector<std::pair<std::string, std::string>>& pairs, std::string* out);

}  // namespace tocsin::scrape
