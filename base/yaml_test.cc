#include "base/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace tocsin::base::yaml {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

Document Sound(std::string_view text) {
  auto doc = Parse(text, "f.yml");
  EXPECT_TRUE(doc) << (doc ? "" : doc.error().message());
  return doc ? std::move(*doc) : Document(std::make_shared<const Node>(), false);
}

std::string At(Position p) { return std::to_string(p.line) + ":" + std::to_string(p.column); }

TEST(YamlTest, TheTreeHasPositionsAndStyles) {
  Document doc = Sound(
      "a: plain text\n"
      "b: [x, \"y\\tz\"]\n"
      "c: |\n"
      "  one\n"
      "    two\n"
      "d: >-\n"
      "  fold\n"
      "  ed\n"
      "e: &here !!str 5\n"
      "f:\n");
  const Node& root = doc.root();
  ASSERT_TRUE(root.IsMapping());
  EXPECT_EQ(At(root.Find("a")->position), "1:4");
  EXPECT_EQ(At(root.Find("a")->PositionOfByte(6)), "1:10");
  const Node& b = *root.Find("b");
  ASSERT_EQ(b.items.size(), 2u);
  EXPECT_EQ(At(b.items[1].position), "2:8");
  EXPECT_EQ(b.items[1].text, "y\tz");
  EXPECT_EQ(b.items[1].style, Node::Style::kQuoted);
  EXPECT_EQ(At(b.items[1].PositionOfByte(2)), "2:8");
  const Node& c = *root.Find("c");
  EXPECT_EQ(c.style, Node::Style::kLiteral);
  EXPECT_EQ(c.text, "one\n  two\n");
  EXPECT_EQ(At(c.PositionOfByte(0)), "4:3");
  EXPECT_EQ(At(c.PositionOfByte(6)), "5:5");
  EXPECT_EQ(root.Find("d")->style, Node::Style::kFolded);
  EXPECT_EQ(root.Find("d")->text, "fold ed");
  EXPECT_EQ(root.Find("e")->text, "5");
  EXPECT_EQ(At(root.Find("e")->position), "9:16");
  EXPECT_TRUE(root.Find("f")->IsNull());
  EXPECT_EQ(root.Find("g"), nullptr);
  EXPECT_EQ(root.entries.size(), 6u);
}

TEST(YamlTest, ATypeThatIsToldIsNotGuessed) {
  Document doc = Sound("a: !!binary \"/w==\"\nb: !!str 5\n!!binary \"/w==\": 1\n");
  EXPECT_EQ(doc.root().Find("a")->text, "\xff");
  EXPECT_EQ(Describe(*doc.root().Find("b")), "!!str `5`");
  EXPECT_NE(doc.root().Find("\xff"), nullptr);
  EXPECT_THAT(Parse("a: !!binary \"/w==$1\"\n", "f.yml").error().message(),
              HasSubstr("!!binary value contains invalid base64 data"));
}

TEST(YamlTest, AnEmptyFileIsNull) {
  for (const char* text : {"", "\n", "# only a comment\n", "---\n", "\xef\xbb\xbf"}) {
    EXPECT_TRUE(Sound(text).root().IsNull()) << text;
  }
}

TEST(YamlTest, FurtherDocumentsAreNoticed) {
  EXPECT_FALSE(Sound("a: 1\n").has_more_documents());
  EXPECT_TRUE(Sound("a: 1\n---\nb: 2\n").has_more_documents());
}

TEST(YamlTest, AliasesAndMergeKeysAreApplied) {
  Document doc = Sound(
      "base: &base {a: 1, b: 2}\n"
      "more: &more {c: 3, a: 9}\n"
      "one:\n"
      "  <<: *base\n"
      "  b: own\n"
      "two:\n"
      "  <<: [*base, *more]\n"
      "list: [*base]\n");
  const Node& one = *doc.root().Find("one");
  EXPECT_EQ(one.Find("a")->text, "1");
  EXPECT_EQ(one.Find("b")->text, "own");
  EXPECT_EQ(one.Find("<<"), nullptr);
  const Node& two = *doc.root().Find("two");
  EXPECT_EQ(two.Find("a")->text, "1");
  EXPECT_EQ(two.Find("c")->text, "3");
  EXPECT_EQ(doc.root().Find("list")->items[0].Find("b")->text, "2");
}

