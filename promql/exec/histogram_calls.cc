// histogram_quantile(), histogram_quantiles() and histogram_fraction(): classic buckets are grouped by
// their labels without le, once; a native histogram has a row of its own.

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <cmath>

#include "base/number.h"
#include "promql/exec/bucket_quantile.h"
#include "promql/exec/histogram_math.h"
#include "promql/exec/label_ops.h"
#include "promql/exec/operator.h"

namespace tocsin::promql::exec {
namespace {

using plan::Function;

// OpenMetrics's form of a number: always with a fraction or an exponent.
std::string OpenMetricsNumber(double v) {
  std::string text = base::FormatG(v);
  if (std::isfinite(v) && text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

class HistogramCallOperator : public Operator {
 public:
  HistogramCallOperator(const plan::Node& node, const Grid* grid) : Operator(node, grid) {}

  base::Status Init(Run& run, const Grid* grid) {
    const Function f = node_.function;
    // Its label sets have the values of its parameters.
    if (f == Function::kHistogramQuantiles) run.MarkUnkeepable();
    vector_at_ = f == Function::kHistogramQuantiles ? 0 : f == Function::kHistogramFraction ? 2 : 1;
    for (size_t i = 0; i < node_.inputs.size(); ++i) {
      if (node_.inputs[i]->type == ValueType::kString) continue;
      ASSIGN_OR_RETURN(OperatorPtr op, MakeOperator(run, *node_.inputs[i], grid));
      if (i == vector_at_) {
        input_ = std::move(op);
      } else {
        parameters_.push_back(std::move(op));
        parameter_pos_.push_back(node_.inputs[i]->pos);
      }
    }
    parameter_blocks_.resize(parameters_.size());
    return {};
  }

  base::Status Open(Run& run) override {
    for (const OperatorPtr& op : parameters_) RETURN_IF_ERROR(op->Open(run));
    RETURN_IF_ERROR(input_->Open(run));
    RETURN_IF_ERROR(FindGroups(run));
    if (node_.function == Function::kHistogramQuantiles) RETURN_IF_ERROR(FindQuantiles(run));
    SeriesTable all;
    const bool now = !run.options().delayed_name_removal;
    const size_t repeat = quantiles_.empty() ? 1 : quantiles_.size();
    for (size_t k = 0; k < repeat; ++k) {
      for (const Group& g : groups_) {
        model::LabelsView labels = now ? DropMetadata(g.labels, &run.arena()) : g.labels;
        if (!quantiles_.empty()) {
          model::LabelsBuilder builder(labels);
          builder.Set(As<StringLiteral>(*node_.inputs[1]->expr).value,
                      OpenMetricsNumber(quantiles_[k]));
          labels = run.arena().Store(builder.Build().view().encoded());
        }
        all.push_back({labels, true});
      }
    }
    merge_.Build(all, &series_);
    return {};
  }

  base::Status Eval(Run& run, StepSpan span, Block* out) override {
    for (size_t i = 0; i < parameters_.size(); ++i) {
      RETURN_IF_ERROR(parameters_[i]->Eval(run, span, &parameter_blocks_[i]));
    }
    RETURN_IF_ERROR(block_.Eval(run, *input_, span));
    Block* to = merge_.injective() ? out : &before_merge_;
    const size_t repeat = quantiles_.empty() ? 1 : quantiles_.size();
    to->Reset(groups_.size() * repeat, span.count);
    for (size_t s = 0; s < span.count; ++s) {
      CheckParameters(run, s);
      RETURN_IF_ERROR(NoteBadBuckets(run, s));
      for (size_t g = 0; g < groups_.size(); ++g) {
        RETURN_IF_ERROR(run.Spend(Run::kCellsAHistogram));
        RETURN_IF_ERROR(EvalGroup(run, grid_.time(span.first + s), s, g, to));
      }
    }
    block_.Drop(run);
    if (merge_.injective()) return {};
    return merge_.Apply(before_merge_, series_.size(), out);
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Group {
    model::LabelsView labels;
    uint32_t native = kNone;        // row
    std::vector<uint32_t> buckets;  // rows, by bound
  };

  base::Status FindGroups(Run& run) {
    const SeriesTable& in = input_->series();
    bounds_.assign(in.size(), 0);
    absl::flat_hash_map<std::string, uint32_t> by_labels;
    const std::vector<std::string> le = {std::string(model::kBucketLabel)};
    std::string key;
    for (uint32_t row = 0; row < in.size(); ++row) {
      RETURN_IF_ERROR(run.Spend(Run::kCellsALabelSet));
      const std::string_view text = in[row].labels.Get(model::kBucketLabel);
      auto bound = base::ParseFloat(text);
      const bool classic = !text.empty() && bound.has_value();
      key.clear();
      if (classic) {
        bounds_[row] = *bound;
        EncodeWithout(in[row].labels, le, &key);
      } else {
        key = in[row].labels.encoded();
        unbounded_.push_back(row);
      }
      auto [it, fresh] = by_labels.try_emplace(key, static_cast<uint32_t>(groups_.size()));
      if (fresh) groups_.push_back({.labels = run.arena().Store(key), .buckets = {}});
      Group& g = groups_[it->second];
      if (classic) {
        g.buckets.push_back(row);
      } else {
        g.native = row;
      }
    }
    for (Group& g : groups_) {
      std::ranges::stable_sort(g.buckets, {}, [&](uint32_t row) { return bounds_[row]; });
    }
    return {};
  }

  // The labels of histogram_quantiles() depend on its parameters: all their values are looked at first.
  base::Status FindQuantiles(Run& run) {
    const auto steps = static_cast<int64_t>(grid_.count);
    if (steps > run.options().max_samples) return run.Charge(steps);
    Block block;
    for (const OperatorPtr& op : parameters_) {
      RETURN_IF_ERROR(op->Eval(run, {0, grid_.count}, &block));
      for (size_t s = 0; s < grid_.count; ++s) {
        const double q = block.values(0)[s];
        if (QuantileIndex(q) == quantiles_.size()) quantiles_.push_back(q);
      }
    }
    return {};
  }
  size_t QuantileIndex(double q) const {
    size_t i = 0;
    while (i < quantiles_.size() && quantiles_[i] != q &&
           !(std::isnan(q) && std::isnan(quantiles_[i]))) {
      ++i;
    }
    return i;
  }

  double Parameter(size_t i, size_t step) const { return parameter_blocks_[i].values(0)[step]; }

  void CheckParameters(Run& run, size_t step) {
    if (node_.function == Function::kHistogramFraction) return;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      const double q = Parameter(i, step);
      if (!(q >= 0 && q <= 1)) run.annotations().InvalidQuantile(q, parameter_pos_[i]);
    }
  }

  ByteRange vector_pos() const { return node_.inputs[vector_at_]->pos; }
  std::string_view MetricForNotes(const Run& run, model::LabelsView labels) const {
    return run.options().delayed_name_removal ? labels.MetricName() : std::string_view();
  }

  base::Status NoteBadBuckets(Run& run, size_t step) {
    for (uint32_t row : unbounded_) {
      if (block_->cells(row)[step] != kFloat) continue;
      const model::LabelsView labels = input_->series()[row].labels;
      run.annotations().BadBucketLabel(MetricForNotes(run, labels),
                                       labels.Get(model::kBucketLabel), vector_pos());
    }
    return {};
  }

  base::Status EvalGroup(Run& run, model::Timestamp t, size_t step, size_t g, Block* out) {
    const Group& group = groups_[g];
    const std::string_view metric = MetricForNotes(run, group.labels);
    buckets_.clear();
    bool mixed = false;
    for (uint32_t row : group.buckets) {
      const uint8_t cell = block_->cells(row)[step];
      if (cell == kFloat) buckets_.push_back({bounds_[row], block_->values(row)[step]});
      mixed = mixed || cell == kHistogram;
    }
    const bool native = group.native != kNone && block_->cells(group.native)[step] == kHistogram;
    if (mixed || (native && !buckets_.empty())) {
      run.annotations().MixedClassicNative(metric, vector_pos());
      return {};
    }
    if (!native && buckets_.empty()) return {};
    const model::Histogram* h = native ? block_->histogram(group.native, step).get() : nullptr;
    if (node_.function == Function::kHistogramFraction) {
      const double lower = Parameter(0, step);
      const double upper = Parameter(1, step);
      out->SetFloat(g, step,
                    native ? HistogramFraction(lower, upper, *h, metric, vector_pos(),
                                               &run.annotations())
                           : BucketFraction(lower, upper, &buckets_));
      return {};
    }
    if (node_.function == Function::kHistogramQuantile) {
      out->SetFloat(g, step, Quantile(run, Parameter(0, step), h, t, metric));
      return {};
    }
    const std::vector<ClassicBucket> all = buckets_;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      buckets_ = all;
      const double q = Parameter(i, step);
      const size_t row = QuantileIndex(q) * groups_.size() + g;
      if (out->cells(row)[step] != kAbsent) return SameLabelset();
      out->SetFloat(row, step, Quantile(run, q, h, t, metric));
    }
    return {};
  }

  // Of `h`, or of buckets_ if it is null.
  double Quantile(Run& run, double q, const model::Histogram* h, model::Timestamp t,
                  std::string_view metric) {
    if (h != nullptr) return HistogramQuantile(q, *h, metric, vector_pos(), &run.annotations());
    ForcedBuckets forced;
    const double v = BucketQuantile(q, &buckets_, &forced);
    if (forced.forced) {
      run.annotations().ForcedMonotonicity(
          metric,
          {.t = t,
           .min_bucket = forced.min_bucket,
           .max_bucket = forced.max_bucket,
           .max_diff = forced.max_diff},
          vector_pos());
    }
    return v;
  }

  size_t vector_at_ = 0;
  OperatorPtr input_;
  std::vector<OperatorPtr> parameters_;
  std::vector<ByteRange> parameter_pos_;
  std::vector<Block> parameter_blocks_;
  HeldBlock block_;
  std::vector<double> bounds_;       // by row
  std::vector<uint32_t> unbounded_;  // rows without a readable le
  std::vector<Group> groups_;
  std::vector<double> quantiles_;    // histogram_quantiles(): each once
  std::vector<ClassicBucket> buckets_;
  RowMerge merge_;
  Block before_merge_;
};

}  // namespace

base::Result<OperatorPtr> MakeHistogramCall(Run& run, const plan::Node& node, const Grid* grid) {
  auto op = std::make_unique<HistogramCallOperator>(node, grid);
  RETURN_IF_ERROR(op->Init(run, grid));
  return op;
}

}  // namespace tocsin::promql::exec
