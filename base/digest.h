#pragma once

// Checksums and digests; the door to OpenSSL's and xxhash's.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace tocsin::base {

uint32_t Crc32c(std::string_view data);                    // Castagnoli
uint32_t Crc32c(uint32_t crc, std::string_view data);      // continues
uint64_t Fnv1a64(std::string_view data);
inline constexpr uint64_t kFnv1a64Offset = 14695981039346656037ULL;
uint64_t Fnv1a64(uint64_t state, std::string_view data);   // continues
uint64_t Xxh64(std::string_view data);
uint64_t Xxh3(std::string_view data);                      // faster, of 64 bits too
struct Hash128 {
  uint64_t low = 0;
  uint64_t high = 0;
  friend bool operator==(const Hash128&, const Hash128&) = default;
};
// Wide enough to stand for the data: with an unknown seed nobody finds two with the same hash.
Hash128 Xxh128(std::string_view data, uint64_t seed);

std::array<uint8_t, 16> Md5(std::string_view data);
std::array<uint8_t, 20> Sha1(std::string_view data);
std::array<uint8_t, 32> Sha256(std::string_view data);
std::array<uint8_t, 32> HmacSha256(std::string_view key, std::string_view data);
std::array<uint8_t, 16> HmacMd5(std::string_view key, std::string_view data);

std::string Hex(const void* data, size_t size);  // lower case
template <size_t N>
std::string Hex(const std::array<uint8_t, N>& digest) {
  return Hex(digest.data(), N);
}
std::string Base64Encode(std::string_view data);
std::string Base64UrlEncode(std::string_view data);  // with padding
bool Base64Decode(std::string_view text, std::string* out);
bool Base64UrlDecode(std::string_view text, std::string* out);

}  // namespace tocsin::base
