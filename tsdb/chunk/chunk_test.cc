#include "tsdb/chunk/chunk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "tsdb/chunk/histogram_chunk.h"
#include "tsdb/chunk/xor.h"

namespace tocsin::tsdb::chunk {
namespace {

using model::Sample;

std::string Encode(const std::vector<Sample>& samples) {
  std::string bytes(samples.size() * kMaxXorSampleBytes + kXorHeaderBytes + kWriteSlack, '\x5a');
  XorState state;
  Sample last;
  for (const Sample& s : samples) {
    AppendXor(&state, reinterpret_cast<uint8_t*>(bytes.data()), last.t, last.v, s.t, s.v);
    last = s;
  }
  bytes.resize((state.bits + 7) / 8);
  return bytes;
}

std::vector<Sample> DecodeAll(std::string_view chunk, storage::Window window = {}, size_t hide = 0) {
  std::vector<model::Timestamp> t;
  std::vector<double> v;
  EXPECT_TRUE(DecodeXor(chunk, window, hide, &t, &v));
  std::vector<Sample> out;
  for (size_t i = 0; i < t.size(); ++i) out.push_back({t[i], v[i]});
  return out;
}

void ExpectSame(const std::vector<Sample>& a, const std::vector<Sample>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].t, b[i].t) << i;
    EXPECT_TRUE(model::SameBits(a[i].v, b[i].v)) << i << ": " << a[i].v << " and " << b[i].v;
  }
}

// One writer for each bit, as the format is described; the fast encoder is held against it.
class SlowXor {
 public:
  void Append(int64_t t, double v) {
    const uint64_t bits = std::bit_cast<uint64_t>(v);
    if (n_ == 0) {
      Uvarint(static_cast<uint64_t>(t) << 1 ^ static_cast<uint64_t>(t >> 63));
      Bits(bits, 64);
    } else {
      const uint64_t delta = static_cast<uint64_t>(t) - static_cast<uint64_t>(t_);
      if (n_ == 1) {
        Uvarint(delta);
      } else {
        const auto dod = static_cast<int64_t>(delta - delta_);
        if (dod == 0) Bits(0, 1);
        else if (dod >= -8191 && dod <= 8192) Bits(2, 2), Bits(static_cast<uint64_t>(dod), 14);
        else if (dod >= -65535 && dod <= 65536) Bits(6, 3), Bits(static_cast<uint64_t>(dod), 17);
        else if (dod >= -524287 && dod <= 524288) Bits(14, 4), Bits(static_cast<uint64_t>(dod), 20);
        else Bits(15, 4), Bits(static_cast<uint64_t>(dod), 64);
      }
      delta_ = delta;
      const uint64_t x = bits ^ v_;
      if (x == 0) {
        Bits(0, 1);
      } else {
        int lead = std::min(31, std::countl_zero(x)), trail = std::countr_zero(x);
        if (lead_ >= 0 && lead >= lead_ && trail >= trail_) {
          Bits(2, 2);
        } else {
          lead_ = lead, trail_ = trail;
          Bits(3, 2), Bits(static_cast<uint64_t>(lead), 5), Bits(static_cast<uint64_t>(64 - lead - trail), 6);
        }
        Bits(x >> trail_, 64 - lead_ - trail_);
      }
    }
    t_ = t, v_ = bits, ++n_;
  }
  std::string Chunk() const {
    std::string out{static_cast<char>(n_ >> 8), static_cast<char>(n_)};
    for (size_t i = 0; i < bits_.size(); i += 8) {
      int b = 0;
      for (size_t k = i; k < i + 8; ++k) b = b << 1 | (k < bits_.size() && bits_[k]);
      out.push_back(static_cast<char>(b));
    }
    return out;
  }

 private:
  void Bits(uint64_t v, int n) {
    while (n-- > 0) bits_.push_back(v >> n & 1);
  }
  void Uvarint(uint64_t v) {
    for (; v >= 128; v >>= 7) Bits(v % 128 + 128, 8);
    Bits(v, 8);
  }
  std::vector<bool> bits_;
  int n_ = 0, lead_ = -1, trail_ = 0;
  int64_t t_ = 0;
  uint64_t v_ = 0, delta_ = 0;
};

