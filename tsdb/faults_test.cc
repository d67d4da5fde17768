// A disk that fails at each operation in turn of a workload with everything in it: log, out-of-order log,
// blocks, compaction, checkpoint, truncation, snapshot, deletion.  Whatever fails, what was acknowledged stays,
// nothing that was not written appears, and with the disk well again the same process goes on.

#include <set>

#include "base/log.h"
#include "tsdb/db_test_util.h"

namespace tocsin::tsdb {
namespace {

using base::FaultyFileSystem;
using Op = FaultyFileSystem::Op;

constexpr model::Timestamp kMinute = 60'000;

model::Labels SeriesNamed(std::string_view name, int i) {
  return model::Labels::FromPairs({{"__name__", std::string(name)}, {"i", std::to_string(i)}});
}

struct Disaster {
  const char* name;
  base::Code code;
  uint64_t times;   // operations that fail, from the chosen one on
  size_t written;   // bytes of a write that still get through
  bool writes_only;
};

constexpr Disaster kDisasters[] = {
    {"one operation fails", base::Code::kUnavailable, 1, 0, false},
    {"one write is short", base::Code::kUnavailable, 1, 7, true},
    {"the disk is full from here on", base::Code::kResourceExhausted, UINT64_MAX, 3, true},
    {"the disk is gone from here on", base::Code::kUnavailable, UINT64_MAX, 0, false},
};

bool Writes(Op op) { return op == Op::kWrite || op == Op::kOpen || op == Op::kCreateFolders || op == Op::kLink; }

class FaultsTest : public DbTest {
 protected:
  // One batch: acknowledged if its commit said that it is on stable storage.
  bool Batch(Db* db, std::vector<std::pair<model::Labels, model::Sample>> samples) {
    auto app = db->NewAppender();
    for (const auto& [labels, sample] : samples) {
      attempted_[labels.ToMetricString()].emplace(sample.t, sample.v);
      const auto ref = app->Resolve(labels);
      if (!ref) return false;
      const storage::FloatSample one{*ref, sample.t, sample.v};
      storage::AppendOutcome outcome;
      app->Append({&one, 1}, {&outcome, 1});
      EXPECT_TRUE(outcome == storage::AppendOutcome::kOk) << labels.ToMetricString() << " " << sample.t;
    }
    const base::Status committed = app->Commit(storage::Durability::kSynced);
    if (!committed) {
      EXPECT_FALSE(committed.error().message().empty());
      return false;
    }
    for (const auto& [labels, sample] : samples) acknowledged_[labels.ToMetricString()].emplace(sample.t, sample.v);
    return true;
  }

  void Minutes(Db* db, int begin, int end) {
    for (int m = begin; m < end; ++m) {
      std::vector<std::pair<model::Labels, model::Sample>> samples;
      for (int i = 0; i < 3; ++i) samples.push_back({SeriesNamed("a", i), {m * kMinute, m + i * 0.1}});
      samples.push_back({SeriesNamed("late", 0), {(m ^ 1) * kMinute, m * 1.0}});
      if (m % 10 == 0) samples.push_back({SeriesNamed("short", m), {m * kMinute, 1}});
      Batch(db, std::move(samples));
    }
  }

  void Workload(Db* db) {
    Minutes(db, 0, 100);
    base::Ignore(db->Compact());  // cuts blocks, writes a checkpoint, truncates
    Minutes(db, 100, 130);
    base::Ignore(db->Snapshot());
    const std::vector<model::Matchers> deleted = {{Name("deleted")}};
    base::Ignore(db->DeleteSeries(model::kMinTimestamp, model::kMaxTimestamp, deleted));
    base::Ignore(db->CleanTombstones());
    Minutes(db, 130, 200);
    base::Ignore(db->Compact());
  }

  static DbOptions Options() {
    return {.min_block_duration = std::chrono::minutes(30),
            .max_block_duration = std::chrono::hours(2),
            .wal_segment_bytes = 32 << 10,
            .out_of_order_window = std::chrono::hours(1)};
  }

  // Nothing acknowledged is missing, and nothing is there that nobody wrote.
  void Check(Db* db, const std::string& when) {
    const Dump found = ReadAll(db);
    for (const auto& [series, samples] : acknowledged_) {
      const auto at = found.find(series);
      ASSERT_TRUE(at != found.end()) << when << ": " << series << " is gone";
      const std::set<std::pair<model::Timestamp, double>> have(at->second.begin(), at->second.end());
      for (const auto& sample : samples) {
        ASSERT_TRUE(have.contains(sample)) << when << ": " << series << " at " << sample.first << " is gone";
      }
    }
    for (const auto& [series, samples] : found) {
      for (size_t k = 0; k < samples.size(); ++k) {
        ASSERT_TRUE(attempted_[series].contains(samples[k])) << when << ": " << series << " at " << samples[k].first;
        if (k > 0) {
          ASSERT_LT(samples[k - 1].first, samples[k].first) << when << ": " << series;
        }
      }
    }
  }

