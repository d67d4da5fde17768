// Range functions as operators: rows of the source in, one row each out.

#include <algorithm>

#include "promql/exec/label_ops.h"
#include "promql/exec/range_source.h"
#include "storage/label_groups.h"

namespace tocsin::promql::exec {
namespace {

using plan::Function;

bool HasCounterName(std::string_view name) {
  return name.ends_with("_total") || name.ends_with("_sum") || name.ends_with("_count") ||
         name.ends_with("_bucket");
}

base::Status CheckBoundary(Boundary boundary, Function function) {
  const bool rate = function == Function::kRate || function == Function::kIncrease ||
                    function == Function::kDelta;
  const bool change = function == Function::kResets || function == Function::kChanges;
  if (boundary == Boundary::kAnchored && !rate && !change) {
    return base::FailedPrecondition(
        "anchored modifier can only be used with: changes, delta, increase, rate, resets - not with " +
        std::string(plan::FunctionName(function)));
  }
  if (boundary == Boundary::kSmoothed && !rate) {
    return base::FailedPrecondition(
        "smoothed modifier can only be used with: delta, increase, rate - not with " +
        std::string(plan::FunctionName(function)));
  }
  return {};
}

class RangeCallOperator : public Operator, private RowPieces, private Movable {
 public:
  RangeCallOperator(const plan::Node& node, const Grid* grid) : Operator(node, grid), whole_(*this) {}

  base::Status Init(Run& run, const Grid* grid) {
    run.OnMove(this);
    for (const auto& input : node_.inputs) {
      if (input->type == ValueType::kMatrix) {
        ASSIGN_OR_RETURN(source_, MakeRangeSource(run, *input, grid));
        arg_pos_ = input->pos;
      } else {
        ASSIGN_OR_RETURN(OperatorPtr op, MakeOperator(run, *input, grid));
        parameters_.push_back(std::move(op));
      }
    }
    if (!source_) return base::Internal("promql exec: a range function without a range");
    return CheckBoundary(source_->boundary(), node_.function);
  }

  // Only where names go and rows stay apart without them: then nothing needs the labels of a row.
  void LeaveLabels() override { leave_labels_ = !KeepsName(); }
  RowSet row_set() const override {
    return leave_labels_ ? RowSet{source_->row_set(), true} : RowSet{};
  }

  base::Status Open(Run& run) override {
    for (const OperatorPtr& op : parameters_) RETURN_IF_ERROR(op->Open(run));
    if (leave_labels_) source_->LeaveLabels();
    RETURN_IF_ERROR(source_->Open(run));
    if (const storage::SeriesSet* set = source_->row_set()) {
      static const std::vector<std::string> kMetadata = {"__name__", "__type__", "__unit__"};
      std::vector<uint32_t> group_of;
      const auto* by_labels = dynamic_cast<const storage::LabelGroups*>(set);
      if (by_labels != nullptr) by_labels->GroupBy(kMetadata, false, &group_of);
      const bool one_metric =
          by_labels != nullptr && std::ranges::all_of(group_of, [](uint32_t group) { return group == 0; });
      if (one_metric) {
        series_.assign(set->size(), Series{{}, true});
        no_counter_.clear();
        any_no_counter_ = set->size() > 0 && IsNoCounter(run, set->labels(0));
        if (any_no_counter_) no_counter_.assign(set->size(), 1);
        return {};
      }
      leave_labels_ = false;
      SeriesTable rows(set->size());
      for (size_t row = 0; row < rows.size(); ++row) {
        RETURN_IF_ERROR(run.Spend(Run::kCellsALabelSet));
        rows[row].labels = set->labels(row);
      }
      return FindRows(run, rows);
    }
    leave_labels_ = false;
    return FindRows(run, source_->series());
  }

  base::Status Eval(Run& run, StepSpan span, Block* out) override {
    if (cuts() && IsWorthSharing(run, series_.size(), span.count)) {
      return EvalInPieces(run, *this, series_.size(), span, out);
    }
    RETURN_IF_ERROR(BeginPieces(run, span));
    out->Reset(series_.size(), span.count);
    whole_.Begin(run, 0, out);
    return source_->ForEach(run, span, whole_);
  }

