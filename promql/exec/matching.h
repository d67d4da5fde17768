#pragma once

// on() and ignoring(): the rows of two vectors by what they are matched with, found once.

#include <string>
#include <vector>

#include "promql/exec/operator.h"

namespace tocsin::promql::exec {

// Rows of both sides with equal matching labels.
struct MatchGroup {
  std::vector<uint32_t> left;
  std::vector<uint32_t> right;
};

struct Matches {
  std::vector<MatchGroup> groups;
  std::vector<uint32_t> left_group;   // by row
  std::vector<uint32_t> right_group;
};

Matches MatchRows(const SeriesTable& left, const SeriesTable& right,
                  const VectorMatching& matching);

// The labels that a series is matched with, as they stand in messages.
std::string MatchLabels(model::LabelsView labels, const VectorMatching& matching);

}  // namespace tocsin::promql::exec
