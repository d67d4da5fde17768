#pragma once

// A block: samples of a stretch of time, immutable but for its tombstones, in a folder named by its ULID.
//
//   <ulid>/meta.json  index  chunks/000001 ...  tombstones
//   chunks file = magic 85bd40dd version 1 0 0 0 { u length, encoding(1), data, crc32c(4) of encoding and data }*
//
// Threads: a Block may be read from any number of threads; queriers hold it by shared_ptr, so that a block
//          that was replaced lives as long as they read it.
// Errors:  kDataLoss with file and offset.

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/mutex.h"
#include "base/result.h"
#include "model/labels.h"
#include "model/matcher.h"
#include "storage/queryable.h"
#include "tsdb/block_meta.h"
#include "tsdb/chunk/chunk.h"
#include "tsdb/chunk_marks.h"
#include "tsdb/index/block_index.h"

namespace tocsin::tsdb {

struct RawChunk {
  chunk::Encoding encoding = chunk::Encoding::kNone;
  std::string_view data;
};

class Block {
 public:
  static base::Result<std::shared_ptr<Block>> Open(base::FileSystem* fs, const std::string& folder);

  const BlockMeta& meta() const { return meta_; }
  const std::string& folder() const { return folder_; }
  const index::IndexReader& index() const { return *index_; }
  uint64_t size_bytes() const { return size_bytes_; }

  // Where readers of chunks may begin; and giving back what none has used since the last call.
  ChunkMarks* marks() const { return &marks_; }
  void ForgetUnusedMarks() { marks_.ForgetUnused(); }

  // The bytes of a chunk, checked against their checksum.
  base::Result<RawChunk> ReadChunk(uint64_t ref) const;

  std::shared_ptr<const Tombstones> tombstones() const;
  // Hides samples of matching series and writes the tombstones file.
  base::Status Delete(model::Timestamp mint, model::Timestamp maxt, std::span<const model::Matchers> any_of);
  uint64_t tombstone_count() const;

  // Notes in meta.json that merging the block failed, so that no plan of ranges takes it again.
  base::Status MarkFailed();
  bool failed() const { return failed_.load(std::memory_order_relaxed); }

  static std::unique_ptr<storage::Querier> NewQuerier(std::shared_ptr<const Block> block, storage::Window window);

 private:
  Block() = default;
  base::FileSystem* fs_ = nullptr;
  std::string folder_;
  BlockMeta meta_;
  std::unique_ptr<index::IndexReader> index_;
  std::vector<std::unique_ptr<base::MappedFile>> segments_;
  uint64_t size_bytes_ = 0;
  std::atomic<bool> failed_{false};
  mutable ChunkMarks marks_;
  mutable base::Mutex mu_;
  base::Mutex delete_mu_;  // one deletion at a time; before mu_
  std::shared_ptr<const Tombstones> tombstones_ TOCSIN_GUARDED_BY(mu_);
};

// Appends the samples of `chunks` in the window that are not deleted.
base::Status ReadChunks(const Block& block, std::span<const index::ChunkMeta> chunks, const Intervals* deleted,
                        storage::Window window, storage::SampleColumns* out);

// Takes the samples from `begin` on that lie in a deleted interval out again.
void DropDeleted(const Intervals& deleted, size_t begin, storage::SampleColumns* out);

// Repairs a block of a broken release, which swapped the versions of meta.json and index.  False: the block
// is not of that kind.
base::Result<bool> RepairIndexVersion(base::FileSystem* fs, const std::string& folder);

}  // namespace tocsin::tsdb
