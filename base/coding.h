#pragma once

// Numbers and counted text of binary formats: integers of fixed size, varints as Go's encoding/binary
// writes them (signed ones zigzag), text behind its length.
//
// Threads: plain values.
// Errors:  a Decoder that meets the end, a varint of more than 64 bits or a count of more than can be there
//          stops: everything after reads as zero, and ok() is false.

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace tocsin::base {

inline void PutBe32(std::string* out, uint32_t v) {
  v = __builtin_bswap32(v);
  out->append(reinterpret_cast<const char*>(&v), 4);
}
inline void PutBe64(std::string* out, uint64_t v) {
  v = __builtin_bswap64(v);
  out->append(reinterpret_cast<const char*>(&v), 8);
}
// Little-endian, as this processor has them.
inline void PutLe32(std::string* out, uint32_t v) { out->append(reinterpret_cast<const char*>(&v), 4); }
inline void PutLe64(std::string* out, uint64_t v) { out->append(reinterpret_cast<const char*>(&v), 8); }
inline void PutDouble(std::string* out, double v) { PutBe64(out, std::bit_cast<uint64_t>(v)); }
inline void PutUvarint(std::string* out, uint64_t v) {
  for (; v >= 0x80; v >>= 7) out->push_back(static_cast<char>(v | 0x80));
  out->push_back(static_cast<char>(v));
}
inline void PutVarint(std::string* out, int64_t v) {
  PutUvarint(out, static_cast<uint64_t>(v) << 1 ^ static_cast<uint64_t>(v >> 63));
}
inline void PutText(std::string* out, std::string_view s) {
  PutUvarint(out, s.size());
  out->append(s);
}

// Reads from the front.
class Decoder {
 public:
  explicit Decoder(std::string_view data) : begin_(data.data()), p_(data.data()), end_(p_ + data.size()) {}
  bool ok() const { return ok_; }
  bool more() const { return p_ < end_; }
  size_t left() const { return static_cast<size_t>(end_ - p_); }
  size_t offset() const { return static_cast<size_t>(p_ - begin_); }
  const char* position() const { return p_; }

  uint8_t Byte() {
    if (left() < 1) return Fail();
    return static_cast<uint8_t>(*p_++);
  }
  uint32_t Be32() {
    if (left() < 4) return Fail();
    uint32_t v;
    std::memcpy(&v, p_, 4);
    p_ += 4;
    return __builtin_bswap32(v);
  }
  uint64_t Be64() {
    if (left() < 8) return Fail();
    uint64_t v;
    std::memcpy(&v, p_, 8);
    p_ += 8;
    return __builtin_bswap64(v);
  }
  uint32_t Le32() { return __builtin_bswap32(Be32()); }
  uint64_t Le64() { return __builtin_bswap64(Be64()); }
  double Double() { return std::bit_cast<double>(Be64()); }
  uint64_t Uvarint() {
    if (p_ != end_ && static_cast<uint8_t>(*p_) < 0x80) [[likely]] return static_cast<uint8_t>(*p_++);
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (p_ == end_) return Fail();
      const auto b = static_cast<uint8_t>(*p_++);
      if (shift == 63 && b > 1) return Fail();  // more than 64 bits
      v |= static_cast<uint64_t>(b & 0x7f) << shift;
      if (b < 0x80) return v;
    }
    return Fail();
  }
  int64_t Varint() {
    const uint64_t v = Uvarint();
    return static_cast<int64_t>(v >> 1) ^ -static_cast<int64_t>(v & 1);
  }
  std::string_view Bytes(uint64_t n) {
    if (n > left()) {
      Fail();
      return {};
    }
    const std::string_view s(p_, n);
    p_ += n;
    return s;
  }
  std::string_view Text() { return Bytes(Uvarint()); }
  // A count of things that take at least `bytes` each.
  size_t Count(size_t bytes) {
    const uint64_t n = Uvarint();
    if (n > left() / bytes) return Fail();
    return n;
  }

 private:
  uint8_t Fail() {
    ok_ = false;
    p_ = end_;
    return 0;
  }
  const char* begin_;
  const char* p_;
  const char* end_;
  bool ok_ = true;
};

}  // namespace tocsin::base
