#include "api/alertmanager/v2.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "alertmanager/silences.h"
#include "api/alertmanager/api_test_util.h"

namespace tocsin::api {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

class AlertmanagerApiTest : public AlertmanagerWorld {
 protected:
  AlertmanagerApiTest() {
    alertmanager::Options options;
    options.silence_limits.max_silences = 3;
    Start("route:\n  receiver: ops\n  group_by: [alertname]\n  labels: {team: x}\nreceivers:\n- name: ops\n  labels: {tier: gold}\n- name: other\n",
          {}, std::move(options));
    api_ = std::make_unique<AlertmanagerApi>(&sim_, am_.get(),
                                             std::make_shared<Replies>(&sim_, &registry_, AlertmanagerApiOptions{.timeout = 2s}));
    api_->Register(&router_);
  }

  std::unique_ptr<AlertmanagerApi> api_;
};

TEST_F(AlertmanagerApiTest, WhatIsValidOfAPostIsKeptAndTheRestIsNamed) {
  const auto posted = Ask("POST", "/api/v2/alerts", R"([{"labels":{"alertname":"A","gone":""}},{"labels":{"x":""}},
      {"labels":{"alertname":"B"},"startsAt":"2026-01-02T00:00:00Z","endsAt":"2026-01-01T00:00:00Z"}])");
  EXPECT_EQ(posted->status(), 400);
  EXPECT_EQ(posted->body(), "\"at least one label pair required; start time must be before end time\"\n");
  const auto list = Ask("GET", "/api/v2/alerts");
  EXPECT_THAT(list->body(), HasSubstr(R"("labels":{"alertname":"A"}})"));
  EXPECT_THAT(list->body(), Not(HasSubstr("\"B\"")));
  // Without an end: resolve_timeout after it came.
  EXPECT_THAT(list->body(), HasSubstr(R"("endsAt":"2023-11-14T22:18:20.000Z")"));
  const auto groups = Ask("GET", "/api/v2/alerts/groups");
  EXPECT_THAT(groups->body(), HasSubstr(R"("labels":{"alertname":"A"},"receiver":{"name":"ops"},"routeLabels":{"team":"x"})"));
}

TEST_F(AlertmanagerApiTest, ReceiversShowTheLabelsTheyAreGivenAndAreChosenByThem) {
  EXPECT_EQ(Ask("GET", "/api/v2/receivers")->body(),
            R"([{"name":"ops","labels":{"name":"ops","tier":"gold"}},{"name":"other"}])" "\n");
  EXPECT_EQ(Ask("GET", "/api/v2/receivers?receiver_matchers=tier%3D~%22g.*%22")->body(),
            R"([{"name":"ops","labels":{"name":"ops","tier":"gold"}}])" "\n");
  ASSERT_EQ(Ask("POST", "/api/v2/alerts", R"([{"labels":{"alertname":"A"}}])")->status(), 200);
  EXPECT_THAT(Ask("GET", "/api/v2/alerts?receiver_matchers=tier%3D%22gold%22")->body(), HasSubstr("alertname"));
  EXPECT_EQ(Ask("GET", "/api/v2/alerts?receiver_matchers=tier%3D%22iron%22")->body(), "[]\n");
}

TEST_F(AlertmanagerApiTest, SilencesAreFilteredByOneOfTheirSetsAndByState) {
  alertmanager::Silence s;
  s.matcher_sets = {*alertmanager::ParseMatchers("a=1"), *alertmanager::ParseMatchers("b=2,c=3")};
  s.starts_at = sim_.Now();
  s.ends_at = sim_.Now() + 1h;
  am_->silences().Set(s, [](const auto& id) { ASSERT_TRUE(id.has_value()); });
  sim_.RunPosted();
  EXPECT_THAT(Ask("GET", "/api/v2/silences?filter=b%3D2&filter=c%3D3")->body(), HasSubstr("\"matcherSets\":[[{"));
  for (const char* query : {"filter=a%3D1&filter=b%3D2", "filter=a%3D~1", "active=false"}) {
    EXPECT_EQ(Ask("GET", std::string("/api/v2/silences?") + query)->body(), "[]\n") << query;
  }
}

