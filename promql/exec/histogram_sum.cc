// Adding histograms: both sides are lists of (index, count), merged by index.

#include <algorithm>
#include <cmath>
#include <limits>

#include "promql/exec/histogram_buckets.h"
#include "promql/exec/histogram_math.h"
#include "promql/exec/kahan.h"

namespace tocsin::promql::exec {

using model::CounterReset;
using model::Histogram;

void HistogramSum::Number::Add(double x) { KahanAdd(x, &value, &c); }
double HistogramSum::Number::total() const { return IsInfinite(value) ? value : value + c; }

HistogramSum::HistogramSum(const Histogram& h)
    : counter_reset_(h.counter_reset),
      schema_(h.schema),
      zero_threshold_(h.zero_threshold),
      zero_{h.zero_count, 0},
      count_{h.count, 0},
      sum_{h.sum, 0},
      positive_(Decode(h.positive_spans, h.positive_buckets)),
      negative_(Decode(h.negative_spans, h.negative_buckets)),
      custom_values_(h.custom_values) {}

HistogramSum::Side HistogramSum::Decode(const std::vector<model::Span>& spans,
                                        const std::vector<double>& buckets) {
  Side side;
  side.reserve(buckets.size());
  ForEachBucket(spans, buckets,
                [&](int32_t index, double n) { side.push_back({index, {n, 0}}); });
  return side;
}

void HistogramSum::Reduce(Side* side, int32_t from, int32_t to) {
  size_t out = 0;
  for (size_t i = 0; i < side->size(); ++i) {
    Bucket b = (*side)[i];
    b.index = ReducedIndex(b.index, from, to);
    if (out > 0 && (*side)[out - 1].index == b.index) {
      (*side)[out - 1].n.Add(b.n.value);
      (*side)[out - 1].n.Add(b.n.c);
    } else {
      (*side)[out++] = b;
    }
  }
  side->resize(out);
}

void HistogramSum::Merge(Side* side, const Side& other, double sign) {
  Side merged;
  merged.reserve(side->size() + other.size());
  size_t i = 0;
  for (const Bucket& b : other) {
    while (i < side->size() && (*side)[i].index < b.index) merged.push_back((*side)[i++]);
    if (i < side->size() && (*side)[i].index == b.index) {
      merged.push_back((*side)[i++]);
    } else {
      merged.push_back({b.index, {}});
    }
    merged.back().n.Add(sign * b.n.value);
    if (b.n.c != 0) merged.back().n.Add(sign * b.n.c);
  }
  while (i < side->size()) merged.push_back((*side)[i++]);
  *side = std::move(merged);
}

void HistogramSum::Encode(const Side& side, std::vector<model::Span>* spans,
                          std::vector<double>* buckets) {
  int32_t next = 0;
  for (const Bucket& b : side) {
    const double n = b.n.total();
    if (n == 0) continue;
    if (!spans->empty() && next == b.index) {
      ++spans->back().length;
    } else {
      spans->push_back({.offset = b.index - next, .length = 1});
    }
    next = b.index + 1;
    buckets->push_back(n);
  }
}

bool HistogramSum::AdjustCounterReset(CounterReset other) {
  if (other == counter_reset_ || counter_reset_ == CounterReset::kGauge) return false;
  if (other == CounterReset::kGauge) {
    counter_reset_ = CounterReset::kGauge;
    return false;
  }
  const bool collision =
      counter_reset_ != CounterReset::kUnknown && other != CounterReset::kUnknown;
  counter_reset_ = CounterReset::kUnknown;
  return collision;
}

void HistogramSum::WidenZero(double threshold) {
  // A threshold inside a populated bucket moves to that bucket's bound, which may cut one of the
  // other side.
  for (bool moved = true; moved;) {
    moved = false;
    for (const Side* side : {&positive_, &negative_}) {
      for (const Bucket& b : *side) {
        const double lower = BucketBound(b.index - 1, schema_);
        const double upper = BucketBound(b.index, schema_);
        if (lower >= threshold) break;
        if (upper > threshold && b.n.total() != 0) {
          threshold = upper;
          moved = true;
        }
      }
    }
  }
  for (Side* side : {&positive_, &negative_}) {
    const int32_t schema = schema_;
    std::erase_if(*side, [&](const Bucket& b) {
      if (BucketBound(b.index - 1, schema) >= threshold) return false;
      zero_.Add(b.n.value);
      if (b.n.c != 0) zero_.Add(b.n.c);
      return true;
    });
  }
  zero_threshold_ = threshold;
}

void HistogramSum::MapToBounds(const std::vector<double>& bounds) {
  Side mapped;
  for (const Bucket& b : positive_) {
    size_t to = bounds.size();
    if (b.index >= 0 && static_cast<size_t>(b.index) < custom_values_.size()) {
      const double bound = custom_values_[static_cast<size_t>(b.index)];
      to = static_cast<size_t>(std::ranges::lower_bound(bounds, bound) - bounds.begin());
    }
    const auto index = static_cast<int32_t>(to);
    if (mapped.empty() || mapped.back().index != index) mapped.push_back({index, {}});
    mapped.back().n.Add(b.n.value);
    if (b.n.c != 0) mapped.back().n.Add(b.n.c);
  }
  positive_ = std::move(mapped);
  custom_values_ = bounds;
}

void HistogramSum::ReduceTo(int32_t schema) {
  if (schema >= schema_ || schema_ == model::kCustomBucketsSchema) return;
  Reduce(&positive_, schema_, schema);
  Reduce(&negative_, schema_, schema);
  schema_ = schema;
}

HistogramSum::AddResult HistogramSum::AddScaled(const Histogram& h, double sign) {
  AddResult result;
  const bool custom = schema_ == model::kCustomBucketsSchema;
  if (custom != h.uses_custom_buckets()) {
    result.compatible = false;
    return result;
  }
  result.collision = AdjustCounterReset(h.counter_reset);
  HistogramSum other(h);
  if (custom) {
    if (custom_values_ != h.custom_values) {
      result.reconciled = true;
      std::vector<double> common;
      std::ranges::set_intersection(custom_values_, h.custom_values, std::back_inserter(common));
      MapToBounds(common);
      other.MapToBounds(common);
    }
  } else {
    while (other.zero_threshold_ != zero_threshold_) {
      if (zero_threshold_ > other.zero_threshold_) {
        other.WidenZero(zero_threshold_);
      } else {
        WidenZero(other.zero_threshold_);
      }
    }
    zero_.Add(sign * other.zero_.value);
    if (other.zero_.c != 0) zero_.Add(sign * other.zero_.c);
    const int32_t schema = std::min(schema_, other.schema_);
    ReduceTo(schema);
    other.ReduceTo(schema);
  }
  count_.Add(sign * h.count);
  sum_.Add(sign * h.sum);
  Merge(&positive_, other.positive_, sign);
  Merge(&negative_, other.negative_, sign);
  return result;
}

void HistogramSum::Multiply(double factor) {
  const auto scale = [factor](Number& n) {
    n.value *= factor;
    n.c *= factor;
  };
  scale(zero_);
  scale(count_);
  scale(sum_);
  for (Side* side : {&positive_, &negative_}) {
    for (Bucket& b : *side) scale(b.n);
  }
  if (factor < 0) counter_reset_ = CounterReset::kGauge;
}

void HistogramSum::Divide(double divisor) {
  const auto scale = [divisor](Number& n) {
    n.value /= divisor;
    n.c = divisor == 0 ? 0 : n.c / divisor;
  };
  scale(zero_);
  scale(count_);
  scale(sum_);
  if (divisor == 0) {
    positive_.clear();
    negative_.clear();
    return;
  }
  for (Side* side : {&positive_, &negative_}) {
    for (Bucket& b : *side) scale(b.n);
  }
  if (divisor < 0) counter_reset_ = CounterReset::kGauge;
}

bool HistogramSum::HasOverflow() const {
  const auto infinite = [](const Number& n) { return std::isinf(n.value); };
  if (infinite(zero_) || infinite(count_) || infinite(sum_)) return true;
  for (const Side* side : {&positive_, &negative_}) {
    for (const Bucket& b : *side) {
      if (infinite(b.n)) return true;
    }
  }
  return false;
}

model::HistogramPtr HistogramSum::Build() const {
  auto h = std::make_shared<Histogram>();
  h->counter_reset = counter_reset_;
  h->schema = schema_;
  h->zero_threshold = zero_threshold_;
  h->zero_count = zero_.total();
  h->count = count_.total();
  h->sum = sum_.total();
  Encode(positive_, &h->positive_spans, &h->positive_buckets);
  Encode(negative_, &h->negative_spans, &h->negative_buckets);
  h->custom_values = custom_values_;
  return h;
}

model::HistogramPtr Scaled(const Histogram& h, double factor) {
  HistogramSum sum(h);
  sum.Multiply(factor);
  return sum.Build();
}

model::HistogramPtr Divided(const Histogram& h, double divisor) {
  HistogramSum sum(h);
  sum.Divide(divisor);
  return sum.Build();
}

model::HistogramPtr WithCounterReset(const model::HistogramPtr& h, CounterReset c) {
  if (h->counter_reset == c) return h;
  auto copy = std::make_shared<Histogram>(*h);
  copy->counter_reset = c;
  return copy;
}

}  // namespace tocsin::promql::exec
