#include "tools/check_rules.h"

#include "base/text.h"
#include "ruler/rule_file.h"

namespace tocsin::tools {
namespace {

enum class Verdict { kFine, kLint, kBad };

Verdict CheckText(const std::string& text, const std::string& file, bool lint_duplicates,
                  const ruler::RuleFileOptions& options, const ToolIo& io) {
  const auto parsed = ruler::ParseRuleFile(text, file, options);
  if (!parsed) {
    io.err("  FAILED:\n" + parsed.error().message() + "\n");
    return Verdict::kBad;
  }
  for (const std::string& warning : parsed->warnings) io.err(warning + "\n");
  const auto duplicates = lint_duplicates ? ruler::FindDuplicates(parsed->groups)
                                          : std::vector<ruler::DuplicateRule>{};
  if (!duplicates.empty()) {
    std::string found = "  FAILED:\nlint error " + std::to_string(duplicates.size()) +
                        " duplicate rule(s) found.\n";
    for (const ruler::DuplicateRule& rule : duplicates) {
      found += "Metric: " + rule.name + "\nLabel(s):\n";
      for (const auto& [name, value] : rule.labels) found += "\t" + name + ": " + value + "\n";
    }
    io.err(found + "Might cause inconsistency while recording expressions\n");
    return Verdict::kLint;
  }
  size_t rules = 0;
  for (const ruler::GroupSpec& group : parsed->groups) rules += group.rules.size();
  io.out("  SUCCESS: " + std::to_string(rules) + " rules found\n");
  return Verdict::kFine;
}

}  // namespace

LanguageFeatures FeaturesOf(const std::vector<std::string>& lists) {
  LanguageFeatures features;
  for (const std::string& list : lists) {
    for (const std::string_view name : base::Split(list, ',')) {
      if (name == "promql-experimental-functions") features.experimental_functions = true;
      if (name == "promql-extended-range-selectors") features.extended_range_selectors = true;
      if (name == "promql-binop-fill-modifiers") features.binop_fill_modifiers = true;
      if (name == "promql-delayed-name-removal") features.delayed_name_removal = true;
      if (name == "promql-per-step-stats") features.per_step_stats = true;
      if (name == "type-and-unit-labels") features.type_and_unit_labels = true;
      if (name == "use-start-timestamps") features.use_start_timestamps = true;
    }
  }
  return features;
}

int CheckRules(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("promtool check rules [FLAGS] [FILE...]",
                "Checks rule files, or standard input when none is named.");
  std::string lint = "duplicate-rules";
  bool fatal = false, ignore_unknown = false;
  std::vector<std::string> features;
  flags.String("lint", &lint, "Lint checks: all, duplicate-rules, none.");
  flags.Bool("lint-fatal", &fatal, "Exit with 3 when lint finds something.");
  flags.Bool("ignore-unknown-fields", &ignore_unknown, "Accept keys that are not known.");
  flags.Strings("enable-feature", &features, "Language features by name, comma separated.");
  flags.Examples("  promtool check rules --lint=all --lint-fatal rules/*.yml\n");
  std::vector<std::string> files;
  if (auto exit = flags.Parse(args, io, &files)) return *exit;
  if (lint != "all" && lint != "duplicate-rules" && lint != "none") {
    io.err("error: --lint=" + lint + ": write all, duplicate-rules or none\n");
    return 1;
  }
  const LanguageFeatures language = FeaturesOf(features);
  const ruler::RuleFileOptions options{
      .parse = {.experimental_functions = language.experimental_functions,
                .extended_range_selectors = language.extended_range_selectors,
                .binop_fill_modifiers = language.binop_fill_modifiers},
      .ignore_unknown_fields = ignore_unknown};
  for (const std::string& file : files) {
    if (!io.fs->Stat(file)) {
      io.err("error: path '" + file + "' does not exist\n");
      return 1;
    }
  }

  bool bad = false, linted = false;
  auto count = [&](Verdict verdict) {
    bad |= verdict == Verdict::kBad;
    linted |= verdict == Verdict::kLint;
    io.out("\n");
  };
  const bool duplicates = lint != "none";
  if (files.empty()) {
    io.out("Checking standard input\n");
    count(CheckText(io.read_input(), "stdin", duplicates, options, io));
  }
  for (const std::string& file : files) {
    io.out("Checking " + file + "\n");
    const auto text = io.fs->ReadFile(file);
    if (!text) {
      io.err("  FAILED:\n" + text.error().message() + "\n");
      count(Verdict::kBad);
      continue;
    }
    count(CheckText(*text, file, duplicates, options, io));
  }
  if (bad) return 1;
  return linted && fatal ? 3 : 0;
}

}  // namespace tocsin::tools
