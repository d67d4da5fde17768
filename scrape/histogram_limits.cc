#include <algorithm>
#include <cmath>

#include "scrape/sources.h"

namespace tocsin::scrape {
namespace {

constexpr int32_t kMinSchema = -4;
constexpr int32_t kMaxSchema = 8;

// The finest schema whose buckets grow by at least `factor`.
int32_t SchemaFor(double factor) {
  if (factor <= 1) return kMaxSchema;
  const double floor = std::floor(-std::log2(std::log2(factor)));
  return static_cast<int32_t>(std::clamp<double>(floor, kMinSchema, kMaxSchema));
}

// Merges each 2^levels buckets into one.  Bucket i of a schema lies in bucket ceil(i / 2) of the
// next coarser one.
void Merge(int32_t levels, std::vector<model::Span>* spans, std::vector<double>* buckets) {
  std::vector<model::Span> merged_spans;
  std::vector<double> merged;
  int64_t index = 0;
  int64_t last = 0;
  size_t next = 0;
  for (const model::Span& span : *spans) {
    index += span.offset;
    for (uint32_t k = 0; k < span.length; ++k, ++index) {
      if (next >= buckets->size()) break;  // Validate() will say so
      const int64_t to = ((index - 1) >> levels) + 1;
      const double count = (*buckets)[next++];
      if (merged.empty()) {
        merged_spans.push_back({.offset = static_cast<int32_t>(to), .length = 1});
        merged.push_back(count);
      } else if (to == last) {
        merged.back() += count;
      } else {
        if (to == last + 1) {
          ++merged_spans.back().length;
        } else {
          merged_spans.push_back({.offset = static_cast<int32_t>(to - last - 1), .length = 1});
        }
        merged.push_back(count);
      }
      last = to;
    }
  }
  *spans = std::move(merged_spans);
  *buckets = std::move(merged);
}

void ReduceTo(int32_t schema, model::Histogram* h) {
  const int32_t levels = std::min(h->schema - schema, 62);
  Merge(levels, &h->positive_spans, &h->positive_buckets);
  Merge(levels, &h->negative_spans, &h->negative_buckets);
  h->schema = schema;
}

}  // namespace

model::HistogramPtr LimitBuckets(const model::HistogramPtr& histogram, uint64_t bucket_limit,
                                 double min_factor) {
  const auto over = [bucket_limit](const model::Histogram& h) {
    return bucket_limit > 0 && h.positive_buckets.size() + h.negative_buckets.size() > bucket_limit;
  };
  const bool exponential = !histogram->uses_custom_buckets();
  const int32_t max_schema = SchemaFor(min_factor);
  if (!over(*histogram) && (!exponential || histogram->schema <= max_schema)) return histogram;
  if (!exponential) return nullptr;
  auto limited = std::make_shared<model::Histogram>(*histogram);
  if (limited->schema > max_schema) ReduceTo(max_schema, limited.get());
  while (over(*limited)) {
    if (limited->schema <= kMinSchema) return nullptr;
    ReduceTo(limited->schema - 1, limited.get());
  }
  return limited;
}

}  // namespace tocsin::scrape
