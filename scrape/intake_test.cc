#include "scrape/intake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <protozero/pbf_writer.hpp>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <random>

#include "base/compress.h"
#include "base/file_system.h"
#include "base/log.h"
#include "base/simulated_executor.h"
#include "scrape/series_labels.h"
#include "scrape/test_storage.h"

namespace tocsin::scrape {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class IntakeTest : public testing::Test {
 protected:
  IntakeTest() {
    config_.job_name = "j";
    labels_ = model::Labels::FromPairs({{"instance", "i"}, {"job", "j"}});
  }

  std::unique_ptr<Intake> Make() {
    auto target = std::make_shared<Target>();
    target->labels = labels_;
    target->url = "http://i/metrics";
    target->timeout = std::chrono::seconds(10);
    target->native_histograms = config_.scrape_native_histograms;
    target->convert_to_nhcb = config_.convert_classic_histograms_to_nhcb;
    return std::make_unique<Intake>(IntakeOptions{.config = std::make_shared<ScrapeConfig>(config_),
                                                  .target = std::move(target),
                                                  .executor = &sim_,
                                                  .storage = &storage_,
                                                  .metrics = &metrics_,
                                                  .append_metadata = true,
                                                  .start_zeros = start_zeros_,
                                                  .start_times = start_times_,
                                                  .type_and_unit_labels = type_and_unit_labels_});
  }

  ScrapeReport Scrape(std::string body, std::string type = "text/plain") {
    if (intake_ == nullptr) intake_ = Make();
    t_ += 1000;
    return intake_->Run({.t = t_, .now = base::FromUnixMillis(t_), .body = std::move(body),
                         .content_type = std::move(type)});
  }
  std::string Samples(const std::string& name, const std::string& labels = "") {
    return storage_.Samples(name + "{" + labels + (labels.empty() ? "" : ", ") + "instance=\"i\", job=\"j\"}");
  }

