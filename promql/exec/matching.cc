#include "promql/exec/matching.h"

#include <absl/container/flat_hash_map.h>

#include "promql/exec/label_ops.h"

namespace tocsin::promql::exec {

Matches MatchRows(const SeriesTable& left, const SeriesTable& right,
                  const VectorMatching& matching) {
  Matches matches;
  std::vector<std::string> names = matching.labels;
  if (!matching.on) names.emplace_back(model::kMetricName);
  names = SortedUnique(std::move(names));
  absl::flat_hash_map<std::string, uint32_t> by_labels;
  by_labels.reserve(left.size());
  std::string key;
  const auto assign = [&](const SeriesTable& rows, bool is_left, std::vector<uint32_t>* group_of) {
    group_of->resize(rows.size());
    for (uint32_t row = 0; row < rows.size(); ++row) {
      key.clear();
      if (matching.on) {
        EncodeWith(rows[row].labels, names, &key);
      } else {
        EncodeWithout(rows[row].labels, names, &key);
      }
      auto [it, fresh] = by_labels.try_emplace(key, static_cast<uint32_t>(matches.groups.size()));
      if (fresh) matches.groups.emplace_back();
      MatchGroup& group = matches.groups[it->second];
      (is_left ? group.left : group.right).push_back(row);
      (*group_of)[row] = it->second;
    }
  };
  assign(left, true, &matches.left_group);
  assign(right, false, &matches.right_group);
  return matches;
}

std::string MatchLabels(model::LabelsView labels, const VectorMatching& matching) {
  std::vector<std::string> names = matching.labels;
  if (!matching.on) names.emplace_back(model::kMetricName);
  names = SortedUnique(std::move(names));
  std::string encoded;
  if (matching.on) {
    EncodeWith(labels, names, &encoded);
  } else {
    EncodeWithout(labels, names, &encoded);
  }
  return encoded;
}

}  // namespace tocsin::promql::exec
