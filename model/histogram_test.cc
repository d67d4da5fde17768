#include "model/histogram.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/number.h"

namespace tocsin::model {
namespace {

using ::testing::HasSubstr;

Histogram Example() {
  return {.integer = true,
          .schema = 0,
          .zero_threshold = 0.001,
          .zero_count = 1,
          .count = 9,
          .sum = 12.5,
          .positive_spans = {{0, 2}, {1, 1}},
          .negative_spans = {{1, 2}},
          .positive_buckets = {1, 0, 3},
          .negative_buckets = {2, 2}};
}

TEST(HistogramTest, IsPrintedFromTheLowestBucketWithoutEmptyOnes) {
  EXPECT_EQ(Example().ToString(), "{count:9, sum:12.5, [-4,-2):2, [-2,-1):2, [-0.001,0.001]:1, (0.5,1]:1, (4,8]:3}");
  Histogram custom{.schema = kCustomBucketsSchema,
                   .count = 6,
                   .sum = 7,
                   .positive_spans = {{0, 3}},
                   .positive_buckets = {1, 2, 3},
                   .custom_values = {5, 10}};
  EXPECT_EQ(custom.ToString(), "{count:6, sum:7, [-Inf,5]:1, (5,10]:2, (10,+Inf]:3}");
  EXPECT_EQ(Histogram().ToString(), "{count:0, sum:0}");
}

TEST(HistogramTest, BoundsAreThoseOfPrometheus) {
  struct Row {
    int32_t schema, index;
    const char* bound;
  };
  for (const Row& row : {
           Row{0, 0, "1"}, {0, 1, "2"}, {0, -1, "0.5"}, {-1, 1, "4"}, {-4, 1, "65536"}, {-4, 64, "1.7976931348623157e+308"},
           {0, 1024, "1.7976931348623157e+308"}, {0, 1025, "+Inf"}, {1, 1, "1.414213562373095"}, {1, -1, "0.7071067811865475"},
           {2, 3, "1.6817928305074288"}, {3, 7, "1.8340080864093422"}, {8, -1, "0.9972960560854698"}, {8, 256, "2"},
       }) {
    std::string bound = base::FormatG(BucketBound(row.schema, row.index, {}));
    EXPECT_EQ(bound, row.bound) << row.schema << " " << row.index;
  }
}

TEST(HistogramTest, WhatDisagreesIsRefusedWithPrometheussWords) {
  struct Row {
    void (*change)(Histogram*);
    const char* error;
  };
  for (const Row& row : {
           Row{[](Histogram* h) { h->positive_buckets.pop_back(); },
               "positive side: spans need 3 buckets, have 2 buckets: histogram spans specify different number of "
               "buckets than provided"},
           {[](Histogram* h) { h->negative_spans.push_back({-1, 0}); },
            "negative side: span number 2 with offset -1: histogram has a span whose offset is negative"},
           {[](Histogram* h) { h->negative_buckets[1] = -1; },
            "negative side: bucket number 2 has observation count of -1"},
           {[](Histogram* h) { h->positive_buckets[0] = -2; },
            "positive side: bucket number 1 has observation count of -2"},
           {[](Histogram* h) { h->count = 8; },
            "9 observations found in buckets, but the Count field is 8: histogram's observation count should equal"},
           {[](Histogram* h) { h->count = 8; h->sum = std::nan(""); }, "should be at least"},
           {[](Histogram* h) { h->schema = 9; }, "invalid schema"},
           {[](Histogram* h) { h->custom_values = {1}; }, "must not have custom bounds"},
           {[](Histogram* h) { h->zero_count = -1; }, "zero bucket has observation count of -1"},
           {[](Histogram* h) { h->integer = false; h->count = -1; }, "observation count is -1"},
           {[](Histogram* h) { h->schema = kCustomBucketsSchema; },
            "custom buckets: only 0 custom bounds defined which is insufficient to cover total span length of 4"},
       }) {
    Histogram h = Example();
    ASSERT_TRUE(h.Validate());
    row.change(&h);
    auto status = h.Validate();
    ASSERT_FALSE(status) << row.error;
    EXPECT_THAT(status.error().message(), HasSubstr(row.error));
  }
}

TEST(HistogramTest, CustomBoundsMustAscendAndBeFinite) {
  struct Row {
    std::vector<double> bounds;
    const char* error;
  };
  for (const Row& row : {Row{{1, 1}, "previous bound is 1.000000 and current is 1.000000"},
                         {{1, std::nan("")}, "must not be NaN"},
                         {{1, HUGE_VAL}, "must be finite"}}) {
    Histogram h{.schema = kCustomBucketsSchema, .custom_values = row.bounds};
    ASSERT_FALSE(h.Validate());
    EXPECT_THAT(h.Validate().error().message(), HasSubstr(row.error));
  }
}

TEST(HistogramTest, EqualityIsOfBits) {
  Histogram a = Example();
  Histogram b = Example();
  EXPECT_EQ(a, b);
  a.sum = b.sum = std::nan("");
  EXPECT_EQ(a, b);
  a.sum = StaleMarker();
  EXPECT_FALSE(a == b);
  EXPECT_TRUE(a.IsStale());
}

}  // namespace
}  // namespace tocsin::model
