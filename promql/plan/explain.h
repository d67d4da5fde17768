#pragma once

// A plan as people read it, with what its nodes cost where it was run.
//
//   /                                         2 series     200 samples   3.2 ms
//   ├─ sum by (job)                           2 series     200 samples   3.1 ms
//   │  └─ rate                               40 series    4000 samples   2.9 ms
//   │     └─ select x[5m]                    40 series    9600 samples
//   └─ count by (job)                         2 series     200 samples   0.1 ms
//      └─ rate (shared with byte 14)         40 series    4000 samples
//
// Threads: plain values.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "promql/plan/plan.h"

namespace tocsin::promql::plan {

// What became of a node in a run.
struct NodeCost {
  int64_t series = 0;     // rows
  int64_t samples = 0;    // made, or of selectors read
  base::Duration time{0};  // with that of its inputs; of a range selector in the function above it
};

struct Explained {
  std::string operation;  // "sum by (job)", "select x[5m]"
  std::string kind;       // aggregate, call, selector, ...
  ByteRange pos;
  std::optional<NodeCost> cost;  // nothing where it was not run
  std::optional<ByteRange> shared_with;  // the same is computed there, with its inputs
  std::vector<Explained> inputs;
};

Explained Explain(const Plan& plan,
                  const std::function<std::optional<NodeCost>(const Node&)>& cost_of = nullptr);

// As above, lines ended.
std::string ToText(const Explained& explained);

}  // namespace tocsin::promql::plan
