// Binary operators with a scalar on at least one side; those of two vectors are made elsewhere.

#include <cmath>

#include "promql/exec/binary_element.h"
#include "promql/exec/label_ops.h"
#include "promql/exec/operator.h"

namespace tocsin::promql::exec {
namespace {

class ScalarBinaryOperator : public Operator {
 public:
  ScalarBinaryOperator(const plan::Node& node, const Grid* grid, OperatorPtr left,
                       OperatorPtr right)
      : Operator(node, grid), left_(std::move(left)), right_(std::move(right)) {
    series_.emplace_back();
  }
  base::Status Open(Run& run) override {
    RETURN_IF_ERROR(left_->Open(run));
    return right_->Open(run);
  }
  base::Status Eval(Run& run, StepSpan span, Block* out) override {
    RETURN_IF_ERROR(left_->Eval(run, span, out));
    RETURN_IF_ERROR(right_->Eval(run, span, &right_block_));
    const BinaryOp op = As<Binary>(*node_.expr).op;
    double* v = out->values(0);
    const double* w = right_block_.values(0);
    for (size_t s = 0; s < span.count; ++s) v[s] = plan::ScalarBinary(op, v[s], w[s]);
    return {};
  }

 private:
  OperatorPtr left_;
  OperatorPtr right_;
  Block right_block_;
};

class VectorScalarOperator : public Operator, private RowPieces {
 public:
  // `swapped`: the scalar is on the left.
  VectorScalarOperator(const plan::Node& node, const Grid* grid, OperatorPtr vector,
                       OperatorPtr scalar, bool swapped)
      : Operator(node, grid),
        binary_(As<Binary>(*node.expr)),
        vector_(std::move(vector)),
        scalar_(std::move(scalar)),
        swapped_(swapped) {}

  base::Status Open(Run& run) override {
    RETURN_IF_ERROR(scalar_->Open(run));
    RETURN_IF_ERROR(vector_->Open(run));
    series_ = vector_->series();
    if (!ChangesMeaning(binary_.op) && !binary_.return_bool) return {};
    for (Series& s : series_) s.drop_name = true;
    if (!run.options().delayed_name_removal) {
      merge_.BuildWithoutMetadata(std::move(series_), &run.arena(), &series_);
    }
    return {};
  }

  base::Status Eval(Run& run, StepSpan span, Block* out) override {
    RETURN_IF_ERROR(scalar_->Eval(run, span, &scalar_block_));
    Block* block = merge_.injective() ? out : &before_merge_;
    RETURN_IF_ERROR(vector_->Eval(run, span, block));
    RETURN_IF_ERROR(Combine(run, block));
    if (merge_.injective()) return {};
    return merge_.Apply(before_merge_, series_.size(), out);
  }

  RowPieces* pieces() override {
    return merge_.injective() && HasPlainParameters(node_) && vector_->pieces() != nullptr ? this : nullptr;
  }

 private:
  base::Status BeginPieces(Run& run, StepSpan span) override {
    RETURN_IF_ERROR(scalar_->Eval(run, span, &scalar_block_));
    return vector_->pieces()->BeginPieces(run, span);
  }
  std::unique_ptr<Scratch> NewScratch() const override { return vector_->pieces()->NewScratch(); }
  base::Status EvalRows(Run& piece, Scratch& scratch, StepSpan span, RowRange rows,
                        Block* out) const override {
    RETURN_IF_ERROR(vector_->pieces()->EvalRows(piece, scratch, span, rows, out));
    return Combine(piece, out);
  }
  void SeePiece(Run& run, const Block& block) override { vector_->pieces()->SeePiece(run, block); }

  base::Status Combine(Run& run, Block* block) const {
    const double* scalars = scalar_block_.values(0);
    if (block->has_histograms() || binary_.op == BinaryOp::kTrimLower ||
        binary_.op == BinaryOp::kTrimUpper) {
      AnyElements(run, scalars, block);
    } else if (IsComparison(binary_.op)) {
      Compare(scalars, block);
    } else {
      Compute(scalars, block);
    }
    return run.Stopped();
  }

