#include "tsdb/wal/record.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include <fmt/format.h>

#include "base/check.h"
#include "base/coding.h"
#include "base/compress.h"

namespace tocsin::tsdb::wal {
namespace {

using storage::FloatSample;

using base::PutBe64;
using base::PutDouble;
using base::PutText;
using base::PutUvarint;
using base::PutVarint;
using Reader = base::Decoder;

// The difference of two numbers of 64 bits; it wraps, and so does its reading.
int64_t Diff(uint64_t a, uint64_t b) { return static_cast<int64_t>(a - b); }
int64_t DiffTime(int64_t a, int64_t b) { return Diff(static_cast<uint64_t>(a), static_cast<uint64_t>(b)); }

void PutLabels(std::string* out, model::LabelsView labels) {
  PutUvarint(out, labels.size());
  for (const auto& [name, value] : labels) {
    PutText(out, name);
    PutText(out, value);
  }
}

base::Status Finish(const Reader& in, std::string_view record, std::string_view what, size_t done) {
  if (in.ok()) return {};
  return base::DataLoss(fmt::format("{} record of {} bytes ends within its entry {}", what, record.size(), done + 1));
}

// How many bytes `n` labels take that stand in the record as in the encoding of model::Labels: sorted, none empty, and
// with lengths of one byte that mean the same in both.  0: they do not.
size_t PlainBytes(std::string_view data, size_t n) {
  const char* p = data.data();
  const char* const end = p + data.size();
  const auto next = [&p, end](std::string_view* part) {
    if (p == end || static_cast<uint8_t>(*p) >= 0x80 || static_cast<uint8_t>(*p) >= end - p) return false;
    *part = {p + 1, static_cast<size_t>(*p)};
    p += 1 + part->size();
    return true;
  };
  std::string_view before, name, value;
  for (size_t i = 0; i < n; ++i, before = name) {
    if (!next(&name) || !next(&value) || value.empty() || (i > 0 && before >= name)) return 0;
  }
  return static_cast<size_t>(p - data.data());
}

// Reads labels into the encoding of model::Labels, sorted whatever the order in the record.
void ReadLabels(Reader* in, std::vector<model::Label>* scratch, std::string* text) {
  const size_t n = in->Count(2);
  if (const size_t plain = PlainBytes({in->position(), in->left()}, n); plain > 0) {
    text->append(in->Bytes(plain));
    return;
  }
  scratch->clear();
  bool sorted = true;
  for (size_t i = 0; i < n && in->ok(); ++i) {
    const std::string_view name = in->Text();
    const std::string_view value = in->Text();
    if (!in->ok()) return;
    if (value.empty()) continue;  // the same as no label
    sorted = sorted && (scratch->empty() || scratch->back().name < name);
    scratch->push_back({name, value});
  }
  if (!sorted) {
    std::stable_sort(scratch->begin(), scratch->end(),
                     [](const model::Label& a, const model::Label& b) { return a.name < b.name; });
    scratch->erase(std::unique(scratch->begin(), scratch->end(),
                               [](const model::Label& a, const model::Label& b) { return a.name == b.name; }),
                   scratch->end());
  }
  for (const model::Label& l : *scratch) model::AppendEncodedLabel(l.name, l.value, text);
}

int64_t AddTime(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}

// Of an entry with a start time, what tells it.
enum Begun : uint8_t { kNotKnown = 0, kAsBefore = 1, kOwn = 2 };

Begun BegunOf(model::Timestamp start, model::Timestamp before) {
  return start == 0 ? kNotKnown : start == before ? kAsBefore : kOwn;
}

// Numbers of a sample: in the first form relative to the first entry, in the second the reference to
// the one before.
class Position {
 public:
  Position(Reader* in, bool v2) : in_(in), v2_(v2) {
    if (v2_) {
      ref_ = static_cast<uint64_t>(in_->Varint());
      t0_ = in_->Varint();
      start_ = start0_ = in_->Varint();
    } else {
      ref_ = in_->Be64();
      t0_ = static_cast<int64_t>(in_->Be64());
    }
  }
  void Next(storage::SeriesRef* ref, model::Timestamp* t) {
    if (v2_) {
      if (!first_) {
        ref_ += static_cast<uint64_t>(in_->Varint());
        *t = AddTime(t0_, in_->Varint());
        ReadStart();
      } else {
        *t = t0_;
      }
      *ref = ref_;
    } else {
      *ref = ref_ + static_cast<uint64_t>(in_->Varint());
      *t = AddTime(t0_, in_->Varint());
    }
    first_ = false;
  }
  // Of the entry that was read last.
  model::Timestamp start() const { return start_; }

