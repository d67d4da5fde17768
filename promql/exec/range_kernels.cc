// 1. Windows of plain floats: one template walks the windows with two indices, each sample enters and
//    leaves once; the function looks at [lo, hi).
// 2. rate(), increase(): the positions of counter resets are found in one pass over the series, a
//    window then costs its two ends and the resets in it.
// 3. Anything with histograms, or with anchored or smoothed bounds, goes through EvalMixedWindow.

#include "promql/exec/range_kernels.h"

#include <algorithm>
#include <cmath>

#include "promql/exec/partial_sums.h"

namespace tocsin::promql::exec {
namespace {

using plan::Function;

// Calls fn(step, lo, hi) for each window that is not empty.
template <class Fn>
inline void ForWindows(const RangeCall& call, const model::Timestamp* t, size_t n, Fn&& fn) {
  size_t lo = 0;
  size_t hi = 0;
  for (size_t s = 0; s < call.span.count; ++s) {
    const model::Timestamp end = call.window_end(s);
    const model::Timestamp begin = end - call.range_ms;
    while (hi < n && t[hi] <= end) ++hi;
    while (lo < hi && t[lo] <= begin) ++lo;
    if (hi > lo) fn(s, lo, hi);
  }
}

// fn(lo, hi) gives the value of a window.
template <class Fn>
inline void Fill(const RangeCall& call, const RangeRow& in, size_t row, Block* out, Fn&& fn) {
  double* values = out->values(row);
  uint8_t* cells = out->cells(row);
  ForWindows(call, in.times, in.count, [&](size_t s, size_t lo, size_t hi) {
    values[s] = fn(s, lo, hi);
    cells[s] = kFloat;
  });
}

// Positions i where v[i] < v[i - 1].
void FindResets(const double* v, size_t n, std::vector<uint32_t>* out) {
  out->clear();
  size_t i = 1;
  for (; i + 8 <= n; i += 8) {
    unsigned any = 0;
    for (size_t k = 0; k < 8; ++k) any |= static_cast<unsigned>(v[i + k] < v[i + k - 1]);
    if (any == 0) continue;
    for (size_t k = 0; k < 8; ++k) {
      if (v[i + k] < v[i + k - 1]) out->push_back(static_cast<uint32_t>(i + k));
    }
  }
  for (; i < n; ++i) {
    if (v[i] < v[i - 1]) out->push_back(static_cast<uint32_t>(i));
  }
}

void Rate(const RangeCall& call, const RangeRow& in, KernelScratch* scratch, size_t row,
          Block* out) {
  const bool counter = call.function != Function::kDelta;
  const double* v = in.values;
  std::vector<uint32_t>& resets = scratch->indices;
  resets.clear();
  if (counter) FindResets(v, in.count, &resets);
  double* values = out->values(row);
  uint8_t* cells = out->cells(row);
  size_t r = 0;
  ForWindows(call, in.times, in.count, [&](size_t s, size_t lo, size_t hi) {
    if (hi - lo < 2) return;
    double difference = v[hi - 1] - v[lo];
    while (r < resets.size() && resets[r] <= lo) ++r;
    for (size_t k = r; k < resets.size() && resets[k] < hi; ++k) difference += v[resets[k] - 1];
    values[s] = difference * ExtrapolationFactor(call, call.window_end(s), in.times[lo],
                                                 in.times[hi - 1], hi - lo, v[lo], difference,
                                                 counter);
    cells[s] = kFloat;
  });
}

void InstantRate(const RangeCall& call, const RangeRow& in, size_t row, Block* out) {
  const bool rate = call.function == Function::kIrate;
  double* values = out->values(row);
  uint8_t* cells = out->cells(row);
  ForWindows(call, in.times, in.count, [&](size_t s, size_t lo, size_t hi) {
    if (hi - lo < 2) return;
    const double last = in.values[hi - 1];
    const double before = in.values[hi - 2];
    double result = rate && last < before ? last : last - before;
    if (rate) result /= static_cast<double>(in.times[hi - 1] - in.times[hi - 2]) / 1000;
    values[s] = result;
    cells[s] = kFloat;
  });
}

// Windows that overlap much share their extremes: a monotonic queue of candidates, each entered and
// left once.  NaN loses against any number, as in Prometheus; of equal values max_over_time() and
// min_over_time() keep the first.
template <class Better>
void Extreme(const RangeCall& call, const RangeRow& in, KernelScratch* scratch, size_t row,
             Block* out, Better better) {
  std::vector<uint32_t>& queue = scratch->indices;
  queue.clear();
  size_t front = 0;
  size_t entered = 0;
  double* values = out->values(row);
  uint8_t* cells = out->cells(row);
  const double* v = in.values;
  ForWindows(call, in.times, in.count, [&](size_t s, size_t lo, size_t hi) {
    for (; entered < hi; ++entered) {
      while (queue.size() > front && better(v[entered], v[queue.back()])) queue.pop_back();
      queue.push_back(static_cast<uint32_t>(entered));
    }
    while (queue[front] < lo) ++front;
    values[s] = v[queue[front]];
    cells[s] = kFloat;
  });
}

// Of long windows that overlap, from partial sums; where these overflow, and else, directly.
template <class Finish>
void FillSums(const RangeCall& call, const RangeRow& in, KernelScratch* scratch, size_t row,
              Block* out, double (*direct)(const double*, size_t), Finish finish) {
  const double* v = in.values;
  const bool overlap = call.map.stride < call.range_ms && call.span.count > 2;
  scratch->sums.Reset(v, in.count);
  Fill(call, in, row, out, [&](size_t, size_t lo, size_t hi) {
    if (overlap && hi - lo >= PartialSums::kWorthwhile) {
      const PartialSums::Sum s = scratch->sums.Of(lo, hi);
      if (std::isfinite(s.sum)) return finish(s, hi - lo);
    }
    return direct(v + lo, hi - lo);
  });
}

template <class Fn>
void FillRegression(const RangeCall& call, const RangeRow& in, size_t row, Block* out, Fn fn) {
  double* values = out->values(row);
  uint8_t* cells = out->cells(row);
  ForWindows(call, in.times, in.count, [&](size_t s, size_t lo, size_t hi) {
    if (hi - lo < 2) return;
    values[s] = fn(s, lo, hi);
    cells[s] = kFloat;
  });
}

base::Status RunMixed(const RangeCall& call, model::LabelsView labels, const RangeRow& in,
                      KernelScratch* scratch, size_t row, Block* out) {
  const int64_t before = call.boundary == Boundary::kPlain ? 0 : call.lookback_ms;
  const int64_t after = call.boundary == Boundary::kSmoothed ? call.lookback_ms : 0;
  size_t flo = 0;
  size_t fhi = 0;
  size_t hlo = 0;
  size_t hhi = 0;
  for (size_t s = 0; s < call.span.count; ++s) {
    const model::Timestamp end = call.window_end(s) + after;
    const model::Timestamp begin = call.window_end(s) - call.range_ms - before;
    while (fhi < in.count && in.times[fhi] <= end) ++fhi;
    while (flo < fhi && in.times[flo] <= begin) ++flo;
    while (hhi < in.histogram_count && in.histogram_times[hhi] <= end) ++hhi;
    while (hlo < hhi && in.histogram_times[hlo] <= begin) ++hlo;
    if (flo == fhi && hlo == hhi) continue;
    const bool starts = call.start_times;
    const MixedWindow w{in.times + flo,
                        in.values + flo,
                        starts && in.starts ? in.starts + flo : nullptr,
                        fhi - flo,
                        in.histogram_times + hlo,
                        in.histograms + hlo,
                        starts && in.histogram_starts ? in.histogram_starts + hlo : nullptr,
                        hhi - hlo};
    ASSIGN_OR_RETURN(WindowResult result, EvalMixedWindow(call, labels, w, scratch, s));
    if (!result.present) continue;
    if (result.histogram) {
      out->SetHistogram(row, s, std::move(result.histogram));
    } else {
      out->SetFloat(row, s, result.value);
    }
  }
  return {};
}

bool Better(double a, double b) { return a > b || std::isnan(b); }
bool Worse(double a, double b) { return a < b || std::isnan(b); }

}  // namespace

base::Status RunRangeKernel(const RangeCall& call, model::LabelsView labels, const RangeRow& in,
                            KernelScratch* scratch, size_t row, Block* out) {
  if (in.count == 0 && in.histogram_count == 0) return {};
  const bool starts = call.start_times && in.starts != nullptr;
  if (in.histogram_count > 0 || call.boundary != Boundary::kPlain || starts) {
    return RunMixed(call, labels, in, scratch, row, out);
  }
  const double* v = in.values;
  const model::Timestamp* t = in.times;
  switch (call.function) {
    case Function::kRate:
    case Function::kIncrease:
    case Function::kDelta: Rate(call, in, scratch, row, out); return {};
    case Function::kIrate:
    case Function::kIdelta: InstantRate(call, in, row, out); return {};
    case Function::kSumOverTime:
      FillSums(call, in, scratch, row, out, SumOf,
               [](PartialSums::Sum s, size_t) { return s.sum + s.c; });
      return {};
    case Function::kAvgOverTime:
      FillSums(call, in, scratch, row, out, AverageOf, [](PartialSums::Sum s, size_t count) {
        const auto n = static_cast<double>(count);
        return s.sum / n + s.c / n;
      });
      return {};
    case Function::kCountOverTime:
      Fill(call, in, row, out,
           [&](size_t, size_t lo, size_t hi) { return static_cast<double>(hi - lo); });
      return {};
    case Function::kPresentOverTime:
    case Function::kAbsentOverTime:
      Fill(call, in, row, out, [](size_t, size_t, size_t) { return 1.0; });
      return {};
    case Function::kFirstOverTime:
      Fill(call, in, row, out, [&](size_t, size_t lo, size_t) { return v[lo]; });
      return {};
    case Function::kLastOverTime:
      Fill(call, in, row, out, [&](size_t, size_t, size_t hi) { return v[hi - 1]; });
      return {};
    case Function::kTsOfFirstOverTime:
      Fill(call, in, row, out,
           [&](size_t, size_t lo, size_t) { return static_cast<double>(t[lo]) / 1000; });
      return {};
    case Function::kTsOfLastOverTime:
      Fill(call, in, row, out,
           [&](size_t, size_t, size_t hi) { return static_cast<double>(t[hi - 1]) / 1000; });
      return {};
    case Function::kMaxOverTime: Extreme(call, in, scratch, row, out, Better); return {};
    case Function::kMinOverTime: Extreme(call, in, scratch, row, out, Worse); return {};
    case Function::kStddevOverTime:
      Fill(call, in, row, out, [&](size_t, size_t lo, size_t hi) {
        return std::sqrt(VarianceOf(v + lo, hi - lo));
      });
      return {};
    case Function::kStdvarOverTime:
      Fill(call, in, row, out,
           [&](size_t, size_t lo, size_t hi) { return VarianceOf(v + lo, hi - lo); });
      return {};
    case Function::kQuantileOverTime:
      Fill(call, in, row, out, [&](size_t s, size_t lo, size_t hi) {
        const double q = call.parameter[0][s];
        if (!(q >= 0 && q <= 1)) call.annotations->InvalidQuantile(q, call.first_arg_pos);
        scratch->values.assign(v + lo, v + hi);
        return QuantileOf(q, &scratch->values);
      });
      return {};
    case Function::kMadOverTime:
      Fill(call, in, row, out, [&](size_t, size_t lo, size_t hi) {
        return MedianDeviationOf(v + lo, hi - lo, &scratch->values);
      });
      return {};
    case Function::kResets:
      Fill(call, in, row, out, [&](size_t, size_t lo, size_t hi) {
        size_t n = 0;
        for (size_t i = lo + 1; i < hi; ++i) n += v[i] < v[i - 1];
        return static_cast<double>(n);
      });
      return {};
    case Function::kChanges:
      Fill(call, in, row, out, [&](size_t, size_t lo, size_t hi) {
        size_t n = 0;
        for (size_t i = lo + 1; i < hi; ++i) {
          n += v[i] != v[i - 1] && !(std::isnan(v[i]) && std::isnan(v[i - 1]));
        }
        return static_cast<double>(n);
      });
      return {};
    case Function::kDeriv:
      FillRegression(call, in, row, out, [&](size_t, size_t lo, size_t hi) {
        return LinearRegression(t + lo, v + lo, hi - lo, t[lo]).slope;
      });
      return {};
    case Function::kPredictLinear:
      FillRegression(call, in, row, out, [&](size_t s, size_t lo, size_t hi) {
        const Line line = LinearRegression(t + lo, v + lo, hi - lo, call.eval_time(s));
        return line.slope * call.parameter[0][s] + line.intercept;
      });
      return {};
    default: return RunMixed(call, labels, in, scratch, row, out);
  }
}

}  // namespace tocsin::promql::exec
