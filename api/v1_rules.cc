// rules and alerts.

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "api/params.h"
#include "api/prometheus_impl.h"
#include "base/digest.h"
#include "base/number.h"
#include "base/text.h"

namespace tocsin::api {
namespace {

using Groups = std::vector<std::shared_ptr<const ruler::GroupStatus>>;

Groups GroupsOf(const Backend& backend) {
  return backend.rule_groups ? backend.rule_groups() : Groups();
}

// A time that was never set is Go's zero time.
base::Time Shown(base::Time t) { return t == base::Time{} ? base::kZeroTime : t; }

void WritePairs(std::string_view name, const ruler::LabelList& pairs, JsonWriter* json) {
  json->Key(name);
  json->BeginObject();
  for (const auto& [label, value] : pairs) json->Member(label, value);
  json->EndObject();
}

void WriteAlert(const ruler::ActiveAlert& alert, JsonWriter* json) {
  json->BeginObject();
  json->Member("labels", alert.labels.view());
  json->Member("annotations", alert.annotations.view());
  json->Member("state", ruler::AlertStateName(alert.state));
  json->Key("activeAt");
  json->Time(Shown(alert.active_at));
  if (alert.keep_firing_since != base::Time{}) {
    json->Key("keepFiringSince");
    json->Time(alert.keep_firing_since);
  }
  json->Member("value", base::FormatPrecision(alert.value, 'e', -1));
  json->EndObject();
}

// What the parameters select.
struct RuleFilter {
  bool alerts = true;     // alerting rules
  bool recording = true;  // recording rules
  bool exclude_alerts = false;
  std::set<std::string, std::less<>> names;
  std::set<std::string, std::less<>> groups;
  std::set<std::string, std::less<>> files;
  std::vector<model::Matchers> sets;
  int64_t group_limit = 0;  // 0: all
  std::string next_token;

