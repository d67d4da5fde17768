// chunks_head/: what is written there, what a restart makes of it, and damage.

#include "tsdb/head_chunks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/log.h"
#include "tsdb/db_test_util.h"
#include "tsdb/head.h"

namespace tocsin::tsdb {
namespace {

using model::Labels;
using storage::AppendOutcome;
using testing::HasSubstr;

const std::string kFile = "data/chunks_head/000001";

Labels Series(int s) { return Labels::FromPairs({{"__name__", "m"}, {"s", std::to_string(s)}}); }

model::HistogramPtr MakeHistogram(double n) {
  auto h = std::make_shared<model::Histogram>();
  h->integer = true;
  h->schema = 1;
  h->zero_threshold = 0.001;
  h->positive_spans = {{0, 2}};
  h->positive_buckets = {n, n + 1};
  h->count = 2 * n + 1;
  h->sum = n * 1.5;
  return h;
}

class HeadChunksTest : public DbTest {
 protected:
  // 400 samples of each series: three sealed chunks and an open one.
  Dump Fill(Db* db, int series = 5, int samples = 400) {
    for (int i = 0; i < samples; ++i) {
      auto app = db->NewAppender();
      for (int s = 0; s < series; ++s) EXPECT_EQ(Put(app.get(), Series(s), i * 1000, i * 0.25 + s), AppendOutcome::kOk);
      EXPECT_TRUE(app->Commit());
    }
    EXPECT_TRUE(db->Compact());
    return ReadAll(db);
  }
  // The folder as it is now, to begin with again and again.
  std::map<std::string, std::string> Save(const std::string& folder) {
    std::map<std::string, std::string> files;
    const auto listed = fs_.List(folder);
    if (!listed) return files;
    for (const base::FileInfo& f : *listed) {
      const std::string path = base::JoinPath(folder, f.name);
      if (f.is_folder) {
        files.merge(Save(path));
      } else {
        files[path] = *fs_.ReadFile(path);
      }
    }
    return files;
  }
  void Restore(const std::map<std::string, std::string>& files) {
    ASSERT_TRUE(fs_.RemoveAll("data"));
    for (const auto& [path, text] : files) {
      ASSERT_TRUE(fs_.CreateFolders(base::FolderOf(path)));
      ASSERT_TRUE(fs_.WriteFileAtomically(path, text));
    }
  }
};

TEST_F(HeadChunksTest, AFileIsKnownByItsSixDigits) {
  auto db = Open();
  const Dump before = Fill(db.get());
  Kill(std::move(db));
  for (const char* name : {"1", "0000001", "1048576", "99999999999999999999"}) {
    ASSERT_TRUE(fs_.WriteFileAtomically(base::JoinPath("data/chunks_head", name), *fs_.ReadFile(kFile)));
  }
  db = Open();
  EXPECT_EQ(ReadAll(db.get()), before);
  EXPECT_EQ(db->Stats().chunks, 20u);
}

TEST_F(HeadChunksTest, SealedChunksAreWrittenAndReadFromThere) {
  auto db = Open();
  const Dump before = Fill(db.get());
  EXPECT_EQ(before.size(), 5u);
  EXPECT_EQ(before.begin()->second.size(), 400u);
  const auto text = fs_.ReadFile(kFile);
  ASSERT_TRUE(text);
  EXPECT_TRUE(text->starts_with(std::string_view("\x01\x30\xbc\x91\x01\0\0\0", 8)));
  HeadChunks::Loaded loaded;
  auto files = HeadChunks::Open({.fs = &fs_, .folder = "data/chunks_head"}, 0, &loaded);
  ASSERT_TRUE(files);
  EXPECT_EQ(loaded.chunks.size(), 15u);
  EXPECT_FALSE(loaded.gaps);
  EXPECT_EQ(loaded.chunks[0].mint, 0);
  EXPECT_GT(loaded.chunks[0].samples, 100);
  EXPECT_TRUE((*files)->Read(loaded.chunks[14].number));
}

TEST_F(HeadChunksTest, ARestartFindsTheSameSamplesWhateverIsMissing) {
  auto db = Open();
  const Dump before = Fill(db.get());
  Kill(std::move(db));
  const auto saved = Save("data");
  for (const char* missing : {"", "data/chunks_head", "data/chunks_head/000001"}) {
    Restore(saved);
    if (*missing != 0) {
      ASSERT_TRUE(fs_.RemoveAll(missing));
    }
    db = Open();
    EXPECT_EQ(ReadAll(db.get()), before) << missing;
    EXPECT_EQ(db->Stats().chunks, 20u) << missing;
    Add(db.get(), Series(0), {{400'000, 1}});
    EXPECT_EQ(ReadAll(db.get()).begin()->second.size(), 401u);
    Kill(std::move(db));
    db = Open();
    EXPECT_EQ(ReadAll(db.get()).begin()->second.size(), 401u) << "once more after " << missing;
    Kill(std::move(db));
  }
}

TEST_F(HeadChunksTest, AChunkFileCutAnywhereCostsNothingThatTheLogHas) {
  auto db = Open();
  const Dump before = Fill(db.get(), 2);
  Kill(std::move(db));
  const auto saved = Save("data");
  base::CaptureLog quiet;
  for (size_t n = 0, cut = 0; cut < saved.at(kFile).size(); cut += n % 2 > 0 ? 0 : cut < 90 ? 1 : 97) {
    auto files = saved;
    files[kFile].resize(cut);
    // And as a power loss leaves it, when the size was known already.
    if (n++ % 2 > 0) files[kFile].resize(saved.at(kFile).size());
    Restore(files);
    db = Open();
    ASSERT_NE(db, nullptr);
    EXPECT_EQ(ReadAll(db.get()), before) << "cut at " << cut;
    EXPECT_TRUE(db->Compact());
    Kill(std::move(db));
    db = Open();
    EXPECT_EQ(ReadAll(db.get()), before) << "and once more after a cut at " << cut;
    db.reset();
  }
}

TEST_F(HeadChunksTest, AnyFlippedByteIsNoticedAndTheLogSuppliesWhatItCost) {
  auto db = Open();
  const Dump before = Fill(db.get(), 2);
  Kill(std::move(db));
  const auto saved = Save("data");
  base::CaptureLog quiet;
  std::mt19937_64 random(1);
  for (size_t at = 0; at < saved.at(kFile).size(); at += at < 70 ? 1 : 61) {
    auto files = saved;
    files[kFile][at] = static_cast<char>(files[kFile][at] ^ (1 << random() % 8));
    Restore(files);
    db = Open();
    ASSERT_NE(db, nullptr);
    EXPECT_EQ(ReadAll(db.get()), before) << "flipped at " << at;
    Kill(std::move(db));
    db = Open();
    EXPECT_EQ(ReadAll(db.get()), before) << "and once more after a flip at " << at;
    db.reset();
  }
}

TEST_F(HeadChunksTest, ADamagedChunkIsNamedInTheLogAndMadeNobodys) {
  auto db = Open();
  const Dump before = Fill(db.get());
  Kill(std::move(db));
  std::string text = *fs_.ReadFile(kFile);
  text[60] ^= 1;
  ASSERT_TRUE(fs_.WriteFileAtomically(kFile, text));
  {
    base::CaptureLog log;
    db = Open();
    bool told = false;
    for (const std::string& line : log.lines()) told = told || (line.find("chunk CRC") != std::string::npos && line.find("offset=8") != std::string::npos);
    EXPECT_TRUE(told);
  }
  EXPECT_EQ(ReadAll(db.get()), before);
  Kill(std::move(db));
  HeadChunks::Loaded loaded;
  base::CaptureLog log;
  ASSERT_TRUE(HeadChunks::Open({.fs = &fs_, .folder = "data/chunks_head"}, 0, &loaded));
  EXPECT_EQ(loaded.chunks.size(), 14u);
  EXPECT_TRUE(loaded.gaps) << "later starts ask the log again";
  EXPECT_TRUE(log.lines().empty());
}

TEST_F(HeadChunksTest, FilesAreBegunWhenFullAndRemovedFromTheOldest) {
  auto files = *HeadChunks::Open({.fs = &fs_, .folder = "c", .file_bytes = 200}, 0, std::make_unique<HeadChunks::Loaded>().get());
  std::vector<uint64_t> numbers;
  for (int i = 0; i < 10; ++i) {
    numbers.push_back(*files->Add(7, i * 100, i * 100 + 99, chunk::Encoding::kXor, false, std::string(50, static_cast<char>('a' + i))));
  }
  ASSERT_TRUE(files->Write());
  for (int i = 0; i < 10; ++i) EXPECT_EQ(*files->Read(numbers[i]), std::string(50, static_cast<char>('a' + i)));
  EXPECT_EQ(numbers.back() >> 32, 5u);
  ASSERT_TRUE(files->Truncate(450));
  EXPECT_FALSE(fs_.Stat("c/000002"));
  EXPECT_TRUE(fs_.Stat("c/000003")) << "it has samples up to 599";
  EXPECT_EQ(*files->Read(numbers[9]), std::string(50, 'j'));
  ASSERT_TRUE(files->Truncate(5000));
  EXPECT_TRUE(fs_.Stat("c/000006")) << "the numbers go on";
  ASSERT_TRUE(files->Close());
  HeadChunks::Loaded loaded;
  auto again = *HeadChunks::Open({.fs = &fs_, .folder = "c"}, 0, &loaded);
  EXPECT_EQ(*again->Add(7, 5000, 5001, chunk::Encoding::kXor, false, "x") >> 32, 7u);
}

TEST_F(HeadChunksTest, AFullDiskLeavesChunksInMemoryAndTheyAreWrittenLater) {
  auto db = Open();
  faulty_.Fail({.op = base::FaultyFileSystem::Op::kWrite, .path = "chunks_head"});
  base::CaptureLog log;
  for (int i = 0; i < 400; ++i) Add(db.get(), kUp, {{i * 1000, i * 0.5}});
  EXPECT_FALSE(db->Compact());
  EXPECT_EQ(ReadAll(db.get()).begin()->second.size(), 400u);
  faulty_.Heal();
  EXPECT_TRUE(db->Compact());
  HeadChunks::Loaded loaded;
  ASSERT_TRUE(HeadChunks::Open({.fs = &fs_, .folder = "data/chunks_head"}, 0, &loaded));
  EXPECT_EQ(loaded.chunks.size(), 3u);
  EXPECT_EQ(ReadAll(db.get()).begin()->second.size(), 400u);
}

TEST_F(HeadChunksTest, LateSamplesBecomeChunksWithTheMarkOfLateness) {
  auto db = Open({.out_of_order_window = std::chrono::hours(1)});
  Add(db.get(), kUp, {{2'000'000, 1}});
  for (int i = 0; i < 100; ++i) Add(db.get(), kUp, {{1'000'000 + (i * 37 % 100) * 1000, i * 0.5}});
  const Dump before = ReadAll(db.get());
  EXPECT_EQ(before.begin()->second.size(), 101u);
  ASSERT_TRUE(db->Compact());
  EXPECT_EQ(ReadAll(db.get()), before);
  Add(db.get(), kUp, {{1'500'000, 7}});
  const Dump after = ReadAll(db.get());
  Kill(std::move(db));
  {
    HeadChunks::Loaded loaded;
    ASSERT_TRUE(HeadChunks::Open({.fs = &fs_, .folder = "data/chunks_head"}, 0, &loaded));
    ASSERT_EQ(loaded.chunks.size(), 3u);
    for (const HeadChunk& c : loaded.chunks) EXPECT_TRUE(c.late);
  }
  const auto saved = Save("data");
  for (const bool chunks : {true, false}) {
    Restore(saved);
    if (!chunks) {
      ASSERT_TRUE(fs_.RemoveAll("data/chunks_head"));
    }
    db = Open({.out_of_order_window = std::chrono::hours(1)});
    EXPECT_EQ(ReadAll(db.get()), after);
    Kill(std::move(db));
  }
}

TEST_F(HeadChunksTest, ALateSampleIsSeenWithItsBatchAndNotBefore) {
  auto db = Open({.out_of_order_window = std::chrono::hours(1)});
  Add(db.get(), kUp, {{2'000'000, 1}});
  auto early = db->NewQuerier(kAll);
  Add(db.get(), kUp, {{1'000'000, 2}});
  EXPECT_EQ(Read(early.get(), {Name("up")}).begin()->second.size(), 1u);
  EXPECT_EQ(ReadAll(db.get()).begin()->second.size(), 2u);
  for (int i = 1; i < 100; ++i) Add(db.get(), kUp, {{1'000'000 + i, 2}});
  EXPECT_EQ(Read(early.get(), {Name("up")}).begin()->second.size(), 1u) << "no chunk is made of what a reader must not see";
  early.reset();
  Add(db.get(), kUp, {{1'500'000, 2}});
  EXPECT_EQ(ReadAll(db.get()).begin()->second.size(), 102u);
}

TEST_F(HeadChunksTest, InOrderOnlyRefusesWhatTheWindowWouldTake) {
  auto db = Open({.out_of_order_window = std::chrono::hours(1)});
  Add(db.get(), kUp, {{2'000'000, 1}});
  auto app = db->NewAppender();
  app->SetInOrderOnly(true);
  EXPECT_EQ(Put(app.get(), kUp, 1'000'000, 1), AppendOutcome::kOutOfOrder);
  EXPECT_EQ(app->AppendHistogram(*app->Resolve(kUp), 1'000'000, MakeHistogram(1)), AppendOutcome::kOutOfOrder);
  app->SetInOrderOnly(false);
  EXPECT_EQ(Put(app.get(), kUp, 1'000'000, 1), AppendOutcome::kOk);
  EXPECT_EQ(app->AppendHistogram(*app->Resolve(kUp), 1'100'000, MakeHistogram(1)), AppendOutcome::kOk);
}

// Floats, histograms, gaps, late samples, deletions, housekeeping and kills in random order: a model says what
// must be there.
TEST_F(HeadChunksTest, RandomWorkloadsAreEqualAfterEachRestart) {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    std::mt19937_64 random(seed);
    ASSERT_TRUE(fs_.RemoveAll("data"));
    const auto open = [&] { return Open({.wal_segment_bytes = 32 << 10, .out_of_order_window = std::chrono::minutes(30)}); };
    auto db = open();
    model::Timestamp now = 1'000'000;
    for (int round = 0; round < 40; ++round) {
      const uint64_t what = random() % 10;
      if (what < 7) {
        for (int i = 0; i < 40; ++i) {
          auto app = db->NewAppender();
          now += 15'000;
          for (int s = 0; s < 6; ++s) {
            if (random() % 20 == 0) continue;
            const double v = random() % 50 == 0 ? model::StaleMarker() : static_cast<double>(random() % 1000) / 8;
            if (s == 5) {
              app->AppendHistogram(*app->Resolve(Series(s)), now, MakeHistogram(static_cast<double>(random() % 100)));
            } else {
              Put(app.get(), Series(s), now, v);
            }
            if (random() % 10 == 0) Put(app.get(), Series(s), now - static_cast<int64_t>(random() % 1'700'000), 0.5);
          }
          ASSERT_TRUE(app->Commit());
        }
      } else if (what == 7) {
        ASSERT_TRUE(db->Compact());
      } else if (what == 8) {
        const auto from = now - static_cast<int64_t>(random() % 3'000'000);
        const std::vector<model::Matchers> any = {{M("s", model::MatchOp::kEqual, std::to_string(random() % 6))}};
        ASSERT_TRUE(db->DeleteSeries(from, from + static_cast<int64_t>(random() % 600'000), any));
      } else {
        const Dump before = ReadAll(db.get());
        storage::SampleColumns histograms, again;
        const auto read = [&](storage::SampleColumns* out) {
          auto q = db->NewQuerier(kAll);
          auto set = *q->Select({}, std::vector{M("s", model::MatchOp::kEqual, "5")});
          ASSERT_TRUE(set->Read(0, set->size(), kAll, out));
        };
        read(&histograms);
        Kill(std::move(db));
        db = open();
        const Dump after = ReadAll(db.get());
        ASSERT_EQ(after.size(), before.size());
        for (const auto& [series, samples] : before) {
          const auto& found = after.at(series);
          ASSERT_EQ(found.size(), samples.size()) << "seed " << seed << " round " << round << " " << series;
          for (size_t i = 0; i < samples.size(); ++i) {
            ASSERT_EQ(found[i].first, samples[i].first);
            ASSERT_TRUE(model::SameBits(found[i].second, samples[i].second));
          }
        }
        read(&again);
        ASSERT_EQ(again.histogram_at, histograms.histogram_at);
        for (size_t i = 0; i < again.histograms.size(); ++i) {
          EXPECT_EQ(again.histograms[i]->positive_buckets, histograms.histograms[i]->positive_buckets);
        }
      }
    }
  }
}

TEST_F(HeadChunksTest, ReplayedSamplesDoNotDependOnTheNumberOfThreads) {
  auto db = Open({.out_of_order_window = std::chrono::minutes(30)});
  std::mt19937_64 random(5);
  for (int i = 0; i < 60; ++i) {
    auto app = db->NewAppender();
    for (int s = 0; s < 700; ++s) {  // several pages, so that threads share the work
      Put(app.get(), Series(s), i * 60'000, static_cast<double>(random() % 1000) / 8);
      if (random() % 50 == 0) Put(app.get(), Series(s), i * 60'000 - static_cast<int64_t>(random() % 1'000'000), 1);
    }
    app->AppendHistogram(*app->Resolve(Series(1000)), i * 60'000, MakeHistogram(i));
    ASSERT_TRUE(app->Commit());
  }
  const Dump before = ReadAll(db.get());
  Kill(std::move(db));
  const auto saved = Save("data");
  for (const int threads : {1, 2, 5}) {
    Restore(saved);
    base::Registry registry;
    Metrics metrics(&registry);
    Head head({.fs = fs, .folder = "data", .replay_threads = threads, .metrics = &metrics});
    ASSERT_TRUE(head.Replay(model::kMinTimestamp));
    EXPECT_EQ(Read(head.NewQuerier(kAll).get(), {M("__name__", model::MatchOp::kRegex, ".+")}), before) << threads << " threads";
    ASSERT_TRUE(head.Close());
  }
}

TEST_F(HeadChunksTest, TheLastSampleOfASeriesIsRightAfterARestart) {
  auto db = Open();
  for (int i = 0; i < 300; ++i) Add(db.get(), kUp, {{i * 1000, i == 299 ? model::StaleMarker() : i * 0.5}});
  Kill(std::move(db));
  // Without the log's end only written chunks are left of the series.
  db = Open();
  ASSERT_TRUE(db->Compact());
  auto q = db->NewQuerier(kAll);
  auto set = *q->Select({}, std::vector{Name("up")});
  storage::LastColumns last;
  ASSERT_TRUE(set->ReadLast(0, 1, kAll, &last));
  EXPECT_EQ(last.times[0], 299'000);
  EXPECT_TRUE(model::IsStale(last.values[0]));
  auto app = db->NewAppender();
  EXPECT_EQ(Put(app.get(), kUp, 299'000, model::StaleMarker()), AppendOutcome::kOk) << "an exact repeat";
}

TEST_F(HeadChunksTest, TheLogIsShortenedByWhatChunksHaveAndARestartMissesNothing) {
  auto db = Open({.wal_segment_bytes = 1 << 20});
  const auto log_bytes = [&] {
    size_t bytes = 0;
    for (const auto& [path, text] : Save("data/wal")) bytes += text.size();
    return bytes;
  };
  // Half a million samples in chunks make it worth while.
  std::vector<storage::FloatSample> samples;
  std::vector<AppendOutcome> outcomes;
  std::vector<storage::SeriesRef> refs;
  std::mt19937_64 random(4);
  for (int i = 0; i < 250; ++i) {
    auto app = db->NewAppender();
    if (refs.empty()) {
      for (int s = 0; s < 3000; ++s) refs.push_back(*app->Resolve(Series(s)));
    }
    samples.clear();
    for (const storage::SeriesRef ref : refs) samples.push_back({ref, i * 15'000, static_cast<double>(random() % 1000)});
    outcomes.resize(samples.size());
    app->Append(samples, outcomes);
    ASSERT_TRUE(app->Commit());
  }
  const Dump before = ReadAll(db.get());
  const size_t long_log = log_bytes();
  ASSERT_TRUE(db->Compact());
  const size_t short_log = log_bytes();
  EXPECT_LT(short_log, long_log / 5);
  EXPECT_EQ(ReadAll(db.get()), before);
  Kill(std::move(db));
  db = Open();
  EXPECT_EQ(ReadAll(db.get()), before);
  Add(db.get(), Series(1), {{250 * 15'000, 1}});
  Kill(std::move(db));
  db = Open();
  EXPECT_EQ(ReadAll(db.get()).at("m{s=\"1\"}").size(), 251u);
}

TEST_F(HeadChunksTest, TheLogKeepsWhatChunksHaveWhenTheyCannotBeSynced) {
  auto db = Open();
  faulty_.Fail({.op = base::FaultyFileSystem::Op::kSync, .path = "chunks_head", .times = 1});
  base::CaptureLog log;
  for (int i = 0; i < 800; ++i) Add(db.get(), Series(0), {{i * 30'000, 1}});  // a block is cut and the log truncated
  ASSERT_TRUE(db->Compact());
  ASSERT_EQ(db->Blocks().size(), 2u);
  const Dump before = ReadAll(db.get());
  EXPECT_TRUE(std::ranges::any_of(log.lines(), [](const std::string& l) { return l.find("chunks_head: syncing failed") != std::string::npos; }));
  Kill(std::move(db));
  ASSERT_TRUE(fs_.RemoveAll("data/chunks_head"));
  db = Open();
  EXPECT_EQ(ReadAll(db.get()), before);
}

}  // namespace
}  // namespace tocsin::tsdb
