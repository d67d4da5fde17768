#include "base/workers.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <latch>

namespace tocsin::base {
namespace {

TEST(WorkersThreadsTest, EverythingSubmittedRunsBeforeStopReturns) {
  std::atomic<int> ran = 0;
  Workers workers(4);
  for (int i = 0; i < 1000; ++i) {
    for (const Lane lane : {Lane::kIntake, Lane::kQueries, Lane::kBackground, Lane::kDurable}) {
      ASSERT_TRUE(workers.Submit(lane, [&] { ++ran; }));
    }
  }
  workers.Stop();
  EXPECT_EQ(ran, 4000);
  EXPECT_FALSE(workers.Submit(Lane::kIntake, [&] { ++ran; }));
}

TEST(WorkersThreadsTest, BackgroundWorkNeverHoldsTheLastThreads) {
  Workers workers(3);
  std::latch release(1);
  std::atomic<int> background = 0;
  for (int i = 0; i < 5; ++i) {
    workers.Submit(Lane::kBackground, [&] {
      ++background;
      release.wait();
    });
  }
  // With all background work stuck, a query and then intake still get a thread each.
  std::latch query_runs(1);
  workers.Submit(Lane::kQueries, [&] {
    query_runs.count_down();
    release.wait();
  });
  query_runs.wait();
  std::latch intake_runs(1);
  workers.Submit(Lane::kIntake, [&] { intake_runs.count_down(); });
  intake_runs.wait();
  EXPECT_LE(background, 1);
  release.count_down();
  workers.Stop();
  EXPECT_EQ(background, 5);
}

TEST(WorkersThreadsTest, OnlyAnIdleThreadIsInvitedAndNotTheLast) {
  Workers workers(4);
  EXPECT_EQ(workers.most(), 2u);
  std::latch release(1);
  std::latch busy(1);
  workers.Submit(Lane::kQueries, [&] {
    busy.count_down();
    release.wait();
  });
  busy.wait();
  std::atomic<int> helping = 0;
  const auto invite = [&] {
    std::latch begun(1);
    while (!workers.Invite([&] {
      ++helping;
      begun.count_down();
      release.wait();
    })) {
      std::this_thread::yield();  // the threads are on their way to their wait
    }
    begun.wait();
  };
  invite();
  EXPECT_FALSE(workers.Wanted());
  invite();
  // The fourth is for scrapes; with a query waiting, whoever helps is to end.
  EXPECT_FALSE(workers.Invite([&] { ++helping; }));
  workers.Submit(Lane::kQueries, [] {});
  EXPECT_TRUE(workers.Wanted());
  release.count_down();
  workers.Stop();
  EXPECT_EQ(helping, 2);
  EXPECT_FALSE(workers.Invite([&] { ++helping; }));
}

TEST(WorkersThreadsTest, DurableWorkRunsInOrderOnOneThread) {
  Workers workers(3);
  std::vector<int> order;  // touched by the durable thread only
  for (int i = 0; i < 100; ++i) workers.Submit(Lane::kDurable, [&, i] { order.push_back(i); });
  workers.Stop();
  ASSERT_EQ(order.size(), 100u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(WorkersThreadsTest, WorkersMaskTheSignalsOfTheLoop) {
  Workers workers(3);
  sigset_t masks[2];
  workers.Submit(Lane::kIntake, [&] { pthread_sigmask(SIG_BLOCK, nullptr, &masks[0]); });
  workers.Submit(Lane::kDurable, [&] { pthread_sigmask(SIG_BLOCK, nullptr, &masks[1]); });
  workers.Stop();
  for (const sigset_t& mask : masks) {
    for (const int signal : {SIGHUP, SIGTERM, SIGINT, SIGPIPE}) {
      EXPECT_EQ(sigismember(&mask, signal), 1) << signal;
    }
  }
  sigset_t own;
  pthread_sigmask(SIG_BLOCK, nullptr, &own);
  EXPECT_EQ(sigismember(&own, SIGTERM), 0);
}

}  // namespace
}  // namespace tocsin::base
