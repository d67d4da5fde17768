#include "alertmanager/notification_log.h"

#include <gtest/gtest.h>

#include "alertmanager/sim_world_test.h"
#include "base/digest.h"

namespace tocsin::alertmanager {
namespace {

using namespace std::chrono_literals;

// The decision of Alertmanager's dedup stage, question by question and in its order.
TEST(NotificationLogTest, WhatIsToldDependsOnWhatWasToldLast) {
  const base::Time told = base::FromUnixMillis(1'700'000'000'000);
  struct Row {
    std::string_view name;
    bool known;
    std::vector<uint64_t> last_firing, last_resolved, firing, resolved;
    bool send_resolved;
    base::Duration later;  // than the last send; repeat_interval is 1h
    std::string_view reason;
  };
  for (const Row& row : {
           Row{"nobody knows and it fires", false, {}, {}, {1}, {}, true, 0s, "first notification"},
           Row{"nobody knows and it has ended", false, {}, {}, {}, {1}, true, 0s, ""},
           Row{"one more fires", true, {1}, {}, {1, 2}, {}, true, 1min, "new alerts added"},
           Row{"another fires", true, {1}, {}, {2}, {1}, true, 1min, "new alerts added"},
           Row{"it fires again after all had ended", true, {}, {1}, {1}, {}, true, 1min, "first notification"},
           Row{"all have ended", true, {1, 2}, {}, {}, {1, 2}, true, 1min, "all alerts resolved"},
           Row{"all have ended and nobody wants to know", true, {1}, {}, {}, {1}, false, 1min, "all alerts resolved"},
           Row{"all had ended already", true, {}, {1}, {}, {1}, true, 2h, ""},
           Row{"some have ended", true, {1, 2}, {}, {1}, {2}, true, 1min, "some alerts resolved"},
           Row{"some have ended and nobody wants to know", true, {1, 2}, {}, {1}, {2}, false, 1min, ""},
           Row{"the end is known", true, {1}, {2}, {1}, {2}, true, 1min, ""},
           Row{"fewer fire", true, {1, 2}, {}, {1}, {}, true, 1min, ""},
           Row{"nothing is new", true, {1}, {}, {1}, {}, true, 59min, ""},
           Row{"the interval is over to the second", true, {1}, {}, {1}, {}, true, 1h, "repeat interval elapsed"},
           Row{"the interval is long over", true, {1}, {2}, {1}, {2}, false, 5h, "repeat interval elapsed"},
       }) {
    SCOPED_TRACE(row.name);
    const NotificationEntry last{.sent_at = told, .firing = row.last_firing, .resolved = row.last_resolved, .receiver_data = {}};
    const NotifyDecision decision = DecideNotification({.last = row.known ? &last : nullptr,
                                                        .firing = row.firing,
                                                        .resolved = row.resolved,
                                                        .send_resolved = row.send_resolved,
                                                        .tick = told + row.later,
                                                        .repeat_interval = 1h});
    EXPECT_EQ(decision.reason, row.reason);
    EXPECT_EQ(decision.notify, !row.reason.empty());
  }
}

TEST(NotificationLogTest, AlertsAreKnownByAlertmanagersHash) {
  // xxhash64 of "alertname" ff "X" ff, so that a log that was taken over names the same alerts.
  EXPECT_EQ(AlertHash(model::Labels::FromPairs({{"alertname", "X"}})), base::Xxh64("alertname\xffX\xff"));
}

class UnansweredTest : public testing::Test {
 protected:
  static std::vector<uint64_t> Hashes(uint64_t from, uint64_t to) {
    std::vector<uint64_t> out;
    for (uint64_t h = from; h < to; ++h) out.push_back(h);
    return out;
  }

  JumpingExecutor sim_{kStart};
  KeptStore store_{&sim_};
  base::Registry registry_;
  NotificationLog log_{&sim_, &store_, &registry_, 120h, false};
};

TEST_F(UnansweredTest, ReceiversThatAreNotHeardOfAnyMoreAreForgottenAfterTheRetention) {
  log_.LeaveUnanswered("g", "ops/webhook/0", {.tick = sim_.Now(), .firing = {1}});
  sim_.RunFor(119h);
  log_.LeaveUnanswered("g", "ops/webhook/1", {.tick = sim_.Now(), .firing = {2}});
  EXPECT_EQ(log_.Collect(), 0U);
  EXPECT_EQ(store_.Contents().intents.size(), 2U);
  EXPECT_NE(registry_.Expose().find("alertmanager_nflog_snapshot_size_bytes 60\n"), std::string::npos) << registry_.Expose();
  sim_.RunFor(1h);
  EXPECT_EQ(log_.Collect(), 1U);
  EXPECT_EQ(log_.Unanswered("g", "ops/webhook/0"), nullptr);
  ASSERT_NE(log_.Unanswered("g", "ops/webhook/1"), nullptr);
  ASSERT_EQ(store_.Contents().intents.size(), 1U);
  EXPECT_EQ(store_.Contents().intents[0].receiver_key, "ops/webhook/1");
  // One that is being told is not, whatever the age of what is known of it.
  sim_.RunFor(200h);
  log_.Intend("g", "ops/webhook/1", {.tick = sim_.Now(), .firing = {3}}, [] {});
  EXPECT_EQ(log_.Collect(), 0U);
  EXPECT_EQ(store_.Contents().intents.size(), 1U);
}

TEST_F(UnansweredTest, WhatManyUnansweredMessagesMayHaveSaidIsBounded) {
  for (uint64_t i = 0; i < 5; ++i) {
    log_.LeaveUnanswered("g", "ops/webhook/0", {.tick = sim_.Now(), .firing = Hashes(i * 50'000, (i + 1) * 50'000), .resolved = {i}});
  }
  const UnansweredSend* all = log_.Unanswered("g", "ops/webhook/0");
  ASSERT_NE(all, nullptr);
  EXPECT_EQ(all->firing.size(), kMaxUnansweredHashes + 50'000);
  EXPECT_TRUE(std::ranges::is_sorted(all->firing));
  EXPECT_TRUE(std::ranges::includes(all->firing, Hashes(200'000, 250'000)));
  EXPECT_EQ(all->resolved, Hashes(0, 5));
}

}  // namespace
}  // namespace tocsin::alertmanager