TEST_F(AlertmanagerApiTest, AClientThatDoesNotKnowSetsSchedulesAndReceiversDoesNotLoseThem) {
  const std::string times = R"("startsAt":"2023-11-14T22:13:20Z","endsAt":"2033-01-01T00:00:00Z","createdBy":"x")";
  auto matchers = [](std::string_view name) { return fmt::format(R"([{{"name":"{}","value":"1","isRegex":false}}])", name); };
  auto id_of = [](const FakeExchange& x) { return x.body().substr(x.body().find(':') + 2, 36); };
  const auto made = Ask("POST", "/api/v2/silences",
                        fmt::format(R"({{{},"comment":"a","matchers":{},"matcherSets":[{},{}],"receivers":["ops"],"schedule":[{{"weekdays":["monday"]}}]}})",
                                    times, matchers("a"), matchers("a"), matchers("b")));
  ASSERT_EQ(made->status(), 200) << made->body();
  const std::string id = id_of(*made);
  // amtool's update: the fields that it knows.
  const auto changed = Ask("POST", "/api/v2/silences", fmt::format(R"({{"id":"{}",{},"comment":"b","matchers":{}}})", id, times, matchers("a")));
  EXPECT_EQ(id_of(*changed), id);
  const auto silence = am_->silences().Find(id);
  EXPECT_EQ(silence->comment, "b");
  EXPECT_EQ(silence->matcher_sets.size(), 2U);
  EXPECT_EQ(silence->receivers.size(), 1U);
  EXPECT_NE(silence->intervals, nullptr);
  // Who knows them says so.
  const auto cleared = Ask("POST", "/api/v2/silences", fmt::format(R"({{"id":"{}",{},"comment":"b","matchers":{},"matcherSets":[{}],"receivers":[],"schedule":[]}})",
                                                                     id, times, matchers("a"), matchers("a")));
  ASSERT_EQ(cleared->status(), 200) << cleared->body();
  const auto plain = am_->silences().Find(id_of(*cleared));
  EXPECT_EQ(plain->matcher_sets.size(), 1U);
  EXPECT_TRUE(plain->receivers.empty() && plain->schedule.empty());
  EXPECT_EQ(Ask("POST", "/api/v2/silences", fmt::format(R"({{{},"comment":"a","matchers":{},"matcherSets":[{}]}})", times, matchers("a"), matchers("b")))->status(), 400);
}

TEST_F(AlertmanagerApiTest, ASilenceOfAReceiverThatIsGoneCanBeChangedByAClientThatDoesNotKnowReceivers) {
  const std::string rest = R"("startsAt":"2023-11-14T22:13:20Z","endsAt":"2033-01-01T00:00:00Z","createdBy":"x","matchers":[{"name":"a","value":"1","isRegex":false}])";
  const auto made = Ask("POST", "/api/v2/silences", fmt::format(R"({{{},"comment":"a","receivers":["other"]}})", rest));
  ASSERT_EQ(made->status(), 200) << made->body();
  const std::string id = made->body().substr(made->body().find(':') + 2, 36);
  am_->Apply(*alertmanager::Alertmanager::Prepare(*alertmanager::LoadConfig("route: {receiver: ops}\nreceivers: [{name: ops}]\n", "am.yml"), am_->options()));
  const auto changed = Ask("POST", "/api/v2/silences", fmt::format(R"({{"id":"{}",{},"comment":"b"}})", id, rest));
  EXPECT_EQ(changed->status(), 200) << changed->body();
  EXPECT_EQ(am_->silences().Find(id)->comment, "b");
  EXPECT_EQ(am_->silences().Find(id)->receivers.size(), 1U);
  const auto named = Ask("POST", "/api/v2/silences", fmt::format(R"({{"id":"{}",{},"comment":"c","receivers":["other"]}})", id, rest));
  EXPECT_THAT(named->body(), HasSubstr("there is no receiver"));
}

TEST_F(AlertmanagerApiTest, RefusalsHaveTheStatusAndTheWordsThatClientsKnow) {
  struct Row {
    std::string_view method, target, body;
    int status;
    std::string_view says;
    std::string_view content_type = "application/json";
  };
  constexpr std::string_view kPast = R"({"matchers":[{"name":"a","value":"b","isRegex":false}],"startsAt":"2020-01-01T00:00:00Z",
      "endsAt":"2020-01-02T00:00:00Z","createdBy":"x","comment":"y"})";
  for (const Row& row : {
           Row{"GET", "/api/v2/alerts?filter=x", "", 400, "\"bad matcher format: x\"\n"},
           Row{"GET", "/api/v2/alerts?receiver=(", "", 400, "\"failed to parse receiver param: "},
           Row{"GET", "/api/v2/alerts?receiver_matchers=x", "", 400, "\"failed to parse receiver_matchers param: bad matcher format: x\"\n"},
           Row{"GET", "/api/v2/receivers?receiver_matchers=x", "", 400, "\"failed to parse receiver_matchers param: "},
           Row{"POST", "/api/v2/alerts", "[null]", 400, "0"},
           Row{"POST", "/api/v2/alerts", "{", 400, "{\"code\":400,"},
           Row{"POST", "/api/v2/alerts", "[]", 415, "unsupported media type", "text/plain"},
           Row{"POST", "/api/v2/silences", kPast, 400, "\"Failed to create silence: end time can't be in the past\"\n"},
           Row{"POST", "/api/v2/silences", "{}", 422, "is required"},
           Row{"DELETE", "/api/v2/silence/4a1cbcf0-0000-4000-8000-000000000001", "", 404, ""},
           Row{"GET", "/api/v2/silence/x", "", 422, "silenceID in path must be of type uuid"},
           Row{"DELETE", "/api/v2/status", "", 405, "method DELETE is not allowed, but [GET] are"},
           Row{"GET", "/api/v2/nothing", "", 404, "path /api/v2/nothing was not found"},
       }) {
    const auto x = Ask(row.method, row.target, row.body, row.content_type);
    EXPECT_EQ(x->status(), row.status) << row.target << " " << row.body;
    EXPECT_THAT(x->body(), HasSubstr(row.says)) << row.target;
  }
}

}  // namespace
}  // namespace tocsin::api
