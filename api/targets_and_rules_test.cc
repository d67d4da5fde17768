// What the API shows of scraping and of rules.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/prometheus_world_test.h"
#include "base/text.h"

namespace tocsin::api {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class TargetsAndRulesApiTest : public PrometheusApiTest {};

TEST_F(TargetsAndRulesApiTest, TargetsShowWhatScrapingKnows) {
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

TEST_F(TargetsAndRulesApiTest, RulesAreFiltered) {
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

TEST_F(TargetsAndRulesApiTest, PagingVisitsEachGroupOnce) {
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

}  // namespace
}  // namespace tocsin::api
