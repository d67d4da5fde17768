#include "promql/standing/kept_operators.h"

#include "promql/standing/shared_parts.h"

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
struct KeptOperators::Tree {
  Tree(const exec::RunOptions& options, model::Timestamp at)
      : grid{.start = at, .step_ms = 1, .count = 1}, run(nullptr, options, InstantAt(at)) {}

  exec::Grid grid;
  exec::Run run;
  exec::OperatorPtr op;
  std::vector<storage::KeptSeries*> series;  // by handle
  std::vector<SharedPart*> parts;            // that it reads
  std::vector<uint64_t> versions;            // of both, that the tree was opened over
  exec::Block block;
  bool open = false;
};

KeptOperators::KeptOperators(const plan::Node& root, exec::RunOptions options)
    : root_(root), options_(std::move(options)) {}
KeptOperators::~KeptOperators() = default;

void KeptOperators::ReadFrom(SharedParts* parts, const SharedPart* self) {
  parts_ = parts;
  self_ = self;
}

const exec::SeriesTable& KeptOperators::series() const { return tree_->op->series(); }
const exec::Block& KeptOperators::block() const { return tree_->block; }
exec::Run& KeptOperators::run() { return tree_->run; }
void KeptOperators::DropBlock() {
  if (tree_ != nullptr) tree_->block = {};
}

base::Result<bool> KeptOperators::Run(storage::StandingSource* source, base::Duration deadline,
                                      model::Timestamp at) {
  if (!keepable_) return false;
  if (reader_ == nullptr) reader_ = source->NewReader();
  options_.deadline = deadline;
  base::Result<bool> done = TryRun(source, at);
  // Operators that stopped half way are not used again.
  if (!done || !keepable_) tree_.reset();
  if (!keepable_) {
    reader_.reset();
    selections_.clear();
  }
  return done;
}

base::Result<bool> KeptOperators::TryRun(storage::StandingSource* source, model::Timestamp at) {
  if (tree_ != nullptr) {
    tree_->grid.start = at;
    RETURN_IF_ERROR(tree_->run.MoveTo(InstantAt(at), options_.deadline));
    // Parts before anything is entered: they enter for themselves.
    if (!ComputeParts(source, at)) return false;
    if (!reader_->Enter(tree_->run.selection_window())) return false;
    const Entered entered(reader_.get());
    if (StillOpen()) {
      RETURN_IF_ERROR(EvalTree());
      return true;
    }
  }
  ASSIGN_OR_RETURN(const bool made, MakeTree(at));
  if (!made || !ComputeParts(source, at)) return false;
  if (!reader_->Enter(tree_->run.selection_window())) return false;
  const Entered entered(reader_.get());
  RETURN_IF_ERROR(OpenTree());
  RETURN_IF_ERROR(EvalTree());
  return true;
}

base::Result<bool> KeptOperators::MakeTree(model::Timestamp at) {
  auto tree = std::make_unique<Tree>(options_, at);
  used_.clear();
  if (parts_ != nullptr) tree->run.ComputeElsewhere(this);
  ASSIGN_OR_RETURN(tree->op, exec::MakeOperator(tree->run, root_, &tree->grid));
  if (!tree->run.keepable()) {
    keepable_ = false;
    return false;
  }
  tree->parts = std::move(used_);
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

exec::OperatorPtr KeptOperators::NewReader(const plan::Node& node, const exec::Grid* grid) {
  SharedPart* const part = parts_->Find(node);
  if (part == nullptr || part == self_) return nullptr;
  used_.push_back(part);
  return part->NewReader(node, grid);
}

bool KeptOperators::ComputeParts(storage::StandingSource* source, model::Timestamp at) {
  for (SharedPart* part : tree_->parts) {
    if (part->Compute(source, options_.deadline, at)) continue;
    keepable_ = part->keepable();
    return false;
  }
  return true;
}

bool KeptOperators::StillOpen() const {
  const Tree& tree = *tree_;
  if (!tree.open) return false;  // made when storage could not be entered
  size_t i = 0;
  for (const storage::KeptSeries* series : tree.series) {
    if (series->version() != tree.versions[i++]) return false;
  }
  for (const SharedPart* part : tree.parts) {
    if (part->version() != tree.versions[i++]) return false;
  }
  return true;
}

base::Status KeptOperators::OpenTree() {
  Tree& tree = *tree_;
  for (const storage::KeptSeries* series : tree.series) tree.versions.push_back(series->version());
  for (const SharedPart* part : tree.parts) tree.versions.push_back(part->version());
  RETURN_IF_ERROR(tree.op->Open(tree.run));
  tree.open = true;
  ++version_;
  return {};
}

base::Status KeptOperators::EvalTree() {
  Tree& tree = *tree_;
  RETURN_IF_ERROR(tree.run.Check());
  return tree.op->Eval(tree.run, {0, 1}, &tree.block);
}

}  // namespace tocsin::promql::standing
