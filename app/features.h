#pragma once

// What --enable-feature asks for, and what /api/v1/features tells of this program.
// Threads: pure functions.

#include <string_view>

#include "api/prometheus.h"
#include "app/flags.h"

namespace tocsin::app {

inline constexpr std::string_view kStartZeros = "created-timestamp-zero-ingestion";
inline constexpr std::string_view kTypeAndUnitLabels = "type-and-unit-labels";

// Whether --enable-feature names it; the flag may be given more than once and each time hold several.
bool HasFeature(const Flags& flags, std::string_view feature);

// Prometheus's areas and names, with what this program does of them.  The API adds those of its own and of
// the language.
api::Features FeatureReport(const Flags& flags);

}  // namespace tocsin::app
