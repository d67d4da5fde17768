#pragma once

// How many samples each step of a query looked at, as Prometheus shows them in a query's statistics.
//
// 1. Of a window every sample counts at each step that it covers (`looked_at`), and once where it first came
//    into a window (`read`).  What is the same at every step is looked at at every one, and read at the first.
// 2. A subquery's own samples are read for the first step of the outer grid whose window has them, and not
//    counted where none has; looked at are the points that it gave.
// 3. A histogram counts as many samples as its buckets take the room of.
//
// Operators evaluate some steps twice: each counts a step once.
//
// Threads: one.
// Source:  Prometheus 3.14, util/stats/query_stats.go.

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "promql/exec/block.h"
#include "promql/exec/range_row.h"
#include "promql/exec/time_map.h"

namespace tocsin::promql::exec {

// Where a source takes its samples of a step from: (time - before, time + after] by `map`.
struct WindowShape {
  TimeMap map;
  int64_t before = 0;
  int64_t after = 0;
};

class SampleCounts {
 public:
  explicit SampleCounts(const Grid& root) : root_(root), looked_at_(root.count), read_(root.count) {}

  // `inner` is evaluated once for all steps of `outer`.
  void Once(const Grid& inner, const Grid& outer) { inner_[&inner] = {.outer = &outer, .once = true}; }
  // `inner` is a subquery's, whose windows at the steps of `outer` are `range_ms` long.
  void Subquery(const Grid& inner, const Grid& outer, int64_t offset_ms, int64_t range_ms) {
    inner_[&inner] = {.outer = &outer,
                      .whole = root_is_range_ && &outer == &root_,
                      .offset_ms = offset_ms,
                      .range_ms = range_ms};
  }
  // The query's value is a range vector: of a subquery there, what its own selectors looked at counts.
  void RootIsRange() { root_is_range_ = true; }

  // Those of an instant selector: samples_at(s) at step s of the span.
  template <class Fn>
  void CountSteps(const plan::Node& node, const Grid& grid, StepSpan span, Fn&& samples_at) {
    for (size_t s = FirstFresh(node, span) - span.first; s < span.count; ++s) {
      const int64_t samples = samples_at(s);
      LookAt(grid, span.first + s, samples);
      Read(grid, span.first + s, samples);
    }
  }
  // The cells of its block.
  void CountCells(const plan::Node& node, const Grid& grid, StepSpan span, const Block& block);
  // The windows of all rows of a source at the steps of a span are counted between these two.
  void BeginWindows(const plan::Node& node, const Grid& grid, StepSpan span);
  void CountWindows(const RangeRow& row, const WindowShape& shape);
  void EndWindows(bool of_subquery);

  const std::vector<int64_t>& looked_at() const { return looked_at_; }
  const std::vector<int64_t>& read() const { return read_; }

  // What a part of the run counted, which counts again where its result is used again.
  struct Part {
    std::vector<int64_t> looked_at;
    std::vector<int64_t> read;
  };
  Part Begin() const { return {looked_at_, read_}; }
  // Turns what was counted before the part into what was counted in it.
  void End(Part* part) const;
  void Repeat(const Part& part);

 private:
  struct Inner {
    const Grid* outer = nullptr;
    bool once = false;
    bool whole = false;  // all of it is the query's value
    int64_t offset_ms = 0;
    int64_t range_ms = 0;
  };
  void LookAt(const Grid& grid, size_t step, int64_t samples);
  void Read(const Grid& grid, size_t step, int64_t samples);
  // The first step of a span that the node has not counted; it now has.
  size_t FirstFresh(const plan::Node& node, StepSpan span);

  const Grid& root_;
  bool root_is_range_ = false;
  std::unordered_map<const Grid*, Inner> inner_;
  std::unordered_map<const plan::Node*, size_t> counted_;  // steps
  std::vector<int64_t> looked_at_;                         // by step of the root
  std::vector<int64_t> read_;

  // Between BeginWindows() and EndWindows().
  const Grid* grid_ = nullptr;
  StepSpan span_;
  std::vector<int64_t> span_looked_at_;
  std::vector<int64_t> span_read_;
};

// As how many samples a histogram counts.
int64_t SampleWeight(const model::Histogram& h);

}  // namespace tocsin::promql::exec
