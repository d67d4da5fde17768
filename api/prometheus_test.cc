#include "api/prometheus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>
#include <random>

#include "api/http/fake_exchange.h"
#include "api/params.h"
#include "api/query_gate.h"
#include "api/query_logs.h"
#include "base/compress.h"
#include "base/simulated_executor.h"
#include "base/simulated_file_system.h"
#include "base/text.h"

namespace tocsin::api {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr model::Timestamp kNow = 1'700'000'000'000;

using Pairs = std::vector<std::pair<std::string, std::string>>;

// A series of a remote-write request, protocol 1.0.
void AddSeries(const Pairs& labels, const std::vector<model::Sample>& samples, std::string* request,
               bool samples_first = false) {
  protozero::pbf_writer writer(*request);
  protozero::pbf_writer series(writer, 1);
  auto write_samples = [&] {
    for (const model::Sample& s : samples) {
      protozero::pbf_writer sample(series, 2);
      sample.add_double(1, s.v);
      sample.add_int64(2, s.t);
    }
  };
  if (samples_first) write_samples();
  for (const auto& [name, value] : labels) {
    protozero::pbf_writer label(series, 1);
    label.add_string(1, name);
    label.add_string(2, value);
  }
  if (!samples_first) write_samples();
}

// The same in protocol 2.0.
// `starts`: of the samples, and then of histograms at the minutes before now; 0: not told.
std::string RequestV2(const Pairs& labels, const std::vector<model::Sample>& samples, const std::vector<int64_t>& starts = {}) {
  std::string out;
  protozero::pbf_writer writer(out);
  writer.add_string(4, "");
  std::vector<uint32_t> refs;
  for (const auto& [name, value] : labels) {
    writer.add_string(4, name);
    writer.add_string(4, value);
    for (int i = 0; i < 2; ++i) refs.push_back(static_cast<uint32_t>(refs.size()) + 1);
  }
  protozero::pbf_writer series(writer, 5);
  series.add_packed_uint32(1, refs.begin(), refs.end());
  for (size_t i = 0; i < samples.size(); ++i) {
    protozero::pbf_writer sample(series, 2);
    sample.add_double(1, samples[i].v);
    sample.add_int64(2, samples[i].t);
    if (i < starts.size() && starts[i] != 0) sample.add_int64(3, starts[i]);
  }
  for (size_t i = samples.size(); i < starts.size(); ++i) {
    protozero::pbf_writer histogram(series, 3);
    histogram.add_uint64(1, 0);
    histogram.add_int64(15, kNow - static_cast<int64_t>(starts.size() - i) * 60'000);
    if (starts[i] != 0) histogram.add_int64(17, starts[i]);
  }
  return out;
}

class PrometheusApiTest : public ::testing::Test {
 protected:
  PrometheusApiTest() : executor_(base::FromUnixMillis(kNow)), engine_({.clock = &executor_}) {
    auto db = tsdb::Db::Open({.path = "data", .fs = &files_, .start_times = true, .histogram_start_times = true, .wal = false, .lock_file = false});
    EXPECT_TRUE(db) << db.error().message();
    db_ = *std::move(db);
    backend_.executor = &executor_;
    backend_.registry = &registry_;
    backend_.engine = &engine_;
    backend_.queryable = db_.get();
    backend_.appendable = db_.get();
    backend_.tsdb = AccessTo(db_.get());
  }

  void Start(PrometheusApiOptions options = {.enable_lifecycle = true,
                                             .remote_write_receiver = true,
                                             .external_url = "http://mon.example:80/",
                                             .listen_address = ":9090"}) {
    api_ = std::make_unique<PrometheusApi>(options, &backend_);
    api_->Register(&router_);
  }

  std::shared_ptr<FakeExchange> Send(std::string_view method, std::string_view target,
                                     std::string_view body = {}, net::Headers headers = {}) {
    if (api_ == nullptr) Start();
    auto x = std::make_shared<FakeExchange>(method, target, body, std::move(headers));
    router_.Serve(x);
    executor_.RunPosted();
    executor_.RunFor(std::chrono::milliseconds(1));
    return x;
  }
  std::string Get(std::string_view target) { return Send("GET", target)->body(); }

  std::shared_ptr<FakeExchange> Write(std::string_view request, net::Headers headers = {}) {
    return Send("POST", "/api/v1/write", base::SnappyEncode(request), std::move(headers));
  }
  // Samples 1, 2, 3, ... at the last minutes.
  void Fill(const Pairs& labels, int count = 3) {
    std::vector<model::Sample> samples;
    for (int i = 1; i <= count; ++i) {
      samples.push_back({kNow - 60'000 * (count - i), static_cast<double>(i)});
    }
    std::string request;
    AddSeries(labels, samples, &request);
    auto x = Write(request);
    ASSERT_EQ(x->status(), 204) << x->body();
  }

  base::SimulatedFileSystem files_;
  base::SimulatedExecutor executor_;
  base::Registry registry_;
  promql::Engine engine_;
  std::unique_ptr<tsdb::Db> db_;
  PrometheusBackend backend_;
  Router router_;
  std::unique_ptr<PrometheusApi> api_;
};

TEST_F(PrometheusApiTest, WhatIsWrittenIsFound) {
  Fill({{"__name__", "up"}, {"job", "a"}});
  EXPECT_EQ(Get("/api/v1/query?query=up&time=1700000000"),
            R"({"status":"success","data":{"resultType":"vector","result":[{"metric":)"
            R"({"__name__":"up","job":"a"},"value":[1700000000,"3"]}]}})");
  EXPECT_EQ(Get("/api/v1/query_range?query=up&start=1699999880&end=1700000000&step=60"),
            R"({"status":"success","data":{"resultType":"matrix","result":[{"metric":)"
            R"({"__name__":"up","job":"a"},"values":[[1699999880,"1"],[1699999940,"2"],)"
            R"([1700000000,"3"]]}]}})");
}

TEST_F(PrometheusApiTest, ValuesHaveTheirForms) {
  EXPECT_EQ(Get("/api/v1/query?query=1%2B1&time=1.5"),
            R"({"status":"success","data":{"resultType":"scalar","result":[1.5,"2"]}})");
  EXPECT_EQ(Get("/api/v1/query?query=%22x%22&time=1"),
            R"({"status":"success","data":{"resultType":"string","result":[1,"x"]}})");
  EXPECT_EQ(Get("/api/v1/query?query=nosuch&time=1"),
            R"({"status":"success","data":{"resultType":"vector","result":[]}})");
}

TEST_F(PrometheusApiTest, AFormIsAsGoodAsAQueryString) {
  net::Headers form{{"Content-Type", "application/x-www-form-urlencoded"}};
  EXPECT_THAT(Send("POST", "/api/v1/query", "query=1&time=5", form)->body(),
              HasSubstr("\"result\":[5,\"1\"]"));
}

TEST_F(PrometheusApiTest, ErrorsHaveTypeAndStatus) {
  struct Row {
    std::string_view target;
    int status;
    std::string_view part;
  };
  constexpr Row kRows[] = {
      {"/api/v1/query", 400, "\"errorType\":\"bad_data\""},
      {"/api/v1/query?query=sum(", 400,
       R"(invalid parameter \"query\": 1:5: parse error: unclosed left parenthesis)"},
      {"/api/v1/query?query=1&time=foo", 400,
       R"(invalid parameter \"time\": invalid time value for 'time': cannot parse \"foo\" to a valid timestamp)"},
      {"/api/v1/query?query=1&time=NaN", 400, "bad_data"},
      {"/api/v1/query?query=1&timeout=x", 400, R"(cannot parse \"x\" to a valid duration)"},
      {"/api/v1/query?query=1&timeout=0s", 503, "\"errorType\":\"timeout\""},
      {"/api/v1/query?query=1&limit=-1", 400, "limit must be non-negative"},
      {"/api/v1/query?query=1&limit=x", 400, "strconv.Atoi"},
      {"/api/v1/query_range?query=1&start=2&end=1&step=1", 400,
       "end timestamp must not be before start time"},
      {"/api/v1/query_range?query=1&start=1&end=2&step=0", 400, "zero or negative query resolution"},
      {"/api/v1/query_range?query=1&start=0&end=11001&step=1", 400, "exceeded maximum resolution"},
      {"/api/v1/query_range?query=1&start=0&end=9e15&step=1", 400, "exceeded maximum resolution"},
      {"/api/v1/query_range?query=up%5B5m%5D&start=0&end=1&step=1", 400,
       R"(invalid parameter \"query\")"},
      {"/api/v1/series", 400, "no match[] parameter provided"},
      {"/api/v1/series?match%5B%5D=%7B%7D", 400,
       "match[] must contain at least one non-empty matcher"},
      {"/api/v1/labels?start=x", 400, R"(invalid parameter \"start\": invalid time value for 'start')"},
      {"/api/v1/label/U___/values?start=x", 400, "bad_data"},
      {"/api/v1/status/tsdb?limit=0", 400, "limit must be a positive number"},
      {"/api/v1/status/tsdb?limit=10001", 400, "limit must not exceed 10000"},
      {"/api/v1/rules?type=foo", 400, R"(not supported value \"foo\")"},
      {"/api/v1/rules?group_next_token=x", 400, "group_limit needs to be present"},
      {"/api/v1/rules?group_limit=0", 400, "group_limit needs to be greater than 0"},
      {"/api/v1/targets/metadata?limit=x", 400, "limit must be a number"},
      {"/api/v1/scrape_pools/config", 400, "no scrapePool parameter provided"},
      {"/api/v1/nosuch", 404, "404 page not found"},
      {"/api/v1/write", 405, "Method Not Allowed"},
      {"/federate?match%5B%5D=up%7B", 400, "parse error"},
  };
  for (const Row& row : kRows) {
    auto x = Send("GET", row.target);
    EXPECT_EQ(x->status(), row.status) << row.target << " " << x->body();
    EXPECT_THAT(x->body(), HasSubstr(row.part)) << row.target;
  }
}

TEST_F(PrometheusApiTest, AnEvaluationThatFailsIs422) {
  Fill({{"__name__", "a"}, {"x", "1"}});
  Fill({{"__name__", "a"}, {"x", "2"}});
  auto x = Send("GET", "/api/v1/query?query=a+*+on()+a&time=1700000000");
  EXPECT_EQ(x->status(), 422) << x->body();
  EXPECT_THAT(x->body(), HasSubstr("\"errorType\":\"execution\""));
}

TEST_F(PrometheusApiTest, ListsOfSeriesAndLabels) {
  Fill({{"__name__", "up"}, {"job", "a"}});
  Fill({{"__name__", "up"}, {"job", "b"}});
  Fill({{"__name__", "down"}, {"zone", "z"}});
  EXPECT_EQ(Get("/api/v1/series?match%5B%5D=up&match%5B%5D=up%7Bjob%3D%22b%22%7D"),
            R"({"status":"success","data":[{"__name__":"up","job":"a"},{"__name__":"up","job":"b"}]})");
  EXPECT_EQ(Get("/api/v1/labels"), R"({"status":"success","data":["__name__","job","zone"]})");
  EXPECT_EQ(Get("/api/v1/labels?match%5B%5D=down"),
            R"({"status":"success","data":["__name__","zone"]})");
  EXPECT_EQ(Get("/api/v1/label/job/values"), R"({"status":"success","data":["a","b"]})");
  EXPECT_EQ(Get("/api/v1/label/job/values?limit=1"),
            R"({"status":"success","data":["a"],"warnings":["results truncated due to limit"]})");
  EXPECT_EQ(Get("/api/v1/label/nosuch/values"), R"({"status":"success","data":[]})");
  EXPECT_THAT(Get("/api/v1/series?match%5B%5D=up&limit=1"), HasSubstr("results truncated"));
}

TEST_F(PrometheusApiTest, FormatAndTree) {
  EXPECT_EQ(Get("/api/v1/format_query?query=sum(a)by(b)"),
            R"x({"status":"success","data":"sum by (b) (a)"})x");
  EXPECT_EQ(
      Get("/api/v1/parse_query?query=-a%5B5m%5D"),
      R"({"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got \"range vector\""})");
  EXPECT_EQ(Get("/api/v1/parse_query?query=abs(a)"),
            R"({"status":"success","data":{"type":"call","func":{"name":"abs","argTypes":["vector"],)"
            R"("variadic":0,"returnType":"vector"},"args":[{"type":"vectorSelector","name":"a",)"
            R"("matchers":[{"name":"__name__","value":"a","type":"="}],"offset":0,"offsetExpr":null,)"
            R"("timestamp":null,"startOrEnd":null,"anchored":false,"smoothed":false}]}})");
}

TEST_F(PrometheusApiTest, UntilTheStorageIsThereAnswersAre503) {
  backend_.queryable = nullptr;
  auto x = Send("GET", "/api/v1/query?query=1");
  EXPECT_EQ(x->status(), 503);
  EXPECT_EQ(Send("GET", "/-/ready")->status(), 503);
  EXPECT_EQ(Send("GET", "/-/healthy")->status(), 200);
  EXPECT_EQ(Get("/api/v1/status/walreplay"),
            R"({"status":"success","data":{"min":0,"max":0,"current":0}})");
}

TEST_F(PrometheusApiTest, ReplayAndCompactionTellHowFarTheyAre) {
  EXPECT_EQ(Get("/api/v1/status/compaction"), R"({"status":"success","data":{}})");
  const auto progress = std::make_shared<tsdb::Progress>();
  progress->replay.min = 3;
  progress->replay.max = 7;
  progress->replay.current = 4;
  progress->compaction.min_time = 1000;
  progress->compaction.max_time = 2000;
  progress->compaction.series = 5;
  progress->compaction.of_series = 9;
  progress->compaction.source = tsdb::CompactionProgress::Source::kBlocks;
  backend_.progress = progress;
  EXPECT_EQ(Get("/api/v1/status/walreplay"), R"({"status":"success","data":{"min":3,"max":7,"current":4}})");
  EXPECT_EQ(Get("/api/v1/status/compaction"),
            R"({"status":"success","data":{"source":"blocks","minTime":1000,"maxTime":2000,"series":5,"ofSeries":9}})");
}

TEST_F(PrometheusApiTest, NotificationsAreListedAlsoBeforeItIsReady) {
  EXPECT_EQ(Get("/api/v1/notifications"), R"({"status":"success","data":[]})");
  EXPECT_EQ(Send("GET", "/api/v1/notifications/live")->status(), 204);
  Notifications notifications(&executor_, &registry_, 1);
  backend_.notifications = &notifications;
  backend_.queryable = nullptr;
  notifications.Add("Starting.");
  EXPECT_THAT(Get("/api/v1/notifications"), HasSubstr(R"([{"text":"Starting.","date":"2023-11-14T)"));
  const auto x = Send("GET", "/api/v1/notifications/live");
  EXPECT_EQ(x->status(), 200);
  EXPECT_EQ(x->response().headers.Get("Content-Type"), "text/event-stream");
  EXPECT_TRUE(x->response().stream);
  EXPECT_EQ(Send("GET", "/api/v1/notifications/live")->status(), 204) << "there are as many listeners as may be";
  backend_.notifications = nullptr;
}

TEST_F(PrometheusApiTest, FeaturesAreThoseOfTheServiceTheApiAndTheLanguage) {
  backend_.features = [] { return Features{{"tsdb", {{"isolation", true}, {"st_storage", false}}}}; };
  const std::string features = Get("/api/v1/features");
  for (const char* part : {R"("tsdb":{"isolation":true,"st_storage":false})", R"("lifecycle":true)", R"("at_modifier":true)", R"("rate":true)"}) {
    EXPECT_THAT(features, HasSubstr(part));
  }
}

TEST_F(PrometheusApiTest, AJobsConfigurationIsShown) {
  backend_.scrape_config = [](std::string_view job) -> scrape::ScrapeConfigPtr {
    if (job != "node") return nullptr;
    auto config = std::make_shared<scrape::ScrapeConfig>();
    config->job_name = job;
    return config;
  };
  backend_.scrape_config_yaml = [](const scrape::ScrapeConfig& job) { return "job_name: " + job.job_name + "\n"; };
  EXPECT_EQ(Get("/api/v1/scrape_pools/config?scrapePool=node"),
            R"({"status":"success","data":{"yaml":"job_name: node\n"}})");
  const auto none = Send("GET", "/api/v1/scrape_pools/config?scrapePool=x");
  EXPECT_EQ(none->status(), 400);
  EXPECT_THAT(none->body(), HasSubstr("scrape pool \\\"x\\\" not found"));
}

TEST_F(PrometheusApiTest, LifecycleNeedsItsFlag) {
  bool reloaded = false;
  backend_.reload = [&](std::function<void(base::Status)> done) {
    reloaded = true;
    done(base::InvalidArgument("prometheus.yml:3: what is this"));
  };
  auto failed = Send("POST", "/-/reload");
  EXPECT_EQ(failed->status(), 500);
  EXPECT_EQ(failed->body(), "failed to reload config: prometheus.yml:3: what is this\n");
  EXPECT_TRUE(reloaded);
  EXPECT_EQ(Send("GET", "/-/reload")->status(), 405);
}

TEST_F(PrometheusApiTest, WithoutLifecycleAndAdminTheyAreRefused) {
  Start({});
  EXPECT_EQ(Send("POST", "/-/quit")->status(), 403);
  auto admin = Send("POST", "/api/v1/admin/tsdb/snapshot");
  EXPECT_EQ(admin->status(), 500);
  EXPECT_THAT(admin->body(), HasSubstr("\"errorType\":\"unavailable\",\"error\":\"admin APIs disabled\""));
  EXPECT_EQ(Write("")->status(), 404);
}

TEST_F(PrometheusApiTest, CorsHeadersAreForThoseWhoSayWhereTheyAre) {
  net::Headers origin{{"Origin", "http://example.org"}};
  auto x = Send("GET", "/api/v1/labels", {}, origin);
  EXPECT_EQ(x->response().headers.Get("Access-Control-Allow-Origin"), "*");
  EXPECT_EQ(x->response().headers.Get("Access-Control-Allow-Methods"), "GET, POST, OPTIONS");
  EXPECT_FALSE(Send("GET", "/api/v1/labels")->response().headers.Has("Access-Control-Allow-Origin"));
  auto options = Send("OPTIONS", "/api/v1/label/job/values", {}, origin);
  EXPECT_EQ(options->status(), 204);
  EXPECT_TRUE(options->response().headers.Has("Access-Control-Allow-Origin"));
}

TEST_F(PrometheusApiTest, OnlyTheNamedOriginsAreAllowed) {
  Start({.cors_origin = "https?://(a|b)\\.example"});
  auto ask = [&](std::string_view origin) {
    return std::string(Send("GET", "/api/v1/labels", {}, {{"Origin", origin}})
                           ->response()
                           .headers.Get("Access-Control-Allow-Origin"));
  };
  EXPECT_EQ(ask("http://a.example"), "http://a.example");
  EXPECT_EQ(ask("http://c.example"), "");
}

TEST_F(PrometheusApiTest, FederationGivesTheNewestSamples) {
  Fill({{"__name__", "up"}, {"job", "a"}});
  Fill({{"__name__", "up"}, {"instance", "i"}, {"job", "b\"\n"}});
  backend_.external_labels = [] { return model::Labels::FromPairs({{"cluster", "c1"}}); };
  EXPECT_EQ(Get("/federate?match%5B%5D=up&match%5B%5D=nosuch"),
            "# TYPE up untyped\n"
            "up{instance=\"i\",job=\"b\\\"\\n\",cluster=\"c1\"} 3 1700000000000\n"
            "up{job=\"a\",cluster=\"c1\",instance=\"\"} 3 1700000000000\n");
  EXPECT_EQ(Get("/federate"), "");
}

TEST_F(PrometheusApiTest, MetricsTellOfQueries) {
  Get("/api/v1/query?query=1");
  EXPECT_THAT(Get("/metrics"), HasSubstr("prometheus_engine_queries 0"));
}

TEST_F(PrometheusApiTest, ExplainShowsThePlanWithWhatItCost) {
  Fill({{"__name__", "up"}, {"job", "a"}});
  Fill({{"__name__", "up"}, {"job", "b"}});
  const std::string ran = Get("/api/v1/explain?query=sum(rate(up[5m]))%20*%202");
  EXPECT_THAT(ran, HasSubstr("\"kind\":\"binary\",\"operation\":\"*\""));
  EXPECT_THAT(ran, HasSubstr("\"operation\":\"select up[5m]\",\"position\":{\"start\":9,\"end\":15},"
                             "\"series\":2,\"samples\":6"));
  EXPECT_THAT(ran, HasSubstr("└─ select up[5m]         2 series           6 samples"));
  const std::string planned = Get("/api/v1/explain?run=false&query=sum(up)");
  EXPECT_THAT(planned, HasSubstr("\"text\":\"sum\\n└─ select up\\n\""));
  EXPECT_THAT(planned, Not(HasSubstr("series")));
  EXPECT_THAT(Get("/api/v1/explain?query=sum("), HasSubstr("\"errorType\":\"bad_data\""));
}

TEST_F(PrometheusApiTest, StatisticsShowSamplesByStepWhereTheEngineAllowsIt) {
  Fill({{"__name__", "up"}, {"job", "a"}});
  const std::string query = "/api/v1/query_range?query=sum_over_time(up[1m])&start=1700000000&end=1700000030&step=30";
  EXPECT_THAT(Get(query + "&stats=all"), Not(HasSubstr("PerStep")));
  promql::EngineOptions options = engine_.options();
  options.per_step_stats = true;
  const promql::Engine engine(options);
  backend_.engine = &engine;
  const std::string all = Get(query + "&stats=all");
  EXPECT_THAT(all, HasSubstr("\"samples\":{\"totalQueryableSamplesPerStep\":[[1700000000,"));
  EXPECT_THAT(all, HasSubstr("\"samplesReadPerStep\":[[1700000000,"));
  EXPECT_THAT(Get(query + "&stats=true"), Not(HasSubstr("PerStep")));
  backend_.engine = &engine_;
}

TEST_F(PrometheusApiTest, QueriesAreLoggedWhereTheConfigurationSays) {
  Start({.files = &files_});
  Get("/api/v1/query?query=1");
  api_->SetQueryLog("query.log");
  Get("/api/v1/query?query=up&time=1700000000");
  Get("/api/v1/query_range?query=time()&start=0&end=60&step=30");
  Get("/api/v1/query?query=up%20*%20on()%20group_left()%20up");
  api_->SetQueryLog("");
  Get("/api/v1/query?query=2");
  const std::string log = *files_.ReadFile("query.log");
  EXPECT_EQ(std::ranges::count(log, '\n'), 3);
  EXPECT_THAT(log, HasSubstr("\"msg\":\"promql query logged\",\"params\":{\"end\":\"2023-11-14T22:13:20.000Z\","
                             "\"query\":\"up\",\"start\":\"2023-11-14T22:13:20.000Z\",\"step\":0}"));
  EXPECT_THAT(log, HasSubstr("\"query\":\"time()\",\"start\":\"1970-01-01T00:00:00.000Z\",\"step\":30}"));
  EXPECT_THAT(log, HasSubstr("\"path\":\"/api/v1/query_range\"}"));
  EXPECT_THAT(Get("/metrics"), HasSubstr("prometheus_engine_query_log_enabled 0"));
}

TEST_F(PrometheusApiTest, QueriesOfRulesAreLoggedAndCounted) {
  Start({.files = &files_});
  EXPECT_FALSE(api_->rule_queries()->WantsQueries());
  api_->SetQueryLog("query.log");
  ASSERT_TRUE(api_->rule_queries()->WantsQueries());
  api_->rule_queries()->OnQuery(
      {.file = "a.yml", .group = "g", .text = "sum(up)", .at = kNow, .samples_read = 3, .error = ""});
  api_->rule_queries()->OnQuery({.file = "a.yml", .group = "g", .text = "up", .at = kNow, .error = "boom"});
  api_->rule_queries()->OnSamplesRead(3);
  const std::string log = *files_.ReadFile("query.log");
  EXPECT_THAT(log, HasSubstr("\"query\":\"sum(up)\",\"start\":\"2023-11-14T22:13:20.000Z\",\"step\":0}"));
  EXPECT_THAT(log, HasSubstr("\"samplesRead\":3"));
  EXPECT_THAT(log, HasSubstr("\"error\":\"boom\",\"ruleGroup\":{\"file\":\"a.yml\",\"name\":\"g\"}}"));
  EXPECT_THAT(Get("/metrics"), HasSubstr("prometheus_engine_query_samples_read_total 3"));
}

TEST_F(PrometheusApiTest, QueriesThatWereRunningWhenTheProcessDiedAreKnownToTheNext) {
  {
    ActiveQueries first(&files_, "queries.active", 2);
    EXPECT_EQ(first.unfinished(), "");
    const ActiveQueries::Entry one = first.Enter("sum(\"a\")", base::FromUnixMillis(kNow));
    { const ActiveQueries::Entry ended = first.Enter("up", base::FromUnixMillis(kNow)); }
    const ActiveQueries::Entry two = first.Enter(std::string(5000, 'x'), base::FromUnixMillis(kNow));
    const ActiveQueries::Entry beyond = first.Enter("no room", base::FromUnixMillis(kNow));
    EXPECT_EQ(files_.ReadFile("queries.active")->size(), 2001u);
    // As after kill -9: nothing is taken off the list.
    ActiveQueries second(&files_, "queries.active", 2);
    EXPECT_THAT(second.unfinished(), testing::StartsWith("[{\"query\":\"sum(\\\"a\\\")\",\"timestamp_sec\":1700000000},"
                                                         "{\"query\":\"xxx"));
    EXPECT_THAT(second.unfinished(), testing::EndsWith("}]"));
  }
}

TEST_F(PrometheusApiTest, AQueryWhoseClientLeavesIsCancelled) {
  Start();
  auto x = std::make_shared<FakeExchange>("GET", "/api/v1/query?query=1");
  router_.Serve(x);
  x->Leave();
  executor_.RunFor(std::chrono::seconds(1));
  EXPECT_FALSE(x->responded());
  EXPECT_THAT(Get("/metrics"), HasSubstr("prometheus_engine_queries 0"));
}

TEST_F(PrometheusApiTest, StoppingWaitsForWorkers) {
  Start();
  executor_.SetWorkDuration(std::chrono::seconds(5));
  router_.Serve(std::make_shared<FakeExchange>("GET", "/api/v1/labels"));
  bool stopped = false;
  api_->Stop([&] { stopped = true; });
  executor_.RunFor(std::chrono::seconds(1));
  EXPECT_FALSE(stopped);
  executor_.RunFor(std::chrono::seconds(10));
  EXPECT_TRUE(stopped);
}

// --- remote write

TEST_F(PrometheusApiTest, OutOfOrderSamplesAreRefusedAndTheOthersKept) {
  Fill({{"__name__", "up"}});
  std::string request;
  AddSeries({{"__name__", "up"}}, {{kNow - 30'000, 7}}, &request);
  AddSeries({{"__name__", "other"}}, {{kNow, 8}}, &request);
  AddSeries({{"__name__", "far"}}, {{kNow + 3'600'000, 8}}, &request);
  auto x = Write(request);
  EXPECT_EQ(x->status(), 400);
  EXPECT_THAT(x->body(), HasSubstr("out of order sample"));
  EXPECT_THAT(x->body(), HasSubstr("too far in the future"));
  EXPECT_THAT(Get("/api/v1/query?query=other&time=1700000000"), HasSubstr("\"8\""));
}

TEST_F(PrometheusApiTest, SeriesWithInvalidLabelsAreLeftOut) {
  std::string request;
  AddSeries({{"job", "nameless"}}, {{kNow, 1}}, &request);
  AddSeries({{"__name__", "twice"}, {"a", "1"}, {"a", "2"}}, {{kNow, 1}}, &request);
  AddSeries({{"__name__", "bytes"}, {"a", "\xff"}}, {{kNow, 1}}, &request);
  AddSeries({{"__name__", "good"}}, {{kNow, 1}}, &request);
  EXPECT_EQ(Write(request)->status(), 204);
  EXPECT_EQ(Get("/api/v1/label/__name__/values"), R"({"status":"success","data":["good"]})");
  EXPECT_THAT(Get("/metrics"),
              HasSubstr("prometheus_api_remote_write_invalid_labels_samples_total 3"));
}

TEST_F(PrometheusApiTest, LabelsAreKnownWhereverTheyStand) {
  std::string first;
  AddSeries({{"__name__", "m"}, {"a", "b"}}, {{kNow - 2000, 1}}, &first, true);
  EXPECT_EQ(Write(first)->status(), 204);
  std::string second;
  AddSeries({{"a", "b"}, {"__name__", "m"}}, {{kNow - 1000, 2}}, &second);
  EXPECT_EQ(Write(second)->status(), 204);
  EXPECT_EQ(Get("/api/v1/series?match%5B%5D=m"),
            R"({"status":"success","data":[{"__name__":"m","a":"b"}]})");
}

TEST_F(PrometheusApiTest, SeriesAreKnownInWhateverOrderTheyCome) {
  const std::vector<Pairs> series = {{{"__name__", "m"}, {"a", "1"}},
                                     {{"__name__", "m"}, {"a", "1"}, {"b", "2"}},  // begins as the one before
                                     {{"__name__", "m"}, {"a", "22"}},
                                     {{"__name__", "n"}}};
  const std::vector<std::vector<size_t>> requests = {{0, 1, 2, 3}, {0, 1, 2, 3}, {0, 2, 3}, {1, 0, 3, 2},
                                                     {1, 0, 3, 2}, {3, 2, 1, 0}, {0, 1, 2, 3}, {2}};
  std::vector<std::string> last(series.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    std::string request;
    for (const size_t s : requests[i]) {
      const model::Timestamp t = kNow - 1000 * static_cast<model::Timestamp>(requests.size() - i);
      AddSeries(series[s], {{t, static_cast<double>(10 * i + s)}}, &request);
      last[s] = std::to_string(10 * i + s);
    }
    EXPECT_EQ(Write(request)->status(), 204) << i;
  }
  const char* const selectors[] = {"m{a=\"1\",b=\"\"}", "m{b=\"2\"}", "m{a=\"22\"}", "n"};
  for (size_t s = 0; s < series.size(); ++s) {
    EXPECT_THAT(Get("/api/v1/query?time=1700000000&query=" + base::QueryEscape(selectors[s])),
                HasSubstr("\"" + last[s] + "\"]}]"))
        << selectors[s];
  }
}

TEST_F(PrometheusApiTest, OtherFieldsBehindKnownLabelsAreRead) {
  const Pairs labels[] = {{{"__name__", "m"}}, {{"__name__", "n"}}};
  const auto write = [&](const auto& add_behind) {
    std::string request;
    AddSeries(labels[0], {{kNow, 1}}, &request);
    protozero::pbf_writer writer(request);
    protozero::pbf_writer series(writer, 1);
    {
      protozero::pbf_writer label(series, 1);
      label.add_string(1, "__name__");
      label.add_string(2, "n");
    }
    add_behind(&series);
    series.commit();
    return Write(request)->status();
  };
  const auto add = [](protozero::pbf_writer* series, double v, model::Timestamp t, bool v_first = true) {
    protozero::pbf_writer fields(*series, 2);
    if (v_first) fields.add_double(1, v);
    fields.add_int64(2, t);
    if (!v_first) fields.add_double(1, v);
  };
  const auto value = [&](std::string_view selector) {
    return Get("/api/v1/query?time=1700000000&query=" + base::QueryEscape(selector));
  };
  // The first two make the second series the expected one.
  for (int i = 0; i < 2; ++i) EXPECT_EQ(write([&](auto* s) { add(s, i, kNow - 9000 + i); }), 204);
  EXPECT_EQ(write([&](auto* s) { add(s, 7, kNow - 8000, false); }), 204);
  EXPECT_THAT(value("n"), HasSubstr("\"7\"]"));
  EXPECT_EQ(write([&](auto* s) { add(s, 8, kNow - 7000), add(s, 9, kNow - 6000); }), 204);
  EXPECT_THAT(value("n"), HasSubstr("\"9\"]"));
  // Zero is not written, in proto3.
  EXPECT_EQ(write([&](auto* s) {
              protozero::pbf_writer sample(*s, 2);
              sample.add_int64(2, kNow - 5000);
            }), 204);
  EXPECT_THAT(value("n"), HasSubstr("\"0\"]"));
  // A label behind the sample: another series.
  EXPECT_EQ(write([&](auto* s) {
              add(s, 10, kNow - 4000);
              protozero::pbf_writer label(*s, 1);
              label.add_string(1, "late");
              label.add_string(2, "label");
            }), 204);
  EXPECT_THAT(value("n{late=\"\"}"), HasSubstr("\"0\"]"));
  EXPECT_THAT(value("n{late=\"label\"}"), HasSubstr("\"10\"]"));
  EXPECT_EQ(write([&](auto* s) { add(s, 11, kNow); }), 204);
  EXPECT_THAT(value("n{late=\"\"}"), HasSubstr("\"11\"]"));
}

TEST_F(PrometheusApiTest, ProtocolTwoAnswersWithCounts) {
  net::Headers headers{
      {"Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"},
      {"Content-Encoding", "snappy"}};
  auto x = Write(RequestV2({{"__name__", "m"}, {"a", "b"}}, {{kNow - 1000, 1}, {kNow, 2}}), headers);
  EXPECT_EQ(x->status(), 204) << x->body();
  EXPECT_EQ(x->response().headers.Get("X-Prometheus-Remote-Write-Samples-Written"), "2");
  EXPECT_THAT(Get("/api/v1/query?query=m&time=1700000000"), HasSubstr("\"a\":\"b\""));
  auto partly = Write(RequestV2({{"__name__", "m"}, {"a", "b"}}, {{kNow - 5000, 1}, {kNow + 1, 2}}),
                      headers);
  EXPECT_EQ(partly->status(), 400);
  EXPECT_EQ(partly->response().headers.Get("X-Prometheus-Remote-Write-Samples-Written"), "1");
  auto nameless = Write(RequestV2({{"a", "b"}}, {{kNow, 1}}), headers);
  EXPECT_EQ(nameless->status(), 400);
}

TEST_F(PrometheusApiTest, ProtocolTwoTellsWhenSamplesBegan) {
  const net::Headers headers{{"Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"}};
  EXPECT_EQ(Write(RequestV2({{"__name__", "f"}}, {{kNow - 3000, 1}, {kNow - 2000, 2}, {kNow - 1000, 3}}, {5, 0, 7}), headers)->status(), 204);
  EXPECT_EQ(Write(RequestV2({{"__name__", "h"}}, {}, {8, 0, 9}), headers)->status(), 204);
  EXPECT_EQ(Write(RequestV2({{"__name__", "none"}}, {{kNow, 1}}), headers)->status(), 204);
  const auto starts = [&](std::string_view name) {
    storage::SampleColumns columns;
    const auto q = db_->NewQuerier({});
    EXPECT_TRUE((*q->Select({}, std::vector{model::Matcher::Equal("__name__", name)}))->Read(0, 1, {}, &columns));
    return columns.start_times;
  };
  EXPECT_THAT(starts("f"), ::testing::ElementsAre(5, 0, 7));
  EXPECT_THAT(starts("h"), ::testing::ElementsAre(8, 0, 9));
  EXPECT_THAT(starts("none"), ::testing::IsEmpty());
}

TEST_F(PrometheusApiTest, OtherFormatsAreRefused) {
  auto status = [&](net::Headers headers) { return Write("", std::move(headers))->status(); };
  EXPECT_EQ(status({{"Content-Type", "application/json"}}), 415);
  EXPECT_EQ(status({{"Content-Encoding", "gzip"}}), 415);
  EXPECT_EQ(status({{"Content-Type", "application/x-protobuf;proto=other"}}), 415);
  EXPECT_EQ(Send("POST", "/api/v1/write", "garbage")->status(), 400);
  EXPECT_EQ(Write("\x0a\xff\xff")->status(), 400);
  // 33 MB of zeros in a few bytes.
  EXPECT_EQ(Write(std::string(33 << 20, '\0'))->status(), 413);
}

TEST_F(PrometheusApiTest, BrokenRequestsAreAnsweredNotDiedOf) {
  std::string whole;
  AddSeries({{"__name__", "m"}, {"a", "b"}}, {{kNow, 1}}, &whole);
  std::string v2 = RequestV2({{"__name__", "m"}}, {{kNow, 1}});
  std::mt19937 random(3);
  for (const std::string& request : {whole, v2}) {
    net::Headers headers{{"Content-Type", request == v2
                                              ? "application/x-protobuf;proto=io.prometheus.write.v2.Request"
                                              : "application/x-protobuf"}};
    for (size_t cut = 0; cut < request.size(); ++cut) {
      EXPECT_THAT(Write(request.substr(0, cut), headers)->status(), ::testing::AnyOf(204, 400));
      std::string flipped = request;
      flipped[cut] = static_cast<char>(random());
      EXPECT_THAT(Write(flipped, headers)->status(), ::testing::AnyOf(204, 400));
    }
  }
}

// --- remote read

std::string ReadRequest(std::string_view metric, int accepted) {
  std::string out;
  protozero::pbf_writer writer(out);
  {
    protozero::pbf_writer query(writer, 1);
    query.add_int64(1, kNow - 60'000);
    query.add_int64(2, kNow);
    for (auto [name, value] : {std::pair<std::string_view, std::string_view>("__name__", metric),
                               std::pair<std::string_view, std::string_view>("cluster", "c1")}) {
      protozero::pbf_writer matcher(query, 3);
      matcher.add_enum(1, 0);
      matcher.add_string(2, std::string(name));
      matcher.add_string(3, std::string(value));
    }
  }
  writer.add_enum(2, accepted);
  return base::SnappyEncode(out);
}

TEST_F(PrometheusApiTest, RemoteReadGivesSamplesWithExternalLabels) {
  backend_.external_labels = [] { return model::Labels::FromPairs({{"cluster", "c1"}}); };
  Fill({{"__name__", "up"}, {"job", "a"}});
  auto x = Send("POST", "/api/v1/read", ReadRequest("up", 0));
  ASSERT_EQ(x->status(), 200) << x->body();
  std::string body = *base::SnappyDecode(x->body(), 1 << 20);
  std::string want;
  {
    protozero::pbf_writer writer(want);
    protozero::pbf_writer result(writer, 1);
    std::string request;
    AddSeries({{"__name__", "up"}, {"cluster", "c1"}, {"job", "a"}},
              {{kNow - 60'000, 2}, {kNow, 3}}, &request);
    // A series has the same form in both directions: the field of the list is 1 in both, too.
    protozero::pbf_reader series(request);
    ASSERT_TRUE(series.next(1));
    result.add_message(1, series.get_view());
  }
  EXPECT_EQ(body, want);
  EXPECT_EQ(Send("POST", "/api/v1/read", ReadRequest("up", 1))->status(), 400);
  EXPECT_EQ(Send("POST", "/api/v1/read", "garbage")->status(), 400);
}

// --- targets and rules

TEST_F(PrometheusApiTest, TargetsShowWhatScrapingKnows) {
  auto target = std::make_shared<scrape::Target>();
  target->labels = model::Labels::FromPairs({{"instance", "h:1"}, {"job", "j"}});
  target->discovered = model::Labels::FromPairs({{"__address__", "h:1"}});
  target->url = "http://localhost:9090/metrics";
  target->interval = std::chrono::seconds(15);
  target->timeout = std::chrono::seconds(10);
  auto metadata = std::make_shared<scrape::FamilyMetadata>();
  (*metadata)["up_total"] = {.type = model::MetricType::kCounter, .help = "Ups.", .unit = ""};
  backend_.active_targets = [=](std::string_view) {
    return std::vector<scrape::TargetStatus>{{.job = "j",
                                              .target = target,
                                              .health = scrape::Health::kUp,
                                              .last_scrape = base::FromUnixMillis(kNow),
                                              .last_duration = std::chrono::milliseconds(5),
                                              .metadata = metadata}};
  };
  EXPECT_EQ(Get("/api/v1/targets?state=active"),
            R"({"status":"success","data":{"activeTargets":[{"discoveredLabels":{"__address__":"h:1"},)"
            R"("labels":{"instance":"h:1","job":"j"},"scrapePool":"j",)"
            R"("scrapeUrl":"http://localhost:9090/metrics","globalUrl":"http://mon.example:80/metrics",)"
            R"("lastError":"","lastScrape":"2023-11-14T22:13:20Z","lastScrapeDuration":0.005,)"
            R"("health":"up","scrapeInterval":"15s","scrapeTimeout":"10s"}],"droppedTargets":[],)"
            R"("droppedTargetCounts":null}})");
  EXPECT_EQ(Get("/api/v1/metadata"),
            R"({"status":"success","data":{"up_total":[{"type":"counter","help":"Ups.","unit":""}]}})");
  EXPECT_EQ(Get("/api/v1/metadata?limit=0"), R"({"status":"success","data":{}})");
  EXPECT_EQ(Get("/api/v1/targets/metadata?metric=up_total&match_target=%7Bjob%3D%22j%22%7D"),
            R"({"status":"success","data":[{"target":{"instance":"h:1","job":"j"},"type":"counter",)"
            R"("help":"Ups.","unit":""}]})");
}

std::shared_ptr<const ruler::GroupStatus> MakeGroup(std::string name) {
  auto g = std::make_shared<ruler::GroupStatus>();
  g->file = "r.yml";
  g->name = std::move(name);
  g->interval = std::chrono::seconds(30);
  ruler::RuleStatus alert{.spec = std::make_shared<ruler::RuleSpec>(
                              ruler::RuleSpec{.alert = "Down", .query = "up == 0", .labels = {{"severity", "page"}}})};
  alert.state = ruler::AlertState::kFiring;
  alert.health = ruler::RuleHealth::kOk;
  alert.alerts.push_back({.labels = model::Labels::FromPairs({{"alertname", "Down"}}),
                          .state = ruler::AlertState::kFiring,
                          .value = 0,
                          .active_at = base::FromUnixMillis(kNow)});
  g->rules.push_back(alert);
  g->rules.push_back({.spec = std::make_shared<ruler::RuleSpec>(ruler::RuleSpec{.record = "a:b", .query = "sum(b)"})});
  return g;
}

TEST_F(PrometheusApiTest, RulesAreFiltered) {
  backend_.rule_groups = [] {
    return std::vector{MakeGroup("one"), MakeGroup("two"), MakeGroup("three")};
  };
  EXPECT_EQ(Get("/api/v1/rules?rule_group%5B%5D=two&type=alert"),
            R"({"status":"success","data":{"groups":[{"name":"two","file":"r.yml","rules":[)"
            R"({"state":"firing","name":"Down","query":"up == 0","duration":0,"keepFiringFor":0,)"
            R"("labels":{"severity":"page"},"annotations":{},"alerts":[{"labels":{"alertname":"Down"},)"
            R"("annotations":{},"state":"firing","activeAt":"2023-11-14T22:13:20Z","value":"0e+00"}],)"
            R"("health":"ok","evaluationTime":0,"lastEvaluation":"0001-01-01T00:00:00Z",)"
            R"("type":"alerting"}],"interval":30,"limit":0,"evaluationTime":0,)"
            R"("lastEvaluation":"0001-01-01T00:00:00Z"}]}})");
  EXPECT_THAT(Get("/api/v1/rules?type=record"), Not(HasSubstr("Down")));
  EXPECT_THAT(Get("/api/v1/rules?exclude_alerts=true"), HasSubstr("\"alerts\":null"));
  EXPECT_THAT(Get("/api/v1/rules?match%5B%5D=%7Bseverity%3D%22page%22%7D"), Not(HasSubstr("a:b")));
  EXPECT_EQ(Get("/api/v1/rules?file%5B%5D=other.yml"),
            R"({"status":"success","data":{"groups":[]}})");
  EXPECT_THAT(Get("/api/v1/alerts"), HasSubstr("\"alertname\":\"Down\""));
}

TEST_F(PrometheusApiTest, PagingVisitsEachGroupOnce) {
  backend_.rule_groups = [] {
    return std::vector{MakeGroup("one"), MakeGroup("two"), MakeGroup("three")};
  };
  std::string token;
  std::string names;
  for (int page = 0; page < 5; ++page) {
    std::string body =
        Get("/api/v1/rules?group_limit=1" + (token.empty() ? "" : "&group_next_token=" + token));
    size_t name = body.find("{\"groups\":[{\"name\":\"");
    ASSERT_NE(name, std::string::npos) << body;
    name += 20;
    names += body.substr(name, body.find('"', name) - name) + " ";
    size_t at = body.find("\"groupNextToken\":\"");
    if (at == std::string::npos) break;
    token = body.substr(at + 18, 64);
  }
  EXPECT_EQ(names, "one two three ");
  EXPECT_THAT(Get("/api/v1/rules?group_limit=1&group_next_token=x"),
              HasSubstr("were rule groups changed?"));
}

TEST(QueryGateTest, QueriesWaitTheirTurnOrTimeOut) {
  base::SimulatedExecutor executor(base::FromUnixMillis(0));
  QueryGate gate(&executor, 1);
  std::string log;
  auto enter = [&](char name) {
    return gate.Enter(
        std::chrono::seconds(10), [&log, name] { log += name; },
        [&log, name] { log += std::string("-") + name; });
  };
  enter('a');
  enter('b');
  uint64_t c = enter('c');
  enter('d');
  EXPECT_EQ(log, "a");
  EXPECT_TRUE(gate.Forget(c));
  EXPECT_FALSE(gate.Forget(c));
  gate.Leave();
  EXPECT_EQ(log, "ab");
  executor.RunFor(std::chrono::seconds(11));
  EXPECT_EQ(log, "ab-d");
  gate.Leave();
  EXPECT_EQ(gate.running(), 0);
}

TEST(ParamsTest, TimesAndDurations) {
  EXPECT_EQ(*ParseTime("1.5"), 1500);
  EXPECT_EQ(*ParseTime("-10.5"), -10500);
  EXPECT_EQ(*ParseTime("1.5e9"), 1'500'000'000'000);
  EXPECT_EQ(*ParseTime("2015-06-03T13:21:58.555Z"), 1433337718555);
  EXPECT_EQ(*ParseTime("-9223372036854775"), kFirstTime);
  EXPECT_EQ(*ParseTime("-292273086-05-16T16:47:06Z"), kFirstTime);
  for (std::string_view bad : {"", "foo", "2020-01-01", "1,5", "5m", "1e400", "0x", "NaN", "+Inf"}) {
    EXPECT_FALSE(ParseTime(bad)) << bad;
  }
  EXPECT_EQ(*ParseDurationParam("1m30s"), std::chrono::seconds(90));
  EXPECT_EQ(*ParseDurationParam("0.5"), std::chrono::milliseconds(500));
  for (std::string_view bad : {"", "foo", "1e30", "NaN", "5 m"}) {
    EXPECT_FALSE(ParseDurationParam(bad)) << bad;
  }
}

}  // namespace
}  // namespace tocsin::api
