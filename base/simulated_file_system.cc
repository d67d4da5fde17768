#include "base/simulated_file_system.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "base/text.h"

namespace tocsin::base {

struct SimulatedFileSystem::Node {
  bool is_folder = false;
  Time modified{};
  // Of a folder.
  std::map<std::string, std::shared_ptr<Node>, std::less<>> entries;
  std::map<std::string, std::shared_ptr<Node>, std::less<>> synced_entries;
  // Of a file.
  std::string data;
  std::string synced;
  size_t dirty_from = SIZE_MAX;  // bytes before this are as in `synced`
  bool locked = false;
};

struct SimulatedFileSystem::Disk {
  mutable Mutex mu;
  std::shared_ptr<Node> root TOCSIN_GUARDED_BY(mu) = std::make_shared<Node>(Node{.is_folder = true});
  uint64_t crashes TOCSIN_GUARDED_BY(mu) = 0;
  Time now TOCSIN_GUARDED_BY(mu){};
  uint64_t used TOCSIN_GUARDED_BY(mu) = 0;
  uint64_t total TOCSIN_GUARDED_BY(mu) = uint64_t{1} << 50;

  // The parts of a path; "." and empty ones do not count.
  static std::vector<std::string> Parts(const std::string& path) {
    std::vector<std::string> parts;
    for (const std::string_view part : Split(path, '/')) {
      if (!part.empty() && part != ".") parts.emplace_back(part);
    }
    return parts;
  }

  std::shared_ptr<Node> Find(const std::string& path) const TOCSIN_REQUIRES(mu) {
    std::shared_ptr<Node> node = root;
    for (const std::string& part : Parts(path)) {
      const auto found = node->entries.find(part);
      if (!node->is_folder || found == node->entries.end()) return nullptr;
      node = found->second;
    }
    return node;
  }

  // The folder that holds the path's last part, or null.
  std::shared_ptr<Node> FindFolderOf(const std::string& path, std::string* name) const
      TOCSIN_REQUIRES(mu) {
    std::vector<std::string> parts = Parts(path);
    if (parts.empty()) return nullptr;
    *name = parts.back();
    parts.pop_back();
    std::shared_ptr<Node> node = Find(Join(parts, "/"));
    return node != nullptr && node->is_folder ? node : nullptr;
  }

  Status Resize(Node* node, size_t size) TOCSIN_REQUIRES(mu) {
    if (size > node->data.size() && size - node->data.size() > total - std::min(total, used)) {
      return ResourceExhausted("no space left on device");
    }
    used = used + size - node->data.size();
    node->dirty_from = std::min({node->dirty_from, size, node->data.size()});
    node->data.resize(size);
    return {};
  }

