#include "remote/config.h"

#include <algorithm>

#include "base/file_system.h"
#include "base/number.h"
#include "base/text.h"
#include "base/url.h"
#include "scrape/config_yaml.h"

namespace tocsin::remote {
namespace {

using base::yaml::Errors;
using base::yaml::Node;
using base::yaml::Reader;

constexpr std::string_view kReservedHeaders[] = {
    "host",          "content-encoding",   "content-length",      "content-type",
    "user-agent",    "connection",         "keep-alive",          "proxy-authenticate",
    "proxy-authorization", "www-authenticate", "accept-encoding", "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",    "x-amz-date",          "x-amz-security-token",
    "x-amz-content-sha256",
};

constexpr std::string_view kV1 = "prometheus.WriteRequest";
constexpr std::string_view kV2 = "io.prometheus.write.v2.Request";

struct CloudBlock {
  std::string_view name;  // within azuread, else empty
  std::vector<std::string_view> keys;
  std::vector<std::string_view> secrets;
};

void MaskKeys(const std::vector<std::string_view>& secrets, Node* node) {
  for (Node::Entry& entry : node->entries) {
    bool secret = std::find(secrets.begin(), secrets.end(), entry.key.text) != secrets.end();
    if (secret && entry.value.IsScalar()) entry.value.text = "<secret>";
  }
}

void ReadTexts(const Node& node, std::string_view what, const CloudBlock& block, Errors* errors) {
  Reader r(node, errors, std::string(what));
  for (std::string_view key : block.keys) {
    std::string text;
    r.String(key, &text);
  }
  r.Finish();
}

void ReadSigV4(const Node& node, Errors* errors, CloudAuth* auth) {
  static const CloudBlock kKeys{
      .name = {},
      .keys = {"region", "access_key", "secret_key", "profile", "role_arn", "use_fips_sts_endpoint", "external_id",
               "service_name"},
      .secrets = {"secret_key"}};
  ReadTexts(node, "sigv4.plain", kKeys, errors);
  auto filled = [&](std::string_view key) {
    const Node* value = node.IsMapping() ? node.Find(key) : nullptr;
    return value != nullptr && value->IsScalar() && !value->text.empty();
  };
  if (filled("access_key") != filled("secret_key")) {
    errors->Add(node.position,
                "must provide a AWS SigV4 Access key and Secret Key if credentials are specified in the SigV4 config");
  }
  *auth = {.key = "sigv4", .block = node};
  MaskKeys(kKeys.secrets, &auth->block);
}

void ReadAzureAd(const Node& node, Errors* errors, CloudAuth* auth) {
  static const CloudBlock kMethods[] = {
      {"managed_identity", {"client_id"}, {}},
      {"workload_identity", {"client_id", "tenant_id", "token_file_path"}, {}},
      {"oauth", {"client_id", "client_secret", "tenant_id"}, {"client_secret"}},
      {"sdk", {"tenant_id"}, {}},
      {"certificate",
       {"client_id", "tenant_id", "certificate_path", "certificate_key_path", "certificate_password",
        "send_certificate_chain"},
       {"certificate_password"}},
  };
  *auth = {.key = "azuread", .block = node};
  Reader r(node, errors, "azuread.plain");
  std::string cloud = "AzurePublic";
  std::string scope;
  r.String("cloud", &cloud);
  r.String("scope", &scope);
  int methods = 0;
  for (const CloudBlock& method : kMethods) {
    r.With(method.name, [&](const Node& block) {
      ++methods;
      ReadTexts(block, "azuread." + std::string(method.name), method, errors);
    });
    for (Node::Entry& entry : auth->block.entries) {
      if (entry.key.text == method.name) MaskKeys(method.secrets, &entry.value);
    }
  }
  r.Finish();
  if (cloud != "AzurePublic" && cloud != "AzureChina" && cloud != "AzureGovernment") {
    r.Error("cloud", "must provide a cloud in the Azure AD config; use AzurePublic, AzureChina or AzureGovernment");
  }
  if (methods == 0) {
    r.Error("",
            "must provide an Azure Managed Identity, Azure Workload Identity, Azure OAuth, Azure Certificate or Azure "
            "SDK in the Azure AD config");
  } else if (methods > 1) {
    r.Error("", "cannot provide multiple authentication methods in the Azure AD config");
  }
}

void ReadHeaders(Reader* r, HeaderList* headers) {
  r->StringMap("headers", headers);
  for (const auto& [name, value] : *headers) {
    std::string lower = base::ToLower(name);
    if (lower == "authorization") {
      r->Error("headers",
               "authorization header must be changed via the basic_auth, authorization, oauth2, sigv4, azuread or "
               "google_iam parameter");
    } else if (std::find(std::begin(kReservedHeaders), std::end(kReservedHeaders), lower) !=
               std::end(kReservedHeaders)) {
      r->Error("headers", name + " is a reserved header. It must not be changed");
    }
  }
}

void ReadUrl(std::string_view block, Reader* r, std::string* out) {
  r->String("url", out);
  if (out->empty()) {
    r->Error("url", "url for " + std::string(block) + " is empty");
    return;
  }
  if (auto url = base::ParseUrl(*out); !url) r->Error("url", url.error().message());
}

struct PositiveKey {
  std::string_view name;
  int64_t QueueConfig::* value;
};

void ReadQueue(const Node& node, Errors* errors, QueueConfig* q) {
  constexpr PositiveKey kPositive[] = {
      {"max_shards", &QueueConfig::max_shards},
      {"min_shards", &QueueConfig::min_shards},
      {"max_samples_per_send", &QueueConfig::max_samples_per_send},
      {"capacity", &QueueConfig::capacity},
  };
  Reader r(node, errors, "config.QueueConfig");
  for (const PositiveKey& key : kPositive) {
    r.Int(key.name, &(q->*key.value));
    if (q->*key.value <= 0) {
      r.Error(key.name, "remote write queue " + std::string(key.name) + " must be positive");
    }
  }
  r.Duration("batch_send_deadline", &q->batch_send_deadline);
  r.Duration("min_backoff", &q->min_backoff);
  r.Duration("max_backoff", &q->max_backoff);
  r.Bool("retry_on_http_429", &q->retry_on_http_429);
  r.Duration("sample_age_limit", &q->sample_age_limit);
  if (q->min_shards > q->max_shards) {
    r.Error("min_shards", "remote write queue min_shards must not be greater than max_shards");
  }
  if (q->max_backoff < q->min_backoff) {
    r.Error("max_backoff", "remote write queue max_backoff must not be less than min_backoff");
  }
  r.Finish();
}

void ReadMetadata(const Node& node, Errors* errors, MetadataConfig* m) {
  Reader r(node, errors, "config.MetadataConfig");
  r.Bool("send", &m->send);
  r.Duration("send_interval", &m->send_interval);
  r.Int("max_samples_per_send", &m->max_samples_per_send);
  r.Finish();
}

// At most one way to authenticate.
void CheckAuth(const RemoteWriteConfig& c, const std::vector<std::string>& cloud, Reader* r) {
  std::vector<std::string> found;
  if (c.http.basic_auth) found.emplace_back("basic_auth");
  if (c.http.authorization) found.emplace_back("authorization");
  if (c.http.oauth2) found.emplace_back("oauth2");
  found.insert(found.end(), cloud.begin(), cloud.end());
  if (found.size() < 2) return;
  r->Error("",
           "at most one of basic_auth, authorization, oauth2, sigv4, azuread or google_iam must be configured. "
           "Currently configured: [" +
               base::Join(found, " ") + "]");
}

void ReadAlertmanager(const Node& node, model::NameScheme scheme, Errors* errors, AlertmanagerConfig* c) {
  Reader r(node, errors, "config.AlertmanagerConfig");
  r.String("scheme", &c->scheme);
  r.String("path_prefix", &c->path_prefix);
  r.Duration("timeout", &c->timeout);
  r.String("api_version", &c->api_version);
  if (c->api_version != "v2") {
    r.Error("api_version", "expected Alertmanager api version to be one of [v2] but got " + c->api_version);
  }
  r.With("sigv4", [&](const Node& block) { ReadSigV4(block, errors, &c->cloud_auth); });
  net::ReadHttpConfigKeys(&r, errors, &c->http);
  if (!c->cloud_auth.key.empty() && (c->http.basic_auth || c->http.authorization || c->http.oauth2)) {
    r.Error("sigv4", "at most one of basic_auth, authorization, oauth2, & sigv4 must be configured");
  }
  discovery::ReadDiscoveryKeys(&r, errors, &c->discovery);
  scrape::ReadRelabelKey("relabel_configs", "Alertmanager target relabeling rule", scheme, &r, errors, &c->relabel);
  scrape::ReadRelabelKey("alert_relabel_configs", "Alertmanager alert relabeling rule", scheme, &r, errors,
                         &c->alert_relabel);
  if (c->relabel.empty()) scrape::CheckStaticTargets(c->discovery, r.At("static_configs"), errors);
  r.Finish();
}

}  // namespace

std::string_view WriteMessageName(WriteMessage message) { return message == WriteMessage::kV1 ? kV1 : kV2; }

void ReadRemoteWrite(const Node& node, model::NameScheme scheme, Errors* errors, RemoteWriteConfig* c) {
  if (node.IsNull()) {
    errors->Add(node.position, "empty or null remote write config section");
    return;
  }
  Reader r(node, errors, "config.RemoteWriteConfig");
  ReadUrl("remote_write", &r, &c->url);
  r.String("name", &c->name);
  r.Duration("remote_timeout", &c->remote_timeout);
  ReadHeaders(&r, &c->headers);
  scrape::ReadRelabelKey("write_relabel_configs", "relabeling rule in remote write config", scheme, &r, errors,
                         &c->write_relabel);
  r.Bool("send_exemplars", &c->send_exemplars);
  r.Bool("send_native_histograms", &c->send_native_histograms);
  r.Bool("round_robin_dns", &c->round_robin_dns);
  r.Bool("failed_request_logging", &c->failed_request_logging);
  std::string message(kV1);
  r.String("protobuf_message", &message);
  if (message != kV1 && message != kV2) {
    r.Error("protobuf_message", "invalid protobuf_message value: unknown type for remote write protobuf message " +
                                    message + ", supported: " + std::string(kV1) + ", " + std::string(kV2));
  }
  c->protobuf_message = message == kV2 ? WriteMessage::kV2 : WriteMessage::kV1;
  r.With("queue_config", [&](const Node& block) { ReadQueue(block, errors, &c->queue); });
  r.With("metadata_config", [&](const Node& block) { ReadMetadata(block, errors, &c->metadata); });
  std::vector<std::string> cloud;
  r.With("sigv4", [&](const Node& block) {
    cloud.emplace_back("sigv4");
    ReadSigV4(block, errors, &c->cloud_auth);
  });
  r.With("azuread", [&](const Node& block) {
    cloud.emplace_back("azuread");
    ReadAzureAd(block, errors, &c->cloud_auth);
  });
  r.With("google_iam", [&](const Node& block) {
    cloud.emplace_back("google_iam");
    ReadTexts(block, "googleiam.Config", {.name = {}, .keys = {"credentials_file"}, .secrets = {}}, errors);
    c->cloud_auth = {.key = "google_iam", .block = block};
  });
  c->http.enable_http2 = false;  // upstream's default here alone
  net::ReadHttpConfigKeys(&r, errors, &c->http);
  CheckAuth(*c, cloud, &r);
  r.Finish();
}

void ReadRemoteRead(const Node& node, Errors* errors, RemoteReadConfig* c) {
  if (node.IsNull()) {
    errors->Add(node.position, "empty or null remote read config section");
    return;
  }
  Reader r(node, errors, "config.RemoteReadConfig");
  ReadUrl("remote_read", &r, &c->url);
  r.String("name", &c->name);
  r.Duration("remote_timeout", &c->remote_timeout);
  ReadHeaders(&r, &c->headers);
  r.Uint("chunked_read_limit", &c->chunked_read_limit);
  r.Bool("read_recent", &c->read_recent);
  r.Bool("filter_external_labels", &c->filter_external_labels);
  std::vector<std::pair<std::string, std::string>> matchers;
  r.StringMap("required_matchers", &matchers);
  for (const auto& [name, value] : matchers) {
    if (!model::IsValidLabelName(name)) r.Error("required_matchers", base::Quote(name) + " is not a valid label name");
  }
  c->required_matchers = model::Labels::FromPairs(matchers);
  net::ReadHttpConfigKeys(&r, errors, &c->http);
  r.Finish();
}

void ReadAlerting(const Node& node, model::NameScheme scheme, Errors* errors, AlertingConfig* config) {
  Reader r(node, errors, "config.plain");
  scrape::ReadRelabelKey("alert_relabel_configs", "alert relabeling rule", scheme, &r, errors, &config->alert_relabel);
  r.Each("alertmanagers", [&](const Node& item) {
    if (item.IsNull()) {
      errors->Add(item.position, "empty or null Alertmanager section in alertmanagers");
      return;
    }
    ReadAlertmanager(item, scheme, errors, &config->alertmanagers.emplace_back());
  });
  r.Finish();
}

void SetDirectory(std::string_view folder, AlertingConfig* config) {
  for (AlertmanagerConfig& am : config->alertmanagers) {
    am.http.SetDirectory(folder);
    am.discovery.SetDirectory(folder);
  }
}

}  // namespace tocsin::remote
