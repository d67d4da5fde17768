// Instant selectors: the newest sample of each series at each step, not older than the lookback, and
// timestamp() of a selector, which is the same walk.

#include <algorithm>

#include "promql/exec/histogram_math.h"
#include "promql/exec/label_ops.h"
#include "promql/exec/operator.h"
#include "promql/exec/sample_counts.h"
#include "promql/exec/time_map.h"
#include "storage/reading_order.h"

namespace tocsin::promql::exec {
namespace {

// Series read at once: enough to make the walk long, few enough to bound the columns.
constexpr size_t kSeriesAtOnce = 128;
constexpr size_t kLastAtOnce = 4096;  // about a millisecond

enum class Output { kValue, kTime, kStartTime };
Offset OffsetOf(Output output) {
  return output == Output::kTime ? Offset::kForgottenAt : Offset::kTaken;
}

class SelectorOperator : public Operator, private RowPieces, private Movable {
 public:
  SelectorOperator(Run& run, const plan::Node& node, const VectorSelector& selector,
                   const Grid* grid, TimeMap map, Output output)
      : Operator(node, grid),
        shift_(selector.shift),
        map_(map),
        output_(output),
        lookback_(run.options().lookback_ms) {
    handle_ = run.AddSelection(selector.matchers, WindowOf(map_, grid_, lookback_, 0));
    run.NoteWindow(lookback_);
    run.OnMove(this);
  }

  void LeaveLabels() override { leave_labels_ = true; }
  RowSet row_set() const override {
    return leave_labels_ ? RowSet{set_, false} : RowSet{};
  }

  base::Status Open(Run& run) override {
    ASSIGN_OR_RETURN(set_, run.Selection(handle_));
    series_.assign(set_->size(), Series{});
    for (size_t row = 0; row < series_.size() && !leave_labels_; ++row) {
      RETURN_IF_ERROR(run.Spend(Run::kCellsALabelSet));
      series_[row].labels = set_->labels(row);
    }
    run.NoteRows(series_.size());
    if (IsLarge(run, set_->size(), 1) && output_ != Output::kStartTime && !node_.histogram_stats_only) {
      order_ = dynamic_cast<const storage::ReadingOrder*>(set_);
      if (order_ != nullptr && order_->reading_order().empty()) order_ = nullptr;
    }
    return {};
  }

  base::Status Eval(Run& run, StepSpan span, Block* out) override {
    if (span.count == 1 && order_ != nullptr) return EvalInOrder(run, span, out);
    if (IsWorthSharing(run, series_.size(), span.count)) {
      return EvalInPieces(run, *this, series_.size(), span, out);
    }
    out->Reset(series_.size(), span.count);
    RETURN_IF_ERROR(EvalRows(run, whole_, span, {0, series_.size()}, out));
    if (run.counts() != nullptr) run.counts()->CountCells(node_, grid_, span, *out);
    SeePiece(run, *out);
    return {};
  }

  // One step is read in the order of memory (Lasts), not in that of rows.
  RowPieces* pieces() override { return grid_.count == 1 ? nullptr : this; }

 private:
  // Newest samples in pieces of the storage's order of series.
  class Lasts : public RowPieces {
   public:
    Lasts(const SelectorOperator& op, const storage::ReadingOrder& order) : op_(op), order_(order) {}
    base::Status BeginPieces(Run&, StepSpan) override { return {}; }
    std::unique_ptr<Scratch> NewScratch() const override { return std::make_unique<LastBuffers>(); }
    base::Status EvalRows(Run& piece, Scratch& scratch, StepSpan span, RowRange places,
                          Block* out) const override {
      storage::LastColumns& last = static_cast<LastBuffers&>(scratch).last;
      RETURN_IF_ERROR(piece.Check());
      RETURN_IF_ERROR(order_.ReadLastOf(order_.reading_order().subspan(places.first, places.count),
                                        WindowOf(op_.map_, span, op_.lookback_, 0), &last));
      op_.FillLast(piece, last, 0, out);
      return {};
    }

   private:
    struct LastBuffers : Scratch {
      storage::LastColumns last;
    };
    const SelectorOperator& op_;
    const storage::ReadingOrder& order_;
  };

