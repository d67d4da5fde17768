// Blocks and the log.  The bound beside each is what one core of a current server needs for the work that no design
// avoids; run with a release build:
//   ./dev bench 'Block|Postings|Log'

#include <benchmark/benchmark.h>

#include <filesystem>
#include <memory>

#include "base/check.h"
#include "base/simulated_file_system.h"
#include "tsdb/block.h"
#include "tsdb/block_writer.h"
#include "tsdb/chunk/histogram_chunk.h"
#include "tsdb/compact.h"
#include "tsdb/wal/log.h"
#include "tsdb/wal/record.h"

namespace tocsin::tsdb {
namespace {

constexpr int64_t kBegin = 1'699'999'200'000;  // a multiple of two hours
constexpr int kSamples = 480;                  // two hours at 15 s

std::string Number(int i, int digits) {
  std::string s = std::to_string(i);
  return std::string(static_cast<size_t>(digits) - std::min(s.size(), static_cast<size_t>(digits)), '0') + s;
}

// `series` series in label order: 40 metrics of each pod.
std::vector<model::Labels> LabelSets(int series) {
  std::vector<model::Labels> out;
  for (int i = 0; i < series; ++i) {
    const int pods = std::max(1, series / 40), pod = i % pods;
    out.push_back(model::Labels::FromPairs({{"__name__", "metric_" + Number(i / pods, 3)},
                                            {"cluster", "prod-eu-1"},
                                            {"instance", "10.0." + Number(pod / 250, 3) + "." + Number(pod % 250, 3) + ":8080"},
                                            {"job", "api"},
                                            {"namespace", "team-" + Number(pod / 100, 2)},
                                            {"pod", "api-" + Number(pod, 5) + "-x7k2p"}}));
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::string WriteBlock(base::FileSystem* fs, const std::vector<model::Labels>& sets, int64_t begin) {
  std::vector<std::string_view> symbols;
  for (const model::Labels& l : sets) {
    for (const model::Label& pair : l.view()) symbols.insert(symbols.end(), {pair.name, pair.value});
  }
  std::sort(symbols.begin(), symbols.end());
  symbols.erase(std::unique(symbols.begin(), symbols.end()), symbols.end());
  BlockMeta meta;
  meta.ulid = MakeUlid(begin, "bench");
  meta.min_time = begin;
  meta.max_time = begin + kSamples * 15'000;
  meta.sources = {meta.ulid};
  auto writer = BlockWriter::Create(fs, "data", meta, symbols);
  TOCSIN_CHECK(writer.has_value()) << writer.error().message();
  storage::SampleColumns samples;
  for (size_t s = 0; s < sets.size(); ++s) {
    samples.Clear();
    for (int i = 0; i < kSamples; ++i) {
      samples.times.push_back(begin + i * 15'000);
      samples.values.push_back(s % 3 == 0 ? 1.0 : static_cast<double>(i * (s % 17 + 1)));
    }
    TOCSIN_CHECK((*writer)->Add(sets[s].view(), EncodeChunks(samples, kSamples * 15'000)).has_value());
  }
  auto folder = (*writer)->Finish();
  TOCSIN_CHECK(folder.has_value()) << folder.error().message();
  return *folder;
}

struct OneBlock {
  base::SimulatedFileSystem fs;
  std::shared_ptr<Block> block;
  explicit OneBlock(int series) {
    auto opened = Block::Open(&fs, WriteBlock(&fs, LabelSets(series), kBegin));
    TOCSIN_CHECK(opened.has_value()) << opened.error().message();
    block = *opened;
  }
};

// Bound: two lists of postings of 250 and 40 entries, 40 ns a list and 2 ns an entry: 0.7 us.
void BM_BlockSelectOne(benchmark::State& state) {
  const OneBlock one(10'000);
  const std::vector<model::Matcher> m = {model::Matcher::Equal("__name__", "metric_007"),
                                         model::Matcher::Equal("pod", "api-00123-x7k2p")};
  for (auto _ : state) benchmark::DoNotOptimize(one.block->index().Select(m)->size());
}
BENCHMARK(BM_BlockSelectOne);

// Bound: remembered lists, 250 postings of 250 values: 20 ns a list.
void BM_BlockSelectRegex(benchmark::State& state) {
  const OneBlock one(10'000);
  const std::vector<model::Matcher> m = {*model::Matcher::Make(model::MatchOp::kRegex, "pod", "api-.*-x7k2p"),
                                         *model::Matcher::Make(model::MatchOp::kNotRegex, "namespace", "team-0[1-3]")};
  for (auto _ : state) benchmark::DoNotOptimize(one.block->index().Select(m)->size());
}
BENCHMARK(BM_BlockSelectRegex);

// Index look-up.  Bound: checksum and 6 labels of a series, 12 symbols: 100 to 150 ns.
void BM_BlockReadSeries(benchmark::State& state) {
  const OneBlock one(10'000);
  const std::vector<index::SeriesId> ids = *one.block->index().Select({});
  std::string labels;
  std::vector<index::ChunkMeta> chunks;
  size_t i = 0;
  for (auto _ : state) {
    labels.clear(), chunks.clear();
    TOCSIN_CHECK(one.block->index().ReadSeries(ids[i], &labels, &chunks).has_value());
    i = (i + 7919) % ids.size();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_BlockReadSeries);

// Bound: XOR decoding 3 to 4 ns a sample, checksums 0.3.
void BM_BlockRead(benchmark::State& state) {
  const OneBlock one(2000);
  storage::SampleColumns columns;
  int64_t samples = 0;
  auto q = Block::NewQuerier(one.block, {});
  const std::unique_ptr<storage::SeriesSet> set = *q->Select({}, {});
  for (auto _ : state) {
    for (size_t i = 0; i < set->size(); i += 100) {
      TOCSIN_CHECK(set->Read(i, 100, {}, &columns).has_value());
      samples += static_cast<int64_t>(columns.times.size());
    }
  }
  state.SetItemsProcessed(samples);
}
BENCHMARK(BM_BlockRead);

// Bound: 0.5 ns a bit read and 30 buckets of 5 bits a sample: 80 ns.
void BM_HistogramDecode(benchmark::State& state) {
  std::vector<model::Timestamp> times;
  std::vector<model::HistogramPtr> histograms;
  for (int i = 0; i < 100; ++i) {
    auto h = std::make_shared<model::Histogram>();
    h->integer = true;
    h->schema = 3;
    h->positive_spans = {{0, 30}};
    for (int b = 0; b < 30; ++b) h->positive_buckets.push_back(i * (b + 1));
    h->count = i * 465.0;
    h->sum = i * 7.5;
    times.push_back(kBegin + i * 15'000);
    histograms.push_back(std::move(h));
  }
  chunk::Encoding encoding;
  const std::string data = chunk::EncodeHistograms(times, histograms, model::CounterReset::kUnknown, &encoding);
  storage::SampleColumns columns;
  for (auto _ : state) {
    columns.Clear();
    TOCSIN_CHECK(chunk::Decode(encoding, data, {}, 0, &columns).has_value());
  }
  state.SetItemsProcessed(state.iterations() * 100);
}
BENCHMARK(BM_HistogramDecode);

// Three blocks of two hours into one.  Bound: chunks are copied (checksum, memcpy, checksum: 1 ns a byte) and 12,000 series
// written: some 300 MB/s.
void BM_BlockCompaction(benchmark::State& state) {
  base::SimulatedFileSystem fs;
  const std::vector<model::Labels> sets = LabelSets(4000);
  std::vector<std::shared_ptr<Block>> blocks;
  uint64_t bytes = 0;
  for (int b = 0; b < 3; ++b) {
    auto opened = Block::Open(&fs, WriteBlock(&fs, sets, kBegin + b * kSamples * 15'000));
    TOCSIN_CHECK(opened.has_value()) << opened.error().message();
    bytes += (*opened)->size_bytes();
    blocks.push_back(*opened);
  }
  CompactContext context;
  context.fs = &fs;
  context.parent = "out";
  for (auto _ : state) {
    const auto folder = MergeBlocks(context, blocks);
    TOCSIN_CHECK(folder.has_value() && *folder) << "nothing merged";
    state.PauseTiming();
    TOCSIN_CHECK(fs.RemoveAll("out").has_value());
    state.ResumeTiming();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(bytes));
}
BENCHMARK(BM_BlockCompaction)->Unit(benchmark::kMillisecond);

// A batch of 2000 samples into a log on a real disk ($BENCH_TMP, else the temporary folder), with and without waiting for it.
// Bound: 4 ns a sample encoded, 5 compressed, 2 framed, and 0.7 us the write(); with the sync 0.15 to 0.4 ms a batch.
void BM_LogAppend(benchmark::State& state) {
  const char* base_folder = std::getenv("BENCH_TMP");
  const std::string folder =
      (base_folder != nullptr ? std::string(base_folder) : std::filesystem::temp_directory_path().string()) + "/tsdb_bench_wal";
  TOCSIN_CHECK(base::RealFileSystem()->RemoveAll(folder).has_value());
  auto log = wal::Log::Open({.fs = base::RealFileSystem(), .folder = folder});
  TOCSIN_CHECK(log.has_value()) << log.error().message();
  std::vector<storage::FloatSample> samples;
  for (uint64_t i = 0; i < 2000; ++i) samples.push_back({i * 3, kBegin + static_cast<int64_t>(i % 7), static_cast<double>(i)});
  size_t written = 0;
  for (auto _ : state) {
    std::string record;
    wal::EncodeSamples(samples, &record);
    const wal::PackedRecord packed = wal::Pack(std::move(record), wal::Compression::kSnappy);
    const auto number = (*log)->Append({&packed, 1});
    TOCSIN_CHECK(number.has_value()) << number.error().message();
    if (state.range(0) != 0) {
      TOCSIN_CHECK((*log)->WaitSynced(*number).has_value());
    }
    if ((written += packed.bytes.size()) > 512 << 20) {
      state.PauseTiming();
      TOCSIN_CHECK((*log)->Truncate((*log)->segment()).has_value());
      written = 0;
      state.ResumeTiming();
    }
  }
  state.SetItemsProcessed(state.iterations() * 2000);
  TOCSIN_CHECK((*log)->Close().has_value());
  TOCSIN_CHECK(base::RealFileSystem()->RemoveAll(folder).has_value());
}
BENCHMARK(BM_LogAppend)->ArgName("sync")->Arg(0)->Arg(1)->UseRealTime();

}  // namespace
}  // namespace tocsin::tsdb
