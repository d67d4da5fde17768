#pragma once

// What --enable-feature asks for, and what /api/v1/features tells of this program.
// Threads: pure functions.

#include <string>
#include <string_view>
#include <vector>

#include "api/prometheus.h"
#include "app/flags.h"

namespace tocsin::app {

inline constexpr std::string_view kStartZeros = "created-timestamp-zero-ingestion";
inline constexpr std::string_view kStartTimes = "st-storage";
inline constexpr std::string_view kHistogramStartTimes = "histograms-st-encoding";
inline constexpr std::string_view kXor2 = "xor2-encoding";
inline constexpr std::string_view kTypeAndUnitLabels = "type-and-unit-labels";

// Whether --enable-feature names it; the flag may be given more than once and each time hold several.
bool HasFeature(const Flags& flags, std::string_view feature);
bool AutoReloads(const Flags& flags);  // by its own flag, or by the older name of a feature

// What the log says of names that change nothing: unknown ones, those that are always on, those that are not built.
struct FeatureNote {
  std::string feature;
  std::string_view text;
};
std::vector<FeatureNote> NotesOnFeatures(const Flags& flags);

// Prometheus's areas and names, with what this program does of them.  The API adds those of its own and of
// the language.
api::Features FeatureReport(const Flags& flags);

}  // namespace tocsin::app
