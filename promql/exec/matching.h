#pragma once

// on() and ignoring(): the rows of two vectors by what they are matched with, found once.

#include <span>
#include <string>
#include <vector>

#include "promql/exec/operator.h"

namespace tocsin::promql::exec {

// Rows of both sides with equal matching labels are a group.
class Matches {
 public:
  void Build(Run& run, const SeriesTable& left, const SeriesTable& right,
             const VectorMatching& matching);

  size_t groups() const { return groups_; }
  uint32_t left_group(uint32_t row) const { return left_.group[row]; }
  uint32_t right_group(uint32_t row) const { return right_.group[row]; }
  std::span<const uint32_t> left(size_t group) const { return left_.Of(group); }
  std::span<const uint32_t> right(size_t group) const { return right_.Of(group); }

 private:
  struct Side {
    std::vector<uint32_t> group;   // by row
    std::vector<uint32_t> rows;    // by group, in order
    std::vector<uint32_t> offsets; // group i is [offsets[i], offsets[i + 1]) of rows
    void Sort(size_t groups);
    std::span<const uint32_t> Of(size_t i) const {
      return std::span(rows).subspan(offsets[i], offsets[i + 1] - offsets[i]);
    }
  };
  size_t groups_ = 0;
  Side left_;
  Side right_;
};

// The labels that a series is matched with, encoded.
std::string MatchLabels(model::LabelsView labels, const VectorMatching& matching);

}  // namespace tocsin::promql::exec
