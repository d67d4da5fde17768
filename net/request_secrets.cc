#include "net/request_secrets.h"

#include <algorithm>

#include "base/digest.h"
#include "base/file_system.h"
#include "base/text.h"

namespace tocsin::net {
namespace {

enum class Keep { kTrimmed, kWhole };

base::Result<std::string> TextOrFile(const std::string& text, const std::string& file, std::string_view what,
                                     Keep keep = Keep::kTrimmed) {
  if (file.empty()) return text;
  auto read = base::RealFileSystem()->ReadFile(file);
  if (!read) {
    return base::InvalidArgument("unable to read " + std::string(what) + ": " + read.error().message());
  }
  return keep == Keep::kTrimmed ? std::string(base::Trim(*read)) : std::move(*read);
}

}  // namespace

bool NeedsFiles(const HttpConfig& c) {
  return !c.tls.ca_file.empty() || !c.tls.cert_file.empty() || !c.tls.key_file.empty() ||
         (c.basic_auth && (!c.basic_auth->username_file.empty() || !c.basic_auth->password_file.empty())) ||
         (c.authorization && !c.authorization->credentials_file.empty()) ||
         (c.oauth2 && !c.oauth2->client_secret_file.empty()) ||
         std::ranges::any_of(c.headers, [](const HttpHeaderValues& h) { return !h.files.empty(); });
}

std::string BasicAuthorization(std::string_view user, std::string_view password) {
  return "Basic " + base::Base64Encode(std::string(user) + ":" + std::string(password));
}

base::Result<RequestSecrets> ReadSecrets(const HttpConfig& c) {
  RequestSecrets out;
  if (c.basic_auth) {
    const BasicAuth& auth = *c.basic_auth;
    ASSIGN_OR_RETURN(const std::string user, TextOrFile(auth.username, auth.username_file, "basic auth username file"));
    ASSIGN_OR_RETURN(const std::string password,
                     TextOrFile(auth.password, auth.password_file, "basic auth password file"));
    out.authorization = BasicAuthorization(user, password);
  }
  if (c.authorization) {
    const Authorization& auth = *c.authorization;
    ASSIGN_OR_RETURN(const std::string credentials,
                     TextOrFile(auth.credentials, auth.credentials_file, "authorization credentials file"));
    out.authorization = auth.type + " " + credentials;
  }
  if (c.oauth2) {
    ASSIGN_OR_RETURN(out.oauth_secret, TextOrFile(c.oauth2->client_secret, c.oauth2->client_secret_file,
                                                  "oauth2 client secret file"));
  }
  for (const HttpHeaderValues& h : c.headers) {
    for (const std::string& v : h.values) out.headers.emplace_back(h.name, v);
    for (const std::string& v : h.secrets) out.secret_headers.emplace_back(h.name, v);
    for (const std::string& file : h.files) {
      ASSIGN_OR_RETURN(std::string v, TextOrFile("", file, "headers file"));
      out.secret_headers.emplace_back(h.name, std::move(v));
    }
  }
  ASSIGN_OR_RETURN(out.ca, TextOrFile(c.tls.ca, c.tls.ca_file, "CA cert", Keep::kWhole));
  ASSIGN_OR_RETURN(out.cert, TextOrFile(c.tls.cert, c.tls.cert_file, "client cert", Keep::kWhole));
  ASSIGN_OR_RETURN(out.key, TextOrFile(c.tls.key, c.tls.key_file, "client key", Keep::kWhole));
  return out;
}

}  // namespace tocsin::net