  bool start_zeros_ = false;
  bool start_times_ = false;
  bool type_and_unit_labels_ = false;
  ScrapeConfig config_;
  model::Labels labels_;
  base::SimulatedExecutor sim_{base::FromUnixMillis(0)};
  base::Registry registry_;
  Metrics metrics_{&registry_};
  TestStorage storage_;
  std::unique_ptr<Intake> intake_;
  int64_t t_ = 0;
};

TEST_F(IntakeTest, SamplesAndTheTargetsOwnSeriesAreStored) {
  const ScrapeReport report = Scrape("a 1\nb{x=\"y\"} 2\n");
  EXPECT_TRUE(report.status);
  EXPECT_EQ(report.scraped, 2u);
  EXPECT_EQ(report.series_added, 2u);
  Scrape("a 3\nb{x=\"y\"} 4\nc 5\n");
  EXPECT_EQ(Samples("a"), "1@1000 3@2000");
  EXPECT_EQ(storage_.Samples(R"(b{instance="i", job="j", x="y"})"), "2@1000 4@2000");
  EXPECT_EQ(Samples("up"), "1@1000 1@2000");
  EXPECT_EQ(Samples("scrape_samples_scraped"), "2@1000 3@2000");
  EXPECT_EQ(Samples("scrape_samples_post_metric_relabeling"), "2@1000 3@2000");
  EXPECT_EQ(Samples("scrape_series_added"), "2@1000 1@2000");
  EXPECT_EQ(Samples("scrape_duration_seconds"), "0@1000 0@2000");
  EXPECT_EQ(storage_.commits, 2);
}

TEST_F(IntakeTest, ExtraSeriesAreReportedOnDemand) {
  config_.extra_scrape_metrics = true;
  config_.sample_limit = 7;
  config_.body_size_limit = 100;
  Scrape("a 1\n");
  EXPECT_EQ(Samples("scrape_timeout_seconds"), "10@1000");
  EXPECT_EQ(Samples("scrape_sample_limit"), "7@1000");
  EXPECT_EQ(Samples("scrape_body_size_bytes"), "4@1000");
  const ScrapeReport report = Scrape(std::string(100, '\n'));
  EXPECT_THAT(report.status.error().message(), HasSubstr("body size limit exceeded"));
  EXPECT_EQ(Samples("scrape_body_size_bytes"), "4@1000 -1@2000");
}

TEST_F(IntakeTest, SeriesThatAreGoneGetOneStaleMarker) {
  Scrape("a 1\nb 1\n");
  Scrape("b 2\n");
  Scrape("b 3\n");
  EXPECT_EQ(Samples("a"), "1@1000 stale@2000");
  EXPECT_EQ(Samples("b"), "1@1000 2@2000 3@3000");
  Scrape("a 4\nb 4\n");
  EXPECT_EQ(Samples("a"), "1@1000 stale@2000 4@4000");
}

TEST_F(IntakeTest, AFailedScrapeMarksEverythingStaleAndTheNextGoesOn) {
  Scrape("a 1\nb 1\n");
  intake_->Run({.t = t_ += 1000, .fetched = base::Unavailable("refused")});
  intake_->Run({.t = t_ += 1000, .fetched = base::Unavailable("refused")});
  EXPECT_EQ(Samples("a"), "1@1000 stale@2000");
  EXPECT_EQ(Samples("up"), "1@1000 0@2000 0@3000");
  const ScrapeReport report = Scrape("a 2\nb 2\n");
  EXPECT_EQ(report.series_added, 0u);  // remembered through the failure
  EXPECT_EQ(Samples("a"), "1@1000 stale@2000 2@4000");
}

TEST_F(IntakeTest, ABodyBrokenAtItsEndLeavesNothingButMarkersOfWhatIsNotBeforeTheFault) {
  Scrape("a 1\nb 1\n");
  const ScrapeReport report = Scrape("a 2\nnew 1\nbroken{ 3\nb 2\n");
  EXPECT_FALSE(report.status);
  EXPECT_EQ(Samples("a"), "1@1000");
  EXPECT_EQ(Samples("b"), "1@1000 stale@2000");
  EXPECT_THAT(storage_.Names(), SizeIs(2));
  EXPECT_EQ(Samples("up"), "1@1000 0@2000");
  // What came before the broken line is still counted.
  EXPECT_EQ(Samples("scrape_samples_scraped"), "2@1000 2@2000");
  EXPECT_EQ(Samples("scrape_series_added"), "2@1000 1@2000");
  intake_->Run({.t = t_ += 1000, .fetched = base::Unavailable("refused")});
  EXPECT_EQ(Samples("a"), "1@1000 stale@3000");
  EXPECT_EQ(Scrape("a 3\nb 3\nnew 1\n").series_added, 1u);
}

TEST_F(IntakeTest, WhatIsWithinTheSampleLimitGetsNoMarkerWhenItIsExceeded) {
  config_.sample_limit = 2;
  Scrape("a 1\nb 1\n");
  EXPECT_FALSE(Scrape("a 2\nc 2\nb 2\n").status);
  EXPECT_EQ(Samples("a"), "1@1000");
  EXPECT_EQ(Samples("b"), "1@1000 stale@2000");
}

TEST_F(IntakeTest, ALineThatDoesNotParseIsNotASample) {
  EXPECT_EQ(Scrape("a 1\nb{x=\"\xff\"} 1\n").scraped, 1u);
  config_.sample_limit = 1;
  intake_ = nullptr;
  EXPECT_EQ(Scrape("c 1\nd 1\n").series_added, 1u);
}

TEST_F(IntakeTest, AnEmptyBodyIsASuccessWithoutSeries) {
  Scrape("a 1\n");
  EXPECT_TRUE(Scrape("", "").status);
  EXPECT_EQ(Samples("a"), "1@1000 stale@2000");
  EXPECT_EQ(Samples("up"), "1@1000 1@2000");
  // In OpenMetrics too, where the end is missing: as Prometheus 3; 2.42 refuses that.
  EXPECT_TRUE(Scrape("", "application/openmetrics-text").status);
}

TEST_F(IntakeTest, ReorderedAndRewrittenLinesAreTheSameSeries) {
  Scrape("a{x=\"1\",y=\"2\"} 1\nb 1\nc 1\n");
  Scrape("c 2\na{y=\"2\",x=\"1\"} 2\nb 2\n");
  Scrape("b 3\n\nc 3\na{x=\"1\",y=\"2\"} 3\n");
  EXPECT_THAT(storage_.Names(), SizeIs(3));
  EXPECT_EQ(storage_.Samples(R"(a{instance="i", job="j", x="1", y="2"})"), "1@1000 2@2000 3@3000");
  EXPECT_EQ(Samples("b"), "1@1000 2@2000 3@3000");
}

TEST_F(IntakeTest, ABareNameIsNotTakenForTheNameBeforeABrace) {
  Scrape("a 1\n");
  Scrape("a {x=\"1\"} 2\n");
  EXPECT_EQ(Samples("a"), "1@1000 stale@2000");
  EXPECT_EQ(storage_.Samples(R"(a{instance="i", job="j", x="1"})"), "2@2000");
}

TEST_F(IntakeTest, ExplicitTimestampsAreHonouredAndExemptFromStaleness) {
  Scrape("a 1 500\n");
  Scrape("b 1\n");
  EXPECT_EQ(Samples("a"), "1@500");
  config_.track_timestamps_staleness = true;
  intake_ = nullptr;
  Scrape("c 1 2500\n");
  Scrape("b 2\n");
  EXPECT_EQ(Samples("c"), "1@2500 stale@4000");
  config_.honor_timestamps = false;
  intake_ = nullptr;
  Scrape("d 1 17\n");
  EXPECT_EQ(Samples("d"), "1@5000");
}

TEST_F(IntakeTest, SamplesThatDoNotFitAreDroppedAndCounted) {
  const base::CaptureLog log;
  Scrape("a 1 5000\n");
  const ScrapeReport report = Scrape("a 2 4000\na 3 5000\nfar 1 9000000\nb 1\nb 2\nb 3\n");
  EXPECT_TRUE(report.status);
  EXPECT_EQ(report.after_relabeling, 6u);
  EXPECT_EQ(report.series_added, 1u);
  EXPECT_EQ(Samples("a"), "1@5000");
  EXPECT_EQ(Samples("b"), "1@2000");
  EXPECT_EQ(storage_.Find("far{instance=\"i\", job=\"j\"}"), nullptr);
  EXPECT_EQ(metrics_.out_of_order->value(), 1);
  EXPECT_EQ(metrics_.duplicate_timestamp->value(), 3);
  EXPECT_EQ(metrics_.out_of_bounds->value(), 1);
  EXPECT_THAT(log.lines(), SizeIs(3));
}

TEST_F(IntakeTest, ASeriesWhoseFirstSampleWasRefusedIsNotMarkedStale) {
  const base::CaptureLog log;
  Scrape("a 1 5000\n");
  intake_ = nullptr;
  EXPECT_EQ(Scrape("a 1\n").series_added, 0u);
  Scrape("b 1\n");
  EXPECT_EQ(Samples("a"), "1@5000");
}

TEST_F(IntakeTest, TooManySamplesFailTheScrape) {
  config_.sample_limit = 2;
  Scrape("a 1\nb 1\n");
  const ScrapeReport report = Scrape("a 1\nb 1\nc 1\nd 1\n");
  EXPECT_THAT(report.status.error().message(), HasSubstr("sample limit exceeded"));
  EXPECT_EQ(report.scraped, 4u);
  EXPECT_EQ(report.after_relabeling, 4u);
  EXPECT_EQ(report.series_added, 0u);  // both new ones are beyond the limit
  EXPECT_EQ(Samples("a"), "1@1000");
  EXPECT_EQ(metrics_.exceeded_sample_limit->value(), 1);
  EXPECT_THAT(storage_.Names(), SizeIs(2));
}

TEST_F(IntakeTest, LabelLimitsFailTheScrapeWithThePrometheusWords) {
  struct Row {
    uint64_t ScrapeConfig::*limit;
    uint64_t value;
    const char* error;
  };
  const Row rows[] = {
      {&ScrapeConfig::label_limit, 3,
       "label_limit exceeded (metric: metric, number of labels: 4, limit: 3)"},
      {&ScrapeConfig::label_name_length_limit, 8,
       "label_name_length_limit exceeded (metric: metric, label name: long_name, length: 9, limit: 8)"},
      {&ScrapeConfig::label_value_length_limit, 6,
       "label_value_length_limit exceeded (metric: metric, label name: long_name, value: \"a value\", length: "
       "7, limit: 6)"},
  };
  for (const Row& row : rows) {
    config_ = {};
    config_.*row.limit = row.value;
    intake_ = nullptr;
    const ScrapeReport report = Scrape("metric{long_name=\"a value\"} 1\n");
    ASSERT_FALSE(report.status);
    // __name__ has 8 bytes and comes first; instance has 8 as well.
    EXPECT_EQ(report.status.error().message(), row.error);
  }
  EXPECT_EQ(metrics_.exceeded_label_limits->value(), 3);
}

TEST_F(IntakeTest, SeriesThatCannotBeStoredFailTheScrape) {
  model::RelabelRule drop_name;
  drop_name.action = model::RelabelAction::kLabelDrop;
  drop_name.regex = *base::Regex::Anchored("__name__");
  config_.metric_relabel = {drop_name};
  EXPECT_THAT(Scrape("a 1\n").status.error().message(), HasSubstr("missing metric name"));
  config_ = {};
  intake_ = nullptr;
  EXPECT_THAT(Scrape("a{x=\"1\",x=\"2\"} 1\n").status.error().message(), HasSubstr("\"x\" is not unique"));
  config_.name_validation = model::NameScheme::kLegacy;
  intake_ = nullptr;
  EXPECT_THAT(Scrape("{\"a.b\"} 1\n").status.error().message(), HasSubstr("invalid metric name"));
  intake_ = nullptr;
  const base::CaptureLog log;
  storage_.resolve_status = base::ResourceExhausted("too many series");
  EXPECT_THAT(Scrape("z 1\n").status.error().message(), HasSubstr("too many series"));
}

TEST_F(IntakeTest, DroppedSeriesAreScrapedButNotStored) {
  model::RelabelRule drop;
  drop.action = model::RelabelAction::kDrop;
  drop.source_labels = {"__name__"};
  drop.regex = *base::Regex::Anchored("b.*");
  config_.metric_relabel = {drop};
  for (int i = 0; i < 2; ++i) {
    const ScrapeReport report = Scrape("a 1\nb1 1\nb2 1\n");
    EXPECT_EQ(report.scraped, 3u);
    EXPECT_EQ(report.after_relabeling, 1u);
  }
  EXPECT_THAT(storage_.Names(), SizeIs(1));
}

TEST_F(IntakeTest, AForgottenSeriesIsMadeAgain) {
  Scrape("a{x=\"1\"} 1\nb 1\n");
  storage_.Forget(R"(a{instance="i", job="j", x="1"})");
  storage_.Forget(R"(up{instance="i", job="j"})");
  EXPECT_TRUE(Scrape("a{x=\"1\"} 2\nb 2\n").status);
  EXPECT_EQ(storage_.Samples(R"(a{instance="i", job="j", x="1"})"), "1@1000 2@2000");
  EXPECT_EQ(Samples("up"), "1@1000 1@2000");
}

TEST_F(IntakeTest, CompressedBodiesAndUnknownTypesAreHandled) {
  intake_ = Make();
  EXPECT_TRUE(intake_->Run({.t = 1, .body = base::Gzip("a 1\n"), .content_type = "text/plain", .gzipped = true}).status);
  EXPECT_EQ(Samples("a"), "1@1");
  EXPECT_FALSE(intake_->Run({.t = 2, .body = "no gzip", .content_type = "text/plain", .gzipped = true}).status);
  EXPECT_THAT(Scrape("a 1\n", "").status.error().message(), HasSubstr("blank Content-Type"));
  config_.fallback_scrape_protocol = Protocol::kPrometheusText0_0_4;
  intake_ = nullptr;
  EXPECT_TRUE(Scrape("a 1\n", "").status);
  config_.body_size_limit = 50;
  intake_ = Make();
  const auto bomb =
      intake_->Run({.t = 9000, .body = base::Gzip(std::string(5000, '\n')), .content_type = "text/plain", .gzipped = true});
  EXPECT_THAT(bomb.status.error().message(), HasSubstr("body size limit exceeded"));
  EXPECT_EQ(metrics_.exceeded_body_size_limit->value(), 1);
  // The client stops reading there.
  EXPECT_FALSE(intake_->Run({.t = 9001, .fetched = base::Unavailable("too much"), .body_too_large = true}).status);
}

TEST_F(IntakeTest, MetadataIsToldWhenItChangesAndKeptForAWhile) {
  const ScrapeReport first = Scrape("# HELP a Help.\n# TYPE a counter\na 1\n");
  ASSERT_NE(first.metadata, nullptr);
  EXPECT_EQ(first.metadata->at("a"), (model::Metadata{model::MetricType::kCounter, "Help.", ""}));
  ASSERT_NE(storage_.Find(R"(a{instance="i", job="j"})"), nullptr);
  EXPECT_THAT(storage_.Find(R"(a{instance="i", job="j"})")->metadata, SizeIs(1));
  EXPECT_EQ(Scrape("# HELP a Help.\n# TYPE a counter\na 1\n").metadata, nullptr);
  EXPECT_EQ(Scrape("# HELP a New.\na 1\n").metadata->at("a").help, "New.");
  std::shared_ptr<const FamilyMetadata> last;
  for (int i = 0; i < 20; ++i) {
    if (auto report = Scrape("b 1\n"); report.metadata) last = report.metadata;
  }
  ASSERT_NE(last, nullptr);
  EXPECT_THAT(*last, IsEmpty());
}

TEST_F(IntakeTest, WhatAPageOfBeforeSaysOfAFamilyIsStillKnownAfterFailures) {
  config_.sample_limit = 3;
  Scrape("# HELP a A.\n# TYPE a gauge\na 1\n");
  for (int i = 0; i < 16; ++i) {
    std::string page;
    for (int k = 0; k < 10; ++k) page += "# HELP z" + std::to_string(10 * i + k) + " Z.\n";
    EXPECT_FALSE(Scrape(page + "b 1\nc 1\nd 1\ne 1\n").status);
  }
  EXPECT_TRUE(Scrape("# HELP a A.\n# TYPE a gauge\na 1\na{x=\"1\"} 1\n").status);
  const auto* series = storage_.Find(R"(a{instance="i", job="j", x="1"})");
  ASSERT_NE(series, nullptr);
  EXPECT_THAT(series->metadata, ElementsAre(model::Metadata{model::MetricType::kGauge, "A.", ""}));
}

TEST_F(IntakeTest, FailingScrapesWithEverNewFamiliesDoNotGrowTheMetadata) {
  std::shared_ptr<const FamilyMetadata> last;
  for (int i = 0; i < 40; ++i) {
    std::string body;
    for (int k = 0; k < 500; ++k) body += "# HELP m" + std::to_string(i * 500 + k) + " M.\n";
    const ScrapeReport report = Scrape(body + "broken{\n");
    EXPECT_FALSE(report.status);
    last = report.metadata;
  }
  ASSERT_NE(last, nullptr);
  EXPECT_LE(last->size(), 11u * 500);
  EXPECT_TRUE(last->contains("m19999"));
}

TEST_F(IntakeTest, MetadataOutlivesFailures) {
  Scrape("# HELP a A.\na 1\n");
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Scrape("").metadata, nullptr);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Scrape("broken{\n").metadata, nullptr);
}

