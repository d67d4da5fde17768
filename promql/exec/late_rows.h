#pragma once

// An operator whose label sets depend on values (count_values, info) knows its rows only once all
// steps are computed.  It does so while it is opened, in spans, and keeps the samples.

#include <absl/container/flat_hash_map.h>

#include <string>
#include <vector>

#include "promql/exec/label_ops.h"
#include "promql/exec/operator.h"

namespace tocsin::promql::exec {

class LateRowsOperator : public Operator {
 public:
  base::Status Eval(Run& run, StepSpan span, Block* out) final;

 protected:
  LateRowsOperator(Run& run, const plan::Node& node, const Grid* grid) : Operator(node, grid) {
    run.MarkUnkeepable();
  }

  // Calls fn(span) for all steps of the grid, a bounded number of cells of `rows` rows at a time.
  template <class Fn>
  base::Status ForSpans(Run& run, size_t rows, Fn&& fn) {
    const auto steps = static_cast<int64_t>(grid_.count);
    if (steps > run.options().max_samples) return run.Charge(steps);
    const size_t at_once = std::max<size_t>(1, kCells / std::max<size_t>(rows, 1));
    for (size_t first = 0; first < grid_.count; first += at_once) {
      RETURN_IF_ERROR(run.Check());
      RETURN_IF_ERROR(fn(StepSpan{first, std::min(at_once, grid_.count - first)}));
    }
    return {};
  }

  // The row with these labels, made if there is none.
  uint32_t Row(Run& run, std::string_view encoded, bool drop_name);
  // Steps of a row come in order.  Errors: two samples of a row at one step, too many samples.
  base::Status Add(Run& run, uint32_t row, size_t step, double v, model::HistogramPtr h);
  // One more at a step of a row that counts.
  base::Status Count(Run& run, uint32_t row, size_t step);

 private:
  static constexpr size_t kCells = 1 << 20;

  struct Sample {
    size_t step;
    double v;
    model::HistogramPtr h;
  };
  absl::flat_hash_map<std::pair<std::string_view, bool>, uint32_t> rows_;
  std::vector<std::vector<Sample>> samples_;  // by row
};

}  // namespace tocsin::promql::exec
