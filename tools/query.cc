#include "tools/query.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/duration.h"
#include "base/number.h"
#include "base/text.h"
#include "promql/parse/parser.h"
#include "tools/query_analyze.h"
#include "tools/server.h"

namespace tocsin::tools {

std::string MetricText(const nlohmann::ordered_json& metric) {
  std::string text;
  std::string braces;
  for (const auto& [name, value] : metric.items()) {
    if (name == "__name__") {
      text = value.get<std::string>();
      continue;
    }
    braces += (braces.empty() ? "" : ", ") + name + "=" + base::Quote(value.get<std::string>());
  }
  if (!braces.empty() || text.empty()) text += "{" + braces + "}";
  return text;
}

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kExplainHelp =
    "Show the plan with series, samples and time of each part in place of the result.";

std::string PointText(const Json& point) {
  const Json& v = point.at(1);
  const std::string value = v.is_string() ? v.get<std::string>() : v.dump();
  return value + " @[" + base::FormatF(point.at(0).get<double>()) + "]";
}

std::string ResultText(const Json& data) {
  const std::string type = data.value("resultType", "");
  const Json& result = data.at("result");
  if (type == "scalar") return "scalar: " + PointText(result);
  if (type == "string") return result.at(1).get<std::string>();
  std::vector<std::string> lines;
  for (const Json& row : result) {
    std::string line = MetricText(row.at("metric")) + " =>";
    if (row.contains("value")) line += " " + PointText(row["value"]);
    if (row.contains("histogram")) line += " " + row["histogram"].at(1).dump();
    if (row.contains("values")) {
      for (const Json& point : row["values"]) line += "\n" + PointText(point);
    }
    lines.push_back(std::move(line));
  }
  return base::Join(lines, "\n");
}

// The line with a caret under what does not parse, and what to write instead; nothing if it parses.
std::string ShowMistake(std::string_view query) {
  const promql::ParseOptions everything{.experimental_functions = true,
                                        .extended_range_selectors = true,
                                        .binop_fill_modifiers = true};
  const auto expr = promql::ParseAll(query, everything);
  return expr ? "" : "\n" + expr.error().Explain(query);
}

int PrintResult(const Server& server, const std::string& path, const net::Params& form, bool explain,
                const ToolIo& io) {
  const auto data = server.Data(explain ? "/api/v1/explain" : path, form);
  if (!data) {
    return Fail(io, "query error: " + data.error().message() + ShowMistake(form.Get("query")));
  }
  if (explain) {
    io.out(server.json() ? data->at("plan").dump() + "\n" : data->value("text", ""));
    return 0;
  }
  io.out((server.json() ? data->at("result").dump() : ResultText(*data)) + "\n");
  return 0;
}

int Instant(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("promtool query instant [FLAGS] SERVER EXPR", "Runs an instant query.");
  Server server(io);
  server.AddQueryFlags(&flags);
  std::string time;
  flags.String("time", &time, "Evaluation time: RFC 3339 or seconds since the epoch.");
  bool explain = false;
  flags.Bool("explain", &explain, kExplainHelp);
  flags.Examples("  promtool query instant http://127.0.0.1:9090 'up == 0'\n"
                 "  tocsin query instant --explain http://127.0.0.1:9090 'sum(rate(http_requests_total[5m]))'\n");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  if (words.size() != 2) return Fail(io, "error: give a server and an expression; try --help");
  server.set_url(words[0]);
  net::Params form;
  form.Add("query", words[1]);
  if (!time.empty()) form.Add("time", time);
  return PrintResult(server, "/api/v1/query", form, explain, io);
}

int Range(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("promtool query range [FLAGS] SERVER EXPR", "Runs a range query.");
  Server server(io);
  server.AddQueryFlags(&flags);
  std::string start, end, step;
  flags.String("start", &start, "First step: RFC 3339 or seconds since the epoch; default: end less 5m.");
  flags.String("end", &end, "Last step; default: now.");
  flags.String("step", &step, "Step; default: a 250th of the range, at least 1s.");
  bool explain = false;
  flags.Bool("explain", &explain, kExplainHelp);
  flags.Examples("  promtool query range --step=1m http://127.0.0.1:9090 'rate(node_cpu_seconds_total[5m])'\n");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  if (words.size() != 2) return Fail(io, "error: give a server and an expression; try --help");
  server.set_url(words[0]);

  base::Time last = ProcessNow();
  if (!end.empty()) {
    const auto read = ParseTimeArgument(end);
    if (!read) return Fail(io, "error parsing end time: " + read.error().message());
    last = *read;
  }
  base::Time first = last - std::chrono::minutes(5);
  if (!start.empty()) {
    const auto read = ParseTimeArgument(start);
    if (!read) return Fail(io, "error parsing start time: " + read.error().message());
    first = *read;
  }
  if (last < first) return Fail(io, "start time is not before end time");
  double width = std::max(std::floor(base::ToSeconds(last - first) / 250), 1.0);
  if (!step.empty()) {
    const auto read = base::ParseDuration(step);
    if (!read) return Fail(io, "error parsing step: " + read.error().message());
    width = base::ToSeconds(*read);
  }
  net::Params form;
  form.Add("query", words[1]);
  form.Add("start", FormatTimeArgument(first));
  form.Add("end", FormatTimeArgument(last));
  form.Add("step", base::FormatF(width));
  return PrintResult(server, "/api/v1/query_range", form, explain, io);
}

int Series(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("promtool query series --match=SELECTOR [FLAGS] SERVER", "Shows series.");
  Server server(io);
  server.AddQueryFlags(&flags);
  std::vector<std::string> matches;
  std::string start, end;
  flags.Strings("match", &matches, "Series selector; may be repeated.");
  flags.String("start", &start, "RFC 3339 or seconds since the epoch.");
  flags.String("end", &end, "RFC 3339 or seconds since the epoch.");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  if (words.size() != 1) return Fail(io, "error: give a server; try --help");
  server.set_url(words[0]);
  net::Params form;
  for (const std::string& match : matches) form.Add("match[]", match);
  if (!start.empty()) form.Add("start", start);
  if (!end.empty()) form.Add("end", end);
  const auto data = server.Data("/api/v1/series", form);
  if (!data) return Fail(io, "query error: " + data.error().message());
  if (server.json()) {
    io.out(data->dump() + "\n");
    return 0;
  }
  for (const Json& row : *data) {
    std::string line;
    for (const auto& [name, value] : row.items()) {
      line += (line.empty() ? "" : ", ") + name + "=" + base::Quote(value.get<std::string>());
    }
    io.out("{" + line + "}\n");
  }
  return 0;
}

int LabelValues(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("promtool query labels [FLAGS] SERVER NAME", "Shows the values of a label.");
  Server server(io);
  server.AddQueryFlags(&flags);
  std::vector<std::string> matches;
  std::string start, end;
  flags.Strings("match", &matches, "Series selector; may be repeated.");
  flags.String("start", &start, "RFC 3339 or seconds since the epoch.");
  flags.String("end", &end, "RFC 3339 or seconds since the epoch.");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  if (words.size() != 2) return Fail(io, "error: give a server and a label name; try --help");
  server.set_url(words[0]);
  net::Params query;
  for (const std::string& match : matches) query.Add("match[]", match);
  if (!start.empty()) query.Add("start", start);
  if (!end.empty()) query.Add("end", end);
  const auto data = server.Get("/api/v1/label/" + base::PathEscape(words[1]) + "/values", query);
  if (!data) return Fail(io, "query error: " + data.error().message());
  if (server.json()) {
    io.out(data->dump() + "\n");
    return 0;
  }
  for (const Json& value : *data) io.out(value.get<std::string>() + "\n");
  return 0;
}

int CheckPath(const std::vector<std::string>& args, const ToolIo& io, const std::string& what) {
  FlagSet flags("promtool check " + what + " [FLAGS]", "Asks whether a server is " + what + ".");
  Server server(io);
  server.AddFlags(&flags);
  std::string url = "http://localhost:9090";
  flags.String("url", &url, "The server.");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  server.set_url(url);
  const auto response = server.Send({.url = server.UrlOf("/-/" + what)});
  if (!response) return Fail(io, "  FAILED: " + response.error().message());
  if (response->status != 200) {
    return Fail(io, "  FAILED: check failed: URL=" + server.url() + ", status=" + std::to_string(response->status));
  }
  io.out("  SUCCESS: " + std::string(base::Trim(response->body)) + "\n");
  return 0;
}

}  // namespace

int QueryVerb(const std::vector<std::string>& args, const ToolIo& io) {
  static constexpr std::pair<std::string_view, Verb> kVerbs[] = {
      {"instant", Instant}, {"range", Range}, {"series", Series}, {"labels", LabelValues}, {"analyze", QueryAnalyze}};
  if (!args.empty()) {
    for (const auto& [name, verb] : kVerbs) {
      if (args[0] == name) return verb({args.begin() + 1, args.end()}, io);
    }
  }
  io.err("usage: tocsin query instant|range|series|labels|analyze [FLAGS] ...   (each with --help)\n");
  return !args.empty() && args[0] == "--help" ? 0 : 1;
}

int CheckHealthy(const std::vector<std::string>& args, const ToolIo& io) {
  return CheckPath(args, io, "healthy");
}
int CheckReady(const std::vector<std::string>& args, const ToolIo& io) {
  return CheckPath(args, io, "ready");
}

}  // namespace tocsin::tools
