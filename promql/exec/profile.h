#pragma once

// What the nodes of a plan cost in one run.
//
// Threads: one.

#include <optional>
#include <unordered_map>

#include "promql/exec/operator.h"
#include "promql/plan/explain.h"

namespace tocsin::promql::exec {

class Profile {
 public:
  plan::NodeCost& of(const plan::Node& node) { return costs_[&node]; }
  // Nothing where the node was not evaluated.
  std::optional<plan::NodeCost> Find(const plan::Node& node) const {
    const auto it = costs_.find(&node);
    if (it == costs_.end()) return std::nullopt;
    return it->second;
  }

 private:
  std::unordered_map<const plan::Node*, plan::NodeCost> costs_;
};

// `op`, measured.
OperatorPtr Measured(Profile* profile, const plan::Node& node, const Grid* grid, OperatorPtr op);

}  // namespace tocsin::promql::exec
