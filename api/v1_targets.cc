// targets, their metadata, scrape pools and Alertmanagers.

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>
#include <simdjson.h>
#include <tuple>

#include "api/params.h"
#include "api/prometheus_impl.h"
#include "base/duration.h"
#include "base/number.h"
#include "base/text.h"
#include "base/url.h"
#include "promql/parse/parser.h"

namespace tocsin::api {
namespace {

bool IsLocalhost(std::string_view host) {
  return host == "127.0.0.1" || host == "localhost" || host == "::1";
}

std::string Bracketed(const std::string& host) {
  return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

// A target's URL as other machines reach it: localhost becomes the host of the external URL.
std::string GlobalUrl(const std::string& text, const PrometheusApiOptions& options) {
  auto url = base::ParseUrl(text);
  auto external = base::ParseUrl(options.external_url);
  if (!url || !external || !IsLocalhost(url->hostname())) return text;
  size_t colon = options.listen_address.rfind(':');
  std::string own_port = colon == std::string::npos ? "" : options.listen_address.substr(colon + 1);
  std::string port = url->port();
  if (port == own_port) {
    url->scheme = external->scheme;
    url->host = external->host;
  } else {
    url->host = Bracketed(external->hostname());
    if (!port.empty()) url->host += ":" + port;
  }
  return url->ToString();
}

std::string LabelOr(const scrape::Target& target, std::string_view label, base::Duration value) {
  std::string_view text = target.all_labels.Get(label);
  return text.empty() ? base::FormatDuration(value) : std::string(text);
}

void WriteTarget(const scrape::TargetStatus& t, const PrometheusApiOptions& options,
                 JsonWriter* json) {
  json->BeginObject();
  json->Member("discoveredLabels", t.target->discovered.view());
  json->Member("labels", t.target->labels.view());
  json->Member("scrapePool", t.job);
  json->Member("scrapeUrl", t.target->url);
  json->Member("globalUrl", GlobalUrl(t.target->url, options));
  json->Member("lastError", t.last_error);
  json->Key("lastScrape");
  json->Time(t.last_scrape);
  json->Member("lastScrapeDuration", base::ToSeconds(t.last_duration));
  json->Member("health", scrape::HealthName(t.health));
  json->Member("scrapeInterval", LabelOr(*t.target, "__scrape_interval__", t.target->interval));
  json->Member("scrapeTimeout", LabelOr(*t.target, "__scrape_timeout__", t.target->timeout));
  json->EndObject();
}

std::vector<scrape::TargetStatus> ActiveTargets(const Backend& backend, std::string_view job) {
  if (!backend.active_targets) return {};
  return backend.active_targets(job);
}

// A limit in a parameter; -1: there is none.  Errors: not a number.
base::Result<int64_t> CountParam(const net::Params& params, std::string_view name) {
  std::string_view text = params.Get(name);
  if (text.empty()) return -1;
  auto value = ParseInt(text);
  if (!value) return base::InvalidArgument(fmt::format("{} must be a number", name));
  return *value;
}

void WriteMetadata(const model::Metadata& m, JsonWriter* json) {
  json->Member("type", model::MetricTypeName(m.type));
  json->Member("help", m.help);
  json->Member("unit", m.unit);
}

void WriteRule(const model::RelabelRule& rule, JsonWriter* json) {
  json->BeginObject();
  if (!rule.source_labels.empty()) json->MemberList("source_labels", rule.source_labels);
  json->Member("separator", rule.separator);
  json->Member("regex", rule.regex.pattern());
  if (rule.modulus != 0) json->Member("modulus", rule.modulus);
  if (!rule.target_label.empty()) json->Member("target_label", rule.target_label);
  json->Member("replacement", rule.replacement);
  json->Member("action", model::RelabelActionName(rule.action));
  json->EndObject();
}

// {"name":"value",...}
base::Result<model::Labels> ReadLabels(std::string_view text) {
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  std::vector<std::pair<std::string, std::string>> pairs;
  if (auto error = parser.parse(text.data(), text.size()).get(object)) {
    return base::InvalidArgument(simdjson::error_message(error));
  }
  for (auto [name, value] : object) {
    std::string_view label;
    if (auto error = value.get(label)) return base::InvalidArgument(simdjson::error_message(error));
    pairs.emplace_back(std::string(name), std::string(label));
  }
  return model::Labels::FromPairs(pairs);
}

}  // namespace

Answer ShowTargets(const Backend& backend, const PrometheusApiOptions& options, const Call& call) {
  const net::Params& params = call.request->query;
  std::string state = base::ToLower(params.Get("state"));
  std::string_view pool = params.Get("scrapePool");
  bool active = state.empty() || state == "any" || state == "active";
  bool dropped = state.empty() || state == "any" || state == "dropped";
  Answer answer = Answer::Data();
  JsonWriter json = answer.json();
  json.BeginObject();
  json.Key("activeTargets");
  json.BeginArray();
  if (active) {
    for (const auto& t : ActiveTargets(backend, pool)) WriteTarget(t, options, &json);
  }
  json.EndArray();
  std::vector<scrape::DroppedTargets> all;
  if (dropped && backend.dropped_targets) all = backend.dropped_targets("");
  json.Key("droppedTargets");
  json.BeginArray();
  for (const scrape::DroppedTargets& job : all) {
    if (!pool.empty() && job.job != pool) continue;
    for (const scrape::DroppedTarget& t : *job.targets) {
      json.BeginObject();
      json.Member("discoveredLabels", t.discovered.view());
      json.Member("scrapePool", job.job);
      json.EndObject();
    }
  }
  json.EndArray();
  json.Key("droppedTargetCounts");
  if (dropped) {
    json.BeginObject();
    for (const scrape::DroppedTargets& job : all) json.Member(job.job, job.count);
    json.EndObject();
  } else {
    json.Null();
  }
  json.EndObject();
  return answer;
}

Answer TargetsMetadata(const Backend& backend, const Call& call) {
  const net::Params& params = call.request->query;
  auto limit = CountParam(params, "limit");
  if (!limit) return Answer::Error(ErrorType::kBadData, limit.error().message());
  model::Matchers matchers;
  if (std::string_view text = params.Get("match_target"); !text.empty()) {
    auto parsed = promql::ParseMetricSelector(text);
    if (!parsed) return Answer::BadParam("match_target", parsed.error().message());
    matchers = *std::move(parsed);
  }
  std::string_view metric = params.Get("metric");
  Answer answer = Answer::Data();
  JsonWriter json = answer.json();
  json.BeginArray();
  // The limit is looked at before each target, so that a target's list is not cut: as Prometheus does.
  int64_t count = 0;
  for (const scrape::TargetStatus& t : ActiveTargets(backend, "")) {
    if (*limit >= 0 && count >= *limit) break;
    if (!model::MatchesAll(matchers, t.target->labels)) continue;
    for (const auto& [family, metadata] : *t.metadata) {
      if (!metric.empty() && family != metric) continue;
      json.BeginObject();
      json.Member("target", t.target->labels.view());
      if (metric.empty()) json.Member("metric", family);
      WriteMetadata(metadata, &json);
      json.EndObject();
      ++count;
    }
  }
  json.EndArray();
  return answer;
}

Answer MetricMetadata(const Backend& backend, const Call& call) {
  const net::Params& params = call.request->query;
  auto limit = CountParam(params, "limit");
  if (!limit) return Answer::Error(ErrorType::kBadData, limit.error().message());
  auto limit_per_metric = CountParam(params, "limit_per_metric");
  if (!limit_per_metric) {
    return Answer::Error(ErrorType::kBadData, limit_per_metric.error().message());
  }
  std::string_view metric = params.Get("metric");
  auto order = [](const model::Metadata& a, const model::Metadata& b) {
    return std::tie(a.type, a.help, a.unit) < std::tie(b.type, b.help, b.unit);
  };
  std::map<std::string, std::set<model::Metadata, decltype(order)>> families;
  for (const scrape::TargetStatus& t : ActiveTargets(backend, "")) {
    for (const auto& [family, metadata] : *t.metadata) {
      if (!metric.empty() && family != metric) continue;
      auto& seen = families[family];
      if (*limit_per_metric > 0 && std::ssize(seen) >= *limit_per_metric) continue;
      seen.insert(metadata);
    }
  }
  Answer answer = Answer::Data();
  JsonWriter json = answer.json();
  json.BeginObject();
  int64_t count = 0;
  for (const auto& [family, list] : families) {
    if (*limit >= 0 && count++ >= *limit) break;
    json.Key(family);
    json.BeginArray();
    for (const model::Metadata& metadata : list) {
      json.BeginObject();
      WriteMetadata(metadata, &json);
      json.EndObject();
    }
    json.EndArray();
  }
  json.EndObject();
  return answer;
}

Answer ScrapePools(const Backend& backend) {
  Answer answer = Answer::Data();
  JsonWriter json = answer.json();
  json.BeginObject();
  json.MemberList("scrapePools",
                  backend.scrape_jobs ? backend.scrape_jobs() : std::vector<std::string>());
  json.EndObject();
  return answer;
}

namespace {

// The configuration of the job that the scrapePool parameter names; an answer if there is none.
std::variant<scrape::ScrapeConfigPtr, Answer> ConfigParam(const Backend& backend,
                                                          std::string_view pool) {
  if (pool.empty()) {
    return Answer::Error(ErrorType::kBadData, "no scrapePool parameter provided");
  }
  scrape::ScrapeConfigPtr config;
  if (backend.scrape_config) config = backend.scrape_config(pool);
  if (config == nullptr) {
    return Answer::Error(ErrorType::kBadData,
                         fmt::format("error retrieving scrape config: scrape pool {} not found",
                                     base::Quote(pool)));
  }
  return config;
}

}  // namespace

Answer ScrapePoolConfig(const Backend& backend, const Call& call) {
  auto config = ConfigParam(backend, call.request->query.Get("scrapePool"));
  if (auto* error = std::get_if<Answer>(&config)) return std::move(*error);
  if (!backend.scrape_config_yaml) {
    return Answer::Error(ErrorType::kUnavailable, "the scrape configuration cannot be shown");
  }
  Answer answer = Answer::Data();
  JsonWriter json = answer.json();
  json.BeginObject();
  json.Member("yaml", backend.scrape_config_yaml(*std::get<scrape::ScrapeConfigPtr>(config)));
  json.EndObject();
  return answer;
}

// What each relabeling rule of a job makes of a set of labels.
Answer RelabelSteps(const Backend& backend, const Call& call) {
  const net::Params& params = call.request->query;
  if (params.Get("scrapePool").empty()) {
    return Answer::Error(ErrorType::kBadData, "no scrapePool parameter provided");
  }
  if (params.Get("labels").empty()) {
    return Answer::Error(ErrorType::kBadData, "no labels parameter provided");
  }
  auto labels = ReadLabels(params.Get("labels"));
  if (!labels) {
    return Answer::Error(ErrorType::kBadData, "error parsing labels: " + labels.error().message());
  }
  auto config = ConfigParam(backend, params.Get("scrapePool"));
  if (auto* error = std::get_if<Answer>(&config)) return std::move(*error);
  Answer answer = Answer::Data();
  JsonWriter json = answer.json();
  json.BeginObject();
  json.Key("steps");
  json.BeginArray();
  model::LabelsBuilder builder(*labels);
  bool keep = true;
  for (const model::RelabelRule& rule :
       std::get<scrape::ScrapeConfigPtr>(config)->relabel) {
    keep = keep && model::Relabel(std::span(&rule, 1), &builder);
    json.BeginObject();
    json.Key("rule");
    WriteRule(rule, &json);
    json.Member("output", keep ? builder.Build().view() : model::LabelsView());
    json.Member("keep", keep);
    json.EndObject();
  }
  json.EndArray();
  json.EndObject();
  return answer;
}

Answer ShowAlertmanagers(const Backend& backend) {
  Answer answer = Answer::Data();
  JsonWriter json = answer.json();
  auto list = [&json](std::string_view name,
                      const std::function<std::vector<std::string>()>& urls) {
    json.Key(name);
    json.BeginArray();
    for (const std::string& url : urls ? urls() : std::vector<std::string>()) {
      json.BeginObject();
      json.Member("url", url);
      json.EndObject();
    }
    json.EndArray();
  };
  json.BeginObject();
  list("activeAlertmanagers", backend.alertmanagers);
  list("droppedAlertmanagers", backend.dropped_alertmanagers);
  json.EndObject();
  return answer;
}

}  // namespace tocsin::api
