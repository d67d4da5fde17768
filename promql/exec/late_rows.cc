#include "promql/exec/late_rows.h"

#include <algorithm>

namespace tocsin::promql::exec {

base::Status LateRowsOperator::Eval(Run&, StepSpan span, Block* out) {
  out->Reset(series_.size(), span.count);
  for (size_t row = 0; row < samples_.size(); ++row) {
    const auto& samples = samples_[row];
    auto it = std::ranges::lower_bound(samples, span.first, {}, &Sample::step);
    for (; it != samples.end() && it->step < span.first + span.count; ++it) {
      if (it->h) {
        out->SetHistogram(row, it->step - span.first, it->h);
      } else {
        out->SetFloat(row, it->step - span.first, it->v);
      }
    }
  }
  return {};
}

uint32_t LateRowsOperator::Row(Run& run, std::string_view encoded, bool drop_name) {
  auto it = rows_.find(std::pair(encoded, drop_name));
  if (it != rows_.end()) return it->second;
  const auto row = static_cast<uint32_t>(series_.size());
  const model::LabelsView labels = run.arena().Store(encoded);
  rows_.emplace(std::pair(labels.encoded(), drop_name), row);
  series_.push_back({labels, drop_name});
  samples_.emplace_back();
  return row;
}

base::Status LateRowsOperator::Add(Run& run, uint32_t row, size_t step, double v,
                                   model::HistogramPtr h) {
  if (!samples_[row].empty() && samples_[row].back().step == step) return SameLabelset();
  samples_[row].push_back({step, v, std::move(h)});
  return run.Charge(1);
}

base::Status LateRowsOperator::Count(Run& run, uint32_t row, size_t step) {
  if (!samples_[row].empty() && samples_[row].back().step == step) {
    samples_[row].back().v += 1;
    return {};
  }
  return Add(run, row, step, 1, nullptr);
}

}  // namespace tocsin::promql::exec
