// The ruler on virtual time: slots, missed evaluations, restarts, reloads, hand-over of alerts.

#include "ruler/ruler.h"

#include <gtest/gtest.h>

#include "base/log.h"
#include "base/simulated_executor.h"
#include "ruler/memory_storage.h"

namespace tocsin::ruler {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr int64_t kStart = 1'000'000;  // seconds

class Sink : public model::AlertSink {
 public:
  void Send(std::span<const model::AlertPtr> alerts) override {
    for (const model::AlertPtr& a : alerts) all.push_back(a);
  }
  std::vector<model::AlertPtr> all;
};

class RulerTest : public testing::Test {
 protected:
  RulerTest() {
    for (int64_t s = -600; s <= 7200; s += 15) {
      storage_.Add({{"__name__", "up"}, {"instance", "a"}}, (kStart + s) * 1000, 1);
    }
  }

  void Load(const std::string& yaml, GroupSettings settings = {}, model::RelabelRules relabel = {}) {
    auto file = ParseRuleFile(yaml, "f.yml");
    ASSERT_TRUE(file) << file.error().message();
    auto update = ruler_.Prepare(file->groups, settings, std::move(relabel));
    ASSERT_TRUE(update) << update.error().message();
    ruler_.Apply(std::move(*update));
  }

  std::shared_ptr<const GroupStatus> Only() const {
    const auto all = ruler_.Status();
    EXPECT_EQ(all.size(), 1u);
    return all.at(0);
  }

  // The value of one line of the metrics, or -1.
  double Metric(const std::string& line) const {
    const std::string text = registry_.Expose();
    const size_t at = text.find("\n" + line + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + line.size() + 2));
  }

  base::SimulatedExecutor sim_{base::Time(seconds(kStart))};
  promql::Engine engine_{promql::EngineOptions{}};
  MemoryStorage storage_;
  base::Registry registry_;
  Sink sink_;
  Ruler ruler_{&sim_,
               GroupEnvironment{.clock = &sim_, .engine = &engine_, .storage = &storage_, .recorded = &storage_, .restore = {}},
               {&sink_},
               &registry_};
};

constexpr const char* kOneRule = "groups:\n- name: g\n  rules:\n  - {record: r, expr: sum(up)}\n";
constexpr const char* kKey = "{rule_group=\"f.yml;g\"}";

TEST_F(RulerTest, TheFirstEvaluationIsAtTheNextSlotAndOneAnIntervalFollows) {
  Load(kOneRule);
  ruler_.Start();
  EXPECT_EQ(Only()->last_evaluation, base::Time{});
  sim_.RunFor(minutes(1));
  const base::Time first = Only()->last_evaluation;
  EXPECT_GT(first, base::Time(seconds(kStart)));
  sim_.RunFor(minutes(10));
  EXPECT_EQ(Only()->last_evaluation, first + minutes(10));
  EXPECT_EQ(Metric(std::string("prometheus_rule_group_iterations_total") + kKey), 11);
  EXPECT_EQ(Metric(std::string("prometheus_rule_group_iterations_missed_total") + kKey), 0);
  EXPECT_EQ(Metric(std::string("prometheus_rule_evaluations_total") + kKey), 11);
  EXPECT_EQ(Metric(std::string("prometheus_rule_group_interval_seconds") + kKey), 60);
  EXPECT_EQ(Metric(std::string("prometheus_rule_group_rules") + kKey), 1);
}

TEST_F(RulerTest, MissedSlotsAreCountedAndNeverCaughtUp) {
  Load("groups:\n- name: g\n  interval: 1m\n  rules:\n  - {record: r, expr: sum(up)}\n");
  ruler_.Start();
  sim_.RunFor(minutes(2));
  const base::Time before = Only()->last_evaluation;
  const double iterations = Metric(std::string("prometheus_rule_group_iterations_total") + kKey);
  sim_.SetWorkDuration(seconds(200));
  sim_.RunFor(minutes(1));  // begins one that takes 200 seconds
  sim_.SetWorkDuration(seconds(0));
  sim_.RunFor(minutes(9));
  EXPECT_EQ((Only()->last_evaluation - before) % minutes(1), base::Duration(0));
  EXPECT_EQ(Only()->last_evaluation, before + minutes(10)) << "the phase stays";
  const double missed = Metric(std::string("prometheus_rule_group_iterations_missed_total") + kKey);
  EXPECT_GE(missed, 2);
  EXPECT_EQ(Metric(std::string("prometheus_rule_group_iterations_total") + kKey), iterations + 10)
      << "missed ones are iterations too";
  EXPECT_EQ(Metric(std::string("prometheus_rule_evaluations_total") + kKey), iterations + 10 - missed);
}

TEST_F(RulerTest, AlertsReachTheSinkWithExternalLabelsAfterRelabeling) {
  model::RelabelRule drop;
  drop.action = model::RelabelAction::kLabelDrop;
  drop.regex = *base::Regex::Anchored("instance");
  Load("groups:\n- name: g\n  rules:\n  - {alert: A, expr: up == 1, labels: {region: mine}}\n",
       {.external_labels = model::Labels::FromPairs({{"region", "eu"}, {"cluster", "c1"}})}, {drop});
  ruler_.Start();
  sim_.RunFor(minutes(1));
  ASSERT_EQ(sink_.all.size(), 1u);
  EXPECT_EQ(sink_.all[0]->labels.ToString(), "{alertname=\"A\", cluster=\"c1\", region=\"mine\"}");
  sim_.RunFor(minutes(6));
  EXPECT_EQ(sink_.all.size(), 4u) << "sent again when a resend delay has passed, at the slot after";
}

