#pragma once

// Native histograms in the series notation: {{schema:1 sum:3 buckets:[1 2]}}.  Internal to
// promql/parse.

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "base/result.h"
#include "model/histogram.h"
#include "promql/parse/lexer.h"

namespace tocsin::promql {

// What stands between {{ and }}.
struct HistogramFields {
  int64_t schema = 0;
  double sum = 0;
  double count = 0;
  double zero_count = 0;
  double zero_threshold = 0;
  std::vector<double> custom_values;
  std::vector<double> buckets;
  int64_t offset = 0;
  std::vector<double> negative_buckets;
  int64_t negative_offset = 0;
  std::optional<model::CounterReset> counter_reset;
  std::set<TokenType> seen;
};

model::HistogramPtr MakeHistogram(const HistogramFields& fields);

// a + sign * b, in the resolution of `a`.  Errors: `b` is coarser, or one has custom buckets.
base::Result<model::Histogram> AddHistograms(const model::Histogram& a, const model::Histogram& b,
                                             double sign);

}  // namespace tocsin::promql
