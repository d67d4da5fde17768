#include "scrape/scraper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <functional>

#include "base/file_system.h"
#include "base/log.h"
#include "base/simulated_executor.h"
#include "scrape/test_storage.h"

namespace tocsin::scrape {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// Answers after a while, by what a function says.
class TestClient : public net::HttpClient {
 public:
  explicit TestClient(base::SimulatedExecutor* sim) : sim_(sim) {}

  net::Call Fetch(net::FetchRequest request, net::FetchDone done) override {
    requests.push_back(request);
    auto call = std::make_shared<std::pair<net::FetchDone, base::Timer>>(std::move(done), base::Timer());
    call->second = sim_->After(delay, [this, call = call.get(), request] {
      auto done_now = std::move(call->first);
      done_now(answer(request));
    });
    return net::Call([call] { call->second.Cancel(); });
  }

  static net::FetchResponse Ok(std::string body) {
    return {.status = 200, .headers = {{"Content-Type", "text/plain"}}, .body = std::move(body)};
  }

  std::function<base::Result<net::FetchResponse>(const net::FetchRequest&)> answer =
      [](const net::FetchRequest&) { return Ok("a 1\n"); };
  base::Duration delay = 10ms;
  std::vector<net::FetchRequest> requests;

 private:
  base::SimulatedExecutor* const sim_;
};

class ScraperTest : public testing::Test {
 protected:
  ScraperTest() {
    ScraperOptions options;
    options.executor = &sim_;
    options.client = &client_;
    options.storage = &storage_;
    options.registry = &registry_;
    scraper_ = std::make_unique<Scraper>(options);
    config_.job_name = "j";
    config_.scrape_interval = 10s;
    config_.scrape_timeout = 5s;
  }

  void Reload() {
    scraper_->Reload({std::make_shared<ScrapeConfig>(config_)}, model::Labels());
    sim_.RunPosted();
  }
  void SetTargets(std::vector<std::string> addresses) {
    model::TargetGroup group{.source = "s"};
    for (const std::string& a : addresses) {
      group.targets.push_back(model::Labels::FromPairs({{"__address__", a}}));
    }
    scraper_->SetTargets("j", {group});
    sim_.RunPosted();
  }
  std::vector<model::Sample> Samples(const std::string& name, const std::string& instance) {
    const auto* s = storage_.Find(name + "{instance=\"" + instance + "\", job=\"j\"}");
    return s == nullptr ? std::vector<model::Sample>() : s->samples;
  }
  size_t StaleMarkers(const std::string& name, const std::string& instance) {
    size_t n = 0;
    for (const model::Sample& s : Samples(name, instance)) n += model::IsStale(s.v) ? 1 : 0;
    return n;
  }

