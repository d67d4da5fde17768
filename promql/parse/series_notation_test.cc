#include "promql/parse/series_notation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace tocsin::promql {
namespace {

using ::testing::HasSubstr;

// Values as text: 1, _, stale, {...}.
std::string Show(std::string_view line) {
  auto series = ParseSeriesDescription(line);
  if (!series) return series.error().message();
  std::string out = series->labels.ToMetricString();
  for (const SequenceValue& v : series->values) {
    if (v.omitted) {
      out += " _";
    } else if (v.histogram != nullptr) {
      out += " h" + std::to_string(static_cast<int>(v.histogram->count));
    } else if (model::IsStale(v.value)) {
      out += " stale";
    } else {
      out += " " + std::to_string(static_cast<int>(v.value));
    }
  }
  return out;
}

TEST(SeriesNotationTest, LinesGiveLabelsAndValues) {
  struct Row {
    std::string_view line;
    std::string_view shown;
  };
  constexpr Row kRows[] = {
      {"up 1 2 3", "up 1 2 3"},
      {"up{a=\"b\",c='d'}  1\t2", "up{a=\"b\", c=\"d\"} 1 2"},
      {"up", "up"},
      {"up 0+10x3", "up 0 10 20 30"},
      {"up 5x2 _x2 stale", "up 5 5 5 _ _ stale"},
      {"up 10-5x2 -3", "up 10 5 0 -3"},
      {"sum{a=\"b\"} 1", "sum{a=\"b\"} 1"},
      {"up {{count:2}}x1 {{count:1}}+{{count:3}}x2", "up h2 h2 h1 h4 h7"},
      {"up {{count:5}}-{{count:2}}x1", "up h5 h3"},
  };
  for (const Row& row : kRows) EXPECT_EQ(Show(row.line), row.shown);
}

TEST(SeriesNotationTest, ErrorsSayWhereAndWhat) {
  struct Row {
    std::string_view line;
    std::string_view error;
  };
  constexpr Row kRows[] = {
      {"up 1+1", "1:7: parse error: unexpected end of input in series values"},
      {"up wrong", "1:4: parse error: unexpected identifier \"wrong\" in series values, expected "
                   "number or \"stale\""},
      {"up 1x1.5", "1:6: parse error: invalid repetition in series values: strconv.ParseUint: "
                   "parsing \"1.5\": invalid syntax"},
      {"up{a} 1", "1:5: parse error: unexpected \"}\" in label set, expected \"=\""},
      {"up{a=b} 1", "1:6: parse error: unexpected identifier \"b\" in label set, expected string"},
      {"up{a=\"b\" c=\"d\"} 1",
       "1:10: parse error: unexpected identifier \"c\" in label set, expected \",\" or \"}\""},
      {"up {{sum:1 what:2}}", "1:12: parse error: bad histogram descriptor found: \"what\""},
      {"up {{sum:1 5}}", "1:12: parse error: unexpected number \"5\" in histogram description, "
                         "expected histogram description key, e.g. buckets:[5 10 7]"},
      {"up 1x99999999999",
       "1:6: parse error: series has more than 1000000 values; use a longer interval, or fewer "
       "repetitions"},
  };
  for (const Row& row : kRows) EXPECT_EQ(Show(row.line), row.error) << row.line;
}

TEST(SeriesNotationTest, OnlyTheWantedValuesAreMade) {
  auto series = ParseSeriesDescription("up 1 2+2x99999999999 7", 4);
  ASSERT_TRUE(series) << series.error().message();
  ASSERT_EQ(series->values.size(), 4u);
  EXPECT_EQ(series->values[3].value, 6);
}

TEST(SeriesNotationTest, AHistogramKeepsItsFields) {
  auto series = ParseSeriesDescription(
      "x {{schema:-53 sum:5 count:4 custom_values:[5 10] buckets:[1 4] counter_reset_hint:gauge}}");
  ASSERT_TRUE(series) << series.error().message();
  const model::Histogram& h = *series->values[0].histogram;
  EXPECT_EQ(h.schema, -53);
  EXPECT_EQ(h.custom_values, (std::vector<double>{5, 10}));
  EXPECT_EQ(h.positive_spans, (std::vector<model::Span>{{0, 2}}));
  EXPECT_EQ(h.counter_reset, model::CounterReset::kGauge);
  EXPECT_TRUE(series->values[0].counter_reset_given);
}

TEST(SeriesNotationTest, AMetricIsReadAlone) {
  EXPECT_EQ(ParseMetric("up{a=\"b\"}")->ToMetricString(), "up{a=\"b\"}");
  EXPECT_EQ(ParseMetric("{\"a.b\", c=\"d\"}")->Get(model::kMetricName), "a.b");
  EXPECT_FALSE(ParseMetric("up 1"));
}

TEST(SeriesNotationTest, StartOffsetsSayWhatIsWrong) {
  EXPECT_THAT(ParseStartOffsets("-1m 5").error().message(), HasSubstr("start timestamp \"5\""));
  EXPECT_FALSE(ParseStartOffsets("1mx"));
  EXPECT_FALSE(ParseStartOffsets("-1mx99999999999"));
}

TEST(SeriesNotationTest, AnyBytesAreAnswered) {
  std::mt19937 random(7);
  constexpr std::string_view kPieces[] = {
      "{{", "}}", "{", "}", "up", " ", "1", "+", "-", "x", "_", "stale", "sum:", "buckets:", "[",
      "]",  "5",  ":", "schema:1", "count:2", "a=\"b\"", ",", "Inf", "nan", "offset:-3", "\xff"};
  for (int round = 0; round < 20000; ++round) {
    std::string text = random() % 2 == 0 ? "up " : "";
    int length = static_cast<int>(random() % 12);
    for (int i = 0; i < length; ++i) text += kPieces[random() % std::size(kPieces)];
    base::Ignore(ParseSeriesDescription(text));  // it must only not die
    base::Ignore(ParseMetric(text));
    base::Ignore(ParseStartOffsets(text));
  }
}

}  // namespace
}  // namespace tocsin::promql
