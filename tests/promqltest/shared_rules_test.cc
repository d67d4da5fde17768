// The proof that rules give the same, to the bit, whether what they have in common is computed once or by each:
// groups of random rules with equal subtrees, some of which write what later ones read, over two databases that
// get the same series that come and go, late samples, deletions, blocks, reloads and time that goes back.
//
//   TOCSIN_SEED=7 TOCSIN_ROUNDS=20 build/tests/promql_standing_test --gtest_filter='SharedRules*'

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/check.h"
#include "base/log.h"
#include "base/simulated_executor.h"
#include "random_queries.h"
#include "random_world.h"
#include "ruler/group.h"

namespace tocsin::promqltest {
namespace {

// What the queries of an evaluation read, and how they ended.  Errors name the first series they met: what
// stands before is compared.
class Reading : public ruler::QueryObserver {
 public:
  bool WantsQueries() const override { return true; }
  void OnQuery(const ruler::RuleQuery& q) override {
    text += q.error.empty() ? fmt::format("{} read {}\n", q.text, q.samples_read)
                            : fmt::format("{} failed: {}\n", q.text, q.error.substr(0, q.error.find('{')));
  }
  void OnSamplesRead(int64_t) override {}
  std::string text;
};

// A database with a group whose rules share, or do not.
class Side {
 public:
  explicit Side(const promql::EngineOptions& options)
      : world_(std::chrono::minutes(30), std::chrono::minutes(15)), engine_(options) {
    environment_ = {.clock = &clock_, .engine = &engine_, .storage = world_.db(), .recorded = world_.db(), .queries = &reading_};
  }
  World& world() { return world_; }
  const promql::Engine& engine() const { return engine_; }
  ruler::Group& group() { return *group_; }

  void Load(const std::string& rules) {
    const ruler::RuleFileOptions options{.parse = engine_.options().parse};
    auto file = ParseRuleFile("groups: [{name: g, interval: 15s, rules: [" + rules + "]}]", "rules.yml", options);
    TOCSIN_CHECK(file.has_value()) << file.error().message();
    auto made = ruler::Group::Make(file->groups.at(0), {}, environment_);
    TOCSIN_CHECK(made.has_value()) << made.error().message();
    if (group_ != nullptr) (*made)->TakeStateFrom(group_.get());
    group_ = std::move(*made);
    group_->SkipRestore();
  }

  // What an evaluation gave, and what is in the database then.
  std::string Evaluate(model::Timestamp at) {
    reading_.text.clear();
    const ruler::GroupResult result = group_->Evaluate(base::FromUnixMillis(at));
    std::string text = reading_.text;
    for (const ruler::RuleStatus& rule : result.status->rules) {
      text += fmt::format("{}: {} samples, {} alerts, {}\n", rule.spec->name(), rule.samples, rule.alerts.size(),
                          ruler::RuleHealthName(rule.health));
      for (const std::string& warning : rule.warnings) text += "  " + warning + "\n";
    }
    const auto written = engine_.Instant(world_.db(), "{__name__=~\"rule:.*|ALERTS.*\"}", at);
    TOCSIN_CHECK(written.has_value()) << written.error().message();
    for (const promql::VectorSample& s : std::get<promql::Vector>(written->value)) {
      text += fmt::format("{} {:a} {}\n", s.labels.ToString(), s.v, s.h ? s.h->ToString() : "");
    }
    return text;
  }

