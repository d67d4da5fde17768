#pragma once

// scrape_configs and the scraping keys of `global`, from YAML.
//
//   GlobalScrapeConfig global;
//   ReadGlobalScrapeKeys(&global_reader, &global);
//   ReadScrapeConfig(node, global, &errors, &config, &discovery);
//
// Source: Prometheus 3.14, config.GlobalConfig and config.ScrapeConfig.

#include <optional>
#include <string>
#include <vector>

#include "base/yaml.h"
#include "discovery/config.h"
#include "scrape/config.h"

namespace tocsin::scrape {

// What jobs inherit from `global`.
struct GlobalScrapeConfig {
  base::Duration scrape_interval = std::chrono::minutes(1);
  base::Duration scrape_timeout = std::chrono::seconds(10);
  std::optional<std::vector<Protocol>> scrape_protocols;
  std::string scrape_failure_log_file;
  uint64_t body_size_limit = 0;
  uint64_t sample_limit = 0;
  uint64_t target_limit = 0;
  uint64_t label_limit = 0;
  uint64_t label_name_length_limit = 0;
  uint64_t label_value_length_limit = 0;
  uint64_t keep_dropped_targets = 0;
  model::NameScheme name_validation = model::NameScheme::kUtf8;
  std::optional<Escaping> name_escaping;
  bool scrape_native_histograms = false;
  bool convert_classic_histograms_to_nhcb = false;
  bool always_scrape_classic_histograms = false;
  bool extra_scrape_metrics = false;
};

void ReadGlobalScrapeKeys(base::yaml::Reader* reader, GlobalScrapeConfig* config);

// Reads one entry of scrape_configs; an error of several keys names the job.
void ReadScrapeConfig(const base::yaml::Node& node, const GlobalScrapeConfig& global, base::yaml::Errors* errors,
                      ScrapeConfig* config, discovery::DiscoveryConfig* discovery);

// Reads a list of relabeling rules at `key`; a null item is "empty or null `what`".
void ReadRelabelKey(std::string_view key, std::string_view what, model::NameScheme scheme, base::yaml::Reader* reader,
                    base::yaml::Errors* errors, model::RelabelRules* rules);

// A static target that is a URL is a mistake, unless relabeling repairs it.
void CheckStaticTargets(const discovery::DiscoveryConfig& discovery, base::yaml::Position position,
                        base::yaml::Errors* errors);

// Makes relative paths relative to `folder`.
void SetDirectory(std::string_view folder, ScrapeConfig* config);

std::string_view ProtocolName(Protocol protocol);
std::string_view EscapingName(Escaping escaping);

}  // namespace tocsin::scrape
