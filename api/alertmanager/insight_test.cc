#include "api/alertmanager/insight.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/alertmanager/api_test_util.h"

namespace tocsin::api {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

// A client that accepts everything.
class OkHttp : public net::HttpClient {
 public:
  explicit OkHttp(base::SimulatedExecutor* sim) : sim_(sim) {}
  net::Call Fetch(net::FetchRequest request, net::FetchDone done) override {
    bodies.push_back(request.body);
    auto keep = std::make_shared<net::FetchDone>(std::move(done));
    answers_.push_back(sim_->After(latency, [keep] {
      net::FetchResponse r;
      r.status = 200;
      r.body = "thanks";
      (*keep)(std::move(r));
    }));
    return {};
  }
  std::vector<std::string> bodies;
  base::Duration latency{};

 private:
  std::vector<base::Timer> answers_;
  base::SimulatedExecutor* const sim_;
};

class InsightApiTest : public AlertmanagerWorld {
 protected:
  InsightApiTest() {
    Start("route:\n  receiver: ops\n  group_by: [alertname]\n  group_wait: 30s\nreceivers:\n- name: ops\n  webhook_configs:\n  - url: http://hook/\n",
          {.http = &http_}, {});
    api_ = std::make_unique<InsightApi>(&sim_, am_.get(),
                                        std::make_shared<Replies>(&sim_, &registry_, AlertmanagerApiOptions{.get_concurrency = 2}));
    api_->Register(&router_);
    model::Alert alert;
    alert.labels = model::Labels::FromPairs({{"alertname", "Down"}, {"instance", "a"}});
    alert.annotations = model::Labels::FromPairs({{"summary", "it is down"}});
    EXPECT_TRUE(am_->Post({alert}));
    sim_.RunFor(1min);
  }

