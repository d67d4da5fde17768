#pragma once

// A new block of what can be read of a damaged one.
//
// Threads: one.
// Errors:  the file system's; a block of which nothing can be read gives nullopt.

#include <optional>
#include <string>

#include "base/file_system.h"
#include "base/result.h"
#include "base/time.h"
#include "tools/tsdb/block_scan.h"

namespace tocsin::tools {

struct Salvaged {
  std::string ulid;
  uint64_t series = 0;
  uint64_t samples = 0;
};

// Writes it into `parent`: good chunks as they are; those of a series that overlap, or that tombstones touch, are
// decoded and made anew.  Times, level and sources are the old block's where its meta.json can be read.
base::Result<std::optional<Salvaged>> SalvageBlock(base::FileSystem* fs, const std::string& parent, base::Time now,
                                                   const BlockScan& scan);

}  // namespace tocsin::tools
