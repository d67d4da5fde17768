#include "promql/exec/lanes.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "promql/exec/range_kernels.h"

namespace tocsin::promql::exec {
namespace {

// Numbers of all sizes, and each value that is special.
std::vector<double> Numbers(std::mt19937* random, size_t n, bool specials) {
  std::vector<double> v(n);
  for (double& x : v) {
    x = std::ldexp(static_cast<double>((*random)()) - 2e9, static_cast<int>((*random)() % 40));
    if (!specials) continue;
    switch ((*random)() % 30) {
      case 0: x = std::numeric_limits<double>::infinity(); break;
      case 1: x = -std::numeric_limits<double>::infinity(); break;
      case 2: x = std::numeric_limits<double>::quiet_NaN(); break;
      case 3: x = -0.0; break;
      case 4: x = std::numeric_limits<double>::max(); break;
      case 5: x = 0; break;
      default: break;
    }
  }
  return v;
}

bool SameBits(double a, double b) {
  return (std::isnan(a) && std::isnan(b)) || std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b);
}

TEST(LanesTest, FoldedWindowsHaveTheBitsOfWindowsFoldedAlone) {
  struct Row {
    WindowFold fold;
    double (*one)(const double*, size_t);
  };
  std::mt19937 random(11);
  for (const Row row : {Row{WindowFold::kSum, &SumOf}, Row{WindowFold::kAverage, &AverageOf},
                        Row{WindowFold::kVariance, &VarianceOf}}) {
    for (const bool specials : {false, true}) {
      for (const uint32_t stride : {1u, 3u, 0u}) {
        for (const size_t size : {1u, 2u, 7u, 40u}) {
          const std::vector<double> v = Numbers(&random, size + kWindowsAtOnce * 3, specials);
          std::vector<uint32_t> lo(kWindowsAtOnce);
          for (uint32_t k = 0; k < kWindowsAtOnce; ++k) lo[k] = k * stride;
          double out[kWindowsAtOnce];
          if (!FoldWindows(row.fold, v.data(), lo.data(), size, out)) {
            EXPECT_EQ(row.fold, WindowFold::kAverage);
            continue;
          }
          for (size_t k = 0; k < kWindowsAtOnce; ++k) {
            EXPECT_TRUE(SameBits(out[k], row.one(v.data() + lo[k], size)))
                << out[k] << " " << row.one(v.data() + lo[k], size);
          }
        }
      }
    }
  }
}

TEST(LanesTest, AnAverageThatOverflowsOnTheWayIsLeftToTheCaller) {
  const std::vector<double> v(kWindowsAtOnce + 4, std::numeric_limits<double>::max());
  std::vector<uint32_t> lo(kWindowsAtOnce);
  std::iota(lo.begin(), lo.end(), 0);
  double out[kWindowsAtOnce];
  EXPECT_FALSE(FoldWindows(WindowFold::kAverage, v.data(), lo.data(), 3, out));
}

TEST(LanesTest, AnAverageThatOverflowsAndMeetsTheOtherInfinityIsLeftToTheCaller) {
  constexpr double kMax = std::numeric_limits<double>::max();
  const std::vector<double> v{kMax, kMax, -std::numeric_limits<double>::infinity()};
  const std::vector<uint32_t> lo(kWindowsAtOnce, 0);
  double out[kWindowsAtOnce];
  EXPECT_FALSE(FoldWindows(WindowFold::kAverage, v.data(), lo.data(), 3, out));
  EXPECT_EQ(AverageOf(v.data(), v.size()), -std::numeric_limits<double>::infinity());
}

TEST(LanesTest, ExtrapolatedDifferencesHaveTheBitsOfTheFactorAlone) {
  std::mt19937 random(5);
  for (const bool counter : {true, false}) {
    for (const size_t count : {1u, 8u, 13u}) {
      const size_t room = (count + kLanes - 1) / kLanes * kLanes;
      RangeCall call;
      call.function = plan::Function::kRate;
      call.range_ms = 60'000;
      std::vector<double> first(room), difference(room), sampled(room, 1), start(room), end(room);
      std::vector<double> want(count);
      for (size_t i = 0; i < count; ++i) {
        first[i] = static_cast<double>(random() % 100);
        difference[i] = static_cast<double>(random() % 10'000) - 1000;
        // The first sample 4 s after the window's begin, the last 5 s before its end.
        want[i] = difference[i] * ExtrapolationFactor(call, 60'000, 4'000, 55'000, 4, first[i],
                                                      difference[i], counter);
        sampled[i] = 51;
        start[i] = 4;
        end[i] = 5;
      }
      std::vector<double> out(count);
      Extrapolate({first.data(), difference.data(), sampled.data(), start.data(), end.data(), 60, counter},
                  count, out.data());
      for (size_t i = 0; i < count; ++i) EXPECT_TRUE(SameBits(out[i], want[i])) << i;
    }
  }
}

TEST(LanesTest, ARowIsAddedAsItsNumbersAre) {
  std::mt19937 random(3);
  for (const size_t count : {1u, 8u, 21u}) {
    std::vector<double> sums(count), c(count), want_sums(count), want_c(count);
    for (int round = 0; round < 50; ++round) {
      const std::vector<double> row = Numbers(&random, count, round > 25);
      AddRow(row.data(), count, sums.data(), c.data());
      for (size_t i = 0; i < count; ++i) KahanAdd(row[i], &want_sums[i], &want_c[i]);
      for (size_t i = 0; i < count; ++i) {
        ASSERT_TRUE(SameBits(sums[i], want_sums[i]));
        ASSERT_TRUE(SameBits(c[i], want_c[i]));
      }
    }
  }
}

}  // namespace
}  // namespace tocsin::promql::exec
