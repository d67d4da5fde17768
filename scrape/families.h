#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "model/exemplar.h"

namespace tocsin::scrape {

// What a target said of a metric family.  `seen` and `changed` are numbers of its scrapes.
struct Family {
  model::Metadata metadata;
  uint32_t seen = 0;
  uint32_t changed = 0;
};
using Families = std::map<std::string, Family, std::less<>>;  // by name

// Whether a series of this name belongs to the metric family: foo_bucket to the histogram foo,
// foo_total to the counter foo.  Broken bodies put series under another family's metadata.
bool IsPartOfFamily(std::string_view name, std::string_view family, model::MetricType type);

}  // namespace tocsin::scrape
