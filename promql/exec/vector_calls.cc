// Functions of an instant vector as a whole: absent(), vector(), and the sorts.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "promql/exec/label_ops.h"
#include "promql/exec/operator.h"

namespace tocsin::promql::exec {
namespace {

using plan::Function;

class AbsentOperator : public Operator {
 public:
  AbsentOperator(Run& run, const plan::Node& node, const Grid* grid, OperatorPtr input)
      : Operator(node, grid), input_(std::move(input)) {
    series_.push_back({AbsentLabels(*node.inputs[0], &run.arena()), false});
  }
  base::Status Open(Run& run) override { return input_->Open(run); }
  base::Status Eval(Run& run, StepSpan span, Block* out) override {
    RETURN_IF_ERROR(block_.Eval(run, *input_, span));
    out->Reset(1, span.count);
    for (size_t s = 0; s < span.count; ++s) out->SetFloat(0, s, 1);
    uint8_t* absent = out->cells(0);
    for (size_t row = 0; row < block_->rows(); ++row) {
      const uint8_t* cells = block_->cells(row);
      for (size_t s = 0; s < span.count; ++s) {
        if (cells[s] != kAbsent) absent[s] = kAbsent;
      }
    }
    block_.Drop(run);
    return {};
  }

 private:
  OperatorPtr input_;
  HeldBlock block_;
};

// vector(): the scalar's row, as a vector.
class VectorOperator : public Operator {
 public:
  VectorOperator(const plan::Node& node, const Grid* grid, OperatorPtr input)
      : Operator(node, grid), input_(std::move(input)) {
    series_.emplace_back();
  }
  base::Status Open(Run& run) override { return input_->Open(run); }
  base::Status Eval(Run& run, StepSpan span, Block* out) override {
    return input_->Eval(run, span, out);
  }

 private:
  OperatorPtr input_;
};

// The next run of digits or of others, as facette/natsort cuts names.
std::string_view NextChunk(std::string_view* rest) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  size_t n = 1;
  while (n < rest->size() && digit((*rest)[n]) == digit((*rest)[0])) ++n;
  std::string_view chunk = rest->substr(0, n);
  rest->remove_prefix(n);
  return chunk;
}

bool ParseInt(std::string_view text, int64_t* out) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc() && end == text.data() + text.size();
}

// node2 before node10.
bool NaturalLess(std::string_view a, std::string_view b) {
  while (!a.empty()) {
    if (b.empty()) return false;
    const std::string_view chunk_a = NextChunk(&a);
    const std::string_view chunk_b = NextChunk(&b);
    int64_t number_a = 0;
    int64_t number_b = 0;
    const bool numbers = ParseInt(chunk_a, &number_a) && ParseInt(chunk_b, &number_b);
    if (numbers ? number_a == number_b : chunk_a == chunk_b) {
      if (a.empty()) return true;
      if (b.empty()) return false;
      continue;
    }
    return numbers ? number_a < number_b : chunk_a < chunk_b;
  }
  return false;
}

class SortOperator : public Operator {
 public:
  SortOperator(const plan::Node& node, const Grid* grid, OperatorPtr input)
      : Operator(node, grid), input_(std::move(input)) {
    for (size_t i = 1; i < node.inputs.size(); ++i) {
      by_.push_back(As<StringLiteral>(*node.inputs[i]->expr).value);
    }
  }

  base::Status Open(Run& run) override {
    RETURN_IF_ERROR(input_->Open(run));
    series_ = input_->series();
    return {};
  }

  base::Status Eval(Run& run, StepSpan span, Block* out) override {
    RETURN_IF_ERROR(input_->Eval(run, span, out));
    const bool by_value =
        node_.function == Function::kSort || node_.function == Function::kSortDesc;
    if (by_value) out->DropHistograms();
    if (grid_.count != 1) {
      run.annotations().SortInRangeQuery(node_.pos);
      return {};
    }
    std::vector<uint32_t> order(out->rows());
    std::iota(order.begin(), order.end(), 0);
    const bool descending =
        node_.function == Function::kSortDesc || node_.function == Function::kSortByLabelDesc;
    if (by_value) {
      std::ranges::stable_sort(order, [&](uint32_t a, uint32_t b) {
        const double va = out->values(a)[0];
        const double vb = out->values(b)[0];
        if (std::isnan(va) || std::isnan(vb)) return !std::isnan(va) && std::isnan(vb);
        return descending ? va > vb : va < vb;
      });
    } else {
      std::ranges::stable_sort(order, [&](uint32_t a, uint32_t b) {
        return descending ? LessByLabels(b, a) : LessByLabels(a, b);
      });
    }
    out->order = std::move(order);
    return {};
  }

 private:
  bool LessByLabels(uint32_t a, uint32_t b) const {
    for (const std::string& name : by_) {
      const std::string_view va = series_[a].labels.Get(name);
      const std::string_view vb = series_[b].labels.Get(name);
      if (va != vb) return NaturalLess(va, vb);
    }
    return series_[a].labels < series_[b].labels;
  }

  OperatorPtr input_;
  std::vector<std::string> by_;
};

}  // namespace

base::Result<OperatorPtr> MakeVectorCall(Run& run, const plan::Node& node, const Grid* grid) {
  ASSIGN_OR_RETURN(OperatorPtr input, MakeOperator(run, *node.inputs[0], grid));
  if (node.function == Function::kAbsent) {
    return std::make_unique<AbsentOperator>(run, node, grid, std::move(input));
  }
  if (node.function == Function::kVector) {
    return std::make_unique<VectorOperator>(node, grid, std::move(input));
  }
  return std::make_unique<SortOperator>(node, grid, std::move(input));
}

}  // namespace tocsin::promql::exec
