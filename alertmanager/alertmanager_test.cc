#include "alertmanager/alertmanager.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "alertmanager/shared_kit_test.h"
#include "alertmanager/sim_world_test.h"
#include "base/log.h"
#include "base/text.h"

namespace tocsin::alertmanager {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class AlertmanagerSim : public World {
 protected:
  // "0:30 first notification a+ b+": time, reason, instances with + for firing and - for resolved.
  std::vector<std::string> Messages() const {
    std::vector<std::string> out;
    for (const auto& r : http_.requests) {
      simdjson::dom::parser parser;
      auto body = simdjson::padded_string(r.request.body);
      auto root = parser.parse(body);
      const auto s = std::chrono::floor<std::chrono::seconds>(r.at).count();
      std::string line = fmt::format("{}:{:02} {}", s / 60, s % 60, TextOf(root["notification_reason"]));
      for (auto a : root["alerts"].get_array()) {
        line += " " + TextOf(a["labels"]["instance"]) + (TextOf(a["status"]) == "firing" ? "+" : "-");
      }
      out.push_back(line);
    }
    return out;
  }

  double Metric(const std::string& name) {
    const std::string text = registry_->Expose();
    for (const std::string_view line : base::Split(text, '\n')) {
      if (line.starts_with(name + " ")) return std::stod(std::string(line.substr(name.size() + 1)));
    }
    return -1;
  }
};

std::string OneHook(std::string_view extra = "", std::string_view repeat = "1h", std::string_view interval = "5m") {
  return fmt::format(
      "route:\n  receiver: ops\n  group_by: [alertname]\n  group_wait: 30s\n  group_interval: {}\n  repeat_interval: {}\n"
      "receivers:\n- name: ops\n  webhook_configs:\n  - url: http://hook/\n{}",
      interval, repeat, extra);
}

// The worked case of the specification: a at 0:00, b at 0:10, c at 2:00; a ends at 7:00, b and c at 12:00.
class Timeline : public AlertmanagerSim {
 protected:
  void RunTimeline(base::Duration until, bool bc_end = true) {
    Fire("a", 0s);
    RunTo(10s);
    Fire("b", 10s);
    RunTo(2min);
    Fire("c", 2min);
    RunTo(7min);
    Resolve("a", 0s, 7min);
    RunTo(12min);
    if (bc_end) {
      Resolve("b", 10s, 12min);
      Resolve("c", 2min, 12min);
    }
    RunTo(until);
  }
};

TEST_F(Timeline, TellsOfNewAlertsThenOfSomeThenOfAllResolved) {
  Start(OneHook());
  RunTimeline(40min);
  EXPECT_THAT(Messages(), ElementsAre("0:30 first notification a+ b+", "5:30 new alerts added a+ b+ c+",
                                      "10:30 some alerts resolved a- b+ c+", "15:30 all alerts resolved b- c-"));
  EXPECT_THAT(am_->Groups({}), IsEmpty());
}

TEST_F(Timeline, WithoutSendResolvedOnlyFiringAlertsAreSentAndTheLogIsClearedAllTheSame) {
  Start(OneHook("    send_resolved: false\n"));
  RunTimeline(16min);
  EXPECT_THAT(Messages(), ElementsAre("0:30 first notification a+ b+", "5:30 new alerts added a+ b+ c+"));
  Fire("b", 16min);
  RunTo(21min);
  EXPECT_THAT(Messages().back(), HasSubstr("first notification b+"));
}

TEST_F(Timeline, WhatNeverResolvesIsRepeatedExactlyAfterTheInterval) {
  Start(OneHook());
  RunTimeline(135min, false);
  EXPECT_THAT(Messages(), ElementsAre("0:30 first notification a+ b+", "5:30 new alerts added a+ b+ c+",
                                      "10:30 some alerts resolved a- b+ c+", "70:30 repeat interval elapsed b+ c+",
                                      "130:30 repeat interval elapsed b+ c+"));
}

TEST_F(Timeline, ARestartRepeatsNothingAndReportsTheResolveOnce) {
  Start(OneHook());
  Fire("a", 0s);
  RunTo(10s);
  Fire("b", 10s);
  RunTo(2min);
  Fire("c", 2min);
  RunTo(7min);
  Resolve("a", 0s, 7min);
  RunTo(8min);
  Kill();
  Start(OneHook());
  Fire("b", 10s);
  Fire("c", 2min);
  RunTo(12min);
  Resolve("b", 10s, 12min);
  Resolve("c", 2min, 12min);
  RunTo(30min);
  EXPECT_THAT(Messages(), ElementsAre("0:30 first notification a+ b+", "5:30 new alerts added a+ b+ c+",
                                      "8:00 some alerts resolved a- b+ c+", "13:00 all alerts resolved b- c-"));
}

TEST_F(Timeline, ASilencedAlertLeavesTheMessageAndComesBackAsNew) {
  Start(OneHook());
  Fire("a", 0s);
  Fire("b", 0s);
  Fire("c", 0s);
  RunTo(6min);
  AddSilence("instance=b", 7min);
  RunTo(7min);
  Resolve("a", 0s, 7min);
  RunTo(20min);
  EXPECT_THAT(Messages(), ElementsAre("0:30 first notification a+ b+ c+", "10:30 some alerts resolved a- c+",
                                      "15:30 new alerts added b+ c+"));
}

TEST_F(Timeline, ARepeatIntervalShorterThanTheGroupIntervalRepeatsAtEveryTick) {
  Start(OneHook("", "1m"));
  Fire("a", 0s);
  RunTo(11min);
  EXPECT_THAT(Messages(), ElementsAre("0:30 first notification a+", "5:30 repeat interval elapsed a+", "10:30 repeat interval elapsed a+"));
}

TEST_F(AlertmanagerSim, EqualIntervalsRepeatAtEveryTickAlthoughTheReceiverIsSlow) {
  http_.latency = 2s;
  Start(OneHook("", "5m"));
  Fire("a", 0s);
  RunTo(16min);
  EXPECT_THAT(Messages(), ElementsAre("0:30 first notification a+", "5:30 repeat interval elapsed a+",
                                      "10:30 repeat interval elapsed a+", "15:30 repeat interval elapsed a+"));
}

TEST_F(AlertmanagerSim, UpstreamsRuleRepeatsOneIntervalLate) {
  options_.compat.repeat_from_end_of_send = true;
  http_.latency = 2s;
  Start(OneHook("", "5m"));
  Fire("a", 0s);
  RunTo(16min);
  EXPECT_THAT(Messages(), ElementsAre("0:30 first notification a+", "10:30 repeat interval elapsed a+"));
}

TEST_F(AlertmanagerSim, AnAlertThatResolvesWhileSilencedIsReportedAsResolvedOnce) {
  Start(OneHook());
  Fire("a", 0s);
  RunTo(1min);
  AddSilence("instance=a", 1h);
  RunTo(2min);
  Resolve("a", 0s, 2min);
  RunTo(30min);
  EXPECT_THAT(Messages(), ElementsAre("0:30 first notification a+", "5:30 all alerts resolved a-"));
}

TEST_F(AlertmanagerSim, UpstreamDropsTheResolveOfASilencedAlert) {
  options_.compat.drop_resolved_while_suppressed = true;
  Start(OneHook());
  Fire("a", 0s);
  RunTo(1min);
  AddSilence("instance=a", 1h);
  RunTo(2min);
  Resolve("a", 0s, 2min);
  RunTo(30min);
  EXPECT_THAT(Messages(), ElementsAre("0:30 first notification a+"));
}

TEST_F(AlertmanagerSim, AFailingServerIsRetriedWithBackOffAndCountedOnce) {
  http_.statuses = {500, FakeHttp::kReset, 200};
  Start(OneHook());
  Fire("a", 0s);
  RunTo(2min);
  EXPECT_THAT(http_.requests, SizeIs(3));
  EXPECT_EQ(Metric("alertmanager_notifications_total{integration=\"webhook\"}"), 1);
  EXPECT_EQ(Metric("alertmanager_notifications_failed_total{integration=\"webhook\",reason=\"other\"}"), 0);
  EXPECT_EQ(Metric("alertmanager_notification_requests_total{integration=\"webhook\"}"), 3);
  EXPECT_EQ(Metric("alertmanager_notification_requests_failed_total{integration=\"webhook\"}"), 2);
  RunTo(40min);
  EXPECT_THAT(http_.requests, SizeIs(3));
}

TEST_F(AlertmanagerSim, ASendThatIsGivenUpCountsUnderTheReasonOfItsLastAttempt) {
  struct Row {
    int status;
    const char* reason;
  };
  base::Duration at{};
  for (const Row& row : {Row{500, "serverError"}, Row{FakeHttp::kReset, "other"}, Row{FakeHttp::kNever, "contextDeadlineExceeded"},
                         Row{400, "clientError"}, Row{429, "rateLimited"}, Row{401, "authError"}}) {
    SCOPED_TRACE(row.reason);
    http_.statuses.assign(100, row.status);
    Start(OneHook());
    Fire("a", at);
    RunTo(at += 5min + 31s);
    EXPECT_GE(Metric(fmt::format("alertmanager_notifications_failed_total{{integration=\"webhook\",reason=\"{}\"}}", row.reason)), 1);
    Kill();
  }
}

TEST_F(AlertmanagerSim, WithAFullDiskNotificationsGoOnAndSilencesAreRefused) {
  Start(OneHook());
  store_.broken = base::Error(base::Code::kResourceExhausted, "database or disk is full");
  Fire("a", 0s);
  RunTo(31s);
  EXPECT_THAT(http_.requests, SizeIs(1));
  Silence s;
  s.matcher_sets = {*ParseMatchers("instance=a")};
  s.ends_at = sim_.Now() + 1h;
  s.created_by = s.comment = "ada";
  base::Result<std::string> answer;
  am_->silences().Set(s, [&](base::Result<std::string> r) { answer = std::move(r); });
  sim_.RunPosted();
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code(), base::Code::kUnavailable);
  EXPECT_EQ(answer.error().message(), "the silence could not be stored: database or disk is full");
  store_.broken.reset();
  AddSilence("instance=a", 1h);
  RunTo(20min);
  EXPECT_THAT(http_.requests, SizeIs(1));
}

