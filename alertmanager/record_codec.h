#pragma once

// The bytes of our records in the store: a version, then varints and length-prefixed texts.
//
//   record  = version:byte field*
//   varint  = LEB128;  text = varint length, bytes;  time = 8 bytes little-endian ns since 1970
//
// Threads: plain values.  Errors: a reader that runs out of bytes stays failed and gives zeros.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/time.h"

namespace tocsin::alertmanager {

class RecordWriter {
 public:
  explicit RecordWriter(uint8_t version) { out_ += static_cast<char>(version); }
  void Varint(uint64_t v) {
    for (; v >= 0x80; v >>= 7) out_ += static_cast<char>(v | 0x80);
    out_ += static_cast<char>(v);
  }
  void Text(std::string_view text) {
    Varint(text.size());
    out_ += text;
  }
  void Time(base::Time t) {
    const auto ns = static_cast<uint64_t>(t.time_since_epoch().count());
    for (int i = 0; i < 8; ++i) out_ += static_cast<char>(ns >> (8 * i));
  }
  std::string Take() { return std::move(out_); }

 private:
  std::string out_;
};

class RecordReader {
 public:
  explicit RecordReader(std::string_view bytes) : rest_(bytes) {}
  // False, and failed, when the record was written by a version this one does not know.
  bool Version(uint8_t known) {
    if (rest_.empty() || static_cast<uint8_t>(rest_.front()) != known) return Fail();
    rest_.remove_prefix(1);
    return true;
  }
  uint64_t Varint() {
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) return Fail();
      const auto byte = static_cast<uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      v |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return v;
    }
    return Fail();
  }
  // A count of things of at least one byte each.
  size_t Count() {
    const uint64_t n = Varint();
    return n <= rest_.size() ? static_cast<size_t>(n) : static_cast<size_t>(Fail());
  }
  std::string_view Text() {
    const uint64_t n = Varint();
    if (n > rest_.size()) {
      Fail();
      return {};
    }
    const std::string_view text = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return text;
  }
  base::Time Time() {
    if (rest_.size() < 8) {
      Fail();
      return {};
    }
    uint64_t ns = 0;
    for (size_t i = 0; i < 8; ++i) {
      ns |= static_cast<uint64_t>(static_cast<uint8_t>(rest_[i])) << (8 * i);
    }
    rest_.remove_prefix(8);
    return base::Time(base::Duration(static_cast<int64_t>(ns)));
  }
  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }

 private:
  bool Fail() {
    ok_ = false;
    rest_ = {};
    return false;
  }
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace tocsin::alertmanager
