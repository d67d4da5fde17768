#include "alertmanager/explain.h"

#include <cstdio>
#include <cstdlib>

#include "alertmanager/journal_search.h"
#include "alertmanager/journal_world_test.h"

namespace tocsin::alertmanager {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

class ExplainTest : public JournalWorld {
 protected:
  Explanation Ask(std::string_view matchers, std::optional<base::Duration> at = std::nullopt,
                  std::vector<RuleFact> rules = {}, bool serve = true) {
    ExplainQuery query{.matchers = *ParseMatchers(matchers)};
    if (at) query.at = kStart + *at;
    if (serve) query.rules = [rules = std::move(rules)] { return rules; };
    Explanation out;
    bool answered = false;
    Explain(am_.get(), &sim_, std::move(query), [&](base::Result<Explanation> e) {
      ASSERT_TRUE(e.has_value()) << e.error().message();
      out = std::move(*e);
      answered = true;
    });
    sim_.RunPosted();
    EXPECT_TRUE(answered);
    // For the documents: the texts as they are.
    if (std::getenv("TOCSIN_SHOW_TEXTS") != nullptr) {
      std::printf("--- %s\n%s\n", testing::UnitTest::GetInstance()->current_test_info()->name(), out.Text().c_str());
    }
    return out;
  }
  Verdict VerdictOf(const Explanation& e) { return e.alerts.size() == 1 ? e.alerts[0].verdict : Verdict::kUnknown; }

