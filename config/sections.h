#pragma once

// The small sections of prometheus.yml that no other module owns.  Only for config/.

#include "base/yaml.h"
#include "config/prometheus_config.h"

namespace tocsin::config {

void ReadRuntime(const base::yaml::Node& node, base::yaml::Errors* errors, PrometheusConfig* config);
void ReadStorage(const base::yaml::Node& node, base::yaml::Errors* errors, StorageConfig* config);
void ReadTracing(const base::yaml::Node& node, base::yaml::Errors* errors, TracingConfig* config);
void ReadOtlp(const base::yaml::Node& node, model::NameScheme scheme, base::yaml::Errors* errors, OtlpConfig* config);

}  // namespace tocsin::config
