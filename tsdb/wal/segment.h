#pragma once

// Segments of the log: files <8 digits> of 32 KiB pages.  A record is split into fragments so that
// none crosses a page; a record never spans segments.
//
//   segment  = page*                      (the last page may be short)
//   page     = fragment* zero*
//   fragment = type(1) length(2) crc32c(4) data     big-endian; crc of the data
//   type     = 1 full, 2 first, 3 middle, 4 last;  + 8 snappy, + 16 zstd (of the whole record)
//
// Threads: a reader and a framer belong to one thread.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"

namespace tocsin::tsdb::wal {

inline constexpr size_t kPageBytes = 32 << 10;
inline constexpr size_t kFragmentHeaderBytes = 7;
// A record that says it is longer is damage: nothing of that size is ever written.
inline constexpr size_t kMaxRecordBytes = 256 << 20;

enum class Compression { kNone, kSnappy, kZstd };

// A record as it goes to disk: compressed where that makes it smaller.
struct PackedRecord {
  std::string bytes;
  Compression compression = Compression::kNone;
};
PackedRecord Pack(std::string record, Compression compression);

// Appends the fragments of `record` to `out`, which continues a segment at `*offset` (raised).
void Frame(const PackedRecord& record, uint64_t* offset, std::string* out);

// The most bytes that Frame() adds for a record of this size.
size_t FramedBytes(size_t record_bytes);

// A stretch that could not be read.
struct Damage {
  uint64_t offset = 0;      // of the first bad fragment
  uint64_t resumed_at = 0;  // where reading went on; the segment's size when nothing followed
  std::string what;
};

// Reads a segment's records.  After damage it goes on at the next page that starts a record.
class SegmentReader {
 public:
  // `data` outlives the reader.  Reading begins at `offset`, where a record begins.
  explicit SegmentReader(std::string_view data, uint64_t offset = 0) : data_(data), offset_(offset), good_end_(offset) {}

  // The next record, decompressed, valid until the next call.  False at the end.
  bool Next(std::string_view* record);

  // Where the record last returned began, and where the data behind it begins.
  uint64_t record_offset() const { return record_offset_; }
  uint64_t good_end() const { return good_end_; }
  const std::vector<Damage>& damage() const { return damage_; }
  // Whether the last damage reaches to the end: a write that was cut short, or a segment still written.
  bool torn() const { return !damage_.empty() && damage_.back().resumed_at >= data_.size(); }

 private:
  struct Fragment {
    uint8_t type = 0;
    std::string_view data;
  };
  enum class Read { kFragment, kPadding, kEnd, kBad };
  Read ReadFragment(Fragment* fragment, std::string* what);
  void Resync(uint64_t bad_offset, std::string what);
  bool Unpack(uint8_t type, std::string_view packed, std::string_view* record, std::string* what);

  std::string_view data_;
  uint64_t offset_;
  uint64_t record_offset_ = 0;
  uint64_t good_end_;
  std::string joined_;    // of fragments
  std::string unpacked_;  // of compression
  std::vector<Damage> damage_;
};

// The numbers of the segments in a folder, ascending.  A missing folder has none.
base::Result<std::vector<int>> ListSegments(base::FileSystem* fs, const std::string& folder);
std::string SegmentPath(const std::string& folder, int index);

}  // namespace tocsin::tsdb::wal