  void Compute(const double* scalars, Block* block) const {
    for (size_t row = 0; row < block->rows(); ++row) {
      double* v = block->values(row);
      const size_t n = block->steps();
      // Absent cells are computed too: cheaper than asking.
      WithArithmetic(binary_.op, [&](auto op) {
        if (swapped_) {
          for (size_t s = 0; s < n; ++s) v[s] = op(scalars[s], v[s]);
        } else {
          for (size_t s = 0; s < n; ++s) v[s] = op(v[s], scalars[s]);
        }
      });
    }
  }

  void Compare(const double* scalars, Block* block) const {
    for (size_t row = 0; row < block->rows(); ++row) {
      double* v = block->values(row);
      uint8_t* cells = block->cells(row);
      for (size_t s = 0; s < block->steps(); ++s) {
        const bool keep = swapped_ ? CompareFloats(binary_.op, scalars[s], v[s])
                                   : CompareFloats(binary_.op, v[s], scalars[s]);
        if (binary_.return_bool) {
          v[s] = keep ? 1 : 0;
        } else if (!keep) {
          cells[s] = kAbsent;
        }
      }
    }
  }

  // Histograms are among the elements.
  void AnyElements(Run& run, const double* scalars, Block* block) const {
    for (size_t row = 0; row < block->rows(); ++row) {
      if (!run.Spend(Run::kCellsAHistogram * block->steps())) return;
      uint8_t* cells = block->cells(row);
      for (size_t s = 0; s < block->steps(); ++s) {
        if (cells[s] == kAbsent) continue;
        const Element scalar{scalars[s], nullptr};
        Element vector{block->values(row)[s], nullptr};
        if (cells[s] == kHistogram) vector.h = block->histogram(row, s);
        const ElementResult r =
            swapped_ ? BinaryElement(run.annotations(), binary_.op, scalar, vector, node_.pos)
                     : BinaryElement(run.annotations(), binary_.op, vector, scalar, node_.pos);
        if (r.incompatible) {
          cells[s] = kAbsent;
          continue;
        }
        Element result = r.value;
        if (IsComparison(binary_.op) && swapped_) result = vector;
        bool keep = r.keep;
        if (binary_.return_bool) {
          result = {keep ? 1.0 : 0.0, nullptr};
          keep = true;
        }
        if (!keep) {
          cells[s] = kAbsent;
        } else if (result.h) {
          block->SetHistogram(row, s, std::move(result.h));
        } else {
          block->SetFloat(row, s, result.v);
        }
      }
    }
  }

  const Binary& binary_;
  OperatorPtr vector_;
  OperatorPtr scalar_;
  const bool swapped_;
  Block scalar_block_;
  RowMerge merge_;
  Block before_merge_;
};

}  // namespace

base::Result<OperatorPtr> MakeBinary(Run& run, const plan::Node& node, const Grid* grid) {
  const bool left_scalar = node.inputs[0]->type == ValueType::kScalar;
  const bool right_scalar = node.inputs[1]->type == ValueType::kScalar;
  if (!left_scalar && !right_scalar) {
    return IsSetOp(As<Binary>(*node.expr).op) ? MakeSetOperator(run, node, grid)
                                              : MakeVectorBinary(run, node, grid);
  }
  ASSIGN_OR_RETURN(OperatorPtr left, MakeOperator(run, *node.inputs[0], grid));
  ASSIGN_OR_RETURN(OperatorPtr right, MakeOperator(run, *node.inputs[1], grid));
  if (left_scalar && right_scalar) {
    return std::make_unique<ScalarBinaryOperator>(node, grid, std::move(left), std::move(right));
  }
  if (left_scalar) {
    return std::make_unique<VectorScalarOperator>(node, grid, std::move(right), std::move(left),
                                                  true);
  }
  return std::make_unique<VectorScalarOperator>(node, grid, std::move(left), std::move(right),
                                                false);
}

}  // namespace tocsin::promql::exec
