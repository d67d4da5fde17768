// The database's hot paths.  Back-of-envelope bounds beside each; run with a release build:
//   build/bench/tsdb_bench --benchmark_filter=Append

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <memory>

#include "base/check.h"
#include "base/file_system.h"
#include "bench/pod_labels.h"
#include "tsdb/chunk/xor.h"
#include "tsdb/db.h"

namespace tocsin::tsdb {
namespace {

// Where databases with a log are: a real disk, so that writes to it are measured.
std::string Folder() {
  const char* base_folder = std::getenv("BENCH_TMP");
  return (base_folder != nullptr ? std::string(base_folder) : std::filesystem::temp_directory_path().string()) + "/tsdb_bench_head";
}

struct Filled {
  std::unique_ptr<Db> db;
  std::vector<storage::SeriesRef> refs;
  int64_t t = 1'700'000'000'000;

  explicit Filled(int series, bool wal, WalCompression compression = WalCompression::kSnappy) {
    DbOptions options;
    options.path = Folder();
    TOCSIN_CHECK(base::RealFileSystem()->RemoveAll(options.path).has_value());
    options.wal = wal;
    options.wal_compression = compression;
    options.lock_file = false;
    auto opened = Db::Open(std::move(options));
    TOCSIN_CHECK(opened.has_value()) << opened.error().message();
    db = std::move(*opened);
    auto app = db->NewAppender();
    for (int i = 0; i < series; ++i) {
      const auto ref = app->Resolve(PodLabels(i));
      TOCSIN_CHECK(ref.has_value()) << ref.error().message();
      refs.push_back(*ref);
    }
    Commit(app.get());
  }
  ~Filled() {
    db = nullptr;
    base::Ignore(base::RealFileSystem()->RemoveAll(Folder()));  // the next one clears it too
  }
  static void Commit(storage::Appender* app) {
    const base::Status status = app->Commit();
    TOCSIN_CHECK(status.has_value()) << status.error().message();
  }
  // One scrape of everything, in batches of `batch` samples.
  void Scrape(size_t batch) {
    t += 15'000;
    std::vector<storage::FloatSample> samples(batch);
    std::vector<storage::AppendOutcome> outcomes(batch);
    for (size_t begin = 0; begin < refs.size(); begin += batch) {
      const size_t n = std::min(batch, refs.size() - begin);
      for (size_t i = 0; i < n; ++i) {
        const auto k = static_cast<double>(begin + i);
        samples[i] = {refs[begin + i], t, (begin + i) % 3 == 0 ? 1.0 : static_cast<double>(t / 15'000) * 3 + k};
      }
      auto app = db->NewAppender();
      app->Append(std::span(samples).first(n), std::span(outcomes).first(n));
      Commit(app.get());
      TOCSIN_CHECK(outcomes[n - 1] == storage::AppendOutcome::kOk) << static_cast<int>(outcomes[n - 1]);
    }
  }
};

// Bound: check 3 ns, log record 4, snappy 5, frame and CRC 2, write() 1, XOR append 6, two passes over columns: 26 ns.
// The rounds are bounded, since the log of a round stays on the disk.
void BM_HeadAppend(benchmark::State& state) {
  Filled head(static_cast<int>(state.range(0)), state.range(1) > 0,
              state.range(1) == 1 ? WalCompression::kNone : WalCompression::kSnappy);
  for (auto _ : state) head.Scrape(1000);
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_HeadAppend)
    ->ArgNames({"series", "wal"})
    ->Args({10'000, 0})
    ->Args({10'000, 1})
    ->Args({10'000, 2})
    ->Args({100'000, 2})
    ->Iterations(240);

// Bound: 11 labels hashed and compared, 100 to 200 ns.
void BM_Resolve(benchmark::State& state) {
  Filled head(100'000, false);
  std::vector<model::Labels> labels;
  for (int i = 0; i < 100'000; ++i) labels.push_back(PodLabels(i));
  auto app = head.db->NewAppender();
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(*app->Resolve(labels[i]));
    i = (i + 7919) % labels.size();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Resolve);

// Bound: columns in order, 1 to 5 ns a series.
void BM_SelectAllReadLast(benchmark::State& state) {
  Filled head(static_cast<int>(state.range(0)), false);
  for (int i = 0; i < 20; ++i) head.Scrape(1000);
  const std::vector<model::Matcher> all = {*model::Matcher::Make(model::MatchOp::kRegex, "__name__", ".+")};
  storage::LastColumns last;
  for (auto _ : state) {
    auto q = head.db->NewQuerier({head.t - 300'000, head.t});
    auto set = *q->Select({.window = {head.t - 300'000, head.t}, .sorted = state.range(1) != 0}, all);
    base::Ignore(set->ReadLast(0, set->size(), {head.t - 300'000, head.t}, &last));
    benchmark::DoNotOptimize(last.values.data());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_SelectAllReadLast)->ArgNames({"series", "sorted"})->Args({100'000, 0})->Args({100'000, 1});

void BM_SelectOne(benchmark::State& state) {
  Filled head(100'000, false);
  head.Scrape(1000);
  const std::vector<model::Matcher> one = {model::Matcher::Equal("__name__", "metric_7"),
                                           model::Matcher::Equal("pod", "api-1234-x7k2p")};
  for (auto _ : state) {
    auto q = head.db->NewQuerier({head.t - 300'000, head.t});
    auto set = *q->Select({.window = {head.t - 300'000, head.t}}, one);
    benchmark::DoNotOptimize(set->labels(0));
  }
}
BENCHMARK(BM_SelectOne);

// Bound: XOR decoding 3 to 4 ns a sample.
void BM_ReadWindow(benchmark::State& state) {
  Filled head(10'000, false);
  for (int i = 0; i < 240; ++i) head.Scrape(1000);
  const std::vector<model::Matcher> all = {*model::Matcher::Make(model::MatchOp::kRegex, "__name__", ".+")};
  storage::SampleColumns columns;
  int64_t samples = 0;
  for (auto _ : state) {
    auto q = head.db->NewQuerier({});
    auto set = *q->Select({.sorted = false}, all);
    for (size_t i = 0; i < set->size(); i += 100) {
      base::Ignore(set->Read(i, 100, {}, &columns));
      samples += static_cast<int64_t>(columns.times.size());
    }
  }
  state.SetItemsProcessed(samples);
}
BENCHMARK(BM_ReadWindow);

void BM_LabelValuesRegex(benchmark::State& state) {
  Filled head(100'000, false);
  head.Scrape(1000);
  const std::vector<model::Matcher> m = {model::Matcher::Equal("__name__", "metric_7"),
                                         *model::Matcher::Make(model::MatchOp::kRegex, "pod", "api-1.*")};
  for (auto _ : state) {
    auto q = head.db->NewQuerier({head.t - 300'000, head.t});
    benchmark::DoNotOptimize(*q->Select({.sorted = false}, m));
  }
}
BENCHMARK(BM_LabelValuesRegex);

void BM_XorEncode(benchmark::State& state) {
  std::string bytes(120 * chunk::kMaxXorSampleBytes + 64, '\0');
  for (auto _ : state) {
    chunk::XorState s;
    int64_t t = 1'700'000'000'000, last_t = 0;
    double v = 0, last_v = 0;
    for (int i = 0; i < 120; ++i, t += 15'000, v += 17) {
      chunk::AppendXor(&s, reinterpret_cast<uint8_t*>(bytes.data()), last_t, last_v, t, v);
      last_t = t, last_v = v;
    }
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * 120);
}
BENCHMARK(BM_XorEncode);

void BM_XorDecode(benchmark::State& state) {
  std::string bytes(120 * chunk::kMaxXorSampleBytes + 64, '\0');
  chunk::XorState s;
  int64_t t = 1'700'000'000'000, last_t = 0;
  double v = 0, last_v = 0;
  for (int i = 0; i < 120; ++i, t += 15'000, v += 17) {
    chunk::AppendXor(&s, reinterpret_cast<uint8_t*>(bytes.data()), last_t, last_v, t, v);
    last_t = t, last_v = v;
  }
  const std::string_view data(bytes.data(), (s.bits + 7) / 8);
  std::vector<model::Timestamp> times;
  std::vector<double> values;
  for (auto _ : state) {
    times.clear(), values.clear();
    base::Ignore(chunk::DecodeXor(data, {}, 0, &times, &values));
  }
  state.SetItemsProcessed(state.iterations() * 120);
}
BENCHMARK(BM_XorDecode);

}  // namespace
}  // namespace tocsin::tsdb
