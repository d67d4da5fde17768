#include "base/number.h"

#include <bit>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace tocsin::base {
namespace {

TEST(NumberTest, IsWrittenAsGoWritesIt) {
  struct Row {
    double v;
    const char *g, *f, *json;
  };
  const double inf = std::numeric_limits<double>::infinity();
  for (const Row& row : {
           Row{0, "0", "0", "0"},
           {-0.0, "-0", "-0", "-0"},
           {1, "1", "1", "1"},
           {0.1, "0.1", "0.1", "0.1"},
           {100000, "100000", "100000", "100000"},
           {1e6, "1e+06", "1000000", "1000000"},
           {123456789, "1.23456789e+08", "123456789", "123456789"},
           {1234567.5, "1.2345675e+06", "1234567.5", "1234567.5"},
           {0.0001, "0.0001", "0.0001", "0.0001"},
           {0.00001, "1e-05", "0.00001", "0.00001"},
           {1e-7, "1e-07", "0.0000001", "1e-07"},
           {1e20, "1e+20", "100000000000000000000", "100000000000000000000"},
           {1e21, "1e+21", "1000000000000000000000", "1e+21"},
           {1e23, "1e+23", "100000000000000000000000", "1e+23"},
           {-2.5, "-2.5", "-2.5", "-2.5"},
           {5e-324, "5e-324", nullptr, "5e-324"},
           {1.7976931348623157e308, "1.7976931348623157e+308", nullptr, "1.7976931348623157e+308"},
           {inf, "+Inf", "+Inf", "+Inf"},
           {-inf, "-Inf", "-Inf", "-Inf"},
           {std::nan(""), "NaN", "NaN", "NaN"},
       }) {
    SCOPED_TRACE(row.g);
    EXPECT_EQ(FormatG(row.v), row.g);
    EXPECT_EQ(FormatV(row.v), row.g);
    if (row.f != nullptr) {
      EXPECT_EQ(FormatF(row.v), row.f);
    }
    EXPECT_EQ(FormatJson(row.v), row.json);
    char buffer[kMaxJsonNumber];
    EXPECT_EQ(std::string(buffer, WriteJson(row.v, buffer)), row.json);
  }
}

TEST(NumberTest, AnyDoubleIsWrittenTheSameIntoABuffer) {
  uint64_t bits = 1;
  for (int i = 0; i < 200'000; ++i) {
    bits = bits * 6364136223846793005u + 1442695040888963407u;
    // Numbers of all sizes, and those with few digits.
    for (const double v : {std::bit_cast<double>(bits), static_cast<double>(static_cast<int64_t>(bits) >> (bits & 63)),
                           static_cast<double>(static_cast<int64_t>(bits) >> 40) / 1000}) {
      char buffer[kMaxJsonNumber];
      ASSERT_EQ(std::string(buffer, WriteJson(v, buffer)), FormatJson(v));
    }
  }
}

TEST(NumberTest, PrecisionIsWrittenAsPrintfWritesIt) {
  struct Row {
    double v;
    char verb;
    int precision;
    const char* text;
  };
  for (const Row& row : {
           Row{3.14159, 'f', 2, "3.14"},
           {2.5, 'f', 0, "2"},
           {1234.5678, 'e', 3, "1.235e+03"},
           {1234.5678, 'E', 1, "1.2E+03"},
           {1234.5678, 'g', 3, "1.23e+03"},
           {100000, 'g', 10, "100000"},
           {0.0001, 'g', 4, "0.0001"},
           {1e100, 'f', 1,
            "10000000000000000159028911097599180468360808563945281389781327557747838772170381060813469985"
            "856815104.0"},
           {1e6, 'g', -1, "1e+06"},
           {1e6, 'f', -1, "1000000"},
           {1500, 'e', -1, "1.5e+03"},
           {-std::numeric_limits<double>::infinity(), 'f', 2, "-Inf"},
       }) {
    EXPECT_EQ(FormatPrecision(row.v, row.verb, row.precision), row.text);
  }
}

TEST(NumberTest, FloatsAreReadAsGoReadsThem) {
  struct Row {
    const char* text;
    double v;
  };
  for (const Row& row : {
           Row{"0", 0},      {"-1.5", -1.5},   {"+2", 2},       {".5", 0.5},     {"5.", 5},
           {"1e3", 1000},    {"1E-3", 0.001},  {"0x1p-2", 0.25}, {"0X1.8P1", 3}, {"-0x.8p0", -0.5},
           {"1e-400", 0},    {"inf", HUGE_VAL}, {"+Inf", HUGE_VAL}, {"-infinity", -HUGE_VAL},
           {"4.9e-324", 5e-324}, {"017", 17},
       }) {
    auto v = ParseFloat(row.text);
    ASSERT_TRUE(v) << row.text;
    EXPECT_EQ(*v, row.v) << row.text;
  }
  EXPECT_TRUE(std::isnan(*ParseFloat("NaN")));
  EXPECT_TRUE(std::isnan(*ParseFloat("nan")));
  EXPECT_TRUE(std::signbit(*ParseFloat("-0")));
  for (const char* bad : {"", "+", "-", ".", "e3", "1e", "1e+", "1x", "0x", "0x1", "0xp1", "1_000", "+nan",
                          "infin", "1 ", " 1", "nan()", "--1", "1..2", "0x1p"}) {
    auto v = ParseFloat(bad);
    ASSERT_FALSE(v) << bad;
    EXPECT_EQ(v.error().message(), "strconv.ParseFloat: parsing " + Quote(bad) + ": invalid syntax");
  }
  EXPECT_EQ(ParseFloat("1e400").error().message(),
            "strconv.ParseFloat: parsing \"1e400\": value out of range");
  EXPECT_FALSE(ParseFloat("-0x1p5000"));
}

TEST(NumberTest, PromQlReadsIntegersWithPrefixesAndUnderscores) {
  struct Row {
    const char* text;
    double v;
  };
  for (const Row& row : {
           Row{"0x1f", 31}, {"0X1F", 31}, {"017", 15}, {"089", 89}, {"1_000", 1000}, {"1_0.5", 10.5},
           {"0x_1f", 31}, {"1e5", 1e5}, {"99999999999999999999", 1e20}, {"0b101", 5}, {"0o17", 15},
           {"0", 0}, {"-0x10", -16}, {"0.5", 0.5}, {"1_2e1_0", 12e10},
       }) {
    auto v = ParsePromNumber(row.text);
    ASSERT_TRUE(v) << row.text;
    EXPECT_EQ(*v, row.v) << row.text;
  }
  for (const char* bad : {"", "0x", "1__0", "_1", "1_", "1_.5", "0xg", "0b2", "abc"}) {
    EXPECT_FALSE(ParsePromNumber(bad)) << bad;
  }
}

TEST(NumberTest, QuotingEscapesWhatDoesNotPrint) {
  struct Row {
    std::string text, quoted;
  };
  for (const Row& row : {
           Row{"", "\"\""},
           {"plain", "\"plain\""},
           {"a\"b\\c", "\"a\\\"b\\\\c\""},
           {"\a\b\f\n\r\t\v", "\"\\a\\b\\f\\n\\r\\t\\v\""},
           {std::string("\0\x1f\x7f", 3), "\"\\x00\\x1f\\x7f\""},
           {"ä€😀", "\"ä€😀\""},
           {"\u00a0\u200b", "\"\\u00a0\\u200b\""},
           {"\xff\xc3", "\"\\xff\\xc3\""},
           {"\U000e0001", "\"\\U000e0001\""},
       }) {
    EXPECT_EQ(Quote(row.text), row.quoted);
    auto back = Unquote(row.quoted);
    ASSERT_TRUE(back) << row.quoted;
    EXPECT_EQ(*back, row.text);
  }
}

TEST(NumberTest, UnquotingTakesThreeKindsOfQuotes) {
  struct Row {
    const char *quoted, *text;
  };
  for (const Row& row : {
           Row{"'a\"b'", "a\"b"}, {"'a\\'b'", "a'b"}, {"`a\\n\"`", "a\\n\""}, {"`a\r\nb`", "a\nb"},
           {R"("\101\x42\u0043\U00000044")", "ABCD"},
       }) {
    auto text = Unquote(row.quoted);
    ASSERT_TRUE(text) << row.quoted;
    EXPECT_EQ(*text, row.text);
  }
  for (const char* bad : {"", "a", "\"", "\"a", "\"a'", "\"a\"b\"", "\"\\'\"", "'\\\"'", "\"\\q\"", "\"\\\"",
                          "\"\\x1\"", "\"\\u12\"", "\"\\ud800\"", "\"\\U00110000\"", "\"\\400\"", "\"\\08\"",
                          "\"a\nb\"", "`a`b`"}) {
    EXPECT_FALSE(Unquote(bad)) << bad;
  }
}

}  // namespace
}  // namespace tocsin::base
