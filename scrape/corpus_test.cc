// Scrapes the bodies of real exporters, and of other programs' test suites, and compares with what
// Prometheus 2.42 made of them.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>

#include "base/file_system.h"
#include "base/log.h"
#include "base/simulated_executor.h"
#include "scrape/intake.h"
#include "scrape/sources.h"
#include "scrape/test_storage.h"

namespace tocsin::scrape {
namespace {

using nlohmann::json;

std::string SharedPath(const std::string& name) {
  const char* shared = std::getenv("TOCSIN_SHARED");
  return base::JoinPath(shared != nullptr ? shared : "../shared", name);
}

struct Outcome {
  ScrapeReport report;
  TestStorage storage;
};

class CorpusTest : public testing::Test {
 protected:
  std::unique_ptr<Outcome> Scrape(std::string body, std::string type) {
    auto outcome = std::make_unique<Outcome>();
    auto config = std::make_shared<ScrapeConfig>();
    config->job_name = "corpus";
    config->honor_timestamps = false;
    auto target = std::make_shared<Target>();
    target->labels = model::Labels::FromPairs({{"instance", "i"}, {"job", "corpus"}});
    target->native_histograms = true;
    target->always_classic_histograms = false;
    Intake intake({.config = config,
                   .target = target,
                   .executor = &sim_,
                   .storage = &outcome->storage,
                   .metrics = &metrics_});
    outcome->report = intake.Run({.t = 1000, .now = base::FromUnixMillis(1000), .body = std::move(body),
                                  .content_type = std::move(type)});
    return outcome;
  }

  base::SimulatedExecutor sim_{base::FromUnixMillis(0)};
  base::Registry registry_;
  Metrics metrics_{&registry_};
};

// What Prometheus 3.14 takes and 2.42 refused: exemplars on any series, a comma after the last label,
// an empty body.
bool IsAcceptedSince3(const std::string& file, size_t bytes) {
  return file.find("bad_exemplars_on_unallowed_") != std::string::npos ||
         file.find("bad_missing_or_extra_commas_2") != std::string::npos || bytes == 0;
}

TEST_F(CorpusTest, BodiesAreReadAsPrometheusReadsThem) {
  const auto manifest = base::RealFileSystem()->ReadFile(SharedPath("corpus/exposition/manifest.json"));
  if (!manifest) GTEST_SKIP() << "no shared corpus";
  const base::CaptureLog quiet;
  size_t compared = 0;
  for (const json& row : json::parse(*manifest)) {
    if (!row.contains("reference_scrape")) continue;
    const std::string file = row["file"];
    auto body = base::RealFileSystem()->ReadFile(SharedPath("corpus/" + file));
    ASSERT_TRUE(body) << body.error().message();
    const std::string bytes = *body;
    const auto outcome = Scrape(std::move(*body), row["content_type"]);
    const json& reference = row["reference_scrape"];
    const bool up = reference["up"] == 1 || IsAcceptedSince3(file, bytes.size());
    EXPECT_EQ(outcome->report.status.has_value(), up)
        << file << ": "
        << (outcome->report.status ? reference.value("error", "") : outcome->report.status.error().message())
        << "\n" << bytes.substr(0, 300);
    if (reference["up"] == 1 && outcome->report.status) {
      EXPECT_EQ(outcome->report.scraped, reference["samples"]) << file;
      // 0: the reference was asked after a second scrape.
      if (reference["series_added"] != 0) {
        EXPECT_EQ(outcome->report.series_added, reference["series_added"]) << file;
      }
    }
    ++compared;
  }
  RecordProperty("compared", static_cast<int>(compared));
  EXPECT_GT(compared, 100u);
}

TEST_F(CorpusTest, ProtobufAndTextGiveTheSameSeries) {
  const auto manifest = base::RealFileSystem()->ReadFile(SharedPath("corpus/exposition/manifest.json"));
  if (!manifest) GTEST_SKIP() << "no shared corpus";
  const base::CaptureLog quiet;
  size_t compared = 0;
  for (const json& row : json::parse(*manifest)) {
    if (!row.contains("text_twin") || !row.contains("reference_scrape")) continue;
    if (row["file"].get<std::string>().find("federate") != std::string::npos) continue;  // other series were asked for
    auto binary = base::RealFileSystem()->ReadFile(SharedPath("corpus/" + row["file"].get<std::string>()));
    auto text = base::RealFileSystem()->ReadFile(SharedPath("corpus/" + row["text_twin"].get<std::string>()));
    ASSERT_TRUE(binary && text);
    const auto a = Scrape(std::move(*binary), row["content_type"]);
    const auto b = Scrape(std::move(*text), "text/plain");
    ASSERT_TRUE(a->report.status && b->report.status) << row["file"];
    bool native = false;
    for (const auto& s : a->storage.series) native |= !s.histograms.empty();
    if (native) continue;
    const auto names = [](const Outcome& outcome) {
      const std::vector<std::string> all = outcome.storage.Names();
      return std::set(all.begin(), all.end());
    };
    EXPECT_EQ(names(*a), names(*b)) << row["file"];
    ++compared;
  }
  EXPECT_GT(compared, 5u);
}

TEST_F(CorpusTest, ProtobufCutOrFlippedAnywhereNeverCrashes) {
  const auto whole = base::RealFileSystem()->ReadFile(SharedPath("corpus/exposition/live/alertmanager.pb"));
  if (!whole) GTEST_SKIP() << "no shared corpus";
  const auto read_all = [](std::string_view body) {
    const auto source = MakeSource(BodyFormat::kProtobuf, body, {.native_histograms = true, .convert_to_nhcb = true});
    Entry entry;
    while (true) {
      const auto more = source->Next(&entry);
      if (!more || !*more) return;
    }
  };
  for (size_t n = 0; n < whole->size(); n += 5) {
    read_all(std::string_view(*whole).substr(0, n));
    std::string flipped = *whole;
    flipped[n] = static_cast<char>(flipped[n] ^ 0xff);
    read_all(flipped);
  }
}

}  // namespace
}  // namespace tocsin::scrape
