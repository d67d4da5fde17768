#pragma once

// Codecs; the door to libdeflate, snappy and zstd.  Every decoder takes a limit, checked before memory is
// allocated: kResourceExhausted beyond it, kDataLoss for bytes that do not decode.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tocsin::base {

Result<std::string> GunzipAll(std::string_view data, size_t limit);  // gzip or zlib wrapping
// The same into a string whose memory is used again.
Status GunzipInto(std::string_view data, size_t limit, std::string* out);
std::string Gzip(std::string_view data, int level = 6);
Result<std::string> SnappyDecode(std::string_view data, size_t limit);  // block format
std::string SnappyEncode(std::string_view data);
// The same format, for rows that hold a word of 8 bytes each (`words`: where): bytes that a row has in common with the
// row before, or with the last one of the same word, are not written again.  A fifth of SnappyEncode()'s time; a few
// per cent more bytes.  REQUIRES: no word overlaps the one before.
void SnappyEncodeRows(std::string_view data, std::span<const uint32_t> words, std::string* out);
Result<std::string> ZstdDecode(std::string_view data, size_t limit);
std::string ZstdEncode(std::string_view data, int level = 1);

}  // namespace tocsin::base
