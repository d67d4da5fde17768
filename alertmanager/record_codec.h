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

#include "base/coding.h"
#include "base/time.h"

namespace tocsin::alertmanager {

class RecordWriter {
 public:
  explicit RecordWriter(uint8_t version) { out_ += static_cast<char>(version); }
  void Varint(uint64_t v) { base::PutUvarint(&out_, v); }
  void Text(std::string_view text) { base::PutText(&out_, text); }
  void Time(base::Time t) { base::PutLe64(&out_, static_cast<uint64_t>(t.time_since_epoch().count())); }
  std::string Take() { return std::move(out_); }

 private:
  std::string out_;
};

class RecordReader {
 public:
  explicit RecordReader(std::string_view bytes) : in_(bytes) {}
  // False, and failed, when the record was written by a version this one does not know.
  bool Version(uint8_t known) {
    if (in_.Byte() != known) {
      in_ = base::Decoder({});
      unknown_ = true;
    }
    return ok();
  }
  uint64_t Varint() { return in_.Uvarint(); }
  // A count of things of at least one byte each.
  size_t Count() { return in_.Count(1); }
  std::string_view Text() { return in_.Text(); }
  base::Time Time() { return base::Time(base::Duration(static_cast<int64_t>(in_.Le64()))); }
  bool ok() const { return in_.ok() && !unknown_; }
  bool at_end() const { return !in_.more(); }

 private:
  base::Decoder in_;
  bool unknown_ = false;
};

}  // namespace tocsin::alertmanager
