#include "api/alertmanager/v2_json.h"

#include <simdjson.h>

#include <cstdio>
#include <optional>

#include "api/http/json.h"
#include "base/duration.h"
#include "base/number.h"
#include "base/url.h"

namespace tocsin::api {
namespace {

using alertmanager::MatchOp;
using simdjson::dom::element;
using simdjson::dom::element_type;

SchemaError BadBody(std::string_view what, std::string_view why) {
  return {400, 400, "parsing " + std::string(what) + " body from \"\" failed, because " + std::string(why)};
}
SchemaError Required(const std::string& field) { return {422, 602, field + " in body is required"}; }

std::string_view TypeName(const element& e) {
  switch (e.type()) {
    case element_type::ARRAY: return "array";
    case element_type::OBJECT: return "object";
    case element_type::STRING: return "string";
    case element_type::BOOL: return "bool";
    case element_type::NULL_VALUE: return "null";
    default: return "number";
  }
}

// A field that is there and not null.
bool Field(const element& object, const char* name, element* out) {
  return object[name].get(*out) == simdjson::SUCCESS && !out->is_null();
}

std::optional<SchemaError> ReadStrings(const element& map, std::string_view what, std::string_view field,
                                       std::vector<model::Label>* out) {
  simdjson::dom::object object;
  if (map.get_object().get(object) != simdjson::SUCCESS) {
    return BadBody(what, "json: cannot unmarshal " + std::string(TypeName(map)) + " into Go struct field " +
                             std::string(field) + " of type models.LabelSet");
  }
  for (const auto [key, value] : object) {
    std::string_view text;
    if (value.is_null()) {
      text = "";
    } else if (value.get_string().get(text) != simdjson::SUCCESS) {
      return BadBody(what, "json: cannot unmarshal " + std::string(TypeName(value)) +
                               " into Go struct field " + std::string(field) + " of type string");
    }
    out->push_back({key, text});
  }
  return std::nullopt;
}

std::optional<SchemaError> ReadTime(const element& object, const char* name, std::string_view what,
                                    base::Time* out, std::chrono::minutes* offset = nullptr) {
  element value;
  if (!Field(object, name, &value)) return std::nullopt;
  std::string_view text;
  if (value.get_string().get(text) != simdjson::SUCCESS) {
    return BadBody(what, "json: cannot unmarshal " + std::string(TypeName(value)) + " into Go value of type string");
  }
  // Go's zero time, which amtool sends for a time it was not given, means the same as none.
  if (text.empty() || text.starts_with("0001-01-01T00:00:00")) return std::nullopt;
  const auto time = base::ParseRfc3339(text);
  if (!time) {
    return BadBody(what, "parsing time " + base::Quote(text) + " as \"2006-01-02 15:04:05\": cannot parse " +
                             base::Quote(text) + " as \"2006\"");
  }
  *out = *time;
  // ...+02:00; what has no offset is UTC.
  if (offset != nullptr && text.size() > 6 && (text[text.size() - 6] == '+' || text[text.size() - 6] == '-')) {
    auto two = [&](size_t at) { return (text[at] - '0') * 10 + text[at + 1] - '0'; };
    const int minutes = two(text.size() - 5) * 60 + two(text.size() - 2);
    *offset = std::chrono::minutes(text[text.size() - 6] == '-' ? -minutes : minutes);
  }
  return std::nullopt;
}

// As base::FormatRfc3339Millis, at an offset from UTC.
std::string FormatTime(base::Time t, std::chrono::minutes offset) {
  if (offset.count() == 0) return base::FormatRfc3339Millis(t);
  std::string text = base::FormatRfc3339Millis(t + offset);
  text.pop_back();  // the Z
  char zone[24];
  const int minutes = static_cast<int>(offset.count() < 0 ? -offset.count() : offset.count());
  std::snprintf(zone, sizeof zone, "%c%02d:%02d", offset.count() < 0 ? '-' : '+', minutes / 60 % 24, minutes % 60);
  return text + zone;
}

std::optional<SchemaError> ReadAlert(const element& item, const std::string& at, model::Alert* alert) {
  if (item.type() != element_type::OBJECT) {
    if (item.is_null()) return SchemaError{400, 400, at + " in body is null: each alert must be an object"};
    return BadBody("alerts", "json: cannot unmarshal " + std::string(TypeName(item)) +
                                 " into Go value of type models.PostableAlert");
  }
  element value;
  std::vector<model::Label> labels;
  if (!Field(item, "labels", &value)) return Required(at + ".labels");
  if (auto wrong = ReadStrings(value, "alerts", "Alert.labels", &labels)) return wrong;
  alert->labels = model::Labels::FromLabels(labels);
  // An empty name cannot be kept by a label set; it is refused where the others are.
  for (const model::Label& label : labels) {
    if (label.name.empty()) return SchemaError{400, 0, "invalid label set: invalid name \"\""};
  }
  if (Field(item, "annotations", &value)) {
    labels.clear();
    if (auto wrong = ReadStrings(value, "alerts", ".annotations", &labels)) return wrong;
    alert->annotations = model::Labels::FromLabels(labels);
  }
  if (auto wrong = ReadTime(item, "startsAt", "alerts", &alert->starts_at, &alert->starts_offset)) return wrong;
  if (auto wrong = ReadTime(item, "endsAt", "alerts", &alert->ends_at, &alert->ends_offset)) return wrong;
  if (Field(item, "generatorURL", &value)) {
    std::string_view url;
    if (value.get_string().get(url) != simdjson::SUCCESS) {
      return BadBody("alerts", "json: cannot unmarshal " + std::string(TypeName(value)) +
                                   " into Go struct field .generatorURL of type strfmt.URI");
    }
    const auto parsed = base::ParseUrl(url);
    if (!url.empty() && (!parsed || (parsed->scheme.empty() && !url.starts_with('/')))) {
      return SchemaError{422, 601, at + ".generatorURL in body must be of type uri: " + base::Quote(url)};
    }
    alert->generator_url = url;
  }
  return std::nullopt;
}

std::optional<SchemaError> ReadMatcher(const element& item, const std::string& at, alertmanager::Matchers* out,
                                       std::string* invalid) {
  if (item.type() != element_type::OBJECT) {
    return SchemaError{422, 602, at + " in body is required"};
  }
  element value;
  std::string_view name, text;
  bool is_regex = false, is_equal = true;
  if (!Field(item, "isRegex", &value)) return Required(at + ".isRegex");
  if (value.get_bool().get(is_regex) != simdjson::SUCCESS) {
    return BadBody("silence", "json: cannot unmarshal " + std::string(TypeName(value)) +
                                  " into Go struct field Matcher.isRegex of type bool");
  }
  if (!Field(item, "name", &value)) return Required(at + ".name");
  if (value.get_string().get(name) != simdjson::SUCCESS) {
    return BadBody("silence", "json: cannot unmarshal " + std::string(TypeName(value)) +
                                  " into Go struct field Matcher.name of type string");
  }
  if (!Field(item, "value", &value)) return Required(at + ".value");
  if (value.get_string().get(text) != simdjson::SUCCESS) {
    return BadBody("silence", "json: cannot unmarshal " + std::string(TypeName(value)) +
                                  " into Go struct field Matcher.value of type string");
  }
  if (Field(item, "isEqual", &value) && value.get_bool().get(is_equal) != simdjson::SUCCESS) {
    return BadBody("silence", "json: cannot unmarshal " + std::string(TypeName(value)) +
                                  " into Go struct field Matcher.isEqual of type bool");
  }
  const MatchOp op = is_regex ? (is_equal ? MatchOp::kRegex : MatchOp::kNotRegex)
                              : (is_equal ? MatchOp::kEqual : MatchOp::kNotEqual);
  auto matcher = alertmanager::Matcher::Make(op, name, text);
  if (matcher) {
    out->push_back(std::move(*matcher));
  } else if (invalid->empty()) {
    *invalid = "silence invalid: invalid label matcher " + at.substr(at.find('.') + 1) +
               ": invalid regular expression " + base::Quote(text) + ": " + matcher.error().message();
  }
  return std::nullopt;
}

void WriteReceivers(const std::vector<std::string>& receivers, JsonWriter* json) {
  json->BeginArray();
  for (const std::string& name : receivers) {
    json->BeginObject();
    json->Member("name", name);
    json->EndObject();
  }
  json->EndArray();
}

void WriteList(std::string_view key, const std::vector<std::string>& items, JsonWriter* json) {
  json->Key(key);
  json->BeginArray();
  for (const std::string& item : items) json->String(item);
  json->EndArray();
}

void WriteAlert(const alertmanager::AlertView& view, JsonWriter* json) {
  const model::Alert& alert = *view.alert;
  json->BeginObject();
  json->Member("annotations", alert.annotations.view());
  json->Member("endsAt", FormatTime(alert.ends_at, alert.ends_offset));
  json->Member("fingerprint", [&] {
    char hex[17];
    std::snprintf(hex, sizeof hex, "%016llx", static_cast<unsigned long long>(alert.fingerprint()));
    return std::string(hex);
  }());
  json->Key("receivers");
  WriteReceivers(view.receivers, json);
  json->Member("startsAt", FormatTime(alert.starts_at, alert.starts_offset));
  json->Key("status");
  json->BeginObject();
  WriteList("inhibitedBy", view.status.inhibited_by, json);
  WriteList("mutedBy", view.status.muted_by, json);
  WriteList("silencedBy", view.status.silenced_by, json);
  json->Member("state", view.status.suppressed ? "suppressed" : "active");
  json->EndObject();
  json->Member("updatedAt", base::FormatRfc3339Millis(alert.updated_at));
  if (!alert.generator_url.empty()) json->Member("generatorURL", alert.generator_url);
  json->Member("labels", alert.labels.view());
  json->EndObject();
}

void WriteMatchers(const alertmanager::Matchers& matchers, JsonWriter* json) {
  json->BeginArray();
  for (const alertmanager::Matcher& m : matchers) {
    json->BeginObject();
    json->Member("isEqual", m.op() == MatchOp::kEqual || m.op() == MatchOp::kRegex);
    json->Member("isRegex", m.op() == MatchOp::kRegex || m.op() == MatchOp::kNotRegex);
    json->Member("name", m.name());
    json->Member("value", m.value());
    json->EndObject();
  }
  json->EndArray();
}

}  // namespace

Decoded<std::vector<model::Alert>> DecodeAlerts(const std::string& body) {
  if (body.find_first_not_of(" \t\r\n") == std::string::npos) return Required("alerts");
  simdjson::dom::parser parser;
  element root;
  if (auto error = parser.parse(body).get(root); error != simdjson::SUCCESS) {
    return BadBody("alerts", simdjson::error_message(error));
  }
  std::vector<model::Alert> alerts;
  if (root.is_null()) return alerts;
  simdjson::dom::array list;
  if (root.get_array().get(list) != simdjson::SUCCESS) {
    return BadBody("alerts", "json: cannot unmarshal " + std::string(TypeName(root)) +
                                 " into Go value of type models.PostableAlerts");
  }
  alerts.reserve(list.size());
  size_t i = 0;
  for (const element item : list) {
    model::Alert alert;
    if (auto wrong = ReadAlert(item, std::to_string(i++), &alert)) return *wrong;
    alerts.push_back(std::move(alert));
  }
  return alerts;
}

Decoded<alertmanager::Silence> DecodePostedSilence(const std::string& body) {
  if (body.find_first_not_of(" \t\r\n") == std::string::npos) return Required("silence");
  simdjson::dom::parser parser;
  element root;
  if (auto error = parser.parse(body).get(root); error != simdjson::SUCCESS) {
    return BadBody("silence", simdjson::error_message(error));
  }
  if (root.type() != element_type::OBJECT) {
    return BadBody("silence", "json: cannot unmarshal " + std::string(TypeName(root)) +
                                  " into Go value of type models.PostableSilence");
  }
  alertmanager::Silence silence;
  element value;
  for (const auto& [name, out] : {std::pair("comment", &silence.comment), std::pair("createdBy", &silence.created_by)}) {
    if (!Field(root, name, &value)) return Required(name);
    std::string_view text;
    if (value.get_string().get(text) != simdjson::SUCCESS) {
      return BadBody("silence", "json: cannot unmarshal " + std::string(TypeName(value)) + " into Go struct field ." +
                                    name + " of type string");
    }
    *out = text;
  }
  if (auto wrong = ReadTime(root, "endsAt", "silence", &silence.ends_at)) return *wrong;
  if (!Field(root, "endsAt", &value)) return Required("endsAt");
  if (!Field(root, "matchers", &value)) return Required("matchers");
  simdjson::dom::array matchers;
  if (value.get_array().get(matchers) != simdjson::SUCCESS) {
    return BadBody("silence", "json: cannot unmarshal " + std::string(TypeName(value)) +
                                  " into Go struct field .matchers of type models.Matchers");
  }
  if (matchers.size() == 0) return SchemaError{422, 612, "matchers in body should have at least 1 items"};
  alertmanager::Matchers set;
  std::string invalid;
  size_t i = 0;
  for (const element item : matchers) {
    if (auto wrong = ReadMatcher(item, "matchers." + std::to_string(i++), &set, &invalid)) return *wrong;
  }
  if (auto wrong = ReadTime(root, "startsAt", "silence", &silence.starts_at)) return *wrong;
  if (!Field(root, "startsAt", &value)) return Required("startsAt");
  if (!invalid.empty()) return SchemaError{400, 0, invalid};
  silence.matcher_sets.push_back(std::move(set));
  if (Field(root, "annotations", &value)) {
    std::vector<model::Label> pairs;
    if (auto wrong = ReadStrings(value, "silence", ".annotations", &pairs)) return *wrong;
    for (const model::Label& pair : pairs) silence.annotations.emplace_back(pair.name, pair.value);
  }
  // tocsin's own.
  if (Field(root, "schedule", &value)) {
    if (auto read = silence.SetSchedule(std::string(simdjson::minify(value))); !read) {
      return SchemaError{400, 0, "silence invalid: " + read.error().message()};
    }
  }
  if (Field(root, "receivers", &value)) {
    simdjson::dom::array receivers;
    if (value.get_array().get(receivers) != simdjson::SUCCESS) return SchemaError{422, 601, "receivers in body must be of type array"};
    for (const element item : receivers) {
      std::string_view name;
      if (item.get_string().get(name) != simdjson::SUCCESS || name.empty()) {
        return SchemaError{422, 601, "receivers in body must be names"};
      }
      silence.receivers.emplace_back(name);
    }
  }
  if (Field(root, "id", &value)) {
    std::string_view id;
    if (value.get_string().get(id) == simdjson::SUCCESS) silence.id = id;
  }
  return silence;
}

void WriteAlerts(const std::vector<alertmanager::AlertView>& alerts, std::string* out) {
  JsonWriter json(out);
  json.BeginArray();
  for (const alertmanager::AlertView& alert : alerts) WriteAlert(alert, &json);
  json.EndArray();
}

void WriteGroups(const std::vector<alertmanager::GroupView>& groups, std::string* out) {
  JsonWriter json(out);
  json.BeginArray();
  for (const alertmanager::GroupView& group : groups) {
    json.BeginObject();
    json.Key("alerts");
    json.BeginArray();
    for (const alertmanager::AlertView& alert : group.alerts) WriteAlert(alert, &json);
    json.EndArray();
    json.Member("labels", group.labels.view());
    json.Key("receiver");
    json.BeginObject();
    json.Member("name", group.receiver);
    json.EndObject();
    json.Key("routeLabels");
    json.BeginObject();
    for (const auto& [name, value] : group.route_labels) json.Member(name, value);
    json.EndObject();
    json.EndObject();
  }
  json.EndArray();
}

void WriteSilence(const alertmanager::Silence& silence, base::Time now, std::string* out) {
  JsonWriter json(out);
  json.BeginObject();
  json.Member("id", silence.id);
  json.Key("status");
  json.BeginObject();
  json.Member("state", alertmanager::SilenceStateName(silence.StateAt(now)));
  json.EndObject();
  json.Member("updatedAt", base::FormatRfc3339Millis(silence.updated_at));
  if (!silence.annotations.empty()) {
    json.Key("annotations");
    json.BeginObject();
    for (const auto& [name, value] : silence.annotations) json.Member(name, value);
    json.EndObject();
  }
  json.Member("comment", silence.comment);
  json.Member("createdBy", silence.created_by);
  json.Member("endsAt", base::FormatRfc3339Millis(silence.ends_at));
  json.Key("matchers");
  WriteMatchers(silence.matcher_sets.empty() ? alertmanager::Matchers{} : silence.matcher_sets[0], &json);
  if (silence.matcher_sets.size() > 1) {
    json.Key("matcherSets");
    json.BeginArray();
    for (const alertmanager::Matchers& set : silence.matcher_sets) WriteMatchers(set, &json);
    json.EndArray();
  }
  json.Member("startsAt", base::FormatRfc3339Millis(silence.starts_at));
  if (!silence.schedule.empty()) {
    json.Key("schedule");
    json.Raw(silence.schedule);
    json.Member("holdsNow", silence.HoldsAt(now));
  }
  if (!silence.receivers.empty()) json.MemberList("receivers", silence.receivers);
  json.EndObject();
}

void WriteSilences(const std::vector<alertmanager::SilencePtr>& silences, base::Time now, std::string* out) {
  *out += '[';
  for (size_t i = 0; i < silences.size(); ++i) {
    if (i > 0) *out += ',';
    WriteSilence(*silences[i], now, out);
  }
  *out += ']';
}

}  // namespace tocsin::api