TEST_F(AlertmanagerSim, ARefusalIsTriedAgainAtTheNextTickAndTheOtherReceiverIsToldOnce) {
  http_.statuses = {400, 200};  // the first receiver refuses
  Start(OneHook("  - url: http://other/\n"));
  Fire("a", 0s);
  RunTo(6min);
  std::vector<std::string> urls;
  for (const auto& r : http_.requests) urls.push_back(fmt::format("{} {}", std::chrono::floor<std::chrono::seconds>(r.at).count(), r.request.url));
  EXPECT_THAT(urls, ElementsAre("30 http://hook/", "30 http://other/", "330 http://hook/"));
  EXPECT_EQ(Metric("alertmanager_notifications_failed_total{integration=\"webhook\",reason=\"clientError\"}"), 1);
}

TEST_F(AlertmanagerSim, AServerThatNeverAnswersEndsWithTheFlush) {
  http_.statuses = {FakeHttp::kNever};
  Start(OneHook());
  Fire("a", 0s);
  RunTo(5min + 29s);
  EXPECT_EQ(am_->sends_in_flight(), 1U);
  RunTo(5min + 31s);
  EXPECT_EQ(Metric("alertmanager_notifications_failed_total{integration=\"webhook\",reason=\"contextDeadlineExceeded\"}"), 1);
  RunTo(12min);
  EXPECT_THAT(http_.requests, SizeIs(2));
}

