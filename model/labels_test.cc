#include "model/labels.h"

#include <gtest/gtest.h>

#include <unordered_set>

namespace tocsin::model {
namespace {

TEST(LabelsTest, AreSortedAndLoseEmptyValuesAndRepeatedNames) {
  Labels l = Labels::FromPairs({{"b", "2"}, {"a", "1"}, {"c", ""}, {"b", "3"}});
  EXPECT_EQ(l.ToString(), "{a=\"1\", b=\"3\"}");
  EXPECT_EQ(l.size(), 2u);
  EXPECT_EQ(l.Get("b"), "3");
  EXPECT_EQ(l.Get("c"), "");
  EXPECT_FALSE(l.Has("c"));
  EXPECT_EQ(l.view().encoded(), std::string("\x01" "a\x01" "1\x01" "b\x01" "3"));
}

TEST(LabelsTest, TheEmptySetIsEmptyWhicheverWayItIsMade) {
  for (const Labels& l : {Labels(), Labels::FromPairs({}), Labels::FromPairs({{"a", ""}}), Labels(LabelsView()),
                          LabelsBuilder().Build()}) {
    EXPECT_TRUE(l.empty());
    EXPECT_EQ(l.begin(), l.end());
    EXPECT_EQ(l, Labels());
    EXPECT_EQ(l.ToString(), "{}");
    EXPECT_EQ(l.ToMetricString(), "{}");
    EXPECT_EQ(l.Hash(), 0xef46db3751d8e999ULL);
  }
}

TEST(LabelsTest, LongPartsTakeFourBytesOfLength) {
  for (size_t size : {254u, 255u, 256u, 70000u}) {
    std::string value(size, 'x');
    Labels l = Labels::FromPairs({{"a", value}, {"b", "1"}});
    EXPECT_EQ(l.Get("a"), value);
    EXPECT_EQ(l.Get("b"), "1");
    EXPECT_EQ(l.view().encoded().size(), 2 + (size < 255 ? 1 : 4) + size + 4);
    std::string encoded;
    AppendEncodedLabel("a", value, &encoded);
    AppendEncodedLabel("b", "1", &encoded);
    EXPECT_EQ(l.view().encoded(), encoded);
  }
}

TEST(LabelsTest, CopiesShareAndMovesEmpty) {
  Labels a = Labels::FromPairs({{"a", "1"}});
  Labels b = a;
  EXPECT_EQ(a.view().encoded().data(), b.view().encoded().data());
  Labels c = std::move(a);
  EXPECT_TRUE(a.empty());  // NOLINT: what a moved-from set is, is promised
  b = Labels();
  EXPECT_EQ(c.Get("a"), "1");
  c = c;  // NOLINT
  EXPECT_EQ(c.Get("a"), "1");
}

TEST(LabelsTest, AreOrderedByPairsWithAPrefixFirst) {
  const std::vector<Labels> sorted = {
      Labels(),
      Labels::FromPairs({{"a", "1"}}),
      Labels::FromPairs({{"a", "1"}, {"b", "1"}}),
      Labels::FromPairs({{"a", "10"}}),
      Labels::FromPairs({{"a", "2"}}),
      Labels::FromPairs({{"aa", "1"}}),
      Labels::FromPairs({{"b", "1"}}),
  };
  for (size_t i = 0; i < sorted.size(); ++i) {
    for (size_t k = 0; k < sorted.size(); ++k) {
      EXPECT_EQ(sorted[i] <=> sorted[k], i <=> k) << i << " " << k;
      EXPECT_EQ(sorted[i] == sorted[k], i == k);
    }
  }
}

TEST(LabelsTest, ArePrintedAsPrometheusPrintsThem) {
  struct Row {
    Labels labels;
    const char *set, *metric;
  };
  for (const Row& row : {
           Row{Labels::FromPairs({{"__name__", "up"}}), "{__name__=\"up\"}", "up"},
           {Labels::FromPairs({{"__name__", "up"}, {"job", "a\"b"}}), "{__name__=\"up\", job=\"a\\\"b\"}",
            "up{job=\"a\\\"b\"}"},
           {Labels::FromPairs({{"a", "1"}, {"my.label", "x"}}), "{a=\"1\", \"my.label\"=\"x\"}",
            "{a=\"1\", \"my.label\"=\"x\"}"},
           {Labels::FromPairs({{"__name__", "my.metric"}, {"a", "1"}}), "{__name__=\"my.metric\", a=\"1\"}",
            "{\"my.metric\", a=\"1\"}"},
           {Labels::FromPairs({{"A", "1"}, {"__name__", "a:b"}}), "{A=\"1\", __name__=\"a:b\"}", "a:b{A=\"1\"}"},
       }) {
    EXPECT_EQ(row.labels.ToString(), row.set);
    EXPECT_EQ(row.labels.ToMetricString(), row.metric);
  }
}

TEST(LabelsTest, FingerprintIsAlertmanagers) {
  // FNV-1a over name, 0xff, value, 0xff of each label; the empty set has the hash's offset.
  EXPECT_EQ(Labels().Fingerprint(), 14695981039346656037ULL);
  EXPECT_NE(Labels::FromPairs({{"a", "bc"}}).Fingerprint(), Labels::FromPairs({{"ab", "c"}}).Fingerprint());
}

TEST(LabelsTest, TheBuilderChangesABase) {
  Labels base = Labels::FromPairs({{"a", "1"}, {"b", "2"}, {"c", "3"}});
  LabelsBuilder b(base);
  b.Set("d", "4").Set("a", "").Del("c").Set("b", "two").Set("aa", "x");
  EXPECT_EQ(b.Build().ToString(), "{aa=\"x\", b=\"two\", d=\"4\"}");
  EXPECT_EQ(b.Get("b"), "two");
  EXPECT_EQ(b.Get("none"), "");
  const std::vector<std::string> keep = {"d", "zz"};
  b.Keep(keep);
  EXPECT_EQ(b.Build().ToString(), "{d=\"4\"}");
  b.Reset(base);
  EXPECT_EQ(b.Build(), base);
  b.Reset(LabelsView());
  EXPECT_TRUE(b.empty());
}

TEST(LabelsTest, SetsAreKeysOfHashTables) {
  std::unordered_set<Labels, LabelsHash, LabelsEqual> set;
  set.insert(Labels::FromPairs({{"a", "1"}}));
  EXPECT_TRUE(set.contains(Labels::FromPairs({{"a", "1"}})));
  EXPECT_FALSE(set.contains(Labels::FromPairs({{"a", "2"}})));
}

TEST(LabelsTest, NamesAreLegacyOrUtf8) {
  struct Row {
    std::string name;
    bool legacy_label, legacy_metric, valid;
  };
  for (const Row& row : {Row{"", false, false, false}, {"a", true, true, true}, {"_a9", true, true, true},
                         {"9a", false, false, true}, {"a:b", false, true, true}, {"a.b", false, false, true},
                         {"é", false, false, true}, {"a\xff", false, false, false}}) {
    EXPECT_EQ(IsLegacyLabelName(row.name), row.legacy_label) << row.name;
    EXPECT_EQ(IsLegacyMetricName(row.name), row.legacy_metric) << row.name;
    EXPECT_EQ(IsValidLabelName(row.name), row.valid) << row.name;
    EXPECT_EQ(IsValidMetricName(row.name), row.valid) << row.name;
  }
}

}  // namespace
}  // namespace tocsin::model
