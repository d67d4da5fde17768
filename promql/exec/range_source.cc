#include "promql/exec/range_source.h"

#include <algorithm>

#include "promql/exec/histogram_math.h"
#include "promql/exec/profile.h"
#include "promql/exec/sample_counts.h"

namespace tocsin::promql::exec {
namespace {

constexpr size_t kSeriesAtOnce = 64;

// A source is no operator: its time is that of the function above.
void NoteCost(const Run& run, const plan::Node& node, size_t series, size_t samples) {
  if (run.profile() == nullptr) return;
  plan::NodeCost& cost = run.profile()->of(node);
  cost.series = static_cast<int64_t>(series);
  cost.samples += static_cast<int64_t>(samples);
}

class SelectorSource : public RangeSource, private Movable {
 public:
  SelectorSource(const plan::Node& node, const Grid* grid)
      : node_(node),
        selector_(As<MatrixSelector>(*node.expr)),
        grid_(*grid),
        stats_only_(node.histogram_stats_only) {}

  base::Status Init(Run& run) {
    RETURN_IF_ERROR(FindTimes(run));
    handle_ = run.AddSelection(selector_.vector->matchers, WindowOf(map_, grid_, before_, after_));
    run.NoteWindow(before_ + after_);
    run.OnMove(this);
    return {};
  }

  void LeaveLabels() override { leave_labels_ = true; }
  const storage::SeriesSet* row_set() const override { return leave_labels_ ? set_ : nullptr; }

  base::Status Open(Run& run) override {
    ASSIGN_OR_RETURN(set_, run.Selection(handle_));
    series_.assign(set_->size(), Series{});
    if (!leave_labels_) {
      for (size_t i = 0; i < series_.size(); ++i) {
        RETURN_IF_ERROR(run.Spend(Run::kCellsALabelSet));
        series_[i].labels = set_->labels(i);
      }
    }
    run.NoteRows(series_.size());
    return {};
  }

  base::Status ForEach(Run& run, StepSpan span, Visitor& visitor) override {
    SampleCounts* const counts = run.counts();
    if (counts != nullptr) counts->BeginWindows(node_, grid_, span);
    // No visitor reads another source.
    thread_local Buffers buffers;
    const ThreadBuffers clear_columns(&buffers.columns);
    const ThreadBuffers clear_splitter(&buffers.splitter);
    RETURN_IF_ERROR(ReadRows(run, span, {0, series_.size()}, &buffers, visitor));
    if (counts != nullptr) counts->EndWindows(false);
    return {};
  }

  bool reads_rows() const override { return true; }
  base::Status ReadRows(Run& run, StepSpan span, RowRange rows, Buffers* buffers,
                        Visitor& visitor) const override {
    const storage::Window window = WindowOf(map_, span, before_, after_);
    SampleCounts* const counts = run.counts();
    storage::SampleColumns& columns = buffers->columns;
    const size_t end = rows.first + rows.count;
    for (size_t first = rows.first; first < end; first += kSeriesAtOnce) {
      RETURN_IF_ERROR(run.Check());
      const size_t count = std::min(kSeriesAtOnce, end - first);
      RETURN_IF_ERROR(set_->Read(first, count, window, &columns));
      NoteCost(run, node_, series_.size(), columns.times.size());
      run.CountRead(static_cast<int64_t>(columns.times.size()));
      if (stats_only_) ReduceToStats(&columns);
      for (size_t i = 0; i < count; ++i) {
        const RangeRow& row = buffers->splitter.Split(columns, i);
        if (counts != nullptr) counts->CountWindows(row, {map_, before_, after_});
        RETURN_IF_ERROR(ChargeWindow(run, span, row));
        RETURN_IF_ERROR(visitor.Visit(first + i, row));
      }
    }
    return {};
  }

