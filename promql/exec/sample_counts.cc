#include "promql/exec/sample_counts.h"

#include <algorithm>
#include <functional>

namespace tocsin::promql::exec {
namespace {

// Samples at the times t, each counted as `weight` says, in the windows of a span.
template <class Weight>
void CountTimes(const model::Timestamp* t, size_t n, const WindowShape& shape, int64_t step_ms, StepSpan span,
                Weight weight, int64_t* looked_at, int64_t* read) {
  size_t lo = 0;
  size_t hi = 0;
  size_t known = 0;  // samples that the window of the step before ended with, or that lie before the window
  int64_t within = 0;
  for (size_t s = 0; s < span.count; ++s) {
    const model::Timestamp at = shape.map.time(span.first + s);
    while (hi < n && t[hi] <= at + shape.after) within += weight(hi++);
    while (lo < hi && t[lo] <= at - shape.before) within -= weight(lo++);
    looked_at[s] += within;
    const bool first = span.first + s == 0;
    if (!first && shape.map.stride == 0) continue;
    // What was there at the step before is not new.
    known = std::max(known, lo);
    if (!first) {
      while (known < hi && t[known] <= at + shape.after - step_ms) ++known;
    }
    for (size_t i = known; i < hi; ++i) read[s] += weight(i);
    known = hi;
  }
}

}  // namespace

int64_t SampleWeight(const model::Histogram& h) {
  // Bytes of Prometheus's form of it with a time, in samples of 16 bytes.
  constexpr size_t kFixed = 168;
  const size_t listed = h.positive_spans.size() + h.negative_spans.size() + h.positive_buckets.size() +
                        h.negative_buckets.size() + h.custom_values.size();
  return static_cast<int64_t>((kFixed + 8 * listed + 8) / 16);
}

size_t SampleCounts::FirstFresh(const plan::Node& node, StepSpan span) {
  size_t& counted = counted_[&node];
  const size_t first = std::clamp(counted, span.first, span.first + span.count);
  counted = std::max(counted, span.first + span.count);
  return first;
}

void SampleCounts::CountCells(const plan::Node& node, const Grid& grid, StepSpan span, const Block& block) {
  CountSteps(node, grid, span, [&](size_t s) {
    int64_t samples = 0;
    for (size_t row = 0; row < block.rows(); ++row) {
      const uint8_t cell = block.cells(row)[s];
      if (cell == kFloat) ++samples;
      if (cell == kHistogram) samples += SampleWeight(*block.histogram(row, s));
    }
    return samples;
  });
}

void SampleCounts::BeginWindows(const plan::Node& node, const Grid& grid, StepSpan span) {
  const size_t first = FirstFresh(node, span);
  grid_ = &grid;
  span_ = {first, span.first + span.count - first};
  span_looked_at_.assign(span_.count, 0);
  span_read_.assign(span_.count, 0);
}

void SampleCounts::CountWindows(const RangeRow& row, const WindowShape& shape) {
  CountTimes(
      row.times, row.count, shape, grid_->step_ms, span_, [](size_t) { return int64_t{1}; },
      span_looked_at_.data(), span_read_.data());
  CountTimes(
      row.histogram_times, row.histogram_count, shape, grid_->step_ms, span_,
      [&](size_t i) { return SampleWeight(*row.histograms[i]); }, span_looked_at_.data(), span_read_.data());
}

void SampleCounts::EndWindows(bool of_subquery) {
  // What a subquery read, its selectors have counted; where it is the value, also what was looked at.
  const bool value = of_subquery && root_is_range_ && grid_ == &root_;
  for (size_t s = 0; s < span_.count; ++s) {
    if (!value) LookAt(*grid_, span_.first + s, span_looked_at_[s]);
    if (!of_subquery) Read(*grid_, span_.first + s, span_read_[s]);
  }
}

void SampleCounts::End(Part* part) const {
  std::ranges::transform(looked_at_, part->looked_at, part->looked_at.begin(), std::minus<>());
  std::ranges::transform(read_, part->read, part->read.begin(), std::minus<>());
}

void SampleCounts::Repeat(const Part& part) {
  std::ranges::transform(looked_at_, part.looked_at, looked_at_.begin(), std::plus<>());
  std::ranges::transform(read_, part.read, read_.begin(), std::plus<>());
}

void SampleCounts::LookAt(const Grid& grid, size_t step, int64_t samples) {
  if (samples == 0) return;
  const Grid* at = &grid;
  bool every_step = false;
  for (auto it = inner_.find(at); it != inner_.end(); it = inner_.find(at)) {
    if (it->second.once) {
      every_step = true;
    } else if (it->second.whole) {
      if (every_step) samples *= static_cast<int64_t>(at->count);
      every_step = false;
      step = 0;
    } else {
      return;
    }
    at = it->second.outer;
  }
  if (!every_step) {
    looked_at_[step] += samples;
    return;
  }
  for (int64_t& of_step : looked_at_) of_step += samples;
}

void SampleCounts::Read(const Grid& grid, size_t step, int64_t samples) {
  if (samples == 0) return;
  const Grid* at = &grid;
  for (auto it = inner_.find(at); it != inner_.end(); it = inner_.find(at)) {
    const Inner& inner = it->second;
    const Grid& outer = *inner.outer;
    if (inner.once || outer.count <= 1) {
      step = 0;
    } else {
      const model::Timestamp t = at->time(step) + inner.offset_ms;
      step = 0;
      if (t > outer.start) step = static_cast<size_t>((t - outer.start + outer.step_ms - 1) / outer.step_ms);
      step = std::min(step, outer.count - 1);
      if (t <= outer.time(step) - inner.range_ms) return;
    }
    at = inner.outer;
  }
  read_[step] += samples;
}

}  // namespace tocsin::promql::exec
