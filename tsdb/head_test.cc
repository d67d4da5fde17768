#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/log.h"
#include "tsdb/db_test_util.h"

namespace tocsin::tsdb {
namespace {

using model::Labels;
using model::Matcher;
using model::MatchOp;
using storage::AppendOutcome;
using storage::Durability;
using storage::SeriesRef;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST_F(DbTest, WhatIsCommittedIsReadBackAndWhatIsRolledBackIsNot) {
  auto db = Open();
  Add(db.get(), kUp, {{1000, 1}, {2000, 2}});
  auto app = db->NewAppender();
  EXPECT_EQ(Put(app.get(), kUp, 3000, 3), AppendOutcome::kOk);
  app->Rollback();
  EXPECT_EQ(ReadAll(db.get()), (Dump{{"up{job=\"node\"}", {{1000, 1}, {2000, 2}}}}));
}

TEST_F(DbTest, OutcomesAreThoseOfPrometheus) {
  auto db = Open();
  const model::Timestamp now = 100 * 3600 * 1000;
  Add(db.get(), kUp, {{now, 1}});
  auto app = db->NewAppender();
  EXPECT_EQ(Put(app.get(), kUp, now, 1), AppendOutcome::kOk) << "an exact repeat";
  EXPECT_EQ(Put(app.get(), kUp, now, 2), AppendOutcome::kDuplicateTimestamp);
  EXPECT_EQ(Put(app.get(), kUp, now - 1, 2), AppendOutcome::kOutOfOrder);
  EXPECT_EQ(Put(app.get(), kUp, now - 3600 * 1000 - 1, 2), AppendOutcome::kOutOfBounds) << "half a block range";
  EXPECT_EQ(Put(app.get(), Labels::FromPairs({{"__name__", "other"}}), now - 3600 * 1000 - 1, 2), AppendOutcome::kOutOfBounds);
  EXPECT_EQ(Put(app.get(), Labels::FromPairs({{"__name__", "other"}}), now - 3600 * 1000, 2), AppendOutcome::kOk);
  const storage::FloatSample unknown{99999, now, 1};
  AppendOutcome outcome;
  app->Append({&unknown, 1}, {&outcome, 1});
  EXPECT_EQ(outcome, AppendOutcome::kUnknownSeries);
  EXPECT_FALSE(app->Resolve(model::LabelsView()));
  EXPECT_TRUE(app->Commit());
  EXPECT_EQ(ReadAll(db.get()).size(), 2u);
}

TEST_F(DbTest, NanRepeatsAreToldByTheirBits) {
  auto db = Open();
  Add(db.get(), kUp, {{1000, model::NormalNan()}});
  auto app = db->NewAppender();
  EXPECT_EQ(Put(app.get(), kUp, 1000, model::NormalNan()), AppendOutcome::kOk);
  EXPECT_EQ(Put(app.get(), kUp, 1000, model::StaleMarker()), AppendOutcome::kDuplicateTimestamp);
}

TEST_F(DbTest, LateSamplesAreTakenWithinTheOutOfOrderWindow) {
  for (const bool reopen : {false, true}) {
    ASSERT_TRUE(fs_.RemoveAll("data"));
    auto db = Open({.out_of_order_window = std::chrono::minutes(10)});
    Add(db.get(), kUp, {{1'000'000, 1}, {2'000'000, 2}});
    auto app = db->NewAppender();
    EXPECT_EQ(Put(app.get(), kUp, 1'399'999, 9), AppendOutcome::kTooOld);
    EXPECT_EQ(Put(app.get(), kUp, 1'900'000, 1.9), AppendOutcome::kOk);
    EXPECT_EQ(Put(app.get(), kUp, 1'800'000, 1.8), AppendOutcome::kOk);
    EXPECT_TRUE(app->Commit());
    app.reset();
    if (reopen) {
      db.reset();
      db = Open();  // even without a window
    }
    EXPECT_EQ(ReadAll(db.get()),
              (Dump{{"up{job=\"node\"}", {{1'000'000, 1}, {1'800'000, 1.8}, {1'900'000, 1.9}, {2'000'000, 2}}}}));
  }
}

TEST_F(DbTest, MatchersSelectAsThePromqlSemanticsSay) {
  auto db = Open();
  for (const char* job : {"a", "b", "ab", ""}) {
    Add(db.get(), Labels::FromPairs({{"__name__", "m"}, {"job", job}, {"x", "1"}}), {{1000, 1}});
  }
  struct Case {
    std::vector<Matcher> matchers;
    std::vector<std::string> jobs;
  } cases[] = {
      {{Name("m"), M("job", MatchOp::kEqual, "a")}, {"a"}},
      {{Name("m"), M("job", MatchOp::kEqual, "")}, {""}},
      {{Name("m"), M("job", MatchOp::kNotEqual, "a")}, {"", "ab", "b"}},
      {{Name("m"), M("job", MatchOp::kNotEqual, "")}, {"a", "ab", "b"}},
      {{Name("m"), M("job", MatchOp::kRegex, "a|b")}, {"a", "b"}},
      {{Name("m"), M("job", MatchOp::kRegex, "a.*")}, {"a", "ab"}},
      {{Name("m"), M("job", MatchOp::kRegex, "a?")}, {"", "a"}},
      {{Name("m"), M("job", MatchOp::kRegex, ".*")}, {"", "a", "ab", "b"}},
      {{Name("m"), M("job", MatchOp::kRegex, ".+")}, {"a", "ab", "b"}},
      {{Name("m"), M("job", MatchOp::kNotRegex, "a.*")}, {"", "b"}},
      {{Name("m"), M("job", MatchOp::kNotRegex, "a|b")}, {"", "ab"}},
      {{Name("m"), M("job", MatchOp::kNotRegex, ".*")}, {}},
      {{Name("m"), M("missing", MatchOp::kNotEqual, "x")}, {"", "a", "ab", "b"}},
      {{Name("m"), M("missing", MatchOp::kRegex, ".+")}, {}},
      {{Name("none")}, {}},
      {{M("x", MatchOp::kEqual, "1"), M("job", MatchOp::kRegex, ".+b")}, {"ab"}},
  };
  for (const Case& c : cases) {
    auto q = db->NewQuerier(kAll);
    auto set = q->Select({}, c.matchers);
    ASSERT_TRUE(set);
    std::vector<std::string> jobs;
    for (size_t i = 0; i < (*set)->size(); ++i) jobs.emplace_back((*set)->labels(i).Get("job"));
    std::sort(jobs.begin(), jobs.end());
    EXPECT_EQ(jobs, c.jobs) << c.matchers.back().ToString();
  }
}

TEST_F(DbTest, LabelNamesAndValuesAreThoseOfTheMatchingSeries) {
  auto db = Open();
  Add(db.get(), Labels::FromPairs({{"__name__", "m"}, {"a", "1"}, {"b", "x"}}), {{1000, 1}});
  Add(db.get(), Labels::FromPairs({{"__name__", "n"}, {"a", "2"}}), {{1000, 1}});
  auto q = db->NewQuerier(kAll);
  EXPECT_THAT(*q->LabelNames({}, {}), ElementsAre("__name__", "a", "b"));
  EXPECT_THAT(*q->LabelNames({}, std::vector{Name("n")}), ElementsAre("__name__", "a"));
  EXPECT_THAT(*q->LabelValues("a", {}, {}), ElementsAre("1", "2"));
  EXPECT_THAT(*q->LabelValues("a", {}, std::vector{Name("n")}), ElementsAre("2"));
  EXPECT_THAT(*q->LabelValues("a", {.window = {5000, 6000}}, {}), IsEmpty());
  EXPECT_THAT(*q->LabelValues("none", {}, {}), IsEmpty());
}

TEST_F(DbTest, ReadLastGivesTheNewestSampleOfTheWindow) {
  auto db = Open();
  Add(db.get(), kUp, {{1000, 1}, {2000, 2}, {3000, model::StaleMarker()}});
  auto q = db->NewQuerier(kAll);
  auto set = *q->Select({}, std::vector{Name("up")});
  storage::LastColumns last;
  ASSERT_TRUE(set->ReadLast(0, 1, {0, 5000}, &last));
  EXPECT_EQ(last.times[0], 3000);
  EXPECT_TRUE(model::IsStale(last.values[0]));
  ASSERT_TRUE(set->ReadLast(0, 1, {0, 2500}, &last));
  EXPECT_EQ(last.times[0], 2000);
  EXPECT_EQ(last.values[0], 2);
  ASSERT_TRUE(set->ReadLast(0, 1, {3000, 9000}, &last));
  EXPECT_EQ(last.times[0], model::kMinTimestamp);
}

TEST_F(DbTest, AReaderSeesTheBatchesOfItsBeginningAndNothingLater) {
  auto db = Open();
  Add(db.get(), kUp, {{1000, 1}});
  auto early = db->NewQuerier(kAll);
  Add(db.get(), kUp, {{2000, 2}});
  auto middle = db->NewQuerier(kAll);
  Add(db.get(), kUp, {{3000, 3}, {4000, 4}});
  for (int i = 0; i < 300; ++i) Add(db.get(), kUp, {{5000 + i, 5}});  // into other chunks too
  const auto read = [](storage::Querier* q) {
    auto set = *q->Select({}, std::vector{Name("up")});
    storage::SampleColumns columns;
    EXPECT_TRUE(set->Read(0, set->size(), kAll, &columns));
    storage::LastColumns last;
    EXPECT_TRUE(set->ReadLast(0, set->size(), kAll, &last));
    EXPECT_EQ(last.times[0], columns.times.back());
    return columns.times;
  };
  EXPECT_THAT(read(early.get()), ElementsAre(1000));
  EXPECT_THAT(read(middle.get()), ElementsAre(1000, 2000));
  early.reset();
  EXPECT_THAT(read(middle.get()), ElementsAre(1000, 2000));
  EXPECT_EQ(read(db->NewQuerier(kAll).get()).size(), 304u);
}

TEST_F(DbTest, ASeriesThatIsNewInAHiddenBatchIsNotSelected) {
  auto db = Open();
  Add(db.get(), kUp, {{1000, 1}});
  auto q = db->NewQuerier(kAll);
  Add(db.get(), Labels::FromPairs({{"__name__", "up"}, {"job", "new"}}), {{1500, 1}});
  EXPECT_EQ((*q->Select({}, std::vector{Name("up")}))->size(), 1u);
}

TEST_F(DbTest, ChunksAreCutEvenlyWithinTheBlockRange) {
  auto db = Open();
  std::vector<model::Sample> samples;
  for (int i = 0; i < 480; ++i) samples.push_back({i * 15000, static_cast<double>(i)});
  Add(db.get(), kUp, samples);
  EXPECT_EQ(db->Stats().chunks, 4u);
  EXPECT_EQ(ReadAll(db.get()).begin()->second.size(), 480u);
}

TEST_F(DbTest, EverythingCommittedSurvivesAKill) {
  std::mt19937_64 random(3);
  Dump expected;
  {
    auto db = Open({.wal_segment_bytes = 64 << 10, .max_exemplars = 10});
    for (int i = 0; i < 200; ++i) {
      auto app = db->NewAppender();
      for (int s = 0; s < 50; ++s) {
        const Labels labels = Labels::FromPairs({{"__name__", "m"}, {"s", std::to_string(s)}});
        const double v = static_cast<double>(random() % 1000) / 7;
        ASSERT_EQ(Put(app.get(), labels, i * 15000, v), AppendOutcome::kOk);
        expected[labels.ToMetricString()].emplace_back(i * 15000, v);
        if (i == 199 && s == 0) {
          model::Exemplar e{Labels::FromPairs({{"trace", "x"}}), 3, 5, true};
          EXPECT_EQ(app->AppendExemplar(*app->Resolve(labels), e), AppendOutcome::kOk);
        }
      }
      ASSERT_TRUE(app->Commit());
    }
    Kill(std::move(db));
  }
  auto db = Open({.max_exemplars = 10});
  EXPECT_EQ(ReadAll(db.get()), expected);
  const std::vector<model::Matchers> any = {{Name("m")}};
  EXPECT_EQ(db->SelectExemplars(kAll, any)->size(), 1u);
}

TEST_F(DbTest, WhatWasAcknowledgedAsSyncedSurvivesPowerLoss) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    ASSERT_TRUE(fs_.RemoveAll("data"));
    auto db = Open({.wal_segment_bytes = 32 << 10});
    const int synced = 1 + static_cast<int>(seed) * 7;
    for (int i = 0; i < 150; ++i) Add(db.get(), kUp, {{i * 1000, i * 0.1}}, i < synced ? Durability::kSynced : Durability::kWritten);
    fs_.Crash(seed);
    Kill(std::move(db));
    db = Open();
    const Dump found = ReadAll(db.get());
    ASSERT_EQ(found.size(), 1u);
    const auto& samples = found.begin()->second;
    ASSERT_GE(samples.size(), static_cast<size_t>(synced)) << "seed " << seed;
    for (size_t i = 0; i < samples.size(); ++i) {
      EXPECT_EQ(samples[i], (std::pair<model::Timestamp, double>(i * 1000, static_cast<double>(i) * 0.1)));
    }
    Add(db.get(), kUp, {{500'000, 1}});  // and it takes more
    Kill(std::move(db));
  }
}

TEST_F(DbTest, AFailedSyncIsToldAndTheNextSegmentServes) {
  auto db = Open();
  Add(db.get(), kUp, {{1000, 1}}, Durability::kSynced);
  faulty_.Fail({.op = base::FaultyFileSystem::Op::kSync, .path = "wal/00000000", .times = 1});
  auto app = db->NewAppender();
  Put(app.get(), kUp, 2000, 2);
  const base::Status failed = app->Commit(Durability::kSynced);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), base::Code::kUnavailable);
  Add(db.get(), kUp, {{3000, 3}}, Durability::kSynced);
  EXPECT_TRUE(fs_.Stat("data/wal/00000001")) << "the segment was not left";
}

TEST_F(DbTest, AFullDiskRefusesTheBatchAndNothingOfItIsVisible) {
  auto db = Open();
  Add(db.get(), kUp, {{1000, 1}});
  faulty_.SetSpace(10);
  auto app = db->NewAppender();
  Put(app.get(), kUp, 2000, 2);
  const base::Status full = app->Commit();
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code(), base::Code::kResourceExhausted);
  EXPECT_EQ(ReadAll(db.get()), (Dump{{"up{job=\"node\"}", {{1000, 1}}}}));
  faulty_.Heal();
  Add(db.get(), kUp, {{3000, 3}});
  app.reset();
  Kill(std::move(db));
  db = Open();
  EXPECT_EQ(ReadAll(db.get()), (Dump{{"up{job=\"node\"}", {{1000, 1}, {3000, 3}}}}));
}

