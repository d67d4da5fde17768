#pragma once

// Samples' times and values.  A stale marker is one bit pattern of NaN: compare bits, and let it
// travel only through copies and bit_cast (arithmetic quiets it).

#include <bit>
#include <cstdint>
#include <limits>

namespace tocsin::model {

using Timestamp = int64_t;  // milliseconds since the Unix epoch
inline constexpr Timestamp kMinTimestamp = std::numeric_limits<int64_t>::min();
inline constexpr Timestamp kMaxTimestamp = std::numeric_limits<int64_t>::max();

inline constexpr uint64_t kStaleBits = 0x7ff0000000000002;
inline constexpr uint64_t kNormalNanBits = 0x7ff8000000000001;

inline double StaleMarker() { return std::bit_cast<double>(kStaleBits); }
inline double NormalNan() { return std::bit_cast<double>(kNormalNanBits); }
inline bool IsStale(double v) { return std::bit_cast<uint64_t>(v) == kStaleBits; }
inline bool SameBits(double a, double b) {
  return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b);
}

struct Sample {
  Timestamp t = 0;
  double v = 0;
};

}  // namespace tocsin::model
