#include "tools/amtool.h"
#include "tools/server.h"

#include <algorithm>
#include <cstdlib>

#include "alertmanager/matchers.h"
#include "base/duration.h"
#include "base/number.h"
#include "base/text.h"
#include "base/yaml.h"
#include "templates/go_time.h"
#include "tools/fetch.h"

namespace tocsin::tools {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

Amtool::Amtool(const ToolIo& io, FlagSet* flags) : io_(io), author_(Environment("USER")) {
  ReadConfigFile("/etc/amtool/config.yml");
  if (const std::string home = Environment("HOME"); !home.empty()) {
    ReadConfigFile(home + "/.config/amtool/config.yml");
  }
  flags->String("alertmanager.url", &url_, "Address of the Alertmanager, such as http://127.0.0.1:9093.");
  flags->String("output", &output_, "simple, extended or json.", 'o');
  flags->String("date.format", &date_format_, "How to print times, as a layout of Go.");
  flags->String("timeout", &timeout_, "Longest request.");
  flags->String("http.config.file", &http_config_file_, "HTTP client configuration (an http_config).");
  flags->String("enable-feature", &feature_, "Features by name.");
  flags->Bool("verbose", &verbose_, "More words.", 'v');
  flags->Bool("version-check", &version_check_, "Accepted for compatibility.");
}

void Amtool::ReadConfigFile(const std::string& path) {
  const auto text = io_.fs->ReadFile(path);
  if (!text) return;  // no such file is the usual case
  const auto document = base::yaml::Parse(*text, path);
  if (!document) {
    io_.err(document.error().message() + "\n");
    return;
  }
  base::yaml::Errors errors(path);
  base::yaml::Reader reader(document->root(), &errors, "amtool configuration");
  reader.String("alertmanager.url", &url_);
  reader.String("author", &author_);
  reader.Bool("comment_required", &comment_required_);
  reader.String("output", &output_);
  reader.String("date.format", &date_format_);
  reader.String("http.config.file", &http_config_file_);
  reader.String("receiver", &receiver_);
  for (const auto& error : errors.Sorted()) io_.err(error.text + "\n");
}

base::Time Amtool::now() const { return ProcessNow(); }

base::Status Amtool::Check() const {
  if (output_ != "simple" && output_ != "extended" && output_ != "json") {
    return base::InvalidArgument("--output=" + output_ + ": write simple, extended or json");
  }
  if (url_.empty()) return base::InvalidArgument("required flag --alertmanager.url not provided");
  return {};
}

base::Result<std::string> Amtool::Call(const std::string& method, const std::string& path,
                                       const std::string& body) const {
  net::FetchRequest request{.method = method, .url = url_};
  while (request.url.ends_with('/')) request.url.pop_back();
  request.url += "/api/v2" + path;
  if (method == "POST") request.headers.Set("Content-Type", "application/json");
  request.body = body;
  ASSIGN_OR_RETURN(request.timeout, base::ParseGoDuration(timeout_));
  if (!http_config_file_.empty()) {
    ASSIGN_OR_RETURN(const std::string text, io_.fs->ReadFile(http_config_file_));
    ASSIGN_OR_RETURN(const base::yaml::Document document, base::yaml::Parse(text, http_config_file_));
    base::yaml::Errors errors(http_config_file_);
    net::HttpConfig config;
    net::ReadHttpConfig(document.root(), &errors, &config);
    RETURN_IF_ERROR(errors.ToStatus());
    request.config = std::make_shared<const net::HttpConfig>(std::move(config));
  }
  ASSIGN_OR_RETURN(net::FetchResponse response, FetchNow(std::move(request)));
  if (response.status / 100 == 2) return std::move(response.body);
  return base::MakeError(response.status == 404 ? base::Code::kNotFound : base::Code::kUnavailable,
                         "[" + method + " " + path.substr(0, path.find('?')) + "][" +
                             std::to_string(response.status) + "] " +
                             std::string(base::Trim(response.body)));
}

base::Result<std::string> Amtool::Get(const std::string& path) const { return Call("GET", path, ""); }
base::Result<std::string> Amtool::Post(const std::string& path, const std::string& json) const {
  return Call("POST", path, json);
}
base::Result<std::string> Amtool::Delete(const std::string& path) const {
  return Call("DELETE", path, "");
}

std::string Amtool::Date(std::string_view rfc3339) const {
  const auto time = templates::GoTime::Parse("2006-01-02T15:04:05Z07:00", rfc3339);
  if (!time) return "";
  return time->In(templates::Zone()).Format(date_format_);
}

int Amtool::Fail(std::string_view message) const {
  io_.err("amtool: error: " + std::string(message) + "\n");
  return 1;
}

void Amtool::Table(const std::vector<std::vector<std::string>>& rows) const {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], base::RuneCount(row[i]) + 2);
    }
  }
  std::string text;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      text += row[i];
      text.append(widths[i] - base::RuneCount(row[i]), ' ');
    }
    text += '\n';
  }
  io_.out(text);
}

std::vector<std::string> FiltersOf(std::vector<std::string> words) {
  if (!words.empty() && !alertmanager::ParseMatcher(words[0])) {
    words[0] = "alertname=" + base::Quote(words[0]);
  }
  return words;
}

std::string GoJson(std::string_view json) {
  // These occur in strings only.
  return base::ReplaceAll(base::ReplaceAll(base::ReplaceAll(json, "<", "\\u003c"), ">", "\\u003e"), "&",
                          "\\u0026");
}

base::Result<base::Time> ParseTimeFlag(std::string_view text) {
  ASSIGN_OR_RETURN(const templates::GoTime time,
                   templates::GoTime::Parse("2006-01-02T15:04:05Z07:00", text));
  return time.ToTime();
}

}  // namespace tocsin::tools
