#pragma once

// The samples of one series that a range function works on: floats and histograms apart, without
// stale markers.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "model/histogram.h"
#include "model/sample.h"
#include "storage/queryable.h"

namespace tocsin::promql::exec {

struct RangeRow {
  const model::Timestamp* times = nullptr;
  const double* values = nullptr;
  const model::Timestamp* starts = nullptr;  // null: not known of any
  size_t count = 0;
  const model::Timestamp* histogram_times = nullptr;
  const model::HistogramPtr* histograms = nullptr;
  const model::Timestamp* histogram_starts = nullptr;
  size_t histogram_count = 0;
};

// Borrows a series of columns where it can; copies where stale markers or histograms are in it.
class RowSplitter {
 public:
  // Valid until the next call, and while the columns are.
  const RangeRow& Split(const storage::SampleColumns& columns, size_t i);
  const RangeRow& row() const { return row_; }

  void Clear();
  size_t capacity() const { return std::max(times_.capacity(), histogram_times_.capacity()); }

 private:
  RangeRow row_;
  std::vector<model::Timestamp> times_;
  std::vector<double> values_;
  std::vector<model::Timestamp> histogram_times_;
  std::vector<model::HistogramPtr> histograms_;
  std::vector<model::Timestamp> starts_;
  std::vector<model::Timestamp> histogram_starts_;
};

// Buffers that a thread keeps between evaluations: thousands of kept rules would hold some each.  At the end
// of a use nothing of the data stays in them, and what a large query made of them is given back.
template <class Buffers>
class ThreadBuffers {
 public:
  explicit ThreadBuffers(Buffers* buffers) : buffers_(buffers) {}
  ~ThreadBuffers() {
    if (buffers_->capacity() > kMostKept) {
      *buffers_ = Buffers();
    } else {
      buffers_->Clear();
    }
  }
  ThreadBuffers(const ThreadBuffers&) = delete;
  ThreadBuffers& operator=(const ThreadBuffers&) = delete;

 private:
  static constexpr size_t kMostKept = 1 << 16;  // samples
  Buffers* const buffers_;
};

// Replaces the histograms of all series by their counts and sums; each is told from the one before
// whether the counter was reset.
void ReduceToStats(storage::SampleColumns* columns);

// The histogram that is sample `at` of the columns, or null.
const model::HistogramPtr* FindHistogram(const storage::SampleColumns& columns, size_t at);

}  // namespace tocsin::promql::exec
