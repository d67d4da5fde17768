#include "base/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <filesystem>
#include <system_error>

namespace tocsin::base {
namespace {

Code CodeOfErrno(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR: return Code::kNotFound;
    case EEXIST:
    case ENOTEMPTY: return Code::kAlreadyExists;
    case EACCES:
    case EPERM:
    case EROFS: return Code::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
    case ENOMEM: return Code::kResourceExhausted;
    case EISDIR:
    case EINVAL:
    case ENAMETOOLONG: return Code::kInvalidArgument;
    default: return Code::kUnavailable;
  }
}

std::unexpected<Error> IoError(const std::string& path, std::string_view verb, int error) {
  std::string reason = std::generic_category().message(error);
  if (!reason.empty()) reason[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(reason[0])));
  std::string text = path;
  text.append(": ").append(verb).append(": ").append(reason);
  return MakeError(CodeOfErrno(error), std::move(text));
}

FileInfo InfoOf(std::string name, const struct stat& st) {
  FileInfo info;
  info.name = std::move(name);
  info.is_folder = S_ISDIR(st.st_mode);
  info.size = info.is_folder ? 0 : static_cast<uint64_t>(st.st_size);
  info.modified = Time(std::chrono::seconds(st.st_mtim.tv_sec) +
                       std::chrono::nanoseconds(st.st_mtim.tv_nsec));
  return info;
}

class RealFile : public File {
 public:
  RealFile(std::string path, int fd, uint64_t end) : path_(std::move(path)), fd_(fd), end_(end) {}
  ~RealFile() override {
    if (fd_ >= 0) ::close(fd_);
  }

  Status Append(std::string_view data) override {
    size_t written = 0;
    const Status status = Write(end_, data, &written);
    end_ += written;
    return status;
  }

  Status WriteAt(uint64_t offset, std::string_view data) override {
    size_t written = 0;
    const Status status = Write(offset, data, &written);
    end_ = std::max(end_, offset + written);
    return status;
  }

  Result<size_t> ReadAt(uint64_t offset, std::span<char> into) const override {
    size_t done = 0;
    while (done < into.size()) {
      const ssize_t n =
          ::pread(fd_, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
      if (n < 0) {
        if (errno == EINTR) continue;
        return IoError(path_, "read", errno);
      }
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }

  Status Truncate(uint64_t size) override {
    if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) return IoError(path_, "truncate", errno);
    end_ = size;
    return {};
  }

  Status Sync() override {
    if (::fdatasync(fd_) != 0) return IoError(path_, "sync", errno);
    return {};
  }

  Result<uint64_t> Size() const override {
    struct stat st;
    if (::fstat(fd_, &st) != 0) return IoError(path_, "stat", errno);
    return static_cast<uint64_t>(st.st_size);
  }

  Status Close() override {
    const int fd = std::exchange(fd_, -1);
    if (fd >= 0 && ::close(fd) != 0) return IoError(path_, "close", errno);
    return {};
  }

 private:
  Status Write(uint64_t offset, std::string_view data, size_t* written) {
    while (*written < data.size()) {
      const ssize_t n = ::pwrite(fd_, data.data() + *written, data.size() - *written,
                                 static_cast<off_t>(offset + *written));
      if (n < 0) {
        if (errno == EINTR) continue;
        return IoError(path_, "write", errno);
      }
      *written += static_cast<size_t>(n);
    }
    return {};
  }

  const std::string path_;
  int fd_;
  uint64_t end_;  // where Append() writes
};

class RealMapping : public MappedFile {
 public:
  RealMapping(void* data, size_t size) : data_(data), size_(size) {}
  ~RealMapping() override {
    if (size_ > 0) ::munmap(data_, size_);
  }
  std::string_view data() const override {
    return std::string_view(static_cast<const char*>(data_), size_);
  }

