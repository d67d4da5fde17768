// Range functions over one window of any samples: floats, histograms, both, and with anchored or
// smoothed bounds.  Simple and slow; windows of plain floats take range_kernels.cc.
// Source: Prometheus 3.14, promql/functions.go.

#include <algorithm>
#include <cmath>

#include "promql/exec/histogram_math.h"
#include "promql/exec/range_kernels.h"

namespace tocsin::promql::exec {
namespace {

using model::CounterReset;
using model::Histogram;
using model::HistogramPtr;
using model::Timestamp;
using plan::Function;

WindowResult Float(double v) { return {true, v, nullptr}; }
WindowResult Of(HistogramPtr h) { return {true, 0, std::move(h)}; }

// Whether a start timestamp tells of a reset between two samples.
bool IsStartReset(Timestamp start_before, Timestamp before, Timestamp start, Timestamp t) {
  if (start == 0 || start >= t || start < before) return false;
  if (start > before) return true;
  // It points to the sample before: a delta, or a cumulative series whose start is not known.
  if (start_before > before) return false;
  return start_before != 0 && start_before != before;
}

bool StartsOverlap(Timestamp start_before, Timestamp before, Timestamp start) {
  return start != 0 && start < before && start != start_before;
}

// Everything that the functions below need of a call.
class Evaluator {
 public:
  Evaluator(const RangeCall& call, model::LabelsView labels, const MixedWindow& w,
            KernelScratch* scratch, size_t step)
      : call_(call),
        w_(w),
        scratch_(scratch),
        step_(step),
        metric_(labels.MetricName()),
        annotations_(*call.annotations),
        end_(call.window_end(step)),
        begin_(end_ - call.range_ms) {}

  base::Result<WindowResult> Eval() {
    const size_t n = w_.count;
    const bool mixed = n > 0 && w_.histogram_count > 0;
    switch (call_.function) {
      case Function::kRate:
      case Function::kIncrease:
      case Function::kDelta:
        if (mixed) return Mixed();
        if (call_.boundary != Boundary::kPlain) {
          return n > 0 ? ExtendedRate() : ExtendedHistogramRate();
        }
        return n > 0 ? FloatRate() : HistogramRate();
      case Function::kIrate:
      case Function::kIdelta: return InstantRate();
      case Function::kSumOverTime:
        if (mixed) return Mixed();
        return n > 0 ? Float(SumOf(w_.values, n)) : SumHistograms();
      case Function::kAvgOverTime:
        if (mixed) return Mixed();
        return n > 0 ? Float(AverageOf(w_.values, n)) : AverageHistograms();
      case Function::kCountOverTime: return Float(static_cast<double>(n + w_.histogram_count));
      case Function::kPresentOverTime:
      case Function::kAbsentOverTime: return Float(1);
      case Function::kFirstOverTime: return First();
      case Function::kLastOverTime: return Last();
      case Function::kTsOfFirstOverTime: return Float(static_cast<double>(FirstTime()) / 1000);
      case Function::kTsOfLastOverTime: return Float(static_cast<double>(LastTime()) / 1000);
      case Function::kResets:
      case Function::kChanges: return CountEvents();
      case Function::kDeriv:
      case Function::kPredictLinear:
      case Function::kDoubleExponentialSmoothing: return OfTwoFloats();
      default: return OfFloats();
    }
  }

 private:
  bool counter() const { return call_.function != Function::kDelta; }

  WindowResult Mixed() {
    annotations_.MixedFloatsHistograms(metric_, call_.arg_pos);
    return {};
  }
  void NoteIgnored() {
    if (w_.histogram_count > 0) {
      annotations_.HistogramIgnoredInMixedRange(metric_, call_.arg_pos);
    }
  }
  void NoteReconciled(bool reconciled, HistogramOperation operation) {
    if (reconciled) annotations_.MismatchedCustomBuckets(operation, call_.arg_pos);
  }

