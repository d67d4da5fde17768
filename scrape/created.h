#pragma once

// The _created series of OpenMetrics 1.0: instead of being series they tell when counters, summaries and
// histograms of the same labels began.
// Source: Prometheus 3.14, model/textparse (StartTimestamp of its parser).

#include <memory>
#include <string_view>

#include "scrape/exposition.h"

namespace tocsin::scrape {

// Reads each family twice: the time stands behind the series that it is about.  `body` outlives it.
std::unique_ptr<EntrySource> MakeCreatedSource(std::string_view body);

}  // namespace tocsin::scrape