  bool Selects(const ruler::GroupStatus& g) const {
    return (groups.empty() || groups.contains(g.name)) && (files.empty() || files.contains(g.file));
  }
  bool Selects(const ruler::RuleStatus& r) const {
    if (!(r.spec->is_alert() ? alerts : recording)) return false;
    if (!names.empty() && !names.contains(r.spec->name())) return false;
    if (sets.empty()) return true;
    return std::ranges::any_of(sets, [&r](const model::Matchers& set) {
      return std::ranges::all_of(set, [&r](const model::Matcher& m) {
        auto it = std::ranges::find(r.spec->labels, m.name(), [](const auto& pair) { return pair.first; });
        return m.Matches(it == r.spec->labels.end() ? std::string_view() : std::string_view(it->second));
      });
    });
  }
};

std::set<std::string, std::less<>> SetOf(const net::Params& params, std::string_view name) {
  std::vector<std::string> all = params.All(name);
  return {all.begin(), all.end()};
}

// Errors: an answer.
std::optional<Answer> ReadPaging(const net::Params& params, RuleFilter* filter) {
  std::string_view limit = params.Get("group_limit");
  filter->next_token = params.Get("group_next_token");
  if (limit.empty()) {
    if (filter->next_token.empty()) return std::nullopt;
    return Answer::BadParam("group_next_token",
                            "group_limit needs to be present in order to paginate over the groups");
  }
  auto value = ParseInt(limit);
  if (!value || *value > INT32_MAX || *value < INT32_MIN) {
    return Answer::BadParam(
        "group_limit", fmt::format("group_limit needs to be a valid number: strconv.ParseInt: parsing "
                                   "{}: {}",
                                   base::Quote(limit), value ? "value out of range" : "invalid syntax"));
  }
  if (*value <= 0) return Answer::BadParam("group_limit", "group_limit needs to be greater than 0");
  filter->group_limit = *value;
  return std::nullopt;
}

// Errors: an answer.
std::optional<Answer> ReadFilter(const net::Params& params, RuleFilter* filter) {
  filter->names = SetOf(params, "rule_name[]");
  filter->groups = SetOf(params, "rule_group[]");
  filter->files = SetOf(params, "file[]");
  auto sets = ParseMatcherSets(params.All("match[]"));
  if (!sets) return Answer::Error(ErrorType::kBadData, sets.error().message());
  filter->sets = *std::move(sets);
  std::string type = base::ToLower(params.Get("type"));
  if (!type.empty() && type != "alert" && type != "record") {
    return Answer::BadParam("type", fmt::format("not supported value {}", base::Quote(type)));
  }
  filter->alerts = type != "record";
  filter->recording = type != "alert";
  if (std::string text = base::ToLower(params.Get("exclude_alerts")); !text.empty()) {
    auto exclude = ParseBool(text);
    if (!exclude) {
      return Answer::BadParam("exclude_alerts",
                              fmt::format("error converting exclude_alerts: strconv.ParseBool: parsing "
                                          "{}: invalid syntax",
                                          base::Quote(text)));
    }
    filter->exclude_alerts = *exclude;
  }
  return ReadPaging(params, filter);
}

void WriteRule(const ruler::RuleStatus& r, bool exclude_alerts, JsonWriter* json) {
  json->BeginObject();
  if (r.spec->is_alert()) json->Member("state", ruler::AlertStateName(r.state));
  json->Member("name", r.spec->name());
  json->Member("query", r.spec->query);
  if (r.spec->is_alert()) {
    json->Member("duration", base::ToSeconds(r.spec->hold));
    json->Member("keepFiringFor", base::ToSeconds(r.spec->keep_firing));
  }
  if (r.spec->is_alert() || !r.spec->labels.empty()) WritePairs("labels", r.spec->labels, json);
  if (r.spec->is_alert()) {
    WritePairs("annotations", r.spec->annotations, json);
    json->Key("alerts");
    if (exclude_alerts) {
      json->Null();
    } else {
      json->BeginArray();
      for (const ruler::ActiveAlert& alert : r.alerts) WriteAlert(alert, json);
      json->EndArray();
    }
  }
  json->Member("health", ruler::RuleHealthName(r.health));
  if (!r.last_error.empty()) json->Member("lastError", r.last_error);
  json->Member("evaluationTime", base::ToSeconds(r.evaluation_time));
  json->Key("lastEvaluation");
  json->Time(Shown(r.last_evaluation));
  json->Member("type", r.spec->is_alert() ? "alerting" : "recording");
  json->EndObject();
}

void WriteGroup(const ruler::GroupStatus& g, const std::vector<const ruler::RuleStatus*>& rules,
                bool exclude_alerts, JsonWriter* json) {
  json->BeginObject();
  json->Member("name", g.name);
  json->Member("file", g.file);
  json->Key("rules");
  json->BeginArray();
  for (const ruler::RuleStatus* r : rules) WriteRule(*r, exclude_alerts, json);
  json->EndArray();
  json->Member("interval", base::ToSeconds(g.interval));
  json->Member("limit", g.limit);
  json->Member("evaluationTime", base::ToSeconds(g.evaluation_time));
  json->Key("lastEvaluation");
  json->Time(Shown(g.last_evaluation));
  json->EndObject();
}

std::string TokenOf(const ruler::GroupStatus& g) {
  return base::Hex(base::Sha256(g.file + ";" + g.name));
}

}  // namespace

Answer ShowRules(const Backend& backend, const Call& call) {
  RuleFilter filter;
  if (auto error = ReadFilter(call.request->query, &filter)) return *std::move(error);
  Answer answer = Answer::Data();
  JsonWriter json = answer.json();
  json.BeginObject();
  json.Key("groups");
  json.BeginArray();
  bool skipping = !filter.next_token.empty();
  int64_t shown = 0;
  std::string next_token;
  for (const auto& g : GroupsOf(backend)) {
    if (skipping && TokenOf(*g) != filter.next_token) continue;
    skipping = false;
    if (!filter.Selects(*g)) continue;
    std::vector<const ruler::RuleStatus*> rules;
    for (const ruler::RuleStatus& r : g->rules) {
      if (filter.Selects(r)) rules.push_back(&r);
    }
    if (rules.empty()) continue;
    // One more than fits is what makes a token necessary.
    if (filter.group_limit > 0 && shown == filter.group_limit) {
      next_token = TokenOf(*g);
      break;
    }
    WriteGroup(*g, rules, filter.exclude_alerts, &json);
    ++shown;
  }
  if (skipping) {
    return Answer::BadParam("group_next_token",
                            fmt::format("invalid group_next_token '{}'. were rule groups changed?",
                                        filter.next_token));
  }
  json.EndArray();
  if (!next_token.empty()) json.Member("groupNextToken", next_token);
  json.EndObject();
  return answer;
}

Answer ShowAlerts(const Backend& backend) {
  Answer answer = Answer::Data();
  JsonWriter json = answer.json();
  json.BeginObject();
  json.Key("alerts");
  json.BeginArray();
  for (const auto& g : GroupsOf(backend)) {
    for (const ruler::RuleStatus& r : g->rules) {
      for (const ruler::ActiveAlert& alert : r.alerts) WriteAlert(alert, &json);
    }
  }
  json.EndArray();
  json.EndObject();
  return answer;
}

}  // namespace tocsin::api
