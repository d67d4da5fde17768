#include "net/http_config.h"

#include <gtest/gtest.h>

namespace tocsin::net {
namespace {

// The errors of a block, or "" and the config.
std::string Read(const std::string& text, HttpConfig* config) {
  auto doc = base::yaml::Parse(text, "f.yml");
  if (!doc) return doc.error().message();
  base::yaml::Errors errors("f.yml");
  ReadHttpConfig(doc->root(), &errors, config);
  const base::Status status = errors.ToStatus();
  return status ? "" : status.error().message();
}

TEST(HttpConfigTest, EveryKeyIsRead) {
  HttpConfig c;
  ASSERT_EQ(Read(R"(
authorization: {type: Token, credentials_file: secret}
tls_config:
  ca_file: ca.pem
  cert: CERT
  key: KEY
  server_name: s
  insecure_skip_verify: true
  min_version: TLS12
  max_version: TLS13
follow_redirects: false
enable_http2: false
proxy_url: http://user:pw@proxy:3128
no_proxy: localhost
proxy_connect_header: {X-A: [b, c]}
http_headers:
  X-One: {values: [a, b], secrets: [s], files: [f]}
)", &c), "");
  EXPECT_EQ(c.authorization->type, "Token");
  EXPECT_EQ(c.tls.min_version, TlsVersion::kTls12);
  EXPECT_TRUE(c.tls.insecure_skip_verify);
  EXPECT_FALSE(c.follow_redirects);
  EXPECT_FALSE(c.enable_http2);
  EXPECT_EQ(c.proxy.connect_headers[0].second, (std::vector<std::string>{"b", "c"}));
  ASSERT_EQ(c.headers.size(), 1u);
  EXPECT_EQ(c.headers[0].values.size(), 2u);
  c.SetDirectory("/etc/x");
  EXPECT_EQ(c.authorization->credentials_file, "/etc/x/secret");
  EXPECT_EQ(c.tls.ca_file, "/etc/x/ca.pem");
  EXPECT_EQ(c.headers[0].files[0], "/etc/x/f");
  EXPECT_TRUE(c.UnsupportedKeys().empty());
}

TEST(HttpConfigTest, TheOldBearerTokenBecomesAnAuthorization) {
  HttpConfig c;
  ASSERT_EQ(Read("bearer_token: abc", &c), "");
  EXPECT_EQ(c.authorization->type, "Bearer");
  EXPECT_EQ(c.authorization->credentials, "abc");
}

TEST(HttpConfigTest, MistakesAreNamedInPrometheussWords) {
  struct Row {
    const char* text;
    const char* error;
  };
  const Row rows[] = {
      {"bearer_token: a\nbearer_token_file: b", "at most one of bearer_token & bearer_token_file must be configured"},
      {"bearer_token: a\nbasic_auth: {username: u}",
       "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured"},
      {"bearer_token: a\nauthorization: {credentials: u}",
       "authorization is not compatible with bearer_token & bearer_token_file"},
      {"basic_auth: {username: u}\nauthorization: {credentials: u}",
       "at most one of basic_auth, oauth2 & authorization must be configured"},
      {"basic_auth: {username: u}\noauth2: {client_id: i, token_url: t}",
       "at most one of basic_auth, oauth2 & authorization must be configured"},
      {"basic_auth: {username: u, password: p, password_file: f}",
       "at most one of basic_auth password, password_file & password_ref must be configured"},
      {"basic_auth: {username: u, username_file: f}",
       "at most one of basic_auth username, username_file & username_ref must be configured"},
      {"authorization: {credentials: a, credentials_file: b}",
       "at most one of authorization credentials & credentials_file must be configured"},
      {"authorization: {type: Basic}", "authorization type cannot be set to \"basic\", use \"basic_auth\" instead"},
      {"oauth2: {token_url: t}", "oauth2 client_id must be configured"},
      {"oauth2: {client_id: i}", "oauth2 token_url must be configured"},
      {"oauth2: {client_id: i, token_url: t, client_secret: a, client_secret_file: b}",
       "at most one of oauth2 client_secret, client_secret_file & client_secret_ref must be configured"},
      {"tls_config: {ca: a, ca_file: b}", "at most one of ca, ca_file & ca_ref must be configured"},
      {"tls_config: {cert: a}",
       "exactly one of key or key_file must be configured when a client certificate is configured"},
      {"tls_config: {key: a}", "exactly one of cert or cert_file must be configured when a client key is configured"},
      {"tls_config: {min_version: TLS1}", "unknown TLS version: TLS1"},
      {"tls_config: {min_version: TLS13, max_version: TLS12}", "tls_config.max_version must be greater than or equal"},
      {"no_proxy: x", "if no_proxy is configured, proxy_url must also be configured"},
      {"proxy_from_environment: true\nproxy_url: http://p", "proxy_url must not be configured"},
      {"proxy_connect_header: {A: [b]}",
       "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured"},
      {"http_headers: {Authorization: {values: [a]}}", "setting header \"Authorization\" is not allowed"},
      {"http_headers: {user-agent: {values: [a]}}", "setting header \"User-Agent\" is not allowed"},
      {"basic_auth: {user: u}", "field user not found"},
      {"tls: {}", "field tls not found"},
  };
  for (const Row& row : rows) {
    HttpConfig c;
    const std::string error = Read(row.text, &c);
    EXPECT_NE(error.find(row.error), std::string::npos) << row.text << "\n" << error;
    EXPECT_TRUE(error.starts_with("f.yml:")) << error;
  }
}

}  // namespace
}  // namespace tocsin::net
