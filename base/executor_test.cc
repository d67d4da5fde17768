#include "base/executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/simulated_executor.h"

namespace tocsin::base {
namespace {

using testing::ElementsAre;

class SimulatedExecutorTest : public testing::Test {
 protected:
  Task Note(std::string text) {
    return [this, text] { notes_.push_back(text + "@" + std::to_string(ToUnixMillis(sim_.Now()))); };
  }
  SimulatedExecutor sim_{FromUnixMillis(0)};
  std::vector<std::string> notes_;
};

TEST_F(SimulatedExecutorTest, TimersFireInOrderAtTheirTime) {
  const Timer b = sim_.After(20ms, Note("b"));
  const Timer a = sim_.After(10ms, Note("a"));
  const Timer c = sim_.After(20ms, Note("c"));
  const Timer late = sim_.After(1h, Note("late"));
  sim_.RunFor(30ms);
  EXPECT_THAT(notes_, ElementsAre("a@10", "b@20", "c@20"));
  EXPECT_EQ(sim_.Now(), FromUnixMillis(30));
  EXPECT_EQ(sim_.Monotonic(), 30ms);
}

TEST_F(SimulatedExecutorTest, ADestroyedTimerDoesNotFire) {
  { const Timer gone = sim_.After(1ms, Note("gone")); }
  Timer moved = sim_.After(1ms, Note("first"));
  moved = sim_.After(2ms, Note("second"));
  Timer cancelled = sim_.After(3ms, Note("cancelled"));
  cancelled.Cancel();
  sim_.RunFor(1s);
  EXPECT_THAT(notes_, ElementsAre("second@2"));
}

TEST_F(SimulatedExecutorTest, ATimerMayOutliveItsExecutor) {
  Timer timer;
  {
    SimulatedExecutor other(FromUnixMillis(0));
    timer = other.After(1s, [] {});
  }
  timer.Cancel();
}

TEST_F(SimulatedExecutorTest, NegativeDelaysFireAtOnceAndPostsKeepTheirOrder) {
  const Timer t = sim_.After(-5s, Note("timer"));
  sim_.Post([this] {
    Note("one")();
    sim_.Post(Note("three"));
  });
  sim_.Post(Note("two"));
  sim_.RunFor(Duration(0));
  EXPECT_THAT(notes_, ElementsAre("one@0", "two@0", "three@0", "timer@0"));
}

TEST_F(SimulatedExecutorTest, OffloadedWorkTakesTheTimeThatWasSet) {
  sim_.Offload(Lane::kIntake, Note("work"), Note("done"));
  sim_.RunPosted();
  sim_.SetWorkDuration(5ms);
  sim_.Offload(Lane::kIntake, Note("work"), Note("done"));
  sim_.RunFor(10ms);
  EXPECT_THAT(notes_, ElementsAre("work@0", "done@0", "work@5", "done@5"));
}

TEST_F(SimulatedExecutorTest, ASliceRunsUntilItsStepSaysNo) {
  int steps = 0;
  sim_.Slice([&] { return ++steps < 1000; }, Note("done"));
  sim_.RunPosted();
  EXPECT_EQ(steps, 1000);
  EXPECT_THAT(notes_, ElementsAre("done@0"));
}

TEST_F(SimulatedExecutorTest, AClosedGateDropsWhatItWrapped) {
  Gate gate;
  sim_.Post(gate.Wrap(Note("open")));
  sim_.RunPosted();
  sim_.Post(gate.Wrap(Note("closed")));
  gate.Close();
  EXPECT_TRUE(gate.closed());
  sim_.RunPosted();
  {
    Gate dying;
    sim_.Post(dying.Wrap(Note("dead")));
  }
  sim_.RunPosted();
  EXPECT_THAT(notes_, ElementsAre("open@0"));
}

}  // namespace
}  // namespace tocsin::base
