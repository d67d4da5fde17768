#include "base/compress.h"

#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
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
  z_stream stream{};
  // 32: the header tells whether it is gzip or zlib.
  if (inflateInit2(&stream, MAX_WBITS + 32) != Z_OK) return ResourceExhausted("gzip: out of memory");
  const auto end = [](z_stream* s) { inflateEnd(s); };
  const std::unique_ptr<z_stream, decltype(end)> guard(&stream, end);

  std::string out;
  std::string buffer(kChunk, '\0');
  size_t at = 0;
  bool member_ended = false;
  while (true) {
    if (stream.avail_in == 0) {
      if (at == data.size()) break;
      const size_t n = std::min<size_t>(data.size() - at, 1 << 30);
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data() + at));
      stream.avail_in = static_cast<uInt>(n);
      at += n;
    }
    if (member_ended) {  // members may follow each other
      inflateReset(&stream);
      member_ended = false;
    }
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    const int result = inflate(&stream, Z_NO_FLUSH);
    const size_t produced = buffer.size() - stream.avail_out;
    if (produced > limit - out.size()) return TooLong("gzip", limit);
    out.append(buffer, 0, produced);
    if (result == Z_STREAM_END) {
      member_ended = true;
    } else if (result != Z_OK && !(result == Z_BUF_ERROR && stream.avail_in == 0)) {
      return DataLoss("gzip: byte " + std::to_string(data.size() - stream.avail_in - (data.size() - at)) +
                      ": " + (stream.msg != nullptr ? stream.msg : "does not decode"));
    }
    // A full buffer may have left output inside the decoder; go round again without more input.
    while (result == Z_OK && stream.avail_out == 0 && stream.avail_in == 0 && at == data.size()) {
      stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
      stream.avail_out = static_cast<uInt>(buffer.size());
      const int more = inflate(&stream, Z_NO_FLUSH);
      const size_t n = buffer.size() - stream.avail_out;
      if (n > limit - out.size()) return TooLong("gzip", limit);
      out.append(buffer, 0, n);
      if (more == Z_STREAM_END) member_ended = true;
      if (more != Z_OK) break;
    }
  }
  if (!member_ended) {
    return DataLoss("gzip: ends in the middle after " + std::to_string(data.size()) + " bytes");
  }
  return out;
}

std::string Gzip(std::string_view data, int level) {
  z_stream stream{};
  const int init = deflateInit2(&stream, level, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
  TOCSIN_CHECK(init == Z_OK) << "deflateInit2: " << init;
  std::string out(deflateBound(&stream, data.size()) + 32, '\0');
  size_t in = 0;
  size_t produced = 0;
  int result = Z_OK;
  while (result != Z_STREAM_END) {
    const size_t n = std::min<size_t>(data.size() - in, 1 << 30);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data() + in));
    stream.avail_in = static_cast<uInt>(n);
    const size_t room = std::min<size_t>(out.size() - produced, 1 << 30);
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + produced);
    stream.avail_out = static_cast<uInt>(room);
    result = deflate(&stream, in + n == data.size() ? Z_FINISH : Z_NO_FLUSH);
    in += n - stream.avail_in;
    produced += room - stream.avail_out;
    if (produced == out.size()) out.resize(out.size() * 2);
  }
  deflateEnd(&stream);
  out.resize(produced);
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