 private:
  void* const data_;
  const size_t size_;
};

int OpenFlags(FileSystem::Mode mode) {
  switch (mode) {
    case FileSystem::Mode::kRead: return O_RDONLY;
    case FileSystem::Mode::kAppend:
    case FileSystem::Mode::kReadWrite: return O_RDWR | O_CREAT;
    case FileSystem::Mode::kCreate: return O_RDWR | O_CREAT | O_EXCL;
    case FileSystem::Mode::kTruncate: return O_RDWR | O_CREAT | O_TRUNC;
  }
  return O_RDONLY;
}

class RealFileSystemImpl : public FileSystem {
 public:
  Result<std::unique_ptr<File>> Open(const std::string& path, Mode mode) override {
    const int fd = OpenFd(path, OpenFlags(mode));
    if (fd < 0) return IoError(path, "open", errno);
    struct stat st;
    if (::fstat(fd, &st) != 0) {
      const int error = errno;
      ::close(fd);
      return IoError(path, "stat", error);
    }
    if (S_ISDIR(st.st_mode)) {
      ::close(fd);
      return IoError(path, "open", EISDIR);
    }
    return std::make_unique<RealFile>(path, fd, static_cast<uint64_t>(st.st_size));
  }

  Result<std::unique_ptr<MappedFile>> Map(const std::string& path) override { return MapGrowing(path, 0); }

  Result<std::unique_ptr<MappedFile>> MapGrowing(const std::string& path, size_t reserve) override {
    const int fd = OpenFd(path, O_RDONLY);
    if (fd < 0) return IoError(path, "open", errno);
    struct stat st;
    void* data = nullptr;
    size_t size = 0;
    int error = 0;
    if (::fstat(fd, &st) != 0) {
      error = errno;
    } else if (S_ISDIR(st.st_mode)) {
      error = EISDIR;
    } else {
      size = std::max(static_cast<size_t>(st.st_size), reserve);
      if (size > 0) data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
      if (data == MAP_FAILED) error = errno;
    }
    ::close(fd);
    if (error != 0) return IoError(path, "map", error);
    return std::make_unique<RealMapping>(data, size);
  }

  Result<std::string> ReadFile(const std::string& path) override {
    auto file = Open(path, Mode::kRead);
    if (!file) return std::unexpected(std::move(file).error());
    // Files under /proc and pipes have no size, so read until the end in any case.
    ASSIGN_OR_RETURN(const uint64_t size, (*file)->Size());
    std::string text;
    text.resize(size + 4096);
    size_t done = 0;
    while (true) {
      ASSIGN_OR_RETURN(const size_t n, (*file)->ReadAt(done, std::span(text).subspan(done)));
      done += n;
      if (done < text.size()) break;
      text.resize(text.size() * 2);
    }
    text.resize(done);
    return text;
  }

  Status WriteFileAtomically(const std::string& path, std::string_view data) override {
    const std::string temporary = path + ".tmp";
    const Status status = WriteAndRename(temporary, path, data);
    if (!status) {
      ::unlink(temporary.c_str());
      return status;
    }
    return SyncFolder(FolderOf(path));
  }

  Status Rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return IoError(from, "rename to " + to, errno);
    return {};
  }

  Status Link(const std::string& from, const std::string& to) override {
    if (::link(from.c_str(), to.c_str()) != 0) return IoError(from, "link to " + to, errno);
    return {};
  }

  Status Remove(const std::string& path) override {
    if (::remove(path.c_str()) != 0) return IoError(path, "remove", errno);
    return {};
  }