  bool StartReset(const Timestamp* starts, const Timestamp* t, size_t i) const {
    return starts != nullptr && IsStartReset(starts[i - 1], t[i - 1], starts[i], t[i]);
  }
  void NoteOverlap(const Timestamp* starts, const Timestamp* t, size_t n) {
    for (size_t i = 1; starts != nullptr && i < n; ++i) {
      if (!StartsOverlap(starts[i - 1], t[i - 1], starts[i])) continue;
      annotations_.StartTimeOverlap(metric_, call_.arg_pos);
      return;
    }
  }
  // Whether the first sample began to count inside the window: then it began at zero.
  bool StartsInside(const Timestamp* starts, const Timestamp* t) const {
    return counter() && starts != nullptr && starts[0] != 0 && starts[0] > begin_ &&
           starts[0] < t[0];
  }
  // As ExtrapolationFactor, with the beginning known.
  double FactorFromStart(Timestamp start, const Timestamp* t, size_t n) const {
    const double sampled = static_cast<double>(t[n - 1] - start) / 1000;
    double to_end = static_cast<double>(end_ - t[n - 1]) / 1000;
    const double gap =
        n > 1 ? static_cast<double>(t[n - 1] - t[0]) / 1000 / static_cast<double>(n - 1) : 0;
    if (to_end >= gap * 1.1) to_end = gap / 2;
    double factor = sampled != 0 ? (sampled + to_end) / sampled : 1;
    if (call_.function == Function::kRate) factor /= static_cast<double>(call_.range_ms) / 1000;
    return factor;
  }

  WindowResult FloatRate() {
    const size_t n = w_.count;
    const bool inside = StartsInside(w_.starts, w_.times);
    if (n < 2 && !inside) return {};
    double difference = w_.values[n - 1] - w_.values[0];
    for (size_t i = 1; counter() && i < n; ++i) {
      if (w_.values[i] < w_.values[i - 1] || StartReset(w_.starts, w_.times, i)) {
        difference += w_.values[i - 1];
      }
    }
    NoteOverlap(w_.starts, w_.times, n);
    if (inside) {
      return Float((difference + w_.values[0]) * FactorFromStart(w_.starts[0], w_.times, n));
    }
    return Float(difference * ExtrapolationFactor(call_, end_, w_.times[0], w_.times[n - 1], n,
                                                  w_.values[0], difference, counter()));
  }

  const Histogram& H(size_t i) const { return *w_.histograms[i]; }

  WindowResult HistogramRate() {
    const size_t n = w_.histogram_count;
    const bool inside = StartsInside(w_.histogram_starts, w_.histogram_times);
    if (n < 2 && !inside) return {};
    HistogramPtr difference = n > 1 ? HistogramDifference() : nullptr;
    if (n > 1 && !difference) return {};
    if (inside) {
      const double factor = FactorFromStart(w_.histogram_starts[0], w_.histogram_times, n);
      if (!difference) return Of(Scaled(H(0), factor));
      HistogramSum sum(*difference);
      const auto added = sum.Add(H(0));
      if (!added.compatible) {
        IncompatibleSchemas();
        return {};
      }
      NoteReconciled(added.reconciled, HistogramOperation::kAddition);
      sum.Multiply(factor);
      return Of(sum.Build());
    }
    const double factor = ExtrapolationFactor(
        call_, end_, w_.histogram_times[0], w_.histogram_times[n - 1], n, H(0).count,
        difference->count, counter());
    return Of(Scaled(*difference, factor));
  }

  // Last less first, with resets; null (and an annotation) where they do not go together.
  HistogramPtr HistogramDifference() {
    const size_t n = w_.histogram_count;
    const Histogram& last = H(n - 1);
    const auto is_gauge = [](const Histogram& h) {
      return h.counter_reset == CounterReset::kGauge;
    };
    if (counter() && (is_gauge(H(0)) || is_gauge(last))) {
      annotations_.NativeNotCounter(metric_, call_.arg_pos);
    }
    // With a reset right after the first one, its buckets do not matter.
    Histogram empty;
    const Histogram* first = &H(0);
    if (counter() && (StartReset(w_.histogram_starts, w_.histogram_times, 1) ||
                      DetectReset(H(1), H(0)))) {
      empty.schema = H(1).schema;
      empty.custom_values = H(1).custom_values;
      first = &empty;
    }
    const bool custom = first->uses_custom_buckets();
    if (last.uses_custom_buckets() != custom) return IncompatibleSchemas();
    int32_t schema = std::min(last.schema, first->schema);
    for (size_t i = 1; counter() && i + 1 < n; ++i) {
      if (is_gauge(H(i))) annotations_.NativeNotCounter(metric_, call_.arg_pos);
      schema = std::min(schema, H(i).schema);
      if (H(i).uses_custom_buckets() != custom) return IncompatibleSchemas();
    }
    HistogramSum sum(last);
    if (!custom) sum.ReduceTo(schema);
    const auto subtracted = sum.Subtract(*first);
    if (!subtracted.compatible) return IncompatibleSchemas();
    NoteReconciled(subtracted.reconciled, HistogramOperation::kSubtraction);
    if (counter()) {
      const Histogram* before = first;
      for (size_t i = 1; i < n; ++i) {
        if (StartReset(w_.histogram_starts, w_.histogram_times, i) || DetectReset(H(i), *before)) {
          const auto added = sum.Add(*before);
          if (!added.compatible) return IncompatibleSchemas();
          NoteReconciled(added.reconciled, HistogramOperation::kAddition);
        }
        before = &H(i);
      }
      NoteOverlap(w_.histogram_starts, w_.histogram_times, n);
    } else if (!is_gauge(H(0)) || !is_gauge(last)) {
      annotations_.NativeNotGauge(metric_, call_.arg_pos);
    }
    sum.set_counter_reset(CounterReset::kGauge);
    return sum.Build();
  }

