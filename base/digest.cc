#include "base/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <xxhash.h>

#include <cstring>

#include "base/check.h"

namespace tocsin::base {
namespace {

// Slicing by 8 over the reflected Castagnoli polynomial, for machines without the instruction.
struct CrcTables {
  uint32_t t[8][256];
};

constexpr CrcTables MakeCrcTables() {
  CrcTables tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82f63b78 : crc >> 1;
    tables.t[0][i] = crc;
  }
  for (uint32_t i = 0; i < 256; ++i) {
    for (int k = 1; k < 8; ++k) {
      tables.t[k][i] = (tables.t[k - 1][i] >> 8) ^ tables.t[0][tables.t[k - 1][i] & 255];
    }
  }
  return tables;
}

constexpr CrcTables kCrc = MakeCrcTables();

uint32_t CrcPortable(uint32_t crc, const unsigned char* p, size_t n) {
  for (; n >= 8; n -= 8, p += 8) {
    uint32_t low = crc ^ (p[0] | uint32_t{p[1]} << 8 | uint32_t{p[2]} << 16 | uint32_t{p[3]} << 24);
    crc = kCrc.t[7][low & 255] ^ kCrc.t[6][(low >> 8) & 255] ^ kCrc.t[5][(low >> 16) & 255] ^
          kCrc.t[4][low >> 24] ^ kCrc.t[3][p[4]] ^ kCrc.t[2][p[5]] ^ kCrc.t[1][p[6]] ^ kCrc.t[0][p[7]];
  }
  for (; n > 0; --n, ++p) crc = (crc >> 8) ^ kCrc.t[0][(crc ^ *p) & 255];
  return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t CrcHardware(uint32_t crc, const unsigned char* p, size_t n) {
  uint64_t wide = crc;
  for (; n >= 8; n -= 8, p += 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    wide = __builtin_ia32_crc32di(wide, word);
  }
  crc = static_cast<uint32_t>(wide);
  for (; n > 0; --n, ++p) crc = __builtin_ia32_crc32qi(crc, *p);
  return crc;
}
#endif

template <size_t N>
std::array<uint8_t, N> Digest(const EVP_MD* algorithm, std::string_view data) {
  std::array<uint8_t, N> out;
  unsigned int size = N;
  int ok = EVP_Digest(data.data(), data.size(), out.data(), &size, algorithm, nullptr);
  TOCSIN_CHECK(ok == 1 && size == N) << "OpenSSL refuses a digest of " << N << " bytes";
  return out;
}

template <size_t N>
std::array<uint8_t, N> Hmac(const EVP_MD* algorithm, std::string_view key, std::string_view data) {
  std::array<uint8_t, N> out;
  unsigned int size = N;
  const auto* bytes = reinterpret_cast<const unsigned char*>(data.data());
  const char empty = 0;
  const void* key_bytes = key.empty() ? &empty : key.data();
  auto* result = HMAC(algorithm, key_bytes, static_cast<int>(key.size()), bytes, data.size(),
                      out.data(), &size);
  TOCSIN_CHECK(result != nullptr && size == N) << "OpenSSL refuses a keyed digest of " << N << " bytes";
  return out;
}

constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kBase64Url =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string Encode64(std::string_view data, std::string_view alphabet) {
  std::string out;
  out.reserve((data.size() + 2) / 3 * 4);
  for (size_t i = 0; i < data.size(); i += 3) {
    size_t n = data.size() - i < 3 ? data.size() - i : 3;
    uint32_t word = 0;
    for (size_t k = 0; k < 3; ++k) {
      word = word << 8 | (k < n ? static_cast<unsigned char>(data[i + k]) : 0u);
    }
    for (size_t k = 0; k < 4; ++k) {
      out.push_back(k <= n ? alphabet[(word >> (18 - 6 * k)) & 63] : '=');
    }
  }
  return out;
}

// As Go's StdEncoding: padding is required, newlines are skipped.
bool Decode64(std::string_view text, std::string_view alphabet, std::string* out) {
  out->clear();
  uint32_t word = 0;
  int have = 0;
  int padding = 0;
  for (char c : text) {
    if (c == '\n' || c == '\r') continue;
    if (c == '=') {
      ++padding;
      if (have + padding > 4 || have < 2) return false;
      continue;
    }
    size_t value = alphabet.find(c);
    if (value == std::string_view::npos || padding > 0) return false;
    word = word << 6 | static_cast<uint32_t>(value);
    if (++have == 4) {
      out->push_back(static_cast<char>(word >> 16));
      out->push_back(static_cast<char>(word >> 8));
      out->push_back(static_cast<char>(word));
      word = 0;
      have = 0;
    }
  }
  if (have == 0) return padding == 0;
  if (have + padding != 4) return false;
  word <<= 6 * padding;
  out->push_back(static_cast<char>(word >> 16));
  if (have == 3) out->push_back(static_cast<char>(word >> 8));
  return true;
}

}  // namespace

uint32_t Crc32c(uint32_t crc, std::string_view data) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(data.data());
#if defined(__x86_64__)
  static const bool hardware = __builtin_cpu_supports("sse4.2");
  if (hardware) return ~CrcHardware(~crc, bytes, data.size());
#endif
  return ~CrcPortable(~crc, bytes, data.size());
}

uint32_t Crc32c(std::string_view data) { return Crc32c(0, data); }

uint64_t Fnv1a64(uint64_t state, std::string_view data) {
  for (char c : data) {
    state ^= static_cast<unsigned char>(c);
    state *= 1099511628211ULL;
  }
  return state;
}

uint64_t Fnv1a64(std::string_view data) { return Fnv1a64(kFnv1a64Offset, data); }

uint64_t Xxh64(std::string_view data) { return XXH64(data.data(), data.size(), 0); }

uint64_t Xxh3(std::string_view data) { return XXH3_64bits(data.data(), data.size()); }

Hash128 Xxh128(std::string_view data, uint64_t seed) {
  XXH128_hash_t h = XXH3_128bits_withSeed(data.data(), data.size(), seed);
  return {h.low64, h.high64};
}

std::array<uint8_t, 16> Md5(std::string_view data) { return Digest<16>(EVP_md5(), data); }
std::array<uint8_t, 20> Sha1(std::string_view data) { return Digest<20>(EVP_sha1(), data); }
std::array<uint8_t, 32> Sha256(std::string_view data) { return Digest<32>(EVP_sha256(), data); }

std::array<uint8_t, 32> HmacSha256(std::string_view key, std::string_view data) {
  return Hmac<32>(EVP_sha256(), key, data);
}
std::array<uint8_t, 16> HmacMd5(std::string_view key, std::string_view data) {
  return Hmac<16>(EVP_md5(), key, data);
}

std::string Hex(const void* data, size_t size) {
  static constexpr char kDigits[] = "0123456789abcdef";
  const auto* bytes = static_cast<const unsigned char*>(data);
  std::string out;
  out.reserve(size * 2);
  for (size_t i = 0; i < size; ++i) {
    out.push_back(kDigits[bytes[i] >> 4]);
    out.push_back(kDigits[bytes[i] & 15]);
  }
  return out;
}

std::string Base64Encode(std::string_view data) { return Encode64(data, kBase64); }
std::string Base64UrlEncode(std::string_view data) { return Encode64(data, kBase64Url); }
bool Base64Decode(std::string_view text, std::string* out) { return Decode64(text, kBase64, out); }
bool Base64UrlDecode(std::string_view text, std::string* out) {
  return Decode64(text, kBase64Url, out);
}

}  // namespace tocsin::base
