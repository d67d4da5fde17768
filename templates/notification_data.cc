#include "templates/notification_data.h"

#include <algorithm>

namespace tocsin::templates {

namespace {

using base::Result;
using Args = std::span<const Value>;

Function Method(std::string name, std::vector<const Type*> params, Value (*f)(Args)) {
  return Function{.name = std::move(name), .params = std::move(params), .body = [f](CallContext&, Args a) -> Result<Value> {
                    return f(a);
                  }};
}

const Type* StringsType() {
  static const Type type = [] {
    Type t;
    t.name = "template.Strings";
    t.kind = Kind::kList;
    t.element = types::String();
    t.methods.push_back(Method("Join", {types::String()}, [](Args a) {
      std::string out;
      for (size_t i = 0; i < a[0].as_list().size(); ++i) {
        if (i > 0) out += a[1].as_string();
        out += a[0].as_list()[i].as_string();
      }
      return Value::String(std::move(out));
    }));
    return t;
  }();
  return &type;
}

const Type* PairType() {
  static const Type type = [] {
    Type t;
    t.name = "template.Pair";
    t.kind = Kind::kStruct;
    t.fields = {{"Name", "Name"}, {"Value", "Value"}};
    return t;
  }();
  return &type;
}

// The n-th field of each pair.
Value Column(const Value& pairs, size_t n) {
  List out;
  for (const Value& pair : pairs.as_list()) out.push_back(pair.fields()[n]);
  return Value::MakeList(std::move(out), StringsType());
}

std::string PairsText(const Value& pairs) {
  std::string out;
  for (const Value& pair : pairs.as_list()) {
    if (!out.empty()) out += ", ";
    out += pair.fields()[0].as_string() + "=" + pair.fields()[1].as_string();
  }
  return out;
}

const Type* PairsType() {
  static const Type type = [] {
    Type t;
    t.name = "template.Pairs";
    t.kind = Kind::kList;
    t.element = PairType();
    t.to_string = PairsText;
    t.methods.push_back(Method("Names", {}, [](Args a) { return Column(a[0], 0); }));
    t.methods.push_back(Method("Values", {}, [](Args a) { return Column(a[0], 1); }));
    t.methods.push_back(Method("String", {}, [](Args a) { return Value::String(PairsText(a[0])); }));
    return t;
  }();
  return &type;
}

Value PairsOf(const Value& kv) {
  List out;
  auto add = [&out](const std::string& name, const Value& value) {
    out.push_back(Value::Struct(PairType(), {Value::String(name), value}));
  };
  const Map& map = kv.as_map();
  if (const auto it = map.find("alertname"); it != map.end()) add(it->first, it->second);
  for (const auto& [name, value] : map) {
    if (name != "alertname") add(name, value);
  }
  return Value::MakeList(std::move(out), PairsType());
}

const Type* KvType();

Value Without(const Value& kv, const Value& names) {
  Map map = kv.as_map();
  for (const Value& name : names.as_list()) map.erase(name.as_string());
  return Value::MakeMap(std::move(map), KvType());
}

const Type* KvType() {
  static const Type type = [] {
    Type t;
    t.name = "template.KV";
    t.kind = Kind::kMap;
    t.element = types::String();
    t.to_string = [](const Value& v) { return PairsText(PairsOf(v)); };
    t.methods.push_back(Method("SortedPairs", {}, [](Args a) { return PairsOf(a[0]); }));
    t.methods.push_back(Method("Remove", {types::Strings()}, [](Args a) { return Without(a[0], a[1]); }));
    t.methods.push_back(Method("Names", {}, [](Args a) { return Column(PairsOf(a[0]), 0); }));
    t.methods.push_back(Method("Values", {}, [](Args a) { return Column(PairsOf(a[0]), 1); }));
    t.methods.push_back(Method("String", {}, [](Args a) { return Value::String(PairsText(PairsOf(a[0]))); }));
    return t;
  }();
  return &type;
}

const Type* AlertType() {
  static const Type type = [] {
    Type t;
    t.name = "template.Alert";
    t.kind = Kind::kStruct;
    t.fields = {{"Status", "status"},         {"Labels", "labels"}, {"Annotations", "annotations"},
                {"StartsAt", "startsAt"},     {"EndsAt", "endsAt"}, {"GeneratorURL", "generatorURL"},
                {"Fingerprint", "fingerprint"}};
    return t;
  }();
  return &type;
}

const Type* AlertListType() {
  static const Type type = [] {
    Type t;
    t.name = "[]template.Alert";
    t.kind = Kind::kList;
    t.element = AlertType();
    return t;
  }();
  return &type;
}

Value WithStatus(const Value& alerts, std::string_view status) {
  List out;
  for (const Value& alert : alerts.as_list()) {
    if (alert.fields()[0].as_string() == status) out.push_back(alert);
  }
  return Value::MakeList(std::move(out), AlertListType());
}

const Type* AlertsType() {
  static const Type type = [] {
    Type t;
    t.name = "template.Alerts";
    t.kind = Kind::kList;
    t.element = AlertType();
    t.methods.push_back(Method("Firing", {}, [](Args a) { return WithStatus(a[0], "firing"); }));
    t.methods.push_back(Method("Resolved", {}, [](Args a) { return WithStatus(a[0], "resolved"); }));
    return t;
  }();
  return &type;
}

const Type* DataType() {
  static const Type type = [] {
    Type t;
    t.name = "template.Data";
    t.kind = Kind::kStruct;
    t.fields = {{"Receiver", "receiver"},
                {"Status", "status"},
                {"Alerts", "alerts"},
                {"NotificationReason", "notification_reason"},
                {"GroupLabels", "groupLabels"},
                {"CommonLabels", "commonLabels"},
                {"CommonAnnotations", "commonAnnotations"},
                {"RouteLabels", "routeLabels"},
                {"ExternalURL", "externalURL"}};
    return t;
  }();
  return &type;
}

Value MakeAlert(const NotificationAlert& alert) {
  return Value::Struct(AlertType(), {Value::String(alert.status), MakeKeyValues(alert.labels),
                                     MakeKeyValues(alert.annotations), Value::Time(alert.starts_at),
                                     Value::Time(alert.ends_at), Value::String(alert.generator_url),
                                     Value::String(alert.fingerprint)});
}

}  // namespace

Value MakeKeyValues(const KeyValues& pairs) {
  Map map;
  for (const auto& [name, value] : pairs) map.insert_or_assign(name, Value::String(value));
  return Value::MakeMap(std::move(map), KvType());
}

KeyValues SortedPairs(const KeyValues& pairs) {
  KeyValues sorted = pairs;
  std::ranges::stable_sort(sorted, [](const auto& a, const auto& b) {
    const bool a_first = a.first == "alertname";
    const bool b_first = b.first == "alertname";
    return a_first != b_first ? a_first : a.first < b.first;
  });
  return sorted;
}

Value MakeNotificationValue(const NotificationData& data) {
  List alerts;
  alerts.reserve(data.alerts.size());
  for (const NotificationAlert& alert : data.alerts) alerts.push_back(MakeAlert(alert));
  return Value::Struct(DataType(), {Value::String(data.receiver), Value::String(data.status),
                                    Value::MakeList(std::move(alerts), AlertsType()),
                                    Value::String(data.notification_reason), MakeKeyValues(data.group_labels),
                                    MakeKeyValues(data.common_labels), MakeKeyValues(data.common_annotations),
                                    MakeKeyValues(data.route_labels), Value::String(data.external_url)});
}

}  // namespace tocsin::templates
