// Verdicts on configurations of the conformance kit and of the corpus of real files.

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "config/prometheus_config.h"

namespace tocsin::config {
namespace {

using nlohmann::json;

std::string Shared() {
  const char* shared = std::getenv("TOCSIN_SHARED");
  return shared != nullptr ? shared : "../shared";
}

json Manifest(const std::string& folder) {
  std::ifstream file(folder + "/manifest.json");
  return file ? json::parse(file) : json();
}

bool Has(const json& list, const char* word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

// Empty: as expected.
std::string Disagreement(const std::string& folder, const json& row) {
  LoadOptions options;
  options.agent = Has(row["args"], "--agent");
  options.read_scrape_config_files = !Has(row["args"], "--syntax-only");
  auto config = LoadPrometheusConfig(base::RealFileSystem(), folder + "/" + row["file"].get<std::string>(), options);
  bool sound = row["exit"].get<int>() == 0;
  if (config.has_value() != sound) {
    return sound ? "refused: " + config.error().message() : "accepted, not: " + row.value("error", "");
  }
  if (sound) return {};
  json errors = row.value("errors", json::array());
  if (row.contains("error")) errors.push_back(row["error"]);
  for (const auto& error : errors) {
    std::string text = error.get<std::string>();
    // What check config writes around type errors, and the decoder's struct names, are not the loader's.
    if (text == "unmarshal errors") continue;
    if (config.error().message().find(text) == std::string::npos) {
      return "expected \"" + text + "\", found: " + config.error().message();
    }
  }
  return {};
}

void Check(const std::string& folder, const char* list) {
  json manifest = Manifest(folder);
  if (manifest.is_null()) GTEST_SKIP() << "the conformance kit is not here; set TOCSIN_SHARED";
  size_t agreed = 0;
  size_t all = 0;
  for (const auto& row : manifest[list]) {
    std::string why = Disagreement(folder, row);
    ++all;
    agreed += why.empty() ? 1 : 0;
    EXPECT_EQ(why, "") << row["file"];
  }
  std::cout << folder << " " << list << ": " << agreed << " of " << all << " agree\n";
}

TEST(ConfigConformanceTest, BadConfigurationsAreRefusedWithUpstreamsWords) {
  Check(Shared() + "/conformance/config/prometheus", "bad");
}

TEST(ConfigConformanceTest, GoodConfigurationsLoad) {
  Check(Shared() + "/conformance/config/prometheus", "good");
}

TEST(ConfigConformanceTest, ExamplesLoad) { Check(Shared() + "/conformance/config/examples", "good"); }

TEST(ConfigConformanceTest, SoundConfigurationsPrintWhatLoadsAgain) {
  std::string folder = Shared() + "/conformance/config/prometheus";
  json manifest = Manifest(folder);
  if (manifest.is_null()) GTEST_SKIP() << "the conformance kit is not here; set TOCSIN_SHARED";
  for (const auto& row : manifest["good"]) {
    auto config = LoadPrometheusConfig(base::RealFileSystem(), folder + "/" + row["file"].get<std::string>());
    // A dollar sign in an external label is expanded at each reading.
    if (!config || row["file"] == "external_labels.good.yml") continue;
    std::string yaml = config->ToYaml();
    LoadOptions options;
    options.read_scrape_config_files = false;
    auto again = ParsePrometheusConfig(base::RealFileSystem(), yaml, "printed.yml", folder, options);
    ASSERT_TRUE(again) << row["file"] << ": " << again.error().message();
    EXPECT_EQ(again->ToYaml(), yaml) << row["file"];
  }
}

TEST(ConfigConformanceTest, RealFilesGetTheReferencesVerdict) {
  std::string folder = Shared() + "/corpus";
  json manifest = Manifest(folder + "/prometheus");
  if (manifest.is_null()) GTEST_SKIP() << "the corpus is not here; set TOCSIN_SHARED";
  size_t agreed = 0;
  size_t all = 0;
  for (const auto& row : manifest) {
    // Prometheus's own cases are those of the kit, with a newer version's verdict.
    if (row["file"].get<std::string>().find("/prometheus_prometheus/") != std::string::npos) continue;
    const json& check = row["check"];
    bool sound = check.value("exit_without_those_sd_blocks", check["exit"].get<int>()) == 0;
    LoadOptions options;
    options.read_scrape_config_files = false;
    auto config =
        LoadPrometheusConfig(base::RealFileSystem(), folder + "/" + row["file"].get<std::string>(), options);
    ++all;
    // The reference is older (2.42) and does not know some keys.
    bool newer_key = config && !sound && check.dump().find("not found in type") != std::string::npos;
    if (config.has_value() == sound || newer_key) {
      ++agreed;
      continue;
    }
    std::cout << row["file"] << (sound ? " refused: " + config.error().message() : " accepted; reference: ")
              << (sound ? "" : check.dump()) << row.value("newer", json()).dump() << "\n";
  }
  std::cout << "corpus: " << agreed << " of " << all << " verdicts agree\n";
  EXPECT_GE(agreed * 100, all * 97);
}

}  // namespace
}  // namespace tocsin::config
