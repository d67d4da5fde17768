#include "scrape/returns.h"

#include <gtest/gtest.h>

#include <optional>

#include "base/simulated_executor.h"

namespace tocsin::scrape {
namespace {

TEST(ReturnsTest, WhatComesBackIsTakenWhenAsked) {
  base::SimulatedExecutor executor{base::Time{}};
  Returns returns(&executor);
  int worked = 0, taken = 0;
  for (int i = 0; i < 3; ++i) returns.Offload(base::Lane::kIntake, [&] { ++worked; }, [&] { ++taken; });
  returns.Take();
  executor.RunPosted();
  EXPECT_EQ(worked, 3);
  EXPECT_EQ(taken, 0);
  returns.Take();
  EXPECT_EQ(taken, 3);
}

TEST(ReturnsTest, WhatNobodyAsksForIsTakenSoon) {
  base::SimulatedExecutor executor{base::Time{}};
  executor.SetWorkDuration(std::chrono::milliseconds(250));
  Returns returns(&executor);
  int taken = 0;
  returns.Offload(base::Lane::kIntake, [] {}, [&] { ++taken; });
  executor.RunFor(std::chrono::milliseconds(240));
  EXPECT_EQ(taken, 0);
  executor.RunFor(std::chrono::milliseconds(100));
  EXPECT_EQ(taken, 1);
}

TEST(ReturnsTest, TheLastToComeMayEndEverything) {
  base::SimulatedExecutor executor{base::Time{}};
  std::optional<Returns> returns(&executor);
  for (int i = 0; i < 2; ++i) returns->Offload(base::Lane::kIntake, [] {}, [&] { returns.reset(); });
  executor.RunFor(std::chrono::seconds(1));
  EXPECT_FALSE(returns);
  returns.emplace(&executor);
  returns->Offload(base::Lane::kIntake, [] {}, [] { FAIL() << "came back to nobody"; });
  returns.reset();
  executor.RunFor(std::chrono::seconds(1));
}

}  // namespace
}  // namespace tocsin::scrape
