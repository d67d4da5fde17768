#pragma once

// A FileSystem over another that reads from it and never changes it: whatever is written, renamed or removed
// stays in memory and is gone with this object.  With it a program that repairs what it opens can look at
// files that are not its own, and a repair can be tried before it is done.
//
//   base::OverlayFileSystem overlay(base::RealFileSystem());
//   tsdb::Db::Open({.path = "data", .fs = &overlay, .lock_file = false});   // data stays as it is
//
// Threads: any, as every FileSystem.  The lower file system must outlive this and what it mapped.
// Errors:  as FileSystem; FreeSpace() is the lower's.
// Memory:  a file that is appended to or written within is copied whole; renamed and linked files are not.
// Bounds:  folders and files by their path as written: "data" and "./data" are one, "/tmp/../data" is not
//          looked into.

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/mutex.h"
#include "base/simulated_file_system.h"

namespace tocsin::base {

class OverlayFileSystem : public FileSystem {
 public:
  explicit OverlayFileSystem(FileSystem* lower) : lower_(lower) {}

  // What was written, renamed, linked or removed since the start, one line each, in order:
  // "remove data/x.tmp", "write data/y", "rename data/a data/b".
  std::vector<std::string> Changes() const;

  Result<std::unique_ptr<File>> Open(const std::string& path, Mode mode) override;
  Result<std::unique_ptr<MappedFile>> Map(const std::string& path) override;
  Result<std::string> ReadFile(const std::string& path) override;
  Status WriteFileAtomically(const std::string& path, std::string_view data) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Link(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Status RemoveAll(const std::string& path) override;
  Status CreateFolders(const std::string& path) override;
  Status SyncFolder(const std::string& path) override;
  Result<std::vector<FileInfo>> List(const std::string& folder) override;
  Result<FileInfo> Stat(const std::string& path) override;
  Result<std::unique_ptr<File>> Lock(const std::string& path) override;
  Result<Space> FreeSpace(const std::string& path) override;

 private:
  // Where the lower file system keeps `key`, unless it is hidden.
  std::optional<std::string> Below(const std::string& key) const TOCSIN_REQUIRES(mu_);
  Result<FileInfo> StatLocked(const std::string& key) TOCSIN_REQUIRES(mu_);
  // Makes the parent folder of `key` in the upper one.
  Status PrepareParent(const std::string& key) TOCSIN_REQUIRES(mu_);
  Status CopyUp(const std::string& key) TOCSIN_REQUIRES(mu_);
  void Hide(const std::string& key) TOCSIN_REQUIRES(mu_);

  FileSystem* const lower_;
  SimulatedFileSystem upper_;
  mutable Mutex mu_;
  std::set<std::string> hidden_ TOCSIN_GUARDED_BY(mu_);              // in the lower one, with all below it
  std::map<std::string, std::string> moved_ TOCSIN_GUARDED_BY(mu_);  // new key to the lower one's path
  std::vector<std::string> changes_ TOCSIN_GUARDED_BY(mu_);
};

}  // namespace tocsin::base
