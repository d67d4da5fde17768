// Arithmetic and comparison of two vectors.
//
// 1. Open() groups the rows of both sides by their matching labels and makes the label set of every
//    row that can come out.  "Many" is the side that may have several rows in a group.
// 2. A group whose one side has one row, and whose results have rows of their own, needs no checks:
//    rows are combined whole.
// 3. Other groups are looked at step by step, for duplicates are allowed as long as they are not there
//    at the same time.

#include <absl/container/flat_hash_map.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "promql/exec/binary_element.h"
#include "promql/exec/label_ops.h"
#include "promql/exec/matching.h"
#include "promql/exec/operator.h"

namespace tocsin::promql::exec {
namespace {

constexpr uint32_t kNone = UINT32_MAX;

class VectorBinaryOperator : public Operator {
 public:
  VectorBinaryOperator(const plan::Node& node, const Grid* grid, OperatorPtr left,
                       OperatorPtr right)
      : Operator(node, grid),
        binary_(As<Binary>(*node.expr)),
        matching_(*binary_.matching),
        swapped_(matching_.card == Cardinality::kOneToMany),
        one_to_one_(matching_.card == Cardinality::kOneToOne),
        left_(std::move(left)),
        right_(std::move(right)) {}

  base::Status Open(Run& run) override {
    RETURN_IF_ERROR(left_->Open(run));
    RETURN_IF_ERROR(right_->Open(run));
    matches_.Build(run, many().series(), one().series(), matching_);
    MakeRows(run);
    run.NoteRows(series_.size());
    return {};
  }

  base::Status Eval(Run& run, StepSpan span, Block* out) override {
    RETURN_IF_ERROR(many_block_.Eval(run, many(), span));
    RETURN_IF_ERROR(one_block_.Eval(run, one(), span));
    RETURN_IF_ERROR(run.Check());
    out->Reset(series_.size(), span.count);
    const bool fills = matching_.fill_left || matching_.fill_right;
    many_present_.clear();
    for (size_t g = 0; g < matches_.groups(); ++g) {
      const auto left = matches_.left(g);
      const auto right = matches_.right(g);
      if (!fills && (right.empty() || (left.empty() && right.size() < 2))) continue;
      if (!fills && simple_[g] != 0) {
        const size_t cost = many_block_->has_histograms() ? Run::kCellsAHistogram : 1;
        for (uint32_t row : left) {
          RETURN_IF_ERROR(run.Spend(cost * span.count));
          CombineRows(run, row, right[0], out);
        }
        continue;
      }
      for (size_t s = 0; s < span.count; ++s) {
        RETURN_IF_ERROR(run.Spend(8 * (left.size() + right.size())));
        RETURN_IF_ERROR(CombineStep(run, g, s, out));
      }
    }
    many_block_.Drop(run);
    one_block_.Drop(run);
    return {};
  }

 private:
  Operator& many() const { return swapped_ ? *right_ : *left_; }
  Operator& one() const { return swapped_ ? *left_ : *right_; }

  // ---- rows ----

  // What the one side gives to a result's labels, as a number: rows of a group with equal values of
  // group_left()'s labels share one.
  void FindVariants() {
    variant_.assign(one().series().size(), 0);
    variant_offset_.assign(1, 0);
    variant_row_.clear();
    const std::vector<std::string> include = SortedUnique(matching_.include);
    for (size_t g = 0; g < matches_.groups(); ++g) {
      const auto right = matches_.right(g);
      if (include.empty() || right.size() < 2) {
        if (!right.empty()) variant_row_.push_back(right[0]);
        variant_offset_.push_back(static_cast<uint32_t>(variant_row_.size()));
        continue;
      }
      absl::flat_hash_map<std::string, uint32_t> seen;
      std::string key;
      for (uint32_t row : right) {
        key.clear();
        EncodeWith(one().series()[row].labels, include, &key);
        auto [it, fresh] = seen.try_emplace(key, static_cast<uint32_t>(seen.size()));
        if (fresh) variant_row_.push_back(row);
        variant_[row] = it->second;
      }
      variant_offset_.push_back(static_cast<uint32_t>(variant_row_.size()));
    }
  }

