#include "promql/exec/histogram_math.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "promql/exec/histogram_buckets.h"
#include "promql/exec/kahan.h"

namespace tocsin::promql::exec {
namespace {

using model::CounterReset;
using model::Histogram;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct IndexedCount {
  int32_t index;
  double count;
};
using Counts = std::vector<IndexedCount>;

// Populated buckets at a schema, without those that lie in the zero bucket.
Counts CountsOf(const std::vector<model::Span>& spans, const std::vector<double>& buckets,
                int32_t from, int32_t to, double zero_threshold) {
  Counts counts;
  ForEachBucket(spans, buckets, [&](int32_t index, double n) {
    if (from != to) index = ReducedIndex(index, from, to);
    if (!counts.empty() && counts.back().index == index) {
      counts.back().count += n;
    } else {
      counts.push_back({index, n});
    }
  });
  std::erase_if(counts, [&](const IndexedCount& c) {
    const bool in_zero = zero_threshold > 0 && to != model::kCustomBucketsSchema &&
                         BucketBound(c.index, to) <= zero_threshold;
    return c.count == 0 || in_zero;
  });
  return counts;
}

bool AnyLess(const Counts& now, const Counts& before) {
  size_t i = 0;
  for (const IndexedCount& b : before) {
    while (i < now.size() && now[i].index < b.index) ++i;
    if (i == now.size() || now[i].index != b.index || now[i].count < b.count) return true;
  }
  return false;
}

// Counts up to each common bound, of which none may decrease.
bool ResetAtCommonBounds(const Histogram& h, const Histogram& previous) {
  std::vector<double> common;
  std::ranges::set_intersection(h.custom_values, previous.custom_values,
                                std::back_inserter(common));
  const auto rolled_up = [&](const Histogram& of) {
    std::vector<double> sums(common.size() + 1, 0);
    ForEachBucket(of.positive_spans, of.positive_buckets, [&](int32_t index, double n) {
      size_t to = common.size();
      if (index >= 0 && static_cast<size_t>(index) < of.custom_values.size()) {
        const double bound = of.custom_values[static_cast<size_t>(index)];
        to = static_cast<size_t>(std::ranges::lower_bound(common, bound) - common.begin());
      }
      sums[to] += n;
    });
    return sums;
  };
  const std::vector<double> now = rolled_up(h);
  const std::vector<double> before = rolled_up(previous);
  for (size_t i = 0; i < now.size(); ++i) {
    if (now[i] < before[i]) return true;
  }
  return false;
}

// What the zero bucket of `h` would count with a wider threshold; false where that cuts a bucket.
bool ZeroCountAt(const Histogram& h, double threshold, double* count) {
  *count = h.zero_count;
  if (threshold == h.zero_threshold) return true;
  bool cut = false;
  const auto add = [&](int32_t index, double n) {
    if (n == 0 || BucketBound(index - 1, h.schema) >= threshold) return;
    *count += n;
    if (BucketBound(index, h.schema) > threshold) cut = true;
  };
  ForEachBucket(h.positive_spans, h.positive_buckets, add);
  ForEachBucket(h.negative_spans, h.negative_buckets, add);
  return !cut;
}

bool SameCounts(const Counts& a, const Counts& b) {
  return std::ranges::equal(a, b, [](const IndexedCount& x, const IndexedCount& y) {
    return x.index == y.index && model::SameBits(x.count, y.count);
  });
}

double FractionBelow(const HistogramBucket& b, double v, bool linear) {
  if (linear) return (v - b.lower) / (b.upper - b.lower);
  const double lower = std::log2(std::fabs(b.lower));
  const double upper = std::log2(std::fabs(b.upper));
  const double at = std::log2(std::fabs(v));
  if (v > 0) return (at - lower) / (upper - lower);
  return 1 - (at - upper) / (lower - upper);
}

bool HasBuckets(const std::vector<double>& buckets) { return !buckets.empty(); }

// A zero bucket of a histogram with one side only ends at zero.
void NarrowZeroBucket(const Histogram& h, HistogramBucket* b) {
  if (!HasBuckets(h.negative_buckets) && HasBuckets(h.positive_buckets)) {
    b->lower = 0;
  } else if (!HasBuckets(h.positive_buckets) && HasBuckets(h.negative_buckets)) {
    b->upper = 0;
  }
}

double NanCount(const std::vector<HistogramBucket>& buckets) {
  double count = 0;
  for (const HistogramBucket& b : buckets) count += b.count;
  return count;
}

}  // namespace

double BucketBound(int32_t index, int32_t schema) {
  if (schema < 0) {
    const int64_t exponent = static_cast<int64_t>(index) << -schema;
    if (exponent == 1024) return std::numeric_limits<double>::max();
    return std::ldexp(1.0, static_cast<int>(std::clamp<int64_t>(exponent, -5000, 5000)));
  }
  const int32_t per_octave = 1 << schema;
  const int32_t in_octave = index & (per_octave - 1);
  const int32_t exponent = (index >> schema) + 1;
  const double fraction =
      std::exp2(static_cast<double>(in_octave) / static_cast<double>(per_octave)) / 2;
  // The last regular bucket ends at the largest number: infinities have a bucket of their own.
  if (in_octave == 0 && exponent == 1025) return std::numeric_limits<double>::max();
  return std::ldexp(fraction, exponent);
}

void ListBuckets(const Histogram& h, std::vector<HistogramBucket>* out) {
  out->clear();
  if (h.uses_custom_buckets()) {
    const auto bound = [&](int32_t i) {
      if (i < 0) return -kInfinity;
      return static_cast<size_t>(i) < h.custom_values.size()
                 ? h.custom_values[static_cast<size_t>(i)]
                 : kInfinity;
    };
    ForEachBucket(h.positive_spans, h.positive_buckets, [&](int32_t i, double n) {
      out->push_back({bound(i - 1), bound(i), n});
    });
    return;
  }
  ForEachBucket(h.negative_spans, h.negative_buckets, [&](int32_t i, double n) {
    out->push_back({-BucketBound(i, h.schema), -BucketBound(i - 1, h.schema), n});
  });
  std::ranges::reverse(*out);
  for (HistogramBucket& b : *out) {
    if (b.upper > -h.zero_threshold) b.upper = -h.zero_threshold;
  }
  if (h.zero_count > 0) out->push_back({-h.zero_threshold, h.zero_threshold, h.zero_count});
  ForEachBucket(h.positive_spans, h.positive_buckets, [&](int32_t i, double n) {
    HistogramBucket b{BucketBound(i - 1, h.schema), BucketBound(i, h.schema), n};
    if (b.lower < h.zero_threshold) b.lower = h.zero_threshold;
    out->push_back(b);
  });
}

bool DetectReset(const Histogram& h, const Histogram& previous) {
  if (h.counter_reset == CounterReset::kReset) return true;
  if (h.counter_reset == CounterReset::kNotReset) return false;
  if (h.count < previous.count) return true;
  if (h.uses_custom_buckets()) {
    if (!previous.uses_custom_buckets()) return true;
    if (h.custom_values != previous.custom_values) return ResetAtCommonBounds(h, previous);
  }
  if (h.schema > previous.schema) return true;
  if (h.zero_threshold < previous.zero_threshold) return true;
  double before = 0;
  if (!ZeroCountAt(previous, h.zero_threshold, &before) || h.zero_count < before) return true;
  const auto counts = [&](const Histogram& of, bool positive) {
    return positive ? CountsOf(of.positive_spans, of.positive_buckets, of.schema, h.schema,
                               h.zero_threshold)
                    : CountsOf(of.negative_spans, of.negative_buckets, of.schema, h.schema,
                               h.zero_threshold);
  };
  return AnyLess(counts(h, true), counts(previous, true)) ||
         AnyLess(counts(h, false), counts(previous, false));
}

bool SameHistogram(const Histogram& a, const Histogram& b) {
  if (a.schema != b.schema || !model::SameBits(a.count, b.count) ||
      !model::SameBits(a.sum, b.sum) || a.zero_threshold != b.zero_threshold ||
      !model::SameBits(a.zero_count, b.zero_count) ||
      (a.uses_custom_buckets() && a.custom_values != b.custom_values)) {
    return false;
  }
  const auto counts = [](const Histogram& h, bool positive) {
    return positive ? CountsOf(h.positive_spans, h.positive_buckets, h.schema, h.schema, 0)
                    : CountsOf(h.negative_spans, h.negative_buckets, h.schema, h.schema, 0);
  };
  return SameCounts(counts(a, true), counts(b, true)) &&
         SameCounts(counts(a, false), counts(b, false));
}

model::HistogramPtr StatsOnly(const Histogram& h, const Histogram* before) {
  auto stats = std::make_shared<Histogram>();
  stats->counter_reset = h.counter_reset;
  stats->schema = h.schema;
  stats->count = h.count;
  stats->sum = h.sum;
  if (h.counter_reset == CounterReset::kUnknown && before != nullptr) {
    stats->counter_reset = DetectReset(h, *before) ? CounterReset::kReset : CounterReset::kNotReset;
  }
  return stats;
}

double HistogramVariance(const Histogram& h) {
  std::vector<HistogramBucket> buckets;
  ListBuckets(h, &buckets);
  const double mean = h.sum / h.count;
  double variance = 0;
  double c = 0;
  for (const HistogramBucket& b : buckets) {
    if (b.count == 0) continue;
    double middle = 0;
    if (h.uses_custom_buckets()) {
      middle = (b.upper + b.lower) / 2;
    } else if (b.lower > 0 || b.upper < 0) {
      middle = std::sqrt(b.upper * b.lower);
      if (b.upper < 0) middle = -middle;
    }
    const double delta = middle - mean;
    KahanAdd(b.count * delta * delta, &variance, &c);
  }
  return (variance + c) / h.count;
}

double HistogramQuantile(double q, const Histogram& h, std::string_view metric, ByteRange pos,
                         Annotations* annotations) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  if (q < 0) return -kInfinity;
  if (q > 1) return kInfinity;
  if (h.count == 0 || std::isnan(q)) return nan;