  RowPieces* pieces() override {
    return cuts() && HasPlainParameters(node_) ? this : nullptr;
  }

 private:
  bool cuts() const { return merge_.injective() && source_->reads_rows(); }
  static constexpr uint32_t kNoOwner = UINT32_MAX;

  // Computes rows of a block.
  class Rows : public Scratch, public RangeSource::Visitor {
   public:
    explicit Rows(const RangeCallOperator& op) : op_(op) {}

    // The rows from `first` on are those of `out`.
    void Begin(Run& run, size_t first, Block* out) {
      call_ = op_.call_;
      call_.annotations = &run.annotations();
      metadata_ = run.options().type_and_unit_labels;
      first_ = first;
      out_ = out;
      noted_ = {};
    }
    base::Status Visit(size_t row, const RangeRow& samples) override {
      // What is said of histograms, bounds and start times names the metric.
      const bool may_note = samples.histogram_count > 0 || call_.boundary != Boundary::kPlain ||
                            call_.start_times;
      RETURN_IF_ERROR(RunRangeKernel(call_, may_note ? op_.LabelsOf(row) : model::LabelsView(), samples,
                                     &kernel_, row - first_, out_));
      const bool no_counter = op_.any_no_counter_ && op_.no_counter_[row] != 0;
      if (!no_counter && op_.merge_.injective()) return {};
      const uint8_t* cells = out_->cells(row - first_);
      bool any = false;
      bool any_float = false;
      for (size_t s = 0; s < call_.span.count; ++s) {
        any = any || cells[s] != kAbsent;
        any_float = any_float || cells[s] == kFloat;
      }
      if (no_counter && any_float) NoteNoCounter(op_.LabelsOf(row));
      return any ? op_.Own(row) : base::Status();
    }

    RangeSource::Buffers buffers;

   private:
    void NoteNoCounter(model::LabelsView labels) {
      const std::string_view metric = labels.MetricName();
      const ByteRange pos = op_.node_.inputs[0]->pos;
      if (metadata_) {
        call_.annotations->PossibleNonCounterType(metric, labels.Get(kTypeLabel), pos);
        return;
      }
      if (metric == noted_) return;
      noted_ = metric;
      call_.annotations->PossibleNonCounter(metric, pos);
    }

    const RangeCallOperator& op_;
    RangeCall call_;
    KernelScratch kernel_;
    bool metadata_ = false;
    size_t first_ = 0;
    Block* out_ = nullptr;
    std::string_view noted_;  // the last metric that was noted as no counter
  };

  base::Status BeginPieces(Run& run, StepSpan span) override {
    parameter_blocks_.resize(parameters_.size());
    call_ = RangeCall{};
    call_.function = node_.function;
    call_.grid = &grid_;
    call_.span = span;
    call_.map = source_->map();
    call_.range_ms = source_->range_ms();
    call_.lookback_ms = run.options().lookback_ms;
    call_.boundary = source_->boundary();
    call_.start_times =
        run.options().use_start_timestamps &&
        (node_.function == Function::kRate || node_.function == Function::kIncrease ||
         node_.function == Function::kIrate || node_.function == Function::kResets);
    call_.arg_pos = arg_pos_;
    call_.first_arg_pos = node_.inputs.front()->pos;
    call_.args_pos = {node_.inputs.front()->pos.start, node_.inputs.back()->pos.end};
    for (size_t i = 0; i < parameters_.size(); ++i) {
      RETURN_IF_ERROR(parameters_[i]->Eval(run, span, &parameter_blocks_[i]));
      if (i < std::size(call_.parameter)) call_.parameter[i] = parameter_blocks_[i].values(0);
    }
    return {};
  }
  std::unique_ptr<Scratch> NewScratch() const override { return std::make_unique<Rows>(*this); }
  base::Status EvalRows(Run& piece, Scratch& scratch, StepSpan span, RowRange rows,
                        Block* out) const override {
    Rows& visitor = static_cast<Rows&>(scratch);
    visitor.Begin(piece, rows.first, out);
    return source_->ReadRows(piece, span, rows, &visitor.buffers, visitor);
  }

