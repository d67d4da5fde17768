// amtool's `check-config`, `config show` and `config routes [show|test]`.

#include <algorithm>
#include <nlohmann/json.hpp>

#include "alertmanager/config.h"
#include "base/text.h"
#include "templates/alertmanager_functions.h"
#include "templates/defaults.h"
#include "templates/template.h"
#include "tools/amtool.h"
#include "tools/json_parts.h"

namespace tocsin::tools {
namespace {

using alertmanager::ConfigPtr;
using alertmanager::RouteConfig;
using Json = nlohmann::ordered_json;

// All template files parse together with the defaults.
base::Status CheckTemplates(const alertmanager::Config& config, base::FileSystem* fs) {
  // Only parsed here: nothing asks the clock.
  templates::TemplateSet set(templates::AlertmanagerFunctions([] { return base::Time{}; }));
  RETURN_IF_ERROR(templates::AddDefaultTemplates(&set));
  for (const std::string& glob : config.templates) {
    ASSIGN_OR_RETURN(const std::vector<std::string> files, base::Glob(fs, glob));
    for (const std::string& file : files) {
      ASSIGN_OR_RETURN(const std::string text, fs->ReadFile(file));
      RETURN_IF_ERROR(set.Parse(base::NameOf(file), text));
    }
  }
  return {};
}

// Several lines of errors, those after the first indented.
std::string Indented(std::string_view message) { return base::ReplaceAll(message, "\n", "\n  "); }

bool CheckOne(const std::string& file, const ToolIo& io) {
  io.out("Checking '" + file + "'");
  std::string text;
  if (file == "/dev/stdin") {
    text = io.read_input();
  } else {
    auto read = io.fs->ReadFile(file);
    if (!read) {
      io.out("  FAILED: " + read.error().message() + "\n\n");
      return false;
    }
    text = std::move(*read);
  }
  const auto config = alertmanager::LoadConfig(text, file);
  if (!config) {
    io.out("  FAILED: " + Indented(config.error().message()) + "\n\n");
    return false;
  }
  const alertmanager::Config& c = **config;
  io.out("  SUCCESS\nFound:\n - global config\n - route\n - " + std::to_string(c.inhibit_rules.size()) +
         " inhibit rules\n - " + std::to_string(c.receivers.size()) + " receivers\n - " +
         std::to_string(c.templates.size()) + " templates\n");
  for (const std::string& warning : c.warnings) io.err(file + ": warning: " + warning + "\n");
  bool fine = true;
  if (!c.templates.empty()) {
    const base::Status parsed = CheckTemplates(c, io.fs);
    fine = parsed.has_value();
    io.out(fine ? "  SUCCESS\n" : "  FAILED: " + Indented(parsed.error().message()) + "\n");
  }
  io.out("\n");
  return fine;
}

// ---- routes ------------------------------------------------------------------------------------

// The receivers of an alert in order, and the nodes on the way to them.
struct Matched {
  std::vector<const RouteConfig*> ends;
  std::vector<const RouteConfig*> ways;  // with the ends
};

bool Contains(const std::vector<const RouteConfig*>& list, const RouteConfig* route) {
  return std::find(list.begin(), list.end(), route) != list.end();
}

bool Walk(const RouteConfig& route, model::LabelsView labels, Matched* matched) {
  if (!alertmanager::MatchesAll(route.AllMatchers(), labels)) return false;
  bool child_matched = false;
  matched->ways.push_back(&route);
  for (const RouteConfig& child : route.routes) {
    if (!Walk(child, labels, matched)) continue;
    child_matched = true;
    if (!child.continue_matching) break;
  }
  if (!child_matched) matched->ends.push_back(&route);
  return true;
}

// `matched` null: the whole tree, with `continue`.
void PrintTree(const RouteConfig& route, const std::string& inherited, const Matched* matched,
               const std::string& indent, bool root, std::string* out) {
  const std::string& receiver = route.receiver.empty() ? inherited : route.receiver;
  *out += root ? "default-route" : alertmanager::MatchersText(route.AllMatchers());
  if (matched == nullptr && route.continue_matching) *out += "  continue: true";
  if (matched == nullptr || Contains(matched->ends, &route)) *out += "  receiver: " + receiver;
  *out += '\n';
  std::vector<const RouteConfig*> shown;
  for (const RouteConfig& child : route.routes) {
    if (matched == nullptr || Contains(matched->ways, &child)) shown.push_back(&child);
  }
  for (const RouteConfig* child : shown) {
    const bool last = child == shown.back();
    *out += indent + (last ? "└── " : "├── ");
    PrintTree(*child, receiver, matched, indent + (last ? "    " : "│\u00a0\u00a0 "), false, out);
  }
}

std::string TreeText(const RouteConfig& root, const Matched* matched) {
  std::string text = ".\n└── ";
  PrintTree(root, root.receiver, matched, "    ", true, &text);
  return text;
}

void ReceiversOf(const RouteConfig& route, const std::string& inherited, const Matched& matched,
                 std::vector<std::pair<const RouteConfig*, std::string>>* found) {
  const std::string& receiver = route.receiver.empty() ? inherited : route.receiver;
  if (Contains(matched.ends, &route)) found->emplace_back(&route, receiver);
  for (const RouteConfig& child : route.routes) ReceiversOf(child, receiver, matched, found);
}

// From --config.file, else from the server.
base::Result<ConfigPtr> ConfigOf(const Amtool& tool, const std::string& file) {
  if (!file.empty()) {
    ASSIGN_OR_RETURN(const std::string text, tool.io().fs->ReadFile(file));
    return alertmanager::LoadConfig(text, file);
  }
  RETURN_IF_ERROR(tool.Check());
  ASSIGN_OR_RETURN(const std::string body, tool.Get("/status"));
  const Json status = Json::parse(body, nullptr, false);
  if (!status.is_object() || !status.contains("config")) {
    return base::Unavailable("the answer is no status of an Alertmanager");
  }
  return alertmanager::LoadConfig(Field(Part(status, "config"), "original"), "status.config");
}

int RoutesShow(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("amtool config routes [show] [FLAGS]", "Prints the routing tree.");
  Amtool tool(io, &flags);
  std::string file;
  flags.String("config.file", &file, "A configuration instead of the server's.");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  const auto config = ConfigOf(tool, file);
  if (!config) return tool.Fail(config.error().message());
  io.out("Routing tree:\n" + TreeText((*config)->route, nullptr) + "\n");
  return 0;
}

int RoutesTest(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("amtool config routes test [FLAGS] LABEL=VALUE...",
                "Prints the receivers that an alert with these labels reaches.");
  Amtool tool(io, &flags);
  std::string file, expected;
  bool tree = false;
  flags.String("config.file", &file, "A configuration instead of the server's.");
  flags.String("verify.receivers", &expected, "Receivers that must come out, comma separated, in order.");
  flags.Bool("tree", &tree, "Print the matching part of the tree too.");
  flags.Examples("  amtool config routes test --config.file=alertmanager.yml --tree severity=page team=db\n");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  const auto config = ConfigOf(tool, file);
  if (!config) return tool.Fail(config.error().message());
  model::LabelsBuilder labels;
  for (const std::string& word : words) {
    const auto matcher = alertmanager::ParseMatcher(word);
    if (!matcher) return tool.Fail("Failed to parse labels: " + matcher.error().message());
    if (matcher->op() != alertmanager::MatchOp::kEqual) {
      return tool.Fail("Failed to parse labels: " + word + ": write name=value");
    }
    labels.Set(matcher->name(), matcher->value());
  }
  const model::Labels set = labels.Build();
  Matched matched;
  Walk((*config)->route, set, &matched);
  if (tree) io.out("Matching routes:\n" + TreeText((*config)->route, &matched) + "\n\n");

  std::vector<std::pair<const RouteConfig*, std::string>> found;
  ReceiversOf((*config)->route, (*config)->route.receiver, matched, &found);
  std::vector<std::string> receivers;
  for (const RouteConfig* end : matched.ends) {
    for (const auto& [route, receiver] : found) {
      if (route == end) receivers.push_back(receiver);
    }
  }
  const std::string text = base::Join(receivers, ",");
  io.out(text + "\n");
  if (!expected.empty() && expected != text) {
    io.out("WARNING: Expected receivers did not match resolved receivers.\n");
    return 1;
  }
  return 0;
}

int Show(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("amtool config show [FLAGS]", "Prints the configuration that a server uses.");
  Amtool tool(io, &flags);
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  if (const auto fine = tool.Check(); !fine) return tool.Fail(fine.error().message());
  const auto body = tool.Get("/status");
  if (!body) return tool.Fail(body.error().message());
  const auto status = Json::parse(*body, nullptr, false);
  if (!status.is_object() || !status.contains("config")) return tool.Fail("the answer is no status");
  if (tool.output() == "json") {
    io.out(GoJson(status.dump()) + "\n");
    return 0;
  }
  io.out(Field(Part(status, "config"), "original") + "\n");
  if (tool.output() != "extended") return 0;
  for (const char* key : {"buildUser", "goVersion", "version", "revision", "branch", "buildDate"}) {
    io.out(std::string(key) + " " + Field(Part(status, "versionInfo"), key) + "\n");
  }
  io.out("uptime " + Field(status, "uptime") + "\n");
  return 0;
}

}  // namespace

int CheckConfigVerb(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("amtool check-config [FILE...]", "Checks Alertmanager configurations and their templates.");
  Amtool tool(io, &flags);
  flags.Examples("  amtool check-config alertmanager.yml\n");
  std::vector<std::string> files;
  if (auto exit = flags.Parse(args, io, &files)) return *exit;
  if (files.empty()) files = {"/dev/stdin"};
  for (const std::string& file : files) {
    if (file != "/dev/stdin" && !io.fs->Stat(file)) return tool.Fail("path '" + file + "' does not exist");
  }
  int failed = 0;
  for (const std::string& file : files) failed += CheckOne(file, io) ? 0 : 1;
  return failed == 0 ? 0 : tool.Fail("failed to validate " + std::to_string(failed) + " file(s)");
}

int AmtoolConfigVerb(const std::vector<std::string>& args, const ToolIo& io) {
  auto rest = [&](long n) { return std::vector<std::string>(args.begin() + n, args.end()); };
  if (!args.empty() && args[0] == "routes") {
    if (args.size() > 1 && args[1] == "test") return RoutesTest(rest(2), io);
    return RoutesShow(rest(args.size() > 1 && args[1] == "show" ? 2 : 1), io);
  }
  return Show(rest(!args.empty() && args[0] == "show" ? 1 : 0), io);
}

}  // namespace tocsin::tools
