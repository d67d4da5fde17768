#pragma once

// What operators hand to each other: the values of many series at a span of steps, row by row, and
// the label sets of the rows.  A cell is absent, a float or a histogram.
//
// Threads: plain values.

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "model/histogram.h"
#include "model/labels.h"
#include "model/sample.h"

namespace tocsin::promql::exec {

// Evaluation times start, start + step, ...
struct Grid {
  model::Timestamp start = 0;
  int64_t step_ms = 1;  // > 0
  size_t count = 1;     // 0: nothing to evaluate

  model::Timestamp time(size_t step) const {
    return start + static_cast<int64_t>(step) * step_ms;
  }
  model::Timestamp last() const { return time(count == 0 ? 0 : count - 1); }
};

// Steps [first, first + count) of a grid.
struct StepSpan {
  size_t first = 0;
  size_t count = 0;
};

// Labels of one row.  The view lives as long as the run.
struct Series {
  model::LabelsView labels;
  bool drop_name = false;  // delayed name removal: the name goes at the end
};
using SeriesTable = std::vector<Series>;

enum CellState : uint8_t { kAbsent = 0, kFloat = 1, kHistogram = 2 };

// A dense table, rows x steps.  Buffers are kept between uses.
class Block {
 public:
  Block() = default;
  Block(Block&&) = default;
  Block& operator=(Block&&) = default;

  // All cells absent.  Values are not set.
  void Reset(size_t rows, size_t steps) {
    Resize(rows, steps);
    if (cell_count() > 0) std::memset(cells_.get(), kAbsent, cell_count());
    histograms_.clear();
    order.clear();
  }

  // The same cells, in buffers of its own.
  void CopyFrom(const Block& from) {
    Resize(from.rows_, from.steps_);
    if (cell_count() > 0) {
      std::memcpy(values_.get(), from.values_.get(), cell_count() * sizeof values_[0]);
      std::memcpy(cells_.get(), from.cells_.get(), cell_count());
    }
    histograms_ = from.histograms_;
    order = from.order;
  }

  size_t rows() const { return rows_; }
  size_t steps() const { return steps_; }
  size_t cell_count() const { return rows_ * steps_; }

  double* values(size_t row) { return values_.get() + row * steps_; }
  const double* values(size_t row) const { return values_.get() + row * steps_; }
  uint8_t* cells(size_t row) { return cells_.get() + row * steps_; }
  const uint8_t* cells(size_t row) const { return cells_.get() + row * steps_; }

  // Whether a cell may be a histogram.
  bool has_histograms() const { return !histograms_.empty(); }
  const model::HistogramPtr& histogram(size_t row, size_t step) const {
    return histograms_[row * steps_ + step];
  }
  void SetHistogram(size_t row, size_t step, model::HistogramPtr h) {
    if (histograms_.empty()) histograms_.resize(rows_ * steps_);
    cells(row)[step] = kHistogram;
    histograms_[row * steps_ + step] = std::move(h);
  }
  void SetFloat(size_t row, size_t step, double v) {
    cells(row)[step] = kFloat;
    values(row)[step] = v;
  }
  // Copies one cell that is not absent.
  void SetCell(size_t row, size_t step, const Block& from, size_t from_row, size_t from_step) {
    if (from.cells(from_row)[from_step] == kHistogram) {
      SetHistogram(row, step, from.histogram(from_row, from_step));
    } else {
      SetFloat(row, step, from.values(from_row)[from_step]);
    }
  }
  // Copies all rows of `from` to the rows from `first` on.  REQUIRES: as many steps.
  void CopyRows(const Block& from, size_t first) {
    if (from.cell_count() == 0) return;
    std::memcpy(values(first), from.values(0), from.cell_count() * sizeof(double));
    std::memcpy(cells(first), from.cells(0), from.cell_count());
    if (!from.has_histograms()) return;
    for (size_t row = 0; row < from.rows(); ++row) {
      for (size_t s = 0; s < steps_; ++s) {
        if (from.cells(row)[s] == kHistogram) SetHistogram(first + row, s, from.histogram(row, s));
      }
    }
  }
  // Histogram cells become absent.
  void DropHistograms() {
    if (histograms_.empty()) return;
    for (size_t i = 0; i < cell_count(); ++i) {
      if (cells_[i] == kHistogram) cells_[i] = kAbsent;
    }
    histograms_.clear();
  }
  // Cells that are not absent.
  size_t CountPresent() const {
    size_t n = 0;
    const uint8_t* c = cells_.get();
    for (size_t i = 0; i < cell_count(); ++i) n += c[i] != kAbsent;
    return n;
  }

  // Of an instant query: the rows in the order of sort() or topk(); empty: as they are.
  std::vector<uint32_t> order;

 private:
  void Resize(size_t rows, size_t steps) {
    rows_ = rows;
    steps_ = steps;
    const size_t cells = rows * steps;
    if (cells <= capacity_) return;
    values_ = std::make_unique_for_overwrite<double[]>(cells);
    cells_ = std::make_unique_for_overwrite<uint8_t[]>(cells);
    capacity_ = cells;
  }

  size_t rows_ = 0;
  size_t steps_ = 0;
  size_t capacity_ = 0;
  std::unique_ptr<double[]> values_;
  std::unique_ptr<uint8_t[]> cells_;
  std::vector<model::HistogramPtr> histograms_;  // empty, or one a cell
};

}  // namespace tocsin::promql::exec