  HistogramPtr IncompatibleSchemas() {
    annotations_.MixedExponentialCustom(metric_, call_.arg_pos);
    return nullptr;
  }

  struct Sample {
    Timestamp t;
    double v;
    const HistogramPtr* h;  // null: a float
    Timestamp start = 0;
  };
  Sample FloatAt(size_t i) const {
    return {w_.times[i], w_.values[i], nullptr, w_.starts != nullptr ? w_.starts[i] : 0};
  }
  Sample HistogramAt(size_t i) const {
    return {w_.histogram_times[i], 0, &w_.histograms[i],
            w_.histogram_starts != nullptr ? w_.histogram_starts[i] : 0};
  }
  static bool StartResetBetween(const Sample& before, const Sample& now) {
    return IsStartReset(before.start, before.t, now.start, now.t);
  }

  WindowResult InstantRate() {
    // The two newest of both kinds.
    Sample last[2];
    size_t found = 0;
    size_t f = w_.count;
    size_t h = w_.histogram_count;
    while (found < 2 && (f > 0 || h > 0)) {
      const bool take_float = h == 0 || (f > 0 && w_.times[f - 1] > w_.histogram_times[h - 1]);
      if (take_float) {
        --f;
        last[found++] = FloatAt(f);
      } else {
        --h;
        last[found++] = HistogramAt(h);
      }
    }
    if (found < 2) return {};
    const Sample& now = last[0];
    const Sample& before = last[1];
    const double seconds = static_cast<double>(now.t - before.t) / 1000;
    const bool rate = call_.function == Function::kIrate;
    if (seconds == 0) return {};
    if (!now.h && !before.h) {
      const bool reset = rate && (now.v < before.v || StartResetBetween(before, now));
      const double v = reset ? now.v : now.v - before.v;
      return Float(rate ? v / seconds : v);
    }
    if (!now.h || !before.h) {
      annotations_.MixedFloatsHistograms(metric_, call_.args_pos);
      return {};
    }
    const Histogram& a = **before.h;
    const Histogram& b = **now.h;
    const bool gauge_a = a.counter_reset == CounterReset::kGauge;
    const bool gauge_b = b.counter_reset == CounterReset::kGauge;
    if (rate && (gauge_a || gauge_b)) annotations_.NativeNotCounter(metric_, call_.args_pos);
    if (!rate && (!gauge_a || !gauge_b)) annotations_.NativeNotGauge(metric_, call_.args_pos);
    HistogramSum sum(b);
    if (!rate || (!StartResetBetween(before, now) && !DetectReset(b, a))) {
      const auto subtracted = sum.Subtract(a);
      if (!subtracted.compatible) {
        annotations_.MixedExponentialCustom(metric_, call_.args_pos);
        return {};
      }
      if (subtracted.reconciled) {
        annotations_.MismatchedCustomBuckets(HistogramOperation::kSubtraction, call_.args_pos);
      }
    }
    sum.set_counter_reset(CounterReset::kGauge);
    if (rate) sum.Divide(seconds);
    return Of(sum.Build());
  }

