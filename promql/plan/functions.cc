#include "promql/plan/functions.h"

#include <algorithm>
#include <array>

namespace tocsin::promql::plan {
namespace {

struct Row {
  std::string_view name;
  Function function;
};

// By name.
constexpr auto kFunctions = std::to_array<Row>({
    {"abs", Function::kAbs},
    {"absent", Function::kAbsent},
    {"absent_over_time", Function::kAbsentOverTime},
    {"acos", Function::kAcos},
    {"acosh", Function::kAcosh},
    {"asin", Function::kAsin},
    {"asinh", Function::kAsinh},
    {"atan", Function::kAtan},
    {"atanh", Function::kAtanh},
    {"avg_over_time", Function::kAvgOverTime},
    {"ceil", Function::kCeil},
    {"changes", Function::kChanges},
    {"clamp", Function::kClamp},
    {"clamp_max", Function::kClampMax},
    {"clamp_min", Function::kClampMin},
    {"cos", Function::kCos},
    {"cosh", Function::kCosh},
    {"count_over_time", Function::kCountOverTime},
    {"day_of_month", Function::kDayOfMonth},
    {"day_of_week", Function::kDayOfWeek},
    {"day_of_year", Function::kDayOfYear},
    {"days_in_month", Function::kDaysInMonth},
    {"deg", Function::kDeg},
    {"delta", Function::kDelta},
    {"deriv", Function::kDeriv},
    {"double_exponential_smoothing", Function::kDoubleExponentialSmoothing},
    {"end", Function::kEnd},
    {"exp", Function::kExp},
    {"first_over_time", Function::kFirstOverTime},
    {"floor", Function::kFloor},
    {"histogram_avg", Function::kHistogramAvg},
    {"histogram_count", Function::kHistogramCount},
    {"histogram_fraction", Function::kHistogramFraction},
    {"histogram_quantile", Function::kHistogramQuantile},
    {"histogram_quantiles", Function::kHistogramQuantiles},
    {"histogram_stddev", Function::kHistogramStddev},
    {"histogram_stdvar", Function::kHistogramStdvar},
    {"histogram_sum", Function::kHistogramSum},
    {"hour", Function::kHour},
    {"idelta", Function::kIdelta},
    {"increase", Function::kIncrease},
    {"info", Function::kInfo},
    {"irate", Function::kIrate},
    {"label_join", Function::kLabelJoin},
    {"label_replace", Function::kLabelReplace},
    {"last_over_time", Function::kLastOverTime},
    {"ln", Function::kLn},
    {"log10", Function::kLog10},
    {"log2", Function::kLog2},
    {"mad_over_time", Function::kMadOverTime},
    {"max_of", Function::kMaxOf},
    {"max_over_time", Function::kMaxOverTime},
    {"min_of", Function::kMinOf},
    {"min_over_time", Function::kMinOverTime},
    {"minute", Function::kMinute},
    {"month", Function::kMonth},
    {"pi", Function::kPi},
    {"predict_linear", Function::kPredictLinear},
    {"present_over_time", Function::kPresentOverTime},
    {"quantile_over_time", Function::kQuantileOverTime},
    {"rad", Function::kRad},
    {"range", Function::kRange},
    {"rate", Function::kRate},
    {"resets", Function::kResets},
    {"round", Function::kRound},
    {"scalar", Function::kScalar},
    {"sgn", Function::kSgn},
    {"sin", Function::kSin},
    {"sinh", Function::kSinh},
    {"sort", Function::kSort},
    {"sort_by_label", Function::kSortByLabel},
    {"sort_by_label_desc", Function::kSortByLabelDesc},
    {"sort_desc", Function::kSortDesc},
    {"sqrt", Function::kSqrt},
    {"start", Function::kStart},
    {"start_timestamp", Function::kStartTimestamp},
    {"stddev_over_time", Function::kStddevOverTime},
    {"stdvar_over_time", Function::kStdvarOverTime},
    {"step", Function::kStep},
    {"sum_over_time", Function::kSumOverTime},
    {"tan", Function::kTan},
    {"tanh", Function::kTanh},
    {"time", Function::kTime},
    {"timestamp", Function::kTimestamp},
    {"ts_of_first_over_time", Function::kTsOfFirstOverTime},
    {"ts_of_last_over_time", Function::kTsOfLastOverTime},
    {"ts_of_max_over_time", Function::kTsOfMaxOverTime},
    {"ts_of_min_over_time", Function::kTsOfMinOverTime},
    {"vector", Function::kVector},
    {"year", Function::kYear},
});
static_assert(std::ranges::is_sorted(kFunctions, {}, &Row::name));

}  // namespace

std::optional<Function> FindFunctionByName(std::string_view name) {
  auto it = std::ranges::lower_bound(kFunctions, name, {}, &Row::name);
  if (it == kFunctions.end() || it->name != name) return std::nullopt;
  return it->function;
}

std::string_view FunctionName(Function f) {
  auto it = std::ranges::find(kFunctions, f, &Row::function);
  return it == kFunctions.end() ? std::string_view("unknown") : it->name;
}

bool DependsOnTime(Function f) {
  switch (f) {
    case Function::kDaysInMonth:
    case Function::kDayOfMonth:
    case Function::kDayOfWeek:
    case Function::kDayOfYear:
    case Function::kHour:
    case Function::kMinute:
    case Function::kMonth:
    case Function::kYear:
    case Function::kPredictLinear:
    case Function::kTime:
    case Function::kTimestamp: return true;
    default: return false;
  }
}

}  // namespace tocsin::promql::plan
