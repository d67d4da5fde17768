// The decoders of the database's files, fed with what files of theirs became after some damage.  No input crashes,
// reads beyond its bytes (a sanitized build tells), or decodes to columns that do not fit each other.
//
//   build/tests/tsdb_fuzz_test                            a few thousand inputs for each decoder
//   TOCSIN_FUZZ_SECONDS=600 build/tests/tsdb_fuzz_test    ten minutes for each
//
// tests/fuzz/corpus/<decoder>/ holds inputs that once broke it.

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <functional>

#include "base/compress.h"
#include "base/digest.h"
#include "base/file_system.h"
#include "base/simulated_file_system.h"
#include "mutate.h"
#include "tsdb/block_meta.h"
#include "tsdb/chunk/histogram_chunk.h"
#include "tsdb/chunk/xor.h"
#include "tsdb/chunk/xor2.h"
#include "tsdb/index/block_index.h"
#include "tsdb/index/coding.h"
#include "tsdb/wal/record.h"
#include "tsdb/wal/segment.h"

namespace tocsin::tsdb {
namespace {

constexpr int kRounds = 4000;
constexpr size_t kLimitBytes = 1 << 20;  // of decompressed data

using Run = std::function<void(const std::string&)>;

void Fuzz(const std::string& name, std::vector<std::string> seeds, const Run& run) {
  for (const std::string& s : seeds) run(s);
  if (const auto kept = base::RealFileSystem()->List(TOCSIN_SOURCE_DIR "/tests/fuzz/corpus/" + name)) {
    for (const base::FileInfo& f : *kept) {
      seeds.push_back(*base::RealFileSystem()->ReadFile(TOCSIN_SOURCE_DIR "/tests/fuzz/corpus/" + name + "/" + f.name));
      run(seeds.back());
    }
  }
  const char* text = std::getenv("TOCSIN_FUZZ_SECONDS");
  const int seconds = text == nullptr ? 0 : std::atoi(text);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  fuzz::Mutator mutator(static_cast<uint64_t>(seconds) * 7919 + 1);
  uint64_t runs = 0;
  while (runs < kRounds || std::chrono::steady_clock::now() < end) {
    for (int i = 0; i < 500; ++i, ++runs) {
      const std::string input = mutator.Next(seeds);
      run(input);
      if (testing::Test::HasFailure()) {
        ADD_FAILURE() << name << ": input of " << input.size() << " bytes: " << base::Hex(input.data(), input.size());
        return;
      }
    }
  }
  testing::Test::RecordProperty("inputs", std::to_string(runs));
}

model::HistogramPtr SomeHistogram(int i, bool integer) {
  auto h = std::make_shared<model::Histogram>();
  h->integer = integer;
  h->schema = 3;
  h->zero_threshold = 1e-128;
  h->count = 12.0 + 5 * i;
  h->zero_count = 1;
  h->sum = 0.5 * i;
  h->positive_spans = {{0, 2}, {3, 1}};
  h->positive_buckets = {1.0 + i, 2.0 + i, 3.0};
  h->negative_spans = {{-2, 1}};
  h->negative_buckets = {4.0 + i};
  return h;
}

std::string FloatChunk() {
  std::string bytes(120 * chunk::kMaxXorSampleBytes + 64, '\0');
  chunk::XorState s;
  model::Timestamp t = 1'700'000'000'000, last_t = 0;
  double v = 0, last_v = 0;
  for (int i = 0; i < 100; ++i, t += 15'000 + i % 3 * 7, v += i % 5) {
    chunk::AppendXor(&s, reinterpret_cast<uint8_t*>(bytes.data()), last_t, last_v, t, v);
    last_t = t, last_v = v;
  }
  bytes.resize((s.bits + 7) / 8);
  return bytes;
}

void CheckColumns(const storage::SampleColumns& c) {
  ASSERT_EQ(c.times.size(), c.values.size());
  ASSERT_EQ(c.histogram_at.size(), c.histograms.size());
  ASSERT_TRUE(c.start_times.empty() || c.start_times.size() == c.times.size());
  for (const uint32_t at : c.histogram_at) ASSERT_LT(at, c.times.size());
}

// The first byte is the encoding.
TEST(FuzzTest, Chunks) {
  std::vector<std::string> seeds = {"\x01" + FloatChunk()};
  std::vector<model::Timestamp> times, starts;
  std::vector<double> values;
  std::vector<model::HistogramPtr> integers, floats;
  for (int i = 0; i < 20; ++i) {
    times.push_back(1000 + 15'000 * i);
    starts.push_back(i < 10 ? 500 : 100'000);
    values.push_back(i % 7 == 3 ? model::StaleMarker() : i / 2);
    integers.push_back(SomeHistogram(i, true));
    floats.push_back(SomeHistogram(i, false));
  }
  seeds.push_back("\x04" + chunk::EncodeXor2(times, values, {}));
  seeds.push_back("\x04" + chunk::EncodeXor2(times, values, starts));
  chunk::Encoding encoding;
  for (const auto& list : {integers, floats}) {
    for (const auto& s : {std::vector<model::Timestamp>(), starts}) {
      std::string data = chunk::EncodeHistograms(times, list, model::CounterReset::kUnknown, &encoding, s);
      seeds.push_back(static_cast<char>(encoding) + std::move(data));
    }
  }
  Fuzz("chunks", seeds, [](const std::string& input) {
    if (input.empty()) return;
    for (const storage::Window window : {storage::Window{}, storage::Window{20'000, 200'000}}) {
      storage::SampleColumns c;
      const base::Status status =
          chunk::Decode(static_cast<chunk::Encoding>(input[0] & 7), std::string_view(input).substr(1), window, 0, &c);
      CheckColumns(c);
      if (!status) EXPECT_TRUE(c.times.empty()) << "half a chunk that did not decode";
    }
  });
}

// An index and the stretches of it that are under a checksum, so that damage gets past them.
struct SealedIndex {
  std::string bytes;
  struct Stretch {
    size_t begin, length;
  };
  std::vector<Stretch> stretches;  // the checksum behind each
};

SealedIndex MakeIndex() {
  base::SimulatedFileSystem fs;
  std::vector<std::string> texts = {"", "__name__", "instance", "job", "up"};
  for (int i = 0; i < 9; ++i) texts.push_back("host-" + std::to_string(i));
  std::sort(texts.begin(), texts.end());
  const std::vector<std::string_view> symbols(texts.begin(), texts.end());
  auto writer = *index::IndexWriter::Create(&fs, "index", symbols);
  for (int i = 0; i < 9; ++i) {
    const auto labels = model::Labels::FromPairs({{"__name__", "up"}, {"instance", "host-" + std::to_string(i)}, {"job", "up"}});
    const index::ChunkMeta chunks[] = {{100, 200, 8}, {300, 400, 90}};
    EXPECT_TRUE(writer->AddSeries(labels.view(), chunks));
  }
  EXPECT_TRUE(writer->Finish());
  SealedIndex out{*fs.ReadFile("index"), {}};
  const std::string& b = out.bytes;
  // Whatever stretch is followed by its checksum.
  for (size_t at = 5; at + 8 < b.size(); ++at) {
    const uint32_t length = base::Decoder(std::string_view(b).substr(at)).Be32();
    if (length > 0 && length <= b.size() - at - 8 &&
        base::Decoder(std::string_view(b).substr(at + 4 + length)).Be32() == base::Crc32c(std::string_view(b).substr(at + 4, length))) {
      out.stretches.push_back({at + 4, length});
    }
    const auto small = static_cast<unsigned char>(b[at]);
    if (small > 4 && small < 0x80 && at + 5 + small <= b.size() &&
        base::Decoder(std::string_view(b).substr(at + 1 + small)).Be32() == base::Crc32c(std::string_view(b).substr(at + 1, small))) {
      out.stretches.push_back({at + 1, small});
    }
  }
  out.stretches.push_back({b.size() - 52, 48});
  return out;
}

TEST(FuzzTest, Indexes) {
  const SealedIndex sealed = MakeIndex();
  EXPECT_GT(sealed.stretches.size(), 20u);
  Fuzz("indexes", {sealed.bytes}, [&](std::string input) {
    if (input.size() == sealed.bytes.size()) {
      for (const auto& [begin, length] : sealed.stretches) {
        std::string crc;
        base::PutBe32(&crc, base::Crc32c(std::string_view(input).substr(begin, length)));
        input.replace(begin + length, 4, crc);
      }
    }
    base::SimulatedFileSystem fs;
    ASSERT_TRUE(fs.WriteFileAtomically("index", input));
    const auto reader = index::IndexReader::Open("index", *fs.Map("index"));
    if (!reader) return;
    const index::IndexReader& r = **reader;
    std::vector<std::vector<model::Matcher>> queries(1);
    queries.push_back({model::Matcher::Equal("job", "up"), *model::Matcher::Make(model::MatchOp::kRegex, "instance", "host-[2-5]")});
    queries.push_back({*model::Matcher::Make(model::MatchOp::kNotRegex, "instance", "host-[2-5]")});
    for (const auto& q : queries) {
      const auto ids = r.Select(q);
      if (!ids) continue;
      std::string labels;
      std::vector<index::ChunkMeta> chunks;
      for (const index::SeriesId id : *ids) base::Ignore(r.ReadSeries(id, &labels, &chunks));
      base::Ignore(r.ValuesOf("instance", *ids));
      base::Ignore(r.NamesOf(*ids));
    }
    r.Symbols();
    r.Names();
    r.ValuesOf("instance");
  });
}

TEST(FuzzTest, TombstonesAndMeta) {
  const std::string stones = FormatTombstones({{1, {{5, 10}, {20, 30}}}, {90000, {{-7, 7}}}});
  Fuzz("tombstones", {stones}, [](std::string input) {
    base::Ignore(ParseTombstones(input));
    if (input.size() < 9) return;
    std::string crc;
    base::PutBe32(&crc, base::Crc32c(std::string_view(input).substr(5, input.size() - 9)));
    base::Ignore(ParseTombstones(input.replace(input.size() - 4, 4, crc)));
  });
  BlockMeta meta;
  meta.ulid = "01BZJ9WJQPWHGNC2W4J9TA62KC";
  meta.max_time = 100;
  meta.sources = {meta.ulid};
  meta.parents = {{meta.ulid, 0, 50}};
  meta.hints = {"from-out-of-order"};
  Fuzz("meta", {FormatBlockMeta(meta)}, [](const std::string& input) {
    if (const auto m = ParseBlockMeta(input)) EXPECT_TRUE(ParseBlockMeta(FormatBlockMeta(*m)));
  });
}

void DecodeRecord(std::string_view record) {
  switch (wal::TypeOf(record)) {
    case wal::RecordType::kSeries: {
      wal::DecodedSeries out;
      base::Ignore(wal::DecodeSeries(record, &out));
      for (size_t i = 0; i < out.refs.size(); ++i) {
        for (const model::Label& l : out.labels(i)) ASSERT_LE(l.name.size(), record.size());
      }
      return;
    }
    case wal::RecordType::kSamples:
    case wal::RecordType::kSamplesV2: {
      std::vector<storage::FloatSample> out;
      base::Ignore(wal::DecodeSamples(record, &out));
      return;
    }
    case wal::RecordType::kTombstones: {
      std::vector<wal::Tombstone> out;
      base::Ignore(wal::DecodeTombstones(record, &out));
      return;
    }
    case wal::RecordType::kExemplars: {
      std::vector<wal::ExemplarEntry> out;
      base::Ignore(wal::DecodeExemplars(record, &out));
      return;
    }
    case wal::RecordType::kMetadata: {
      std::vector<wal::MetadataEntry> out;
      base::Ignore(wal::DecodeMetadata(record, &out));
      return;
    }
    case wal::RecordType::kMmapMarkers: {
      std::vector<wal::MmapMarker> out;
      base::Ignore(wal::DecodeMmapMarkers(record, &out));
      return;
    }
    case wal::RecordType::kHistograms:
    case wal::RecordType::kFloatHistograms:
    case wal::RecordType::kCustomHistograms:
    case wal::RecordType::kCustomFloatHistograms:
    case wal::RecordType::kHistogramsV2:
    case wal::RecordType::kFloatHistogramsV2: {
      std::vector<wal::HistogramEntry> out;
      base::Ignore(wal::DecodeHistograms(record, &out));
      for (const wal::HistogramEntry& e : out) ASSERT_NE(e.histogram, nullptr);
      return;
    }
    case wal::RecordType::kMinValidTime:
    case wal::RecordType::kUnknown: return;
  }
}

std::vector<std::string> Records() {
  std::vector<std::string> out(6);
  const auto labels = model::Labels::FromPairs({{"__name__", "up"}, {"job", "node"}});
  wal::EncodeSeries(7, labels.view(), &out[0]);
  wal::EncodeSamples(std::vector<storage::FloatSample>{{7, 1000, 1.5}, {9, 1001, 2}}, &out[1]);
  wal::EncodeTombstones(std::vector<wal::Tombstone>{{7, 1, 2}}, &out[2]);
  wal::EncodeMetadata(std::vector<wal::MetadataEntry>{{7, {}}}, &out[3]);
  wal::EncodeHistograms(std::vector<wal::HistogramEntry>{{7, 1000, SomeHistogram(1, true)}, {7, 2000, SomeHistogram(2, true)}}, &out[4]);
  wal::EncodeHistograms(std::vector<wal::HistogramEntry>{{7, 1000, SomeHistogram(1, false)}}, &out[5]);
  // The newer forms of samples and histograms, the types 5 and 11 to 13, begin alike.
  for (const char type : {5, 11, 12, 13}) {
    out.push_back(out[type < 12 ? 1 : 4]);
    out.back()[0] = type;
  }
  return out;
}

TEST(FuzzTest, LogRecords) {
  Fuzz("records", Records(), [](const std::string& input) { DecodeRecord(input); });
}

TEST(FuzzTest, LogSegments) {
  std::vector<std::string> seeds;
  for (const wal::Compression c : {wal::Compression::kNone, wal::Compression::kSnappy, wal::Compression::kZstd}) {
    std::string segment;
    uint64_t offset = 0;
    for (const std::string& r : Records()) wal::Frame(wal::Pack(r, c), &offset, &segment);
    wal::Frame(wal::Pack(std::string(40'000, 'x') + FloatChunk(), c), &offset, &segment);  // in several fragments
    for (const std::string& r : Records()) wal::Frame(wal::Pack(r, c), &offset, &segment);
    seeds.push_back(std::move(segment));
  }
  Fuzz("segments", seeds, [](const std::string& input) {
    wal::SegmentReader reader(input);
    std::string_view record;
    while (reader.Next(&record)) DecodeRecord(record);
    for (const wal::Damage& d : reader.damage()) EXPECT_LE(d.offset, d.resumed_at);
  });
}

TEST(FuzzTest, ABitFlippedUnderAChecksumOfTheLogIsNoticed) {
  for (const wal::Compression c : {wal::Compression::kNone, wal::Compression::kSnappy, wal::Compression::kZstd}) {
    std::string segment;
    uint64_t offset = 0;
    std::vector<uint64_t> types;  // the byte that says how a fragment goes on and is packed: the format's checksum leaves it out
    std::vector<std::string> records = Records();
    for (const std::string& r : records) {
      types.push_back(offset);
      wal::Frame(wal::Pack(r, c), &offset, &segment);
    }
    std::sort(records.begin(), records.end());
    for (size_t bit = 0; bit < segment.size() * 8; ++bit) {
      if (std::find(types.begin(), types.end(), bit / 8) != types.end()) continue;
      std::string damaged = segment;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
      wal::SegmentReader reader(damaged);
      std::string_view record;
      size_t read = 0;
      while (reader.Next(&record)) {
        ++read;
        EXPECT_TRUE(std::binary_search(records.begin(), records.end(), record)) << "bit " << bit << ": a damaged record came out";
      }
      EXPECT_LT(read, records.size()) << "bit " << bit;
      EXPECT_FALSE(reader.damage().empty()) << "bit " << bit << ": lost without a word";
    }
  }
}

TEST(FuzzTest, Compression) {
  const std::string text = FloatChunk() + std::string(5000, 'a') + FloatChunk();
  Fuzz("snappy", {base::SnappyEncode(text)}, [](const std::string& input) {
    if (const auto out = base::SnappyDecode(input, kLimitBytes)) EXPECT_LE(out->size(), kLimitBytes);
  });
  Fuzz("zstd", {base::ZstdEncode(text)}, [](const std::string& input) {
    if (const auto out = base::ZstdDecode(input, kLimitBytes)) EXPECT_LE(out->size(), kLimitBytes);
  });
}

}  // namespace
}  // namespace tocsin::tsdb
