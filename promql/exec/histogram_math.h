#pragma once

// Arithmetic on native histograms as PromQL does it: schemas are reduced to the lower one, zero
// buckets to the wider one, custom bounds to the common ones; sums are compensated.
// Source: Prometheus 3.14, model/histogram/float_histogram.go.
//
// Threads: free functions over immutable histograms; a HistogramSum belongs to one thread.

#include <string_view>
#include <vector>

#include "model/histogram.h"
#include "promql/exec/annotations.h"
#include "promql/exec/range_row.h"

namespace tocsin::promql::exec {

struct HistogramBucket {
  double lower = 0;
  double upper = 0;
  double count = 0;
  bool operator==(const HistogramBucket&) const = default;
};

// All buckets from the lowest to the highest, the zero bucket between the sides if it counts
// something; bounds within the zero bucket are moved to its edge.
void ListBuckets(const model::Histogram& h, std::vector<HistogramBucket>* out);

// A histogram that can be added to.
class HistogramSum {
 public:
  explicit HistogramSum(const model::Histogram& h);

  struct AddResult {
    bool compatible = true;   // false: one is exponential, the other has custom bounds; unchanged
    bool collision = false;   // of what they say about counter resets
    bool reconciled = false;  // custom bounds were reduced to the common ones
  };
  AddResult Add(const model::Histogram& other) { return AddScaled(other, 1); }
  AddResult Subtract(const model::Histogram& other) { return AddScaled(other, -1); }

  void Multiply(double factor);
  void Divide(double divisor);
  bool HasOverflow() const;
  void set_counter_reset(model::CounterReset c) { counter_reset_ = c; }
  double count() const { return count_.value + count_.c; }
  void ReduceTo(int32_t schema);

  // Without empty buckets.
  model::HistogramPtr Build() const;

 private:
  struct Number {
    double value = 0;
    double c = 0;
    void Add(double x);
    double total() const;
  };
  struct Bucket {
    int32_t index = 0;
    Number n;
  };
  using Side = std::vector<Bucket>;  // by index

  AddResult AddScaled(const model::Histogram& other, double sign);
  static Side Decode(const std::vector<model::Span>& spans, const std::vector<double>& buckets);
  static void Reduce(Side* side, int32_t from, int32_t to);
  static void Merge(Side* side, const Side& other, double sign);
  static void Encode(const Side& side, std::vector<model::Span>* spans,
                     std::vector<double>* buckets);
  // Widens the zero bucket to `threshold`, or further where that cuts a bucket in two.
  void WidenZero(double threshold);
  void MapToBounds(const std::vector<double>& bounds);
  bool AdjustCounterReset(model::CounterReset other);

  model::CounterReset counter_reset_;
  int32_t schema_;
  double zero_threshold_;
  Number zero_;
  Number count_;
  Number sum_;
  Side positive_;
  Side negative_;
  std::vector<double> custom_values_;
};

model::HistogramPtr Scaled(const model::Histogram& h, double factor);
model::HistogramPtr Divided(const model::Histogram& h, double divisor);
model::HistogramPtr WithCounterReset(const model::HistogramPtr& h, model::CounterReset c);
// Count and sum without buckets, with what can be said of a reset since `before` (null: nothing).
model::HistogramPtr StatsOnly(const model::Histogram& h, const model::Histogram* before);
// Observations below (kUpper) or above (kLower) a value only.
enum class Trim { kUpper, kLower };
model::HistogramPtr Trimmed(const model::Histogram& h, double value, Trim trim);

// Whether `h` cannot have followed `previous` without a reset.
bool DetectReset(const model::Histogram& h, const model::Histogram& previous);
// Equal as data: schema, bounds, count, sum and populated buckets, bit for bit.
bool SameHistogram(const model::Histogram& a, const model::Histogram& b);

double HistogramVariance(const model::Histogram& h);
double HistogramQuantile(double q, const model::Histogram& h, std::string_view metric,
                         ByteRange pos, Annotations* annotations);
double HistogramFraction(double lower, double upper, const model::Histogram& h,
                         std::string_view metric, ByteRange pos, Annotations* annotations);

// Between two histograms at time t; null (and an annotation) where they do not go together.
model::HistogramPtr Interpolate(Annotations& annotations, std::string_view metric, ByteRange pos,
                                const model::Histogram& a, model::Timestamp ta,
                                const model::Histogram& b, model::Timestamp tb, model::Timestamp t,
                                bool counter);
model::HistogramPtr InterpolateForSelector(Annotations& annotations, std::string_view metric,
                                           ByteRange pos, const model::Histogram& a,
                                           model::Timestamp ta, const model::Histogram& b,
                                           model::Timestamp tb, model::Timestamp t);

}  // namespace tocsin::promql::exec