TEST(YamlTest, WhatIsNotSoundIsRefusedWithItsPosition) {
  std::string deep;
  for (int i = 0; i < 150; ++i) deep += std::string(static_cast<size_t>(i), ' ') + "-\n";
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 8; ++i) {
    std::string n = std::to_string(i), m = "*a" + std::to_string(i - 1);
    bomb += "a" + n + ": &a" + n + " [" + m;
    for (int k = 0; k < 9; ++k) bomb += ", " + m;
    bomb += "]\n";
  }
  struct Row {
    std::string text, error;
  };
  for (const Row& row : {
           Row{"a: 1\nb: 2\na: 3\n", "f.yml:3:1: yaml: mapping key \"a\" already defined at line 1"},
           {"a: [1\n", "f.yml:"},
           {"a: b: c\n", "f.yml:1:"},
           {"a: \"x\n", "f.yml:"},
           {"a: *none\n", "f.yml:1:"},
           {"a: x\xff\n", "f.yml:1:5: yaml: invalid UTF-8"},
           {"a: x\x01\n", "f.yml:1:5: yaml: control characters are not allowed"},
           {"? [a]\n: 1\n", "invalid map key"},
           {"a:\n  <<: text\n", "f.yml:2:7: yaml: map merge requires map or sequence of maps as the value"},
           {"a: &a [*a]\n", "yaml: "},
           {deep, "f.yml:101:101: yaml: more than 100 levels of nesting"},
           {bomb, "excessive aliasing"},
           {std::string((10 << 20) + 1, ' '), "at most 10485760 are read"},
       }) {
    auto doc = Parse(row.text, "f.yml");
    ASSERT_FALSE(doc) << row.error;
    EXPECT_EQ(doc.error().code(), Code::kInvalidArgument);
    EXPECT_THAT(doc.error().message(), HasSubstr(row.error));
  }
}

TEST(YamlTest, AllRepeatedKeysAreReportedAtOnce) {
  auto doc = Parse("a: 1\na: 2\nb:\n  c: 1\n  c: 2\n", "f.yml");
  ASSERT_FALSE(doc);
  EXPECT_EQ(doc.error().message(),
            "f.yml:2:1: yaml: mapping key \"a\" already defined at line 1\n"
            "f.yml:5:3: yaml: mapping key \"c\" already defined at line 4");
}

TEST(YamlTest, TextCutAtAnyByteIsNeverACrash) {
  const std::string text = "a: &x [1, \"b\", {c: 'd'}]\ne: |\n  f\n\n  g\nh: >+2\n  i\n<<: {j: *x}\n";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    for (char flip : {'\0', '&', '*', '"', '[', '\n', '|'}) {
      std::string bad = text.substr(0, cut);
      if (flip != '\0') bad += flip + text.substr(std::min(cut + 1, text.size()));
      Ignore(Parse(bad, "f.yml"));  // whether it is sound does not matter here
    }
  }
}