TEST_F(AlertmanagerSim, AKillBetweenIntentAndAnswerRepeatsTheSendOnceAndSaysSo) {
  http_.statuses = {FakeHttp::kNever};
  Start(OneHook());
  Fire("a", 0s);
  RunTo(31s);
  EXPECT_THAT(http_.requests, SizeIs(1));
  Kill();
  Start(OneHook());
  RunTo(20min);
  EXPECT_THAT(http_.requests, SizeIs(2));
  std::vector<std::string> rows;
  for (const JournalEntry& e : store_.Journal()) {
    if (!e.integration.empty()) rows.push_back(fmt::format("{} {} {}", JournalKindName(e.kind), JournalCauseName(e), e.reason));
  }
  EXPECT_THAT(rows, ElementsAre("unanswered crash ",
                                "request delivered first notification, repeats one whose answer is not known",
                                "not_sent repeat_not_due ", "not_sent repeat_not_due ", "not_sent repeat_not_due "));
}

TEST_F(AlertmanagerSim, AReceiverThatMayHaveHeardIsToldOfTheEnd) {
  for (const bool kill : {false, true}) {
    SCOPED_TRACE(kill ? "cut off by a kill" : "cut off by its deadline");
    http_.requests.clear();
    http_.statuses = {FakeHttp::kNever};
    const base::Duration begin = sim_.Now() - kStart;
    Start(OneHook());
    Fire("a", begin);
    RunTo(begin + 31s);
    EXPECT_THAT(http_.requests, SizeIs(1));
    if (kill) Kill();
    RunTo(begin + 3min);
    if (kill) Start(OneHook());
    Resolve("a", begin, begin + 3min);
    RunTo(begin + 30min);
    ASSERT_THAT(Messages(), SizeIs(2));
    EXPECT_THAT(Messages()[1], HasSubstr("all alerts resolved a-"));
    am_.reset();
  }
}

