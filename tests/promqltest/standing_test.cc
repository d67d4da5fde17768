// The proof that a kept query gives what the same query gives when it is run once, and in a range: over a
// database that goes on, with series that come and go, late samples, deletions, blocks that are cut, reloads
// and time that goes back.
//
//   TOCSIN_SEED=7 TOCSIN_ROUNDS=20 build/tests/promql_standing_test

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "promql/standing/standing_query.h"
#include "random_queries.h"
#include "random_world.h"
#include "runner.h"
#include "script.h"
#include "three_forms.h"

namespace tocsin::promqltest {
namespace {

namespace fs = std::filesystem;

struct Tally {
  int64_t cases = 0;
  int64_t kept = 0;
  int64_t values = 0;
  int64_t shared = 0;
  int failures = 0;
};

void Check(ThreeForms& query, World* world, model::Timestamp at, Tally* tally) {
  const int64_t values = query.values();
  const std::string wrong = query.Compare(world->db(), at);
  ++tally->cases;
  tally->kept += query.was_kept() ? 1 : 0;
  tally->values += query.values() - values;
  tally->shared += query.shares() ? 1 : 0;
  if (wrong.empty()) return;
  ++tally->failures;
  if (tally->failures <= 10) ADD_FAILURE() << wrong;
}

// ---- Scripts ----

// Loads up to the next `clear`, and what is asked of them.
struct Segment {
  std::vector<Sample> samples;  // by time
  std::set<std::string> expressions;
  std::set<model::Timestamp> times;
};

std::vector<Segment> SegmentsOf(const std::vector<Command>& commands) {
  std::vector<Segment> segments(1);
  for (const Command& command : commands) {
    Segment& now = segments.back();
    if (std::holds_alternative<ClearCommand>(command)) {
      segments.emplace_back();
    } else if (const auto* load = std::get_if<LoadCommand>(&command)) {
      for (const auto& [series, starts] : load->series) {
        for (size_t i = 0; i < series.values.size(); ++i) {
          const promql::SequenceValue& v = series.values[i];
          if (v.omitted && !v.histogram) continue;
          now.samples.push_back({static_cast<int64_t>(i) * load->step_ms, series.labels, v.value, v.histogram});
        }
      }
    } else {
      const auto& eval = std::get<EvalCommand>(command);
      now.expressions.insert(eval.expr);
      now.times.insert(eval.is_range ? eval.end : eval.at);
    }
  }
  for (Segment& s : segments) std::ranges::stable_sort(s.samples, {}, &Sample::t);
  return segments;
}

void RunSegment(const Segment& segment, const promql::Engine& engine, Tally* tally) {
  if (segment.samples.empty() || segment.expressions.empty()) return;
  World world(std::chrono::hours(2), std::chrono::hours(1000));
  std::vector<std::unique_ptr<ThreeForms>> queries;
  for (const std::string& text : segment.expressions) {
    if (auto query = ThreeForms::Make(engine, text)) queries.push_back(std::move(*query));
  }
  // At a few times while samples come, then at those the script asks about.
  const model::Timestamp first = segment.samples.front().t;
  const model::Timestamp last = segment.samples.back().t;
  std::vector<model::Timestamp> stops;
  for (int i = 1; i <= 4; ++i) stops.push_back(first + (last - first) * i / 4);
  size_t done = 0;
  for (const model::Timestamp stop : stops) {
    size_t end = done;
    while (end < segment.samples.size() && segment.samples[end].t <= stop) ++end;
    world.Append(std::span(segment.samples).subspan(done, end - done));
    done = end;
    for (const auto& query : queries) Check(*query, &world, stop, tally);
  }
  size_t asked = 0;
  for (const model::Timestamp at : segment.times) {
    if (++asked > 6) break;
    for (const auto& query : queries) Check(*query, &world, at, tally);
  }
  // Backwards.
  for (const auto& query : queries) Check(*query, &world, first + (last - first) / 3, tally);
}

void RunScripts(const fs::path& folder, int* scripts, Tally* tally) {
  promql::EngineOptions options = ConformanceOptions().engine;
  options.max_samples = 50'000'000;
  const promql::Engine engine(InPieces(options));
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".test") continue;
    const auto text = base::RealFileSystem()->ReadFile(entry.path().string());
    ASSERT_TRUE(text);
    auto commands = ParseScript(*text, options.parse);
    if (!commands) continue;  // of a script about errors
    SCOPED_TRACE(entry.path().filename().string());
    for (const Segment& segment : SegmentsOf(*commands)) RunSegment(segment, engine, tally);
    ++*scripts;
  }
}

void Report(const Tally& tally) {
  testing::Test::RecordProperty("cases", static_cast<int>(tally.cases));
  std::printf("  %lld cases, %lld of them over kept selections, %lld with equal subtrees, %lld with a value, %d disagree\n",
              static_cast<long long>(tally.cases), static_cast<long long>(tally.kept),
              static_cast<long long>(tally.shared), static_cast<long long>(tally.values), tally.failures);
}

