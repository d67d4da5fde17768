#include "base/compress.h"

#include <libdeflate.h>
#include <snappy-c.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/check.h"

namespace tocsin::base {
namespace {

constexpr size_t kChunk = 64 * 1024;

std::unexpected<Error> TooLong(std::string_view codec, size_t limit) {
  return ResourceExhausted(std::string(codec) + ": decodes to more than the limit of " +
                           std::to_string(limit) + " bytes");
}

}  // namespace

Result<std::string> GunzipAll(std::string_view data, size_t limit) {
  std::string out;
  RETURN_IF_ERROR(GunzipInto(data, limit, &out));
  return out;
}

Status GunzipInto(std::string_view data, size_t limit, std::string* out) {
  // About 11 KiB of tables; one a thread, since making it costs as much as a small body.
  thread_local const std::unique_ptr<libdeflate_decompressor, void (*)(libdeflate_decompressor*)> decompressor(
      libdeflate_alloc_decompressor(), libdeflate_free_decompressor);
  if (!decompressor) return ResourceExhausted("gzip: out of memory");
  out->clear();
  const auto cut = [&] {
    return DataLoss("gzip: corrupt, or ends in the middle, after " + std::to_string(data.size()) + " bytes");
  };
  if (data.empty()) return cut();
  // A gzip trailer ends with the size of what it holds.  That is a guess only: another member may come
  // before, and it may lie; deflate cannot make more than kMostPerByte of a byte.
  constexpr size_t kMostPerByte = 1032;
  uint32_t told = 0;
  if (data.size() >= sizeof told) std::memcpy(&told, data.data() + data.size() - sizeof told, sizeof told);
  size_t room = std::min<size_t>({told, limit, data.size() * kMostPerByte});
  size_t written = 0;
  for (size_t at = 0; at < data.size();) {
    const std::string_view rest = data.substr(at);
    const auto decode = rest.starts_with("\x1f\x8b") ? libdeflate_gzip_decompress_ex : libdeflate_zlib_decompress_ex;
    libdeflate_result result = LIBDEFLATE_INSUFFICIENT_SPACE;
    size_t in = 0;
    size_t produced = 0;
    // Not filled with zeros first: that costs as much as decoding does.
    out->resize_and_overwrite(room, [&](char* p, size_t) {
      result = decode(decompressor.get(), rest.data(), rest.size(), p + written, room - written, &in, &produced);
      return result == LIBDEFLATE_SUCCESS ? room : written;
    });
    if (result == LIBDEFLATE_SUCCESS) {
      written += produced;
      at += in;
    } else if (result != LIBDEFLATE_INSUFFICIENT_SPACE) {
      return cut();
    } else if (room == limit) {
      return TooLong("gzip", limit);
    } else {
      room = std::min(limit, std::max(room * 2, written + rest.size() * 4));
    }
  }
  out->resize(written);
  return {};
}

std::string Gzip(std::string_view data, int level) {
  const std::unique_ptr<libdeflate_compressor, void (*)(libdeflate_compressor*)> compressor(
      libdeflate_alloc_compressor(level), libdeflate_free_compressor);
  TOCSIN_CHECK(compressor) << "gzip: no memory, or no level " << level;
  std::string out;
  out.resize_and_overwrite(libdeflate_gzip_compress_bound(compressor.get(), data.size()), [&](char* p, size_t room) {
    return libdeflate_gzip_compress(compressor.get(), data.data(), data.size(), p, room);
  });
  TOCSIN_CHECK(!out.empty()) << "gzip: " << data.size() << " bytes did not fit their bound";
  return out;
}

Result<std::string> SnappyDecode(std::string_view data, size_t limit) {
  size_t length = 0;
  if (snappy_uncompressed_length(data.data(), data.size(), &length) != SNAPPY_OK) {
    return DataLoss("snappy: the length at the start does not decode");
  }
  if (length > limit) return TooLong("snappy", limit);
  std::string out;
  bool ok = false;
  // Not filled with zeros first: that costs as much as the decoding.
  out.resize_and_overwrite(length, [&](char* p, size_t) {
    ok = snappy_uncompress(data.data(), data.size(), p, &length) == SNAPPY_OK;
    return ok ? length : 0;
  });
  if (!ok) return DataLoss("snappy: corrupt input of " + std::to_string(data.size()) + " bytes");
  return out;
}

std::string SnappyEncode(std::string_view data) {
  size_t length = snappy_max_compressed_length(data.size());
  std::string out(length, '\0');
  const snappy_status status = snappy_compress(data.data(), data.size(), out.data(), &length);
  TOCSIN_CHECK(status == SNAPPY_OK) << "snappy_compress: " << status;
  out.resize(length);
  return out;
}

Result<std::string> ZstdDecode(std::string_view data, size_t limit) {
  const std::unique_ptr<ZSTD_DStream, size_t (*)(ZSTD_DStream*)> stream(ZSTD_createDStream(),
                                                                        ZSTD_freeDStream);
  if (!stream) return ResourceExhausted("zstd: out of memory");
  // Frames may ask for a window of up to 2 GiB; 27 (128 MiB) is what the format calls usual.
  ZSTD_DCtx_setParameter(stream.get(), ZSTD_d_windowLogMax, 27);
  ZSTD_inBuffer in{data.data(), data.size(), 0};
  std::string out;
  std::string buffer(kChunk, '\0');
  size_t left = 1;  // bytes the decoder still hopes for; 0 at the end of a frame
  while (true) {
    ZSTD_outBuffer chunk{buffer.data(), buffer.size(), 0};
    const size_t before = in.pos;
    left = ZSTD_decompressStream(stream.get(), &chunk, &in);
    if (ZSTD_isError(left)) {
      return DataLoss("zstd: byte " + std::to_string(before) + ": " + ZSTD_getErrorName(left));
    }
    if (chunk.pos > limit - out.size()) return TooLong("zstd", limit);
    out.append(buffer, 0, chunk.pos);
    if (in.pos == in.size && chunk.pos < chunk.size) break;
    if (left == 0 && in.pos == in.size) break;
  }
  if (left != 0) return DataLoss("zstd: ends in the middle after " + std::to_string(data.size()) + " bytes");
  return out;
}

std::string ZstdEncode(std::string_view data, int level) {
  std::string out(ZSTD_compressBound(data.size()), '\0');
  const size_t n = ZSTD_compress(out.data(), out.size(), data.data(), data.size(), level);
  TOCSIN_CHECK(!ZSTD_isError(n)) << ZSTD_getErrorName(n);
  out.resize(n);
  return out;
}

}  // namespace tocsin::base
