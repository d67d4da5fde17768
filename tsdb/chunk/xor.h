#pragma once

// Float chunks, encoding 1: bit for bit Prometheus's.  Gorilla (Pelkonen et al., VLDB 2015, section
// 4.1) with other widths for the delta of deltas.
//
//   chunk   = count(u16, big-endian) sample*
//   first   = varint(t) value(64)
//   second  = uvarint(delta) xor
//   others  = dod xor
//   dod     = 0 | 10 d(14) | 110 d(17) | 1110 d(20) | 1111 d(64)
//   xor     = 0 | 10 bits | 11 leading(5) width(6; 0 is 64) bits
//
// Threads: the caller serialises writers and readers of one chunk.
// Cost:    an append about 5 ns, a decode about 3 ns a sample.

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "model/sample.h"
#include "storage/queryable.h"
#include "tsdb/chunk/bits.h"
#include "tsdb/chunk/chunk.h"

namespace tocsin::tsdb::chunk {

// Where an encoder stands.  The last sample is the caller's to keep (the head has it in columns).
struct XorState {
  uint64_t delta = 0;  // between the last two times
  uint32_t bits = 0;   // written, with the count's 16
  uint16_t count = 0;
  uint8_t leading = 0xff;  // 0xff: no width yet
  uint8_t trailing = 0;
};

// A sample takes at most this many bytes: 4 + 64 bits of time, 13 + 64 of value.
inline constexpr size_t kMaxXorSampleBytes = 20;
inline constexpr size_t kXorHeaderBytes = 2;
inline constexpr uint16_t kMaxXorSamples = 0xffff;

// Appends (t, v) after (last_t, last_v), which are ignored for the first sample.
// REQUIRES: `data` has room for kMaxXorSampleBytes + kWriteSlack more bytes (and the header for the
// first sample); t > last_t; count < kMaxXorSamples.
void AppendXor(XorState* state, uint8_t* data, model::Timestamp last_t, double last_v, model::Timestamp t,
               double v);

// Places inside a chunk where decoding may begin, noted by those who decoded it before: behind each
// kEvery-th sample.  They hold as long as the chunk is only appended to.
struct XorMarks {
  static constexpr uint32_t kEvery = 32;
  static constexpr uint32_t kMost = 3;  // a chunk of 120 samples
  struct Mark {
    uint64_t t, v;     // of the sample before the mark
    uint32_t delta;
    uint16_t bits;     // where the next sample begins
    uint8_t width, trailing;  // of the last value that was not the same
  };
  uint32_t count = 0;
  Mark items[kMost];
};

// Appends the samples in `window`, but for the last `hide_last` of the chunk, to `times` and
// `values`.  `marks`, where given, are used and completed.  Errors: kDataLoss when the bytes end before the samples do.
base::Status DecodeXor(std::string_view chunk, storage::Window window, size_t hide_last,
                       std::vector<model::Timestamp>* times, std::vector<double>* values, XorMarks* marks = nullptr);

// The newest sample in `window`, but for the last `hide_last` of the chunk.  False: there is none.
// Errors: as DecodeXor().
base::Result<bool> DecodeXorLast(std::string_view chunk, storage::Window window, size_t hide_last,
                                 model::Timestamp* last_t, double* last_v, XorMarks* marks = nullptr);

// Where a reader of a chunk stands, so that it can go on once the chunk has grown.
struct XorCursor {
  uint64_t t = 0, v = 0, delta = 0;
  uint32_t bits = 0;   // read, with the count's 16
  uint16_t count = 0;  // samples read
  uint8_t leading = 0xff;
  uint8_t trailing = 0;
};
// Appends the samples from the cursor up to number `upto` of the chunk.  Errors: as DecodeXor(); then nothing is
// appended and the cursor stays.
base::Status ContinueXor(std::string_view chunk, size_t upto, XorCursor* cursor,
                         std::vector<model::Timestamp>* times, std::vector<double>* values);

// One value of a Gorilla stream: shared by the histogram encodings.
struct XorValue {
  double value = 0;
  uint8_t leading = 0xff;
  uint8_t trailing = 0;
};
void PutXorValue(BitBuffer* out, XorValue* state, double v);
void ReadXorValue(BitReader* in, XorValue* state);

}  // namespace tocsin::tsdb::chunk
