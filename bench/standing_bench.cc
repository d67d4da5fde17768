// What a rule's evaluation costs once it is kept: see "What a rule costs" in ARCHITECTURE.md.
//   build/bench/standing_bench
// The name says what the rule reads; `rule_ns` is of one evaluation, with the write of its results.  All rules of
// a group have one expression: what each costs by itself is measured with sharing off, but for BM_Shared*.
//
// Bounds: an instant read of a series from the last-sample column 1 to 5 ns, a kept window of 20 samples 15 ns to
// copy and 5 to rate, a recorded sample 10 ns to append and 10 to log.

#include <benchmark/benchmark.h>

#include <ctime>
#include <memory>

#include "base/check.h"
#include "base/simulated_executor.h"
#include "base/simulated_file_system.h"
#include "ruler/group.h"
#include "tsdb/db.h"

namespace tocsin::ruler {
namespace {

constexpr int64_t kStart = 1'700'000'000;  // s
constexpr int64_t kScrape = 15;
constexpr int64_t kInterval = 2;

// A database with `series` counters and a group over them.
class World {
 public:
  World(const std::string& rules, int64_t series, bool share) : engine_(Options(share)) {
    tsdb::DbOptions options;
    options.path = "data";
    options.fs = &fs_;
    options.wal = false;
    options.lock_file = false;
    auto db = tsdb::Db::Open(std::move(options));
    TOCSIN_CHECK(db.has_value());
    db_ = std::move(*db);
    const auto app = db_->NewAppender();
    for (int64_t i = 0; i < series; ++i) {
      const auto ref = app->Resolve(model::Labels::FromPairs({{"__name__", "requests_total"},
                                                              {"cluster", "prod-eu-1"},
                                                              {"code", std::to_string(200 + i % 4)},
                                                              {"namespace", "team-1"},
                                                              {"pod", "api-" + std::to_string(i / 4)}}));
      TOCSIN_CHECK(ref.has_value());
      batch_.push_back({*ref, 0, 0});
    }
    outcomes_.resize(batch_.size());
    for (; now_ < kStart + 600; now_ += kInterval) Scrape();

    environment_ = {.clock = &clock_, .engine = &engine_, .storage = db_.get(), .recorded = db_.get()};
    auto file = ParseRuleFile("groups:\n- name: g\n  interval: 2s\n  rules:\n" + rules, "rules.yml");
    TOCSIN_CHECK(file.has_value()) << file.error().message();
    auto group = Group::Make(file->groups.at(0), {}, environment_);
    TOCSIN_CHECK(group.has_value());
    group_ = std::move(*group);
    group_->SkipRestore();
  }

  // What is new until the next slot.
  void Scrape() {
    if (now_ % kScrape >= kInterval) return;
    for (storage::FloatSample& s : batch_) {
      s.t = now_ * 1000;
      s.v += static_cast<double>(s.ref % 7);
    }
    const auto app = db_->NewAppender();
    app->Append(batch_, outcomes_);
    TOCSIN_CHECK(app->Commit().has_value());
  }
  void Evaluate() {
    const GroupResult result = group_->Evaluate(base::Time(std::chrono::seconds(now_)));
    TOCSIN_CHECK(result.failures == 0);
  }
  void Advance() { now_ += kInterval; }

 private:
  base::SimulatedFileSystem fs_;
  std::unique_ptr<tsdb::Db> db_;
  base::SimulatedExecutor clock_{base::Time{}};
  static promql::EngineOptions Options(bool share) {
    promql::EngineOptions options;
    options.share_equal_subtrees = share;
    return options;
  }
  promql::Engine engine_;
  GroupEnvironment environment_;
  std::unique_ptr<Group> group_;
  std::vector<storage::FloatSample> batch_;
  std::vector<storage::AppendOutcome> outcomes_;
  int64_t now_ = kStart;
};

constexpr int kRules = 20;

// Of this thread's CPU: others on the machine do not count.
double ThreadSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

void Run(benchmark::State& state, const std::string& rule, bool share = false) {
  std::string rules;
  for (int i = 0; i < kRules; ++i) {
    std::string text = rule;
    const size_t at = text.find('#');
    text.replace(at, 1, std::to_string(i));
    rules += text + "\n";
  }
  World world(rules, state.range(0), share);
  world.Evaluate();
  double seconds = 0;
  for (auto _ : state) {
    world.Advance();
    world.Scrape();
    const double begin = ThreadSeconds();
    world.Evaluate();
    const double took = ThreadSeconds() - begin;
    state.SetIterationTime(took);
    seconds += took;
  }
  state.counters["rule_ns"] = benchmark::Counter(seconds * 1e9 / kRules, benchmark::Counter::kAvgIterations);
}

void BM_Nothing(benchmark::State& s) { Run(s, "  - {alert: A#, expr: vector(0) > 1}"); }
void BM_InstantSum(benchmark::State& s) { Run(s, "  - {record: 'r#', expr: sum(requests_total)}"); }
void BM_SilentAlert(benchmark::State& s) { Run(s, "  - {alert: A#, expr: requests_total < 0}"); }
void BM_RateSum(benchmark::State& s) { Run(s, "  - {record: 'r#', expr: 'sum by (code) (rate(requests_total[5m]))'}"); }
void BM_SharedInstantSum(benchmark::State& s) { Run(s, "  - {record: 'r#', expr: sum(requests_total)}", true); }
void BM_SharedRateSum(benchmark::State& s) { Run(s, "  - {record: 'r#', expr: 'sum by (code) (rate(requests_total[5m]))'}", true); }
void BM_Ratio(benchmark::State& s) {
  Run(s, "  - {record: 'r#', expr: 'requests_total / on (namespace) group_left () count by (namespace) (requests_total)'}");
}
void BM_Recorded(benchmark::State& s) { Run(s, "  - {record: 'r#', expr: 'requests_total * 2'}"); }
void BM_FiringAlert(benchmark::State& s) {
  Run(s, "  - {alert: A#, expr: 'requests_total >= bool 0', annotations: {n: '{{ $labels.pod }} {{ $value }}'}}");
}

BENCHMARK(BM_Nothing)->Arg(1)->UseManualTime();
BENCHMARK(BM_InstantSum)->Arg(37)->Arg(370)->Arg(3700)->UseManualTime();
BENCHMARK(BM_SilentAlert)->Arg(37)->Arg(370)->UseManualTime();
BENCHMARK(BM_RateSum)->Arg(37)->Arg(370)->Arg(3700)->UseManualTime();
BENCHMARK(BM_SharedInstantSum)->Arg(37)->Arg(370)->Arg(3700)->UseManualTime();
BENCHMARK(BM_SharedRateSum)->Arg(37)->Arg(370)->Arg(3700)->UseManualTime();
BENCHMARK(BM_Ratio)->Arg(37)->Arg(370)->UseManualTime();
BENCHMARK(BM_Recorded)->Arg(37)->Arg(370)->UseManualTime();
BENCHMARK(BM_FiringAlert)->Arg(37)->UseManualTime();

}  // namespace
}  // namespace tocsin::ruler
