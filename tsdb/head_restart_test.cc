// What a restart, or two, make of logs and chunks in unusual states: nothing acknowledged is missing, nothing is there twice.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/log.h"
#include "tsdb/db_test_util.h"
#include "tsdb/head.h"

namespace tocsin::tsdb {
namespace {

using model::Labels;
using storage::AppendOutcome;
using testing::SizeIs;

constexpr model::Timestamp kMinute = 60'000, kHour = 60 * kMinute;
const std::string kChunks = "data/chunks_head";

class HeadRestartTest : public DbTest {
 protected:
  struct Running {
    base::Registry registry;
    Metrics metrics{&registry};
    std::unique_ptr<Head> head;
  };
  // A head without the database around it, to tell it what to do.
  Head* Start(int64_t out_of_order_ms = 0, model::Timestamp min_valid = model::kMinTimestamp, bool snapshot = false) {
    running_.push_back(std::make_unique<Running>());
    Running& r = *running_.back();
    r.head = std::make_unique<Head>(HeadOptions{.fs = fs, .folder = "data", .segment_bytes = 32 << 10, .out_of_order_ms = out_of_order_ms,
                                                .snapshot = snapshot, .replay_threads = 2, .metrics = &r.metrics});
    const base::Status read = r.head->Replay(min_valid);
    EXPECT_TRUE(read) << read.error().message();
    return r.head.get();
  }
  static void Append(Head* head, model::Timestamp t, double v, const Labels& labels = kUp) {
    auto app = head->NewAppender();
    EXPECT_EQ(Put(app.get(), labels, t, v), AppendOutcome::kOk) << t;
    EXPECT_TRUE(app->Commit(storage::Durability::kSynced));
  }
  static Dump All(Head* head) { return Read(head->NewQuerier(kAll).get(), {M("__name__", model::MatchOp::kRegex, ".+")}); }
  static std::vector<model::Timestamp> Times(Head* head) {
    std::vector<model::Timestamp> times;
    const Dump all = All(head);
    for (const auto& [series, samples] : all) {
      if (series != kUp.ToMetricString()) continue;
      for (const auto& [t, v] : samples) times.push_back(t);
    }
    return times;
  }
  // Writes records as another process would.
  void Log(const std::string& folder, std::vector<std::string> records) {
    auto log = wal::Log::Open({.fs = fs, .folder = folder});
    ASSERT_TRUE(log);
    for (std::string& r : records) {
      const wal::PackedRecord packed = wal::Pack(std::move(r), wal::Compression::kNone);
      ASSERT_TRUE((*log)->Append({&packed, 1}));
    }
    ASSERT_TRUE((*log)->Close());
  }
  static std::string SeriesRecord(storage::SeriesRef ref) {
    std::string record;
    wal::EncodeSeries(ref, kUp, &record);
    return record;
  }
  static std::string SamplesRecord(storage::SeriesRef ref, model::Timestamp from, int count) {
    std::vector<storage::FloatSample> samples;
    for (int i = 0; i < count; ++i) samples.push_back({ref, from + i * 1000, i * 0.5});
    std::string record;
    wal::EncodeSamples(samples, &record);
    return record;
  }
  static std::string XorChunk(model::Timestamp from, int count, int64_t step) {
    SeriesPage page{};
    for (int i = 0; i < count; ++i) AppendFloat(&page, 0, from + i * step, i, {.chunk_range_ms = 1000 * kHour, .samples = 1000});
    SealOpen(&page, 0);
    const std::string data(page.sealed_of(0)[0].memory()->data());
    DropChunksBefore(&page, 0, model::kMaxTimestamp);
    return data;
  }
  size_t WrittenChunks() {
    HeadChunks::Loaded loaded;
    EXPECT_TRUE(HeadChunks::Open({.fs = &fs_, .folder = kChunks}, model::kMinTimestamp, &loaded));
    return loaded.chunks.size();
  }
  uint64_t Bytes(const std::string& folder) {
    uint64_t bytes = 0;
    const auto listed = fs_.List(folder);
    for (const base::FileInfo& f : *listed) bytes += f.size;
    return bytes;
  }
  std::vector<std::unique_ptr<Running>> running_;  // killed ones are destroyed with the test
};

TEST_F(HeadRestartTest, ASeriesWithTwoNumbersInTheLogKeepsTheSamplesOfBoth) {
  for (const bool snapshot : {false, true}) {
    ASSERT_TRUE(fs_.RemoveAll("data"));
    Log("data/wal", {SeriesRecord(5), SamplesRecord(5, 0, 10), SeriesRecord(900), SamplesRecord(900, 100'000, 200)});
    Head* head = Start();
    std::vector<model::Timestamp> expected = Times(head);
    ASSERT_THAT(expected, SizeIs(210));
    for (int round = 0; round < 3; ++round) {
      const model::Timestamp t = 400'000 + round * 300'000;
      for (int i = 0; i < 150; ++i) {
        Append(head, t + i * 1000, i);
        expected.push_back(t + i * 1000);
      }
      ASSERT_TRUE(head->ShortenLog());
      EXPECT_EQ(Times(head), expected);
      if (snapshot) {
        ASSERT_TRUE(head->Close());
      }
      head = Start(0, model::kMinTimestamp, snapshot);
      EXPECT_EQ(Times(head), expected) << "round " << round;
    }
  }
}

TEST_F(HeadRestartTest, ChunksOfASecondNumberStandBetweenThoseOfTheFirst) {
  Log("data/wal", {SeriesRecord(5), SeriesRecord(900)});
  {
    HeadChunks::Loaded none;
    auto files = *HeadChunks::Open({.fs = fs, .folder = kChunks}, 0, &none);
    for (const auto& [ref, from] : std::vector<std::pair<storage::SeriesRef, model::Timestamp>>{{5, 0}, {900, 200'000}, {5, 400'000}}) {
      ASSERT_TRUE(files->Add(ref, from, from + 99'000, chunk::Encoding::kXor, false, XorChunk(from, 100, 1000)));
    }
    ASSERT_TRUE(files->Close());
  }
  Head* head = Start();
  const std::vector<model::Timestamp> expected = Times(head);
  EXPECT_THAT(expected, SizeIs(300));
  Append(head, 500'000, 1);
  ASSERT_TRUE(head->ShortenLog());
  head = Start();
  EXPECT_THAT(Times(head), SizeIs(301));
}

TEST_F(HeadRestartTest, LateChunksAreNotWrittenAgainByEachRestart) {
  const int64_t window = kHour;
  Head* head = Start(window);
  Append(head, 2 * kHour, 1);
  for (int i = 0; i < 100; ++i) Append(head, kHour + i * 37 % 100 * 1000 + 1000, i);
  ASSERT_TRUE(head->FlushChunks());
  const Dump before = All(head);
  const size_t chunks = WrittenChunks();
  EXPECT_EQ(chunks, 3u);
  for (int restart = 0; restart < 3; ++restart) {
    head = Start(window);
    EXPECT_EQ(All(head), before);
    ASSERT_TRUE(head->FlushChunks());
    EXPECT_EQ(WrittenChunks(), chunks) << "after restart " << restart + 1;
  }
}

TEST_F(HeadRestartTest, AKillBetweenALateChunksMarkerAndWhatWaitsBesideItLosesNothing) {
  Head* head = Start(kHour);
  Append(head, 2 * kHour, 1);
  for (int i = 0; i < 40; ++i) Append(head, kHour + i * 1000 + 1000, i);
  const Dump before = All(head);
  ASSERT_EQ(before.begin()->second.size(), 41u);
  // The marker gets to the disk, the record behind it does not.
  bool marked = false;
  faulty_.Fail({.written = 0, .when = [&](base::FaultyFileSystem::Op op, const std::string& path) {
                  return op == base::FaultyFileSystem::Op::kWrite && path.find("wbl") != std::string::npos && std::exchange(marked, true);
                }});
  base::CaptureLog quiet;
  base::Ignore(head->FlushChunks());
  faulty_.Heal();
  // What an older version wrote: a marker alone.
  std::string marker;
  wal::EncodeMmapMarkers(std::vector<wal::MmapMarker>{{1, (uint64_t{1} << 32) + 8}}, &marker);
  Log("data/wbl", {marker});
  head = Start(kHour);
  EXPECT_EQ(All(head), before);
}

TEST_F(HeadRestartTest, TheLogOfLateSamplesIsBegunAnewThoughSomeAlwaysWait) {
  Head* head = Start(4 * kHour);
  uint64_t most = 0;
  Dump kept;
  for (int round = 0; round < 12; ++round) {
    for (int i = 0; i < 60; ++i) {
      const model::Timestamp t = round * kHour + i * kMinute;
      Append(head, t, i);
      if (t >= 50 * kMinute) Append(head, t - 50 * kMinute + 1, i);
    }
    if (round < 3) continue;
    const model::Timestamp cut = (round - 2) * kHour;
    head->BeginCut(cut);
    ASSERT_TRUE(head->Truncate(cut));
    EXPECT_TRUE(head->has_out_of_order());
    most = std::max(most, Bytes("data/wbl"));
    kept = All(head);
    Head* again = Start(4 * kHour, cut);
    EXPECT_EQ(All(again), kept) << "round " << round;
    // A chunk of late samples from across the cut counts from its first.
    EXPECT_GE(again->min_time(), head->min_time() - kHour) << "a restart brings no older samples back";
    head = again;
  }
  EXPECT_LT(most, 8000u);
}

TEST_F(HeadRestartTest, LateSamplesBehindTheCutSurviveThoughTheirChunkIsOlderThanTheHead) {
  Head* head = Start(4 * kHour);
  for (int i = 0; i <= 180; ++i) Append(head, i * kMinute, i);
  head->BeginCut(2 * kHour);
  ASSERT_TRUE(head->Truncate(2 * kHour));
  for (int i = 0; i < 70; ++i) Append(head, kHour + i * 1000, i + 0.5);  // in no block
  ASSERT_TRUE(head->FlushChunks());
  Dump before = All(head);
  // A truncation that has nothing to do with them begins their log anew.
  for (int restart = 0; restart < 3; ++restart) {
    ASSERT_TRUE(head->Truncate(kHour));
    EXPECT_EQ(All(head), before);
    head = Start(4 * kHour, 2 * kHour);
    const Dump after = All(head);
    ASSERT_EQ(after.size(), 1u);
    const auto late = [](const Dump& d) {
      return std::ranges::count_if(d.begin()->second, [](const auto& s) { return s.first < 2 * kHour && s.second != static_cast<int>(s.second); });
    };
    EXPECT_EQ(late(after), late(before)) << "restart " << restart;
    EXPECT_LE(head->min_time(), kHour) << "so that a block is cut of them";
  }
}

TEST_F(HeadRestartTest, SamplesOfADamagedChunkStayWhenTheLogIsShortened) {
  Head* head = Start();
  for (int i = 0; i < 400; ++i) Append(head, i * 1000, i);
  ASSERT_TRUE(head->FlushChunks());
  const Dump before = All(head);
  std::string text = *fs_.ReadFile(kChunks + "/000001");
  text[60] ^= 1;
  ASSERT_TRUE(fs_.WriteFileAtomically(kChunks + "/000001", text));
  base::CaptureLog quiet;
  size_t chunks = 0;
  for (int restart = 0; restart < 3; ++restart) {
    head = Start();
    EXPECT_EQ(All(head), before) << "restart " << restart;
    ASSERT_TRUE(head->ShortenLog());
    EXPECT_EQ(All(head), before);
    if (restart > 0) {
      EXPECT_EQ(WrittenChunks(), chunks) << "no copy of them";
    }
    chunks = WrittenChunks();
  }
}

TEST_F(HeadRestartTest, AChunkWithADamagedLengthCostsNoneOfThoseBehindIt) {
  Head* head = Start();
  for (int i = 0; i < 1000; ++i) Append(head, i * 1000, i);
  ASSERT_TRUE(head->ShortenLog());
  const Dump before = All(head);
  const std::string good = *fs_.ReadFile(kChunks + "/000001");
  const size_t chunks = WrittenChunks();
  for (const uint8_t flip : {1, 0x40, 0x80, 0xff}) {
    std::string text = good;
    text[8 + 25] = static_cast<char>(text[8 + 25] ^ flip);
    ASSERT_TRUE(fs_.WriteFileAtomically(kChunks + "/000001", text));
    base::CaptureLog log;
    base::Counter corruptions;
    HeadChunks::Loaded loaded;
    ASSERT_TRUE(HeadChunks::Open({.fs = &fs_, .folder = kChunks, .corruptions = &corruptions}, 0, &loaded));
    EXPECT_EQ(loaded.chunks.size(), chunks - 1) << "flipped by " << int{flip};
    EXPECT_TRUE(loaded.gaps);
    EXPECT_EQ(corruptions.value(), 1);
    EXPECT_EQ(*fs_.ReadFile(kChunks + "/damaged/000001"), text) << "the original is kept";
    EXPECT_EQ(WrittenChunks(), chunks - 1) << "and the next start reads over it";
    EXPECT_EQ(fs_.Stat(kChunks + "/000001")->size, good.size());
  }
}

TEST_F(HeadRestartTest, ALongEndWithoutAGoodChunkIsCopiedBeforeItIsCut) {
  for (const size_t bytes : {size_t{1000}, size_t{5} << 20}) {
    ASSERT_TRUE(fs_.RemoveAll("data"));
    HeadChunks::Loaded none;
    auto files = *HeadChunks::Open({.fs = fs, .folder = kChunks}, 0, &none);
    ASSERT_TRUE(files->Add(7, 0, 1000, chunk::Encoding::kXor, false, XorChunk(0, 2, 1000)));
    ASSERT_TRUE(files->Close());
    ASSERT_TRUE(fs_.WriteFileAtomically(kChunks + "/000001", *fs_.ReadFile(kChunks + "/000001") + std::string(bytes, '\xaa')));
    base::CaptureLog quiet;
    EXPECT_EQ(WrittenChunks(), 1u);
    EXPECT_EQ(fs_.Stat(kChunks + "/damaged/000001").has_value(), bytes > 2 * HeadChunks::kWriteBytes) << bytes;
  }
}

TEST_F(HeadRestartTest, AStrayFileWithAnotherSpellingOfANumberIsLeftAlone) {
  ASSERT_TRUE(fs_.CreateFolders(kChunks));
  ASSERT_TRUE(fs_.WriteFileAtomically(kChunks + "/42", "somebody's"));
  Head* head = Start();
  Append(head, 1000, 1);
  EXPECT_EQ(*fs_.ReadFile(kChunks + "/42"), "somebody's");
}

TEST_F(HeadRestartTest, AChunkTooLargeForTheFilesStaysInTheLogWithWhatFollowsIt) {
  const auto start = [&] {
    Running& r = *running_.emplace_back(std::make_unique<Running>());
    r.head = std::make_unique<Head>(HeadOptions{.fs = fs, .folder = "data", .max_chunk_bytes = 600, .metrics = &r.metrics});
    EXPECT_TRUE(r.head->Replay(model::kMinTimestamp));
    return r.head.get();
  };
  Head* head = start();
  for (int i = 0; i < 500; ++i) Append(head, i * 1000, i);
  for (int i = 500; i < 620; ++i) Append(head, i * 1000, 1.0 / i);  // 8 bytes each
  for (int i = 620; i < 1000; ++i) Append(head, i * 1000, i);
  const Dump before = All(head);
  ASSERT_TRUE(head->FlushChunks());
  const size_t written = WrittenChunks();
  EXPECT_GT(written, 0u);
  EXPECT_LT(written, 5u) << "none behind the large one";
  for (int restart = 0; restart < 3; ++restart) {
    ASSERT_TRUE(head->ShortenLog());
    EXPECT_EQ(All(head), before);
    head = start();
    EXPECT_EQ(All(head), before) << "restart " << restart;
    EXPECT_EQ(WrittenChunks(), written);
  }
}

TEST_F(HeadRestartTest, ALogThatIsShortenedAfterAFailedCutKeepsWhatNoBlockHas) {
  Head* head = Start();
  for (int i = 0; i <= 180; ++i) Append(head, i * kMinute, i);
  const Dump before = All(head);
  head->BeginCut(2 * kHour);  // and then the block cannot be written
  ASSERT_TRUE(head->ShortenLog());
  head = Start();
  EXPECT_EQ(All(head), before);
}

TEST_F(HeadRestartTest, AChunkOfLateSamplesAcrossTheCutDoesNotHoldTheHeadBack) {
  Log("data/wal", {SeriesRecord(5), SamplesRecord(5, 3 * kHour, 10)});
  {
    HeadChunks::Loaded none;
    auto files = *HeadChunks::Open({.fs = fs, .folder = kChunks}, 0, &none);
    ASSERT_TRUE(files->Add(5, kHour, kHour + 99 * kMinute, chunk::Encoding::kXor, true, XorChunk(kHour, 100, kMinute)));
    ASSERT_TRUE(files->Close());
  }
  auto db = Open({.out_of_order_window = std::chrono::hours(2)});
  Add(db.get(), kUp, {{5 * kHour, 1}});
  const Dump before = ReadAll(db.get());
  for (int round = 0; round < 3; ++round) ASSERT_TRUE(db->Compact());
  EXPECT_EQ(ReadAll(db.get()), before);
  EXPECT_EQ(db->Blocks().size(), 1u);
  EXPECT_EQ(db->Stats().min_time, 2 * kHour);
}

TEST_F(HeadRestartTest, ABatchThatACutOvertookIsKept) {
  Head* head = Start();
  Append(head, 0, 0);
  auto app = head->NewAppender();
  EXPECT_EQ(Put(app.get(), kUp, kMinute, 1), AppendOutcome::kOk);
  Append(head, 4 * kHour, 2, Labels::FromPairs({{"__name__", "other"}}));
  head->BeginCut(2 * kHour);
  ASSERT_TRUE(app->Commit(storage::Durability::kSynced));
  app.reset();
  ASSERT_TRUE(head->Truncate(2 * kHour));
  EXPECT_EQ(Times(head), (std::vector<model::Timestamp>{kMinute})) << "the block does not have it";
  EXPECT_EQ(head->min_time(), kMinute) << "the next one will";
  head = Start(0, 2 * kHour);
  EXPECT_EQ(Times(head), (std::vector<model::Timestamp>{kMinute}));
}

TEST_F(HeadRestartTest, ASampleThatAnotherBatchOvertookIsLateAndKept) {
  Head* head = Start(4 * kHour);
  Append(head, 0, 0);
  auto slow = head->NewAppender();
  EXPECT_EQ(Put(slow.get(), kUp, 1000, 1), AppendOutcome::kOk);
  Append(head, 2000, 2);
  ASSERT_TRUE(slow->Commit(storage::Durability::kSynced));
  slow.reset();
  EXPECT_EQ(Times(head), (std::vector<model::Timestamp>{0, 1000, 2000}));
  // The log has late samples too; one that it has first must not hide what came in order.
  const Labels other = Labels::FromPairs({{"__name__", "other"}});
  slow = head->NewAppender();
  EXPECT_EQ(Put(slow.get(), kUp, 40 * kMinute, 1), AppendOutcome::kOk);
  Append(head, 115 * kMinute, 1, other);
  {
    auto app = head->NewAppender();
    EXPECT_EQ(Put(app.get(), kUp, 50 * kMinute, 1), AppendOutcome::kOk);
    EXPECT_TRUE(app->Commit(storage::Durability::kSynced));
  }
  ASSERT_TRUE(slow->Commit(storage::Durability::kSynced));
  slow.reset();
  const Dump before = All(head);
  EXPECT_EQ(Times(head), (std::vector<model::Timestamp>{0, 1000, 2000, 40 * kMinute, 50 * kMinute}));
  head = Start(4 * kHour);
  EXPECT_EQ(All(head), before);
}

TEST_F(HeadRestartTest, ABatchMayHaveASeriesHistogramsTwiceInAnyOrder) {
  const auto histogram = [](double n) {
    auto h = std::make_shared<model::Histogram>();
    h->integer = true;
    h->positive_spans = {{0, 1}};
    h->positive_buckets = {n};
    h->count = h->sum = n;
    return h;
  };
  for (const int64_t window : {int64_t{0}, kHour}) {
    ASSERT_TRUE(fs_.RemoveAll("data"));
    Head* head = Start(window);
    auto app = head->NewAppender();
    const auto ref = *app->Resolve(kUp);
    const auto late = window > 0 ? AppendOutcome::kOk : AppendOutcome::kOutOfOrder;
    EXPECT_EQ(app->AppendHistogram(ref, 2000, histogram(2)), AppendOutcome::kOk);
    EXPECT_EQ(app->AppendHistogram(ref, 1000, histogram(1)), late);
    EXPECT_EQ(app->AppendHistogram(ref, 2000, histogram(2)), AppendOutcome::kOk);
    EXPECT_EQ(app->AppendHistogram(ref, 2000, histogram(3)), AppendOutcome::kDuplicateTimestamp);
    EXPECT_EQ(Put(app.get(), kUp, 2000, 3), AppendOutcome::kDuplicateTimestamp);
    EXPECT_EQ(Put(app.get(), kUp, 1500, 3), late);
    EXPECT_TRUE(app->Commit());
    app.reset();
    const auto expected = window > 0 ? std::vector<model::Timestamp>{1000, 1500, 2000} : std::vector<model::Timestamp>{2000};
    EXPECT_EQ(Times(head), expected);
    head = Start(window);
    EXPECT_EQ(Times(head), expected);
  }
}

TEST_F(HeadRestartTest, ARepeatedSampleIsPromisedOnlyWhenItIsOnStableStorage) {
  Head* head = Start();
  Append(head, 1000, 1);
  const auto append = [&](model::Timestamp t, storage::Durability d) {
    auto app = head->NewAppender();
    EXPECT_EQ(Put(app.get(), kUp, t, 2), AppendOutcome::kOk);
    return app->Commit(d);
  };
  ASSERT_TRUE(append(2000, storage::Durability::kWritten));
  ASSERT_TRUE(append(2000, storage::Durability::kSynced)) << "waits for the sync of the first";
  faulty_.Fail({.op = base::FaultyFileSystem::Op::kSync, .path = "wal/", .times = 1});
  EXPECT_FALSE(append(3000, storage::Durability::kSynced));
  EXPECT_TRUE(head->log_in_doubt());
  EXPECT_FALSE(append(3000, storage::Durability::kSynced)) << "it is in memory, and perhaps on no disk";
  ASSERT_TRUE(head->ShortenLog());
  EXPECT_TRUE(append(3000, storage::Durability::kSynced));
  fs_.Crash();
  head = Start();
  EXPECT_EQ(Times(head), (std::vector<model::Timestamp>{1000, 2000, 3000}));
}

TEST_F(HeadRestartTest, ALateSampleAfterTheLastInOrderIsTheNewest) {
  auto db = Open({.out_of_order_window = std::chrono::hours(4)});
  const Labels other = Labels::FromPairs({{"__name__", "other"}});
  Add(db.get(), kUp, {{0, 1}});
  Add(db.get(), other, {{3 * kHour, 1}});
  Add(db.get(), kUp, {{kHour, 2}});  // behind the head by more than half a range: late, though the series has nothing later
  for (const bool reopened : {false, true}) {
    const auto q = db->NewQuerier(kAll);
    const auto set = *q->Select({}, std::vector{Name("up")});
    storage::LastColumns last;
    ASSERT_TRUE(set->ReadLast(0, 1, {-1, 2 * kHour}, &last));
    EXPECT_EQ(last.times[0], kHour) << reopened;
    EXPECT_EQ(last.values[0], 2) << reopened;
    if (!reopened) {
      Kill(std::move(db));
      db = Open({.out_of_order_window = std::chrono::hours(4)});
    }
  }
}

TEST_F(HeadRestartTest, DeletionsOfWhatIsGoneAreForgottenAndThoseOfWhatIsThereAreNot) {
  auto db = Open({.out_of_order_window = std::chrono::hours(8)});
  for (int m = 0; m <= 200; ++m) Add(db.get(), kUp, {{m * kMinute, m * 1.0}});
  const std::vector<model::Matchers> any = {{Name("up")}};
  ASSERT_TRUE(db->DeleteSeries(10 * kMinute, 20 * kMinute, any));
  ASSERT_TRUE(db->DeleteSeries(190 * kMinute, 195 * kMinute, any));
  for (int m = 201; m <= 560; ++m) Add(db.get(), kUp, {{m * kMinute, m * 1.0}});
  // The first cut begins the log of late samples anew, the second forgets.
  ASSERT_TRUE(db->Compact());
  for (int m = 561; m <= 700; ++m) Add(db.get(), kUp, {{m * kMinute, m * 1.0}});
  ASSERT_TRUE(db->Compact());
  Add(db.get(), kUp, {{300 * kMinute + 1, 7}});
  const Dump before = ReadAll(db.get());
  EXPECT_EQ(before.begin()->second.size(), 701u - 11 - 6 + 1);
  Kill(std::move(db));
  db = Open({.out_of_order_window = std::chrono::hours(8)});
  EXPECT_EQ(ReadAll(db.get()), before);
}

TEST_F(HeadRestartTest, ABlockPastRetentionGoesThoughTheDiskIsFull) {
  const DbOptions options = {.retention_time = std::chrono::hours(3), .min_block_duration = std::chrono::minutes(30)};
  auto db = Open(options);
  for (int m = 0; m <= 60; ++m) Add(db.get(), kUp, {{m * kMinute, m * 1.0}});
  ASSERT_TRUE(db->Compact());
  ASSERT_EQ(db->Blocks().size(), 1u);
  const std::string old = db->Blocks()[0].ulid;
  Kill(std::move(db));
  DbOptions longer = options;
  longer.retention_time = base::Duration(0);
  db = Open(longer);
  for (int m = 61; m <= 600; ++m) Add(db.get(), kUp, {{m * kMinute, m * 1.0}});
  ASSERT_TRUE(db->Compact());
  for (int m = 601; m <= 700; ++m) Add(db.get(), kUp, {{m * kMinute, m * 1.0}});
  db->SetRetention({.time = std::chrono::hours(3)});
  base::CaptureLog quiet;
  faulty_.Fail({.code = base::Code::kResourceExhausted, .when = [](base::FaultyFileSystem::Op op, const std::string&) {
                  return op == base::FaultyFileSystem::Op::kWrite;
                }});
  EXPECT_FALSE(db->Compact()) << "the head cannot be cut";
  for (const BlockInfo& b : db->Blocks()) EXPECT_NE(b.ulid, old);
}

}  // namespace
}  // namespace tocsin::tsdb
