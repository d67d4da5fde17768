#include "promql/exec/time_map.h"

#include <algorithm>

namespace tocsin::promql::exec {
namespace {

// Far enough from the ends of time for the sums of a query's ranges and steps; no sample is there.
constexpr int64_t kFarthest = model::kMaxTimestamp / 4;

model::Timestamp Early(model::Timestamp t, int64_t offset) {
  model::Timestamp early = 0;
  if (__builtin_sub_overflow(t, offset, &early)) return offset < 0 ? kFarthest : -kFarthest;
  return std::clamp(early, -kFarthest, kFarthest);
}

}  // namespace

base::Result<TimeMap> MakeTimeMap(const Run& run, const TimeShift& shift, const Grid& grid,
                                  Offset take) {
  ASSIGN_OR_RETURN(int64_t offset, ResolveOffset(run, shift));
  if (take == Offset::kForgottenAt && shift.at != AtKind::kNone) offset = 0;
  switch (shift.at) {
    case AtKind::kNone: return TimeMap{Early(grid.start, offset), grid.step_ms};
    case AtKind::kTimestamp: return TimeMap{Early(shift.at_ms, offset), 0};
    case AtKind::kStart: return TimeMap{Early(run.times().start, offset), 0};
    case AtKind::kEnd: break;
  }
  return TimeMap{Early(run.times().end, offset), 0};
}

base::Result<int64_t> ResolveOffset(const Run& run, const TimeShift& shift) {
  if (!shift.offset_expr) return Milliseconds(shift.offset);
  return plan::ResolveDuration(*shift.offset_expr, run.times(), plan::Sign::kAny);
}

base::Result<int64_t> ResolveRange(const Run& run, base::Duration range, const DurationExpr* expr) {
  if (expr == nullptr) return Milliseconds(range);
  return plan::ResolveDuration(*expr, run.times(), plan::Sign::kPositive);
}

storage::Window WindowOf(const TimeMap& map, const Grid& grid, int64_t before, int64_t after) {
  return WindowOf(map, StepSpan{0, grid.count}, before, after);
}

storage::Window WindowOf(const TimeMap& map, StepSpan span, int64_t before, int64_t after) {
  const size_t last = span.first + (span.count == 0 ? 0 : span.count - 1);
  return {.after = map.time(span.first) - before, .upto = map.time(last) + after};
}

}  // namespace tocsin::promql::exec
