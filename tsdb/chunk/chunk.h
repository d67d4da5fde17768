#pragma once

// Chunks: compressed runs of samples of one series, at most a few hundred.

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "storage/queryable.h"

namespace tocsin::tsdb::chunk {

// Prometheus's numbers.  4 to 6 are of version 3.14; older ones cannot read them.
enum class Encoding : uint8_t {
  kNone = 0,
  kXor = 1,
  kHistogram = 2,
  kFloatHistogram = 3,
  kXor2 = 4,              // floats, with start times where there are any
  kHistogramST = 5,       // 2 and 3 with start times
  kFloatHistogramST = 6,
};

inline constexpr bool IsKnown(Encoding e) { return e >= Encoding::kXor && e <= Encoding::kFloatHistogramST; }
inline constexpr bool IsFloat(Encoding e) { return e == Encoding::kXor || e == Encoding::kXor2; }
inline constexpr bool HasStartTimes(Encoding e) { return e == Encoding::kHistogramST || e == Encoding::kFloatHistogramST; }

// The number of samples that a chunk says it has; 0 when it is shorter than its header.
inline uint16_t SampleCount(Encoding encoding, std::string_view chunk) {
  if (chunk.size() < 2) return 0;
  const auto n = static_cast<uint16_t>(static_cast<uint8_t>(chunk[0]) << 8 | static_cast<uint8_t>(chunk[1]));
  return HasStartTimes(encoding) ? n & 0x3fff : n;
}

// Samples that a chunk is meant to hold, and where it is cut in any case.
inline constexpr int kSamplesPerChunk = 120;

// Appends the samples in `window`, but for the chunk's last `hide_last`, to `out` (offsets are the
// caller's).  Where some sample of `out` has a start time, start_times has one for each.  Errors: kDataLoss: bytes that do not decode, an unknown encoding.
base::Status Decode(Encoding encoding, std::string_view chunk, storage::Window window, size_t hide_last,
                    storage::SampleColumns* out);

}  // namespace tocsin::tsdb::chunk
