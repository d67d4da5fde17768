#include "tools/template_render.h"

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "templates/alertmanager_functions.h"
#include "templates/defaults.h"
#include "templates/notification_data.h"
#include "templates/template.h"
#include "tools/amtool.h"

namespace tocsin::tools {

namespace {

using nlohmann::json;
using templates::GoTime;
using templates::KeyValues;
using templates::NotificationAlert;
using templates::NotificationData;

// What amtool renders with when no data are given.
NotificationData SampleData(base::Time now) {
  NotificationData data;
  data.receiver = "receiver";
  data.status = "alertstatus";
  data.external_url = "https://example.com";
  data.group_labels = {{"grouplabelkey1", "grouplabelvalue1"}, {"grouplabelkey2", "grouplabelvalue2"}};
  data.common_labels = {{"commonlabelkey1", "commonlabelvalue1"}, {"commonlabelkey2", "commonlabelvalue2"}};
  data.common_annotations = {{"commonannotationkey1", "commonannotationvalue1"},
                             {"commonannotationkey2", "commonannotationvalue2"}};
  NotificationAlert alert;
  alert.status = "alertstatus";
  alert.generator_url = "https://generatorurl.com";
  alert.ends_at = GoTime::FromTime(now);
  alert.starts_at = GoTime::FromTime(now - std::chrono::minutes(5));
  alert.fingerprint = "fingerprint1";
  alert.labels = data.common_labels;
  alert.labels.insert(alert.labels.end(), {{"instance", "foo.bar:1234"}, {"label1", "value1"}, {"label2", "value2"}});
  alert.annotations = data.common_annotations;
  alert.annotations.insert(alert.annotations.end(), {{"annotation1", "value1"}, {"annotation2", "value2"}});
  data.alerts.push_back(alert);
  alert.starts_at = GoTime::FromTime(now - std::chrono::minutes(10));
  alert.fingerprint = "fingerprint2";
  alert.labels = data.common_labels;
  alert.labels.insert(alert.labels.end(), {{"foo", "bar"}, {"baz", "qux"}});
  alert.annotations = data.common_annotations;
  alert.annotations.insert(alert.annotations.end(), {{"aaa", "bbb"}, {"ccc", "ddd"}});
  data.alerts.push_back(alert);
  return data;
}

// Reads members of one JSON object; the first that has the wrong type is kept as the error.
class Fields {
 public:
  Fields(const json& object, std::string where, base::Status* status)
      : object_(object), where_(std::move(where)), status_(status) {
    if (!object.is_object()) Fail("", "an object");
  }

  // Go matches names whatever their case.
  const json* Find(std::string_view name) const {
    if (!object_.is_object()) return nullptr;
    if (const auto it = object_.find(name); it != object_.end()) return &*it;
    for (const auto& [key, value] : object_.items()) {
      if (base::EqualsIgnoreCase(key, name)) return &value;
    }
    return nullptr;
  }

  void Text(std::string_view name, std::string* out) {
    const json* value = Find(name);
    if (value == nullptr || value->is_null()) return;
    if (!value->is_string()) return Fail(name, "a string");
    *out = value->get<std::string>();
  }

  void Pairs(std::string_view name, KeyValues* out) {
    const json* value = Find(name);
    if (value == nullptr || value->is_null()) return;
    if (!value->is_object()) return Fail(name, "an object of strings");
    for (const auto& [key, item] : value->items()) {
      if (!item.is_string()) return Fail(std::string(name) + "." + key, "a string");
      out->emplace_back(key, item.get<std::string>());
    }
  }

  void Time(std::string_view name, GoTime* out) {
    std::string text;
    Text(name, &text);
    if (text.empty()) return;
    base::Result<GoTime> parsed = GoTime::Parse("2006-01-02T15:04:05.999999999Z07:00", text);
    if (!parsed) return Fail(name, "a time such as 2006-01-02T15:04:05Z");
    *out = std::move(*parsed);
  }

  void Fail(std::string_view name, std::string_view wanted) {
    if (*status_) *status_ = base::InvalidArgument(where_ + "." + std::string(name) + ": expected " + std::string(wanted));
  }

