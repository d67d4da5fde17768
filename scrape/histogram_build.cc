#include "scrape/histogram_build.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/number.h"
#include "model/labels.h"

namespace tocsin::scrape {
namespace {

bool IsWhole(double v) { return v == std::round(v) && std::abs(v) < 9.2e18; }

void AppendQuoted(std::string_view text, std::string* out) {
  out->push_back('"');
  for (const char c : text) {
    if (c == '\n') {
      *out += "\\n";
    } else {
      if (c == '"' || c == '\\') out->push_back('\\');
      out->push_back(c);
    }
  }
  out->push_back('"');
}

}  // namespace

void CompactBuckets(size_t max_empty, std::vector<model::Span>* spans, std::vector<double>* buckets) {
  std::vector<model::Span> new_spans;
  std::vector<double> kept;
  int64_t index = 0;
  int64_t last = 0;  // index of the last bucket kept
  size_t next = 0;
  for (const model::Span& span : *spans) {
    index += span.offset;
    for (uint32_t k = 0; k < span.length && next < buckets->size(); ++k, ++index) {
      const double count = (*buckets)[next++];
      if (count == 0) continue;
      const int64_t gap = kept.empty() ? -1 : index - last - 1;
      if (gap >= 0 && gap <= static_cast<int64_t>(max_empty)) {
        new_spans.back().length += static_cast<uint32_t>(gap) + 1;
        kept.insert(kept.end(), static_cast<size_t>(gap), 0.0);
      } else {
        const int64_t offset = kept.empty() ? index : gap;
        new_spans.push_back({.offset = static_cast<int32_t>(offset), .length = 1});
      }
      kept.push_back(count);
      last = index;
    }
  }
  *spans = std::move(new_spans);
  *buckets = std::move(kept);
}

void ClassicHistogram::Fail(std::string message) {
  if (problem_.empty()) problem_ = std::move(message);
}

void ClassicHistogram::SetBucket(double upper_bound, double count) {
  if (std::isnan(upper_bound)) return Fail("bucket boundary must not be NaN");
  if (count < 0) {
    return Fail("bucket count must be non-negative: le=" + base::FormatG(upper_bound) +
                ", count=" + base::FormatG(count));
  }
  const auto at = std::lower_bound(buckets_.begin(), buckets_.end(), upper_bound,
                                   [](const Bucket& b, double bound) { return b.upper_bound < bound; });
  if (at != buckets_.end() && at->upper_bound == upper_bound) return;  // written twice
  if (at != buckets_.begin() && count < std::prev(at)->count) {
    return Fail("count is not cumulative: " + base::FormatG(count) + " < " +
                base::FormatG(std::prev(at)->count));
  }
  if (at != buckets_.end() && count > at->count) {
    return Fail("count is not cumulative: " + base::FormatG(count) + " > " + base::FormatG(at->count));
  }
  buckets_.insert(at, {upper_bound, count});
}

void ClassicHistogram::SetCount(double count) {
  if (count < 0) return Fail("count must be non-negative: count=" + base::FormatG(count));
  count_ = count;
  has_count_ = true;
}

base::Result<model::Histogram> ClassicHistogram::Convert() const {
  if (!problem_.empty()) return base::InvalidArgument(problem_);
  std::vector<Bucket> buckets = buckets_;
  const double count = !has_count_ && !buckets.empty() ? buckets.back().count : count_;
  constexpr double kInf = std::numeric_limits<double>::infinity();
  if (buckets.empty() || buckets.back().upper_bound != kInf) buckets.push_back({kInf, count});
  if (count != buckets.back().count) {
    return base::InvalidArgument("count mismatch: count=" + base::FormatG(count) + " != le=+Inf count=" +
                                 base::FormatG(buckets.back().count));
  }
  model::Histogram h;
  h.schema = model::kCustomBucketsSchema;
  h.count = count;
  h.sum = sum_;
  h.integer = IsWhole(count) && std::all_of(buckets.begin(), buckets.end(),
                                            [](const Bucket& b) { return IsWhole(b.count); });
  double before = 0;
  for (const Bucket& b : buckets) {
    h.positive_buckets.push_back(b.count - before);
    before = b.count;
    if (b.upper_bound != kInf) h.custom_values.push_back(b.upper_bound);
  }
  h.positive_spans = {{.offset = 0, .length = static_cast<uint32_t>(buckets.size())}};
  CompactBuckets(h.integer ? 2 : 0, &h.positive_spans, &h.positive_buckets);
  return h;
}

void AppendSeriesText(std::string_view name, const std::vector<std::pair<std::string, std::string>>& pairs,
                      std::string* out) {
  const bool plain = model::IsLegacyMetricName(name);
  if (plain) *out += name;
  if (plain && pairs.empty()) return;
  char open = '{';
  if (!plain) {
    out->push_back(std::exchange(open, ','));
    AppendQuoted(name, out);
  }
  for (const auto& [label, value] : pairs) {
    out->push_back(std::exchange(open, ','));
    if (model::IsLegacyLabelName(label)) {
      *out += label;
    } else {
      AppendQuoted(label, out);
    }
    out->push_back('=');
    AppendQuoted(value, out);
  }
  out->push_back('}');
}

}  // namespace tocsin::scrape
