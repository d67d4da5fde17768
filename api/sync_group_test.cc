#include "api/sync_group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tocsin::api {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A log: a sync covers every ticket up to the one waited for.
class FakeLog : public storage::Appendable {
 public:
  std::unique_ptr<storage::Appender> NewAppender() override { return nullptr; }
  base::Status WaitSynced(storage::SyncTicket ticket) override {
    if (ticket > stable_) {
      stable_ = ticket;
      ++syncs;
    }
    if (ticket == lost) return base::Unavailable("lost");
    return {};
  }
  int syncs = 0;
  storage::SyncTicket lost = 0;

 private:
  storage::SyncTicket stable_ = 0;
};

class SyncGroupTest : public ::testing::Test {
 protected:
  void Expect(int n) {
    for (int i = 0; i < n; ++i) group_.Expect();
  }
  void Join(storage::SyncTicket ticket, bool expected = true) {
    group_.Join(&log_, ticket, expected, [this, ticket](base::Status s) { (s ? stable_ : lost_).push_back(ticket); });
  }
  FakeLog log_;
  SyncGroup group_;
  std::vector<storage::SyncTicket> stable_, lost_;  // answered
};

TEST_F(SyncGroupTest, OneAloneIsAnsweredAtOnce) {
  Expect(1);
  Join(1);
  EXPECT_THAT(stable_, ElementsAre(1));
}

TEST_F(SyncGroupTest, ThoseThatCameTogetherWaitForOneSync) {
  Expect(3);
  Join(2);
  Join(1);
  EXPECT_THAT(stable_, IsEmpty());
  Join(3);
  EXPECT_THAT(stable_, ElementsAre(3, 2, 1));
  EXPECT_EQ(log_.syncs, 1);
}

TEST_F(SyncGroupTest, OneThatComesBeforeItIsWrittenIsWaitedFor) {
  Expect(1);
  Expect(1);
  Join(1);
  EXPECT_THAT(stable_, IsEmpty());
  Join(2);
  EXPECT_THAT(stable_, ElementsAre(2, 1));
}

TEST_F(SyncGroupTest, OneThatComesLaterIsNotWaitedFor) {
  Expect(2);
  Join(1);
  Expect(1);
  Join(2);
  EXPECT_THAT(stable_, ElementsAre(2, 1));
  Join(3);
  EXPECT_EQ(stable_.size(), 3u);
  EXPECT_EQ(log_.syncs, 2);
}

TEST_F(SyncGroupTest, ARequestWithNothingToSyncHoldsNobodyUp) {
  Expect(2);
  Join(1);
  group_.Leave();
  EXPECT_THAT(stable_, ElementsAre(1));
}

TEST_F(SyncGroupTest, ALargeRequestIsNotWaitedForButWaits) {
  Expect(2);
  Join(5, false);
  Join(1);
  EXPECT_THAT(stable_, IsEmpty());
  Join(2);
  EXPECT_THAT(stable_, ElementsAre(5, 2, 1));
  Join(6, false);
  EXPECT_EQ(stable_.size(), 4u);
}

TEST_F(SyncGroupTest, NoMoreThanAFewAreWaitedFor) {
  Expect(100);
  for (storage::SyncTicket t = 1; t <= 100; ++t) {
    Join(t);
    EXPECT_LT(t - stable_.size(), 8u);
  }
  EXPECT_EQ(stable_.size(), 100u);
}

TEST_F(SyncGroupTest, EachIsToldOfItsOwnBatch) {
  log_.lost = 2;
  Expect(3);
  for (storage::SyncTicket t = 1; t <= 3; ++t) Join(t);
  EXPECT_THAT(stable_, ElementsAre(3, 1));
  EXPECT_THAT(lost_, ElementsAre(2));
}

}  // namespace
}  // namespace tocsin::api
