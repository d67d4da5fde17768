#include "alertmanager/matchers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "alertmanager/shared_kit_test.h"

namespace tocsin::alertmanager {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

MatchOp OpOf(std::string_view text) {
  return text == "=" ? MatchOp::kEqual : text == "!=" ? MatchOp::kNotEqual : text == "=~" ? MatchOp::kRegex : MatchOp::kNotRegex;
}

void ExpectMatchers(simdjson::dom::element row, const base::Result<Matchers>& got, bool loose_error) {
  const std::string input = TextOf(row["input"]);
  if (Has(row["error"])) {
    ASSERT_FALSE(got.has_value()) << input;
    // RE2 words and quotes the anchored pattern differently.
    if (!loose_error && TextOf(row["error"]).find("error parsing regexp") == std::string::npos) {
      EXPECT_EQ(got.error().message(), TextOf(row["error"])) << input;
    }
    return;
  }
  ASSERT_TRUE(got.has_value()) << input << ": " << got.error().message();
  std::vector<std::string> want, have;
  if (Has(row["matchers"])) {
    for (auto m : row["matchers"].get_array()) {
      if (!Has(m["name"])) continue;
      want.push_back(TextOf(m["name"]) + TextOf(m["op"]) + TextOf(m["value"]));
    }
  }
  for (const Matcher& m : *got) have.push_back(m.name() + std::string(model::MatchOpText(m.op())) + m.value());
  EXPECT_EQ(have, want) << input;
}

class MatchersKit : public testing::Test {
 protected:
  void SetUp() override {
    file_ = LoadShared("conformance/config/alertmanager/matchers_cases.json");
    if (file_ == nullptr) GTEST_SKIP() << "the conformance kit is not here; set TOCSIN_SHARED";
  }
  std::unique_ptr<JsonFile> file_;
};

TEST_F(MatchersKit, ListsReadAsTheReferenceReadsThem) {
  for (auto row : file_->root["matchers_utf8"].get_array()) ExpectMatchers(row, ParseMatchers(TextOf(row["input"]), MatcherMode::kUtf8), false);
  for (auto row : file_->root["matchers_classic"].get_array()) ExpectMatchers(row, ParseMatchers(TextOf(row["input"]), MatcherMode::kClassic), false);
  for (auto row : file_->root["matchers_fallback"].get_array()) ExpectMatchers(row, ParseMatchers(TextOf(row["input"])), false);
  for (auto row : file_->root["compliance"].get_array()) ExpectMatchers(row, ParseMatchers(TextOf(row["input"])), false);
}

base::Result<Matchers> One(base::Result<Matcher> m) {
  if (!m) return std::unexpected(m.error());
  return Matchers{*m};
}

TEST_F(MatchersKit, SingleMatchersReadAsTheReferenceReadsThem) {
  for (auto row : file_->root["matcher_utf8"].get_array()) ExpectMatchers(row, One(ParseMatcher(TextOf(row["input"]), MatcherMode::kUtf8)), false);
  for (auto row : file_->root["matcher_fallback"].get_array()) ExpectMatchers(row, One(ParseMatcher(TextOf(row["input"]))), false);
}

TEST_F(MatchersKit, MatchersMatchAndPrintAsTheReference) {
  for (auto row : file_->root["match"].get_array()) {
    auto m = Matcher::Make(OpOf(TextOf(row["op"])), "foo", TextOf(row["value"]));
    ASSERT_TRUE(m.has_value());
    EXPECT_EQ(m->Matches(TextOf(row["input"])), row["matches"].get_bool().value()) << m->ToString() << " on " << TextOf(row["input"]);
  }
  for (auto row : file_->root["print"].get_array()) {
    auto m = Matcher::Make(OpOf(TextOf(row["op"])), TextOf(row["name"]), TextOf(row["value"]));
    ASSERT_TRUE(m.has_value());
    EXPECT_EQ(m->ToString(), TextOf(row["output"]));
  }
}

TEST_F(MatchersKit, LabelNamesAreJudgedByTheMode) {
  for (auto row : file_->root["classic_label_names"].get_array()) EXPECT_EQ(IsValidLabelName(TextOf(row["label"]), MatcherMode::kClassic), row["valid"].get_bool().value()) << TextOf(row["label"]);
  for (auto row : file_->root["utf8_label_names"].get_array()) EXPECT_EQ(IsValidLabelName(TextOf(row["label"]), MatcherMode::kUtf8), row["valid"].get_bool().value()) << TextOf(row["label"]);
}

TEST(MatchersTest, FallbackWarnsWhenTheGrammarsDisagreeOrOnlyTheClassicOneReadsIt) {
  std::vector<MatcherWarning> warnings;
  ASSERT_TRUE(ParseMatchers("{foo=bar}", MatcherMode::kFallback, &warnings).has_value());
  EXPECT_THAT(warnings, IsEmpty());
  ASSERT_TRUE(ParseMatchers("{foo=!bar}", MatcherMode::kFallback, &warnings).has_value());
  ASSERT_THAT(warnings, SizeIs(1));
  EXPECT_EQ(warnings[0].suggestion, "{foo=\"!bar\"}");
  ASSERT_TRUE(ParseMatchers("foo=\"\\xf0\\x9f\\x99\\x82\"", MatcherMode::kFallback, &warnings).has_value());
  ASSERT_THAT(warnings, SizeIs(2));
  EXPECT_THAT(warnings[1].message, testing::HasSubstr("Matchers input has disagreement"));
}

TEST(MatchersTest, AnyBytesAreReadOrRefusedWithoutACrash) {
  for (int a = 0; a < 256; ++a) {
    for (std::string_view frame : {"{x=\"@\"}", "@", "a=@", "{@=b,", "a=~\"@\""}) {
      std::string text(frame);
      text[text.find('@')] = static_cast<char>(a);
      for (MatcherMode mode : {MatcherMode::kFallback, MatcherMode::kUtf8, MatcherMode::kClassic}) base::Ignore(ParseMatchers(text, mode));
    }
  }
}

}  // namespace
}  // namespace tocsin::alertmanager
