#pragma once

// Runs a plan and collects its value.

#include "promql/exec/label_ops.h"
#include "promql/exec/run.h"
#include "promql/exec/value.h"

namespace tocsin::promql::exec {

// The steps of a query: one of an instant query.
Grid GridOf(const plan::QueryTimes& times);

// At run.times().  Errors: as promql/engine.h says.
base::Result<Value> RunPlan(Run& run, const plan::Plan& plan, const Grid& grid);
inline base::Result<Value> RunPlan(Run& run, const plan::Plan& plan) {
  return RunPlan(run, plan, GridOf(run.times()));
}

// Rows of a result: labels without the names that are to go, equal ones once.  Views live as long as
// the run.
struct OutputRows {
  std::vector<model::LabelsView> labels;
  std::vector<uint32_t> target;  // by row of the operator
  bool merged = false;           // whether rows may share a target
};
OutputRows MakeOutputRows(Run& run, const SeriesTable& series);

// Calls fn(target, row) for the cells of an instant query's block, in their order.  `taken` is scratch.
// Errors: two cells with equal labels.
template <class Fn>
base::Status ForInstantCells(const Block& block, const OutputRows& rows, std::vector<uint8_t>* taken,
                             Fn&& fn) {
  if (rows.merged) taken->assign(rows.labels.size(), 0);
  const auto one = [&](uint32_t row) {
    if (block.cells(row)[0] == kAbsent) return true;
    const uint32_t to = rows.target[row];
    if (rows.merged && std::exchange((*taken)[to], 1) != 0) return false;
    fn(to, row);
    return true;
  };
  if (!block.order.empty()) {
    for (const uint32_t row : block.order) {
      if (!one(row)) return SameLabelset();
    }
    return {};
  }
  for (uint32_t row = 0; row < block.rows(); ++row) {
    if (!one(row)) return SameLabelset();
  }
  return {};
}

}  // namespace tocsin::promql::exec
