#include "promql/standing/standing_query.h"

#include "promql/exec/operator.h"
#include "promql/exec/result.h"
#include "promql/exec/value.h"

namespace tocsin::promql::standing {
namespace {

plan::QueryTimes InstantAt(model::Timestamp at) { return {.start = at, .end = at, .step_ms = 0}; }

}  // namespace

StandingQuery::StandingQuery(std::shared_ptr<const plan::Plan> plan, std::string text, exec::RunOptions options)
    : plan_(std::move(plan)), text_(std::move(text)), options_(std::move(options)), operators_(*plan_->root, options_) {}
StandingQuery::~StandingQuery() = default;

base::Status StandingQuery::Run(storage::Queryable* storage, base::Duration deadline, model::Timestamp at) {
  options_.deadline = deadline;
  if (storage::StandingSource* source = storage->standing(); source != nullptr && operators_.keepable()) {
    base::Result<bool> done = operators_.Run(source, deadline, at);
    if (done && *done) {
      base::Status taken = TakeKept();
      if (!taken) Forget();
      return taken;
    }
    if (!done) {
      Forget();
      return std::unexpected(std::move(done.error()));
    }
  }
  base::Status done = RunOnce(storage, at);
  if (!done) Forget();
  return done;
}

void StandingQuery::Forget() {
  ++version_;
  rows_ = {};
  samples_.clear();
  warnings_.clear();
  infos_.clear();
  samples_read_ = 0;
  peak_samples_ = 0;
}

base::Status StandingQuery::TakeKept() {
  exec::Run& run = operators_.run();
  if (operators_.version() != opened_) {
    opened_ = operators_.version();
    kept_rows_ = exec::MakeOutputRows(run, operators_.series());
    ++version_;
  }
  samples_.clear();
  const exec::Block& block = operators_.block();
  RETURN_IF_ERROR(run.Charge(static_cast<int64_t>(block.CountPresent())));
  RETURN_IF_ERROR(exec::ForInstantCells(block, kept_rows_, &taken_, [&](uint32_t to, uint32_t row) {
    StandingSample& sample = samples_.emplace_back();
    sample.row = to;
    if (block.cells(row)[0] == exec::kHistogram) {
      sample.h = block.histogram(row, 0);
    } else {
      sample.v = block.values(row)[0];
    }
  }));
  // After a run that was not kept the table is another, though the operators' is the same.
  if (!kept_) ++version_;
  kept_ = true;
  rows_ = kept_rows_.labels;
  once_labels_.clear();
  TakeNotes(run);
  return {};
}

base::Status StandingQuery::RunOnce(storage::Queryable* storage, model::Timestamp at) {
  exec::Run run(storage, options_, InstantAt(at));
  ASSIGN_OR_RETURN(Value value, exec::RunPlan(run, *plan_));
  kept_ = false;
  ++version_;
  samples_.clear();
  once_labels_.clear();
  once_rows_.clear();
  if (auto* vector = std::get_if<Vector>(&value)) {
    for (VectorSample& sample : *vector) {
      samples_.push_back({static_cast<uint32_t>(once_labels_.size()), sample.v, std::move(sample.h)});
      once_labels_.push_back(std::move(sample.labels));
    }
  } else if (const auto* scalar = std::get_if<Scalar>(&value)) {
    samples_.push_back({0, scalar->v, nullptr});
    once_labels_.emplace_back();
  } else {
    return base::Internal("promql standing: neither an instant vector nor a scalar");
  }
  for (const model::Labels& labels : once_labels_) once_rows_.push_back(labels.view());
  rows_ = once_rows_;
  TakeNotes(run);
  return {};
}

void StandingQuery::TakeNotes(exec::Run& run) {
  samples_read_ = run.samples_read();
  peak_samples_ = run.peak_samples();
  warnings_.clear();
  infos_.clear();
  const exec::Annotations& annotations = run.annotations();
  if (annotations.empty()) return;
  warnings_ = annotations.Warnings(text_);
  infos_ = annotations.Infos(text_);
}

}  // namespace tocsin::promql::standing
