#include "config/sections.h"

#include <algorithm>
#include <set>

#include "base/duration.h"
#include "base/number.h"
#include "base/text.h"

namespace tocsin::config {
namespace {

using base::yaml::Errors;
using base::yaml::Node;
using base::yaml::Reader;

void ReadRetention(const Node& node, Errors* errors, StorageConfig* config) {
  Reader r(node, errors, "config.plain");
  Retention& retention = config->retention.emplace();
  r.Duration("time", &retention.time);
  const Node* written = r.Take("size");
  if (written != nullptr && written->IsScalar() && written->text.starts_with('-')) {
    r.Error("size", "'storage.tsdb.retention.size' must be greater than or equal to 0, got " + written->text);
  } else {
    r.Bytes("size", &retention.bytes);
  }
  double percentage = 0;
  if (r.Double("percentage", &percentage)) {
    if (!(percentage >= 0 && percentage <= 100)) {
      r.Error("percentage", "'storage.tsdb.retention.percentage' must be in the range [0, 100], got " +
                                base::FormatV(percentage));
    } else {
      retention.percentage = percentage;
    }
  }
  r.Finish();
}

void ReadTsdb(const Node& node, Errors* errors, StorageConfig* config) {
  Reader r(node, errors, "config.plain");
  r.Duration("out_of_order_time_window", &config->out_of_order_time_window);
  r.Double("stale_series_compaction_threshold", &config->stale_series_compaction_threshold);
  r.With("chunk_encoding", [&](const Node& block) {
    Reader e(block, errors, "config.ChunkEncodingConfig");
    e.String("floats", &config->float_chunk_encoding);
    const std::string& floats = config->float_chunk_encoding;
    if (!floats.empty() && floats != "xor" && floats != "xor2") {
      e.Error("floats",
              "'storage.tsdb.chunk_encoding.floats' must be 'xor' or 'xor2', or the field must be omitted entirely, got " +
                  base::Quote(floats));
    }
    e.Finish();
  });
  r.With("retention", [&](const Node& block) { ReadRetention(block, errors, config); });
  r.Finish();
}

constexpr std::string_view kReservedHeaders[] = {
    "host",       "content-encoding",   "content-length",      "content-type",       "user-agent",
    "connection", "keep-alive",         "proxy-authenticate",  "proxy-authorization", "www-authenticate",
    "accept-encoding", "x-prometheus-remote-write-version", "x-prometheus-remote-read-version",
    "x-amz-date", "x-amz-security-token", "x-amz-content-sha256",
};

// Empty and repeated names, all of them.
void CheckAttributes(std::string_view key, std::string_view adjective, Reader* r,
                     std::vector<std::string>* attributes) {
  std::set<std::string> seen;
  std::string wrong;
  for (std::string& attribute : *attributes) {
    attribute = base::Trim(attribute);
    if (attribute.empty()) {
      wrong += "; empty " + std::string(adjective) + " OTel resource attribute";
    } else if (!seen.insert(attribute).second) {
      wrong += "; duplicated " + std::string(adjective) + " OTel resource attribute " + base::Quote(attribute);
    }
  }
  if (!wrong.empty()) r->Error("", "invalid '" + std::string(key) + "': " + wrong.substr(2));
}

void CheckStrategy(const std::string& strategy, model::NameScheme scheme, Reader* r) {
  constexpr std::string_view kKey = "translation_strategy";
  if (strategy.empty() || strategy == "UnderscoreEscapingWithSuffixes" ||
      strategy == "UnderscoreEscapingWithoutSuffixes") {
    return;
  }
  if (strategy != "NoTranslation" && strategy != "NoUTF8EscapingWithSuffixes") {
    r->Error(kKey, "unsupported OTLP translation strategy " + base::Quote(strategy) +
                       "; use UnderscoreEscapingWithSuffixes, UnderscoreEscapingWithoutSuffixes, "
                       "NoUTF8EscapingWithSuffixes or NoTranslation");
  } else if (scheme == model::NameScheme::kLegacy) {
    r->Error(kKey, "OTLP translation strategy " + base::Quote(strategy) + " is not allowed when UTF8 is disabled");
  }
}

}  // namespace

void ReadRuntime(const Node& node, Errors* errors, PrometheusConfig* config) {
  Reader r(node, errors, "config.RuntimeConfig");
  r.Int("gogc", &config->gogc);
  r.Finish();
}

void ReadStorage(const Node& node, Errors* errors, StorageConfig* config) {
  Reader r(node, errors, "config.StorageConfig");
  r.With("tsdb", [&](const Node& block) { ReadTsdb(block, errors, config); });
  r.With("exemplars", [&](const Node& block) {
    Reader e(block, errors, "config.ExemplarsConfig");
    config->max_exemplars = 0;
    e.Int("max_exemplars", &config->max_exemplars);
    e.Finish();
  });
  r.Finish();
}

void ReadTracing(const Node& node, Errors* errors, TracingConfig* config) {
  Reader r(node, errors, "config.plain");
  r.String("client_type", &config->client_type);
  if (config->client_type != "grpc" && config->client_type != "http") {
    r.Error("client_type",
            "expected tracing client type to be to be http or grpc, but got " + config->client_type);
  }
  r.String("endpoint", &config->endpoint);
  r.Double("sampling_fraction", &config->sampling_fraction);
  r.Bool("insecure", &config->insecure);
  r.With("tls_config", [&](const Node& block) { net::ReadTlsConfig(block, errors, &config->tls); });
  r.StringMap("headers", &config->headers);
  r.String("compression", &config->compression);
  r.Duration("timeout", &config->timeout);
  for (const auto& [name, value] : config->headers) {
    std::string lower = base::ToLower(name);
    if (lower == "authorization") {
      r.Error("headers", "custom authorization header configuration is not yet supported");
    } else if (std::find(std::begin(kReservedHeaders), std::end(kReservedHeaders), lower) !=
               std::end(kReservedHeaders)) {
      r.Error("headers", name + " is a reserved header. It must not be changed");
    }
  }
  if (config->endpoint.empty()) r.Error("endpoint", "tracing endpoint must be set");
  if (!config->compression.empty() && config->compression != "gzip") {
    r.Error("compression", "invalid compression type " + config->compression + " provided, valid options: gzip");
  }
  r.Finish();
}

void ReadOtlp(const Node& node, model::NameScheme scheme, Errors* errors, OtlpConfig* c) {
  Reader r(node, errors, "config.plain");
  r.Bool("promote_all_resource_attributes", &c->promote_all_resource_attributes);
  r.Strings("promote_resource_attributes", &c->promote_resource_attributes);
  r.Strings("ignore_resource_attributes", &c->ignore_resource_attributes);
  r.String("translation_strategy", &c->translation_strategy);
  r.Bool("keep_identifying_resource_attributes", &c->keep_identifying_resource_attributes);
  r.Bool("convert_histograms_to_nhcb", &c->convert_histograms_to_nhcb);
  r.Bool("promote_scope_metadata", &c->promote_scope_metadata);
  r.Bool("label_name_underscore_sanitization", &c->label_name_underscore_sanitization);
  r.Bool("label_name_preserve_multiple_underscores", &c->label_name_preserve_multiple_underscores);
  if (c->promote_all_resource_attributes) {
    if (!c->promote_resource_attributes.empty()) {
      r.Error("",
              "'promote_all_resource_attributes' and 'promote_resource_attributes' cannot be configured "
              "simultaneously");
    }
    CheckAttributes("ignore_resource_attributes", "ignored", &r, &c->ignore_resource_attributes);
  } else {
    if (!c->ignore_resource_attributes.empty()) {
      r.Error("",
              "'ignore_resource_attributes' cannot be configured unless 'promote_all_resource_attributes' is true");
    }
    CheckAttributes("promote_resource_attributes", "promoted", &r, &c->promote_resource_attributes);
  }
  CheckStrategy(c->translation_strategy, scheme, &r);
  r.Finish();
}

}  // namespace tocsin::config
