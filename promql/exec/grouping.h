#pragma once

// by() and without(): which group each series belongs to, found once.

#include <string>
#include <vector>

#include "promql/exec/operator.h"

namespace tocsin::promql::exec {

struct Groups {
  SeriesTable series;           // one a group, in order of first appearance
  std::vector<uint32_t> of_row; // group of each row
};

// `grouping` is sorted; without() also drops the metric's name.  The first form is for an operator's rows,
// whether it has labels for them or has left them.
Groups MakeGroups(Run& run, const Operator& rows, const std::vector<std::string>& grouping,
                  bool without);
Groups MakeGroups(Run& run, const SeriesTable& rows, const std::vector<std::string>& grouping,
                  bool without);

}  // namespace tocsin::promql::exec
