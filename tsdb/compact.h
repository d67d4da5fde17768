#pragma once

// Making blocks of the head and of other blocks, and choosing which.
//
// Threads: blocking; one at a time in one folder.
// Errors:  the file system's; kDataLoss: a chunk that does not decode; kCancelled.

#include <atomic>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "tsdb/block.h"
#include "tsdb/block_meta.h"
#include "tsdb/block_writer.h"
#include "tsdb/head.h"
#include "tsdb/metrics.h"
#include "tsdb/progress.h"

namespace tocsin::tsdb {

struct CompactContext {
  base::FileSystem* fs = nullptr;
  std::string parent;        // folder the block goes to
  int64_t now_ms = 0;        // for the ULID
  int64_t chunk_range_ms = 2 * 3600 * 1000;
  const std::atomic<bool>* stopping = nullptr;  // may be null; when true the work ends with kCancelled
  bool xor2 = false;         // how float chunks that are made anew are encoded
  CompactionProgress* progress = nullptr;       // may be null
  Metrics* metrics = nullptr;                   // of chunks cut from the head; may be null
};

// The head's samples in [mint, maxt) as a block; nullopt when there are none.  Returns the folder.
base::Result<std::optional<std::string>> WriteHeadBlock(const CompactContext& context, Head* head,
                                                        model::Timestamp mint, model::Timestamp maxt);

// One block of several, without what their tombstones hide; of samples at one time the one that a query of them
// would give (storage/merge.h).  Chunks that no other and no deletion touches are copied as they are.
// nullopt when nothing is left.  `level` 0: one above the highest.
base::Result<std::optional<std::string>> MergeBlocks(const CompactContext& context,
                                                     std::span<const std::shared_ptr<Block>> blocks, int level = 0);

// A chunk of one series on its way into another block.
struct ChunkPart {
  model::Timestamp mint = 0;
  model::Timestamp maxt = 0;
  const Intervals* deleted = nullptr;  // of the series where it stands; null: nothing is
  uint64_t id = 0;                     // the caller's
};

struct ChunkCut {
  int64_t range_ms = 2 * 3600 * 1000;
  bool xor2 = false;
};

// Appends the chunks of one series, given in any order: chunks that no other and no deletion touches as they are,
// those that overlap or of which something is deleted made anew.  `read` gives the bytes of a part.
base::Status MergeChunks(std::vector<ChunkPart> parts, const std::function<base::Result<RawChunk>(const ChunkPart&)>& read,
                         const ChunkCut& cut, std::vector<ChunkOut>* out);

// Lengths of blocks: min, 3 min, 9 min ... up to `max`.
std::vector<int64_t> BlockRanges(int64_t min_ms, int64_t max_ms);

// What to merge next, by index into `metas` (sorted by min_time); empty: nothing.  As Prometheus: first what
// overlaps, then, the newest block left out, ranges that are full or over, then a block with many tombstones.
// Blocks of stale series and of selected series are planned by themselves, after the others: merged with
// others they would lose their hint.
std::vector<size_t> PlanCompaction(std::span<const BlockMeta> metas, std::span<const int64_t> ranges);

}  // namespace tocsin::tsdb
