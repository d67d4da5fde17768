#include "promql/parse/histogram_notation.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

namespace tocsin::promql {
namespace {

using model::Histogram;
using model::Span;

// Buckets by index.  Ordered, so that spans come out in order.
using Buckets = std::map<int32_t, double>;

void AddTo(const std::vector<Span>& spans, const std::vector<double>& counts, double sign,
           int32_t schema_difference, Buckets* out) {
  int32_t index = 0;
  size_t next = 0;
  for (const Span& span : spans) {
    index += span.offset;
    for (uint32_t i = 0; i < span.length && next < counts.size(); ++i, ++index, ++next) {
      // A bucket of a finer schema lies in the one that its upper bound falls into.
      int32_t target = ((index - 1) >> schema_difference) + 1;
      (*out)[target] += sign * counts[next];
    }
  }
}

// Moves what lies within the zero bucket into it.
void Absorb(int32_t schema, double threshold, Buckets* buckets, double* zero_count) {
  while (!buckets->empty() && model::BucketBound(schema, buckets->begin()->first, {}) <= threshold) {
    *zero_count += buckets->begin()->second;
    buckets->erase(buckets->begin());
  }
}

void Spread(const Buckets& buckets, std::vector<Span>* spans, std::vector<double>* counts) {
  spans->clear();
  counts->clear();
  int32_t next = 0;
  for (const auto& [index, count] : buckets) {
    if (spans->empty() || index != next) {
      spans->push_back({.offset = spans->empty() ? index : index - next, .length = 0});
    }
    ++spans->back().length;
    counts->push_back(count);
    next = index + 1;
  }
}

model::CounterReset JoinHints(model::CounterReset a, model::CounterReset b) {
  if (a == b) return a;
  if (a == model::CounterReset::kGauge || b == model::CounterReset::kGauge) {
    return model::CounterReset::kGauge;
  }
  return model::CounterReset::kUnknown;
}

}  // namespace

model::HistogramPtr MakeHistogram(const HistogramFields& fields) {
  auto h = std::make_shared<Histogram>();
  h->schema = static_cast<int32_t>(fields.schema);
  h->sum = fields.sum;
  h->count = fields.count;
  h->zero_count = fields.zero_count;
  h->zero_threshold = fields.zero_threshold;
  h->custom_values = fields.custom_values;
  h->counter_reset = fields.counter_reset.value_or(model::CounterReset::kUnknown);
  h->positive_buckets = fields.buckets;
  h->negative_buckets = fields.negative_buckets;
  auto span = [](int64_t offset, size_t length) {
    return std::vector<Span>{{static_cast<int32_t>(offset), static_cast<uint32_t>(length)}};
  };
  if (!fields.buckets.empty()) h->positive_spans = span(fields.offset, fields.buckets.size());
  if (!fields.negative_buckets.empty()) {
    h->negative_spans = span(fields.negative_offset, fields.negative_buckets.size());
  }
  return h;
}

base::Result<Histogram> AddHistograms(const Histogram& a, const Histogram& b, double sign) {
  if (a.schema > b.schema) {
    return base::InvalidArgument(
        fmt::format("error combining histograms: cannot merge from schema {} to {}", b.schema,
                    a.schema));
  }
  if (a.uses_custom_buckets() != b.uses_custom_buckets()) {
    return base::InvalidArgument(
        "error combining histograms: cannot combine exponential and custom buckets");
  }
  if (a.custom_values != b.custom_values) {
    return base::InvalidArgument(
        "error combining histograms: their custom_values are not the same");
  }
  Histogram out = a;
  out.counter_reset = JoinHints(a.counter_reset, b.counter_reset);
  out.count += sign * b.count;
  out.sum += sign * b.sum;
  Buckets positive;
  Buckets negative;
  // Beyond the widest difference of schemas there is nothing to shift.
  int32_t difference = std::min(b.schema - a.schema, 30);
  AddTo(a.positive_spans, a.positive_buckets, 1, 0, &positive);
  AddTo(a.negative_spans, a.negative_buckets, 1, 0, &negative);
  AddTo(b.positive_spans, b.positive_buckets, sign, difference, &positive);
  AddTo(b.negative_spans, b.negative_buckets, sign, difference, &negative);
  if (!out.uses_custom_buckets()) {
    out.zero_count += sign * b.zero_count;
    out.zero_threshold = std::max(a.zero_threshold, b.zero_threshold);
    if (a.zero_threshold != b.zero_threshold) {
      Absorb(out.schema, out.zero_threshold, &positive, &out.zero_count);
      Absorb(out.schema, out.zero_threshold, &negative, &out.zero_count);
    }
  }
  Spread(positive, &out.positive_spans, &out.positive_buckets);
  Spread(negative, &out.negative_spans, &out.negative_buckets);
  return out;
}

}  // namespace tocsin::promql
