#pragma once

// Bit streams as in Prometheus's chunks: most significant bit first.  Writing stores eight bytes at
// a time, reading loads them, so that a sample costs a few instructions and no loop over bits.
//
// Threads: free functions over the caller's bytes.

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace tocsin::tsdb::chunk {

// A buffer that PutBits writes to must have this many bytes beyond the last one used.
inline constexpr size_t kWriteSlack = 16;

inline uint64_t LoadBigEndian64(const void* p) {
  uint64_t v;
  std::memcpy(&v, p, 8);
  return __builtin_bswap64(v);
}
inline void StoreBigEndian64(void* p, uint64_t v) {
  v = __builtin_bswap64(v);
  std::memcpy(p, &v, 8);
}

// Appends the low `n` bits of `value` at bit `*pos`; what lies beyond becomes zero.
// REQUIRES: 0 < n <= 56 and no bit of `value` above n is set.
inline void PutBits(uint8_t* data, uint32_t* pos, uint64_t value, int n) {
  uint8_t* p = data + (*pos >> 3);
  const int used = static_cast<int>(*pos & 7);
  const uint64_t kept = used == 0 ? 0 : (static_cast<uint64_t>(*p) >> (8 - used)) << (64 - used);
  StoreBigEndian64(p, kept | (value << (64 - n)) >> used);
  *pos += static_cast<uint32_t>(n);
}

// The same for up to 64 bits.
inline void PutBits64(uint8_t* data, uint32_t* pos, uint64_t value, int n) {
  if (n > 32) {
    PutBits(data, pos, value >> 32, n - 32);
    PutBits(data, pos, value & 0xffffffff, 32);
  } else if (n > 0) {
    PutBits(data, pos, value, n);
  }
}

// Reads bits; beyond the end it reads zeros and overrun() tells.
class BitReader {
 public:
  explicit BitReader(std::string_view data)
      : data_(reinterpret_cast<const uint8_t*>(data.data())),
        size_(data.size()),
        end_(static_cast<uint64_t>(data.size()) * 8) {}

  // The next 56 bits or more, left-aligned.
  uint64_t Peek() const {
    const uint64_t byte = pos_ >> 3;
    const int used = static_cast<int>(pos_ & 7);
    if (byte + 8 <= size_) [[likely]] return LoadBigEndian64(data_ + byte) << used;
    uint8_t tail[8] = {};
    if (byte < size_) std::memcpy(tail, data_ + byte, size_ - byte);
    return LoadBigEndian64(tail) << used;
  }
  void Skip(int n) { pos_ += static_cast<uint64_t>(n); }
  bool ReadBit() {
    const bool bit = Peek() >> 63;
    Skip(1);
    return bit;
  }
  // REQUIRES: n <= 64.
  uint64_t Read(int n) {
    if (n == 0) return 0;
    if (n <= 56) {
      const uint64_t v = Peek() >> (64 - n);
      Skip(n);
      return v;
    }
    const uint64_t high = Peek() >> 32;
    Skip(32);
    const int low_bits = n - 32;
    const uint64_t low = Peek() >> (64 - low_bits);
    Skip(low_bits);
    return high << low_bits | low;
  }
  // Byte-wise varints inside the stream, as Go's encoding/binary.
  uint64_t ReadUvarint() {
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const uint64_t b = Read(8);
      v |= (b & 0x7f) << shift;
      if (b < 0x80) return v;
      if (overrun()) break;
    }
    pos_ = end_ + 1;  // longer than ten bytes
    return v;
  }
  int64_t ReadVarint() {
    const uint64_t v = ReadUvarint();
    return static_cast<int64_t>(v >> 1) ^ -static_cast<int64_t>(v & 1);
  }

  bool overrun() const { return pos_ > end_; }
  uint64_t position() const { return pos_; }

 private:
  const uint8_t* data_;
  uint64_t size_;
  uint64_t end_;
  uint64_t pos_ = 0;
};

// A bit stream that grows, for encoders off the hot path.
class BitBuffer {
 public:
  void Put(uint64_t value, int n) {
    if (bytes_.size() < (pos_ >> 3) + kWriteSlack) bytes_.resize((pos_ >> 3) + 4 * kWriteSlack + bytes_.size() / 2);
    PutBits64(reinterpret_cast<uint8_t*>(bytes_.data()), &pos_, n == 64 ? value : value & ((1ULL << n) - 1), n);
  }
  void PutUvarint(uint64_t v) {
    for (; v >= 0x80; v >>= 7) Put((v & 0x7f) | 0x80, 8);
    Put(v, 8);
  }
  void PutVarint(int64_t v) { PutUvarint(static_cast<uint64_t>(v) << 1 ^ static_cast<uint64_t>(v >> 63)); }
  std::string Take() {
    bytes_.resize((pos_ + 7) >> 3);
    return std::move(bytes_);
  }

 private:
  std::string bytes_;
  uint32_t pos_ = 0;
};

}  // namespace tocsin::tsdb::chunk