  bool KeepsName() const {
    return node_.function == Function::kLastOverTime || node_.function == Function::kFirstOverTime;
  }

  base::Status FindRows(Run& run, const SeriesTable& rows) {
    FindNoCounters(run, rows);
    series_ = rows;
    for (Series& s : series_) s.drop_name = s.drop_name || !KeepsName();
    if (!run.options().delayed_name_removal && !KeepsName()) {
      const bool apart = SameMetadata(series_);
      for (Series& s : series_) s.labels = DropMetadata(s.labels, &run.arena());
      if (!apart && node_.function != Function::kAbsentOverTime) {
        SeriesTable merged;
        merge_.Build(series_, &merged);
        owner_.assign(merged.size(), kNoOwner);
      }
    }
    return {};
  }

  model::LabelsView LabelsOf(size_t row) const {
    const storage::SeriesSet* set = source_->row_set();
    return set != nullptr ? set->labels(row) : source_->series()[row].labels;
  }

  base::Status Move(Run&) override {
    std::ranges::fill(owner_, kNoOwner);
    return {};
  }

  // A row has values.  Equal label sets are refused in the whole run, at whatever steps they are.
  base::Status Own(size_t row) const {
    if (merge_.injective()) return {};
    uint32_t& owner = owner_[merge_.target()[row]];
    if (owner != kNoOwner && owner != row) return SameLabelset();
    owner = static_cast<uint32_t>(row);
    return {};
  }

  // Whether a series does not look like a counter, where the function is one of counters.
  bool IsNoCounter(const Run& run, model::LabelsView labels) const {
    if (node_.function != Function::kRate && node_.function != Function::kIncrease) return false;
    const std::string_view metric = labels.MetricName();
    if (metric.empty()) return false;
    if (!run.options().type_and_unit_labels) return !HasCounterName(metric);
    const std::string_view type = labels.Get(kTypeLabel);
    return type != "counter" && type != "histogram";
  }

  void FindNoCounters(const Run& run, const SeriesTable& rows) {
    any_no_counter_ = false;
    if (node_.function != Function::kRate && node_.function != Function::kIncrease) return;
    no_counter_.assign(rows.size(), 0);
    for (size_t row = 0; row < rows.size(); ++row) {
      no_counter_[row] = IsNoCounter(run, rows[row].labels) ? 1 : 0;
      any_no_counter_ = any_no_counter_ || no_counter_[row] != 0;
    }
  }

  std::unique_ptr<RangeSource> source_;
  ByteRange arg_pos_;
  std::vector<OperatorPtr> parameters_;
  std::vector<Block> parameter_blocks_;
  RangeCall call_;  // of the span, but for annotations
  bool leave_labels_ = false;
  std::vector<uint8_t> no_counter_;  // by row
  bool any_no_counter_ = false;
  RowMerge merge_;
  mutable std::vector<uint32_t> owner_;  // by merged row: the row that has values; of rows that are read whole
  Rows whole_;
};

// absent_over_time(): one row, present where no series has a sample in its window.
class AbsentOverTimeOperator : public Operator {
 public:
  AbsentOverTimeOperator(const plan::Node& node, const Grid* grid, OperatorPtr present,
                         model::LabelsView labels)
      : Operator(node, grid), present_(std::move(present)) {
    series_.push_back({labels, true});
  }

  base::Status Open(Run& run) override { return present_->Open(run); }

  base::Status Eval(Run& run, StepSpan span, Block* out) override {
    RETURN_IF_ERROR(block_.Eval(run, *present_, span));
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
  OperatorPtr present_;
  HeldBlock block_;
};

}  // namespace

base::Result<OperatorPtr> MakeRangeCall(Run& run, const plan::Node& node, const Grid* grid) {
  auto op = std::make_unique<RangeCallOperator>(node, grid);
  RETURN_IF_ERROR(op->Init(run, grid));
  if (node.function != Function::kAbsentOverTime) return op;
  const model::LabelsView labels = AbsentLabels(*node.inputs[0], &run.arena());
  return std::make_unique<AbsentOverTimeOperator>(node, grid, std::move(op), labels);
}

}  // namespace tocsin::promql::exec
