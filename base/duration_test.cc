#include "base/duration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tocsin::base {
namespace {

using ::testing::HasSubstr;

TEST(DurationTest, PrometheusDurationsAreReadAndWrittenInShortestForm) {
  struct Row {
    const char* text;
    Duration d;
    const char* written;
  };
  for (const Row& row : {
           Row{"0", 0s, "0s"}, {"0s", 0s, "0s"}, {"0w", 0s, "0s"}, {"5m", 5min, "5m"}, {"90m", 90min, "1h30m"},
           {"1h30m", 90min, "1h30m"}, {"324ms", 324ms, "324ms"}, {"7d", 168h, "1w"}, {"10d", 240h, "10d"},
           {"1y", 8760h, "1y"}, {"365d", 8760h, "1y"}, {"400d", 9600h, "400d"}, {"4d1h", 97h, "4d1h"},
           {"1d12h30m5s1ms", 24h + 12h + 30min + 5s + 1ms, "1d12h30m5s1ms"}, {"15w", 2520h, "15w"},
       }) {
    auto d = ParseDuration(row.text);
    ASSERT_TRUE(d) << row.text;
    EXPECT_EQ(*d, row.d) << row.text;
    EXPECT_EQ(FormatDuration(*d), row.written);
  }
  EXPECT_EQ(FormatDuration(-90s), "-1m30s");
}

TEST(DurationTest, ABadPrometheusDurationSaysWhatIsWrong) {
  struct Row {
    const char *text, *error;
  };
  for (const Row& row : {
           Row{"", "empty duration string"},
           {"1", "the number 1 has no unit"},
           {"5minutes", "unknown unit \"minutes\" in duration \"5minutes\"; use ms, s, m, h, d, w or y, as in 5m"},
           {"m", "not a valid duration string: \"m\": found no number"},
           {"1m1h", "unit \"h\" must stand before smaller ones"},
           {"1s1s", "unit \"s\" must stand before smaller ones"},
           {"-1m", "found no number"},
           {"1.5h", "the number 1 has no unit"},
           {"1h ", "unknown unit"},
           {"294y", "duration out of range"},
           {"99999999999999999999s", "duration out of range"},
           {"200y200y", "unit \"y\""},
       }) {
    auto d = ParseDuration(row.text);
    ASSERT_FALSE(d) << row.text;
    EXPECT_THAT(d.error().message(), HasSubstr(row.error));
  }
}

TEST(DurationTest, GoDurationsAreReadAndWritten) {
  struct Row {
    const char* text;
    Duration d;
    const char* written;
  };
  for (const Row& row : {
           Row{"0", 0s, "0s"}, {"1.5h", 90min, "1h30m0s"}, {"300ms", 300ms, "300ms"}, {"1m30s", 90s, "1m30s"},
           {"-2us", -2us, "-2µs"}, {"+5s", 5s, "5s"}, {"1.000000001s", 1s + 1ns, "1.000000001s"},
           {".5s", 500ms, "500ms"}, {"1.s", 1s, "1s"}, {"3µs", 3us, "3µs"}, {"1h", 1h, "1h0m0s"},
           {"1500us", 1500us, "1.5ms"}, {"7ns", 7ns, "7ns"}, {"1h1ms", 1h + 1ms, "1h0m0.001s"},
           {"1s1s", 2s, "2s"}, {"-2562047h47m16.854775808s", Duration::min(), "-2562047h47m16.854775808s"},
           {"2562047h47m16.854775807s", Duration::max(), "2562047h47m16.854775807s"},
       }) {
    auto d = ParseGoDuration(row.text);
    ASSERT_TRUE(d) << row.text << ": " << d.error().message();
    EXPECT_EQ(*d, row.d) << row.text;
    EXPECT_EQ(FormatGoDuration(*d), row.written);
  }
  for (const char* bad : {"", "-", "1", "h", "1x", "1d", ".s", "1.2.3s", "2562047h47m16.854775808s", "9999999h",
                          "99999999999999999999s"}) {
    EXPECT_FALSE(ParseGoDuration(bad)) << bad;
  }
  EXPECT_THAT(ParseGoDuration("1d").error().message(), HasSubstr("unknown unit \"d\""));
}

TEST(DurationTest, SizesArePowersOf1024) {
  struct Row {
    const char* text;
    uint64_t bytes;
    const char* written;
  };
  for (const Row& row : {
           Row{"0", 0, "0B"}, {"512B", 512, "512B"}, {"1KB", 1024, "1KiB"}, {"1KiB", 1024, "1KiB"},
           {"512MB", 512ull << 20, "512MiB"}, {"1.5GB", 1536ull << 20, "1GiB512MiB"},
           {"1GiB512MiB", 1536ull << 20, "1GiB512MiB"}, {"1EB", 1ull << 60, "1EiB"},
       }) {
    auto bytes = ParseBytes(row.text);
    ASSERT_TRUE(bytes) << row.text;
    EXPECT_EQ(*bytes, row.bytes) << row.text;
    EXPECT_EQ(FormatBytes(*bytes), row.written);
  }
  for (const char* bad : {"", "1", "B", "1XB", "1mb", "16EB", "99999999999999999999B", "-1B"}) {
    EXPECT_FALSE(ParseBytes(bad)) << bad;
  }
}

TEST(DurationTest, Rfc3339TimesAreReadAndWritten) {
  struct Row {
    const char* text;
    int64_t ns;
    const char* written;
    const char* millis;
  };
  for (const Row& row : {
           Row{"1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"},
           {"2024-02-29T12:34:56.789Z", 1709210096789000000, "2024-02-29T12:34:56.789Z", "2024-02-29T12:34:56.789Z"},
           {"2024-02-29T14:34:56.5+02:00", 1709210096500000000, "2024-02-29T12:34:56.5Z", "2024-02-29T12:34:56.500Z"},
           {"1969-12-31T23:59:59.999999999Z", -1, "1969-12-31T23:59:59.999999999Z", "1969-12-31T23:59:59.999Z"},
           {"1970-01-01T00:00:00-01:30", 5400000000000, "1970-01-01T01:30:00Z", "1970-01-01T01:30:00.000Z"},
           {"0001-01-01T00:00:00Z", INT64_MIN, "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"},
       }) {
    auto t = ParseRfc3339(row.text);
    ASSERT_TRUE(t) << row.text;
    EXPECT_EQ(t->time_since_epoch().count(), row.ns) << row.text;
    EXPECT_EQ(FormatRfc3339(*t), row.written);
    EXPECT_EQ(FormatRfc3339Millis(*t), row.millis);
  }
  EXPECT_EQ(FormatRfc3339(Time(Duration::max())), "2262-04-11T23:47:16.854775807Z");
  EXPECT_EQ(FormatRfc3339(Time(Duration(INT64_MIN + 1))), "1677-09-21T00:12:43.145224193Z");
  for (const char* bad : {"", "2024-02-30T00:00:00Z", "2024-02-29", "2024-02-29T00:00:00", "2024-02-29 00:00:00Z",
                          "2024-02-29T24:00:00Z", "2024-13-01T00:00:00Z", "2024-02-29T00:00:00.Z",
                          "2024-02-29T00:00:00+0100", "2024-02-29T00:00:00Zx", "9999-01-01T00:00:00Z"}) {
    EXPECT_FALSE(ParseRfc3339(bad)) << bad;
  }
}

}  // namespace
}  // namespace tocsin::base
