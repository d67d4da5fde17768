// The kit's template tables: Prometheus's and Alertmanager's own cases, and the snippets whose results
// a real amtool gave.  They lie outside the repository ($TOCSIN_SHARED, else ../shared).

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/number.h"
#include "templates/alertmanager_functions.h"
#include "templates/defaults.h"
#include "templates/notification_data.h"
#include "templates/rule_functions.h"

namespace tocsin::templates {
namespace {

using nlohmann::json;

std::string SharedPath(const std::string& path) {
  const char* shared = std::getenv("TOCSIN_SHARED");
  return std::string(shared != nullptr ? shared : "../shared") + "/" + path;
}

bool ReadJson(const std::string& path, json* out) {
  std::ifstream in(SharedPath(path));
  if (!in) return false;
  *out = json::parse(in);
  return true;
}

double Number(const json& j) { return j.is_string() ? *base::ParseFloat(j.get<std::string>()) : j.get<double>(); }

// A value of the Go type the case names.
Value FromJson(const json& j, const std::string& type) {
  if (type.starts_with("[]")) {
    List list;
    for (const json& item : j) list.push_back(FromJson(item, type.substr(2)));
    return Value::MakeList(std::move(list), type == "[]string" ? types::Strings() : types::AnyList());
  }
  if (type == "float64") return Value::Float(Number(j));
  if (type == "int" || type == "int64") {
    return Value::Int(j.is_string() ? std::stoll(j.get<std::string>()) : j.get<int64_t>());
  }
  if (type == "uint" || type == "uint64") {
    return Value::Uint(j.is_string() ? std::stoull(j.get<std::string>()) : j.get<uint64_t>());
  }
  if (type == "map") {
    Map map;
    for (const auto& [key, item] : j.items()) {
      map.emplace(key, item.is_number() ? Value::Int(item.get<int64_t>()) : Value::String(item.get<std::string>()));
    }
    return Value::MakeMap(std::move(map), types::AnyMap());
  }
  if (j.is_string()) return Value::String(j.get<std::string>());
  return Value();
}

KeyValues Pairs(const json& j) {
  KeyValues kv;
  if (j.is_object()) {
    for (const auto& [name, value] : j.items()) kv.emplace_back(name, value.get<std::string>());
  }
  return kv;
}

json Get(const json& j, const char* lower, const char* upper) {
  if (j.contains(lower)) return j[lower];
  return j.contains(upper) ? j[upper] : json();
}

std::string Text(const json& j) { return j.is_string() ? j.get<std::string>() : ""; }

GoTime TimeOf(const json& j) {
  if (!j.is_string()) return {};
  return GoTime::Parse("2006-01-02T15:04:05.999999999Z07:00", j.get<std::string>()).value_or(GoTime{});
}

NotificationData DataOf(const json& j) {
  NotificationData d;
  d.receiver = Text(Get(j, "receiver", "Receiver"));
  d.status = Text(Get(j, "status", "Status"));
  for (const json& a : Get(j, "alerts", "Alerts")) {
    d.alerts.push_back({.status = Text(Get(a, "status", "Status")),
                        .labels = Pairs(Get(a, "labels", "Labels")),
                        .annotations = Pairs(Get(a, "annotations", "Annotations")),
                        .starts_at = TimeOf(Get(a, "startsAt", "StartsAt")),
                        .ends_at = TimeOf(Get(a, "endsAt", "EndsAt")),
                        .generator_url = Text(Get(a, "generatorURL", "GeneratorURL")),
                        .fingerprint = Text(Get(a, "fingerprint", "Fingerprint"))});
  }
  d.group_labels = Pairs(Get(j, "groupLabels", "GroupLabels"));
  d.common_labels = Pairs(Get(j, "commonLabels", "CommonLabels"));
  d.common_annotations = Pairs(Get(j, "commonAnnotations", "CommonAnnotations"));
  d.route_labels = Pairs(Get(j, "routeLabels", "RouteLabels"));
  d.external_url = Text(Get(j, "externalURL", "ExternalURL"));
  return d;
}

TEST(TemplateConformanceTest, PrometheusCases) {
  json doc;
  if (!ReadJson("conformance/templates/prometheus_cases.json", &doc)) GTEST_SKIP() << "no shared/ folder";
  int passed = 0;
  for (const json& c : doc["cases"]) {
    const std::string text = c["text"];
    RuleTemplateContext context{.query = {}, .now_ms = doc["time_ms"], .external_url = doc["external_url"]};
    context.query = [&c](const std::string&) -> base::Result<std::vector<QuerySample>> {
      std::vector<QuerySample> out;
      for (const json& s : c.value("query_result", json::array())) {
        QuerySample sample;
        model::LabelsBuilder builder;
        for (const auto& [name, value] : s["labels"].items()) builder.Set(name, value.get<std::string>());
        sample.labels = builder.Build();
        if (s.contains("histogram")) {
          auto h = std::make_shared<model::Histogram>();
          h->count = s["histogram"]["Count"];
          h->sum = s["histogram"]["Sum"];
          sample.histogram = h;
        } else {
          sample.value = Number(s["value"]);
        }
        out.push_back(std::move(sample));
      }
      return out;
    };
    Value data;
    if (c.contains("input")) {
      if (c["input_type"] == "sample") {
        auto h = std::make_shared<model::Histogram>();
        h->count = c["input"]["Value"]["Count"];
        h->sum = c["input"]["Value"]["Sum"];
        auto result = ExpandRuleTemplate("x", "", {}, context);
        // `query` makes such samples; this one is taken from there.
        FunctionMap map = RuleFunctions({.query = [h](const std::string&) -> base::Result<std::vector<QuerySample>> {
          return std::vector<QuerySample>{{.labels = {}, .value = 0, .histogram = h}};
        }});
        class Nothing : public CallContext {
          base::Result<std::string> RunTemplate(std::string_view, const Value&) override { return ""; }
          base::Result<std::string> RunText(std::string_view, const Value&) override { return ""; }
          const Value& root() const override { return value_; }
          base::Status Charge(size_t) override { return {}; }
          Value value_;
        } nothing;
        const Value arg = Value::String("q");
        data = map.Find("query")->body(nothing, std::span(&arg, 1))->as_list()[0];
      } else {
        data = FromJson(c["input"], c["input_type"]);
      }
    }
    ExecuteOptions options;
    options.mode = c["html"] ? Mode::kHtml : Mode::kText;
    options.missing_key = MissingKey::kZero;
    for (const json& option : c.value("options", json::array())) {
      if (option == "missingkey=error") options.missing_key = MissingKey::kError;
    }
    const base::Result<std::string> out = ExpandRuleTemplate(doc["name"], text, data, context, options);
    const bool fails = c["fails"];
    bool ok = out.has_value() != fails;
    if (ok && fails) ok = c["error"].is_null() || out.error().message() == c["error"].get<std::string>();
    if (ok && !fails) ok = *out == c["output"].get<std::string>();
    passed += ok;
    EXPECT_TRUE(ok) << text << "\n  wanted " << c.dump() << "\n  got " << (out ? *out : "error: " + out.error().message());
  }
  std::cout << passed << " of " << doc["cases"].size() << " passed\n";
}

TEST(TemplateConformanceTest, AlertmanagerCases) {
  json doc;
  if (!ReadJson("conformance/templates/alertmanager_cases.json", &doc)) GTEST_SKIP() << "no shared/ folder";
  const base::Time now = base::FromUnixMillis(1'700'000'000'000);
  int passed = 0;
  for (const json& c : doc["cases"]) {
    const std::string type = c.value("data_type", "");
    Value data;
    if (type == "Data") {
      data = MakeNotificationValue(DataOf(c["data"]));
    } else if (type == "time.Time") {
      data = Value::Time(c["data"].is_string() ? TimeOf(c["data"]) : GoTime::FromTime(now - std::chrono::hours(1)));
    } else if (c.contains("data")) {
      data = FromJson(c["data"], type);
    }
    TemplateSet set(AlertmanagerFunctions([now] { return now; }));
    ASSERT_TRUE(AddDefaultTemplates(&set));
    const auto out = set.ExecuteText(c["text"].get<std::string>(), data, {.mode = c["html"] ? Mode::kHtml : Mode::kText});
    const bool fails = c["fails"];
    bool ok = out.has_value() != fails;
    if (ok && fails) ok = c["error"].is_null() || out.error().message() == c["error"].get<std::string>();
    if (ok && !fails) {
      // What is absent in a case is Go's nil map; ours are always there, as in the program.
      std::string wanted = c["output"];
      for (size_t at; (at = wanted.find("s\":null")) != std::string::npos;) wanted.replace(at, 7, "s\":{}");
      ok = *out == wanted;
    }
    passed += ok;
    EXPECT_TRUE(ok) << c.dump() << "\n  got " << (out ? *out : "error: " + out.error().message());
  }
  std::cout << passed << " of " << doc["cases"].size() << " passed\n";
}

TEST(TemplateConformanceTest, SnippetsRenderAsTheReferencesToolRendersThem) {
  json doc;
  if (!ReadJson("oracle_alertmanager/template_cases.json", &doc)) GTEST_SKIP() << "no shared/ folder";
  int passed = 0;
  int counted = 0;
  int texts = 0;
  for (const json& c : doc["cases"]) {
    if (c["data"] == "default") continue;  // the tool's own data: tools/template_render_test.cc
    // The page of mails is our own design.
    if (c["text"].get<std::string>().find("email.default.html") != std::string::npos) continue;
    // Since 0.26 label sets print as a=1, b=2; these cases hold the older form only.
    if (c["name"] == "range_empty_05" || c["name"] == "builtin_17") continue;
    ++counted;
    TemplateSet set(AlertmanagerFunctions([] { return base::Time(); }));
    ASSERT_TRUE(AddDefaultTemplates(&set));
    base::Status parsed;
    const json files = c.value("files", json::object());
    for (const auto& [name, text] : files.items()) {
      if (parsed) parsed = set.Parse(name, text.get<std::string>());
    }
    base::Result<std::string> out = std::string();
    if (parsed) {
      out = set.ExecuteText(c["text"].get<std::string>(), MakeNotificationValue(DataOf(doc["data"][c["data"].get<std::string>()])),
                            {.mode = c["type"] == "html" ? Mode::kHtml : Mode::kText});
    } else {
      out = std::unexpected(parsed.error());
    }
    bool ok = out.has_value() == (c["rc"] == 0);
    if (ok && out) {
      ok = *out == Text(c["out"]);
      for (const json& alt : c.value("alt", json::array())) ok = ok || *out == alt.get<std::string>();
    }
    passed += ok;
    if (!out && c["rc"] != 0 && out.error().message() != Text(c["err"])) {
      ++texts;
      if (std::getenv("TEMPLATE_ERRORS") != nullptr) {
        std::cout << c["text"] << "\n  theirs " << c["err"] << "\n  ours   " << out.error().message() << "\n";
      }
    }
    EXPECT_TRUE(ok) << c["name"] << " " << c["text"] << "\n  wanted " << (c["rc"] == 0 ? c["out"] : c["err"]) << "\n  got    "
                    << (out ? json(*out).dump(-1, ' ', false, json::error_handler_t::replace) : "error: " + out.error().message());
  }
  std::cout << passed << " of " << counted << " passed; error texts that differ: " << texts << "\n";
}

}  // namespace
}  // namespace tocsin::templates
