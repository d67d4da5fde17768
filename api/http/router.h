#pragma once

// From method and path to a handler, as the router of Prometheus and Alertmanager does it.
//
//   api::Router router({.prefix = "/tocsin"});
//   router.Add({"GET", "POST"}, "/api/v1/query", [&](auto x, const auto&) { ... });
//   router.Add({"GET"}, "/api/v1/label/:name/values", [&](auto x, const auto& path) {
//     UseLabel(path.Get("name"));
//   });
//   net::HttpServer server(&loop, options, router.AsHandler());
//
// Answers by itself: 404 for an unknown path, 405 (with Allow) for a known path and another method,
// 200 with Allow for OPTIONS where nothing else is registered, 301 from a path with // or .. or a
// slash too many to the clean one.
//
// Threads: loop only; Add() before the first request.

#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/metrics.h"
#include "net/http_server.h"

namespace tocsin::api {

using ExchangePtr = std::shared_ptr<net::HttpExchange>;

// The parts of the path that stood for :name and *rest.
class PathParams {
 public:
  std::string_view Get(std::string_view name) const;  // empty if there is none
  void Add(std::string_view name, std::string_view value) { values_.emplace_back(name, value); }

 private:
  std::vector<std::pair<std::string, std::string>> values_;
};

using RouteHandler = std::function<void(ExchangePtr, const PathParams&)>;

struct RouterOptions {
  // "" or "/prefix": every pattern stands below it; "/" alone redirects there.
  std::string prefix;
};

class Router {
 public:
  explicit Router(RouterOptions options = {}) : options_(std::move(options)) {}
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;

  // `pattern`: "/api/v1/label/:name/values"; a last part "*rest" takes what remains, also nothing.
  // Exact paths win over :name, :name over *rest.  The pattern is the route's name in metrics.
  void Add(std::initializer_list<std::string_view> methods, std::string_view pattern,
           RouteHandler handler);

  void Serve(ExchangePtr exchange) const;
  // Borrows the router.
  net::Handler AsHandler() const {
    return [this](ExchangePtr x) { Serve(std::move(x)); };
  }

 private:
  struct Route {
    std::string pattern;
    std::vector<std::string> parts;
    std::map<std::string, RouteHandler, std::less<>> by_method;
    int rank = 0;  // 0 exact, 1 with :name, 2 with *rest
  };

  // The best route that has the path and the method; null if there is none.
  const Route* Find(std::string_view method, std::string_view path, PathParams* params) const;
  std::string AllowedMethods(std::string_view path) const;

  RouterOptions options_;
  std::vector<std::unique_ptr<Route>> routes_;  // by rank
};

// For HttpServerOptions::on_request: prometheus_http_requests_total{handler,code},
// prometheus_http_request_duration_seconds{handler}, prometheus_http_response_size_bytes{handler}.
std::function<void(const net::HttpRequestStats&)> PrometheusHttpMetrics(base::Registry* registry);

}  // namespace tocsin::api
