#include "promql/exec/histogram_math.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tocsin::promql::exec {
namespace {

using model::Histogram;

Histogram Exponential(int32_t schema, int32_t offset, std::vector<double> buckets, double sum) {
  Histogram h;
  h.schema = schema;
  h.sum = sum;
  h.positive_spans = {{.offset = offset, .length = static_cast<uint32_t>(buckets.size())}};
  for (double b : buckets) h.count += b;
  h.positive_buckets = std::move(buckets);
  return h;
}

Histogram Custom(std::vector<double> bounds, std::vector<double> buckets) {
  Histogram h = Exponential(model::kCustomBucketsSchema, 0, std::move(buckets), 1);
  h.custom_values = std::move(bounds);
  return h;
}

TEST(HistogramSumTest, AddsBucketsByTheirPlace) {
  HistogramSum sum(Exponential(0, 0, {1, 2}, 3));
  EXPECT_TRUE(sum.Add(Exponential(0, 1, {10, 20}, 4)).compatible);
  const model::HistogramPtr h = sum.Build();
  EXPECT_EQ(h->positive_buckets, (std::vector<double>{1, 12, 20}));
  EXPECT_EQ(h->count, 33);
  EXPECT_EQ(h->sum, 7);
}

TEST(HistogramSumTest, TakesTheLowerResolution) {
  HistogramSum sum(Exponential(1, 1, {1, 2, 4, 8}, 0));
  EXPECT_TRUE(sum.Add(Exponential(0, 1, {100}, 0)).compatible);
  const model::HistogramPtr h = sum.Build();
  EXPECT_EQ(h->schema, 0);
  EXPECT_EQ(h->positive_buckets, (std::vector<double>{103, 12}));
}

TEST(HistogramSumTest, WidensTheZeroBucketPastPopulatedOnes) {
  Histogram narrow = Exponential(0, 1, {5}, 0);  // (1, 2]
  Histogram wide;
  wide.zero_threshold = 1.5;
  wide.zero_count = 7;
  wide.count = 7;
  HistogramSum sum(narrow);
  EXPECT_TRUE(sum.Add(wide).compatible);
  const model::HistogramPtr h = sum.Build();
  EXPECT_EQ(h->zero_threshold, 2);
  EXPECT_EQ(h->zero_count, 12);
  EXPECT_TRUE(h->positive_buckets.empty());
}

TEST(HistogramSumTest, ReducesCustomBoundsToTheCommonOnes) {
  HistogramSum sum(Custom({1, 5, 10}, {1, 2, 3, 4}));
  const auto added = sum.Add(Custom({1, 10}, {10, 20, 30}));
  EXPECT_TRUE(added.reconciled);
  const model::HistogramPtr h = sum.Build();
  EXPECT_EQ(h->custom_values, (std::vector<double>{1, 10}));
  EXPECT_EQ(h->positive_buckets, (std::vector<double>{11, 25, 34}));
}

TEST(HistogramSumTest, ExponentialAndCustomDoNotMix) {
  HistogramSum sum(Exponential(0, 0, {1}, 0));
  EXPECT_FALSE(sum.Add(Custom({1}, {1, 2})).compatible);
}

TEST(HistogramSumTest, ContradictingResetsAreACollision) {
  Histogram reset = Exponential(0, 0, {1}, 0);
  reset.counter_reset = model::CounterReset::kReset;
  Histogram not_reset = reset;
  not_reset.counter_reset = model::CounterReset::kNotReset;
  HistogramSum sum(reset);
  EXPECT_TRUE(sum.Add(not_reset).collision);
  EXPECT_EQ(sum.Build()->counter_reset, model::CounterReset::kUnknown);
}

TEST(DetectResetTest, AnyBucketThatShrinksIsAReset) {
  const Histogram before = Exponential(0, 0, {1, 5}, 0);
  EXPECT_FALSE(DetectReset(Exponential(0, 0, {1, 5, 1}, 0), before));
  EXPECT_TRUE(DetectReset(Exponential(0, 0, {9, 4}, 0), before));
  EXPECT_TRUE(DetectReset(Exponential(1, 0, {9, 9, 9}, 0), before)) << "a finer schema";
  EXPECT_FALSE(DetectReset(Exponential(-1, 0, {1, 5}, 0), before)) << "a coarser schema";
}

TEST(HistogramQuantileTest, InterpolatesExponentially) {
  Annotations annotations;
  const Histogram h = Exponential(0, 1, {10}, 15);  // (1, 2]
  EXPECT_NEAR(HistogramQuantile(0.5, h, "", {}, &annotations), std::sqrt(2.0), 1e-12);
  EXPECT_EQ(HistogramQuantile(-1, h, "", {}, &annotations), -INFINITY);
  EXPECT_TRUE(std::isnan(HistogramQuantile(0.5, Histogram(), "", {}, &annotations)));
}

TEST(HistogramFractionTest, IsTheInverseOfTheQuantile) {
  Annotations annotations;
  const Histogram h = Exponential(1, -3, {4, 3, 2, 7, 1}, 15);
  for (double q : {0.1, 0.4, 0.77, 0.93}) {
    const double v = HistogramQuantile(q, h, "", {}, &annotations);
    EXPECT_NEAR(HistogramFraction(-INFINITY, v, h, "", {}, &annotations), q, 1e-9);
  }
}

TEST(TrimmedTest, KeepsWhatIsOnTheRightSide) {
  const Histogram h = Exponential(0, 1, {10, 20, 30}, 200);  // (1,2] (2,4] (4,8]
  EXPECT_EQ(Trimmed(h, 4, Trim::kUpper)->count, 30);
  EXPECT_EQ(Trimmed(h, 4, Trim::kLower)->count, 30);
  EXPECT_EQ(Trimmed(h, 100, Trim::kUpper)->sum, 200) << "nothing trimmed, nothing estimated";
}

}  // namespace
}  // namespace tocsin::promql::exec
