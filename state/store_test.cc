#include "state/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/file_system.h"
#include "base/log.h"
#include "base/simulated_executor.h"
#include "state/sqlite.h"

namespace tocsin::state {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

base::Time At(int64_t ms) { return base::FromUnixMillis(ms); }

EventPack Pack(int64_t chapter, int64_t first, int64_t last, std::string bytes) {
  return {.chapter = chapter, .first = At(first), .last = At(last), .events = 1, .bytes = std::move(bytes)};
}

class StoreTest : public testing::Test {
 protected:
  ~StoreTest() override {
    store_.reset();
    base::Ignore(fs_->RemoveAll(folder_));  // best effort: a test's folder
  }

  base::Status Open() {
    contents_ = {};
    auto store = OpenSqliteStore(
        {.folder = folder_, .executor = &sim_, .registry = &registry_}, &contents_);
    if (!store) return std::unexpected(store.error());
    store_ = std::move(*store);
    return {};
  }

  void Stop() {
    bool stopped = false;
    store_->Stop([&] { stopped = true; });
    sim_.RunPosted();
    EXPECT_TRUE(stopped);
    store_.reset();
  }

  base::Status Commit(Transaction t) {
    base::Status result = base::Internal("done was not called");
    store_->Commit(std::move(t), [&](base::Status s) { result = std::move(s); });
    sim_.RunPosted();
    return result;
  }

  // The packs of a query: chapter, then bytes.  At most `chapters` chapters are asked for.
  std::vector<std::string> Packs(PackQuery query, size_t chapters = 1000) {
    std::vector<std::string> texts;
    std::set<int64_t> seen;
    query.visit = [&](const EventPack& pack) {
      seen.insert(pack.chapter);
      texts.push_back(std::to_string(pack.chapter) + pack.bytes);
      return seen.size() < chapters;
    };
    store_->ReadPacks(std::move(query), [&](base::Status s) { EXPECT_TRUE(s) << s.error().message(); });
    sim_.RunPosted();
    return texts;
  }

  static std::string MakeFolder() {
    std::string path = "/tmp/tocsin_state_XXXXXX";
    EXPECT_NE(::mkdtemp(path.data()), nullptr) << path;
    return path;
  }

