#include "ruler/dependencies.h"

#include <gtest/gtest.h>

namespace tocsin::ruler {
namespace {

struct Case {
  const char* name;
  const char* rules;
  std::vector<size_t> needed;
};

TEST(DependenciesTest, ARuleNeedsTheLastOneWhoseSeriesItMayReadOrWrite) {
  const Case cases[] = {
      {"nothing in common", "[{record: a, expr: x}, {record: b, expr: y}]", {0, 0}},
      {"a rule reads what another records", "[{record: a, expr: x}, {record: b, expr: y}, {record: c, expr: 'sum(a)'}]",
       {0, 0, 1}},
      {"the last of several counts", "[{record: a, expr: x}, {record: b, expr: y}, {record: c, expr: a + b}]", {0, 0, 2}},
      {"an expression of names", "[{record: 'a:x', expr: x}, {record: b, expr: '{__name__=~\"a:.*\"}'}]", {0, 1}},
      {"an expression of other names", "[{record: 'a:x', expr: x}, {record: b, expr: '{__name__!~\"a:.*\", job=\"j\"}'}]", {0, 0}},
      {"a selector without a name may read anything", "[{record: a, expr: x}, {record: b, expr: '{job=\"j\"}'}]", {0, 1}},
      {"info() reads what it does not name", "[{record: target_info, expr: x}, {record: b, expr: 'info(y)'}]", {0, 1}},
      {"its own results are those of before", "[{record: a, expr: a + 1}]", {0}},
      {"ALERTS", "[{alert: A, expr: x}, {record: b, expr: 'count(ALERTS)'}, {record: c, expr: ALERTS_FOR_STATE}]",
       {0, 1, 1}},
      {"alerts of one name may write one series", "[{alert: A, expr: x}, {alert: A, expr: y}, {alert: B, expr: x}]",
       {0, 1, 0}},
      {"labels tell series apart",
       "[{record: a, expr: x, labels: {l: '1'}}, {record: a, expr: y, labels: {l: '2'}}, {record: a, expr: z}]",
       {0, 0, 2}},
      {"labels of templates do not",
       "[{alert: A, expr: x, labels: {l: '{{ $value }}'}}, {alert: A, expr: y, labels: {l: '2'}}]", {0, 1}},
      {"labels that the reader does not want",
       "[{record: a, expr: x, labels: {l: '1'}}, {record: b, expr: 'a{l=\"2\"}'}, {record: c, expr: 'a{l=~\"1|2\"}'}]",
       {0, 0, 1}},
      {"a label that the rule takes away", "[{record: a, expr: x, labels: {l: ''}}, {record: b, expr: 'a{l=\"2\"}'}]", {0, 0}},
      {"labels that the rule leaves alone", "[{record: a, expr: x, labels: {l: '1'}}, {record: b, expr: 'a{k=\"2\"}'}]", {0, 1}},
      {"alerts of other names", "[{alert: A, expr: x}, {record: b, expr: 'ALERTS{alertname=\"B\"}'}]", {0, 0}},
      {"a label of a template may be anything",
       "[{alert: A, expr: x, labels: {l: '{{ $value }}'}}, {record: b, expr: 'ALERTS_FOR_STATE{l=\"2\"}'}]", {0, 1}},
      {"a template may run a query",
       "[{record: a, expr: x}, {alert: A, expr: y, annotations: {n: '{{ query \"a\" }}'}}]", {0, 1}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const RuleFileOptions options{.parse = {.experimental_functions = true}};
    auto file = ParseRuleFile("groups: [{name: g, rules: " + std::string(c.rules) + "}]", "f.yml", options);
    ASSERT_TRUE(file) << file.error().message();
    EXPECT_EQ(RulesNeeded(file->groups.at(0).rules), c.needed);
  }
}

TEST(DependenciesTest, APartIsChangedByTheLastRuleWhoseSeriesItMayReadWhateverTheRestReads) {
  auto file = ParseRuleFile("groups: [{name: g, rules: [{record: a, expr: x}, {record: b, expr: y}, {record: c, expr: 'sum(a) + sum(x)'}]}]",
                            "f.yml", {});
  ASSERT_TRUE(file) << file.error().message();
  const std::vector<RuleSpec>& rules = file->groups.at(0).rules;
  const auto& sum = promql::As<promql::Binary>(*rules[2].expr);
  EXPECT_EQ(LastWriterBefore(rules, 2, *sum.lhs), 1u);
  EXPECT_EQ(LastWriterBefore(rules, 2, *sum.rhs), 0u);
  EXPECT_EQ(LastWriterBefore(rules, 2, sum), 1u);
  EXPECT_EQ(LastWriterBefore(rules, 0, *sum.lhs), 0u);
}

}  // namespace
}  // namespace tocsin::ruler
