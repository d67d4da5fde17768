// amtool's `alert query`, `alert add` and `cluster show`.

#include <algorithm>
#include <nlohmann/json.hpp>

#include "alertmanager/matchers.h"
#include "base/duration.h"
#include "base/number.h"
#include "base/text.h"
#include "tools/amtool.h"
#include "tools/json_parts.h"

namespace tocsin::tools {
namespace {

using Json = nlohmann::ordered_json;

std::string PairsText(const Json& object) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const auto& [name, value] : object.items()) {
    pairs.emplace_back(name, value.is_string() ? Text(value) : value.dump());
  }
  // The alert's name first, then by name.
  std::ranges::sort(pairs, [](const auto& a, const auto& b) {
    if ((a.first == "alertname") != (b.first == "alertname")) return a.first == "alertname";
    return a.first < b.first;
  });
  std::string text;
  for (const auto& [name, value] : pairs) {
    if (!text.empty()) text += ' ';
    text += name + "=" + base::Quote(value);
  }
  return text;
}

void PrintAlerts(const Amtool& tool, Json alerts) {
  if (tool.output() == "json") {
    tool.io().out(GoJson(alerts.dump()) + "\n");
    return;
  }
  std::stable_sort(alerts.begin(), alerts.end(), [](const Json& a, const Json& b) {
    const auto x = base::ParseRfc3339(Field(a, "startsAt"));
    const auto y = base::ParseRfc3339(Field(b, "startsAt"));
    return x && y && *x < *y;
  });
  std::vector<std::vector<std::string>> rows;
  const bool extended = tool.output() == "extended";
  if (extended) rows.push_back({"Labels", "Annotations", "Starts At", "Ends At", "Generator URL", "State"});
  else rows.push_back({"Alertname", "Starts At", "Summary", "State"});
  for (const Json& alert : alerts) {
    const Json& labels = Part(alert, "labels");
    const Json& annotations = Part(alert, "annotations");
    const std::string state = Field(Part(alert, "status"), "state");
    if (extended) {
      rows.push_back({PairsText(labels), PairsText(annotations), tool.Date(Field(alert, "startsAt")),
                      tool.Date(Field(alert, "endsAt")), Field(alert, "generatorURL"), state});
    } else {
      rows.push_back({Field(labels, "alertname"), tool.Date(Field(alert, "startsAt")),
                      Field(annotations, "summary"), state});
    }
  }
  tool.Table(rows);
}

int Query(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("amtool alert query [FLAGS] [MATCHER...]", "Shows alerts that match.");
  bool silenced = false, inhibited = false, active = false, unprocessed = false;
  std::string receiver;
  Amtool tool(io, &flags);
  flags.Bool("silenced", &silenced, "Show silenced alerts.", 's');
  flags.Bool("inhibited", &inhibited, "Show inhibited alerts.", 'i');
  flags.Bool("active", &active, "Show active alerts.", 'a');
  flags.Bool("unprocessed", &unprocessed, "Show alerts not yet processed.", 'u');
  flags.String("receiver", &receiver, "Only alerts of receivers that match this regular expression.", 'r');
  flags.Examples("  amtool alert query alertname=DiskFull instance=~\"db.*\"\n"
                 "  amtool alert query DiskFull\n");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  if (const auto fine = tool.Check(); !fine) return tool.Fail(fine.error().message());
  if (!silenced && !inhibited && !active && !unprocessed) active = true;
  if (receiver.empty()) receiver = tool.receiver();

  auto flag = [](bool on) { return on ? "true" : "false"; };
  std::string path = std::string("/alerts?active=") + flag(active) + "&silenced=" + flag(silenced) +
                     "&inhibited=" + flag(inhibited) + "&unprocessed=" + flag(unprocessed);
  if (!receiver.empty()) path += "&receiver=" + base::QueryEscape(receiver);
  for (const std::string& filter : FiltersOf(words)) path += "&filter=" + base::QueryEscape(filter);
  const auto body = tool.Get(path);
  if (!body) return tool.Fail(body.error().message());
  Json alerts = Json::parse(*body, nullptr, false);
  if (!alerts.is_array()) return tool.Fail("the answer is no list of alerts");
  PrintAlerts(tool, std::move(alerts));
  return 0;
}

