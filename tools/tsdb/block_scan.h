#pragma once

// Everything that can be read of a block, and everything that is wrong with it: meta.json, each section of the
// index, each chunk, the tombstones.  It reads the files by itself, so that a mistake of the block reader's (or
// writer's) does not hide itself.
//
// Threads: one.
// Memory:  labels and chunk places of all the block's series.
// Errors:  none: what is wrong stands in the report.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "tools/tsdb/report.h"
#include "tsdb/block_meta.h"
#include "tsdb/chunk/chunk.h"
#include "tsdb/index/block_index.h"

namespace tocsin::tools {

struct ScannedChunk {
  tsdb::index::ChunkMeta meta;  // as the index tells it
  bool good = false;            // its bytes decode
  tsdb::chunk::Encoding encoding = tsdb::chunk::Encoding::kNone;
  std::string_view data;        // in a segment; of a good one
};

struct ScannedSeries {
  uint64_t id = 0;      // as tombstones name it
  uint64_t offset = 0;  // in the index
  std::string labels;   // encoded
  std::vector<ScannedChunk> chunks;
};

struct BlockScan {
  std::optional<tsdb::BlockMeta> meta;
  std::vector<ScannedSeries> series;               // those that can be read, as they stand in the index
  std::optional<tsdb::Tombstones> tombstones;      // empty when there is no file; nullopt when it is damaged
  bool damaged = false;                            // other than in its tombstones
  uint64_t lost_series = 0, lost_chunks = 0;
  // What the above point into.
  std::unique_ptr<base::MappedFile> index;
  std::vector<std::unique_ptr<base::MappedFile>> segments;
};

// `folder` is the block's; `name` how its files begin in the report.
BlockScan ScanBlock(base::FileSystem* fs, const std::string& folder, const std::string& name, Report* report);

// The index's part (index_scan.cc): fills `scan->series`.
void ScanIndex(const std::string& name, BlockScan* scan, Report* report);

}  // namespace tocsin::tools
