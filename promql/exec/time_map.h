#pragma once

// The times at which a selector or subquery looks at its data: those of the grid, shifted by an
// offset, or one time given by @.

#include "base/result.h"
#include "promql/exec/run.h"
#include "promql/parse/ast.h"

namespace tocsin::promql::exec {

struct TimeMap {
  model::Timestamp start = 0;
  int64_t stride = 0;  // 0: @
  model::Timestamp time(size_t step) const { return start + static_cast<int64_t>(step) * stride; }
};

// Of timestamp(x @ t offset d) Prometheus forgets the offset: kForgottenAt.
enum class Offset { kTaken, kForgottenAt };
base::Result<TimeMap> MakeTimeMap(const Run& run, const TimeShift& shift, const Grid& grid,
                                  Offset offset = Offset::kTaken);

// The offset of a selector or subquery, in milliseconds, without @.
base::Result<int64_t> ResolveOffset(const Run& run, const TimeShift& shift);

// The range of a matrix selector or subquery, in milliseconds.
base::Result<int64_t> ResolveRange(const Run& run, base::Duration range, const DurationExpr* expr);

inline int64_t Milliseconds(base::Duration d) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
}

// What all steps of a grid together look at: `before` ms before the first time (exclusive) to `after`
// ms after the last.
storage::Window WindowOf(const TimeMap& map, const Grid& grid, int64_t before, int64_t after);
storage::Window WindowOf(const TimeMap& map, StepSpan span, int64_t before, int64_t after);

}  // namespace tocsin::promql::exec