  RuleFact Rule(std::vector<RuleAlert> alerts) {
    return {.group = "hosts", .file = "rules/hosts.yml", .name = "Down", .query = "up == 0", .hold = 5min, .interval = 15s,
            .last_evaluation = sim_.Now(), .alerts = std::move(alerts)};
  }
};

TEST_F(ExplainTest, AFiringAlertThatWasSentNamesWhoWasToldWhenAndWhatHeAnswered) {
  Start(OneWebhook());
  Fire("a", 0s);
  RunTo(2min);
  const Explanation e = Ask(R"({alertname="Down"})", std::nullopt,
                            {Rule({{.labels = model::Labels::FromPairs({{"alertname", "Down"}, {"instance", "a"}}),
                                    .firing = true, .active_at = kStart - 5min, .value = 0}})});
  EXPECT_EQ(VerdictOf(e), Verdict::kNotified);
  EXPECT_THAT(e.Text(), AllOf(HasSubstr("Down{instance=\"a\"}: notified: ops/webhook/0 was told"), HasSubstr("(1m30s ago)"),
                              HasSubstr("because: first notification"), HasSubstr("answered 200 after 1 ms, on attempt 1"),
                              HasSubstr("Rule Down of group hosts (rules/hosts.yml) has it for `up == 0`"),
                              HasSubstr("`for: 5m` is over"), HasSubstr("The group is flushed next at"),
                              HasSubstr("ops/webhook/0 is told again at")));
}

TEST_F(ExplainTest, AnAlertThatIsPendingWaitsForItsRule) {
  Start(OneWebhook());
  RunTo(2min);
  const Explanation e = Ask(R"({alertname="Down"})", std::nullopt,
                            {Rule({{.labels = model::Labels::FromPairs({{"alertname", "Down"}, {"instance", "a"}}),
                                    .active_at = kStart + 1min, .value = 0}})});
  EXPECT_EQ(VerdictOf(e), Verdict::kPending);
  EXPECT_THAT(e.Text(), AllOf(HasSubstr("not notified: its rule waits for `for: 5m`, which ends at"), HasSubstr("(in 4m)")));
}

TEST_F(ExplainTest, AnAnswerThatComesAfterTheEndDoesNotMakeTheAlertFireAgain) {
  http_.latency = 1min;
  http_.statuses = {503};
  Start(OneWebhook());
  Fire("a", 0s);
  RunTo(1min);
  Resolve("a", 0s, 1min);
  RunTo(3min);
  const Explanation e = Ask(R"({instance="a"})", 2min);
  ASSERT_THAT(e.alerts, SizeIs(1));
  EXPECT_FALSE(e.alerts[0].firing);
}

TEST_F(ExplainTest, AGroupThatWaitsSaysWhenItsFirstFlushIs) {
  Start(OneWebhook());
  Fire("a", 0s);
  RunTo(10s);
  const Explanation e = Ask(R"({instance="a"})");
  EXPECT_EQ(VerdictOf(e), Verdict::kWaiting);
  EXPECT_THAT(e.Text(), AllOf(HasSubstr("not notified: it waits for the group's first flush at"), HasSubstr("(in 20s) (group_wait 30s)")));
}

TEST_F(ExplainTest, ASilencedAlertNamesTheSilenceItsAuthorAndItsEnd) {
  Start(OneWebhook());
  const std::string id = AddSilence("instance=\"a\"", 2h);
  Fire("a", 0s);
  RunTo(6min);
  const Explanation e = Ask(R"({instance="a"})");
  EXPECT_EQ(VerdictOf(e), Verdict::kSilenced);
  EXPECT_THAT(e.Text(), AllOf(HasSubstr("held back by silence " + id + " {instance=\"a\"} of ada (\"being replaced\"), until"),
                              HasSubstr("(in 1h54m)"), HasSubstr("So it was at the flush of")));
}

TEST_F(ExplainTest, ASilencedAlertIsNotNotifiedBecauseItsGroupWas) {
  Start(OneWebhook());
  AddSilence("instance=\"b\"", 2h);
  Fire("a", 0s);
  Fire("b", 0s);
  RunTo(6min);
  EXPECT_EQ(VerdictOf(Ask(R"({instance="a"})")), Verdict::kDeduplicated);
  const Explanation e = Ask(R"({instance="b"})");
  EXPECT_EQ(VerdictOf(e), Verdict::kSilenced);
  EXPECT_THAT(e.Text(), Not(HasSubstr("is told again")));
}

TEST_F(ExplainTest, AnInhibitedAlertNamesTheSourceAndTheRule) {
  Start(OneWebhook("send_resolved: true",
                   "inhibit_rules:\n- name: cluster\n  source_matchers: [alertname=\"ClusterDown\"]\n"
                   "  target_matchers: [severity=\"page\"]\n  equal: [cluster]\n"));
  Post({{"alertname", "ClusterDown"}, {"cluster", "c1"}}, 0s);
  Post({{"alertname", "Down"}, {"cluster", "c1"}, {"severity", "page"}}, 0s);
  RunTo(1min);
  const Explanation e = Ask(R"({alertname="Down"})");
  EXPECT_EQ(VerdictOf(e), Verdict::kInhibited);
  EXPECT_THAT(e.Text(), HasSubstr("held back by ClusterDown{cluster=\"c1\"}, by inhibition rule \"cluster\" "
                                  "({alertname=\"ClusterDown\"} mutes {severity=\"page\"} where cluster is equal)"));
}

TEST_F(ExplainTest, AMutedAlertNamesTheIntervalAndItsEnd) {
  // kStart is 2023-11-14 22:13:20 UTC, a Tuesday.
  Start(
      "route:\n  receiver: ops\n  group_wait: 30s\n  routes:\n  - receiver: ops\n    group_by: [alertname]\n"
      "    mute_time_intervals: [night]\nreceivers:\n- name: ops\n  webhook_configs:\n  - url: http://hook/\n"
      "time_intervals:\n- name: night\n  time_intervals:\n  - times: [{start_time: '22:00', end_time: '24:00'}]\n"
      "  - times: [{start_time: '00:00', end_time: '06:00'}]\n");
  Fire("a", 0s);
  RunTo(1min);
  const Explanation e = Ask(R"({instance="a"})");
  EXPECT_EQ(VerdictOf(e), Verdict::kMuted);
  EXPECT_THAT(e.Text(), HasSubstr("within the mute time interval \"night\", which changes at 2023-11-15T06:00:00Z"));
}

TEST_F(ExplainTest, AReceiverThatRefusesIsQuotedWithItsNextAttempt) {
  http_.statuses = {429, 429};
  http_.headers.Set("Retry-After", "100");
  options_.compat = {};
  Start(
      "route:\n  receiver: ops\n  group_by: [alertname]\n  group_wait: 30s\n  group_interval: 5m\nreceivers:\n- name: ops\n"
      "  slack_configs:\n  - api_url: http://slack/\n    channel: '#ops'\n");
  Fire("a", 0s);
  RunTo(45s);
  const Explanation e = Ask(R"({instance="a"})");
  EXPECT_EQ(VerdictOf(e), Verdict::kFailing);
  EXPECT_THAT(e.Text(), AllOf(HasSubstr("not notified: ops/slack/0 could not be told: it answered 429"),
                              HasSubstr("Attempt 1 to tell ops/slack/0"), HasSubstr("The next attempt was due 1m40s later")));
}

TEST_F(ExplainTest, WhatWasToldIsNotRepeatedBeforeItsInterval) {
  Start(OneWebhook());
  Fire("a", 0s);
  RunTo(6min);
  const Explanation e = Ask(R"({instance="a"})");
  EXPECT_EQ(VerdictOf(e), Verdict::kDeduplicated);
  EXPECT_THAT(e.Text(), AllOf(HasSubstr("notified: ops/webhook/0 was told"),
                              HasSubstr("ops/webhook/0 was not called: it knows of these alerts, and repeat_interval (10m) ends at"),
                              HasSubstr("ops/webhook/0 is told again at 2023-11-14T22:23:50Z (in 4m30s)")));
}

TEST_F(ExplainTest, AnEndThatTheReceiverDoesNotWantIsSaid) {
  Start(OneWebhook("send_resolved: false"));
  Fire("a", 0s);
  RunTo(2min);
  Resolve("a", 0s, 2min);
  RunTo(6min);
  const Explanation e = Ask(R"({instance="a"})");
  EXPECT_EQ(VerdictOf(e), Verdict::kResolved);
  EXPECT_THAT(e.Text(), AllOf(HasSubstr("has ended"), HasSubstr("only ends were left to tell, and its send_resolved is false")));
}

TEST_F(ExplainTest, AnAlertNobodyKnowsLeadsToTheRulesOfThatName) {
  Start(OneWebhook());
  RunTo(1min);
  EXPECT_THAT(Ask(R"({alertname="Down"})", std::nullopt, {Rule({})}).Text(),
              AllOf(HasSubstr("No alert matches {alertname=\"Down\"}"), HasSubstr("its expression has no result, so there is no alert")));
  EXPECT_THAT(Ask(R"({alertname="Up"})", std::nullopt, {Rule({})}).Text(), HasSubstr("No alerting rule of this server has such a name"));
  EXPECT_THAT(Ask(R"({alertname="Up"})", std::nullopt, {}, false).Text(), Not(HasSubstr("No alerting rule")));
}

TEST_F(ExplainTest, AMomentInThePastIsToldFromTheJournal) {
  Start(OneWebhook());
  const std::string id = AddSilence("instance=\"a\"", 7min);
  Fire("a", 0s);
  RunTo(12min);
  Resolve("a", 0s, 12min);
  RunTo(3h);
  EXPECT_EQ(VerdictOf(Ask(R"({instance="a"})", 10s)), Verdict::kWaiting);
  const Explanation silenced = Ask(R"({instance="a"})", 6min);
  EXPECT_EQ(VerdictOf(silenced), Verdict::kSilenced);
  EXPECT_THAT(silenced.Text(), HasSubstr(id));
  EXPECT_EQ(VerdictOf(Ask(R"({instance="a"})", 11min)), Verdict::kNotified);
  const Explanation ended = Ask(R"({instance="a"})", 16min);
  EXPECT_EQ(VerdictOf(ended), Verdict::kResolved);
  EXPECT_THAT(ended.Text(), HasSubstr("because: all alerts resolved"));
}

TEST_F(ExplainTest, AnAlertThatFiresForDaysIsFoundByWhatItsGroupWasTold) {
  Start(OneWebhook());
  Post({{"alertname", "Down"}, {"instance", "a"}}, 0s, 1000h);
  RunTo(60h);
  const Explanation e = Ask(R"({instance="a"})", 59h);
  ASSERT_THAT(e.alerts, SizeIs(1));
  EXPECT_TRUE(e.alerts[0].firing);
  EXPECT_EQ(e.alerts[0].starts_at, kStart);
  EXPECT_THAT(e.Text(), HasSubstr("because: repeat interval elapsed"));
}

TEST_F(ExplainTest, SiblingRoutesOfOneKeyEachHaveTheirOwnClock) {
  Start(
      "route:\n  receiver: ops\n  group_by: [alertname]\n  routes:\n"
      "  - matchers: [alertname=\"Down\"]\n    group_wait: 30s\n    continue: true\n"
      "  - matchers: [alertname=\"Down\"]\n    group_wait: 10m\n"
      "receivers:\n- name: ops\n  webhook_configs:\n  - url: http://hook/\n");
  Fire("a", 0s);
  RunTo(1min);
  const Explanation e = Ask(R"({instance="a"})");
  ASSERT_THAT(e.alerts, SizeIs(1));
  ASSERT_THAT(e.alerts[0].routes, SizeIs(2));
  EXPECT_EQ(e.alerts[0].routes[0].next_flush, kStart + 5min + 30s);
  EXPECT_EQ(e.alerts[0].routes[1].next_flush, kStart + 10min);
  ASSERT_THAT(e.alerts[0].routes[0].integrations, SizeIs(1));
  EXPECT_TRUE(e.alerts[0].routes[0].integrations[0].told.has_value());
  EXPECT_FALSE(e.alerts[0].routes[1].integrations[0].told.has_value());
}

TEST_F(ExplainTest, WhatWasToldUnderOtherTimersStaysKnownAfterAReload) {
  Start(OneWebhook());
  Fire("a", 0s);
  RunTo(1min);
  std::string config = OneWebhook();
  config.replace(config.find("group_interval: 5m"), 18, "group_interval: 7m");
  Apply(config);
  RunTo(2min);
  const Explanation e = Ask(R"({instance="a"})");
  ASSERT_THAT(e.alerts, SizeIs(1));
  ASSERT_THAT(e.alerts[0].routes, SizeIs(1));
  EXPECT_TRUE(e.alerts[0].routes[0].integrations[0].told.has_value());
}

TEST_F(ExplainTest, AReceiverWithoutIntegrationsDropsOnPurpose) {
  Start("route:\n  receiver: none\n  group_wait: 30s\nreceivers:\n- name: none\n");
  Fire("a", 0s);
  RunTo(1min);
  const Explanation e = Ask(R"({instance="a"})");
  EXPECT_EQ(VerdictOf(e), Verdict::kNotRouted);
}

TEST_F(ExplainTest, TheJournalIsSearchedByMatchersKindsAndReceiver) {
  Start(OneWebhook());
  Fire("a", 0s);
  Fire("b", 0s);
  RunTo(21min);
  auto search = [&](JournalQuery query) {
    std::vector<std::string> rows;
    bool more = false;
    SearchJournal(&store_, std::move(query), [&](base::Result<JournalPage> page) {
      ASSERT_TRUE(page.has_value());
      for (const JournalEntry& e : page->entries) rows.push_back(Row(e));
      more = page->more;
    });
    sim_.RunPosted();
    if (more) rows.push_back("more");
    return rows;
  };
  const Matchers a = *ParseMatchers("instance=\"a\"");
  EXPECT_THAT(search({.matchers = a, .kinds = {JournalKind::kReceived}}), ElementsAre("0:00 received a new"));
  EXPECT_THAT(search({.matchers = a, .to = kStart + 1min}), SizeIs(3));
  EXPECT_THAT(search({.kinds = {JournalKind::kRequest}, .receiver = "ops"}), SizeIs(3));
  EXPECT_THAT(search({.receiver = "other"}), SizeIs(0));
  // A page names a bounded number of alerts.
  EXPECT_THAT(search({.kinds = {JournalKind::kRequest}, .named = 5}),
              ElementsAre("10:30 request ops/webhook/0 delivered 200 #1 repeat interval elapsed a+ b+",
                          "20:30 request ops/webhook/0 delivered 200 #1 repeat interval elapsed a+ b+", "more"));
  EXPECT_THAT(search({.from = kStart + 4min, .limit = 2}), ElementsAre("15:30 not_sent ops/webhook/0 repeat_not_due a+ b+",
      "20:30 request ops/webhook/0 delivered 200 #1 repeat interval elapsed a+ b+", "more"));
}

}  // namespace
}  // namespace tocsin::alertmanager
