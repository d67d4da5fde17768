#include "api/alertmanager/v2_json.h"

#include <simdjson.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <utility>

#include "api/http/json.h"
#include "base/duration.h"
#include "base/number.h"
#include "base/text.h"
#include "base/url.h"

namespace tocsin::api {
namespace {

using alertmanager::MatchOp;
using simdjson::dom::element;
using simdjson::dom::element_type;

// What a label set can hold; see model/labels.h.
constexpr size_t kMaxTextBytes = (size_t{1} << 24) - 1;

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
    if (std::max(key.size(), text.size()) > kMaxTextBytes) {
      return SchemaError{400, 0, "a name or value of " + std::string(field) + " has " +
                                     std::to_string(std::max(key.size(), text.size())) + " bytes; at most " +
                                     std::to_string(kMaxTextBytes) + " can be kept"};
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

std::optional<SchemaError> ReadMatcherList(const element& list, const std::string& at, alertmanager::Matchers* out, std::string* invalid) {
  simdjson::dom::array matchers;
  if (list.get_array().get(matchers) != simdjson::SUCCESS) {
    return BadBody("silence", "json: cannot unmarshal " + std::string(TypeName(list)) + " into Go struct field ." + at +
                                  " of type models.Matchers");
  }
  if (matchers.size() == 0) return SchemaError{422, 612, at + " in body should have at least 1 items"};
  size_t i = 0;
  for (const element item : matchers) {
    if (auto wrong = ReadMatcher(item, at + "." + std::to_string(i++), out, invalid)) return wrong;
  }
  return std::nullopt;
}

// Writes alerts.  Neighbours often share times and receivers, so the last texts are kept.
class AlertWriter {
 public:
  explicit AlertWriter(std::string* out) : out_(out) {}

  void Write(const alertmanager::AlertView& view) {
    const model::Alert& alert = *view.alert;
    *out_ += "{\"annotations\":";
    Labels(alert.annotations);
    *out_ += ",\"endsAt\":";
    *out_ += ends_.Text(alert.ends_at, alert.ends_offset);
    *out_ += ",\"fingerprint\":\"";
    Hex(alert.fingerprint());
    *out_ += "\",\"receivers\":";
    Receivers(view.receivers.get());
    *out_ += ",\"startsAt\":";
    *out_ += starts_.Text(alert.starts_at, alert.starts_offset);
    *out_ += ",\"status\":{\"inhibitedBy\":";
    Texts(view.status.inhibited_by);
    *out_ += ",\"mutedBy\":";
    Texts(view.status.muted_by);
    *out_ += ",\"silencedBy\":";
    Texts(view.status.silenced_by);
    *out_ += view.status.suppressed ? ",\"state\":\"suppressed\"}" : ",\"state\":\"active\"}";
    *out_ += ",\"updatedAt\":";
    *out_ += updated_.Text(alert.updated_at, {});
    if (!alert.generator_url.empty()) {
      *out_ += ",\"generatorURL\":";
      base::AppendJsonString(alert.generator_url, out_);
    }
    *out_ += ",\"labels\":";
    Labels(alert.labels);
    *out_ += '}';
  }

 private:
  struct LastTime {
    base::Time time{};
    std::chrono::minutes offset{};
    std::string text;
    const std::string& Text(base::Time t, std::chrono::minutes o) {
      if (text.empty() || t != time || o != offset) {
        time = t;
        offset = o;
        text = '"' + FormatTime(t, o) + '"';
      }
      return text;
    }
  };

  void Labels(model::LabelsView labels) {
    char before = '{';
    for (const auto& [name, value] : labels) {
      *out_ += before;
      before = ',';
      base::AppendJsonString(name, out_);
      *out_ += ':';
      base::AppendJsonString(value, out_);
    }
    *out_ += before == '{' ? "{}" : "}";
  }

  void Texts(const std::vector<std::string>& texts) {
    *out_ += '[';
    for (size_t i = 0; i < texts.size(); ++i) {
      if (i > 0) *out_ += ',';
      base::AppendJsonString(texts[i], out_);
    }
    *out_ += ']';
  }

  void Hex(uint64_t n) {
    char text[16];
    for (int i = 15; i >= 0; --i, n >>= 4) text[i] = "0123456789abcdef"[n & 15];
    out_->append(text, 16);
  }

  void Receivers(const std::vector<std::string>* names) {
    if (names == nullptr || names != receivers_) {
      receivers_ = names;
      receivers_text_ = "[";
      for (const std::string& name : names != nullptr ? *names : std::vector<std::string>{}) {
        receivers_text_ += receivers_text_.size() > 1 ? ",{\"name\":" : "{\"name\":";
        base::AppendJsonString(name, &receivers_text_);
        receivers_text_ += '}';
      }
      receivers_text_ += ']';
    }
    *out_ += receivers_text_;
  }

  std::string* const out_;
  LastTime starts_, ends_, updated_;
  const std::vector<std::string>* receivers_ = nullptr;  // of the views, which outlive the writer
  std::string receivers_text_;
};

// What an alert of a list usually takes.
constexpr size_t kAlertBytes = 800;

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

Decoded<SharedAlerts> DecodeAlerts(const std::string& body) {
  if (body.find_first_not_of(" \t\r\n") == std::string::npos) return Required("alerts");
  // Ordinary requests share a worker's parser and its buffers.
  constexpr size_t kOrdinary = 1 << 20;
  static thread_local simdjson::dom::parser kept;
  simdjson::dom::parser own;
  simdjson::dom::parser& parser = body.size() <= kOrdinary ? kept : own;
  element root;
  if (auto error = parser.parse(body).get(root); error != simdjson::SUCCESS) {
    return BadBody("alerts", simdjson::error_message(error));
  }
  SharedAlerts alerts;
  if (root.is_null()) return alerts;
  simdjson::dom::array list;
  if (root.get_array().get(list) != simdjson::SUCCESS) {
    return BadBody("alerts", "json: cannot unmarshal " + std::string(TypeName(root)) +
                                 " into Go value of type models.PostableAlerts");
  }
  alerts.reserve(list.size());
  size_t i = 0;
  for (const element item : list) {
    auto alert = std::make_shared<model::Alert>();
    if (auto wrong = ReadAlert(item, std::to_string(i++), alert.get())) return *wrong;
    alert->known_fingerprint = alert->labels.Fingerprint();
    alerts.push_back(std::move(alert));
  }
  return alerts;
}

void PostedSilence::KeepUnknown(const alertmanager::Silence& before) {
  if (!has_sets && silence.matcher_sets.front() == before.matcher_sets.front()) silence.matcher_sets = before.matcher_sets;
  if (!has_schedule) {
    silence.schedule = before.schedule;
    silence.intervals = before.intervals;
  }
  if (!has_receivers) silence.receivers = before.receivers;
}

Decoded<PostedSilence> DecodePostedSilence(const std::string& body) {
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
  PostedSilence posted;
  alertmanager::Silence& silence = posted.silence;
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
  alertmanager::Matchers set;
  std::string invalid;
  if (auto wrong = ReadMatcherList(value, "matchers", &set, &invalid)) return *wrong;
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
  posted.has_sets = Field(root, "matcherSets", &value);
  if (posted.has_sets) {
    simdjson::dom::array sets;
    if (value.get_array().get(sets) != simdjson::SUCCESS) return SchemaError{422, 601, "matcherSets in body must be of type array"};
    const alertmanager::Matchers first = std::exchange(silence.matcher_sets, {}).front();
    for (const element item : sets) {
      alertmanager::Matchers more;
      if (auto wrong = ReadMatcherList(item, "matcherSets." + std::to_string(silence.matcher_sets.size()), &more, &invalid)) return *wrong;
      silence.matcher_sets.push_back(std::move(more));
    }
    if (silence.matcher_sets.empty() || silence.matcher_sets.front() != first) {
      return SchemaError{400, 0, "silence invalid: the first of matcherSets must be what matchers says"};
    }
  }
  if (!invalid.empty()) return SchemaError{400, 0, invalid};
  posted.has_schedule = Field(root, "schedule", &value);
  if (posted.has_schedule) {
    if (auto read = silence.SetSchedule(std::string(simdjson::minify(value))); !read) {
      return SchemaError{400, 0, "silence invalid: " + read.error().message()};
    }
  }
  posted.has_receivers = Field(root, "receivers", &value);
  if (posted.has_receivers) {
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
  return posted;
}

void WriteAlerts(const std::vector<alertmanager::AlertView>& alerts, std::string* out) {
  out->reserve(out->size() + alerts.size() * kAlertBytes);
  AlertWriter writer(out);
  *out += '[';
  for (size_t i = 0; i < alerts.size(); ++i) {
    if (i > 0) *out += ',';
    writer.Write(alerts[i]);
  }
  *out += ']';
}

void WriteGroups(const std::vector<alertmanager::GroupView>& groups, std::string* out) {
  size_t count = 0;
  for (const alertmanager::GroupView& group : groups) count += group.alerts.size();
  out->reserve(out->size() + count * kAlertBytes);
  AlertWriter writer(out);
  JsonWriter json(out);
  json.BeginArray();
  for (const alertmanager::GroupView& group : groups) {
    json.BeginObject();
    json.Key("alerts");
    *out += '[';
    for (size_t i = 0; i < group.alerts.size(); ++i) {
      if (i > 0) *out += ',';
      writer.Write(group.alerts[i]);
    }
    json.Raw("]");
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
