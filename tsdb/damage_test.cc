// Every file of a data directory cut at every kind of boundary and with bits flipped: the directory opens, what is
// read is what was written but for what the damage reached, and the message names the file.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/log.h"
#include "base/overlay_file_system.h"
#include "tsdb/db_test_util.h"

namespace tocsin::tsdb {
namespace {

using model::Labels;
using model::MatchOp;

constexpr int64_t kHour = 3600 * 1000;

Labels Series(int s) { return Labels::FromPairs({{"__name__", "m"}, {"s", std::to_string(s)}}); }

void ListFiles(base::FileSystem* fs, const std::string& folder, std::vector<std::string>* out) {
  const auto files = fs->List(folder);
  ASSERT_TRUE(files) << files.error().message();
  for (const base::FileInfo& f : *files) {
    const std::string path = base::JoinPath(folder, f.name);
    if (f.is_folder) {
      ListFiles(fs, path, out);
    } else {
      out->push_back(path);
    }
  }
}

class DamageTest : public DbTest {
 protected:
  // Blocks (one of them with tombstones), a log of several segments, late samples, histograms.
  void SetUp() override {
    auto db = Open({.max_block_duration = std::chrono::hours(2),
                    .wal_segment_bytes = 64 << 10,
                    .out_of_order_window = std::chrono::hours(1)});
    for (model::Timestamp t = 0; t < 7 * kHour; t += 60'000) {
      auto app = db->NewAppender();
      for (int s = 0; s < 4; ++s) Put(app.get(), Series(s), t, static_cast<double>(t / 1000 + s) / 3);
      auto h = std::make_shared<model::Histogram>();
      h->integer = true;
      h->schema = 1;
      h->count = static_cast<double>(t / 60'000 + 2);
      h->sum = static_cast<double>(t);
      h->positive_spans = {{0, 2}};
      h->positive_buckets = {1, static_cast<double>(t / 60'000 + 1)};
      const auto ref = app->Resolve(Labels::FromPairs({{"__name__", "h"}}));
      ASSERT_TRUE(ref);
      ASSERT_EQ(app->AppendHistogram(*ref, t, std::move(h)), storage::AppendOutcome::kOk);
      ASSERT_TRUE(app->Commit());
    }
    ASSERT_TRUE(db->Compact());
    ASSERT_EQ(db->Blocks().size(), 2u);
    Add(db.get(), Series(0), {{7 * kHour - 90'000, -1}, {7 * kHour - 30'000, -2}});
    whole_ = ReadAll(db.get());
    const std::vector<model::Matchers> any = {{M("s", MatchOp::kEqual, "3")}};
    ASSERT_TRUE(db->DeleteSeries(0, kHour, any));
    expected_ = ReadAll(db.get());
    Kill(std::move(db));
    ListFiles(&fs_, "data", &files_);
  }

  // What the damaged directory gives.  Fails the test where that is not a part of what was written.
  void Check(const std::string& path, const std::string& bytes, const std::string& what) {
    SCOPED_TRACE(path + ": " + what);
    base::OverlayFileSystem overlay(&fs_);
    ASSERT_TRUE(overlay.WriteFileAtomically(path, bytes));
    base::CaptureLog log;
    auto db = Db::Open({.path = "data", .fs = &overlay, .lock_file = false});
    ASSERT_TRUE(db) << db.error().message();
    std::string told;
    for (const std::string& line : log.lines()) {
      if (line.find("level=warn") != line.npos || line.find("level=error") != line.npos) told += line + "\n";
    }
    // A query of damaged data fails and says why; others go on.
    bool lost = false;
    Dump got;
    for (const storage::Window window : {storage::Window{-1, 2 * kHour - 1}, storage::Window{2 * kHour - 1, 4 * kHour - 1},
                                         storage::Window{4 * kHour - 1, 8 * kHour}}) {
      auto q = (*db)->NewQuerier(window);
      auto set = q->Select({.window = window}, std::vector{M("__name__", MatchOp::kRegex, ".+")});
      for (size_t i = 0; set && i < (*set)->size(); ++i) {
        storage::SampleColumns c;
        const base::Status status = (*set)->Read(i, 1, window, &c);
        auto& samples = got[(*set)->labels(i).ToMetricString()];
        for (size_t k = 0; k < c.times.size() && status; ++k) samples.emplace_back(c.times[k], c.values[k]);
        lost = lost || !status;
        if (!status) told += status.error().message() + "\n";
      }
      lost = lost || !set;
      if (!set) told += set.error().message() + "\n";
    }
    for (const auto& [labels, samples] : got) {
      const auto it = whole_.find(labels);
      ASSERT_NE(it, whole_.end()) << labels << " was never written";
      ASSERT_TRUE(std::includes(it->second.begin(), it->second.end(), samples.begin(), samples.end()))
          << labels << " has samples that were never written";
    }
    for (const auto& [labels, samples] : expected_) {
      const auto it = got.find(labels);
      lost = lost || it == got.end() || !std::includes(it->second.begin(), it->second.end(), samples.begin(), samples.end());
    }
    if (!lost || path.ends_with("meta.json")) return;  // that has no checksum: a number in it may change
    // The torn end of the newest log is what a crash leaves: it is cut without ado.
    const bool tail = path == last_log_ && what.starts_with("cut");
    // An emptied log or file of head chunks looks like one just begun.
    const bool begun = bytes.size() <= 9 && (path.starts_with("data/w") || path.starts_with("data/chunks_head"));
    EXPECT_TRUE(tail || begun || told.find(base::NameOf(path)) != told.npos) << "lost without a word; the log says: " << told;
    // Deletions may be lost with their file or record, and what lies elsewhere is still there.
    size_t kept = 0;
    for (const auto& [labels, samples] : got) kept += samples.size();
    EXPECT_GT(kept, 0u) << told;
  }

  Dump whole_, expected_;  // before and after the deletion
  std::vector<std::string> files_;
  std::string last_log_;
};

TEST_F(DamageTest, FilesCutAnywhereCostWhatWasCut) {
  for (const std::string& path : files_) {
    if (path.starts_with("data/wal/0")) last_log_ = path;
  }
  for (const std::string& path : files_) {
    const std::string bytes = *fs_.ReadFile(path);
    std::set<size_t> cuts = {0, 1, 4, 5, 7, 8, 9, bytes.size() / 3, bytes.size() / 2, bytes.size() - 1};
    for (size_t back : {2, 4, 5, 12, 52, 53}) {
      if (back < bytes.size()) cuts.insert(bytes.size() - back);
    }
    for (size_t page = 32 << 10; page < bytes.size(); page += 32 << 10) cuts.insert({page - 1, page, page + 1, page + 7});
    for (const size_t cut : cuts) {
      if (cut < bytes.size()) Check(path, bytes.substr(0, cut), "cut at " + std::to_string(cut));
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(DamageTest, FlippedBitsAreNoticed) {
  for (const std::string& path : files_) {
    const std::string bytes = *fs_.ReadFile(path);
    constexpr size_t kTries = 32;
    for (size_t i = 0; i < std::min(bytes.size(), kTries); ++i) {
      // Every byte of small files and of headers, others spread over the file.
      const size_t at = bytes.size() <= kTries || i < 10 ? i : i * (bytes.size() / kTries) + i % 7;
      if (at >= bytes.size()) break;
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << i % 8));
      Check(path, damaged, "byte " + std::to_string(at) + " bit " + std::to_string(i % 8));
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace tocsin::tsdb
