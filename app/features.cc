#include "app/features.h"

#include "base/text.h"
#include "discovery/config.h"
#include "templates/rule_functions.h"

namespace tocsin::app {

bool HasFeature(const Flags& flags, std::string_view feature) {
  for (const std::string& list : flags.List("enable-feature")) {
    for (const std::string_view name : base::Split(list, ',')) {
      if (name == feature) return true;
    }
  }
  return false;
}

api::Features FeatureReport(const Flags& flags) {
  api::Features report;
  report["otlp_receiver"] = {{"delta_conversion", false}, {"native_delta_ingestion", false}};
  report["prometheus"] = {{"agent_mode", false},
                          {"auto_reload_config", flags.Bool("config.auto-reload")},
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
                    {"histograms_st_encoding", false},
                    {"isolation", true},
                    {"native_histograms", true},
                    {"st_storage", false},
                    {"use_uncached_io", false},
                    {"xor2_encoding", true}};
  report["ui"] = {{"ui_v2", false}, {"ui_v3", false}};  // the pages are others
  return report;
}

}  // namespace tocsin::app