  // Whether histograms of a window say both that there was a reset and that there was none.
  void NoteCollision() {
    bool reset = false;
    bool not_reset = false;
    for (size_t i = 0; i < w_.histogram_count; ++i) {
      reset = reset || H(i).counter_reset == CounterReset::kReset;
      not_reset = not_reset || H(i).counter_reset == CounterReset::kNotReset;
    }
    if (reset && not_reset) {
      annotations_.CounterResetCollision(HistogramOperation::kAggregation, call_.arg_pos);
    }
  }

  WindowResult SumHistograms() {
    HistogramSum sum(H(0));
    bool reconciled = false;
    for (size_t i = 1; i < w_.histogram_count; ++i) {
      const auto added = sum.Add(H(i));
      if (!added.compatible) {
        IncompatibleSchemas();
        return {};
      }
      reconciled = reconciled || added.reconciled;
    }
    NoteCollision();
    NoteReconciled(reconciled, HistogramOperation::kAggregation);
    return Of(sum.Build());
  }

  WindowResult AverageHistograms() {
    HistogramSum sum(H(0));
    bool incremental = false;
    bool reconciled = false;
    for (size_t i = 1; i < w_.histogram_count; ++i) {
      const double count = static_cast<double>(i + 1);
      if (!incremental) {
        HistogramSum next = sum;
        const auto added = next.Add(H(i));
        if (!added.compatible) {
          IncompatibleSchemas();
          return {};
        }
        reconciled = reconciled || added.reconciled;
        if (!next.HasOverflow()) {
          sum = std::move(next);
          continue;
        }
        incremental = true;
        sum.Divide(count - 1);
      }
      sum.Multiply((count - 1) / count);
      const auto added = sum.Add(*Divided(H(i), count));
      if (!added.compatible) {
        IncompatibleSchemas();
        return {};
      }
      reconciled = reconciled || added.reconciled;
    }
    if (!incremental) sum.Divide(static_cast<double>(w_.histogram_count));
    NoteCollision();
    NoteReconciled(reconciled, HistogramOperation::kAggregation);
    return Of(sum.Build());
  }

  WindowResult First() const {
    if (w_.histogram_count == 0 || (w_.count > 0 && w_.times[0] < w_.histogram_times[0])) {
      return Float(w_.values[0]);
    }
    return Of(w_.histograms[0]);
  }
  WindowResult Last() const {
    const size_t n = w_.count;
    const size_t m = w_.histogram_count;
    if (m == 0 || (n > 0 && w_.histogram_times[m - 1] < w_.times[n - 1])) {
      return Float(w_.values[n - 1]);
    }
    return Of(w_.histograms[m - 1]);
  }
  Timestamp FirstTime() const {
    if (w_.histogram_count == 0) return w_.times[0];
    if (w_.count == 0) return w_.histogram_times[0];
    return std::min(w_.times[0], w_.histogram_times[0]);
  }
  Timestamp LastTime() const {
    if (w_.histogram_count == 0) return w_.times[w_.count - 1];
    if (w_.count == 0) return w_.histogram_times[w_.histogram_count - 1];
    return std::max(w_.times[w_.count - 1], w_.histogram_times[w_.histogram_count - 1]);
  }

  // resets() and changes().
  WindowResult CountEvents() const {
    size_t f = 0;
    size_t h = 0;
    if (call_.boundary == Boundary::kAnchored) {
      // The newest sample at or before the beginning is what the first one is compared with.
      const auto older = [&](const Timestamp* t, size_t n) {
        return static_cast<size_t>(std::upper_bound(t, t + n, begin_) - t);
      };
      f = older(w_.times, w_.count);
      h = older(w_.histogram_times, w_.histogram_count);
      if (f == w_.count && h == w_.histogram_count) return {};
      if (f > 0 && (h == 0 || w_.times[f - 1] >= w_.histogram_times[h - 1])) {
        --f;
      } else if (h > 0) {
        --h;
      }
    }
    size_t events = 0;
    bool any = false;
    Sample before{};
    while (f < w_.count || h < w_.histogram_count) {
      const bool take_float =
          h == w_.histogram_count || (f < w_.count && w_.times[f] < w_.histogram_times[h]);
      Sample now{};
      if (take_float) {
        now = FloatAt(f++);
      } else {
        now = HistogramAt(h++);
      }
      if (any && IsEvent(before, now)) ++events;
      any = true;
      before = now;
    }
    return Float(static_cast<double>(events));
  }

