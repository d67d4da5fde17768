// and, or, unless: presence by match group and step.

#include "promql/exec/label_ops.h"
#include "promql/exec/matching.h"

namespace tocsin::promql::exec {
namespace {

class SetOperator : public Operator {
 public:
  SetOperator(const plan::Node& node, const Grid* grid, OperatorPtr left, OperatorPtr right)
      : Operator(node, grid),
        binary_(As<Binary>(*node.expr)),
        left_(std::move(left)),
        right_(std::move(right)) {}

  base::Status Open(Run& run) override {
    RETURN_IF_ERROR(left_->Open(run));
    RETURN_IF_ERROR(right_->Open(run));
    matches_.Build(run, left_->series(), right_->series(), *binary_.matching);
    if (binary_.op != BinaryOp::kOr) {
      series_ = left_->series();
      return {};
    }
    SeriesTable all = left_->series();
    all.insert(all.end(), right_->series().begin(), right_->series().end());
    merge_.Build(all, &series_);
    run.NoteRows(all.size());
    return {};
  }

  base::Status Eval(Run& run, StepSpan span, Block* out) override {
    if (binary_.op == BinaryOp::kOr) return Or(run, span, out);
    RETURN_IF_ERROR(left_->Eval(run, span, out));
    RETURN_IF_ERROR(right_block_.Eval(run, *right_, span));
    MarkPresent(*right_block_, [&](uint32_t row) { return matches_.right_group(row); });
    const bool keep_present = binary_.op == BinaryOp::kAnd;
    for (uint32_t row = 0; row < out->rows(); ++row) {
      uint8_t* cells = out->cells(row);
      const uint8_t* present = PresentIn(matches_.left_group(row), span.count);
      for (size_t s = 0; s < span.count; ++s) {
        if ((present[s] != 0) != keep_present) cells[s] = kAbsent;
      }
    }
    right_block_.Drop(run);
    return {};
  }

 private:
  template <class GroupOf>
  void MarkPresent(const Block& block, GroupOf group) {
    const size_t steps = block.steps();
    present_.assign(matches_.groups() * steps, 0);
    for (uint32_t row = 0; row < block.rows(); ++row) {
      const uint8_t* cells = block.cells(row);
      uint8_t* present = present_.data() + size_t{group(row)} * steps;
      for (size_t s = 0; s < steps; ++s) present[s] |= cells[s];
    }
  }
  const uint8_t* PresentIn(uint32_t group, size_t steps) const {
    return present_.data() + size_t{group} * steps;
  }

  base::Status Or(Run& run, StepSpan span, Block* out) {
    RETURN_IF_ERROR(left_block_.Eval(run, *left_, span));
    RETURN_IF_ERROR(right_block_.Eval(run, *right_, span));
    MarkPresent(*left_block_, [&](uint32_t row) { return matches_.left_group(row); });
    out->Reset(series_.size(), span.count);
    for (size_t row = 0; row < left_block_->rows(); ++row) {
      RETURN_IF_ERROR(Copy(*left_block_, row, merge_.target()[row], nullptr, out));
    }
    for (uint32_t row = 0; row < right_block_->rows(); ++row) {
      RETURN_IF_ERROR(Copy(*right_block_, row, merge_.target()[left_block_->rows() + row],
                           PresentIn(matches_.right_group(row), span.count), out));
    }
    left_block_.Drop(run);
    right_block_.Drop(run);
    return {};
  }

  // Cells of a row, but where `hidden` is set.
  base::Status Copy(Block& in, size_t row, size_t to, const uint8_t* hidden, Block* out) {
    const uint8_t* cells = in.cells(row);
    for (size_t s = 0; s < in.steps(); ++s) {
      if (cells[s] == kAbsent || (hidden != nullptr && hidden[s] != 0)) continue;
      if (out->cells(to)[s] != kAbsent) return SameLabelset();
      out->SetCell(to, s, in, row, s);
    }
    return {};
  }

  const Binary& binary_;
  OperatorPtr left_;
  OperatorPtr right_;
  Matches matches_;
  HeldBlock left_block_;
  HeldBlock right_block_;
  std::vector<uint8_t> present_;  // by match group and step
  RowMerge merge_;
};

}  // namespace

base::Result<OperatorPtr> MakeSetOperator(Run& run, const plan::Node& node, const Grid* grid) {
  ASSIGN_OR_RETURN(OperatorPtr left, MakeOperator(run, *node.inputs[0], grid));
  ASSIGN_OR_RETURN(OperatorPtr right, MakeOperator(run, *node.inputs[1], grid));
  return std::make_unique<SetOperator>(node, grid, std::move(left), std::move(right));
}

}  // namespace tocsin::promql::exec