  // False once the workload has fewer operations than `step`.
  bool Run(const Disaster& disaster, uint64_t step) {
    base::CaptureLog quiet;
    acknowledged_.clear();
    attempted_.clear();
    EXPECT_TRUE(fs_.RemoveAll("data"));
    auto db = Open(Options());
    uint64_t calls = 0;
    faulty_.Fail({.times = disaster.times,
                  .code = disaster.code,
                  .message = "the test's fault",
                  .written = disaster.written,
                  .when = [&](Op op, const std::string&) {
                    return (!disaster.writes_only || Writes(op)) && calls++ >= step;
                  }});
    Workload(db.get());
    const std::string when = std::string(disaster.name) + ", operation " + std::to_string(step);
    // While nothing can be read, a query is an error, which is no loss.
    if (!disaster.writes_only) faulty_.Heal();
    Check(db.get(), when + ", at once");
    faulty_.Heal();
    // It goes on by itself; a first batch may still meet the file that failed.
    if (!Batch(db.get(), {{SeriesNamed("a", 0), {300 * kMinute, 1}}})) {
      EXPECT_TRUE(Batch(db.get(), {{SeriesNamed("a", 0), {301 * kMinute, 2}}})) << when << ": it does not recover";
    }
    Check(db.get(), when + ", well again");
    const base::Status compacted = db->Compact();
    EXPECT_TRUE(compacted) << when << ": " << compacted.error().message();
    Check(db.get(), when + ", compacted");
    fs_.Crash(step + 1);
    Kill(std::move(db));
    killed_.clear();
    db = Open(Options());
    EXPECT_NE(db, nullptr) << when;
    if (db != nullptr) Check(db.get(), when + ", after a power loss");
    if (db != nullptr) Kill(std::move(db));
    killed_.clear();
    return calls > step;
  }

