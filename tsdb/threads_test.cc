// Many threads in one database, for the thread sanitizer: writers of the same and of other series, readers,
// housekeeping, deletions.  What each reader sees is checked to be whole batches.

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/log.h"
#include "tsdb/db_test_util.h"

namespace tocsin::tsdb {
namespace {

using model::Labels;

class DbThreadsTest : public DbTest {};

Labels SeriesOf(int writer, int i) {
  return Labels::FromPairs({{"__name__", "m"}, {"w", std::to_string(writer)}, {"i", std::to_string(i)}});
}

TEST_F(DbThreadsTest, ReadersSeeWholeBatchesWhileEverythingGoesOn) {
  base::CaptureLog quiet;
  auto db = Open({.min_block_duration = std::chrono::minutes(2), .wal_segment_bytes = 64 << 10, .max_exemplars = 20});
  constexpr int kWriters = 3, kSeries = 40, kBatches = 400;
  std::atomic<bool> done{false};
  std::atomic<int> torn{0}, errors{0}, refused{0};

  std::vector<std::thread> threads;
  for (int w = 0; w < kWriters; ++w) {
    threads.emplace_back([&, w] {
      for (int b = 0; b < kBatches; ++b) {
        auto app = db->NewAppender();
        std::vector<storage::FloatSample> samples;
        // In some batches series are new, and die again when the head is truncated.
        for (int i = 0; i < kSeries; ++i) samples.push_back({*app->Resolve(SeriesOf(w, i + (b / 100) * 20)), b * 1000, static_cast<double>(b)});
        std::vector<storage::AppendOutcome> outcomes(samples.size());
        app->Append(samples, outcomes);
        for (const auto o : outcomes) refused += o != storage::AppendOutcome::kOk;
        if (!app->Commit(b % 50 == 0 ? storage::Durability::kSynced : storage::Durability::kWritten)) ++errors;
      }
    });
  }
  for (int r = 0; r < 2; ++r) {
    threads.emplace_back([&, r] {
      while (!done) {
        auto q = db->NewQuerier(kAll);
        const std::string writer = std::to_string(r);
        auto set = q->Select({.sorted = r == 0}, std::vector{Name("m"), M("w", model::MatchOp::kEqual, writer)});
        if (!set) {
          ++errors;
          continue;
        }
        storage::LastColumns last;
        if (!(*set)->ReadLast(0, (*set)->size(), kAll, &last)) ++errors;
        // All series of the newest batch end at its time: none ends one batch earlier but those that had ended.
        model::Timestamp newest = 0;
        for (const auto t : last.times) newest = std::max(newest, t);
        int at_newest = 0;
        for (const auto t : last.times) at_newest += t == newest;
        if ((*set)->size() > 0 && at_newest != kSeries) ++torn;
        for (size_t i = 0; i < (*set)->size(); ++i) {
          if ((*set)->labels(i).Get("w") != writer) ++errors;
        }
        storage::SampleColumns columns;
        if (!(*set)->Read(0, (*set)->size(), kAll, &columns)) ++errors;
        if (!q->LabelValues("i", {}, std::vector{Name("m")})) ++errors;
      }
    });
  }
  threads.emplace_back([&] {
    uint64_t generation = db->Generation();
    while (!done) {
      if (!db->Compact()) ++errors;
      const std::vector<model::Matchers> none = {{Name("nothing")}};
      if (!db->DeleteSeries(0, 10, none)) ++errors;
      const auto changes = db->ChangesSince(generation);
      if (changes) generation = changes->generation;
      db->Stats();
    }
  });
  for (int w = 0; w < kWriters; ++w) threads[static_cast<size_t>(w)].join();
  done = true;
  for (size_t i = kWriters; i < threads.size(); ++i) threads[i].join();
  EXPECT_EQ(errors, 0);
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(Read(db.get(), {Name("m"), M("w", model::MatchOp::kEqual, "2"), M("i", model::MatchOp::kEqual, "90")}).size(), 1u);
}

}  // namespace
}  // namespace tocsin::tsdb
