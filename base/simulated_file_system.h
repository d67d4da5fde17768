#pragma once

// A file system in memory, for tests and simulations.  Like a disk with a journal it keeps what was
// synced: the bytes of a file as of its last Sync(), and the entries of a folder (files created,
// renamed, linked or removed in it) as of its last SyncFolder().  New folders are kept at once.
//
//   base::SimulatedFileSystem fs;
//   ... write, sync, write ...
//   fs.Crash();            // the last write is gone; open files answer kUnavailable
//
// Threads: any, as every FileSystem.  A Map() sees the file as it was when mapped.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/mutex.h"

namespace tocsin::base {

class SimulatedFileSystem : public FileSystem {
 public:
  SimulatedFileSystem();
  ~SimulatedFileSystem() override;

  // Power loss.  Seed 0 forgets everything that was not synced; with another, a chosen prefix of
  // each file's unsynced tail survives, as on a real disk.
  void Crash(uint64_t seed = 0);
  // The time that new files and writes get.
  void SetTime(Time now);
  // The size of the disk for FreeSpace() and for writes; unlimited unless set.
  void SetTotalSpace(uint64_t bytes);

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
  struct Node;
  struct Disk;
  class OpenFile;
  class Mapping;
  class LockFile;
  // Open files may outlive the file system.
  const std::shared_ptr<Disk> disk_;
};

}  // namespace tocsin::base
