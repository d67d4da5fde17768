#include "scrape/sources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <protozero/pbf_writer.hpp>
#include <sstream>

#include "base/file_system.h"
#include "scrape/histogram_build.h"

namespace tocsin::scrape {
namespace {

using nlohmann::json;
using protozero::pbf_writer;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

struct ReadBody {
  std::vector<std::string> lines;  // series and value, or series and histogram
  std::vector<Entry> histograms;
  std::vector<std::string> histogram_series;  // the entries' own views have ended
  std::vector<Entry> all;
  std::string error;
};

ReadBody ReadAll(BodyFormat format, std::string_view body, const SourceOptions& options) {
  ReadBody result;
  const auto source = MakeSource(format, body, options);
  Entry entry;
  while (true) {
    const auto more = source->Next(&entry);
    if (!more) {
      result.error = more.error().message();
      return result;
    }
    if (!*more) return result;
    result.all.push_back(entry);
    const std::string time = entry.has_timestamp ? " @" + std::to_string(entry.t) : "";
    if (entry.kind == EntryKind::kSeries) {
      result.lines.push_back(std::string(entry.series) + " " + FormatOpenMetricsFloat(entry.value) + time);
    }
    if (entry.kind == EntryKind::kHistogram) {
      result.lines.push_back(std::string(entry.series) + " " + entry.histogram->ToString() + time);
      result.histograms.push_back(entry);
      result.histogram_series.emplace_back(entry.series);
    }
  }
}

// --- protobuf ---

std::string Label(const std::string& name, const std::string& value) {
  std::string out;
  pbf_writer w(out);
  w.add_string(1, name);
  w.add_string(2, value);
  return out;
}

std::string Exemplar(const std::string& id, double value, int64_t seconds) {
  std::string out;
  pbf_writer w(out);
  w.add_message(1, Label("id", id));
  w.add_double(2, value);
  if (seconds != 0) {
    std::string time;
    pbf_writer t(time);
    t.add_int64(1, seconds);
    t.add_int32(2, 5'000'000);
    w.add_message(3, time);
  }
  return out;
}

std::string Span(int32_t offset, uint32_t length) {
  std::string out;
  pbf_writer w(out);
  w.add_sint32(1, offset);
  w.add_uint32(2, length);
  return out;
}

std::string Bucket(double bound, uint64_t count, const std::string& exemplar = "") {
  std::string out;
  pbf_writer w(out);
  w.add_uint64(1, count);
  w.add_double(2, bound);
  if (!exemplar.empty()) w.add_message(3, exemplar);
  return out;
}

std::string Native(const std::vector<int64_t>& deltas, uint32_t span_length, bool buckets = false) {
  std::string out;
  pbf_writer w(out);
  w.add_uint64(1, 10);
  w.add_double(2, 2.5);
  if (buckets) {
    w.add_message(3, Bucket(1, 4, Exemplar("x", 0.5, 0)));
    w.add_message(3, Bucket(8, 9, Exemplar("y", 3, 100)));
  }
  w.add_sint32(5, 3);
  w.add_double(6, 0.001);
  w.add_uint64(7, 2);
  w.add_message(12, Span(-1, span_length));
  w.add_packed_sint64(13, deltas.begin(), deltas.end());
  return out;
}

// A metric with label a="b" and the field.
std::string Metric(uint32_t field, const std::string& message, int64_t t = 0) {
  std::string out;
  pbf_writer w(out);
  w.add_message(1, Label("a", "b"));
  w.add_message(field, message);
  if (t != 0) w.add_int64(6, t);
  return out;
}

std::string Family(const std::string& name, int type, const std::vector<std::string>& metrics) {
  std::string family;
  pbf_writer w(family);
  w.add_string(1, name);
  w.add_string(2, "Help.");
  w.add_enum(3, type);
  for (const std::string& m : metrics) w.add_message(4, m);
  w.add_string(5, "seconds");
  std::string out;
  protozero::write_varint(std::back_inserter(out), family.size());
  return out + family;
}

std::string Value(double v, const std::string& exemplar = "") {
  std::string out;
  pbf_writer w(out);
  w.add_double(1, v);
  if (!exemplar.empty()) w.add_message(2, exemplar);
  return out;
}

TEST(ProtobufTest, PlainMetricsAndSummariesAreRead) {
  std::string summary;
  pbf_writer w(summary);
  w.add_uint64(1, 7);
  w.add_double(2, 1.5);
  std::string quantile;
  pbf_writer q(quantile);
  q.add_double(1, 0.5);
  q.add_double(2, 0.25);
  w.add_message(3, quantile);
  const std::string body = Family("c_total", 0, {Metric(3, Value(3, Exemplar("x", 1, 0)))}) +
                           Family("g", 1, {Metric(2, Value(-1), 17)}) + Family("empty", 1, {}) +
                           Family("u.v", 3, {Metric(5, Value(2))}) + Family("s", 2, {Metric(4, summary)});
  const ReadBody read = ReadAll(BodyFormat::kProtobuf, body, {});
  EXPECT_EQ(read.error, "");
  EXPECT_THAT(read.lines, ElementsAre("c_total{a=\"b\"} 3.0", "g{a=\"b\"} -1.0 @17", "{\"u.v\",a=\"b\"} 2.0",
                                      "s_count{a=\"b\"} 7.0", "s_sum{a=\"b\"} 1.5",
                                      "s{a=\"b\",quantile=\"0.5\"} 0.25"));
  EXPECT_EQ(read.all[0].kind, EntryKind::kHelp);
  EXPECT_EQ(read.all[0].text, "Help.");
  EXPECT_EQ(read.all[1].kind, EntryKind::kUnit);
  EXPECT_EQ(read.all[1].text, "seconds");
  EXPECT_EQ(read.all[2].type, model::MetricType::kCounter);
  EXPECT_EQ(read.all[3].exemplar.labels.Get("id"), "x");
}

TEST(ProtobufTest, NativeHistogramsAreReadWhenAskedFor) {
  const std::string body = Family("h", 4, {Metric(7, Native({1, 2, -3, 1, 0}, 5, true))});
  const ReadBody read = ReadAll(BodyFormat::kProtobuf, body, {.native_histograms = true});
  ASSERT_THAT(read.histograms, SizeIs(1)) << read.error;
  const model::Histogram& h = *read.histograms[0].histogram;
  EXPECT_TRUE(h.integer);
  EXPECT_EQ(h.schema, 3);
  EXPECT_EQ(h.count, 10);
  EXPECT_EQ(h.zero_count, 2);
  EXPECT_EQ(h.zero_threshold, 0.001);
  // The empty bucket in the middle is cut out.
  EXPECT_THAT(h.positive_buckets, ElementsAre(1, 3, 1, 1));
  EXPECT_THAT(h.positive_spans, ElementsAre(model::Span{-1, 2}, model::Span{1, 2}));
  EXPECT_THAT(read.histograms[0].exemplars, SizeIs(2));
  EXPECT_EQ(read.histograms[0].exemplars[1].t, 100'005);
  EXPECT_THAT(read.lines, SizeIs(1));

  EXPECT_THAT(ReadAll(BodyFormat::kProtobuf, body, {.native_histograms = true, .always_classic = true}).lines,
              SizeIs(6));
  EXPECT_THAT(ReadAll(BodyFormat::kProtobuf, body, {}).lines,
              ElementsAre("h_count{a=\"b\"} 10.0", "h_sum{a=\"b\"} 2.5", "h_bucket{a=\"b\",le=\"1.0\"} 4.0",
                          "h_bucket{a=\"b\",le=\"8.0\"} 9.0", "h_bucket{a=\"b\",le=\"+Inf\"} 10.0"));
  const ReadBody converted = ReadAll(BodyFormat::kProtobuf, body, {.convert_to_nhcb = true});
  ASSERT_THAT(converted.histograms, SizeIs(1));
  EXPECT_THAT(converted.histograms[0].histogram->custom_values, ElementsAre(1, 8));
  EXPECT_THAT(converted.histograms[0].histogram->positive_buckets, ElementsAre(4, 5, 1));
}

TEST(ProtobufTest, GaugeHistogramsSayThatTheyAre) {
  const ReadBody read = ReadAll(BodyFormat::kProtobuf, Family("h", 5, {Metric(7, Native({1}, 1))}),
                                {.native_histograms = true});
  ASSERT_THAT(read.histograms, SizeIs(1));
  EXPECT_EQ(read.histograms[0].histogram->counter_reset, model::CounterReset::kGauge);
}

TEST(ProtobufTest, WhatIsBrokenIsAnErrorWithItsPlace) {
  struct Row {
    std::string body;
    const char* error;
  };
  const std::string good = Family("g", 1, {Metric(2, Value(1))});
  const Row rows[] = {
      {Family("h", 4, {Metric(7, Native({1, 2}, 5))}), "histogram \"h\": positive side: spans require 5 buckets, have 2"},
      {Family("\xff", 1, {Metric(2, Value(1))}), "invalid metric name"},
      {Family("g", 9, {Metric(2, Value(1))}), "unknown metric type for metric \"g\": 9"},
      {good + good.substr(0, good.size() - 1), "but only"},
      {good + "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "protobuf: message that ends at byte"},
      {std::string("\x02\x0a\x7f", 3), "protobuf: message that ends at byte 3 of 3"},
  };
  for (const Row& row : rows) {
    const ReadBody read = ReadAll(BodyFormat::kProtobuf, row.body, {.native_histograms = true});
    EXPECT_THAT(read.error, HasSubstr(row.error));
  }
}

// --- histograms ---

TEST(ProtobufTest, WhenACounterBeganIsRead) {
  std::string time;
  pbf_writer(time).add_int64(1, 100);
  const auto with = [&](uint32_t field, std::string message) {
    pbf_writer(message).add_message(field, time);
    return message;
  };
  const std::string body = Family("c", 0, {Metric(3, with(3, Value(3)))}) + Family("g", 1, {Metric(2, with(3, Value(3)))}) +
                           Family("s", 2, {Metric(4, with(4, ""))}) + Family("h", 4, {Metric(7, with(15, Native({1}, 1)))});
  const ReadBody read = ReadAll(BodyFormat::kProtobuf, body, {.native_histograms = true});
  EXPECT_EQ(read.error, "");
  std::vector<std::pair<std::string, int64_t>> starts;
  for (size_t i = 0, line = 0; i < read.all.size(); ++i) {
    const EntryKind kind = read.all[i].kind;
    if (kind != EntryKind::kSeries && kind != EntryKind::kHistogram) continue;
    starts.emplace_back(read.lines[line].substr(0, read.lines[line].find('{')), read.all[i].start);
    ++line;
  }
  EXPECT_THAT(starts, ElementsAre(testing::Pair("c", 100'000), testing::Pair("g", 0), testing::Pair("s_count", 100'000),
                                  testing::Pair("s_sum", 100'000), testing::Pair("h", 100'000)));
}

// --- _created ---

TEST(CreatedTest, ATimeBelongsToTheSeriesOfItsLabelsInItsFamily) {
  const std::string body =
      "# TYPE c counter\nc_total{a=\"1\"} 1\nc_created{a=\"1\"} 5.5\nc_total{a=\"2\"} 1\nc_created{a=\"3\"} 6\nc_total{a=\"3\"} 1\n"
      "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_count 1\nh_created 7\nh_sum 1\n"
      "# TYPE g gauge\ng_created 8\n# TYPE n counter\nn_total 1\nn_created NaN\n# EOF\n";
  const ReadBody read = ReadAll(BodyFormat::kOpenMetrics, body, {.starts = true});
  EXPECT_EQ(read.error, "");
  std::vector<int64_t> starts;
  for (const Entry& entry : read.all) {
    if (entry.kind == EntryKind::kSeries) starts.push_back(entry.start);
  }
  EXPECT_THAT(read.lines, ElementsAre("c_total{a=\"1\"} 1.0", "c_total{a=\"2\"} 1.0", "c_total{a=\"3\"} 1.0", "h_bucket{le=\"1\"} 1.0",
                                      "h_count 1.0", "h_sum 1.0", "g_created 8.0", "n_total 1.0"));
  EXPECT_THAT(starts, ElementsAre(5500, 0, 0, 7000, 7000, 7000, 0, 0));
  EXPECT_THAT(ReadAll(BodyFormat::kOpenMetrics, body, {}).lines, SizeIs(12)) << "series like others unless asked for";
}

TEST(CreatedTest, ABrokenLineIsToldWhereItStands) {
  const ReadBody read = ReadAll(BodyFormat::kOpenMetrics, "# TYPE c counter\nc_total 1\nc_created 5\nc_total{ 1\n# EOF\n", {.starts = true});
  EXPECT_THAT(read.lines, ElementsAre("c_total 1.0"));
  EXPECT_THAT(read.error, HasSubstr("(line 4)"));
}

TEST(CreatedConformanceTest, StartsAreThoseOfPrometheus) {
  const char* shared = std::getenv("TOCSIN_SHARED");
  const auto text = base::RealFileSystem()->ReadFile(
      base::JoinPath(shared != nullptr ? shared : "../shared", "conformance/exposition/parse_entries.json"));
  if (!text) GTEST_SKIP() << "no shared test data";
  size_t compared = 0;
  for (const json& row : json::parse(*text)) {
    if (!row.value("skip_created_series", false) || row.value("convert_classic_histograms_to_nhcb", false)) continue;
    const std::string body = row["input"];
    const ReadBody read = ReadAll(BodyFormat::kOpenMetrics, body, {.starts = true});
    EXPECT_EQ(read.error, "") << row["test"];
    ASSERT_EQ(read.all.size(), row["entries"].size()) << row["test"];
    for (size_t i = 0; i < read.all.size(); ++i) {
      if (read.all[i].kind != EntryKind::kSeries) continue;
      const json& want = row["entries"][i];
      EXPECT_EQ(read.all[i].start, want.value("start_timestamp_ms", int64_t{0})) << row["test"] << ": " << want["metric"];
      ++compared;
    }
  }
  EXPECT_GE(compared, 50u);
}

TEST(HistogramLimitsTest, ResolutionIsHalvedUntilTheBucketsFit) {
  auto h = std::make_shared<model::Histogram>();
  h->schema = 2;
  h->positive_spans = {{.offset = -3, .length = 8}, {.offset = 4, .length = 2}};
  h->positive_buckets = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  h->count = 55;
  EXPECT_EQ(LimitBuckets(h, 0, 0), h);
  EXPECT_EQ(LimitBuckets(h, 10, 0), h);
  const auto half = LimitBuckets(h, 8, 0);
  ASSERT_NE(half, nullptr);
  EXPECT_EQ(half->schema, 1);
  // Buckets -3..4 and 9, 10 lie in -1, 0, 0, 1, 1, 2, 2 of the coarser one, 9 and 10 in 5.
  EXPECT_THAT(half->positive_buckets, ElementsAre(3, 7, 11, 15, 19));
  EXPECT_THAT(half->positive_spans, ElementsAre(model::Span{-1, 4}, model::Span{2, 1}));
  EXPECT_TRUE(half->Validate()) << half->Validate().error().message();
  EXPECT_EQ(LimitBuckets(h, 0, 1.5)->schema, 0);
  EXPECT_EQ(LimitBuckets(h, 2, 0)->schema, -2);
  EXPECT_EQ(LimitBuckets(h, 1, 0), nullptr);  // below and above 1 stay apart at any resolution
  h->negative_spans = {{.offset = 1, .length = 1}};
  h->negative_buckets = {1};
  EXPECT_EQ(LimitBuckets(h, 1, 0), nullptr);
  h->schema = model::kCustomBucketsSchema;
  EXPECT_EQ(LimitBuckets(h, 3, 0), nullptr);
}

TEST(ClassicHistogramTest, PartsThatDoNotFitAreTold) {
  const auto error = [](auto set) {
    ClassicHistogram h;
    set(&h);
    const auto result = h.Convert();
    return result ? std::string() : result.error().message();
  };
  EXPECT_THAT(error([](auto* h) { h->SetBucket(std::nan(""), 1); }), HasSubstr("must not be NaN"));
  EXPECT_THAT(error([](auto* h) { h->SetBucket(1, -1); }), HasSubstr("non-negative"));
  EXPECT_THAT(error([](auto* h) { h->SetCount(-1); }), HasSubstr("non-negative"));
  EXPECT_THAT(error([](auto* h) { h->SetBucket(1, 5), h->SetBucket(2, 4); }), HasSubstr("not cumulative: 4 < 5"));
  EXPECT_THAT(error([](auto* h) { h->SetBucket(2, 4), h->SetBucket(1, 5); }), HasSubstr("not cumulative: 5 > 4"));
  EXPECT_THAT(error([](auto* h) { h->SetBucket(INFINITY, 4), h->SetCount(5); }), HasSubstr("count mismatch"));
  EXPECT_EQ(error([](auto* h) { h->SetBucket(2, 4), h->SetBucket(1, 3), h->SetBucket(1, 9); }), "");
  ClassicHistogram floats;
  floats.SetBucket(1, 0.5);
  floats.SetCount(2);
  EXPECT_FALSE(floats.Convert()->integer);
}

TEST(NhcbTest, HistogramsThatDoNotConvertAreLostAndOthersGoOn) {
  const std::string body =
      "# TYPE h histogram\nh_bucket{le=\"1\"} 5\nh_bucket{le=\"2\"} 3\nh_count 5\n"
      "h_bucket{p=\"q\",le=\"1\"} 1\nh_count{p=\"q\"} 2\nh_sum{p=\"q\"} 3\nh_other 1\n"
      "# TYPE g gauge\ng 1\n";
  const ReadBody read = ReadAll(BodyFormat::kText, body, {.convert_to_nhcb = true});
  EXPECT_EQ(read.error, "");
  ASSERT_THAT(read.lines, SizeIs(3));
  EXPECT_THAT(read.lines[0], testing::StartsWith("h{p=\"q\"} {count:2, sum:3"));
  EXPECT_EQ(read.lines[1], "h_other 1.0");
  EXPECT_THAT(ReadAll(BodyFormat::kText, body, {.always_classic = true, .convert_to_nhcb = true}).lines, SizeIs(9));
  EXPECT_THAT(ReadAll(BodyFormat::kText, "# TYPE h histogram\nh_count{ 1\n", {.convert_to_nhcb = true}).error,
              HasSubstr("expected label value"));
}

TEST(NhcbConformanceTest, HistogramsAreThoseOfPrometheus) {
  const char* shared = std::getenv("TOCSIN_SHARED");
  const auto text = base::RealFileSystem()->ReadFile(
      base::JoinPath(shared != nullptr ? shared : "../shared", "conformance/exposition/parse_entries.json"));
  if (!text) GTEST_SKIP() << "no shared test data";
  size_t compared = 0;
  for (const json& row : json::parse(*text)) {
    if (!row.value("convert_classic_histograms_to_nhcb", false)) continue;
    const std::string body = row["input"];
    const ReadBody read = ReadAll(BodyFormat::kOpenMetrics, body, {.starts = true, .convert_to_nhcb = true});
    EXPECT_EQ(read.error, "") << row["test"];
    size_t next = 0;
    for (const json& want : row["entries"]) {
      if (!want.contains("histogram")) continue;
      ASSERT_LT(next, read.histograms.size()) << row["test"];
      const Entry& entry = read.histograms[next];
      const model::Histogram& h = *entry.histogram;
      EXPECT_EQ(entry.start, want.value("start_timestamp_ms", int64_t{0})) << want["metric"];
      EXPECT_EQ(read.histogram_series[next++], want["metric"].get<std::string>());
      const json& hist = want["histogram"];
      EXPECT_EQ(h.count, hist["Count"].get<double>());
      EXPECT_EQ(h.sum, hist["Sum"].get<double>());
      EXPECT_EQ(h.custom_values, hist.value("CustomValues", std::vector<double>{}));
      std::vector<double> buckets;
      double count = 0;
      for (const json& delta : hist["PositiveBuckets"]) buckets.push_back(count += delta.get<double>());
      EXPECT_EQ(h.positive_buckets, buckets) << want;
      ASSERT_EQ(h.positive_spans.size(), hist["PositiveSpans"].size());
      EXPECT_EQ(h.positive_spans[0].offset, hist["PositiveSpans"][0]["Offset"].get<int32_t>());
      EXPECT_EQ(entry.exemplars.size(), want.value("exemplars", json::array()).size());
      ++compared;
    }
    EXPECT_EQ(next, read.histograms.size()) << row["test"];
  }
  EXPECT_GE(compared, 8u);
}

}  // namespace
}  // namespace tocsin::scrape