// The same pages read with memory and without: what is stored and reported must be equal.
TEST_F(IntakeTest, ALineReadByItsLastFormIsReadAsTheParserDoes) {
  const base::CaptureLog log;  // of samples dropped
  std::mt19937 random(7);
  const auto pick = [&](auto... options) {
    const std::vector<std::string> all = {options...};
    return all[random() % all.size()];
  };
  model::RelabelRule drop_name;
  drop_name.source_labels = {"__name__"};
  drop_name.regex = *base::Regex::Anchored("dropped");
  drop_name.action = model::RelabelAction::kDrop;
  for (const bool open_metrics : {false, true}) {
    storage_ = TestStorage();
    const std::string type = open_metrics ? "application/openmetrics-text" : "text/plain";
    config_.track_timestamps_staleness = open_metrics;
    config_.metric_relabel = {drop_name};
    TestStorage plain_storage;
    std::vector<std::string> lines;
    for (int i = 0; i < 40; ++i) {
      lines.push_back("m" + std::to_string(i % 30) + pick("", "{a=\"x\"}", "{a=\"y\",b=\"}\"}"));
    }
    for (int round = 0; round < 300; ++round) {
      std::string body;
      if (random() % 8 == 0) lines[random() % lines.size()] = pick("new", "m3", "m4{a=\"x\"}", "dropped", "h_bucket{le=\"1\"}");
      if (random() % 8 == 0) std::swap(lines[random() % lines.size()], lines[random() % lines.size()]);
      if (random() % 16 == 0) lines.erase(lines.begin() + static_cast<int>(random() % lines.size()));
      if (random() % 16 == 0) lines.push_back("n" + std::to_string(round));
      const std::string help = random() % 10 == 0 ? "New." : "Help.";
      for (size_t i = 0; i < lines.size(); ++i) {
        if (i % 5 == 0) body += "# HELP " + lines[i].substr(0, lines[i].find('{')) + " " + help + "\n";
        if (i % 10 == 0) body += "# TYPE h histogram\n";
        body += lines[i] + " " +
                pick("1", "12345678901234567", "-2.5", "1e9", "0.1", "NaN", "+Inf", "1.5e-7", "-0", "9999999999999999999999");
        if (random() % 20 == 0) body += open_metrics ? " " + base::FormatF((t_ + 990) / 1000.0) : " " + std::to_string(t_ + 990);
        if (open_metrics && random() % 20 == 0) body += " # {id=\"a\"} 1";
        body += "\n";
      }
      const int fault = static_cast<int>(random() % 20);
      if (fault == 0) body += "broken{\n";
      if (fault == 1) body = body.substr(0, random() % body.size());
      if (open_metrics) body += "# EOF\n";
      SCOPED_TRACE(body);
      const ScrapeReport report = Scrape(body, type);
      // A new Intake knows nothing; what it inherits it marks.
      Intake fresh({.config = std::make_shared<ScrapeConfig>(config_),
                    .target = [&] {
                      auto target = std::make_shared<Target>();
                      target->labels = labels_;
                      return target;
                    }(),
                    .executor = &sim_,
                    .storage = &plain_storage,
                    .metrics = &metrics_,
                    .append_metadata = true});
      const ScrapeReport expected = fresh.Run(
          {.t = t_, .now = base::FromUnixMillis(t_), .body = body, .content_type = type});
      ASSERT_EQ(report.status.has_value(), expected.status.has_value());
      if (!report.status) {
        ASSERT_EQ(report.status.error().message(), expected.status.error().message());
      }
      ASSERT_EQ(report.scraped, expected.scraped);
      ASSERT_EQ(report.after_relabeling, expected.after_relabeling);
    }
    size_t compared = 0;
    for (const TestStorage::Series& expected : plain_storage.series) {
      const TestStorage::Series* series = storage_.Find(expected.labels.ToMetricString());
      ASSERT_NE(series, nullptr);
      auto samples = series->samples;
      std::erase_if(samples, [](const model::Sample& sample) { return model::IsStale(sample.v); });
      if (expected.labels.MetricName() == "scrape_series_added") continue;
      ASSERT_EQ(samples.size(), expected.samples.size()) << expected.labels.ToMetricString();
      for (size_t k = 0; k < samples.size(); ++k) {
        ASSERT_EQ(samples[k].t, expected.samples[k].t);
        ASSERT_TRUE(model::SameBits(samples[k].v, expected.samples[k].v)) << samples[k].v;
      }
      compared += samples.size();
    }
    EXPECT_GT(compared, 5000u);
    intake_ = nullptr;
  }
}

