#pragma once

// Native histogram chunks: encodings 2 (integer counts) and 3 (float counts) of Prometheus.
//
//   chunk     = count(u16) flags(u8; top two bits: 00 unknown, 10 reset, 01 no reset, 11 gauge) layout sample*
//   layout    = zero_threshold varbit(schema) spans spans [bounds, for schema -53]
//   spans     = varbit_u(n) { varbit_u(length) varbit(offset) }
//   zero_threshold = u8: 0 is 0, 1..254 is 2^(x-243)/2, 255: f64 follows
//   bound     = varbit_u(1000 b + 1) | 0 f64
//   integer   = first:  varbit(t) varbit_u(count) varbit_u(zero) f64(sum) varbit(bucket delta)*
//               others: varbit(ddt) varbit(ddcount) varbit(ddzero) xor(sum) varbit(dd bucket delta)*, the second
//                       sample with deltas of deltas against 0
//   float     = first:  varbit(t) f64(count) f64(zero) f64(sum) f64(bucket)*
//               others: varbit(ddt) xor(count) xor(zero) xor(sum) xor(bucket)*
//   Encodings 5 and 6: flags(top two bits), count(14 bits), starts(u8); each sample is followed by its start time
//   as varbit.h has them.
//   A stale sample has no buckets, and only stale samples may follow it.
//
// A chunk has one layout: all its samples' buckets.  Threads: pure functions.

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/histogram.h"
#include "storage/queryable.h"
#include "tsdb/chunk/chunk.h"

namespace tocsin::tsdb::chunk {

// Whether `next` may stand in one chunk after `last`; if not, `*header` is the next chunk's.
// A chunk ends at a counter reset (seen or told), a change of schema, zero threshold, bounds or kind,
// and after a stale marker.
bool FitsChunk(const model::Histogram& last, bool last_gauge, const model::Histogram& next,
               model::CounterReset* header);

// The header of a series' first histogram chunk.
model::CounterReset FirstHeader(const model::Histogram& h);

// The header of a chunk.  REQUIRES: at least three bytes.
model::CounterReset HeaderOf(Encoding encoding, std::string_view chunk);

// The counter reset hint that readers see: gauge, or no reset but for a chunk's first sample.
model::CounterReset HintFor(model::CounterReset header, size_t index_in_chunk);

// `starts`: empty, or one for each (0: not known), which makes it encoding 5 or 6.
// REQUIRES: 1 to 65535 histograms (16383 with start times), each of which FitsChunk() after the one before; times ascend.
std::string EncodeHistograms(std::span<const model::Timestamp> times,
                             std::span<const model::HistogramPtr> histograms, model::CounterReset header,
                             Encoding* encoding, std::span<const model::Timestamp> starts = {});

// Appends as DecodeXor does; sums go to out->values.  Errors: kDataLoss.
base::Status DecodeHistograms(std::string_view chunk, Encoding encoding, storage::Window window,
                              size_t hide_last, storage::SampleColumns* out);

}  // namespace tocsin::tsdb::chunk
