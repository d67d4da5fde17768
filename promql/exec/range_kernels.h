#pragma once

// Range functions over one series: a kernel fills the row of a block, window by window.
//
// Threads: free functions; the arguments' annotations and block are changed.

#include "promql/exec/annotations.h"
#include "promql/exec/block.h"
#include "promql/exec/partial_sums.h"
#include "promql/exec/range_row.h"
#include "promql/exec/time_map.h"
#include "promql/exec/window_table.h"
#include "promql/plan/functions.h"

namespace tocsin::promql::exec {

enum class Boundary { kPlain, kAnchored, kSmoothed };

// What all rows of one call share.
struct RangeCall {
  plan::Function function{};
  const Grid* grid = nullptr;
  StepSpan span;
  TimeMap map;                 // ends of the windows
  int64_t range_ms = 0;
  int64_t lookback_ms = 0;
  Boundary boundary = Boundary::kPlain;
  bool start_times = false;    // whether they are looked at
  ByteRange arg_pos;           // of the range vector
  ByteRange args_pos;          // of all arguments
  ByteRange first_arg_pos;
  const double* parameter[2] = {nullptr, nullptr};  // one value a step of the span
  Annotations* annotations = nullptr;

  model::Timestamp window_end(size_t step) const { return map.time(span.first + step); }
  model::Timestamp eval_time(size_t step) const { return grid->time(span.first + step); }
};

// What a kernel may keep between rows, so that nothing is allocated in the steady state.
struct KernelScratch {
  std::vector<double> values;
  std::vector<double> differences;
  PartialSums sums;
  WindowTable windows;
  std::vector<uint32_t> indices;
};

// REQUIRES: the row's samples lie in the windows of the span (and the lookback around them).
// Errors: kFailedPrecondition: a parameter out of bounds.
base::Status RunRangeKernel(const RangeCall& call, model::LabelsView labels, const RangeRow& in,
                            KernelScratch* scratch, size_t row, Block* out);

// One window of a series that has histograms or needs samples from around it.
struct MixedWindow {
  const model::Timestamp* times;
  const double* values;
  const model::Timestamp* starts;  // null: none
  size_t count;
  const model::Timestamp* histogram_times;
  const model::HistogramPtr* histograms;
  const model::Timestamp* histogram_starts;
  size_t histogram_count;
};
struct WindowResult {
  bool present = false;
  double value = 0;
  model::HistogramPtr histogram;
};
// All functions, by the book: what the fast kernels are held against.
base::Result<WindowResult> EvalMixedWindow(const RangeCall& call, model::LabelsView labels,
                                           const MixedWindow& w, KernelScratch* scratch,
                                           size_t step);

// Window functions of floats.  REQUIRES: n > 0.
double AverageOf(const double* v, size_t n);
double SumOf(const double* v, size_t n);
double VarianceOf(const double* v, size_t n);
// Of unsorted values, which are changed.
double QuantileOf(double q, std::vector<double>* values);
double MedianDeviationOf(const double* v, size_t n, std::vector<double>* scratch);
struct Line {
  double slope = 0;
  double intercept = 0;
};
Line LinearRegression(const model::Timestamp* t, const double* v, size_t n,
                      model::Timestamp intercept_time);
double SmoothExponentially(const double* v, size_t n, double smoothing, double trend);
// rate(), increase() and delta() from the difference over [first_t, last_t].
// REQUIRES: count > 1.
inline double ExtrapolationFactor(const RangeCall& call, model::Timestamp end,
                                  model::Timestamp first_t, model::Timestamp last_t, size_t count,
                                  double first_value, double difference, bool counter) {
  const model::Timestamp begin = end - call.range_ms;
  double to_start = static_cast<double>(first_t - begin) / 1000;
  double to_end = static_cast<double>(end - last_t) / 1000;
  const double sampled = static_cast<double>(last_t - first_t) / 1000;
  const double gap = sampled / static_cast<double>(count - 1);
  const double threshold = gap * 1.1;
  if (to_start >= threshold) to_start = gap / 2;
  if (counter && difference > 0 && first_value >= 0) {
    // A counter does not go below zero: the series began at its zero point at the latest.
    const double to_zero = sampled * (first_value / difference);
    if (to_zero < to_start) to_start = to_zero;
  }
  if (to_end >= threshold) to_end = gap / 2;
  double factor = 1;
  if (sampled != 0) factor = (sampled + to_start + to_end) / sampled;
  if (call.function == plan::Function::kRate) {
    factor /= static_cast<double>(call.range_ms) / 1000;
  }
  return factor;
}

}  // namespace tocsin::promql::exec
