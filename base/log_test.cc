#include "base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace tocsin::base {
namespace {

using testing::ElementsAre;
using testing::MatchesRegex;

TEST(LogTest, ValuesAreQuotedWhereAReaderCouldNotTellTheirEnd) {
  const CaptureLog capture;
  LogWarn("scrape failed", {{"target", "http://a:1/"}, {"error", "no \"route\"\nto host"}});
  LogInfo("done", {{"empty", ""}, {"n", 42}, {"ok", true}, {"text", "grüße"}, {"bad", "\xff"}});
  EXPECT_THAT(capture.lines(),
              ElementsAre("level=warn msg=\"scrape failed\" target=http://a:1/ "
                          "error=\"no \\\"route\\\"\\nto host\"",
                          "level=info msg=done empty=\"\" n=42 ok=true text=grüße bad=\"\\xff\""));
}

TEST(LogTest, ErrorsShowTheirMessage) {
  const CaptureLog capture;
  LogError("failed", {{"error", Error(Code::kNotFound, "a: gone")}});
  EXPECT_THAT(capture.lines(), ElementsAre("level=error msg=failed error=\"a: gone\""));
}

TEST(LogTest, NumbersDurationsAndTimesAreWrittenAsGoDoes) {
  const CaptureLog capture;
  LogInfo("x", {{"pi", 3.5}, {"inf", std::numeric_limits<double>::infinity()}, {"took", Duration(1500ms)},
                {"at", FromUnixMillis(1'700'000'000'123)}});
  EXPECT_THAT(capture.lines(),
              ElementsAre("level=info msg=x pi=3.5 inf=+Inf took=1.5s at=2023-11-14T22:13:20.123Z"));
}

TEST(LogTest, ALineHasATimeInMilliseconds) {
  testing::internal::CaptureStderr();
  LogInfo("hello", {{"k", "v"}});
  LogDebug("not shown");
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              MatchesRegex("time=[0-9]+-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]"
                           "\\.[0-9][0-9][0-9]Z level=INFO msg=hello k=v\n"));
}

TEST(LogTest, JsonLinesHaveTheSameFields) {
  ConfigureLog({.level = LogLevel::kDebug, .format = LogFormat::kJson});
  testing::internal::CaptureStderr();
  LogDebug("say \"hi\"", {{"n", 7}, {"text", "7"}});
  ConfigureLog({});
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              MatchesRegex("\\{\"time\":\"[^\"]+Z\",\"level\":\"DEBUG\",\"msg\":\"say "
                           "\\\\\"hi\\\\\"\",\"n\":7,\"text\":\"7\"\\}\n"));
}

}  // namespace
}  // namespace tocsin::base
