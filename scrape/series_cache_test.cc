#include "scrape/series_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "scrape/exposition.h"

namespace tocsin::scrape {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

// One scrape of these series; new ones get the next reference.
class SeriesCacheTest : public testing::Test {
 protected:
  void Scrape(const std::vector<std::string>& series, bool flush = true) {
    for (const std::string& s : series) {
      SeriesCache::Index i = cache_.Find(s);
      if (i == SeriesCache::kNone) {
        i = cache_.Add(s, model::MetricType::kUnknown);
        cache_[i].ref = ++last_ref_;
        refs_[s] = last_ref_;
      }
      EXPECT_EQ(cache_.Text(i), s);
      EXPECT_EQ(cache_[i].ref, refs_[s]);
      cache_.Touch(i);
      cache_.Track(i);
    }
    stale_ = cache_.Stale({});
    cache_.EndScrape(flush);
  }

  SeriesCache cache_;
  std::map<std::string, storage::SeriesRef> refs_;
  storage::SeriesRef last_ref_ = 0;
  std::vector<storage::SeriesRef> stale_;
};

TEST_F(SeriesCacheTest, TheNextSeriesIsExpectedInTheOrderOfTheLastScrape) {
  EXPECT_EQ(cache_.Expected(), "");
  Scrape({"a", "b", "c"});
  EXPECT_EQ(cache_.Expected(), "a");
  EXPECT_NE(cache_.Find("a"), SeriesCache::kNone);
  EXPECT_EQ(cache_.Expected(), "b");
  EXPECT_EQ(cache_.Find("new"), SeriesCache::kNone);
  EXPECT_EQ(cache_.Expected(), "b");  // a new line does not disturb
  EXPECT_NE(cache_.Find("c"), SeriesCache::kNone);
  EXPECT_EQ(cache_.Expected(), "");
}

TEST_F(SeriesCacheTest, StaleSeriesAreThoseOfTheLastScrapeOnly) {
  Scrape({"a", "b"});
  Scrape({"b"});
  EXPECT_THAT(stale_, ElementsAre(1));
  Scrape({"b"});
  EXPECT_THAT(stale_, ElementsAre());
  Scrape({}, false);
  EXPECT_THAT(stale_, ElementsAre(2));
  EXPECT_EQ(cache_.size(), 1u);  // a failed scrape forgets nothing
}

TEST_F(SeriesCacheTest, ReferencesOfAPredecessorAreStaleUnlessTracked) {
  Scrape({"a"});
  cache_.Touch(cache_.Find("a"));
  cache_.Track(0);
  const std::vector<storage::SeriesRef> also = {1, 77};
  EXPECT_THAT(cache_.Stale(also), ElementsAre(77));
}

TEST_F(SeriesCacheTest, WhatWasAddedCanBeTakenBack) {
  Scrape({"a"});
  cache_.Touch(cache_.Find("a"));
  const SeriesCache::Index b = cache_.Add("b", model::MetricType::kUnknown);
  cache_.Touch(b);
  cache_.Remove({b});
  EXPECT_EQ(cache_.Find("b"), SeriesCache::kNone);
  cache_.EndScrape(true);
  EXPECT_EQ(cache_.size(), 1u);
}

TEST_F(SeriesCacheTest, GrowthByFailingScrapesIsBounded) {
  Scrape({"a"});
  bool forced = false;
  for (int i = 0; i < 5000 && !forced; ++i) {
    cache_.Touch(cache_.Add("x" + std::to_string(i), model::MetricType::kUnknown));
    forced = cache_.EndScrape(false);
  }
  EXPECT_TRUE(forced);
  EXPECT_LE(cache_.size(), 1u);
}

TEST_F(SeriesCacheTest, AgreesWithAPlainMapThroughChurn) {
  std::mt19937 random(7);
  std::vector<std::string> series;
  std::set<storage::SeriesRef> before;
  for (int scrape = 0; scrape < 200; ++scrape) {
    // Some go, some come, some change places.
    std::erase_if(series, [&](const std::string&) { return random() % 10 == 0; });
    for (int k = 0; k < 30; ++k) {
      const std::string s = "series{number=\"" + std::to_string(random() % 2000) + "\",pad=\"" +
                            std::string(random() % 400, 'x') + "\"}";
      if (std::find(series.begin(), series.end(), s) == series.end()) {
        series.insert(series.begin() + static_cast<std::ptrdiff_t>(random() % (series.size() + 1)), s);
      }
    }
    if (scrape % 5 == 0) std::shuffle(series.begin(), series.end(), random);
    Scrape(series);
    std::set<storage::SeriesRef> now;
    for (const std::string& s : series) now.insert(refs_[s]);
    std::vector<storage::SeriesRef> gone;
    std::set_difference(before.begin(), before.end(), now.begin(), now.end(), std::back_inserter(gone));
    EXPECT_THAT(stale_, testing::UnorderedElementsAreArray(gone));
    EXPECT_EQ(cache_.size(), series.size());
    before = now;
  }
}

TEST(ExpectTest, GuessesNeverChangeWhatIsRead) {
  const std::vector<std::string> lines = {"a 1",          "a{x=\"1\"} 2", "a {x=\"1\"} 3", "a\t{x=\"1\"}\t4",
                                          "a{x=\"1\"}5",  "ab 6",         "{\"a\"} 7",     "a{x=\"1\",y=\"2\"} 8",
                                          "a{x=\"} 1\"} 9", "a 10 11"};
  const std::vector<std::string> guesses = {"", "a", "a{x=\"1\"}", "a {x=\"1\"}", "ab", "{\"a\"}", "a{x=\"} 1\"}", "a{"};
  for (const std::string& line : lines) {
    for (const ExpositionFormat format : {ExpositionFormat::kText, ExpositionFormat::kOpenMetrics}) {
      const std::string body = line + "\n# EOF\n";
      std::string plain;
      for (const std::string& guess : guesses) {
        // Guesses are bytes that were read in the same format.
        if (format == ExpositionFormat::kOpenMetrics && guess == "a {x=\"1\"}") continue;
        ExpositionParser parser(format, body);
        parser.Expect(guess);
        Entry entry;
        const auto more = parser.Next(&entry);
        const std::string read =
            more ? std::string(entry.series) + "|" + std::to_string(entry.value) : more.error().message();
        if (guess.empty()) plain = read;
        EXPECT_EQ(read, plain) << line << " guessing " << guess;
      }
    }
  }
}

}  // namespace
}  // namespace tocsin::scrape