  base::SimulatedExecutor sim_{base::FromUnixMillis(1'700'000'000'000)};
  TestClient client_{&sim_};
  base::Registry registry_;
  TestStorage storage_;
  ScrapeConfig config_;
  std::unique_ptr<Scraper> scraper_;
};

TEST_F(ScraperTest, ATargetIsScrapedOnceAnIntervalAtEqualTimes) {
  Reload();
  SetTargets({"h:1"});
  sim_.RunFor(60s);
  const auto samples = Samples("a", "h:1");
  ASSERT_GE(samples.size(), 5u);
  for (size_t i = 1; i < samples.size(); ++i) EXPECT_EQ(samples[i].t - samples[i - 1].t, 10'000);
  ASSERT_FALSE(client_.requests.empty());
  const net::FetchRequest& r = client_.requests[0];
  EXPECT_EQ(r.url, "http://h:1/metrics");
  EXPECT_EQ(r.headers.Get("X-Prometheus-Scrape-Timeout-Seconds"), "5");
  EXPECT_THAT(std::string(r.headers.Get("Accept")), testing::StartsWith("application/openmetrics-text;version=1.0.0"));
  EXPECT_EQ(r.headers.Get("User-Agent"), "Prometheus/3.14.0");
  EXPECT_EQ(r.timeout, 5s);
  const auto active = scraper_->ActiveTargets();
  ASSERT_THAT(active, SizeIs(1));
  EXPECT_EQ(active[0].health, Health::kUp);
  EXPECT_EQ(active[0].last_duration, 10ms);
  EXPECT_EQ(base::ToUnixMillis(active[0].last_scrape), samples.back().t);
}

TEST_F(ScraperTest, FailuresAreToldInTheStatus) {
  struct Row {
    std::function<base::Result<net::FetchResponse>()> answer;
    const char* error;
  };
  const Row rows[] = {
      {[] { return base::Unavailable("connection refused"); }, "Get \"http://h:1/metrics\": connection refused"},
      {[] { return base::DeadlineExceeded("late"); }, "context deadline exceeded"},
      {[] { return base::ResourceExhausted("too long"); }, "body size limit exceeded"},
      {[] { return net::FetchResponse{.status = 404}; }, "server returned HTTP status 404 Not Found"},
      {[] { return TestClient::Ok("a{ 1\n"); }, "expected"},
      {[] { return net::FetchResponse{.status = 200, .body = "a 1"}; }, "blank Content-Type"},
  };
  Reload();
  SetTargets({"h:1"});
  EXPECT_EQ(scraper_->ActiveTargets()[0].health, Health::kUnknown);
  for (const Row& row : rows) {
    client_.answer = [&row](const net::FetchRequest&) { return row.answer(); };
    sim_.RunFor(10s);
    const TargetStatus status = scraper_->ActiveTargets()[0];
    EXPECT_EQ(status.health, Health::kDown);
    EXPECT_THAT(status.last_error, HasSubstr(row.error));
  }
}

TEST_F(ScraperTest, TargetsThatVanishGetStaleMarkersAfterTwoIntervals) {
  Reload();
  SetTargets({"h:1", "h:2"});
  sim_.RunFor(30s);
  SetTargets({"h:2"});
  const auto last = Samples("a", "h:1").back().t;
  sim_.RunFor(9s);
  EXPECT_EQ(StaleMarkers("a", "h:1"), 0u);
  sim_.RunFor(15s);
  EXPECT_EQ(StaleMarkers("a", "h:1"), 1u);
  EXPECT_EQ(StaleMarkers("up", "h:1"), 1u);
  EXPECT_EQ(Samples("a", "h:1").back().t, last + 10'000);
  EXPECT_EQ(StaleMarkers("a", "h:2"), 0u);
}

TEST_F(ScraperTest, ATargetThatFlapsGoesOnWithoutMarkers) {
  Reload();
  SetTargets({"h:1"});
  sim_.RunFor(30s);
  SetTargets({});
  EXPECT_THAT(scraper_->ActiveTargets(), IsEmpty());
  sim_.RunFor(5s);
  SetTargets({"h:1"});
  sim_.RunFor(60s);
  EXPECT_EQ(StaleMarkers("a", "h:1"), 0u);
  EXPECT_GE(Samples("a", "h:1").size(), 8u);
}

TEST_F(ScraperTest, NewSettingsKeepTheSeries) {
  Reload();
  SetTargets({"h:1"});
  sim_.RunFor(20s);
  config_.scrape_interval = 20s;
  config_.metrics_path = "/other";
  Reload();
  sim_.RunFor(60s);
  EXPECT_EQ(client_.requests.back().url, "http://h:1/other");
  EXPECT_EQ(StaleMarkers("a", "h:1"), 0u);
  const auto samples = Samples("scrape_series_added", "h:1");
  EXPECT_EQ(samples.back().v, 0);
  EXPECT_EQ(samples.back().t - samples[samples.size() - 2].t, 20'000);
}

TEST_F(ScraperTest, SettingsThatMakeOtherSeriesMarkTheOldOnesAtTheNextScrape) {
  Reload();
  SetTargets({"h:1"});
  sim_.RunFor(20s);
  model::RelabelRule rename;
  rename.target_label = "__name__";
  rename.replacement = "renamed";
  config_.metric_relabel = {rename};
  Reload();
  sim_.RunFor(11s);
  EXPECT_EQ(StaleMarkers("a", "h:1"), 1u);
  EXPECT_FALSE(Samples("renamed", "h:1").empty());
}

TEST_F(ScraperTest, JobsThatAreGoneAreMarkedStale) {
  Reload();
  SetTargets({"h:1"});
  sim_.RunFor(20s);
  scraper_->Reload({}, model::Labels());
  EXPECT_THAT(scraper_->Jobs(), IsEmpty());
  sim_.RunFor(30s);
  EXPECT_EQ(StaleMarkers("a", "h:1"), 1u);
  SetTargets({"h:1"});  // an unknown job now
  EXPECT_THAT(scraper_->ActiveTargets(), IsEmpty());
}

TEST_F(ScraperTest, StoppingWritesNoMarkers) {
  Reload();
  SetTargets({"h:1"});
  sim_.RunFor(20s);
  bool stopped = false;
  scraper_->Stop([&] { stopped = true; });
  sim_.RunFor(60s);
  EXPECT_TRUE(stopped);
  EXPECT_EQ(StaleMarkers("a", "h:1"), 0u);
}

TEST_F(ScraperTest, StoppingWaitsForWhatIsBeingStored) {
  sim_.SetWorkDuration(2s);
  Reload();
  SetTargets({"h:1"});
  while (client_.requests.empty()) sim_.RunFor(1s);
  sim_.RunFor(500ms);
  bool stopped = false;
  scraper_->Stop([&] { stopped = true; });
  EXPECT_FALSE(stopped);
  sim_.RunFor(5s);
  EXPECT_TRUE(stopped);
  EXPECT_EQ(Samples("a", "h:1").size(), 1u);
}

TEST_F(ScraperTest, ASlowStorageSkipsSlotsInsteadOfQueueingThem) {
  Reload();
  SetTargets({"h:1"});
  sim_.SetWorkDuration(25s);
  sim_.RunFor(120s);
  EXPECT_LE(client_.requests.size(), 5u);
  EXPECT_THAT(registry_.Expose(), testing::Not(HasSubstr("tocsin_target_scrapes_skipped_total 0\n")));
}

TEST_F(ScraperTest, TooManyTargetsFailAllOfThem) {
  config_.target_limit = 1;
  Reload();
  SetTargets({"h:1", "h:2"});
  sim_.RunFor(11s);
  for (const TargetStatus& t : scraper_->ActiveTargets()) {
    EXPECT_EQ(t.last_error, "target_limit exceeded (number of targets: 2, limit: 1)");
  }
  EXPECT_THAT(client_.requests, IsEmpty());
  SetTargets({"h:1"});
  sim_.RunFor(11s);
  EXPECT_EQ(scraper_->ActiveTargets()[0].health, Health::kUp);
}

TEST_F(ScraperTest, IntervalsDurationsAndMetadataAreCounted) {
  client_.answer = [](const net::FetchRequest&) { return TestClient::Ok("# HELP a Help.\n# TYPE a counter\na 1\n"); };
  Reload();
  SetTargets({"h:1", "h:2"});
  sim_.RunFor(31s);
  const std::string metrics = registry_.Expose();
  for (const char* line : {
           "prometheus_target_interval_length_seconds_count{interval=\"10s\"} 4",
           "prometheus_target_interval_length_histogram_seconds_bucket{interval=\"10s\",le=\"10\"} 4",
           "prometheus_target_sync_length_histogram_seconds_count{scrape_job=\"j\"} 1",
           "prometheus_target_scrape_duration_seconds_count 6",
           "prometheus_target_metadata_cache_entries{scrape_job=\"j\"} 2",
           "prometheus_target_metadata_cache_bytes{scrape_job=\"j\"} 24",
       }) {
    EXPECT_THAT(metrics, HasSubstr(std::string(line) + "\n"));
  }
  SetTargets({"h:1"});
  sim_.RunFor(1s);
  EXPECT_THAT(registry_.Expose(), HasSubstr("prometheus_target_metadata_cache_bytes{scrape_job=\"j\"} 12\n"));
}

TEST_F(ScraperTest, StatusesAreSortedAndDroppedTargetsShown) {
  model::RelabelRule drop;
  drop.action = model::RelabelAction::kDrop;
  drop.source_labels = {"__address__"};
  drop.regex = *base::Regex::Anchored("x.*");
  config_.relabel = {drop};
  Reload();
  const base::CaptureLog log;
  SetTargets({"h:2", "x:1", "h:1", "bad/address"});
  const auto active = scraper_->ActiveTargets("j");
  ASSERT_THAT(active, SizeIs(2));
  EXPECT_EQ(active[0].target->url, "http://h:1/metrics");
  EXPECT_THAT(scraper_->ActiveTargets("other"), IsEmpty());
  ASSERT_THAT(scraper_->Dropped(), SizeIs(1));
  EXPECT_EQ(scraper_->Dropped()[0].count, 1u);
  EXPECT_THAT(scraper_->Jobs(), ElementsAre("j"));
  EXPECT_EQ(scraper_->ConfigOf("j")->scrape_interval, 10s);
  EXPECT_EQ(scraper_->ConfigOf("other"), nullptr);
  EXPECT_THAT(log.lines(), SizeIs(1));
  EXPECT_THAT(registry_.Expose(), HasSubstr("prometheus_target_scrape_pool_targets{scrape_job=\"j\"} 2\n"));
  EXPECT_THAT(registry_.Expose(), HasSubstr("prometheus_target_sync_failed_total{scrape_job=\"j\"} 1\n"));
}

TEST_F(ScraperTest, AnUncompressedScrapeAsksForIdentity) {
  config_.enable_compression = false;
  config_.body_size_limit = 1000;
  Reload();
  SetTargets({"h:1"});
  sim_.RunFor(11s);
  EXPECT_EQ(client_.requests[0].headers.Get("Accept-Encoding"), "identity");
  EXPECT_FALSE(client_.requests[0].decode_gzip);
  EXPECT_EQ(client_.requests[0].max_response_bytes, 999u);
}

TEST_F(ScraperTest, FailuresAreWrittenToTheirLog) {
  char path[] = "/tmp/tocsin_scrape_XXXXXX";
  ASSERT_NE(::mkstemp(path), -1);
  config_.scrape_failure_log_file = path;
  client_.answer = [](const net::FetchRequest&) { return base::Unavailable("down"); };
  Reload();
  SetTargets({"h:1"});
  sim_.RunFor(11s);
  const auto text = base::RealFileSystem()->ReadFile(path);
  EXPECT_THAT(*text, HasSubstr("\"level\":\"ERROR\",\"msg\":\"Get \\\"http://h:1/metrics\\\": down\","
                               "\"job_name\":\"j\",\"target\":\"http://h:1/metrics\"}\n"));
  EXPECT_TRUE(base::RealFileSystem()->Remove(path));
}

// Timers fire late by as much as asked.
class LateExecutor : public base::SimulatedExecutor {
 public:
  using SimulatedExecutor::SimulatedExecutor;
  base::Timer After(base::Duration delay, base::Task fn) override {
    return SimulatedExecutor::After(delay + late, std::move(fn));
  }
  base::Duration late{};
};

TEST(ScraperAlignmentTest, SamplesStayOnTheSlotWhenTimersAreALittleLate) {
  for (const auto& [late, aligned] : {std::pair(1ms, true), std::pair(5ms, false)}) {
    LateExecutor sim(base::FromUnixMillis(1'700'000'000'000));
    sim.late = late;
    TestClient client(&sim);
    TestStorage storage;
    base::Registry registry;
    ScraperOptions options;
    options.executor = &sim;
    options.client = &client;
    options.storage = &storage;
    options.registry = &registry;
    Scraper scraper(options);
    auto config = std::make_shared<ScrapeConfig>();
    config->job_name = "j";
    config->scrape_interval = 10s;
    scraper.Reload({config}, model::Labels());
    scraper.SetTargets("j", {{.source = "s", .targets = {model::Labels::FromPairs({{"__address__", "h:1"}})}}});
    sim.RunFor(40s);
    const base::Duration slot =
        TimeToSlot(*scraper.ActiveTargets()[0].target, OffsetSeed("", model::Labels()),
                   base::FromUnixMillis(1'700'000'000'000));
    const auto& samples = storage.series[0].samples;
    ASSERT_GE(samples.size(), 3u);
    for (const model::Sample& s : samples) {
      const int64_t off = (s.t - base::ToUnixMillis(base::FromUnixMillis(1'700'000'000'000) + slot)) % 10'000;
      EXPECT_EQ(off == 0, aligned) << s.t;
    }
  }
}

}  // namespace
}  // namespace tocsin::scrape
