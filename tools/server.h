#pragma once

// A server's HTTP API for command-line verbs: the flags that name it, requests, answers.
//
//   Server server(io);
//   server.AddFlags(&flags);
//   ... flags.Parse() ...
//   server.set_url(words[0]);
//   auto data = server.Data("/api/v1/query", form);
//
// Threads: the caller's, which waits.
// Errors:  kUnavailable: no answer; kFailedPrecondition: the server's error, its type before it.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "net/http_client.h"
#include "net/http_message.h"
#include "tools/tool.h"

namespace tocsin::tools {

class Server {
 public:
  explicit Server(const ToolIo& io) : io_(io) {}
  // --http.config.file and --header.
  void AddFlags(FlagSet* flags);
  // The same and --format.
  void AddQueryFlags(FlagSet* flags);

  // A missing scheme is http.
  void set_url(std::string url);
  const std::string& url() const { return url_; }
  // Of a page: `path`, which may have a query, behind the URL's own path and before the URL's query.
  std::string UrlOf(std::string_view path) const;
  bool json() const { return format_ == "json"; }

  // `data` of the answer to a form that is sent by POST, or to a query; warnings and infos go to standard error.
  base::Result<nlohmann::ordered_json> Data(const std::string& path, const net::Params& form) const;
  base::Result<nlohmann::ordered_json> Get(const std::string& path, const net::Params& query) const;

  // A request with the flags' headers and configuration.
  base::Result<net::FetchResponse> Send(net::FetchRequest request) const;

 private:
  base::Result<nlohmann::ordered_json> DataOf(net::FetchRequest request) const;

  const ToolIo& io_;
  std::string url_;
  std::string format_ = "promql";
  std::string http_config_file_;
  std::vector<std::string> headers_;
};

// RFC 3339 or seconds since the epoch.
base::Result<base::Time> ParseTimeArgument(const std::string& text);
std::string FormatTimeArgument(base::Time t);  // seconds

// The system's clock.
base::Time ProcessNow();

}  // namespace tocsin::tools
