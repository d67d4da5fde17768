#include "tools/alertmanager_export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <set>

#include "alertmanager/silences.h"
#include "alertmanager/upstream_snapshot.h"
#include "base/log.h"
#include "base/simulated_executor.h"
#include "state/store.h"

namespace tocsin::tools {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

class AlertmanagerExportTest : public testing::Test {
 protected:
  AlertmanagerExportTest() {
    base::Ignore(fs_->RemoveAll(folder_));  // best effort: a test's folder
    EXPECT_TRUE(fs_->CreateFolders(folder_));
  }
  ~AlertmanagerExportTest() override { base::Ignore(fs_->RemoveAll(folder_)); }

  int Run(std::vector<std::string> args) {
    out_.clear();
    err_.clear();
    return AlertmanagerExport(args, {.out = [this](std::string_view s) { out_ += s; },
                                     .err = [this](std::string_view s) { err_ += s; },
                                     .read_input = [] { return std::string(); },
                                     .fs = fs_});
  }

  // A server's state: one silence, one that recurs, one entry of the notification log.
  void WriteState() {
    base::SimulatedExecutor sim(base::FromUnixMillis(1));
    state::Contents contents;
    auto store = state::OpenSqliteStore({.folder = folder_ + "/state", .executor = &sim}, &contents);
    ASSERT_TRUE(store.has_value());
    state::Transaction t;
    for (const char* id : {"4a1cbcf0-0000-4000-8000-000000000001", "4a1cbcf0-0000-4000-8000-000000000002"}) {
      alertmanager::Silence s;
      s.id = id;
      s.matcher_sets = {*alertmanager::ParseMatchers("a=b")};
      if (s.id.ends_with("2")) {
        ASSERT_TRUE(s.SetSchedule(R"([{"weekdays":["monday"]}])"));
      }
      t.PutSilence({.id = id, .bytes = alertmanager::EncodeSilence(s)});
    }
    t.PutNotification({.group_key = "{}:{}", .receiver_key = "ops/webhook/0", .firing = {1}});
    (*store)->Commit(std::move(t), [](base::Status s) { ASSERT_TRUE(s); });
    sim.RunPosted();
    (*store)->Stop([] {});
    sim.RunPosted();
  }

  base::FileSystem* const fs_ = base::RealFileSystem();
  const std::string folder_ = testing::TempDir() + "/tocsin_export_" + std::to_string(::getpid());
  std::string out_, err_;
};

TEST_F(AlertmanagerExportTest, WritesWhatAlertmanagerReadsAndSaysWhatItLeavesOut) {
  WriteState();
  ASSERT_EQ(Run({"--storage.path=" + folder_ + "/state", folder_ + "/out"}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("1 silences and 1 notification log entries written"));
  EXPECT_THAT(err_, HasSubstr("left out: silence 4a1cbcf0-0000-4000-8000-000000000002: it recurs"));
  std::vector<state::SilenceRecord> silences;
  std::vector<state::NotificationRecord> entries;
  ASSERT_TRUE(alertmanager::ReadUpstreamSilences(*fs_->ReadFile(folder_ + "/out/silences"), &silences));
  ASSERT_TRUE(alertmanager::ReadUpstreamNotifications(*fs_->ReadFile(folder_ + "/out/nflog"), &entries));
  EXPECT_THAT(silences, SizeIs(1));
  EXPECT_THAT(entries, SizeIs(1));
  // Nothing that is there is written over.
  EXPECT_EQ(Run({"--storage.path=" + folder_ + "/state", folder_ + "/out"}), 1);
  EXPECT_THAT(err_, HasSubstr("/out/silences is there already"));
}

TEST_F(AlertmanagerExportTest, EachDamagedStateIsSetAsideUnderItsOwnNameAndTheLossIsAnError) {
  const base::CaptureLog log;
  std::set<std::string> aside;
  for (int round = 1; round <= 2; ++round) {
    WriteState();
    const std::string damaged = "SQLite format 3, and nothing of it " + std::to_string(round);
    ASSERT_TRUE(fs_->RemoveAll(folder_ + "/state/state.db-wal"));
    ASSERT_TRUE(fs_->WriteFileAtomically(folder_ + "/state/state.db", damaged));
    EXPECT_EQ(Run({"--storage.path=" + folder_ + "/state", folder_ + "/out" + std::to_string(round)}), 1);
    EXPECT_THAT(err_, HasSubstr("error: "));
    EXPECT_THAT(err_, HasSubstr("state.db.damaged-"));
    EXPECT_THAT(out_, HasSubstr("0 silences and 0 notification log entries written"));
    std::set<std::string> contents;
    const auto files = fs_->List(folder_ + "/state");
    ASSERT_TRUE(files);
    for (const base::FileInfo& f : *files) {
      if (f.name.starts_with("state.db.damaged-")) contents.insert(*fs_->ReadFile(folder_ + "/state/" + f.name));
    }
    aside.insert(damaged);
    EXPECT_EQ(contents, aside) << "what was set aside before is still there";
  }
}

TEST_F(AlertmanagerExportTest, AFolderWithoutAStateIsNamedAndNotMade) {
  EXPECT_EQ(Run({"--storage.path=" + folder_ + "/none", folder_ + "/out"}), 1);
  EXPECT_THAT(err_, HasSubstr("/none has no state.db"));
  EXPECT_FALSE(fs_->Stat(folder_ + "/none"));
  EXPECT_FALSE(fs_->Stat(folder_ + "/out"));
  EXPECT_EQ(Run({}), 1);
  EXPECT_THAT(err_, HasSubstr("name the folder to write to"));
}

}  // namespace
}  // namespace tocsin::tools
