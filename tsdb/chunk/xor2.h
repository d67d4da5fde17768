#pragma once

// Float chunks, encoding 4 of Prometheus 3.14 (`xor2`), with start times where there are any.
//
//   chunk   = count(u16) starts(u8, as in varbit.h) sample*      each sample followed by its start time
//   first   = varint(t) value(64)
//   second  = uvarint(delta) value
//   others  = 0                 time as expected, value as before
//           | 10 change         time as expected
//           | 110 dod(13) value | 1110 dod(20) value | 11110 dod(64) value     two's complement
//           | 11111             time as expected, a stale marker
//   value   = 0 as before | 10 bits | 110 leading(5) width(6; 0 is 64) bits | 111 a stale marker
//   change  = 0 bits | 1 leading(5) width(6) bits
//
// Values are xored with the last one that was no stale marker.  Threads: pure functions.

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/sample.h"
#include "storage/queryable.h"

namespace tocsin::tsdb::chunk {

// `starts`: empty, or one for each sample (0: not known).
// REQUIRES: 1 to 65535 samples; times ascend.
std::string EncodeXor2(std::span<const model::Timestamp> times, std::span<const double> values,
                       std::span<const model::Timestamp> starts);

// As Decode().
base::Status DecodeXor2(std::string_view chunk, storage::Window window, size_t hide_last, storage::SampleColumns* out);

}  // namespace tocsin::tsdb::chunk
