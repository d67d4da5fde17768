#include "scrape/config_yaml.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/file_system.h"
#include "base/number.h"
#include "base/text.h"

namespace tocsin::scrape {
namespace {

using base::yaml::Errors;
using base::yaml::Node;
using base::yaml::Reader;

// Sorted, as upstream's message lists them.
constexpr std::string_view kSupportedProtocols =
    "[OpenMetricsText0.0.1 OpenMetricsText1.0.0 PrometheusProto PrometheusText0.0.4 PrometheusText1.0.0]";

std::optional<Protocol> ProtocolOf(std::string_view name) {
  for (const auto& [protocol, known] : kProtocolNames) {
    if (known == name) return protocol;
  }
  return std::nullopt;
}

std::string UnknownProtocol(std::string_view name) {
  return "unknown scrape protocol " + std::string(name) + ", supported: " + std::string(kSupportedProtocols);
}

// `where` ends each message: for global config, for scrape config with job name "x".
std::optional<std::vector<Protocol>> ReadProtocols(Reader* r, const std::string& where) {
  std::vector<std::string> names;
  if (!r->Strings("scrape_protocols", &names)) return std::nullopt;
  if (names.empty()) {
    r->Error("", "scrape_protocols cannot be empty " + where);
    return std::nullopt;
  }
  std::set<std::string> seen;
  std::vector<Protocol> protocols;
  for (const std::string& name : names) {
    if (!seen.insert(base::ToLower(name)).second) {
      r->Error("", "duplicated protocol in scrape_protocols, got [" + base::Join(names, " ") + "] " + where);
      return std::nullopt;
    }
    auto protocol = ProtocolOf(name);
    if (!protocol) {
      r->Error("", "scrape_protocols: " + UnknownProtocol(name) + " " + where);
      return std::nullopt;
    }
    protocols.push_back(*protocol);
  }
  return protocols;
}

// Empty: the key is absent or blank.
std::optional<model::NameScheme> ReadNameScheme(Reader* r) {
  std::string text;
  if (!r->String("metric_name_validation_scheme", &text) || text.empty()) return std::nullopt;
  if (text == "legacy") return model::NameScheme::kLegacy;
  if (text == "utf8") return model::NameScheme::kUtf8;
  r->Error("metric_name_validation_scheme",
           "unrecognized ValidationScheme: " + base::Quote(text) + "; use utf8 or legacy");
  return std::nullopt;
}

std::optional<Escaping> ReadEscaping(Reader* r, std::string_view level) {
  std::string text;
  if (!r->String("metric_name_escaping_scheme", &text) || text.empty()) return std::nullopt;
  for (const auto& [escaping, name] : kEscapingNames) {
    if (name == text) return escaping;
  }
  r->Error("metric_name_escaping_scheme",
           "unknown " + std::string(level) +
               " name escaping method specified, must be one of 'allow-utf-8', 'underscores', 'dots', or 'values', got " +
               base::Quote(text));
  return std::nullopt;
}

struct LimitKey {
  std::string_view name;
  uint64_t GlobalScrapeConfig::* global;
  uint64_t ScrapeConfig::* own;
};

constexpr LimitKey kLimits[] = {
    {"sample_limit", &GlobalScrapeConfig::sample_limit, &ScrapeConfig::sample_limit},
    {"target_limit", &GlobalScrapeConfig::target_limit, &ScrapeConfig::target_limit},
    {"label_limit", &GlobalScrapeConfig::label_limit, &ScrapeConfig::label_limit},
    {"label_name_length_limit", &GlobalScrapeConfig::label_name_length_limit, &ScrapeConfig::label_name_length_limit},
    {"label_value_length_limit", &GlobalScrapeConfig::label_value_length_limit,
     &ScrapeConfig::label_value_length_limit},
    {"keep_dropped_targets", &GlobalScrapeConfig::keep_dropped_targets, &ScrapeConfig::keep_dropped_targets},
};

struct SwitchKey {
  std::string_view name;
  bool GlobalScrapeConfig::* global;
  bool ScrapeConfig::* own;
};

constexpr SwitchKey kSwitches[] = {
    {"scrape_native_histograms", &GlobalScrapeConfig::scrape_native_histograms,
     &ScrapeConfig::scrape_native_histograms},
    {"convert_classic_histograms_to_nhcb", &GlobalScrapeConfig::convert_classic_histograms_to_nhcb,
     &ScrapeConfig::convert_classic_histograms_to_nhcb},
    {"always_scrape_classic_histograms", &GlobalScrapeConfig::always_scrape_classic_histograms,
     &ScrapeConfig::always_scrape_classic_histograms},
    {"extra_scrape_metrics", &GlobalScrapeConfig::extra_scrape_metrics, &ScrapeConfig::extra_scrape_metrics},
};

constexpr base::Duration kDefaultInterval = std::chrono::minutes(1);
constexpr base::Duration kDefaultTimeout = std::chrono::seconds(10);

void ReadParams(const Node& node, Errors* errors, ScrapeConfig* config) {
  if (!node.IsMapping()) {
    errors->Add(node.position, "params: cannot unmarshal " + base::yaml::Describe(node) +
                                   " into url.Values; write `name: [value]` lines");
    return;
  }
  Reader r(node, errors, "url.Values");
  std::map<std::string, std::vector<std::string>> params;
  for (const Node::Entry& entry : node.entries) {
    std::vector<std::string> values;
    r.Strings(entry.key.text, &values);
    params[entry.key.text] = std::move(values);
  }
  config->params.assign(params.begin(), params.end());
}

std::string ForJob(const ScrapeConfig& config) {
  return "for scrape config with job name " + base::Quote(config.job_name);
}

void ReadTiming(const GlobalScrapeConfig& global, Reader* r, ScrapeConfig* config) {
  config->scrape_interval = base::Duration(0);
  config->scrape_timeout = base::Duration(0);
  r->Duration("scrape_interval", &config->scrape_interval);
  r->Duration("scrape_timeout", &config->scrape_timeout);
  if (config->scrape_interval.count() == 0) config->scrape_interval = global.scrape_interval;
  if (config->scrape_timeout > config->scrape_interval) {
    r->Error(r->Has("scrape_timeout") ? "scrape_timeout" : "",
             "scrape timeout greater than scrape interval " + ForJob(*config));
  }
  if (config->scrape_timeout.count() == 0) {
    config->scrape_timeout = std::min(global.scrape_timeout, config->scrape_interval);
  }
}

void ReadFormats(const GlobalScrapeConfig& global, Reader* r, ScrapeConfig* config) {
  for (const SwitchKey& key : kSwitches) {
    config->*key.own = global.*key.global;
    r->Bool(key.name, &(config->*key.own));
  }
  auto protocols = ReadProtocols(r, ForJob(*config));
  if (protocols) {
    config->scrape_protocols = *protocols;
  } else if (global.scrape_protocols) {
    config->scrape_protocols = *global.scrape_protocols;
  } else {
    if (config->scrape_native_histograms) config->scrape_protocols = {Protocol::kPrometheusProto};
    for (Protocol p : {Protocol::kOpenMetricsText1_0_0, Protocol::kOpenMetricsText0_0_1,
                       Protocol::kPrometheusText1_0_0, Protocol::kPrometheusText0_0_4}) {
      config->scrape_protocols.push_back(p);
    }
  }
  std::string fallback;
  if (r->String("fallback_scrape_protocol", &fallback) && !fallback.empty()) {
    config->fallback_scrape_protocol = ProtocolOf(fallback);
    if (!config->fallback_scrape_protocol) {
      r->Error("", "invalid fallback_scrape_protocol " + ForJob(*config) + ": " + UnknownProtocol(fallback));
    }
  }
}

void ReadNames(const GlobalScrapeConfig& global, Reader* r, ScrapeConfig* config) {
  auto by_scheme = [](model::NameScheme scheme) {
    return scheme == model::NameScheme::kLegacy ? Escaping::kUnderscores : Escaping::kAllowUtf8;
  };
  auto scheme = ReadNameScheme(r);
  config->name_validation = scheme.value_or(global.name_validation);
  auto escaping = ReadEscaping(r, "scrape config");
  if (escaping) {
    config->name_escaping = *escaping;
  } else if (scheme) {
    // The global escaping may not fit a scheme of the job's own.
    config->name_escaping = by_scheme(*scheme);
  } else {
    config->name_escaping = global.name_escaping.value_or(by_scheme(global.name_validation));
  }
  if (config->name_escaping == Escaping::kAllowUtf8 && config->name_validation == model::NameScheme::kLegacy) {
    r->Error(r->Has("metric_name_escaping_scheme") ? "metric_name_escaping_scheme" : "",
             "utf8 metric names requested but validation scheme is not set to UTF8");
  }
}

void ReadLimits(const GlobalScrapeConfig& global, Reader* r, ScrapeConfig* config) {
  r->Bytes("body_size_limit", &config->body_size_limit);
  if (config->body_size_limit == 0) config->body_size_limit = global.body_size_limit;
  for (const LimitKey& key : kLimits) {
    r->Uint(key.name, &(config->*key.own));
    if (config->*key.own == 0) config->*key.own = global.*key.global;
  }
  r->Uint("native_histogram_bucket_limit", &config->native_histogram_bucket_limit);
  r->Double("native_histogram_min_bucket_factor", &config->native_histogram_min_bucket_factor);
}

}  // namespace

std::string_view ProtocolName(Protocol protocol) { return kProtocolNames[static_cast<size_t>(protocol)].second; }
std::string_view EscapingName(Escaping escaping) { return kEscapingNames[static_cast<size_t>(escaping)].second; }

void ReadGlobalScrapeKeys(Reader* r, GlobalScrapeConfig* config) {
  config->scrape_interval = base::Duration(0);
  config->scrape_timeout = base::Duration(0);
  r->Duration("scrape_interval", &config->scrape_interval);
  r->Duration("scrape_timeout", &config->scrape_timeout);
  if (config->scrape_interval.count() == 0) config->scrape_interval = kDefaultInterval;
  if (config->scrape_timeout > config->scrape_interval) {
    r->Error("scrape_timeout", "global scrape timeout greater than scrape interval");
  }
  if (config->scrape_timeout.count() == 0) {
    config->scrape_timeout = std::min(kDefaultTimeout, config->scrape_interval);
  }
  config->scrape_protocols = ReadProtocols(r, "for global config");
  r->String("scrape_failure_log_file", &config->scrape_failure_log_file);
  r->Bytes("body_size_limit", &config->body_size_limit);
  for (const LimitKey& key : kLimits) r->Uint(key.name, &(config->*key.global));
  for (const SwitchKey& key : kSwitches) r->Bool(key.name, &(config->*key.global));
  config->name_validation = ReadNameScheme(r).value_or(model::NameScheme::kUtf8);
  config->name_escaping = ReadEscaping(r, "global");
}

void ReadScrapeConfig(const Node& node, const GlobalScrapeConfig& global, Errors* errors, ScrapeConfig* config,
                      discovery::DiscoveryConfig* discovery) {
  if (node.IsNull()) {
    errors->Add(node.position, "empty or null scrape config section; write its keys or take the line out");
    return;
  }
  Reader r(node, errors, "config.ScrapeConfig");
  r.String("job_name", &config->job_name);
  if (node.IsMapping() && config->job_name.empty()) r.Error("job_name", "job_name is empty");
  ReadTiming(global, &r, config);
  ReadFormats(global, &r, config);
  ReadNames(global, &r, config);
  ReadLimits(global, &r, config);
  r.Bool("honor_labels", &config->honor_labels);
  r.Bool("honor_timestamps", &config->honor_timestamps);
  r.Bool("track_timestamps_staleness", &config->track_timestamps_staleness);
  r.String("metrics_path", &config->metrics_path);
  r.String("scheme", &config->scheme);
  r.Bool("enable_compression", &config->enable_compression);
  r.With("params", [&](const Node& params) { ReadParams(params, errors, config); });
  r.String("scrape_failure_log_file", &config->scrape_failure_log_file);
  if (config->scrape_failure_log_file.empty()) config->scrape_failure_log_file = global.scrape_failure_log_file;
  net::ReadHttpConfigKeys(&r, errors, &config->http);
  discovery::ReadDiscoveryKeys(&r, errors, discovery);
  ReadRelabelKey("relabel_configs", "target relabeling rule in scrape config", config->name_validation, &r, errors,
                 &config->relabel);
  ReadRelabelKey("metric_relabel_configs", "metric relabeling rule in scrape config", config->name_validation, &r,
                 errors, &config->metric_relabel);
  if (config->relabel.empty()) CheckStaticTargets(*discovery, r.At("static_configs"), errors);
  r.Finish();
}

void ReadRelabelKey(std::string_view key, std::string_view what, model::NameScheme scheme, Reader* reader,
                    Errors* errors, model::RelabelRules* rules) {
  reader->Each(key, [&](const Node& item) {
    if (item.IsNull()) {
      errors->Add(item.position, "empty or null " + std::string(what));
      return;
    }
    model::ReadRelabelRule(item, errors, &rules->emplace_back(), scheme);
  });
}

void CheckStaticTargets(const discovery::DiscoveryConfig& discovery, base::yaml::Position position, Errors* errors) {
  for (const auto& group : discovery.static_groups) {
    for (const model::Labels& target : group->targets) {
      std::string_view address = target.Get("__address__");
      if (address.find('/') == address.npos) continue;
      errors->Add(position, base::Quote(address) +
                                " is not a valid hostname; write host:port, with scheme and metrics_path beside it");
    }
  }
}

void SetDirectory(std::string_view folder, ScrapeConfig* config) {
  config->http.SetDirectory(folder);
  if (!config->scrape_failure_log_file.empty()) {
    config->scrape_failure_log_file = base::JoinPath(folder, config->scrape_failure_log_file);
  }
}

}  // namespace tocsin::scrape
