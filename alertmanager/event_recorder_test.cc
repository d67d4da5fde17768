#include "alertmanager/event_recorder.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <stdlib.h>

#include "alertmanager/event_json.h"
#include "alertmanager/shared_kit_test.h"
#include "alertmanager/sim_world_test.h"
#include "base/file_system.h"
#include "base/text.h"

namespace tocsin::alertmanager {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

class EventRecorderTest : public World {
 protected:
  EventRecorderTest() {
    options_.event_recorder = true;
    options_.hostname = "am1";
  }
  ~EventRecorderTest() override {
    am_.reset();
    base::Ignore(fs_->RemoveAll(folder_));  // best effort: a test's folder
  }

  static std::string Config(std::string_view outputs) {
    return fmt::format(
        "route:\n  receiver: ops\n  group_by: [alertname]\n  group_wait: 30s\n  group_interval: 5m\n  repeat_interval: 1h\n"
        "receivers:\n- name: ops\n  webhook_configs:\n  - url: http://hook/\n"
        "inhibit_rules:\n- source_matchers: [instance=boss]\n  target_matchers: [instance=clerk]\n"
        "event_recorder:\n  {}\n",
        outputs);
  }
  std::string ToFile() const { return Config("file_outputs: [{path: " + path() + "}]"); }
  std::string path() const { return folder_ + "/events.jsonl"; }

  std::vector<std::string> Lines() {
    const auto text = fs_->ReadFile(path());
    std::vector<std::string> out;
    if (!text) return out;
    for (const std::string_view line : base::Split(*text, '\n')) {
      if (!line.empty()) out.emplace_back(line);
    }
    return out;
  }
  // The names of the events, in order.
  std::vector<std::string> Types() {
    std::vector<std::string> out;
    for (const std::string& line : Lines()) {
      simdjson::dom::parser parser;
      const simdjson::padded_string text(line);
      const auto root = parser.parse(text);
      EXPECT_FALSE(root.error()) << line;
      EXPECT_EQ(TextOf(root["instance"]), "am1");
      for (const auto field : root["data"].get_object()) out.emplace_back(field.key);
    }
    return out;
  }
  std::vector<std::string> Bodies(std::string_view url) const {
    std::vector<std::string> out;
    for (const FakeHttp::Request& r : http_.requests) {
      if (r.request.url == url) out.push_back(r.request.body);
    }
    return out;
  }
  void Stop() {
    bool stopped = false;
    am_->Stop([&] { stopped = true; });
    sim_.RunFor(10s);
    EXPECT_TRUE(stopped);
  }

  static std::string MakeFolder() {
    std::string path = "/tmp/tocsin_events_XXXXXX";
    EXPECT_NE(::mkdtemp(path.data()), nullptr) << path;
    return path;
  }

