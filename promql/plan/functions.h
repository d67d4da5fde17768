#pragma once

// The functions of the language as numbers, for tables and switches.

#include <optional>
#include <string_view>

namespace tocsin::promql::plan {

enum class Function {
  // Of an instant vector, value by value.
  kAbs, kAcos, kAcosh, kAsin, kAsinh, kAtan, kAtanh, kCeil, kCos, kCosh, kDeg, kExp, kFloor, kLn,
  kLog10, kLog2, kRad, kSgn, kSin, kSinh, kSqrt, kTan, kTanh,
  kClamp, kClampMax, kClampMin, kRound,
  kDayOfMonth, kDayOfWeek, kDayOfYear, kDaysInMonth, kHour, kMinute, kMonth, kYear,
  kHistogramAvg, kHistogramCount, kHistogramStddev, kHistogramStdvar, kHistogramSum,
  kTimestamp, kStartTimestamp,
  // Of an instant vector as a whole.
  kAbsent, kHistogramFraction, kHistogramQuantile, kHistogramQuantiles, kInfo, kLabelJoin,
  kLabelReplace, kScalar, kSort, kSortByLabel, kSortByLabelDesc, kSortDesc, kVector,
  // Of scalars.
  kEnd, kMaxOf, kMinOf, kPi, kRange, kStart, kStep, kTime,
  // Of a range vector.
  kAbsentOverTime, kAvgOverTime, kChanges, kCountOverTime, kDelta, kDeriv,
  kDoubleExponentialSmoothing, kFirstOverTime, kIdelta, kIncrease, kIrate, kLastOverTime,
  kMadOverTime, kMaxOverTime, kMinOverTime, kPredictLinear, kPresentOverTime, kQuantileOverTime,
  kRate, kResets, kStddevOverTime, kStdvarOverTime, kSumOverTime, kTsOfFirstOverTime,
  kTsOfLastOverTime, kTsOfMaxOverTime, kTsOfMinOverTime,
};

std::optional<Function> FindFunctionByName(std::string_view name);
std::string_view FunctionName(Function f);

// Whether the first range vector argument makes the result.
inline bool IsRangeFunction(Function f) { return f >= Function::kAbsentOverTime; }

// Whether the result may change with the evaluation time although the arguments do not.
bool DependsOnTime(Function f);

}  // namespace tocsin::promql::plan