 private:
  base::Status FindTimes(Run& run) {
    const VectorSelector& vector = *selector_.vector;
    ASSIGN_OR_RETURN(map_, MakeTimeMap(run, vector.shift, grid_));
    ASSIGN_OR_RETURN(range_ms_, ResolveRange(run, selector_.range, selector_.range_expr.get()));
    before_ = range_ms_;
    after_ = 0;
    if (vector.anchored) {
      boundary_ = Boundary::kAnchored;
      before_ += run.options().lookback_ms;
    } else if (vector.smoothed) {
      boundary_ = Boundary::kSmoothed;
      before_ += run.options().lookback_ms;
      after_ = run.options().lookback_ms;
    }
    return {};
  }

  base::Status Move(Run& run) override {
    RETURN_IF_ERROR(FindTimes(run));
    run.MoveSelection(handle_, WindowOf(map_, grid_, before_, after_));
    return {};
  }

  // A window of one series is what must be in memory at least.
  base::Status ChargeWindow(Run& run, StepSpan span, const RangeRow& row) const {
    size_t held = row.count + row.histogram_count;
    if (run.current_samples() + static_cast<int64_t>(held) > run.options().max_samples) {
      held = 0;
      size_t lo = 0;
      size_t hi = 0;
      for (size_t s = 0; s < span.count; ++s) {
        const model::Timestamp end = map_.time(span.first + s) + after_;
        while (hi < row.count && row.times[hi] <= end) ++hi;
        while (lo < hi && row.times[lo] <= map_.time(span.first + s) - before_) ++lo;
        held = std::max(held, hi - lo);
      }
    }
    RETURN_IF_ERROR(run.Charge(static_cast<int64_t>(held)));
    run.Release(static_cast<int64_t>(held));
    return {};
  }

  const plan::Node& node_;
  const MatrixSelector& selector_;
  const Grid& grid_;
  const bool stats_only_;
  int64_t before_ = 0;
  int64_t after_ = 0;
  size_t handle_ = 0;
  bool leave_labels_ = false;
  const storage::SeriesSet* set_ = nullptr;
};

// The expression of a subquery at the multiples of its step.
class SubquerySource : public RangeSource, private Movable {
 public:
  SubquerySource(const plan::Node& node, const Grid* outer)
      : node_(node), subquery_(As<Subquery>(*node.expr)), outer_(*outer) {}

  base::Status Init(Run& run, const plan::Node& node) {
    RETURN_IF_ERROR(Move(run));
    run.NoteWindow(range_ms_);
    run.OnMove(this);
    if (run.counts() != nullptr) {
      ASSIGN_OR_RETURN(const int64_t offset, ResolveOffset(run, subquery_.shift));
      run.counts()->Subquery(inner_, outer_, offset, range_ms_);
    }
    ASSIGN_OR_RETURN(op_, MakeOperator(run, *node.inputs[0], &inner_));
    return {};
  }

  base::Status Open(Run& run) override {
    RETURN_IF_ERROR(op_->Open(run));
    series_ = op_->series();
    return {};
  }

  base::Status ForEach(Run& run, StepSpan span, Visitor& visitor) override {
    const storage::Window window = WindowOf(map_, span, range_ms_, 0);
    const model::Timestamp first = FirstAfter(window.after);
    StepSpan inner;
    inner.first = static_cast<size_t>((first - inner_.start) / inner_.step_ms);
    if (first <= window.upto) {
      inner.count = static_cast<size_t>((window.upto - first) / inner_.step_ms) + 1;
    }
    // What cannot be held as samples is not tried as cells either.
    const auto cells = static_cast<int64_t>(std::max<size_t>(series_.size(), 1) * inner.count);
    if (cells / kSparse > run.options().max_samples) RETURN_IF_ERROR(run.Charge(cells));
    RETURN_IF_ERROR(block_.Eval(run, *op_, inner));
    times_.resize(inner.count);
    for (size_t s = 0; s < inner.count; ++s) times_[s] = inner_.time(inner.first + s);
    SampleCounts* const counts = run.counts();
    if (counts != nullptr) counts->BeginWindows(node_, outer_, span);
    for (size_t row = 0; row < series_.size(); ++row) {
      const RangeRow& samples = Row(row);
      if (counts != nullptr) counts->CountWindows(samples, {map_, range_ms_, 0});
      RETURN_IF_ERROR(visitor.Visit(row, samples));
    }
    if (counts != nullptr) counts->EndWindows(true);
    const size_t present = block_->CountPresent();
    NoteCost(run, node_, series_.size(), present);
    run.CountRead(static_cast<int64_t>(present));
    block_.Drop(run);
    return {};
  }

