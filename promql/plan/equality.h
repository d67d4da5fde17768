#pragma once

// Which subtrees of plans are equal: in one run at one grid they give the same rows, values and errors, and
// annotations at places that are all the same number of bytes apart.
//
//   SubtreeClasses classes;
//   classes.Add(*a->root);
//   classes.Add(*b->root);
//   const bool equal = classes.of(*a->root->inputs[0]) == classes.of(*b->root);
//
// 1. Two nodes are equal that are of one kind with the same parameters, whose inputs are equal and begin as
//    far behind them: texts that differ in blanks or parentheses are not.
// 2. A node with a duration expression equals no other, for its errors name bytes.
//
// Threads: one.  The nodes outlive this.

#include <cstdint>
#include <string>
#include <unordered_map>

#include "promql/plan/plan.h"

namespace tocsin::promql::plan {

class SubtreeClasses {
 public:
  // Finds the classes of the node and of all below it.
  void Add(const Node& root);
  // Equal nodes have one class.  REQUIRES: added.
  uint32_t of(const Node& node) const { return known_.at(&node).number; }
  // Whether the value may be shared: a vector or a scalar that is made from series.  REQUIRES: added.
  bool CanBeShared(const Node& node) const;

 private:
  struct Class {
    uint32_t number = 0;
    bool reads_series = false;
  };
  std::string KeyOf(const Node& node) const;

  uint32_t classes_ = 0;
  std::unordered_map<const Node*, Class> known_;
  std::unordered_map<size_t, const Node*> by_hash_;
};

// Marks the equal subtrees of a plan that are evaluated over one grid, largest ones first.
void ShareEqualSubtrees(Plan* plan);

}  // namespace tocsin::promql::plan
