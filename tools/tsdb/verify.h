#pragma once

// Checks a whole database's folder: blocks, log, head chunks, leftovers.
//
// Threads: one.  Nothing in the folder changes.
// Errors:  the folder cannot be listed.  What is wrong with its files stands in the report.

#include <string>
#include <vector>

#include "base/result.h"
#include "tools/tsdb/block_scan.h"
#include "tools/tsdb/log_scan.h"
#include "tools/tsdb/report.h"

namespace tocsin::tools {

struct FolderScan {
  std::vector<std::string> damaged_blocks;     // names
  std::vector<std::string> damaged_tombstones; // of blocks that are whole otherwise
  std::vector<std::string> leftovers;          // folders and files within the folder that nothing reads
  LogScan log;
};

base::Result<FolderScan> ScanFolder(base::FileSystem* fs, const std::string& folder, Live live, Report* report);

// Whether another process has the folder open.
bool IsOpenElsewhere(base::FileSystem* fs, const std::string& folder);

}  // namespace tocsin::tools
