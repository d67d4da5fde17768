#include "tools/explain.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/duration.h"
#include "base/number.h"
#include "base/text.h"
#include "tools/amtool.h"
#include "tools/json_parts.h"

namespace tocsin::tools {
namespace {

using Json = nlohmann::ordered_json;

double Number(const Json& object, const char* name) {
  const Json& value = Part(object, name);
  return value.is_number() ? value.get<double>() : 0;
}

void AddParam(std::string_view name, std::string_view value, std::string* path) {
  if (value.empty()) return;
  *path += path->find('?') == std::string::npos ? '?' : '&';
  *path += std::string(name) + "=" + base::QueryEscape(value);
}

void AddFilters(const std::vector<std::string>& words, std::string* path) {
  for (const std::string& filter : FiltersOf(words)) AddParam("filter", filter, path);
}

// Down instance=a: an alert in a line.
std::string AlertText(const Json& labels) {
  std::string text = Field(labels, "alertname");
  for (const auto& [name, value] : labels.items()) {
    if (name != "alertname" && value.is_string()) text += (text.empty() ? "" : " ") + name + "=" + value.get<std::string>();
  }
  return text;
}

std::string AlertOf(const Json& alerts, const std::string& fingerprint) {
  const Json& labels = Part(Part(alerts, fingerprint.c_str()), "labels");
  return labels.is_object() ? AlertText(labels) : fingerprint;
}

// What an event says beyond its moment and kind.
std::string EventText(const Json& e, const Json& alerts) {
  std::vector<std::string> parts;
  auto add = [&](std::string text) {
    if (!text.empty()) parts.push_back(std::move(text));
  };
  if (const std::string fp = Field(e, "fingerprint"); !fp.empty()) add(AlertOf(alerts, fp));
  add(Field(e, "integration"));
  add(Field(e, "outcome") + Field(e, "cause"));
  if (e.contains("status")) add(base::FormatF(Number(e, "status")));
  if (e.contains("attempt")) add("attempt " + base::FormatF(Number(e, "attempt")));
  if (const std::string reason = Field(e, "reason"); !reason.empty()) add("because: " + reason);
  if (e.contains("durationSeconds")) {
    char text[32];
    std::snprintf(text, sizeof text, "%.0f ms", Number(e, "durationSeconds") * 1000);
    add(text);
  }
  if (e.contains("nextAttemptSeconds")) {
    char text[48];
    std::snprintf(text, sizeof text, "next attempt after %.1f s", Number(e, "nextAttemptSeconds"));
    add(text);
  }
  if (const std::string next = Field(e, "nextRepeat"); !next.empty()) add("repeats at " + next);
  if (const std::string next = Field(e, "nextFlush"); !next.empty()) add("first flush at " + next);
  for (const Json& by : Part(e, "by")) add(Text(by));
  for (const char* key : {"silence", "matchers", "createdBy", "comment", "text"}) add(Field(e, key));
  for (const char* key : {"firing", "resolved"}) {
    const Json& list = Part(e, key);
    if (list.size() <= 3) {
      for (const Json& fp : list) add(std::string(key) + ": " + AlertOf(alerts, Text(fp)));
    } else {
      add(std::to_string(list.size()) + " " + key);
    }
  }
  return base::Join(parts, ", ");
}

void PrintEvents(const Amtool& tool, const Json& page) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& e : Part(page, "events")) {
    rows.push_back({Field(e, "at"), Field(e, "kind"), EventText(e, Part(page, "alerts"))});
  }
  if (!rows.empty()) tool.Table(rows);
}

// [{"labels": {...}, "annotations": {...}}] of the flags --alert and --annotation; "" without them.
base::Result<std::string> PostedAlerts(const std::vector<std::string>& labels, const std::vector<std::string>& annotations, bool resolved,
                                       base::Time now) {
  if (labels.empty()) {
    if (!annotations.empty() || resolved) return base::InvalidArgument("--annotation and --resolved need --alert name=value");
    return std::string();
  }
  Json alert = {{"labels", Json::object()}, {"annotations", Json::object()}};
  for (const auto& [list, key] : {std::pair(&labels, "labels"), std::pair(&annotations, "annotations")}) {
    for (const std::string& text : *list) {
      const size_t equals = text.find('=');
      if (equals == std::string::npos || equals == 0) return base::InvalidArgument(text + ": write name=value");
      alert[key][text.substr(0, equals)] = text.substr(equals + 1);
    }
  }
  if (resolved) {
    alert["startsAt"] = base::FormatRfc3339(now - std::chrono::minutes(10));
    alert["endsAt"] = base::FormatRfc3339(now);
  }
  return Json::array({alert}).dump();
}

