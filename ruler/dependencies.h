#pragma once

// Which rules of a group must see what earlier ones wrote.  Others may share a batch: it is written and
// becomes visible once for all of them.
//
// Threads: free functions over plain values.

#include <cstddef>
#include <vector>

#include "ruler/rule_file.h"

namespace tocsin::ruler {

// For each rule, how many of the rules before it (from the first on) must be visible when it is evaluated:
// 1 + the last one whose series it may read, or may write too; 0: none.
std::vector<size_t> RulesNeeded(const std::vector<RuleSpec>& rules);

// For a part of the expression of rules[rule]: 1 + the last rule before it whose series the part may read; 0:
// none.  Between equal parts of which this is the same no rule of the group changes what they read.
size_t LastWriterBefore(const std::vector<RuleSpec>& rules, size_t rule, const promql::Expr& part);

}  // namespace tocsin::ruler
