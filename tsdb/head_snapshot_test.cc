// The head's snapshot: written at a clean stop, read at the next start.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "tsdb/db_test_util.h"

namespace tocsin::tsdb {
namespace {

using model::Labels;
using storage::AppendOutcome;

class HeadSnapshotTest : public DbTest {
 protected:
  std::unique_ptr<Db> OpenWithSnapshots() {
    return Open({.out_of_order_window = std::chrono::minutes(30), .max_exemplars = 10, .memory_snapshot = true});
  }
  static Labels Series(int s) { return Labels::FromPairs({{"__name__", "m"}, {"s", std::to_string(s)}}); }

  // Floats, a series that went stale, histograms, late samples, a deletion, exemplars.
  void Fill(Db* db, int from, int to) {
    for (int i = from; i < to; ++i) {
      auto app = db->NewAppender();
      for (int s = 0; s < 4; ++s) Put(app.get(), Series(s), 1'000'000 + i * 10'000, s == 3 && i == to - 1 ? model::StaleMarker() : i * 0.5);
      auto h = std::make_shared<model::Histogram>();
      h->integer = true;
      h->positive_spans = {{0, 1}};
      h->positive_buckets = {static_cast<double>(i)};
      h->count = i;
      EXPECT_EQ(app->AppendHistogram(*app->Resolve(Series(9)), 1'000'000 + i * 10'000, h), AppendOutcome::kOk);
      if (i % 5 == 4) Put(app.get(), Series(0), 1'000'000 + i * 10'000 - 5'000, 7);
      EXPECT_EQ(app->AppendExemplar(*app->Resolve(Series(1)), {Labels::FromPairs({{"trace", "x"}}), 1.0 * i, 1'000'000 + i * 10'000, true}),
                AppendOutcome::kOk);
      EXPECT_TRUE(app->Commit());
    }
    const std::vector<model::Matchers> any = {{M("s", model::MatchOp::kEqual, "2")}};
    EXPECT_TRUE(db->DeleteSeries(1'100'000, 1'200'000, any));
  }
  // Values by their bits: stale markers are no numbers.
  static std::string Text(Db* db) {
    std::string out;
    for (const auto& [series, samples] : ReadAll(db)) {
      out += series;
      for (const auto& [t, v] : samples) {
        uint64_t bits;
        std::memcpy(&bits, &v, 8);
        out += " " + std::to_string(t) + ":" + std::to_string(bits);
      }
    }
    const std::vector<model::Matchers> any = {{Name("m")}};
    const auto exemplars = db->SelectExemplars(kAll, any);
    for (const auto& e : *exemplars) out += " exemplars " + std::to_string(e.exemplars.size());
    return out + " stale " + std::to_string(db->Stats().series);
  }
  std::string SnapshotFolder() {
    const auto files = fs_.List("data");
    for (const base::FileInfo& f : *files) {
      if (f.name.starts_with("chunk_snapshot.")) return "data/" + f.name;
    }
    return {};
  }
};

TEST_F(HeadSnapshotTest, ACleanStopWritesOneAndTheNextStartReadsIt) {
  auto db = OpenWithSnapshots();
  Fill(db.get(), 0, 200);
  std::string before = Text(db.get());
  db.reset();
  ASSERT_NE(SnapshotFolder(), "");
  for (int round = 0; round < 3; ++round) {
    base::CaptureLog log;
    db = OpenWithSnapshots();
    EXPECT_TRUE(std::ranges::any_of(log.lines(), [](const std::string& l) { return l.find("head snapshot read") != std::string::npos; }));
    EXPECT_FALSE(std::ranges::any_of(log.lines(), [](const std::string& l) { return l.find("warn") != std::string::npos; }));
    EXPECT_EQ(Text(db.get()), before) << round;
    Fill(db.get(), 200 + round * 30, 230 + round * 30);
    before = Text(db.get());
    db.reset();
    EXPECT_EQ(std::ranges::count_if(*fs_.List("data"), [](const base::FileInfo& f) { return f.name.starts_with("chunk_snapshot."); }), 1);
  }
}

TEST_F(HeadSnapshotTest, WhatCameAfterASnapshotComesFromTheLog) {
  auto db = OpenWithSnapshots();
  Fill(db.get(), 0, 150);
  db.reset();
  db = OpenWithSnapshots();
  Fill(db.get(), 150, 400);
  EXPECT_TRUE(db->Compact());
  const std::string before = Text(db.get());
  Kill(std::move(db));
  db = OpenWithSnapshots();
  EXPECT_EQ(Text(db.get()), before);
  Kill(std::move(db));
  // Without the feature it is left alone.
  db = Open({.out_of_order_window = std::chrono::minutes(30), .max_exemplars = 10});
  EXPECT_EQ(Text(db.get()), before);
}

TEST_F(HeadSnapshotTest, ADamagedOneIsLeftOutAndTheLogIsRead) {
  auto db = OpenWithSnapshots();
  Fill(db.get(), 0, 150);
  const std::string before = Text(db.get());
  db.reset();
  const std::string path = SnapshotFolder() + "/00000000";
  const std::string good = *fs_.ReadFile(path);
  base::CaptureLog quiet;
  for (size_t at = 0; at < good.size(); at += 1 + good.size() / 12) {
    for (const bool cut : {false, true}) {
      std::string bad = good;
      if (cut) {
        bad.resize(at);
      } else {
        bad[at] ^= 4;
      }
      ASSERT_TRUE(fs_.WriteFileAtomically(path, bad));
      db = OpenWithSnapshots();
      // A cut between records looks whole; the series that are missing come from nowhere else, so it must not
      // pass for a snapshot.
      EXPECT_EQ(Text(db.get()), before) << (cut ? "cut at " : "flipped at ") << at;
      Kill(std::move(db));
    }
  }
}

TEST_F(HeadSnapshotTest, OneThatCannotBeWrittenCostsNothing) {
  auto db = OpenWithSnapshots();
  Fill(db.get(), 0, 150);
  const std::string before = Text(db.get());
  faulty_.Fail({.op = base::FaultyFileSystem::Op::kWrite, .path = "chunk_snapshot"});
  base::CaptureLog quiet;
  db.reset();
  faulty_.Heal();
  db = OpenWithSnapshots();
  EXPECT_EQ(Text(db.get()), before);
}

}  // namespace
}  // namespace tocsin::tsdb