std::vector<std::vector<Sample>> Corpus() {
  std::vector<std::vector<Sample>> sets;
  const double inf = std::numeric_limits<double>::infinity();
  sets.push_back({{0, 0}});
  sets.push_back({{-5, -0.0}, {0, 0.0}});
  sets.push_back({{1000, 1}, {2000, model::StaleMarker()}, {3000, model::NormalNan()}, {4000, inf}, {5000, -inf}});
  sets.push_back({{model::kMinTimestamp, 1}, {0, 2}, {model::kMaxTimestamp, 3}});
  std::mt19937_64 random(7);
  for (int set = 0; set < 40; ++set) {
    std::vector<Sample> s;
    int64_t t = static_cast<int64_t>(random() % 2000000000000ULL);
    double v = static_cast<double>(random() % 1000);
    for (int i = 0; i < 120; ++i) {
      s.push_back({t, v});
      const int64_t jitters[] = {0, 1, 20, 8192, 8193, 70000, 600000, 1LL << 40};
      t += 15000 + static_cast<int64_t>(random() % static_cast<uint64_t>(jitters[set % 8] + 1));
      if (set % 5 == 0) v += static_cast<double>(random() % 100);
      if (set % 5 == 1) v = std::bit_cast<double>(random());
      if (set % 5 == 2) v = static_cast<double>(random() % 3) * 0.1;
      if (set % 5 == 3) v *= 1.01;
    }
    sets.push_back(s);
  }
  return sets;
}

TEST(XorTest, EncodesBitForBitAsTheFormatIsDescribed) {
  for (const auto& samples : Corpus()) {
    SlowXor slow;
    for (const Sample& s : samples) slow.Append(s.t, s.v);
    EXPECT_EQ(Encode(samples), slow.Chunk());
  }
}

TEST(XorTest, DecodesWhatItEncoded) {
  for (const auto& samples : Corpus()) {
    const std::string chunk = Encode(samples);
    ExpectSame(DecodeAll(chunk, {model::kMinTimestamp, model::kMaxTimestamp}),
               samples[0].t == model::kMinTimestamp ? std::vector(samples.begin() + 1, samples.end()) : samples);
  }
}

TEST(XorTest, AWindowIsOpenOnTheLeftAndTheLastSamplesCanBeHidden) {
  const std::string chunk = Encode({{10, 1}, {20, 2}, {30, 3}, {40, 4}});
  ExpectSame(DecodeAll(chunk, {10, 30}), {{20, 2}, {30, 3}});
  ExpectSame(DecodeAll(chunk, {}, 2), {{10, 1}, {20, 2}});
  ExpectSame(DecodeAll(chunk, {}, 9), {});
  ExpectSame(DecodeAll(chunk, {40, 100}), {});
}

TEST(XorTest, MarksChangeNoAnswerWhileTheChunkGrows) {
  std::mt19937_64 random(11);
  int all_marked = 0;
  for (const auto& samples : Corpus()) {
    XorMarks marks;
    for (size_t n = 1; n <= samples.size(); n += 1 + random() % 7) {
      const std::string chunk = Encode({samples.begin(), samples.begin() + static_cast<ptrdiff_t>(n)});
      for (int reader = 0; reader < 6; ++reader) {
        const size_t hidden = random() % 3 == 0 ? random() % (n + 1) : 0;
        storage::Window window{samples[random() % n].t, samples[random() % n].t};
        if (random() % 4 == 0) window.after = model::kMinTimestamp;
        if (window.after > window.upto) std::swap(window.after, window.upto);
        std::vector<model::Timestamp> times, marked_times;
        std::vector<double> values, marked_values;
        ASSERT_TRUE(DecodeXor(chunk, window, hidden, &times, &values));
        ASSERT_TRUE(DecodeXor(chunk, window, hidden, &marked_times, &marked_values, &marks));
        ASSERT_EQ(times, marked_times);
        ASSERT_TRUE(std::ranges::equal(values, marked_values, model::SameBits));
        model::Timestamp t = 0, marked_t = 0;
        double v = 0, marked_v = 0;
        const auto any = DecodeXorLast(chunk, window, hidden, &t, &v);
        const auto marked = DecodeXorLast(chunk, window, hidden, &marked_t, &marked_v, &marks);
        ASSERT_TRUE(any && marked);
        ASSERT_EQ(*any, *marked);
        ASSERT_EQ(t, marked_t);
        ASSERT_TRUE(model::SameBits(v, marked_v));
      }
    }
    all_marked += marks.count == XorMarks::kMost;
  }
  EXPECT_GT(all_marked, 20);
}

