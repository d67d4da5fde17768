// The engine over a storage in memory: errors and their codes, limits, prepared queries, blocks.

#include "promql/engine.h"

#include <gtest/gtest.h>

#include <map>

#include "memory_storage.h"

namespace tocsin::promqltest {
namespace {

using promql::Engine;
using promql::EngineOptions;
using std::chrono::milliseconds;

constexpr int64_t kMinute = 60'000;

// Series x{i="0"...} with a sample a minute, and y.
void Fill(MemoryStorage* storage, int series, int samples) {
  for (int i = 0; i < series; ++i) {
    for (const char* name : {"x_total", "y"}) {
      const auto labels =
          model::Labels::FromPairs({{"__name__", name}, {"i", std::to_string(i)}, {"g", i % 2 ? "odd" : "even"}});
      for (int k = 0; k < samples; ++k) {
        ASSERT_TRUE(storage->Append(labels, k * kMinute, (i + 1.0) * k, nullptr));
      }
    }
  }
}

TEST(EngineTest, ErrorsHaveTheCodesThatTheApiMaps) {
  MemoryStorage storage;
  Fill(&storage, 3, 10);
  Engine engine({});
  auto parse = engine.Instant(&storage, "sum(", 0);
  ASSERT_FALSE(parse);
  EXPECT_EQ(parse.error().code(), base::Code::kInvalidArgument);
  auto matching = engine.Instant(&storage, "x_total + on (g) y", 5 * kMinute);
  ASSERT_FALSE(matching);
  EXPECT_EQ(matching.error().code(), base::Code::kFailedPrecondition);
  EXPECT_EQ(matching.error().message(),
            "found duplicate series for the match group {g=\"even\"} on the right hand-side of the "
            "operation: [{__name__=\"y\", g=\"even\", i=\"0\"}, {__name__=\"y\", g=\"even\", "
            "i=\"2\"}];many-to-many matching not allowed: matching labels must be unique on one "
            "side");
  auto range = engine.Range(&storage, "x_total[5m]", {0, kMinute, milliseconds(1000)});
  ASSERT_FALSE(range);
  EXPECT_EQ(range.error().code(), base::Code::kInvalidArgument);
}

TEST(EngineTest, TooManySamplesAreRefusedWithPrometheussWords) {
  MemoryStorage storage;
  Fill(&storage, 20, 10);
  EngineOptions options;
  options.max_samples = 10;
  Engine engine(options);
  auto result = engine.Instant(&storage, "x_total", 5 * kMinute);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message(),
            "query processing would load too many samples into memory in query execution");
  EXPECT_TRUE(engine.Instant(&storage, "x_total{i=\"1\"}", 5 * kMinute));
}

TEST(EngineTest, ACancelledQueryStops) {
  MemoryStorage storage;
  Fill(&storage, 3, 10);
  Engine engine({});
  std::atomic<bool> cancelled = true;
  auto result = engine.Instant(&storage, "x_total", 0, {.cancelled = &cancelled});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), base::Code::kCancelled);
}

TEST(EngineTest, APreparedQueryRunsAtManyTimes) {
  MemoryStorage storage;
  Fill(&storage, 1, 10);
  Engine engine({});
  auto query = engine.Prepare("x_total * 2");
  ASSERT_TRUE(query);
  EXPECT_EQ(query->type(), promql::ValueType::kVector);
  for (int k = 0; k < 10; ++k) {
    auto result = query->Run(&storage, k * kMinute);
    ASSERT_TRUE(result);
    const auto& vector = std::get<promql::Vector>(result->value);
    ASSERT_EQ(vector.size(), 1u);
    EXPECT_EQ(vector[0].v, 2 * k);
    EXPECT_EQ(vector[0].t, k * kMinute);
  }
}

TEST(EngineTest, ARangeQueryGivesWhatInstantQueriesGive) {
  MemoryStorage storage;
  Fill(&storage, 5, 60);
  Engine engine({});
  for (const char* text :
       {"x_total", "sum by (g) (rate(x_total[7m]))", "x_total / (y + 1)", "topk(2, x_total)",
        "avg_over_time(y[20m])", "max_over_time(sum(y)[10m:2m])", "x_total > 50 or y < 20",
        "count_values(\"v\", y)", "quantile(0.3, y) + scalar(sum(y))", "y offset 5m",
        "y @ 600", "absent(nothing)", "histogram_quantile(0.5, nothing)", "time() - timestamp(y)",
        "label_replace(y, \"j\", \"$1\", \"i\", \"(.*)\") * on (i) group_left (g) x_total"}) {
    auto range = engine.Range(&storage, text, {0, 59 * kMinute, milliseconds(90'000)});
    ASSERT_TRUE(range) << text << ": " << range.error().message();
    std::map<model::Timestamp, std::map<std::string, double>> by_time;
    for (const auto& series : std::get<promql::Matrix>(range->value)) {
      for (const auto& p : series.floats) by_time[p.t][series.labels.ToString()] = p.v;
    }
    for (model::Timestamp t = 0; t <= 59 * kMinute; t += 90'000) {
      auto instant = engine.Instant(&storage, text, t);
      ASSERT_TRUE(instant) << text;
      std::map<std::string, double> at;
      for (const auto& s : std::get<promql::Vector>(instant->value)) at[s.labels.ToString()] = s.v;
      EXPECT_EQ(by_time[t], at) << text << " at " << t;
    }
  }
}

TEST(EngineTest, OrderIsKeptThroughFunctionsOfValues) {
  MemoryStorage storage;
  Fill(&storage, 4, 10);
  Engine engine({});
  auto result = engine.Instant(&storage, "sort_desc(y) * 1", 5 * kMinute);
  ASSERT_TRUE(result);
  const auto& vector = std::get<promql::Vector>(result->value);
  ASSERT_EQ(vector.size(), 4u);
  for (size_t i = 1; i < vector.size(); ++i) EXPECT_GT(vector[i - 1].v, vector[i].v);
}

TEST(EngineTest, EqualNamelessSeriesAreAnErrorUnlessNeverTogether) {
  MemoryStorage storage;
  Fill(&storage, 1, 10);
  for (const bool delayed : {false, true}) {
    EngineOptions options;
    options.delayed_name_removal = delayed;
    Engine engine(options);
    auto result = engine.Instant(&storage, "abs({i=\"0\"})", kMinute);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().message(), "vector cannot contain metrics with the same labelset");
  }
}

TEST(LimitAnnotationsTest, SaysHowManyAreLeftOut) {
  promql::QueryResult result;
  result.warnings = {"a", "b", "c"};
  result.infos = {"d"};
  promql::LimitAnnotations(1, &result);
  EXPECT_EQ(result.warnings,
            (std::vector<std::string>{"a", "2 more warning annotations omitted"}));
  EXPECT_EQ(result.infos, (std::vector<std::string>{"d"}));
}

}  // namespace
}  // namespace tocsin::promqltest
