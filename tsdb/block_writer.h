#pragma once

// Writing a block: chunks into segments, then the index, then meta.json; the folder gets its name when all
// of it is on stable storage, so that a block is whole or not there.
//
// Threads: one.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "model/labels.h"
#include "storage/queryable.h"
#include "tsdb/block_meta.h"
#include "tsdb/chunk/chunk.h"
#include "tsdb/index/block_index.h"

namespace tocsin::tsdb {

// A chunk on its way into a block.
struct ChunkOut {
  model::Timestamp mint = 0;
  model::Timestamp maxt = 0;
  uint32_t samples = 0;
  chunk::Encoding encoding = chunk::Encoding::kNone;
  std::string data;
};

class BlockWriter {
 public:
  // Writes `<parent>/<meta.ulid>`.  `symbols` as for IndexWriter.
  static base::Result<std::unique_ptr<BlockWriter>> Create(base::FileSystem* fs, std::string parent, BlockMeta meta,
                                                           std::span<const std::string_view> symbols);
  ~BlockWriter();  // an unfinished block is removed

  // REQUIRES: series in ascending order of labels, with at least one chunk.
  base::Status Add(model::LabelsView labels, std::span<const ChunkOut> chunks);
  // Returns the folder.
  base::Result<std::string> Finish();
  const BlockMeta& meta() const { return meta_; }

 private:
  BlockWriter() = default;
  base::Status PutChunk(const ChunkOut& chunk, uint64_t* ref);
  base::Status FinishSegment();

  base::FileSystem* fs_ = nullptr;
  std::string parent_, temporary_;
  BlockMeta meta_;
  std::unique_ptr<index::IndexWriter> index_;
  std::unique_ptr<base::File> segment_;
  uint32_t segment_number_ = 0;
  uint64_t segment_offset_ = 0;
  std::string buffer_;
  std::vector<index::ChunkMeta> metas_;
  bool finished_ = false;
};

// Samples as chunks, cut as the head cuts them.  Floats are XOR chunks, or, asked for or since some sample has a
// start time, chunks of the newer encodings.
std::vector<ChunkOut> EncodeChunks(const storage::SampleColumns& samples, int64_t chunk_range_ms, bool xor2 = false);

// The same float samples in encoding 4.  Errors: kDataLoss.
base::Status ToXor2(ChunkOut* chunk);

}  // namespace tocsin::tsdb
