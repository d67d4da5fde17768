// The log's records and segments, and what unpacks them.

#include "base/check.h"
#include "base/compress.h"
#include "log_records.h"
#include "samples.h"
#include "target.h"
#include "tsdb/wal/record.h"
#include "tsdb/wal/segment.h"

namespace tocsin::fuzz {

namespace wal = tsdb::wal;

std::vector<std::string> LogRecords() {
  std::vector<std::string> out(10);
  wal::EncodeSeries(7, model::Labels::FromPairs({{"__name__", "up"}, {"job", "node"}}).view(), &out[0]);
  wal::EncodeSeries(9, model::Labels::FromPairs({{"__name__", "up"}, {"job", "tocsin"}}).view(), &out[0]);
  wal::EncodeSamples(std::vector<storage::FloatSample>{{7, 1000, 1.5}, {9, 1001, 2}}, &out[1]);
  wal::EncodeTombstones(std::vector<wal::Tombstone>{{7, 1, 2}}, &out[2]);
  wal::EncodeMetadata(std::vector<wal::MetadataEntry>{{7, {model::MetricType::kCounter, "s", "Help."}}}, &out[3]);
  wal::EncodeHistograms(std::vector<wal::HistogramEntry>{{7, 1000, SomeHistogram(1, true)}, {7, 2000, SomeHistogram(2, true)}}, &out[4]);
  wal::EncodeHistograms(std::vector<wal::HistogramEntry>{{7, 3000, SomeHistogram(1, false)}}, &out[5]);
  wal::EncodeHistograms(std::vector<wal::HistogramEntry>{{9, 3000, CustomHistogram(1, true)}}, &out[6]);
  wal::EncodeHistograms(std::vector<wal::HistogramEntry>{{9, 4000, CustomHistogram(1, false)}}, &out[7]);
  wal::EncodeExemplars(std::vector<wal::ExemplarEntry>{{7, {.labels = model::Labels::FromPairs({{"trace", "x"}}), .value = 1, .t = 1000}}}, &out[8]);
  wal::EncodeMmapMarkers(std::vector<wal::MmapMarker>{{7, 8}}, &out[9]);
  // With start times: types 11 to 13.  14 is a time.
  out.resize(13);
  wal::EncodeSamples(std::vector<storage::FloatSample>{{7, 1000, 1.5}, {9, 1001, 2}, {9, 1002, 3}}, &out[10], std::vector<model::Timestamp>{500, 500, 0});
  wal::EncodeHistograms(std::vector<wal::HistogramEntry>{{7, 1000, SomeHistogram(1, true), 500}, {9, 2000, SomeHistogram(2, true), 600}}, &out[11]);
  wal::EncodeHistograms(std::vector<wal::HistogramEntry>{{7, 3000, SomeHistogram(1, false), 500}}, &out[12]);
  out.push_back(std::string("\x0e\0\0\0\0\0\0\0\x05", 9));
  return out;
}

namespace {

constexpr size_t kLimitBytes = 1 << 20;  // of decompressed data

template <class Entry>
void Decode(std::string_view record, base::Status (*decode)(std::string_view, std::vector<Entry>*)) {
  std::vector<Entry> out;
  base::Ignore(decode(record, &out));  // an error is an answer
  TOCSIN_CHECK(out.size() <= record.size()) << out.size() << " entries in " << record.size() << " bytes";
  if constexpr (std::is_same_v<Entry, wal::HistogramEntry>) {
    for (const wal::HistogramEntry& e : out) TOCSIN_CHECK(e.histogram != nullptr);
  }
}

void RunRecord(std::string_view record) {
  switch (wal::TypeOf(record)) {
    case wal::RecordType::kSeries: {
      wal::DecodedSeries out;
      base::Ignore(wal::DecodeSeries(record, &out));  // an error is an answer
      for (size_t i = 0; i < out.refs.size(); ++i) {
        for (const model::Label& l : out.labels(i)) TOCSIN_CHECK(l.name.size() <= record.size());
      }
      return;
    }
    case wal::RecordType::kSamples:
    case wal::RecordType::kSamplesV2: {
      std::vector<storage::FloatSample> out;
      std::vector<model::Timestamp> starts;
      base::Ignore(wal::DecodeSamples(record, &out, &starts));  // an error is an answer
      TOCSIN_CHECK(out.size() <= record.size()) << out.size() << " entries in " << record.size() << " bytes";
      TOCSIN_CHECK(starts.empty() || starts.size() == out.size()) << starts.size() << " start times of " << out.size();
      return;
    }
    case wal::RecordType::kTombstones: return Decode(record, wal::DecodeTombstones);
    case wal::RecordType::kExemplars: return Decode(record, wal::DecodeExemplars);
    case wal::RecordType::kMetadata: return Decode(record, wal::DecodeMetadata);
    case wal::RecordType::kMmapMarkers: return Decode(record, wal::DecodeMmapMarkers);
    case wal::RecordType::kHistograms:
    case wal::RecordType::kFloatHistograms:
    case wal::RecordType::kCustomHistograms:
    case wal::RecordType::kCustomFloatHistograms:
    case wal::RecordType::kHistogramsV2:
    case wal::RecordType::kFloatHistogramsV2: return Decode(record, wal::DecodeHistograms);
    case wal::RecordType::kMinValidTime:
    case wal::RecordType::kUnknown: return;
  }
}

std::vector<std::string> Segments() {
  std::vector<std::string> seeds;
  for (const wal::Compression c : {wal::Compression::kNone, wal::Compression::kSnappy, wal::Compression::kZstd}) {
    std::string segment;
    uint64_t offset = 0;
    for (const std::string& r : LogRecords()) wal::Frame(wal::Pack(r, c), &offset, &segment);
    std::string noise;
    for (uint32_t x = 1; noise.size() < 33'000; x = x * 1664525 + 1013904223) noise.push_back(static_cast<char>(x >> 24));
    wal::Frame(wal::Pack(noise, c), &offset, &segment);  // in several fragments
    for (const std::string& r : LogRecords()) wal::Frame(wal::Pack(r, c), &offset, &segment);
    seeds.push_back(std::move(segment));
  }
  return seeds;
}

void RunSegment(const std::string& input) {
  wal::SegmentReader reader(input);
  for (std::string_view record; reader.Next(&record);) RunRecord(record);
  for (const wal::Damage& d : reader.damage()) TOCSIN_CHECK(d.offset <= d.resumed_at && d.resumed_at <= input.size());
}

std::string Text() { return std::string(300, 'a') + "some text, some text" + std::string(5000, 'b'); }

void CheckUnpacked(const base::Result<std::string>& out) {
  TOCSIN_CHECK(!out || out->size() <= kLimitBytes);
}

}  // namespace

std::vector<Target> LogTargets() {
  return {{.name = "records", .seeds = LogRecords, .run = RunRecord},
          {.name = "segments", .seeds = Segments, .run = RunSegment},
          {.name = "snappy", .seeds = [] { return std::vector{base::SnappyEncode(Text())}; },
           .run = [](const std::string& input) { CheckUnpacked(base::SnappyDecode(input, kLimitBytes)); }},
          {.name = "zstd", .seeds = [] { return std::vector{base::ZstdEncode(Text())}; },
           .run = [](const std::string& input) { CheckUnpacked(base::ZstdDecode(input, kLimitBytes)); }},
          {.name = "gzip", .seeds = [] { return std::vector{base::Gzip(Text())}; },
           .run = [](const std::string& input) { CheckUnpacked(base::GunzipAll(input, kLimitBytes)); }}};
}

}  // namespace tocsin::fuzz
