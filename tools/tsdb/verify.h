#pragma once

// Checks a whole database's folder: blocks, log, head chunks, leftovers.
//
// Threads: one.  Nothing in the folder changes.
// Errors:  the folder cannot be listed.  What is wrong with its files stands in the report.

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tools/tool.h"
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

// The one word of `tsdb verify` and `tsdb repair`, a database's folder, else the usual one.  Says what is wrong with it
// and returns the exit status, 2.
std::expected<std::string, int> FolderArgument(const std::vector<std::string>& words, const ToolIo& io);

// Whether a file or folder is what its maker had not finished, or its remover, when it was stopped.
bool IsUnfinished(std::string_view name);

// Whether another process has the folder open.
bool IsOpenElsewhere(base::FileSystem* fs, const std::string& folder);

}  // namespace tocsin::tools