TEST_F(IntakeTest, MetadataThatChangesIsToldOfEverySeriesOfItsFamily) {
  const auto told = [&](const std::string& labels) {
    std::vector<std::string> helps;
    for (const model::Metadata& m : storage_.Find(labels)->metadata) helps.push_back(m.help);
    return helps;
  };
  const std::string x = R"(a_total{instance="i", job="j", x="1"})";
  const std::string y = R"(a_total{instance="i", job="j", x="2"})";
  const std::string series = "# TYPE a counter\na_total{x=\"1\"} 1\na_total{x=\"2\"} 1\n# HELP b B.\nb 1\n";
  for (const char* help : {"One.", "One.", "Two.", "Two."}) Scrape(std::string("# HELP a ") + help + "\n" + series);
  EXPECT_THAT(told(x), ElementsAre("One.", "Two."));
  EXPECT_THAT(told(y), ElementsAre("One.", "Two."));
  EXPECT_THAT(told(R"(b{instance="i", job="j"})"), ElementsAre("B."));
}

TEST_F(IntakeTest, ExemplarsGetTheTimeOfTheirSample) {
  Scrape("# TYPE a counter\na_total 5 # {id=\"x\"} 1\nb_total 6 # {id=\"y\"} 2 0.5\n# EOF\n",
         "application/openmetrics-text");
  const auto* a = storage_.Find(R"(a_total{instance="i", job="j"})");
  ASSERT_THAT(a->exemplars, SizeIs(1));
  EXPECT_EQ(a->exemplars[0].t, 1000);
  EXPECT_EQ(storage_.Find(R"(b_total{instance="i", job="j"})")->exemplars[0].t, 500);
  const base::CaptureLog log;
  Scrape("b_total 6 # {id=\"y\"} 2 0.5\n# EOF\n", "application/openmetrics-text");
  EXPECT_EQ(metrics_.exemplar_out_of_order->value(), 1);
}