  // What the first form's numbers are relative to.
  uint64_t ref() const { return ref_; }
  int64_t t0() const { return t0_; }

 private:
  void ReadStart() {
    const uint8_t begun = in_->Byte();
    if (begun == kNotKnown) {
      start_ = 0;
    } else if (begun != kAsBefore) {
      start_ = AddTime(start0_, in_->Varint());
    }
  }

  Reader* in_;
  bool v2_;
  bool first_ = true;
  uint64_t ref_ = 0;
  int64_t t0_ = 0;
  model::Timestamp start0_ = 0, start_ = 0;
};

// ---- histograms ----

// Counts are doubles in memory; what is no count (negative, NaN, beyond 2^63) is kept in range.
uint64_t AsUint(double v) { return !(v > 0) ? 0 : v >= 0x1p63 ? INT64_MAX : static_cast<uint64_t>(v); }

void PutSpans(std::string* out, const std::vector<model::Span>& spans) {
  PutUvarint(out, spans.size());
  for (const model::Span& s : spans) {
    PutVarint(out, s.offset);
    PutUvarint(out, s.length);
  }
}

void PutBuckets(std::string* out, const std::vector<double>& counts, bool integer) {
  PutUvarint(out, counts.size());
  int64_t last = 0;
  for (double c : counts) {
    if (!integer) {
      PutDouble(out, c);
      continue;
    }
    const auto v = static_cast<int64_t>(AsUint(c));
    PutVarint(out, v - last);
    last = v;
  }
}

void PutHistogram(std::string* out, const model::Histogram& h) {
  out->push_back(static_cast<char>(h.counter_reset));
  PutVarint(out, h.schema);
  PutDouble(out, h.zero_threshold);
  if (h.integer) {
    PutUvarint(out, AsUint(h.zero_count));
    PutUvarint(out, AsUint(h.count));
  } else {
    PutDouble(out, h.zero_count);
    PutDouble(out, h.count);
  }
  PutDouble(out, h.sum);
  PutSpans(out, h.positive_spans);
  PutSpans(out, h.negative_spans);
  PutBuckets(out, h.positive_buckets, h.integer);
  PutBuckets(out, h.negative_buckets, h.integer);
  if (h.uses_custom_buckets()) {
    PutUvarint(out, h.custom_values.size());
    for (double b : h.custom_values) PutDouble(out, b);
  }
}

void ReadSpans(Reader* in, std::vector<model::Span>* spans) {
  const size_t n = in->Count(2);
  for (size_t i = 0; i < n && in->ok(); ++i) {
    model::Span s;
    s.offset = static_cast<int32_t>(in->Varint());
    s.length = static_cast<uint32_t>(in->Uvarint());
    spans->push_back(s);
  }
}

void ReadBuckets(Reader* in, bool integer, std::vector<double>* counts) {
  const size_t n = in->Count(integer ? 1 : 8);
  uint64_t running = 0;
  for (size_t i = 0; i < n && in->ok(); ++i) {
    if (integer) {
      running += static_cast<uint64_t>(in->Varint());
      counts->push_back(static_cast<double>(static_cast<int64_t>(running)));
    } else {
      counts->push_back(in->Double());
    }
  }
}

void ReadHistogram(Reader* in, model::Histogram* h) {
  const uint8_t hint = in->Byte();
  h->counter_reset = hint <= 3 ? static_cast<model::CounterReset>(hint) : model::CounterReset::kUnknown;
  h->schema = static_cast<int32_t>(in->Varint());
  h->zero_threshold = in->Double();
  if (h->integer) {
    h->zero_count = static_cast<double>(in->Uvarint());
    h->count = static_cast<double>(in->Uvarint());
  } else {
    h->zero_count = in->Double();
    h->count = in->Double();
  }
  h->sum = in->Double();
  ReadSpans(in, &h->positive_spans);
  ReadSpans(in, &h->negative_spans);
  ReadBuckets(in, h->integer, &h->positive_buckets);
  ReadBuckets(in, h->integer, &h->negative_buckets);
  if (h->uses_custom_buckets()) {
    const size_t n = in->Count(8);
    for (size_t i = 0; i < n && in->ok(); ++i) h->custom_values.push_back(in->Double());
  }
}

// Whether the spans ask for the buckets that are there, so that readers may trust them.
bool Consistent(const model::Histogram& h) {
  uint64_t positive = 0, negative = 0;
  for (const model::Span& s : h.positive_spans) positive += s.length;
  for (const model::Span& s : h.negative_spans) negative += s.length;
  return positive == h.positive_buckets.size() && negative == h.negative_buckets.size() &&
         ((h.schema >= -4 && h.schema <= 8) || h.uses_custom_buckets());
}

}  // namespace

RecordType TypeOf(std::string_view record) {
  if (record.empty()) return RecordType::kUnknown;
  const auto type = static_cast<uint8_t>(record[0]);
  return type <= static_cast<uint8_t>(RecordType::kMinValidTime) ? static_cast<RecordType>(type) : RecordType::kUnknown;
}

void EncodeSeries(storage::SeriesRef ref, model::LabelsView labels, std::string* out) {
  if (out->empty()) out->push_back(static_cast<char>(RecordType::kSeries));
  PutBe64(out, ref);
  PutLabels(out, labels);
}

namespace {

// Writes entries of samples into memory that has room for them.
struct EntryWriter {
  // Three varints of at most ten bytes, what tells the start time, the value.
  static constexpr size_t kMostBytes = 39;