 private:
  static constexpr int64_t kSparse = 2;  // cells a sample that a sparse table may take

  base::Status Move(Run& run) override {
    ASSIGN_OR_RETURN(map_, MakeTimeMap(run, subquery_.shift, outer_));
    ASSIGN_OR_RETURN(range_ms_, ResolveRange(run, subquery_.range, subquery_.range_expr.get()));
    int64_t step = Milliseconds(subquery_.step);
    if (subquery_.step_expr) {
      ASSIGN_OR_RETURN(step, plan::ResolveDuration(*subquery_.step_expr, run.times(),
                                                   plan::Sign::kPositive));
    }
    if (step <= 0) step = run.options().default_subquery_step_ms(range_ms_);
    inner_.step_ms = std::max<int64_t>(step, 1);
    inner_.start = FirstAfter(map_.time(0) - range_ms_);
    const model::Timestamp last = map_.time(outer_.count == 0 ? 0 : outer_.count - 1);
    inner_.count =
        inner_.start > last ? 0
                            : static_cast<size_t>((last - inner_.start) / inner_.step_ms) + 1;
    return {};
  }

  model::Timestamp FirstAfter(model::Timestamp t) const {
    model::Timestamp aligned = t / inner_.step_ms * inner_.step_ms;
    if (aligned <= t) aligned += inner_.step_ms;
    return aligned;
  }

  const RangeRow& Row(size_t row) {
    const size_t steps = times_.size();
    const uint8_t* cells = block_->cells(row);
    const double* values = block_->values(row);
    row_ = {};
    if (std::all_of(cells, cells + steps, [](uint8_t c) { return c == kFloat; })) {
      row_.times = times_.data();
      row_.values = values;
      row_.count = steps;
      return row_;
    }
    row_times_.clear();
    row_values_.clear();
    histogram_times_.clear();
    histograms_.clear();
    for (size_t s = 0; s < steps; ++s) {
      if (cells[s] == kFloat) {
        row_times_.push_back(times_[s]);
        row_values_.push_back(values[s]);
      } else if (cells[s] == kHistogram) {
        // Steps may skip or repeat samples, so that what they say of resets is not to be relied on.
        model::HistogramPtr h = block_->histogram(row, s);
        if (h->counter_reset != model::CounterReset::kGauge) {
          h = WithCounterReset(h, model::CounterReset::kUnknown);
        }
        histogram_times_.push_back(times_[s]);
        histograms_.push_back(std::move(h));
      }
    }
    row_.times = row_times_.data();
    row_.values = row_values_.data();
    row_.count = row_times_.size();
    row_.histogram_times = histogram_times_.data();
    row_.histograms = histograms_.data();
    row_.histogram_count = histograms_.size();
    return row_;
  }

  const plan::Node& node_;
  const Subquery& subquery_;
  const Grid& outer_;
  Grid inner_;
  OperatorPtr op_;
  HeldBlock block_;
  std::vector<model::Timestamp> times_;
  RangeRow row_;
  std::vector<model::Timestamp> row_times_;
  std::vector<double> row_values_;
  std::vector<model::Timestamp> histogram_times_;
  std::vector<model::HistogramPtr> histograms_;
};

// Collects whole rows.
class RawCollector : public RangeSource::Visitor {
 public:
  RawCollector(Run& run, const RangeSource& source, std::vector<RawSeries>* out)
      : run_(run), source_(source), out_(out) {}

