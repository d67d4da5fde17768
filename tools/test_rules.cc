#include "tools/test_rules.h"

#include <algorithm>

#include "base/log.h"
#include "base/regex.h"
#include "base/text.h"
#include "tools/rule_test_run.h"

namespace tocsin::tools {
namespace {

struct CaseResult {
  std::string file;
  std::string name;
  std::vector<std::string> failures;
};

struct Options {
  std::vector<base::Regex> run;
  bool show_diff = false;
  bool debug = false;
  bool ignore_unknown_fields = false;
  LanguageFeatures features;
};

bool Wanted(const Options& options, const std::string& name) {
  if (options.run.empty()) return true;
  for (const base::Regex& regex : options.run) {
    std::vector<std::optional<std::string_view>> groups;
    if (regex.Find(name, &groups)) return true;
  }
  return false;
}

// All failures of a file; an error that keeps it from running counts as one.
std::vector<std::string> TestFile(const std::string& path, const Options& options, const ToolIo& io,
                                  std::vector<CaseResult>* results) {
  const auto file = ReadUnitTestFile(io.fs, path, options.ignore_unknown_fields);
  if (!file) {
    results->push_back({path, "", {file.error().message()}});
    return {file.error().message()};
  }
  const ruler::RuleFileOptions rule_options{
      .parse = {.experimental_functions = options.features.experimental_functions,
                .extended_range_selectors = options.features.extended_range_selectors,
                .binop_fill_modifiers = options.features.binop_fill_modifiers},
      .ignore_unknown_fields = options.ignore_unknown_fields};
  std::vector<ruler::GroupSpec> groups;
  // As promtool, which reads the rules for a test: without one they may be anything.
  if (std::ranges::any_of(file->tests, [&](const TestGroup& t) { return Wanted(options, t.name); })) {
    auto loaded = ruler::LoadRuleFiles(io.fs, file->rule_files, rule_options);
    if (!loaded) {
      results->push_back({path, "", {loaded.error().message()}});
      return {loaded.error().message()};
    }
    groups = *std::move(loaded);
  }
  for (size_t i = 0; i < file->group_eval_order.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (file->group_eval_order[i] == file->group_eval_order[j]) {
        const std::string what = "group name repeated in evaluation order: " + file->group_eval_order[i];
        results->push_back({path, "", {what}});
        return {what};
      }
    }
  }
  const RunOptions run{.features = options.features,
                       .fuzzy_compare = file->fuzzy_compare,
                       .show_diff = options.show_diff,
                       .evaluation_interval = file->evaluation_interval,
                       .group_eval_order = file->group_eval_order,
                       .debug = nullptr};
  std::vector<std::string> failures;
  for (const TestGroup& test : file->tests) {
    if (!Wanted(options, test.name)) continue;
    if (options.debug) io.out("DEBUG: Starting test " + test.name + "\n");
    std::vector<std::string> failed = RunTestGroup(test, groups, run);
    if (options.debug) io.out("DEBUG: Test " + test.name + " finished, " + std::to_string(failed.size()) + " failures\n");
    results->push_back({path, test.name, failed});
    failures.insert(failures.end(), failed.begin(), failed.end());
  }
  return failures;
}

// One suite a file, one case a test group.
std::string JunitText(const std::vector<CaseResult>& results) {
  std::string text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n";
  for (size_t begin = 0; begin < results.size();) {
    size_t end = begin;
    size_t failed = 0;
    std::string cases;
    for (; end < results.size() && results[end].file == results[begin].file; ++end) {
      const CaseResult& r = results[end];
      const std::string name = r.name.empty() ? "unnamed#" + std::to_string(end - begin) : r.name;
      cases += "    <testcase name=\"" + base::EscapeHtml(name) + "\">";
      if (!r.failures.empty()) ++failed;
      for (const std::string& failure : r.failures) {
        cases += "\n      <failure>" + base::EscapeHtml(failure) + "</failure>";
      }
      cases += r.failures.empty() ? "</testcase>\n" : "\n    </testcase>\n";
    }
    text += "  <testsuite name=\"" + base::EscapeHtml(results[begin].file) + "\" tests=\"" +
            std::to_string(end - begin) + "\" failures=\"" + std::to_string(failed) + "\" errors=\"0\">\n" + cases +
            "  </testsuite>\n";
    begin = end;
  }
  return text + "</testsuites>\n";
}

}  // namespace

int TestRules(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("promtool test rules [FLAGS] FILE...", "Runs unit tests of rules.");
  std::vector<std::string> run, features;
  std::string junit;
  Options options;
  flags.Strings("run", &run, "Only tests whose name matches this regular expression; may be repeated.");
  flags.Bool("diff", &options.show_diff, "Show what differs instead of both sides.");
  flags.Bool("debug", &options.debug, "Show each test as it runs.");
  flags.String("junit", &junit, "Also write the results to this file, as JUnit XML.");
  flags.Bool("ignore-unknown-fields", &options.ignore_unknown_fields, "Accept keys that are not known.");
  flags.Strings("enable-feature", &features, "Language features by name, comma separated.");
  flags.Examples("  promtool test rules rules/*.test.yml\n  promtool test rules --run='disk.*' rules/host.test.yml\n");
  std::vector<std::string> files;
  if (auto exit = flags.Parse(args, io, &files)) return *exit;
  if (files.empty()) {
    io.err("error: required argument 'test-rule-file' not provided\n");
    return 1;
  }
  for (const std::string& file : files) {
    if (!io.fs->Stat(file)) return Fail(io, "error: path '" + file + "' does not exist");
  }
  options.features = FeaturesOf(features);
  for (const std::string& pattern : run) {
    const auto regex = base::Regex::Unanchored(pattern);
    if (!regex) {
      io.err("error: --run=" + pattern + ": " + regex.error().message() + "\n");
      return 1;
    }
    options.run.push_back(*regex);
  }

  // What a rule's failure logs is among the failures already.
  base::ConfigureLog({.level = base::LogLevel::kError});
  bool failed = false;
  std::vector<CaseResult> results;
  for (const std::string& file : files) {
    io.out("Unit Testing:  " + file + "\n");
    const std::vector<std::string> failures = TestFile(file, options, io, &results);
    if (failures.empty()) {
      io.out(io.color ? "  \033[32mSUCCESS\033[0m\n" : "  SUCCESS\n");
    } else {
      failed = true;
      io.err("  FAILED:\n");
      // promtool leaves a blank line on the other stream for each.
      for (const std::string& failure : failures) {
        io.err(failure + "\n");
        io.out("\n");
      }
    }
    io.out("\n");
  }
  if (!junit.empty()) {
    if (auto written = io.fs->WriteFileAtomically(junit, JunitText(results)); !written) {
      io.err("error: " + written.error().message() + "\n");
      return 1;
    }
  }
  return failed ? 1 : 0;
}

}  // namespace tocsin::tools
