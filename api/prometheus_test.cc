#include "api/prometheus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/params.h"
#include "api/prometheus_world_test.h"
#include "api/query_gate.h"
#include "api/query_logs.h"
#include "base/text.h"

namespace tocsin::api {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

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
