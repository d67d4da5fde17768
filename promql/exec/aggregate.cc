// sum, avg, count, min, max, group, stddev, stdvar and quantile: one row a group.
//
// 1. Groups are found once, from labels.
// 2. A block of floats is folded row after row into arrays of groups x steps.
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
  bool floats = false;
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
    RETURN_IF_ERROR(input_->Open(run));
    Groups groups = MakeGroups(run, *input_, node_.grouping, As<Aggregate>(*node_.expr).without);
    series_ = std::move(groups.series);
    group_ = std::move(groups.of_row);
    return {};
  }

  base::Status Eval(Run& run, StepSpan span, Block* out) override {
    if (parameter_) RETURN_IF_ERROR(parameter_->Eval(run, span, &parameter_block_));
    RETURN_IF_ERROR(in_.Eval(run, *input_, span));
    RETURN_IF_ERROR(run.Check());
    out->Reset(series_.size(), span.count);
    if (in_->has_histograms()) RETURN_IF_ERROR(Histograms(run, span));
    switch (op_) {
      case AggregateOp::kSum: Sum(out); break;
      case AggregateOp::kAvg: Average(run, out); break;
      case AggregateOp::kCount: Count(out); break;
      case AggregateOp::kGroup: Group(out); break;
      case AggregateOp::kMin: Extreme(run, out, [](double a, double b) { return a < b; }); break;
      case AggregateOp::kMax: Extreme(run, out, [](double a, double b) { return a > b; }); break;
      case AggregateOp::kStddev:
      case AggregateOp::kStdvar: Variance(run, out); break;
      default: Quantile(run, span, out); break;
    }
    if (in_->has_histograms()) FinishHistograms(run, out);
    in_.Drop(run);
    return run.Stopped();
  }

 private:
  bool takes_histograms() const { return op_ == AggregateOp::kSum || op_ == AggregateOp::kAvg; }
  ByteRange input_pos() const { return node_.inputs[0]->pos; }

  // fn(group cell index, value) for each float, as long as somebody waits for it.
  template <class Fn>
  void ForFloats(Run& run, Fn&& fn) {
    const size_t steps = in_->steps();
    for (size_t row = 0; row < in_->rows(); ++row) {
      if (!run.Spend(steps)) return;
      const size_t base = size_t{group_[row]} * steps;
      const double* v = in_->values(row);
      const uint8_t* cells = in_->cells(row);
      for (size_t s = 0; s < steps; ++s) {
        if (cells[s] == kFloat) fn(base + s, v[s]);
      }
    }
  }

  bool AllFloats(size_t row) {
    const uint8_t* cells = in_->cells(row);
    const size_t steps = in_->steps();
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
  void AddAll(Block* out) {
    const size_t steps = in_->steps();
    compensation_.assign(out->cell_count(), 0);
    groups_.assign(series_.size(), GroupState{});
    for (size_t row = 0; row < in_->rows(); ++row) {
      const size_t g = group_[row];
      GroupState& state = groups_[g];
      const double* v = in_->values(row);
      double* sums = out->values(g);
      double* c = compensation_.data() + g * steps;
      uint8_t* to = out->cells(g);
      const bool whole = AllFloats(row);
      if (whole && state.rows == 0) {
        std::copy(v, v + steps, sums);
        std::fill(to, to + steps, kFloat);
        state.full = true;
      } else if (whole && state.full) {
        AddRow(v, steps, sums, c);
      } else {
        const uint8_t* cells = in_->cells(row);
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

  void Sum(Block* out) {
    AddAll(out);
    if (out->cell_count() == 0) return;
    double* sums = out->values(0);
    const double* c = compensation_.data();
    for (size_t i = 0; i < out->cell_count(); ++i) sums[i] += c[i];
  }

  // Sums of rows without gaps, whole.  False: a row has some, or a sum left the numbers, be it to come back
  // as NaN from an infinity.
  bool SumsToAverage(Block* out) {
    for (size_t row = 0; row < in_->rows(); ++row) {
      if (!AllFloats(row)) return false;
    }
    AddAll(out);
    const double* sums = out->values(0);
    return std::all_of(sums, sums + out->cell_count(), [](double v) { return std::isfinite(v); });
  }

  void Average(Run& run, Block* out) {
    if (out->cell_count() == 0) return;
    if (!SumsToAverage(out)) {
      out->Reset(out->rows(), out->steps());
      means_.assign(out->cell_count(), Mean{});
      ForFloats(run, [&](size_t at, double v) { means_[at].Add(v); });
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

  void Count(Block* out) {
    const size_t steps = in_->steps();
    groups_.assign(series_.size(), GroupState{});
    counts_.assign(out->cell_count(), 0);
    for (size_t row = 0; row < in_->rows(); ++row) {
      if (AllFloats(row)) {
        ++groups_[group_[row]].rows;
        continue;
      }
      const uint8_t* cells = in_->cells(row);
      uint32_t* counts = counts_.data() + size_t{group_[row]} * steps;
      for (size_t s = 0; s < steps; ++s) counts[s] += cells[s] != kAbsent;
    }
    for (size_t g = 0; g < groups_.size(); ++g) {
      const uint32_t* counts = counts_.data() + g * steps;
      for (size_t s = 0; s < steps; ++s) {
        const size_t count = groups_[g].rows + counts[s];
        if (count > 0) out->SetFloat(g, s, static_cast<double>(count));
      }
    }
  }

  void Group(Block* out) {
    const size_t steps = in_->steps();
    for (size_t row = 0; row < in_->rows(); ++row) {
      const uint8_t* cells = in_->cells(row);
      for (size_t s = 0; s < steps; ++s) {
        if (cells[s] != kAbsent) out->SetFloat(group_[row], s, 1);
      }
    }
  }

  template <class Better>
  void Extreme(Run& run, Block* out, Better better) {
    if (out->cell_count() == 0) return;
    double* best = out->values(0);
    uint8_t* cells = out->cells(0);
    ForFloats(run, [&](size_t at, double v) {
      if (cells[at] == kAbsent || better(v, best[at]) || std::isnan(best[at])) {
        cells[at] = kFloat;
        best[at] = v;
      }
    });
  }

  void Variance(Run& run, Block* out) {
    spreads_.assign(out->cell_count(), Spread{});
    ForFloats(run, [&](size_t at, double v) { spreads_[at].Add(v); });
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

  // Folds the histograms of the block, or notes that they are ignored.
  base::Status Histograms(Run& run, StepSpan span) {
    histogram_groups_.clear();
    if (op_ == AggregateOp::kCount || op_ == AggregateOp::kGroup) return {};
    if (takes_histograms()) histogram_groups_.resize(series_.size() * span.count);
    for (size_t row = 0; row < in_->rows(); ++row) {
      RETURN_IF_ERROR(run.Spend(Run::kCellsAHistogram * span.count));
      for (size_t s = 0; s < span.count; ++s) {
        const uint8_t cell = in_->cells(row)[s];
        if (cell == kAbsent) continue;
        if (!takes_histograms()) {
          if (cell == kHistogram) {
            run.annotations().HistogramIgnoredInAggregation(AggregateOpName(op_), input_pos());
          }
          continue;
        }
        HistogramGroup& g = histogram_groups_[size_t{group_[row]} * span.count + s];
        if (cell == kFloat) {
          g.floats = true;
        } else if (!g.incompatible) {
          AddHistogram(run, *in_->histogram(row, s), input_->series()[row].labels, &g);
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

  void FinishHistograms(Run& run, Block* out) {
    for (size_t i = 0; i < histogram_groups_.size(); ++i) {
      HistogramGroup& g = histogram_groups_[i];
      if (!g.sum) continue;
      if (g.floats) {
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
