// `check rules`, `test rules` and `template render` in process.

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/simulated_file_system.h"
#include "tools/check_rules.h"
#include "tools/template_render.h"
#include "tools/test_rules.h"

namespace tocsin::tools {
namespace {

class RulesVerbsTest : public testing::Test {
 protected:
  void Write(const std::string& path, std::string_view text) { ASSERT_TRUE(fs_.WriteFileAtomically(path, text)); }
  int Run(Verb verb, const std::vector<std::string>& args, const std::string& input = "") {
    out_.clear();
    err_.clear();
    return verb(args, ToolIo{.out = [this](std::string_view s) { out_ += s; },
                             .err = [this](std::string_view s) { err_ += s; },
                             .read_input = [input] { return input; },
                             .fs = &fs_});
  }

  base::SimulatedFileSystem fs_;
  std::string out_;
  std::string err_;
};

constexpr const char* kRules =
    "groups:\n"
    "- name: g\n"
    "  rules:\n"
    "  - {record: 'job:up:sum', expr: sum by (job) (up)}\n"
    "  - alert: Down\n"
    "    expr: up == 0\n"
    "    for: 2m\n"
    "    labels: {severity: page}\n"
    "    annotations: {s: '{{ $labels.instance }} down'}\n";

constexpr const char* kTest =
    "rule_files: [rules.yml]\n"
    "evaluation_interval: 1m\n"
    "tests:\n"
    "- name: goes down\n"
    "  interval: 1m\n"
    "  input_series:\n"
    "  - {series: 'up{job=\"api\", instance=\"a\"}', values: '1 0x5'}\n"
    "  alert_rule_test:\n"
    "  - {eval_time: 2m, alertname: Down}\n"
    "  - eval_time: 3m\n"
    "    alertname: Down\n"
    "    exp_alerts:\n"
    "    - exp_labels: {severity: page, job: api, instance: a}\n"
    "      exp_annotations: {s: a down}\n"
    "  promql_expr_test:\n"
    "  - {expr: 'job:up:sum', eval_time: 0m, exp_samples: [{labels: 'job:up:sum{job=\"api\"}', value: 1}]}\n";

TEST_F(RulesVerbsTest, CheckRulesCountsAndComplains) {
  Write("rules.yml", kRules);
  EXPECT_EQ(Run(CheckRules, {"rules.yml"}), 0);
  EXPECT_EQ(out_, "Checking rules.yml\n  SUCCESS: 2 rules found\n\n");
  EXPECT_EQ(Run(CheckRules, {}, kRules), 0);
  EXPECT_EQ(out_, "Checking standard input\n  SUCCESS: 2 rules found\n\n");
  EXPECT_EQ(Run(CheckRules, {"missing.yml", "rules.yml"}), 1);
  EXPECT_NE(err_.find("missing.yml"), std::string::npos);
}

TEST_F(RulesVerbsTest, LintFindingsFailOnlyWhenFatal) {
  Write("d.yml", "groups: [{name: g, rules: [{record: a, expr: '1'}, {record: a, expr: '2'}]}]\n");
  EXPECT_EQ(Run(CheckRules, {"d.yml"}), 0);
  EXPECT_NE(err_.find("1 duplicate rule(s) found.\nMetric: a\n"), std::string::npos) << err_;
  EXPECT_EQ(Run(CheckRules, {"--lint-fatal", "d.yml"}), 3);
  EXPECT_EQ(Run(CheckRules, {"--lint=none", "--lint-fatal", "d.yml"}), 0);
  EXPECT_NE(Run(CheckRules, {"--lint=what", "d.yml"}), 0);
}

TEST_F(RulesVerbsTest, ARuleTestPassesOrShowsBothSides) {
  Write("rules.yml", kRules);
  Write("t.yml", kTest);
  EXPECT_EQ(Run(TestRules, {"t.yml"}), 0) << err_;
  EXPECT_EQ(out_, "Unit Testing:  t.yml\n  SUCCESS\n\n");
  std::string wrong = kTest;
  wrong.replace(wrong.find("a down"), 6, "b down");
  Write("t.yml", wrong);
  EXPECT_EQ(Run(TestRules, {"t.yml"}), 1);
  EXPECT_NE(err_.find("alertname: Down, time: 3m"), std::string::npos) << err_;
  EXPECT_NE(err_.find("Annotations:{s=\"b down\"}"), std::string::npos) << err_;
  EXPECT_NE(err_.find("Annotations:{s=\"a down\"}"), std::string::npos) << err_;
  EXPECT_EQ(Run(TestRules, {"--run=other", "t.yml"}), 0) << "no test of that name";
  EXPECT_EQ(Run(TestRules, {"--diff", "--junit=j.xml", "t.yml"}), 1);
  const auto junit = fs_.ReadFile("j.xml");
  ASSERT_TRUE(junit);
  EXPECT_NE(junit->find("<testsuite name=\"t.yml\" tests=\"1\" failures=\"1\" errors=\"0\">"), std::string::npos) << *junit;
  EXPECT_NE(junit->find("<testcase name=\"goes down\">"), std::string::npos);
}

TEST_F(RulesVerbsTest, ASampleWhoseLabelsDoNotParseFailsItsTestAlone) {
  Write("rules.yml", kRules);
  Write("t.yml", "rule_files: [rules.yml]\ntests:\n- interval: 1m\n  input_series: [{series: 'up', values: '1x9'}]\n"
                 "  promql_expr_test:\n  - {expr: up, eval_time: 3m, exp_samples: [{labels: '{', value: 1}]}\n"
                 "  - {expr: up, eval_time: 4m, exp_samples: [{labels: up, value: 2}]}\n");
  EXPECT_EQ(Run(TestRules, {"t.yml"}), 1);
  EXPECT_NE(err_.find("    expr: \"up\", time: 3m, err: labels \"{\": 1:2: parse error: "), std::string::npos) << err_;
  EXPECT_NE(err_.find("    expr: \"up\", time: 4m,\n        exp: "), std::string::npos) << err_;
}

TEST_F(RulesVerbsTest, RulesAreReadForATestOnly) {
  Write("rules.yml", "groups: [\n");
  Write("t.yml", "rule_files: [rules.yml]\ntests: []\n");
  EXPECT_EQ(Run(TestRules, {"t.yml"}), 0) << err_;
  Write("t.yml", "rule_files: [rules.yml]\ntests: [{name: a, interval: 1m}]\n");
  EXPECT_EQ(Run(TestRules, {"--run=b", "t.yml"}), 0) << err_;
  EXPECT_EQ(Run(TestRules, {"t.yml"}), 1);
  EXPECT_NE(err_.find("rules.yml:2:1: "), std::string::npos) << err_;
}

TEST_F(RulesVerbsTest, AMissingFileIsNamedBeforeAnyIsRun) {
  Write("t.yml", "tests: []\n");
  EXPECT_EQ(Run(TestRules, {"t.yml", "missing.yml"}), 1);
  EXPECT_EQ(out_, "");
  EXPECT_EQ(err_, "error: path 'missing.yml' does not exist\n");
}

TEST_F(RulesVerbsTest, ASeriesMuchLongerThanTheTestCostsNothing) {
  Write("rules.yml", kRules);
  Write("t.yml", "rule_files: [rules.yml]\ntests:\n- interval: 1m\n  input_series: [{series: 'up', values: '1x99999999999'}]\n"
                 "  promql_expr_test: [{expr: up, eval_time: 1m, exp_samples: [{labels: up, value: 1}]}]\n");
  EXPECT_EQ(Run(TestRules, {"t.yml"}), 0) << err_;
}

TEST_F(RulesVerbsTest, TemplateRenderTakesFilesTextAndData) {
  ASSERT_TRUE(fs_.CreateFolders("t"));
  Write("t/a.tmpl", "{{ define \"mine\" }}<{{ .Status }}>{{ end }}");
  Write("data.json", "{\"status\":\"firing\",\"alerts\":[{\"status\":\"firing\",\"labels\":{\"alertname\":\"A\"},"
                     "\"startsAt\":\"2023-04-05T08:07:08+02:00\"}]}");
  EXPECT_EQ(Run(TemplateRender, {"--template.glob=t/*.tmpl", "--template.text={{ template \"mine\" . }}{{ (index .Alerts 0).StartsAt }}",
                                 "--template.data=data.json"}), 0) << err_;
  EXPECT_EQ(out_, "<firing>2023-04-05 08:07:08 +0200 +0200");
  EXPECT_EQ(Run(TemplateRender, {"--template.glob=t/*.tmpl", "--template.text={{ template \"slack.default.title\" . }}|{{ .Receiver }} {{ len .Alerts }}"}), 0);
  EXPECT_EQ(out_, "[ALERTSTATUS] grouplabelvalue1 grouplabelvalue2 |receiver 2");
  EXPECT_EQ(Run(TemplateRender, {"--template.glob=t/*.tmpl", "--template.type=html", "--template.text=<p>{{ \"<\" }}</p>"}), 0);
  EXPECT_EQ(out_, "<p>&lt;</p>");
  EXPECT_EQ(Run(TemplateRender, {"--template.glob=t/*.tmpl", "--template.text={{ .Nope }}"}), 1);
  EXPECT_EQ(out_, "");
  EXPECT_NE(err_.find("can't evaluate field Nope in type template.Data"), std::string::npos) << err_;
  EXPECT_EQ(Run(TemplateRender, {"--template.text=x"}), 1) << "the glob is required, as in amtool";
  Write("data.json", "{\"status\": 5}");
  EXPECT_EQ(Run(TemplateRender, {"--template.glob=t/*.tmpl", "--template.text=x", "--template.data=data.json"}), 1);
  EXPECT_NE(err_.find("data.json.status: expected a string"), std::string::npos) << err_;
}

// The kit's manifest, with the real files.
TEST(RulesVerbsConformanceTest, EachFileOfTheManifestGetsItsExitStatus) {
  const char* shared = std::getenv("TOCSIN_SHARED");
  const std::string root = std::string(shared != nullptr ? shared : "../shared") + "/conformance/rules/";
  std::ifstream in(root + "manifest.json");
  if (!in) GTEST_SKIP() << "no shared/ folder";
  const auto doc = nlohmann::json::parse(in);
  int passed = 0;
  for (const char* kind : {"unit_tests", "check_rules"}) {
    for (const auto& c : doc[kind]) {
      std::vector<std::string> args;
      for (const std::string arg : c["args"]) {
        if (arg == "test" || arg == "check" || arg == "rules") continue;
        args.push_back(arg == c["file"] ? root + c["dir"].get<std::string>() + "/" + arg : arg);
      }
      std::string said;
      const ToolIo io{.out = [&](std::string_view s) { said += s; },
                      .err = [&](std::string_view s) { said += s; },
                      .read_input = [] { return std::string(); },
                      .fs = base::RealFileSystem()};
      const int exit = std::string_view(kind) == "unit_tests" ? TestRules(args, io) : CheckRules(args, io);
      const bool ok = exit == c["exit"] && said.find(c.value("error_contains", "")) != std::string::npos;
      passed += ok;
      EXPECT_TRUE(ok) << c["args"] << ": exit " << exit << ", wanted " << c["exit"] << "\n" << said;
    }
  }
  std::cout << passed << " of " << doc["unit_tests"].size() + doc["check_rules"].size() << " passed\n";
}

}  // namespace
}  // namespace tocsin::tools
