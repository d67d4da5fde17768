#pragma once

// The records of the write-ahead log, as Prometheus writes and reads them.  Integers are big-endian;
// v: zigzag varint, u: varint, s: u length and bytes.  One type byte, then
//
//   1 series       { ref(8) labels }*            labels = u count { s name, s value }*
//   2 samples      ref0(8) t0(8) { v ref-ref0, v t-t0, value(8) }*
//   3 tombstones   { ref(8) v mint, v maxt }*
//   4 exemplars    ref0(8) t0(8) { v ref-ref0, v t-t0, value(8), labels }*
//   5 mmap markers { ref(8) chunk(8) }*           (only in wbl/)
//   6 metadata     { u ref, type(1), u fields { s name, s value }* }*
//   7, 9  integer histograms (9: custom bounds)  ref0(8) t0(8) { v ref-ref0, v t-t0, histogram }*
//   8, 10 float histograms   (10: custom bounds)
//   11 samples     v ref, v t, v start, value(8) { v ref-previous, v t-t0, begun, value(8) }*
//                  begun = 0 not known | 1 as that of the entry before | 2 v start-start0
//   12, 13 histograms with start times: 7 and 9, 8 and 10 with the numbers of 11
//   14 min valid time  t(8)                       (only in checkpoints of newer versions)
//   histogram  = hint(1) v schema, zero threshold(8), zero, count, sum(8), spans, spans, buckets, buckets,
//                [u n bounds(8)*]                 counts: u and v deltas, or doubles
//
// Start times (when what a sample counts began; ms, 0: not known) make a record one of 11 to 13, which older
// versions of Prometheus do not know; without them 1 to 10 are written.  14 is passed over.
//
// Threads: pure functions.
// Errors:  kDataLoss, with how far the record could be read; what was decoded before stays in `out`.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/exemplar.h"
#include "model/histogram.h"
#include "model/labels.h"
#include "model/sample.h"
#include "storage/appender.h"
#include "tsdb/wal/segment.h"

namespace tocsin::tsdb::wal {

enum class RecordType : uint8_t {
  kUnknown = 0,
  kSeries = 1,
  kSamples = 2,
  kTombstones = 3,
  kExemplars = 4,
  kMmapMarkers = 5,
  kMetadata = 6,
  kHistograms = 7,
  kFloatHistograms = 8,
  kCustomHistograms = 9,
  kCustomFloatHistograms = 10,
  kSamplesV2 = 11,
  kHistogramsV2 = 12,
  kFloatHistogramsV2 = 13,
  kMinValidTime = 14,
};

// kUnknown for an empty record and for types this version does not know.
RecordType TypeOf(std::string_view record);

// Series, their labels one after another in `text` (in the encoding of model::Labels).
struct DecodedSeries {
  std::vector<storage::SeriesRef> refs;
  std::vector<size_t> ends;  // in text
  std::string text;

  void Clear() { refs.clear(), ends.clear(), text.clear(); }
  model::LabelsView labels(size_t i) const {
    const size_t begin = i == 0 ? 0 : ends[i - 1];
    return model::LabelsView(std::string_view(text).substr(begin, ends[i] - begin));
  }
};

struct Tombstone {
  storage::SeriesRef ref = 0;
  model::Timestamp mint = 0;  // both inclusive
  model::Timestamp maxt = 0;
  friend bool operator==(const Tombstone&, const Tombstone&) = default;
};

struct ExemplarEntry {
  storage::SeriesRef ref = 0;
  model::Exemplar exemplar;
};

struct MetadataEntry {
  storage::SeriesRef ref = 0;
  model::Metadata metadata;
};

struct HistogramEntry {
  storage::SeriesRef ref = 0;
  model::Timestamp t = 0;
  model::HistogramPtr histogram;
  model::Timestamp start = 0;
};

struct MmapMarker {
  storage::SeriesRef ref = 0;
  uint64_t chunk = 0;
};

// Each appends a whole record to `out`.  Series are added one by one: call with an empty `out` for
// the first.
void EncodeSeries(storage::SeriesRef ref, model::LabelsView labels, std::string* out);
// `starts`: empty, or the start time of each sample.
void EncodeSamples(std::span<const storage::FloatSample> samples, std::string* out,
                   std::span<const model::Timestamp> starts = {});
void EncodeTombstones(std::span<const Tombstone> tombstones, std::string* out);
void EncodeExemplars(std::span<const ExemplarEntry> exemplars, std::string* out);
void EncodeMetadata(std::span<const MetadataEntry> metadata, std::string* out);
void EncodeMmapMarkers(std::span<const MmapMarker> markers, std::string* out);
// One kind to a record: integer or float, custom bounds or not; RecordTypeOf says which.
void EncodeHistograms(std::span<const HistogramEntry> histograms, std::string* out);
RecordType RecordTypeOf(const model::Histogram& histogram);
// Calls for each run of one kind: in order, so that a series with several kinds is replayed as it was.
template <class Visit>
void ForEachKind(std::span<const HistogramEntry> histograms, Visit visit) {
  for (size_t begin = 0, end; begin < histograms.size(); begin = end) {
    const RecordType type = RecordTypeOf(*histograms[begin].histogram);
    for (end = begin + 1; end < histograms.size() && RecordTypeOf(*histograms[end].histogram) == type;) ++end;
    visit(histograms.subspan(begin, end - begin));
  }
}
// EncodeSamples() and Pack() in one: knowing where the values stand it compresses faster.  Empty for no samples.
PackedRecord PackSamples(std::span<const storage::FloatSample> samples, Compression compression,
                         std::span<const model::Timestamp> starts = {});

// Each appends what the record holds.  REQUIRES: the record is of a type that the function reads.
base::Status DecodeSeries(std::string_view record, DecodedSeries* out);
// `starts` may be null; where some sample of `out` has a start time it has one for each, else it stays empty.
base::Status DecodeSamples(std::string_view record, std::vector<storage::FloatSample>* out,
                           std::vector<model::Timestamp>* starts = nullptr);
base::Status DecodeTombstones(std::string_view record, std::vector<Tombstone>* out);
base::Status DecodeExemplars(std::string_view record, std::vector<ExemplarEntry>* out);
base::Status DecodeMetadata(std::string_view record, std::vector<MetadataEntry>* out);
base::Status DecodeHistograms(std::string_view record, std::vector<HistogramEntry>* out);
base::Status DecodeMmapMarkers(std::string_view record, std::vector<MmapMarker>* out);

}  // namespace tocsin::tsdb::wal