TEST(XorTest, AChunkCutAnywhereIsAnErrorAndAFlippedByteNeverCrashes) {
  for (const auto& samples : Corpus()) {
    const std::string chunk = Encode(samples);
    std::vector<model::Timestamp> t;
    std::vector<double> v;
    for (size_t cut = 0; cut + 1 < chunk.size(); ++cut) {
      const base::Status status = DecodeXor(chunk.substr(0, cut), {}, 0, &t, &v);
      ASSERT_FALSE(status) << "cut at " << cut << " of " << chunk.size();
      EXPECT_EQ(status.error().code(), base::Code::kDataLoss);
      EXPECT_TRUE(t.empty());
      XorCursor cursor;
      ASSERT_FALSE(ContinueXor(chunk.substr(0, cut), samples.size(), &cursor, &t, &v));
      EXPECT_TRUE(t.empty() && v.empty() && cursor.count == 0);
    }
    for (size_t at = 0; at < chunk.size(); ++at) {
      std::string bad = chunk;
      bad[at] = static_cast<char>(bad[at] ^ 0xff);
      base::Ignore(DecodeXor(bad, {}, 0, &t, &v));  // only memory errors would fail here
      t.clear(), v.clear();
    }
  }
}

// ---- histograms ----

model::HistogramPtr Make(bool integer, int step, std::vector<model::Span> spans = {{-2, 2}, {3, 1}},
                         model::CounterReset hint = model::CounterReset::kUnknown) {
  auto h = std::make_shared<model::Histogram>();
  h->integer = integer;
  h->counter_reset = hint;
  h->schema = 2;
  h->zero_threshold = 0.001;
  h->zero_count = step;
  h->positive_spans = spans;
  h->negative_spans = {{0, 1}};
  for (const model::Span& s : spans) {
    for (uint32_t i = 0; i < s.length; ++i) {
      h->positive_buckets.push_back(integer ? step * (i + 1) : 0.5 * step);
    }
  }
  h->negative_buckets = {static_cast<double>(step)};
  h->count = h->zero_count + step;
  for (double b : h->positive_buckets) h->count += b;
  h->sum = step * 1.25;
  return h;
}

model::HistogramPtr Stale(bool integer) {
  auto h = std::make_shared<model::Histogram>();
  h->integer = integer;
  h->sum = model::StaleMarker();
  return h;
}

// Bucket counts by index, empty ones left out.
std::vector<std::pair<int, double>> Filled(const std::vector<model::Span>& spans, const std::vector<double>& counts) {
  std::vector<std::pair<int, double>> out;
  int index = 0;
  size_t i = 0;
  for (const model::Span& s : spans) {
    index += s.offset;
    for (uint32_t k = 0; k < s.length; ++k, ++i, ++index) {
      if (counts[i] != 0) out.emplace_back(index, counts[i]);
    }
  }
  return out;
}

TEST(HistogramChunkTest, RoundTripsWithOneLayoutForAllSamples) {
  for (const bool integer : {true, false}) {
    const std::vector<model::HistogramPtr> in = {Make(integer, 1), Make(integer, 2), Make(integer, 4, {{-2, 5}, {3, 2}}),
                                                 Make(integer, 9, {{-2, 5}, {3, 2}}), Stale(integer), Stale(integer)};
    const std::vector<model::Timestamp> times = {-5, 10, 25, 41, 50, 60};
    Encoding encoding;
    const std::string chunk = EncodeHistograms(times, in, model::CounterReset::kUnknown, &encoding);
    EXPECT_EQ(encoding, integer ? Encoding::kHistogram : Encoding::kFloatHistogram);
    storage::SampleColumns out;
    ASSERT_TRUE(Decode(encoding, chunk, {}, 0, &out));
    EXPECT_EQ(out.times, times);
    ASSERT_EQ(out.histograms.size(), in.size());
    for (size_t i = 0; i < in.size(); ++i) {
      const model::Histogram &a = *in[i], &b = *out.histograms[i];
      EXPECT_EQ(out.histogram_at[i], i);
      EXPECT_TRUE(model::SameBits(out.values[i], a.sum));
      EXPECT_TRUE(model::SameBits(a.sum, b.sum));
      EXPECT_EQ(a.count, b.count);
      EXPECT_EQ(a.zero_count, b.zero_count);
      EXPECT_EQ(a.integer, b.integer);
      EXPECT_EQ(Filled(a.positive_spans, a.positive_buckets), Filled(b.positive_spans, b.positive_buckets)) << i;
      EXPECT_EQ(Filled(a.negative_spans, a.negative_buckets), Filled(b.negative_spans, b.negative_buckets)) << i;
      if (!a.IsStale()) {
        EXPECT_EQ(b.counter_reset, i == 0 ? model::CounterReset::kUnknown : model::CounterReset::kNotReset);
      }
    }
  }
}

