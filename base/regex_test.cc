#include "base/regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tocsin::base {
namespace {

using ::testing::ElementsAre;

struct Match {
  const char* pattern;
  std::string text;
  bool matches;
};

TEST(RegexTest, AnAnchoredPatternMatchesTheWholeText) {
  for (const Match& row : {
           Match{"", "", true}, {"", "a", false},
           {"a", "a", true}, {"a", "ba", false}, {"a", "ab", false},
           {"a|b|c", "b", true}, {"a|b|c", "d", false}, {"a|b|c", "a|b|c", false},
           {"foo|", "", true}, {"foo|", "foo", true}, {"foo|", "fo", false},
           {"a(b|c)d", "abd", true}, {"a(?:b|c)d", "acd", true}, {"a(b|c)d", "ad", false},
           {"^foo$", "foo", true}, {"^foo|bar$", "bar", true}, {"^(foo|bar)$", "bar", true},
           {"[ab]c", "bc", true}, {"[ab]c", "cc", false}, {"[a-c]c", "bc", true}, {"[^a]", "b", true},
           {".*", "", true}, {".*", "a\nb", true}, {".+", "", false}, {".+", "\n", true},
           {"foo.*", "foobar", true}, {"foo.*", "foo\n", true}, {"foo.*", "fo", false},
           {".*foo", "xfoo", true}, {".*foo", "foox", false}, {".+foo", "foo", false},
           {".*foo.*", "xfoox", true}, {".+foo.+", "xfoo", false}, {"a.*b.*c", "a-b-c", true},
           {"a.*b.*c", "abc", true}, {"a.*b.+c", "abc", false}, {"a.*ab", "ab", false},
           {"a.*ab", "aab", true}, {".*a.*a", "a", false}, {".+.+", "é", false}, {".+.+", "éé", true},
           {"foo.*?", "foobar", true}, {"foo\\.bar", "foo.bar", true}, {"foo\\.bar", "fooxbar", false},
           {"foo\\.bar|x\\-y", "x-y", true}, {"ab*", "a", true}, {"ab*", "abbb", true}, {"ab?", "a", true},
           {"ab{2}", "abb", true}, {"éé?", "é", true}, {"é*", "éé", true}, {"(?i)foo", "FOO", true},
           {"(?i:a)b|c", "Ab", true}, {"foo|bar.*", "barx", true}, {"(foo|bar).*", "barx", true},
           {"10\\..*", "10.0.0.1", true}, {"a|^b", "b", true}, {"a^b", "a^b", false}, {"(^a)", "a", true},
           {"\\Qa.b\\E", "a.b", true}, {"\\Qa(?<b\\E", "a(?<b", true}, {"[(?<n>]", "(", true},
           {"(?<n>a)b", "ab", true}, {"(?P<n>a)b", "ab", true}, {"\\d+", "42", true},
           {"[[:alpha:]]+", "ab", true}, {"[]a]", "]", true},
       }) {
    auto re = Regex::Anchored(row.pattern);
    ASSERT_TRUE(re) << row.pattern << ": " << re.error().message();
    EXPECT_EQ(re->Matches(row.text), row.matches) << row.pattern << " on " << row.text;
    EXPECT_EQ(re->pattern(), row.pattern);
  }
}

TEST(RegexTest, TheFastWaysAgreeWithTheAutomaton) {
  // An optional group that takes no part keeps the analysis from understanding the pattern.
  const std::vector<std::string> texts = {"",    "a",   "b",    "ab",   "aa",   "ba",  "abc", "abab", "aab",
                                          "cab", "bca", "abba", "a\nb", "éab", "abé", "é",   "c",    "bb"};
  for (const char* pattern :
       {"a", "a|b", "a|b|ab|cab|bb|c|é|abc|aab", ".*a", "a.*", ".*a.*", "a.*b", ".+a", "a.+", ".*a.*b.*", "a.+b",
        ".*ab.*ab", "a(b|)", "(a|b)(a|b)", ".+", ".*", "[ab]", "^a$", "ab.*", ".*é", ".+é.*"}) {
    auto fast = Regex::Anchored(pattern);
    auto slow = Regex::Anchored("(?:" + std::string(pattern) + ")(?:\\x{10ffff}\\x{10ffff})?");
    ASSERT_TRUE(fast && slow) << pattern;
    for (const std::string& text : texts) {
      EXPECT_EQ(fast->Matches(text), slow->Matches(text)) << pattern << " on " << text;
    }
  }
}

TEST(RegexTest, PlansSeeSetsAndPrefixes) {
  struct Row {
    const char* pattern;
    std::vector<std::string> set;
    const char* prefix;
    bool empty;
  };
  for (const Row& row : {
           Row{"b|a|b", {"a", "b"}, "", false},
           {"foo|foobar", {"foo", "foobar"}, "foo", false},
           {"x(1|2)(a|b)", {"x1a", "x1b", "x2a", "x2b"}, "x", false},
           {"a|", {"", "a"}, "", true},
           {"node.*", {}, "node", false},
           {"node\\.x.*y", {}, "node.x", false},
           {"nodes?", {}, "node", false},
           {"é?", {}, "", true},
           {"foo[0-9]+", {}, "foo", false},
           {"foo(a+|b)", {}, "", false},
           {".*", {}, "", true},
           {"(?i)foo", {}, "", false},
       }) {
    auto re = Regex::Anchored(row.pattern);
    ASSERT_TRUE(re) << row.pattern;
    EXPECT_EQ(re->set_matches(), row.set) << row.pattern;
    EXPECT_EQ(re->prefix(), row.prefix) << row.pattern;
    EXPECT_EQ(re->matches_empty(), row.empty) << row.pattern;
  }
}

TEST(RegexTest, ErrorsHaveGosWording) {
  struct Row {
    const char *pattern, *error;
  };
  for (const Row& row : {
           Row{"[", "missing closing ]: `[`"},
           {"foo[a-", "missing closing ]: `[a-`"},
           {"(foo", "missing closing ): `(foo`"},
           {"foo)", "unexpected ): `foo)`"},
           {"a)(b", "unexpected ): `a)(b`"},
           {"*", "missing argument to repetition operator: `*`"},
           {"a**", "invalid nested repetition operator: `**`"},
           {"a{1001}", "invalid repeat count: `{1001}`"},
           {"[b-a]", "invalid character class range: `b-a`"},
           {"\\8", "invalid escape sequence: `\\8`"},
           {"a\\C", "invalid escape sequence: `\\C`"},
           {"a\\", "trailing backslash at end of expression"},
           {"(?z)", "invalid or unsupported Perl syntax: `(?z`"},
           {"(?=a)", "invalid or unsupported Perl syntax: `(?=`"},
           {"(?<n", "invalid named capture: `(?<n`"},
           {"(?<1-2>a)", "invalid named capture: `(?<1-2>`"},
           {"a\xff", "invalid UTF-8"},
       }) {
    for (auto make : {&Regex::Anchored, &Regex::Unanchored}) {
      auto re = make(row.pattern);
      ASSERT_FALSE(re) << row.pattern;
      EXPECT_EQ(re.error().code(), Code::kInvalidArgument);
      EXPECT_EQ(re.error().message(), std::string("error parsing regexp: ") + row.error);
    }
  }
}

TEST(RegexTest, GroupsExpandAsInGo) {
  auto re = Regex::Anchored("(?<first>[a-z]+)-(\\d*)(x)?");
  ASSERT_TRUE(re);
  std::vector<std::optional<std::string_view>> groups;
  ASSERT_TRUE(re->Find("abc-12", &groups));
  ASSERT_EQ(groups.size(), 4u);
  EXPECT_EQ(groups[0], "abc-12");
  EXPECT_EQ(groups[2], "12");
  EXPECT_FALSE(groups[3]);
  EXPECT_FALSE(re->Find("abc", &groups));
  struct Row {
    const char *replacement, *text;
  };
  for (const Row& row : {
           Row{"$1", "abc"}, {"${1}-$2", "abc-12"}, {"$first", "abc"}, {"${first}x", "abcx"}, {"$1x", ""},
           {"$$1", "$1"}, {"$", "$"}, {"a$", "a$"}, {"${1", "${1"}, {"${}", "${}"}, {"$-", "$-"}, {"$9", ""},
           {"$3", ""}, {"$01", ""}, {"$0", "abc-12"}, {"plain", "plain"}, {"$none.", "."},
       }) {
    std::string out;
    ASSERT_TRUE(re->Find("abc-12", &groups));
    re->Expand(row.replacement, groups, &out);
    EXPECT_EQ(out, row.text) << row.replacement;
  }
  auto all = Regex::Anchored("(.*)");
  ASSERT_TRUE(all->Find(std::string_view(), &groups));
  EXPECT_EQ(groups[1], "");
}

TEST(RegexTest, ReplacingAndFindingAllStepsOverEmptyMatchesAsGoDoes) {
  struct Row {
    const char *pattern, *text, *replacement, *result;
  };
  for (const Row& row : {
           Row{"a*", "baac", "x", "xbxcx"}, {"a+", "banana", "<$0>", "b<a>n<a>n<a>"}, {"", "ab", "-", "-a-b-"},
           {"b", "abc", "", "ac"}, {"x", "abc", "y", "abc"}, {"(.)", "é1", "$1$1", "éé11"}, {"^a", "aa", "b", "ba"},
           {"", "", "x", "x"},
       }) {
    auto re = Regex::Unanchored(row.pattern);
    ASSERT_TRUE(re);
    EXPECT_EQ(re->ReplaceAll(row.text, row.replacement), row.result) << row.pattern;
  }
  EXPECT_THAT(Regex::Unanchored("a.")->FindAll("abacad"), ElementsAre("ab", "ac", "ad"));
  EXPECT_THAT(Regex::Unanchored("a*")->FindAll("baac"), ElementsAre("", "aa", ""));
  EXPECT_TRUE(Regex::Unanchored("b")->Matches("abc"));
  EXPECT_FALSE(Regex::Unanchored("a.c")->Matches("a\nc"));
}

TEST(RegexTest, QuotedTextMatchesItself) {
  const std::string text = "a.b*c+d?e(f)g|h[i]j{k}l^m$n\\o-p";
  EXPECT_EQ(QuoteMeta("a.b$"), "a\\.b\\$");
  EXPECT_TRUE(Regex::Anchored(QuoteMeta(text))->Matches(text));
}

}  // namespace
}  // namespace tocsin::base
