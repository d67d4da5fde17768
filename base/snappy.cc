// The snappy block format for what libsnappy cannot know: rows whose words are often alike.
//
//   block   = uvarint of the length, element*
//   element = literal of n bytes:   (n - 1) << 2 for n <= 60, else 59 + k << 2 and n - 1 in k bytes; then the bytes
//           | copy of 4 to 11 bytes from less than 2048 before:   1 | n - 4 << 2 | offset >> 8 << 5, offset & 255
//           | copy of 1 to 64 bytes from less than 65536 before:  2 | n - 1 << 2, offset in two bytes
//           | copy of 1 to 64 bytes:                              3 | n - 1 << 2, offset in four bytes
//
// Numbers are little-endian; a copy may reach into what it writes.  Source: format_description.txt of snappy.

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/compress.h"

namespace tocsin::base {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr size_t kWord = 8;
constexpr size_t kLeastCopy = 4;        // shorter ones save nothing
constexpr size_t kFarthest = 65'535;    // that two bytes of offset reach
constexpr size_t kWideLiteral = 16;     // short literals are copied as this many bytes
constexpr int kTableBits = 8;

uint64_t Load(const char* p) {
  uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

char* PutLiteral(std::string_view bytes, bool room_behind, char* out) {
  size_t n = bytes.size() - 1;
  if (n < 60) {
    *out++ = static_cast<char>(n << 2);
    if (bytes.size() <= kWideLiteral && room_behind) {
      std::memcpy(out, bytes.data(), kWideLiteral);
      return out + bytes.size();
    }
  } else {
    char* const tag = out++;
    for (; n > 0; n >>= 8) *out++ = static_cast<char>(n);
    *tag = static_cast<char>((59 + (out - tag - 1)) << 2);
  }
  std::memcpy(out, bytes.data(), bytes.size());
  return out + bytes.size();
}

// REQUIRES: 4 <= n <= 64.
char* PutCopy(size_t offset, size_t n, char* out) {
  if (n < 12 && offset < 2048) {
    *out++ = static_cast<char>(1 | (n - 4) << 2 | offset >> 8 << 5);
    *out++ = static_cast<char>(offset);
  } else {
    *out++ = static_cast<char>(2 | (n - 1) << 2);
    *out++ = static_cast<char>(offset);
    *out++ = static_cast<char>(offset >> 8);
  }
  return out;
}

// Equal bytes at the start and at the end of two words, given their difference.
size_t EqualAtStart(uint64_t difference) { return static_cast<size_t>(std::countr_zero(difference)) / 8; }
size_t EqualAtEnd(uint64_t difference) { return static_cast<size_t>(std::countl_zero(difference)) / 8; }

}  // namespace

void SnappyEncodeRows(std::string_view data, std::span<const uint32_t> words, std::string* out) {
  // The last place of a word, by its hash; 0 is none.
  std::array<uint32_t, 1 << kTableBits> seen{};
  const char* const begin = data.data();
  out->resize_and_overwrite(data.size() + data.size() / 6 + 32, [&](char* const first, size_t) {
    char* p = first;
    size_t n = data.size();
    for (; n >= 0x80; n >>= 7) *p++ = static_cast<char>(n | 0x80);
    *p++ = static_cast<char>(n);
    size_t done = 0;
    const auto literal_upto = [&](size_t end) {
      if (end > done) p = PutLiteral(data.substr(done, end - done), data.size() - done >= kWideLiteral, p);
      done = end;
    };
    for (size_t i = 1; i < words.size(); ++i) {
      const size_t at = words[i];
      const uint64_t word = Load(begin + at);
      uint32_t& last = seen[word * 0x9e3779b97f4a7c15ULL >> (64 - kTableBits)];
      size_t like = words[i - 1];
      uint64_t difference = word ^ Load(begin + like);
      if (difference != 0 && last != 0 && Load(begin + last) == word && at - last <= kFarthest) {
        like = last;
        difference = 0;
      }
      last = static_cast<uint32_t>(at);
      const size_t offset = at - like;
      if (offset > kFarthest) continue;
      // What is alike from before the word into it, and what is alike at its end.
      const size_t before =
          like < kWord ? 0 : std::min(EqualAtEnd(Load(begin + at - kWord) ^ Load(begin + like - kWord)), at - done);
      const size_t start = EqualAtStart(difference);
      if (before + start >= kLeastCopy) {
        literal_upto(at - before);
        p = PutCopy(offset, before + start, p);
        done = at + start;
      }
      if (const size_t end = EqualAtEnd(difference); end >= kLeastCopy && end < kWord) {
        literal_upto(at + kWord - end);
        p = PutCopy(offset, end, p);
        done = at + kWord;
      }
    }
    literal_upto(data.size());
    return p - first;
  });
}

}  // namespace tocsin::base
