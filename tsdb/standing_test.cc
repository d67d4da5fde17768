#include "storage/standing.h"

#include "tsdb/db_test_util.h"

namespace tocsin::tsdb {
namespace {

constexpr int64_t kHour = 3'600'000;

model::Labels Pod(int i, std::string_view metric = "cpu") {
  return model::Labels::FromPairs({{"__name__", metric}, {"pod", "p" + std::to_string(100 + i)}});
}

class StandingTest : public DbTest {
 protected:
  StandingTest() : db_(Open()), reader_(db_->standing()->NewReader()) {}

  // Names of the pods of a set, in its order.
  static std::string Pods(const storage::KeptSeries& set) {
    std::string out;
    for (size_t i = 0; i < set.size(); ++i) out += (i > 0 ? " " : "") + std::string(set.labels(i).Get("pod"));
    return out;
  }
  // What a set reads in the window, which must be what a query reads.
  void ExpectReadsLikeAQuery(storage::KeptSeries* set, const model::Matchers& matchers, storage::Window window) {
    ASSERT_TRUE(reader_->Enter(window));
    storage::SampleColumns columns;
    ASSERT_TRUE(set->Read(0, set->size(), window, &columns));
    storage::LastColumns last;
    ASSERT_TRUE(set->ReadLast(0, set->size(), window, &last));
    Dump kept, newest;
    for (size_t i = 0; i < set->size(); ++i) {
      const std::string labels = set->labels(i).ToMetricString();
      for (size_t k = 0; k < columns.times_of(i).size(); ++k) {
        kept[labels].emplace_back(columns.times_of(i)[k], columns.values_of(i)[k]);
      }
      if (last.times[i] != model::kMinTimestamp) newest[labels].emplace_back(last.times[i], last.values[i]);
    }
    reader_->Leave();
    Dump query = Read(db_.get(), matchers, window);
    std::erase_if(query, [](const auto& series) { return series.second.empty(); });
    EXPECT_EQ(kept, query);
    for (auto& [labels, samples] : query) samples.erase(samples.begin(), samples.end() - 1);
    EXPECT_EQ(newest, query);
  }

