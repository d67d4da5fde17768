#pragma once

// Where the targets of one scrape job (or of one entry of alerting.alertmanagers) come from:
// static_configs and the *_sd_configs keys beside it.
//
//   base::yaml::Reader r(node, &errors, "scrape_config");
//   DiscoveryConfig discovery;
//   ReadDiscoveryKeys(&r, &errors, &discovery);   // takes all its keys out of the mapping
//
// Every mechanism of Prometheus 3.14 is decoded and checked.  Those that this version cannot run
// are listed in `unsupported`, so that a service can refuse to start with a line that names them.
//
// Threads: plain values; shared const once loaded.

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "base/yaml.h"
#include "discovery/target_group.h"
#include "net/http_config.h"

namespace tocsin::discovery {

struct FileSdConfig {
  std::vector<std::string> files;  // paths; wildcards in the last element
  base::Duration refresh_interval = std::chrono::minutes(5);
  friend bool operator==(const FileSdConfig&, const FileSdConfig&) = default;
};

struct HttpSdConfig {
  std::string url;
  base::Duration refresh_interval = std::chrono::minutes(1);
  net::HttpConfig http;
  friend bool operator==(const HttpSdConfig&, const HttpSdConfig&) = default;
};

// A block that was checked but cannot be run.
struct UnsupportedSd {
  std::string key;               // "kubernetes_sd_configs"
  base::yaml::Position position;
  base::yaml::Node block;        // as written, secrets masked
};

struct DiscoveryConfig {
  std::vector<TargetGroupPtr> static_groups;
  std::vector<FileSdConfig> files;
  std::vector<HttpSdConfig> http;
  std::vector<UnsupportedSd> unsupported;

  // Makes relative paths relative to `folder`.
  void SetDirectory(std::string_view folder);
  // Whether both find the same targets in the same way.
  bool SameAs(const DiscoveryConfig& other) const;
};

// Every mechanism by its name (kubernetes), and whether this version runs it.
std::map<std::string, bool> Providers();

// Equal labels and targets, whatever the sources are called.
bool SameGroups(const std::vector<TargetGroupPtr>& a, const std::vector<TargetGroupPtr>& b);

// Reads the discovery keys of `reader`'s mapping.
void ReadDiscoveryKeys(base::yaml::Reader* reader, base::yaml::Errors* errors, DiscoveryConfig* config);

// Reads one entry of static_configs or of a file_sd/http_sd list: targets and labels.  Null if it is
// broken (then `errors` says how).
TargetGroupPtr ReadTargetGroup(const base::yaml::Node& node, std::string source, base::yaml::Errors* errors);

// Reads the list in a file_sd file or an http_sd answer.  Each group is named `source`:index and gets
// one label more, which tells where it came from.
base::Result<std::vector<TargetGroupPtr>> ReadTargetGroups(const base::yaml::Document& doc, const std::string& source,
                                                           std::string_view meta_label,
                                                           std::string_view meta_value);

}  // namespace tocsin::discovery
