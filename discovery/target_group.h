#pragma once

// A set of targets that one source names together, such as one entry of a file.

#include <memory>

#include "model/target_group.h"

namespace tocsin::discovery {

// Immutable once shared.
using model::TargetGroup;

using TargetGroupPtr = std::shared_ptr<const TargetGroup>;

}  // namespace tocsin::discovery
