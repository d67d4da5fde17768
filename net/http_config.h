#pragma once

// The http_config block that scraping, discovery, remote write and receivers share, and its
// tls_config.  Source: prometheus/common's config package; docs/configuration "<http_config>".
//
//   HttpConfig config = ...defaults...;
//   base::yaml::Reader r(node, &errors, "scrape_config");
//   ReadHttpConfigKeys(&r, &errors, &config);   // where the block is inlined
//   ReadHttpConfig(node, &errors, &config);     // where it is a block of its own
//   config.SetDirectory("/etc/prometheus");     // relative *_file paths
//
// Files named by *_file keys are read at each request, so that rotating a secret needs no reload.
// Threads: plain values; shared const with requests in flight.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/yaml.h"
#include "net/http_message.h"

namespace tocsin::net {

enum class TlsVersion { kDefault, kTls10, kTls11, kTls12, kTls13 };
std::string_view TlsVersionName(TlsVersion v);  // TLS12; empty for the default

// What a client needs for TLS.  Of each pair at most one is set: text or file.
struct TlsConfig {
  std::string ca, ca_file;
  std::string cert, cert_file;
  std::string key, key_file;  // `key` is secret
  std::string server_name;
  bool insecure_skip_verify = false;
  TlsVersion min_version = TlsVersion::kDefault;
  TlsVersion max_version = TlsVersion::kDefault;
  std::vector<std::string> next_protos;

  void SetDirectory(std::string_view folder);
  friend bool operator==(const TlsConfig&, const TlsConfig&) = default;
};

struct BasicAuth {
  std::string username, username_file;
  std::string password, password_file;  // secret
  friend bool operator==(const BasicAuth&, const BasicAuth&) = default;
};

struct Authorization {
  std::string type = "Bearer";
  std::string credentials, credentials_file;  // secret
  friend bool operator==(const Authorization&, const Authorization&) = default;
};

struct ProxyConfig {
  std::string proxy_url;  // may hold a password: secret in print
  std::string no_proxy;
  bool from_environment = false;
  std::vector<std::pair<std::string, std::vector<std::string>>> connect_headers;  // secret values
  friend bool operator==(const ProxyConfig&, const ProxyConfig&) = default;
};

struct OAuth2 {
  std::string client_id;
  std::string client_secret, client_secret_file;  // secret
  std::string grant_type;
  std::vector<std::string> scopes;
  std::string token_url;
  std::vector<std::pair<std::string, std::string>> endpoint_params;
  // Of the JWT grant.
  std::string client_certificate_key, client_certificate_key_file, client_certificate_key_id;
  std::string signature_algorithm, issuer, audience;
  std::vector<std::pair<std::string, std::string>> claims;
  TlsConfig tls;
  ProxyConfig proxy;
  friend bool operator==(const OAuth2&, const OAuth2&) = default;
};

struct HttpHeaderValues {
  std::string name;
  std::vector<std::string> values;
  std::vector<std::string> secrets;  // secret
  std::vector<std::string> files;
  friend bool operator==(const HttpHeaderValues&, const HttpHeaderValues&) = default;
};

struct HttpConfig {
  std::optional<BasicAuth> basic_auth;
  std::optional<Authorization> authorization;
  std::optional<OAuth2> oauth2;
  TlsConfig tls;
  ProxyConfig proxy;
  bool follow_redirects = true;
  bool enable_http2 = true;
  std::vector<HttpHeaderValues> headers;  // sorted by name

  // Makes relative file paths relative to `folder`.
  void SetDirectory(std::string_view folder);
  // The keys in use that this version reads and checks but cannot honour, such as "oauth2".
  std::vector<std::string> UnsupportedKeys() const;
  friend bool operator==(const HttpConfig&, const HttpConfig&) = default;
};

using HttpConfigPtr = std::shared_ptr<const HttpConfig>;

// Reads the keys of http_config out of `reader`'s mapping over what *config holds, and checks them
// together.  Deprecated bearer_token and bearer_token_file become `authorization`.
void ReadHttpConfigKeys(base::yaml::Reader* reader, base::yaml::Errors* errors, HttpConfig* config);
// Reads a block that is an http_config itself; unknown keys are errors.
void ReadHttpConfig(const base::yaml::Node& node, base::yaml::Errors* errors, HttpConfig* config);
void ReadTlsConfig(const base::yaml::Node& node, base::yaml::Errors* errors, TlsConfig* config);

}  // namespace tocsin::net
