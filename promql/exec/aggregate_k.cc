// topk, bottomk, limitk and limit_ratio: some of the input's rows, as they are.

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/number.h"
#include "promql/exec/grouping.h"

namespace tocsin::promql::exec {
namespace {

struct Candidate {
  double v;
  uint32_t row;
};

// container/heap's algorithms, so that of equal values the same stay as in Prometheus.  NaN is the
// first to go.
template <class Less>
class Heap {
 public:
  Heap(std::vector<Candidate>* items, Less less) : items_(*items), less_(less) {}
  void Push(Candidate c) {
    items_.push_back(c);
    size_t j = items_.size() - 1;
    while (j > 0) {
      const size_t parent = (j - 1) / 2;
      if (!less_(items_[j].v, items_[parent].v)) break;
      std::swap(items_[j], items_[parent]);
      j = parent;
    }
  }
  void ReplaceTop(Candidate c) {
    items_[0] = c;
    const size_t n = items_.size();
    size_t i = 0;
    while (2 * i + 1 < n) {
      size_t child = 2 * i + 1;
      if (child + 1 < n && less_(items_[child + 1].v, items_[child].v)) ++child;
      if (!less_(items_[child].v, items_[i].v)) break;
      std::swap(items_[i], items_[child]);
      i = child;
    }
  }

 private:
  std::vector<Candidate>& items_;
  Less less_;
};

class AggregateKOperator : public Operator {
 public:
  AggregateKOperator(const plan::Node& node, const Grid* grid, OperatorPtr input,
                     OperatorPtr parameter)
      : Operator(node, grid),
        op_(As<Aggregate>(*node.expr).op),
        input_(std::move(input)),
        parameter_(std::move(parameter)) {}

  base::Status Open(Run& run) override {
    RETURN_IF_ERROR(parameter_->Open(run));
    RETURN_IF_ERROR(input_->Open(run));
    series_ = input_->series();
    Groups groups = MakeGroups(run, series_, node_.grouping, As<Aggregate>(*node_.expr).without);
    group_ = std::move(groups.of_row);
    kept_.resize(groups.series.size());
    if (op_ == AggregateOp::kLimitRatio) {
      ratio_.resize(series_.size());
      for (size_t i = 0; i < series_.size(); ++i) {
        ratio_[i] = static_cast<double>(series_[i].labels.Hash()) / 18446744073709551615.0;
      }
    }
    return {};
  }

  base::Status Eval(Run& run, StepSpan span, Block* out) override {
    RETURN_IF_ERROR(parameter_->Eval(run, span, &parameter_block_));
    RETURN_IF_ERROR(in_.Eval(run, *input_, span));
    RETURN_IF_ERROR(run.Check());
    out->Reset(series_.size(), span.count);
    ASSIGN_OR_RETURN(const bool any, CheckParameter(run, span));
    std::vector<uint32_t> order;
    for (size_t s = 0; any && s < span.count; ++s) {
      RETURN_IF_ERROR(run.Spend(4 * in_->rows()));
      const double p = parameter_block_.values(0)[s];
      for (auto& k : kept_) k.clear();
      switch (op_) {
        case AggregateOp::kTopk: Extremes(run, p, s, Smaller); break;
        case AggregateOp::kBottomk: Extremes(run, p, s, Larger); break;
        case AggregateOp::kLimitk: FirstOnes(p, s); break;
        default: Ratio(p, s); break;
      }
      for (const auto& kept : kept_) {
        for (const Candidate& c : kept) {
          out->SetCell(c.row, s, *in_, c.row, s);
          if (grid_.count == 1) order.push_back(c.row);
        }
      }
    }
    out->order = std::move(order);
    in_.Drop(run);
    return {};
  }

 private:
  static bool Smaller(double a, double b) { return std::isnan(a) || a < b; }
  static bool Larger(double a, double b) { return std::isnan(a) || a > b; }

