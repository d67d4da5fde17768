#include "model/matcher.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

namespace tocsin::model {
namespace {

TEST(MatcherTest, ComparesWithItsOperator) {
  struct Row {
    MatchOp op;
    const char *value, *label;
    bool matches;
  };
  for (const Row& row : {
           Row{MatchOp::kEqual, "a", "a", true}, {MatchOp::kEqual, "a", "b", false},
           {MatchOp::kEqual, "", "", true}, {MatchOp::kNotEqual, "a", "b", true},
           {MatchOp::kNotEqual, "a", "a", false}, {MatchOp::kNotEqual, "", "", false},
           {MatchOp::kRegex, "a.*", "ab", true}, {MatchOp::kRegex, "a.*", "ba", false},
           {MatchOp::kRegex, ".*", "", true}, {MatchOp::kNotRegex, "a|b", "a", false},
           {MatchOp::kNotRegex, "a|b", "c", true}, {MatchOp::kNotRegex, ".+", "", true},
       }) {
    auto m = Matcher::Make(row.op, "x", row.value);
    ASSERT_TRUE(m);
    EXPECT_EQ(m->Matches(row.label), row.matches) << m->ToString() << " on " << row.label;
    EXPECT_EQ(m->Matches(Labels::FromPairs({{"x", row.label}, {"y", "1"}})), row.matches);
  }
}

TEST(MatcherTest, AMissingLabelIsTheEmptyValue) {
  EXPECT_TRUE(Matcher::Make(MatchOp::kNotEqual, "x", "a")->Matches(Labels()));
  EXPECT_TRUE(Matcher::Make(MatchOp::kRegex, "x", "a?")->matches_empty());
  EXPECT_FALSE(Matcher::Equal("x", "a").matches_empty());
}

TEST(MatcherTest, IsPrintedWithNamesQuotedWhereTheyMustBe) {
  EXPECT_EQ(Matcher::Equal("job", "a\"b").ToString(), "job=\"a\\\"b\"");
  EXPECT_EQ(Matcher::Make(MatchOp::kNotRegex, "my.label", "x|y")->ToString(), "\"my.label\"!~\"x|y\"");
}

TEST(MatcherTest, ABadExpressionIsRefusedWithGosWords) {
  auto m = Matcher::Make(MatchOp::kRegex, "x", "foo[");
  ASSERT_FALSE(m);
  EXPECT_EQ(m.error().message(), "error parsing regexp: missing closing ]: `[`");
  EXPECT_TRUE(Matcher::Make(MatchOp::kEqual, "x", "foo["));
}

TEST(MatcherTest, AllOfAListMustMatch) {
  Labels l = Labels::FromPairs({{"a", "1"}, {"b", "2"}});
  EXPECT_TRUE(MatchesAll(Matchers{}, l));
  EXPECT_TRUE(MatchesAll(Matchers{Matcher::Equal("a", "1"), Matcher::Equal("b", "2")}, l));
  EXPECT_FALSE(MatchesAll(Matchers{Matcher::Equal("a", "1"), Matcher::Equal("b", "3")}, l));
}

TEST(MatcherTest, AgreesWithTheUpstreamCases) {
  const char* shared = std::getenv("TOCSIN_SHARED");
  std::ifstream file(std::string(shared != nullptr ? shared : "../shared") +
                     "/conformance/promql/label_matcher_cases.json");
  if (!file) GTEST_SKIP() << "the conformance kit is not here; set TOCSIN_SHARED";
  for (const auto& c : nlohmann::json::parse(file)) {
    std::string op = c["op"];
    MatchOp kind = op == "=" ? MatchOp::kEqual : op == "!=" ? MatchOp::kNotEqual : op == "=~" ? MatchOp::kRegex : MatchOp::kNotRegex;
    auto m = Matcher::Make(kind, "x", c["value"].get<std::string>());
    ASSERT_TRUE(m) << c;
    EXPECT_EQ(m->Matches(c["input"].get<std::string>()), c["matches"].get<bool>()) << c;
  }
}

}  // namespace
}  // namespace tocsin::model