  std::unique_ptr<Db> db_;
  std::unique_ptr<storage::StandingReader> reader_;
  const model::Matchers cpu_ = {Name("cpu")};
};

TEST_F(StandingTest, ASetFollowsTheSeriesThatCome) {
  Add(db_.get(), Pod(2), {{1000, 1}});
  storage::KeptSeries* set = reader_->Keep(cpu_);
  ASSERT_TRUE(reader_->Enter(kAll));
  EXPECT_EQ(Pods(*set), "p102");
  const uint64_t version = set->version();
  reader_->Leave();

  Add(db_.get(), Pod(1, "memory"), {{1000, 1}});
  ASSERT_TRUE(reader_->Enter(kAll));
  EXPECT_EQ(set->version(), version) << "a series that does not match leaves the set as it was";
  reader_->Leave();

  Add(db_.get(), Pod(1), {{1000, 1}});
  Add(db_.get(), Pod(3), {{1000, 1}});
  ASSERT_TRUE(reader_->Enter(kAll));
  EXPECT_NE(set->version(), version);
  EXPECT_EQ(Pods(*set), "p101 p102 p103");
  reader_->Leave();
}

TEST_F(StandingTest, ASetIsTheSameForTheLengthOfAnEvaluation) {
  Add(db_.get(), Pod(1), {{1000, 1}});
  storage::KeptSeries* set = reader_->Keep(cpu_);
  ASSERT_TRUE(reader_->Enter(kAll));
  Add(db_.get(), Pod(1), {{2000, 2}});
  Add(db_.get(), Pod(2), {{2000, 2}});
  // Another reader brings the selection, which both share, up to date.
  const auto other = db_->standing()->NewReader();
  storage::KeptSeries* theirs = other->Keep(cpu_);
  ASSERT_TRUE(other->Enter(kAll));
  EXPECT_EQ(theirs->size(), 2u);
  other->Leave();
  storage::LastColumns last;
  ASSERT_TRUE(set->ReadLast(0, set->size(), kAll, &last));
  EXPECT_EQ(last.times, std::vector<model::Timestamp>{1000}) << "nor are later samples seen";
  reader_->Leave();
  ASSERT_TRUE(reader_->Enter(kAll));
  EXPECT_EQ(set->size(), 2u);
  reader_->Leave();
}

TEST_F(StandingTest, ASetFollowsTheSeriesThatGo) {
  storage::KeptSeries* set = reader_->Keep(cpu_);
  Add(db_.get(), Pod(1), {{1000, 1}});
  for (int64_t t = 1000; t < 8 * kHour; t += kHour / 4) Add(db_.get(), Pod(2), {{t, 1}});
  ASSERT_TRUE(reader_->Enter({7 * kHour, 8 * kHour}));
  EXPECT_EQ(Pods(*set), "p101 p102");
  reader_->Leave();
  ASSERT_TRUE(db_->Compact());
  ASSERT_TRUE(db_->Compact());
  ASSERT_TRUE(reader_->Enter({7 * kHour, 8 * kHour}));
  EXPECT_EQ(Pods(*set), "p102") << "the other's samples are in blocks now";
  reader_->Leave();
  EXPECT_FALSE(reader_->Enter({kHour, 8 * kHour})) << "a reader does not look into blocks";
  // Its slot is given to a new series, which the set then has.
  Add(db_.get(), Pod(3), {{8 * kHour, 1}});
  ASSERT_TRUE(reader_->Enter({7 * kHour, 8 * kHour}));
  EXPECT_EQ(Pods(*set), "p102 p103");
  reader_->Leave();
}

TEST_F(StandingTest, WindowsThatMoveOnAreReadLikeAQuery) {
  db_->SetOutOfOrderWindow(std::chrono::minutes(30));
  storage::KeptSeries* set = reader_->Keep(cpu_);
  int64_t t = 0;
  for (int step = 0; step < 300; ++step) {
    // Several a step, so that chunks end within one; a series now and then misses some or comes anew.
    for (int k = 0; k < 1 + step % 7; ++k) {
      t += 15'000;
      for (int i = 0; i < 3 + step / 100; ++i) {
        if ((step + i) % 11 != 0) Add(db_.get(), Pod(i), {{t, static_cast<double>(step * i + k)}});
      }
    }
    if (step % 40 == 17) Add(db_.get(), Pod(1), {{t - 100'001, -1}});
    if (step % 90 == 60) {
      const model::Matchers one[] = {{model::Matcher::Equal("pod", "p100")}};
      ASSERT_TRUE(db_->DeleteSeries(t - 200'000, t - 100'000, one));
    }
    if (step % 50 == 49) {
      ASSERT_TRUE(db_->Compact());
    }
    SCOPED_TRACE(step);
    ExpectReadsLikeAQuery(set, cpu_, {t - 300'000, t});
    if (step % 13 == 5) ExpectReadsLikeAQuery(set, cpu_, {t - 400'000, t - 120'000});  // time goes back
    if (step % 29 == 7) ExpectReadsLikeAQuery(set, cpu_, {t - 3'000'000, t});          // too long to be kept
  }
}

TEST_F(StandingTest, HistogramsAreReadAsTheyStand) {
  storage::KeptSeries* set = reader_->Keep(cpu_);
  for (int i = 1; i < 20; ++i) {
    auto h = std::make_shared<model::Histogram>();
    h->count = h->sum = i;
    auto app = db_->NewAppender();
    const auto ref = app->Resolve(Pod(1));
    ASSERT_TRUE(ref);
    ASSERT_EQ(app->AppendHistogram(*ref, i * 1000, h), storage::AppendOutcome::kOk);
    ASSERT_TRUE(app->Commit());
    const storage::Window window{i * 1000 - 5000, i * 1000};
    ASSERT_TRUE(reader_->Enter(window));
    storage::SampleColumns columns;
    ASSERT_TRUE(set->Read(0, 1, window, &columns));
    EXPECT_EQ(columns.histograms.size(), std::min<size_t>(5, static_cast<size_t>(i)));
    reader_->Leave();
  }
}

}  // namespace
}  // namespace tocsin::tsdb