  OkHttp http_{&sim_};
  std::unique_ptr<InsightApi> api_;
};

TEST_F(InsightApiTest, TheJournalTellsEventsAndTheirAlerts) {
  const auto x = Ask("GET", "/api/v2/journal?filter=instance%3D%22a%22&kind=request,received");
  EXPECT_EQ(x->status(), 200);
  EXPECT_THAT(x->body(), HasSubstr("\"kind\":\"received\",\"cause\":\"new\",\"fingerprint\":"));
  EXPECT_THAT(x->body(), HasSubstr("\"kind\":\"request\",\"outcome\":\"delivered\""));
  EXPECT_THAT(x->body(), HasSubstr("\"status\":200"));
  EXPECT_THAT(x->body(), HasSubstr("\"annotations\":{\"summary\":\"it is down\"}"));
  EXPECT_THAT(x->body(), Not(HasSubstr("grouped")));
}

TEST_F(InsightApiTest, ExplanationsAreTextAndEvidence) {
  const auto x = Ask("GET", "/api/v2/explain?filter=%7Balertname%3D%22Down%22%7D");
  EXPECT_EQ(x->status(), 200);
  EXPECT_THAT(x->body(), HasSubstr("\"verdict\":\"notified\""));
  EXPECT_THAT(x->body(), HasSubstr("ops/webhook/0 was told"));
}

TEST_F(InsightApiTest, APreviewSendsNothingAndATestSendsOnce) {
  const size_t sent = http_.bodies.size();
  for (const auto& [target, body] : {std::pair("/api/v2/preview?filter=Down", ""), std::pair("/api/v2/preview?filter=alertname%3DDown", ""),
                                     std::pair("/api/v2/preview?filter=alertname%3DDown&at=0s", ""),
                                     std::pair("/api/v2/preview", R"([{"labels":{"alertname":"Made"}}])")}) {
    const auto x = Ask("POST", target, body);
    if (std::string_view(target).ends_with("filter=Down")) {
      EXPECT_EQ(x->status(), 400);
      continue;
    }
    EXPECT_EQ(x->status(), 200) << x->body();
    EXPECT_THAT(x->body(), HasSubstr("\"integration\":\"ops/webhook/0\"")) << target;
  }
  EXPECT_EQ(http_.bodies.size(), sent);
  const auto x = Ask("POST", "/api/v2/receivers/ops/test");
  EXPECT_EQ(x->status(), 200);
  EXPECT_THAT(x->body(), HasSubstr("\"ok\":true"));
  EXPECT_THAT(x->body(), HasSubstr("\"answer\":\"thanks\""));
  EXPECT_EQ(http_.bodies.size(), sent + 1);
}

TEST_F(InsightApiTest, WhatEndedBeforeAnAnswerCameHasEndedInAPreviewOfThePast) {
  http_.latency = 1min;
  model::Alert alert;
  alert.labels = model::Labels::FromPairs({{"alertname", "Late"}});
  alert.starts_at = sim_.Now();
  ASSERT_TRUE(am_->Post({alert}));
  sim_.RunFor(40s);
  alert.ends_at = sim_.Now();
  ASSERT_TRUE(am_->Post({alert}));
  sim_.RunFor(2min);
  const auto x = Ask("POST", "/api/v2/preview?filter=alertname%3DLate&at=0s");
  EXPECT_EQ(x->status(), 200) << x->body();
  EXPECT_THAT(x->body(), HasSubstr(R"(\"status\":\"resolved\")")) << x->body();
  EXPECT_THAT(x->body(), Not(HasSubstr(R"(\"status\":\"firing\")"))) << x->body();
}

TEST_F(InsightApiTest, APostThatAnyPageMaySendIsRefused) {
  const size_t sent = http_.bodies.size();
  for (const char* type : {"", "text/plain", "application/x-www-form-urlencoded"}) {
    EXPECT_EQ(Ask("POST", "/api/v2/receivers/ops/test", "", type)->status(), 415) << type;
    EXPECT_EQ(Ask("POST", "/api/v2/preview?filter=alertname%3DDown", "", type)->status(), 415) << type;
  }
  EXPECT_EQ(http_.bodies.size(), sent);
}

TEST_F(InsightApiTest, MoreQuestionsAtOnceThanAllowedAreRefused) {
  std::vector<std::shared_ptr<FakeExchange>> asked;
  for (int i = 0; i < 3; ++i) {
    asked.push_back(std::make_shared<FakeExchange>("GET", i == 1 ? "/api/v2/explain?filter=a%3Db" : "/api/v2/journal"));
    router_.Serve(asked.back());
  }
  EXPECT_EQ(asked[2]->status(), 503);
  EXPECT_THAT(asked[2]->body(), HasSubstr("Limit of concurrent GET requests reached (2)"));
  sim_.RunFor(1s);
  EXPECT_EQ(asked[0]->status(), 200);
  EXPECT_EQ(asked[1]->status(), 200);
  EXPECT_EQ(Ask("GET", "/api/v2/journal")->status(), 200);
}

TEST_F(InsightApiTest, WrongQuestionsAreAnsweredWithWhatIsRight) {
  struct Row {
    std::string_view method, target, body;
    int status;
    std::string_view says;
  };
  for (const Row& row : {
           Row{"GET", "/api/v2/journal?kind=mail", "", 400, "there is received, resolved"},
           Row{"GET", "/api/v2/journal?limit=0", "", 400, "write a number from 1 to 10000"},
           Row{"GET", "/api/v2/journal?from=yesterday", "", 400, "not a time"},
           Row{"GET", "/api/v2/journal?fingerprint=xyz", "", 400, "16 hexadecimal digits"},
           Row{"GET", "/api/v2/explain?filter=a%3D~%22(%22", "", 400, ""},
           Row{"POST", "/api/v2/preview", "", 404, "no alert to preview"},
           Row{"POST", "/api/v2/preview", "{", 400, ""},
           Row{"POST", "/api/v2/receivers/none/test", "", 404, "there is no receiver none"},
       }) {
    const auto x = Ask(row.method, row.target, row.body);
    EXPECT_EQ(x->status(), row.status) << row.target;
    EXPECT_THAT(x->body(), HasSubstr(row.says)) << row.target;
  }
}

}  // namespace
}  // namespace tocsin::api
