#include "promql/plan/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "promql/parse/functions.h"
#include "promql/parse/parser.h"
#include "promql/plan/explain.h"

namespace tocsin::promql::plan {
namespace {

std::unique_ptr<Plan> Make(std::string_view text) {
  ParseOptions options;
  options.experimental_functions = true;
  auto expr = Parse(text, options);
  EXPECT_TRUE(expr) << text;
  auto plan = MakePlan(std::shared_ptr<const Expr>(std::move(*expr)));
  EXPECT_TRUE(plan) << text;
  return std::move(*plan);
}

TEST(PlanTest, EveryFunctionOfTheLanguageHasANumber) {
  for (const FunctionSpec& f : AllFunctions()) {
    auto number = FindFunctionByName(f.name);
    ASSERT_TRUE(number) << f.name;
    EXPECT_EQ(FunctionName(*number), f.name);
    const bool takes_range =
        std::ranges::find(f.arg_types, ValueType::kMatrix) != f.arg_types.end();
    EXPECT_EQ(IsRangeFunction(*number), takes_range) << f.name;
  }
}

TEST(PlanTest, ConstantsAreFolded) {
  const auto plan = Make("-(1 + 2) * 3 ^ 2");
  EXPECT_EQ(plan->root->kind, NodeKind::kNumber);
  EXPECT_EQ(plan->root->number, -27);
}

TEST(PlanTest, WhatDoesNotDependOnTheStepIsMarkedAtTheTop) {
  EXPECT_EQ(Make("sum(rate(x[5m] @ 10))")->root->kind, NodeKind::kStepInvariant);
  EXPECT_EQ(Make("sum(rate(x[5m]))")->root->kind, NodeKind::kAggregate);
  const auto half = Make("x @ start() + y");
  ASSERT_EQ(half->root->kind, NodeKind::kBinary);
  EXPECT_EQ(half->root->inputs[0]->kind, NodeKind::kStepInvariant);
  EXPECT_EQ(half->root->inputs[1]->kind, NodeKind::kInstantSelector);
}

TEST(PlanTest, FunctionsOfTheEvaluationTimeAreNotStepInvariant) {
  EXPECT_EQ(Make("predict_linear(x[5m] @ 10, 60)")->root->kind, NodeKind::kCall);
  EXPECT_EQ(Make("timestamp(x @ 10)")->root->kind, NodeKind::kStepInvariant);
  EXPECT_EQ(Make("timestamp(abs(x @ 10))")->root->kind, NodeKind::kCall);
}

TEST(PlanTest, OnlySelectorsUnderHistogramCountSkipBuckets) {
  const auto plan = Make("histogram_count(rate(x[5m]))");
  EXPECT_TRUE(plan->root->inputs[0]->inputs[0]->histogram_stats_only);
  const auto inside = Make("histogram_count(increase(x[5m:1m]))");
  EXPECT_FALSE(inside->root->inputs[0]->inputs[0]->inputs[0]->histogram_stats_only);
}

TEST(PlanTest, GroupingIsSortedOnce) {
  const auto plan = Make("sum by (b, a, b) (x)");
  EXPECT_EQ(plan->root->grouping, (std::vector<std::string>{"a", "b"}));
}

struct DurationCase {
  std::string_view range;
  int64_t ms;
  std::string_view error;
};

TEST(ResolveDurationTest, ComputesFromTheQuerysTimes) {
  const QueryTimes times{.start = 0, .end = 3'600'000, .step_ms = 15'000};
  for (const DurationCase& c : std::initializer_list<DurationCase>{
           {"5m + step()", 315'000, ""},
           {"range() / 2", 1'800'000, ""},
           {"2 * (1m + 30s)", 180'000, ""},
           {"max_of(step(), 1m)", 60'000, ""},
           {"1m / (step() - 15)", 0, "division by zero"},
           {"step() - 1m", 0, "duration must be greater than 0"}}) {
    auto expr = Parse("x[" + std::string(c.range) + "]");
    ASSERT_TRUE(expr) << c.range << ": " << expr.error().message();
    const auto& selector = As<MatrixSelector>(**expr);
    ASSERT_NE(selector.range_expr, nullptr) << c.range;
    auto ms = ResolveDuration(*selector.range_expr, times, Sign::kPositive);
    if (c.error.empty()) {
      ASSERT_TRUE(ms) << c.range << ": " << ms.error().message();
      EXPECT_EQ(*ms, c.ms) << c.range;
    } else {
      ASSERT_FALSE(ms) << c.range;
      EXPECT_NE(ms.error().message().find(c.error), std::string::npos) << ms.error().message();
    }
  }
}

// Nodes whose value is computed elsewhere, and those that computed it.
struct Sharing {
  int first = 0;
  int later = 0;
};
void CountShared(const Node& node, Sharing* found) {
  if (node.first_equal == &node) ++found->first;
  if (node.first_equal != nullptr && node.first_equal != &node) {
    ++found->later;
    return;
  }
  for (const auto& input : node.inputs) CountShared(*input, found);
}

TEST(PlanTest, EqualSubtreesOverOneGridAreComputedOnce) {
  struct Case {
    const char* text;
    int first;
    int later;
  };
  const Case cases[] = {
      {"rate(a[5m]) / on () rate(a[5m])", 1, 1},
      {"sum(x) > 5 and sum(x) < 9", 1, 1},
      {"(sum(x)) + sum(x) + (sum(x))", 1, 2},
      {"x + x", 1, 1},
      {"sum(rate(x[5m])) / count(rate(x[5m]))", 1, 1},
      {"sum(a + b) * (a + b) / sum(a + b)", 2, 2},  // the sum, and in the first what stands alone in the second
      {"scalar(sum(x)) + scalar(sum(x)) * y", 1, 1},
      {"max_over_time((x + x)[5m:])", 1, 1},
      {"x @ 5 + y + x @ 5", 1, 1},
      {"-x + (-x)", 1, 1},
      {"topk by (b, a, a) (3, x) + topk by (a, b) (3, x)", 1, 1},  // only the selectors: these are other bytes apart
      {"topk by (b, a) (3, x) + topk by (a, b) (3, x)", 1, 1},
      {"sum( x) + sum(x)", 1, 1},    // only the selectors
      {"sum((x)) + sum(x)", 1, 1},
      // Not equal.
      {"x + x offset 1m", 0, 0},
      {"x{a=\"1\"} + x{a=\"2\"}", 0, 0},
      {"x{a=\"1\"} + x{a=~\"1\"}", 0, 0},
      {"rate(x[5m]) + rate(x[6m])", 0, 0},
      {"rate(x[5m]) + increase(x[5m])", 0, 0},
      {"rate(x[5m]) + rate(x[5m:])", 0, 0},
      {"sum by (a) (x) + sum without (a) (x)", 1, 1},
      {"sum by (a) (x) + sum by (b) (x)", 1, 1},
      {"quantile(0.1, x) + quantile(0.2, x)", 1, 1},
      {"(x == 1) + (x == bool 1)", 1, 1},
      {"label_replace(x, \"a\", \"1\", \"b\", \"\") + label_replace(x, \"a\", \"2\", \"b\", \"\")", 1, 1},
      {"histogram_count(x) + x", 0, 0},  // one of the selectors reads no buckets
      // Equal, but over grids of their own.
      {"max_over_time((x + 1)[5m:1m]) + max_over_time((x + 1)[5m:2m])", 0, 0},
      {"x + max_over_time(x[5m:1m])", 0, 0},
      {"x @ 5 + max_over_time((x @ 5)[5m:1m])", 0, 0},
      // Nothing to compute.
      {"time() + time() + vector(1) + vector(1)", 0, 0},
      // Errors of duration expressions name bytes.
      {"rate(x[5m + 1m]) / rate(x[5m + 1m])", 0, 0},
  };
  for (const Case& c : cases) {
    Sharing found;
    CountShared(*Make(c.text)->root, &found);
    EXPECT_EQ(found.first, c.first) << c.text;
    EXPECT_EQ(found.later, c.later) << c.text;
  }
}

TEST(PlanTest, WhatIsComputedOnceIsExplainedOnce) {
  const auto plan = Make("sum(rate(x[5m])) / count(rate(x[5m]))");
  EXPECT_EQ(ToText(Explain(*plan)),
            "/\n"
            "├─ sum\n"
            "│  └─ rate\n"
            "│     └─ select x[5m]\n"
            "└─ count\n"
            "   └─ rate (shared with byte 4)\n");
}

}  // namespace
}  // namespace tocsin::promql::plan