TEST_F(IntakeTest, ACounterBeginsWithAZeroOnDemand) {
  start_zeros_ = true;
  const auto page = [](int total, const std::string& created) {
    return "# TYPE c counter\nc_total " + std::to_string(total) + "\n" + (created.empty() ? "" : "c_created " + created + "\n") +
           "# TYPE g gauge\ng 1\n# EOF\n";
  };
  const std::string type = "application/openmetrics-text";
  const ScrapeReport report = Scrape(page(3, "0.5"), type);
  EXPECT_EQ(report.scraped, 2u);
  EXPECT_EQ(report.series_added, 2u);
  Scrape(page(4, "0.5"), type);   // the same start
  Scrape(page(1, "2.25"), type);  // another
  Scrape(page(2, "9"), type);     // one that is still to come
  EXPECT_EQ(Samples("c_total"), "0@500 3@1000 4@2000 0@2250 1@3000 2@4000");
  EXPECT_EQ(Samples("g"), "1@1000 1@2000 1@3000 1@4000");
  EXPECT_EQ(Samples("c_created"), "");
  EXPECT_EQ(metrics_.out_of_order->value(), 0);
}

TEST_F(IntakeTest, SamplesAreStoredWithTheirStartOnDemand) {
  const auto page = [](int total, const std::string& created) {
    return "# TYPE g gauge\ng 1\n# TYPE c counter\nc_total " + std::to_string(total) + "\n" +
           (created.empty() ? "" : "c_created " + created + "\n") + "# TYPE last gauge\nlast 1\n# EOF\n";
  };
  const std::string type = "application/openmetrics-text", c = R"(c_total{instance="i", job="j"})", g = R"(g{instance="i", job="j"})";
  start_times_ = true;
  Scrape(page(3, "0.5"), type);
  Scrape(page(4, "0.5"), type);
  Scrape(page(1, ""), type);
  Scrape(page(2, "9"), type);  // the storage's to judge
  EXPECT_EQ(Samples("c_total"), "3@1000 4@2000 1@3000 2@4000") << "no zero is put in";
  EXPECT_EQ(Samples("c_created"), "") << "it is no series";
  EXPECT_THAT(storage_.StartsOf(c), ElementsAre(500, 500, 0, 9000));
  EXPECT_THAT(storage_.StartsOf(g), ElementsAre(0, 0, 0, 0));
  // Resolved anew, it keeps it.
  storage_.Forget(c);
  Scrape(page(3, "2.5"), type);
  EXPECT_THAT(storage_.StartsOf(c), ElementsAre(500, 500, 0, 9000, 2500));
  // A page that tells none is read line by line as before.
  Scrape("g 1\nlast 1\n");
  Scrape("g 1\nlast 1\n");
  EXPECT_THAT(storage_.StartsOf(g), ElementsAre(0, 0, 0, 0, 0, 0, 0));
}