  std::vector<HistogramBucket> buckets;
  ListBuckets(h, &buckets);
  // Observations of NaN are in the count but in no bucket: then only the way up is right.
  const bool forward = std::isnan(h.sum) || q < 0.5;
  double rank = (forward ? q : 1 - q) * h.count;
  double count = 0;
  HistogramBucket b;
  for (size_t i = 0; i < buckets.size(); ++i) {
    b = buckets[forward ? i : buckets.size() - 1 - i];
    if (b.count == 0) continue;
    count += b.count;
    if (count >= rank) break;
  }
  const bool custom = h.uses_custom_buckets();
  if (!custom && b.lower < 0 && b.upper > 0) {
    NarrowZeroBucket(h, &b);
  } else if (custom) {
    if (b.lower == -kInfinity) {
      if (b.upper <= 0) return b.upper;
      b.lower = 0;
    } else if (b.upper == kInfinity) {
      return b.lower;
    }
  }
  count = std::min(count, h.count);
  if (count < rank) {
    if (!std::isnan(h.sum)) return b.upper;
    annotations->QuantileNanResult(metric, pos);
    return nan;
  }
  rank = forward ? rank - (count - b.count) : count - rank;
  if (std::isnan(h.sum) && NanCount(buckets) < h.count) annotations->QuantileNanSkew(metric, pos);

