#include "promql/exec/grouping.h"

#include <absl/container/flat_hash_map.h>

#include "promql/exec/label_ops.h"
#include "storage/label_groups.h"

namespace tocsin::promql::exec {

Groups MakeGroups(Run& run, const SeriesTable& rows, const std::vector<std::string>& grouping,
                  bool without) {
  Groups groups;
  groups.of_row.resize(rows.size());
  if (!without && grouping.empty()) {
    if (!rows.empty()) groups.series.emplace_back();
    for (const Series& s : rows) {
      if (s.drop_name) groups.series[0].drop_name = true;
    }
    return groups;
  }
  std::vector<std::string> names = grouping;
  if (without) {
    names.emplace_back(model::kMetricName);
    names = SortedUnique(std::move(names));
  }
  absl::flat_hash_map<std::string_view, uint32_t> by_labels;  // keys live in the arena
  std::string encoded;
  for (size_t row = 0; row < rows.size(); ++row) {
    encoded.clear();
    if (without) {
      EncodeWithout(rows[row].labels, names, &encoded);
    } else {
      EncodeWith(rows[row].labels, names, &encoded);
    }
    uint32_t group = 0;
    auto it = by_labels.find(encoded);
    if (it != by_labels.end()) {
      group = it->second;
    } else {
      group = static_cast<uint32_t>(groups.series.size());
      const model::LabelsView labels = run.arena().Store(encoded);
      by_labels.emplace(labels.encoded(), group);
      groups.series.push_back({labels, false});
    }
    groups.of_row[row] = group;
    if (rows[row].drop_name) groups.series[group].drop_name = true;
  }
  return groups;
}

Groups MakeGroups(Run& run, const Operator& rows, const std::vector<std::string>& grouping,
                  bool without) {
  const Operator::RowSet left = rows.row_set();
  if (left.set == nullptr || (!without && grouping.empty())) {
    return MakeGroups(run, rows.series(), grouping, without);
  }
  std::vector<std::string> names = grouping;
  if (without) names.emplace_back(model::kMetricName);
  if (left.drops_metadata && without) {
    names.emplace_back(kTypeLabel);
    names.emplace_back(kUnitLabel);
  } else if (left.drops_metadata) {
    std::erase_if(names, [](const std::string& name) { return IsMetadata(name); });
  }
  names = SortedUnique(std::move(names));
  Groups groups;
  const auto* by_labels = dynamic_cast<const storage::LabelGroups*>(left.set);
  if (by_labels == nullptr) {
    SeriesTable table = rows.series();
    for (size_t row = 0; row < table.size(); ++row) {
      const model::LabelsView labels = left.set->labels(row);
      table[row].labels = left.drops_metadata ? DropMetadata(labels, &run.arena()) : labels;
    }
    return MakeGroups(run, table, grouping, without);
  }
  by_labels->GroupBy(names, without, &groups.of_row);
  std::string encoded;
  for (size_t row = 0; row < groups.of_row.size(); ++row) {
    if (groups.of_row[row] < groups.series.size()) continue;
    encoded.clear();
    if (without) {
      EncodeWithout(left.set->labels(row), names, &encoded);
    } else {
      EncodeWith(left.set->labels(row), names, &encoded);
    }
    groups.series.push_back({run.arena().Store(encoded), false});
  }
  return groups;
}

}  // namespace tocsin::promql::exec
