#pragma once

// Chunks: compressed runs of samples of one series, at most a few hundred.

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "storage/queryable.h"

namespace tocsin::tsdb::chunk {

// Prometheus's numbers.
enum class Encoding : uint8_t { kNone = 0, kXor = 1, kHistogram = 2, kFloatHistogram = 3 };

inline constexpr bool IsKnown(Encoding e) { return e >= Encoding::kXor && e <= Encoding::kFloatHistogram; }

// Samples that a chunk is meant to hold, and where it is cut in any case.
inline constexpr int kSamplesPerChunk = 120;

// Appends the samples in `window`, but for the chunk's last `hide_last`, to `out` (offsets are the
// caller's).  Errors: kDataLoss: bytes that do not decode, an unknown encoding.
base::Status Decode(Encoding encoding, std::string_view chunk, storage::Window window, size_t hide_last,
                    storage::SampleColumns* out);

}  // namespace tocsin::tsdb::chunk