  const double fraction = rank / b.count;
  if (custom || (b.lower <= 0 && b.upper >= 0)) return b.lower + (b.upper - b.lower) * fraction;
  const double lower = std::log2(std::fabs(b.lower));
  const double upper = std::log2(std::fabs(b.upper));
  if (b.lower > 0) return std::exp2(lower + (upper - lower) * fraction);
  return -std::exp2(upper + (lower - upper) * (1 - fraction));
}

double HistogramFraction(double lower, double upper, const Histogram& h, std::string_view metric,
                         ByteRange pos, Annotations* annotations) {
  if (h.count == 0 || std::isnan(lower) || std::isnan(upper)) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  if (lower >= upper) return 0;
  std::vector<HistogramBucket> buckets;
  ListBuckets(h, &buckets);
  double rank = 0;
  double lower_rank = 0;
  double upper_rank = 0;
  bool lower_set = false;
  bool upper_set = false;
  for (HistogramBucket b : buckets) {
    bool linear = h.uses_custom_buckets();
    if (b.lower <= 0 && b.upper >= 0) {
      linear = true;
      NarrowZeroBucket(h, &b);
    }
    const auto rank_at = [&](double v) {
      if (linear && b.lower == -kInfinity) return b.count;
      return rank + b.count * FractionBelow(b, v, linear);
    };
    const auto place = [&](double v, double* at, bool* set) {
      if (*set) return;
      if (b.lower >= v) {
        *at = rank;
        *set = true;
      } else if (b.upper > v) {
        *at = rank_at(v);
        *set = true;
      }
    };
    place(lower, &lower_rank, &lower_set);
    place(upper, &upper_rank, &upper_set);
    if (lower_set && upper_set) break;
    rank += b.count;
  }
  double count = h.count;
  if (std::isnan(h.sum)) {
    count = NanCount(buckets);
    if (count < h.count) annotations->FractionNan(metric, pos);
  }
  if (!lower_set || lower_rank > count) lower_rank = count;
  if (!upper_set || upper_rank > count) upper_rank = count;
  return (upper_rank - lower_rank) / h.count;
}