  base::Status EvalInOrder(Run& run, StepSpan span, Block* out) {
    out->Reset(series_.size(), 1);
    Lasts lasts(*this, *order_);
    const std::span<const uint32_t> rows = order_->reading_order();
    const auto take = [&](RowRange places, Block& block) -> base::Status {
      for (size_t i = 0; i < places.count; ++i) {
        if (block.cells(i)[0] != kAbsent) out->SetCell(rows[places.first + i], 0, block, i, 0);
      }
      return {};
    };
    if (IsWorthSharing(run, rows.size(), 1)) {
      RETURN_IF_ERROR(ForEachPiece(run, lasts, rows.size(), span, take));
    } else {
      const std::unique_ptr<Scratch> scratch = lasts.NewScratch();
      Block block;
      for (size_t first = 0; first < rows.size(); first += kLastAtOnce) {
        const RowRange places{first, std::min(kLastAtOnce, rows.size() - first)};
        block.Reset(places.count, 1);
        RETURN_IF_ERROR(lasts.EvalRows(run, *scratch, span, places, &block));
        RETURN_IF_ERROR(take(places, block));
      }
    }
    if (run.counts() != nullptr) run.counts()->CountCells(node_, grid_, span, *out);
    SeePiece(run, *out);
    return {};
  }

  struct Buffers : Scratch {
    storage::SampleColumns columns;
  };

  base::Status BeginPieces(Run&, StepSpan) override { return {}; }
  std::unique_ptr<Scratch> NewScratch() const override { return std::make_unique<Buffers>(); }
  base::Status EvalRows(Run& run, Scratch& scratch, StepSpan span, RowRange rows,
                        Block* out) const override {
    Buffers& buffers = static_cast<Buffers&>(scratch);
    if (span.count == 1 && output_ != Output::kStartTime) {
      RETURN_IF_ERROR(EvalOne(run, span, rows, out));
      if (!node_.histogram_stats_only || !out->has_histograms()) return {};
      // What is said of counter resets needs the samples before.
      out->Reset(rows.count, span.count);
    }
    return EvalMany(run, buffers, span, rows, out);
  }
  void SeePiece(Run&, const Block& block) override {
    if (!leave_labels_ || !block.has_histograms()) return;
    leave_labels_ = false;
    for (size_t row = 0; row < series_.size(); ++row) series_[row].labels = set_->labels(row);
  }

  base::Status EvalOne(Run& run, StepSpan span, RowRange rows, Block* out) const {
    const storage::Window window = WindowOf(map_, span, lookback_, 0);
    thread_local storage::LastColumns last;
    const ThreadBuffers clear_last(&last);
    for (size_t first = 0; first < rows.count; first += kLastAtOnce) {
      RETURN_IF_ERROR(run.Check());
      const size_t count = std::min(kLastAtOnce, rows.count - first);
      RETURN_IF_ERROR(set_->ReadLast(rows.first + first, count, window, &last));
      FillLast(run, last, first, out);
    }
    return {};
  }

  // The rows from `first` on.
  void FillLast(Run& run, const storage::LastColumns& last, size_t first, Block* out) const {
    double* values = out->values(first);
    uint8_t* cells = out->cells(first);
    const bool histograms = !last.histograms.empty();
    size_t read = 0;
    for (size_t i = 0; i < last.times.size(); ++i) {
      if (last.times[i] == model::kMinTimestamp) continue;
      ++read;
      if (model::IsStale(last.values[i])) continue;
      if (output_ == Output::kTime) {
        values[i] = static_cast<double>(last.times[i]) / 1000;
        cells[i] = kFloat;
      } else if (histograms && last.histograms[i]) {
        if (!last.histograms[i]->IsStale()) out->SetHistogram(first + i, 0, last.histograms[i]);
      } else {
        values[i] = last.values[i];
        cells[i] = kFloat;
      }
    }
    run.CountRead(static_cast<int64_t>(read));
  }

  base::Status EvalMany(Run& run, Buffers& buffers, StepSpan span, RowRange rows, Block* out) const {
    const storage::Window window = WindowOf(map_, span, lookback_, 0);
    storage::SampleColumns& columns = buffers.columns;
    for (size_t first = 0; first < rows.count; first += kSeriesAtOnce) {
      RETURN_IF_ERROR(run.Check());
      const size_t count = std::min(kSeriesAtOnce, rows.count - first);
      RETURN_IF_ERROR(set_->Read(rows.first + first, count, window, &columns));
      run.CountRead(static_cast<int64_t>(columns.times.size()));
      if (node_.histogram_stats_only) ReduceToStats(&columns);
      for (size_t i = 0; i < count; ++i) Fill(columns, span, i, first + i, out);
    }
    return {};
  }

