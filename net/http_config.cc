#include "net/http_config.h"

#include <algorithm>
#include <array>

#include "base/file_system.h"
#include "base/number.h"
#include "base/text.h"

namespace tocsin::net {
namespace {

using base::yaml::Errors;
using base::yaml::Node;
using base::yaml::Reader;

constexpr std::string_view kJwtGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer";

struct VersionName {
  std::string_view name;
  TlsVersion version;
};
constexpr VersionName kVersions[] = {
    {"TLS10", TlsVersion::kTls10},
    {"TLS11", TlsVersion::kTls11},
    {"TLS12", TlsVersion::kTls12},
    {"TLS13", TlsVersion::kTls13},
};

// Headers that the program sets itself or that other keys set.
constexpr std::string_view kReservedHeaders[] = {
    "authorization",       "host",
    "content-encoding",    "content-length",
    "content-type",        "user-agent",
    "connection",          "keep-alive",
    "proxy-authenticate",  "proxy-authorization",
    "www-authenticate",    "accept-encoding",
    "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",
    "x-prometheus-scrape-timeout-seconds",
    "x-amz-date",          "x-amz-security-token",
    "x-amz-content-sha256",
};

// Go's textproto.CanonicalMIMEHeaderKey: x-api-key is X-Api-Key.
std::string CanonicalHeader(std::string_view name) {
  std::string out(name);
  bool upper = true;
  for (char& c : out) {
    if (upper && c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if (!upper && c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    upper = c == '-';
  }
  return out;
}

void MakeAbsolute(std::string_view folder, std::string* path) {
  if (!path->empty()) *path = base::JoinPath(folder, *path);
}

// Secrets by reference need a secret manager; Prometheus has the keys but no manager either.
void ReadReference(Reader* reader, std::string_view key) {
  std::string reference;
  if (!reader->String(key, &reference) || reference.empty()) return;
  reader->Error(key, "cannot use secret manager ref \"" + reference + "\" in " + std::string(key) +
                         ": there is no secret manager; name a file instead");
}

int CountSet(std::initializer_list<bool> set) {
  return static_cast<int>(std::ranges::count(set, true));
}

void ReadTlsVersion(Reader* reader, std::string_view key, TlsVersion* out) {
  std::string text;
  if (!reader->String(key, &text)) return;
  for (const VersionName& v : kVersions) {
    if (v.name == text) {
      *out = v.version;
      return;
    }
  }
  reader->Error(key, "unknown TLS version: " + text + "; use TLS10, TLS11, TLS12 or TLS13");
}

void ReadBasicAuth(const Node& node, Errors* errors, BasicAuth* out) {
  Reader r(node, errors, "basic_auth");
  r.String("username", &out->username);
  r.String("username_file", &out->username_file);
  r.String("password", &out->password);
  r.String("password_file", &out->password_file);
  ReadReference(&r, "username_ref");
  ReadReference(&r, "password_ref");
  if (CountSet({!out->username.empty(), !out->username_file.empty(), r.Has("username_ref")}) > 1) {
    r.Error("username_file",
            "at most one of basic_auth username, username_file & username_ref must be configured");
  }
  if (CountSet({!out->password.empty(), !out->password_file.empty(), r.Has("password_ref")}) > 1) {
    r.Error("password_file",
            "at most one of basic_auth password, password_file & password_ref must be configured");
  }
  r.Finish();
}

void ReadAuthorization(const Node& node, Errors* errors, Authorization* out) {
  Reader r(node, errors, "authorization");
  r.String("type", &out->type);
  r.String("credentials", &out->credentials);
  r.String("credentials_file", &out->credentials_file);
  ReadReference(&r, "credentials_ref");
  if (CountSet({!out->credentials.empty(), !out->credentials_file.empty(), r.Has("credentials_ref")}) > 1) {
    r.Error("credentials_file",
            "at most one of authorization credentials & credentials_file must be configured");
  }
  out->type = base::Trim(out->type);
  if (out->type.empty()) out->type = "Bearer";
  if (base::EqualsIgnoreCase(out->type, "basic")) {
    r.Error("type", "authorization type cannot be set to \"basic\", use \"basic_auth\" instead");
  }
  r.Finish();
}

void ReadProxyKeys(Reader* r, Errors* errors, ProxyConfig* out) {
  r->String("proxy_url", &out->proxy_url);
  r->String("no_proxy", &out->no_proxy);
  r->Bool("proxy_from_environment", &out->from_environment);
  r->With("proxy_connect_header", [&](const Node& node) {
    if (!node.IsMapping()) {
      r->Error("proxy_connect_header", "must be a mapping of header names to lists of values");
      return;
    }
    Reader headers(node, errors, "proxy_connect_header");
    for (const Node::Entry& entry : node.entries) {
      std::vector<std::string> values;
      headers.Strings(entry.key.text, &values);
      out->connect_headers.emplace_back(entry.key.text, std::move(values));
    }
    headers.Finish();
  });
  if (!out->connect_headers.empty() && out->proxy_url.empty() && !out->from_environment) {
    r->Error("proxy_connect_header",
             "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be "
             "configured");
  }
  if (out->from_environment && !out->proxy_url.empty()) {
    r->Error("proxy_from_environment",
             "if proxy_from_environment is configured, proxy_url must not be configured");
  }
  if (out->from_environment && !out->no_proxy.empty()) {
    r->Error("no_proxy", "if proxy_from_environment is configured, no_proxy must not be configured");
  }
  if (out->proxy_url.empty() && !out->no_proxy.empty() && !out->from_environment) {
    r->Error("no_proxy", "if no_proxy is configured, proxy_url must also be configured");
  }
}

void ReadOAuth2(const Node& node, Errors* errors, OAuth2* out) {
  Reader r(node, errors, "oauth2");
  r.String("client_id", &out->client_id);
  r.String("client_secret", &out->client_secret);
  r.String("client_secret_file", &out->client_secret_file);
  ReadReference(&r, "client_secret_ref");
  r.String("grant_type", &out->grant_type);
  r.String("client_certificate_key", &out->client_certificate_key);
  r.String("client_certificate_key_file", &out->client_certificate_key_file);
  ReadReference(&r, "client_certificate_key_ref");
  r.String("client_certificate_key_id", &out->client_certificate_key_id);
  r.String("signature_algorithm", &out->signature_algorithm);
  r.String("iss", &out->issuer);
  r.String("audience", &out->audience);
  r.With("claims", [&](const Node& claims) {
    for (const Node::Entry& entry : claims.entries) {
      out->claims.emplace_back(entry.key.text, entry.value.text);
    }
  });
  r.Strings("scopes", &out->scopes);
  r.String("token_url", &out->token_url);
  r.StringMap("endpoint_params", &out->endpoint_params);
  r.With("tls_config", [&](const Node& tls) { ReadTlsConfig(tls, errors, &out->tls); });
  ReadProxyKeys(&r, errors, &out->proxy);
  if (out->client_id.empty()) r.Error("client_id", "oauth2 client_id must be configured");
  if (out->token_url.empty()) r.Error("token_url", "oauth2 token_url must be configured");
  if (CountSet({!out->client_secret.empty(), !out->client_secret_file.empty(), r.Has("client_secret_ref")}) > 1) {
    r.Error("client_secret_file",
            "at most one of oauth2 client_secret, client_secret_file & client_secret_ref must be configured");
  }
  if (out->grant_type == kJwtGrant) {
    if (CountSet({!out->client_certificate_key.empty(), !out->client_certificate_key_file.empty()}) > 1) {
      r.Error("client_certificate_key_file",
              "at most one of oauth2 client_certificate_key, client_certificate_key_file & "
              "client_certificate_key_ref must be configured using grant-type=" + std::string(kJwtGrant));
    }
    constexpr std::array<std::string_view, 4> kAlgorithms = {"", "RS256", "RS384", "RS512"};
    if (std::ranges::find(kAlgorithms, out->signature_algorithm) == kAlgorithms.end()) {
      r.Error("signature_algorithm", "valid signature algorithms are RS256, RS384 and RS512");
    }
  }
  r.Finish();
}

void ReadHeaders(const Node& node, Errors* errors, std::vector<HttpHeaderValues>* out) {
  if (!node.IsMapping()) {
    errors->Add(node.position, "http_headers: must be a mapping of header names");
    return;
  }
  out->clear();
  for (const Node::Entry& entry : node.entries) {
    HttpHeaderValues header;
    header.name = entry.key.text;
    if (!IsHeaderName(header.name)) {
      errors->Add(entry.key.position, "http_headers: " + base::Quote(header.name) + " is not a header name");
    }
    for (std::string_view reserved : kReservedHeaders) {
      if (base::EqualsIgnoreCase(reserved, header.name)) {
        errors->Add(entry.key.position,
                    "setting header " + base::Quote(CanonicalHeader(header.name)) + " is not allowed");
      }
    }
    Reader r(entry.value, errors, "http_headers");
    r.Strings("values", &header.values);
    r.Strings("secrets", &header.secrets);
    r.Strings("files", &header.files);
    r.Finish();
    out->push_back(std::move(header));
  }
  std::ranges::sort(*out, {}, &HttpHeaderValues::name);
}

}  // namespace

std::string_view TlsVersionName(TlsVersion v) {
  for (const VersionName& known : kVersions) {
    if (known.version == v) return known.name;
  }
  return {};
}

void TlsConfig::SetDirectory(std::string_view folder) {
  for (std::string* path : {&ca_file, &cert_file, &key_file}) MakeAbsolute(folder, path);
}

void HttpConfig::SetDirectory(std::string_view folder) {
  tls.SetDirectory(folder);
  if (basic_auth) {
    MakeAbsolute(folder, &basic_auth->username_file);
    MakeAbsolute(folder, &basic_auth->password_file);
  }
  if (authorization) MakeAbsolute(folder, &authorization->credentials_file);
  if (oauth2) {
    MakeAbsolute(folder, &oauth2->client_secret_file);
    MakeAbsolute(folder, &oauth2->client_certificate_key_file);
    oauth2->tls.SetDirectory(folder);
  }
  for (HttpHeaderValues& header : headers) {
    for (std::string& file : header.files) MakeAbsolute(folder, &file);
  }
}

std::vector<std::string> HttpConfig::UnsupportedKeys() const {
  std::vector<std::string> out;
  if (oauth2 && !oauth2->grant_type.empty() && oauth2->grant_type != "client_credentials") {
    out.push_back("oauth2.grant_type");
  }
  if (!tls.next_protos.empty()) out.push_back("tls_config.next_protos");
  return out;
}

void ReadTlsConfig(const Node& node, Errors* errors, TlsConfig* config) {
  Reader r(node, errors, "tls_config");
  r.String("ca", &config->ca);
  r.String("ca_file", &config->ca_file);
  r.String("cert", &config->cert);
  r.String("cert_file", &config->cert_file);
  r.String("key", &config->key);
  r.String("key_file", &config->key_file);
  ReadReference(&r, "ca_ref");
  ReadReference(&r, "cert_ref");
  ReadReference(&r, "key_ref");
  r.String("server_name", &config->server_name);
  r.Bool("insecure_skip_verify", &config->insecure_skip_verify);
  ReadTlsVersion(&r, "min_version", &config->min_version);
  ReadTlsVersion(&r, "max_version", &config->max_version);
  r.Strings("next_protos", &config->next_protos);

  const bool cert = !config->cert.empty() || !config->cert_file.empty();
  const bool key = !config->key.empty() || !config->key_file.empty();
  if (!config->ca.empty() && !config->ca_file.empty()) {
    r.Error("ca_file", "at most one of ca, ca_file & ca_ref must be configured");
  }
  if (!config->cert.empty() && !config->cert_file.empty()) {
    r.Error("cert_file", "at most one of cert, cert_file & cert_ref must be configured");
  }
  if (!config->key.empty() && !config->key_file.empty()) {
    r.Error("key_file", "at most one of key and key_file must be configured");
  }
  if (cert && !key) {
    r.Error("cert_file",
            "exactly one of key or key_file must be configured when a client certificate is configured");
  }
  if (key && !cert) {
    r.Error("key_file",
            "exactly one of cert or cert_file must be configured when a client key is configured");
  }
  if (config->min_version != TlsVersion::kDefault && config->max_version != TlsVersion::kDefault &&
      config->max_version < config->min_version) {
    r.Error("max_version",
            "tls_config.max_version must be greater than or equal to tls_config.min_version if both are "
            "specified");
  }
  r.Finish();
}

void ReadHttpConfigKeys(Reader* reader, Errors* errors, HttpConfig* config) {
  std::string bearer_token, bearer_token_file;
  reader->String("bearer_token", &bearer_token);
  reader->String("bearer_token_file", &bearer_token_file);
  reader->With("basic_auth", [&](const Node& node) {
    ReadBasicAuth(node, errors, &config->basic_auth.emplace());
  });
  reader->With("authorization", [&](const Node& node) {
    ReadAuthorization(node, errors, &config->authorization.emplace());
  });
  reader->With("oauth2", [&](const Node& node) { ReadOAuth2(node, errors, &config->oauth2.emplace()); });
  reader->With("tls_config", [&](const Node& node) { ReadTlsConfig(node, errors, &config->tls); });
  reader->Bool("follow_redirects", &config->follow_redirects);
  reader->Bool("enable_http2", &config->enable_http2);
  ReadProxyKeys(reader, errors, &config->proxy);
  reader->With("http_headers", [&](const Node& node) { ReadHeaders(node, errors, &config->headers); });

  const bool bearer = !bearer_token.empty() || !bearer_token_file.empty();
  const std::string_view bearer_key = bearer_token.empty() ? "bearer_token_file" : "bearer_token";
  if (!bearer_token.empty() && !bearer_token_file.empty()) {
    reader->Error(bearer_key, "at most one of bearer_token & bearer_token_file must be configured");
  }
  if (bearer && (config->basic_auth || config->oauth2)) {
    reader->Error(bearer_key,
                  "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured");
  }
  if (bearer && config->authorization) {
    reader->Error(bearer_key, "authorization is not compatible with bearer_token & bearer_token_file");
  }
  if (CountSet({config->basic_auth.has_value(), config->oauth2.has_value(),
                config->authorization.has_value()}) > 1) {
    reader->Error(config->basic_auth ? "basic_auth" : "oauth2",
                  "at most one of basic_auth, oauth2 & authorization must be configured");
  }
  if (bearer && !config->authorization) {
    config->authorization = Authorization{
        .type = "Bearer", .credentials = bearer_token, .credentials_file = bearer_token_file};
  }
}

void ReadHttpConfig(const Node& node, Errors* errors, HttpConfig* config) {
  Reader r(node, errors, "http_config");
  ReadHttpConfigKeys(&r, errors, config);
  r.Finish();
}

}  // namespace tocsin::net