TEST(StandingTest, EveryScriptGivesTheSameInAllForms) {
  int scripts = 0;
  Tally tally;
  RunScripts(fs::path(TOCSIN_SOURCE_DIR) / "tests/promql", &scripts, &tally);
  const char* shared = std::getenv("TOCSIN_SHARED");
  const fs::path kit = fs::path(shared != nullptr ? shared : TOCSIN_SOURCE_DIR "/../shared") / "conformance/promql";
  if (fs::exists(kit)) RunScripts(kit, &scripts, &tally);
  std::printf("  %d scripts\n", scripts);
  Report(tally);
  EXPECT_GT(tally.kept, tally.cases / 2);
  EXPECT_EQ(tally.failures, 0);
}

// ---- Random ----

void RunRandom(uint64_t seed, Tally* tally) {
  SCOPED_TRACE("TOCSIN_SEED=" + std::to_string(seed) + " TOCSIN_ROUNDS=1");
  promql::EngineOptions options;
  options.parse.experimental_functions = true;
  options.delayed_name_removal = seed % 2 == 0;
  const promql::Engine engine(seed % 3 == 0 ? options : InPieces(options));
  RandomQueries texts(seed);
  std::vector<std::unique_ptr<ThreeForms>> queries;
  while (queries.size() < 50) {
    if (auto query = ThreeForms::Make(engine, texts.Vector(3))) queries.push_back(std::move(*query));
  }
  // Blocks are short, so that some are cut while it runs.
  World world(std::chrono::minutes(30), std::chrono::minutes(15));
  Targets targets(seed);
  model::Timestamp now = 1'700'000'000'000;
  for (int step = 0; step < 60; ++step) {
    const size_t scrapes = 1 + targets.Below(step % 10 == 0 ? 40 : 6);
    for (size_t i = 0; i < scrapes; ++i) {
      now += 15'000;
      world.Append(targets.Scrape(now));
    }
    if (targets.Below(4) == 0) world.Append(targets.Late(now));
    if (targets.Below(12) == 0) {
      const model::Matchers one = {model::Matcher::Equal("instance", "i" + std::to_string(targets.Below(6)))};
      const model::Matchers sets[] = {one};
      ASSERT_TRUE(world.db()->DeleteSeries(now - 600'000, now - static_cast<model::Timestamp>(targets.Below(300'000)), sets));
    }
    if (targets.Below(10) == 0) {
      const base::Status compacted = world.db()->Compact();
      ASSERT_TRUE(compacted) << compacted.error().message();
    }
    const bool back = targets.Below(8) == 0;
    const model::Timestamp at = back ? now - static_cast<model::Timestamp>(targets.Below(900'000)) : now + 100;
    for (const auto& query : queries) {
      if (targets.Below(50) == 0) query->Reload();
      Check(*query, &world, at, tally);
    }
  }
}

TEST(StandingTest, AfterAnErrorNothingIsLeftOfTheResultBefore) {
  World world(std::chrono::hours(2), base::Duration(0));
  const auto sample = [](model::Timestamp t, const char* name, const char* i) {
    return Sample{t, model::Labels::FromPairs({{"__name__", name}, {"i", i}}), 1, nullptr};
  };
  promql::Engine engine({});
  auto query = engine.Prepare("x + on () y");
  ASSERT_TRUE(query) << query.error().message();
  promql::KeptQuery kept = query->Keep();
  world.Append(std::vector{sample(1000, "x", "0"), sample(1000, "y", "0")});
  ASSERT_TRUE(kept.Run(world.db(), 1000));
  ASSERT_EQ(kept.result().samples().size(), 1u);
  const uint64_t version = kept.result().version();
  world.Append(std::vector{sample(2000, "y", "1")});
  ASSERT_FALSE(kept.Run(world.db(), 2000));
  EXPECT_TRUE(kept.result().samples().empty());
  EXPECT_TRUE(kept.result().rows().empty());
  EXPECT_NE(kept.result().version(), version);
  ASSERT_TRUE(kept.Run(world.db(), 1000));
  EXPECT_EQ(kept.result().samples().size(), 1u);
}

TEST(StandingTest, RandomQueriesGiveTheSameInAllForms) {
  const uint64_t seed = NumberFromEnvironment("TOCSIN_SEED", 1);
  const uint64_t rounds = NumberFromEnvironment("TOCSIN_ROUNDS", 2);
  Tally tally;
  for (uint64_t i = 0; i < rounds; ++i) RunRandom(seed + i, &tally);
  Report(tally);
  EXPECT_GT(tally.kept, tally.cases / 2);
  EXPECT_GT(tally.values, tally.cases / 2);
  EXPECT_GT(tally.shared, tally.cases / 50);
  EXPECT_EQ(tally.failures, 0);
}

}  // namespace
}  // namespace tocsin::promqltest
