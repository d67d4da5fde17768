#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "base/log.h"
#include "base/simulated_executor.h"
#include "tsdb/compact.h"
#include "tsdb/db_test_util.h"

namespace tocsin::tsdb {
namespace {

using model::Labels;
using model::MatchOp;
using storage::AppendOutcome;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr int64_t kHour = 3600 * 1000;

// `series` series from `begin` on, a sample each minute.
Dump Fill(Db* db, int series, model::Timestamp begin, model::Timestamp end) {
  Dump expected;
  for (model::Timestamp t = begin; t < end; t += 60'000) {
    auto app = db->NewAppender();
    for (int s = 0; s < series; ++s) {
      const Labels labels = Labels::FromPairs({{"__name__", "m"}, {"s", std::to_string(s)}});
      const double v = static_cast<double>(t / 1000 + s) / 3;
      EXPECT_EQ(Put(app.get(), labels, t, v), AppendOutcome::kOk);
      expected[labels.ToMetricString()].emplace_back(t, v);
    }
    EXPECT_TRUE(app->Commit());
  }
  return expected;
}

TEST_F(DbTest, BlocksAreCutFromTheHeadAndReadWithIt) {
  for (const bool reopen : {false, true}) {
    ASSERT_TRUE(fs_.RemoveAll("data"));
    auto db = Open();
    const Dump expected = Fill(db.get(), 5, 0, 7 * kHour);
    ASSERT_TRUE(db->Compact());
    ASSERT_THAT(db->Blocks(), SizeIs(2));
    EXPECT_EQ(db->Blocks()[0].min_time, 0);
    EXPECT_EQ(db->Blocks()[0].max_time, 2 * kHour);
    EXPECT_EQ(db->Blocks()[0].samples, 5u * 120);
    EXPECT_EQ(db->Blocks()[0].chunks, 5u);
    EXPECT_EQ(db->Stats().min_time, 4 * kHour);
    if (reopen) {
      Kill(std::move(db));
      db = Open();
      EXPECT_EQ(db->Stats().min_time, 4 * kHour) << "what is in blocks is not replayed";
    }
    EXPECT_EQ(ReadAll(db.get()), expected);
    EXPECT_EQ(db->MinTime(), 0);
    auto q = db->NewQuerier(kAll);
    auto set = *q->Select({}, std::vector{Name("m")});
    storage::LastColumns last;
    ASSERT_TRUE(set->ReadLast(0, 5, {0, 3 * kHour}, &last));
    EXPECT_THAT(last.times, testing::Each(3 * kHour));
    ASSERT_TRUE(set->ReadLast(0, 5, kAll, &last));
    EXPECT_THAT(last.times, testing::Each(7 * kHour - 60'000));
    EXPECT_THAT(*q->LabelValues("s", {}, std::vector{M("s", MatchOp::kNotEqual, "0")}), ElementsAre("1", "2", "3", "4"));
    EXPECT_THAT(*q->LabelNames({}, {}), ElementsAre("__name__", "s"));
  }
}

TEST_F(DbTest, AQueryThatBeganBeforeACutReadsOn) {
  auto db = Open();
  const Dump expected = Fill(db.get(), 3, 0, 4 * kHour);
  auto early = db->NewQuerier(kAll);
  ASSERT_TRUE(db->Compact());
  EXPECT_THAT(db->Blocks(), SizeIs(1));
  EXPECT_EQ(Read(early.get(), {Name("m")}), expected) << "the head keeps what it reads";
  EXPECT_EQ(ReadAll(db.get()), expected) << "each sample once, though head and block have it";
  EXPECT_EQ(db->Stats().min_time, 0);
  early.reset();
  ASSERT_TRUE(db->Compact());
  EXPECT_EQ(db->Stats().min_time, 2 * kHour);
  EXPECT_EQ(ReadAll(db.get()), expected);
}

TEST_F(DbTest, BlocksAreMergedInThrees) {
  auto db = Open({.max_block_duration = std::chrono::hours(6)});
  const Dump expected = Fill(db.get(), 3, 0, 12 * kHour);
  ASSERT_TRUE(db->Compact());
  ASSERT_THAT(db->Blocks(), SizeIs(3));
  EXPECT_EQ(db->Blocks()[0].level, 2);
  EXPECT_EQ(db->Blocks()[0].max_time, 6 * kHour);
  EXPECT_THAT(db->Blocks()[0].sources, SizeIs(3));
  EXPECT_EQ(ReadAll(db.get()), expected);
}

TEST_F(DbTest, LateSamplesReachTheirBlocks) {
  auto db = Open({.max_block_duration = std::chrono::hours(2), .out_of_order_window = std::chrono::hours(8)});
  Dump expected = Fill(db.get(), 1, 0, 6 * kHour);
  ASSERT_TRUE(db->Compact());
  ASSERT_THAT(db->Blocks(), SizeIs(2));
  Add(db.get(), Labels::FromPairs({{"__name__", "m"}, {"s", "0"}}), {{30'000, 7}, {kHour + 30'000, 8}});
  auto& samples = expected.begin()->second;
  samples.emplace_back(30'000, 7);
  samples.emplace_back(kHour + 30'000, 8);
  std::sort(samples.begin(), samples.end());
  EXPECT_EQ(ReadAll(db.get()), expected);
  ASSERT_TRUE(db->Compact());
  EXPECT_EQ(ReadAll(db.get()), expected);
  ASSERT_THAT(db->Blocks(), SizeIs(2)) << "the late block was merged with the one it overlaps";
  EXPECT_EQ(db->Blocks()[0].samples, 122u);
  const auto files = fs_.List("data/wbl");
  ASSERT_TRUE(files);
  for (const base::FileInfo& f : *files) EXPECT_EQ(f.size, 0u) << "their log is needed no more";
  Kill(std::move(db));
  db = Open();
  EXPECT_EQ(ReadAll(db.get()), expected);
}

TEST_F(DbTest, BlocksOfLateSamplesStayThatWhenTheyAreMergedSoThatTheLogIsReadBesideThem) {
  auto db = Open();
  Fill(db.get(), 1, 0, 4 * kHour);
  ASSERT_TRUE(db->Compact());
  const std::string made = db->Blocks()[0].folder;
  Kill(std::move(db));
  ASSERT_TRUE(fs_.Rename("data", "other"));
  db = Open();
  std::vector<model::Sample> samples;
  for (model::Timestamp t = 0; t < 2 * kHour; t += 60'000) samples.push_back({t, 1});
  Add(db.get(), kUp, samples);
  Kill(std::move(db));
  for (int i = 0; i < 2; ++i) {
    const std::string ulid = MakeUlid(1000 + i, "data"), folder = "data/" + ulid;
    ASSERT_TRUE(fs_.CreateFolders(folder + "/chunks"));
    for (const char* file : {"/index", "/tombstones", "/chunks/000001"}) {
      ASSERT_TRUE(fs_.WriteFileAtomically(folder + file, *fs_.ReadFile("other" + made.substr(4) + file)));
    }
    BlockMeta meta = *ParseBlockMeta(*fs_.ReadFile("other" + made.substr(4) + "/meta.json"));
    meta.ulid = ulid;
    meta.hints = {std::string(kFromOutOfOrder)};
    ASSERT_TRUE(fs_.WriteFileAtomically(folder + "/meta.json", FormatBlockMeta(meta)));
  }
  db = Open();
  ASSERT_TRUE(db->Compact());
  ASSERT_THAT(db->Blocks(), SizeIs(1)) << "they overlap";
  Kill(std::move(db));
  db = Open();
  EXPECT_THAT(Read(db.get(), {Name("up")}).begin()->second, SizeIs(samples.size()));
}

TEST_F(DbTest, RetentionDropsWholeBlocks) {
  auto db = Open({.retention_time = std::chrono::hours(5), .max_block_duration = std::chrono::hours(2)});
  Fill(db.get(), 1, 0, 12 * kHour);
  ASSERT_TRUE(db->Compact());
  // The newest block ends at 10 h; one that ends at 4 h is 6 h older, one that ends at 6 h only 4.
  ASSERT_THAT(db->Blocks(), SizeIs(3));
  EXPECT_EQ(db->Blocks()[0].min_time, 4 * kHour);
  db->SetRetention({.bytes = 1});
  ASSERT_TRUE(db->Compact());
  EXPECT_THAT(db->Blocks(), IsEmpty()) << "one byte is exceeded by every block";
}

TEST_F(DbTest, RetentionByPercentageIsOfTheDiskAndGoesBeforeBytes) {
  auto db = Open({.retention_time = std::chrono::hours(0), .max_block_duration = std::chrono::hours(2)});
  Fill(db.get(), 1, 0, 12 * kHour);
  ASSERT_TRUE(db->Compact());
  ASSERT_THAT(db->Blocks(), SizeIs(5));
  const std::function<uint64_t(const std::string&)> bytes = [&](const std::string& folder) {
    uint64_t sum = 0;
    if (const auto files = fs_.List(folder)) {
      for (const base::FileInfo& f : *files) sum += f.is_folder ? bytes(base::JoinPath(folder, f.name)) : f.size;
    }
    return sum;
  };
  const uint64_t logs = bytes("data/wal") + bytes("data/wbl") + bytes("data/chunks_head");
  uint64_t block = 0;
  for (const char* file : {"/meta.json", "/index", "/tombstones", "/chunks/000001"}) {
    block += fs_.Stat("data/" + db->Blocks()[4].ulid + file)->size;
  }
  // A tenth of the disk holds the log and two and a half of the blocks.
  fs_.SetTotalSpace((logs + block * 5 / 2) * 10);
  db->SetRetention({.bytes = 1, .percentage = 10});
  ASSERT_TRUE(db->Compact());
  ASSERT_THAT(db->Blocks(), SizeIs(2));
  EXPECT_EQ(db->Blocks()[0].min_time, 6 * kHour);
}

TEST_F(DbTest, BlocksThatCannotBeMergedAreMarkedAndLeftAlone) {
  auto db = Open({.max_block_duration = std::chrono::hours(6)});
  Fill(db.get(), 1, 0, 8 * kHour);
  const std::vector<model::Matchers> any = {{Name("m")}};
  for (int round = 0; round < 2; ++round) {
    Kill(std::move(db));
    db = Open({.max_block_duration = std::chrono::hours(2)});
    ASSERT_TRUE(db->Compact());
  }
  ASSERT_THAT(db->Blocks(), SizeIs(3));
  const std::string folder = "data/" + db->Blocks()[1].ulid;
  Kill(std::move(db));
  std::string chunks = *fs_.ReadFile(folder + "/chunks/000001");
  chunks[20] = static_cast<char>(chunks[20] ^ 1);
  ASSERT_TRUE(fs_.WriteFileAtomically(folder + "/chunks/000001", chunks));
  db = Open({.max_block_duration = std::chrono::hours(6)});
  Fill(db.get(), 1, 8 * kHour, 12 * kHour);
  const base::Status failed = db->Compact();
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message(), HasSubstr("chunks/000001"));
  EXPECT_TRUE(db->Compact()) << "the next round leaves them alone";
  EXPECT_THAT(*fs_.ReadFile(folder + "/meta.json"), HasSubstr("\"failed\": true"));
}

TEST_F(DbTest, Xor2BlocksReadAndMergeAsOthers) {
  auto db = Open({.xor2 = true, .max_block_duration = std::chrono::hours(6), .out_of_order_window = std::chrono::hours(12)});
  Dump expected = Fill(db.get(), 2, 0, 12 * kHour);
  ASSERT_TRUE(db->Compact());
  EXPECT_EQ(ReadAll(db.get()), expected);
  Add(db.get(), Labels::FromPairs({{"__name__", "m"}, {"s", "0"}}), {{kHour + 30'000, 8}});
  auto& samples = expected.begin()->second;
  samples.emplace_back(kHour + 30'000, 8);
  std::sort(samples.begin(), samples.end());
  ASSERT_TRUE(db->Compact());
  EXPECT_EQ(ReadAll(db.get()), expected);
  Kill(std::move(db));
  db = Open();
  EXPECT_EQ(ReadAll(db.get()), expected);
}

TEST_F(DbTest, DeletedSamplesOfBlocksStayHiddenAndCanBeCleaned) {
  auto db = Open({.max_block_duration = std::chrono::hours(2)});
  Dump expected = Fill(db.get(), 3, 0, 6 * kHour);
  ASSERT_TRUE(db->Compact());
  const std::vector<model::Matchers> any = {{M("s", MatchOp::kEqual, "1")}};
  ASSERT_TRUE(db->DeleteSeries(kHour, 5 * kHour, any));
  std::erase_if(expected["m{s=\"1\"}"], [](const auto& s) { return s.first >= kHour && s.first <= 5 * kHour; });
  EXPECT_EQ(ReadAll(db.get()), expected);
  EXPECT_EQ(db->Blocks()[0].tombstones, 1u);
  Kill(std::move(db));
  db = Open({.max_block_duration = std::chrono::hours(2)});
  EXPECT_EQ(ReadAll(db.get()), expected);
  ASSERT_TRUE(db->CleanTombstones());
  EXPECT_EQ(db->Blocks()[0].tombstones, 0u);
  EXPECT_EQ(db->Blocks()[0].samples, 3u * 120 - 60);
  EXPECT_EQ(db->Blocks()[1].series, 2u) << "a series with nothing left is gone";
  EXPECT_EQ(ReadAll(db.get()), expected);
}

TEST_F(DbTest, ASnapshotIsADatabaseOfItsOwn) {
  auto db = Open();
  const Dump expected = Fill(db.get(), 4, 0, 5 * kHour);
  ASSERT_TRUE(db->Compact());
  const auto name = db->Snapshot();
  ASSERT_TRUE(name) << name.error().message();
  DbOptions options{.path = "data/snapshots/" + *name, .fs = fs};
  {
    auto copy = Db::Open(options);
    ASSERT_TRUE(copy);
    EXPECT_THAT((*copy)->Blocks(), SizeIs(2));
    EXPECT_EQ(ReadAll(copy->get()), expected);
  }
  const auto blocks_only = db->Snapshot(Db::SnapshotHead::kSkip);
  ASSERT_TRUE(blocks_only);
  options.path = "data/snapshots/" + *blocks_only;
  auto copy = Db::Open(options);
  EXPECT_THAT((*copy)->Blocks(), SizeIs(1));
}

TEST_F(DbTest, HistogramsGoThroughBlocks) {
  auto db = Open();
  auto app = db->NewAppender();
  const storage::SeriesRef ref = *app->Resolve(kUp);
  const auto make = [](int64_t n) {
    auto h = std::make_shared<model::Histogram>();
    h->integer = true;
    h->schema = 1;
    h->positive_spans = {{0, 2}};
    h->positive_buckets = {static_cast<double>(n), static_cast<double>(n + 1)};
    h->count = static_cast<double>(2 * n + 1);
    h->sum = static_cast<double>(n);
    return h;
  };
  for (int64_t i = 0; i < 300; ++i) EXPECT_EQ(app->AppendHistogram(ref, i * 60'000, make(i)), AppendOutcome::kOk);
  ASSERT_TRUE(app->Commit());
  app.reset();
  ASSERT_TRUE(db->Compact());
  ASSERT_THAT(db->Blocks(), SizeIs(1));
  auto q = db->NewQuerier(kAll);
  auto set = *q->Select({}, std::vector{Name("up")});
  storage::SampleColumns c;
  ASSERT_TRUE(set->Read(0, 1, kAll, &c));
  ASSERT_THAT(c.histograms, SizeIs(300));
  for (size_t i = 0; i < 300; ++i) {
    EXPECT_EQ(c.histograms[i]->positive_buckets, make(static_cast<int64_t>(i))->positive_buckets);
    EXPECT_EQ(c.histogram_at[i], i);
  }
}

TEST_F(DbTest, SeriesWithoutSamplesLeaveTheHead) {
  auto db = Open();
  const uint64_t start = db->Generation();
  Add(db.get(), Labels::FromPairs({{"__name__", "gone"}}), {{1000, 1}});
  Fill(db.get(), 1, 0, 4 * kHour);
  ASSERT_TRUE(db->Compact());
  EXPECT_EQ(db->Stats().series, 1u);
  EXPECT_EQ(db->Stats().label_pairs, 2u);
  const auto changes = db->ChangesSince(start);
  ASSERT_TRUE(changes);
  EXPECT_THAT(changes->deleted, SizeIs(1));
  EXPECT_THAT(changes->created, SizeIs(1));
  EXPECT_EQ(Read(db.get(), {Name("gone")}).size(), 1u) << "its block has it";
}

TEST_F(DbTest, AWriterWithAnOldReferenceIsToldToResolveAgain) {
  auto db = Open();
  auto app = db->NewAppender();
  const storage::SeriesRef ref = *app->Resolve(kUp);
  const storage::FloatSample first{ref, 1000, 1};
  AppendOutcome outcome;
  app->Append({&first, 1}, {&outcome, 1});
  ASSERT_TRUE(app->Commit());
  app.reset();
  Fill(db.get(), 1, 0, 4 * kHour);
  ASSERT_TRUE(db->Compact());
  app = db->NewAppender();
  const storage::FloatSample late{ref, 4 * kHour, 1};
  app->Append({&late, 1}, {&outcome, 1});
  EXPECT_EQ(outcome, AppendOutcome::kUnknownSeries);
  EXPECT_NE(*app->Resolve(kUp), ref) << "references are never used again";
}

TEST_F(DbTest, ADamagedBlockIsSetAsideAndTheRestServes) {
  auto db = Open({.max_block_duration = std::chrono::hours(2)});
  Fill(db.get(), 1, 0, 8 * kHour);
  ASSERT_TRUE(db->Compact());
  ASSERT_THAT(db->Blocks(), SizeIs(3));
  const BlockInfo first = db->Blocks()[0];
  Kill(std::move(db));
  std::string index = *fs_.ReadFile(first.folder + "/index");
  index[index.size() - 1] = static_cast<char>(index[index.size() - 1] ^ 1);
  ASSERT_TRUE(fs_.WriteFileAtomically(first.folder + "/index", index));
  base::CaptureLog log;
  db = Open();
  EXPECT_THAT(db->Blocks(), SizeIs(2));
  EXPECT_THAT(log.lines(), testing::Contains(HasSubstr("block set aside")));
  EXPECT_TRUE(fs_.Stat("data/damaged/" + first.ulid + "/index"));
}

TEST_F(DbTest, AnyFlippedByteOfABlockIsNoticedOrHarmless) {
  auto db = Open();
  const Dump expected = Fill(db.get(), 2, 0, 4 * kHour);
  ASSERT_TRUE(db->Compact());
  const BlockInfo block = db->Blocks()[0];
  Kill(std::move(db));
  base::CaptureLog quiet;
  for (const char* name : {"/index", "/chunks/000001"}) {
    const std::string path = block.folder + name;
    const std::string good = *fs_.ReadFile(path);
    for (size_t at = 0; at < good.size(); at += at < 64 ? 1 : 7) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ 0x55);
      ASSERT_TRUE(fs_.WriteFileAtomically(path, bad));
      auto opened = Block::Open(&fs_, block.folder);
      if (!opened) continue;
      auto q = Block::NewQuerier(*opened, kAll);
      auto set = q->Select({}, std::vector{Name("m")});
      if (!set) continue;
      storage::SampleColumns columns;
      if (!(*set)->Read(0, (*set)->size(), kAll, &columns)) continue;
      // Padding and unused parts may change; what is read must be right.
      ASSERT_EQ((*set)->size(), 2u) << name << " byte " << at;
      for (size_t i = 0; i < 2; ++i) {
        const auto& want = expected.at((*set)->labels(i).ToMetricString());
        for (size_t k = 0; k < columns.times_of(i).size(); ++k) {
          ASSERT_EQ(columns.times_of(i)[k], want[k].first);
          ASSERT_EQ(columns.values_of(i)[k], want[k].second);
        }
      }
    }
    ASSERT_TRUE(fs_.WriteFileAtomically(path, good));
  }
}

TEST_F(DbTest, ACrashWhileABlockIsCutLosesNothing) {
  // Each I/O operation of the cut in turn is the one that fails.
  for (uint64_t step = 0;; ++step) {
    ASSERT_TRUE(fs_.RemoveAll("data"));
    auto db = Open();
    const Dump expected = Fill(db.get(), 2, 0, 4 * kHour);
    Add(db.get(), kUp, {{4 * kHour, 1}}, storage::Durability::kSynced);
    uint64_t calls = 0;
    faulty_.Fail({.code = base::Code::kUnavailable, .message = "power", .when = [&](auto, const std::string&) { return calls++ >= step; }});
    base::CaptureLog quiet;
    const bool done = db->Compact().has_value();
    faulty_.Heal();
    fs_.Crash(step + 1);
    Kill(std::move(db));
    db = Open();
    ASSERT_NE(db, nullptr);
    Dump found = ReadAll(db.get());
    EXPECT_EQ(found.erase("up{job=\"node\"}"), 1u);
    EXPECT_EQ(found, expected) << "stopped at operation " << step;
    if (done) break;
    ASSERT_LT(step, 500u);
  }
}

TEST_F(DbTest, HousekeepingRunsByItselfAndStopsInOrder) {
  base::SimulatedExecutor sim(base::FromUnixMillis(4 * kHour));
  base::Registry registry;
  auto db = Open({.executor = &sim, .registry = &registry});
  Fill(db.get(), 1, 0, 4 * kHour);
  sim.RunFor(std::chrono::seconds(61));
  EXPECT_THAT(db->Blocks(), SizeIs(1));
  // The names that dashboards and alerts know.
  const std::string metrics = registry.Expose();
  for (const char* name :
       {"prometheus_tsdb_clean_start", "prometheus_tsdb_compactions_failed_total 0", "prometheus_tsdb_head_chunks 1\n",
        "prometheus_tsdb_head_samples_appended_total{type=\"float\"} 240", "prometheus_tsdb_head_series 1\n",
        "prometheus_tsdb_reloads_failures_total 0", "prometheus_tsdb_wal_segment_current", "prometheus_tsdb_lowest_timestamp 0",
        "prometheus_tsdb_blocks_loaded 1", "prometheus_tsdb_storage_blocks_bytes", "prometheus_tsdb_compactions_total 1",
        "prometheus_tsdb_head_active_appenders 0", "prometheus_tsdb_out_of_order_samples_total{type=\"float\"} 0",
        "prometheus_tsdb_wal_corruptions_total 0", "prometheus_tsdb_wal_fsync_duration_seconds_count",
        "prometheus_tsdb_symbol_table_size_bytes", "prometheus_tsdb_retention_limit_bytes 0", "prometheus_tsdb_head_stale_series 0",
        "prometheus_tsdb_compaction_chunk_samples_sum 120", "prometheus_tsdb_compaction_chunk_range_seconds_count 1",
        "prometheus_tsdb_compaction_populating_block 0", "prometheus_tsdb_head_appenders_created_total",
        "prometheus_tsdb_isolation_high_watermark", "prometheus_tsdb_sample_ooo_delta_count 0",
        "prometheus_tsdb_wbl_replay_unknown_refs_total{type=\"samples\"} 0", "prometheus_tsdb_retention_limit_percentage 0"}) {
    EXPECT_THAT(metrics, HasSubstr(std::string("\n") + name)) << metrics;
  }
  bool stopped = false;
  db->Stop([&] { stopped = true; });
  sim.RunPosted();
  EXPECT_TRUE(stopped);
}

TEST_F(DbTest, ABlockBeingMadeTellsHowFarItIs) {
  const auto progress = std::make_shared<Progress>();
  auto db = Open({.progress = progress});
  constexpr int kSeries = 600;
  Fill(db.get(), kSeries, 0, 4 * kHour);
  using Source = CompactionProgress::Source;
  struct Seen {
    uint64_t series = 0, of_series = 0;
    model::Timestamp max_time = 0;
  };
  std::map<Source, Seen> seen;
  const CompactionProgress& now = progress->compaction;
  faulty_.Fail({.when = [&](base::FaultyFileSystem::Op, const std::string&) {
    Seen& s = seen[now.source];
    s.series = std::max(s.series, now.series.load());
    s.of_series = now.of_series;
    s.max_time = now.max_time;
    return false;
  }});
  ASSERT_TRUE(db->Compact());
  Fill(db.get(), kSeries, 4 * kHour, 12 * kHour);
  ASSERT_TRUE(db->Compact());
  EXPECT_EQ(seen[Source::kHead].of_series, kSeries);
  EXPECT_GE(seen[Source::kHead].series, kSeries / 2);
  EXPECT_EQ(seen[Source::kBlocks].of_series, 3 * kSeries);
  EXPECT_EQ(seen[Source::kBlocks].max_time, 6 * kHour);
  EXPECT_EQ(now.source, Source::kNone) << "all are done";
  faulty_.Heal();
}

TEST(PlanTest, RangesAreThreefoldUpToTheLongest) {
  EXPECT_THAT(BlockRanges(2, 12), ElementsAre(2, 6)) << "never 12";
  EXPECT_THAT(BlockRanges(2, 18), ElementsAre(2, 6, 18));
  EXPECT_THAT(BlockRanges(2, 2), ElementsAre(2));
}

TEST(PlanTest, ChoosesAsPrometheusDoes) {
  const auto failed = [](BlockMeta m) {
    m.failed = true;
    return m;
  };
  const auto stale = [](BlockMeta m) {
    m.hints = {"from-stale-series"};
    return m;
  };
  const auto meta = [](int64_t mint, int64_t maxt, uint64_t tombstones = 0) {
    BlockMeta m;
    m.min_time = mint;
    m.max_time = maxt;
    m.tombstones = tombstones;
    m.series = 10;
    return m;
  };
  const std::vector<int64_t> ranges = {20, 60, 180, 540, 1620};
  struct Case {
    const char* name;
    std::vector<BlockMeta> metas;
    std::vector<size_t> plan;
  } cases[] = {
      {"one block", {meta(0, 20)}, {}},
      {"the newest is left alone", {meta(0, 20), meta(20, 40), meta(40, 60)}, {}},
      {"a full range", {meta(0, 20), meta(20, 40), meta(40, 60), meta(60, 80)}, {0, 1, 2}},
      {"a gap at the end, behind it newer ones", {meta(0, 20), meta(20, 40), meta(60, 80), meta(80, 100)}, {0, 1}},
      {"the larger range", {meta(0, 60), meta(60, 120), meta(120, 180), meta(180, 200)}, {0, 1, 2}},
      {"overlapping first", {meta(0, 20), meta(10, 30), meta(30, 50)}, {0, 1}},
      {"overlapping newest too", {meta(0, 20), meta(20, 40), meta(30, 50)}, {1, 2}},
      {"tombstones of a large block", {meta(0, 540, 3), meta(540, 560)}, {0}},
      {"few tombstones", {meta(0, 540, 0), meta(540, 560)}, {}},
      {"tombstones of a small block", {meta(0, 60, 3), meta(60, 80)}, {}},
      {"a small block of which every series is deleted", {meta(0, 60, 10), meta(60, 80)}, {0}},
      {"a failed block keeps its range", {meta(0, 20), failed(meta(20, 40)), meta(40, 60), meta(60, 80)}, {}},
      {"other ranges than the failed one's go on",
       {failed(meta(0, 20)), meta(20, 40), meta(60, 80), meta(80, 100), meta(100, 120), meta(120, 140)},
       {2, 3, 4}},
      {"negative times", {meta(-60, -40), meta(-40, -20), meta(-20, 0), meta(0, 20)}, {0, 1, 2}},
      {"stale series are not merged with others", {meta(0, 20), stale(meta(0, 20)), meta(20, 40)}, {}},
      {"stale series are merged with each other", {stale(meta(0, 20)), meta(0, 20), stale(meta(10, 20)), meta(20, 40)}, {0, 2}},
  };
  for (const Case& c : cases) EXPECT_EQ(PlanCompaction(c.metas, ranges), c.plan) << c.name;
}

TEST(BlockMetaTest, RoundTripsAndRefusesWhatItDoesNotKnow) {
  BlockMeta m;
  m.ulid = MakeUlid(1795125600000, "x");
  EXPECT_TRUE(IsUlid(m.ulid)) << m.ulid;
  EXPECT_NE(m.ulid, MakeUlid(1795125600000, "x"));
  m.min_time = -5;
  m.max_time = 10;
  m.series = 3;
  m.level = 2;
  m.sources = {m.ulid};
  m.parents = {{m.ulid, 1, 2}};
  m.hints = {"from-out-of-order"};
  const auto back = ParseBlockMeta(FormatBlockMeta(m));
  ASSERT_TRUE(back);
  EXPECT_EQ(FormatBlockMeta(*back), FormatBlockMeta(m));
  for (const char* bad : {"", "{", "[]", R"({"version": 2})", R"({"version": 1, "ulid": "x"})", R"({"version": "1"})"}) {
    EXPECT_FALSE(ParseBlockMeta(bad)) << bad;
  }
}

TEST(TombstonesTest, RoundTripJoinAndSurviveDamage) {
  Intervals intervals;
  for (const Interval i : {Interval{10, 20}, {30, 40}, {21, 25}, {100, 200}, {0, 5}, {24, 31}}) AddInterval(&intervals, i);
  EXPECT_THAT(intervals, ElementsAre(Interval{0, 5}, Interval{10, 40}, Interval{100, 200}));
  EXPECT_TRUE(Covers(intervals, 11, 40));
  EXPECT_FALSE(Covers(intervals, 5, 11));
  const Tombstones stones = {{1, intervals}, {7000, {{-100, 100}}}};
  const std::string file = FormatTombstones(stones);
  EXPECT_EQ(ParseTombstones(file), stones);
  for (size_t cut = 0; cut < file.size(); ++cut) EXPECT_FALSE(ParseTombstones(file.substr(0, cut))) << cut;
  for (size_t at = 0; at < file.size(); ++at) {
    std::string bad = file;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    EXPECT_FALSE(ParseTombstones(bad)) << at;
  }
}

}  // namespace
}  // namespace tocsin::tsdb
