// amtool's `silence query|add|update|expire|import`.

#include <algorithm>
#include <nlohmann/json.hpp>

#include "alertmanager/matchers.h"
#include "alertmanager/silence_schedule.h"
#include "base/duration.h"
#include "base/number.h"
#include "base/text.h"
#include "tools/amtool.h"
#include "tools/json_parts.h"

namespace tocsin::tools {
namespace {

using Json = nlohmann::ordered_json;
using alertmanager::MatchOp;

std::string MatcherText(const Json& m) {
  const bool equal = Flag(m, "isEqual", true);
  const char* op = Flag(m, "isRegex") ? (equal ? "=~" : "!~") : (equal ? "=" : "!=");
  return Field(m, "name") + op + base::Quote(Field(m, "value"));
}

std::string MatchersText(const Json& matchers, std::string_view separator) {
  std::vector<std::string> parts;
  for (const Json& m : matchers) parts.push_back(MatcherText(m));
  return base::Join(parts, separator);
}

// The comment, with what only tocsin's silences have.
std::string CommentOf(const Json& silence) {
  std::string text = Field(silence, "comment");
  if (silence.contains("schedule")) text += " (recurs: " + silence["schedule"].dump() + ")";
  if (silence.contains("receivers")) text += " (only for " + silence["receivers"].dump() + ")";
  return text;
}

base::Time EndOf(const Json& silence) {
  return base::ParseRfc3339(Field(silence, "endsAt")).value_or(base::Time{});
}

void PrintSilences(const Amtool& tool, Json silences) {
  if (tool.output() == "json") {
    tool.io().out(GoJson(silences.dump()) + "\n");
    return;
  }
  std::stable_sort(silences.begin(), silences.end(),
                   [](const Json& a, const Json& b) { return EndOf(a) < EndOf(b); });
  std::vector<std::vector<std::string>> rows;
  const bool extended = tool.output() == "extended";
  if (extended) {
    rows.push_back({"ID", "Matchers", "Starts At", "Ends At", "Updated At", "Created By", "Comment"});
  } else {
    rows.push_back({"ID", "Matchers", "Ends At", "Created By", "Comment"});
  }
  for (const Json& s : silences) {
    if (extended) {
      rows.push_back({Field(s, "id"), "{" + MatchersText(Part(s, "matchers"), ",") + "}",
                      tool.Date(Field(s, "startsAt")), tool.Date(Field(s, "endsAt")),
                      tool.Date(Field(s, "updatedAt")), Field(s, "createdBy"), CommentOf(s)});
    } else {
      rows.push_back({Field(s, "id"), MatchersText(Part(s, "matchers"), " "), tool.Date(Field(s, "endsAt")),
                      Field(s, "createdBy"), CommentOf(s)});
    }
  }
  tool.Table(rows);
}

int PrintAll(const Amtool& tool, bool quiet, Json silences) {
  if (!quiet) {
    PrintSilences(tool, std::move(silences));
    return 0;
  }
  for (const Json& s : silences) tool.io().out(Field(s, "id") + "\n");
  return 0;
}

int Query(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("amtool silence query [FLAGS] [MATCHER...]", "Shows silences.");
  bool expired = false, quiet = false;
  std::string within, created_by, id;
  Amtool tool(io, &flags);
  flags.Bool("expired", &expired, "Show expired silences instead of active and pending ones.");
  flags.Bool("quiet", &quiet, "Only the ids.", 'q');
  flags.String("created-by", &created_by, "Only silences of this creator.");
  flags.String("id", &id, "Only the silence with this id.");
  flags.String("within", &within, "Only those that end (with --expired: ended) within this time.");
  flags.Examples("  amtool silence query\n  amtool silence query --within=8h alertname=DiskFull\n");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  if (const auto fine = tool.Check(); !fine) return tool.Fail(fine.error().message());
  base::Duration span{0};
  if (!within.empty()) {
    const auto read = base::ParseDuration(within);
    if (!read) return tool.Fail(read.error().message());
    span = *read;
  }
  std::string path = "/silences";
  for (const std::string& filter : FiltersOf(words)) {
    path += (path.find('?') == std::string::npos ? "?filter=" : "&filter=") + base::QueryEscape(filter);
  }
  const auto body = tool.Get(path);
  if (!body) return tool.Fail(body.error().message());
  const Json all = Json::parse(*body, nullptr, false);
  if (!all.is_array()) return tool.Fail("the answer is no list of silences");

  const base::Time now = tool.now();
  Json shown = Json::array();
  for (const Json& silence : all) {
    const base::Time end = EndOf(silence);
    if (expired != (end < now)) continue;
    if (span != base::Duration(0) && (expired ? end < now - span : end > now + span)) continue;
    if (!created_by.empty() && Field(silence, "createdBy") != created_by) continue;
    if (!id.empty() && Field(silence, "id") != id) continue;
    shown.push_back(silence);
  }
  return PrintAll(tool, quiet, std::move(shown));
}

base::Result<Json> MatchersJson(const std::vector<std::string>& words) {
  Json list = Json::array();
  for (const std::string& word : words) {
    ASSIGN_OR_RETURN(const alertmanager::Matcher m, alertmanager::ParseMatcher(word));
    list.push_back({{"isEqual", m.op() == MatchOp::kEqual || m.op() == MatchOp::kRegex},
                    {"isRegex", m.op() == MatchOp::kRegex || m.op() == MatchOp::kNotRegex},
                    {"name", m.name()},
                    {"value", m.value()}});
  }
  return list;
}

int Add(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("amtool silence add [FLAGS] MATCHER...", "Adds a silence and prints its id.");
  Amtool tool(io, &flags);
  std::string author = tool.author(), comment, duration = "1h", start, end;
  bool require_comment = tool.comment_required();
  std::vector<std::string> annotations, receivers;
  std::string schedule;
  flags.String("author", &author, "Who silences.", 'a');
  flags.Bool("require-comment", &require_comment, "Refuse a silence without comment.");
  flags.String("duration", &duration, "How long, such as 1h30m.", 'd');
  flags.String("comment", &comment, "Why.", 'c');
  flags.String("start", &start, "When it begins, RFC 3339; default: now.");
  flags.String("end", &end, "When it ends, RFC 3339; instead of --duration.");
  flags.Strings("annotation", &annotations, "Annotation as name=value; may be repeated.");
  flags.String("schedule", &schedule, "tocsin only: it recurs, such as \"saturday 02:00-04:00 Europe/Berlin\", or JSON time intervals.");
  flags.Strings("for-receiver", &receivers, "tocsin only: it holds for this receiver alone; may be repeated.");
  flags.Examples("  amtool silence add db_backup -d 52w --schedule \"sunday 02:00-04:00 Europe/Berlin\" -c backups\n"
                 "  amtool silence add alertname=DiskFull instance=~\"db.*\" -d 2h -c \"being replaced\"\n");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  if (const auto fine = tool.Check(); !fine) return tool.Fail(fine.error().message());
  if (require_comment && comment.empty()) return tool.Fail("comment required by config");
  if (words.empty()) return tool.Fail("no matchers specified");

  base::Time begins = tool.now();
  if (!start.empty()) {
    const auto time = ParseTimeFlag(start);
    if (!time) return tool.Fail(time.error().message());
    begins = *time;
  }
  base::Time ends;
  if (!end.empty()) {
    const auto time = ParseTimeFlag(end);
    if (!time) return tool.Fail(time.error().message());
    ends = *time;
  } else {
    const auto span = base::ParseDuration(duration);
    if (!span) return tool.Fail(span.error().message());
    if (*span == base::Duration(0)) return tool.Fail("silence duration must be greater than 0");
    ends = begins + *span;
  }
  if (begins > ends) return tool.Fail("silence cannot start after it ends");

  const auto matchers = MatchersJson(FiltersOf(words));
  if (!matchers) return tool.Fail(matchers.error().message());
  Json silence = {{"comment", comment},
                  {"createdBy", author},
                  {"endsAt", base::FormatRfc3339(ends)},
                  {"matchers", *matchers},
                  {"startsAt", base::FormatRfc3339(begins)}};
  for (const std::string& annotation : annotations) {
    const size_t equals = annotation.find('=');
    if (equals == std::string::npos) return tool.Fail("--annotation=" + annotation + ": write name=value");
    silence["annotations"][annotation.substr(0, equals)] = annotation.substr(equals + 1);
  }
  if (!schedule.empty()) {
    const auto text = alertmanager::ScheduleFromShort(schedule);
    if (!text) return tool.Fail(text.error().message());
    silence["schedule"] = Json::parse(*text, nullptr, false);
    if (silence["schedule"].is_discarded()) return tool.Fail("--schedule=" + schedule + ": not JSON");
  }
  if (!receivers.empty()) silence["receivers"] = receivers;
  const auto answer = tool.Post("/silences", silence.dump());
  if (!answer) return tool.Fail(answer.error().message());
  io.out(Field(Json::parse(*answer, nullptr, false), "silenceID") + "\n");
  return 0;
}

// What the API takes of a silence it gave.
Json Postable(const Json& silence) {
  Json kept = Json::object();
  for (const char* key : {"id", "annotations", "comment", "createdBy", "endsAt", "matchers", "matcherSets", "startsAt", "schedule",
                          "receivers"}) {
    if (silence.contains(key)) kept[key] = silence[key];
  }
  return kept;
}

int Update(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("amtool silence update [FLAGS] ID...", "Changes silences.");
  Amtool tool(io, &flags);
  std::string comment, duration, start, end;
  bool quiet = false;
  flags.String("comment", &comment, "The new comment.", 'c');
  flags.String("duration", &duration, "How long from its beginning.", 'd');
  flags.String("start", &start, "When it begins, RFC 3339.");
  flags.String("end", &end, "When it ends, RFC 3339.");
  flags.Bool("quiet", &quiet, "Only the ids.", 'q');
  flags.Examples("  amtool silence update -d 4h 5f1a7b6e-0c5e-4b0a-9d57-6f1f0d4f8a11\n");
  std::vector<std::string> ids;
  if (auto exit = flags.Parse(args, io, &ids)) return *exit;
  if (const auto fine = tool.Check(); !fine) return tool.Fail(fine.error().message());
  if (ids.empty()) return tool.Fail("no silence IDs specified");

  Json updated = Json::array();
  for (const std::string& id : ids) {
    const auto body = tool.Get("/silence/" + base::PathEscape(id));
    if (!body) return tool.Fail(body.error().message());
    Json silence = Json::parse(*body, nullptr, false);
    if (!silence.is_object()) return tool.Fail("the answer is no silence");
    for (const auto& [key, text] : {std::pair("startsAt", start), std::pair("endsAt", end)}) {
      if (text.empty()) continue;
      const auto time = ParseTimeFlag(text);
      if (!time) return tool.Fail(time.error().message());
      silence[key] = base::FormatRfc3339Millis(*time);
    }
    if (!duration.empty()) {
      const auto span = base::ParseDuration(duration);
      if (!span) return tool.Fail(span.error().message());
      if (*span == base::Duration(0)) return tool.Fail("silence duration must be greater than 0");
      const auto begins = base::ParseRfc3339(Field(silence, "startsAt"));
      if (!begins) return tool.Fail(begins.error().message());
      silence["endsAt"] = base::FormatRfc3339Millis(*begins + *span);
    }
    const auto begins = base::ParseRfc3339(Field(silence, "startsAt"));
    if (begins && *begins > EndOf(silence)) return tool.Fail("silence cannot start after it ends");
    if (!comment.empty()) silence["comment"] = comment;
    const auto answer = tool.Post("/silences", Postable(silence).dump());
    if (!answer) return tool.Fail(answer.error().message());
    silence["id"] = Field(Json::parse(*answer, nullptr, false), "silenceID");
    updated.push_back(std::move(silence));
  }
  return PrintAll(tool, quiet, std::move(updated));
}

int Expire(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("amtool silence expire [FLAGS] ID...", "Ends silences now.");
  Amtool tool(io, &flags);
  flags.Examples("  amtool silence expire $(amtool silence query -q alertname=DiskFull)\n");
  std::vector<std::string> ids;
  if (auto exit = flags.Parse(args, io, &ids)) return *exit;
  if (const auto fine = tool.Check(); !fine) return tool.Fail(fine.error().message());
  if (ids.empty()) return tool.Fail("no silence IDs specified");
  for (const std::string& id : ids) {
    const auto answer = tool.Delete("/silence/" + base::PathEscape(id));
    if (!answer) return tool.Fail(answer.error().message());
  }
  return 0;
}

int Import(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("amtool silence import [FLAGS] [FILE]",
                "Adds silences from a JSON list, as `silence query -o json` prints it.");
  Amtool tool(io, &flags);
  bool force = false;
  int64_t workers = 8;
  flags.Bool("force", &force, "Add them as new ones.", 'f');
  flags.Int("worker", &workers, "Accepted for compatibility: requests go one after the other.", 'w');
  flags.Examples("  amtool silence query -o json > s.json; amtool silence import s.json\n");
  std::vector<std::string> files;
  if (auto exit = flags.Parse(args, io, &files)) return *exit;
  if (const auto fine = tool.Check(); !fine) return tool.Fail(fine.error().message());
  std::string text;
  if (files.empty()) {
    text = io.read_input();
  } else {
    auto read = io.fs->ReadFile(files[0]);
    if (!read) return tool.Fail(read.error().message());
    text = std::move(*read);
  }
  const Json silences = Json::parse(text, nullptr, false);
  if (!silences.is_array()) return tool.Fail("couldn't unmarshal input data, is it JSON?");
  for (const Json& silence : silences) {
    Json posted = Postable(silence);
    if (force) posted.erase("id");
    auto answer = tool.Post("/silences", posted.dump());
    if (!answer && answer.error().code() == base::Code::kNotFound && posted.erase("id") > 0) {
      answer = tool.Post("/silences", posted.dump());  // unknown there: a new one
    }
    if (answer) {
      io.out(Field(Json::parse(*answer, nullptr, false), "silenceID") + "\n");
    } else {
      io.err("Error adding silence id='" + Field(silence, "id") + "': " + answer.error().message() + "\n");
    }
  }
  return 0;
}

}  // namespace

int SilenceVerb(const std::vector<std::string>& args, const ToolIo& io) {
  static constexpr std::pair<std::string_view, Verb> kVerbs[] = {
      {"query", Query}, {"add", Add}, {"update", Update}, {"expire", Expire}, {"import", Import}};
  if (!args.empty()) {
    for (const auto& [name, verb] : kVerbs) {
      if (args[0] == name) return verb({args.begin() + 1, args.end()}, io);
    }
  }
  return Query(args, io);
}

}  // namespace tocsin::tools
