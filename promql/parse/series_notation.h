#pragma once

// The series notation of test scripts and of `test rules`: a metric and its values step by step.
//
//   http_requests_total{job="api"} 0+10x3 _ stale {{schema:1 sum:3 count:2 buckets:[1 1]}}
//
// stands for 0 10 20 30, nothing, a staleness marker and a native histogram.  The whole language:
// Prometheus's documentation of unit tests for rules ("series").
//
// Errors: kInvalidArgument, "line:column: parse error: ..." with Prometheus's words.
// Bounds: 1 MB of text, kMaxSeriesValues values for a line.

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/histogram.h"
#include "model/labels.h"

namespace tocsin::promql {

inline constexpr size_t kMaxSeriesValues = 1'000'000;

struct SequenceValue {
  double value = 0;                 // a staleness marker is model::StaleMarker()
  bool omitted = false;             // no sample at this step
  model::HistogramPtr histogram;    // if not null, instead of `value`
  bool counter_reset_given = false; // the histogram names its counter_reset_hint
};

struct SeriesDescription {
  model::Labels labels;
  std::vector<SequenceValue> values;
};

// Only the first `wanted` values are made, if that is not 0: tests look at a few minutes of series that
// are written as years.
base::Result<SeriesDescription> ParseSeriesDescription(std::string_view line, size_t wanted = 0);

// A metric with labels alone: up{job="a"}, {__name__="up"}.
base::Result<model::Labels> ParseMetric(std::string_view text);

// The items of a start-timestamp line (`name@st -1m 0s _ 15s+5sx3`): offsets to the samples' times.
struct StartOffset {
  int64_t ms = 0;
  bool omitted = false;
};
base::Result<std::vector<StartOffset>> ParseStartOffsets(std::string_view items);

}  // namespace tocsin::promql
