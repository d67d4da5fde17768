#pragma once

// prometheus.yml: every module's section put together and checked.
//
//   auto config = config::LoadPrometheusConfig(fs, "/etc/prometheus/prometheus.yml");
//   if (!config) return Fail(config.error());        // all errors of the file, a line each
//   if (auto why = config->UnsupportedStatus(); !why) ...   // what this version cannot do, by name
//
// Threads: loading runs on any thread (it reads files); the result is shared const.
// Errors:  kInvalidArgument, each line "file:line:column: message"; kNotFound and the like for files.
// Source:  Prometheus 3.14, config/config.go.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "base/time.h"
#include "base/yaml.h"
#include "discovery/config.h"
#include "model/labels.h"
#include "remote/config.h"
#include "scrape/config.h"
#include "scrape/config_yaml.h"

namespace tocsin::config {

struct GlobalConfig {
  scrape::GlobalScrapeConfig scrape;
  base::Duration evaluation_interval = std::chrono::minutes(1);
  base::Duration rule_query_offset{0};
  std::string query_log_file;
  model::Labels external_labels;  // ${VARIABLES} already replaced
};

struct ScrapeJob {
  scrape::ScrapeConfig scrape;
  discovery::DiscoveryConfig discovery;
  std::string file;  // that it stands in
  base::yaml::Position position;
};

// 0: no limit.
struct Retention {
  base::Duration time{0};
  uint64_t bytes = 0;
  double percentage = 0;  // of the file system
};

struct StorageConfig {
  base::Duration out_of_order_time_window{0};
  double stale_series_compaction_threshold = 0;
  std::string float_chunk_encoding;  // xor, xor2 or empty
  std::optional<Retention> retention;  // a block of it in the file goes before the flags, whole
  int64_t max_exemplars = 100000;
};

struct TracingConfig {
  std::string client_type = "grpc";
  std::string endpoint;  // empty: no tracing
  double sampling_fraction = 0;
  bool insecure = false;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string compression;
  base::Duration timeout{0};
  net::TlsConfig tls;
};

struct OtlpConfig {
  bool promote_all_resource_attributes = false;
  std::vector<std::string> promote_resource_attributes;
  std::vector<std::string> ignore_resource_attributes;
  std::string translation_strategy = "UnderscoreEscapingWithSuffixes";
  bool keep_identifying_resource_attributes = false;
  bool convert_histograms_to_nhcb = false;
  bool promote_scope_metadata = false;
  bool label_name_underscore_sanitization = true;
  bool label_name_preserve_multiple_underscores = true;
};

// A block that was read and checked, but that this version cannot honour.
struct Unsupported {
  std::string file;
  base::yaml::Position position;
  std::string what;  // job "node": kubernetes_sd_configs
};

struct PrometheusConfig {
  std::string path;
  GlobalConfig global;
  int64_t gogc = 75;
  remote::AlertingConfig alerting;
  std::vector<std::string> rule_files;           // patterns, relative ones joined to the file's folder
  std::vector<std::string> scrape_config_files;  // likewise
  std::vector<ScrapeJob> scrape_jobs;            // of this file, then of scrape_config_files
  size_t own_scrape_jobs = 0;                    // how many of them are of this file
  StorageConfig storage;
  TracingConfig tracing;
  std::vector<remote::RemoteWriteConfig> remote_write;
  std::vector<remote::RemoteReadConfig> remote_read;
  OtlpConfig otlp;
  std::vector<Unsupported> unsupported;
  std::vector<std::string> warnings;  // one line each

  // OK, or kUnimplemented with one line that names all unsupported blocks.
  base::Status UnsupportedStatus() const;
  // Discovery by job name, for scraping; by "config-0", "config-1", ... for alerting.
  std::map<std::string, discovery::DiscoveryConfig> ScrapeDiscovery() const;
  std::map<std::string, discovery::DiscoveryConfig> AlertingDiscovery() const;
  // One job of it likewise: for /api/v1/scrape_pools/config.  Empty if there is no such job.
  std::string JobYaml(std::string_view job_name) const;
  // The configuration in effect as YAML, secrets as <secret>: for /api/v1/status/config.
  std::string ToYaml() const;
};

struct LoadOptions {
  bool agent = false;                  // refuse what an agent does not do
  bool read_scrape_config_files = true;
  bool protobuf_first = false;         // of the scrape protocols, where the file names none
  std::optional<Retention> retention;  // where the file has no block of it
  // The value of an environment variable, for external_labels; null: the process's own.
  std::function<std::string(const std::string&)> env;
};

base::Result<PrometheusConfig> LoadPrometheusConfig(base::FileSystem* fs, const std::string& path,
                                                    const LoadOptions& options = {});
// The same from text; `path` names it in messages, relative paths are joined to `folder`.
base::Result<PrometheusConfig> ParsePrometheusConfig(base::FileSystem* fs, std::string_view text,
                                                     const std::string& path, const std::string& folder,
                                                     const LoadOptions& options = {});

// The files that `patterns` name now, sorted, each once.  A pattern without wildcards names its file
// whether it is there or not.
base::Result<std::vector<std::string>> ExpandPatterns(base::FileSystem* fs, const std::vector<std::string>& patterns);

}  // namespace tocsin::config
