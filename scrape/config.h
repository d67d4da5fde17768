#pragma once

// One entry of scrape_configs, but for what finds its targets (static_configs, *_sd_configs), which
// config/ keeps beside it under the same job name.  Values are final: what the entry did not say was
// filled in from `global`.
// Source: Prometheus 3.14, config.ScrapeConfig and docs/configuration "<scrape_config>".
//
// Threads: plain values; shared const once loaded.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "model/relabel.h"
#include "net/http_config.h"

namespace tocsin::scrape {

enum class Protocol {
  kPrometheusProto,
  kPrometheusText0_0_4,
  kPrometheusText1_0_0,
  kOpenMetricsText0_0_1,
  kOpenMetricsText1_0_0,
};

// As in the configuration: PrometheusProto, OpenMetricsText1.0.0, ...
inline constexpr std::array<std::pair<Protocol, std::string_view>, 5> kProtocolNames = {{
    {Protocol::kPrometheusProto, "PrometheusProto"},
    {Protocol::kPrometheusText0_0_4, "PrometheusText0.0.4"},
    {Protocol::kPrometheusText1_0_0, "PrometheusText1.0.0"},
    {Protocol::kOpenMetricsText0_0_1, "OpenMetricsText0.0.1"},
    {Protocol::kOpenMetricsText1_0_0, "OpenMetricsText1.0.0"},
}};

// How a target is asked to write names that are not [a-zA-Z_:][a-zA-Z0-9_:]*.
enum class Escaping { kAllowUtf8, kUnderscores, kDots, kValues };
inline constexpr std::array<std::pair<Escaping, std::string_view>, 4> kEscapingNames = {{
    {Escaping::kAllowUtf8, "allow-utf-8"},
    {Escaping::kUnderscores, "underscores"},
    {Escaping::kDots, "dots"},
    {Escaping::kValues, "values"},
}};

struct ScrapeConfig {
  std::string job_name;
  base::Duration scrape_interval = std::chrono::minutes(1);
  base::Duration scrape_timeout = std::chrono::seconds(10);  // at most the interval
  bool honor_labels = false;
  bool honor_timestamps = true;
  bool track_timestamps_staleness = false;
  // What to ask for, best first, each at most once; empty: the default, which begins with
  // PrometheusProto when native histograms are scraped.
  std::vector<Protocol> scrape_protocols;
  std::optional<Protocol> fallback_scrape_protocol;  // for answers without a usable Content-Type
  bool scrape_native_histograms = false;
  bool always_scrape_classic_histograms = false;
  bool convert_classic_histograms_to_nhcb = false;
  bool extra_scrape_metrics = false;
  std::string scheme = "http";
  std::string metrics_path = "/metrics";
  std::vector<std::pair<std::string, std::vector<std::string>>> params;  // sorted by name
  bool enable_compression = true;
  std::string scrape_failure_log_file;

  // Limits; 0: none.
  uint64_t body_size_limit = 0;  // bytes, after decoding
  uint64_t sample_limit = 0;     // after metric relabeling
  uint64_t target_limit = 0;
  uint64_t label_limit = 0;
  uint64_t label_name_length_limit = 0;   // bytes
  uint64_t label_value_length_limit = 0;  // bytes
  uint64_t keep_dropped_targets = 0;
  uint64_t native_histogram_bucket_limit = 0;
  double native_histogram_min_bucket_factor = 0;

  model::NameScheme name_validation = model::NameScheme::kUtf8;
  Escaping name_escaping = Escaping::kAllowUtf8;
  model::RelabelRules relabel;         // of targets
  model::RelabelRules metric_relabel;  // of scraped series
  net::HttpConfig http;
};

// The largest body that is read.  One of exactly the limit is over it.
inline uint64_t MostBodyBytes(const ScrapeConfig& config) {
  constexpr uint64_t kWithoutLimit = 512 << 20;
  return config.body_size_limit > 0 ? config.body_size_limit - 1 : kWithoutLimit;
}

}  // namespace tocsin::scrape
