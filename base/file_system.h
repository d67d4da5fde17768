#pragma once

// Everything on disk goes through a FileSystem.  Three forms: RealFileSystem, SimulatedFileSystem
// (in memory; Crash() forgets what was not synced) and FaultyFileSystem (wraps another and fails
// chosen calls: no space, short writes, failed syncs).
//
// Threads: a FileSystem may be used from any thread; a File by one thread at a time, but for
//          ReadAt and Sync, which may run beside each other and beside a write.  A Sync covers what was
//          written before it began.
// Errors:  kNotFound, kAlreadyExists, kPermissionDenied, kResourceExhausted (no space left),
//          kUnavailable for other I/O errors; messages begin with the path.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace tocsin::base {

class File {
 public:
  virtual ~File() = default;  // closes; does not sync
  // Writes all of `data` at the end.  After an error an unknown prefix may have been written.
  virtual Status Append(std::string_view data) = 0;
  virtual Status WriteAt(uint64_t offset, std::string_view data) = 0;
  // Reads up to `into.size()` bytes; fewer only at the end of the file.
  virtual Result<size_t> ReadAt(uint64_t offset, std::span<char> into) const = 0;
  virtual Status Truncate(uint64_t size) = 0;
  virtual Status Sync() = 0;      // fdatasync.  After a failure the file's state on disk is unknown.
  virtual Result<uint64_t> Size() const = 0;
  virtual Status Close() = 0;
};

// A read-only mapping of a whole file; unmapped when destroyed.
class MappedFile {
 public:
  virtual ~MappedFile() = default;
  virtual std::string_view data() const = 0;
};

struct FileInfo {
  std::string name;  // without the folder
  bool is_folder = false;
  uint64_t size = 0;
  Time modified{};
};

class FileSystem {
 public:
  enum class Mode {
    kRead,
    kAppend,       // created if missing
    kReadWrite,    // created if missing
    kCreate,       // read and write; kAlreadyExists if it is there
    kTruncate,     // created or emptied
  };
  virtual ~FileSystem() = default;
  virtual Result<std::unique_ptr<File>> Open(const std::string& path, Mode mode) = 0;
  virtual Result<std::unique_ptr<MappedFile>> Map(const std::string& path) = 0;
  // For a file that grows: where the file system can, data() is at least `reserve` bytes long and shows what
  // is appended later; nothing beyond the file's end may be looked at.  Elsewhere as Map().
  virtual Result<std::unique_ptr<MappedFile>> MapGrowing(const std::string& path, size_t /*reserve*/) { return Map(path); }
  virtual Result<std::string> ReadFile(const std::string& path) = 0;
  // Writes a temporary file beside `path`, syncs it, renames it and syncs the folder.
  virtual Status WriteFileAtomically(const std::string& path, std::string_view data) = 0;
  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  virtual Status Link(const std::string& from, const std::string& to) = 0;  // hard link
  virtual Status Remove(const std::string& path) = 0;                       // a file or empty folder
  virtual Status RemoveAll(const std::string& path) = 0;                    // missing is fine
  virtual Status CreateFolders(const std::string& path) = 0;                // with parents
  virtual Status SyncFolder(const std::string& path) = 0;
  virtual Result<std::vector<FileInfo>> List(const std::string& folder) = 0;  // sorted by name
  virtual Result<FileInfo> Stat(const std::string& path) = 0;
  // Holds an exclusive lock on `path` (created if missing) until the object dies; kUnavailable when
  // another process holds it.
  virtual Result<std::unique_ptr<File>> Lock(const std::string& path) = 0;
  // Bytes free to an unprivileged user on the file system of `path`, and its size.
  struct Space {
    uint64_t free = 0;
    uint64_t total = 0;
  };
  virtual Result<Space> FreeSpace(const std::string& path) = 0;
};

// The process's real file system.
FileSystem* RealFileSystem();

// Files of `pattern` (shell wildcards * ? [..] in the last path element only), sorted.
Result<std::vector<std::string>> Glob(FileSystem* fs, const std::string& pattern);

std::string JoinPath(std::string_view folder, std::string_view name);  // `name` if it is absolute
std::string FolderOf(std::string_view path);                           // "." if there is none
std::string NameOf(std::string_view path);

}  // namespace tocsin::base