TEST_F(IntakeTest, HistogramsAreStoredWithTheirStartOnDemand) {
  // A family of one integer histogram: created at 2.5 s, one bucket of 3.
  const std::string name = "h";
  std::string histogram, family, body;
  {
    protozero::pbf_writer h(histogram);
    h.add_uint64(1, 3);
    h.add_double(2, 6);
    h.add_sint32(5, 0);
    protozero::pbf_writer span(h, 12);
    span.add_sint32(1, 0);
    span.add_uint32(2, 1);
    span.commit();
    const int64_t deltas[] = {3};
    h.add_packed_sint64(13, std::begin(deltas), std::end(deltas));
    protozero::pbf_writer created(h, 15);
    created.add_int64(1, 2);
    created.add_int32(2, 500'000'000);
  }
  {
    protozero::pbf_writer f(family);
    f.add_string(1, name);
    f.add_enum(3, 4);
    protozero::pbf_writer metric(f, 4);
    metric.add_message(7, histogram);
  }
  body.push_back(static_cast<char>(family.size()));
  body += family;
  config_.scrape_native_histograms = true;
  for (const bool on : {false, true}) {
    start_times_ = on;
    intake_ = nullptr;
    t_ += 60'000;
    ASSERT_TRUE(Scrape(body, "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited").status);
  }
  EXPECT_THAT(storage_.StartsOf(R"(h{instance="i", job="j"})"), ElementsAre(0, 2500));
}

