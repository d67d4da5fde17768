#include "base/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace tocsin::base {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(MetricsTest, FamiliesAreExposedByNameAndMetricsByLabelValues) {
  Registry registry;
  registry.AddGauge("b", "A gauge\nwith \\ two lines.")->Set(-1.5);
  Family<Counter>* family = registry.AddCounterFamily("a_total", "Counts.", {"x", "y"});
  family->With({"2", "\"q\"\n\\"})->Add(1e6);
  family->With({"1", ""})->Add();
  EXPECT_EQ(registry.Expose(),
            "# HELP a_total Counts.\n"
            "# TYPE a_total counter\n"
            "a_total{x=\"1\",y=\"\"} 1\n"
            "a_total{x=\"2\",y=\"\\\"q\\\"\\n\\\\\"} 1e+06\n"
            "# HELP b A gauge\\nwith \\\\ two lines.\n"
            "# TYPE b gauge\n"
            "b -1.5\n");
}

TEST(MetricsTest, HistogramsAreCumulative) {
  Registry registry;
  Histogram* h = registry.AddHistogram("h", "H.", {0.1, 1});
  for (const double v : {0.05, 0.1, 0.5, 7.0}) h->Observe(v);
  EXPECT_EQ(h->count(), 4u);
  EXPECT_DOUBLE_EQ(h->sum(), 7.65);
  EXPECT_THAT(registry.Expose(), HasSubstr("h_bucket{le=\"0.1\"} 2\n"
                                           "h_bucket{le=\"1\"} 3\n"
                                           "h_bucket{le=\"+Inf\"} 4\n"
                                           "h_sum 7.65\n"
                                           "h_count 4\n"));
}

TEST(MetricsTest, SummariesGiveQuantilesAndCountEverything) {
  Registry registry;
  Family<Summary>* family = registry.AddSummaryFamily("s", "S.", {"l"}, {0.5, 0.9});
  EXPECT_EQ(registry.Expose(), "");  // a family without metrics is not shown
  for (int i = 1; i <= 100; ++i) family->With({"v"})->Observe(i);
  EXPECT_THAT(registry.Expose(), HasSubstr("s{l=\"v\",quantile=\"0.5\"} 50\n"
                                           "s{l=\"v\",quantile=\"0.9\"} 90\n"
                                           "s_sum{l=\"v\"} 5050\n"
                                           "s_count{l=\"v\"} 100\n"));
  registry.AddSummary("empty", "E.", {0.5});
  EXPECT_THAT(registry.Expose(), HasSubstr("empty{quantile=\"0.5\"} NaN\nempty_sum 0\nempty_count 0\n"));
  // Beyond what is kept the quantiles are those of a sample.
  for (int i = 0; i < 100'000; ++i) family->With({"v"})->Observe(1000);
  EXPECT_THAT(registry.Expose(), HasSubstr("s{l=\"v\",quantile=\"0.9\"} 1000\n"));
}

TEST(MetricsTest, AddingAgainGivesTheSameMetric) {
  Registry registry;
  EXPECT_EQ(registry.AddCounter("c", "C."), registry.AddCounter("c", "C."));
  EXPECT_EQ(registry.AddGaugeFamily("g", "G.", {"l"}), registry.AddGaugeFamily("g", "G.", {"l"}));
}

TEST(MetricsDeathTest, AddingAgainOtherwiseIsAMistake) {
  Registry registry;
  registry.AddCounter("c", "C.");
  EXPECT_DEATH(registry.AddGauge("c", "C."), "metric c was added before");
  EXPECT_DEATH(registry.AddCounterFamily("c", "C.", {"l"}), "metric c was added before");
  EXPECT_DEATH(registry.AddGaugeCallback("c", "C.", [] { return 1.0; }), "metric c was added before");
  auto* family = registry.AddCounterFamily("f", "F.", {"l"});
  EXPECT_DEATH(family->With({"a", "b"}), "2 values for 1 labels");
  EXPECT_DEATH(Histogram({2, 1}), "must ascend");
}

TEST(MetricsTest, RemovedMetricsAreGone) {
  Registry registry;
  Family<Gauge>* family = registry.AddGaugeFamily("g", "G.", {"l"});
  for (const char* l : {"1", "2", "3"}) family->With({l})->Set(1);
  family->Remove(std::vector<std::string>{"2"});
  family->Remove(std::vector<std::string>{"none"});
  EXPECT_THAT(registry.Expose(), Not(HasSubstr("l=\"2\"")));
  EXPECT_THAT(registry.Expose(), HasSubstr("l=\"3\""));
  family->Clear();
  EXPECT_EQ(registry.Expose(), "");
}

TEST(MetricsTest, CallbacksAndCollectorsRunAtEachExposition) {
  Registry registry;
  int calls = 0;
  registry.AddGaugeCallback("g", "G.", [&] { return static_cast<double>(calls); });
  registry.AddCounterCallback("c_total", "C.", [] { return 7.0; });
  registry.AddCollector([&] { ++calls; });
  EXPECT_THAT(registry.Expose(), HasSubstr("g 1\n"));
  EXPECT_THAT(registry.Expose(), HasSubstr("g 2\n"));
  EXPECT_THAT(registry.Expose(), HasSubstr("# TYPE c_total counter\nc_total 7\n"));
}

TEST(MetricsTest, TheProcessKnowsItself) {
  Registry registry;
  AddProcessMetrics(&registry);
  const std::string text = registry.Expose();
  for (const char* name : {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds",
                           "process_max_fds", "process_start_time_seconds", "process_virtual_memory_bytes"}) {
    EXPECT_THAT(text, HasSubstr(std::string("\n") + name + " "));
  }
  EXPECT_THAT(text, Not(HasSubstr("NaN")));
}

TEST(MetricsThreadsTest, UpdatesFromManyThreadsAreAllCounted) {
  Registry registry;
  Family<Counter>* family = registry.AddCounterFamily("c", "C.", {"l"});
  Summary* summary = registry.AddSummary("s", "S.", {0.5});
  Histogram* histogram = registry.AddHistogram("h", "H.", {1});
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 1000; ++k) {
        family->With({k % 2 == 0 ? "even" : "odd"})->Add();
        summary->Observe(k);
        histogram->Observe(k);
        if (k % 100 == 0) {
          EXPECT_FALSE(registry.Expose().empty());
        }
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(family->With({"even"})->value(), 2000);
  EXPECT_EQ(histogram->count(), 4000u);
  EXPECT_THAT(registry.Expose(), HasSubstr("s_count 4000\n"));
}

}  // namespace
}  // namespace tocsin::base