TEST_F(DbTest, TheLogCutAnywhereOpensWithAPrefix) {
  auto db = Open({.wal_compression = WalCompression::kNone});
  for (int i = 0; i < 12; ++i) Add(db.get(), kUp, {{i * 1000, i + 0.5}});
  Kill(std::move(db));
  const std::string log = *fs_.ReadFile("data/wal/00000000");
  size_t before = 0;
  for (size_t cut = 0; cut <= log.size(); ++cut) {
    ASSERT_TRUE(fs_.RemoveAll("data"));
    ASSERT_TRUE(fs_.CreateFolders("data/wal"));
    ASSERT_TRUE(fs_.WriteFileAtomically("data/wal/00000000", log.substr(0, cut)));
    base::CaptureLog quiet;
    db = Open();
    ASSERT_NE(db, nullptr);
    const Dump found = ReadAll(db.get());
    const size_t n = found.empty() ? 0 : found.begin()->second.size();
    EXPECT_GE(n, before) << "cut at " << cut;
    before = n;
    Add(db.get(), kUp, {{100'000, 1}});
    Kill(std::move(db));
    db = Open();
    EXPECT_EQ(ReadAll(db.get()).begin()->second.size(), n + 1) << "cut at " << cut;
    db.reset();
    EXPECT_FALSE(fs_.Stat("data/wal/damaged")) << "a torn end is no damage";
  }
  EXPECT_EQ(before, 12u);
}

TEST_F(DbTest, AFlippedByteCostsTheRecordsItTouchesAndKeepsACopy) {
  auto db = Open({.wal_compression = WalCompression::kNone});
  // Several pages: damage in one must not cost those behind it.
  for (int i = 0; i < 500; ++i) {
    auto app = db->NewAppender();
    for (int s = 0; s < 20; ++s) Put(app.get(), Labels::FromPairs({{"__name__", "m"}, {"s", std::to_string(s)}}), i * 1000, i);
    ASSERT_TRUE(app->Commit());
  }
  Kill(std::move(db));
  const std::string log = *fs_.ReadFile("data/wal/00000000");
  ASSERT_GT(log.size(), 3u * 32768);
  std::mt19937_64 random(11);
  for (int round = 0; round < 40; ++round) {
    const size_t at = 2000 + random() % (log.size() - 40000);
    std::string bad = log;
    bad[at] = static_cast<char>(bad[at] ^ (1 + random() % 255));
    ASSERT_TRUE(fs_.RemoveAll("data"));
    ASSERT_TRUE(fs_.CreateFolders("data/wal"));
    ASSERT_TRUE(fs_.WriteFileAtomically("data/wal/00000000", bad));
    base::CaptureLog quiet;
    db = Open();
    ASSERT_NE(db, nullptr);
    const Dump found = ReadAll(db.get());
    ASSERT_EQ(found.size(), 20u) << at;
    for (const auto& [series, samples] : found) {
      EXPECT_GT(samples.size(), 500u - 160) << "a page holds about 140 batches; flipped at " << at;
      for (const auto& [t, v] : samples) EXPECT_EQ(static_cast<double>(t) / 1000, v);
      EXPECT_EQ(samples.back().first, 499'000);
    }
    EXPECT_EQ(*fs_.ReadFile("data/wal/damaged/00000000"), bad);
    Kill(std::move(db));
    db = Open();  // the second start finds nothing to repair
    EXPECT_EQ(ReadAll(db.get()), found);
    EXPECT_FALSE(fs_.Stat("data/wal/damaged/00000000.1"));
    db.reset();
  }
}

TEST_F(DbTest, SamplesWithoutTheirSeriesRecordAreCountedAndNamed) {
  auto db = Open({.wal_compression = WalCompression::kNone});
  Add(db.get(), kUp, {{1000, 1}});
  Kill(std::move(db));
  std::string log = *fs_.ReadFile("data/wal/00000000");
  log[8] = static_cast<char>(log[8] ^ 1);  // in the series record
  log.resize(32768, '\0');
  ASSERT_TRUE(fs_.WriteFileAtomically("data/wal/00000000", log));
  db = Open({.wal_compression = WalCompression::kNone});
  Add(db.get(), kUp, {{2000, 1}});
  Kill(std::move(db));
  base::CaptureLog capture;
  db = Open();
  EXPECT_EQ(ReadAll(db.get()), (Dump{{"up{job=\"node\"}", {{2000, 1}}}}));
}

TEST_F(DbTest, HistogramsSurviveARestartAndStaleMarkersFollowTheirKind) {
  const auto make = [](double n) {
    auto h = std::make_shared<model::Histogram>();
    h->integer = true;
    h->schema = 1;
    h->zero_threshold = 0.001;
    h->positive_spans = {{0, 2}};
    h->positive_buckets = {n, n + 1};
    h->count = 2 * n + 1;
    h->sum = n * 1.5;
    return h;
  };
  for (const bool reopen : {false, true}) {
    ASSERT_TRUE(fs_.RemoveAll("data"));
    auto db = Open();
    auto app = db->NewAppender();
    const SeriesRef ref = *app->Resolve(kUp);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(app->AppendHistogram(ref, 1000 * (i + 1), make(i)), AppendOutcome::kOk);
    ASSERT_TRUE(app->Commit());
    app.reset();
    Add(db.get(), kUp, {{6000, model::StaleMarker()}});
    if (reopen) {
      Kill(std::move(db));
      db = Open();
    }
    auto q = db->NewQuerier(kAll);
    auto set = *q->Select({}, std::vector{Name("up")});
    storage::SampleColumns c;
    ASSERT_TRUE(set->Read(0, 1, kAll, &c));
    ASSERT_EQ(c.times.size(), 6u);
    ASSERT_EQ(c.histograms.size(), 6u);
    EXPECT_EQ(c.histograms[3]->positive_buckets, make(3)->positive_buckets);
    EXPECT_EQ(c.histograms[3]->counter_reset, model::CounterReset::kNotReset);
    EXPECT_TRUE(c.histograms[5]->IsStale());
    storage::LastColumns last;
    ASSERT_TRUE(set->ReadLast(0, 1, {0, 5000}, &last));
    ASSERT_EQ(last.histograms.size(), 1u);
    EXPECT_EQ(last.histograms[0]->count, 9);
  }
}

TEST_F(DbTest, FloatsAndHistogramsOfASeriesInOneBatchAreKeptInAnyOrderOfTheirTimes) {
  const auto make = [](bool integer) {
    auto h = std::make_shared<model::Histogram>();
    h->integer = integer;
    h->zero_threshold = 0.001;
    h->zero_count = h->count = 3;
    return h;
  };
  // f: a float, i and h: histograms of integers and of floats, one a second.
  for (const std::string_view order : {"hf", "fh", "hhffhf", "ih", "hi", "hihi", "hfihfi"}) {
    ASSERT_TRUE(fs_.RemoveAll("data"));
    auto db = Open();
    auto app = db->NewAppender();
    for (const model::Labels& labels : {kUp, model::Labels::FromPairs({{"__name__", "up"}, {"job", "other"}})}) {
      const SeriesRef ref = *app->Resolve(labels);
      for (size_t i = 0; i < order.size(); ++i) {
        const auto t = static_cast<model::Timestamp>(1000 * (i + 1));
        EXPECT_EQ(order[i] == 'f' ? Put(app.get(), labels, t, 7.0) : app->AppendHistogram(ref, t, make(order[i] == 'i')), AppendOutcome::kOk);
      }
    }
    ASSERT_TRUE(app->Commit());
    app.reset();
    for (const bool reopened : {false, true}) {
      if (reopened) {
        Kill(std::move(db));
        db = Open();
      }
      auto q = db->NewQuerier(kAll);
      auto set = *q->Select({}, std::vector{Name("up")});
      ASSERT_EQ(set->size(), 2u);
      storage::SampleColumns c;
      ASSERT_TRUE(set->Read(0, 2, kAll, &c));
      EXPECT_EQ(c.times_of(0).size(), order.size()) << order << (reopened ? " after a restart" : "");
      EXPECT_EQ(c.times_of(1).size(), order.size()) << order << (reopened ? " after a restart" : "");
    }
  }
}

TEST_F(DbTest, ExemplarsAreKeptInOneRing) {
  auto db = Open({.max_exemplars = 3});
  auto app = db->NewAppender();
  const SeriesRef ref = *app->Resolve(kUp);
  const auto exemplar = [](int n, model::Timestamp t) {
    return model::Exemplar{Labels::FromPairs({{"trace", std::to_string(n)}}), static_cast<double>(n), t, true};
  };
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(app->AppendExemplar(ref, exemplar(i, 1000 * i)), AppendOutcome::kOk);
    ASSERT_TRUE(app->Commit());
  }
  EXPECT_EQ(app->AppendExemplar(ref, exemplar(4, 4000)), AppendOutcome::kOk) << "an exact repeat";
  EXPECT_EQ(app->AppendExemplar(ref, exemplar(9, 100)), AppendOutcome::kOutOfOrder);
  ASSERT_TRUE(app->Commit());
  const std::vector<model::Matchers> any = {{Name("up")}};
  const auto found = *db->SelectExemplars(kAll, any);
  ASSERT_EQ(found.size(), 1u);
  ASSERT_EQ(found[0].exemplars.size(), 3u);
  EXPECT_EQ(found[0].exemplars[0].value, 2);
  EXPECT_EQ((*db->SelectExemplars({3000, 9000}, any))[0].exemplars.size(), 1u);
}

TEST_F(DbTest, DeletedSamplesAreGoneAndStayGone) {
  auto db = Open();
  const Labels other = Labels::FromPairs({{"__name__", "other"}});
  std::vector<model::Sample> samples;
  for (int i = 1; i <= 300; ++i) samples.push_back({i * 1000, static_cast<double>(i)});
  Add(db.get(), kUp, samples);
  Add(db.get(), other, {{1000, 1}});
  const std::vector<model::Matchers> any = {{Name("up")}};
  ASSERT_TRUE(db->DeleteSeries(2000, 299'000, any));
  const Dump expected = {{"up{job=\"node\"}", {{1000, 1}, {300'000, 300}}}, {"other", {{1000, 1}}}};
  EXPECT_EQ(ReadAll(db.get()), expected);
  Add(db.get(), kUp, {{301'000, 1}});
  Kill(std::move(db));
  db = Open();
  EXPECT_EQ(ReadAll(db.get()).at("up{job=\"node\"}").size(), 3u);
}

TEST_F(DbTest, TheChangeStreamTellsWhatCameAndWent) {
  auto db = Open();
  const uint64_t start = db->Generation();
  Add(db.get(), kUp, {{1000, 1}});
  const auto changes = db->ChangesSince(start);
  ASSERT_TRUE(changes);
  ASSERT_EQ(changes->created.size(), 1u);
  EXPECT_EQ(changes->created[0].labels, kUp);
  EXPECT_EQ(db->LabelsOf(changes->created[0].ref), kUp);
  EXPECT_TRUE(db->ChangesSince(changes->generation)->created.empty());
  EXPECT_FALSE(db->ChangesSince(changes->generation + 1)) << "a generation that never was";
}

TEST_F(DbTest, StatisticsNameTheLargest) {
  auto db = Open();
  for (int i = 0; i < 5; ++i) Add(db.get(), Labels::FromPairs({{"__name__", "big"}, {"i", std::to_string(i)}}), {{1000, 1}});
  Add(db.get(), kUp, {{2000, 1}});
  const HeadStats stats = db->Stats(2);
  EXPECT_EQ(stats.series, 6u);
  EXPECT_EQ(stats.label_pairs, 8u);
  EXPECT_EQ(stats.min_time, 1000);
  EXPECT_EQ(stats.max_time, 2000);
  ASSERT_EQ(stats.series_by_metric_name.size(), 2u);
  EXPECT_EQ(stats.series_by_metric_name[0].name, "big");
  EXPECT_EQ(stats.series_by_metric_name[0].value, 5u);
  EXPECT_EQ(stats.values_by_label_name[0].name, "i");
  EXPECT_EQ(stats.series_by_label_pair[0].name, "__name__=big");
}

TEST_F(DbTest, AFolderInUseIsRefused) {
  DbOptions options{.path = "data", .fs = &fs_};
  auto first = Db::Open(options);
  ASSERT_TRUE(first);
  auto second = Db::Open(options);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), base::Code::kUnavailable);
}

TEST_F(DbTest, ReferencesAreNotUsedAgainAfterARestart) {
  SeriesRef before;
  {
    auto db = Open();
    before = *db->NewAppender()->Resolve(kUp);  // never committed: the log does not know it
  }
  auto db = Open();
  EXPECT_GT(*db->NewAppender()->Resolve(Labels::FromPairs({{"__name__", "x"}})), before);
}

}  // namespace
}  // namespace tocsin::tsdb