  bool IsEvent(const Sample& before, const Sample& now) const {
    if ((before.h == nullptr) != (now.h == nullptr)) return true;
    const bool resets = call_.function == Function::kResets;
    if (now.h != nullptr) {
      return resets ? StartResetBetween(before, now) || DetectReset(**now.h, **before.h)
                    : !SameHistogram(**now.h, **before.h);
    }
    if (resets) return now.v < before.v || StartResetBetween(before, now);
    return now.v != before.v && !(std::isnan(now.v) && std::isnan(before.v));
  }

  base::Result<WindowResult> OfTwoFloats() {
    const size_t n = w_.count;
    if (call_.function == Function::kDoubleExponentialSmoothing) {
      for (const int i : {0, 1}) {
        const double p = call_.parameter[i][step_];
        if (p > 0 && p < 1) continue;
        return base::FailedPrecondition(
            (i == 0 ? "invalid smoothing factor. Expected: 0 < sf < 1, got: "
                    : "invalid trend factor. Expected: 0 < tf < 1, got: ") +
            std::to_string(p));
      }
    }
    if (n >= 1) NoteIgnored();
    if (n < 2) return WindowResult{};
    switch (call_.function) {
      case Function::kDeriv:
        return Float(LinearRegression(w_.times, w_.values, n, w_.times[0]).slope);
      case Function::kPredictLinear: {
        const Line line = LinearRegression(w_.times, w_.values, n, call_.eval_time(step_));
        return Float(line.slope * call_.parameter[0][step_] + line.intercept);
      }
      default:
        return Float(SmoothExponentially(w_.values, n, call_.parameter[0][step_],
                                         call_.parameter[1][step_]));
    }
  }

  // Functions of floats that skip histograms.
  WindowResult OfFloats() {
    const size_t n = w_.count;
    const double* v = w_.values;
    if (n == 0) return {};
    if (call_.function == Function::kQuantileOverTime) {
      const double q = call_.parameter[0][step_];
      if (!(q >= 0 && q <= 1)) annotations_.InvalidQuantile(q, call_.first_arg_pos);
    }
    NoteIgnored();
    switch (call_.function) {
      case Function::kStddevOverTime: return Float(std::sqrt(VarianceOf(v, n)));
      case Function::kStdvarOverTime: return Float(VarianceOf(v, n));
      case Function::kMadOverTime: return Float(MedianDeviationOf(v, n, &scratch_->values));
      case Function::kQuantileOverTime:
        scratch_->values.assign(v, v + n);
        return Float(QuantileOf(call_.parameter[0][step_], &scratch_->values));
      case Function::kMaxOverTime:
        return Float(v[Extreme([](double a, double b) { return a > b; })]);
      case Function::kMinOverTime:
        return Float(v[Extreme([](double a, double b) { return a < b; })]);
      case Function::kTsOfMaxOverTime:
        return Float(TimeOf(Extreme([](double a, double b) { return a >= b; })));
      case Function::kTsOfMinOverTime:
        return Float(TimeOf(Extreme([](double a, double b) { return a <= b; })));
      default: return {};
    }
  }
  template <class Better>
  size_t Extreme(Better better) const {
    size_t best = 0;
    for (size_t i = 0; i < w_.count; ++i) {
      if (better(w_.values[i], w_.values[best]) || std::isnan(w_.values[best])) best = i;
    }
    return best;
  }
  double TimeOf(size_t i) const { return static_cast<double>(w_.times[i]) / 1000; }

  // The samples that anchored and smoothed look at: [first, last], first being the newest at or before
  // the beginning.  False where there is nothing to measure.
  bool Bounds(const Timestamp* t, size_t n, size_t* first, size_t* last) const {
    const bool smoothed = call_.boundary == Boundary::kSmoothed;
    *last = n - 1;
    *first = static_cast<size_t>(std::upper_bound(t, t + *last, begin_) - t);
    if (*first > 0) --*first;
    if (smoothed) *last = static_cast<size_t>(std::lower_bound(t, t + *last, end_) - t);
    if (t[*last] <= begin_) return false;
    return !smoothed || t[*first] <= end_;
  }

