#include "ruler/rule_file.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/simulated_file_system.h"

namespace tocsin::ruler {
namespace {

TEST(RuleFileTest, AGroupGivesItsLabelsToItsRules) {
  const auto file = ParseRuleFile(R"(groups:
- name: g
  interval: 30s
  query_offset: 1m
  limit: 7
  labels: {team: core, severity: info}
  rules:
  - record: a:b
    expr: sum  by (x) (up)
  - alert: Down
    expr: |
      up
        == 0
    for: 5m
    keep_firing_for: 1h30m
    labels: {severity: "{{ $value }}"}
    annotations: {summary: "{{ $labels.instance }} is down", n: 1}
)", "r.yml");
  ASSERT_TRUE(file) << file.error().message();
  const GroupSpec& g = file->groups.at(0);
  EXPECT_EQ(g.interval, std::chrono::seconds(30));
  EXPECT_EQ(g.query_offset, std::chrono::minutes(1));
  EXPECT_EQ(g.limit, 7);
  EXPECT_EQ(g.rules[0].query, "sum by (x) (up)");
  EXPECT_EQ(g.rules[0].labels, (LabelList{{"severity", "info"}, {"team", "core"}}));
  const RuleSpec& alert = g.rules[1];
  EXPECT_EQ(alert.query, "up == 0");
  EXPECT_EQ(alert.hold, std::chrono::minutes(5));
  EXPECT_EQ(alert.keep_firing, std::chrono::minutes(90));
  EXPECT_EQ(alert.labels, (LabelList{{"severity", "{{ $value }}"}, {"team", "core"}}));
  EXPECT_EQ(alert.annotations, (LabelList{{"n", "1"}, {"summary", "{{ $labels.instance }} is down"}}));
}

TEST(RuleFileTest, EveryErrorIsNamedWithItsPlace) {
  const auto file = ParseRuleFile(R"(groups:
- name: g
  rules:
  - record: a
    expr: |
      sum(
        rate(x))
    for: 5m
  - alert: A
    record: b
    expr: up
  - alert: B
    annotations: {x: "{{ $nope }}"}
    expr: up
    colour: red
  - expr: up
- name: g
  intervall: 5m
)", "r.yml");
  ASSERT_FALSE(file);
  const std::string& text = file.error().message();
  for (const char* expected : {
           "r.yml:7:14: group \"g\", rule 1, \"a\": could not parse expression: 2:8: parse error: expected type range vector",
           "invalid field 'for' in recording rule",
           "only one of 'record' and 'alert' must be set",
           "annotation \"x\": ",
           "r.yml:15:5: field colour not found in type rulefmt.Rule",
           "one of 'record' or 'alert' must be set",
           "groupname: \"g\" is repeated in the same file",
           "field intervall not found in type rulefmt.RuleGroup",
       }) {
    EXPECT_NE(text.find(expected), std::string::npos) << expected << "\nin\n" << text;
  }
}

TEST(RuleFileTest, DuplicatesAreRulesOfOneNameAndLabels) {
  const auto file = ParseRuleFile(
      "groups: [{name: g, rules: [{record: a, expr: b}, {record: a, expr: c}, {record: a, expr: c, labels: {x: y}}]}]",
      "r.yml");
  ASSERT_TRUE(file);
  ASSERT_EQ(FindDuplicates(file->groups).size(), 1u);
}

TEST(RuleFileTest, FilesOfAllGlobsAreReadOnceAndAllErrorsTold) {
  base::SimulatedFileSystem fs;
  ASSERT_TRUE(fs.CreateFolders("rules"));
  ASSERT_TRUE(fs.WriteFileAtomically("rules/a.yml", "groups: [{name: a, rules: []}]"));
  ASSERT_TRUE(fs.WriteFileAtomically("rules/b.yml", "groups: [{name: b, rules: []}]"));
  auto groups = LoadRuleFiles(&fs, {"rules/*.yml", "rules/a.yml"});
  ASSERT_TRUE(groups) << groups.error().message();
  EXPECT_EQ(groups->size(), 2u);
  ASSERT_TRUE(fs.WriteFileAtomically("rules/a.yml", "groupz: 1"));
  ASSERT_TRUE(fs.WriteFileAtomically("rules/b.yml", "groups: [{rules: []}]"));
  groups = LoadRuleFiles(&fs, {"rules/*.yml"});
  ASSERT_FALSE(groups);
  EXPECT_NE(groups.error().message().find("rules/a.yml:1:1"), std::string::npos) << groups.error().message();
  EXPECT_NE(groups.error().message().find("Groupname must not be empty"), std::string::npos);
}

TEST(RuleFileConformanceTest, AcceptsAndRefusesWhatPrometheusDoes) {
  const char* root = std::getenv("TOCSIN_SHARED");
  const std::string folder = (root != nullptr ? std::string(root) : "../shared") + "/conformance/rules/";
  base::FileSystem* fs = base::RealFileSystem();
  const auto text = fs->ReadFile(folder + "manifest.json");
  if (!text) GTEST_SKIP() << "no shared test data";
  const auto manifest = nlohmann::json::parse(*text);
  for (const auto& row : manifest["check_rules"]) {
    const std::string file = folder + row["dir"].get<std::string>() + "/" + row["file"].get<std::string>();
    const auto content = fs->ReadFile(file);
    ASSERT_TRUE(content) << file;
    const bool all = row["file"] == "features.yml";
    const auto parsed = ParseRuleFile(
        *content, file,
        {.parse = {.experimental_functions = all, .extended_range_selectors = all, .binop_fill_modifiers = all}});
    const bool expected = row["exit"] != 1;  // 3: lint
    EXPECT_EQ(parsed.has_value(), expected) << row << (parsed ? "" : parsed.error().message());
    if (!parsed && row.contains("error_contains")) {
      EXPECT_NE(parsed.error().message().find(row["error_contains"].get<std::string>()), std::string::npos)
          << row << parsed.error().message();
    }
  }
  for (const auto& row : manifest["inline_rule_files"]) {
    const auto parsed = ParseRuleFile(row["rules"].get<std::string>(), "inline.yml");
    EXPECT_EQ(parsed.has_value(), row["passes"].get<bool>()) << row << (parsed ? "" : parsed.error().message());
  }
}

// Real rule files: at most these many verdicts may differ from Prometheus's (their causes are in the
// corpus: newer syntax).
TEST(RuleFileConformanceTest, RealRuleFilesGetPrometheusVerdict) {
  const char* root = std::getenv("TOCSIN_SHARED");
  const std::string folder = (root != nullptr ? std::string(root) : "../shared") + "/corpus/";
  base::FileSystem* fs = base::RealFileSystem();
  const auto text = fs->ReadFile(folder + "rules/manifest.json");
  if (!text) GTEST_SKIP() << "no shared test data";
  const auto manifest = nlohmann::json::parse(*text);
  int checked = 0, differ = 0;
  for (const auto& row : manifest) {
    const std::string name = row["file"];
    const auto content = fs->ReadFile(folder + name);
    if (!content || !row.contains("check")) continue;
    ++checked;
    const auto parsed = ParseRuleFile(*content, name);
    if (parsed.has_value() == row["check"]["accepted"].get<bool>()) continue;
    ++differ;
    GTEST_LOG_(INFO) << name << ": " << (parsed ? "accepted" : parsed.error().message().substr(0, 300))
                     << " reference: " << row["check"].dump().substr(0, 300);
  }
  EXPECT_GT(checked, 500);
  EXPECT_LE(differ, checked * 3 / 100);
}

}  // namespace
}  // namespace tocsin::ruler
