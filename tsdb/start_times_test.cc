// Start times of samples on their way through the database: head, logs, chunks, blocks.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tsdb/block.h"
#include "tsdb/db_test_util.h"
#include "tsdb/wal/record.h"
#include "tsdb/wal/segment.h"

namespace tocsin::tsdb {
namespace {

using model::Labels;
using storage::AppendOutcome;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

constexpr model::Timestamp kMinute = 60'000, kHour = 60 * kMinute;

struct Started {
  model::Timestamp t, start;
};
// By series, each sample's time and start time.
using Starts = std::map<std::string, std::vector<std::pair<model::Timestamp, model::Timestamp>>>;

model::HistogramPtr HistogramAt(model::Timestamp t, bool integer) {
  auto h = std::make_shared<model::Histogram>();
  h->integer = integer;
  h->positive_spans = {{0, 1}};
  h->positive_buckets = {static_cast<double>(t)};
  h->count = static_cast<double>(t);
  h->sum = 1;
  return h;
}

class StartTimesTest : public DbTest {
 protected:
  enum class Kind { kFloat, kInteger, kFloatHistogram };
  static constexpr std::pair<const char*, Kind> kKinds[] = {
      {"float", Kind::kFloat}, {"integer", Kind::kInteger}, {"float_histogram", Kind::kFloatHistogram}};

  static DbOptions On() { return {.start_times = true, .histogram_start_times = true, .out_of_order_window = std::chrono::hours(12)}; }

  // One batch: a sample of each kind of series at each time.
  static void Write(Db* db, std::vector<Started> samples) {
    auto app = db->NewAppender();
    for (const auto& [name, kind] : kKinds) {
      const storage::SeriesRef ref = *app->Resolve(Labels::FromPairs({{"__name__", name}}));
      for (const Started& s : samples) {
        AppendOutcome outcome;
        if (kind == Kind::kFloat) {
          const storage::FloatSample sample{ref, s.t, static_cast<double>(s.t)};
          app->AppendStarted({&sample, 1}, {&s.start, 1}, {&outcome, 1});
        } else {
          outcome = app->AppendStartedHistogram(ref, s.t, s.start, HistogramAt(s.t, kind == Kind::kInteger));
        }
        EXPECT_EQ(outcome, AppendOutcome::kOk) << name << " at " << s.t;
      }
    }
    EXPECT_TRUE(app->Commit(storage::Durability::kSynced));
  }

  static Starts ReadStarts(Db* db, storage::Window window = kAll) {
    const auto q = db->NewQuerier(window);
    auto set = q->Select({.window = window}, std::vector{M("__name__", model::MatchOp::kRegex, ".+")});
    EXPECT_TRUE(set) << set.error().message();
    storage::SampleColumns columns;
    EXPECT_TRUE((*set)->Read(0, (*set)->size(), window, &columns));
    Starts out;
    for (size_t i = 0; i < (*set)->size(); ++i) {
      auto& series = out[std::string((*set)->labels(i).MetricName())];
      for (size_t k = columns.offsets[i]; k < columns.offsets[i + 1]; ++k) {
        series.emplace_back(columns.times[k], columns.start_times.empty() ? 0 : columns.start_times[k]);
      }
    }
    return out;
  }

  // What each series must have.
  static Starts Expected(const std::map<model::Timestamp, model::Timestamp>& samples) {
    Starts out;
    for (const auto& [name, kind] : kKinds) out[name] = {samples.begin(), samples.end()};
    return out;
  }

  // Every file of the database with its bytes, but what differs between any two.
  std::map<std::string, std::string> Files(const std::string& folder) {
    std::map<std::string, std::string> out;
    const auto files = fs_.List(folder);
    EXPECT_TRUE(files);
    for (const base::FileInfo& f : *files) {
      const std::string path = base::JoinPath(folder, f.name);
      if (f.is_folder) {
        out.merge(Files(path));
      } else {
        out[path] = *fs_.ReadFile(path);
      }
    }
    return out;
  }

