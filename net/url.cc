#include "net/url.h"

#include <curl/curl.h>

#include <memory>

#include "base/text.h"
#include "net/address.h"

namespace tocsin::net {
namespace {

struct Cleanup {
  void operator()(CURLU* u) const { curl_url_cleanup(u); }
};
using Handle = std::unique_ptr<CURLU, Cleanup>;

std::string Part(CURLU* u, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(u, part, &text, flags) != CURLUE_OK) return {};
  std::string out = text;
  curl_free(text);
  return out;
}

base::Result<Url> TakeApart(CURLU* u, const std::string& text) {
  Url out;
  out.scheme = Part(u, CURLUPART_SCHEME);
  if (out.scheme != "http" && out.scheme != "https") {
    return base::InvalidArgument("unsupported protocol scheme \"" + out.scheme + "\" in URL \"" + text +
                                 "\"; use http or https");
  }
  char* user = nullptr;
  if (curl_url_get(u, CURLUPART_USER, &user, CURLU_URLDECODE) == CURLUE_OK) {
    out.has_user = true;
    out.user = user;
    curl_free(user);
    out.password = Part(u, CURLUPART_PASSWORD, CURLU_URLDECODE);
  }
  out.host = Part(u, CURLUPART_HOST);
  if (out.host.starts_with('[')) out.host = out.host.substr(1, out.host.size() - 2);
  if (out.host.empty()) return base::InvalidArgument("no host in URL \"" + text + "\"");
  out.port = Part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  out.default_port = out.port == (out.scheme == "https" ? "443" : "80");
  out.path_and_query = Part(u, CURLUPART_PATH);
  if (out.path_and_query.empty()) out.path_and_query = "/";
  if (const std::string query = Part(u, CURLUPART_QUERY); !query.empty()) out.path_and_query += "?" + query;
  return out;
}

base::Result<Url> Parse(const std::string& base_text, const std::string& text) {
  Handle u(curl_url());
  constexpr unsigned kFlags = CURLU_PATH_AS_IS | CURLU_NON_SUPPORT_SCHEME | CURLU_ALLOW_SPACE;
  CURLUcode code = CURLUE_OK;
  if (!base_text.empty()) code = curl_url_set(u.get(), CURLUPART_URL, base_text.c_str(), kFlags);
  if (code == CURLUE_OK) {
    // A space would end the request line; libcurl takes it apart but does not encode it.
    code = curl_url_set(u.get(), CURLUPART_URL, base::ReplaceAll(text, " ", "%20").c_str(), kFlags);
  }
  if (code != CURLUE_OK) {
    return base::InvalidArgument("invalid URL \"" + text + "\": " + curl_url_strerror(code));
  }
  return TakeApart(u.get(), text);
}

}  // namespace

std::string Url::Authority() const {
  if (!default_port) return JoinHostPort(host, port);
  return host.find(':') != std::string::npos ? "[" + host + "]" : host;
}

std::string Url::Text() const { return scheme + "://" + Authority() + path_and_query; }

bool Url::SameHost(const Url& other) const {
  if (!base::EqualsIgnoreCase(host, other.host)) return false;
  if (scheme == other.scheme) return port == other.port;
  return scheme == "http" && default_port && other.default_port;
}

base::Result<Url> ParseUrl(const std::string& text) {
  const size_t colon = text.find("://");
  if (colon != std::string::npos && (colon + 3 == text.size() || text[colon + 3] == '/')) {
    return base::InvalidArgument("no host in URL \"" + text + "\"");
  }
  if (colon == std::string::npos) {
    return base::InvalidArgument("unsupported protocol scheme in URL \"" + text +
                                 "\"; write http://host:port/path");
  }
  return Parse("", text);
}

base::Result<Url> ResolveUrl(const Url& from, const std::string& location) {
  return Parse(from.Text(), location);
}

}  // namespace tocsin::net
