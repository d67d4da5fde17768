// count_values: a series for each value that a group has.

#include <bit>

#include "base/number.h"
#include "promql/exec/grouping.h"
#include "promql/exec/late_rows.h"

namespace tocsin::promql::exec {
namespace {

class CountValuesOperator : public LateRowsOperator {
 public:
  CountValuesOperator(Run& run, const plan::Node& node, const Grid* grid, OperatorPtr input)
      : LateRowsOperator(run, node, grid),
        label_(As<StringLiteral>(*node.inputs[1]->expr).value),
        input_(std::move(input)) {}

  const std::string& label() const { return label_; }

  base::Status Open(Run& run) override {
    RETURN_IF_ERROR(input_->Open(run));
    const bool without = As<Aggregate>(*node_.expr).without;
    // The groups but for the new label.
    std::vector<std::string> names = node_.grouping;
    const bool named = std::ranges::find(names, label_) != names.end();
    keep_label_ = !(without && named);
    if (without && !named) names.push_back(label_);
    if (!without) std::erase(names, label_);
    groups_ = MakeGroups(run, input_->series(), SortedUnique(std::move(names)), without);
    return ForSpans(run, input_->series().size(), [&](StepSpan span) -> base::Status {
      RETURN_IF_ERROR(in_.Eval(run, *input_, span));
      for (size_t s = 0; s < span.count; ++s) RETURN_IF_ERROR(CountStep(run, span.first, s));
      in_.Drop(run);
      return {};
    });
  }

 private:
  base::Status CountStep(Run& run, size_t first, size_t s) {
    for (size_t row = 0; row < in_->rows(); ++row) {
      RETURN_IF_ERROR(run.Spend(16));
      const uint8_t cell = in_->cells(row)[s];
      if (cell == kAbsent) continue;
      RETURN_IF_ERROR(Count(run, RowOf(run, row, s, cell == kHistogram), first + s));
    }
    return {};
  }

  uint32_t RowOf(Run& run, size_t row, size_t s, bool histogram) {
    const uint32_t group = groups_.of_row[row];
    const double v = in_->values(row)[s];
    if (!histogram) {
      // NaN of any kind is one value.
      const uint64_t bits = v != v ? model::kNormalNanBits : std::bit_cast<uint64_t>(v);
      auto [it, fresh] = by_value_.try_emplace(std::pair(group, bits), 0);
      if (fresh) it->second = MakeRow(run, group, base::FormatF(v));
      return it->second;
    }
    return MakeRow(run, group, in_->histogram(row, s)->ToString());
  }

  uint32_t MakeRow(Run& run, uint32_t group, const std::string& value) {
    builder_.Reset(groups_.series[group].labels);
    if (keep_label_) builder_.Set(label_, value);
    return Row(run, builder_.Build().view().encoded(), false);
  }

  const std::string label_;
  OperatorPtr input_;
  HeldBlock in_;
  Groups groups_;
  bool keep_label_ = true;
  absl::flat_hash_map<std::pair<uint32_t, uint64_t>, uint32_t> by_value_;
  model::LabelsBuilder builder_;
};

}  // namespace

base::Result<OperatorPtr> MakeCountValues(Run& run, const plan::Node& node, const Grid* grid) {
  ASSIGN_OR_RETURN(OperatorPtr input, MakeOperator(run, *node.inputs[0], grid));
  auto op = std::make_unique<CountValuesOperator>(run, node, grid, std::move(input));
  if (!model::IsValidLabelName(op->label())) {
    return base::FailedPrecondition("invalid label name " + base::Quote(op->label()));
  }
  return op;
}

}  // namespace tocsin::promql::exec
