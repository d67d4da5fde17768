// sum, avg, count, min, max, group, stddev, stdvar and quantile: one row a group.
//
// 1. Groups are found once, from labels.
// 2. A block of floats is folded row after row into arrays of groups x steps: the input's whole table, or where
//    that is large piece after piece.
// 3. Histograms take part in sum, avg, count and group; the others note and skip them.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "promql/exec/grouping.h"
#include "promql/exec/histogram_math.h"
#include "promql/exec/kahan.h"
#include "promql/exec/lanes.h"
#include "promql/exec/range_kernels.h"

namespace tocsin::promql::exec {
namespace {

// The mean of Prometheus 3: a compensated sum, and from where that would overflow the mean itself.
struct Mean {
  double sum = 0;
  double c = 0;
  double mean = 0;
  double count = 0;
  bool incremental = false;

  void Add(double v) {
    ++count;
    if (count == 1) {
      sum = v;
      return;
    }
    if (!incremental) {
      double next = sum;
      double next_c = c;
      KahanAdd(v, &next, &next_c);
      if (!std::isinf(next)) {
        sum = next;
        c = next_c;
        return;
      }
      incremental = true;
      mean = sum / (count - 1);
      c /= count - 1;
    }
    const double q = (count - 1) / count;
    mean *= q;
    c *= q;
    KahanAdd(v / count, &mean, &c);
  }
  double Value() const { return incremental ? mean + c : sum / count + c / count; }
};

// Welford's variance.
struct Spread {
  double mean = 0;
  double m2 = 0;
  double count = 0;

  void Add(double v) {
    ++count;
    if (count == 1) {
      mean = v;
      m2 = std::isfinite(v) ? 0 : std::nan("");
      return;
    }
    const double delta = v - mean;
    mean += delta / count;
    m2 += delta * (v - mean);
  }
};

// Of one group at one step, with histograms.
struct HistogramGroup {
  std::unique_ptr<HistogramSum> sum;
  double count = 0;
  bool incompatible = false;
  bool incremental = false;
  bool reset = false;
  bool not_reset = false;
};

// Of one group, over a block.
struct GroupState {
  size_t rows = 0;
  bool full = false;  // has a float at every step
};

class AggregateOperator : public Operator {
 public:
  AggregateOperator(const plan::Node& node, const Grid* grid, OperatorPtr input,
                    OperatorPtr parameter)
      : Operator(node, grid),
        op_(As<Aggregate>(*node.expr).op),
        input_(std::move(input)),
        parameter_(std::move(parameter)) {}

  base::Status Open(Run& run) override {
    if (parameter_) RETURN_IF_ERROR(parameter_->Open(run));
    if (!run.options().delayed_name_removal) input_->LeaveLabels();
    const size_t widest = run.widest();
    RETURN_IF_ERROR(input_->Open(run));
    if (FoldsPieces() && IsWorthCutting(run, input_->series().size(), grid_.count)) pieces_ = input_->pieces();
    if (pieces_ != nullptr) run.ForgetRows(widest);
    Groups groups = MakeGroups(run, *input_, node_.grouping, As<Aggregate>(*node_.expr).without);
    series_ = std::move(groups.series);
    group_ = std::move(groups.of_row);
    run.NoteRows(series_.size());
    return {};
  }

  base::Status Eval(Run& run, StepSpan span, Block* out) override {
    if (parameter_) RETURN_IF_ERROR(parameter_->Eval(run, span, &parameter_block_));
    if (pieces_ != nullptr) {
      Begin(span, out);
      const auto fold = [&](RowRange rows, Block& block) -> base::Status {
        const auto present = static_cast<int64_t>(block.CountPresent());
        RETURN_IF_ERROR(run.Charge(present));
        RETURN_IF_ERROR(Fold(run, {block, group_.data() + rows.first, rows.first}, out));
        run.Release(present);
        return {};
      };
      RETURN_IF_ERROR(ForEachPiece(run, *pieces_, group_.size(), span, fold));
      Finish(run, out);
      return run.Stopped();
    }
    RETURN_IF_ERROR(in_.Eval(run, *input_, span));
    RETURN_IF_ERROR(run.Check());
    const Part whole{*in_, group_.data(), 0};
    if (FoldsPieces()) {
      Begin(span, out);
      RETURN_IF_ERROR(Fold(run, whole, out));
      Finish(run, out);
    } else {
      out->Reset(series_.size(), span.count);
      histogram_groups_.clear();
      if (in_->has_histograms()) RETURN_IF_ERROR(Histograms(run, whole));
      if (op_ == AggregateOp::kAvg) {
        Average(run, whole, out);
      } else {
        Quantile(run, span, out);
      }
      FinishHistograms(run, out);
    }
    in_.Drop(run);
    return run.Stopped();
  }

