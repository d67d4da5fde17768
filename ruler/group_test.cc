// Groups and rules, evaluated by hand at chosen slots.

#include "ruler/group.h"

#include <gtest/gtest.h>

#include "base/log.h"
#include "base/simulated_executor.h"
#include "ruler/memory_storage.h"

namespace tocsin::ruler {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr int64_t kStart = 1'000'000;  // seconds

base::Time At(int64_t s) { return base::Time(seconds(kStart + s)); }
model::Timestamp Ms(int64_t s) { return (kStart + s) * 1000; }

class GroupTest : public testing::Test {
 protected:
  // `rules` as the items of a rules list, indented by two.
  std::unique_ptr<Group> Make(const std::string& rules, const std::string& fields = "") {
    auto file = ParseRuleFile("groups:\n- name: g\n" + fields + "  rules:\n" + rules, "f.yml");
    EXPECT_TRUE(file) << file.error().message();
    auto group = Group::Make(file->groups.at(0), settings_, environment_);
    EXPECT_TRUE(group) << group.error().message();
    (*group)->SkipRestore();
    return std::move(*group);
  }

  // The states of the first alerting rule, by instance: "a=firing b=pending".
  static std::string States(const Group& group) {
    std::string out;
    const auto status = group.MakeStatus();
    for (const RuleStatus& rule : status->rules) {
      for (const ActiveAlert& alert : rule.alerts) {
        if (!out.empty()) out += ' ';
        out += std::string(alert.labels.Get("instance")) + "=" + std::string(AlertStateName(alert.state));
      }
    }
    return out;
  }