  base::FileSystem* const fs_ = base::RealFileSystem();
  base::SimulatedExecutor sim_{At(1'000'000)};
  base::Registry registry_;
  // Const: the destructor removes it with all it holds.
  const std::string folder_ = MakeFolder();
  Contents contents_;
  std::unique_ptr<Store> store_;
};

Transaction Everything() {
  Transaction t;
  t.PutSilence({.id = "s1", .bytes = std::string("a\0b", 3), .updated_at = At(5), .expires_at = At(100)});
  t.PutSilence({.id = "s2", .bytes = "old"});
  t.PutSilence({.id = "s2", .bytes = "new", .expires_at = At(300)});
  t.PutIntent({.group_key = "g", .receiver_key = "r", .sent_at = At(6), .bytes = "first"});
  t.PutNotification({.group_key = "g",
                     .receiver_key = "r",
                     .sent_at = At(7),
                     .firing = {1, UINT64_MAX},
                     .resolved = {3},
                     .receiver_data = "ts",
                     .expires_at = At(200)});
  t.PutIntent({.group_key = "g", .receiver_key = "other", .sent_at = At(8), .bytes = "cut off"});
  t.PutAlert({.fingerprint = UINT64_MAX, .bytes = "alert"});
  t.PutAlert({.fingerprint = 2, .bytes = "open-ended"});
  return t;
}

TEST_F(StoreTest, WhatWasCommittedIsThereAtTheNextStart) {
  ASSERT_TRUE(Open());
  EXPECT_THAT(contents_.silences, IsEmpty());
  ASSERT_TRUE(Commit(Everything()));
  Stop();
  ASSERT_TRUE(Open());
  ASSERT_THAT(contents_.silences, SizeIs(2));
  EXPECT_EQ(contents_.silences[0].bytes, std::string("a\0b", 3));
  EXPECT_EQ(contents_.silences[0].updated_at, At(5));
  EXPECT_EQ(contents_.silences[0].expires_at, At(100));
  EXPECT_EQ(contents_.silences[1].bytes, "new");
  ASSERT_THAT(contents_.notifications, SizeIs(1));
  const NotificationRecord& n = contents_.notifications[0];
  EXPECT_EQ(n.group_key + "/" + n.receiver_key, "g/r");
  EXPECT_EQ(n.sent_at, At(7));
  EXPECT_THAT(n.firing, ElementsAre(1, UINT64_MAX));
  EXPECT_THAT(n.resolved, ElementsAre(3));
  EXPECT_EQ(n.receiver_data, "ts");
  EXPECT_EQ(n.expires_at, At(200));
  // The notification of the same keys answered the first intent.
  ASSERT_THAT(contents_.intents, SizeIs(1));
  EXPECT_EQ(contents_.intents[0].bytes, "cut off");
  EXPECT_EQ(contents_.intents[0].sent_at, At(8));
  ASSERT_THAT(contents_.alerts, SizeIs(2));
  EXPECT_TRUE(std::any_of(contents_.alerts.begin(), contents_.alerts.end(), [](const AlertRecord& a) {
    return a.fingerprint == UINT64_MAX && a.bytes == "alert";
  }));
  EXPECT_THAT(contents_.losses, IsEmpty());
}

// Alerts are packed, and what is outdated makes room again.
TEST_F(StoreTest, AlertsThatChangeAllTheTimeKeepTheirLastStateAndTheFileSmall) {
  ASSERT_TRUE(Open());
  std::map<uint64_t, std::string> expected;
  uint64_t random = 1;
  for (int round = 0; round < 150; ++round) {
    Transaction t;
    for (int i = 0; i < 100; ++i) {
      random = random * 6364136223846793005 + 1442695040888963407;
      const uint64_t fingerprint = (random >> 33) % 1000;
      if (random % 16 == 0) {
        t.ForgetAlert(fingerprint);
        expected.erase(fingerprint);
      } else {
        const std::string bytes = std::to_string(random) + std::string(random % 300, 'x') + std::to_string(round);
        t.PutAlert({.fingerprint = fingerprint, .bytes = bytes});
        expected[fingerprint] = bytes;
      }
    }
    ASSERT_TRUE(Commit(std::move(t)));
    if (round % 30 != 29) continue;
    Stop();
    ASSERT_TRUE(Open());
    std::map<uint64_t, std::string> found;
    for (const AlertRecord& a : contents_.alerts) found[a.fingerprint] = a.bytes;
    ASSERT_EQ(found, expected) << round;
  }
  EXPECT_LT(fs_->Stat(folder_ + "/state.db")->size, 1536u << 10);  // 15,000 changes are 3 MB
}

TEST_F(StoreTest, RecordsAreForgottenOneByOneAndWhenTheyExpire) {
  ASSERT_TRUE(Open());
  ASSERT_TRUE(Commit(Everything()));
  Transaction t;
  t.ForgetSilence("s2");
  t.ForgetIntent("g", "other");
  t.ForgetExpired(At(100));
  t.ForgetAlert(UINT64_MAX);
  ASSERT_TRUE(Commit(std::move(t)));
  Stop();
  ASSERT_TRUE(Open());
  EXPECT_THAT(contents_.silences, IsEmpty());
  EXPECT_THAT(contents_.intents, IsEmpty());
  EXPECT_THAT(contents_.notifications, SizeIs(1));
  ASSERT_THAT(contents_.alerts, SizeIs(1));
  EXPECT_EQ(contents_.alerts[0].fingerprint, 2u);
  Transaction rest;
  rest.ForgetNotification("g", "r");
  rest.ForgetAlert(2);
  ASSERT_TRUE(Commit(std::move(rest)));
  Stop();
  ASSERT_TRUE(Open());
  EXPECT_THAT(contents_.notifications, IsEmpty());
  EXPECT_THAT(contents_.alerts, IsEmpty());
}

TEST_F(StoreTest, AProcessThatIsKilledLosesNothingThatWasAnswered) {
  for (int round = 1; round <= 3; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      if (!Open()) ::_exit(2);
      Transaction t;
      t.PutSilence({.id = "round" + std::to_string(round)});
      t.AppendPack(Journal::kAlerts, {.chapter = round, .first = At(round), .last = At(round), .events = 1, .bytes = "event"});
      ::_exit(Commit(std::move(t)) ? 0 : 3);  // nothing is closed
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    ASSERT_EQ(WEXITSTATUS(status), 0);
  }
  ASSERT_TRUE(Open());
  EXPECT_THAT(contents_.silences, SizeIs(3));
  EXPECT_THAT(Packs({}), ElementsAre("3event", "2event", "1event"));
}

TEST_F(StoreTest, CommitsOfOneTurnAreAnsweredInOrder) {
  ASSERT_TRUE(Open());
  std::vector<int> order;
  for (int i = 0; i < 5; ++i) {
    Transaction t;
    t.PutAlert({.fingerprint = static_cast<uint64_t>(i)});
    store_->Commit(std::move(t), [&order, i](base::Status s) {
      EXPECT_TRUE(s);
      order.push_back(i);
    });
  }
  store_->Commit(Transaction(), [&order](base::Status s) {
    EXPECT_TRUE(s);
    order.push_back(5);
  });
  EXPECT_THAT(order, IsEmpty());
  sim_.RunPosted();
  EXPECT_THAT(order, ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(registry_.Expose(), HasSubstr("tocsin_state_commits_total 6\n"));
}

TEST_F(StoreTest, AJournalIsReadByChaptersTheNewestFirst) {
  ASSERT_TRUE(Open());
  for (int64_t i = 1; i <= 3; ++i) {
    Transaction t;
    t.AppendPack(Journal::kAlerts, Pack(i, i * 10, i * 10 + 1, "a"));
    t.AppendPack(Journal::kAlerts, Pack(i, i * 10 + 2, i * 10 + 3, "b"));
    t.AppendPack(Journal::kRules, Pack(i, i, i, "r"));
    store_->Commit(std::move(t), nullptr);
  }
  EXPECT_THAT(Packs({}), ElementsAre("3a", "3b", "2a", "2b", "1a", "1b"));
  EXPECT_THAT(Packs({}, 2), ElementsAre("3a", "3b", "2a", "2b"));
  // A chapter that reaches into the time asked for is read from its beginning.
  EXPECT_THAT(Packs({.from = At(13), .to = At(22)}), ElementsAre("2a", "1a", "1b"));
  EXPECT_THAT(Packs({.journal = Journal::kRules}), ElementsAre("3r", "2r", "1r"));
}

TEST_F(StoreTest, AJournalIsBoundedByAgeAndSizeInWholeChapters) {
  ASSERT_TRUE(Open());
  std::string noise(100'000, 'x');  // a generator's bytes, so that they do not compress
  uint64_t state = 1;
  for (char& c : noise) c = static_cast<char>((state = state * 6364136223846793005u + 1442695040888963407u) >> 56);
  for (int64_t i = 1; i <= 6; ++i) {
    Transaction t;
    t.AppendPack(Journal::kAlerts, Pack(i, i * 10, i * 10 + 1, noise));
    t.AppendPack(Journal::kAlerts, Pack(i, i * 10 + 2, i * 10 + 3, ""));
    t.AppendPack(Journal::kRules, Pack(i, i, i, "r"));
    ASSERT_TRUE(Commit(std::move(t)));
  }
  Transaction t;
  t.BoundJournal(Journal::kAlerts, At(22), UINT64_MAX);  // within the second chapter
  ASSERT_TRUE(Commit(std::move(t)));
  EXPECT_THAT(Packs({}), SizeIs(10));
  t = Transaction();
  t.BoundJournal(Journal::kAlerts, At(0), 350'000);
  ASSERT_TRUE(Commit(std::move(t)));
  const auto left = Packs({});
  ASSERT_THAT(left, SizeIs(6));
  EXPECT_EQ(left.back(), "4");
  EXPECT_THAT(Packs({.journal = Journal::kRules}), SizeIs(6));
}

TEST_F(StoreTest, TheChapterThatIsBeingWrittenIsNeverForgotten) {
  ASSERT_TRUE(Open());
  Transaction t;
  t.AppendPack(Journal::kAlerts, Pack(7, 1, 2, "a"));
  t.AppendPack(Journal::kAlerts, Pack(5, 3, 4, "b"));  // after the clock was set back
  t.BoundJournal(Journal::kAlerts, At(100), 0);
  ASSERT_TRUE(Commit(std::move(t)));
  EXPECT_THAT(Packs({}), Contains("5b"));
}

TEST_F(StoreTest, APackWhoseBytesWereChangedIsEmptyAndTheOthersAreRead) {
  ASSERT_TRUE(Open());
  for (const char* text : {"one", "two", "three"}) {
    Transaction t;
    t.AppendPack(Journal::kAlerts, Pack(1, 1, 2, text));
    ASSERT_TRUE(Commit(std::move(t)));
  }
  Stop();
  std::unique_ptr<Database> db = std::move(*Database::Open(folder_ + "/journal.db", Database::Mode::kCreate));
  ASSERT_TRUE(db->Run("UPDATE packs SET packed = (SELECT packed FROM packs WHERE number = 1) WHERE number = 2"));
  db.reset();
  ASSERT_TRUE(Open());
  EXPECT_THAT(Packs({}), ElementsAre("1one", "1", "1three"));
}

TEST_F(StoreTest, ADamagedFileIsSetAsideAndItsReadableRecordsAreKept) {
  ASSERT_TRUE(Open());
  Transaction t;
  for (int i = 0; i < 2000; ++i) {
    t.PutSilence({.id = "silence" + std::to_string(i), .bytes = std::string(100, 'x')});
  }
  t.AppendPack(Journal::kAlerts, Pack(1, 1, 1, "event"));
  ASSERT_TRUE(Commit(std::move(t)));
  Stop();
  std::string bytes = *fs_->ReadFile(folder_ + "/state.db");
  ASSERT_GT(bytes.size(), 100'000u);
  std::fill(bytes.begin() + 50'000, bytes.begin() + 90'000, '\xee');
  ASSERT_TRUE(fs_->WriteFileAtomically(folder_ + "/state.db", bytes));
  ASSERT_TRUE(fs_->WriteFileAtomically(folder_ + "/journal.db", "this is no database, however long it is"));
  {
    const base::CaptureLog log;
    ASSERT_TRUE(Open());
    EXPECT_THAT(log.lines(), SizeIs(2));
  }
  ASSERT_THAT(contents_.losses, SizeIs(2));
  EXPECT_THAT(contents_.losses[0], HasSubstr("state.db.damaged-1000"));
  EXPECT_GT(contents_.silences.size(), 100u);
  EXPECT_LT(contents_.silences.size(), 2000u);
  EXPECT_TRUE(fs_->Stat(folder_ + "/state.db.damaged-1000"));
  EXPECT_TRUE(fs_->Stat(folder_ + "/journal.db.damaged-1000"));
  EXPECT_THAT(Packs({}), IsEmpty());
  const size_t kept = contents_.silences.size();
  Stop();
  ASSERT_TRUE(Open());
  EXPECT_THAT(contents_.losses, IsEmpty());
  EXPECT_THAT(contents_.silences, SizeIs(kept));
}

TEST_F(StoreTest, ASecondOpenerIsRefused) {
  ASSERT_TRUE(Open());
  Contents contents;
  const auto second = OpenSqliteStore({.folder = folder_, .executor = &sim_}, &contents);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), base::Code::kFailedPrecondition);
  EXPECT_THAT(second.error().message(), HasSubstr("another process has it open"));
}

TEST_F(StoreTest, AFileOfANewerVersionIsRefused) {
  {
    auto db = Database::Open(folder_ + "/state.db", Database::Mode::kCreate);
    ASSERT_TRUE(db);
    ASSERT_TRUE((*db)->Run("PRAGMA user_version = 9"));
  }
  const base::Status status = Open();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), base::Code::kFailedPrecondition);
  EXPECT_THAT(status.error().message(), HasSubstr("newer version (format 9"));
}

TEST_F(StoreTest, FilesOfEarlierFormatsAreTakenOver) {
  struct Row {
    std::string_view name;
    const char* as_it_was;
  };
  constexpr std::string_view kNoLeftOut = "ALTER TABLE notifications DROP COLUMN left_out;";
  for (const Row& row : {Row{"format 1", "CREATE TABLE alerts (fingerprint INTEGER PRIMARY KEY, bytes BLOB); DROP TABLE alert_packs; PRAGMA user_version = 1"},
                         Row{"format 2", "PRAGMA user_version = 2"}, Row{"raised by a start that was cut off", "PRAGMA user_version = 3"}}) {
    SCOPED_TRACE(row.name);
    auto commit = [this](uint64_t firing, std::vector<uint64_t> left_out) {
      Transaction t;
      t.PutNotification({.group_key = "g", .receiver_key = "r", .firing = {firing}, .left_out = std::move(left_out)});
      t.PutAlert({.fingerprint = firing, .bytes = "alert"});
      return Commit(std::move(t));
    };
    ASSERT_TRUE(Open());
    ASSERT_TRUE(commit(7, {8}));
    Stop();
    {
      auto db = Database::Open(folder_ + "/state.db", Database::Mode::kCreate);
      ASSERT_TRUE(db);
      ASSERT_TRUE((*db)->Run((std::string(kNoLeftOut) + row.as_it_was).c_str()));
    }
    for (const uint64_t firing : {7, 9}) {
      ASSERT_TRUE(Open());
      ASSERT_THAT(contents_.notifications, SizeIs(1));
      EXPECT_THAT(contents_.notifications[0].firing, ElementsAre(firing));
      EXPECT_THAT(contents_.notifications[0].left_out, testing::ElementsAreArray(firing == 7 ? std::vector<uint64_t>{} : std::vector<uint64_t>{10}));
      EXPECT_THAT(contents_.losses, IsEmpty());
      ASSERT_TRUE(commit(9, {10}));
      Stop();
    }
    ASSERT_TRUE(fs_->Remove(folder_ + "/state.db"));
  }
}

TEST_F(StoreTest, AJournalWithADamagedPageIsSetAsideAndEventsGoOn) {
  for (const char* name : {"packs", "packs_chapter"}) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(Open());
    Transaction t;
    t.PutSilence({.id = "s"});
    t.AppendPack(Journal::kAlerts, Pack(7, 1, 1, "event"));
    ASSERT_TRUE(Commit(std::move(t)));
    Stop();
    const std::string path = folder_ + "/journal.db";
    size_t page = 0, bytes = 0;
    {
      auto db = Database::Open(path, Database::Mode::kReadOnly);
      ASSERT_TRUE(db);
      page = static_cast<size_t>(*(*db)->ReadNumber(std::string("SELECT rootpage FROM sqlite_master WHERE name = '") + name + "'"));
      bytes = static_cast<size_t>(*(*db)->ReadNumber("PRAGMA page_size"));
    }
    std::string file = *fs_->ReadFile(path);
    ASSERT_GE(file.size(), page * bytes);
    file.replace((page - 1) * bytes, bytes, bytes, '\xee');
    ASSERT_TRUE(fs_->WriteFileAtomically(path, file));
    {
      const base::CaptureLog log;
      ASSERT_TRUE(Open());
      EXPECT_THAT(log.lines(), SizeIs(1));
    }
    ASSERT_THAT(contents_.losses, SizeIs(1));
    EXPECT_THAT(contents_.losses[0], HasSubstr("journal.db.damaged-"));
    EXPECT_THAT(contents_.silences, SizeIs(1));
    EXPECT_EQ(contents_.last_alert_chapter, 0);
    t = Transaction();
    t.AppendPack(Journal::kAlerts, Pack(8, 2, 2, "later"));
    ASSERT_TRUE(Commit(std::move(t)));
    EXPECT_THAT(Packs({}), ElementsAre("8later"));
    Stop();
    for (const std::string& left : {path, path + ".damaged-1000"}) ASSERT_TRUE(fs_->Remove(left));
  }
}

