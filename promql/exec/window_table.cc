#include "promql/exec/window_table.h"

#include <algorithm>

#include "promql/exec/lanes.h"

namespace tocsin::promql::exec {

void WindowTable::Find(const TimeMap& map, size_t first_step, size_t steps, int64_t range_ms,
                       const model::Timestamp* t, size_t n) {
  const Key key{map.start, map.stride, first_step, steps, range_ms};
  if (key == key_ && n == times_.size() && steps == lo_.size() &&
      (n == 0 || std::memcmp(t, times_.data(), n * sizeof *t) == 0)) {
    return;
  }
  key_ = key;
  times_.assign(t, t + n);
  lo_.resize(steps);
  hi_.resize(steps);
  longest_ = 0;
  uint32_t lo = 0;
  uint32_t hi = 0;
  for (size_t s = 0; s < steps; ++s) {
    const model::Timestamp end = map.time(first_step + s);
    const model::Timestamp begin = end - range_ms;
    while (hi < n && t[hi] <= end) ++hi;
    while (lo < hi && t[lo] <= begin) ++lo;
    lo_[s] = lo;
    hi_[s] = hi;
    longest_ = std::max(longest_, hi - lo);
  }
  with_one_ = FindSteps(1);
  with_two_ = FindSteps(2);
  have_spans_ = false;
}

WindowTable::Steps WindowTable::FindSteps(uint32_t samples) const {
  Steps found;
  size_t count = 0;
  for (size_t s = 0; s < lo_.size(); ++s) {
    if (hi_[s] - lo_[s] < samples) continue;
    if (count == 0) found.begin = s;
    found.end = s + 1;
    ++count;
  }
  found.all = count == found.end - found.begin;
  return found;
}

WindowTable::Spans WindowTable::FindSpans() {
  if (!have_spans_) {
    have_spans_ = true;
    const size_t padded = (lo_.size() + kLanes - 1) / kLanes * kLanes;
    sampled_.assign(padded, 1);
    to_start_.assign(padded, 0);
    to_end_.assign(padded, 0);
    for (size_t s = with_two_.begin; s < with_two_.end; ++s) {
      const uint32_t count = hi_[s] - lo_[s];
      if (count < 2) continue;
      const model::Timestamp end =
          key_.start + static_cast<int64_t>(key_.first_step + s) * key_.stride;
      const model::Timestamp first = times_[lo_[s]];
      const model::Timestamp last = times_[hi_[s] - 1];
      double to_start = static_cast<double>(first - (end - key_.range_ms)) / 1000;
      double to_end = static_cast<double>(end - last) / 1000;
      const double sampled = static_cast<double>(last - first) / 1000;
      const double gap = sampled / static_cast<double>(count - 1);
      const double threshold = gap * 1.1;
      if (to_start >= threshold) to_start = gap / 2;
      if (to_end >= threshold) to_end = gap / 2;
      sampled_[s] = sampled;
      to_start_[s] = to_start;
      to_end_[s] = to_end;
    }
  }
  return {sampled_.data(), to_start_.data(), to_end_.data()};
}

}  // namespace tocsin::promql::exec
