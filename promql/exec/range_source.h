#pragma once

// Where a range function's samples come from: a range selector or a subquery.
//
// Threads: one.

#include <memory>

#include "promql/exec/operator.h"
#include "promql/exec/range_kernels.h"
#include "promql/exec/range_row.h"

namespace tocsin::promql::exec {

class RangeSource {
 public:
  virtual ~RangeSource() = default;
  // As of an Operator.
  virtual void LeaveLabels() {}
  virtual base::Status Open(Run& run) = 0;
  // Null: series() has the labels.
  virtual const storage::SeriesSet* row_set() const { return nullptr; }
  // Rows for a span of the outer grid's steps, in order.  `fn` is called with each row's number and
  // samples, which are valid during the call.
  class Visitor {
   public:
    virtual ~Visitor() = default;
    virtual base::Status Visit(size_t row, const RangeRow& samples) = 0;
  };
  virtual base::Status ForEach(Run& run, StepSpan span, Visitor& visitor) = 0;

  // Whether rows may be read apart, by any thread.
  virtual bool reads_rows() const { return false; }
  struct Buffers {
    storage::SampleColumns columns;
    RowSplitter splitter;
  };
  // The same for some rows.  REQUIRES: reads_rows().
  virtual base::Status ReadRows(Run&, StepSpan, RowRange, Buffers*, Visitor&) const {
    return base::Internal("promql exec: rows of a source that is read whole");
  }

  const SeriesTable& series() const { return series_; }
  const TimeMap& map() const { return map_; }
  int64_t range_ms() const { return range_ms_; }
  Boundary boundary() const { return boundary_; }

 protected:
  SeriesTable series_;
  TimeMap map_;
  int64_t range_ms_ = 0;
  Boundary boundary_ = Boundary::kPlain;
};

// REQUIRES: a range selector or a subquery.
base::Result<std::unique_ptr<RangeSource>> MakeRangeSource(Run& run, const plan::Node& node,
                                                           const Grid* grid);

}  // namespace tocsin::promql::exec
