#include "promql/plan/equality.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <map>
#include <string>

namespace tocsin::promql::plan {
namespace {

// What a node is, as bytes.
class Key {
 public:
  void Put(uint64_t v) { bytes_.append(reinterpret_cast<const char*>(&v), sizeof v); }
  void Put(int64_t v) { Put(static_cast<uint64_t>(v)); }
  void Put(double v) { Put(std::bit_cast<uint64_t>(v)); }
  void Put(bool v) { Put(uint64_t{v}); }
  template <class Enum>
    requires std::is_enum_v<Enum>
  void Put(Enum v) {
    Put(static_cast<uint64_t>(v));
  }
  void Put(std::string_view text) {
    Put(uint64_t{text.size()});
    bytes_ += text;
  }
  void Put(const std::vector<std::string>& texts) {
    Put(uint64_t{texts.size()});
    for (const std::string& text : texts) Put(std::string_view(text));
  }
  void Put(const std::optional<double>& v) {
    Put(v.has_value());
    if (v) Put(*v);
  }
  void Put(const TimeShift& shift) {
    Put(int64_t{shift.offset.count()});
    Put(shift.at);
    Put(int64_t{shift.at_ms});
  }
  void Put(const VectorSelector& selector) {
    Put(uint64_t{selector.matchers.size()});
    for (const model::Matcher& m : selector.matchers) Put(std::string_view(m.ToString()));
    Put(selector.shift);
    Put(selector.anchored);
    Put(selector.smoothed);
  }
  void Put(const VectorMatching& matching) {
    Put(matching.card);
    Put(matching.on);
    Put(matching.labels);
    Put(matching.include);
    Put(matching.fill_left);
    Put(matching.fill_right);
  }

  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

void PutExpr(const Node& node, Key* key) {
  switch (node.kind) {
    case NodeKind::kString: key->Put(std::string_view(As<StringLiteral>(*node.expr).value)); break;
    case NodeKind::kInstantSelector: key->Put(As<VectorSelector>(*node.expr)); break;
    case NodeKind::kRangeSelector: {
      const auto& e = As<MatrixSelector>(*node.expr);
      key->Put(*e.vector);
      key->Put(int64_t{e.range.count()});
      break;
    }
    case NodeKind::kSubquery: {
      const auto& e = As<Subquery>(*node.expr);
      key->Put(int64_t{e.range.count()});
      key->Put(int64_t{e.step.count()});
      key->Put(e.shift);
      break;
    }
    case NodeKind::kCall: key->Put(node.function); break;
    case NodeKind::kAggregate: {
      const auto& e = As<Aggregate>(*node.expr);
      key->Put(e.op);
      key->Put(e.without);
      key->Put(node.grouping);
      break;
    }
    case NodeKind::kBinary: {
      const auto& e = As<Binary>(*node.expr);
      key->Put(e.op);
      key->Put(e.return_bool);
      key->Put(e.matching.has_value());
      if (e.matching) key->Put(*e.matching);
      break;
    }
    case NodeKind::kNumber: key->Put(node.number); break;
    case NodeKind::kNegate:
    case NodeKind::kStepInvariant: break;
  }
}

bool HasDurationExpr(const Node& node) {
  switch (node.kind) {
    case NodeKind::kInstantSelector: return As<VectorSelector>(*node.expr).shift.offset_expr != nullptr;
    case NodeKind::kRangeSelector: {
      const auto& e = As<MatrixSelector>(*node.expr);
      return e.range_expr != nullptr || e.vector->shift.offset_expr != nullptr;
    }
    case NodeKind::kSubquery: {
      const auto& e = As<Subquery>(*node.expr);
      return e.range_expr != nullptr || e.step_expr != nullptr || e.shift.offset_expr != nullptr;
    }
    default: return false;
  }
}

bool IsSelector(const Node& node) {
  return node.kind == NodeKind::kInstantSelector || node.kind == NodeKind::kRangeSelector;
}

// Whether there are two of them; fewer have nothing to share.
bool HasTwoSelectors(const Node& node, int* found) {
  if (IsSelector(node)) ++*found;
  return *found > 1 ||
         std::ranges::any_of(node.inputs, [&](const auto& input) { return HasTwoSelectors(*input, found); });
}

// Nodes of one class over one grid.
class Sharer {
 public:
  explicit Sharer(const SubtreeClasses& classes) : classes_(classes) {}

  void Visit(Node* node, uint32_t grid) {
    if (classes_.CanBeShared(*node)) {
      const auto [it, fresh] = first_.try_emplace({classes_.of(*node), grid}, node);
      if (!fresh) {
        it->second->first_equal = it->second;
        node->first_equal = it->second;
        return;  // with all that is below it
      }
    }
    const bool own_grid = node->kind == NodeKind::kSubquery || node->kind == NodeKind::kStepInvariant;
    if (own_grid) grid = ++grids_;
    for (const auto& input : node->inputs) Visit(input.get(), grid);
  }

 private:
  const SubtreeClasses& classes_;
  std::map<std::pair<uint32_t, uint32_t>, Node*> first_;  // by class and grid
  uint32_t grids_ = 0;
};

}  // namespace

std::string SubtreeClasses::KeyOf(const Node& node) const {
  Key key;
  key.Put(node.kind);
  key.Put(node.type);
  key.Put(node.histogram_stats_only);
  PutExpr(node, &key);
  key.Put(uint64_t{node.inputs.size()});
  for (const auto& input : node.inputs) {
    key.Put(uint64_t{of(*input)});
    key.Put(int64_t{input->pos.start - node.pos.start});
  }
  return key.bytes();
}

void SubtreeClasses::Add(const Node& root) {
  Class made{.number = ++classes_, .reads_series = IsSelector(root)};
  for (const auto& input : root.inputs) {
    Add(*input);
    made.reads_series = made.reads_series || known_.at(input.get()).reads_series;
  }
  if (!HasDurationExpr(root)) {
    const std::string key = KeyOf(root);
    const auto [it, fresh] = by_hash_.try_emplace(std::hash<std::string>()(key), &root);
    // Nodes that differ under one hash are only not found to be equal to others.
    if (!fresh && KeyOf(*it->second) == key) made.number = of(*it->second);
  }
  known_[&root] = made;
}

bool SubtreeClasses::CanBeShared(const Node& node) const {
  return (node.type == ValueType::kVector || node.type == ValueType::kScalar) && known_.at(&node).reads_series;
}

void ShareEqualSubtrees(Plan* plan) {
  int selectors = 0;
  if (!HasTwoSelectors(*plan->root, &selectors)) return;
  SubtreeClasses classes;
  classes.Add(*plan->root);
  Sharer(classes).Visit(plan->root.get(), 0);
}

}  // namespace tocsin::promql::plan