  void MakeRows(Run& run) {
    FindVariants();
    SeriesTable all;
    const SeriesTable& many_rows = many().series();
    const SeriesTable& one_rows = one().series();
    candidate_.assign(many_rows.size(), kNone);
    for (uint32_t row = 0; row < many_rows.size(); ++row) {
      const uint32_t g = matches_.left_group(row);
      if (variant_offset_[g] == variant_offset_[g + 1]) continue;
      candidate_[row] = static_cast<uint32_t>(all.size());
      for (uint32_t k = variant_offset_[g]; k < variant_offset_[g + 1]; ++k) {
        all.push_back(Result(run, many_rows[row].labels, one_rows[variant_row_[k]].labels));
      }
    }
    if (fill_one()) {
      filled_many_.resize(many_rows.size());
      for (uint32_t row = 0; row < many_rows.size(); ++row) {
        const std::string matched = MatchLabels(many_rows[row].labels, matching_);
        filled_many_[row] = static_cast<uint32_t>(all.size());
        all.push_back(
            Result(run, many_rows[row].labels, model::LabelsView(std::string_view(matched))));
      }
    }
    if (fill_many()) {
      filled_one_.resize(one_rows.size());
      for (uint32_t row = 0; row < one_rows.size(); ++row) {
        const std::string matched = MatchLabels(one_rows[row].labels, matching_);
        filled_one_[row] = static_cast<uint32_t>(all.size());
        all.push_back(
            Result(run, model::LabelsView(std::string_view(matched)), one_rows[row].labels));
      }
    }
    const bool drops = ChangesMeaning(binary_.op) || binary_.return_bool;
    if (OnlyNamesGo() && !fill_one() && !fill_many() && (!drops || SameMetadata(many_rows))) {
      // Rows that differed still do.
      target_.resize(all.size());
      std::iota(target_.begin(), target_.end(), 0);
      series_ = std::move(all);
    } else {
      RowMerge merge;
      merge.Build(all, &series_);
      target_ = merge.target();
    }
    FindSimpleGroups();
  }

  // Rows of the one side, and of the many side, that stand for what is missing.
  const std::optional<double>& fill_one() const { return matching_.fill_right; }
  const std::optional<double>& fill_many() const { return matching_.fill_left; }

  bool OnlyNamesGo() const {
    return matching_.include.empty() &&
           (!one_to_one_ || (!matching_.on && matching_.labels.empty()));
  }

  Series Result(Run& run, model::LabelsView many_labels, model::LabelsView one_labels) {
    const bool drop_now = binary_.return_bool && !run.options().delayed_name_removal;
    const bool drop = drop_now || ChangesMeaning(binary_.op);
    Series result;
    result.drop_name = binary_.return_bool;
    if (OnlyNamesGo() && !fill_many()) {
      // Usually a part of the same bytes, which live as long as the input's rows.
      result.labels = drop ? DropMetadata(many_labels, &run.arena()) : many_labels;
      return result;
    }
    builder_.Reset(many_labels);
    if (drop) builder_.Del(model::kMetricName).Del(kTypeLabel).Del(kUnitLabel);
    if (one_to_one_) {
      if (matching_.on) {
        builder_.Keep(matching_.labels);
      } else {
        for (const std::string& name : matching_.labels) builder_.Del(name);
      }
    }
    for (const std::string& name : matching_.include) builder_.Set(name, one_labels.Get(name));
    result.labels = run.arena().Store(builder_.Build().view().encoded());
    return result;
  }

  void FindSimpleGroups() {
    std::vector<uint32_t> users(series_.size(), 0);
    for (uint32_t t : target_) ++users[t];
    simple_.assign(matches_.groups(), 0);
    for (size_t g = 0; g < matches_.groups(); ++g) {
      const auto left = matches_.left(g);
      if (matches_.right(g).size() != 1 || (one_to_one_ && left.size() > 1)) continue;
      simple_[g] = std::ranges::all_of(left, [&](uint32_t row) {
        return users[target_[candidate_[row]]] == 1;
      });
    }
  }

