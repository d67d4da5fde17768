// Queries over the database, without HTTP.  Bounds beside each; run with a release build:
//   cmake -DTOCSIN_BENCH=ON ... && build/bench/promql_bench --benchmark_filter=Range

#include <benchmark/benchmark.h>

#include <memory>
#include <string>

#include "base/check.h"
#include "base/simulated_file_system.h"
#include "promql/engine.h"
#include "tsdb/db.h"

namespace tocsin::promql {
namespace {

constexpr int64_t kIntervalMs = 15'000;
constexpr model::Timestamp kEnd = 1'700'000'000'000;
constexpr int kSamples = 120;

// A histogram's buckets (ten a pod), a counter and a gauge of each pod.
model::Labels LabelsOf(int i) {
  const std::string pod = "api-" + std::to_string(i / 12) + "-x7k2p";
  const int k = i % 12;
  const char* name = k < 10 ? "duration_seconds_bucket" : k == 10 ? "requests_total" : "memory_bytes";
  std::vector<model::Label> labels = {{"__name__", name},
                                      {"cluster", "prod-eu-1"},
                                      {"container", "app"},
                                      {"instance", "10.0.0.1:8080"},
                                      {"job", "api"}};
  const std::string le = std::to_string(k);
  const std::string group = "team-" + std::to_string(i / 600);
  if (k < 10) labels.push_back({"le", k == 9 ? std::string_view("+Inf") : std::string_view(le)});
  labels.push_back({"namespace", group});
  labels.push_back({"pod", pod});
  return model::Labels::FromLabels(labels);
}

// 12 series a pod, 120 samples each.
tsdb::Db* Database(int series) {
  static base::SimulatedFileSystem files;
  static int of = 0;
  static std::unique_ptr<tsdb::Db> db;
  if (of == series) return db.get();
  db.reset();
  tsdb::DbOptions options;
  options.path = "data-" + std::to_string(series);
  options.fs = &files;
  options.wal = false;
  options.lock_file = false;
  auto opened = tsdb::Db::Open(std::move(options));
  TOCSIN_CHECK(opened.has_value()) << opened.error().message();
  db = *std::move(opened);
  of = series;
  std::vector<storage::FloatSample> samples(static_cast<size_t>(series));
  std::vector<storage::AppendOutcome> outcomes(samples.size());
  for (int k = 0; k < kSamples; ++k) {
    auto app = db->NewAppender();
    for (int i = 0; i < series; ++i) {
      storage::FloatSample& s = samples[static_cast<size_t>(i)];
      if (k == 0) s.ref = *app->Resolve(LabelsOf(i));
      s.t = kEnd - (kSamples - 1 - k) * kIntervalMs + i / 12 % 1000;
      s.v = i % 12 == 11 ? (i * 37 + k * 101) % 1000 / 8.0 : 10.0 * k + (i + k) % 7;
    }
    app->Append(samples, outcomes);
    const base::Status committed = app->Commit();
    TOCSIN_CHECK(committed.has_value()) << committed.error().message();
  }
  return db.get();
}

void RunInstant(benchmark::State& state, const char* text) {
  tsdb::Db* db = Database(static_cast<int>(state.range(0)));
  const Engine engine({});
  // Between the last two samples, as a query of a moment ago is.
  for (auto _ : state) benchmark::DoNotOptimize(*engine.Instant(db, text, kEnd - 10'000));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void RunOverRange(benchmark::State& state, const char* text) {
  tsdb::Db* db = Database(static_cast<int>(state.range(0)));
  const Engine engine({});
  const RangeParams range{kEnd - 99 * kIntervalMs, kEnd, std::chrono::milliseconds(kIntervalMs)};
  for (auto _ : state) benchmark::DoNotOptimize(*engine.Range(db, text, range));
  state.SetItemsProcessed(state.iterations() * state.range(0) * 100);
}

// Bound: decoding 120 samples 360 ns a series, counting nothing.
void BM_InstantCountAll(benchmark::State& state) { RunInstant(state, "count({__name__=~\".+\"})"); }
BENCHMARK(BM_InstantCountAll)->ArgName("series")->Arg(12'000)->Arg(120'000);

// Of a twelfth of the series.
void BM_InstantSumBy(benchmark::State& state) {
  RunInstant(state, "sum by (namespace) (memory_bytes)");
}
BENCHMARK(BM_InstantSumBy)->ArgName("series")->Arg(120'000);

void BM_InstantQuantile(benchmark::State& state) {
  RunInstant(state, "histogram_quantile(0.9, rate(duration_seconds_bucket[5m]))");
}
BENCHMARK(BM_InstantQuantile)->ArgName("series")->Arg(12'000);

void BM_InstantJoin(benchmark::State& state) {
  RunInstant(state, "memory_bytes * on (pod, namespace) group_left () requests_total");
}
BENCHMARK(BM_InstantJoin)->ArgName("series")->Arg(120'000);

// Bound, a series and step: decoding 4 ns, the window 3 ns, the sum 0.5 ns.
void BM_RangeSumOfRate(benchmark::State& state) {
  RunOverRange(state, "sum by (le) (rate(duration_seconds_bucket[5m]))");
}
BENCHMARK(BM_RangeSumOfRate)->ArgName("series")->Arg(12'000)->Arg(36'000);

void BM_RangeStandardDeviation(benchmark::State& state) {
  RunOverRange(state, "stddev_over_time(memory_bytes[10m])");
}
BENCHMARK(BM_RangeStandardDeviation)->ArgName("series")->Arg(12'000);

// Bound: some microseconds; a node is an allocation or two.
void BM_Prepare(benchmark::State& state) {
  const Engine engine({});
  for (auto _ : state) {
    benchmark::DoNotOptimize(*engine.Prepare(
        "histogram_quantile(0.99, sum by (le, job) (rate(duration_seconds_bucket{job=~\"a|b\",code!=\"500\"}[5m])))"
        " > on (job) group_left () 2 * max by (job) (limit_seconds) unless on (job) up == 0"));
  }
}
BENCHMARK(BM_Prepare);

}  // namespace
}  // namespace tocsin::promql