// name=value words, alertname first as a bare word if it has no "=".
base::Status ReadPairs(const std::vector<std::string>& words, Json* into) {
  for (const std::string& word : words) {
    ASSIGN_OR_RETURN(const alertmanager::Matcher m, alertmanager::ParseMatcher(word));
    if (m.op() != alertmanager::MatchOp::kEqual) {
      return base::InvalidArgument(word + ": write name=value");
    }
    (*into)[m.name()] = m.value();
  }
  return {};
}

int Add(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("amtool alert add [FLAGS] LABEL...", "Sends an alert.");
  std::vector<std::string> annotations;
  std::string generator, start, end;
  Amtool tool(io, &flags);
  flags.Strings("annotation", &annotations, "Annotation as name=value; may be repeated.");
  flags.String("generator-url", &generator, "Where the alert comes from.");
  flags.String("start", &start, "When it began, RFC 3339.");
  flags.String("end", &end, "When it ends, RFC 3339.");
  flags.Examples("  amtool alert add DiskFull instance=db1 severity=page --annotation=summary=\"disk full\"\n");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  if (const auto fine = tool.Check(); !fine) return tool.Fail(fine.error().message());
  if (!words.empty() && words[0].find('=') == std::string::npos) {
    words[0] = "alertname=" + base::Quote(words[0]);
  }
  Json alert = {{"annotations", Json::object()}, {"labels", Json::object()}};
  if (const auto read = ReadPairs(words, &alert["labels"]); !read) return tool.Fail(read.error().message());
  if (const auto read = ReadPairs(annotations, &alert["annotations"]); !read) {
    return tool.Fail(read.error().message());
  }
  if (!generator.empty()) alert["generatorURL"] = generator;
  for (const auto& [key, text] : {std::pair("startsAt", start), std::pair("endsAt", end)}) {
    if (text.empty()) continue;
    const auto time = ParseTimeFlag(text);
    if (!time) return tool.Fail(time.error().message());
    alert[key] = text;
  }
  const auto answer = tool.Post("/alerts", Json::array({alert}).dump());
  return answer ? 0 : tool.Fail(answer.error().message());
}

int ClusterShow(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("amtool cluster show [FLAGS]", "Shows the peers of an Alertmanager.");
  Amtool tool(io, &flags);
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  if (const auto fine = tool.Check(); !fine) return tool.Fail(fine.error().message());
  const auto body = tool.Get("/status");
  if (!body) return tool.Fail(body.error().message());
  const Json status = Json::parse(*body, nullptr, false);
  if (!status.is_object() || !status.contains("cluster")) return tool.Fail("the answer is no status");
  const Json& cluster = status["cluster"];
  if (tool.output() == "json") {
    io.out(cluster.dump() + "\n");
    return 0;
  }
  tool.Table({{"Cluster Status:", Field(cluster, "status")}, {"Node Name:", Field(cluster, "name")}});
  if (tool.output() == "extended" && cluster.contains("peers")) {
    std::vector<std::vector<std::string>> rows = {{"Address", "Name"}};
    for (const Json& peer : cluster["peers"]) rows.push_back({Field(peer, "address"), Field(peer, "name")});
    tool.Table(rows);
  }
  return 0;
}

}  // namespace

int AlertVerb(const std::vector<std::string>& args, const ToolIo& io) {
  if (!args.empty() && args[0] == "add") return Add({args.begin() + 1, args.end()}, io);
  if (!args.empty() && args[0] == "query") return Query({args.begin() + 1, args.end()}, io);
  return Query(args, io);
}

int ClusterVerb(const std::vector<std::string>& args, const ToolIo& io) {
  if (!args.empty() && args[0] == "show") return ClusterShow({args.begin() + 1, args.end()}, io);
  return ClusterShow(args, io);
}

}  // namespace tocsin::tools