  WindowResult ExtendedRate() const {
    const bool smoothed = call_.boundary == Boundary::kSmoothed;
    const Timestamp* t = w_.times;
    const double* v = w_.values;
    size_t first = 0;
    size_t last = 0;
    if (!Bounds(t, w_.count, &first, &last)) return {};
    const auto between = [&](size_t i, Timestamp at) {
      const double from = counter() && v[i + 1] < v[i] ? 0 : v[i];
      return from + (v[i + 1] - from) * static_cast<double>(at - t[i]) /
                        static_cast<double>(t[i + 1] - t[i]);
    };
    const double left = smoothed && t[first] < begin_ ? between(first, begin_) : v[first];
    const double right =
        smoothed && last > 0 && t[last] > end_ ? between(last - 1, end_) : v[last];
    double result = right - left;
    if (counter()) {
      double before = left;
      for (size_t i = t[first] <= begin_ ? first + 1 : first; i <= last && t[i] < end_; ++i) {
        if (v[i] < before) result += before;
        before = v[i];
      }
      if (right < before) result += before;
    }
    if (call_.function == Function::kRate) result /= static_cast<double>(call_.range_ms) / 1000;
    return Float(result);
  }

  WindowResult ExtendedHistogramRate() {
    const bool smoothed = call_.boundary == Boundary::kSmoothed;
    const Timestamp* t = w_.histogram_times;
    size_t first = 0;
    size_t last = 0;
    if (!Bounds(t, w_.histogram_count, &first, &last)) return {};
    for (size_t i = first; i <= last; ++i) {
      if (H(i).uses_custom_buckets() != H(first).uses_custom_buckets()) {
        IncompatibleSchemas();
        return {};
      }
      if (counter() && H(i).counter_reset == CounterReset::kGauge) {
        annotations_.NativeNotCounter(metric_, call_.arg_pos);
      }
    }
    const auto between = [&](size_t i, Timestamp at) {
      return Interpolate(annotations_, metric_, call_.arg_pos, H(i), t[i], H(i + 1), t[i + 1], at,
                         counter());
    };
    const HistogramPtr left =
        smoothed && t[first] < begin_ ? between(first, begin_) : w_.histograms[first];
    if (!left) return {};
    const HistogramPtr right =
        smoothed && last > 0 && t[last] > end_ ? between(last - 1, end_) : w_.histograms[last];
    if (!right) return {};
    if (!counter() && (left->counter_reset != CounterReset::kGauge ||
                       right->counter_reset != CounterReset::kGauge)) {
      annotations_.NativeNotGauge(metric_, call_.arg_pos);
    }
    HistogramSum sum(*right);
    const auto subtracted = sum.Subtract(*left);
    if (!subtracted.compatible) {
      IncompatibleSchemas();
      return {};
    }
    NoteReconciled(subtracted.reconciled, HistogramOperation::kSubtraction);
    if (counter() && !AddResets(first, last, left.get(), *right, &sum)) return {};
    if (call_.function == Function::kRate) sum.Divide(static_cast<double>(call_.range_ms) / 1000);
    sum.set_counter_reset(CounterReset::kGauge);
    return Of(sum.Build());
  }

  // What was lost at the resets between the bounds.
  bool AddResets(size_t first, size_t last, const Histogram* before, const Histogram& right,
                 HistogramSum* sum) {
    const bool smoothed = call_.boundary == Boundary::kSmoothed;
    const Timestamp* t = w_.histogram_times;
    size_t i = first + 1;
    if (smoothed && t[first] < begin_ && DetectReset(H(first + 1), H(first))) {
      // The left bound lies in a reset's interval, which it already models.
      before = &H(first + 1);
      ++i;
    }
    if (i > last) return true;
    const auto add = [&] {
      const auto added = sum->Add(*before);
      if (!added.compatible) IncompatibleSchemas();
      NoteReconciled(added.reconciled, HistogramOperation::kAddition);
      return added.compatible;
    };
    for (; i < last; ++i) {
      if (DetectReset(H(i), *before) && !add()) return false;
      before = &H(i);
    }
    return !DetectReset(right, *before) || add();
  }

  const RangeCall& call_;
  const MixedWindow& w_;
  KernelScratch* scratch_;
  const size_t step_;
  const std::string_view metric_;
  Annotations& annotations_;
  const Timestamp end_;
  const Timestamp begin_;
};

}  // namespace

base::Result<WindowResult> EvalMixedWindow(const RangeCall& call, model::LabelsView labels,
                                           const MixedWindow& w, KernelScratch* scratch,
                                           size_t step) {
  return Evaluator(call, labels, w, scratch, step).Eval();
}

}  // namespace tocsin::promql::exec
