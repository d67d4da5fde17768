#include "api/http/router.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "base/text.h"

namespace tocsin::api {
namespace {

// Path without // and dots, as Go's path.Clean with a slash at the end kept.
std::string CleanPath(std::string_view path) {
  std::vector<std::string_view> parts;
  for (std::string_view part : base::Split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
      continue;
    }
    parts.push_back(part);
  }
  std::string clean;
  for (std::string_view part : parts) {
    clean += '/';
    clean += part;
  }
  if (clean.empty() || path.ends_with('/')) clean += '/';
  return clean;
}

std::vector<std::string_view> PartsOf(std::string_view path) {
  if (path.starts_with('/')) path.remove_prefix(1);
  return base::Split(path, '/');
}

// Whether the parts fit the pattern; fills the params.
bool Matches(const std::vector<std::string>& pattern, const std::vector<std::string_view>& parts,
             PathParams* params) {
  for (size_t i = 0; i < pattern.size(); ++i) {
    const std::string& want = pattern[i];
    if (want.starts_with('*')) {
      std::string rest;
      for (size_t j = i; j < parts.size(); ++j) {
        if (j > i) rest += '/';
        rest += parts[j];
      }
      params->Add(std::string_view(want).substr(1), rest);
      return true;
    }
    if (i >= parts.size()) return false;
    if (want.starts_with(':')) {
      if (parts[i].empty()) return false;
      params->Add(std::string_view(want).substr(1), parts[i]);
    } else if (want != parts[i]) {
      return false;
    }
  }
  return pattern.size() == parts.size();
}

void Redirect(const ExchangePtr& x, std::string location) {
  const net::HttpRequest& request = x->request();
  location = base::ReplaceAll(base::PathEscape(location), "%2F", "/");
  if (!request.raw_query.empty()) location += "?" + request.raw_query;
  // A method with a body must not become GET.
  bool safe = request.method == "GET" || request.method == "HEAD";
  x->Respond(net::HttpResponse::Redirect(safe ? 301 : 308, location));
}

}  // namespace

std::string_view PathParams::Get(std::string_view name) const {
  for (const auto& [key, value] : values_) {
    if (key == name) return value;
  }
  return {};
}

void Router::Add(std::initializer_list<std::string_view> methods, std::string_view pattern,
                 RouteHandler handler) {
  auto it = std::ranges::find(routes_, pattern, [](const auto& r) { return r->pattern; });
  if (it == routes_.end()) {
    auto route = std::make_unique<Route>();
    route->pattern = pattern;
    for (std::string_view part : PartsOf(pattern)) {
      if (part.starts_with(':')) route->rank = std::max(route->rank, 1);
      if (part.starts_with('*')) route->rank = 2;
      route->parts.emplace_back(part);
    }
    it = std::ranges::upper_bound(routes_, route->rank, {}, [](const auto& r) { return r->rank; });
    it = routes_.insert(it, std::move(route));
  }
  for (std::string_view method : methods) (*it)->by_method.emplace(method, handler);
}

const Router::Route* Router::Find(std::string_view method, std::string_view path,
                                  PathParams* params) const {
  std::vector<std::string_view> parts = PartsOf(path);
  for (const auto& route : routes_) {
    PathParams found;
    if (route->by_method.contains(method) && Matches(route->parts, parts, &found)) {
      *params = std::move(found);
      return route.get();
    }
  }
  return nullptr;
}

std::string Router::AllowedMethods(std::string_view path) const {
  std::vector<std::string_view> parts = PartsOf(path);
  std::set<std::string> methods;
  for (const auto& route : routes_) {
    PathParams ignored;
    if (!Matches(route->parts, parts, &ignored)) continue;
    for (const auto& [method, handler] : route->by_method) {
      if (method != "OPTIONS") methods.insert(method);
    }
  }
  if (methods.empty()) return {};
  methods.insert("OPTIONS");
  return base::Join({methods.begin(), methods.end()}, ", ");
}

void Router::Serve(ExchangePtr x) const {
  const net::HttpRequest& request = x->request();
  std::string_view path = request.path;
  if (std::string clean = CleanPath(path); clean != path) return Redirect(x, std::move(clean));
  if (!options_.prefix.empty()) {
    bool below = path.starts_with(options_.prefix) &&
                 (path.size() == options_.prefix.size() || path[options_.prefix.size()] == '/');
    if (!below) {
      if (path == "/") return Redirect(x, options_.prefix + "/");
      return x->Respond(net::HttpResponse::Text(404, "404 page not found\n"));
    }
    path.remove_prefix(options_.prefix.size());
    if (path.empty()) return Redirect(x, options_.prefix + "/");
  }
  PathParams params;
  if (const Route* route = Find(request.method, path, &params)) {
    x->SetRoute(route->pattern);
    return route->by_method.find(request.method)->second(std::move(x), params);
  }
  std::string allowed = AllowedMethods(path);
  if (!allowed.empty()) {
    auto answer = request.method == "OPTIONS"
                      ? net::HttpResponse::Text(200, "")
                      : net::HttpResponse::Text(405, "Method Not Allowed\n");
    answer.headers.Set("Allow", allowed);
    return x->Respond(std::move(answer));
  }
  // The same with or without a slash at the end.
  if (path.size() > 1 && path.ends_with('/')) {
    std::string_view without = path.substr(0, path.size() - 1);
    if (Find(request.method, without, &params) != nullptr) {
      return Redirect(x, options_.prefix + std::string(without));
    }
  }
  x->Respond(net::HttpResponse::Text(404, "404 page not found\n"));
}

std::function<void(const net::HttpRequestStats&)> PrometheusHttpMetrics(base::Registry* registry) {
  std::vector<double> sizes;
  for (int i = 0; i < 8; ++i) sizes.push_back(100 * std::pow(10, i));
  auto* requests = registry->AddCounterFamily("prometheus_http_requests_total",
                                              "Counter of HTTP requests.", {"handler", "code"});
  auto* durations = registry->AddHistogramFamily(
      "prometheus_http_request_duration_seconds", "Histogram of latencies for HTTP requests.",
      {"handler"}, {.1, .2, .4, 1, 3, 8, 20, 60, 120});
  auto* responses = registry->AddHistogramFamily("prometheus_http_response_size_bytes",
                                                 "Histogram of response size for HTTP requests.",
                                                 {"handler"}, std::move(sizes));
  return [=](const net::HttpRequestStats& stats) {
    requests->With({stats.route, std::to_string(stats.status)})->Add(1);
    durations->With({stats.route})->Observe(base::ToSeconds(stats.duration));
    responses->With({stats.route})->Observe(static_cast<double>(stats.response_bytes));
  };
}

}  // namespace tocsin::api