 private:
  const json& object_;
  const std::string where_;
  base::Status* const status_;
};

base::Result<NotificationData> ReadData(const std::string& text, const std::string& path) {
  const json doc = json::parse(text, nullptr, false);
  if (doc.is_discarded()) return base::InvalidArgument(path + ": not JSON");
  base::Status status;
  NotificationData data;
  Fields fields(doc, path, &status);
  fields.Text("receiver", &data.receiver);
  fields.Text("status", &data.status);
  fields.Text("externalURL", &data.external_url);
  fields.Text("notification_reason", &data.notification_reason);
  fields.Pairs("groupLabels", &data.group_labels);
  fields.Pairs("commonLabels", &data.common_labels);
  fields.Pairs("commonAnnotations", &data.common_annotations);
  fields.Pairs("routeLabels", &data.route_labels);
  if (const json* alerts = fields.Find("alerts"); alerts != nullptr && !alerts->is_null()) {
    if (!alerts->is_array()) {
      fields.Fail("alerts", "a list");
    } else {
      for (const json& item : *alerts) {
        NotificationAlert alert;
        Fields one(item, path + ".alerts[" + std::to_string(data.alerts.size()) + "]", &status);
        one.Text("status", &alert.status);
        one.Pairs("labels", &alert.labels);
        one.Pairs("annotations", &alert.annotations);
        one.Time("startsAt", &alert.starts_at);
        one.Time("endsAt", &alert.ends_at);
        one.Text("generatorURL", &alert.generator_url);
        one.Text("fingerprint", &alert.fingerprint);
        data.alerts.push_back(std::move(alert));
      }
    }
  }
  RETURN_IF_ERROR(status);
  return data;
}

}  // namespace

int TemplateRender(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("amtool template render --template.glob=GLOB... --template.text=TEXT [FLAGS]",
                "Renders a template text with notification data.");
  std::vector<std::string> globs;
  std::string text;
  std::string type = "text";
  std::string data_path;
  flags.Strings("template.glob", &globs, "Template files; wildcards in the last part of the path.");
  flags.String("template.text", &text, "The text to render.");
  flags.String("template.type", &type, "text or html.");
  flags.String("template.data", &data_path, "A JSON file with the notification's data; else a sample.");
  flags.Examples("  amtool template render --template.glob='templates/*.tmpl' "
                 "--template.text='{{ template \"slack.default.title\" . }}'\n");
  const Amtool amtool(io, &flags);
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  for (const char* required : {"template.glob", "template.text"}) {
    if (!flags.Given(required)) return amtool.Fail("required flag --" + std::string(required) + " not provided");
  }
  if (!words.empty()) return amtool.Fail("unexpected " + words[0]);
  if (type != "text" && type != "html") return amtool.Fail("--template.type=" + type + ": write text or html");

  const base::Time now = amtool.now();
  templates::TemplateSet set(templates::AlertmanagerFunctions([now] { return now; }));
  if (auto added = templates::AddDefaultTemplates(&set); !added) return amtool.Fail(added.error().message());
  for (const std::string& glob : globs) {
    auto files = base::Glob(io.fs, glob);
    if (!files) return amtool.Fail(files.error().message());
    for (const std::string& file : *files) {
      auto content = io.fs->ReadFile(file);
      if (!content) return amtool.Fail(content.error().message());
      if (auto parsed = set.Parse(base::NameOf(file), *content); !parsed) return amtool.Fail(parsed.error().message());
    }
  }
  NotificationData data;
  if (data_path.empty()) {
    data = SampleData(now);
  } else {
    auto content = io.fs->ReadFile(data_path);
    if (!content) return amtool.Fail(content.error().message());
    auto read = ReadData(*content, data_path);
    if (!read) return amtool.Fail(read.error().message());
    data = std::move(*read);
  }
  const auto rendered = set.ExecuteText(text, templates::MakeNotificationValue(data),
                                        {.mode = type == "html" ? templates::Mode::kHtml : templates::Mode::kText});
  if (!rendered) return amtool.Fail(rendered.error().message());
  io.out(*rendered);
  return 0;
}

}  // namespace tocsin::tools
