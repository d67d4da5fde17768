#include "promql/standing/shared_parts.h"

#include <map>
#include <unordered_set>

#include "promql/plan/equality.h"

namespace tocsin::promql::standing {
namespace {

using plan::Node;
using plan::NodeKind;

// Finds the nodes that one computation serves.
class Finder {
 public:
  Finder(std::span<const std::shared_ptr<const plan::Plan>> plans, const SharedParts::ChangedBy& changed_by)
      : changed_by_(changed_by) {
    for (const auto& plan : plans) {
      if (plan != nullptr) classes_.Add(*plan->root);
    }
    for (size_t query = 0; query < plans.size(); ++query) {
      if (plans[query] != nullptr) CountUsers(*plans[query]->root, query);
    }
    for (size_t query = 0; query < plans.size(); ++query) {
      if (plans[query] != nullptr) Visit(*plans[query]->root, query);
    }
  }

  struct Found {
    size_t query = 0;                 // the first that has it
    bool several = false;             // queries
    std::vector<const Node*> nodes;
  };
  // By class, and what may have changed it before.
  const std::map<std::pair<uint32_t, size_t>, Found>& found() const { return found_; }

 private:
  // Reading a selection again costs what copying its values would.
  bool CanBeShared(const Node& node) const {
    return node.kind != NodeKind::kInstantSelector && classes_.CanBeShared(node);
  }
  static bool HasOwnGrid(const Node& node) {
    return node.kind == NodeKind::kSubquery || node.kind == NodeKind::kStepInvariant;
  }

  struct Users {
    size_t first = 0;
    bool several = false;
  };
  void CountUsers(const Node& node, size_t query) {
    if (CanBeShared(node)) {
      Users& users = users_.try_emplace(classes_.of(node), Users{query, false}).first->second;
      users.several = users.several || users.first != query;
    }
    if (HasOwnGrid(node)) return;
    for (const auto& input : node.inputs) CountUsers(*input, query);
  }

  void Visit(const Node& node, size_t query) {
    if (CanBeShared(node) && users_.at(classes_.of(node)).several) {
      const auto [it, fresh] =
          found_.try_emplace({classes_.of(node), changed_by_(query, *node.expr)}, Found{.query = query});
      Found& found = it->second;
      found.nodes.push_back(&node);
      found.several = found.several || found.query != query;
      if (!fresh) return;  // with all that is below it
    }
    if (HasOwnGrid(node)) return;
    for (const auto& input : node.inputs) Visit(*input, query);
  }

  const SharedParts::ChangedBy& changed_by_;
  plan::SubtreeClasses classes_;
  std::unordered_map<uint32_t, Users> users_;  // by class
  std::map<std::pair<uint32_t, size_t>, Found> found_;
};

}  // namespace

// ---- a part ----

class SharedPart::Reader : public exec::Operator {
 public:
  Reader(SharedPart* part, const Node& node, const exec::Grid* grid) : Operator(node, grid), part_(*part) {}

  base::Status Open(exec::Run& run) override {
    series_ = part_.operators_.series();
    run.NoteRows(series_.size());
    return {};
  }
  base::Status Eval(exec::Run& run, exec::StepSpan, exec::Block* out) override {
    RETURN_IF_ERROR(part_.effects_.Repeat(run, node_.pos.start - part_.node_.pos.start));
    out->CopyFrom(part_.operators_.block());
    return {};
  }

 private:
  SharedPart& part_;
};

SharedPart::SharedPart(std::shared_ptr<const plan::Plan> plan, const Node& node, const exec::RunOptions& options,
                       SharedParts* parts)
    : plan_(std::move(plan)), node_(node), parts_(*parts), operators_(node, options) {
  operators_.ReadFrom(parts, this);
}

bool SharedPart::Compute(storage::StandingSource* source, base::Duration deadline, model::Timestamp at) {
  const uint64_t evaluation = parts_.evaluation();
  if (evaluation != 0 && computed_in_ == evaluation) return computed_;
  computed_in_ = evaluation;
  const base::Result<bool> done = operators_.Run(source, deadline, at);
  computed_ = done && *done;
  if (computed_) effects_.Take(operators_.run());
  return computed_;
}

exec::OperatorPtr SharedPart::NewReader(const Node& node, const exec::Grid* grid) {
  return std::make_unique<Reader>(this, node, grid);
}

void SharedPart::Drop() {
  operators_.DropBlock();
  effects_ = {};
}

// ---- all parts ----

SharedParts::SharedParts(std::span<const std::shared_ptr<const plan::Plan>> plans, const exec::RunOptions& options,
                         const ChangedBy& changed_by) {
  const Finder finder(plans, changed_by);
  for (const auto& [key, found] : finder.found()) {
    if (!found.several) continue;
    parts_.push_back(std::make_unique<SharedPart>(plans[found.query], *found.nodes.front(), options, this));
    for (const Node* node : found.nodes) by_node_[node] = parts_.back().get();
  }
}

void SharedParts::Begin() {
  ++evaluation_;
  inside_ = true;
}

void SharedParts::End() {
  for (const auto& part : parts_) part->Drop();
  inside_ = false;
}

SharedPart* SharedParts::Find(const Node& node) const {
  const auto it = by_node_.find(&node);
  return it == by_node_.end() ? nullptr : it->second;
}

}  // namespace tocsin::promql::standing