  using Samples = std::map<std::string, std::set<std::pair<model::Timestamp, double>>>;
  Samples acknowledged_;
  Samples attempted_;
};

TEST_F(FaultsTest, ADiskThatFailsAtAnyOperationLosesNothingAcknowledged) {
  // All of them with TOCSIN_FAULTS_STRIDE=1 (a minute or two); else a sample that ends in seconds.
  const char* const text = std::getenv("TOCSIN_FAULTS_STRIDE");
  const uint64_t stride = text != nullptr ? std::strtoull(text, nullptr, 10) : 23;
  size_t runs = 0;
  uint64_t offset = 0;
  for (const Disaster& disaster : kDisasters) {
    for (uint64_t step = offset++ % stride; Run(disaster, step); step += stride) {
      ++runs;
      if (HasFatalFailure() || HasFailure()) return;
    }
  }
  RecordProperty("runs", static_cast<int>(runs));
  EXPECT_GT(runs * stride, 1000u);
}

TEST_F(DbTest, ABatchMayHaveASeriesTwiceInAnyOrder) {
  for (const bool window : {false, true}) {
    ASSERT_TRUE(fs_.RemoveAll("data"));
    auto db = Open({.out_of_order_window = std::chrono::hours(window ? 1 : 0)});
    auto app = db->NewAppender();
    const model::Labels other = SeriesNamed("other", 1);
    const auto late = window ? storage::AppendOutcome::kOk : storage::AppendOutcome::kOutOfOrder;
    EXPECT_EQ(Put(app.get(), kUp, 2000, 2), storage::AppendOutcome::kOk);
    EXPECT_EQ(Put(app.get(), other, 2000, 2), storage::AppendOutcome::kOk);
    EXPECT_EQ(Put(app.get(), kUp, 1000, 1), late);
    EXPECT_EQ(Put(app.get(), kUp, 2000, 2), storage::AppendOutcome::kOk);
    EXPECT_EQ(Put(app.get(), kUp, 2000, 3), storage::AppendOutcome::kDuplicateTimestamp);
    EXPECT_EQ(Put(app.get(), kUp, 4000, 4), storage::AppendOutcome::kOk);
    EXPECT_EQ(Put(app.get(), kUp, 3000, 3), late);
    ASSERT_TRUE(app->Commit());
    const Dump expected = {
        {"other{i=\"1\"}", {{2000, 2}}},
        {"up{job=\"node\"}", window ? Dump::mapped_type{{1000, 1}, {2000, 2}, {3000, 3}, {4000, 4}}
                                    : Dump::mapped_type{{2000, 2}, {4000, 4}}}};
    EXPECT_EQ(ReadAll(db.get()), expected);
    app.reset();
    Kill(std::move(db));
    db = Open({.out_of_order_window = std::chrono::hours(window ? 1 : 0)});
    EXPECT_EQ(ReadAll(db.get()), expected);
    Kill(std::move(db));
  }
}

TEST_F(DbTest, LateSamplesThatComeWhileABlockIsCutAreKept) {
  const DbOptions options = {.min_block_duration = std::chrono::minutes(30), .out_of_order_window = std::chrono::hours(4)};
  auto db = Open(options);
  const model::Labels late = SeriesNamed("late", 0);
  for (int m = 0; m <= 60; ++m) Add(db.get(), kUp, {{m * kMinute, m * 1.0}});
  Add(db.get(), late, {{10 * kMinute, 1}});
  Dump expected = ReadAll(db.get());
  {
    // A reader from before keeps the head from being truncated after the cut; late samples go on coming.
    const auto reader = db->NewQuerier(kAll);
    ASSERT_TRUE(db->Compact());
    ASSERT_EQ(db->Blocks().size(), 1u);
    Add(db.get(), late, {{5 * kMinute, 2}});
    Add(db.get(), SeriesNamed("late", 1), {{6 * kMinute, 3}});
  }
  expected[late.ToMetricString()].insert(expected[late.ToMetricString()].begin(), {5 * kMinute, 2});
  expected[SeriesNamed("late", 1).ToMetricString()] = {{6 * kMinute, 3}};
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(ReadAll(db.get()), expected) << "round " << round;
    ASSERT_TRUE(db->Compact());
  }
  EXPECT_EQ(ReadAll(db.get()), expected);
  Kill(std::move(db));
  db = Open(options);
  EXPECT_EQ(ReadAll(db.get()), expected);
}

TEST_F(FaultsTest, ADeletionHoldsThoughTheLogOfLateSamplesCouldNotBeTruncated) {
  using Faulty = base::FaultyFileSystem;
  struct Case {
    Faulty::Fault fault;
    bool refused;  // while the fault lasts
  };
  const DbOptions options = {.min_block_duration = std::chrono::minutes(30), .out_of_order_window = std::chrono::hours(4)};
  const model::Labels late = SeriesNamed("late", 0);
  for (const Case& c : {Case{{.op = Faulty::Op::kOpen, .path = "wbl/"}, true},
                        Case{{.op = Faulty::Op::kSync, .path = "chunks_head/", .times = 1}, false}}) {
    ASSERT_TRUE(fs_.RemoveAll("data"));
    auto db = Open(options);
    for (int m = 0; m <= 60; ++m) Add(db.get(), kUp, {{m * kMinute, m * 1.0}});
    Add(db.get(), late, {{60 * kMinute, 1}, {10 * kMinute, 2}});
    faulty_.Fail(c.fault);
    base::CaptureLog capture;
    base::Ignore(db->Compact());
    ASSERT_EQ(db->Blocks().size(), 1u);
    const model::Matchers any[] = {{Name("late")}};
    const base::Status deleted = db->DeleteSeries(0, 20 * kMinute, any);
    EXPECT_EQ(!deleted, c.refused) << (deleted ? "" : deleted.error().message());
    faulty_.Heal();
    if (!deleted) {
      EXPECT_NE(deleted.error().message().find("wbl/"), std::string::npos) << deleted.error().message();
      EXPECT_TRUE(db->DeleteSeries(0, 20 * kMinute, any));
    }
    const Dump expected = {{late.ToMetricString(), {{60 * kMinute, 1}}}};
    EXPECT_EQ(Read(db.get(), {Name("late")}), expected);
    Kill(std::move(db));
    db = Open(options);
    EXPECT_EQ(Read(db.get(), {Name("late")}), expected);
  }
}

TEST_F(DbTest, SamplesOfANewSeriesThatComeLateAreThereAtOnceAndAfterARestart) {
  const DbOptions options = {.min_block_duration = std::chrono::seconds(5), .out_of_order_window = std::chrono::hours(1)};
  auto db = Open(options);
  Add(db.get(), kUp, {{10'000'000, 1}});
  Dump expected = {{"up{job=\"node\"}", {{10'000'000, 1}}}};
  for (const model::Timestamp back : {2'000, 30'000, 600'000, 1'800'000}) {
    const model::Labels labels = SeriesNamed("late", static_cast<int>(back));
    Add(db.get(), labels, {{10'000'000 - back, 1}, {10'000'000 - back - 1, 2}});
    expected[labels.ToMetricString()] = {{10'000'000 - back - 1, 2}, {10'000'000 - back, 1}};
  }
  EXPECT_EQ(ReadAll(db.get()), expected);
  ASSERT_TRUE(db->Compact());
  EXPECT_EQ(ReadAll(db.get()), expected);
  Kill(std::move(db));
  db = Open(options);
  EXPECT_EQ(ReadAll(db.get()), expected);
}

}  // namespace
}  // namespace tocsin::tsdb