  base::FileSystem* const fs_ = base::RealFileSystem();
  const std::string folder_ = MakeFolder();
};

TEST_F(EventRecorderTest, TheLifeOfAnAlertIsLinesOfAFile) {
  Start(ToFile());
  Fire("a", 0s);
  RunTo(1min);
  Resolve("a", 0s, 1min);
  RunTo(10min);
  Stop();
  EXPECT_THAT(Types(), ElementsAre("alertmanagerStartupEvent", "alertCreated", "alertGrouped", "notification", "alertResolved", "notification",
                                   "alertmanagerShutdownEvent"));
  const auto lines = Lines();
  EXPECT_THAT(lines[0], HasSubstr(R"("data":{"alertmanagerStartupEvent":{"version":"0.34.0"}}})"));
  EXPECT_THAT(lines[1], StartsWith(R"({"@timestamp":"2023-11-14T22:13:20Z","instance":"am1","data":{"alertCreated":{"alert":{"fingerprint":")"));
  EXPECT_THAT(lines[1], HasSubstr(R"("name":"Down","labels":{"labels":[{"key":"alertname","value":"Down"},{"key":"instance","value":"a"}]})"));
  EXPECT_THAT(lines[2], HasSubstr(R"("groupInfo":{"groupKey":"{}:{alertname=\"Down\"}","groupId":")"));
  EXPECT_THAT(lines[3], HasSubstr(R"("repeatInterval":"3600s","reason":"NOTIFY_REASON_FIRST_NOTIFICATION","integration":{"name":"webhook"}}}})"));
  EXPECT_THAT(lines[3], Not(HasSubstr("resolvedAlerts")));
  EXPECT_THAT(lines[4], HasSubstr(R"("endsAt":"2023-11-14T22:14:20Z","resolved":true)"));
  EXPECT_THAT(lines[5], HasSubstr("NOTIFY_REASON_ALL_ALERTS_RESOLVED"));
}

TEST_F(EventRecorderTest, WhatMutesIsTold) {
  Start(ToFile());
  const std::string id = AddSilence("instance=a", 1h);
  Fire("boss", 0s);
  Fire("clerk", 0s);
  Fire("a", 0s);
  RunTo(1min);
  am_->silences().Expire(id, [](base::Status) {});
  RunTo(2min);
  Stop();
  EXPECT_THAT(Types(), testing::IsSupersetOf({"silenceCreated", "silenceMutedAlert", "inhibitionMutedAlert", "silenceUpdated"}));
  const std::string all = base::Join(Lines(), "\n");
  EXPECT_THAT(all, HasSubstr(R"({"silenceCreated":{"silence":{"id":")" + id +
                             R"(","matchers":[{"type":"TYPE_EQUAL","name":"instance","pattern":"a","rendered":"instance=\"a\""}],"startsAt":)"));
  EXPECT_THAT(all, HasSubstr(R"("createdBy":"ada","comment":"being replaced","matcherSets":[{"matchers":[)"));
  EXPECT_THAT(all, HasSubstr(R"({"silenceMutedAlert":{"silence":{"id":")" + id + R"("},"mutedAlert":{"labels":)"));
  EXPECT_THAT(all, HasSubstr(R"("inhibitingFingerprints":[")"));
}

TEST_F(EventRecorderTest, AFileThatWasRotatedAwayIsBegunAnew) {
  Start(ToFile());
  Fire("a", 0s);
  RunTo(10s);
  ASSERT_TRUE(fs_->Rename(path(), path() + ".1"));
  Fire("b", 10s);
  RunTo(20s);
  EXPECT_THAT(Types(), ElementsAre("alertCreated", "alertGrouped"));
}

TEST_F(EventRecorderTest, AFileThatCannotBeWrittenIsLoggedOnceAndCounted) {
  Start(Config("file_outputs: [{path: /dev/null/events}]"));
  Fire("a", 0s);
  RunTo(10s);
  Fire("b", 10s);
  RunTo(20s);
  size_t told = 0;
  for (const std::string& line : log_.lines()) told += line.find("events cannot be recorded") != std::string::npos ? 1 : 0;
  EXPECT_EQ(told, 1U);
  EXPECT_THAT(registry_->Expose(), HasSubstr(R"(alertmanager_events_recorded_total{event_type="alert_created",output="file:/dev/null/events",result="error"} 2)"));
}

TEST_F(EventRecorderTest, AnOutputThatAReloadBringsIsToldWhatFollows) {
  Start(Config("{}"));
  Fire("a", 0s);
  RunTo(10s);
  Apply(ToFile());
  Resolve("a", 0s, 10s);
  RunTo(20s);
  EXPECT_THAT(Types(), ElementsAre("alertGrouped", "alertResolved"));  // groups are made anew
  EXPECT_THAT(Lines()[1], HasSubstr(R"("value":"a")"));  // although it was described before
  Apply(Config("{}"));
  Fire("b", 20s);
  RunTo(1min);
  EXPECT_THAT(Lines(), SizeIs(2));
}

TEST_F(EventRecorderTest, AWebhookGetsEachEventAndAFailedOneAgain) {
  http_.statuses = {500, FakeHttp::kReset, 200, 500, 500, 500, 500};
  Start(Config("webhook_outputs: [{url: 'http://events/', workers: 1}]"));
  RunTo(20s);
  ASSERT_THAT(http_.requests, SizeIs(3));
  EXPECT_THAT(http_.requests[0].request.body, AllOf(StartsWith("{\"@timestamp\""), EndsWith("}")));
  EXPECT_EQ(http_.requests[2].request.body, http_.requests[0].request.body);
  EXPECT_EQ(http_.requests[2].at - http_.requests[1].at, 1001ms);
  Fire("a", 20s);
  RunTo(28s);
  // Created: given up after three.  Grouped: tried again once.
  EXPECT_THAT(Bodies("http://events/"), SizeIs(3 + 3 + 2));
  EXPECT_THAT(registry_->Expose(), HasSubstr(R"(alertmanager_event_output_drops_total{output="webhook:0"} 1)"));
}

TEST_F(EventRecorderTest, ABatchIsAnArrayThatIsFullOrHasWaited) {
  Start(Config("webhook_outputs: [{url: 'http://events/', batch: true, batch_max_events: 3, batch_flush_interval: 10s, workers: 1}]"));
  Fire("a", 0s);
  Fire("b", 0s);
  RunTo(5s);
  auto bodies = Bodies("http://events/");
  ASSERT_THAT(bodies, SizeIs(1));
  EXPECT_THAT(bodies[0], AllOf(StartsWith("[{"), HasSubstr("},{"), EndsWith("}]")));
  RunTo(12s);
  bodies = Bodies("http://events/");
  ASSERT_THAT(bodies, SizeIs(2));
  EXPECT_THAT(bodies[1], HasSubstr("alertGrouped"));
  Fire("c", 12s);
  RunTo(13s);
  Stop();  // waits for nothing that could fill it
  EXPECT_THAT(Bodies("http://events/").back(), HasSubstr("alertmanagerShutdownEvent"));
}

TEST_F(EventRecorderTest, ASilentWebhookIsBoundedAndDoesNotKeepTheServiceFromStopping) {
  http_.statuses.assign(10, FakeHttp::kNever);
  Start(Config("webhook_outputs: [{url: 'http://events/', workers: 1}]"));
  for (int i = 0; i < 800; ++i) Fire(fmt::format("i{}", i), 0s);
  RunTo(10s);
  EXPECT_THAT(Bodies("http://events/"), SizeIs(1));
  EXPECT_THAT(registry_->Expose(), HasSubstr(fmt::format(R"(alertmanager_event_output_drops_total{{output="webhook:0"}} {})", 1 + 2 * 800 - 1 - EventRecorder::kMaxQueued)));
  Stop();
}

TEST_F(EventRecorderTest, WithoutItsFeatureTheBlockIsAWarning) {
  options_.event_recorder = false;
  Start(ToFile());
  Fire("a", 0s);
  RunTo(10s);
  EXPECT_THAT(Lines(), IsEmpty());
  EXPECT_THAT(log_.lines(), testing::Contains(HasSubstr("--enable-feature=event-recorder")));
}

}  // namespace
}  // namespace tocsin::alertmanager
