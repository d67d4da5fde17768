#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <bit>
#include <limits>
#include <random>
#include <thread>

#include "base/faulty_file_system.h"
#include "base/simulated_file_system.h"
#include "tsdb/wal/checkpoint.h"
#include "tsdb/wal/log.h"
#include "tsdb/wal/record.h"
#include "tsdb/wal/segment.h"

namespace tocsin::tsdb::wal {
namespace {

using model::Labels;
using storage::FloatSample;
using testing::ElementsAre;
using testing::SizeIs;

std::vector<std::string> ReadRecords(std::string_view segment, std::vector<Damage>* damage = nullptr) {
  SegmentReader reader(segment);
  std::vector<std::string> out;
  std::string_view record;
  while (reader.Next(&record)) out.emplace_back(record);
  if (damage != nullptr) *damage = reader.damage();
  return out;
}

std::string RandomText(std::mt19937* random, size_t n, bool repetitive) {
  std::string s(n, 'a');
  if (!repetitive) {
    for (char& c : s) c = static_cast<char>((*random)());
  }
  return s;
}

TEST(SegmentTest, RecordsOfAnySizeRoundTripAcrossPages) {
  std::mt19937 random(2);
  for (const Compression compression : {Compression::kNone, Compression::kSnappy, Compression::kZstd}) {
    std::vector<std::string> in;
    std::string segment;
    uint64_t offset = 0;
    // Sizes that end just before, at and behind the page's end, where a header does not fit any more.
    for (size_t size : {0u, 1u, 7u, 100u, 32747u, 32754u, 32755u, 32760u, 65521u, 100000u, 300000u, 5u, 32740u, 3u}) {
      in.push_back(RandomText(&random, size, size % 2 == 0));
    }
    for (int i = 0; i < 300; ++i) in.push_back(RandomText(&random, random() % 3000, i % 2 == 0));
    for (const std::string& r : in) {
      const PackedRecord packed = Pack(r, compression);
      const size_t before = segment.size();
      Frame(packed, &offset, &segment);
      ASSERT_LE(segment.size() - before, FramedBytes(packed.bytes.size()));
      ASSERT_EQ(offset, segment.size());
    }
    std::vector<Damage> damage;
    EXPECT_EQ(ReadRecords(segment, &damage), in);
    EXPECT_TRUE(damage.empty());
    // Padded to a whole page, as Prometheus pads a full segment.
    segment.resize((segment.size() / kPageBytes + 1) * kPageBytes);
    EXPECT_EQ(ReadRecords(segment, &damage), in);
    EXPECT_TRUE(damage.empty());
  }
}

TEST(SegmentTest, ReadingGoesOnAtTheNextPageThatStartsARecord) {
  std::mt19937 random(8);
  std::vector<std::string> in;
  std::string segment;
  uint64_t offset = 0;
  std::vector<std::pair<uint64_t, uint64_t>> places;
  for (int i = 0; i < 60; ++i) {
    in.push_back(RandomText(&random, 200 + random() % 20000, false));
    const uint64_t begin = offset;
    Frame(Pack(in.back(), Compression::kNone), &offset, &segment);
    places.emplace_back(begin, offset);
  }
  for (int round = 0; round < 500; ++round) {
    const size_t at = random() % segment.size();
    std::string bad = segment;
    bad[at] = static_cast<char>(bad[at] ^ (1 + random() % 255));
    std::vector<Damage> damage;
    const std::vector<std::string> out = ReadRecords(bad, &damage);
    // Everything that ends before the flip, and everything that begins in a later page, is there.
    std::vector<std::string> must;
    const uint64_t page_end = (at / kPageBytes + 1) * kPageBytes;
    for (size_t i = 0; i < in.size(); ++i) {
      if (places[i].second <= at || places[i].first >= page_end) must.push_back(in[i]);
    }
    size_t next = 0;
    for (const std::string& r : out) {
      if (next < must.size() && r == must[next]) ++next;
      EXPECT_NE(std::find(in.begin(), in.end(), r), in.end()) << "a record that was never written";
    }
    EXPECT_EQ(next, must.size()) << "flipped at " << at;
    EXPECT_FALSE(damage.empty());
  }
}

TEST(RecordTest, EveryKindRoundTrips) {
  std::string record;
  const Labels a = Labels::FromPairs({{"__name__", "up"}, {"job", "x"}}), b = Labels::FromPairs({{"é", std::string(300, 'v')}});
  EncodeSeries(1, a, &record);
  EncodeSeries(1ULL << 40, b, &record);
  EXPECT_EQ(TypeOf(record), RecordType::kSeries);
  DecodedSeries series;
  ASSERT_TRUE(DecodeSeries(record, &series));
  EXPECT_THAT(series.refs, ElementsAre(1, 1ULL << 40));
  EXPECT_EQ(series.labels(0), a.view());
  EXPECT_EQ(series.labels(1), b.view());

  const std::vector<FloatSample> samples = {{7, 1000, 1.5}, {3, -5, model::StaleMarker()}, {1ULL << 60, model::kMaxTimestamp, 0},
                                            {0, model::kMinTimestamp, -0.0}};
  record.clear();
  EncodeSamples(samples, &record);
  std::vector<FloatSample> samples_out;
  ASSERT_TRUE(DecodeSamples(record, &samples_out));
  ASSERT_THAT(samples_out, SizeIs(samples.size()));
  for (size_t i = 0; i < samples.size(); ++i) {
    EXPECT_EQ(samples_out[i].ref, samples[i].ref);
    EXPECT_EQ(samples_out[i].t, samples[i].t);
    EXPECT_TRUE(model::SameBits(samples_out[i].v, samples[i].v));
  }

  const std::vector<Tombstone> stones = {{9, -100, 100}, {1, 0, model::kMaxTimestamp}};
  record.clear();
  EncodeTombstones(stones, &record);
  std::vector<Tombstone> stones_out;
  ASSERT_TRUE(DecodeTombstones(record, &stones_out));
  EXPECT_EQ(stones_out, stones);

  record.clear();
  EncodeExemplars(std::vector<ExemplarEntry>{{5, {a, 2.5, 1000, true}}, {4, {Labels(), 1, 900, true}}}, &record);
  std::vector<ExemplarEntry> exemplars;
  ASSERT_TRUE(DecodeExemplars(record, &exemplars));
  ASSERT_THAT(exemplars, SizeIs(2));
  EXPECT_EQ(exemplars[0].exemplar.labels, a);
  EXPECT_EQ(exemplars[1].exemplar.t, 900);
  EXPECT_EQ(exemplars[1].ref, 4u);

  record.clear();
  EncodeMetadata(std::vector<MetadataEntry>{{5, {model::MetricType::kSummary, "help text", "s"}}}, &record);
  std::vector<MetadataEntry> metadata;
  ASSERT_TRUE(DecodeMetadata(record, &metadata));
  EXPECT_EQ(metadata[0].metadata, (model::Metadata{model::MetricType::kSummary, "help text", "s"}));

  for (const bool integer : {true, false}) {
    for (const int schema : {3, model::kCustomBucketsSchema}) {
      auto h = std::make_shared<model::Histogram>();
      h->integer = integer;
      h->schema = schema;
      h->counter_reset = model::CounterReset::kGauge;
      h->zero_threshold = 0.001;
      h->zero_count = 3;
      h->count = 20;
      h->sum = -1.5;
      h->positive_spans = {{-2, 2}, {1, 1}};
      h->positive_buckets = {5, 1, 4};
      h->negative_spans = {{0, 1}};
      h->negative_buckets = {7};
      if (schema < 0) h->custom_values = {0.5, 1, 2.5};
      record.clear();
      EncodeHistograms(std::vector<HistogramEntry>{{5, 1000, h}}, &record);
      EXPECT_EQ(TypeOf(record), RecordTypeOf(*h));
      std::vector<HistogramEntry> out;
      ASSERT_TRUE(DecodeHistograms(record, &out));
      ASSERT_THAT(out, SizeIs(1));
      EXPECT_EQ(*out[0].histogram, *h);
    }
  }
}

TEST(RecordTest, PackedSamplesAreReadBack) {
  std::mt19937_64 random(5);
  // How far references and times are from one another: from one byte to ten.
  for (const int bits : {3, 9, 20, 40, 63}) {
    for (const size_t n : {0, 1, 2, 5, 2000}) {
      std::vector<FloatSample> samples;
      for (size_t i = 0; i < n; ++i) {
        const bool same = !samples.empty() && random() % 3 == 0;
        const double value = same ? samples.back().v : random() % 2 == 0 ? static_cast<double>(random() % 100'000) : std::bit_cast<double>(random());
        samples.push_back({random() >> (64 - bits), static_cast<int64_t>(random() >> (64 - bits)), value});
      }
      for (const Compression compression : {Compression::kNone, Compression::kSnappy, Compression::kZstd}) {
        const PackedRecord packed = PackSamples(samples, compression);
        if (n == 0) {
          EXPECT_TRUE(packed.bytes.empty());
          continue;
        }
        std::string plain, segment;
        EncodeSamples(samples, &plain);
        EXPECT_LE(packed.bytes.size(), plain.size());
        uint64_t offset = 0;
        Frame(packed, &offset, &segment);
        EXPECT_THAT(ReadRecords(segment), ElementsAre(plain)) << bits << " bits, " << n;
        std::vector<FloatSample> back;
        ASSERT_TRUE(DecodeSamples(plain, &back));
        ASSERT_EQ(back.size(), n);
        for (size_t i = 0; i < n; ++i) {
          EXPECT_EQ(back[i].ref, samples[i].ref);
          EXPECT_EQ(back[i].t, samples[i].t);
          EXPECT_TRUE(model::SameBits(back[i].v, samples[i].v));
        }
      }
    }
  }
}

std::string Be64(double v) {
  const uint64_t bits = __builtin_bswap64(std::bit_cast<uint64_t>(v));
  return {reinterpret_cast<const char*>(&bits), 8};
}

TEST(RecordTest, SamplesWithStartTimesAreWrittenAndReadByteForByte) {
  struct Row {
    const char* name;
    std::vector<FloatSample> samples;
    std::vector<model::Timestamp> starts;
    std::string record;
  };
  const Row rows[] = {
      {"one", {{5, 100, 1}}, {50}, std::string("\x0b\x0a\xc8\x01\x64", 5) + Be64(1)},
      {"as before, none, another",
       {{5, 100, 1}, {6, 110, 2}, {7, 120, 3}, {6, 130, 4}},
       {50, 50, 0, 55},
       std::string("\x0b\x0a\xc8\x01\x64", 5) + Be64(1) + std::string("\x02\x14\x01", 3) + Be64(2) +
           std::string("\x02\x28\x00", 3) + Be64(3) + std::string("\x01\x3c\x02\x0a", 4) + Be64(4)},
      {"the first has none", {{1, 2, 1}, {1, 3, 2}}, {0, -3}, std::string("\x0b\x02\x04\x00", 4) + Be64(1) + std::string("\x00\x02\x02\x05", 4) + Be64(2)},
  };
  for (const Row& row : rows) {
    std::string record;
    EncodeSamples(row.samples, &record, row.starts);
    EXPECT_EQ(record, row.record) << row.name;
    std::vector<FloatSample> samples;
    std::vector<model::Timestamp> starts;
    ASSERT_TRUE(DecodeSamples(row.record, &samples, &starts)) << row.name;
    EXPECT_EQ(starts, row.starts) << row.name;
    ASSERT_EQ(samples.size(), row.samples.size()) << row.name;
    for (size_t i = 0; i < samples.size(); ++i) {
      EXPECT_EQ(samples[i].ref, row.samples[i].ref) << row.name;
      EXPECT_EQ(samples[i].t, row.samples[i].t) << row.name;
      EXPECT_EQ(samples[i].v, row.samples[i].v) << row.name;
    }
    samples.clear();
    ASSERT_TRUE(DecodeSamples(row.record, &samples)) << row.name << ": who does not want them need not take them";
    EXPECT_EQ(samples.size(), row.samples.size()) << row.name;
  }
}

TEST(RecordTest, StartTimesOfSeveralRecordsStandBesideTheirSamples) {
  std::string plain, started;
  EncodeSamples(std::vector<FloatSample>{{1, 1, 1}, {2, 1, 2}}, &plain);
  EncodeSamples(std::vector<FloatSample>{{3, 1, 3}, {4, 1, 4}}, &started, std::vector<model::Timestamp>{0, 7});
  std::vector<FloatSample> samples;
  std::vector<model::Timestamp> starts;
  ASSERT_TRUE(DecodeSamples(plain, &samples, &starts));
  EXPECT_TRUE(starts.empty()) << "nothing is known";
  ASSERT_TRUE(DecodeSamples(started, &samples, &starts));
  ASSERT_TRUE(DecodeSamples(plain, &samples, &starts));
  EXPECT_THAT(starts, ElementsAre(0, 0, 0, 7, 0, 0));
}

TEST(RecordTest, RandomSamplesWithStartTimesComeBackFromEveryCompression) {
  std::mt19937_64 random(11);
  for (const int bits : {3, 20, 63}) {
    for (const size_t n : {1, 2, 500}) {
      std::vector<FloatSample> samples;
      std::vector<model::Timestamp> starts;
      for (size_t i = 0; i < n; ++i) {
        samples.push_back({random() >> (64 - bits), static_cast<int64_t>(random() >> (64 - bits)), static_cast<double>(random() % 9)});
        starts.push_back(random() % 3 == 0 ? 0 : random() % 2 == 0 && i > 0 ? starts.back() : static_cast<int64_t>(random()));
      }
      for (const Compression compression : {Compression::kNone, Compression::kSnappy, Compression::kZstd}) {
        std::string segment;
        uint64_t offset = 0;
        Frame(PackSamples(samples, compression, starts), &offset, &segment);
        const auto records = ReadRecords(segment);
        ASSERT_THAT(records, SizeIs(1));
        std::vector<FloatSample> back;
        std::vector<model::Timestamp> back_starts;
        ASSERT_TRUE(DecodeSamples(records[0], &back, &back_starts));
        back_starts.resize(n);
        EXPECT_EQ(back_starts, starts) << bits << " bits, " << n;
        ASSERT_EQ(back.size(), n);
        for (size_t i = 0; i < n; ++i) {
          EXPECT_EQ(back[i].ref, samples[i].ref);
          EXPECT_EQ(back[i].t, samples[i].t);
          EXPECT_EQ(back[i].v, samples[i].v);
        }
      }
    }
  }
}

TEST(RecordTest, HistogramsWithStartTimesAreWrittenAndReadByteForByte) {
  for (const bool integer : {true, false}) {
    for (const bool custom : {false, true}) {
      auto h = std::make_shared<model::Histogram>();
      h->integer = integer;
      h->positive_spans = {{0, 2}};
      h->positive_buckets = {1, 2};
      h->count = 3;
      if (custom) {
        h->schema = model::kCustomBucketsSchema;
        h->custom_values = {1};
      }
      const std::string name = std::string(integer ? "integer" : "float") + (custom ? ", custom bounds" : "");
      // The bytes of the histogram are those of the older form, behind two numbers of eight bytes and two of one.
      std::string plain, record;
      EncodeHistograms(std::vector<HistogramEntry>{{5, 100, h}}, &plain);
      const std::string bytes = plain.substr(1 + 16 + 2);
      EncodeHistograms(std::vector<HistogramEntry>{{5, 100, h, 50}, {6, 110, h, 50}, {7, 120, h, 0}, {6, 130, h, 55}}, &record);
      const std::string expected = std::string(integer ? "\x0c" : "\x0d") + std::string("\x0a\xc8\x01\x64", 4) + bytes +
                                   std::string("\x02\x14\x01", 3) + bytes + std::string("\x02\x28\x00", 3) + bytes +
                                   std::string("\x01\x3c\x02\x0a", 4) + bytes;
      EXPECT_EQ(record, expected) << name;
      std::vector<HistogramEntry> out;
      ASSERT_TRUE(DecodeHistograms(expected, &out)) << name;
      ASSERT_THAT(out, SizeIs(4)) << name;
      std::vector<model::Timestamp> starts;
      for (const HistogramEntry& e : out) {
        starts.push_back(e.start);
        EXPECT_EQ(*e.histogram, *h) << name;
      }
      EXPECT_THAT(starts, ElementsAre(50, 50, 0, 55)) << name;
      EXPECT_EQ(out[3].ref, 6u) << name;
      EXPECT_EQ(out[3].t, 130) << name;
    }
  }
}

TEST(RecordTest, ARecordCutAnywhereIsAnErrorOrAPrefixAndFlipsNeverCrash) {
  std::vector<std::string> records(8);
  const Labels labels = Labels::FromPairs({{"a", "1"}, {"b", "2"}});
  EncodeSeries(3, labels, &records[0]);
  EncodeSeries(4, labels, &records[0]);
  EncodeSamples(std::vector<FloatSample>{{1, 1, 1}, {2, 2, 2}, {3, model::kMaxTimestamp, 3}, {4, 4, 4}, {500, 5, 5}}, &records[1]);
  EncodeTombstones(std::vector<Tombstone>{{1, 2, 3}}, &records[2]);
  EncodeExemplars(std::vector<ExemplarEntry>{{5, {labels, 2.5, 1000, true}}}, &records[3]);
  EncodeMetadata(std::vector<MetadataEntry>{{5, {model::MetricType::kSummary, "help", "s"}}}, &records[4]);
  auto h = std::make_shared<model::Histogram>();
  h->positive_spans = {{0, 2}};
  h->positive_buckets = {1, 2};
  EncodeHistograms(std::vector<HistogramEntry>{{5, 1000, h}}, &records[5]);
  EncodeSamples(std::vector<FloatSample>{{1, 1, 1}, {2, 2, 2}, {3, model::kMaxTimestamp, 3}}, &records[6], std::vector<model::Timestamp>{9, 9, 5});
  EncodeHistograms(std::vector<HistogramEntry>{{5, 1000, h, 3}, {6, 1000, h, 4}}, &records[7]);
  const auto decode = [](std::string_view r) -> base::Status {
    DecodedSeries s;
    std::vector<FloatSample> f;
    std::vector<Tombstone> t;
    std::vector<ExemplarEntry> e;
    std::vector<MetadataEntry> m;
    std::vector<HistogramEntry> hs;
    std::vector<MmapMarker> mm;
    switch (TypeOf(r)) {
      case RecordType::kUnknown:
      case RecordType::kMinValidTime: return {};
      case RecordType::kSeries: return DecodeSeries(r, &s);
      case RecordType::kSamples:
      case RecordType::kSamplesV2: return DecodeSamples(r, &f);
      case RecordType::kTombstones: return DecodeTombstones(r, &t);
      case RecordType::kExemplars: return DecodeExemplars(r, &e);
      case RecordType::kMetadata: return DecodeMetadata(r, &m);
      case RecordType::kMmapMarkers: return DecodeMmapMarkers(r, &mm);
      default: return DecodeHistograms(r, &hs);
    }
  };
  for (const std::string& record : records) {
    EXPECT_TRUE(decode(record));
    for (size_t cut = 1; cut < record.size(); ++cut) base::Ignore(decode(record.substr(0, cut)));  // memory errors only
    EXPECT_FALSE(decode(record.substr(0, record.size() - 1)));
    for (size_t at = 0; at < record.size(); ++at) {
      for (const int flip : {1, 0x80, 0xff}) {
        std::string bad = record;
        bad[at] = static_cast<char>(bad[at] ^ flip);
        base::Ignore(decode(bad));  // only memory errors would fail here
      }
    }
  }
}

PackedRecord Sample(int64_t t, double v = 1) {
  std::string record;
  EncodeSamples(std::vector<FloatSample>{{1, t, v}}, &record);
  return Pack(record, Compression::kNone);
}

TEST(LogTest, SegmentsAreBegunWhenFullAndRemovedWhenTold) {
  base::SimulatedFileSystem fs;
  auto log = *Log::Open({.fs = &fs, .folder = "wal", .segment_bytes = kPageBytes, .monotonic = {}, .metrics = {}});
  for (int i = 0; i < 3000; ++i) ASSERT_TRUE(log->Append(std::vector{Sample(i)}));
  const auto segments = *ListSegments(&fs, "wal");
  ASSERT_GE(segments.size(), 3u);
  size_t records = 0;
  for (const int s : segments) records += ReadRecords(*fs.ReadFile(SegmentPath("wal", s))).size();
  EXPECT_EQ(records, 3000u);
  ASSERT_TRUE(log->Truncate(segments.back()));
  EXPECT_THAT(*ListSegments(&fs, "wal"), ElementsAre(segments.back()));
  EXPECT_EQ(*log->Cut(), segments.back() + 1);
  EXPECT_EQ(*log->Cut(), segments.back() + 1) << "an empty segment is not cut";
  std::string huge;
  huge.resize(2 * kPageBytes);
  EXPECT_EQ(log->Append(std::vector{Pack(huge, Compression::kNone)}).error().code(), base::Code::kResourceExhausted);
}

TEST(LogTest, AShortWriteIsCutOffAgain) {
  base::SimulatedFileSystem disk;
  base::FaultyFileSystem fs(&disk);
  auto log = *Log::Open({.fs = &fs, .folder = "wal", .segment_bytes = 1 << 20, .monotonic = {}, .metrics = {}});
  ASSERT_TRUE(log->Append(std::vector{Sample(1)}));
  fs.Fail({.op = base::FaultyFileSystem::Op::kWrite, .times = 1, .code = base::Code::kResourceExhausted, .written = 5});
  EXPECT_EQ(log->Append(std::vector{Sample(2)}).error().code(), base::Code::kResourceExhausted);
  ASSERT_TRUE(log->Append(std::vector{Sample(3)}));
  std::vector<Damage> damage;
  EXPECT_THAT(ReadRecords(*disk.ReadFile(SegmentPath("wal", 0)), &damage), SizeIs(2));
  EXPECT_TRUE(damage.empty());
}

TEST(LogTest, AFailedSyncFailsThoseItCoveredAndLeavesTheFile) {
  base::SimulatedFileSystem disk;
  base::FaultyFileSystem fs(&disk);
  auto log = *Log::Open({.fs = &fs, .folder = "wal", .segment_bytes = 1 << 20, .monotonic = {}, .metrics = {}});
  const uint64_t a = *log->Append(std::vector{Sample(1)});
  ASSERT_TRUE(log->WaitSynced(a));
  const uint64_t b = *log->Append(std::vector{Sample(2)});
  const uint64_t c = *log->Append(std::vector{Sample(3)});
  fs.Fail({.op = base::FaultyFileSystem::Op::kSync, .times = 1});
  EXPECT_EQ(log->WaitSynced(c).error().code(), base::Code::kUnavailable);
  EXPECT_EQ(log->WaitSynced(b).error().code(), base::Code::kUnavailable) << "never tried again";
  EXPECT_TRUE(log->WaitSynced(a));
  const uint64_t d = *log->Append(std::vector{Sample(4)});
  EXPECT_TRUE(log->WaitSynced(d));
  EXPECT_EQ(log->segment(), 1);
}

TEST(LogThreadsTest, WritersThatWaitTogetherShareSyncs) {
  base::SimulatedFileSystem disk;
  base::FaultyFileSystem fs(&disk);
  auto log = *Log::Open({.fs = &fs, .folder = "wal", .segment_bytes = 4 * kPageBytes, .monotonic = {}, .metrics = {}});
  std::vector<std::thread> writers;
  std::atomic<int> failed{0};
  for (int w = 0; w < 4; ++w) {
    writers.emplace_back([&, w] {
      for (int i = 0; i < 500; ++i) {
        const auto n = log->Append(std::vector{Sample(i, w)});
        if (!n || !log->WaitSynced(*n)) ++failed;
      }
    });
  }
  for (std::thread& t : writers) t.join();
  EXPECT_EQ(failed, 0);
  disk.Crash();
  size_t records = 0;
  const auto segments = *ListSegments(&disk, "wal");
  for (const int s : segments) records += ReadRecords(*disk.ReadFile(SegmentPath("wal", s))).size();
  EXPECT_EQ(records, 2000u);
}

TEST(CheckpointTest, KeepsLiveSeriesAndNewSamples) {
  base::SimulatedFileSystem fs;
  auto log = *Log::Open({.fs = &fs, .folder = "wal", .segment_bytes = kPageBytes, .monotonic = {}, .metrics = {}});
  std::string series;
  for (uint64_t ref = 1; ref <= 10; ++ref) EncodeSeries(ref, Labels::FromPairs({{"i", std::to_string(ref)}}), &series);
  ASSERT_TRUE(log->Append(std::vector{Pack(series, Compression::kSnappy)}));
  for (int t = 0; t < 3000; ++t) {
    std::string record;
    EncodeSamples(std::vector<FloatSample>{{static_cast<uint64_t>(t % 10 + 1), t, 1}}, &record);
    ASSERT_TRUE(log->Append(std::vector{Pack(record, Compression::kNone)}));
  }
  std::string stones;
  EncodeTombstones(std::vector<Tombstone>{{1, 0, 10}, {2, 0, 2500}, {3, 0, 2500}}, &stones);
  ASSERT_TRUE(log->Append(std::vector{Pack(stones, Compression::kNone)}));
  const int last = log->segment();
  const CheckpointFilter keep{
      .keep_from = [](storage::SeriesRef ref) { return ref % 2 == 0 ? std::optional<model::Timestamp>(2000) : std::nullopt; },
      .tombstones_from = 2000,
      .exemplars_from = 2000};
  const auto stats = WriteCheckpoint(&fs, "wal", last, keep, Compression::kSnappy);
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->series, 5u);
  EXPECT_EQ(stats->samples, 500u);
  EXPECT_EQ(stats->tombstones, 1u);
  ASSERT_TRUE(*LastCheckpoint(&fs, "wal"));
  EXPECT_EQ((*LastCheckpoint(&fs, "wal"))->index, last);
  // A checkpoint of a checkpoint, with nothing new, is the same.
  const auto again = WriteCheckpoint(&fs, "wal", last + 1, keep, Compression::kNone);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->samples, 500u);
  ASSERT_TRUE(RemoveCheckpoints(&fs, "wal", last + 1));
  EXPECT_EQ((*LastCheckpoint(&fs, "wal"))->index, last + 1);
  EXPECT_FALSE(fs.Stat("wal/checkpoint.0000000" + std::to_string(last)));
}

}  // namespace
}  // namespace tocsin::tsdb::wal
