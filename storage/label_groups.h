#pragma once

// What some sets of series can do beyond a SeriesSet: tell which series agree in labels without making
// the labels' text.
//
//   if (const auto* groups = dynamic_cast<const storage::LabelGroups*>(set)) groups->GroupBy(...);
//
// Threads: as SeriesSet.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace tocsin::storage {

class LabelGroups {
 public:
  virtual ~LabelGroups() = default;
  // Numbers the groups of series that agree in the labels `names` (each once), or with `without` in all
  // others, in the order in which they appear: group_of has an entry for each series.
  virtual void GroupBy(std::span<const std::string> names, bool without,
                       std::vector<uint32_t>* group_of) const = 0;
};

}  // namespace tocsin::storage