  char* p;

  void PutVarint(int64_t v) {
    uint64_t u = static_cast<uint64_t>(v) << 1 ^ static_cast<uint64_t>(v >> 63);
    for (; u >= 0x80; u >>= 7) *p++ = static_cast<char>(u | 0x80);
    *p++ = static_cast<char>(u);
  }
  void PutValue(double value) {
    const uint64_t v = __builtin_bswap64(std::bit_cast<uint64_t>(value));
    std::memcpy(p, &v, 8);
    p += 8;
  }
};

// Appends the record; `place` is called with each value's place in it.
template <class Place>
void EncodeSamplesTo(std::span<const FloatSample> samples, std::string* out, Place place) {
  if (samples.empty()) return;
  const FloatSample& first = samples[0];
  out->push_back(static_cast<char>(RecordType::kSamples));
  PutBe64(out, first.ref);
  PutBe64(out, static_cast<uint64_t>(first.t));
  // Two varints of at most ten bytes and the value: room for the worst case, cut afterwards.
  const size_t begin = out->size();
  out->resize_and_overwrite(begin + samples.size() * 28, [&](char* data, size_t) {
    EntryWriter to{data + begin};
    for (const FloatSample& s : samples) {
      to.PutVarint(Diff(s.ref, first.ref));
      to.PutVarint(DiffTime(s.t, first.t));
      place(static_cast<uint32_t>(to.p - data));
      to.PutValue(s.v);
    }
    return to.p - data;
  });
}

// The same with start times.
template <class Place>
void EncodeStartedTo(std::span<const FloatSample> samples, std::span<const model::Timestamp> starts, std::string* out,
                     Place place) {
  if (samples.empty()) return;
  TOCSIN_DCHECK(starts.size() == samples.size()) << starts.size() << " start times of " << samples.size() << " samples";
  out->push_back(static_cast<char>(RecordType::kSamplesV2));
  const size_t begin = out->size();
  out->resize_and_overwrite(begin + samples.size() * EntryWriter::kMostBytes, [&](char* data, size_t) {
    EntryWriter to{data + begin};
    for (size_t i = 0; i < samples.size(); ++i) {
      const FloatSample& s = samples[i];
      if (i == 0) {
        to.PutVarint(static_cast<int64_t>(s.ref));
        to.PutVarint(s.t);
        to.PutVarint(starts[0]);
      } else {
        to.PutVarint(Diff(s.ref, samples[i - 1].ref));
        to.PutVarint(DiffTime(s.t, samples[0].t));
        const Begun begun = BegunOf(starts[i], starts[i - 1]);
        *to.p++ = static_cast<char>(begun);
        if (begun == kOwn) to.PutVarint(DiffTime(starts[i], starts[0]));
      }
      place(static_cast<uint32_t>(to.p - data));
      to.PutValue(s.v);
    }
    return to.p - data;
  });
}

}  // namespace

void EncodeSamples(std::span<const FloatSample> samples, std::string* out, std::span<const model::Timestamp> starts) {
  if (starts.empty()) {
    EncodeSamplesTo(samples, out, [](uint32_t) {});
  } else {
    EncodeStartedTo(samples, starts, out, [](uint32_t) {});
  }
}

PackedRecord PackSamples(std::span<const FloatSample> samples, Compression compression,
                         std::span<const model::Timestamp> starts) {
  // Kept by the thread, but for what one large batch needed.
  constexpr size_t kKeptBytes = 256 << 10;
  thread_local std::string record;
  thread_local std::vector<uint32_t> places;
  record.clear();
  places.resize(samples.size());
  uint32_t* next = places.data();
  if (starts.empty()) {
    EncodeSamplesTo(samples, &record, [&next](uint32_t at) { *next++ = at; });
  } else {
    EncodeStartedTo(samples, starts, &record, [&next](uint32_t at) { *next++ = at; });
  }
  PackedRecord packed;
  if (compression == Compression::kSnappy && !samples.empty()) {
    base::SnappyEncodeRows(record, places, &packed.bytes);
    packed.compression = Compression::kSnappy;
  }
  if (packed.bytes.empty() || packed.bytes.size() >= record.size()) packed = Pack(record, compression);
  if (record.capacity() > kKeptBytes) {
    std::string().swap(record);  // an assignment would keep its memory
    places = std::vector<uint32_t>();
  }
  return packed;
}

void EncodeTombstones(std::span<const Tombstone> tombstones, std::string* out) {
  out->push_back(static_cast<char>(RecordType::kTombstones));
  for (const Tombstone& t : tombstones) {
    PutBe64(out, t.ref);
    PutVarint(out, t.mint);
    PutVarint(out, t.maxt);
  }
}

void EncodeExemplars(std::span<const ExemplarEntry> exemplars, std::string* out) {
  if (exemplars.empty()) return;
  const ExemplarEntry& first = exemplars[0];
  out->push_back(static_cast<char>(RecordType::kExemplars));
  PutBe64(out, first.ref);
  PutBe64(out, static_cast<uint64_t>(first.exemplar.t));
  for (const ExemplarEntry& e : exemplars) {
    PutVarint(out, Diff(e.ref, first.ref));
    PutVarint(out, DiffTime(e.exemplar.t, first.exemplar.t));
    PutDouble(out, e.exemplar.value);
    PutLabels(out, e.exemplar.labels);
  }
}

void EncodeMetadata(std::span<const MetadataEntry> metadata, std::string* out) {
  out->push_back(static_cast<char>(RecordType::kMetadata));
  for (const MetadataEntry& m : metadata) {
    PutUvarint(out, m.ref);
    out->push_back(static_cast<char>(m.metadata.type));
    PutUvarint(out, 2);
    PutText(out, "UNIT");
    PutText(out, m.metadata.unit);
    PutText(out, "HELP");
    PutText(out, m.metadata.help);
  }
}

RecordType RecordTypeOf(const model::Histogram& h) {
  if (h.uses_custom_buckets()) {
    return h.integer ? RecordType::kCustomHistograms : RecordType::kCustomFloatHistograms;
  }
  return h.integer ? RecordType::kHistograms : RecordType::kFloatHistograms;
}

namespace {

void EncodeStartedHistograms(std::span<const HistogramEntry> histograms, std::string* out) {
  const HistogramEntry& first = histograms[0];
  out->push_back(static_cast<char>(first.histogram->integer ? RecordType::kHistogramsV2 : RecordType::kFloatHistogramsV2));
  PutVarint(out, static_cast<int64_t>(first.ref));
  PutVarint(out, first.t);
  PutVarint(out, first.start);
  PutHistogram(out, *first.histogram);
  for (size_t i = 1; i < histograms.size(); ++i) {
    const HistogramEntry& h = histograms[i];
    const HistogramEntry& before = histograms[i - 1];
    PutVarint(out, Diff(h.ref, before.ref));
    PutVarint(out, DiffTime(h.t, first.t));
    const Begun begun = BegunOf(h.start, before.start);
    out->push_back(static_cast<char>(begun));
    if (begun == kOwn) PutVarint(out, DiffTime(h.start, first.start));
    PutHistogram(out, *h.histogram);
  }
}

}  // namespace

void EncodeHistograms(std::span<const HistogramEntry> histograms, std::string* out) {
  if (histograms.empty()) return;
  const HistogramEntry& first = histograms[0];
  const RecordType type = RecordTypeOf(*first.histogram);
  for (const HistogramEntry& h : histograms) {
    TOCSIN_DCHECK(RecordTypeOf(*h.histogram) == type) << "two kinds of histograms in one record";
  }
  if (std::ranges::any_of(histograms, [](const HistogramEntry& h) { return h.start != 0; })) {
    EncodeStartedHistograms(histograms, out);
    return;
  }
  out->push_back(static_cast<char>(type));
  PutBe64(out, first.ref);
  PutBe64(out, static_cast<uint64_t>(first.t));
  for (const HistogramEntry& h : histograms) {
    PutVarint(out, Diff(h.ref, first.ref));
    PutVarint(out, DiffTime(h.t, first.t));
    PutHistogram(out, *h.histogram);
  }
}

base::Status DecodeSeries(std::string_view record, DecodedSeries* out) {
  Reader in(record.substr(1));
  std::vector<model::Label> scratch;
  const size_t begin = out->refs.size();
  while (in.more()) {
    const size_t text = out->text.size();
    const uint64_t ref = in.Be64();
    ReadLabels(&in, &scratch, &out->text);
    if (!in.ok()) {
      out->text.resize(text);
      break;
    }
    out->refs.push_back(ref);
    out->ends.push_back(out->text.size());
  }
  return Finish(in, record, "series", out->refs.size() - begin);
}

namespace {

// A varint of at most nine bytes, all of which are there.  False: it is longer.
bool ReadShortVarint(const char** p, uint64_t* v) {
  uint64_t u = 0;
  for (int shift = 0; shift < 63; shift += 7) {
    const auto b = static_cast<uint8_t>(*(*p)++);
    u |= static_cast<uint64_t>(b & 0x7f) << shift;
    if (b >= 0x80) continue;
    *v = u >> 1 ^ -(u & 1);
    return true;
  }
  return false;
}

// The entries of a record of the first form, as long as an entry of the greatest length is there and none has a number
// of ten bytes: nearly all of them.  Returns where it stopped.
const char* DecodeShortEntries(const char* p, const char* end, uint64_t ref0, uint64_t t0, std::vector<FloatSample>* out) {
  constexpr ptrdiff_t kMostBytes = 28;
  while (end - p >= kMostBytes) {
    const char* q = p;
    uint64_t ref, t, v;
    if (!ReadShortVarint(&q, &ref) || !ReadShortVarint(&q, &t)) break;
    std::memcpy(&v, q, 8);
    out->push_back({ref0 + ref, static_cast<model::Timestamp>(t0 + t), std::bit_cast<double>(__builtin_bswap64(v))});
    p = q + 8;
  }
  return p;
}

}  // namespace

base::Status DecodeSamples(std::string_view record, std::vector<FloatSample>* out, std::vector<model::Timestamp>* starts) {
  if (record.size() == 1) return {};
  Reader in(record.substr(1));
  const size_t begin = out->size();
  out->reserve(begin + in.left() / 10);
  const bool v2 = TypeOf(record) == RecordType::kSamplesV2;
  Position position(&in, v2);
  if (!v2 && in.ok()) {
    const char* const stop = DecodeShortEntries(in.position(), in.position() + in.left(), position.ref(),
                                                static_cast<uint64_t>(position.t0()), out);
    in.Bytes(static_cast<size_t>(stop - in.position()));
  }
  while (in.more()) {
    FloatSample s;
    position.Next(&s.ref, &s.t);
    s.v = in.Double();
    if (!in.ok()) break;
    out->push_back(s);
    if (starts != nullptr && position.start() != 0) {
      starts->resize(out->size());
      starts->back() = position.start();
    }
  }
  if (starts != nullptr && !starts->empty()) starts->resize(out->size());
  return Finish(in, record, "samples", out->size() - begin);
}

base::Status DecodeTombstones(std::string_view record, std::vector<Tombstone>* out) {
  Reader in(record.substr(1));
  const size_t begin = out->size();
  while (in.more()) {
    Tombstone t;
    t.ref = in.Be64();
    t.mint = in.Varint();
    t.maxt = in.Varint();
    if (!in.ok()) break;
    out->push_back(t);
  }
  return Finish(in, record, "tombstones", out->size() - begin);
}

base::Status DecodeExemplars(std::string_view record, std::vector<ExemplarEntry>* out) {
  if (record.size() == 1) return {};
  Reader in(record.substr(1));
  Position position(&in, false);
  std::vector<model::Label> scratch;
  std::string text;
  const size_t begin = out->size();
  while (in.more()) {
    ExemplarEntry e;
    position.Next(&e.ref, &e.exemplar.t);
    e.exemplar.value = in.Double();
    e.exemplar.has_timestamp = true;
    text.clear();
    ReadLabels(&in, &scratch, &text);
    if (!in.ok()) break;
    e.exemplar.labels = model::Labels::FromEncoded(text);
    out->push_back(std::move(e));
  }
  return Finish(in, record, "exemplars", out->size() - begin);
}

base::Status DecodeMetadata(std::string_view record, std::vector<MetadataEntry>* out) {
  Reader in(record.substr(1));
  const size_t begin = out->size();
  while (in.more()) {
    MetadataEntry m;
    m.ref = in.Uvarint();
    const uint8_t type = in.Byte();
    if (type <= static_cast<uint8_t>(model::MetricType::kStateset)) {
      // The numbers in the log: 1 counter, 2 gauge, 3 histogram, 4 gauge histogram, 5 summary, 6 info, 7 stateset.
      m.metadata.type = static_cast<model::MetricType>(type);
    }
    const size_t fields = in.Count(2);
    for (size_t i = 0; i < fields && in.ok(); ++i) {
      const std::string_view name = in.Text();
      const std::string_view value = in.Text();
      if (name == "UNIT") m.metadata.unit = value;
      if (name == "HELP") m.metadata.help = value;
    }
    if (!in.ok()) break;
    out->push_back(std::move(m));
  }
  return Finish(in, record, "metadata", out->size() - begin);
}

base::Status DecodeHistograms(std::string_view record, std::vector<HistogramEntry>* out) {
  if (record.size() == 1) return {};
  const RecordType type = TypeOf(record);
  const bool integer = type == RecordType::kHistograms || type == RecordType::kCustomHistograms ||
                       type == RecordType::kHistogramsV2;
  Reader in(record.substr(1));
  Position position(&in, type == RecordType::kHistogramsV2 || type == RecordType::kFloatHistogramsV2);
  const size_t begin = out->size();
  while (in.more()) {
    HistogramEntry e;
    position.Next(&e.ref, &e.t);
    auto h = std::make_shared<model::Histogram>();
    h->integer = integer;
    ReadHistogram(&in, h.get());
    if (!in.ok()) break;
    if (!Consistent(*h)) continue;
    e.start = position.start();
    e.histogram = std::move(h);
    out->push_back(std::move(e));
  }
  return Finish(in, record, "histograms", out->size() - begin);
}

void EncodeMmapMarkers(std::span<const MmapMarker> markers, std::string* out) {
  if (markers.empty()) return;
  out->push_back(static_cast<char>(RecordType::kMmapMarkers));
  for (const MmapMarker& m : markers) {
    PutBe64(out, m.ref);
    PutBe64(out, m.chunk);
  }
}

base::Status DecodeMmapMarkers(std::string_view record, std::vector<MmapMarker>* out) {
  Reader in(record.substr(1));
  const size_t begin = out->size();
  while (in.more()) {
    MmapMarker m;
    m.ref = in.Be64();
    m.chunk = in.Be64();
    if (!in.ok()) break;
    out->push_back(m);
  }
  return Finish(in, record, "mmap markers", out->size() - begin);
}

}  // namespace tocsin::tsdb::wal