TEST(YamlReaderTest, ReadsEveryTypeAndLeavesWhatIsAbsent) {
  Document doc = Sound(
      "s: text\nn: 5\nsn: 5\nb: yes\ni: -0x10\nu: 18446744073709551615\nf: 1.5e3\ninf: .inf\nd: 1h30m\n"
      "g: 1.5h\nby: 10MB\nl: [a, 1, true, ~]\nm: {x: 1, y: }\nch: two\nnone: ~\nw: [1]\n");
  Errors errors("f.yml");
  Reader r(doc.root(), &errors, "test");
  std::string s, sn, ch, none = "kept";
  bool b = false;
  int64_t i = 0;
  uint64_t u = 0, by = 0;
  double f = 0, inf = 0, n = 0;
  base::Duration d{}, g{};
  std::vector<std::string> l;
  std::vector<std::pair<std::string, std::string>> m;
  int items = 0;
  const std::string_view choices[] = {"one", "two"};
  EXPECT_TRUE(r.String("s", &s) && r.String("sn", &sn) && r.Double("n", &n) && r.Bool("b", &b) && r.Int("i", &i) &&
              r.Uint("u", &u) && r.Double("f", &f) && r.Double("inf", &inf) && r.Duration("d", &d) &&
              r.GoDuration("g", &g) && r.Bytes("by", &by) && r.Strings("l", &l) && r.StringMap("m", &m) &&
              r.Choice("ch", choices, &ch) && r.Each("w", [&](const Node&) { ++items; }));
  EXPECT_FALSE(r.String("none", &none));
  EXPECT_FALSE(r.String("absent", &none));
  r.Finish();
  EXPECT_TRUE(errors.empty()) << errors.ToStatus().error().message();
  EXPECT_EQ(s, "text");
  EXPECT_EQ(sn, "5");
  EXPECT_TRUE(b);
  EXPECT_EQ(i, -16);
  EXPECT_EQ(u, UINT64_MAX);
  EXPECT_EQ(f, 1500);
  EXPECT_EQ(inf, HUGE_VAL);
  EXPECT_EQ(n, 5);
  EXPECT_EQ(d, 90min);
  EXPECT_EQ(g, 90min);
  EXPECT_EQ(by, 10u << 20);
  EXPECT_THAT(l, ElementsAre("a", "1", "true", ""));
  EXPECT_THAT(m, ElementsAre(Pair("x", "1"), Pair("y", "")));
  EXPECT_EQ(ch, "two");
  EXPECT_EQ(items, 1);
  EXPECT_EQ(none, "kept");
}

TEST(YamlReaderTest, ReportsEverythingThatIsWrongInFileOrder) {
  Document doc = Sound(
      "unknown: 1\ns: [x]\nb: \"true\"\ni: abc\nu: -1\nd: 5minutes\nby: 5\nl: text\nm: [1]\nch: three\n");
  Errors errors("f.yml");
  Reader r(doc.root(), &errors, "test");
  std::string s;
  bool b = false;
  int64_t i = 0;
  uint64_t u = 0;
  base::Duration d{};
  std::vector<std::string> l;
  std::vector<std::pair<std::string, std::string>> m;
  const std::string_view choices[] = {"one", "two"};
  EXPECT_FALSE(r.Choice("ch", choices, &s));
  EXPECT_FALSE(r.StringMap("m", &m));
  EXPECT_FALSE(r.Strings("l", &l));
  EXPECT_FALSE(r.Bytes("by", &u));
  EXPECT_FALSE(r.Duration("d", &d));
  EXPECT_FALSE(r.Uint("u", &u));
  EXPECT_FALSE(r.Int("i", &i));
  EXPECT_FALSE(r.Bool("b", &b));
  EXPECT_FALSE(r.String("s", &s));
  r.Finish();
  std::vector<std::string> texts;
  for (const Errors::Item& item : errors.Sorted()) texts.push_back(item.text);
  EXPECT_THAT(
      texts,
      ElementsAre(
          "f.yml:1:1: field unknown not found in type test; known keys: b, by, ch, d, i, l, m, s, u",
          "f.yml:2:4: s: cannot unmarshal !!seq into string; write one text",
          "f.yml:3:4: b: cannot unmarshal !!str `true` into bool; write true or false",
          "f.yml:4:4: i: cannot unmarshal !!str `abc` into int; write a whole number",
          "f.yml:5:4: u: cannot unmarshal !!int `-1` into uint; write a whole number that is not negative",
          "f.yml:6:4: d: unknown unit \"minutes\" in duration \"5minutes\"; use ms, s, m, h, d, w or y, as in 5m",
          HasSubstr("f.yml:7:5: by: units: unknown unit  in 5;"),
          "f.yml:8:4: l: cannot unmarshal !!str `text` into a list; write `- item` lines",
          "f.yml:9:4: m: cannot unmarshal !!seq into map[string]string; write `name: value` lines",
          "f.yml:10:5: ch: unknown value \"three\"; use one of one, two"));
}

