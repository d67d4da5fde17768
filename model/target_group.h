#pragma once

// What service discovery delivers: targets that share a source and some labels.

#include <string>
#include <vector>

#include "model/labels.h"

namespace tocsin::model {

struct TargetGroup {
  std::string source;           // unique within a scrape job; a group replaces the one before it
  Labels labels;                // of every target; a target's own label wins
  std::vector<Labels> targets;  // each with __address__
  friend bool operator==(const TargetGroup&, const TargetGroup&) = default;
};

inline constexpr std::string_view kAddressLabel = "__address__";

}  // namespace tocsin::model
