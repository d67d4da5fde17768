#pragma once

// A FileSystem that wraps another and fails chosen calls, to test what happens when disks do.
//
//   base::SimulatedFileSystem disk;
//   base::FaultyFileSystem fs(&disk);
//   fs.Fail({.op = FaultyFileSystem::Op::kSync, .path = "wal/", .skip = 3, .times = 1});
//   fs.SetSpace(100);                       // after 100 more bytes: no space left, short write
//
// Threads: any.  The wrapped file system must outlive this and its files.

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/mutex.h"

namespace tocsin::base {

class FaultyFileSystem : public FileSystem {
 public:
  enum class Op {
    kOpen, kMap, kReadFile, kRead, kWrite, kTruncate, kSync, kClose,
    kRename, kLink, kRemove, kRemoveAll, kCreateFolders, kSyncFolder, kList, kStat, kLock, kFreeSpace,
  };

  struct Fault {
    Op op = Op::kWrite;
    std::string path;  // part of the path; empty: any
    uint64_t skip = 0;   // calls that match and still work
    uint64_t times = std::numeric_limits<uint64_t>::max();
    Code code = Code::kUnavailable;
    std::string message = "input/output error";
    // Of a write: how many bytes get through before it fails.
    size_t written = 0;
    // Decides instead of `op` and `path` when set.
    std::function<bool(Op op, const std::string& path)> when;
  };

  explicit FaultyFileSystem(FileSystem* base) : shared_(std::make_shared<Shared>(base)) {}

  // Faults count calls from now on; the first that matches decides.
  void Fail(Fault fault);
  // After this many more bytes writes fail with kResourceExhausted, the last one short.
  void SetSpace(uint64_t bytes);
  void Heal();  // forgets all faults and the limit of space
  uint64_t calls(Op op) const;

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
  class FaultyFile;

  struct Shared {
    explicit Shared(FileSystem* b) : base(b) {}

    // The fault of this call, if any.
    std::optional<Fault> Check(Op op, const std::string& path);
    base::Status Run(Op op, const std::string& path);
    // How many of `size` bytes may be written.
    size_t TakeSpace(size_t size);

    FileSystem* const base;
    mutable Mutex mu;
    std::vector<Fault> faults TOCSIN_GUARDED_BY(mu);
    std::map<Op, uint64_t> calls TOCSIN_GUARDED_BY(mu);
    uint64_t space TOCSIN_GUARDED_BY(mu) = std::numeric_limits<uint64_t>::max();
  };

  const std::shared_ptr<Shared> shared_;
};

}  // namespace tocsin::base