TEST_F(StoreTest, AFolderThatCannotBeMadeIsAnError) {
  Contents contents;
  EXPECT_FALSE(OpenSqliteStore({.folder = "/dev/null/state", .executor = &sim_}, &contents));
}

TEST(DatabaseTest, MistakesAndReadOnlyFilesAreErrors) {
  EXPECT_EQ(Database::Open("/none/x.db", Database::Mode::kReadOnly).error().code(),
            base::Code::kPermissionDenied);
  auto db = Database::Open(":memory:", Database::Mode::kCreate);
  ASSERT_TRUE(db);
  EXPECT_EQ((*db)->Run("nonsense").error().code(), base::Code::kInternal);
  EXPECT_FALSE((*db)->Prepare("SELECT * FROM none"));
  EXPECT_EQ(*(*db)->ReadNumber("SELECT 7"), 7);
  EXPECT_EQ(*(*db)->ReadText("SELECT 'x' WHERE 0"), "");
}

TEST(MemoryStoreTest, KeepsItsJournals) {
  base::SimulatedExecutor sim(At(0));
  const auto store = NewMemoryStore(&sim);
  Transaction t;
  t.PutSilence({.id = "s"});
  for (int64_t i = 0; i < 4; ++i) t.AppendPack(Journal::kRules, Pack(i / 2, i, i, std::to_string(i)));
  bool committed = false;
  store->Commit(std::move(t), [&](base::Status s) { committed = s.has_value(); });
  std::vector<std::string> texts;
  store->ReadPacks({.journal = Journal::kRules, .visit = [&](const EventPack& pack) {
                      texts.push_back(pack.bytes);
                      return true;
                    }},
                   [](base::Status s) { EXPECT_TRUE(s); });
  sim.RunPosted();
  EXPECT_TRUE(committed);
  EXPECT_THAT(texts, ElementsAre("2", "3", "0", "1"));
  bool stopped = false;
  store->Stop([&] { stopped = true; });
  sim.RunPosted();
  EXPECT_TRUE(stopped);
}

}  // namespace
}  // namespace tocsin::state
