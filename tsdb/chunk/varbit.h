#pragma once

// Varbit numbers of histogram and XOR2 chunks: n ones and a zero, then the width's bits; eight ones for 64.
// Start times of samples, which are told by them.
//
// Threads: free functions over the caller's state.

#include <algorithm>
#include <bit>
#include <cstdint>

#include "model/sample.h"
#include "tsdb/chunk/bits.h"

namespace tocsin::tsdb::chunk {

inline constexpr int kVarbitWidths[] = {0, 3, 6, 9, 12, 18, 25, 56, 64};

inline void PutVarbitPrefix(BitBuffer* out, int step) {
  const int n = step < 8 ? step + 1 : 8;
  out->Put(step < 8 ? (1ULL << n) - 2 : 0xff, n);
}

inline void PutVarbitInt(BitBuffer* out, int64_t v) {
  int step = 0;
  while (step < 8) {
    const int n = kVarbitWidths[step];
    if (n == 0 ? v == 0 : -((int64_t{1} << (n - 1)) - 1) <= v && v <= int64_t{1} << (n - 1)) break;
    ++step;
  }
  PutVarbitPrefix(out, step);
  if (step > 0) out->Put(static_cast<uint64_t>(v), kVarbitWidths[step]);
}

inline void PutVarbitUint(BitBuffer* out, uint64_t v) {
  int step = 0;
  while (step < 8 && v >> kVarbitWidths[step] != 0) ++step;
  PutVarbitPrefix(out, step);
  if (step > 0) out->Put(v, kVarbitWidths[step]);
}

inline int ReadVarbitWidth(BitReader* in) {
  const int ones = std::min(8, std::countl_one(in->Peek()));
  in->Skip(ones < 8 ? ones + 1 : 8);
  return kVarbitWidths[ones];
}

inline int64_t ReadVarbitInt(BitReader* in) {
  const int n = ReadVarbitWidth(in);
  if (n == 0) return 0;
  const uint64_t bits = in->Read(n);
  if (n < 64 && bits > 1ULL << (n - 1)) return static_cast<int64_t>(bits) - (int64_t{1} << n);
  return static_cast<int64_t>(bits);
}

inline uint64_t ReadVarbitUint(BitReader* in) {
  const int n = ReadVarbitWidth(in);
  return n == 0 ? 0 : in->Read(n);
}

// Differences of hostile times wrap.
inline int64_t Minus(int64_t a, int64_t b) { return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b)); }
inline int64_t Plus(int64_t a, int64_t b) { return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b)); }

// Start times, behind each sample's own bits:
//
//   header = known(1 bit: the first sample has one) from(7 bits: the sample with the first change; 0: none)
//   first  = varint(t - start)            when known
//   from   = varbit(previous t - start)
//   after  = varbit(the same, less that of the sample before)
//
// A change after sample 127 has no room in the header: from there on each sample tells its own.
class StartTimes {
 public:
  static constexpr size_t kLastFrom = 127;

  explicit StartTimes(uint8_t header = 0) : header_(header) {}
  uint8_t header() const { return header_; }
  bool any() const { return header_ != 0; }

  // For sample `i`: after the sample's bits.
  void Put(BitBuffer* out, size_t i, model::Timestamp previous_t, model::Timestamp t, model::Timestamp start) {
    const int64_t back = Minus(previous_t, start);
    if (i == 0) {
      if (start != 0) {
        out->PutVarint(Minus(t, start));
        header_ = 0x80;
      }
    } else if (const size_t from = header_ & kLastFrom; from > 0) {
      PutVarbitInt(out, Minus(back, back_));
      back_ = back;
    } else if (start != start_ || i == kLastFrom) {
      PutVarbitInt(out, back);
      header_ |= static_cast<uint8_t>(i);
      back_ = back;
    }
    start_ = start;
  }

  // The start time of sample `i`; 0: not known.
  model::Timestamp Read(BitReader* in, size_t i, model::Timestamp previous_t, model::Timestamp t) {
    const size_t from = header_ & kLastFrom;
    if (i == 0) {
      if (header_ >> 7 != 0) start_ = Minus(t, in->ReadVarint());
    } else if (from > 0 && i >= from) {
      const int64_t v = ReadVarbitInt(in);
      back_ = i == from ? v : Plus(back_, v);
      start_ = Minus(previous_t, back_);
    }
    return start_;
  }

 private:
  uint8_t header_;
  model::Timestamp start_ = 0;
  int64_t back_ = 0;  // from the sample before to the start
};

}  // namespace tocsin::tsdb::chunk
