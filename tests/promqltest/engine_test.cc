// The engine over a storage in memory: errors and their codes, limits, prepared queries, blocks.

#include "promql/engine.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <numeric>
#include <vector>

#include "memory_storage.h"

namespace tocsin::promqltest {
namespace {

using promql::Engine;
using promql::EngineOptions;
using promql::QueryOptions;
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

TEST(EngineTest, SamplesAreCountedByStepAsPrometheusDoes) {
  MemoryStorage storage;
  for (const char* i : {"0", "1", "2"}) {
    const auto labels = model::Labels::FromPairs({{"__name__", "w_total"}, {"i", i}});
    for (int k = 0; k <= 100; ++k) ASSERT_TRUE(storage.Append(labels, k * 10'000, k, nullptr));
  }
  auto histogram = std::make_shared<model::Histogram>();
  histogram->count = 3;
  histogram->positive_spans = {{0, 2}};
  histogram->positive_buckets = {1, 2};
  for (int k = 0; k <= 100; ++k) {
    ASSERT_TRUE(storage.Append(model::Labels::FromPairs({{"__name__", "h"}}), k * 10'000, 0, histogram));
  }
  EngineOptions options;
  options.per_step_stats = true;
  const Engine engine(options);
  struct Row {
    const char* query;
    int64_t start, end, step;  // seconds; step 0: an instant query
    std::vector<int64_t> looked_at, read;
  };
  const Row rows[] = {
      {"1", 200, 200, 0, {0}, {0}},
      {"w_total", 205, 205, 0, {3}, {3}},
      {"h", 200, 200, 0, {12}, {12}},  // (168 + 3 * 8 + 8) / 16
      {"w_total{i=\"0\"}", 200, 220, 10, {1, 1, 1}, {1, 1, 1}},
      {"timestamp(w_total)", 200, 210, 10, {3, 3}, {3, 3}},
      {"rate(w_total{i=\"0\"}[60s])", 200, 220, 10, {6, 6, 6}, {6, 1, 1}},
      {"rate(w_total{i=\"0\"}[20s])", 200, 260, 30, {2, 2, 2}, {2, 2, 2}},
      {"sum(rate(w_total{i=\"0\"}[60s] @ 200))", 200, 220, 10, {6, 6, 6}, {6, 0, 0}},
      {"predict_linear(w_total{i=\"0\"}[60s] @ 200, 5)", 200, 220, 10, {6, 6, 6}, {6, 0, 0}},
      {"max_over_time(w_total{i=\"0\"}[20s:10s])", 200, 220, 10, {2, 2, 2}, {2, 1, 1}},
      // Points between the windows of two steps are read for none.
      {"max_over_time(w_total{i=\"0\"}[20s:10s])", 200, 260, 30, {2, 2, 2}, {2, 2, 2}},
      {"max_over_time(w_total{i=\"0\"}[20s:10s] offset 10s)", 200, 220, 10, {2, 2, 2}, {2, 1, 1}},
      {"max_over_time(sum_over_time(w_total{i=\"0\"}[30s])[20s:10s])", 200, 200, 0, {2}, {4}},
      {"w_total[60s]", 200, 200, 0, {18}, {18}},
      {"w_total{i=\"0\"}[60s:10s]", 200, 200, 0, {6}, {6}},
      {"sum_over_time(w_total{i=\"0\"}[30s])[20s:10s]", 200, 200, 0, {6}, {4}},
      {"w_total + w_total", 200, 210, 10, {6, 6}, {6, 6}},
  };
  for (const Row& row : rows) {
    const QueryOptions ask{.per_step_stats = true};
    const auto result =
        row.step == 0 ? engine.Instant(&storage, row.query, row.start * 1000, ask)
                      : engine.Range(&storage, row.query,
                                     {row.start * 1000, row.end * 1000, std::chrono::seconds(row.step)}, ask);
    ASSERT_TRUE(result) << row.query << ": " << result.error().message();
    ASSERT_TRUE(result->stats.steps);
    EXPECT_EQ(result->stats.steps->looked_at, row.looked_at) << row.query;
    EXPECT_EQ(result->stats.steps->read, row.read) << row.query;
    EXPECT_EQ(result->stats.samples_looked_at,
              std::accumulate(row.looked_at.begin(), row.looked_at.end(), int64_t{0}));
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