model::HistogramPtr Interpolate(Annotations& annotations, std::string_view metric, ByteRange pos,
                                const Histogram& a, model::Timestamp ta, const Histogram& b,
                                model::Timestamp tb, model::Timestamp t, bool counter) {
  if (t == ta) return std::make_shared<Histogram>(a);
  if (t == tb) return std::make_shared<Histogram>(b);
  const double fraction = static_cast<double>(t - ta) / static_cast<double>(tb - ta);
  if (counter && DetectReset(b, a)) return Scaled(b, fraction);
  HistogramSum sum(b);
  const auto subtracted = sum.Subtract(a);
  if (!subtracted.compatible) {
    annotations.MixedExponentialCustom(metric, pos);
    return nullptr;
  }
  if (subtracted.reconciled) {
    annotations.MismatchedCustomBuckets(HistogramOperation::kSubtraction, pos);
  }
  sum.Multiply(fraction);
  if (sum.Add(a).reconciled) annotations.MismatchedCustomBuckets(HistogramOperation::kAddition, pos);
  return sum.Build();
}

model::HistogramPtr InterpolateForSelector(Annotations& annotations, std::string_view metric,
                                           ByteRange pos, const Histogram& a, model::Timestamp ta,
                                           const Histogram& b, model::Timestamp tb,
                                           model::Timestamp t) {
  if (a.uses_custom_buckets() != b.uses_custom_buckets()) {
    annotations.MixedExponentialCustom(metric, pos);
    return nullptr;
  }
  const bool counter =
      a.counter_reset != CounterReset::kGauge || b.counter_reset != CounterReset::kGauge;
  return Interpolate(annotations, metric, pos, a, ta, b, tb, t, counter);
}

