#pragma once

// Warnings and infos of a run.  Two with the same text are one, shown at the place of the later, as
// in Prometheus.  Texts: Prometheus 3.14, util/annotations.
//
// Threads: one.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model/sample.h"
#include "promql/parse/ast.h"

namespace tocsin::promql::exec {

enum class HistogramOperation { kAddition, kSubtraction, kAggregation };

class Annotations {
 public:
  void InvalidQuantile(double q, ByteRange pos);
  void InvalidRatio(double ratio, double capped, ByteRange pos);
  void BadBucketLabel(std::string_view metric, std::string_view value, ByteRange pos);
  void MixedFloatsHistograms(std::string_view metric, ByteRange pos);
  void MixedFloatsHistogramsInAggregation(ByteRange pos);
  void MixedClassicNative(std::string_view metric, ByteRange pos);
  void NativeNotCounter(std::string_view metric, ByteRange pos);
  void NativeNotGauge(std::string_view metric, ByteRange pos);
  void MixedExponentialCustom(std::string_view metric, ByteRange pos);
  void IncompatibleBucketLayout(std::string_view op, ByteRange pos);
  void SortInRangeQuery(ByteRange pos);
  void StartTimeOverlap(std::string_view metric, ByteRange pos);
  void CounterResetCollision(HistogramOperation operation, ByteRange pos);

  void PossibleNonCounter(std::string_view metric, ByteRange pos);
  void PossibleNonCounterType(std::string_view metric, std::string_view type, ByteRange pos);
  void IncompatibleTypes(std::string_view left, std::string_view op, std::string_view right,
                         ByteRange pos);
  void HistogramIgnoredInAggregation(std::string_view aggregation, ByteRange pos);
  void HistogramIgnoredInMixedRange(std::string_view metric, ByteRange pos);
  void QuantileNanResult(std::string_view metric, ByteRange pos);
  void QuantileNanSkew(std::string_view metric, ByteRange pos);
  void FractionNan(std::string_view metric, ByteRange pos);
  void MismatchedCustomBuckets(HistogramOperation operation, ByteRange pos);

  // histogram_quantile made the buckets monotonic: all of one metric are shown as one.
  struct Forced {
    model::Timestamp t = 0;
    double min_bucket = 0;
    double max_bucket = 0;
    double max_diff = 0;
  };
  void ForcedMonotonicity(std::string_view metric, const Forced& forced, ByteRange pos);

  bool empty() const { return entries_.empty(); }
  // Adds those of a part of the run, as if they were found now and `shift` bytes further on.
  void AddAll(const Annotations& part, int32_t shift);

  // With positions as "line:column" of `text`, in order of first appearance.
  std::vector<std::string> Warnings(std::string_view text) const { return Render(true, text); }
  std::vector<std::string> Infos(std::string_view text) const { return Render(false, text); }

 private:
  struct Entry {
    std::string text;
    bool warning = false;
    ByteRange pos;
    bool forced = false;
    Forced range{};
    model::Timestamp last_t = 0;
    int count = 0;           // of forced, and of overlaps
    bool counted = false;    // shown with the count
  };
  Entry& Add(bool warning, std::string text, ByteRange pos);
  static void Widen(const Forced& forced, model::Timestamp last_t, Entry* e);
  std::vector<std::string> Render(bool warnings, std::string_view text) const;

  std::vector<Entry> entries_;
  std::map<std::string, size_t, std::less<>> by_text_;
};

}  // namespace tocsin::promql::exec