TEST_F(RulerTest, ForStateIsRestoredAfterTheSecondEvaluation) {
  storage_.Add({{"__name__", "ALERTS_FOR_STATE"}, {"alertname", "A"}, {"instance", "a"}}, (kStart - 300) * 1000, kStart - 3000);
  Load("groups:\n- name: g\n  rules:\n  - {alert: A, expr: up == 1, for: 40m}\n");
  ruler_.Start();
  sim_.RunFor(minutes(1));
  EXPECT_FALSE(storage_.Has("ALERTS"));
  sim_.RunFor(minutes(1));
  EXPECT_FALSE(storage_.Has("ALERTS"));
  EXPECT_TRUE(sink_.all.empty());
  sim_.RunFor(minutes(1));
  EXPECT_TRUE(storage_.Has("ALERTS"));
  EXPECT_EQ(sink_.all.size(), 1u) << "it had waited long enough before the restart";
}

TEST_F(RulerTest, AReloadLeavesUnchangedGroupsAloneAndHandsOnTheStateOfOthers) {
  const std::string same = "- name: same\n  rules:\n  - {record: s, expr: sum(up)}\n";
  Load("groups:\n" + same + "- name: g\n  rules:\n  - {alert: A, expr: up == 1, for: 5m}\n  - {record: gone, expr: '1'}\n");
  ruler_.Start();
  sim_.RunFor(minutes(4));
  Load("groups:\n" + same + "- name: g\n  rules:\n  - {alert: A, expr: up > 0, for: 5m}\n");
  sim_.RunFor(minutes(3));
  EXPECT_FALSE(sink_.all.empty()) << "the wait went on over the reload";
  EXPECT_TRUE(storage_.Dump({{"__name__", "gone"}}).ends_with(":stale")) << storage_.Dump({{"__name__", "gone"}});
  EXPECT_EQ(Metric("prometheus_rule_group_iterations_total{rule_group=\"f.yml;same\"}"), 7);
}

TEST_F(RulerTest, TheSeriesOfARemovedGroupEndTwoIntervalsLater) {
  Load(kOneRule);
  ruler_.Start();
  sim_.RunFor(minutes(3));
  Load("groups: []\n");
  EXPECT_EQ(Metric(std::string("prometheus_rule_group_rules") + kKey), -1) << "its metrics go with it";
  sim_.RunFor(seconds(119));
  EXPECT_FALSE(storage_.Dump({{"__name__", "r"}}).ends_with("stale"));
  sim_.RunFor(seconds(2));
  EXPECT_TRUE(storage_.Dump({{"__name__", "r"}}).ends_with("stale"));
  EXPECT_TRUE(ruler_.Status().empty());
}

TEST_F(RulerTest, AnUpdateThatCannotBePreparedChangesNothing) {
  Load(kOneRule);
  ruler_.Start();
  sim_.RunFor(minutes(1));
  // What was prepared and is not applied has no effect.
  auto file = ParseRuleFile("groups:\n- name: other\n  rules:\n  - {record: o, expr: '1'}\n", "f.yml");
  ASSERT_TRUE(file);
  {
    auto dropped = ruler_.Prepare(file->groups, {});
    ASSERT_TRUE(dropped);
  }
  sim_.RunFor(minutes(2));
  EXPECT_EQ(Only()->name, "g");
  EXPECT_FALSE(storage_.Has("o"));
}

TEST_F(RulerTest, StopWaitsForTheEvaluationThatRuns) {
  Load(kOneRule);
  ruler_.Start();
  sim_.SetWorkDuration(seconds(30));
  sim_.RunFor(minutes(1));
  bool stopped = false;
  ruler_.Stop([&] { stopped = true; });
  sim_.RunFor(minutes(2));
  EXPECT_TRUE(stopped);
  const std::string written = storage_.Dump({{"__name__", "r"}});
  sim_.RunFor(minutes(5));
  EXPECT_EQ(storage_.Dump({{"__name__", "r"}}), written) << "no evaluation after the stop";
  EXPECT_EQ(written.find("stale"), std::string::npos) << "a stop ends no series";
}

TEST_F(RulerTest, TheSameRunGivesTheSameSamples) {
  const std::string yaml = "groups:\n- name: g\n  interval: 20s\n  rules:\n  - {record: r, expr: 'count_over_time(up[1m])'}\n  - {alert: A, expr: r > 3}\n";
  Load(yaml);
  ruler_.Start();
  sim_.RunFor(minutes(5));
  const std::string first = storage_.Dump({{"__name__", "r"}, {"instance", "a"}});
  base::SimulatedExecutor sim{base::Time(seconds(kStart))};
  MemoryStorage storage;
  for (int64_t s = -600; s <= 7200; s += 15) storage.Add({{"__name__", "up"}, {"instance", "a"}}, (kStart + s) * 1000, 1);
  base::Registry registry;
  Ruler ruler(&sim, GroupEnvironment{.clock = &sim, .engine = &engine_, .storage = &storage, .recorded = &storage, .restore = {}}, {},
              &registry);
  auto file = ParseRuleFile(yaml, "f.yml");
  auto update = ruler.Prepare(file->groups, {});
  ASSERT_TRUE(update);
  ruler.Apply(std::move(*update));
  ruler.Start();
  sim.RunFor(minutes(5));
  EXPECT_EQ(storage.Dump({{"__name__", "r"}, {"instance", "a"}}), first);
}

}  // namespace
}  // namespace tocsin::ruler