  // False: nothing is asked for at any step.
  base::Result<bool> CheckParameter(Run& run, StepSpan span) {
    const double* p = parameter_block_.values(0);
    double highest = -std::numeric_limits<double>::max();
    double lowest = std::numeric_limits<double>::max();
    bool nan = false;
    for (size_t s = 0; s < span.count; ++s) {
      nan = nan || std::isnan(p[s]);
      highest = std::max(highest, p[s]);
      lowest = std::min(lowest, p[s]);
    }
    if (op_ == AggregateOp::kLimitRatio) {
      if (!nan && highest == 0 && lowest == 0) return false;
      if (nan) return base::FailedPrecondition("Ratio value is NaN");
      const ByteRange pos = node_.inputs[1]->pos;
      if (highest > 1) run.annotations().InvalidRatio(highest, 1, pos);
      if (lowest < -1) run.annotations().InvalidRatio(lowest, -1, pos);
      return true;
    }
    if (!nan && highest < 1) return false;
    if (nan) return base::FailedPrecondition("Parameter value is NaN");
    constexpr double kLimit = 9223372036854775808.0;
    if (lowest <= -kLimit) {
      return base::FailedPrecondition("Scalar value " + base::FormatG(lowest) +
                                      " underflows int64");
    }
    if (highest >= kLimit) {
      return base::FailedPrecondition("Scalar value " + base::FormatG(highest) +
                                      " overflows int64");
    }
    return true;
  }

  size_t Limit(double p) const {
    const auto k = static_cast<int64_t>(p);
    return k < 1 ? 0 : std::min<size_t>(static_cast<size_t>(k), series_.size());
  }

  template <class Less>
  void Extremes(Run& run, double p, size_t s, Less less) {
    const size_t k = Limit(p);
    if (k == 0) return;
    for (uint32_t row = 0; row < in_->rows(); ++row) {
      const uint8_t cell = in_->cells(row)[s];
      if (cell == kAbsent) continue;
      if (cell == kHistogram) {
        run.annotations().HistogramIgnoredInAggregation(AggregateOpName(op_), node_.pos);
        continue;
      }
      std::vector<Candidate>& kept = kept_[group_[row]];
      Heap heap(&kept, less);
      const double v = in_->values(row)[s];
      if (kept.size() < k) {
        heap.Push({v, row});
      } else if (less(kept[0].v, v) && !(std::isnan(v) && std::isnan(kept[0].v))) {
        heap.ReplaceTop({v, row});
      }
    }
    for (auto& kept : kept_) {
      std::stable_sort(kept.begin(), kept.end(), [&](const Candidate& a, const Candidate& b) {
        return less(b.v, a.v) && !(std::isnan(a.v) && std::isnan(b.v));
      });
    }
  }

  void FirstOnes(double p, size_t s) {
    const size_t k = Limit(p);
    for (uint32_t row = 0; row < in_->rows(); ++row) {
      if (in_->cells(row)[s] == kAbsent || kept_[group_[row]].size() >= k) continue;
      kept_[group_[row]].push_back({0, row});
    }
  }

  void Ratio(double p, size_t s) {
    const double r = std::clamp(p, -1.0, 1.0);
    if (r == 0) return;
    for (uint32_t row = 0; row < in_->rows(); ++row) {
      if (in_->cells(row)[s] == kAbsent) continue;
      if (r > 0 ? ratio_[row] < r : ratio_[row] >= 1 + r) {
        kept_[group_[row]].push_back({0, row});
      }
    }
  }

  const AggregateOp op_;
  OperatorPtr input_;
  OperatorPtr parameter_;
  HeldBlock in_;
  Block parameter_block_;
  std::vector<uint32_t> group_;
  std::vector<std::vector<Candidate>> kept_;  // by group
  std::vector<double> ratio_;                 // limit_ratio: each series' place in [0, 1)
};

}  // namespace

base::Result<OperatorPtr> MakeAggregateK(Run& run, const plan::Node& node, const Grid* grid) {
  ASSIGN_OR_RETURN(OperatorPtr input, MakeOperator(run, *node.inputs[0], grid));
  ASSIGN_OR_RETURN(OperatorPtr parameter, MakeOperator(run, *node.inputs[1], grid));
  return std::make_unique<AggregateKOperator>(node, grid, std::move(input), std::move(parameter));
}

}  // namespace tocsin::promql::exec
