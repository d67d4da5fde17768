#pragma once

#include <string_view>

#include "model/exemplar.h"

namespace tocsin::scrape {

// Whether a series of this name belongs to the metric family: foo_bucket to the histogram foo,
// foo_total to the counter foo.  Broken bodies put series under another family's metadata.
bool IsPartOfFamily(std::string_view name, std::string_view family, model::MetricType type);

}  // namespace tocsin::scrape