  // One series, read as number `i` of the columns.
  void Fill(const storage::SampleColumns& columns, StepSpan span, size_t i, size_t row, Block* out) const {
    const std::span<const model::Timestamp> t = columns.times_of(i);
    const double* v = columns.values.data() + columns.offsets[i];
    double* values = out->values(row);
    uint8_t* cells = out->cells(row);
    const bool histograms = !columns.histogram_at.empty();
    size_t next = 0;  // samples at or before the step
    for (size_t s = 0; s < span.count; ++s) {
      const model::Timestamp at = map_.time(span.first + s);
      while (next < t.size() && t[next] <= at) ++next;
      if (next == 0 || t[next - 1] <= at - lookback_ || model::IsStale(v[next - 1])) continue;
      if (output_ != Output::kValue) {
        model::Timestamp shown = t[next - 1];
        if (output_ == Output::kStartTime) {
          const size_t at_sample = columns.offsets[i] + next - 1;
          shown = columns.start_times.empty() ? 0 : columns.start_times[at_sample];
        }
        values[s] = static_cast<double>(shown) / 1000;
        cells[s] = kFloat;
        continue;
      }
      if (histograms) {
        const model::HistogramPtr* h = FindHistogram(columns, columns.offsets[i] + next - 1);
        if (h != nullptr) {
          if (!(*h)->IsStale()) out->SetHistogram(row, s, *h);
          continue;
        }
      }
      values[s] = v[next - 1];
      cells[s] = kFloat;
    }
  }

  base::Status Move(Run& run) override {
    ASSIGN_OR_RETURN(map_, MakeTimeMap(run, shift_, grid_, OffsetOf(output_)));
    run.MoveSelection(handle_, WindowOf(map_, grid_, lookback_, 0));
    return {};
  }

  const TimeShift& shift_;
  TimeMap map_;
  const Output output_;
  const int64_t lookback_;
  size_t handle_ = 0;
  bool leave_labels_ = false;
  const storage::SeriesSet* set_ = nullptr;
  const storage::ReadingOrder* order_ = nullptr;  // of a large set, where it is not that of rows
  Buffers whole_;
};

// foo smoothed: a value between the samples before and after each step.
class SmoothedOperator : public Operator, private Movable {
 public:
  SmoothedOperator(Run& run, const plan::Node& node, const VectorSelector& selector,
                   const Grid* grid, TimeMap map)
      : Operator(node, grid),
        shift_(selector.shift),
        map_(map),
        lookback_(run.options().lookback_ms) {
    handle_ = run.AddSelection(selector.matchers, WindowOf(map_, grid_, lookback_, lookback_));
    run.NoteWindow(2 * lookback_);
    run.OnMove(this);
  }

  base::Status Open(Run& run) override {
    ASSIGN_OR_RETURN(set_, run.Selection(handle_));
    for (size_t i = 0; i < set_->size(); ++i) {
      RETURN_IF_ERROR(run.Spend(Run::kCellsALabelSet));
      series_.push_back({set_->labels(i), false});
    }
    run.NoteRows(series_.size());
    return {};
  }

  base::Status Eval(Run& run, StepSpan span, Block* out) override {
    out->Reset(series_.size(), span.count);
    const storage::Window window = WindowOf(map_, span, lookback_, lookback_);
    for (size_t first = 0; first < series_.size(); first += kSeriesAtOnce) {
      RETURN_IF_ERROR(run.Check());
      const size_t count = std::min(kSeriesAtOnce, series_.size() - first);
      RETURN_IF_ERROR(set_->Read(first, count, window, &columns_));
      run.CountRead(static_cast<int64_t>(columns_.times.size()));
      for (size_t i = 0; i < count; ++i) {
        splitter_.Split(columns_, i);
        for (size_t s = 0; s < span.count; ++s) {
          Interpolate(run, map_.time(span.first + s), first + i, s, out);
        }
      }
    }
    return {};
  }

