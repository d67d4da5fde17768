#include "scrape/exposition.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/digest.h"

namespace tocsin::scrape {
namespace {

using nlohmann::json;

struct Parsed {
  std::vector<Entry> entries;
  std::vector<LabelPairs> labels;  // of series entries, empty for others
  std::string error;
};

Parsed ParseAll(ExpositionFormat format, std::string_view body) {
  Parsed all;
  ExpositionParser parser(format, body);
  model::MetricType type = model::MetricType::kUnknown;
  while (true) {
    Entry entry;
    const auto more = parser.Next(&entry);
    if (!more) {
      all.error = more.error().message();
      return all;
    }
    if (!*more) return all;
    LabelPairs labels;
    if (entry.kind == EntryKind::kType) type = entry.type;
    if (entry.kind == EntryKind::kSeries) {
      if (const auto parsed = ParseSeries(entry.series, format, type, &labels); !parsed) {
        all.error = parsed.error().message();
        return all;
      }
    }
    all.entries.push_back(entry);
    all.labels.push_back(std::move(labels));
  }
}

TEST(ExpositionTest, ATextBodyGivesValuesTimesAndMetadata) {
  const Parsed p = ParseAll(ExpositionFormat::kText,
                            "# HELP a Help \\n\\\\.\n# TYPE a gauge\n\n a { x = \"1\\\"\\\\\\n\" , } +Inf  17\nb 1e3");
  ASSERT_EQ(p.error, "");
  ASSERT_EQ(p.entries.size(), 4u);
  EXPECT_EQ(p.entries[0].text, "Help \n\\.");
  EXPECT_EQ(p.entries[1].type, model::MetricType::kGauge);
  EXPECT_EQ(p.labels[2], (LabelPairs{{"__name__", " a"}, {"x", "1\"\\\n"}}));
  EXPECT_TRUE(std::isinf(p.entries[2].value));
  EXPECT_EQ(p.entries[2].t, 17);
  EXPECT_EQ(p.entries[3].value, 1000);
}

TEST(ExpositionTest, OpenMetricsHasExemplarsUnitsAndAnEnd) {
  const Parsed p = ParseAll(ExpositionFormat::kOpenMetrics,
                            "# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n"
                            "a_seconds_bucket{le=\"1\"} 3 1.5 # {trace_id=\"x\"} 0.5 1.25\n# EOF\n");
  ASSERT_EQ(p.error, "");
  ASSERT_EQ(p.entries.size(), 3u);
  const Entry& e = p.entries[2];
  EXPECT_EQ(e.t, 1500);
  ASSERT_TRUE(e.has_exemplar);
  EXPECT_EQ(e.exemplar.labels.ToString(), "{trace_id=\"x\"}");
  EXPECT_EQ(e.exemplar.value, 0.5);
  EXPECT_EQ(e.exemplar.t, 1250);
  EXPECT_EQ(p.labels[2][1].second, "1.0");
}

TEST(ExpositionTest, WhatIsBrokenIsRefusedWithTheLine) {
  const struct {
    ExpositionFormat format;
    std::string_view body;
    std::string_view error;
  } cases[] = {
      {ExpositionFormat::kText, "a 1\nb\n", "expected value after metric, got \"\\n\" while parsing: \"b\\n\" (line 2)"},
      {ExpositionFormat::kText, "a{b=\"c\" 1\n", "expected label value"},
      {ExpositionFormat::kText, "a 1 2 3\n", "expected next entry after timestamp"},
      {ExpositionFormat::kText, "# TYPE a mystery\n", "invalid metric type \"mystery\""},
      {ExpositionFormat::kOpenMetrics, "a 1\n", "data does not end with # EOF"},
      {ExpositionFormat::kOpenMetrics, "# EOF\na 1\n", "unexpected data after # EOF"},
  };
  for (const auto& c : cases) {
    EXPECT_NE(ParseAll(c.format, c.body).error.find(c.error), std::string::npos)
        << c.body << " gave " << ParseAll(c.format, c.body).error;
  }
}

TEST(ExpositionTest, ABodyCutAnywhereNeverCrashes) {
  const std::string body =
      "# TYPE a histogram\n{\"a\",b=\"c\\n\"} 1 2 # {x=\"y\"} 3 4\na_bucket{le=\"1\"} 2\n# EOF\n";
  for (size_t n = 0; n <= body.size(); ++n) {
    for (int flip = 0; flip < 3; ++flip) {
      std::string cut = body.substr(0, n);
      if (n > 0 && flip > 0) cut[n - 1] = flip == 1 ? '\0' : '\xff';
      ParseAll(ExpositionFormat::kText, cut);
      ParseAll(ExpositionFormat::kOpenMetrics, cut);
    }
  }
}

std::string Shared(const std::string& path) {
  const char* root = std::getenv("TOCSIN_SHARED");
  std::ifstream in((root != nullptr ? std::string(root) : "../shared") + "/conformance/exposition/" + path);
  std::stringstream all;
  all << in.rdbuf();
  return all.str();
}

std::string Text(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  std::string out;
  base::Base64Decode(value.at("_base64").get<std::string>(), &out);
  return out;
}

ExpositionFormat FormatOf(const json& row) {
  return row["format"] == "text" ? ExpositionFormat::kText : ExpositionFormat::kOpenMetrics;
}

TEST(ExpositionConformanceTest, AcceptsAndRefusesWhatPrometheusDoes) {
  const std::string text = Shared("parse_cases.json");
  if (text.empty()) GTEST_SKIP() << "no shared test data";
  for (const json& row : json::parse(text)) {
    const std::string input = Text(row["input"]);
    const Parsed p = ParseAll(FormatOf(row), input);
    EXPECT_EQ(p.error.empty(), row["error"].is_null())
        << row["format"] << " " << json(row["input"]) << "\nours: " << p.error << "\ntheirs: " << row["error"];
  }
}

TEST(ExpositionConformanceTest, EveryEntryIsAsPrometheusReadsIt) {
  const std::string text = Shared("parse_entries.json");
  if (text.empty()) GTEST_SKIP() << "no shared test data";
  for (const json& row : json::parse(text)) {
    // Options of the reference that belong to later stages here.
    if (row.value("type_and_unit_labels", false) || row.value("convert_classic_histograms_to_nhcb", false) ||
        row.contains("note")) {
      continue;
    }
    const std::string input = Text(row["input"]);
    const Parsed p = ParseAll(FormatOf(row), input);
    ASSERT_EQ(p.error, "") << row["test"];
    if (row.value("skip_created_series", false)) continue;  // read whole is what counts
    ASSERT_EQ(p.entries.size(), row["entries"].size()) << row["test"];
    for (size_t i = 0; i < p.entries.size(); ++i) {
      const json& want = row["entries"][i];
      const Entry& got = p.entries[i];
      if (want.contains("comment")) {
        EXPECT_EQ(got.kind, EntryKind::kComment);
        continue;
      }
      if (want.contains("help")) {
        EXPECT_EQ(got.text, Text(want["help"])) << want;
      }
      if (want.contains("type")) {
        EXPECT_EQ(model::MetricTypeName(got.type), want["type"].get<std::string>()) << want;
      }
      if (!want.contains("labels")) continue;
      EXPECT_EQ(got.series, Text(want["metric"]));
      json labels = json::object();
      for (const auto& [name, value] : p.labels[i]) labels[name] = value;
      EXPECT_EQ(labels, want["labels"]);
      if (want.contains("value") && want["value"].is_number()) {
        EXPECT_EQ(got.value, want["value"].get<double>());
      }
      if (want.contains("timestamp_ms")) {
        EXPECT_EQ(got.t, want["timestamp_ms"].get<int64_t>());
      }
    }
  }
}

}  // namespace
}  // namespace tocsin::scrape