TEST_F(IntakeTest, SeriesGetTypeAndUnitOfTheirFamilyOnDemand) {
  type_and_unit_labels_ = true;
  const std::string page =
      "# TYPE a_seconds counter\n# UNIT a_seconds seconds\na_seconds_total{__type__=\"mine\"} 1\n"
      "# TYPE b gauge\n# UNIT b \nb{__unit__=\"mine\"} 1\n# TYPE c unknown\nc 1\n";
  const auto names = [&] { return storage_.Names(); };
  for (int i = 0; i < 2; ++i) Scrape(page + "# EOF\n", "application/openmetrics-text");
  const auto expected = ElementsAre(R"(a_seconds_total{__type__="counter", __unit__="seconds", instance="i", job="j"})",
                                    R"(b{__type__="gauge", __unit__="mine", instance="i", job="j"})", R"(c{instance="i", job="j"})");
  EXPECT_THAT(names(), expected);
  // A series that comes later gets them too, though the comments are those of before.
  Scrape("# TYPE a_seconds counter\n# UNIT a_seconds seconds\na_seconds_total{__type__=\"mine\"} 1\na_seconds_total{x=\"1\"} 1\n# EOF\n",
         "application/openmetrics-text");
  EXPECT_EQ(names().back(), R"(a_seconds_total{__type__="counter", __unit__="seconds", instance="i", job="j", x="1"})");
}

TEST_F(IntakeTest, BlanksBeforeANameArePartOfIt) {
  Scrape("a 1\n  b 1\n\t{\"c\"} 1\n");
  EXPECT_THAT(storage_.Names(), ElementsAre(HasSubstr("a{"), HasSubstr("\"  b\""), HasSubstr("c{")));
  Scrape("a 1\n  b 1\n\t{\"c\"} 1\n");
  EXPECT_THAT(storage_.Names(), SizeIs(3));
  config_.name_validation = model::NameScheme::kLegacy;
  intake_ = nullptr;
  EXPECT_THAT(Scrape("a 1\n  b 1\n").status.error().message(), HasSubstr("invalid metric name"));
}

TEST_F(IntakeTest, ATargetThatIsGoneIsMarkedStaleWithItsReport) {
  Scrape("a 1\n");
  intake_->MarkAllStale(7000);
  EXPECT_EQ(Samples("a"), "1@1000 stale@7000");
  EXPECT_EQ(Samples("up"), "1@1000 stale@7000");
}

