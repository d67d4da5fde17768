#pragma once

// The head's sealed chunks on disk: the folder chunks_head/, in Prometheus's format.
//
//   file   = magic 0130bc91, version 1, 0 0 0, chunk*, zeros*      named 000001, 000002, ... without gaps
//   chunk  = ref(8) mint(8) maxt(8) encoding(1; top bit: its samples came late) u length, data, crc32c(4)
//            the crc is of all before it; big-endian
//   a chunk's number = file << 32 | offset
//
// Chunks of a series stand in order of time (late ones aside).  Files are written to their end by one writer, read
// through mappings, and removed from the oldest on once their last sample is behind the head.
//
// Threads: Read() and the figures from any thread, without a lock but for a file's first reading; the rest by
//          one thread at a time (the head's flush lock).  What Truncate() removes is read by nobody any more: the
//          head has dropped those chunks before.
// Damage:  found when the folder is opened.  A torn end, no longer than a write leaves, is cut off.  A chunk that fails its
//          checksum, or whatever stands between two good ones, becomes nobody's (reference 0), which Prometheus reads over
//          too.  A longer end without a good chunk is cut.  Where lengths are damaged the original is kept in
//          chunks_head/damaged.  Samples that the log still has come back from there.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "base/result.h"
#include "model/sample.h"
#include "storage/appender.h"
#include "tsdb/chunk/chunk.h"
#include "tsdb/index/lazy_array.h"

namespace tocsin::tsdb {

struct HeadChunk {
  storage::SeriesRef series = 0;
  model::Timestamp mint = 0;
  model::Timestamp maxt = 0;
  chunk::Encoding encoding = chunk::Encoding::kNone;
  bool late = false;
  uint16_t samples = 0;
  uint64_t number = 0;  // file and offset
};

// Walks through the chunks of a file, past what is damaged.
class HeadChunkReader {
 public:
  struct Item {
    uint64_t offset = 0, end = 0;
    HeadChunk chunk;
    std::string_view data;  // of the chunk
    // How it is damaged, in place of a chunk; empty: a chunk with a good checksum.
    std::string damage;
    // Its length made no sense: `end` is where the next chunk was found, or the file's end.
    bool searched = false;
  };
  static bool HasHeader(std::string_view file);
  // REQUIRES: HasHeader().
  explicit HeadChunkReader(std::string_view file);
  // False at the end of the file, or of what was ever written to it.
  bool Next(Item* item);

 private:
  const std::string_view file_;
  uint64_t offset_;
};

class HeadChunks {
 public:
  // Files have numbers below it.
  static constexpr uint32_t kMaxFiles = 1 << 20;
  // A longer chunk is damage: the head writes about 1 KiB, histograms with many buckets some more.
  static constexpr uint64_t kMaxChunkBytes = 16 << 20;
  // Written at once at most, but for a chunk that is larger.
  static constexpr size_t kWriteBytes = 1 << 20;
  static uint32_t FileOf(uint64_t number) { return static_cast<uint32_t>(number >> 32); }

  struct Options {
    base::FileSystem* fs = nullptr;
    std::string folder;
    size_t file_bytes = 128 << 20;
    base::Counter* corruptions = nullptr;  // may be null
  };
  struct Loaded {
    std::vector<HeadChunk> chunks;  // in order of their numbers
    bool gaps = false;              // a chunk before others of its series may be missing
  };

  // Lists what is there, repairing it.  Chunks of unknown encodings are left out, and those before `mint` but for late
  // ones.
  // Errors: the file system's.
  static base::Result<std::unique_ptr<HeadChunks>> Open(Options options, model::Timestamp mint, Loaded* loaded);
  ~HeadChunks();
  HeadChunks(const HeadChunks&) = delete;
  HeadChunks& operator=(const HeadChunks&) = delete;

  // The bytes of a chunk, valid until its file is removed.  Errors: kDataLoss, kUnavailable.
  base::Result<std::string_view> Read(uint64_t number) const;

  // Takes a chunk into the next Write(); returns its number.  Begins a new file when the current one is full.
  // REQUIRES: at most kMaxChunkBytes.
  base::Result<uint64_t> Add(storage::SeriesRef series, model::Timestamp mint, model::Timestamp maxt,
                             chunk::Encoding encoding, bool late, std::string_view data);
  size_t buffered() const { return buffer_.size(); }
  // Writes what was added with one write().  On an error nothing of it is there, and its numbers are void.
  base::Status Write();
  // Everything written is on stable storage afterwards.  After a file's failure it fails for good; a folder is tried
  // again.
  base::Status Sync();
  bool sync_failed() const { return sync_failed_.load(std::memory_order_relaxed); }

  // Removes the oldest files while all their samples are before `mint`, up to file `needed`.
  base::Status Truncate(model::Timestamp mint, uint32_t needed = kMaxFiles);
  uint64_t size_bytes() const { return bytes_.load(std::memory_order_relaxed); }
  base::Status Close();

 private:
  struct File {
    uint32_t number = 0;
    uint64_t bytes = 0;
    model::Timestamp maxt = model::kMinTimestamp;
  };
  explicit HeadChunks(Options options) : options_(std::move(options)) {}
  std::string PathOf(uint32_t file) const;
  base::Status Load(File* file, bool last, model::Timestamp mint, Loaded* loaded);
  base::Status Cut(const File& file, std::string_view data, uint64_t end, bool last, std::string_view what, std::string copy);
  // Makes what stands in [offset, end) nobody's.
  base::Status Disown(const File& file, std::string_view data, uint64_t offset, uint64_t end);
  base::Result<std::string> KeepDamaged(const File& file, std::string_view data);
  base::Status BeginFile();
  base::Result<const base::MappedFile*> Map(uint32_t file, size_t at_least) const;
  void AbandonFile();

  const Options options_;
  std::vector<File> files_;            // oldest first; the last is `current_`'s when that is open
  std::unique_ptr<base::File> current_;
  std::vector<std::unique_ptr<base::File>> unsynced_;  // full files
  bool folder_unsynced_ = false;
  std::vector<uint32_t> loaded_;  // files of the process before that are not synced yet
  std::atomic<bool> sync_failed_{false};
  std::string buffer_;
  model::Timestamp buffer_maxt_ = model::kMinTimestamp;
  std::atomic<uint64_t> bytes_{0};

  mutable base::Mutex map_mu_;
  // By file number; written under map_mu_.
  mutable index::LazyArray<const base::MappedFile> maps_{kMaxFiles};
  mutable std::vector<std::pair<uint32_t, std::unique_ptr<base::MappedFile>>> owned_ TOCSIN_GUARDED_BY(map_mu_);
};

}  // namespace tocsin::tsdb