  void Sync(Node* node) TOCSIN_REQUIRES(mu) {
    const size_t from = std::min({node->dirty_from, node->synced.size(), node->data.size()});
    node->synced.resize(from);
    node->synced.append(node->data, from);
    node->dirty_from = SIZE_MAX;
  }
};

namespace {

std::unexpected<Error> Missing(const std::string& path, std::string_view verb) {
  return NotFound(path + ": " + std::string(verb) + ": no such file or directory");
}

uint64_t Mix(uint64_t x) {  // splitmix64
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

class SimulatedFileSystem::OpenFile : public File {
 public:
  OpenFile(std::shared_ptr<Disk> disk, std::shared_ptr<Node> node, std::string path, uint64_t crashes,
           bool writable)
      : disk_(std::move(disk)), node_(std::move(node)), path_(std::move(path)), crashes_(crashes),
        writable_(writable) {}

  Status Append(std::string_view data) override { return Write(SIZE_MAX, data); }
  Status WriteAt(uint64_t offset, std::string_view data) override { return Write(offset, data); }

  Result<size_t> ReadAt(uint64_t offset, std::span<char> into) const override {
    const MutexLock lock(&disk_->mu);
    RETURN_IF_ERROR(CheckAlive("read"));
    if (offset >= node_->data.size()) return size_t{0};
    const size_t n = std::min<size_t>(into.size(), node_->data.size() - offset);
    std::memcpy(into.data(), node_->data.data() + offset, n);
    return n;
  }

  Status Truncate(uint64_t size) override {
    const MutexLock lock(&disk_->mu);
    RETURN_IF_ERROR(CheckAlive("truncate"));
    if (!writable_) return InvalidArgument(path_ + ": truncate: opened for reading only");
    if (const Status s = disk_->Resize(node_.get(), size); !s) {
      return std::unexpected(s.error().Within(path_ + ": truncate"));
    }
    return {};
  }

  Status Sync() override {
    const MutexLock lock(&disk_->mu);
    RETURN_IF_ERROR(CheckAlive("sync"));
    disk_->Sync(node_.get());
    return {};
  }

  Result<uint64_t> Size() const override {
    const MutexLock lock(&disk_->mu);
    RETURN_IF_ERROR(CheckAlive("stat"));
    return uint64_t{node_->data.size()};
  }

  Status Close() override { return {}; }

 private:
  Status CheckAlive(std::string_view verb) const TOCSIN_REQUIRES(disk_->mu) {
    if (crashes_ == disk_->crashes) return {};
    return Unavailable(path_ + ": " + std::string(verb) + ": opened before the crash");
  }

  // As the system's write(): when the disk fills up, what fits is written.
  Status Write(uint64_t offset, std::string_view data) {
    const MutexLock lock(&disk_->mu);
    RETURN_IF_ERROR(CheckAlive("write"));
    if (!writable_) return Unavailable(path_ + ": write: bad file descriptor");
    if (offset == SIZE_MAX) offset = node_->data.size();
    const size_t old = node_->data.size();
    const uint64_t free = disk_->total - std::min(disk_->total, disk_->used);
    size_t end = offset + data.size();
    const bool full = end > old && end - old > free;
    if (full) end = old + free;
    if (end > old) RETURN_IF_ERROR(disk_->Resize(node_.get(), end));
    const size_t n = end > offset ? std::min(data.size(), end - offset) : 0;
    std::memcpy(node_->data.data() + offset, data.data(), n);
    node_->dirty_from = std::min<size_t>(node_->dirty_from, offset);
    node_->modified = disk_->now;
    if (full) return ResourceExhausted(path_ + ": write: no space left on device");
    return {};
  }

  const std::shared_ptr<Disk> disk_;
  const std::shared_ptr<Node> node_;
  const std::string path_;
  const uint64_t crashes_;
  const bool writable_;
};

class SimulatedFileSystem::Mapping : public MappedFile {
 public:
  explicit Mapping(std::string data) : data_(std::move(data)) {}
  std::string_view data() const override { return data_; }

 private:
  const std::string data_;
};

class SimulatedFileSystem::LockFile : public OpenFile {
 public:
  LockFile(std::shared_ptr<Disk> disk, std::shared_ptr<Node> node, std::string path, uint64_t crashes)
      : OpenFile(disk, node, std::move(path), crashes, true), lock_disk_(disk), lock_node_(node) {}
  ~LockFile() override {
    const MutexLock lock(&lock_disk_->mu);
    lock_node_->locked = false;
  }

 private:
  const std::shared_ptr<Disk> lock_disk_;
  const std::shared_ptr<Node> lock_node_;
};

SimulatedFileSystem::SimulatedFileSystem() : disk_(std::make_shared<Disk>()) {}
SimulatedFileSystem::~SimulatedFileSystem() = default;

void SimulatedFileSystem::Crash(uint64_t seed) {
  const MutexLock lock(&disk_->mu);
  ++disk_->crashes;
  uint64_t used = 0;
  const auto forget = [&used, &seed](const auto& self, Node* node) -> void {
    if (node->is_folder) {
      node->entries = node->synced_entries;
      for (const auto& [name, entry] : node->entries) self(self, entry.get());
      return;
    }
    if (seed != 0 && node->data.size() > node->synced.size() &&
        node->dirty_from >= node->synced.size()) {
      seed = Mix(seed);
      const size_t kept = seed % (node->data.size() - node->synced.size() + 1);
      node->synced.append(node->data, node->synced.size(), kept);
    }
    node->data = node->synced;
    node->dirty_from = SIZE_MAX;
    node->locked = false;
    used += node->data.size();
  };
  forget(forget, disk_->root.get());
  disk_->used = used;
}

void SimulatedFileSystem::SetTime(Time now) {
  const MutexLock lock(&disk_->mu);
  disk_->now = now;
}

void SimulatedFileSystem::SetTotalSpace(uint64_t bytes) {
  const MutexLock lock(&disk_->mu);
  disk_->total = bytes;
}

Result<std::unique_ptr<File>> SimulatedFileSystem::Open(const std::string& path, Mode mode) {
  const MutexLock lock(&disk_->mu);
  std::string name;
  const std::shared_ptr<Node> folder = disk_->FindFolderOf(path, &name);
  if (folder == nullptr) return Missing(path, "open");
  const auto found = folder->entries.find(name);
  std::shared_ptr<Node> node = found == folder->entries.end() ? nullptr : found->second;
  if (node == nullptr) {
    if (mode == Mode::kRead) return Missing(path, "open");
    node = std::make_shared<Node>(Node{.modified = disk_->now});
    folder->entries.emplace(name, node);
  } else if (node->is_folder) {
    return InvalidArgument(path + ": open: is a directory");
  } else if (mode == Mode::kCreate) {
    return AlreadyExists(path + ": open: file exists");
  } else if (mode == Mode::kTruncate) {
    RETURN_IF_ERROR(disk_->Resize(node.get(), 0));
  }
  return std::make_unique<OpenFile>(disk_, node, path, disk_->crashes, mode != Mode::kRead);
}

Result<std::unique_ptr<MappedFile>> SimulatedFileSystem::Map(const std::string& path) {
  ASSIGN_OR_RETURN(std::string data, ReadFile(path));
  return std::make_unique<Mapping>(std::move(data));
}

Result<std::string> SimulatedFileSystem::ReadFile(const std::string& path) {
  const MutexLock lock(&disk_->mu);
  const std::shared_ptr<Node> node = disk_->Find(path);
  if (node == nullptr) return Missing(path, "open");
  if (node->is_folder) return InvalidArgument(path + ": open: is a directory");
  return node->data;
}

Status SimulatedFileSystem::WriteFileAtomically(const std::string& path, std::string_view data) {
  const std::string temporary = path + ".tmp";
  const auto write = [&]() -> Status {
    ASSIGN_OR_RETURN(const std::unique_ptr<File> file, Open(temporary, Mode::kTruncate));
    RETURN_IF_ERROR(file->Append(data));
    RETURN_IF_ERROR(file->Sync());
    return Rename(temporary, path);
  };
  const Status status = write();
  if (!status) {
    Ignore(Remove(temporary));  // best effort: the first error is the one to tell
    return status;
  }
  return SyncFolder(FolderOf(path));
}

Status SimulatedFileSystem::Rename(const std::string& from, const std::string& to) {
  const MutexLock lock(&disk_->mu);
  std::string from_name;
  std::string to_name;
  const std::shared_ptr<Node> from_folder = disk_->FindFolderOf(from, &from_name);
  const std::shared_ptr<Node> to_folder = disk_->FindFolderOf(to, &to_name);
  if (from_folder == nullptr || to_folder == nullptr || !from_folder->entries.contains(from_name)) {
    return Missing(from, "rename to " + to);
  }
  const std::shared_ptr<Node> node = from_folder->entries[from_name];
  const auto target = to_folder->entries.find(to_name);
  if (target != to_folder->entries.end()) {
    if (target->second == node) return {};
    if (target->second->is_folder && !target->second->entries.empty()) {
      return AlreadyExists(from + ": rename to " + to + ": directory not empty");
    }
    disk_->used -= target->second->data.size();
  }
  from_folder->entries.erase(from_name);
  to_folder->entries[to_name] = node;
  return {};
}

Status SimulatedFileSystem::Link(const std::string& from, const std::string& to) {
  const MutexLock lock(&disk_->mu);
  std::string name;
  const std::shared_ptr<Node> node = disk_->Find(from);
  const std::shared_ptr<Node> folder = disk_->FindFolderOf(to, &name);
  if (node == nullptr || folder == nullptr) return Missing(from, "link to " + to);
  if (!folder->entries.emplace(name, node).second) {
    return AlreadyExists(from + ": link to " + to + ": file exists");
  }
  return {};
}

Status SimulatedFileSystem::Remove(const std::string& path) {
  const MutexLock lock(&disk_->mu);
  std::string name;
  const std::shared_ptr<Node> folder = disk_->FindFolderOf(path, &name);
  if (folder == nullptr || !folder->entries.contains(name)) return Missing(path, "remove");
  const std::shared_ptr<Node> node = folder->entries[name];
  if (node->is_folder && !node->entries.empty()) {
    return AlreadyExists(path + ": remove: directory not empty");
  }
  disk_->used -= node->data.size();
  folder->entries.erase(name);
  return {};
}

Status SimulatedFileSystem::RemoveAll(const std::string& path) {
  const MutexLock lock(&disk_->mu);
  std::string name;
  const std::shared_ptr<Node> folder = disk_->FindFolderOf(path, &name);
  if (folder == nullptr || !folder->entries.contains(name)) return {};
  const auto count = [](const auto& self, const Node* node) -> uint64_t {
    uint64_t bytes = node->data.size();
    for (const auto& [entry_name, entry] : node->entries) bytes += self(self, entry.get());
    return bytes;
  };
  disk_->used -= count(count, folder->entries[name].get());
  folder->entries.erase(name);
  return {};
}

Status SimulatedFileSystem::CreateFolders(const std::string& path) {
  const MutexLock lock(&disk_->mu);
  std::shared_ptr<Node> node = disk_->root;
  for (const std::string& part : Disk::Parts(path)) {
    std::shared_ptr<Node>& entry = node->entries[part];
    if (entry == nullptr) {
      entry = std::make_shared<Node>(Node{.is_folder = true, .modified = disk_->now});
      node->synced_entries[part] = entry;
    }
    if (!entry->is_folder) return NotFound(path + ": create folder: not a directory");
    node = entry;
  }
  return {};
}

Status SimulatedFileSystem::SyncFolder(const std::string& path) {
  const MutexLock lock(&disk_->mu);
  const std::shared_ptr<Node> node = disk_->Find(path);
  if (node == nullptr || !node->is_folder) return Missing(path, "sync folder");
  node->synced_entries = node->entries;
  return {};
}

Result<std::vector<FileInfo>> SimulatedFileSystem::List(const std::string& folder) {
  const MutexLock lock(&disk_->mu);
  const std::shared_ptr<Node> node = disk_->Find(folder);
  if (node == nullptr || !node->is_folder) return Missing(folder, "list");
  std::vector<FileInfo> files;
  for (const auto& [name, entry] : node->entries) {
    files.push_back({.name = name,
                     .is_folder = entry->is_folder,
                     .size = entry->data.size(),
                     .modified = entry->modified});
  }
  return files;
}

Result<FileInfo> SimulatedFileSystem::Stat(const std::string& path) {
  const MutexLock lock(&disk_->mu);
  const std::shared_ptr<Node> node = disk_->Find(path);
  if (node == nullptr) return Missing(path, "stat");
  return FileInfo{.name = NameOf(path),
                  .is_folder = node->is_folder,
                  .size = node->data.size(),
                  .modified = node->modified};
}

Result<std::unique_ptr<File>> SimulatedFileSystem::Lock(const std::string& path) {
  ASSIGN_OR_RETURN(const std::unique_ptr<File> created, Open(path, Mode::kReadWrite));
  const MutexLock lock(&disk_->mu);
  const std::shared_ptr<Node> node = disk_->Find(path);
  if (node == nullptr) return Missing(path, "lock");
  if (std::exchange(node->locked, true)) {
    return Unavailable(path + ": lock: another process holds it; stop that process first");
  }
  return std::make_unique<LockFile>(disk_, node, path, disk_->crashes);
}

Result<FileSystem::Space> SimulatedFileSystem::FreeSpace(const std::string& path) {
  const MutexLock lock(&disk_->mu);
  if (disk_->Find(path) == nullptr) return Missing(path, "free space");
  return Space{.free = disk_->total - std::min(disk_->total, disk_->used), .total = disk_->total};
}

}  // namespace tocsin::base