void PrintRequest(const Amtool& tool, const Json& r) {
  tool.io().out("    " + Field(r, "method") + " " + Field(r, "url") + "\n");
  for (const auto& [name, value] : Part(r, "headers").items()) tool.io().out("    " + name + ": " + Text(value) + "\n");
  std::string body = Field(r, "body");
  if (const Json parsed = Json::parse(body, nullptr, false); !parsed.is_discarded()) body = parsed.dump(2);
  tool.io().out("\n");
  for (std::string_view line : base::Split(body, '\n')) tool.io().out("    " + std::string(line) + "\n");
}

}  // namespace

int ExplainVerb(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("tocsin explain [FLAGS] MATCHER...", "Says why a notification was or was not sent, now or at a time in the past.");
  std::string at;
  bool json = false;
  Amtool tool(io, &flags);
  flags.String("at", &at, "The moment asked for: RFC 3339, seconds since 1970, or a span before now such as 2h.");
  flags.Bool("json", &json, "All evidence as JSON.");
  flags.Examples("  tocsin explain DiskFull instance=db1 --alertmanager.url=http://127.0.0.1:9090\n"
                 "  tocsin explain alertname=DiskFull --at 2026-01-02T03:04:05Z\n");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  if (const auto fine = tool.Check(); !fine) return tool.Fail(fine.error().message());
  if (words.empty()) return tool.Fail("no matchers specified: name the alert, as in DiskFull instance=db1");
  std::string path = "/explain";
  AddFilters(words, &path);
  AddParam("at", at, &path);
  const auto body = tool.Get(path);
  if (!body) return tool.Fail(body.error().message());
  const Json answer = Json::parse(*body, nullptr, false);
  if (!answer.is_object()) return tool.Fail("the answer is no explanation");
  io.out(json || tool.output() == "json" ? answer.dump(2) + "\n" : Field(answer, "text"));
  return 0;
}

int JournalVerb(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("tocsin journal [FLAGS] [MATCHER...]", "Shows what happened to alerts: their way, each request and its answer.");
  std::string from = "24h", to, kinds, receiver, group;
  int64_t limit = 1000;
  bool json = false;
  Amtool tool(io, &flags);
  flags.String("from", &from, "Since when: RFC 3339, seconds since 1970, or a span before now.");
  flags.String("to", &to, "Until when; default: now.");
  flags.String("kind", &kinds,
               "Only these, comma separated: received, resolved, grouped, suppressed, released, not_sent, request, unanswered, gave_up, "
               "recovered, silence, service.");
  flags.String("of-receiver", &receiver, "Only of this receiver.");
  flags.String("group", &group, "Only of the group with this key.");
  flags.Int("limit", &limit, "At most so many, the newest; up to 10000.");
  flags.Bool("json", &json, "As JSON.");
  flags.Examples("  tocsin journal DiskFull --from 7d --kind request\n  tocsin journal --kind request,unanswered --of-receiver team-db\n");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  if (const auto fine = tool.Check(); !fine) return tool.Fail(fine.error().message());
  std::string path = "/journal";
  AddFilters(words, &path);
  for (const auto& [name, value] : {std::pair("from", from), std::pair("to", to), std::pair("kind", kinds), std::pair("receiver", receiver),
                                    std::pair("group", group), std::pair("limit", std::to_string(limit))}) {
    AddParam(name, value, &path);
  }
  const auto body = tool.Get(path);
  if (!body) return tool.Fail(body.error().message());
  const Json page = Json::parse(*body, nullptr, false);
  if (!page.is_object() || !page.contains("events")) return tool.Fail("the answer is no journal");
  if (json || tool.output() == "json") {
    io.out(page.dump(2) + "\n");
    return 0;
  }
  PrintEvents(tool, page);
  if (Flag(page, "more")) io.err("there are older events: --limit and --to show them\n");
  return 0;
}

