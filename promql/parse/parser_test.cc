#include "promql/parse/parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "promql/parse/functions.h"
#include "promql/parse/printer.h"

namespace tocsin::promql {
namespace {

using ::testing::HasSubstr;

constexpr ParseOptions kEverything{.experimental_functions = true,
                                   .extended_range_selectors = true,
                                   .binop_fill_modifiers = true,
                                   .duration_expressions = true};

std::string ErrorOf(std::string_view text, const ParseOptions& options = {}) {
  auto e = ParseAll(text, options);
  return e ? "no error" : e.error().First(text);
}

std::string RoundTrip(std::string_view text) {
  auto e = ParseAll(text, kEverything);
  return e ? Print(**e) : e.error().First(text);
}

// The expression with a pair of parentheses for each operator.
std::string Tree(const Expr& e) {
  if (e.kind == ExprKind::kBinary) {
    const auto& b = As<Binary>(e);
    return "(" + Tree(*b.lhs) + " " + std::string(BinaryOpText(b.op)) + " " + Tree(*b.rhs) + ")";
  }
  if (e.kind == ExprKind::kUnary) {
    return (As<Unary>(e).negate ? "(-" : "(+") + Tree(*As<Unary>(e).expr) + ")";
  }
  return Print(e);
}

TEST(ParserTest, OperatorsBindAsInPrometheus) {
  struct Row {
    std::string_view text;
    std::string_view tree;
  };
  constexpr Row kRows[] = {
      {"a + b * c", "(a + (b * c))"},
      {"a * b + c", "((a * b) + c)"},
      {"a ^ b ^ c", "(a ^ (b ^ c))"},
      {"a - b - c", "((a - b) - c)"},
      {"-a ^ b", "(-(a ^ b))"},
      {"-a * b", "((-a) * b)"},
      {"a ^ -b ^ c", "(a ^ (-(b ^ c)))"},
      {"a ^ -b * c", "((a ^ (-b)) * c)"},
      {"a or b and c", "(a or (b and c))"},
      {"a and b unless c", "((a and b) unless c)"},
      {"a == b + c", "(a == (b + c))"},
      {"a atan2 b + c", "((a atan2 b) + c)"},
      {"a >/ b + c", "(a >/ (b + c))"},
      {"a offset 5m - 2", "(a offset 5m - 2)"},
      {"-1 ^ 2", "(-(1 ^ 2))"},
      {"-1 * 2", "(-1 * 2)"},
  };
  for (const Row& row : kRows) {
    auto e = ParseAll(row.text, kEverything);
    ASSERT_TRUE(e) << row.text << ": " << e.error().First(row.text);
    EXPECT_EQ(Tree(**e), row.tree) << row.text;
  }
}

TEST(ParserTest, ErrorsSayWhereAndWhat) {
  struct Row {
    std::string_view text;
    std::string_view error;
  };
  constexpr Row kRows[] = {
      {"", "unknown position: parse error: no expression found in input"},
      {"1 +", "1:4: parse error: unexpected end of input"},
      {"sum(", "1:5: parse error: unclosed left parenthesis"},
      {"a\n+ ]", "2:3: parse error: unexpected right bracket ']'"},
      {"a b", "1:3: parse error: unexpected identifier \"b\""},
      {"sum(a b)", "1:7: parse error: unexpected identifier \"b\" in aggregation"},
      {"rate(a b)", "1:8: parse error: unexpected identifier \"b\""},
      {"f:g(x)", "1:4: parse error: unexpected \"(\""},
      {"sum by (x) y", "1:12: parse error: unexpected identifier \"y\" in aggregation"},
      {"sum(a) by (1)", "1:12: parse error: unexpected number \"1\" in grouping opts, expected label"},
      {"sum(a) by (b c)",
       "1:14: parse error: unexpected identifier \"c\" in grouping opts, expected \",\" or \")\""},
      {"sum by (\"\") (a)", "1:9: parse error: invalid label name for grouping: \"\""},
      {"abs(a, *b)", "1:6: parse error: trailing commas not allowed in function call args"},
      {"{=\"a\"}",
       "1:2: parse error: unexpected \"=\" in label matching, expected identifier or \"}\""},
      {"a offset b",
       "1:10: parse error: unexpected identifier \"b\" in offset, expected number, duration, "
       "step(), or range()"},
      {"a @ b", "1:5: parse error: unexpected identifier \"b\" in @, expected timestamp"},
      {"a @ 5 @ 6", "1:1: parse error: @ <timestamp> may not be set multiple times"},
      {"a[5m 5m]",
       "1:6: parse error: unexpected duration \"5m\" in subquery or range, expected \":\" or \"]\""},
      {"a[5m:1m", "1:8: parse error: unclosed left bracket"},
      {"a[5m] anchored", "1:1: parse error: anchored modifier is experimental and not enabled"},
      {"info(a)", "1:1: parse error: function \"info\" is not enabled"},
      {"limitk(1, a)",
       "1:1: parse error: limitk() is experimental and must be enabled with "
       "--enable-feature=promql-experimental-functions"},
      {"a + fill(0) b", "1:1: parse error: binop fill modifiers are experimental and not enabled"},
      {"1 == 1", "1:3: parse error: comparisons between scalars must use BOOL modifier"},
      {"sum(a[5m])",
       "1:5: parse error: expected type instant vector in aggregation expression, got range vector"},
      {"a + \"b\"",
       "1:5: parse error: binary expression must contain only scalar and instant vector types"},
      {"round(a, 1, 2)",
       "1:1: parse error: expected at most 2 argument(s) in call to \"round\", got 3"},
      {"label_join(a)",
       "1:1: parse error: expected at least 3 argument(s) in call to \"label_join\", got 1"},
  };
  for (const Row& row : kRows) EXPECT_EQ(ErrorOf(row.text), row.error) << row.text;
}

TEST(ParserTest, ABadRegularExpressionIsAnErrorAtItsMatcher) {
  EXPECT_THAT(ErrorOf("a{b=~\"(\"}"), HasSubstr("1:3: parse error: error parsing regexp"));
}

TEST(ParserTest, ExplainShowsTheLineACaretAndAHint) {
  std::string text = "sum(\n  rate(requests)\n)";
  auto e = ParseAll(text);
  ASSERT_FALSE(e);
  EXPECT_EQ(e.error().Explain(text),
            "2:8: parse error: expected type range vector in call to function \"rate\", got instant "
            "vector\n"
            "    rate(requests)\n"
            "         ^^^^^^^^\n"
            "hint: give the selector a range, as in rate(metric[5m])\n");
}

TEST(ParserTest, ExplainCutsLongLinesAroundThePlace) {
  std::string text =
      "a{b=\"" + std::string(5000, 'x') + "\"} + + ] + c{d=\"" + std::string(5000, 'y') + "\"}";
  auto e = ParseAll(text);
  ASSERT_FALSE(e);
  std::string explained = e.error().Explain(text);
  EXPECT_LT(explained.size(), 600U);
  EXPECT_THAT(explained, HasSubstr("^"));
}

TEST(ParserTest, ASelectorIsReadAlone) {
  auto m = ParseMetricSelector("up{job=~\"a|b\",instance!=\"c\"}");
  ASSERT_TRUE(m) << m.error().message();
  ASSERT_EQ(m->size(), 3U);
  EXPECT_EQ((*m)[2].ToString(), "__name__=\"up\"");
  EXPECT_EQ(ParseMetricSelector("up[5m]").error().message(),
            "1:3: parse error: unexpected \"[\"");
  EXPECT_EQ(ParseMetricSelector("").error().message(),
            "unknown position: parse error: unexpected end of input");
  EXPECT_FALSE(ParseMetricSelector("5"));
}

TEST(ParserTest, WhatPrintsParsesAgainToTheSame) {
  constexpr std::string_view kTexts[] = {
      "sum by (a, \"b.c\") (rate({\"x.y\",z=\"1\"}[5m] offset -1m)) > bool 3",
      "a + on (b) group_left (c) fill_left (-1) fill_right (2) d",
      "x[5m + step():1m * 2] @ end() offset -(5m)",
      "x[(5m)] @ 1.500",
      "-(a ^ -b)",
      "count_values without () (\"v\\n\\\"\", x)",
      "max_of(1, 5m)",
      "info(x, {__name__=~\".+\"})",
      "quantile by (le) (0.9, x anchored)",
  };
  for (std::string_view text : kTexts) {
    std::string once = RoundTrip(text);
    EXPECT_THAT(once, Not(HasSubstr("parse error"))) << text;
    EXPECT_EQ(RoundTrip(once), once) << text;
  }
}

TEST(ParserTest, AFractionOfADurationIsKept) {
  auto e = ParseAll("x[0.5]");
  ASSERT_TRUE(e);
  EXPECT_EQ(As<MatrixSelector>(**e).range, base::Duration(std::chrono::milliseconds(500)));
}

TEST(ParserTest, DeepNestingIsRefusedNotDiedOf) {
  for (std::string_view open : {"(", "-", "sum(", "abs(", "a + (", "a[(", "1 ^ ", "x offset -(",
                                "x offset --", "a[max_of("}) {
    std::string text;
    for (int i = 0; i < 10000; ++i) text += open;
    EXPECT_THAT(ErrorOf(text + "1"), HasSubstr("parse error")) << open;
  }
  std::string balanced = std::string(10000, '(') + "1" + std::string(10000, ')');
  EXPECT_THAT(ErrorOf(balanced), HasSubstr("nested more than 1000 levels deep"));
  std::string fine = std::string(400, '(') + "1" + std::string(400, ')');
  EXPECT_EQ(ErrorOf(fine), "no error");
}

TEST(ParserTest, LongChainsAreRefusedWithAReason) {
  std::string chain = "a";
  for (int i = 0; i < 100000; ++i) chain += "+a";
  EXPECT_THAT(ErrorOf(chain), HasSubstr("operators deep, the limit is 5000"));
  EXPECT_THAT(ErrorOf("abs(" + chain + " b"), HasSubstr("unexpected identifier"));
  std::string subqueries = "a";
  for (int i = 0; i < 100000; ++i) subqueries += "[1m:]";
  EXPECT_THAT(ErrorOf(subqueries), HasSubstr("subquery is only allowed"));
  std::string fine = "a";
  for (int i = 0; i < 4000; ++i) fine += "+a";
  EXPECT_EQ(ErrorOf(fine), "no error");
  std::string durations = "a[1";
  for (int i = 0; i < 100000; ++i) durations += "+1";
  EXPECT_THAT(ErrorOf(durations + "]"), HasSubstr("more than 1000 operators"));
}

TEST(ParserTest, HugeInputIsRefusedAtOnce) {
  std::string text(10 << 20, '1');
  EXPECT_THAT(ErrorOf(text), HasSubstr("the limit is 1048576"));
}

TEST(ParserTest, AnyBytesAreAnsweredWithATreeOrAnError) {
  std::mt19937 random(42);
  constexpr std::string_view kPieces[] = {
      "sum",      "by",     "(",   ")",     "[",     "]",          "{",    "}",        "5m",
      ":",        ",",      "rate", "foo",  "+",     "-",          "*",    "offset",   "@",
      "start",    "end",    "step", "()",   "on",    "bool",       "1",    "\"a\"",    "=",
      "=~",       "!=",     "==",   " ",    "\n",    "#",          "fill", "max_of",   "`",
      "'",        "\\",     "^",    "group_left",    "topk",       "nan",  "anchored", "0x",
      "1e",       "{\"x\"}", "[5m:]", "and", "</",   "without",    "ignoring"};
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    int length = static_cast<int>(random() % 12) + 1;
    for (int i = 0; i < length; ++i) {
      if (random() % 16 == 0) {
        text += static_cast<char>(random() % 256);
      } else {
        text += kPieces[random() % std::size(kPieces)];
      }
    }
    auto e = ParseAll(text, kEverything);
    if (e) {
      std::string printed = Print(**e);
      auto again = ParseAll(printed, kEverything);
      ASSERT_TRUE(again) << text << "\nprinted: " << printed << "\n"
                         << again.error().First(printed);
      EXPECT_EQ(Print(**again), printed) << text;
      EXPECT_EQ(Print(*Clone(**e)), printed);
      EXPECT_TRUE(ParseAll(Prettify(**e, 10), kEverything)) << text;
    } else {
      ASSERT_FALSE(e.error().errors.empty()) << text;
      EXPECT_FALSE(e.error().Explain(text).empty());
    }
    base::Ignore(ParseMetricSelector(text));  // it must only not die
  }
}

TEST(FunctionsTest, TheTableIsSortedAndComplete) {
  std::string_view last;
  for (const FunctionSpec& f : AllFunctions()) {
    EXPECT_LT(last, f.name);
    last = f.name;
    EXPECT_EQ(FindFunction(f.name), &f);
  }
  EXPECT_EQ(FindFunction("holt_winters"), nullptr);
}

}  // namespace
}  // namespace tocsin::promql