  base::Status Visit(size_t row, const RangeRow& in) override {
    const size_t n = in.count + in.histogram_count;
    if (n == 0) return {};
    if (source_.boundary() != Boundary::kPlain) return Extend(row, in);
    RawSeries raw = Start(row);
    raw.times.reserve(n);
    raw.values.reserve(n);
    if (in.histogram_count > 0) raw.histograms.resize(n);
    size_t h = 0;
    for (size_t f = 0; f < in.count || h < in.histogram_count;) {
      const bool take_float =
          h == in.histogram_count || (f < in.count && in.times[f] < in.histogram_times[h]);
      if (!take_float) raw.histograms[raw.times.size()] = in.histograms[h];
      raw.times.push_back(take_float ? in.times[f] : in.histogram_times[h]);
      raw.values.push_back(take_float ? in.values[f] : in.histograms[h]->sum);
      take_float ? ++f : ++h;
    }
    return Keep(std::move(raw));
  }

 private:
  RawSeries Start(size_t row) const {
    RawSeries raw;
    raw.labels = source_.series()[row].labels;
    raw.drop_name = source_.series()[row].drop_name;
    return raw;
  }
  base::Status Keep(RawSeries raw) {
    RETURN_IF_ERROR(run_.Charge(static_cast<int64_t>(raw.times.size())));
    out_->push_back(std::move(raw));
    return {};
  }

  // anchored and smoothed give a point at both bounds.
  base::Status Extend(size_t row, const RangeRow& in) {
    const bool smoothed = source_.boundary() == Boundary::kSmoothed;
    if (in.histogram_count > 0) {
      return base::FailedPrecondition(std::string(smoothed ? "smoothed" : "anchored") +
                                      " modifier is not supported with histograms");
    }
    const model::Timestamp end = source_.map().time(0);
    const model::Timestamp begin = end - source_.range_ms();
    const model::Timestamp* t = in.times;
    const double* v = in.values;
    size_t last = in.count - 1;
    size_t first = static_cast<size_t>(std::upper_bound(t, t + last, begin) - t);
    first = first > 0 ? first - 1 : 0;
    if (smoothed) last = static_cast<size_t>(std::lower_bound(t, t + last, end) - t);
    if (t[last] <= begin) return {};
    const auto between = [&](size_t i, model::Timestamp at) {
      return v[i] + (v[i + 1] - v[i]) * static_cast<double>(at - t[i]) /
                        static_cast<double>(t[i + 1] - t[i]);
    };
    const double left = smoothed && t[first] < begin ? between(first, begin) : v[first];
    const double right =
        smoothed && last > 0 && t[last] > end ? between(last - 1, end) : v[last];
    RawSeries raw = Start(row);
    raw.times.push_back(begin);
    raw.values.push_back(left);
    for (size_t i = t[first] <= begin ? first + 1 : first; i <= last && t[i] < end; ++i) {
      raw.times.push_back(t[i]);
      raw.values.push_back(v[i]);
    }
    raw.times.push_back(end);
    raw.values.push_back(right);
    return Keep(std::move(raw));
  }

  Run& run_;
  const RangeSource& source_;
  std::vector<RawSeries>* out_;
};

}  // namespace

base::Result<std::unique_ptr<RangeSource>> MakeRangeSource(Run& run, const plan::Node& node,
                                                           const Grid* grid) {
  if (node.kind == plan::NodeKind::kRangeSelector) {
    auto source = std::make_unique<SelectorSource>(node, grid);
    RETURN_IF_ERROR(source->Init(run));
    return source;
  }
  if (node.kind == plan::NodeKind::kSubquery) {
    auto source = std::make_unique<SubquerySource>(node, grid);
    RETURN_IF_ERROR(source->Init(run, node));
    return source;
  }
  return base::Internal("promql exec: a range function over something else than a range");
}

base::Result<std::vector<RawSeries>> EvalRawRange(Run& run, const plan::Node& node,
                                                  const Grid* grid) {
  SampleCounts* const counts = run.counts();
  if (counts != nullptr) counts->RootIsRange();
  ASSIGN_OR_RETURN(std::unique_ptr<RangeSource> source, MakeRangeSource(run, node, grid));
  RETURN_IF_ERROR(source->Open(run));
  std::vector<RawSeries> out;
  RawCollector collector(run, *source, &out);
  RETURN_IF_ERROR(source->ForEach(run, {0, 1}, collector));
  return out;
}

}  // namespace tocsin::promql::exec
