#pragma once

// A set of targets that one source names together, such as one entry of a file.

#include <memory>
#include <string>
#include <vector>

#include "model/labels.h"

namespace tocsin::discovery {

// Immutable once shared.
struct TargetGroup {
  std::string source;                  // unique among the groups of one job: "targets.yml:0"
  model::Labels labels;                // of all its targets; a target's own win
  std::vector<model::Labels> targets;  // each with __address__
};

using TargetGroupPtr = std::shared_ptr<const TargetGroup>;

}  // namespace tocsin::discovery
