#include "tsdb/head_chunks.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/coding.h"
#include "base/digest.h"
#include "base/log.h"

namespace tocsin::tsdb {
namespace {

constexpr std::string_view kHeader("\x01\x30\xbc\x91\x01\x00\x00\x00", 8);
constexpr uint8_t kLateBit = 0x80;
constexpr auto kNobodys = static_cast<uint8_t>(chunk::Encoding::kXor);
// Reference, times and encoding: what stands before the length.
constexpr size_t kFixedBytes = 25;
constexpr size_t kMaxLengthBytes = 5;
constexpr size_t kCrcBytes = 4;
constexpr size_t kLeastDataBytes = 2;  // a count of samples
constexpr size_t kLeastEntryBytes = kFixedBytes + 1 + kLeastDataBytes + kCrcBytes;

void AppendChunk(storage::SeriesRef series, model::Timestamp mint, model::Timestamp maxt, uint8_t encoding,
                 std::string_view data, std::string* out) {
  const size_t begin = out->size();
  base::PutBe64(out, series);
  base::PutBe64(out, static_cast<uint64_t>(mint));
  base::PutBe64(out, static_cast<uint64_t>(maxt));
  out->push_back(static_cast<char>(encoding));
  base::PutText(out, data);
  base::PutBe32(out, base::Crc32c(std::string_view(*out).substr(begin)));
}

bool AllZero(std::string_view s) {
  return std::all_of(s.begin(), s.end(), [](char c) { return c == 0; });
}

using Entry = HeadChunkReader::Item;

// The chunk at `offset`.  False: damaged; `end` is where it would end, 0 when the length makes no sense.
bool ReadEntry(std::string_view file, uint64_t offset, Entry* entry) {
  base::Decoder in(file.substr(offset));
  *entry = {};
  entry->offset = offset;
  HeadChunk& c = entry->chunk;
  c.series = in.Be64();
  c.mint = static_cast<model::Timestamp>(in.Be64());
  c.maxt = static_cast<model::Timestamp>(in.Be64());
  const uint8_t encoding = in.Byte();
  c.late = (encoding & kLateBit) != 0;
  c.encoding = static_cast<chunk::Encoding>(encoding & ~kLateBit);
  const uint64_t length = in.Uvarint();
  if (!in.ok() || length > HeadChunks::kMaxChunkBytes || in.left() < length + kCrcBytes) {
    entry->damage = fmt::format("a chunk of {} bytes where {} are left", length, in.left());
    return false;
  }
  entry->data = in.Bytes(length);
  const uint64_t covered = in.offset();
  const uint32_t stored = in.Be32(), computed = base::Crc32c(file.substr(offset, covered));
  entry->end = offset + covered + kCrcBytes;
  if (stored != computed) {
    entry->damage = fmt::format("chunk CRC {:08x}, computed {:08x}", stored, computed);
    return false;
  }
  c.samples = chunk::SampleCount(c.encoding, entry->data);
  return true;
}

// Where a chunk stands behind one of unknown length; the file's size when there is none.
uint64_t NextEntry(std::string_view file, uint64_t offset) {
  for (++offset; offset + kLeastEntryBytes <= file.size(); ++offset) {
    // References begin with zeros and few bytes are an encoding: hardly ever a checksum is computed in vain.
    const auto encoding = static_cast<chunk::Encoding>(static_cast<uint8_t>(file[offset + kFixedBytes - 1]) & ~kLateBit);
    if (file[offset] != 0 || file[offset + 1] != 0 || !chunk::IsKnown(encoding)) continue;
    Entry entry;
    if (ReadEntry(file, offset, &entry) && entry.chunk.series != 0 && entry.chunk.mint <= entry.chunk.maxt) return offset;
  }
  return file.size();
}

// The bytes of data in an entry of so many; none: no entry has as many.
std::optional<size_t> DataBytesOf(uint64_t entry_bytes) {
  for (size_t length_bytes = 1; length_bytes <= kMaxLengthBytes; ++length_bytes) {
    const uint64_t around = kFixedBytes + length_bytes + kCrcBytes;
    if (entry_bytes < around + kLeastDataBytes) return std::nullopt;
    std::string length;
    base::PutUvarint(&length, entry_bytes - around);
    if (length.size() == length_bytes) return entry_bytes - around;
  }
  return std::nullopt;
}

// Whether a chunk, the end of the file or nothing but zeros is at `offset`.
bool GoesOn(std::string_view file, uint64_t offset) {
  if (offset == file.size()) return true;
  Entry entry;
  return ReadEntry(file, offset, &entry) || AllZero(file.substr(offset));
}

}  // namespace

bool HeadChunkReader::HasHeader(std::string_view file) { return file.starts_with(kHeader); }

HeadChunkReader::HeadChunkReader(std::string_view file) : file_(file), offset_(kHeader.size()) {}

bool HeadChunkReader::Next(Item* item) {
  if (offset_ >= file_.size()) return false;
  if (!ReadEntry(file_, offset_, item)) {
    if (AllZero(file_.substr(offset_, kFixedBytes + kMaxLengthBytes))) return false;  // room that was never used
    const auto room = [&](uint64_t end) { return end - offset_ >= kLeastEntryBytes; };
    if (item->end == 0 || !room(item->end) || !GoesOn(file_, item->end)) {
      item->searched = true;
      item->end = NextEntry(file_, offset_);
      if (!room(item->end)) item->end = file_.size();  // no chunk of nobody can stand there
    }
  }
  offset_ = item->end;
  return true;
}

std::string HeadChunks::PathOf(uint32_t file) const { return base::JoinPath(options_.folder, fmt::format("{:06}", file)); }

HeadChunks::~HeadChunks() = default;

base::Result<std::unique_ptr<HeadChunks>> HeadChunks::Open(Options options, model::Timestamp mint, Loaded* loaded) {
  std::unique_ptr<HeadChunks> out(new HeadChunks(std::move(options)));
  RETURN_IF_ERROR(out->options_.fs->CreateFolders(out->options_.folder));
  ASSIGN_OR_RETURN(const std::vector<base::FileInfo> files, out->options_.fs->List(out->options_.folder));
  for (const base::FileInfo& f : files) {
    uint32_t number = 0;
    const char* end = f.name.data() + f.name.size();
    const auto [p, error] = std::from_chars(f.name.data(), end, number);
    if (f.is_folder || error != std::errc() || p != end || number >= kMaxFiles) continue;
    if (f.name != base::NameOf(out->PathOf(number))) continue;  // 1 is not 000001
    out->files_.push_back({.number = number, .bytes = f.size});
  }
  std::sort(out->files_.begin(), out->files_.end(), [](const File& a, const File& b) { return a.number < b.number; });
  for (size_t i = 0; i < out->files_.size(); ++i) {
    if (i > 0 && out->files_[i].number != out->files_[i - 1].number + 1) loaded->gaps = true;
    RETURN_IF_ERROR(out->Load(&out->files_[i], i + 1 == out->files_.size(), mint, loaded));
  }
  uint64_t bytes = 0;
  for (const File& f : out->files_) {
    bytes += f.bytes;
    out->loaded_.push_back(f.number);
  }
  out->bytes_ = bytes;
  return out;
}

base::Status HeadChunks::Load(File* file, bool last, model::Timestamp mint, Loaded* loaded) {
  const std::string path = PathOf(file->number);
  // Not the mapping that queries read: its pages need not stay.
  ASSIGN_OR_RETURN(const std::unique_ptr<base::MappedFile> map, options_.fs->Map(path));
  const std::string_view data = map->data();
  if (!HeadChunkReader::HasHeader(data)) {
    if (!last || data.size() >= kHeader.size()) loaded->gaps = loaded->gaps || !AllZero(data);
    return Cut(*file, data, 0, last, "no header of a chunk file", "");
  }
  size_t unknown = 0;
  std::string kept;  // the copy of the file as it was
  HeadChunkReader reader(data);
  HeadChunkReader::Item item;
  while (reader.Next(&item)) {
    if (item.damage.empty()) {
      HeadChunk& c = item.chunk;
      c.number = static_cast<uint64_t>(file->number) << 32 | item.offset;
      if (c.series == 0) {  // what stood here was damaged
        loaded->gaps = true;
        continue;
      }
      file->maxt = std::max(file->maxt, c.maxt);
      if (!chunk::IsKnown(c.encoding) || c.samples == 0 || c.mint > c.maxt) {
        ++unknown;
      } else if (c.maxt >= mint || c.late) {
        loaded->chunks.push_back(c);
      }
      continue;
    }
    std::string copy;
    if (item.searched) {
      if (item.end == data.size()) {
        loaded->gaps = loaded->gaps || !last;
        file->bytes = item.offset;
        return Cut(*file, data, item.offset, last, item.damage, kept);
      }
      if (kept.empty()) {
        ASSIGN_OR_RETURN(kept, KeepDamaged(*file, data));
      }
      copy = kept;
    }
    if (options_.corruptions != nullptr) options_.corruptions->Add();
    loaded->gaps = true;
    base::LogWarn("chunks_head: a damaged chunk is left out; what the write-ahead log still has of it comes back",
                  {{"file", path}, {"offset", item.offset}, {"resumed_at", item.end}, {"what", item.damage}, {"copy", copy}});
    RETURN_IF_ERROR(Disown(*file, data, item.offset, item.end));
  }
  if (unknown > 0) {
    loaded->gaps = true;
    base::LogWarn("chunks_head: chunks of an encoding that this version does not know are left out",
                  {{"file", path}, {"chunks", unknown}});
  }
  return {};
}

base::Result<std::string> HeadChunks::KeepDamaged(const File& file, std::string_view data) {
  const std::string damaged = base::JoinPath(options_.folder, "damaged");
  RETURN_IF_ERROR(options_.fs->CreateFolders(damaged));
  const std::string copy = base::JoinPath(damaged, base::NameOf(PathOf(file.number)));
  RETURN_IF_ERROR(options_.fs->WriteFileAtomically(copy, data));
  return copy;
}

base::Status HeadChunks::Disown(const File& file, std::string_view data, uint64_t offset, uint64_t end) {
  std::string nobodys;
  while (nobodys.size() < end - offset) {
    const uint64_t at = offset + nobodys.size();
    uint64_t bytes = end - at > 2 * kWriteBytes ? kWriteBytes : end - at;
    // Some sizes are no entry's: where the length takes one byte more.  Two entries have each.
    std::optional<size_t> length = DataBytesOf(bytes);
    if (!length) {
      bytes -= kLeastEntryBytes;
      length = DataBytesOf(bytes);
    }
    TOCSIN_CHECK(length.has_value()) << bytes << " bytes";
    AppendChunk(0, 0, 0, kNobodys, data.substr(at + bytes - *length - kCrcBytes, *length), &nobodys);
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<base::File> out, options_.fs->Open(PathOf(file.number), base::FileSystem::Mode::kReadWrite));
  RETURN_IF_ERROR(out->WriteAt(offset, nobodys));
  return out->Sync();
}

// Keeps what is before `end`.  The end of the last file is torn by every power cut; anything else, and what is longer
// than a write leaves, is copied before it is cut.
base::Status HeadChunks::Cut(const File& file, std::string_view data, uint64_t end, bool last, std::string_view what, std::string copy) {
  const std::string path = PathOf(file.number);
  const bool lost = !AllZero(data.substr(end));
  constexpr size_t kTornBytes = 2 * kWriteBytes;  // a write and the chunk that made it due
  if (last && end > 0 && (!lost || data.size() - end < kTornBytes)) {
    base::LogWarn("chunks_head: torn end cut off; the write-ahead log has its samples",
                  {{"file", path}, {"offset", end}, {"bytes", data.size() - end}, {"what", what}});
  } else if (lost) {
    if (copy.empty()) {
      ASSIGN_OR_RETURN(copy, KeepDamaged(file, data));
    }
    if (options_.corruptions != nullptr) options_.corruptions->Add();
    base::LogWarn("chunks_head: a damaged file is cut; what the write-ahead log still has of the rest comes back",
                  {{"file", path}, {"offset", end}, {"bytes", data.size() - end}, {"copy", copy}, {"what", what}});
  }
  std::string kept(kHeader);
  if (end > 0) {
    // With what was disowned: `data` need not show it.
    ASSIGN_OR_RETURN(const std::unique_ptr<base::MappedFile> now, options_.fs->Map(path));
    kept = now->data().substr(0, end);
  }
  if (lost && !last) AppendChunk(0, 0, 0, kNobodys, std::string_view("\0\0", 2), &kept);  // so that later starts know of it
  return options_.fs->WriteFileAtomically(path, kept);
}

base::Result<const base::MappedFile*> HeadChunks::Map(uint32_t file, size_t at_least) const {
  base::MutexLock lock(&map_mu_);
  auto& place = maps_[file];
  const base::MappedFile* now = place.load(std::memory_order_relaxed);
  if (now != nullptr && now->data().size() >= at_least) return now;
  ASSIGN_OR_RETURN(std::unique_ptr<base::MappedFile> map, options_.fs->MapGrowing(PathOf(file), options_.file_bytes));
  now = map.get();
  owned_.emplace_back(file, std::move(map));  // an older, shorter one may still be read
  place.store(now, std::memory_order_release);
  return now;
}

base::Result<std::string_view> HeadChunks::Read(uint64_t number) const {
  const uint32_t file = FileOf(number);
  const auto offset = static_cast<uint32_t>(number);
  const auto bad = [&](std::string_view what) {
    return base::DataLoss(fmt::format("{}: {} at offset {}", PathOf(file), what, offset));
  };
  if (file >= kMaxFiles) return bad("no such file: a chunk");
  const base::MappedFile* map = maps_[file].load(std::memory_order_acquire);
  for (;;) {
    if (map != nullptr && offset + kFixedBytes < map->data().size()) {
      base::Decoder in(map->data().substr(offset + kFixedBytes));
      const uint64_t length = in.Uvarint();
      if (in.ok() && length <= in.left()) return in.Bytes(length);
    }
    ASSIGN_OR_RETURN(const base::MappedFile* newer, Map(file, (map == nullptr ? 0 : map->data().size()) + 1));
    if (newer == map || (map != nullptr && newer->data().size() <= map->data().size())) return bad("a chunk ends too early");
    map = newer;
  }
}

base::Status HeadChunks::BeginFile() {
  const uint32_t number = files_.empty() ? 1 : files_.back().number + 1;
  if (number >= kMaxFiles) return base::ResourceExhausted(options_.folder + ": no file number is left");
  ASSIGN_OR_RETURN(std::unique_ptr<base::File> file, options_.fs->Open(PathOf(number), base::FileSystem::Mode::kTruncate));
  RETURN_IF_ERROR(file->Append(kHeader));
  if (current_ != nullptr) unsynced_.push_back(std::move(current_));
  current_ = std::move(file);
  files_.push_back({.number = number, .bytes = kHeader.size()});
  bytes_ += kHeader.size();
  folder_unsynced_ = true;
  return {};
}

void HeadChunks::AbandonFile() {
  if (current_ != nullptr) unsynced_.push_back(std::move(current_));
  current_ = nullptr;
}

base::Result<uint64_t> HeadChunks::Add(storage::SeriesRef series, model::Timestamp mint, model::Timestamp maxt,
                                       chunk::Encoding encoding, bool late, std::string_view data) {
  TOCSIN_CHECK(data.size() <= kMaxChunkBytes) << data.size() << " bytes";
  const size_t most = kFixedBytes + kMaxLengthBytes + data.size() + kCrcBytes;
  if (current_ == nullptr || files_.back().bytes + buffer_.size() + most > options_.file_bytes) {
    RETURN_IF_ERROR(Write());
    RETURN_IF_ERROR(BeginFile());
  }
  const uint64_t offset = files_.back().bytes + buffer_.size();
  AppendChunk(series, mint, maxt, static_cast<uint8_t>(static_cast<uint8_t>(encoding) | (late ? kLateBit : 0)), data, &buffer_);
  buffer_maxt_ = std::max(buffer_maxt_, maxt);
  return static_cast<uint64_t>(files_.back().number) << 32 | offset;
}

base::Status HeadChunks::Write() {
  if (buffer_.empty()) return {};
  File& file = files_.back();
  const base::Status written = current_->Append(buffer_);
  if (!written) {
    // What was written of it is cut off again; where that fails, the file is left as it is and its torn end
    // is cut at the next start.
    if (!current_->Truncate(file.bytes)) AbandonFile();
  } else {
    file.bytes += buffer_.size();
    file.maxt = std::max(file.maxt, buffer_maxt_);
    bytes_ += buffer_.size();
  }
  buffer_.clear();
  buffer_maxt_ = model::kMinTimestamp;
  return written;
}

base::Status HeadChunks::Sync() {
  // A sync that failed is not tried again: what it covered may be lost whatever a later one says.
  if (sync_failed_) return base::Unavailable(options_.folder + ": an earlier sync failed; restart to write the chunks again");
  base::Status status;
  // Those of the process before: it may have been killed before it synced them.
  for (const uint32_t number : std::exchange(loaded_, {})) {
    auto file = options_.fs->Open(PathOf(number), base::FileSystem::Mode::kReadWrite);
    if (base::Status s = file ? (*file)->Sync() : base::Status(std::unexpected(file.error())); !s) status = std::move(s);
  }
  for (const auto& file : std::exchange(unsynced_, {})) {
    if (base::Status s = file->Sync(); !s) status = std::move(s);
  }
  if (current_ != nullptr) {
    if (base::Status s = current_->Sync(); !s) status = std::move(s);
  }
  if (!status) {
    sync_failed_ = true;
    current_ = nullptr;
    return status;
  }
  if (std::exchange(folder_unsynced_, false)) {
    if (base::Status s = options_.fs->SyncFolder(options_.folder); !s) {
      folder_unsynced_ = true;
      status = std::move(s);
    }
  }
  return status;
}

base::Status HeadChunks::Truncate(model::Timestamp mint, uint32_t needed) {
  size_t gone = 0;
  while (gone < files_.size() && files_[gone].maxt < mint && files_[gone].number < needed) {
    if (gone + 1 == files_.size() && files_[gone].maxt == model::kMinTimestamp) break;  // without a chunk yet
    ++gone;
  }
  if (gone == 0) return {};
  // Numbers go on: a file is begun before the last one is removed.
  if (gone == files_.size()) RETURN_IF_ERROR(BeginFile());
  for (size_t i = 0; i < gone; ++i) {
    RETURN_IF_ERROR(options_.fs->Remove(PathOf(files_.front().number)));
    const uint32_t number = files_.front().number;
    bytes_ -= files_.front().bytes;
    files_.erase(files_.begin());
    std::erase(loaded_, number);
    base::MutexLock lock(&map_mu_);
    maps_[number].store(nullptr, std::memory_order_release);
    std::erase_if(owned_, [number](const auto& o) { return o.first == number; });
  }
  return {};
}

base::Status HeadChunks::Close() {
  RETURN_IF_ERROR(Write());
  const base::Status status = Sync();
  current_ = nullptr;
  return status;
}

}  // namespace tocsin::tsdb
