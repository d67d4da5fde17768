// Queries whose tables are computed in pieces, by several threads: the same bits, annotations and statistics as
// whole and alone.

#include <gtest/gtest.h>

#include <bit>
#include <latch>
#include <memory>
#include <thread>
#include <vector>

#include "base/simulated_file_system.h"
#include "promql/engine.h"
#include "runner.h"
#include "tsdb/db.h"

namespace tocsin::promqltest {
namespace {

using promql::Engine;
using promql::EngineOptions;
using std::chrono::milliseconds;

constexpr int64_t kInterval = 15'000;
constexpr model::Timestamp kBegin = 1'700'000'000'000;
constexpr int kSeries = 400;
constexpr int kSamples = 60;
constexpr model::Timestamp kEnd = kBegin + (kSamples - 1) * kInterval;

const std::vector<std::string>& Queries() {
  static const std::vector<std::string> queries = {
      "sum by (g) (rate(x_total[5m]))",
      "sum by (g) (rate(odd[5m]))",
      "max(increase(x_total[2m]))",
      "stddev by (g) (x_total)",
      "count(x_total > 3)",
      "avg by (g) (x_total)",
      "rate(x_total[5m])",
      "x_total",
      "quantile(0.9, x_total)",
      "topk(3, rate(x_total[1m]))",
      "max_over_time(sum by (g) (rate(x_total[2m]))[5m:30s])",
  };
  return queries;
}

class World {
 public:
  World() {
    tsdb::DbOptions options;
    options.path = "data";
    options.fs = &files_;
    options.wal = false;
    options.lock_file = false;
    auto opened = tsdb::Db::Open(std::move(options));
    EXPECT_TRUE(opened) << opened.error().message();
    db_ = *std::move(opened);
    for (int k = 0; k < kSamples; ++k) Append(k);
  }
  // Sample `k` of all series; some have gaps.
  void Append(int k) {
    auto app = db_->NewAppender();
    std::vector<storage::FloatSample> samples;
    for (int i = 0; i < kSeries; ++i) {
      if ((i + k) % 7 == 0) continue;
      for (const char* name : {"x_total", "odd"}) {
        const auto labels = model::Labels::FromPairs(
            {{"__name__", name}, {"g", "g" + std::to_string(i % 5)}, {"i", std::to_string(i)}});
        samples.push_back({.ref = *app->Resolve(labels),
                           .t = kBegin + k * kInterval + i,
                           .v = 0.1 * i * k + (k % 20 == 0 ? 0 : k)});
      }
    }
    std::vector<storage::AppendOutcome> outcomes(samples.size());
    app->Append(samples, outcomes);
    const base::Status committed = app->Commit();
    EXPECT_TRUE(committed) << committed.error().message();
  }
  tsdb::Db* db() { return db_.get(); }

 private:
  base::SimulatedFileSystem files_;
  std::unique_ptr<tsdb::Db> db_;
};

// Everything that a result is, exactly.
std::string Text(const base::Result<promql::QueryResult>& result) {
  if (!result) return "error: " + result.error().message();
  std::string text;
  const auto add = [&text](double v) { text += std::to_string(std::bit_cast<uint64_t>(v)) + ' '; };
  if (const auto* matrix = std::get_if<promql::Matrix>(&result->value)) {
    for (const auto& series : *matrix) {
      text += series.labels.ToString() + ' ';
      for (const auto& point : series.floats) {
        text += std::to_string(point.t) + ':';
        add(point.v);
      }
    }
  } else {
    for (const auto& sample : std::get<promql::Vector>(result->value)) {
      text += sample.labels.ToString() + ' ';
      add(sample.v);
    }
  }
  for (const auto* lines : {&result->warnings, &result->infos}) {
    for (const std::string& line : *lines) text += line + '\n';
  }
  return text;
}

base::Result<promql::QueryResult> Range(const Engine& engine, World* world, const std::string& query) {
  return engine.Range(world->db(), query,
                      {kBegin + 20 * kInterval, kEnd, std::chrono::duration_cast<base::Duration>(milliseconds(kInterval))});
}
base::Result<promql::QueryResult> Instant(const Engine& engine, World* world, const std::string& query) {
  return engine.Instant(world->db(), query, kEnd - 1000);
}

TEST(PiecesTest, ValuesAndAnnotationsAreThoseOfTheWholeTable) {
  World world;
  const Engine whole({});
  const Engine pieces(InPieces({}));
  for (const std::string& query : Queries()) {
    SCOPED_TRACE(query);
    EXPECT_EQ(Text(Range(pieces, &world, query)), Text(Range(whole, &world, query)));
    EXPECT_EQ(Text(Instant(pieces, &world, query)), Text(Instant(whole, &world, query)));
  }
}

TEST(PiecesTest, StatisticsDoNotDependOnHowManyThreadsThereAre) {
  World world;
  const EngineOptions together = InPieces({});
  EngineOptions alone = together;
  alone.helpers = nullptr;
  for (const std::string& query : Queries()) {
    SCOPED_TRACE(query);
    const auto a = Range(Engine(alone), &world, query);
    for (int i = 0; i < 5; ++i) {
      const auto b = Range(Engine(together), &world, query);
      ASSERT_TRUE(a && b);
      EXPECT_EQ(a->stats.samples_read, b->stats.samples_read);
      EXPECT_EQ(a->stats.series_selected, b->stats.series_selected);
      // What an aggregation folds is never there as a whole; other tables are the same.
      EXPECT_EQ(a->stats.peak_samples, b->stats.peak_samples);
    }
  }
}

TEST(PiecesTest, LimitsHoldWhereverAPieceIsComputed) {
  World world;
  EngineOptions options = InPieces({});
  options.max_samples = 20;  // a window of five minutes has some
  for (int i = 0; i < 5; ++i) {
    const auto result = Range(Engine(options), &world, "sum(rate(x_total[10m]))");
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().message(),
              "query processing would load too many samples into memory in query execution");
  }
}

TEST(PiecesTest, ACancelledQueryStopsInAPiece) {
  World world;
  const Engine engine(InPieces({}));
  const std::atomic<bool> cancelled = true;
  promql::QueryOptions query;
  query.cancelled = &cancelled;
  const auto result = engine.Instant(world.db(), "sum(rate(x_total[5m]))", kEnd, query);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), base::Code::kCancelled);
}

TEST(PiecesThreadsTest, QueriesShareTheWorkersBesideAppends) {
  World world;
  const Engine whole({});
  const Engine pieces(InPieces({}));
  std::vector<std::string> expected;
  for (const std::string& query : Queries()) expected.push_back(Text(Range(whole, &world, query)));
  constexpr int kThreads = 4;
  std::latch begin(kThreads + 1);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      begin.arrive_and_wait();
      for (size_t i = 0; i < Queries().size(); ++i) {
        const size_t query = (i + static_cast<size_t>(t) * 3) % Queries().size();
        EXPECT_EQ(Text(Range(pieces, &world, Queries()[query])), expected[query]);
      }
    });
  }
  begin.arrive_and_wait();
  for (int k = kSamples; k < kSamples + 20; ++k) world.Append(k);
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace tocsin::promqltest
