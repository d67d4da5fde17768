#include "tsdb/chunk/histogram_chunk.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "base/check.h"
#include "tsdb/chunk/varbit.h"
#include "tsdb/chunk/xor.h"
#include "tsdb/chunk/xor2.h"

namespace tocsin::tsdb::chunk {
namespace {

using model::CounterReset;
using model::Histogram;
using model::HistogramPtr;
using model::Span;

void PutDouble(BitBuffer* out, double v) { out->Put(std::bit_cast<uint64_t>(v), 64); }
double ReadDouble(BitReader* in) { return std::bit_cast<double>(in->Read(64)); }

// ---- Layout ----

void PutZeroThreshold(BitBuffer* out, double v) {
  int exponent = 0;
  if (v == 0) {
    out->Put(0, 8);
  } else if (std::frexp(v, &exponent) == 0.5 && exponent >= -242 && exponent <= 11) {
    out->Put(static_cast<uint64_t>(exponent + 243), 8);
  } else {
    out->Put(255, 8);
    PutDouble(out, v);
  }
}

double ReadZeroThreshold(BitReader* in) {
  const auto b = static_cast<int>(in->Read(8));
  if (b == 0) return 0;
  return b == 255 ? ReadDouble(in) : std::ldexp(0.5, b - 243);
}

void PutSpans(BitBuffer* out, const std::vector<Span>& spans) {
  PutVarbitUint(out, spans.size());
  for (const Span& s : spans) {
    PutVarbitUint(out, s.length);
    PutVarbitInt(out, s.offset);
  }
}

void PutBound(BitBuffer* out, double v) {
  const double scaled = v * 1000;
  if (scaled >= 0 && scaled <= 33554430 && std::round(scaled) / 1000 == v) {
    PutVarbitUint(out, static_cast<uint64_t>(std::round(scaled)) + 1);
  } else {
    out->Put(0, 1);
    PutDouble(out, v);
  }
}

struct Layout {
  int32_t schema = 0;
  double zero_threshold = 0;
  std::vector<Span> positive, negative;
  std::vector<double> bounds;
};

void PutLayout(BitBuffer* out, const Layout& l) {
  PutZeroThreshold(out, l.zero_threshold);
  PutVarbitInt(out, l.schema);
  PutSpans(out, l.positive);
  PutSpans(out, l.negative);
  if (l.schema == model::kCustomBucketsSchema) {
    PutVarbitUint(out, l.bounds.size());
    for (double b : l.bounds) PutBound(out, b);
  }
}

// False when the counts cannot be true: each bucket and bound takes at least one bit.
bool ReadSpans(BitReader* in, uint64_t max_bits, std::vector<Span>* spans, uint64_t* buckets) {
  const uint64_t n = ReadVarbitUint(in);
  if (n > max_bits) return false;
  for (uint64_t i = 0; i < n && !in->overrun(); ++i) {
    Span s;
    const uint64_t length = ReadVarbitUint(in);
    s.offset = static_cast<int32_t>(ReadVarbitInt(in));
    *buckets += length;
    if (length > max_bits || *buckets > max_bits) return false;
    s.length = static_cast<uint32_t>(length);
    spans->push_back(s);
  }
  return !in->overrun();
}

bool ReadLayout(BitReader* in, uint64_t max_bits, Layout* l) {
  l->zero_threshold = ReadZeroThreshold(in);
  l->schema = static_cast<int32_t>(ReadVarbitInt(in));
  uint64_t buckets = 0;
  if (!ReadSpans(in, max_bits, &l->positive, &buckets)) return false;
  if (!ReadSpans(in, max_bits, &l->negative, &buckets)) return false;
  if (l->schema == model::kCustomBucketsSchema) {
    const uint64_t n = ReadVarbitUint(in);
    if (n > max_bits) return false;
    for (uint64_t i = 0; i < n && !in->overrun(); ++i) {
      const uint64_t b = ReadVarbitUint(in);
      l->bounds.push_back(b == 0 ? ReadDouble(in) : static_cast<double>(b - 1) / 1000);
    }
  }
  return !in->overrun();
}

// ---- Buckets by index ----

using Buckets = std::map<int64_t, double>;  // bucket index to count, empty ones included

Buckets ByIndex(const std::vector<Span>& spans, const std::vector<double>& counts) {
  Buckets out;
  int64_t index = 0;
  size_t i = 0;
  for (const Span& s : spans) {
    index += s.offset;
    for (uint32_t k = 0; k < s.length && i < counts.size(); ++k) out[index++] = counts[i++];
  }
  return out;
}

std::vector<Span> SpansOf(const Buckets& buckets) {
  std::vector<Span> spans;
  int64_t next = 0;
  for (const auto& [index, count] : buckets) {
    if (spans.empty() || index != next) spans.push_back({static_cast<int32_t>(index - next), 0});
    ++spans.back().length;
    next = index + 1;
  }
  return spans;
}

std::vector<double> AlignTo(const Buckets& layout, const Buckets& buckets) {
  std::vector<double> out;
  out.reserve(layout.size());
  for (const auto& [index, unused] : layout) {
    const auto it = buckets.find(index);
    out.push_back(it == buckets.end() ? 0 : it->second);
  }
  return out;
}

bool Shrinks(const std::vector<Span>& a_spans, const std::vector<double>& a, const std::vector<Span>& b_spans,
             const std::vector<double>& b) {
  if (a_spans == b_spans && a.size() == b.size()) {
    for (size_t i = 0; i < a.size(); ++i) {
      if (a[i] > b[i]) return true;
    }
    return false;
  }
  const Buckets now = ByIndex(b_spans, b);
  for (const auto& [index, count] : ByIndex(a_spans, a)) {
    const auto it = now.find(index);
    if (it == now.end() ? count != 0 : count > it->second) return true;
  }
  return false;
}

uint8_t HeaderBits(CounterReset r) {
  switch (r) {
    case CounterReset::kReset: return 0x80;
    case CounterReset::kNotReset: return 0x40;
    case CounterReset::kGauge: return 0xc0;
    case CounterReset::kUnknown: break;
  }
  return 0;
}

CounterReset FromBits(uint8_t bits) {
  switch (bits & 0xc0) {
    case 0x80: return CounterReset::kReset;
    case 0x40: return CounterReset::kNotReset;
    case 0xc0: return CounterReset::kGauge;
  }
  return CounterReset::kUnknown;
}

// A number coded by its delta of deltas.
struct DodInt {
  int64_t value = 0;
  int64_t delta = 0;
  void Put(BitBuffer* out, int64_t v, bool stale = false) {
    const auto d = static_cast<int64_t>(static_cast<uint64_t>(v) - static_cast<uint64_t>(value));
    PutVarbitInt(out, stale ? 0 : static_cast<int64_t>(static_cast<uint64_t>(d) - static_cast<uint64_t>(delta)));
    delta = d;
    value = v;
  }
  int64_t Read(BitReader* in) {
    delta = static_cast<int64_t>(static_cast<uint64_t>(delta) + static_cast<uint64_t>(ReadVarbitInt(in)));
    value = static_cast<int64_t>(static_cast<uint64_t>(value) + static_cast<uint64_t>(delta));
    return value;
  }
};

// Counts are doubles in memory; what is no count (negative, NaN, beyond 2^63) is kept in range.
int64_t AsInteger(double v) { return !(v > 0) ? 0 : v >= 0x1p63 ? INT64_MAX : static_cast<int64_t>(v); }

// Absolute counts as the deltas between neighbours.
std::vector<int64_t> Deltas(const std::vector<double>& counts) {
  std::vector<int64_t> out;
  int64_t last = 0;
  for (double c : counts) {
    const int64_t v = AsInteger(c);
    out.push_back(v - last);
    last = v;
  }
  return out;
}

struct Aligned {
  std::vector<double> positive, negative;
};

// Start times of a chunk that has them.
struct StartsOut {
  std::span<const model::Timestamp> starts;
  StartTimes state;
  void Put(BitBuffer* out, size_t i, std::span<const model::Timestamp> times) {
    if (!starts.empty()) state.Put(out, i, i == 0 ? 0 : times[i - 1], times[i], starts[i]);
  }
};

void EncodeInteger(BitBuffer* out, std::span<const model::Timestamp> times, std::span<const HistogramPtr> hs,
                   const std::vector<Aligned>& buckets, StartsOut* starts) {
  DodInt t, count, zero;
  XorValue sum;
  std::vector<DodInt> state;
  for (size_t i = 0; i < hs.size(); ++i) {
    const Histogram& h = *hs[i];
    const bool stale = h.IsStale();
    std::vector<int64_t> now = stale ? std::vector<int64_t>() : Deltas(buckets[i].positive);
    if (!stale) {
      const std::vector<int64_t> negative = Deltas(buckets[i].negative);
      now.insert(now.end(), negative.begin(), negative.end());
    }
    if (i == 0) {
      PutVarbitInt(out, times[0]);
      PutVarbitUint(out, stale ? 0 : static_cast<uint64_t>(AsInteger(h.count)));
      PutVarbitUint(out, stale ? 0 : static_cast<uint64_t>(AsInteger(h.zero_count)));
      PutDouble(out, h.sum);
      t.value = times[0];
      count.value = stale ? 0 : AsInteger(h.count);
      zero.value = stale ? 0 : AsInteger(h.zero_count);
      sum.value = h.sum;
      state.resize(now.size());
      for (size_t k = 0; k < now.size(); ++k) {
        PutVarbitInt(out, now[k]);
        state[k].value = now[k];
      }
      starts->Put(out, i, times);
      continue;
    }
    t.Put(out, times[i]);
    count.Put(out, stale ? 0 : AsInteger(h.count), stale);
    zero.Put(out, stale ? 0 : AsInteger(h.zero_count), stale);
    PutXorValue(out, &sum, h.sum);
    for (size_t k = 0; k < now.size(); ++k) state[k].Put(out, now[k]);
    starts->Put(out, i, times);
  }
}

void EncodeFloat(BitBuffer* out, std::span<const model::Timestamp> times, std::span<const HistogramPtr> hs,
                 const std::vector<Aligned>& buckets, StartsOut* starts) {
  DodInt t;
  XorValue count, zero, sum;
  std::vector<XorValue> state;
  for (size_t i = 0; i < hs.size(); ++i) {
    const Histogram& h = *hs[i];
    const bool stale = h.IsStale();
    std::vector<double> now;
    if (!stale) {
      now = buckets[i].positive;
      now.insert(now.end(), buckets[i].negative.begin(), buckets[i].negative.end());
    }
    if (i == 0) {
      PutVarbitInt(out, times[0]);
      t.value = times[0];
      count.value = stale ? 0 : h.count;
      zero.value = stale ? 0 : h.zero_count;
      sum.value = h.sum;
      for (double v : {count.value, zero.value, sum.value}) PutDouble(out, v);
      state.resize(now.size());
      for (size_t k = 0; k < now.size(); ++k) {
        PutDouble(out, now[k]);
        state[k].value = now[k];
      }
      starts->Put(out, i, times);
      continue;
    }
    t.Put(out, times[i]);
    PutXorValue(out, &count, stale ? 0 : h.count);
    PutXorValue(out, &zero, stale ? 0 : h.zero_count);
    PutXorValue(out, &sum, h.sum);
    for (size_t k = 0; k < now.size(); ++k) PutXorValue(out, &state[k], now[k]);
    starts->Put(out, i, times);
  }
}

}  // namespace

bool FitsChunk(const Histogram& last, bool last_gauge, const Histogram& next, CounterReset* header) {
  const bool gauge = next.counter_reset == CounterReset::kGauge;
  *header = gauge ? CounterReset::kGauge : CounterReset::kUnknown;
  if (last.integer != next.integer && !next.IsStale()) return false;
  if (gauge != last_gauge && !(next.IsStale() && !gauge && last_gauge)) return false;
  if (next.counter_reset == CounterReset::kReset) {
    *header = CounterReset::kReset;
    return false;
  }
  if (next.IsStale()) return true;
  if (last.IsStale()) return false;
  if (!gauge && next.count < last.count) {
    *header = CounterReset::kReset;
    return false;
  }
  if (next.schema != last.schema || next.zero_threshold != last.zero_threshold) return false;
  const bool resets = next.custom_values != last.custom_values || next.zero_count < last.zero_count ||
                      Shrinks(last.positive_spans, last.positive_buckets, next.positive_spans, next.positive_buckets) ||
                      Shrinks(last.negative_spans, last.negative_buckets, next.negative_spans, next.negative_buckets);
  if (gauge) return next.custom_values == last.custom_values;
  if (resets) *header = CounterReset::kReset;
  return !resets;
}

CounterReset FirstHeader(const Histogram& h) {
  if (h.counter_reset == CounterReset::kGauge || h.counter_reset == CounterReset::kReset) return h.counter_reset;
  return CounterReset::kUnknown;
}

CounterReset HeaderOf(Encoding encoding, std::string_view chunk) {
  return FromBits(static_cast<uint8_t>(chunk[HasStartTimes(encoding) ? 0 : 2]));
}

CounterReset HintFor(CounterReset header, size_t index_in_chunk) {
  if (header == CounterReset::kGauge) return CounterReset::kGauge;
  // Even a chunk that began with a reset says unknown: the chunk before may be gone, or another may
  // have been merged in between.
  return index_in_chunk > 0 ? CounterReset::kNotReset : CounterReset::kUnknown;
}

std::string EncodeHistograms(std::span<const model::Timestamp> times, std::span<const HistogramPtr> histograms,
                             CounterReset header, Encoding* encoding, std::span<const model::Timestamp> starts) {
  TOCSIN_CHECK(!histograms.empty() && histograms.size() <= kMaxXorSamples) << histograms.size() << " histograms";
  TOCSIN_CHECK(times.size() == histograms.size()) << times.size() << " times";
  TOCSIN_CHECK(starts.empty() || (starts.size() == times.size() && times.size() < 1 << 14)) << starts.size() << " start times";
  const Histogram& first = *histograms[0];
  Layout layout;
  Buckets positive, negative;  // every index that any sample has
  std::vector<Buckets> each_positive, each_negative;
  for (const HistogramPtr& h : histograms) {
    each_positive.push_back(h->IsStale() ? Buckets() : ByIndex(h->positive_spans, h->positive_buckets));
    each_negative.push_back(h->IsStale() ? Buckets() : ByIndex(h->negative_spans, h->negative_buckets));
    for (const auto& [index, count] : each_positive.back()) positive[index] = 0;
    for (const auto& [index, count] : each_negative.back()) negative[index] = 0;
  }
  if (!first.IsStale()) {
    layout.schema = first.schema;
    layout.zero_threshold = first.zero_threshold;
    layout.bounds = first.custom_values;
  }
  layout.positive = SpansOf(positive);
  layout.negative = SpansOf(negative);

  std::vector<Aligned> aligned;
  for (size_t i = 0; i < histograms.size(); ++i) {
    aligned.push_back({AlignTo(positive, each_positive[i]), AlignTo(negative, each_negative[i])});
  }
  BitBuffer out;
  StartsOut starts_out{starts, StartTimes()};
  if (starts.empty()) {
    out.Put(histograms.size(), 16);
    out.Put(HeaderBits(header), 8);
    *encoding = first.integer ? Encoding::kHistogram : Encoding::kFloatHistogram;
  } else {
    out.Put(static_cast<uint64_t>(HeaderBits(header)) << 8 | histograms.size(), 16);
    out.Put(0, 8);
    *encoding = first.integer ? Encoding::kHistogramST : Encoding::kFloatHistogramST;
  }
  PutLayout(&out, layout);
  if (first.integer) {
    EncodeInteger(&out, times, histograms, aligned, &starts_out);
  } else {
    EncodeFloat(&out, times, histograms, aligned, &starts_out);
  }
  std::string chunk = out.Take();
  if (!starts.empty()) chunk[2] = static_cast<char>(starts_out.state.header());
  return chunk;
}

base::Status DecodeHistograms(std::string_view chunk, Encoding encoding, storage::Window window,
                              size_t hide_last, storage::SampleColumns* out) {
  const size_t total = SampleCount(encoding, chunk);
  const uint64_t max_bits = chunk.size() * 8;
  if (chunk.size() < 3 || total > max_bits) {
    return base::DataLoss(fmt::format("histogram chunk of {} bytes says it has {} samples", chunk.size(), total));
  }
  const size_t count = total - std::min(hide_last, total);
  if (count == 0) return {};
  const bool integer = encoding == Encoding::kHistogram || encoding == Encoding::kHistogramST;
  const bool has_starts = HasStartTimes(encoding);
  const CounterReset header = HeaderOf(encoding, chunk);
  StartTimes starts(has_starts ? static_cast<uint8_t>(chunk[2]) : uint8_t{0});
  BitReader in(chunk.substr(3));
  Layout layout;
  if (!ReadLayout(&in, max_bits, &layout)) {
    return base::DataLoss(fmt::format("histogram chunk of {} bytes ends within its bucket layout", chunk.size()));
  }
  size_t positive = 0, negative = 0;
  for (const Span& s : layout.positive) positive += s.length;
  for (const Span& s : layout.negative) negative += s.length;

  DodInt t, int_count, int_zero;
  XorValue f_count, f_zero, sum;
  std::vector<DodInt> ints(integer ? positive + negative : 0);
  std::vector<XorValue> floats(integer ? 0 : positive + negative);
  const size_t begin = out->times.size(), begin_histograms = out->histograms.size();
  if (starts.any()) out->start_times.resize(begin);
  for (size_t i = 0; i < count; ++i) {
    auto h = std::make_shared<Histogram>();
    h->integer = integer;
    const model::Timestamp previous = t.value;
    if (i == 0) {
      t.value = ReadVarbitInt(&in);
      if (integer) {
        int_count.value = static_cast<int64_t>(ReadVarbitUint(&in));
        int_zero.value = static_cast<int64_t>(ReadVarbitUint(&in));
      } else {
        f_count.value = ReadDouble(&in);
        f_zero.value = ReadDouble(&in);
      }
      sum.value = ReadDouble(&in);
      for (DodInt& d : ints) {
        if (model::IsStale(sum.value) || in.overrun()) break;
        d.value = ReadVarbitInt(&in);
      }
      for (XorValue& x : floats) {
        if (model::IsStale(sum.value) || in.overrun()) break;
        x.value = ReadDouble(&in);
      }
    } else {
      t.Read(&in);
      if (integer) {
        int_count.Read(&in);
        int_zero.Read(&in);
      } else {
        ReadXorValue(&in, &f_count);
        ReadXorValue(&in, &f_zero);
      }
      ReadXorValue(&in, &sum);
      if (!model::IsStale(sum.value) && !in.overrun()) {
        for (DodInt& d : ints) d.Read(&in);
        for (XorValue& x : floats) ReadXorValue(&in, &x);
      }
    }
    const model::Timestamp start = starts.any() ? starts.Read(&in, i, previous, t.value) : 0;
    if (in.overrun()) {
      out->times.resize(begin);
      out->values.resize(begin);
      if (!out->start_times.empty()) out->start_times.resize(begin);
      out->histograms.resize(begin_histograms);
      out->histogram_at.resize(begin_histograms);
      return base::DataLoss(fmt::format("histogram chunk of {} bytes ends within sample {} of {}", chunk.size(),
                                        i + 1, total));
    }
    if (t.value > window.upto) break;
    if (t.value <= window.after) continue;
    h->sum = sum.value;
    if (!h->IsStale()) {
      h->counter_reset = HintFor(header, i);
      h->schema = layout.schema;
      h->zero_threshold = layout.zero_threshold;
      h->count = integer ? static_cast<double>(static_cast<uint64_t>(int_count.value)) : f_count.value;
      h->zero_count = integer ? static_cast<double>(static_cast<uint64_t>(int_zero.value)) : f_zero.value;
      h->positive_spans = layout.positive;
      h->negative_spans = layout.negative;
      h->custom_values = layout.bounds;
      int64_t running = 0;
      for (size_t k = 0; k < positive + negative; ++k) {
        if (k == positive) running = 0;
        double v;
        if (integer) {
          running = static_cast<int64_t>(static_cast<uint64_t>(running) + static_cast<uint64_t>(ints[k].value));
          v = static_cast<double>(running);
        } else {
          v = floats[k].value;
        }
        (k < positive ? h->positive_buckets : h->negative_buckets).push_back(v);
      }
    }
    out->histogram_at.push_back(static_cast<uint32_t>(out->times.size()));
    out->times.push_back(t.value);
    out->values.push_back(h->sum);
    out->histograms.push_back(std::move(h));
    if (starts.any()) out->start_times.push_back(start);
  }
  return {};
}

namespace {

base::Status DecodeAny(Encoding encoding, std::string_view chunk, storage::Window window, size_t hide_last,
                       storage::SampleColumns* out) {
  switch (encoding) {
    case Encoding::kXor: return DecodeXor(chunk, window, hide_last, &out->times, &out->values);
    case Encoding::kXor2: return DecodeXor2(chunk, window, hide_last, out);
    case Encoding::kHistogram:
    case Encoding::kFloatHistogram:
    case Encoding::kHistogramST:
    case Encoding::kFloatHistogramST: return DecodeHistograms(chunk, encoding, window, hide_last, out);
    case Encoding::kNone: break;
  }
  return base::DataLoss(fmt::format("chunk of unknown encoding {}; it was written by a newer version",
                                    static_cast<int>(encoding)));
}

}  // namespace

base::Status Decode(Encoding encoding, std::string_view chunk, storage::Window window, size_t hide_last,
                    storage::SampleColumns* out) {
  RETURN_IF_ERROR(DecodeAny(encoding, chunk, window, hide_last, out));
  out->PadStartTimes();
  return {};
}

}  // namespace tocsin::tsdb::chunk
