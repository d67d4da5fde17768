#pragma once

// remote_write, remote_read and alerting, from YAML.
// Source: Prometheus 3.14, config.RemoteWriteConfig, RemoteReadConfig, AlertingConfig.
//
// Threads: plain values; shared const once loaded.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "base/yaml.h"
#include "discovery/config.h"
#include "model/labels.h"
#include "model/relabel.h"
#include "net/http_config.h"

namespace tocsin::remote {

// Signing of requests by clouds' own schemes: read and checked, not yet honoured.
struct CloudAuth {
  std::string key;          // sigv4, azuread or google_iam; empty: none
  base::yaml::Node block;   // as written, secrets masked
};

struct QueueConfig {
  int64_t capacity = 10000;  // samples waiting in each shard
  int64_t max_shards = 50;
  int64_t min_shards = 1;
  int64_t max_samples_per_send = 2000;
  base::Duration batch_send_deadline = std::chrono::seconds(5);
  base::Duration min_backoff = std::chrono::milliseconds(30);
  base::Duration max_backoff = std::chrono::seconds(5);
  bool retry_on_http_429 = false;
  base::Duration sample_age_limit{0};  // 0: none
};

struct MetadataConfig {
  bool send = true;
  base::Duration send_interval = std::chrono::minutes(1);
  int64_t max_samples_per_send = 2000;
};

enum class WriteMessage { kV1, kV2 };
std::string_view WriteMessageName(WriteMessage message);  // prometheus.WriteRequest

using HeaderList = std::vector<std::pair<std::string, std::string>>;

struct RemoteWriteConfig {
  std::string url;
  std::string name;  // unique; may be empty
  WriteMessage protobuf_message = WriteMessage::kV1;
  base::Duration remote_timeout = std::chrono::seconds(30);
  HeaderList headers;
  model::RelabelRules write_relabel;
  bool send_exemplars = false;
  bool send_native_histograms = false;
  bool round_robin_dns = false;
  bool failed_request_logging = false;
  QueueConfig queue;
  MetadataConfig metadata;
  CloudAuth cloud_auth;
  net::HttpConfig http;
};

struct RemoteReadConfig {
  std::string url;
  std::string name;
  base::Duration remote_timeout = std::chrono::minutes(1);
  HeaderList headers;
  uint64_t chunked_read_limit = 50'000'000;  // bytes of a frame
  bool read_recent = false;
  bool filter_external_labels = true;
  model::Labels required_matchers;
  net::HttpConfig http;
};

// One entry of alerting.alertmanagers.
struct AlertmanagerConfig {
  std::string scheme = "http";
  std::string path_prefix;
  base::Duration timeout = std::chrono::seconds(10);
  std::string api_version = "v2";
  discovery::DiscoveryConfig discovery;
  model::RelabelRules relabel;        // of the Alertmanagers found
  model::RelabelRules alert_relabel;  // of the alerts sent to them, after the common ones
  CloudAuth cloud_auth;
  net::HttpConfig http;
};

struct AlertingConfig {
  model::RelabelRules alert_relabel;
  std::vector<AlertmanagerConfig> alertmanagers;
};

void ReadRemoteWrite(const base::yaml::Node& node, model::NameScheme scheme, base::yaml::Errors* errors,
                     RemoteWriteConfig* config);
void ReadRemoteRead(const base::yaml::Node& node, base::yaml::Errors* errors, RemoteReadConfig* config);
void ReadAlerting(const base::yaml::Node& node, model::NameScheme scheme, base::yaml::Errors* errors,
                  AlertingConfig* config);

// Makes relative paths relative to `folder`.
void SetDirectory(std::string_view folder, AlertingConfig* config);

}  // namespace tocsin::remote
