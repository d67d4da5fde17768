#pragma once

// Which samples of a row lie in the window of each step.  Series of one target share their times, so
// that what was found for the row before often holds for the next.
//
// Threads: one.

#include <cstdint>
#include <cstring>
#include <vector>

#include "model/sample.h"
#include "promql/exec/time_map.h"

namespace tocsin::promql::exec {

class WindowTable {
 public:
  // Windows (end - range_ms, end] with ends map.time(first_step), ..., `steps` of them, over `n` samples.
  void Find(const TimeMap& map, size_t first_step, size_t steps, int64_t range_ms,
            const model::Timestamp* t, size_t n);

  size_t steps() const { return lo_.size(); }
  // The samples of a step's window are [lo, hi).
  const uint32_t* lo() const { return lo_.data(); }
  const uint32_t* hi() const { return hi_.data(); }

  // Steps with at least one sample, and with at least two, are in [begin, end): all of these where
  // `all` says so.
  struct Steps {
    size_t begin = 0;
    size_t end = 0;
    bool all = false;
  };
  Steps steps_with(size_t samples) const { return samples == 1 ? with_one_ : with_two_; }
  // Samples of the fullest window.
  size_t longest() const { return longest_; }

  // Times of rate() and its like, in seconds, with room for a multiple of kLanes steps: from the first
  // to the last sample of the window, and how far to extrapolate before and behind, as far as values
  // have no say.
  struct Spans {
    const double* sampled;
    const double* to_start;
    const double* to_end;
  };
  Spans FindSpans();

 private:
  struct Key {
    model::Timestamp start;
    int64_t stride;
    size_t first_step;
    size_t steps;
    int64_t range_ms;
    bool operator==(const Key&) const = default;
  };
  Steps FindSteps(uint32_t samples) const;

  Key key_{};
  std::vector<model::Timestamp> times_;
  std::vector<uint32_t> lo_;
  std::vector<uint32_t> hi_;
  Steps with_one_;
  Steps with_two_;
  uint32_t longest_ = 0;
  bool have_spans_ = false;
  std::vector<double> sampled_;
  std::vector<double> to_start_;
  std::vector<double> to_end_;
};

}  // namespace tocsin::promql::exec
