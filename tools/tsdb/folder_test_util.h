#pragma once

// A database's folder for the tests of the verbs: blocks, a log, late samples, histograms.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/simulated_file_system.h"
#include "tools/tool.h"
#include "tsdb/db.h"

namespace tocsin::tools {

class TsdbFolderTest : public testing::Test {
 protected:
  static constexpr int64_t kHour = 3600 * 1000;
  static constexpr int64_t kMinute = 60 * 1000;
  static constexpr int kMinutes = 9 * 60;  // of samples, one a minute

  // Nine hours of five series; what is older than the head's range goes into blocks.
  void MakeFolder() {
    auto db = tsdb::Db::Open(Options());
    ASSERT_TRUE(db) << db.error().message();
    for (int i = 0; i < kMinutes; ++i) {
      auto app = (*db)->NewAppender();
      for (const std::string job : {"api", "db", "web"}) Put(app.get(), {{"__name__", "up"}, {"job", job}}, i * kMinute, i);
      Put(app.get(), {{"__name__", "requests_total"}, {"path", "/a \"b\""}}, i * kMinute, 1e6 * i);
      const auto ref = app->Resolve(model::Labels::FromPairs({{"__name__", "latency"}, {"job", "api"}}));
      ASSERT_TRUE(ref);
      EXPECT_EQ(app->AppendHistogram(*ref, i * kMinute, Histogram(i)), storage::AppendOutcome::kOk);
      ASSERT_TRUE(app->Commit());
      if (i % 60 == 59 && i + 1 < kMinutes) {  // the last hour stays in the log
        ASSERT_TRUE((*db)->Compact());
      }
    }
    // A late sample, for wbl/.
    auto app = (*db)->NewAppender();
    Put(app.get(), {{"__name__", "up"}, {"job", "db"}}, (kMinutes - 5) * kMinute + 7, 42);
    ASSERT_TRUE(app->Commit());
    (*db)->Stop([] {});
  }

  static model::HistogramPtr Histogram(int i) {
    auto h = std::make_shared<model::Histogram>();
    h->integer = true;
    h->schema = 1;
    h->count = 3.0 * i;
    h->sum = 10.0 * i;
    h->positive_spans = {{0, 2}};
    h->positive_buckets = {1.0 * i, 2.0 * i};
    return h;
  }

  static void Put(storage::Appender* app, std::initializer_list<std::pair<std::string_view, std::string_view>> labels,
                  int64_t t, double v) {
    const auto ref = app->Resolve(model::Labels::FromPairs(labels));
    ASSERT_TRUE(ref);
    const storage::FloatSample sample{*ref, t, v};
    storage::AppendOutcome outcome;
    app->Append({&sample, 1}, {&outcome, 1});
    EXPECT_EQ(outcome, storage::AppendOutcome::kOk) << t;
  }

  tsdb::DbOptions Options() {
    tsdb::DbOptions options;
    options.path = "data";
    options.fs = &fs_;
    options.retention_time = base::Duration(0);
    options.out_of_order_window = std::chrono::minutes(10);
    options.lock_file = false;
    return options;
  }

  int Run(Verb verb, const std::vector<std::string>& args) {
    out_.clear();
    err_.clear();
    return verb(args, Io());
  }
  ToolIo Io() {
    return ToolIo{.out = [this](std::string_view s) { out_ += s; },
                  .err = [this](std::string_view s) { err_ += s; },
                  .read_input = [] { return std::string(); },
                  .fs = &fs_};
  }

  // Paths of all files, with their bytes.
  std::vector<std::pair<std::string, std::string>> Files(const std::string& folder = "data") {
    std::vector<std::pair<std::string, std::string>> all;
    const auto files = fs_.List(folder);
    for (const base::FileInfo& f : *files) {
      const std::string path = base::JoinPath(folder, f.name);
      if (f.is_folder) {
        auto below = Files(path);
        all.insert(all.end(), below.begin(), below.end());
      } else {
        all.emplace_back(path, *fs_.ReadFile(path));
      }
    }
    return all;
  }
  // Block folders, by name.
  std::vector<std::string> Blocks() {
    std::vector<std::string> blocks;
    const auto files = fs_.List("data");
    for (const base::FileInfo& f : *files) {
      if (f.is_folder && f.name.size() == 26) blocks.push_back("data/" + f.name);
    }
    return blocks;
  }
  void FlipByte(const std::string& path, size_t offset) {
    std::string bytes = *fs_.ReadFile(path);
    ASSERT_LT(offset, bytes.size()) << path;
    bytes[offset] = static_cast<char>(bytes[offset] ^ 0x41);
    ASSERT_TRUE(fs_.WriteFileAtomically(path, bytes));
  }
  static size_t Lines(const std::string& text) {
    return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  }

  base::SimulatedFileSystem fs_;
  std::string out_, err_;
};

}  // namespace tocsin::tools
