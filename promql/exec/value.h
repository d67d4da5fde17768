#pragma once

// What a query gives: values, annotations and statistics.
//
// Threads: plain values.  Times are milliseconds since the Unix epoch.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/time.h"
#include "model/histogram.h"
#include "model/labels.h"
#include "model/sample.h"
#include "promql/parse/ast.h"

namespace tocsin::promql {

struct FloatPoint {
  model::Timestamp t = 0;
  double v = 0;
};

struct HistogramPoint {
  model::Timestamp t = 0;
  model::HistogramPtr h;  // never null
};

struct Scalar {
  model::Timestamp t = 0;
  double v = 0;
};

struct String {
  model::Timestamp t = 0;
  std::string text;
};

// One element of an instant vector: a float, or a histogram when `h` is set.
struct VectorSample {
  model::Labels labels;
  model::Timestamp t = 0;
  double v = 0;
  model::HistogramPtr h;
};
using Vector = std::vector<VectorSample>;

// One series of a matrix; both lists by time, no time in both.
struct MatrixSeries {
  model::Labels labels;
  std::vector<FloatPoint> floats;
  std::vector<HistogramPoint> histograms;
};
using Matrix = std::vector<MatrixSeries>;  // by labels

// An expression's value.  The instant vector's order is that of sort() and its like, else unspecified.
using Value = std::variant<Scalar, String, Vector, Matrix>;

// Samples of a query, by step (promql/exec/sample_counts.h).
struct SamplesOfSteps {
  model::Timestamp start = 0;
  int64_t step_ms = 1;
  std::vector<int64_t> looked_at;
  std::vector<int64_t> read;
};

struct QueryStats {
  // As Prometheus counts them, where the query's options ask for it; else both are what was decoded from
  // storage and computed by subqueries.
  int64_t samples_looked_at = 0;
  int64_t samples_read = 0;
  int64_t peak_samples = 0;   // held in memory at once
  int64_t series_selected = 0;
  std::optional<SamplesOfSteps> steps;  // where asked for, and the engine allows it
  base::Duration prepare_time{0};
  base::Duration eval_time{0};
};

namespace plan {
struct Explained;
}

struct QueryResult {
  Value value;
  // "PromQL warning: ... (1:5)" and "PromQL info: ... (1:5)": each once, in order of appearance.
  std::vector<std::string> warnings;
  std::vector<std::string> infos;
  QueryStats stats;
  // The plan with what it cost, where the query's options ask for it (promql/plan/explain.h).
  std::shared_ptr<const plan::Explained> explained;

  ValueType type() const;
};

// The first `limit` of a kind and, if there are more, "N more warning annotations omitted" (N more
// info annotations omitted), as the API shows them.  limit 0: all.
void LimitAnnotations(size_t limit, QueryResult* result);

}  // namespace tocsin::promql