 private:
  // Rows of the input: all, or those of a piece.
  struct Part {
    const Block& in;
    const uint32_t* group;  // of each row
    size_t first;           // of the rows among the input's
  };

  bool takes_histograms() const { return op_ == AggregateOp::kSum || op_ == AggregateOp::kAvg; }
  ByteRange input_pos() const { return node_.inputs[0]->pos; }

  // avg has to see all rows before it knows how to add them, quantile all values of a step.
  bool FoldsPieces() const { return op_ != AggregateOp::kAvg && op_ != AggregateOp::kQuantile; }

  // Begin(), Fold() for the parts in the order of rows, Finish().
  void Begin(StepSpan span, Block* out) {
    out->Reset(series_.size(), span.count);
    histogram_groups_.clear();
    switch (op_) {
      case AggregateOp::kSum: BeginSums(*out); break;
      case AggregateOp::kCount:
        groups_.assign(series_.size(), GroupState{});
        counts_.assign(out->cell_count(), 0);
        break;
      case AggregateOp::kStddev:
      case AggregateOp::kStdvar: spreads_.assign(out->cell_count(), Spread{}); break;
      default: break;
    }
  }

  base::Status Fold(Run& run, const Part& part, Block* out) {
    if (part.in.has_histograms()) RETURN_IF_ERROR(Histograms(run, part));
    switch (op_) {
      case AggregateOp::kSum: AddAll(part, out); break;
      case AggregateOp::kCount: Count(part); break;
      case AggregateOp::kGroup: Group(part, out); break;
      case AggregateOp::kMin: Extreme(run, part, out, [](double a, double b) { return a < b; }); break;
      case AggregateOp::kMax: Extreme(run, part, out, [](double a, double b) { return a > b; }); break;
      default: ForFloats(run, part, [&](size_t at, double v) { spreads_[at].Add(v); }); break;
    }
    return {};
  }

  void Finish(Run& run, Block* out) {
    switch (op_) {
      case AggregateOp::kSum: FinishSums(out); break;
      case AggregateOp::kCount: FinishCounts(out); break;
      case AggregateOp::kStddev:
      case AggregateOp::kStdvar: FinishVariances(out); break;
      default: break;
    }
    FinishHistograms(run, out);
  }

  // fn(group cell index, value) for each float, as long as somebody waits for it.
  template <class Fn>
  static void ForFloats(Run& run, const Part& part, Fn&& fn) {
    const size_t steps = part.in.steps();
    for (size_t row = 0; row < part.in.rows(); ++row) {
      if (!run.Spend(steps)) return;
      const size_t base = size_t{part.group[row]} * steps;
      const double* v = part.in.values(row);
      const uint8_t* cells = part.in.cells(row);
      for (size_t s = 0; s < steps; ++s) {
        if (cells[s] == kFloat) fn(base + s, v[s]);
      }
    }
  }

  static bool AllFloats(const Block& in, size_t row) {
    const uint8_t* cells = in.cells(row);
    const size_t steps = in.steps();
    constexpr uint64_t kFloats = kFloat * uint64_t{0x0101010101010101};
    size_t s = 0;
    for (uint64_t eight; s + 8 <= steps; s += 8) {
      std::memcpy(&eight, cells + s, sizeof eight);
      if (eight != kFloats) return false;
    }
    while (s < steps && cells[s] == kFloat) ++s;
    return s == steps;
  }

  // Rows with a float at every step go in whole, as long as the group has one at every step too.
  void BeginSums(const Block& out) {
    compensation_.assign(out.cell_count(), 0);
    groups_.assign(series_.size(), GroupState{});
  }
  void AddAll(const Part& part, Block* out) {
    const size_t steps = part.in.steps();
    for (size_t row = 0; row < part.in.rows(); ++row) {
      const size_t g = part.group[row];
      GroupState& state = groups_[g];
      const double* v = part.in.values(row);
      double* sums = out->values(g);
      double* c = compensation_.data() + g * steps;
      uint8_t* to = out->cells(g);
      const bool whole = AllFloats(part.in, row);
      if (whole && state.rows == 0) {
        std::copy(v, v + steps, sums);
        std::fill(to, to + steps, kFloat);
        state.full = true;
      } else if (whole && state.full) {
        AddRow(v, steps, sums, c);
      } else {
        const uint8_t* cells = part.in.cells(row);
        for (size_t s = 0; s < steps; ++s) {
          if (cells[s] != kFloat) continue;
          if (to[s] == kAbsent) {
            to[s] = kFloat;
            sums[s] = v[s];
          } else {
            KahanAdd(v[s], &sums[s], &c[s]);
          }
        }
      }
      ++state.rows;
    }
  }

