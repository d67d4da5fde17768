#include "net/event_loop.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "net/test_support.h"

namespace tocsin::net {
namespace {

TEST(EventLoopThreadsTest, TimersFireInOrderOfTimeAndThenOfSetting) {
  EventLoop loop;
  std::vector<int> fired;
  auto c = loop.After(std::chrono::milliseconds(3), [&] { fired.push_back(3); });
  auto a = loop.After(std::chrono::milliseconds(0), [&] { fired.push_back(1); });
  auto b = loop.After(std::chrono::milliseconds(-5), [&] { fired.push_back(2); });
  RunUntil(&loop, [&] { return fired.size() == 3; });
  EXPECT_EQ(fired.back(), 3);
}

TEST(EventLoopThreadsTest, ATimerNeverFiresEarly) {
  EventLoop loop;
  const base::Duration begin = loop.Monotonic();
  bool fired = false;
  auto timer = loop.After(std::chrono::microseconds(2500), [&] { fired = true; });
  RunUntil(&loop, [&] { return fired; });
  EXPECT_GE(loop.Monotonic() - begin, std::chrono::microseconds(2500));
}

TEST(EventLoopThreadsTest, ADestroyedTimerDoesNotFire) {
  EventLoop loop;
  bool wrong = false, right = false;
  { auto gone = loop.After(std::chrono::milliseconds(1), [&] { wrong = true; }); }
  auto kept = loop.After(std::chrono::milliseconds(2), [&] { right = true; });
  RunUntil(&loop, [&] { return right; });
  EXPECT_FALSE(wrong);
}

TEST(EventLoopThreadsTest, ATimerThatSetsItselfAgainLeavesRoomForOthers) {
  EventLoop loop;
  int spins = 0;
  base::Timer timer;
  std::function<void()> spin = [&] {
    ++spins;
    timer = loop.After(std::chrono::nanoseconds(0), [&] { spin(); });
  };
  spin();
  bool posted = false;
  loop.Post([&] { posted = true; });
  RunUntil(&loop, [&] { return posted && spins > 3; });
}

// Ten times the time that one turn may take, in timers and in tasks that are all due at once.
TEST(EventLoopThreadsTest, ManyTimersAndTasksDueAtOnceRunInOrderOverSeveralTurns) {
  EventLoop loop;
  constexpr int kCount = 40;
  auto work = [&loop] {
    for (const base::Duration begin = loop.Monotonic(); loop.Monotonic() - begin < std::chrono::milliseconds(1);) {
    }
  };
  std::vector<int> order;
  std::vector<base::Timer> timers;
  for (int i = 0; i < kCount; ++i) {
    timers.push_back(loop.After(std::chrono::nanoseconds(0), [&, i] {
      work();
      order.push_back(i);
    }));
  }
  RunUntil(&loop, [&] { return order.size() == kCount; });
  EXPECT_TRUE(std::ranges::is_sorted(order));
  order.clear();
  for (int i = 0; i < kCount; ++i) {
    loop.Post([&, i] {
      work();
      order.push_back(i);
    });
  }
  loop.RunNext();
  EXPECT_LT(order.size(), static_cast<size_t>(kCount));  // the turn ended before them
  RunUntil(&loop, [&] { return order.size() == kCount; });
  EXPECT_TRUE(std::ranges::is_sorted(order));
}

TEST(EventLoopThreadsTest, TimersMayOutliveTheLoop) {
  base::Timer timer;
  {
    EventLoop loop;
    timer = loop.After(std::chrono::hours(1), [] {});
  }
  timer.Cancel();
}

TEST(EventLoopThreadsTest, TasksPostedByOtherThreadsRunOnTheLoopInOrder) {
  EventLoop loop;
  std::vector<int> seen;
  std::thread other([&] {
    for (int i = 0; i < 1000; ++i) {
      loop.Post([&, i] {
        EXPECT_TRUE(loop.OnThread());
        seen.push_back(i);
      });
    }
  });
  RunUntil(&loop, [&] { return seen.size() == 1000; });
  other.join();
  EXPECT_TRUE(std::ranges::is_sorted(seen));
}

TEST(EventLoopThreadsTest, OffloadedWorkRunsElsewhereAndItsDoneOnTheLoop) {
  EventLoop loop;
  for (base::Lane lane : {base::Lane::kIntake, base::Lane::kQueries, base::Lane::kBackground,
                          base::Lane::kDurable}) {
    bool worked = false, done = false;
    loop.Offload(
        lane, [&] { worked = !loop.OnThread(); },
        [&] {
          EXPECT_TRUE(loop.OnThread());
          done = true;
        });
    RunUntil(&loop, [&] { return done; });
    EXPECT_TRUE(worked);
  }
}

TEST(EventLoopThreadsTest, RunReturnsAfterStopFromAnotherThread) {
  EventLoop loop;
  std::thread other([&] { loop.Stop(); });
  loop.Run();
  other.join();
}

TEST(EventLoopThreadsTest, ASignalReachesItsCallback) {
  EventLoop loop;
  int hups = 0;
  loop.OnSignal(SIGHUP, [&] { ++hups; });
  raise(SIGHUP);
  RunUntil(&loop, [&] { return hups == 1; });
  loop.OnSignal(SIGHUP, [&] { hups += 10; });
  raise(SIGHUP);
  RunUntil(&loop, [&] { return hups == 11; });
}

TEST(EventLoopThreadsTest, WritingToAClosedPipeDoesNotKillTheProcess) {
  EventLoop loop;
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  EXPECT_EQ(write(ends[1], "x", 1), -1);
  close(ends[1]);
}

TEST(EventLoopThreadsTest, DestroyingALoopDropsWhatWasPosted) {
  auto alive = std::make_shared<int>(1);
  std::weak_ptr<int> watch = alive;
  {
    EventLoop loop;
    loop.Post([alive = std::move(alive)] { FAIL() << "ran"; });
  }
  EXPECT_TRUE(watch.expired());
}

}  // namespace
}  // namespace tocsin::net