namespace {

double Middle(double lower, double upper, bool positive, bool linear) {
  if (std::isinf(lower)) {
    if (std::isinf(upper)) return 0;
    return upper > 0 ? upper / 2 : upper;
  }
  if (std::isinf(upper)) return lower;
  if (linear) return (lower + upper) / 2;
  const double mean = std::sqrt(std::fabs(lower * upper));
  return positive ? mean : -mean;
}

struct Kept {
  double count = 0;
  double middle = 0;
};

// A bucket with an infinite bound tells little of where its observations are: what may lie on the
// wrong side goes.
Kept TrimInfinite(const HistogramBucket& b, double value, Trim trim) {
  const auto finite = [](double x) { return std::isinf(x) ? 0 : x; };
  if (std::isinf(b.lower)) {
    if (trim == Trim::kUpper) {
      if (value >= b.upper) return {b.count, 0};
      if (value > 0 && b.upper > 0 && !std::isinf(b.upper)) {
        return {b.count * value / b.upper, value / 2};
      }
      if (b.upper <= 0) return {b.count, value};
      return {0, finite(b.upper)};
    }
    if (value <= b.lower) return {b.count, 0};
    if (value >= 0 && b.upper > value && !std::isinf(b.upper)) {
      return {b.count * (1 - value / b.upper), (value + b.upper) / 2};
    }
    return {0, finite(b.upper)};
  }
  if (trim == Trim::kUpper) return {0, finite(b.lower)};
  if (value >= b.lower) return {b.count, value};
  return {0, finite(b.lower)};
}

Kept TrimBucket(const HistogramBucket& b, double value, Trim trim, bool positive, bool linear) {
  const bool below = b.upper <= value;
  const bool above = b.lower >= value;
  if (trim == Trim::kUpper ? below : above) {
    return {b.count, Middle(b.lower, b.upper, positive, linear)};
  }
  if (trim == Trim::kUpper ? above : below) return {0, 0};
  if (std::isinf(b.lower) || std::isinf(b.upper)) return TrimInfinite(b, value, trim);
  const double under = b.count * FractionBelow(b, value, linear);
  if (trim == Trim::kUpper) return {under, Middle(b.lower, value, positive, linear)};
  return {b.count - under, Middle(value, b.upper, positive, linear)};
}

Kept TrimZero(const Histogram& h, double value, Trim trim, bool has_negative, bool has_positive) {
  double lower = has_positive && !has_negative ? 0 : -h.zero_threshold;
  double upper = has_negative && !has_positive ? 0 : h.zero_threshold;
  const Kept all{h.zero_count, (lower + upper) / 2};
  if (trim == Trim::kUpper) {
    if (value <= lower) return {};
    if (value >= upper) return all;
    return {h.zero_count * ((value - lower) / (upper - lower)), (lower + value) / 2};
  }
  if (value <= lower) return all;
  if (value >= upper) return {};
  return {h.zero_count * ((upper - value) / (upper - lower)), (value + upper) / 2};
}

}  // namespace

model::HistogramPtr Trimmed(const Histogram& h, double value, Trim trim) {
  auto out = std::make_shared<Histogram>(h);
  const bool custom = h.uses_custom_buckets();
  double count = 0;
  double sum = 0;
  bool trimmed = false;
  bool has[2] = {false, false};
  for (const bool positive : {true, false}) {
    std::vector<double>& buckets = positive ? out->positive_buckets : out->negative_buckets;
    size_t at = 0;
    ForEachBucket(positive ? h.positive_spans : h.negative_spans,
                  positive ? h.positive_buckets : h.negative_buckets, [&](int32_t i, double n) {
      const size_t k = at++;
      if (n == 0) return;
      has[positive ? 1 : 0] = true;
      HistogramBucket b;
      b.count = n;
      if (custom) {
        const auto u = static_cast<size_t>(i);
        b.lower = i == 0 ? -kInfinity : h.custom_values[u - 1];
        b.upper = u < h.custom_values.size() ? h.custom_values[u] : kInfinity;
      } else if (positive) {
        b.lower = BucketBound(i - 1, h.schema);
        b.upper = BucketBound(i, h.schema);
      } else {
        b.lower = -BucketBound(i, h.schema);
        b.upper = -BucketBound(i - 1, h.schema);
      }
      const Kept kept = TrimBucket(b, value, trim, positive, custom);
      count += kept.count;
      if (kept.count != 0) sum += kept.middle * kept.count;
      if (kept.count != n) {
        buckets[k] = kept.count;
        trimmed = true;
      }
    });
  }
  if (h.zero_count > 0) {
    const Kept kept = TrimZero(h, value, trim, has[0], has[1]);
    if (kept.count != h.zero_count) {
      out->zero_count = kept.count;
      trimmed = true;
    }
    sum += kept.middle * kept.count;
    count += kept.count;
  }
  if (trimmed) {
    out->count = count;
    out->sum = sum;
    return HistogramSum(*out).Build();
  }
  return out;
}

}  // namespace tocsin::promql::exec