  void FinishSums(Block* out) {
    if (out->cell_count() == 0) return;
    double* sums = out->values(0);
    const double* c = compensation_.data();
    for (size_t i = 0; i < out->cell_count(); ++i) sums[i] += c[i];
  }

  // Sums of rows without gaps, whole.  False: a row has some, or a sum left the numbers, be it to come back
  // as NaN from an infinity.
  bool SumsToAverage(const Part& whole, Block* out) {
    for (size_t row = 0; row < whole.in.rows(); ++row) {
      if (!AllFloats(whole.in, row)) return false;
    }
    BeginSums(*out);
    AddAll(whole, out);
    const double* sums = out->values(0);
    return std::all_of(sums, sums + out->cell_count(), [](double v) { return std::isfinite(v); });
  }

  void Average(Run& run, const Part& whole, Block* out) {
    if (out->cell_count() == 0) return;
    if (!SumsToAverage(whole, out)) {
      out->Reset(out->rows(), out->steps());
      means_.assign(out->cell_count(), Mean{});
      ForFloats(run, whole, [&](size_t at, double v) { means_[at].Add(v); });
      for (size_t i = 0; i < means_.size(); ++i) {
        if (means_[i].count > 0) out->SetFloat(0, i, means_[i].Value());
      }
      return;
    }
    for (size_t g = 0; g < groups_.size(); ++g) {
      double* v = out->values(g);
      const double* c = compensation_.data() + g * out->steps();
      const auto count = static_cast<double>(groups_[g].rows);
      for (size_t s = 0; s < out->steps(); ++s) v[s] = v[s] / count + c[s] / count;
    }
  }

  void Count(const Part& part) {
    const size_t steps = part.in.steps();
    for (size_t row = 0; row < part.in.rows(); ++row) {
      if (AllFloats(part.in, row)) {
        ++groups_[part.group[row]].rows;
        continue;
      }
      const uint8_t* cells = part.in.cells(row);
      uint32_t* counts = counts_.data() + size_t{part.group[row]} * steps;
      for (size_t s = 0; s < steps; ++s) counts[s] += cells[s] != kAbsent;
    }
  }

  void FinishCounts(Block* out) {
    const size_t steps = out->steps();
    for (size_t g = 0; g < groups_.size(); ++g) {
      const uint32_t* counts = counts_.data() + g * steps;
      for (size_t s = 0; s < steps; ++s) {
        const size_t count = groups_[g].rows + counts[s];
        if (count > 0) out->SetFloat(g, s, static_cast<double>(count));
      }
    }
  }

  static void Group(const Part& part, Block* out) {
    const size_t steps = part.in.steps();
    for (size_t row = 0; row < part.in.rows(); ++row) {
      const uint8_t* cells = part.in.cells(row);
      for (size_t s = 0; s < steps; ++s) {
        if (cells[s] != kAbsent) out->SetFloat(part.group[row], s, 1);
      }
    }
  }

  template <class Better>
  static void Extreme(Run& run, const Part& part, Block* out, Better better) {
    if (out->cell_count() == 0) return;
    double* best = out->values(0);
    uint8_t* cells = out->cells(0);
    ForFloats(run, part, [&](size_t at, double v) {
      if (cells[at] == kAbsent || better(v, best[at]) || std::isnan(best[at])) {
        cells[at] = kFloat;
        best[at] = v;
      }
    });
  }

  void FinishVariances(Block* out) {
    for (size_t i = 0; i < spreads_.size(); ++i) {
      if (spreads_[i].count == 0) continue;
      const double variance = spreads_[i].m2 / spreads_[i].count;
      out->SetFloat(0, i, op_ == AggregateOp::kStddev ? std::sqrt(variance) : variance);
    }
  }

  void Quantile(Run& run, StepSpan span, Block* out) {
    const double* q = parameter_block_.values(0);
    double highest = 1;
    double lowest = 0;
    bool nan = false;
    for (size_t s = 0; s < span.count; ++s) {
      nan = nan || std::isnan(q[s]);
      highest = std::max(highest, q[s]);
      lowest = std::min(lowest, q[s]);
    }
    const ByteRange pos = node_.inputs[1]->pos;
    if (nan) run.annotations().InvalidQuantile(std::nan(""), pos);
    if (highest > 1) run.annotations().InvalidQuantile(highest, pos);
    if (lowest < 0) run.annotations().InvalidQuantile(lowest, pos);
    for (size_t s = 0; s < span.count; ++s) {
      if (!run.Spend(4 * in_->rows())) return;
      values_.resize(series_.size());
      for (auto& v : values_) v.clear();
      for (size_t row = 0; row < in_->rows(); ++row) {
        if (in_->cells(row)[s] == kFloat) values_[group_[row]].push_back(in_->values(row)[s]);
      }
      for (size_t g = 0; g < values_.size(); ++g) {
        if (!values_[g].empty()) out->SetFloat(g, s, QuantileOf(q[s], &values_[g]));
      }
    }
  }

