#pragma once

// A command-line verb: promtool's, amtool's or our own.  Verbs are rows of the table in app/main.cc;
// each takes its arguments and a ToolIo and returns the exit status, so that tests run it in process.
//
//   int CheckRules(const std::vector<std::string>& args, const tools::ToolIo& io);
//
// Exit status: 0 fine, 1 failed or used wrongly, 3 lint findings (as promtool and amtool).

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"

namespace tocsin::tools {

struct ToolIo {
  std::function<void(std::string_view)> out;  // standard output
  std::function<void(std::string_view)> err;  // standard error
  std::function<std::string()> read_input;    // all of standard input
  base::FileSystem* fs = nullptr;
  bool color = false;  // `out` is a terminal
};

// The process's own streams and files.
ToolIo ProcessIo();

// Writes a line to `err` and returns 1: the exit status of a verb that failed.
int Fail(const ToolIo& io, std::string_view what);

using Verb = int (*)(const std::vector<std::string>& args, const ToolIo& io);

// Runs a verb.  JSON of another program that is of another shape than it should be ends the verb and not the process: a
// line on err, and 1.
int RunVerb(Verb verb, const std::vector<std::string>& args, const ToolIo& io);

// Flags in the form promtool and amtool take them: --name=value, --name value, -n value, --switch,
// --no-switch; `--` ends them.  `help` is printed for --help (exit 0).
//
//   FlagSet flags("promtool check rules [FLAGS] [FILE...]", "Checks rule files.");
//   flags.String("lint", &lint, "Which lint checks: all, duplicate-rules, none.");
//   if (auto exit = flags.Parse(args, io, &files)) return *exit;
class FlagSet {
 public:
  FlagSet(std::string usage, std::string description);
  // The variable's value is the default and is shown by --help.
  void String(std::string_view name, std::string* value, std::string_view help, char short_name = 0);
  void Bool(std::string_view name, bool* value, std::string_view help, char short_name = 0);
  void Int(std::string_view name, int64_t* value, std::string_view help, char short_name = 0);
  void Strings(std::string_view name, std::vector<std::string>* values, std::string_view help,
               char short_name = 0);  // may be repeated
  // Shown at the end of --help.
  void Examples(std::string text) { examples_ = std::move(text); }

  // Sets the variables; words that are no flags go to `positional`.  Not nullopt: exit with it (1 for
  // an unknown flag or a bad value, after a line on err that names it; 0 after --help).
  std::optional<int> Parse(const std::vector<std::string>& args, const ToolIo& io,
                           std::vector<std::string>* positional);
  // Whether the flag was given.
  bool Given(std::string_view name) const;

 private:
  struct Flag {
    std::string name;
    char short_name;
    std::string help;
    std::string shown_default;
    bool is_switch;
    std::function<bool(const std::string&)> set;
    bool given = false;
  };
  void Add(std::string_view name, char short_name, std::string_view help, std::string shown_default,
           bool is_switch, std::function<bool(const std::string&)> set);
  std::string Help() const;

  std::string usage_;
  std::string description_;
  std::string examples_;
  std::vector<Flag> flags_;
};

}  // namespace tocsin::tools