 private:
  void Interpolate(Run& run, model::Timestamp at, size_t row, size_t step, Block* out) {
    const RangeRow& in = splitter_.row();
    const auto in_window = [&](const model::Timestamp* t, size_t n) {
      const size_t lo =
          static_cast<size_t>(std::upper_bound(t, t + n, at - lookback_) - t);
      const size_t hi =
          static_cast<size_t>(std::upper_bound(t, t + n, at + lookback_) - t);
      return std::pair(lo, hi);
    };
    const auto [flo, fhi] = in_window(in.times, in.count);
    const auto [hlo, hhi] = in_window(in.histogram_times, in.histogram_count);
    if (flo == fhi && hlo == hhi) return;
    const std::string_view metric = series_[row].labels.MetricName();
    if (flo != fhi && hlo != hhi) {
      run.annotations().MixedFloatsHistograms(metric, node_.pos);
      return;
    }
    const bool floats = flo != fhi;
    const model::Timestamp* t = floats ? in.times : in.histogram_times;
    const size_t lo = floats ? flo : hlo;
    const size_t hi = floats ? fhi : hhi;
    const size_t i = static_cast<size_t>(std::lower_bound(t + lo, t + hi, at) - t);
    const bool exact = i < hi && t[i] == at;
    if (!exact && i == lo) return;  // nothing before
    if (floats) {
      double v = exact ? in.values[i] : in.values[i - 1];
      if (!exact && i < hi) {
        v += (in.values[i] - v) * static_cast<double>(at - t[i - 1]) /
             static_cast<double>(t[i] - t[i - 1]);
      }
      out->SetFloat(row, step, v);
      return;
    }
    if (exact) {
      out->SetHistogram(row, step, in.histograms[i]);
    } else if (i < hi) {
      model::HistogramPtr h =
          InterpolateForSelector(run.annotations(), metric, node_.pos, *in.histograms[i - 1],
                                 t[i - 1], *in.histograms[i], t[i], at);
      if (h) out->SetHistogram(row, step, std::move(h));
    } else {
      out->SetHistogram(row, step,
                        WithCounterReset(in.histograms[i - 1], model::CounterReset::kUnknown));
    }
  }

  base::Status Move(Run& run) override {
    ASSIGN_OR_RETURN(map_, MakeTimeMap(run, shift_, grid_));
    run.MoveSelection(handle_, WindowOf(map_, grid_, lookback_, lookback_));
    return {};
  }

  const TimeShift& shift_;
  TimeMap map_;
  const int64_t lookback_;
  size_t handle_ = 0;
  const storage::SeriesSet* set_ = nullptr;
  storage::SampleColumns columns_;
  RowSplitter splitter_;
};

// timestamp() and its like: times of a selector's samples, without names.
class TimesOperator : public Operator {
 public:
  TimesOperator(const plan::Node& node, const Grid* grid, OperatorPtr times)
      : Operator(node, grid), times_(std::move(times)) {}

  base::Status Open(Run& run) override {
    RETURN_IF_ERROR(times_->Open(run));
    series_ = times_->series();
    for (Series& s : series_) s.drop_name = true;
    if (!run.options().delayed_name_removal) {
      merge_.BuildWithoutMetadata(std::move(series_), &run.arena(), &series_);
    }
    return {};
  }
  base::Status Eval(Run& run, StepSpan span, Block* out) override {
    if (merge_.injective()) return times_->Eval(run, span, out);
    RETURN_IF_ERROR(times_->Eval(run, span, &before_merge_));
    return merge_.Apply(before_merge_, series_.size(), out);
  }

 private:
  OperatorPtr times_;
  RowMerge merge_;
  Block before_merge_;
};

base::Result<OperatorPtr> Make(Run& run, const plan::Node& node, const VectorSelector& selector,
                               const Grid* grid, Output output) {
  ASSIGN_OR_RETURN(TimeMap map, MakeTimeMap(run, selector.shift, *grid, OffsetOf(output)));
  if (selector.smoothed && output == Output::kValue) {
    return std::make_unique<SmoothedOperator>(run, node, selector, grid, map);
  }
  return std::make_unique<SelectorOperator>(run, node, selector, grid, map, output);
}

}  // namespace

base::Result<OperatorPtr> MakeSelector(Run& run, const plan::Node& node, const Grid* grid) {
  return Make(run, node, As<VectorSelector>(*node.expr), grid, Output::kValue);
}

base::Result<OperatorPtr> MakeTimestamp(Run& run, const plan::Node& node, const Grid* grid) {
  const Output output =
      node.function == plan::Function::kTimestamp ? Output::kTime : Output::kStartTime;
  ASSIGN_OR_RETURN(OperatorPtr times, Make(run, node, As<VectorSelector>(*node.inputs[0]->expr), grid, output));
  return std::make_unique<TimesOperator>(node, grid, std::move(times));
}

}  // namespace tocsin::promql::exec