TEST_F(AlertmanagerSim, WhoseConnectionBrokeMayHaveHeardAndWhoCouldNotBeReachedHasNot) {
  for (const auto& [status, messages] : {std::pair(FakeHttp::kReset, 3U), std::pair(FakeHttp::kNoConnection, 2U)}) {
    SCOPED_TRACE(status);
    http_.requests.clear();
    http_.statuses = {status, 400};
    const base::Duration begin = sim_.Now() - kStart;
    Start(OneHook());
    Fire("a", begin);
    RunTo(begin + 3min);
    Resolve("a", begin, begin + 3min);
    RunTo(begin + 30min);
    ASSERT_THAT(Messages(), SizeIs(messages));
    EXPECT_EQ(Messages().back().ends_with("all alerts resolved a-"), messages == 3U);
    am_.reset();
  }
}

TEST_F(AlertmanagerSim, AReceiverThatRefusesWhatFollowsTheMessageIsToldOfTheEnd) {
  http_.statuses = {202, 422};
  Start("route:\n  receiver: ops\n  group_by: [alertname]\nreceivers:\n- name: ops\n  opsgenie_configs:\n"
        "  - {api_key: k, api_url: 'http://genie', update_alerts: true}\n");
  Fire("a", 0s);
  RunTo(2min);
  EXPECT_THAT(http_.requests, SizeIs(2));  // it was opened, and its text could not be changed
  Resolve("a", 0s, 2min);
  RunTo(20min);
  ASSERT_THAT(http_.requests, SizeIs(3));
  EXPECT_THAT(http_.requests.back().request.url, HasSubstr("/close?"));
}

TEST_F(AlertmanagerSim, ASendThatWasCutOffByACrashIsInTheJournalOnce) {
  http_.statuses = {FakeHttp::kNever, 400};
  Start(OneHook());
  Fire("a", 0s);
  RunTo(31s);
  for (int crashes = 0; crashes < 3; ++crashes) {
    Kill();
    Start(OneHook());  // the second send is refused, which leaves the first one as it was
    RunTo(2min + crashes * 1s);
  }
  RunTo(3min);
  EXPECT_EQ(std::ranges::count(store_.Journal(), JournalKind::kUnanswered, &JournalEntry::kind), 1);
}

TEST_F(AlertmanagerSim, ASendThatIsCancelledWhileItsSuccessIsBeingWrittenHasSucceeded) {
  options_.compat.cancel_sends_on_reload = true;
  Start(OneHook());
  Fire("a", 0s);
  RunTo(30s);
  store_.slow = true;
  RunTo(31s);
  EXPECT_EQ(am_->sends_in_flight(), 1U);
  Apply(OneHook());
  EXPECT_EQ(am_->sends_in_flight(), 0U);
  store_.slow = false;
  RunTo(40min);
  EXPECT_THAT(http_.requests, SizeIs(1));
  EXPECT_EQ(Metric("alertmanager_notifications_failed_total{integration=\"webhook\",reason=\"contextCanceled\"}"), 0);
  for (const JournalEntry& e : store_.Journal()) {
    EXPECT_TRUE(e.kind != JournalKind::kGaveUp && e.kind != JournalKind::kUnanswered) << JournalKindName(e.kind);
  }
}