  // ---- whole rows ----

  void CombineRows(Run& run, uint32_t many_row, uint32_t one_row, Block* out) {
    const uint32_t to = target_[candidate_[many_row]];
    const size_t n = out->steps();
    if (many_block_->has_histograms() || one_block_->has_histograms() ||
        binary_.op > BinaryOp::kGe) {
      for (size_t s = 0; s < n; ++s) {
        if (many_block_->cells(many_row)[s] == kAbsent || one_block_->cells(one_row)[s] == kAbsent) {
          continue;
        }
        Element value;
        if (Compute(run, At(*many_block_, many_row, s), At(*one_block_, one_row, s), &value) ==
            Outcome::kKept) {
          Put(to, s, std::move(value), out);
        }
      }
      return;
    }
    const Block& left = swapped_ ? *one_block_ : *many_block_;
    const Block& right = swapped_ ? *many_block_ : *one_block_;
    const uint32_t left_row = swapped_ ? one_row : many_row;
    const uint32_t right_row = swapped_ ? many_row : one_row;
    const double* a = left.values(left_row);
    const double* b = right.values(right_row);
    const uint8_t* ca = left.cells(left_row);
    const uint8_t* cb = right.cells(right_row);
    double* v = out->values(to);
    uint8_t* cells = out->cells(to);
    if (!IsComparison(binary_.op)) {
      for (size_t s = 0; s < n; ++s) cells[s] = ca[s] & cb[s];
      WithArithmetic(binary_.op, [&](auto op) {
        for (size_t s = 0; s < n; ++s) v[s] = op(a[s], b[s]);
      });
      return;
    }
    for (size_t s = 0; s < n; ++s) {
      if ((ca[s] & cb[s]) == 0) continue;
      const bool keep = CompareFloats(binary_.op, a[s], b[s]);
      v[s] = binary_.return_bool ? (keep ? 1.0 : 0.0) : a[s];
      cells[s] = keep || binary_.return_bool ? kFloat : kAbsent;
    }
  }

  // ---- step by step ----

  enum class Outcome { kIncompatible, kFiltered, kKept };

  static Element At(const Block& block, uint32_t row, size_t s) {
    if (block.cells(row)[s] == kHistogram) return {0, block.histogram(row, s)};
    return {block.values(row)[s], nullptr};
  }

  Outcome Compute(Run& run, const Element& many_value, const Element& one_value, Element* out) {
    ElementResult r =
        swapped_ ? BinaryElement(run.annotations(), binary_.op, one_value, many_value, node_.pos)
                 : BinaryElement(run.annotations(), binary_.op, many_value, one_value, node_.pos);
    if (r.incompatible) return Outcome::kIncompatible;
    if (binary_.return_bool) {
      *out = {r.keep ? 1.0 : 0.0, nullptr};
      return Outcome::kKept;
    }
    *out = std::move(r.value);
    return r.keep ? Outcome::kKept : Outcome::kFiltered;
  }

  static void Put(uint32_t row, size_t s, Element value, Block* out) {
    if (value.h) {
      out->SetHistogram(row, s, std::move(value.h));
    } else {
      out->SetFloat(row, s, value.v);
    }
  }

  bool AnyMany(size_t s) {
    if (many_present_.empty()) {
      many_present_.assign(many_block_->steps(), 0);
      for (size_t row = 0; row < many_block_->rows(); ++row) {
        for (size_t k = 0; k < many_present_.size(); ++k) {
          many_present_[k] |= many_block_->cells(row)[k];
        }
      }
    }
    return many_present_[s] != 0;
  }