  // Folds the histograms of a block, or notes that they are ignored.
  base::Status Histograms(Run& run, const Part& part) {
    if (op_ == AggregateOp::kCount || op_ == AggregateOp::kGroup) return {};
    const size_t steps = part.in.steps();
    if (takes_histograms()) histogram_groups_.resize(series_.size() * steps);
    for (size_t row = 0; row < part.in.rows(); ++row) {
      RETURN_IF_ERROR(run.Spend(Run::kCellsAHistogram * steps));
      for (size_t s = 0; s < steps; ++s) {
        if (part.in.cells(row)[s] != kHistogram) continue;
        if (!takes_histograms()) {
          run.annotations().HistogramIgnoredInAggregation(AggregateOpName(op_), input_pos());
          continue;
        }
        HistogramGroup& g = histogram_groups_[size_t{part.group[row]} * steps + s];
        if (!g.incompatible) {
          AddHistogram(run, *part.in.histogram(row, s), input_->series()[part.first + row].labels, &g);
        }
      }
    }
    return {};
  }

  void AddHistogram(Run& run, const model::Histogram& h, model::LabelsView labels,
                    HistogramGroup* g) {
    g->reset = g->reset || h.counter_reset == model::CounterReset::kReset;
    g->not_reset = g->not_reset || h.counter_reset == model::CounterReset::kNotReset;
    ++g->count;
    if (!g->sum) {
      g->sum = std::make_unique<HistogramSum>(h);
      return;
    }
    HistogramSum::AddResult added;
    if (op_ == AggregateOp::kSum) {
      added = g->sum->Add(h);
    } else {
      if (!g->incremental) {
        auto next = std::make_unique<HistogramSum>(*g->sum);
        added = next->Add(h);
        if (added.compatible && next->HasOverflow()) {
          g->incremental = true;
          g->sum->Divide(g->count - 1);
        } else if (added.compatible) {
          g->sum = std::move(next);
        }
      }
      if (g->incremental) {
        g->sum->Multiply((g->count - 1) / g->count);
        added = g->sum->Add(*Divided(h, g->count));
      }
    }
    if (!added.compatible) {
      run.annotations().MixedExponentialCustom(labels.MetricName(), input_pos());
      g->incompatible = true;
    }
    if (added.reconciled) {
      run.annotations().MismatchedCustomBuckets(HistogramOperation::kAggregation, input_pos());
    }
  }

  // After the floats: a group that has any gives nothing.
  void FinishHistograms(Run& run, Block* out) {
    for (size_t i = 0; i < histogram_groups_.size(); ++i) {
      HistogramGroup& g = histogram_groups_[i];
      if (!g.sum) continue;
      if (out->cells(0)[i] == kFloat) {
        run.annotations().MixedFloatsHistogramsInAggregation(input_pos());
        out->cells(0)[i] = kAbsent;
        continue;
      }
      if (g.incompatible) continue;
      if (op_ == AggregateOp::kAvg && !g.incremental) g.sum->Divide(g.count);
      if (g.reset && g.not_reset) {
        run.annotations().CounterResetCollision(HistogramOperation::kAggregation, input_pos());
      }
      out->SetHistogram(0, i, g.sum->Build());
    }
    histogram_groups_.clear();
  }

  const AggregateOp op_;
  OperatorPtr input_;
  OperatorPtr parameter_;
  RowPieces* pieces_ = nullptr;  // of the input, where its table is not made
  std::vector<uint32_t> group_;
  HeldBlock in_;
  Block parameter_block_;
  std::vector<double> compensation_;
  std::vector<GroupState> groups_;
  std::vector<uint32_t> counts_;
  std::vector<Mean> means_;
  std::vector<Spread> spreads_;
  std::vector<std::vector<double>> values_;
  std::vector<HistogramGroup> histogram_groups_;  // groups x steps, with histograms only
};

}  // namespace

base::Result<OperatorPtr> MakeAggregate(Run& run, const plan::Node& node, const Grid* grid) {
  ASSIGN_OR_RETURN(OperatorPtr input, MakeOperator(run, *node.inputs[0], grid));
  OperatorPtr parameter;
  if (node.inputs.size() > 1) {
    ASSIGN_OR_RETURN(parameter, MakeOperator(run, *node.inputs[1], grid));
  }
  return std::make_unique<AggregateOperator>(node, grid, std::move(input), std::move(parameter));
}

}  // namespace tocsin::promql::exec