TEST_F(IntakeTest, OtherSettingsGoOnWithTheSeriesOfBefore) {
  Scrape("a 1\nb 1\n");
  auto before = std::move(intake_);
  intake_ = Make();
  intake_->Continue(before.get());
  EXPECT_EQ(Scrape("a 2\nb 2\n").series_added, 0u);

  before = std::move(intake_);
  model::RelabelRule drop;
  drop.action = model::RelabelAction::kDrop;
  drop.source_labels = {"__name__"};
  drop.regex = *base::Regex::Anchored("b");
  config_.metric_relabel = {drop};
  intake_ = Make();
  intake_->Continue(before.get());
  EXPECT_FALSE(intake_->empty());
  Scrape("a 3\nb 3\n");
  EXPECT_EQ(Samples("a"), "1@1000 2@2000 3@3000");
  EXPECT_EQ(Samples("b"), "1@1000 2@2000 stale@3000");
}

TEST_F(IntakeTest, FailingScrapesWithEverNewSeriesDoNotGrowTheCache) {
  for (int i = 0; i < 20; ++i) {
    std::string body;
    for (int k = 0; k < 500; ++k) body += "m" + std::to_string(i * 500 + k) + " 1\n";
    EXPECT_FALSE(Scrape(body + "broken{\n").status);
  }
  EXPECT_THAT(storage_.Names(), IsEmpty());
  EXPECT_TRUE(Scrape("a 1\n").status);
}

TEST_F(IntakeTest, ACommitThatFailsIsLogged) {
  const base::CaptureLog log;
  storage_.commit_status = base::ResourceExhausted("disk full");
  Scrape("a 1\n");
  ASSERT_THAT(log.lines(), SizeIs(1));
  EXPECT_THAT(log.lines()[0], HasSubstr("disk full"));
}

TEST_F(IntakeTest, ClassicHistogramsBecomeNativeOnDemand) {
  config_.convert_classic_histograms_to_nhcb = true;
  EXPECT_TRUE(Scrape("# TYPE h histogram\nh_bucket{le=\"1\",p=\"q\"} 2\nh_bucket{le=\"+Inf\",p=\"q\"} 5\n"
                     "h_count{p=\"q\"} 5\nh_sum{p=\"q\"} 9\nother 1\n").status);
  const auto* h = storage_.Find(R"(h{instance="i", job="j", p="q"})");
  ASSERT_NE(h, nullptr);
  ASSERT_THAT(h->histograms, SizeIs(1));
  EXPECT_THAT(h->histograms[0].second->positive_buckets, ElementsAre(2, 3));
  EXPECT_THAT(h->histograms[0].second->custom_values, ElementsAre(1));
  EXPECT_EQ(h->histograms[0].second->sum, 9);
  EXPECT_THAT(storage_.Names(), SizeIs(2));
}

TEST(SeriesLabelsTest, ABadCaseOfEachRuleIsTold) {
  ScrapeConfig config;
  LabelPairs pairs = {{"__name__", "a"}, {"x", ""}};
  const auto target = model::Labels::FromPairs({{"x", "t"}});
  EXPECT_EQ(SeriesLabels(&pairs, target, config)->ToString(), R"({__name__="a", x="t"})");
  config.honor_labels = true;
  EXPECT_EQ(SeriesLabels(&pairs, target, config)->ToString(), R"({__name__="a"})");
}

TEST(SeriesLabelsConformanceTest, LabelsAreThoseOfPrometheus) {
  const char* shared = std::getenv("TOCSIN_SHARED");
  const auto text = base::RealFileSystem()->ReadFile(base::JoinPath(
      shared != nullptr ? shared : "../shared", "conformance/exposition/scrape_cases.json"));
  if (!text) GTEST_SKIP() << "no shared test data";
  const json cases = json::parse(*text);
  for (const char* table : {"honor_labels", "conflicting_labels"}) {
    for (const json& row : cases[table]) {
      ScrapeConfig config;
      config.honor_labels = row.value("honor_labels", false);
      const auto labels = [](const json& object) {
        LabelPairs pairs;
        for (const auto& [name, value] : object.items()) pairs.emplace_back(name, value.get<std::string>());
        return model::Labels::FromPairs(pairs);
      };
      const std::string body = row["text"].get<std::string>() + "\n";
      ExpositionParser parser(ExpositionFormat::kText, body);
      Entry entry;
      ASSERT_TRUE(parser.Next(&entry)) << row["name"];
      LabelPairs pairs;
      ASSERT_TRUE(ParseSeries(entry.series, ExpositionFormat::kText, {}, &pairs));
      const auto result = SeriesLabels(&pairs, labels(row["target_labels"]), config);
      ASSERT_TRUE(result) << row["name"] << ": " << result.error().message();
      EXPECT_EQ(result->ToString(), labels(row["labels"]).ToString()) << row["name"];
    }
  }
}

}  // namespace
}  // namespace tocsin::scrape