  Status RemoveAll(const std::string& path) override {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error && error.value() != ENOENT) return IoError(path, "remove", error.value());
    return {};
  }

  Status CreateFolders(const std::string& path) override {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) return IoError(path, "create folder", error.value());
    return {};
  }

  Status SyncFolder(const std::string& path) override {
    const int fd = OpenFd(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0) return IoError(path, "open folder", errno);
    const int error = ::fsync(fd) == 0 ? 0 : errno;
    ::close(fd);
    if (error != 0) return IoError(path, "sync folder", error);
    return {};
  }

  Result<std::vector<FileInfo>> List(const std::string& folder) override {
    DIR* dir = ::opendir(folder.c_str());
    if (dir == nullptr) return IoError(folder, "list", errno);
    std::vector<FileInfo> files;
    int error = 0;
    while (true) {
      errno = 0;
      const dirent* entry = ::readdir(dir);
      if (entry == nullptr) {
        error = errno;
        break;
      }
      std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      struct stat st;
      // A file removed since the folder was read is not there; a dangling link is what it is.
      if (::fstatat(::dirfd(dir), name.c_str(), &st, 0) != 0 &&
          ::fstatat(::dirfd(dir), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
        continue;
      }
      files.push_back(InfoOf(std::move(name), st));
    }
    ::closedir(dir);
    if (error != 0) return IoError(folder, "list", error);
    std::sort(files.begin(), files.end(),
              [](const FileInfo& a, const FileInfo& b) { return a.name < b.name; });
    return files;
  }

  Result<FileInfo> Stat(const std::string& path) override {
    struct stat st;
    if (::stat(path.c_str(), &st) != 0) return IoError(path, "stat", errno);
    return InfoOf(NameOf(path), st);
  }

  Result<std::unique_ptr<File>> Lock(const std::string& path) override {
    const int fd = OpenFd(path, O_RDWR | O_CREAT);
    if (fd < 0) return IoError(path, "open", errno);
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
      const int error = errno;
      ::close(fd);
      if (error == EWOULDBLOCK) {
        return Unavailable(path + ": lock: another process holds it; stop that process first");
      }
      return IoError(path, "lock", error);
    }
    return std::make_unique<RealFile>(path, fd, 0);
  }

  Result<Space> FreeSpace(const std::string& path) override {
    struct statvfs st;
    if (::statvfs(path.c_str(), &st) != 0) return IoError(path, "free space", errno);
    return Space{.free = uint64_t{st.f_bavail} * st.f_frsize,
                 .total = uint64_t{st.f_blocks} * st.f_frsize};
  }

 private:
  static int OpenFd(const std::string& path, int flags) {
    while (true) {
      const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
      if (fd >= 0 || errno != EINTR) return fd;
    }
  }

  Status WriteAndRename(const std::string& temporary, const std::string& path,
                        std::string_view data) {
    auto file = Open(temporary, Mode::kTruncate);
    if (!file) return std::unexpected(std::move(file).error());
    RETURN_IF_ERROR((*file)->Append(data));
    RETURN_IF_ERROR((*file)->Sync());
    RETURN_IF_ERROR((*file)->Close());
    return Rename(temporary, path);
  }
};

}  // namespace

FileSystem* RealFileSystem() {
  static RealFileSystemImpl* const fs = new RealFileSystemImpl;  // lives as long as the process
  return fs;
}

Result<std::vector<std::string>> Glob(FileSystem* fs, const std::string& pattern) {
  const std::string name = NameOf(pattern);
  if (name.find_first_of("*?[\\") == std::string::npos) {
    const auto info = fs->Stat(pattern);
    if (info) return std::vector<std::string>{pattern};
    if (info.error().code() == Code::kNotFound) return std::vector<std::string>{};
    return std::unexpected(info.error());
  }
  const bool bare = pattern.find('/') == std::string::npos;
  const std::string folder = FolderOf(pattern);
  const auto files = fs->List(folder);
  if (!files) {
    if (files.error().code() == Code::kNotFound) return std::vector<std::string>{};
    return std::unexpected(files.error());
  }
  std::vector<std::string> found;
  for (const FileInfo& file : *files) {
    // As Go's filepath.Match: a leading dot is nothing special.
    if (::fnmatch(name.c_str(), file.name.c_str(), FNM_PATHNAME) != 0) continue;
    found.push_back(bare ? file.name : JoinPath(folder, file.name));
  }
  return found;
}

std::string JoinPath(std::string_view folder, std::string_view name) {
  if (folder.empty() || folder == "." || name.starts_with('/')) return std::string(name);
  std::string path(folder);
  if (!path.ends_with('/')) path += '/';
  path += name;
  return path;
}

std::string FolderOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  if (slash == 0) return "/";
  return std::string(path.substr(0, slash));
}

std::string NameOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

}  // namespace tocsin::base
