#include "promql/exec/matching.h"

#include <absl/container/flat_hash_map.h>

#include "promql/exec/label_ops.h"

namespace tocsin::promql::exec {
namespace {

std::vector<std::string> SortedNames(const VectorMatching& matching) {
  std::vector<std::string> names = matching.labels;
  if (!matching.on) names.emplace_back(model::kMetricName);
  return SortedUnique(std::move(names));
}

}  // namespace

void Matches::Side::Sort(size_t groups) {
  offsets.assign(groups + 1, 0);
  for (uint32_t g : group) ++offsets[g + 1];
  for (size_t i = 1; i <= groups; ++i) offsets[i] += offsets[i - 1];
  rows.resize(group.size());
  std::vector<uint32_t> next(offsets.begin(), offsets.end() - 1);
  for (uint32_t row = 0; row < group.size(); ++row) rows[next[group[row]]++] = row;
}

void Matches::Build(Run& run, const SeriesTable& left, const SeriesTable& right,
                    const VectorMatching& matching) {
  const std::vector<std::string> names = SortedNames(matching);
  absl::flat_hash_map<std::string_view, uint32_t> by_labels;  // keys: of rows, or in the arena
  by_labels.reserve(std::max(left.size(), right.size()));
  std::string scratch;
  const auto assign = [&](const SeriesTable& rows, Side* side) {
    side->group.resize(rows.size());
    for (size_t row = 0; row < rows.size(); ++row) {
      const model::LabelsView labels = rows[row].labels;
      std::string_view key;
      if (!matching.on && names.size() == 1) {
        key = WithoutName(labels, &scratch);
      } else {
        scratch.clear();
        if (matching.on) {
          EncodeWith(labels, names, &scratch);
        } else {
          EncodeWithout(labels, names, &scratch);
        }
        key = scratch;
      }
      auto it = by_labels.find(key);
      if (it == by_labels.end()) {
        if (key.data() == scratch.data()) key = run.arena().Store(key).encoded();
        it = by_labels.emplace(key, static_cast<uint32_t>(by_labels.size())).first;
      }
      side->group[row] = it->second;
    }
  };
  assign(left, &left_);
  assign(right, &right_);
  groups_ = by_labels.size();
  left_.Sort(groups_);
  right_.Sort(groups_);
}

std::string MatchLabels(model::LabelsView labels, const VectorMatching& matching) {
  const std::vector<std::string> names = SortedNames(matching);
  std::string encoded;
  if (matching.on) {
    EncodeWith(labels, names, &encoded);
  } else {
    EncodeWithout(labels, names, &encoded);
  }
  return encoded;
}

}  // namespace tocsin::promql::exec
