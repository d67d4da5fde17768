#include "promql/exec/shared.h"

#include "promql/exec/label_ops.h"

namespace tocsin::promql::exec {

void Effects::Begin(Run& run) {
  annotations_ = std::exchange(run.annotations(), Annotations());
  if (run.counts() != nullptr) counts_ = run.counts()->Begin();
  samples_read_ = run.samples_read();
  held_ = run.current_samples();
  peak_ = run.BeginPeak();
}

void Effects::End(Run& run) {
  std::swap(run.annotations(), annotations_);
  run.annotations().AddAll(annotations_, 0);
  if (run.counts() != nullptr) run.counts()->End(&counts_);
  samples_read_ = run.samples_read() - samples_read_;
  peak_ = run.EndPeak(peak_, held_);
}

void Effects::Take(Run& run) {
  annotations_ = std::exchange(run.annotations(), Annotations());
  samples_read_ = run.samples_read();
  peak_ = run.peak_samples();
}

base::Status Effects::Repeat(Run& run, int32_t shift) const {
  if (!annotations_.empty()) run.annotations().AddAll(annotations_, shift);
  if (run.counts() != nullptr) run.counts()->Repeat(counts_);
  run.CountRead(samples_read_);
  RETURN_IF_ERROR(run.Charge(peak_));
  run.Release(peak_);
  return {};
}

class SharedReader : public Operator {
 public:
  SharedReader(std::shared_ptr<SharedOperator> shared, const plan::Node& node, const Grid* grid)
      : Operator(node, grid), shared_(std::move(shared)) {}

  void LeaveLabels() override { leave_labels_ = true; }
  RowSet row_set() const override { return leave_labels_ ? shared_->op_->row_set() : RowSet{}; }

  base::Status Open(Run& run) override {
    RETURN_IF_ERROR(shared_->Open(run, node_, leave_labels_));
    series_ = shared_->op_->series();
    const RowSet left = shared_->op_->row_set();
    if (leave_labels_ || left.set == nullptr) return {};
    // Another reader did not want the labels.
    const bool drop = left.drops_metadata && !run.options().delayed_name_removal;
    for (size_t row = 0; row < series_.size(); ++row) {
      const model::LabelsView labels = left.set->labels(row);
      series_[row].labels = drop ? DropMetadata(labels, &run.arena()) : labels;
    }
    return {};
  }

  base::Status Eval(Run& run, StepSpan span, Block* out) override {
    RETURN_IF_ERROR(shared_->Eval(run, node_, span, out));
    if (leave_labels_ && out->has_histograms()) series_ = shared_->op_->series();  // that may be found only now
    return {};
  }

 private:
  const std::shared_ptr<SharedOperator> shared_;
  bool leave_labels_ = false;
};

OperatorPtr SharedOperator::NewReader(std::shared_ptr<SharedOperator> shared, const plan::Node& node,
                                      const Grid* grid) {
  ++shared->readers_;
  return std::make_unique<SharedReader>(std::move(shared), node, grid);
}

base::Status SharedOperator::Open(Run& run, const plan::Node& reader, bool leave_labels) {
  if (std::exchange(open_, true)) return opening_.Repeat(run, reader.pos.start - node_.pos.start);
  if (leave_labels) op_->LeaveLabels();
  opening_.Begin(run);
  const base::Status done = op_->Open(run);
  opening_.End(run);
  return done;
}

base::Status SharedOperator::Eval(Run& run, const plan::Node& reader, StepSpan span, Block* out) {
  const bool have = waiting_ > 0 && evaluation_ == run.evaluation() && span_.first == span.first &&
                    span_.count == span.count;
  if (have) return Take(run, reader, out);
  if (evaluation_ == run.evaluation()) run.Release(charged_);
  charged_ = 0;
  waiting_ = 0;
  effects_.Begin(run);
  const base::Status done = op_->Eval(run, span, out);
  effects_.End(run);
  RETURN_IF_ERROR(done);
  if (readers_ < 2) return {};
  block_.CopyFrom(*out);
  span_ = span;
  evaluation_ = run.evaluation();
  waiting_ = readers_ - 1;
  charged_ = static_cast<int64_t>(block_.CountPresent());
  return run.Charge(charged_);
}

base::Status SharedOperator::Take(Run& run, const plan::Node& reader, Block* out) {
  RETURN_IF_ERROR(effects_.Repeat(run, reader.pos.start - node_.pos.start));
  if (--waiting_ > 0) {
    out->CopyFrom(block_);
    return {};
  }
  run.Release(std::exchange(charged_, 0));
  std::swap(*out, block_);
  return {};
}

}  // namespace tocsin::promql::exec