TEST_F(AlertmanagerSim, ARepeatIsNotLateWhenTheClockWasSetBack) {
  for (const bool restart : {false, true}) {
    SCOPED_TRACE(restart ? "with a restart" : "at once");
    http_.requests.clear();
    const base::Time begin = sim_.True();
    Start(OneHook());
    Post({{"alertname", "Down"}, {"instance", restart ? "b" : "a"}}, sim_.Now() - kStart);
    sim_.RunFor(1min);
    EXPECT_THAT(http_.requests, SizeIs(1));
    sim_.Jump(-10h);
    if (restart) {
      Kill();
      Start(OneHook());
    }
    sim_.RunUntil(begin + 60min);
    EXPECT_THAT(http_.requests, SizeIs(1));
    sim_.RunUntil(begin + 67min);
    EXPECT_THAT(http_.requests, SizeIs(2));
    sim_.Jump(10h);
    sim_.RunFor(1s);
    sim_.Jump(-10h);  // a mistake that was mended does not count
    sim_.RunUntil(begin + 100min);
    EXPECT_THAT(http_.requests, SizeIs(2));
    am_.reset();
    store_.Reset();
  }
}

TEST_F(AlertmanagerSim, AnAlertThatALaterMessageLeftOutAndThatEndsWhileSilencedIsReportedAsResolved) {
  Start(OneHook());
  Fire("a", 0s);
  Fire("b", 0s);
  RunTo(1min);
  AddSilence("instance=a", 1h);
  RunTo(2min);
  Fire("c", 2min);
  RunTo(11min);
  Kill();
  Start(OneHook());
  RunTo(12min);
  Resolve("a", 0s, 12min);
  RunTo(30min);
  EXPECT_THAT(Messages(), ElementsAre("0:30 first notification a+ b+", "5:30 new alerts added b+ c+", "16:00 some alerts resolved a- b+ c+"));
}

TEST_F(AlertmanagerSim, AKillAfterTheAnswerWasRecordedRepeatsNothing) {
  Start(OneHook());
  Fire("a", 0s);
  RunTo(31s);
  Kill();
  Start(OneHook());
  RunTo(30min);
  EXPECT_THAT(http_.requests, SizeIs(1));
}

TEST_F(AlertmanagerSim, SilencesAreDurableBeforeTheyAreAcknowledged) {
  Start(OneHook());
  const std::string id = AddSilence("instance=a", 1h);
  EXPECT_THAT(id, SizeIs(36));
  Kill();
  Start(OneHook());
  ASSERT_NE(am_->silences().Find(id), nullptr);
  Fire("a", 0s);
  RunTo(10min);
  EXPECT_THAT(http_.requests, IsEmpty());
}

TEST_F(AlertmanagerSim, AReloadFinishesTheSendUnderWayAndSendsNothingTwice) {
  http_.latency = 20s;
  Start(OneHook());
  Fire("a", 0s);
  RunTo(40s);
  Apply(OneHook());
  RunTo(20min);
  EXPECT_THAT(Messages(), ElementsAre("0:30 first notification a+"));
}

TEST_F(AlertmanagerSim, InhibitionIsKnownBeforeTheFirstFlushAfterARestart) {
  const std::string config = OneHook() +
                             "inhibit_rules:\n- source_matchers: [severity=page]\n  target_matchers: [severity=warn]\n  equal: [host]\n";
  Start(config);
  Post({{"alertname", "Z"}, {"instance", "src"}, {"severity", "page"}, {"host", "h"}}, 0s, 10h);
  RunTo(5min);
  Kill();
  Start(config);
  Post({{"alertname", "A"}, {"instance", "tgt"}, {"severity", "warn"}, {"host", "h"}}, 0s, 10h);
  RunTo(20min);
  EXPECT_THAT(Messages(), ElementsAre("0:30 first notification src+"));
}

TEST_F(AlertmanagerSim, AnOldAlertIsNotMadeToWait) {
  Start(OneHook());
  Fire("a", -10min);
  RunTo(1s);
  EXPECT_THAT(Messages(), ElementsAre("0:00 first notification a+"));
}

TEST_F(AlertmanagerSim, WhatResolvesWithinTheGroupWaitIsNeverMentioned) {
  Start(OneHook());
  Fire("a", 0s);
  RunTo(10s);
  Resolve("a", 0s, 10s);
  RunTo(10min);
  EXPECT_THAT(Messages(), IsEmpty());
}

