#pragma once

// Native histograms: exponential buckets (schema -4..8) or custom bounds (schema -53).  One form for
// integer and float histograms: bucket counts are absolute doubles; `integer` says that they came
// as integers and are stored so.
// Source: Prometheus's model/histogram; spans and deltas as in its protobuf.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/sample.h"

namespace tocsin::model {

inline constexpr int32_t kCustomBucketsSchema = -53;

struct Span {
  int32_t offset = 0;   // gap to the span before (the first: index of its first bucket)
  uint32_t length = 0;  // buckets in it
  friend bool operator==(const Span&, const Span&) = default;
};

enum class CounterReset : uint8_t { kUnknown, kReset, kNotReset, kGauge };

struct Histogram {
  CounterReset counter_reset = CounterReset::kUnknown;
  bool integer = false;
  int32_t schema = 0;
  double zero_threshold = 0;
  double zero_count = 0;
  double count = 0;
  double sum = 0;
  std::vector<Span> positive_spans;
  std::vector<Span> negative_spans;
  std::vector<double> positive_buckets;  // absolute counts
  std::vector<double> negative_buckets;
  std::vector<double> custom_values;     // upper bounds, +Inf implied

  bool uses_custom_buckets() const { return schema == kCustomBucketsSchema; }
  bool IsStale() const { return model::IsStale(sum); }
  // kInvalidArgument: spans and buckets disagree, negative counts, bounds not ascending...
  base::Status Validate() const;
  std::string ToString() const;  // {count:3, sum:4.5, [-1,1]:1, (1,2]:2}
  // Equal bit for bit, with empty buckets as they stand.
  friend bool operator==(const Histogram& a, const Histogram& b);
};

// The upper bound of bucket `index` on the positive side; the lower one is that of index - 1.  Bit for
// bit Prometheus's.  Custom buckets: below 0 -Inf, past the last bound +Inf.
double BucketBound(int32_t schema, int32_t index, const std::vector<double>& custom_values);

// One bucket with its bounds, as Prometheus prints it.
struct Bucket {
  double lower = 0;
  double upper = 0;
  bool lower_inclusive = false;
  bool upper_inclusive = false;
  double count = 0;
};
// All buckets from the lowest to the highest: negative, zero (if its count is not 0), positive.
// REQUIRES: Validate() is OK.
std::vector<Bucket> AllBuckets(const Histogram& h);

using HistogramPtr = std::shared_ptr<const Histogram>;

}  // namespace tocsin::model
