#include "tsdb/chunk/xor2.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <random>

#include "tsdb/chunk/histogram_chunk.h"

namespace tocsin::tsdb::chunk {
namespace {

using testing::ElementsAre;

struct Samples {
  std::vector<model::Timestamp> times, starts;
  std::vector<double> values;
};

// Scrapes with jitter, gaps, constants, counters, stale markers and restarts.
Samples RandomSamples(std::mt19937* random, size_t n, bool with_starts) {
  Samples s;
  model::Timestamp t = 1'700'000'000'000, start = (*random)() % 2 == 0 ? 0 : t - 5000;
  double v = 10;
  for (size_t i = 0; i < n; ++i) {
    s.times.push_back(t);
    s.values.push_back((*random)() % 20 == 0 ? model::StaleMarker() : v);
    if (with_starts) s.starts.push_back(start);
    switch ((*random)() % 6) {
      case 0: t += 15'000 + static_cast<int64_t>((*random)() % 2000); break;
      case 1: t += 1 + static_cast<int64_t>((*random)() % 1'000'000); break;
      case 2: t += static_cast<int64_t>((*random)()) * 100'000 + 1; break;
      default: t += 15'000;
    }
    if ((*random)() % 3 == 0) v += static_cast<double>((*random)() % 1000) / 8;
    if ((*random)() % 50 == 0) v = -1e300 * static_cast<double>((*random)());
    if ((*random)() % 30 == 0) start = t - static_cast<int64_t>((*random)() % 100'000);
  }
  return s;
}

std::vector<uint64_t> Bits(const std::vector<double>& values) {
  std::vector<uint64_t> out;
  for (const double& v : values) out.push_back(std::bit_cast<uint64_t>(v));
  return out;
}

TEST(Xor2Test, WhatIsEncodedIsDecoded) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    const Samples s = RandomSamples(&random, 1 + random() % 240, round % 2 == 0);
    const std::string chunk = EncodeXor2(s.times, s.values, s.starts);
    storage::SampleColumns out;
    ASSERT_TRUE(Decode(Encoding::kXor2, chunk, {}, 0, &out));
    ASSERT_EQ(out.times, s.times) << round;
    ASSERT_EQ(Bits(out.values), Bits(s.values)) << round;
    std::vector<model::Timestamp> starts = s.starts;
    starts.resize(s.times.size());  // none is 0
    out.start_times.resize(s.times.size());
    ASSERT_EQ(out.start_times, starts) << round;
  }
}

TEST(Xor2Test, TheBitsAreThoseOfTheFormat) {
  // 1000: varint d0 0f; 1.0: 3ff0 and zeros; 15000: uvarint 98 75; same value: 0; then time and value as before: 0;
  // then 1 ms late (dod 1) with the same value: 110 0000000000001 0; then a stale marker at the expected time: 11111.
  const std::vector<model::Timestamp> times = {1000, 16'000, 31'000, 46'001, 61'002};
  const std::vector<double> values = {1, 1, 1, 1, model::StaleMarker()};
  const std::string chunk = EncodeXor2(times, values, {});
  std::string bits;
  for (const unsigned char c : chunk) {
    for (int b = 7; b >= 0; --b) bits.push_back((c >> b & 1) != 0 ? '1' : '0');
  }
  const std::string expected =
      "0000000000000101" "00000000" "1101000000001111" "0011111111110000" + std::string(48, '0') +
      "1001100001110101" "0" "0" "110" "0000000000001" "0" "11111";
  EXPECT_EQ(bits.substr(0, expected.size()), expected);
  EXPECT_LT(bits.size() - expected.size(), 8u);
}

TEST(Xor2Test, AWindowAndHiddenSamplesLeaveOthersOut) {
  const std::vector<model::Timestamp> times = {10, 20, 30, 40}, starts = {1, 1, 25, 25};
  const std::vector<double> values = {1, 2, 3, 4};
  storage::SampleColumns out;
  out.times = {5};
  out.values = {0};
  ASSERT_TRUE(Decode(Encoding::kXor2, EncodeXor2(times, values, starts), {10, 40}, 1, &out));
  EXPECT_THAT(out.times, ElementsAre(5, 20, 30));
  EXPECT_THAT(out.values, ElementsAre(0, 2, 3));
  EXPECT_THAT(out.start_times, ElementsAre(0, 1, 25));
}

TEST(Xor2Test, DamageIsAnErrorOrOtherSamplesButNeverACrash) {
  std::mt19937 random(8);
  const Samples s = RandomSamples(&random, 150, true);
  const std::string chunk = EncodeXor2(s.times, s.values, s.starts);
  for (size_t cut = 0; cut < chunk.size(); ++cut) {
    storage::SampleColumns out;
    EXPECT_FALSE(Decode(Encoding::kXor2, chunk.substr(0, cut), {}, 0, &out)) << cut;
    EXPECT_TRUE(out.times.empty());
  }
  for (size_t bit = 0; bit < chunk.size() * 8; ++bit) {
    std::string damaged = chunk;
    damaged[bit / 8] ^= static_cast<char>(1 << bit % 8);
    storage::SampleColumns out;
    base::Ignore(Decode(Encoding::kXor2, damaged, {}, 0, &out));  // a checksum above says whether the bytes are right
    EXPECT_EQ(out.times.size(), out.values.size());
  }
}

TEST(HistogramStartTimesTest, WhatIsEncodedIsDecoded) {
  for (const bool integer : {true, false}) {
    std::vector<model::Timestamp> times, starts;
    std::vector<model::HistogramPtr> histograms;
    for (int i = 0; i < 140; ++i) {
      auto h = std::make_shared<model::Histogram>();
      h->integer = integer;
      h->schema = 2;
      h->zero_threshold = 0.001;
      h->count = 10.0 + 3 * i;
      h->sum = 1.5 * i;
      h->positive_spans = {{0, 2}};
      h->positive_buckets = {4.0 + i, 6.0 + 2 * i};
      histograms.push_back(std::move(h));
      times.push_back(1000 + 15'000 * i + i % 7);
      starts.push_back(i < 130 ? 500 : 15'000 * 129);
    }
    Encoding encoding;
    const std::string chunk = EncodeHistograms(times, histograms, model::CounterReset::kNotReset, &encoding, starts);
    EXPECT_EQ(encoding, integer ? Encoding::kHistogramST : Encoding::kFloatHistogramST);
    EXPECT_EQ(SampleCount(encoding, chunk), 140);
    storage::SampleColumns out;
    ASSERT_TRUE(Decode(encoding, chunk, {}, 0, &out));
    EXPECT_EQ(out.times, times);
    EXPECT_EQ(out.start_times, starts);
    ASSERT_EQ(out.histograms.size(), histograms.size());
    EXPECT_EQ(out.histograms[77]->positive_buckets, histograms[77]->positive_buckets);
    EXPECT_EQ(out.histograms[0]->counter_reset, model::CounterReset::kUnknown);
    for (size_t cut = 0; cut < chunk.size(); ++cut) {
      storage::SampleColumns none;
      EXPECT_FALSE(Decode(encoding, chunk.substr(0, cut), {}, 0, &none)) << cut;
    }
  }
}

}  // namespace
}  // namespace tocsin::tsdb::chunk
