#include "promql/exec/range_kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace tocsin::promql::exec {
namespace {

using plan::Function;

struct Series {
  std::vector<model::Timestamp> t;
  std::vector<double> v;
};

// Counters with resets, gaps, and now and then a special value.
Series RandomSeries(std::mt19937* random, size_t n) {
  const auto dice = [&](unsigned sides) { return (*random)() % sides; };
  Series s;
  model::Timestamp t = 0;
  double v = 0;
  for (size_t i = 0; i < n; ++i) {
    t += dice(20) == 0 ? 200'000 : 10'000 + dice(10'000);
    v = dice(15) == 0 ? 0 : v + dice(100);
    double value = v;
    if (dice(40) == 0) value = std::numeric_limits<double>::quiet_NaN();
    if (dice(80) == 0) value = std::numeric_limits<double>::infinity();
    if (dice(80) == 0) value = -std::numeric_limits<double>::infinity();
    s.t.push_back(t);
    s.v.push_back(value);
  }
  return s;
}

bool SameValue(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  if (a == b) return true;
  return std::fabs(a - b) <= 1e-12 * std::max(std::fabs(a), std::fabs(b));
}

struct Geometry {
  int64_t range_ms;
  int64_t step_ms;
};

class FastKernelTest : public testing::TestWithParam<Function> {};

// The simple evaluation of each window on its own is the oracle of the sliding ones.
TEST_P(FastKernelTest, GivesWhatEachWindowAloneGives) {
  std::mt19937 random(7);
  for (int round = 0; round < 20; ++round) {
    const Series series = RandomSeries(&random, 20 + random() % 300);
    for (const Geometry g : {Geometry{300'000, 60'000}, Geometry{60'000, 300'000},
                             Geometry{3'600'000, 15'000}, Geometry{1, 10'000}}) {
      const Grid grid{-100'000, g.step_ms, 200};
      std::vector<double> parameter(grid.count, 0.3);
      Annotations annotations;
      RangeCall call;
      call.function = GetParam();
      call.grid = &grid;
      call.span = {0, grid.count};
      call.map = {grid.start, grid.step_ms};
      call.range_ms = g.range_ms;
      call.parameter[0] = call.parameter[1] = parameter.data();
      call.annotations = &annotations;
      KernelScratch scratch;
      Block block;
      block.Reset(1, grid.count);
      RangeRow row;
      row.times = series.t.data();
      row.values = series.v.data();
      row.count = series.t.size();
      ASSERT_TRUE(RunRangeKernel(call, {}, row, &scratch, 0, &block));
      for (size_t s = 0; s < grid.count; ++s) {
        const model::Timestamp end = grid.time(s);
        const auto lo = static_cast<size_t>(
            std::ranges::upper_bound(series.t, end - g.range_ms) - series.t.begin());
        const auto hi =
            static_cast<size_t>(std::ranges::upper_bound(series.t, end) - series.t.begin());
        WindowResult expected;
        if (hi > lo) {
          const MixedWindow w{series.t.data() + lo, series.v.data() + lo, nullptr, hi - lo,
                              nullptr, nullptr, nullptr, 0};
          auto result = EvalMixedWindow(call, {}, w, &scratch, s);
          ASSERT_TRUE(result);
          expected = *result;
        }
        ASSERT_EQ(block.cells(0)[s] != kAbsent, expected.present) << "round " << round;
        if (expected.present) {
          ASSERT_PRED2(SameValue, block.values(0)[s], expected.value)
              << "round " << round << " step " << s << " range " << g.range_ms;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, FastKernelTest,
    testing::Values(Function::kRate, Function::kIncrease, Function::kDelta, Function::kIrate,
                    Function::kIdelta, Function::kSumOverTime, Function::kAvgOverTime,
                    Function::kCountOverTime, Function::kMinOverTime, Function::kMaxOverTime,
                    Function::kFirstOverTime, Function::kLastOverTime, Function::kStddevOverTime,
                    Function::kStdvarOverTime, Function::kQuantileOverTime, Function::kMadOverTime,
                    Function::kChanges, Function::kResets, Function::kDeriv,
                    Function::kPredictLinear, Function::kPresentOverTime,
                    Function::kTsOfFirstOverTime, Function::kTsOfLastOverTime),
    [](const auto& param) { return std::string(plan::FunctionName(param.param)); });

TEST(WindowFunctionsTest, ASumForgetsAnInfinityWithItsSample) {
  std::vector<double> v(200, 1.0);
  v[10] = std::numeric_limits<double>::infinity();
  v[20] = 1e300;
  PartialSums sums;
  sums.Reset(v.data(), v.size());
  EXPECT_TRUE(std::isinf(sums.Of(0, 150).sum));
  const PartialSums::Sum after = sums.Of(21, 200);
  EXPECT_EQ(after.sum + after.c, 179);
}

TEST(WindowFunctionsTest, TheMeanOfHugeValuesDoesNotOverflow) {
  const std::vector<double> v = {9.9e307, 9.9e307, 9.9e307};
  EXPECT_DOUBLE_EQ(AverageOf(v.data(), v.size()), 9.9e307);
}

TEST(WindowFunctionsTest, SumsAreCompensated) {
  const std::vector<double> v = {1, 1e100, 1, -1e100};
  EXPECT_EQ(SumOf(v.data(), v.size()), 2);
}

TEST(WindowFunctionsTest, QuantilesTakeNanAsTheSmallest) {
  std::vector<double> v = {3, std::nan(""), 1};
  EXPECT_EQ(QuantileOf(1, &v), 3);
  EXPECT_TRUE(std::isnan(QuantileOf(0, &v)));
  EXPECT_EQ(QuantileOf(-1, &v), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(QuantileOf(2, &v), std::numeric_limits<double>::infinity());
}

}  // namespace
}  // namespace tocsin::promql::exec
