// Chunks, and the files of chunks_head/.

#include "base/check.h"
#include "base/coding.h"
#include "base/digest.h"
#include "base/simulated_file_system.h"
#include "samples.h"
#include "target.h"
#include "tsdb/chunk/histogram_chunk.h"
#include "tsdb/chunk/xor.h"
#include "tsdb/chunk/xor2.h"
#include "tsdb/head_chunks.h"

namespace tocsin::fuzz {
namespace {

namespace chunk = tsdb::chunk;

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

// One of each encoding and form, the encoding before it.
std::vector<std::string> Chunks() {
  std::vector<std::string> all = {"\x01" + FloatChunk()};
  std::vector<model::Timestamp> times, starts;
  std::vector<double> values;
  std::vector<model::HistogramPtr> integers, floats, custom;
  for (int i = 0; i < 20; ++i) {
    times.push_back(1000 + 15'000 * i);
    starts.push_back(i < 10 ? 500 : 100'000);
    values.push_back(i % 7 == 3 ? model::StaleMarker() : i / 2);
    integers.push_back(SomeHistogram(i, true));
    floats.push_back(SomeHistogram(i, false));
    custom.push_back(CustomHistogram(i, true));
  }
  all.push_back("\x04" + chunk::EncodeXor2(times, values, {}));
  all.push_back("\x04" + chunk::EncodeXor2(times, values, starts));
  chunk::Encoding encoding;
  for (const auto& list : {integers, floats, custom}) {
    for (const auto& s : {std::vector<model::Timestamp>(), starts}) {
      std::string data = chunk::EncodeHistograms(times, list, model::CounterReset::kUnknown, &encoding, s);
      all.push_back(static_cast<char>(encoding) + std::move(data));
    }
  }
  return all;
}

void CheckColumns(const storage::SampleColumns& c) {
  TOCSIN_CHECK(c.times.size() == c.values.size());
  TOCSIN_CHECK(c.histogram_at.size() == c.histograms.size());
  TOCSIN_CHECK(c.start_times.empty() || c.start_times.size() == c.times.size());
  for (const uint32_t at : c.histogram_at) TOCSIN_CHECK(at < c.times.size());
  for (const model::HistogramPtr& h : c.histograms) TOCSIN_CHECK(h != nullptr);
}

// The first byte is the encoding.
void RunChunk(const std::string& input) {
  if (input.empty()) return;
  const auto encoding = static_cast<chunk::Encoding>(input[0] & 7);
  const std::string_view data = std::string_view(input).substr(1);
  for (const storage::Window window : {storage::Window{}, storage::Window{20'000, 200'000}}) {
    storage::SampleColumns c;
    const base::Status status = chunk::Decode(encoding, data, window, 0, &c);
    CheckColumns(c);
    TOCSIN_CHECK(status || c.times.empty()) << "half a chunk that did not decode";
    if (encoding != chunk::Encoding::kXor) continue;
    // The other readers of float chunks agree.
    model::Timestamp last_t = 0;
    double last_v = 0;
    const auto last = chunk::DecodeXorLast(data, window, 0, &last_t, &last_v);
    if (!status || !last) continue;
    TOCSIN_CHECK(!*last || !c.times.empty()) << last_t;
    if (window.upto != storage::Window{}.upto) continue;
    chunk::XorCursor cursor;
    std::vector<model::Timestamp> times;
    std::vector<double> values;
    const size_t count = chunk::SampleCount(encoding, data);
    TOCSIN_CHECK(chunk::ContinueXor(data, count / 2, &cursor, &times, &values).has_value());
    TOCSIN_CHECK(chunk::ContinueXor(data, count, &cursor, &times, &values).has_value());
    TOCSIN_CHECK(times.size() == count && cursor.count == count);
  }
}

constexpr size_t kFileHeader = 8, kChunkHeader = 25;

// A file of chunks_head/ with right checksums, so that what is wrong inside is seen.
std::string Reseal(std::string file) {
  for (size_t at = kFileHeader; at + kChunkHeader < file.size();) {
    base::Decoder in(std::string_view(file).substr(at));
    in.Bytes(kChunkHeader);
    const uint64_t length = in.Uvarint();
    if (!in.ok() || in.left() < 4 || length > in.left() - 4) break;
    const size_t covered = in.offset() + length;
    std::string crc;
    base::PutBe32(&crc, base::Crc32c(std::string_view(file).substr(at, covered)));
    file.replace(at + covered, 4, crc);
    at += covered + 4;
  }
  return file;
}

std::vector<std::string> HeadFiles() {
  base::SimulatedFileSystem fs;
  tsdb::HeadChunks::Loaded loaded;
  auto files = tsdb::HeadChunks::Open({.fs = &fs, .folder = "chunks_head"}, model::kMinTimestamp, &loaded);
  uint64_t series = 0;
  for (const std::string& c : Chunks()) {
    const auto encoding = static_cast<chunk::Encoding>(c[0]);
    ++series;
    TOCSIN_CHECK((*files)->Add(series, 1000, 286'000, encoding, series % 2 == 0, std::string_view(c).substr(1)).has_value());
  }
  TOCSIN_CHECK((*files)->Write().has_value());
  return {*fs.ReadFile("chunks_head/000001")};
}

void OpenHeadChunks(const std::string& file) {
  base::SimulatedFileSystem fs;
  TOCSIN_CHECK(fs.CreateFolders("chunks_head").has_value());
  TOCSIN_CHECK(fs.WriteFileAtomically("chunks_head/000001", file).has_value());
  size_t first = 0;
  // A second start finds what the first did, and has nothing to mend.
  for (const int start : {1, 2}) {
    tsdb::HeadChunks::Loaded loaded;
    const auto files = tsdb::HeadChunks::Open({.fs = &fs, .folder = "chunks_head"}, model::kMinTimestamp, &loaded);
    TOCSIN_CHECK(files.has_value()) << files.error().message();
    for (const tsdb::HeadChunk& c : loaded.chunks) {
      const auto data = (*files)->Read(c.number);
      TOCSIN_CHECK(data.has_value()) << data.error().message();
      storage::SampleColumns columns;
      base::Ignore(chunk::Decode(c.encoding, *data, {}, 0, &columns));  // the checksum was right, the contents need not be
      CheckColumns(columns);
    }
    if (start == 1) first = loaded.chunks.size();
    TOCSIN_CHECK(loaded.chunks.size() == first) << start;
  }
}

void RunHeadChunks(const std::string& input) {
  OpenHeadChunks(input);
  OpenHeadChunks(Reseal(input));
}

}  // namespace

std::vector<Target> ChunkTargets() {
  return {{.name = "chunks", .seeds = Chunks, .run = RunChunk},
          {.name = "head_chunks", .rounds = 1000, .seeds = HeadFiles, .run = RunHeadChunks}};
}

}  // namespace tocsin::fuzz
