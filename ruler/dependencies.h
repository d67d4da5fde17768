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

}  // namespace tocsin::ruler
