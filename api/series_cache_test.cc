#include "api/series_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <numeric>
#include <thread>
#include <vector>

namespace tocsin::api {
namespace {

base::Hash128 Key(uint64_t n) { return {n * 0x9e3779b97f4a7c15, n}; }

// Looks series up as a request does; returns how many were expected.
size_t Request(SeriesCache* cache, const std::vector<uint64_t>& series) {
  SeriesCache::Cursor cursor(cache);
  size_t expected = 0;
  for (const uint64_t s : series) {
    if (cursor.expected_bytes() > 0 && cursor.expected_key() == Key(s)) {
      ++expected;
      EXPECT_EQ(cursor.TakeExpected(), s);
    } else if (const storage::SeriesRef ref = cursor.Find(Key(s)); ref != 0) {
      EXPECT_EQ(ref, s);
    } else {
      cursor.Put(Key(s), 10 + s, s);
    }
  }
  return expected;
}

TEST(SeriesCacheTest, ARequestInTheOrderOfTheLastOneIsExpected) {
  SeriesCache cache;
  EXPECT_EQ(Request(&cache, {1, 2, 3, 4}), 0u);
  EXPECT_EQ(Request(&cache, {1, 2, 3, 4}), 3u);  // but for its first
  EXPECT_EQ(Request(&cache, {2, 3, 4}), 2u);
  EXPECT_EQ(Request(&cache, {1, 2, 4}), 1u);     // without 3
  EXPECT_EQ(Request(&cache, {1, 2, 4}), 2u);     // which is learnt
  EXPECT_EQ(Request(&cache, {5, 1, 2, 4}), 2u);
  EXPECT_EQ(Request(&cache, {5, 1, 2, 4}), 3u);
}

TEST(SeriesCacheTest, LabelsTooLongToTellAreLookedUp) {
  SeriesCache cache;
  SeriesCache::Cursor first(&cache);
  first.Put(Key(1), 20, 1);
  first.Put(Key(2), 70'000, 2);
  SeriesCache::Cursor second(&cache);
  EXPECT_EQ(second.Find(Key(1)), 1u);
  EXPECT_EQ(second.expected_bytes(), 0u);
  EXPECT_EQ(second.Find(Key(2)), 2u);
}

TEST(SeriesCacheTest, WhatIsExpectedNeedsNoLookUp) {
  SeriesCache cache;
  Request(&cache, {1, 2, 3});
  SeriesCache::Cursor cursor(&cache);
  EXPECT_EQ(cursor.Find(Key(1)), 1u);
  EXPECT_EQ(cursor.Find(Key(2)), 2u);
  EXPECT_EQ(cursor.expected_key(), Key(3));
}

TEST(SeriesCacheTest, ASeriesResolvedAnewHasItsNewReference) {
  SeriesCache cache;
  Request(&cache, {1, 2});
  SeriesCache::Cursor(&cache).Put(Key(2), 12, 77);
  SeriesCache::Cursor cursor(&cache);
  EXPECT_EQ(cursor.Find(Key(1)), 1u);
  EXPECT_EQ(cursor.TakeExpected(), 77u);
}

TEST(SeriesCacheTest, WhatNobodyAsksForIsForgotten) {
  SeriesCache cache;
  std::vector<uint64_t> all(10'000);
  for (size_t i = 0; i < all.size(); ++i) all[i] = i + 1;
  Request(&cache, all);
  cache.Sweep();
  EXPECT_EQ(cache.size(), all.size());
  const std::vector<uint64_t> some = {3, 4, 9'000, 9'001};
  Request(&cache, some);
  cache.Sweep();
  EXPECT_EQ(cache.size(), some.size());
  EXPECT_EQ(Request(&cache, some), 3u);  // the order too is kept
  EXPECT_EQ(SeriesCache::Cursor(&cache).Find(Key(5)), 0u);
}

TEST(SeriesCacheTest, WhatDoesNotFitIsNotRemembered) {
  SeriesCache cache(3);
  Request(&cache, {1, 2, 3, 4, 5});
  EXPECT_EQ(cache.size(), 3u);
  EXPECT_EQ(Request(&cache, {1, 2, 3, 4, 5}), 2u);
  cache.Sweep();
  Request(&cache, {4, 5});
  EXPECT_EQ(cache.size(), 3u);
  cache.Sweep();
  Request(&cache, {4, 5});
  EXPECT_EQ(Request(&cache, {4, 5}), 1u);
}

// Has the even references.
class EvenStorage : public storage::Appendable {
 public:
  std::unique_ptr<storage::Appender> NewAppender() override { return nullptr; }
  void ForgetGone(std::span<storage::SeriesRef> refs) const override {
    for (storage::SeriesRef& ref : refs) ref = ref % 2 == 0 ? ref : 0;
  }
};

TEST(SeriesCacheTest, SeriesThatAreGoneAreForgottenAtOnceAndOthersAreNot) {
  SeriesCache cache;
  std::vector<uint64_t> all(10'000), even;
  std::iota(all.begin(), all.end(), 1);
  std::copy_if(all.begin(), all.end(), std::back_inserter(even), [](uint64_t n) { return n % 2 == 0; });
  Request(&cache, all);
  cache.Sweep();
  Request(&cache, {2, 4});
  cache.ForgetGone(EvenStorage());
  EXPECT_EQ(cache.size(), 0u + even.size());
  EXPECT_EQ(SeriesCache::Cursor(&cache).Find(Key(5)), 0u);
  EXPECT_NE(SeriesCache::Cursor(&cache).Find(Key(6)), 0u);
  cache.Sweep();
  EXPECT_EQ(cache.size(), 3u) << "what was used since the last sweep is kept";
}

TEST(SeriesCacheThreadsTest, RequestsAndSweepsGoOnAtTheSameTime) {
  SeriesCache cache;
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&cache, t] {
      for (uint64_t round = 0; round < 50; ++round) {
        std::vector<uint64_t> series;
        for (uint64_t i = 1; i < 500; ++i) series.push_back(i * (1 + (round + t) % 3));
        Request(&cache, series);
        if (t == 0 && round % 10 == 0) cache.Sweep();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace tocsin::api
