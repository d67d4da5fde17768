#include "tsdb/wal/segment.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <fmt/format.h>

#include "base/compress.h"
#include "base/digest.h"

namespace tocsin::tsdb::wal {
namespace {

constexpr uint8_t kFull = 1, kFirst = 2, kMiddle = 3, kLast = 4;
constexpr uint8_t kTypeMask = 7, kSnappyFlag = 8, kZstdFlag = 16;

uint8_t FlagOf(Compression c) {
  switch (c) {
    case Compression::kSnappy: return kSnappyFlag;
    case Compression::kZstd: return kZstdFlag;
    case Compression::kNone: break;
  }
  return 0;
}

uint32_t ReadBe32(const char* p) {
  uint32_t v;
  std::memcpy(&v, p, 4);
  return __builtin_bswap32(v);
}

}  // namespace

PackedRecord Pack(std::string record, Compression compression) {
  if (compression == Compression::kNone || record.empty()) return {std::move(record), Compression::kNone};
  std::string packed = compression == Compression::kSnappy ? base::SnappyEncode(record) : base::ZstdEncode(record);
  if (packed.size() >= record.size()) return {std::move(record), Compression::kNone};
  return {std::move(packed), compression};
}

size_t FramedBytes(size_t record_bytes) {
  const size_t fragments = record_bytes / (kPageBytes - kFragmentHeaderBytes) + 2;
  return record_bytes + fragments * kFragmentHeaderBytes + kFragmentHeaderBytes;  // and padding
}

void Frame(const PackedRecord& record, uint64_t* offset, std::string* out) {
  std::string_view rest = record.bytes;
  const uint8_t flag = FlagOf(record.compression);
  for (bool first = true; first || !rest.empty(); first = false) {
    const size_t in_page = *offset % kPageBytes;
    const size_t room = kPageBytes - in_page - kFragmentHeaderBytes;  // padding below keeps a header's room
    const std::string_view part = rest.substr(0, room);
    rest.remove_prefix(part.size());
    const uint8_t type = first ? (rest.empty() ? kFull : kFirst) : (rest.empty() ? kLast : kMiddle);
    char header[kFragmentHeaderBytes];
    header[0] = static_cast<char>(type | flag);
    header[1] = static_cast<char>(part.size() >> 8);
    header[2] = static_cast<char>(part.size());
    const uint32_t crc = __builtin_bswap32(base::Crc32c(part));
    std::memcpy(header + 3, &crc, 4);
    out->append(header, sizeof header);
    out->append(part);
    *offset += sizeof header + part.size();
    const size_t left = kPageBytes - *offset % kPageBytes;
    if (left < kFragmentHeaderBytes) {
      out->append(left, '\0');
      *offset += left;
    }
  }
}

SegmentReader::Read SegmentReader::ReadFragment(Fragment* fragment, std::string* what) {
  if (offset_ >= data_.size()) return Read::kEnd;
  const uint64_t page_end = std::min<uint64_t>((offset_ / kPageBytes + 1) * kPageBytes, data_.size());
  const char* p = data_.data() + offset_;
  const size_t left = page_end - offset_;
  if (*p == 0) {
    // Padding; a page is padded with zeros to its end.
    if (std::any_of(p, p + left, [](char c) { return c != 0; })) {
      *what = "bytes behind the end of a page's fragments";
      return Read::kBad;
    }
    offset_ = page_end;
    return Read::kPadding;
  }
  const auto type = static_cast<uint8_t>(*p);
  if ((type & kTypeMask) > kLast || (type & kTypeMask) == 0 || (type & ~(kTypeMask | kSnappyFlag | kZstdFlag)) != 0) {
    *what = fmt::format("unknown fragment type {}", type);
    return Read::kBad;
  }
  if (left < kFragmentHeaderBytes) {
    *what = fmt::format("a fragment header of {} bytes, 7 needed", left);
    return Read::kBad;
  }
  const size_t length = static_cast<size_t>(static_cast<uint8_t>(p[1])) << 8 | static_cast<uint8_t>(p[2]);
  if (length > left - kFragmentHeaderBytes) {
    *what = fmt::format("a fragment of {} bytes where {} are left", length, left - kFragmentHeaderBytes);
    return Read::kBad;
  }
  const std::string_view data(p + kFragmentHeaderBytes, length);
  const uint32_t stored = ReadBe32(p + 3), computed = base::Crc32c(data);
  if (stored != computed) {
    *what = fmt::format("record CRC {:08x}, computed {:08x}", stored, computed);
    return Read::kBad;
  }
  fragment->type = type;
  fragment->data = data;
  offset_ += kFragmentHeaderBytes + length;
  return Read::kFragment;
}

bool SegmentReader::Unpack(uint8_t type, std::string_view packed, std::string_view* record, std::string* what) {
  if ((type & (kSnappyFlag | kZstdFlag)) == 0) {
    *record = packed;
    return true;
  }
  base::Result<std::string> unpacked = (type & kSnappyFlag) != 0 ? base::SnappyDecode(packed, kMaxRecordBytes)
                                                                 : base::ZstdDecode(packed, kMaxRecordBytes);
  if (!unpacked) {
    *what = unpacked.error().message();
    return false;
  }
  unpacked_ = std::move(*unpacked);
  *record = unpacked_;
  return true;
}

bool SegmentReader::Next(std::string_view* record) {
  joined_.clear();
  bool inside = false;
  uint64_t begin = offset_;
  uint8_t first_type = 0;
  for (;;) {
    const uint64_t at = offset_;
    Fragment fragment;
    std::string what;
    switch (ReadFragment(&fragment, &what)) {
      case Read::kEnd:
        if (inside) {
          damage_.push_back({begin, data_.size(), "the segment ends within a record"});
          good_end_ = std::min(good_end_, begin);
        }
        return false;
      case Read::kPadding:
        if (!inside) good_end_ = offset_;
        continue;
      case Read::kBad:
        Resync(inside ? begin : at, std::move(what));
        inside = false;
        joined_.clear();
        continue;
      case Read::kFragment: break;
    }
    const uint8_t type = fragment.type & kTypeMask;
    const bool starts = type == kFull || type == kFirst;
    if (starts == inside || joined_.size() > kMaxRecordBytes) {
      // A record that begins within another lost the other's end; it may itself be whole.
      if (starts) {
        damage_.push_back({begin, at, "a record without its end"});
        offset_ = at;
      } else {
        Resync(at, fmt::format("a fragment of type {} where a record should begin", type));
      }
      inside = false;
      joined_.clear();
      continue;
    }
    if (starts) {
      begin = at;
      first_type = fragment.type;
    }
    if (type == kFull) {
      if (Unpack(fragment.type, fragment.data, record, &what)) {
        record_offset_ = begin;
        good_end_ = offset_;
        return true;
      }
      damage_.push_back({begin, offset_, std::move(what)});
      continue;
    }
    joined_.append(fragment.data);
    inside = true;
    if (type == kLast) {
      inside = false;
      if (Unpack(first_type, joined_, record, &what)) {
        record_offset_ = begin;
        good_end_ = offset_;
        return true;
      }
      damage_.push_back({begin, offset_, std::move(what)});
      joined_.clear();
    }
  }
}

// Goes to the next page, and there past what remains of a record that began before.
void SegmentReader::Resync(uint64_t bad_offset, std::string what) {
  Damage damage{bad_offset, data_.size(), std::move(what)};
  uint64_t page = offset_ / kPageBytes + 1;
  for (;; ++page) {
    offset_ = page * kPageBytes;
    if (offset_ >= data_.size()) {
      offset_ = data_.size();
      break;
    }
    for (;;) {
      const uint64_t at = offset_;
      Fragment fragment;
      std::string ignored;
      const Read read = ReadFragment(&fragment, &ignored);
      if (read == Read::kFragment && ((fragment.type & kTypeMask) == kFull || (fragment.type & kTypeMask) == kFirst)) {
        offset_ = at;
        damage.resumed_at = at;
        damage_.push_back(std::move(damage));
        return;
      }
      if (read != Read::kFragment || offset_ % kPageBytes == 0) break;
    }
    // Padding moved to the page's end; a bad fragment did not.
    page = std::max(page, (offset_ + kPageBytes - 1) / kPageBytes - 1);
  }
  damage_.push_back(std::move(damage));
}

base::Result<std::vector<int>> ListSegments(base::FileSystem* fs, const std::string& folder) {
  std::vector<int> segments;
  auto files = fs->List(folder);
  if (!files) {
    if (files.error().code() == base::Code::kNotFound) return segments;
    return std::unexpected(files.error());
  }
  for (const base::FileInfo& file : *files) {
    int index = 0;
    const char* end = file.name.data() + file.name.size();
    const auto [p, error] = std::from_chars(file.name.data(), end, index);
    if (!file.is_folder && error == std::errc() && p == end && index >= 0) segments.push_back(index);
  }
  std::sort(segments.begin(), segments.end());
  return segments;
}

std::string SegmentPath(const std::string& folder, int index) {
  return base::JoinPath(folder, fmt::format("{:08}", index));
}

}  // namespace tocsin::tsdb::wal