  base::SimulatedExecutor clock_{At(0)};
  promql::Engine engine_{promql::EngineOptions{}};
  MemoryStorage storage_;
  GroupEnvironment environment_{
      .clock = &clock_, .engine = &engine_, .storage = &storage_, .recorded = &storage_, .restore = {}};
  GroupSettings settings_{.external_url = "http://p:9090", .external_labels = {}};
};

TEST_F(GroupTest, ARuleSeesWhatEarlierRulesOfItsGroupRecorded) {
  storage_.Add({{"__name__", "up"}, {"instance", "a"}}, Ms(0), 1);
  storage_.Add({{"__name__", "up"}, {"instance", "b"}}, Ms(0), 1);
  auto group = Make(
      "  - {record: 'job:up:sum', expr: sum(up), labels: {team: web}}\n"
      "  - {record: 'double', expr: '2 * job:up:sum'}\n"
      "  - {record: 'const', expr: '7'}\n");
  const GroupResult result = group->Evaluate(At(10));
  EXPECT_EQ(result.failures, 0u);
  EXPECT_EQ(result.samples, 3u);
  EXPECT_EQ(storage_.Dump({{"__name__", "job:up:sum"}, {"team", "web"}}), "1000010:2");
  EXPECT_EQ(storage_.Dump({{"__name__", "double"}, {"team", "web"}}), "1000010:4");
  EXPECT_EQ(storage_.Dump({{"__name__", "const"}}), "1000010:7");
}

TEST_F(GroupTest, EqualSubtreesOfRulesAreSharedUnlessARuleBetweenWritesWhatTheyRead) {
  struct Case {
    const char* name;
    const char* rules;
    size_t parts;
  };
  const Case cases[] = {
      {"whole expressions", "  - {record: a, expr: sum(x)}\n  - {record: b, expr: sum(x)}\n", 1},
      {"the largest equal subtree", "  - {record: a, expr: 'sum(rate(x[5m])) * 2'}\n  - {alert: B, expr: 'sum(rate(x[5m])) > 1'}\n", 1},
      {"what is below one and stands alone in another",
       "  - {record: a, expr: 'sum(rate(x[5m]))'}\n  - {record: b, expr: 'sum(rate(x[5m]))'}\n  - {record: c, expr: 'max(rate(x[5m]))'}\n", 2},
      {"texts that differ in blanks", "  - {record: a, expr: 'sum( x)'}\n  - {record: b, expr: 'sum(x )'}\n", 1},
      {"what other rules write", "  - {record: a, expr: sum(x)}\n  - {record: y, expr: z}\n  - {record: b, expr: sum(x)}\n", 1},
      {"what only the rest of the expression reads",
       "  - {record: a, expr: sum(x)}\n  - {record: y, expr: z}\n  - {record: b, expr: sum(x) + sum(y)}\n", 1},
      {"both after the writer", "  - {record: x, expr: z}\n  - {record: a, expr: sum(x)}\n  - {record: b, expr: sum(x)}\n", 1},
      {"a label tells them apart",
       "  - {record: a, expr: 'sum(x{l=\"1\"})'}\n  - {record: x, expr: z, labels: {l: '2'}}\n  - {record: b, expr: 'sum(x{l=\"1\"})'}\n", 1},
      // Not shared.
      {"within one rule alone", "  - {record: a, expr: sum(x) / (1 + sum(x))}\n  - {record: b, expr: sum(y)}\n", 0},
      {"a selector is read again", "  - {record: a, expr: x}\n  - {record: b, expr: x}\n", 0},
      {"nothing that reads series", "  - {record: a, expr: vector(1)}\n  - {record: b, expr: vector(1)}\n", 0},
      {"other matchers", "  - {record: a, expr: 'sum(x{a=\"1\"})'}\n  - {record: b, expr: 'sum(x{a=\"2\"})'}\n", 0},
      {"a rule between writes it", "  - {record: a, expr: sum(x)}\n  - {record: x, expr: z}\n  - {record: b, expr: sum(x)}\n", 0},
      {"the first of them writes it", "  - {record: x, expr: sum(x)}\n  - {record: b, expr: sum(x)}\n", 0},
      {"a rule between may write it",
       "  - {record: a, expr: 'sum({__name__=~\"x.*\"})'}\n  - {record: xy, expr: z}\n  - {record: b, expr: 'sum({__name__=~\"x.*\"})'}\n", 0},
      {"a selector without a name reads anything",
       "  - {record: a, expr: 'sum({l=\"1\"})'}\n  - {record: b, expr: 'sum({l=\"1\"})'}\n", 0},
      {"alerts between", "  - {record: a, expr: count(ALERTS)}\n  - {alert: A, expr: z}\n  - {record: b, expr: count(ALERTS)}\n", 0},
      {"other grids", "  - {record: a, expr: 'max_over_time(sum(x)[5m:1m])'}\n  - {record: b, expr: 'max_over_time(sum(x)[5m:2m])'}\n", 0},
      {"messages would name the bytes of another rule",
       "  - {record: a, expr: 'sum(rate(x[5m + 1m]))'}\n  - {record: b, expr: 'sum(rate(x[5m + 1m]))'}\n", 0},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(Make(c.rules)->shared_parts(), c.parts) << c.name;
  }
  promql::EngineOptions options;
  options.share_equal_subtrees = false;
  const promql::Engine alone(options);
  environment_.engine = &alone;
  EXPECT_EQ(Make(cases[0].rules)->shared_parts(), 0u);
}

TEST_F(GroupTest, QueryOffsetMovesQueriesAndResultsButNotTheQueriesOfTemplates) {
  storage_.Add({{"__name__", "up"}, {"instance", "a"}}, Ms(0), 1);
  storage_.Add({{"__name__", "up"}, {"instance", "a"}}, Ms(55), 0);
  auto group = Make(
      "  - {record: 'r', expr: up}\n"
      "  - {alert: A, expr: up == 1, annotations: {now: '{{ with query \"up\" }}{{ . | first | value }}{{ end }}'}}\n",
      "  query_offset: 10s\n");
  group->Evaluate(At(60));
  EXPECT_EQ(storage_.Dump({{"__name__", "r"}, {"instance", "a"}}), "1000050:1");
  const auto status = group->MakeStatus();
  ASSERT_EQ(status->rules[1].alerts.size(), 1u);
  EXPECT_EQ(status->rules[1].alerts[0].annotations.Get("now"), "0");
  EXPECT_EQ(storage_.Dump({{"__name__", "ALERTS"}, {"alertname", "A"}, {"alertstate", "firing"}, {"instance", "a"}}),
            "1000050:1");
}

TEST_F(GroupTest, WhoAsksIsToldOfEachQuery) {
  class Asking : public QueryObserver {
   public:
    bool WantsQueries() const override { return wants; }
    void OnQuery(const RuleQuery& q) override {
      seen += std::string(q.file) + " " + std::string(q.group) + " " + std::string(q.text) + " read " +
              std::to_string(q.samples_read) + (q.error.empty() ? "" : " failed") + "\n";
    }
    void OnSamplesRead(int64_t samples) override { read += samples; }
    bool wants = false;
    std::string seen;
    int64_t read = 0;
  };
  Asking asking;
  environment_.queries = &asking;
  storage_.Add({{"__name__", "up"}, {"instance", "a"}}, Ms(0), 1);
  storage_.Add({{"__name__", "up"}, {"instance", "b"}}, Ms(0), 1);
  auto group = Make(
      "  - {record: 'n', expr: count(up)}\n"
      "  - {record: 'm', expr: up + on () up}\n");
  group->Evaluate(At(0));
  EXPECT_EQ(asking.seen, "");
  EXPECT_EQ(asking.read, 2);
  asking.wants = true;
  group->Evaluate(At(60));
  EXPECT_EQ(asking.seen, "f.yml g count(up) read 2\nf.yml g up + on () up read 0 failed\n");
  EXPECT_EQ(asking.read, 4);
}

TEST_F(GroupTest, SeriesThatVanishGetOneStaleMarker) {
  storage_.Add({{"__name__", "x"}, {"instance", "a"}}, Ms(0), 1);
  storage_.Add({{"__name__", "x"}, {"instance", "b"}}, Ms(0), 1);
  storage_.Add({{"__name__", "x"}, {"instance", "b"}}, Ms(70), 0);
  auto group = Make("  - {record: 'r', expr: x > 0}\n");
  for (const int64_t s : {0, 60, 120, 180}) group->Evaluate(At(s));
  EXPECT_EQ(storage_.Dump({{"__name__", "r"}, {"instance", "a"}}), "1000000:1 1000060:1 1000120:1 1000180:1");
  EXPECT_EQ(storage_.Dump({{"__name__", "r"}, {"instance", "b"}}), "1000000:1 1000060:1 1000120:stale");
}

TEST_F(GroupTest, SeriesThatTheStorageDroppedAreFoundAgain) {
  auto histogram = std::make_shared<model::Histogram>();
  histogram->sum = 5;
  storage_.Add({{"__name__", "x"}, {"kind", "float"}}, Ms(0), 1);
  storage_.Add({{"__name__", "x"}, {"kind", "histogram"}}, Ms(0), histogram);
  auto group = Make("  - {record: 'r', expr: x}\n");
  group->Evaluate(At(0));
  storage_.ForgetReferences();
  group->Evaluate(At(60));
  EXPECT_EQ(group->MakeStatus()->rules[0].last_error, "");
  EXPECT_EQ(storage_.Dump({{"__name__", "r"}, {"kind", "float"}}), "1000000:1 1000060:1");
  EXPECT_EQ(storage_.Dump({{"__name__", "r"}, {"kind", "histogram"}}), "1000000:5 1000060:5");
}

TEST_F(GroupTest, AFailedEvaluationEndsNoSeries) {
  const base::CaptureLog quiet;
  storage_.Add({{"__name__", "x"}, {"a", "1"}}, Ms(0), 1);
  auto group = Make("  - {record: 'r', expr: 'label_replace(x, \"a\", \"\", \"a\", \".*\")'}\n");
  group->Evaluate(At(0));
  storage_.Add({{"__name__", "x"}, {"a", "2"}}, Ms(30), 1);  // now two series become one
  const GroupResult failed = group->Evaluate(At(60));
  EXPECT_EQ(failed.failures, 1u);
  EXPECT_EQ(storage_.Dump({{"__name__", "r"}}), "1000000:1");
  const auto status = group->MakeStatus();
  EXPECT_EQ(status->rules[0].health, RuleHealth::kErr);
  EXPECT_NE(status->rules[0].last_error, "");
}

TEST_F(GroupTest, EqualLabelSetsFailTheWholeRule) {
  const base::CaptureLog quiet;
  storage_.Add({{"__name__", "x"}, {"instance", "a"}}, Ms(0), 1);
  storage_.Add({{"__name__", "x"}, {"instance", "b"}}, Ms(0), 1);
  auto group = Make(
      "  - {record: 'r', expr: x, labels: {instance: all}}\n"
      "  - {alert: A, expr: x, labels: {instance: all}}\n"
      "  - {record: 'fine', expr: sum(x)}\n");
  EXPECT_EQ(group->Evaluate(At(0)).failures, 2u);
  EXPECT_FALSE(storage_.Has("r"));
  const auto status = group->MakeStatus();
  EXPECT_EQ(status->rules[0].last_error, "vector contains metrics with the same labelset after applying rule labels");
  EXPECT_EQ(status->rules[1].last_error, "vector contains metrics with the same labelset after applying alert labels");
  EXPECT_EQ(storage_.Dump({{"__name__", "fine"}}), "1000000:2") << "the rest of the group still runs";
}

TEST_F(GroupTest, BeyondTheLimitNothingIsWrittenAndActiveAlertsAreDropped) {
  const base::CaptureLog quiet;
  storage_.Add({{"__name__", "x"}, {"instance", "a"}}, Ms(0), 1);
  auto group = Make("  - {record: 'r', expr: x}\n  - {alert: A, expr: x, for: 1h}\n", "  limit: 1\n");
  EXPECT_EQ(group->Evaluate(At(0)).failures, 0u);
  EXPECT_EQ(States(*group), "a=pending");
  storage_.Add({{"__name__", "x"}, {"instance", "b"}}, Ms(30), 1);
  EXPECT_EQ(group->Evaluate(At(60)).failures, 2u);
  const auto status = group->MakeStatus();
  EXPECT_EQ(status->rules[0].last_error, "exceeded limit of 1 with 2 series");
  EXPECT_EQ(status->rules[1].last_error, "exceeded limit of 1 with 2 alerts");
  EXPECT_EQ(States(*group), "");
  EXPECT_EQ(storage_.Dump({{"__name__", "r"}, {"instance", "a"}}), "1000000:1");
}

TEST_F(GroupTest, AWriteThatFailsMarksTheRule) {
  const base::CaptureLog quiet;
  auto group = Make("  - {record: 'r', expr: '1'}\n");
  storage_.fail_commits = true;
  EXPECT_EQ(group->Evaluate(At(0)).failures, 1u);
  EXPECT_EQ(group->MakeStatus()->rules[0].last_error, "no space left");
  storage_.fail_commits = false;
  EXPECT_EQ(group->Evaluate(At(60)).failures, 0u);
  EXPECT_EQ(group->MakeStatus()->rules[0].health, RuleHealth::kOk);
}

TEST_F(GroupTest, AnAlertGoesFromPendingToFiringToResolved) {
  for (int64_t s = 0; s <= 240; s += 60) storage_.Add({{"__name__", "down"}, {"instance", "a"}}, Ms(s), s < 180 ? 1 : 0);
  auto group = Make("  - {alert: A, expr: down == 1, for: 2m, labels: {severity: page}, annotations: {s: '{{ $labels.instance }} {{ $value }}'}}\n");
  EXPECT_EQ(group->MakeStatus()->rules[0].state, AlertState::kUnknown);
  GroupResult r = group->Evaluate(At(0));
  EXPECT_EQ(States(*group), "a=pending");
  EXPECT_TRUE(r.alerts.empty());
  group->Evaluate(At(60));
  EXPECT_EQ(States(*group), "a=pending");
  r = group->Evaluate(At(120));
  EXPECT_EQ(States(*group), "a=firing");
  ASSERT_EQ(r.alerts.size(), 1u);
  const model::Alert& fired = *r.alerts[0];
  EXPECT_EQ(fired.labels.ToString(), "{alertname=\"A\", instance=\"a\", severity=\"page\"}");
  EXPECT_EQ(fired.annotations.Get("s"), "a 1");
  EXPECT_EQ(fired.starts_at, At(120));
  EXPECT_EQ(fired.ends_at, At(120) + minutes(4));
  EXPECT_EQ(fired.generator_url, "http://p:9090/graph?g0.expr=down+%3D%3D+1&g0.tab=1");
  r = group->Evaluate(At(180));
  EXPECT_EQ(States(*group), "");
  ASSERT_EQ(r.alerts.size(), 1u);
  EXPECT_EQ(r.alerts[0]->ends_at, At(180));
  EXPECT_EQ(group->MakeStatus()->rules[0].state, AlertState::kInactive);
  EXPECT_EQ(storage_.Dump({{"__name__", "ALERTS"}, {"alertname", "A"}, {"alertstate", "pending"}, {"instance", "a"}, {"severity", "page"}}),
            "1000000:1 1000060:1 1000120:stale");
  EXPECT_EQ(storage_.Dump({{"__name__", "ALERTS"}, {"alertname", "A"}, {"alertstate", "firing"}, {"instance", "a"}, {"severity", "page"}}),
            "1000120:1 1000180:stale");
  EXPECT_EQ(storage_.Dump({{"__name__", "ALERTS_FOR_STATE"}, {"alertname", "A"}, {"instance", "a"}, {"severity", "page"}}),
            "1000000:1000000 1000060:1000000 1000120:1000000 1000180:stale");
}

TEST_F(GroupTest, FiringAlertsAreSentAgainAndResolvedOnesForAQuarterOfAnHour) {
  for (int64_t s = 0; s <= 1800; s += 60) storage_.Add({{"__name__", "down"}, {"instance", "a"}}, Ms(s), s < 180 ? 1 : 0);
  auto group = Make("  - {alert: A, expr: down == 1}\n", "  interval: 30s\n");
  std::string sent;
  for (int64_t s = 0; s <= 1500; s += 30) {
    for (const model::AlertPtr& alert : group->Evaluate(At(s)).alerts) {
      sent += std::to_string(s) + (alert->ResolvedAt(At(s)) ? "r " : "f ");
    }
  }
  // Every resend delay and a slot, since "older than the delay" is meant strictly.
  EXPECT_EQ(sent, "0f 90f 180r 270r 360r 450r 540r 630r 720r 810r 900r 990r 1080r ");
}

TEST_F(GroupTest, AlertsThatDifferInTheLabelAlertstateAloneAreSentAlthoughTheyShareTheirSeries) {
  storage_.Add({{"__name__", "down"}, {"alertstate", "x"}}, Ms(0), 1);
  storage_.Add({{"__name__", "down"}, {"alertstate", "y"}}, Ms(0), 1);
  auto group = Make("  - {alert: A, expr: down == 1}\n");
  EXPECT_EQ(group->Evaluate(At(0)).alerts.size(), 2u);
  EXPECT_EQ(group->MakeStatus()->rules[0].last_error, "");
  EXPECT_EQ(storage_.Dump({{"__name__", "ALERTS"}, {"alertname", "A"}, {"alertstate", "firing"}}), "1000000:1");
}

TEST_F(GroupTest, AnAlertMayFireAtTheBeginningOfTime) {
  storage_.Add({{"__name__", "down"}, {"instance", "a"}}, 0, 1);
  auto group = Make("  - {alert: A, expr: down == 1}\n");
  EXPECT_EQ(group->Evaluate(base::Time{}).alerts.size(), 1u) << "unit tests of rules begin at the epoch";
}

TEST_F(GroupTest, KeepFiringForOutlivesTheExpression) {
  for (int64_t s = 0; s <= 600; s += 60) {
    storage_.Add({{"__name__", "down"}, {"instance", "a"}}, Ms(s), s < 60 || s == 240 ? 1 : 0);
  }
  auto group = Make("  - {alert: A, expr: down == 1, keep_firing_for: 3m}\n");
  std::string states;
  for (int64_t s = 0; s <= 600; s += 60) {
    group->Evaluate(At(s));
    states += States(*group).empty() ? '-' : 'f';
  }
  // Kept from 60 on, refreshed at 240, gone three minutes after the first evaluation without it.
  EXPECT_EQ(states, "ffffffff---");
}

TEST_F(GroupTest, APendingAlertThatVanishesIsForgottenAtOnce) {
  for (int64_t s = 0; s <= 300; s += 60) storage_.Add({{"__name__", "down"}, {"instance", "a"}}, Ms(s), s == 60 ? 0 : 1);
  auto group = Make("  - {alert: A, expr: down == 1, for: 2m}\n");
  group->Evaluate(At(0));
  group->Evaluate(At(60));
  EXPECT_EQ(States(*group), "");
  group->Evaluate(At(120));
  group->Evaluate(At(180));
  EXPECT_EQ(States(*group), "a=pending") << "the wait began anew at 120";
  group->Evaluate(At(240));
  EXPECT_EQ(States(*group), "a=firing");
}

TEST_F(GroupTest, AFailingTemplateBecomesItsErrorAndTheAlertStillFires) {
  const base::CaptureLog quiet;
  storage_.Add({{"__name__", "down"}, {"instance", "a"}}, Ms(0), 1);
  auto group = Make("  - {alert: A, expr: down, annotations: {s: '{{ humanize \"x\" }}', t: '{{ $labels.none }}|{{ $externalURL }}'}}\n");
  const GroupResult r = group->Evaluate(At(0));
  ASSERT_EQ(r.alerts.size(), 1u);
  EXPECT_TRUE(r.alerts[0]->annotations.Get("s").starts_with("<error expanding template: error executing template __alert_A: "));
  EXPECT_EQ(r.alerts[0]->annotations.Get("t"), "|http://p:9090");
}

TEST_F(GroupTest, ATemplatedLabelThatChangesIsAnotherAlert) {
  storage_.Add({{"__name__", "down"}, {"instance", "a"}}, Ms(0), 1);
  storage_.Add({{"__name__", "down"}, {"instance", "a"}}, Ms(60), 2);
  auto group = Make("  - {alert: A, expr: down, for: 5m, labels: {v: '{{ $value }}'}}\n");
  group->Evaluate(At(0));
  group->Evaluate(At(60));
  const auto status = group->MakeStatus();
  ASSERT_EQ(status->rules[0].alerts.size(), 1u);
  EXPECT_EQ(status->rules[0].alerts[0].active_at, At(60));
}

TEST_F(GroupTest, AReloadKeepsAlertsAndALongerForMakesThemPendingAgain) {
  for (int64_t s = 0; s <= 600; s += 60) storage_.Add({{"__name__", "down"}, {"instance", "a"}}, Ms(s), 1);
  auto first = Make("  - {alert: A, expr: down == 1, for: 1m}\n  - {record: gone, expr: '1'}\n");
  first->Evaluate(At(0));
  first->Evaluate(At(60));
  EXPECT_EQ(States(*first), "a=firing");
  auto second = Make("  - {alert: A, expr: down == 1, for: 5m}\n");
  second->TakeStateFrom(first.get());
  EXPECT_EQ(States(*second), "a=firing");
  second->Evaluate(At(120));
  EXPECT_EQ(States(*second), "a=pending");
  second->Evaluate(At(300));
  EXPECT_EQ(States(*second), "a=firing");
  first->WriteStaleMarkers(At(121));
  EXPECT_EQ(storage_.Dump({{"__name__", "gone"}}), "1000000:1 1000060:1 1000121:stale");
  EXPECT_EQ(storage_.Dump({{"__name__", "ALERTS_FOR_STATE"}, {"alertname", "A"}, {"instance", "a"}}),
            "1000000:1000000 1000060:1000000 1000120:1000000 1000300:1000000")
      << "what the new group took over is not ended";
}

TEST_F(GroupTest, ForStateIsRestoredFromWhatWasStored) {
  struct Row {
    const char* what;
    int64_t active_at;   // as stored
    int64_t down_at;     // the last sample before the restart
    const char* hold;
    int64_t expected;    // active_at after the restoration at 3600
  };
  const Row rows[] = {
      {"fired before: stays as it was", 0, 3000, "30m", 0},
      {"little remained: the grace period remains", 1300, 3000, "30m", 3600 + 600 - 1800},
      {"much remained: shifted by the time down", 2900, 3000, "30m", 2900 + 600},
      {"no longer than the grace period: not restored", 2900, 3000, "5m", 3600},
      {"older than the outage tolerance: not restored", -2000, -100, "30m", 3600},
  };
  for (const Row& row : rows) {
    storage_ = MemoryStorage();
    storage_.Add({{"__name__", "down"}, {"instance", "a"}}, Ms(3590), 1);
    storage_.Add({{"__name__", "ALERTS_FOR_STATE"}, {"alertname", "A"}, {"instance", "a"}, {"severity", "page"}},
                 Ms(row.down_at), static_cast<double>(kStart + row.active_at));
    auto file = ParseRuleFile("groups:\n- name: g\n  rules:\n  - {alert: A, expr: down, for: " + std::string(row.hold) +
                                  ", labels: {severity: page, }}\n",
                              "f.yml");
    ASSERT_TRUE(file);
    auto group = Group::Make(file->groups[0], settings_, environment_);
    ASSERT_TRUE(group);
    (*group)->Evaluate(At(3600));
    EXPECT_FALSE(storage_.Has("ALERTS")) << "not written before the restoration";
    (*group)->Restore(At(3600));
    const auto status = (*group)->MakeStatus();
    ASSERT_EQ(status->rules[0].alerts.size(), 1u) << row.what;
    EXPECT_EQ(status->rules[0].alerts[0].active_at, At(row.expected)) << row.what;
    (*group)->Evaluate(At(3660));
    EXPECT_TRUE(storage_.Has("ALERTS")) << row.what;
  }
}

TEST_F(GroupTest, SlotsAreEquallySpacedWithAPhaseOfTheirOwn) {
  auto group = Make("  - {record: 'r', expr: '1'}\n", "  interval: 1m\n");
  const base::Time slot = group->SlotAt(At(1000));
  EXPECT_LE(slot, At(1000));
  EXPECT_GT(slot, At(1000) - minutes(1));
  EXPECT_EQ(group->SlotAt(slot), slot);
  EXPECT_EQ(group->SlotAt(slot - base::Duration(1)), slot - minutes(1));
  EXPECT_EQ(group->SlotAt(slot + minutes(7)), slot + minutes(7));
}

}  // namespace
}  // namespace tocsin::ruler
