#include "tools/server.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/duration.h"
#include "base/number.h"
#include "base/yaml.h"
#include "net/event_loop.h"
#include "tools/fetch.h"

namespace tocsin::tools {
namespace {

using Json = nlohmann::ordered_json;
constexpr base::Duration kTimeout = std::chrono::minutes(5);

}  // namespace

void Server::AddFlags(FlagSet* flags) {
  flags->String("http.config.file", &http_config_file_, "HTTP client configuration (an http_config).");
  flags->Strings("header", &headers_, "Extra header as name=value; may be repeated.");
}

void Server::AddQueryFlags(FlagSet* flags) {
  flags->String("format", &format_, "promql or json.", 'o');
  AddFlags(flags);
}

void Server::set_url(std::string url) {
  url_ = std::move(url);
  if (url_.find("://") == std::string::npos) url_ = "http://" + url_;
}

std::string Server::UrlOf(std::string_view path) const {
  const std::string_view url = std::string_view(url_).substr(0, url_.find('#'));
  std::string_view base = url.substr(0, url.find('?'));
  const std::string_view query = url.substr(base.size());
  while (base.ends_with('/')) base.remove_suffix(1);
  std::string out = std::string(base) + (path.starts_with('/') ? "" : "/") + std::string(path);
  if (!query.empty()) out += (out.find('?') == std::string::npos ? "?" : "&") + std::string(query.substr(1));
  return out;
}

base::Result<net::FetchResponse> Server::Send(net::FetchRequest request) const {
  for (const std::string& header : headers_) {
    const size_t equals = header.find('=');
    if (equals == std::string::npos) return base::InvalidArgument("--header=" + header + ": write name=value");
    request.headers.Add(header.substr(0, equals), header.substr(equals + 1));
  }
  if (!http_config_file_.empty()) {
    ASSIGN_OR_RETURN(const std::string text, io_.fs->ReadFile(http_config_file_));
    ASSIGN_OR_RETURN(const base::yaml::Document doc, base::yaml::Parse(text, http_config_file_));
    base::yaml::Errors errors(http_config_file_);
    net::HttpConfig config;
    net::ReadHttpConfig(doc.root(), &errors, &config);
    RETURN_IF_ERROR(errors.ToStatus());
    request.config = std::make_shared<const net::HttpConfig>(std::move(config));
  }
  return FetchNow(std::move(request));
}

base::Result<Json> Server::DataOf(net::FetchRequest request) const {
  request.max_response_bytes = 0;
  request.timeout = kTimeout;
  ASSIGN_OR_RETURN(const net::FetchResponse response, Send(std::move(request)));
  Json body = Json::parse(response.body, nullptr, false);
  if (!body.is_object()) return base::Unavailable("client error: " + std::to_string(response.status));
  for (const char* kind : {"warnings", "infos"}) {
    if (!body.contains(kind)) continue;
    for (const Json& text : body[kind]) {
      io_.err(std::string(kind, 4) + ": " + text.get<std::string>() + "\n");
    }
  }
  if (body.value("status", "") != "success") {
    return base::FailedPrecondition(body.value("errorType", "") + ": " + body.value("error", ""));
  }
  if (!body.contains("data")) return base::Unavailable("the answer says success and has no data; is this a Prometheus?");
  return std::move(body["data"]);
}

base::Result<Json> Server::Data(const std::string& path, const net::Params& form) const {
  net::FetchRequest request{.method = "POST", .url = UrlOf(path)};
  request.headers.Set("Content-Type", "application/x-www-form-urlencoded");
  request.body = form.Encode();
  return DataOf(std::move(request));
}

base::Result<Json> Server::Get(const std::string& path, const net::Params& query) const {
  return DataOf({.url = UrlOf(path + (query.empty() ? "" : "?" + query.Encode()))});
}

base::Result<base::Time> ParseTimeArgument(const std::string& text) {
  if (const auto number = base::ParseFloat(text)) {
    // Nanoseconds reach to the year 2262.
    if (!std::isfinite(*number) || std::abs(*number) > 9.2e9) {
      return base::InvalidArgument("\"" + text + "\" is beyond the years 1678 to 2262");
    }
    return base::Time(std::chrono::milliseconds(std::llround(*number * 1000)));
  }
  return base::ParseRfc3339(text);
}

std::string FormatTimeArgument(base::Time t) {
  return base::FormatF(base::ToSeconds(t.time_since_epoch()));
}

base::Time ProcessNow() { return net::EventLoop({.threads = 1}).Now(); }

}  // namespace tocsin::tools