 private:
  World world_;
  base::SimulatedExecutor clock_{base::Time{}};
  promql::Engine engine_;
  Reading reading_;
  ruler::GroupEnvironment environment_;
  std::unique_ptr<ruler::Group> group_;
};

constexpr size_t kRules = 24;

std::string RandomRules(const promql::Engine& engine, RandomQueries* texts, Targets* random) {
  // Read by several, before and after they are written.
  const auto written = [&] {
    const size_t rule = random->Below(kRules / 3);
    const char* const forms[] = {"sum by (job) (rule:{})", "count(rule:{})", "avg_over_time(rule:{}[5m])",
                                 "abs(rule:{}{{job=\"api\"}})", "max by (alertname) (ALERTS{{alertname=\"A{}\"}})"};
    return fmt::format(fmt::runtime(forms[random->Below(std::size(forms))]), rule);
  };
  std::string rules;
  const auto any_expr = [&] {
    if (random->Below(6) == 0) return written() + " * on (job) group_left () " + written();
    const std::string expr = texts->Vector(3);
    return random->Below(3) == 0 ? "(" + expr + ") or " + written() : expr;
  };
  for (size_t i = 0; i < kRules; ++i) {
    std::string expr = any_expr();
    while (!engine.Prepare(expr)) expr = any_expr();  // not all random texts are expressions
    const char* kind = random->Below(4) == 0 ? "alert: A" : "record: 'rule:";
    const std::string labels = random->Below(4) == 0 ? ", labels: {job: 'x'}" : "";
    rules += fmt::format("{}{{{}{}, expr: '{}'{}}}", i == 0 ? "" : ", ", kind,
                         kind[0] == 'a' ? std::to_string(i % 8) : std::to_string(i % (kRules / 3)) + "'", expr, labels);
  }
  return rules;
}

struct Tally {
  int64_t evaluations = 0;
  int64_t parts = 0;
  int failures = 0;
};

void Compare(Side* shared, Side* alone, model::Timestamp at, Tally* tally) {
  const std::string a = shared->Evaluate(at);
  const std::string b = alone->Evaluate(at);
  ++tally->evaluations;
  if (a == b || ++tally->failures > 3) return;
  const auto [x, y] = std::ranges::mismatch(a, b);
  const auto around = [](const std::string& text, size_t place) {
    const size_t begin = text.rfind('\n', place);
    return text.substr(begin == std::string::npos ? 0 : begin, 600);
  };
  ADD_FAILURE() << "at " << at << " with what is shared: " << around(a, static_cast<size_t>(x - a.begin()))
                << "\nwithout: " << around(b, static_cast<size_t>(y - b.begin()));
}

void RunRules(uint64_t seed, Tally* tally) {
  SCOPED_TRACE("TOCSIN_SEED=" + std::to_string(seed) + " TOCSIN_ROUNDS=1");
  promql::EngineOptions options;
  options.parse.experimental_functions = true;
  options.delayed_name_removal = seed % 2 == 0;
  Side shared(options);
  options.share_equal_subtrees = false;
  Side alone(options);
  RandomQueries texts(seed);
  Targets targets(seed);
  std::string rules = RandomRules(shared.engine(), &texts, &targets);
  model::Timestamp now = 1'700'000'000'000;
  for (int step = 0; step < 50; ++step) {
    if (step % 20 == 0 || targets.Below(15) == 0) {
      if (targets.Below(2) == 0) rules = RandomRules(shared.engine(), &texts, &targets);
      shared.Load(rules);
      alone.Load(rules);
      tally->parts += static_cast<int64_t>(shared.group().shared_parts());
      ASSERT_EQ(alone.group().shared_parts(), 0u);
    }
    std::vector<std::vector<Sample>> batches;
    const size_t scrapes = 1 + targets.Below(step % 10 == 0 ? 40 : 6);
    for (size_t i = 0; i < scrapes; ++i) batches.push_back(targets.Scrape(now += 15'000));
    if (targets.Below(4) == 0) batches.push_back(targets.Late(now));
    const bool deletes = targets.Below(12) == 0;
    const model::Matchers one = {model::Matcher::Equal("instance", "i" + std::to_string(targets.Below(6)))};
    const model::Timestamp deleted_upto = now - static_cast<model::Timestamp>(targets.Below(300'000));
    const bool compacts = targets.Below(10) == 0;
    for (Side* side : {&shared, &alone}) {
      for (const std::vector<Sample>& batch : batches) side->world().Append(batch);
      const model::Matchers sets[] = {one};
      if (deletes) {
        ASSERT_TRUE(side->world().db()->DeleteSeries(now - 600'000, deleted_upto, sets));
      }
      if (compacts) {
        ASSERT_TRUE(side->world().db()->Compact());
      }
    }
    const bool back = targets.Below(8) == 0;
    const model::Timestamp at = back ? now - static_cast<model::Timestamp>(targets.Below(900'000)) : now + 100;
    Compare(&shared, &alone, at, tally);
  }
}

TEST(SharedRulesTest, RandomRulesGiveTheSameAsWithoutSharing) {
  base::ConfigureLog({.level = base::LogLevel::kError});  // rules that fail warn
  const uint64_t seed = NumberFromEnvironment("TOCSIN_SEED", 1);
  const uint64_t rounds = NumberFromEnvironment("TOCSIN_ROUNDS", 3);
  Tally tally;
  for (uint64_t i = 0; i < rounds; ++i) RunRules(seed + i, &tally);
  std::printf("  %lld evaluations of %zu rules, %lld subtrees shared by rules, %d disagree\n",
              static_cast<long long>(tally.evaluations), kRules, static_cast<long long>(tally.parts), tally.failures);
  EXPECT_GT(tally.parts, static_cast<int64_t>(rounds));
  EXPECT_EQ(tally.failures, 0);
}

}  // namespace
}  // namespace tocsin::promqltest
