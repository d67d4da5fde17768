#pragma once

// A database's folder, opened to be read: nothing in it changes and no lock is taken, so that a running server's
// folder can be looked at.  What opening would repair is repaired in memory only (base/overlay_file_system.h).
//
//   ASSIGN_OR_RETURN(auto folder, DataFolder::Open(io, "data"));
//   ASSIGN_OR_RETURN(auto blocks, folder->Blocks());
//   ASSIGN_OR_RETURN(tsdb::Db* db, folder->OpenDb());    // with what is in the log
//
// Threads: one.
// Errors:  kNotFound: no such folder.  A damaged part is no error: it is said on standard error and counts.

#include <memory>
#include <string>
#include <vector>

#include "base/overlay_file_system.h"
#include "base/result.h"
#include "tools/tool.h"
#include "tsdb/block.h"
#include "tsdb/db.h"

namespace tocsin::tools {

class DataFolder {
 public:
  static base::Result<std::unique_ptr<DataFolder>> Open(const ToolIo& io, const std::string& path);

  // Opens all blocks, by time; those that cannot be opened are said and left out.
  base::Result<std::vector<std::shared_ptr<tsdb::Block>>> Blocks();
  // Opens one block: by name, or the one made last when `id` is empty.  kNotFound.
  base::Result<std::shared_ptr<tsdb::Block>> OneBlock(const std::string& id);
  // Opens blocks, log and head.  Lives as long as this.
  base::Result<tsdb::Db*> OpenDb();

  // How many parts could not be read; after the call of interest.
  size_t damaged() const { return damaged_; }
  // 0, or 1 after a line that names the way to know more.
  int ExitStatus() const;

 private:
  DataFolder(const ToolIo& io, std::string path) : io_(io), path_(std::move(path)), overlay_(io.fs) {}
  base::Result<std::vector<std::string>> BlockNames();
  void CountDamage();

  const ToolIo& io_;
  const std::string path_;
  base::OverlayFileSystem overlay_;
  std::unique_ptr<tsdb::Db> db_;
  size_t damaged_ = 0;
};

inline constexpr const char* kDefaultDbPath = "data/";

// The table of `tsdb list`: columns at least 13 wide, two blanks apart.
struct BlockRow {
  const tsdb::BlockMeta* meta = nullptr;
  uint64_t bytes = 0;
};
enum class BlockTable { kPlain, kHumanReadable };
std::string FormatBlockTable(const std::vector<BlockRow>& rows, BlockTable form, bool header = true);

}  // namespace tocsin::tools