  // The types of records in a log's segments.
  std::vector<int> RecordTypes(const std::string& folder) {
    std::vector<int> types;
    const auto files = fs_.List(folder);
    if (!files) return types;
    for (const base::FileInfo& f : *files) {
      if (f.is_folder) continue;
      const std::string segment = *fs_.ReadFile(base::JoinPath(folder, f.name));
      wal::SegmentReader reader(segment);
      for (std::string_view record; reader.Next(&record);) types.push_back(record[0]);
    }
    return types;
  }
};

TEST_F(StartTimesTest, OpenChunksLateSamplesAndEveryWindowHaveThem) {
  auto db = Open(On());
  std::map<model::Timestamp, model::Timestamp> all;
  for (int i = 0; i < 100; ++i) {
    const model::Timestamp t = kHour + i * kMinute, start = i < 30 ? 0 : i < 60 ? kHour : i % 10 == 0 ? 0 : t - kMinute;
    Write(db.get(), {{t, start}});
    all[t] = start;
  }
  EXPECT_EQ(ReadStarts(db.get()), Expected(all));
  // Two late ones in one batch, one of them without.
  Write(db.get(), {{kHour + 7, 5}, {kHour + 9, 0}});
  all[kHour + 7] = 5, all[kHour + 9] = 0;
  EXPECT_EQ(ReadStarts(db.get()), Expected(all));
  for (const storage::Window w : {storage::Window{kHour + 20 * kMinute, kHour + 40 * kMinute}, storage::Window{kHour + 95 * kMinute, 9 * kHour},
                                  storage::Window{0, kHour + 8}}) {
    std::map<model::Timestamp, model::Timestamp> some(all.upper_bound(w.after), all.upper_bound(w.upto));
    EXPECT_EQ(ReadStarts(db.get(), w), Expected(some)) << w.after << " to " << w.upto;
  }
}

TEST_F(StartTimesTest, TheySurviveKillsStopsAndSnapshots) {
  for (const bool snapshot : {false, true}) {
    ASSERT_TRUE(fs_.RemoveAll("data"));
    DbOptions options = On();
    options.memory_snapshot = snapshot;
    options.wal_shorten_samples = 1;
    auto db = Open(options);
    std::map<model::Timestamp, model::Timestamp> all;
    model::Timestamp t = kHour;
    const auto write = [&](int count) {
      for (int i = 0; i < count; ++i) {
        t += kMinute / 4;
        const model::Timestamp start = i % 50 == 0 ? 0 : t / kHour * kHour - kHour;
        Write(db.get(), {{t, start}});
        all[t] = start;
        if (i % 4 != 0) continue;
        Write(db.get(), {{t - 3, start + 1}});
        all[t - 3] = start + 1;
      }
    };
    write(170);  // a sealed chunk and an open one, late chunks
    EXPECT_THAT(RecordTypes("data/wal"), testing::IsSupersetOf({11, 12, 13}));
    EXPECT_THAT(RecordTypes("data/wbl"), testing::IsSupersetOf({11, 12, 13}));
    for (const bool clean : {false, true, false}) {
      if (clean) {
        db.reset();
      } else {
        Kill(std::move(db));
      }
      db = Open(options);
      ASSERT_EQ(ReadStarts(db.get()), Expected(all)) << "clean " << clean << ", snapshot " << snapshot;
      write(60);
      ASSERT_TRUE(db->Compact());  // shortens the log
    }
    ASSERT_EQ(ReadStarts(db.get()), Expected(all)) << "snapshot " << snapshot;
  }
}

TEST_F(StartTimesTest, BlocksAndTheirMergesHaveThem) {
  DbOptions options = On();
  options.max_block_duration = std::chrono::hours(18);
  auto db = Open(options);
  std::map<model::Timestamp, model::Timestamp> all;
  for (model::Timestamp t = kHour; t < 24 * kHour; t += kMinute) {
    const model::Timestamp start = t / (5 * kHour) * 5 * kHour + 1;
    Write(db.get(), {{t, start}});
    all[t] = start;
    if (t % (50 * kMinute) == 0 && t > 4 * kHour) {
      Write(db.get(), {{t - 3 * kHour + 1, 7}});
      all[t - 3 * kHour + 1] = 7;
    }
    if (t % (6 * kHour) != 0) continue;
    ASSERT_TRUE(db->Compact());
  }
  ASSERT_TRUE(db->Compact());
  EXPECT_GT(db->Blocks().size(), 0u);
  EXPECT_EQ(ReadStarts(db.get()), Expected(all));
  ASSERT_TRUE(db->DeleteSeries(10 * kHour, 11 * kHour, std::vector<model::Matchers>{{M("__name__", model::MatchOp::kRegex, ".+")}}));
  ASSERT_TRUE(db->CleanTombstones());
  all.erase(all.lower_bound(10 * kHour), all.upper_bound(11 * kHour));
  EXPECT_EQ(ReadStarts(db.get()), Expected(all));
}

TEST_F(StartTimesTest, WithoutTheFeatureNotAByteDiffers) {
  std::map<std::string, std::string> files[2];
  for (const bool started : {false, true}) {
    ASSERT_TRUE(fs_.RemoveAll("data"));
    DbOptions options;
    options.out_of_order_window = std::chrono::hours(12);
    auto db = Open(options);
    for (int i = 0; i < 300; ++i) {
      Write(db.get(), {{kHour + i * kMinute, started ? kHour : 0}, {kHour + i * kMinute - 7, started ? i : 0}});
    }
    for (const auto& [name, samples] : ReadStarts(db.get())) {
      for (const auto& [t, start] : samples) ASSERT_EQ(start, 0) << name << " at " << t;
    }
    db.reset();
    files[started] = Files("data");
  }
  EXPECT_EQ(files[0], files[1]);
}

TEST_F(StartTimesTest, ChunksOfHistogramsHaveNoneUnlessAskedFor) {
  DbOptions options = On();
  options.histogram_start_times = false;
  auto db = Open(options);
  std::map<model::Timestamp, model::Timestamp> all, none;
  for (int i = 0; i < 300; ++i) {
    const model::Timestamp t = kHour + i * kMinute;
    Write(db.get(), {{t, 5}});
    all[t] = 5, none[t] = 0;
  }
  Write(db.get(), {{kHour + 7, 6}});
  all[kHour + 7] = 6, none[kHour + 7] = 0;
  Starts expected = Expected(none);
  expected["float"] = {all.begin(), all.end()};
  EXPECT_EQ(ReadStarts(db.get()), expected);
  EXPECT_THAT(RecordTypes("data/wal"), testing::IsSupersetOf({11, 12, 13})) << "the log has all";
  Kill(std::move(db));
  db = Open(options);
  EXPECT_EQ(ReadStarts(db.get()), expected);
}

TEST_F(StartTimesTest, WhoTurnsTheFeatureOffGetsALogThatOlderVersionsRead) {
  auto db = Open(On());
  for (int i = 0; i < 20; ++i) Write(db.get(), {{kHour + i * kMinute, kHour}, {kHour + i * kMinute - 7, kHour}});
  Kill(std::move(db));
  DbOptions off;
  off.out_of_order_window = std::chrono::hours(12);
  db = Open(off);
  std::map<model::Timestamp, model::Timestamp> none;
  for (int i = 0; i < 20; ++i) none[kHour + i * kMinute] = none[kHour + i * kMinute - 7] = 0;
  EXPECT_EQ(ReadStarts(db.get()), Expected(none)) << "the samples are all there";
  for (int i = 0; i < 240; ++i) Write(db.get(), {{2 * kHour + i * kMinute, 0}});
  ASSERT_TRUE(db->Compact());
  EXPECT_THAT(RecordTypes("data/wal"), Not(Contains(testing::Ge(11))));
  EXPECT_THAT(RecordTypes("data/wbl"), Not(Contains(testing::Ge(11))));
}

TEST_F(StartTimesTest, StaleMarkersAndRepeatsCountNothing) {
  auto db = Open(On());
  auto app = db->NewAppender();
  const storage::SeriesRef ref = *app->Resolve(kUp);
  const std::vector<storage::FloatSample> samples = {{ref, 10, 1}, {ref, 10, 1}, {ref, 10, 2}, {ref, 20, 2}, {ref, 5, 0}, {ref, 30, model::StaleMarker()}};
  const std::vector<model::Timestamp> starts = {1, 99, 99, 2, 3, 4};
  std::vector<AppendOutcome> outcomes(samples.size());
  app->AppendStarted(samples, starts, outcomes);
  EXPECT_THAT(outcomes, ElementsAre(AppendOutcome::kOk, AppendOutcome::kOk, AppendOutcome::kDuplicateTimestamp,
                                    AppendOutcome::kOk, AppendOutcome::kOk, AppendOutcome::kOk));
  const storage::FloatSample without{ref, 40, 5};
  app->Append({&without, 1}, {outcomes.data(), 1});
  ASSERT_TRUE(app->Commit());
  EXPECT_THAT(ReadStarts(db.get())["up"], ElementsAre(std::pair(5, 3), std::pair(10, 1), std::pair(20, 2), std::pair(30, 0), std::pair(40, 0)));
  app = db->NewAppender();
  const storage::FloatSample rolled_back{ref, 50, 5};
  app->AppendStarted({&rolled_back, 1}, {starts.data(), 1}, {outcomes.data(), 1});
  app->Rollback();
  app->Append({&rolled_back, 1}, {outcomes.data(), 1});
  ASSERT_TRUE(app->Commit());
  EXPECT_THAT(ReadStarts(db.get(), {40, 50})["up"], ElementsAre(std::pair(50, 0)));
}

}  // namespace
}  // namespace tocsin::tsdb
