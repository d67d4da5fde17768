#include "base/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tocsin::base {
namespace {

using testing::ElementsAre;

TEST(TextTest, Utf8IsCheckedByteByByte) {
  for (const char* good : {"", "abc", "é", "日本", "\xf0\x9f\x98\x80", "\xef\xbf\xbd"}) {
    EXPECT_TRUE(IsValidUtf8(good)) << good;
  }
  for (const char* bad : {"\xff", "a\x80", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80",
                          "\xf4\x90\x80\x80", "\xf0\x9f\x98"}) {
    EXPECT_FALSE(IsValidUtf8(bad)) << bad;
  }
}

TEST(TextTest, RunesAreCountedTruncatedAndReplaced) {
  EXPECT_EQ(RuneCount("aé日\xff\xff"), 5u);
  EXPECT_EQ(TruncateRunes("aé日b", 3), "aé日");
  EXPECT_EQ(TruncateRunes("a", 3), "a");
  EXPECT_EQ(ReplaceInvalidUtf8("a\xff"), "a\xef\xbf\xbd");
  std::string out;
  for (const char32_t rune : {U'a', U'é', U'日', char32_t{0x1f600}, char32_t{0xd800}}) AppendUtf8(rune, &out);
  EXPECT_EQ(out, "aé日\xf0\x9f\x98\x80\xef\xbf\xbd");
}

TEST(TextTest, CaseIsMappedForLatinGreekAndCyrillic) {
  EXPECT_EQ(ToLower("ABC ÀÉÞ ŁŽŸ ΑΣΏ ЖЯЀ İẞ"), "abc àéþ łžÿ ασώ жяѐ iß");
  EXPECT_EQ(ToUpper("abc àéþÿ łž ασςώ жяѐ ı"), "ABC ÀÉÞŸ ŁŽ ΑΣΣΏ ЖЯЀ I");
  EXPECT_EQ(ToUpper("ß×÷"), "ß×÷");
  EXPECT_EQ(Title("one two_three-élan 4x"), "One Two_three-Élan 4x");
}

TEST(TextTest, TextIsSplitJoinedTrimmedAndReplaced) {
  EXPECT_THAT(Split("a,,b", ','), ElementsAre("a", "", "b"));
  EXPECT_THAT(Split("", ','), ElementsAre(""));
  EXPECT_EQ(Join({"a", "b"}, ", "), "a, b");
  EXPECT_EQ(Trim(" \t\na b\r "), "a b");
  EXPECT_EQ(ReplaceAll("aXbXX", "X", "--"), "a--b----");
  EXPECT_EQ(ReplaceAll("abc", "", "x"), "abc");
  EXPECT_TRUE(EqualsIgnoreCase("Content-Type", "content-TYPE"));
  EXPECT_FALSE(EqualsIgnoreCase("a", "ab"));
}

TEST(TextTest, EscapesAreThoseOfGo) {
  EXPECT_EQ(EscapeHtml("<a href=\"x\">'&'"), "&lt;a href=&#34;x&#34;&gt;&#39;&amp;&#39;");
  EXPECT_EQ(QueryEscape("a b&c=d/é~"), "a+b%26c%3Dd%2F%C3%A9~");
  EXPECT_EQ(PathEscape("a b&c=d/é$+:@"), "a%20b&c=d%2F%C3%A9$+:@");
  std::string out;
  EXPECT_TRUE(QueryUnescape("a+b%26%c3%A9", &out));
  EXPECT_EQ(out, "a b&é");
  EXPECT_TRUE(PathUnescape("a+b%20", &out));
  EXPECT_EQ(out, "a+b ");
  for (const char* bad : {"%", "%2", "%zz", "a%f"}) EXPECT_FALSE(QueryUnescape(bad, &out)) << bad;
}

TEST(TextTest, JsonStringsEscapeAByteWhereverItStands) {
  for (size_t length = 1; length <= 20; ++length) {
    for (size_t at = 0; at < length; ++at) {
      for (const auto& [c, escaped] : {std::pair('"', "\\\""), std::pair('\\', "\\\\"), std::pair('\n', "\\n"),
                                       std::pair('\x1f', "\\u001f"), std::pair('<', "<"), std::pair('&', "&"),
                                       std::pair('\x7f', "\x7f"), std::pair(' ', " ")}) {
        std::string text(length, 'x');
        std::string want = text;
        text[at] = c;
        want.replace(at, 1, escaped);
        std::string out;
        AppendJsonString(text, &out);
        EXPECT_EQ(out, '"' + want + '"');
      }
    }
  }
}

TEST(TextTest, JsonStringsAreValidForAnyBytes) {
  std::string out;
  AppendJsonString("a\"\\\n\t\x01<>&é\xff\xe2\x80\xa8", &out);
  EXPECT_EQ(out, "\"a\\\"\\\\\\n\\t\\u0001<>&é\xef\xbf\xbd\xe2\x80\xa8\"");
  out.clear();
  AppendJsonString("<>&\xe2\x80\xa8", &out, JsonEscape::kGo);
  EXPECT_EQ(out, "\"\\u003c\\u003e\\u0026\\u2028\"");
}

}  // namespace
}  // namespace tocsin::base