TEST_F(AlertmanagerSim, ValidAlertsAreStoredAlthoughOthersAreNot) {
  Start(OneHook());
  model::Alert good, bad;
  good.labels = model::Labels::FromPairs({{"alertname", "Good"}});
  bad.starts_at = kStart;
  auto status = am_->Post({good, bad});
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().message(), "at least one label pair required");
  EXPECT_THAT(am_->Alerts({}), SizeIs(1));
  EXPECT_EQ(Metric("alertmanager_alerts_invalid_total{version=\"v2\"}"), 1);
}

TEST_F(AlertmanagerSim, AnAlertWithoutAnEndResolvesAfterTheTimeout) {
  Start(OneHook());
  Post({{"alertname", "Down"}, {"instance", "a"}}, 0s, std::nullopt);
  RunTo(11min);
  EXPECT_THAT(Messages(), ElementsAre("0:30 first notification a+", "5:30 all alerts resolved a-"));
}

TEST_F(AlertmanagerSim, MuteIntervalsHoldNotificationsBackAndShowInTheGroup) {
  Start(
      "route:\n  receiver: ops\n  routes:\n  - receiver: ops\n    matchers: [alertname=Down]\n    mute_time_intervals: [always]\n"
      "time_intervals:\n- name: always\n  time_intervals: [{times: [{start_time: '00:00', end_time: '24:00'}]}]\n"
      "receivers:\n- name: ops\n  webhook_configs: [{url: 'http://hook/'}]\n");
  Fire("a", 0s);
  RunTo(20min);
  EXPECT_THAT(Messages(), IsEmpty());
  const auto groups = am_->Groups({});
  ASSERT_THAT(groups, SizeIs(1));
  EXPECT_THAT(groups[0].alerts[0].status.muted_by, ElementsAre("always"));
  AlertFilter no_muted;
  no_muted.muted = false;
  EXPECT_THAT(am_->Groups(no_muted), IsEmpty());
}

TEST_F(AlertmanagerSim, ATemplateThatFailsIsReplacedByATextThatNamesTheError) {
  Start("route: {receiver: ops, group_by: [alertname]}\nreceivers:\n- name: ops\n  slack_configs:\n"
        "  - {api_url: 'http://slack/', channel: c, text: '{{ .NoSuchField }}'}\n");
  Fire("a", 0s);
  RunTo(1min);
  ASSERT_THAT(http_.requests, SizeIs(1));
  EXPECT_THAT(http_.requests[0].request.body, HasSubstr("template failed"));
  EXPECT_THAT(http_.requests[0].request.body, HasSubstr("NoSuchField"));
  EXPECT_EQ(Metric("tocsin_notification_templates_replaced_total"), 1);
}

TEST_F(AlertmanagerSim, SlacksRetryAfterIsHonouredWithinTheTick) {
  Start("route: {receiver: ops, group_by: [alertname]}\nreceivers:\n- name: ops\n  slack_configs:\n  - {api_url: 'http://slack/', channel: c}\n");
  http_.statuses = {429};
  http_.headers = {{"Retry-After", "7"}};
  Fire("a", 0s);
  RunTo(36s);
  EXPECT_THAT(http_.requests, SizeIs(1));
  RunTo(39s);
  EXPECT_THAT(http_.requests, SizeIs(2));
}

TEST_F(AlertmanagerSim, AMailHasBothPartsAndARefusedOneIsNotHammered) {
  Start("route: {receiver: ops, group_by: [alertname]}\nreceivers:\n- name: ops\n  email_configs:\n"
        "  - {to: 'Ops <ops@example.org>, b@example.org', from: am@example.org, smarthost: 'mx:25', headers: {Subject: 'ünï {{ .Status }}'}}\n");
  mail_.answers.push_back(base::InvalidArgument("RCPT: 550 no such user"));
  Fire("a", 0s);
  RunTo(1min);
  ASSERT_THAT(mail_.messages, SizeIs(1));
  EXPECT_THAT(mail_.messages[0].recipients, ElementsAre("ops@example.org", "b@example.org"));
  EXPECT_THAT(mail_.messages[0].data, HasSubstr("Subject: =?utf-8?q?=C3=BCn=C3=AF_firing?="));
  EXPECT_THAT(mail_.messages[0].data, HasSubstr("text/plain"));
  EXPECT_THAT(mail_.messages[0].data, HasSubstr("text/html"));
  EXPECT_THAT(mail_.messages[0].data, HasSubstr("Auto-Submitted: auto-generated"));
  RunTo(6min);
  EXPECT_THAT(mail_.messages, SizeIs(2));
}

