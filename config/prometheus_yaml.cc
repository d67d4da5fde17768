// The configuration in effect as YAML, in upstream's order of keys, secrets as <secret>.

#include <algorithm>

#include "base/url.h"
#include "base/yaml.h"
#include "config/prometheus_config.h"

namespace tocsin::config {
namespace {

using base::yaml::MakeList;
using base::yaml::MakeString;
using base::yaml::MapBuilder;
using base::yaml::Node;

template <class T, class Write>
Node ListOf(const std::vector<T>& values, Write write) {
  std::vector<Node> items;
  for (const T& value : values) items.push_back(write(value));
  return MakeList(std::move(items));
}

void AddLabels(std::string_view key, model::LabelsView labels, MapBuilder* map) {
  MapBuilder inner;
  for (const model::Label& label : labels) inner.PutString(label.name, label.value);
  map->Add(key, inner.Take());
}

Node RuleNode(const model::RelabelRule& rule) {
  MapBuilder map;
  map.AddStrings("source_labels", rule.source_labels);
  map.PutString("separator", rule.separator);
  if (!rule.default_regex) map.PutString("regex", rule.regex.pattern());
  map.AddCount("modulus", rule.modulus).AddString("target_label", rule.target_label);
  map.PutString("replacement", rule.replacement);
  map.PutString("action", model::RelabelActionName(rule.action));
  return map.Take();
}

void AddRules(std::string_view key, const model::RelabelRules& rules, MapBuilder* map) {
  map->Add(key, ListOf(rules, RuleNode));
}

Node TlsNode(const net::TlsConfig& tls) {
  MapBuilder map;
  map.AddString("ca", tls.ca).AddString("cert", tls.cert).AddSecret("key", tls.key);
  map.AddString("ca_file", tls.ca_file).AddString("cert_file", tls.cert_file).AddString("key_file", tls.key_file);
  map.AddString("server_name", tls.server_name);
  bool set = tls != net::TlsConfig();
  if (set) map.PutBool("insecure_skip_verify", tls.insecure_skip_verify);
  map.AddString("min_version", net::TlsVersionName(tls.min_version));
  map.AddString("max_version", net::TlsVersionName(tls.max_version));
  return map.Take();
}

void AddProxy(const net::ProxyConfig& proxy, MapBuilder* map) {
  if (!proxy.proxy_url.empty()) map->PutString("proxy_url", base::RedactUrl(proxy.proxy_url));
  map->AddString("no_proxy", proxy.no_proxy);
  map->AddTrue("proxy_from_environment", proxy.from_environment);
  MapBuilder headers;
  for (const auto& [name, values] : proxy.connect_headers) {
    headers.Put(name, ListOf(values, [](const std::string&) { return MakeString("<secret>"); }));
  }
  map->Add("proxy_connect_header", headers.Take());
}

Node OAuthNode(const net::OAuth2& o) {
  MapBuilder map;
  map.PutString("client_id", o.client_id).AddSecret("client_secret", o.client_secret);
  map.AddString("client_secret_file", o.client_secret_file);
  map.AddString("client_certificate_key_id", o.client_certificate_key_id);
  map.AddSecret("client_certificate_key", o.client_certificate_key);
  map.AddString("client_certificate_key_file", o.client_certificate_key_file);
  map.AddString("grant_type", o.grant_type).AddString("signature_algorithm", o.signature_algorithm);
  map.AddString("iss", o.issuer).AddString("audience", o.audience);
  map.AddStrings("scopes", o.scopes).PutString("token_url", o.token_url).AddPairs("endpoint_params", o.endpoint_params);
  map.Add("tls_config", TlsNode(o.tls));
  AddProxy(o.proxy, &map);
  return map.Take();
}

void AddHttp(const net::HttpConfig& http, MapBuilder* map) {
  if (http.basic_auth) {
    MapBuilder auth;
    auth.AddString("username", http.basic_auth->username).AddString("username_file", http.basic_auth->username_file);
    auth.AddSecret("password", http.basic_auth->password).AddString("password_file", http.basic_auth->password_file);
    map->Put("basic_auth", auth.Take());
  }
  if (http.authorization) {
    MapBuilder auth;
    auth.AddString("type", http.authorization->type).AddSecret("credentials", http.authorization->credentials);
    auth.AddString("credentials_file", http.authorization->credentials_file);
    map->Put("authorization", auth.Take());
  }
  if (http.oauth2) map->Put("oauth2", OAuthNode(*http.oauth2));
  map->Add("tls_config", TlsNode(http.tls));
  map->PutBool("follow_redirects", http.follow_redirects).PutBool("enable_http2", http.enable_http2);
  AddProxy(http.proxy, map);
  MapBuilder headers;
  for (const net::HttpHeaderValues& header : http.headers) {
    MapBuilder values;
    values.AddStrings("values", header.values);
    values.Add("secrets", ListOf(header.secrets, [](const std::string&) { return MakeString("<secret>"); }));
    values.AddStrings("files", header.files);
    headers.Put(header.name, values.Take());
  }
  map->Add("http_headers", headers.Take());
}

void AddDiscovery(const discovery::DiscoveryConfig& d, MapBuilder* map) {
  map->Add("static_configs", ListOf(d.static_groups, [](const discovery::TargetGroupPtr& group) {
             MapBuilder inner;
             inner.Put("targets", ListOf(group->targets, [](const model::Labels& target) {
                         return MakeString(target.Get("__address__"));
                       }));
             AddLabels("labels", group->labels, &inner);
             return inner.Take();
           }));
  map->Add("file_sd_configs", ListOf(d.files, [](const discovery::FileSdConfig& sd) {
             MapBuilder inner;
             inner.AddStrings("files", sd.files).PutDuration("refresh_interval", sd.refresh_interval);
             return inner.Take();
           }));
  map->Add("http_sd_configs", ListOf(d.http, [](const discovery::HttpSdConfig& sd) {
             MapBuilder inner;
             AddHttp(sd.http, &inner);
             inner.PutDuration("refresh_interval", sd.refresh_interval).PutString("url", sd.url);
             return inner.Take();
           }));
  for (size_t i = 0; i < d.unsupported.size();) {
    std::vector<Node> blocks;
    const std::string& key = d.unsupported[i].key;
    for (; i < d.unsupported.size() && d.unsupported[i].key == key; ++i) blocks.push_back(d.unsupported[i].block);
    map->Put(key, MakeList(std::move(blocks)));
  }
}

Node ProtocolNames(const std::vector<scrape::Protocol>& protocols) {
  return ListOf(protocols, [](scrape::Protocol p) { return MakeString(scrape::ProtocolName(p)); });
}

std::string_view SchemeName(model::NameScheme scheme) {
  return scheme == model::NameScheme::kLegacy ? "legacy" : "utf8";
}

template <class Config>
void AddLimits(const Config& c, MapBuilder* map) {
  map->AddBytes("body_size_limit", c.body_size_limit).AddCount("sample_limit", c.sample_limit);
  map->AddCount("target_limit", c.target_limit).AddCount("label_limit", c.label_limit);
  map->AddCount("label_name_length_limit", c.label_name_length_limit);
  map->AddCount("label_value_length_limit", c.label_value_length_limit);
}

Node GlobalNode(const GlobalConfig& g) {
  const scrape::GlobalScrapeConfig& s = g.scrape;
  MapBuilder map;
  map.PutDuration("scrape_interval", s.scrape_interval).PutDuration("scrape_timeout", s.scrape_timeout);
  if (s.scrape_protocols) map.Add("scrape_protocols", ProtocolNames(*s.scrape_protocols));
  map.PutDuration("evaluation_interval", g.evaluation_interval).AddDuration("rule_query_offset", g.rule_query_offset);
  map.AddString("query_log_file", g.query_log_file).AddString("scrape_failure_log_file", s.scrape_failure_log_file);
  AddLabels("external_labels", g.external_labels, &map);
  AddLimits(s, &map);
  map.AddCount("keep_dropped_targets", s.keep_dropped_targets);
  map.PutString("metric_name_validation_scheme", SchemeName(s.name_validation));
  if (s.name_escaping) map.PutString("metric_name_escaping_scheme", scrape::EscapingName(*s.name_escaping));
  map.PutBool("scrape_native_histograms", s.scrape_native_histograms);
  map.AddTrue("convert_classic_histograms_to_nhcb", s.convert_classic_histograms_to_nhcb);
  map.AddTrue("always_scrape_classic_histograms", s.always_scrape_classic_histograms);
  map.PutBool("extra_scrape_metrics", s.extra_scrape_metrics);
  return map.Take();
}

Node JobNode(const ScrapeJob& job) {
  const scrape::ScrapeConfig& s = job.scrape;
  MapBuilder map;
  map.PutString("job_name", s.job_name).AddTrue("honor_labels", s.honor_labels);
  map.PutBool("honor_timestamps", s.honor_timestamps);
  map.PutBool("track_timestamps_staleness", s.track_timestamps_staleness);
  MapBuilder params;
  for (const auto& [name, values] : s.params) params.AddStrings(name, values);
  map.Add("params", params.Take());
  map.PutDuration("scrape_interval", s.scrape_interval).PutDuration("scrape_timeout", s.scrape_timeout);
  map.Add("scrape_protocols", ProtocolNames(s.scrape_protocols));
  if (s.fallback_scrape_protocol) {
    map.PutString("fallback_scrape_protocol", scrape::ProtocolName(*s.fallback_scrape_protocol));
  }
  map.PutBool("scrape_native_histograms", s.scrape_native_histograms);
  map.PutBool("always_scrape_classic_histograms", s.always_scrape_classic_histograms);
  map.PutBool("convert_classic_histograms_to_nhcb", s.convert_classic_histograms_to_nhcb);
  map.AddString("scrape_failure_log_file", s.scrape_failure_log_file);
  map.PutString("metrics_path", s.metrics_path).PutString("scheme", s.scheme);
  map.PutBool("enable_compression", s.enable_compression);
  AddLimits(s, &map);
  map.AddCount("native_histogram_bucket_limit", s.native_histogram_bucket_limit);
  map.AddNumber("native_histogram_min_bucket_factor", s.native_histogram_min_bucket_factor);
  map.AddCount("keep_dropped_targets", s.keep_dropped_targets);
  map.PutString("metric_name_validation_scheme", SchemeName(s.name_validation));
  map.PutString("metric_name_escaping_scheme", scrape::EscapingName(s.name_escaping));
  map.PutBool("extra_scrape_metrics", s.extra_scrape_metrics);
  AddHttp(s.http, &map);
  AddRules("relabel_configs", s.relabel, &map);
  AddRules("metric_relabel_configs", s.metric_relabel, &map);
  AddDiscovery(job.discovery, &map);
  return map.Take();
}

void AddCloudAuth(const remote::CloudAuth& auth, MapBuilder* map) {
  if (!auth.key.empty()) map->Put(auth.key, auth.block);
}

Node AlertingNode(const remote::AlertingConfig& a) {
  MapBuilder map;
  AddRules("alert_relabel_configs", a.alert_relabel, &map);
  map.Add("alertmanagers", ListOf(a.alertmanagers, [](const remote::AlertmanagerConfig& am) {
            MapBuilder inner;
            AddHttp(am.http, &inner);
            AddCloudAuth(am.cloud_auth, &inner);
            inner.PutString("scheme", am.scheme).AddString("path_prefix", am.path_prefix);
            inner.PutDuration("timeout", am.timeout).PutString("api_version", am.api_version);
            AddRules("relabel_configs", am.relabel, &inner);
            AddRules("alert_relabel_configs", am.alert_relabel, &inner);
            AddDiscovery(am.discovery, &inner);
            return inner.Take();
          }));
  return map.Take();
}

Node StorageNode(const StorageConfig& s) {
  MapBuilder tsdb;
  tsdb.AddDuration("out_of_order_time_window", s.out_of_order_time_window);
  tsdb.AddNumber("stale_series_compaction_threshold", s.stale_series_compaction_threshold);
  if (!s.float_chunk_encoding.empty()) {
    MapBuilder encoding;
    encoding.PutString("floats", s.float_chunk_encoding);
    tsdb.Put("chunk_encoding", encoding.Take());
  }
  if (s.retention) {
    MapBuilder retention;
    retention.AddDuration("time", s.retention->time);
    retention.AddBytes("size", s.retention->bytes);
    retention.AddNumber("percentage", s.retention->percentage);
    tsdb.Put("retention", retention.Take());
  }
  MapBuilder map;
  map.Add("tsdb", tsdb.Take());
  if (s.max_exemplars != 100000) {
    MapBuilder exemplars;
    exemplars.AddNumber("max_exemplars", static_cast<double>(s.max_exemplars));
    map.Put("exemplars", exemplars.Take());
  }
  return map.Take();
}

Node TracingNode(const TracingConfig& t) {
  MapBuilder map;
  if (t.endpoint.empty()) return map.Take();
  map.PutString("client_type", t.client_type).PutString("endpoint", t.endpoint);
  map.AddNumber("sampling_fraction", t.sampling_fraction).AddTrue("insecure", t.insecure);
  map.Add("tls_config", TlsNode(t.tls)).AddPairs("headers", t.headers).AddString("compression", t.compression);
  map.AddDuration("timeout", t.timeout);
  return map.Take();
}

Node WriteNode(const remote::RemoteWriteConfig& w) {
  MapBuilder map;
  map.PutString("url", w.url).PutDuration("remote_timeout", w.remote_timeout).AddPairs("headers", w.headers);
  AddRules("write_relabel_configs", w.write_relabel, &map);
  map.AddString("name", w.name).AddTrue("send_exemplars", w.send_exemplars);
  map.AddTrue("send_native_histograms", w.send_native_histograms).AddTrue("round_robin_dns", w.round_robin_dns);
  map.PutString("protobuf_message", remote::WriteMessageName(w.protobuf_message));
  map.AddTrue("failed_request_logging", w.failed_request_logging);
  AddHttp(w.http, &map);
  const remote::QueueConfig& q = w.queue;
  MapBuilder queue;
  queue.AddCount("capacity", static_cast<uint64_t>(q.capacity));
  queue.AddCount("max_shards", static_cast<uint64_t>(q.max_shards));
  queue.AddCount("min_shards", static_cast<uint64_t>(q.min_shards));
  queue.AddCount("max_samples_per_send", static_cast<uint64_t>(q.max_samples_per_send));
  queue.AddDuration("batch_send_deadline", q.batch_send_deadline).AddDuration("min_backoff", q.min_backoff);
  queue.AddDuration("max_backoff", q.max_backoff).AddTrue("retry_on_http_429", q.retry_on_http_429);
  queue.AddDuration("sample_age_limit", q.sample_age_limit);
  map.Put("queue_config", queue.Take());
  MapBuilder metadata;
  metadata.PutBool("send", w.metadata.send).PutDuration("send_interval", w.metadata.send_interval);
  metadata.AddNumber("max_samples_per_send", static_cast<double>(w.metadata.max_samples_per_send));
  map.Put("metadata_config", metadata.Take());
  AddCloudAuth(w.cloud_auth, &map);
  return map.Take();
}

Node ReadNode(const remote::RemoteReadConfig& r) {
  MapBuilder map;
  map.PutString("url", r.url).PutDuration("remote_timeout", r.remote_timeout);
  map.AddCount("chunked_read_limit", r.chunked_read_limit).AddPairs("headers", r.headers);
  map.AddTrue("read_recent", r.read_recent).AddString("name", r.name);
  AddHttp(r.http, &map);
  AddLabels("required_matchers", r.required_matchers, &map);
  map.AddTrue("filter_external_labels", r.filter_external_labels);
  return map.Take();
}

Node OtlpNode(const OtlpConfig& o) {
  MapBuilder map;
  map.AddTrue("promote_all_resource_attributes", o.promote_all_resource_attributes);
  map.AddStrings("promote_resource_attributes", o.promote_resource_attributes);
  map.AddStrings("ignore_resource_attributes", o.ignore_resource_attributes);
  map.AddString("translation_strategy", o.translation_strategy);
  map.AddTrue("keep_identifying_resource_attributes", o.keep_identifying_resource_attributes);
  map.AddTrue("convert_histograms_to_nhcb", o.convert_histograms_to_nhcb);
  map.AddTrue("promote_scope_metadata", o.promote_scope_metadata);
  map.PutBool("label_name_underscore_sanitization", o.label_name_underscore_sanitization);
  map.PutBool("label_name_preserve_multiple_underscores", o.label_name_preserve_multiple_underscores);
  return map.Take();
}

}  // namespace

std::string PrometheusConfig::JobYaml(std::string_view job_name) const {
  const auto found = std::ranges::find(scrape_jobs, job_name, [](const ScrapeJob& job) { return job.scrape.job_name; });
  return found == scrape_jobs.end() ? std::string() : base::yaml::Emit(JobNode(*found));
}

std::string PrometheusConfig::ToYaml() const {
  MapBuilder map;
  map.Put("global", GlobalNode(global));
  MapBuilder runtime;
  runtime.AddNumber("gogc", static_cast<double>(gogc));
  map.Add("runtime", runtime.Take());
  map.Add("alerting", AlertingNode(alerting));
  map.AddStrings("rule_files", rule_files).AddStrings("scrape_config_files", scrape_config_files);
  // Jobs of scrape_config_files are those files' own, as upstream prints it.
  std::vector<ScrapeJob> own(scrape_jobs.begin(), scrape_jobs.begin() + static_cast<ptrdiff_t>(own_scrape_jobs));
  map.Add("scrape_configs", ListOf(own, JobNode));
  map.Add("storage", StorageNode(storage)).Add("tracing", TracingNode(tracing));
  map.Add("remote_write", ListOf(remote_write, WriteNode)).Add("remote_read", ListOf(remote_read, ReadNode));
  map.Add("otlp", OtlpNode(otlp));
  return base::yaml::Emit(map.Take());
}

}  // namespace tocsin::config