TEST(HistogramChunkTest, CustomBoundsSurvive) {
  auto h = std::make_shared<model::Histogram>();
  h->schema = model::kCustomBucketsSchema;
  h->integer = true;
  h->custom_values = {-1, 0, 0.005, 0.1, 1.23456789, 25, 33554.43, 40000, 1e9};
  h->positive_spans = {{0, 2}, {5, 3}};
  h->positive_buckets = {1, 2, 3, 4, 5};
  h->count = 15;
  h->sum = 99;
  Encoding encoding;
  const model::Timestamp t = 1;
  const model::HistogramPtr p = h;
  const std::string chunk = EncodeHistograms({&t, 1}, {&p, 1}, model::CounterReset::kUnknown, &encoding);
  storage::SampleColumns out;
  ASSERT_TRUE(Decode(encoding, chunk, {}, 0, &out));
  EXPECT_EQ(out.histograms[0]->custom_values, h->custom_values);
  EXPECT_EQ(out.histograms[0]->positive_buckets, h->positive_buckets);
  EXPECT_EQ(out.histograms[0]->positive_spans, h->positive_spans);
}

TEST(HistogramChunkTest, AChunkEndsWhereItsLayoutDoes) {
  const auto gauge = model::CounterReset::kGauge;
  auto schema = std::make_shared<model::Histogram>(*Make(true, 9));
  schema->schema = 3;
  struct Case {
    const char* name;
    model::HistogramPtr last, next;
    bool last_gauge;
    bool fits;
    model::CounterReset header;
  } cases[] = {
      {"grows", Make(true, 1), Make(true, 2), false, true, model::CounterReset::kUnknown},
      {"new buckets", Make(true, 1), Make(true, 2, {{-2, 9}}), false, true, model::CounterReset::kUnknown},
      {"shrinks", Make(true, 2), Make(true, 1), false, false, model::CounterReset::kReset},
      {"loses a bucket", Make(true, 1), Make(true, 9, {{-2, 2}}), false, false, model::CounterReset::kReset},
      {"told", Make(true, 1), Make(true, 2, {{-2, 2}, {3, 1}}, model::CounterReset::kReset), false, false,
       model::CounterReset::kReset},
      {"schema", Make(true, 1), schema, false, false, model::CounterReset::kUnknown},
      {"kind", Make(true, 1), Make(false, 2), false, false, model::CounterReset::kUnknown},
      {"stale", Make(true, 1), Stale(true), false, true, model::CounterReset::kUnknown},
      {"after stale", Stale(true), Make(true, 1), false, false, model::CounterReset::kUnknown},
      {"gauge shrinks", Make(true, 2, {{-2, 2}}, gauge), Make(true, 1, {{-2, 2}}, gauge), true, true, gauge},
      {"becomes a gauge", Make(true, 1), Make(true, 2, {{-2, 2}, {3, 1}}, gauge), false, false, gauge},
  };
  for (const Case& c : cases) {
    model::CounterReset header;
    EXPECT_EQ(FitsChunk(*c.last, c.last_gauge, *c.next, &header), c.fits) << c.name;
    if (!c.fits) {
      EXPECT_EQ(header, c.header) << c.name;
    }
  }
}

TEST(HistogramChunkTest, AChunkCutAnywhereIsAnErrorAndAFlippedByteNeverCrashes) {
  for (const bool integer : {true, false}) {
    std::vector<model::HistogramPtr> in;
    std::vector<model::Timestamp> times;
    for (int i = 1; i < 20; ++i) in.push_back(Make(integer, i * i)), times.push_back(i * 1000);
    Encoding encoding;
    const std::string chunk = EncodeHistograms(times, in, model::CounterReset::kUnknown, &encoding);
    storage::SampleColumns out;
    for (size_t cut = 0; cut + 1 < chunk.size(); ++cut) {
      EXPECT_FALSE(Decode(encoding, std::string_view(chunk).substr(0, cut), {}, 0, &out)) << cut;
      EXPECT_TRUE(out.times.empty());
    }
    for (size_t at = 0; at < chunk.size(); ++at) {
      std::string bad = chunk;
      bad[at] = static_cast<char>(bad[at] ^ 0xff);
      base::Ignore(Decode(encoding, bad, {}, 0, &out));  // only memory errors would fail here
      out.Clear();
    }
  }
}

TEST(ChunkTest, AnUnknownEncodingIsNamed) {
  storage::SampleColumns out;
  const base::Status status = Decode(static_cast<Encoding>(9), "xxxx", {}, 0, &out);
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message(), testing::HasSubstr("encoding 9"));
}

}  // namespace
}  // namespace tocsin::tsdb::chunk