int PreviewVerb(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("tocsin preview [FLAGS] [MATCHER...]",
                "Shows the routes alerts take and the messages rendered for them.  Nothing is sent.");
  std::string at, receiver;
  std::vector<std::string> labels, annotations;
  bool json = false, resolved = false;
  Amtool tool(io, &flags);
  flags.String("at", &at, "Alerts as the journal has them at this time.");
  flags.String("only", &receiver, "Only for this receiver.");
  flags.Strings("alert", &labels, "A label name=value of a made-up alert; may be repeated.");
  flags.Strings("annotation", &annotations, "An annotation name=value of it; may be repeated.");
  flags.Bool("resolved", &resolved, "The made-up alert has ended.");
  flags.Bool("json", &json, "As JSON.");
  flags.Examples("  tocsin preview DiskFull\n  tocsin preview --alert alertname=DiskFull --alert severity=page --only team-db\n");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  if (const auto fine = tool.Check(); !fine) return tool.Fail(fine.error().message());
  const auto posted = PostedAlerts(labels, annotations, resolved, tool.now());
  if (!posted) return tool.Fail(posted.error().message());
  if (words.empty() && posted->empty()) return tool.Fail("no alerts: name known ones with matchers or make one up with --alert");
  std::string path = "/preview";
  AddFilters(words, &path);
  AddParam("at", at, &path);
  AddParam("receiver", receiver, &path);
  const auto body = tool.Post(path, *posted);
  if (!body) return tool.Fail(body.error().message());
  const Json routes = Json::parse(*body, nullptr, false);
  if (!routes.is_array()) return tool.Fail("the answer is no preview");
  if (json || tool.output() == "json") {
    io.out(routes.dump(2) + "\n");
    return 0;
  }
  for (const Json& r : routes) {
    io.out("Route " + Field(r, "route") + " to receiver " + Field(r, "receiver") + "\n  group " + Field(r, "group") + ", group_wait " +
           Field(r, "groupWait") + ", group_interval " + Field(r, "groupInterval") + ", repeat_interval " + Field(r, "repeatInterval") + "\n");
    for (const Json& name : Part(r, "mutedBy")) io.out("  muted now by time interval " + Text(name) + "\n");
    for (const Json& a : Part(r, "alerts")) {
      io.out("  " + std::string(Flag(a, "firing") ? "firing   " : "resolved ") + AlertText(Part(a, "labels")) + "\n");
      for (const Json& id : Part(a, "silencedBy")) io.out("    silenced by " + Text(id) + "\n");
      for (const Json& fp : Part(a, "inhibitedBy")) io.out("    inhibited by " + Text(fp) + "\n");
    }
    for (const Json& m : Part(r, "messages")) {
      io.out("  " + Field(m, "integration") + ":\n");
      for (const char* key : {"error", "replaced", "nothing"}) {
        if (const std::string text = Field(m, key); !text.empty()) io.out("    " + std::string(key) + ": " + text + "\n");
      }
      if (m.contains("request")) PrintRequest(tool, Part(m, "request"));
    }
  }
  if (routes.empty()) io.out("No route leads there.\n");
  return 0;
}

int ReceiverTestVerb(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("tocsin receiver test [FLAGS] NAME [MATCHER...]",
                "Sends the real request of each of a receiver's integrations, once, and shows the answers.  The alert is one that is known "
                "(matchers), one made up (--alert), or else a test alert.");
  std::string at;
  std::vector<std::string> labels, annotations;
  bool json = false, resolved = false;
  Amtool tool(io, &flags);
  flags.String("at", &at, "Alerts as the journal has them at this time.");
  flags.Strings("alert", &labels, "A label name=value of a made-up alert; may be repeated.");
  flags.Strings("annotation", &annotations, "An annotation name=value of it; may be repeated.");
  flags.Bool("resolved", &resolved, "The made-up alert has ended.");
  flags.Bool("json", &json, "As JSON.");
  flags.Examples("  tocsin receiver test team-db\n  tocsin receiver test team-db --alert alertname=DiskFull --annotation summary=\"a test\"\n");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  if (const auto fine = tool.Check(); !fine) return tool.Fail(fine.error().message());
  if (words.empty()) return tool.Fail("no receiver specified");
  const auto posted = PostedAlerts(labels, annotations, resolved, tool.now());
  if (!posted) return tool.Fail(posted.error().message());
  std::string path = "/receivers/" + base::PathEscape(words[0]) + "/test";
  words.erase(words.begin());
  AddFilters(words, &path);
  AddParam("at", at, &path);
  const auto body = tool.Post(path, *posted);
  if (!body) return tool.Fail(body.error().message());
  const Json test = Json::parse(*body, nullptr, false);
  if (!test.is_object()) return tool.Fail("the answer is no test");
  const bool ok = Flag(test, "ok");
  if (json || tool.output() == "json") {
    io.out(test.dump(2) + "\n");
    return ok ? 0 : 1;
  }
  for (const Json& i : Part(test, "integrations")) {
    io.out(Field(i, "integration") + ": " + (Flag(i, "ok") ? "delivered" : Flag(i, "wouldRetry") ? "failed, would be tried again" : "failed") + "\n");
    for (const char* key : {"error", "replaced"}) {
      if (const std::string text = Field(i, key); !text.empty()) io.out("  " + std::string(key) + ": " + text + "\n");
    }
    for (const Json& r : Part(i, "requests")) {
      io.out("  request\n");
      PrintRequest(tool, Part(r, "request"));
      char took[48];
      std::snprintf(took, sizeof took, "  answer after %.0f ms", Number(r, "durationSeconds") * 1000);
      io.out(took + (r.contains("status") ? ", status " + base::FormatF(Number(r, "status")) : std::string()) + "\n");
      if (const std::string text = Field(r, "answer"); !text.empty()) io.out("    " + text + "\n");
      if (const std::string text = Field(r, "error"); !text.empty()) io.out("  error: " + text + "\n");
    }
  }
  if (Part(test, "integrations").empty()) io.out("The receiver has no integrations.\n");
  return ok ? 0 : 1;
}

}  // namespace tocsin::tools
