// label_replace() and label_join(): label sets are made once, when the series are known.

#include <fmt/format.h>

#include "base/number.h"
#include "base/regex.h"
#include "promql/exec/label_ops.h"
#include "promql/exec/operator.h"

namespace tocsin::promql::exec {
namespace {

using plan::Function;

const std::string& StringArgument(const plan::Node& node, size_t i) {
  return As<StringLiteral>(*node.inputs[i]->expr).value;
}

class LabelCallOperator : public Operator {
 public:
  LabelCallOperator(const plan::Node& node, const Grid* grid, OperatorPtr input)
      : Operator(node, grid), input_(std::move(input)) {}

  base::Status Init() {
    const bool replace = node_.function == Function::kLabelReplace;
    destination_ = StringArgument(node_, 1);
    if (replace) {
      replacement_ = StringArgument(node_, 2);
      sources_ = {StringArgument(node_, 3)};
      const std::string& pattern = StringArgument(node_, 4);
      auto regex = base::Regex::Anchored(pattern);
      if (!regex) {
        return base::FailedPrecondition("invalid regular expression in label_replace(): " +
                                        pattern);
      }
      regex_ = std::move(*regex);
    } else {
      replacement_ = StringArgument(node_, 2);
      for (size_t i = 3; i < node_.inputs.size(); ++i) {
        sources_.push_back(StringArgument(node_, i));
        if (!model::IsValidLabelName(sources_.back())) {
          return base::FailedPrecondition("invalid source label name in label_join(): " +
                                          sources_.back());
        }
      }
    }
    if (!model::IsValidLabelName(destination_)) {
      return base::FailedPrecondition(fmt::format(
          "invalid destination label name in label_{}(): {}", replace ? "replace" : "join",
          destination_));
    }
    return {};
  }

  base::Status Open(Run& run) override {
    RETURN_IF_ERROR(input_->Open(run));
    SeriesTable all = input_->series();
    std::string value;
    for (Series& s : all) {
      if (!NewValue(s.labels, &value)) continue;
      builder_.Reset(s.labels);
      builder_.Set(destination_, value);
      s.labels = run.arena().Store(builder_.Build().view().encoded());
      if (destination_ == model::kMetricName) s.drop_name = false;
    }
    merge_.Build(all, &series_);
    return {};
  }

  base::Status Eval(Run& run, StepSpan span, Block* out) override {
    if (merge_.injective()) return input_->Eval(run, span, out);
    RETURN_IF_ERROR(input_->Eval(run, span, &before_merge_));
    return merge_.Apply(before_merge_, series_.size(), out);
  }

 private:
  // False: the labels stay as they are.
  bool NewValue(model::LabelsView labels, std::string* value) {
    value->clear();
    if (regex_) {
      if (!regex_->Find(labels.Get(sources_[0]), &groups_)) return false;
      regex_->Expand(replacement_, groups_, value);
      return true;
    }
    for (size_t i = 0; i < sources_.size(); ++i) {
      if (i > 0) *value += replacement_;
      *value += labels.Get(sources_[i]);
    }
    return true;
  }

  OperatorPtr input_;
  std::string destination_;
  std::string replacement_;  // of label_join(): the separator
  std::vector<std::string> sources_;
  std::optional<base::Regex> regex_;
  std::vector<std::optional<std::string_view>> groups_;
  model::LabelsBuilder builder_;
  RowMerge merge_;
  Block before_merge_;
};

}  // namespace

base::Result<OperatorPtr> MakeLabelCall(Run& run, const plan::Node& node, const Grid* grid) {
  ASSIGN_OR_RETURN(OperatorPtr input, MakeOperator(run, *node.inputs[0], grid));
  auto op = std::make_unique<LabelCallOperator>(node, grid, std::move(input));
  RETURN_IF_ERROR(op->Init());
  return op;
}

}  // namespace tocsin::promql::exec
