#pragma once

// Everything that a reload reads: prometheus.yml, its rule files, alertmanager.yml and its templates.
// All of it is loaded and checked before anything running is touched.
//
// Threads: Load() runs on any thread; the result is immutable.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "alertmanager/alertmanager.h"
#include "base/file_system.h"
#include "base/result.h"
#include "config/prometheus_config.h"
#include "promql/parse/parser.h"
#include "ruler/rule_file.h"

namespace tocsin::app {

struct ConfigurationSources {
  base::FileSystem* fs = nullptr;
  std::string prometheus_file;
  std::string alertmanager_file;  // empty: no Alertmanager here
  alertmanager::Options alertmanager;
  promql::ParseOptions parse;
  config::LoadOptions load;
};

struct Configuration {
  config::PrometheusConfig prometheus;
  std::string prometheus_yaml;                // masked
  std::vector<ruler::GroupSpec> groups;
  alertmanager::PreparedPtr alertmanager;     // null: none
};

// Errors: the errors of all files, a line each; kUnimplemented when a block that this version lacks is
// used.
base::Result<std::shared_ptr<const Configuration>> LoadConfiguration(const ConfigurationSources& sources);

// A digest of the files that LoadConfiguration would read, to see changes.
uint64_t ConfigurationDigest(const ConfigurationSources& sources);

}  // namespace tocsin::app
