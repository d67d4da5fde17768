#include "alertmanager/preview.h"

#include "alertmanager/journal_world_test.h"

namespace tocsin::alertmanager {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

constexpr std::string_view kTwoTeams =
    "route:\n  receiver: ops\n  group_by: [alertname]\n  routes:\n  - matchers: [severity=\"page\"]\n    receiver: pager\n    continue: true\n"
    "  - receiver: ops\n    mute_time_intervals: [always]\n"
    "receivers:\n- name: ops\n  webhook_configs:\n  - url: http://hook/secret-path\n    http_config:\n      authorization:\n        "
    "credentials: hunter22\n"
    "- name: pager\n  pagerduty_configs:\n  - routing_key: topsecretkey\n- name: unused\n  webhook_configs:\n  - url: http://never/\n"
    "- name: broken\n"
    "time_intervals:\n- name: always\n  time_intervals:\n  - years: ['2000:2100']\n";

class PreviewTest : public JournalWorld {
 protected:
  static model::AlertPtr Page() {
    auto a = std::make_shared<model::Alert>();
    a->labels = model::Labels::FromPairs({{"alertname", "Down"}, {"instance", "a"}, {"severity", "page"}});
    a->starts_at = kStart;
    return a;
  }

  std::vector<RoutePreview> Ask(std::vector<model::AlertPtr> alerts, const std::string& receiver = "") {
    std::vector<RoutePreview> out;
    Preview(am_.get(), &sim_, std::move(alerts), receiver, [&](std::vector<RoutePreview> routes) { out = std::move(routes); });
    sim_.RunPosted();
    return out;
  }
};

TEST_F(PreviewTest, ShowsRoutesAndMessagesWithSecretsMaskedAndSendsNothing) {
  Start(std::string(kTwoTeams));
  AddSilence("instance=\"a\"", 1h);
  const auto routes = Ask({Page()});
  ASSERT_THAT(routes, SizeIs(2));
  EXPECT_EQ(routes[0].receiver, "pager");
  EXPECT_EQ(routes[0].path, "{}/{severity=\"page\"}");
  EXPECT_EQ(routes[0].group_key, "{}/{severity=\"page\"}:{alertname=\"Down\"}");
  EXPECT_THAT(routes[0].statuses[0].silenced_by, SizeIs(1));
  ASSERT_THAT(routes[0].messages, SizeIs(1));
  EXPECT_THAT(routes[0].messages[0].request.body, HasSubstr("\"routing_key\":\"<secret>\""));
  EXPECT_THAT(routes[0].messages[0].request.body, Not(HasSubstr("topsecretkey")));
  EXPECT_EQ(routes[1].receiver, "ops");
  EXPECT_THAT(routes[1].muted_by, ElementsAre("always"));
  EXPECT_THAT(routes[1].messages[0].request.url, Not(HasSubstr("secret-path")));
  EXPECT_THAT(routes[1].messages[0].request.body, HasSubstr("\"alertname\":\"Down\""));
  EXPECT_THAT(Ask({Page()}, "ops"), SizeIs(1));
  EXPECT_THAT(http_.requests, IsEmpty());
}

TEST_F(PreviewTest, AnEndThatIsNotWantedHasNoMessage) {
  Start(OneWebhook("send_resolved: false"));
  auto ended = std::make_shared<model::Alert>(*Page());
  ended->ends_at = kStart;
  const auto routes = Ask({ended});
  ASSERT_THAT(routes, SizeIs(1));
  EXPECT_TRUE(routes[0].messages[0].nothing);
}

class ReceiverTestTest : public PreviewTest {
 protected:
  base::Result<std::vector<IntegrationTest>> Ask(const std::string& receiver, std::vector<model::AlertPtr> alerts = {}) {
    base::Result<std::vector<IntegrationTest>> out = base::Internal("no answer");
    TestReceiver(am_.get(), &sim_, receiver, std::move(alerts), [&](auto result) { out = std::move(result); });
    sim_.RunFor(1s);
    return out;
  }
};

TEST_F(ReceiverTestTest, SendsOnceAndTellsTheAnswer) {
  Start(std::string(kTwoTeams));
  http_.statuses = {503, 202};
  auto failed = Ask("ops");
  ASSERT_TRUE(failed.has_value()) << failed.error().message();
  ASSERT_THAT(*failed, SizeIs(1));
  EXPECT_FALSE((*failed)[0].ok);
  EXPECT_TRUE((*failed)[0].retry);
  EXPECT_EQ((*failed)[0].requests[0].status, 503);
  EXPECT_THAT(http_.requests, SizeIs(1));
  EXPECT_EQ(http_.requests[0].request.url, "http://hook/secret-path");  // the real one
  EXPECT_THAT(http_.requests[0].request.body, HasSubstr("TocsinTest"));

  auto fine = Ask("pager", {Page()});
  ASSERT_TRUE(fine.has_value());
  EXPECT_TRUE((*fine)[0].ok);
  EXPECT_THAT(http_.requests[1].request.body, HasSubstr("topsecretkey"));
  EXPECT_THAT((*fine)[0].requests[0].request.body, Not(HasSubstr("topsecretkey")));
}

TEST_F(ReceiverTestTest, WhatServersHandOutIsNotShown) {
  Start(
      "route:\n  receiver: ops\nreceivers:\n- name: ops\n  wechat_configs:\n  - api_url: http://wechat/\n    corp_id: corp\n"
      "    api_secret: 'a&b \"c\" d'\n");
  http_.bodies = {R"({"errcode":0,"access_token":"tokentokentoken"})", R"({"errcode":0})", R"({"errcode":93000,"errmsg":"no a\u0026b tokentokentoken"})"};
  const auto tested = Ask("ops");
  ASSERT_TRUE(tested.has_value());
  ASSERT_THAT((*tested)[0].requests, SizeIs(2));
  for (const TestedRequest& r : (*tested)[0].requests) {
    for (const std::string& text : {r.request.url, r.answer}) {
      EXPECT_THAT(text, Not(HasSubstr("tokentoken")));
      EXPECT_THAT(text, Not(HasSubstr("a%26b")));
    }
  }
  EXPECT_THAT(http_.requests[0].request.url, HasSubstr("corpsecret=a%26b+%22c%22+d"));
  EXPECT_THAT(http_.requests[1].request.url, HasSubstr("tokentoken"));
  const auto refused = Ask("ops");
  EXPECT_THAT((*refused)[0].requests[0].error, HasSubstr("93000"));
  EXPECT_THAT((*refused)[0].requests[0].error, Not(HasSubstr("tokentoken")));
}

TEST_F(ReceiverTestTest, ASecretThatIsCutInTwoIsNotShown) {
  Start(
      "route:\n  receiver: ops\nreceivers:\n- name: ops\n  wechat_configs:\n  - {api_url: 'http://wechat/', corp_id: corp, api_secret: hunter22}\n");
  http_.bodies = {R"({"errcode":0,"access_token":"tokentokentoken"})"};
  const std::string begin = R"({"errcode":93000,"errmsg":")";
  http_.bodies.push_back(begin + std::string(194 - begin.size(), 'x') + "tokentokentoken" + std::string(1994 - 209, 'y') + "hunter22\"}");
  const auto tested = Ask("ops");
  ASSERT_TRUE(tested.has_value());
  const TestedRequest& r = (*tested)[0].requests[1];
  EXPECT_THAT(r.error, testing::EndsWith("xxx<secret>"));
  EXPECT_THAT(r.answer, testing::EndsWith("yyy<secret>"));
  EXPECT_THAT(r.answer, HasSubstr("xxx<secret>yyy"));
}

TEST_F(ReceiverTestTest, ReceiversThatAreNotThereOrNotMadeAreNamed) {
  Start(std::string(kTwoTeams));
  EXPECT_THAT(Ask("nobody").error().message(), HasSubstr("there is no receiver nobody"));
  EXPECT_THAT(Ask("unused").error().message(), HasSubstr("no route leads to the receiver unused"));
  EXPECT_THAT(http_.requests, IsEmpty());
}

}  // namespace
}  // namespace tocsin::alertmanager
