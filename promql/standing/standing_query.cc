#include "promql/standing/standing_query.h"

#include "promql/exec/operator.h"
#include "promql/exec/result.h"
#include "promql/exec/value.h"

namespace tocsin::promql::standing {
namespace {

// Leaves a reader at the end of an evaluation, however it ends.
class Entered {
 public:
  explicit Entered(storage::StandingReader* reader) : reader_(reader) {}
  ~Entered() { reader_->Leave(); }
  Entered(const Entered&) = delete;
  Entered& operator=(const Entered&) = delete;

 private:
  storage::StandingReader* const reader_;
};

plan::QueryTimes InstantAt(model::Timestamp at) { return {.start = at, .end = at, .step_ms = 0}; }

}  // namespace

// The operators with what they were made from.  The storage behind a run is never asked: its selections
// are the kept ones.
struct StandingQuery::Tree {
  Tree(const exec::RunOptions& options, model::Timestamp at)
      : grid{.start = at, .step_ms = 1, .count = 1}, run(nullptr, options, InstantAt(at)) {}

  exec::Grid grid;
  exec::Run run;
  exec::OperatorPtr op;
  std::vector<storage::KeptSeries*> series;  // by handle
  std::vector<uint64_t> versions;            // that the tree was opened over
  exec::OutputRows rows;
  exec::HeldBlock block;
  std::vector<uint8_t> taken;

  bool open = false;

  bool StillOpen() const {
    if (!open) return false;  // made when storage could not be entered
    for (size_t i = 0; i < series.size(); ++i) {
      if (series[i]->version() != versions[i]) return false;
    }
    return true;
  }
};

StandingQuery::StandingQuery(std::shared_ptr<const plan::Plan> plan, std::string text, exec::RunOptions options)
    : plan_(std::move(plan)), text_(std::move(text)), options_(std::move(options)) {}
StandingQuery::~StandingQuery() = default;

base::Status StandingQuery::Run(storage::Queryable* storage, base::Duration deadline, model::Timestamp at) {
  options_.deadline = deadline;
  if (storage::StandingSource* source = storage->standing(); source != nullptr && keepable_) {
    base::Result<bool> done = RunKept(source, at);
    if (!done) {
      // Operators that stopped half way are not used again.
      tree_.reset();
      Forget();
      return std::unexpected(std::move(done.error()));
    }
    if (*done) return {};
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

base::Result<bool> StandingQuery::RunKept(storage::StandingSource* source, model::Timestamp at) {
  if (reader_ == nullptr) reader_ = source->NewReader();
  if (tree_ != nullptr) {
    tree_->grid.start = at;
    RETURN_IF_ERROR(tree_->run.MoveTo(InstantAt(at), options_.deadline));
    if (!reader_->Enter(tree_->run.selection_window())) return false;
    const Entered entered(reader_.get());
    if (tree_->StillOpen()) {
      RETURN_IF_ERROR(EvalTree());
      return true;
    }
  }
  ASSIGN_OR_RETURN(const bool made, MakeTree(at));
  if (!made || !reader_->Enter(tree_->run.selection_window())) return false;
  const Entered entered(reader_.get());
  RETURN_IF_ERROR(OpenTree());
  RETURN_IF_ERROR(EvalTree());
  return true;
}

base::Result<bool> StandingQuery::MakeTree(model::Timestamp at) {
  auto tree = std::make_unique<Tree>(options_, at);
  rows_ = {};
  ASSIGN_OR_RETURN(tree->op, exec::MakeOperator(tree->run, *plan_->root, &tree->grid));
  if (!tree->run.keepable()) {
    keepable_ = false;
    tree_.reset();
    reader_.reset();
    selections_.clear();
    return false;
  }
  std::vector<const storage::SeriesSet*> sets;
  for (size_t handle = 0; handle < tree->run.selections(); ++handle) {
    const model::Matchers& matchers = tree->run.selection_matchers(handle);
    std::string key;
    for (const model::Matcher& m : matchers) key += m.ToString() + '\0';
    storage::KeptSeries*& kept = selections_[key];
    if (kept == nullptr) kept = reader_->Keep(matchers);
    tree->series.push_back(kept);
    sets.push_back(kept);
  }
  tree->run.KeepSelections(std::move(sets));
  tree_ = std::move(tree);
  return true;
}

base::Status StandingQuery::OpenTree() {
  Tree& tree = *tree_;
  for (const storage::KeptSeries* series : tree.series) tree.versions.push_back(series->version());
  RETURN_IF_ERROR(tree.op->Open(tree.run));
  tree.rows = exec::MakeOutputRows(tree.run, tree.op->series());
  tree.open = true;
  ++version_;
  return {};
}

base::Status StandingQuery::EvalTree() {
  Tree& tree = *tree_;
  RETURN_IF_ERROR(tree.run.Check());
  RETURN_IF_ERROR(tree.block.Eval(tree.run, *tree.op, {0, 1}));
  samples_.clear();
  const exec::Block& block = *tree.block;
  RETURN_IF_ERROR(exec::ForInstantCells(block, tree.rows, &tree.taken, [&](uint32_t to, uint32_t row) {
    StandingSample& sample = samples_.emplace_back();
    sample.row = to;
    if (block.cells(row)[0] == exec::kHistogram) {
      sample.h = block.histogram(row, 0);
    } else {
      sample.v = block.values(row)[0];
    }
  }));
  // After a run that was not kept the table is another, though the tree's is the same.
  if (!kept_) ++version_;
  kept_ = true;
  rows_ = tree.rows.labels;
  once_labels_.clear();
  TakeNotes(tree.run);
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
