// The conformance kit's scripts and annotation cases, where the kit is there.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "base/file_system.h"
#include "memory_storage.h"
#include "runner.h"

namespace tocsin::promqltest {
namespace {

namespace fs = std::filesystem;

fs::path Kit() {
  const char* shared = std::getenv("TOCSIN_SHARED");
  return fs::path(shared != nullptr ? shared : TOCSIN_SOURCE_DIR "/../shared") / "conformance";
}

std::string Read(const fs::path& path) {
  auto text = base::RealFileSystem()->ReadFile(path.string());
  return text ? *text : std::string();
}

std::vector<std::string> Strings(const nlohmann::json& list) {
  return list.get<std::vector<std::string>>();
}

TEST(ConformanceTest, AnnotationsAreThoseOfPrometheus) {
  if (!fs::exists(Kit())) GTEST_SKIP() << "no conformance kit at " << Kit();
  const auto cases = nlohmann::json::parse(Read(Kit() / "promql/annotation_cases.json"));
  for (const auto& c : cases) {
    SCOPED_TRACE(c["name"].get<std::string>());
    promql::EngineOptions options = ConformanceOptions().engine;
    options.type_and_unit_labels = c["type_and_unit_labels"].get<bool>();
    auto commands = ParseScript(c["load"].get<std::string>(), options.parse);
    ASSERT_TRUE(commands) << commands.error().message();
    MemoryStorage storage;
    for (const Command& command : *commands) {
      const auto& load = std::get<LoadCommand>(command);
      for (const auto& [series, starts] : load.series) {
        for (size_t i = 0; i < series.values.size(); ++i) {
          if (series.values[i].omitted) continue;
          ASSERT_TRUE(storage.Append(series.labels, static_cast<int64_t>(i) * load.step_ms,
                                     series.values[i].value, series.values[i].histogram));
        }
      }
    }
    for (const promql::EngineOptions& form : {options, InPieces(options)}) {
      promql::Engine engine(form);
      auto got = engine.Instant(&storage, c["expr"].get<std::string>(), c["at_ms"].get<int64_t>());
      ASSERT_TRUE(got) << got.error().message();
      EXPECT_EQ(got->warnings, Strings(c["warnings"]));
      EXPECT_EQ(got->infos, Strings(c["infos"]));
    }
  }
}

TEST(ConformanceTest, ScriptsAboutTheRunnerComeOutAsTheirManifestSays) {
  if (!fs::exists(Kit())) GTEST_SKIP() << "no conformance kit at " << Kit();
  const auto cases = nlohmann::json::parse(Read(Kit() / "promql-runner/manifest.json"));
  for (const auto& c : cases) {
    const std::string file = c["file"].get<std::string>();
    const ScriptResult result = RunScript(Read(Kit() / "promql-runner" / file),
                                          ConformanceOptions());
    EXPECT_EQ(result.failures.empty(), c["passes"].get<bool>())
        << file << (result.failures.empty() ? "" : ": " + result.failures[0].message);
  }
}

TEST(ConformanceTest, NamesMayGoAtOnce) {
  if (!fs::exists(Kit())) GTEST_SKIP() << "no conformance kit at " << Kit();
  RunnerOptions options = ConformanceOptions();
  options.engine.delayed_name_removal = false;
  const ScriptResult result =
      RunScript(Read(Kit() / "promql-options/delayed_name_removal_disabled.test"), options);
  for (const Failure& f : result.failures) ADD_FAILURE() << f.line << ": " << f.message;
}

class ScriptTest : public testing::TestWithParam<std::string> {};

TEST_P(ScriptTest, Passes) {
  const fs::path path = Kit() / "promql" / GetParam();
  if (!fs::exists(path)) GTEST_SKIP() << "no conformance kit at " << Kit();
  const ScriptResult result = RunScript(Read(path), ConformanceOptions());
  for (const Failure& f : result.failures) ADD_FAILURE() << f.line << ": " << f.message;
}

TEST_P(ScriptTest, PassesInPieces) {
  const fs::path path = Kit() / "promql" / GetParam();
  if (!fs::exists(path)) GTEST_SKIP() << "no conformance kit at " << Kit();
  RunnerOptions options = ConformanceOptions();
  options.engine = InPieces(options.engine);
  const ScriptResult result = RunScript(Read(path), options);
  for (const Failure& f : result.failures) ADD_FAILURE() << f.line << ": " << f.message;
}

INSTANTIATE_TEST_SUITE_P(
    Conformance, ScriptTest,
    testing::Values("aggregators.test", "at_modifier.test", "collision.test",
                    "duration_expression.test", "extended_vectors.test", "fill-modifier.test",
                    "functions.test", "histograms.test", "info.test", "limit.test", "literals.test",
                    "name_label_dropping.test", "native_histograms.test", "operators.test",
                    "range_queries.test", "selectors.test", "staleness.test",
                    "start_timestamps.test", "subquery.test",
                    "trig_functions.test", "type_and_unit.test", "engine/at_modifier_ranges.test",
                    "engine/extended_range_selectors.test", "engine/subquery_selector.test"),
    [](const auto& param_info) {
      std::string name;
      for (char c : param_info.param) {
        if (c == '.') break;
        name += c == '-' || c == '/' || c == '_' ? 'X' : c;
      }
      return name;
    });

}  // namespace
}  // namespace tocsin::promqltest
