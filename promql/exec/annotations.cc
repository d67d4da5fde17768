#include "promql/exec/annotations.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/duration.h"
#include "base/number.h"
#include "base/time.h"

namespace tocsin::promql::exec {
namespace {

constexpr std::string_view kWarning = "PromQL warning: ";
constexpr std::string_view kInfo = "PromQL info: ";

std::string ForMetric(std::string text, std::string_view metric) {
  if (!metric.empty()) text += " for metric name " + base::Quote(metric);
  return text;
}

std::string_view OperationName(HistogramOperation operation) {
  switch (operation) {
    case HistogramOperation::kAddition: return "addition";
    case HistogramOperation::kSubtraction: return "subtraction";
    case HistogramOperation::kAggregation: break;
  }
  return "aggregation";
}

std::string Place(std::string_view text, ByteRange pos) {
  if (pos.start < 0 || static_cast<size_t>(pos.start) > text.size()) return "invalid position";
  int line = 1;
  int column = pos.start + 1;
  for (int i = 0; i < pos.start; ++i) {
    if (text[static_cast<size_t>(i)] != '\n') continue;
    ++line;
    column = pos.start - i;
  }
  return fmt::format("{}:{}", line, column);
}

std::string Rfc3339Seconds(model::Timestamp t) {
  return base::FormatRfc3339(base::FromUnixMillis(t / 1000 * 1000));
}

}  // namespace

Annotations::Entry& Annotations::Add(bool warning, std::string text, ByteRange pos) {
  auto it = by_text_.find(text);
  if (it != by_text_.end()) {
    entries_[it->second].pos = pos;
    return entries_[it->second];
  }
  by_text_.emplace(text, entries_.size());
  Entry entry;
  entry.text = std::move(text);
  entry.warning = warning;
  entry.pos = pos;
  entries_.push_back(std::move(entry));
  return entries_.back();
}

void Annotations::InvalidQuantile(double q, ByteRange pos) {
  Add(true,
      fmt::format("{}quantile value should be between 0 and 1, got {}", kWarning, base::FormatG(q)),
      pos);
}
void Annotations::InvalidRatio(double ratio, double capped, ByteRange pos) {
  Add(true,
      fmt::format("{}ratio value should be between -1 and 1, got {}, capping to {}", kWarning,
                  base::FormatG(ratio), base::FormatG(capped)),
      pos);
}
void Annotations::BadBucketLabel(std::string_view metric, std::string_view value, ByteRange pos) {
  Add(true,
      ForMetric(fmt::format("{}bucket label \"le\" is missing or has a malformed value of {}",
                            kWarning, base::Quote(value)),
                metric),
      pos);
}
void Annotations::MixedFloatsHistograms(std::string_view metric, ByteRange pos) {
  Add(true,
      fmt::format("{}encountered a mix of histograms and floats for metric name {}", kWarning,
                  base::Quote(metric)),
      pos);
}
void Annotations::MixedFloatsHistogramsInAggregation(ByteRange pos) {
  Add(true, fmt::format("{}encountered a mix of histograms and floats for aggregation", kWarning),
      pos);
}
void Annotations::MixedClassicNative(std::string_view metric, ByteRange pos) {
  Add(true,
      ForMetric(fmt::format("{}vector contains a mix of classic and native histograms", kWarning),
                metric),
      pos);
}
void Annotations::NativeNotCounter(std::string_view metric, ByteRange pos) {
  Add(true,
      fmt::format("{}this native histogram metric is not a counter: {}", kWarning,
                  base::Quote(metric)),
      pos);
}
void Annotations::NativeNotGauge(std::string_view metric, ByteRange pos) {
  Add(true,
      fmt::format("{}this native histogram metric is not a gauge: {}", kWarning,
                  base::Quote(metric)),
      pos);
}
void Annotations::MixedExponentialCustom(std::string_view metric, ByteRange pos) {
  Add(true,
      fmt::format("{}vector contains a mix of histograms with exponential and custom buckets "
                  "schemas for metric name {}",
                  kWarning, base::Quote(metric)),
      pos);
}
void Annotations::IncompatibleBucketLayout(std::string_view op, ByteRange pos) {
  Add(true,
      fmt::format("{}incompatible bucket layout encountered for binary operator {}", kWarning, op),
      pos);
}
void Annotations::SortInRangeQuery(ByteRange pos) {
  Add(true,
      fmt::format("{}sort is ineffective for range queries since results are always ordered by "
                  "labels",
                  kWarning),
      pos);
}
void Annotations::CounterResetCollision(HistogramOperation operation, ByteRange pos) {
  Add(true,
      fmt::format("{}conflicting counter resets during histogram {}", kWarning,
                  OperationName(operation)),
      pos);
}
void Annotations::StartTimeOverlap(std::string_view metric, ByteRange pos) {
  Entry& e = Add(true,
                 fmt::format("{}sample has start time that overlaps with previous sample timestamp "
                             "for metric {}",
                             kWarning, base::Quote(metric)),
                 pos);
  e.counted = true;
  ++e.count;
}
void Annotations::PossibleNonCounter(std::string_view metric, ByteRange pos) {
  Add(false,
      fmt::format("{}metric might not be a counter, name does not end in "
                  "_total/_sum/_count/_bucket: {}",
                  kInfo, base::Quote(metric)),
      pos);
}
void Annotations::PossibleNonCounterType(std::string_view metric, std::string_view type,
                                         ByteRange pos) {
  Add(false,
      fmt::format("{}metric might not be a counter, __type__ label is not set to \"counter\" or "
                  "\"histogram\", got {}: {}",
                  kInfo, base::Quote(type), base::Quote(metric)),
      pos);
}
void Annotations::IncompatibleTypes(std::string_view left, std::string_view op,
                                    std::string_view right, ByteRange pos) {
  Add(false,
      fmt::format("{}incompatible sample types encountered for binary operator {}: {} {} {}", kInfo,
                  base::Quote(op), left, op, right),
      pos);
}
void Annotations::HistogramIgnoredInAggregation(std::string_view aggregation, ByteRange pos) {
  Add(false, fmt::format("{}ignored histogram in {} aggregation", kInfo, aggregation), pos);
}
void Annotations::HistogramIgnoredInMixedRange(std::string_view metric, ByteRange pos) {
  Add(false,
      fmt::format("{}ignored histograms in a range containing both floats and histograms for "
                  "metric name {}",
                  kInfo, base::Quote(metric)),
      pos);
}
void Annotations::QuantileNanResult(std::string_view metric, ByteRange pos) {
  Add(false,
      ForMetric(
          fmt::format("{}input to histogram_quantile has NaN observations, result is NaN", kInfo),
          metric),
      pos);
}
void Annotations::QuantileNanSkew(std::string_view metric, ByteRange pos) {
  Add(false,
      ForMetric(fmt::format("{}input to histogram_quantile has NaN observations, result is skewed "
                            "higher",
                            kInfo),
                metric),
      pos);
}
void Annotations::FractionNan(std::string_view metric, ByteRange pos) {
  Add(false,
      ForMetric(fmt::format("{}input to histogram_fraction has NaN observations, which are "
                            "excluded from all fractions",
                            kInfo),
                metric),
      pos);
}
void Annotations::MismatchedCustomBuckets(HistogramOperation operation, ByteRange pos) {
  Add(false,
      fmt::format("{}mismatched custom buckets were reconciled during {}", kInfo,
                  OperationName(operation)),
      pos);
}

void Annotations::AddAll(const Annotations& part, int32_t shift) {
  for (const Entry& found : part.entries_) {
    Entry& e = Add(found.warning, found.text, {found.pos.start + shift, found.pos.end + shift});
    if (found.forced) Widen(found.range, found.last_t, &e);
    e.counted = found.counted;
    e.count += found.count;
  }
}

void Annotations::Widen(const Forced& forced, model::Timestamp last_t, Entry* e) {
  if (!e->forced) {
    e->forced = true;
    e->range = forced;
    e->last_t = last_t;
    return;
  }
  e->range.t = std::min(e->range.t, forced.t);
  e->last_t = std::max(e->last_t, last_t);
  e->range.min_bucket = std::min(e->range.min_bucket, forced.min_bucket);
  e->range.max_bucket = std::max(e->range.max_bucket, forced.max_bucket);
  e->range.max_diff = std::max(e->range.max_diff, forced.max_diff);
}

void Annotations::ForcedMonotonicity(std::string_view metric, const Forced& forced, ByteRange pos) {
  Entry& e = Add(false,
                 ForMetric(fmt::format("{}input to histogram_quantile needed to be fixed for "
                                       "monotonicity (see "
                                       "https://prometheus.io/docs/prometheus/latest/querying/"
                                       "functions/#histogram_quantile)",
                                       kInfo),
                           metric),
                 pos);
  Widen(forced, forced.t, &e);
  ++e.count;
}

std::vector<std::string> Annotations::Render(bool warnings, std::string_view text) const {
  std::vector<std::string> out;
  for (const Entry& e : entries_) {
    if (e.warning != warnings) continue;
    if (e.forced) {
      out.push_back(fmt::format(
          "{}, from buckets {} to {}, with a max diff of {}, over {} samples from {} to {} ({})",
          e.text, base::FormatG(e.range.min_bucket), base::FormatG(e.range.max_bucket),
          base::FormatPrecision(e.range.max_diff, 'g', 2), e.count, Rfc3339Seconds(e.range.t),
          Rfc3339Seconds(e.last_t), Place(text, e.pos)));
    } else if (e.counted && e.count > 1) {
      out.push_back(
          fmt::format("{} ({} occurrences) ({})", e.text, e.count, Place(text, e.pos)));
    } else {
      out.push_back(fmt::format("{} ({})", e.text, Place(text, e.pos)));
    }
  }
  return out;
}

}  // namespace tocsin::promql::exec
