#include "alertmanager/journal.h"

#include <set>

#include "alertmanager/journal_world_test.h"

namespace tocsin::alertmanager {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

class JournalTest : public JournalWorld {};

TEST_F(JournalTest, TellsAnAlertsWayFromItsArrivalToItsEnd) {
  Start(OneWebhook());
  Fire("a", 0s);
  RunTo(10s);
  Fire("b", 10s);
  RunTo(7min);
  Resolve("a", 0s, 7min);
  RunTo(21min);
  EXPECT_THAT(Rows(), ElementsAre("0:00 service started", "0:00 service configuration_loaded", "0:00 received a new",
                                  "0:00 grouped a", "0:10 received b new", "0:10 grouped b",
                                  "0:30 request ops/webhook/0 delivered 200 #1 first notification a+ b+",
                                  "5:30 not_sent ops/webhook/0 repeat_not_due a+ b+", "7:00 resolved a sender",
                                  "10:30 request ops/webhook/0 delivered 200 #1 some alerts resolved b+ a-",
                                  "15:30 not_sent ops/webhook/0 repeat_not_due b+",
                                  "20:30 request ops/webhook/0 delivered 200 #1 repeat interval elapsed b+"));
  const auto entries = store_.Journal();
  EXPECT_EQ(entries[3].due, kStart + 30s);
  EXPECT_EQ(entries[7].due, kStart + 10min + 30s);
  EXPECT_EQ(entries[6].duration, 1ms);
  EXPECT_EQ(entries[6].group->key, "{}:{alertname=\"Down\"}");
  EXPECT_EQ(entries[6].group->repeat_interval, 10min);
  EXPECT_EQ(entries[6].firing[0]->annotations.Get("summary"), "it is down");
}

TEST_F(JournalTest, EveryRequestHasARowAndEveryRefusalSaysWhatTheReceiverAnswered) {
  http_.statuses = {500, FakeHttp::kReset, 200, 404};
  Start(OneWebhook());
  Fire("a", 0s);
  RunTo(6min);
  Fire("b", 6min);
  RunTo(11min);
  const auto rows = Rows();
  std::vector<std::string> requests;
  for (const std::string& row : rows) {
    if (row.find(" request ") != std::string::npos) requests.push_back(row);
  }
  EXPECT_EQ(requests.size(), http_.requests.size());
  EXPECT_THAT(requests, ElementsAre("0:30 request ops/webhook/0 retry 500 #1 first notification a+",
                                    HasSubstr("request ops/webhook/0 retry #2 first notification a+"),
                                    HasSubstr("request ops/webhook/0 delivered 200 #3 first notification a+"),
                                    "10:30 request ops/webhook/0 refused 404 #1 new alerts added a+ b+"));
  for (const JournalEntry& e : store_.Journal()) {
    if (e.kind == JournalKind::kRequest && e.attempt == 2) {
      EXPECT_EQ(e.text, "connection reset");
      EXPECT_GT(e.wait, 0s);
    }
  }
}

TEST_F(JournalTest, ASuppressionIsToldWhenItBeginsChangesAndEnds) {
  Start(OneWebhook());
  const std::string id = AddSilence("instance=\"a\"", 7min);
  Fire("a", 0s);
  RunTo(16min);
  const auto rows = Rows();
  EXPECT_THAT(rows, Contains("0:30 suppressed a silence").Times(1));
  EXPECT_THAT(rows, Contains("0:30 not_sent all_suppressed a+").Times(1));
  EXPECT_THAT(rows, Contains("5:30 not_sent all_suppressed a+").Times(1));
  EXPECT_THAT(rows, Contains("10:30 released a").Times(1));
  EXPECT_THAT(rows, Contains("10:30 request ops/webhook/0 delivered 200 #1 first notification a+").Times(1));
  for (const JournalEntry& e : store_.Journal()) {
    if (e.kind == JournalKind::kSuppressed) { EXPECT_THAT(e.by, ElementsAre(id)); }
    if (e.kind == JournalKind::kSilence) { EXPECT_THAT(e.by, ElementsAre(id, "{instance=\"a\"}", "ada")); }
  }
}

TEST_F(JournalTest, ARecurringSilenceHoldsWithinItsScheduleAndAfterARestart) {
  // kStart is a Tuesday, 22:13:20 UTC.
  Start(OneWebhook());
  Silence s;
  s.matcher_sets = {*ParseMatchers("instance=\"a\"")};
  s.starts_at = sim_.Now();
  s.ends_at = sim_.Now() + 24h * 365;
  ASSERT_TRUE(s.SetSchedule(*ScheduleFromShort("tuesday 23:10-23:20 Europe/Berlin")));
  const std::string id = AddSilence(std::move(s));
  Fire("a", 0s);
  RunTo(1min);
  EXPECT_THAT(http_.requests, IsEmpty());
  Kill();
  Start(OneWebhook());
  RunTo(6min);
  EXPECT_TRUE(am_->silences().Find(id)->HoldsAt(kStart + 6min));
  EXPECT_THAT(http_.requests, IsEmpty());
  RunTo(11min);  // 22:24 UTC, out of the schedule
  EXPECT_EQ(am_->silences().Find(id)->StateAt(sim_.Now()), SilenceState::kActive);
  EXPECT_THAT(http_.requests, SizeIs(1));
  EXPECT_TRUE(am_->silences().Find(id)->HoldsAt(kStart + 24h * 7));
}

TEST_F(JournalTest, ASilenceForOneReceiverLeavesTheOthersAlone) {
  Start(
      "route:\n  receiver: ops\n  routes:\n  - receiver: ops\n    continue: true\n    group_wait: 30s\n  - receiver: team\n    group_wait: 30s\n"
      "receivers:\n- name: ops\n  webhook_configs:\n  - url: http://ops/\n- name: team\n  webhook_configs:\n  - url: http://team/\n");
  Silence s;
  s.matcher_sets = {*ParseMatchers("instance=\"a\"")};
  s.starts_at = sim_.Now();
  s.ends_at = sim_.Now() + 1h;
  s.receivers = {"team"};
  AddSilence(std::move(s));
  Fire("a", 0s);
  RunTo(1min);
  ASSERT_THAT(http_.requests, SizeIs(1));
  EXPECT_EQ(http_.requests[0].request.url, "http://ops/");
}

TEST(SilenceScheduleTest, ShortTextsAndWrongOnes) {
  struct Row {
    std::string_view text, json;
  };
  for (const Row& row : {
           Row{"saturday 02:00-04:00 Europe/Berlin",
               R"([{"weekdays":["saturday"],"times":[{"start_time":"02:00","end_time":"04:00"}],"location":"Europe/Berlin"}])"},
           Row{"Monday:Friday,sunday", R"([{"weekdays":["monday:friday","sunday"]}])"},
           Row{"22:00-24:00,00:00-06:00 UTC",
               R"([{"times":[{"start_time":"22:00","end_time":"24:00"},{"start_time":"00:00","end_time":"06:00"}],"location":"UTC"}])"},
           Row{R"([{"months":["may"]}])", R"([{"months":["may"]}])"},
       }) {
    const auto json = ScheduleFromShort(row.text);
    ASSERT_TRUE(json.has_value()) << row.text;
    EXPECT_EQ(*json, row.json);
    EXPECT_TRUE(ReadSchedule(*json).has_value()) << row.text;
  }
  EXPECT_FALSE(ScheduleFromShort(""));
  for (std::string_view wrong : {"{}", "[{\"weekdays\":[\"noday\"]}]", "[{\"location\":\"Mars/Olympus\"}]", "[{\"hours\":[1]}]", "[1"}) {
    EXPECT_FALSE(ReadSchedule(wrong)) << wrong;
  }
  EXPECT_EQ(*ReadSchedule("[]"), nullptr);
}

TEST_F(JournalTest, AnAlertThatIsNotRepeatedEndsByTimeout) {
  Start(OneWebhook("send_resolved: false"));
  Post({{"alertname", "Down"}, {"instance", "a"}}, 0s, std::nullopt);
  RunTo(11min);
  const auto rows = Rows();
  EXPECT_THAT(rows, Contains("5:30 resolved a timeout").Times(1));
  EXPECT_THAT(rows, Contains("5:30 not_sent ops/webhook/0 resolved_unwanted a-").Times(1));
}

TEST_F(JournalTest, ADeadlineThatCutsARequestOffIsItsRow) {
  http_.statuses = {FakeHttp::kNever};
  Start(OneWebhook());
  Fire("a", 0s);
  RunTo(6min);
  const auto rows = Rows();
  EXPECT_THAT(rows, Contains("5:30 not_sent still_sending"));
  EXPECT_THAT(rows, Contains(HasSubstr("unanswered ops/webhook/0 deadline #1 first notification a+")));
  EXPECT_THAT(rows, Not(Contains(HasSubstr("gave_up"))));
}

TEST_F(JournalTest, AfterAKillADeliveryThatOnlyTheLogKnowsGetsItsRow) {
  Start(OneWebhook());
  Fire("a", 0s);
  RunTo(29s);          // the journal has been written up to here
  RunTo(30s + 500ms);  // the answer has come, its row waits for the next flush
  Kill();
  EXPECT_THAT(Rows(), Not(Contains(HasSubstr("request"))));
  Start(OneWebhook());
  RunTo(45s);
  Kill();
  Start(OneWebhook());
  RunTo(60s);
  EXPECT_THAT(http_.requests, SizeIs(1));
  EXPECT_THAT(Rows(), Contains("0:30 recovered ops/webhook/0").Times(1));
}

TEST_F(JournalTest, WithoutRetentionNothingIsKept) {
  options_.journal.retention = {};
  Start(OneWebhook());
  Fire("a", 0s);
  RunTo(6min);
  EXPECT_THAT(store_.packs, IsEmpty());
}

TEST_F(JournalTest, ChaptersEndAfterAnHourAndDescribeAnew) {
  Start(OneWebhook());
  Fire("a", 0s);
  RunTo(125min);
  std::set<int64_t> chapters;
  for (const state::EventPack& pack : store_.packs) chapters.insert(pack.chapter);
  EXPECT_THAT(chapters, SizeIs(3));
  for (const JournalEntry& e : store_.Journal()) {
    if (e.kind == JournalKind::kRequest) { ASSERT_THAT(e.firing, SizeIs(1)); }
  }
}

TEST_F(JournalTest, DamagedBytesAreAnErrorOrOtherEventsNeverACrash) {
  Start(OneWebhook());
  AddSilence("instance=\"b\"", 1h);
  Fire("a", 0s);
  Fire("b", 0s);
  RunTo(21min);
  ASSERT_FALSE(store_.packs.empty());
  for (const state::EventPack& pack : store_.packs) {
    for (size_t n = 0; n < pack.bytes.size(); ++n) {
      JournalChapter cut;
      base::Ignore(cut.Read(std::string_view(pack.bytes).substr(0, n), [](JournalEntry) {}));
      std::string flipped = pack.bytes;
      flipped[n] = static_cast<char>(~flipped[n]);
      JournalChapter other;
      base::Ignore(other.Read(flipped, [](const JournalEntry& e) { JournalCauseName(e); }));
    }
  }
  JournalChapter chapter;
  EXPECT_FALSE(chapter.Read("\x07", [](JournalEntry) {}));
  EXPECT_FALSE(chapter.Read("", [](JournalEntry) {}));
}

TEST_F(JournalTest, APackThatIsLostCostsItsOwnEventsAndNoOthers) {
  Start(OneWebhook());
  for (int i = 0; i < 6; ++i) {
    Fire(std::string(1, static_cast<char>('a' + i)), i * 10s);
    RunTo((i + 1) * 10s);
  }
  RunTo(6min);
  const std::vector<std::string> all = Rows();
  const std::vector<state::EventPack> packs = store_.packs;
  ASSERT_GT(packs.size(), 6U);
  for (size_t lost = 0; lost < packs.size(); ++lost) {
    store_.packs = packs;
    store_.packs.erase(store_.packs.begin() + static_cast<ptrdiff_t>(lost));
    const std::vector<JournalEntry> entries = store_.Journal();
    EXPECT_EQ(entries.size() + packs[lost].events, all.size());
    for (const JournalEntry& e : entries) {
      // What is named is what was meant; what only the lost pack described is not named at all.
      std::string row = Row(e);
      if (e.kind != JournalKind::kReceived || e.alert == nullptr) continue;
      EXPECT_THAT(all, Contains(row)) << "without pack " << lost;
      EXPECT_EQ(e.alert->annotations.Get("summary"), "it is down");
    }
  }
}

TEST_F(JournalTest, AnAlertThatFiresAgainIsDescribedAnew) {
  Start(OneWebhook());
  Fire("a", 0s);
  RunTo(1min);
  Resolve("a", 0s, 1min);
  RunTo(7min);
  Fire("a", 7min);
  RunTo(8min);
  const auto entries = store_.Journal();
  const auto again = std::ranges::find_if(entries, [](const JournalEntry& e) { return e.kind == JournalKind::kReceived && e.cause == 1; });
  ASSERT_NE(again, entries.end());
  EXPECT_EQ(again->alert->starts_at, kStart + 7min);
}

TEST_F(JournalTest, AReleaseIsToldAlsoWhenAnEarlierChapterToldOfTheSuppression) {
  Start(OneWebhook());
  AddSilence("instance=\"a\"", 70min);
  Fire("a", 0s);
  RunTo(80min);
  const auto rows = Rows();
  EXPECT_THAT(rows, Contains(HasSubstr("suppressed a silence")).Times(2));  // once a chapter
  EXPECT_THAT(rows, Contains("70:30 released a").Times(1));
}

TEST_F(JournalTest, GroupsOfOneKeyWithOtherTimersAreToldApart) {
  Start(
      "route:\n  receiver: ops\n  group_by: [alertname]\n  routes:\n"
      "  - matchers: [alertname=\"Down\"]\n    group_wait: 30s\n    continue: true\n"
      "  - matchers: [alertname=\"Down\"]\n    group_wait: 2m\n"
      "receivers:\n- name: ops\n  webhook_configs:\n  - url: http://hook/\n");
  Fire("a", 0s);
  RunTo(3min);
  std::set<base::Duration> waits;
  for (const JournalEntry& e : store_.Journal()) {
    if (e.kind == JournalKind::kGrouped) waits.insert(e.group->group_wait);
  }
  EXPECT_THAT(waits, ElementsAre(30s, 2min));
}

TEST_F(JournalTest, AnEventTakesUnder200BytesAlsoUncompressed) {
  Start(OneWebhook());
  for (int i = 0; i < 1000; ++i) {
    Post({{"alertname", "Pod"}, {"cluster", "prod-1"}, {"namespace", "team-17"}, {"severity", "warning"},
          {"pod", fmt::format("app-{:03}-5d8f7c9b6-{:x}", i % 40, i * 7919)}, {"instance", std::to_string(i)}}, 0s);
  }
  RunTo(2min);
  size_t bytes = 0, events = 0;
  for (const state::EventPack& pack : store_.packs) {
    bytes += pack.bytes.size();
    events += pack.events;
  }
  EXPECT_GT(events, 2000U);
  EXPECT_LT(bytes / events, 60U);
}

}  // namespace
}  // namespace tocsin::alertmanager