TEST(YamlReaderTest, ANonMappingIsAnErrorAndANullIsEmpty) {
  Errors errors("f.yml");
  Document list = Sound("[a]");
  Reader r(list.root(), &errors, "block");
  EXPECT_FALSE(r.Has("a"));
  r.Finish();
  EXPECT_EQ(errors.ToStatus().error().message(),
            "f.yml:1:1: cannot unmarshal !!seq into block; write `key: value` lines");
  Errors none("f.yml");
  Document empty = Sound("");
  Reader e(empty.root(), &none);
  e.Finish();
  EXPECT_TRUE(none.ToStatus());
}

TEST(YamlTest, ScalarsAreQuotedWhereGoWouldQuoteThem) {
  struct Row {
    const char *text, *quoted;
  };
  for (const Row& row : {
           Row{"plain", "plain"}, {"two words", "two words"}, {"", "\"\""}, {"true", "\"true\""}, {"5", "\"5\""},
           {"1.5", "\"1.5\""}, {"null", "\"null\""}, {"~", "\"~\""}, {"a: b", "'a: b'"}, {"a:b", "a:b"},
           {"# x", "'# x'"}, {"a # x", "'a # x'"}, {"a#x", "a#x"}, {"[a]", "'[a]'"}, {" x", "' x'"},
           {"it's", "it's"}, {"'x", "'''x'"}, {"a\nb", "\"a\\nb\""}, {"- x", "'- x'"}, {"-x", "-x"},
           {"2024-01-01", "\"2024-01-01\""}, {"1:20", "\"1:20\""}, {"on", "\"on\""}, {"x:", "'x:'"},
           {"5m", "5m"}, {"é", "é"}, {"a\tb", "\"a\\tb\""}, {"<secret>", "<secret>"}, {"*", "'*'"},
       }) {
    EXPECT_EQ(QuoteScalar(row.text), row.quoted);
    Document doc = Sound("k: " + QuoteScalar(row.text) + "\n");
    ASSERT_NE(doc.root().Find("k"), nullptr);
    EXPECT_EQ(doc.root().Find("k")->text, row.text);
  }
}

TEST(YamlTest, ATreeIsWrittenInBlocks) {
  MapBuilder inner;
  inner.PutString("empty", "").AddString("none", "").AddSecret("password", "x").PutBool("no", false).AddTrue("t", false);
  MapBuilder map;
  map.PutDuration("interval", 90s).AddNumber("half", 0.5).AddCount("count", 3).AddBytes("size", 1 << 20);
  map.AddStrings("list", {"a", "true"}).AddPairs("pairs", {{"k: x", "v"}});
  map.Put("inner", inner.Take()).Put("nothing", MapBuilder().Take()).Put("none", MakeList({}));
  MapBuilder item;
  item.PutString("x", "1").AddStrings("z", {"z"});
  std::vector<Node> items;
  items.push_back(item.Take());
  map.Put("items", MakeList(std::move(items)));
  std::string text = Emit(map.Take());
  EXPECT_EQ(text,
            "interval: 1m30s\nhalf: 0.5\ncount: 3\nsize: 1MiB\nlist:\n- a\n- \"true\"\npairs:\n  'k: x': v\ninner:\n"
            "  empty: \"\"\n  password: <secret>\n  \"no\": false\nnothing: {}\nnone: []\nitems:\n- x: \"1\"\n  z:\n"
            "  - z\n");
  EXPECT_EQ(Emit(Sound(text).root()), Emit(Sound(Emit(Sound(text).root())).root()));
}

}  // namespace
}  // namespace tocsin::base::yaml
