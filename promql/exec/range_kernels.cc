// 1. Windows of plain floats: which samples belong to which step is found once for all series of the
//    same times (window_table.h); each sample enters and leaves a window once.
// 2. rate(), increase(): the positions of counter resets are found in one pass over the series, a
//    window then costs its two ends and the resets in it, eight windows at a time (lanes.h).  Sums of
//    short windows and variances are taken of sixteen windows side by side.
// 3. Anything with histograms, or with anchored or smoothed bounds, goes through EvalMixedWindow.

#include "promql/exec/range_kernels.h"

#include <algorithm>
#include <cmath>

#include "promql/exec/lanes.h"
#include "promql/exec/partial_sums.h"

namespace tocsin::promql::exec {
namespace {

using plan::Function;

// Fills the steps whose windows have at least `samples` samples with fn(step, lo, hi).
template <class Fn>
inline void Fill(const WindowTable& windows, size_t samples, size_t row, Block* out, Fn&& fn) {
  double* values = out->values(row);
  uint8_t* cells = out->cells(row);
  const uint32_t* lo = windows.lo();
  const uint32_t* hi = windows.hi();
  const WindowTable::Steps steps = windows.steps_with(samples);
  for (size_t s = steps.begin; s < steps.end; ++s) {
    if (hi[s] - lo[s] < samples) continue;
    values[s] = fn(s, size_t{lo[s]}, size_t{hi[s]});
    cells[s] = kFloat;
  }
}

// Steps with at least `samples` samples are present.
void MarkPresent(const WindowTable& windows, size_t samples, uint8_t* cells) {
  const WindowTable::Steps steps = windows.steps_with(samples);
  if (steps.all) {
    std::fill(cells + steps.begin, cells + steps.end, kFloat);
    return;
  }
  for (size_t s = steps.begin; s < steps.end; ++s) {
    if (windows.hi()[s] - windows.lo()[s] >= samples) cells[s] = kFloat;
  }
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
  WindowTable& windows = scratch->windows;
  const WindowTable::Steps steps = windows.steps_with(2);
  if (steps.begin == steps.end) return;
  const uint32_t* lo = windows.lo();
  const uint32_t* hi = windows.hi();
  const WindowTable::Spans spans = windows.FindSpans();
  scratch->values.resize(windows.steps() + kLanes);
  scratch->differences.resize(windows.steps() + kLanes);
  double* first = scratch->values.data();
  double* difference = scratch->differences.data();
  for (size_t s = steps.begin; s < steps.end; ++s) {
    // Of an empty window the bounds may be the end; nothing is made of it.
    const size_t from = std::min<size_t>(lo[s], in.count - 1);
    first[s] = v[from];
    difference[s] = v[std::max<size_t>(hi[s], 1) - 1] - v[from];
  }
  if (counter) {
    std::vector<uint32_t>& resets = scratch->indices;
    FindResets(v, in.count, &resets);
    if (!resets.empty()) {
      size_t r = 0;
      for (size_t s = steps.begin; s < steps.end; ++s) {
        while (r < resets.size() && resets[r] <= lo[s]) ++r;
        for (size_t k = r; k < resets.size() && resets[k] < hi[s]; ++k) {
          difference[s] += v[resets[k] - 1];
        }
      }
    }
  }
  const size_t at = steps.begin / kLanes * kLanes;
  const double seconds = static_cast<double>(call.range_ms) / 1000;
  Extrapolate({.first = first + at,
               .difference = difference + at,
               .sampled = spans.sampled + at,
               .to_start = spans.to_start + at,
               .to_end = spans.to_end + at,
               .divisor = call.function == Function::kRate ? seconds : 1,
               .counter = counter},
              steps.end - at, out->values(row) + at);
  MarkPresent(windows, 2, out->cells(row));
}

void InstantRate(const RangeCall& call, const RangeRow& in, const WindowTable& windows, size_t row,
                 Block* out) {
  const bool rate = call.function == Function::kIrate;
  Fill(windows, 2, row, out, [&](size_t, size_t, size_t hi) {
    const double last = in.values[hi - 1];
    const double before = in.values[hi - 2];
    double result = rate && last < before ? last : last - before;
    if (rate) result /= static_cast<double>(in.times[hi - 1] - in.times[hi - 2]) / 1000;
    return result;
  });
}

// Windows that overlap much share their extremes: a monotonic queue of candidates, each entered and
// left once.  NaN loses against any number, as in Prometheus; of equal values max_over_time() and
// min_over_time() keep the first.
template <class Better>
void Extreme(const RangeRow& in, KernelScratch* scratch, size_t row, Block* out, Better better) {
  std::vector<uint32_t>& queue = scratch->indices;
  queue.clear();
  size_t front = 0;
  size_t entered = 0;
  const double* v = in.values;
  Fill(scratch->windows, 1, row, out, [&](size_t, size_t lo, size_t hi) {
    for (; entered < hi; ++entered) {
      while (queue.size() > front && better(v[entered], v[queue.back()])) queue.pop_back();
      queue.push_back(static_cast<uint32_t>(entered));
    }
    while (queue[front] < lo) ++front;
    return v[queue[front]];
  });
}

// `count` windows of one size.  False: they are too few to be worth it, or overflow.
bool FoldEqual(WindowFold fold, const double* v, const uint32_t* lo, uint32_t size, size_t count,
               double* out) {
  if (count == kWindowsAtOnce) return FoldWindows(fold, v, lo, size, out);
  if (count < 3) return false;
  uint32_t padded[kWindowsAtOnce];
  double results[kWindowsAtOnce];
  for (size_t k = 0; k < kWindowsAtOnce; ++k) padded[k] = lo[std::min(k, count - 1)];
  if (!FoldWindows(fold, v, padded, size, results)) return false;
  std::copy(results, results + count, out);
  return true;
}

// Windows of equal size, as those of a series without gaps are, many at a time; others one by one.
void FillFolds(WindowFold fold, double (*one)(const double*, size_t), const RangeRow& in,
               const WindowTable& windows, size_t row, Block* out) {
  const uint32_t* lo = windows.lo();
  const uint32_t* hi = windows.hi();
  double* values = out->values(row);
  const WindowTable::Steps steps = windows.steps_with(1);
  for (size_t s = steps.begin; s < steps.end;) {
    const uint32_t size = hi[s] - lo[s];
    size_t equal = 1;
    while (s + equal < steps.end && equal < kWindowsAtOnce && hi[s + equal] - lo[s + equal] == size) {
      ++equal;
    }
    if (size > 0 && !FoldEqual(fold, in.values, lo + s, size, equal, values + s)) {
      for (size_t k = 0; k < equal; ++k) values[s + k] = one(in.values + lo[s + k], size);
    }
    s += equal;
  }
  MarkPresent(windows, 1, out->cells(row));
}

// Of long windows that overlap, from partial sums; where these overflow, and else, directly.
template <class Finish>
void FillSums(const RangeCall& call, const RangeRow& in, KernelScratch* scratch, size_t row,
              Block* out, WindowFold fold, double (*direct)(const double*, size_t),
              Finish finish) {
  const double* v = in.values;
  const bool overlap = call.map.stride < call.range_ms && call.span.count > 2;
  if (!overlap || scratch->windows.longest() < PartialSums::kWorthwhile) {
    FillFolds(fold, direct, in, scratch->windows, row, out);
    return;
  }
  scratch->sums.Reset(v, in.count);
  Fill(scratch->windows, 1, row, out, [&](size_t, size_t lo, size_t hi) {
    if (hi - lo >= PartialSums::kWorthwhile) {
      const PartialSums::Sum s = scratch->sums.Of(lo, hi);
      if (std::isfinite(s.sum)) return finish(s, hi - lo);
    }
    return direct(v + lo, hi - lo);
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
  WindowTable& windows = scratch->windows;
  if (in.count > 0) {
    windows.Find(call.map, call.span.first, call.span.count, call.range_ms, t, in.count);
  }
  switch (call.function) {
    case Function::kRate:
    case Function::kIncrease:
    case Function::kDelta: Rate(call, in, scratch, row, out); return {};
    case Function::kIrate:
    case Function::kIdelta: InstantRate(call, in, windows, row, out); return {};
    case Function::kSumOverTime:
      FillSums(call, in, scratch, row, out, WindowFold::kSum, SumOf,
               [](PartialSums::Sum s, size_t) { return s.sum + s.c; });
      return {};
    case Function::kAvgOverTime:
      FillSums(call, in, scratch, row, out, WindowFold::kAverage, AverageOf, [](PartialSums::Sum s, size_t count) {
        const auto n = static_cast<double>(count);
        return s.sum / n + s.c / n;
      });
      return {};
    case Function::kCountOverTime:
      Fill(windows, 1, row, out,
           [&](size_t, size_t lo, size_t hi) { return static_cast<double>(hi - lo); });
      return {};
    case Function::kPresentOverTime:
    case Function::kAbsentOverTime:
      Fill(windows, 1, row, out, [](size_t, size_t, size_t) { return 1.0; });
      return {};
    case Function::kFirstOverTime:
      Fill(windows, 1, row, out, [&](size_t, size_t lo, size_t) { return v[lo]; });
      return {};
    case Function::kLastOverTime:
      Fill(windows, 1, row, out, [&](size_t, size_t, size_t hi) { return v[hi - 1]; });
      return {};
    case Function::kTsOfFirstOverTime:
      Fill(windows, 1, row, out,
           [&](size_t, size_t lo, size_t) { return static_cast<double>(t[lo]) / 1000; });
      return {};
    case Function::kTsOfLastOverTime:
      Fill(windows, 1, row, out,
           [&](size_t, size_t, size_t hi) { return static_cast<double>(t[hi - 1]) / 1000; });
      return {};
    case Function::kMaxOverTime: Extreme(in, scratch, row, out, Better); return {};
    case Function::kMinOverTime: Extreme(in, scratch, row, out, Worse); return {};
    case Function::kStddevOverTime:
    case Function::kStdvarOverTime: {
      FillFolds(WindowFold::kVariance, VarianceOf, in, windows, row, out);
      if (call.function == Function::kStdvarOverTime) return {};
      const WindowTable::Steps steps = windows.steps_with(1);
      double* values = out->values(row);
      const uint8_t* cells = out->cells(row);
      for (size_t s = steps.begin; s < steps.end; ++s) {
        if (cells[s] == kFloat) values[s] = std::sqrt(values[s]);
      }
      return {};
    }
    case Function::kQuantileOverTime:
      Fill(windows, 1, row, out, [&](size_t s, size_t lo, size_t hi) {
        const double q = call.parameter[0][s];
        if (!(q >= 0 && q <= 1)) call.annotations->InvalidQuantile(q, call.first_arg_pos);
        scratch->values.assign(v + lo, v + hi);
        return QuantileOf(q, &scratch->values);
      });
      return {};
    case Function::kMadOverTime:
      Fill(windows, 1, row, out, [&](size_t, size_t lo, size_t hi) {
        return MedianDeviationOf(v + lo, hi - lo, &scratch->values);
      });
      return {};
    case Function::kResets:
      Fill(windows, 1, row, out, [&](size_t, size_t lo, size_t hi) {
        size_t n = 0;
        for (size_t i = lo + 1; i < hi; ++i) n += v[i] < v[i - 1];
        return static_cast<double>(n);
      });
      return {};
    case Function::kChanges:
      Fill(windows, 1, row, out, [&](size_t, size_t lo, size_t hi) {
        size_t n = 0;
        for (size_t i = lo + 1; i < hi; ++i) {
          n += v[i] != v[i - 1] && !(std::isnan(v[i]) && std::isnan(v[i - 1]));
        }
        return static_cast<double>(n);
      });
      return {};
    case Function::kDeriv:
      Fill(windows, 2, row, out, [&](size_t, size_t lo, size_t hi) {
        return LinearRegression(t + lo, v + lo, hi - lo, t[lo]).slope;
      });
      return {};
    case Function::kPredictLinear:
      Fill(windows, 2, row, out, [&](size_t s, size_t lo, size_t hi) {
        const Line line = LinearRegression(t + lo, v + lo, hi - lo, call.eval_time(s));
        return line.slope * call.parameter[0][s] + line.intercept;
      });
      return {};
    default: return RunMixed(call, labels, in, scratch, row, out);
  }
}

}  // namespace tocsin::promql::exec
