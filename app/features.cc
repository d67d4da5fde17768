#include "app/features.h"

#include <algorithm>
#include <span>

#include "base/text.h"
#include "discovery/config.h"
#include "templates/rule_functions.h"

namespace tocsin::app {

namespace {

constexpr std::string_view kBuilt[] = {
    kHistogramStartTimes, kStartTimes, kStartZeros, kTypeAndUnitLabels, kXor2,
    "auto-reload-config", "exemplar-storage", "extra-scrape-metrics",
    "memory-snapshot-on-shutdown", "metadata-wal-records", "promql-binop-fill-modifiers", "promql-delayed-name-removal",
    "promql-experimental-functions", "promql-extended-range-selectors", "promql-per-step-stats", "use-start-timestamps",
};
constexpr std::string_view kAlwaysOn[] = {"concurrent-rule-eval", "native-histograms", "ooo-native-histograms", "promql-duration-expr"};
constexpr std::string_view kNotBuilt[] = {
    "delayed-compaction", "fast-startup", "old-ui", "otlp-deltatocumulative", "otlp-native-delta-ingestion", "search-api",
    "st-synthesis", "use-uncached-io",
};

bool Has(std::span<const std::string_view> names, std::string_view name) { return std::ranges::find(names, name) != names.end(); }

std::vector<std::string> FeaturesGiven(const Flags& flags) {
  std::vector<std::string> names;
  for (const std::string& list : flags.List("enable-feature")) {
    for (const std::string_view name : base::Split(list, ',')) names.emplace_back(name);
  }
  return names;
}

}  // namespace

std::vector<FeatureNote> NotesOnFeatures(const Flags& flags) {
  std::vector<FeatureNote> notes;
  for (const std::string& name : FeaturesGiven(flags)) {
    if (name.empty() || Has(kBuilt, name)) continue;
    notes.push_back({name, Has(kAlwaysOn, name)   ? "This option for --enable-feature changes nothing"
                           : Has(kNotBuilt, name) ? "This option for --enable-feature is not in this version"
                                                  : "Unknown option for --enable-feature"});
  }
  return notes;
}

bool HasFeature(const Flags& flags, std::string_view feature) {
  const std::vector<std::string> given = FeaturesGiven(flags);
  return std::ranges::find(given, feature) != given.end();
}

bool AutoReloads(const Flags& flags) { return flags.Bool("config.auto-reload") || HasFeature(flags, "auto-reload-config"); }

api::Features FeatureReport(const Flags& flags) {
  api::Features report;
  report["otlp_receiver"] = {{"delta_conversion", false}, {"native_delta_ingestion", false}};
  report["prometheus"] = {{"agent_mode", false},
                          {"auto_reload_config", AutoReloads(flags)},
                          {"server_mode", true},
                          {"stringlabels", true}};  // a set of labels is one piece of text
  report["rules"] = {{"concurrent_rule_eval", false}, {"keep_firing_for", true}, {"query_offset", true}};
  report["scrape"] = {{"extra_scrape_metrics", true},
                      {"start_timestamp_zero_ingestion", HasFeature(flags, kStartZeros)},
                      {"type_and_unit_labels", HasFeature(flags, kTypeAndUnitLabels)}};
  report["service_discovery_providers"] = discovery::Providers();
  auto& functions = report["templating_functions"];
  for (const std::string& name : templates::RuleFunctions({}).Names()) functions[name] = true;
  functions.erase("tmpl");  // Prometheus has it too and does not list it
  report["tsdb"] = {{"delayed_compaction", false},
                    {"exemplar_storage", HasFeature(flags, "exemplar-storage")},
                    {"histograms_st_encoding", HasFeature(flags, kHistogramStartTimes)},
                    {"isolation", true},
                    {"native_histograms", true},
                    {"st_storage", HasFeature(flags, kStartTimes)},
                    {"use_uncached_io", false},
                    {"xor2_encoding", true}};
  report["ui"] = {{"ui_v2", false}, {"ui_v3", false}};  // the pages are others
  return report;
}

}  // namespace tocsin::app