  base::Status CombineStep(Run& run, size_t group, size_t s, Block* out) {
    uint32_t found = kNone;
    for (uint32_t row : matches_.right(group)) {
      if (one_block_->cells(row)[s] == kAbsent) continue;
      // A step without any of the many side is not looked at, as in Prometheus.
      if (found != kNone && (fill_many() || fill_one() || AnyMany(s))) {
        return Duplicate(found, row);
      }
      found = row;
    }
    used_.clear();
    for (uint32_t row : matches_.left(group)) {
      if (many_block_->cells(row)[s] == kAbsent) continue;
      if (found == kNone && !fill_one()) continue;
      const Element one_value =
          found == kNone ? Element{*fill_one(), nullptr} : At(*one_block_, found, s);
      const uint32_t candidate =
          found == kNone ? filled_many_[row] : candidate_[row] + variant_[found];
      RETURN_IF_ERROR(
          Emit(run, At(*many_block_, row, s), one_value, target_[candidate], s, out));
    }
    if (found != kNone && used_.empty() && fill_many()) {
      return Emit(run, Element{*fill_many(), nullptr}, At(*one_block_, found, s),
                  target_[filled_one_[found]], s, out);
    }
    return {};
  }

  base::Status Emit(Run& run, const Element& many_value, const Element& one_value, uint32_t to,
                    size_t s, Block* out) {
    Element value;
    const Outcome outcome = Compute(run, many_value, one_value, &value);
    if (outcome == Outcome::kIncompatible) return {};
    if (one_to_one_ && !used_.empty()) {
      return base::FailedPrecondition(
          "multiple matches for labels: many-to-one matching must be explicit "
          "(group_left/group_right)");
    }
    if (std::ranges::find(used_, to) != used_.end()) {
      return base::FailedPrecondition(
          "multiple matches for labels: grouping labels must ensure unique matches");
    }
    used_.push_back(to);
    if (outcome == Outcome::kFiltered) return {};
    if (out->cells(to)[s] != kAbsent) return SameLabelset();
    Put(to, s, std::move(value), out);
    return {};
  }

  base::Status Duplicate(uint32_t row_a, uint32_t row_b) const {
    const model::LabelsView labels = one().series()[row_b].labels;
    std::string a = one().series()[row_a].labels.ToString();
    std::string b = labels.ToString();
    if (a < b) std::swap(a, b);
    const std::string matched = MatchLabels(labels, matching_);
    return base::FailedPrecondition(fmt::format(
        "found duplicate series for the match group {} on the {} hand-side of the operation: "
        "[{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
        model::LabelsView(std::string_view(matched)).ToString(), swapped_ ? "left" : "right", b,
        a));
  }

  const Binary& binary_;
  const VectorMatching& matching_;
  const bool swapped_;  // the left side is the one side
  const bool one_to_one_;
  OperatorPtr left_;
  OperatorPtr right_;
  HeldBlock many_block_;
  HeldBlock one_block_;
  Matches matches_;  // left: many, right: one
  std::vector<uint32_t> variant_;                  // by row of the one side
  std::vector<uint32_t> variant_offset_;           // by group: its first variant
  std::vector<uint32_t> variant_row_;              // by variant: a row that has it
  std::vector<uint32_t> candidate_;                // by row of the many side: its first result
  std::vector<uint32_t> filled_many_;              // by row: its result where the one side is missing
  std::vector<uint32_t> filled_one_;
  std::vector<uint32_t> target_;                   // by candidate: the row of the result
  std::vector<uint8_t> simple_;                    // by group
  std::vector<uint8_t> many_present_;              // by step, once needed
  std::vector<uint32_t> used_;
  model::LabelsBuilder builder_;
};

}  // namespace

base::Result<OperatorPtr> MakeVectorBinary(Run& run, const plan::Node& node, const Grid* grid) {
  ASSIGN_OR_RETURN(OperatorPtr left, MakeOperator(run, *node.inputs[0], grid));
  ASSIGN_OR_RETURN(OperatorPtr right, MakeOperator(run, *node.inputs[1], grid));
  return std::make_unique<VectorBinaryOperator>(node, grid, std::move(left), std::move(right));
}

}  // namespace tocsin::promql::exec