TEST_F(AlertmanagerSim, StopWaitsForTheSendUnderWay) {
  http_.latency = 2s;
  Start(OneHook());
  Fire("a", 0s);
  RunTo(31s);
  bool stopped = false;
  am_->Stop([&] { stopped = true; });
  sim_.RunPosted();
  EXPECT_FALSE(stopped);
  RunTo(33s);
  EXPECT_TRUE(stopped);
  EXPECT_THAT(store_.Contents().notifications, SizeIs(1));
  EXPECT_THAT(store_.Contents().intents, IsEmpty());
}

TEST_F(AlertmanagerSim, AThousandRoutesCostNoMoreThanTheOneThatMatches) {
  std::string config = "route:\n  receiver: ops\n  routes:\n";
  for (int i = 0; i < 1000; ++i) config += fmt::format("  - {{matchers: ['team=\"t{}\"'], receiver: ops, group_by: [team]}}\n", i);
  Start(config + "receivers:\n- name: ops\n  webhook_configs: [{url: 'http://hook/'}]\n");
  Post({{"alertname", "X"}, {"team", "t999"}, {"instance", "a"}}, 0s, 1h);
  const auto groups = am_->Groups({});
  ASSERT_THAT(groups, SizeIs(1));
  EXPECT_EQ(groups[0].key, "{}/{team=\"t999\"}:{team=\"t999\"}");
}

TEST_F(AlertmanagerSim, NewAlertsBeyondTheLimitOfTheirNameAreDroppedAndKnownOnesRefreshed) {
  options_.per_alertname_limit = 2;
  options_.alert_names_in_metrics = true;
  Start(OneHook());
  for (const char* instance : {"a", "b", "c", "a"}) Fire(instance, 0s);
  Post({{"alertname", "Other"}, {"instance", "x"}}, 0s);
  EXPECT_THAT(am_->Alerts({}), SizeIs(3));
  EXPECT_EQ(Metric("alertmanager_alerts_limited_total{alertname=\"Down\"}"), 1);
  // What has ended and was forgotten makes room.
  RunTo(1min);
  Resolve("a", 0s, 1min);
  RunTo(40min);
  Fire("c", 40min);
  AlertFilter filter;
  filter.matchers = *ParseMatchers("instance=\"c\"");
  EXPECT_THAT(am_->Alerts(filter), SizeIs(1));
}

TEST_F(AlertmanagerSim, TheStartDelayHoldsEveryFlushBackFromTheStartOn) {
  options_.dispatch_start_delay = 2min;
  Start(OneHook());
  Post({{"alertname", "Down"}, {"instance", "a"}}, -1h);  // old enough to be told at once
  RunTo(119s);
  EXPECT_THAT(http_.requests, IsEmpty());
  RunTo(121s);
  EXPECT_THAT(http_.requests, SizeIs(1));
}

TEST_F(AlertmanagerSim, AFilterOfManyEqualitiesFindsWhatMatchesAll) {
  Start(OneHook());
  for (int i = 0; i < 300; ++i) {
    Post({{"alertname", "Down"}, {"instance", std::to_string(i)}, {"a", "1"}, {"b", std::to_string(i % 2)},
          {"c", std::to_string(i % 3)}, {"d", std::to_string(i % 5)}, {"e", std::to_string(i % 7)}}, 0s);
  }
  // More label names than there are indexes, asked for in one query, in both orders.
  for (const char* filter : {"{a=\"1\",b=\"0\",c=\"0\",d=\"0\",e=\"0\",alertname=\"Down\"}",
                             "{alertname=\"Down\",e=\"0\",d=\"0\",c=\"0\",b=\"0\",a=\"1\"}"}) {
    AlertFilter wanted;
    wanted.matchers = *ParseMatchers(filter);
    EXPECT_THAT(am_->Alerts(wanted), SizeIs(2)) << filter;
  }
}

}  // namespace
}  // namespace tocsin::alertmanager
