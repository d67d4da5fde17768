#include "base/faulty_file_system.h"

#include <algorithm>

namespace tocsin::base {
namespace {

std::unexpected<Error> ErrorOf(const FaultyFileSystem::Fault& fault, const std::string& path) {
  return MakeError(fault.code, path + ": " + fault.message);
}

}  // namespace

std::optional<FaultyFileSystem::Fault> FaultyFileSystem::Shared::Check(Op op, const std::string& path) {
  const MutexLock lock(&mu);
  ++calls[op];
  for (Fault& fault : faults) {
    const bool matches = fault.when ? fault.when(op, path)
                                    : fault.op == op && path.find(fault.path) != std::string::npos;
    if (!matches || fault.times == 0) continue;
    if (fault.skip > 0) {
      --fault.skip;
      continue;
    }
    --fault.times;
    return fault;
  }
  return std::nullopt;
}

Status FaultyFileSystem::Shared::Run(Op op, const std::string& path) {
  if (const auto fault = Check(op, path)) return ErrorOf(*fault, path);
  return {};
}

size_t FaultyFileSystem::Shared::TakeSpace(size_t size) {
  const MutexLock lock(&mu);
  if (space == std::numeric_limits<uint64_t>::max()) return size;
  const size_t n = std::min<uint64_t>(size, space);
  space -= n;
  return n;
}

class FaultyFileSystem::FaultyFile : public File {
 public:
  FaultyFile(std::shared_ptr<Shared> shared, std::unique_ptr<File> file, std::string path)
      : shared_(std::move(shared)), file_(std::move(file)), path_(std::move(path)) {}

  Status Append(std::string_view data) override {
    return Write(data, [this](std::string_view part) { return file_->Append(part); });
  }
  Status WriteAt(uint64_t offset, std::string_view data) override {
    return Write(data, [&](std::string_view part) { return file_->WriteAt(offset, part); });
  }
  Result<size_t> ReadAt(uint64_t offset, std::span<char> into) const override {
    RETURN_IF_ERROR(shared_->Run(Op::kRead, path_));
    return file_->ReadAt(offset, into);
  }
  Status Truncate(uint64_t size) override {
    RETURN_IF_ERROR(shared_->Run(Op::kTruncate, path_));
    return file_->Truncate(size);
  }
  Status Sync() override {
    RETURN_IF_ERROR(shared_->Run(Op::kSync, path_));
    return file_->Sync();
  }
  Result<uint64_t> Size() const override { return file_->Size(); }
  Status Close() override {
    RETURN_IF_ERROR(shared_->Run(Op::kClose, path_));
    return file_->Close();
  }

 private:
  template <class Do>
  Status Write(std::string_view data, Do write) {
    if (const auto fault = shared_->Check(Op::kWrite, path_)) {
      const size_t n = std::min(fault->written, data.size());
      if (n > 0) Ignore(write(data.substr(0, n)));  // the fault is what is told
      return ErrorOf(*fault, path_);
    }
    const size_t n = shared_->TakeSpace(data.size());
    if (n == data.size()) return write(data);
    if (n > 0) RETURN_IF_ERROR(write(data.substr(0, n)));
    return ResourceExhausted(path_ + ": write: no space left on device");
  }

  const std::shared_ptr<Shared> shared_;
  const std::unique_ptr<File> file_;
  const std::string path_;
};

void FaultyFileSystem::Fail(Fault fault) {
  const MutexLock lock(&shared_->mu);
  shared_->faults.push_back(std::move(fault));
}

void FaultyFileSystem::SetSpace(uint64_t bytes) {
  const MutexLock lock(&shared_->mu);
  shared_->space = bytes;
}

void FaultyFileSystem::Heal() {
  const MutexLock lock(&shared_->mu);
  shared_->faults.clear();
  shared_->space = std::numeric_limits<uint64_t>::max();
}

uint64_t FaultyFileSystem::calls(Op op) const {
  const MutexLock lock(&shared_->mu);
  const auto found = shared_->calls.find(op);
  return found == shared_->calls.end() ? 0 : found->second;
}

Result<std::unique_ptr<File>> FaultyFileSystem::Open(const std::string& path, Mode mode) {
  RETURN_IF_ERROR(shared_->Run(Op::kOpen, path));
  ASSIGN_OR_RETURN(std::unique_ptr<File> file, shared_->base->Open(path, mode));
  return std::make_unique<FaultyFile>(shared_, std::move(file), path);
}

Result<std::unique_ptr<MappedFile>> FaultyFileSystem::Map(const std::string& path) {
  RETURN_IF_ERROR(shared_->Run(Op::kMap, path));
  return shared_->base->Map(path);
}

Result<std::string> FaultyFileSystem::ReadFile(const std::string& path) {
  RETURN_IF_ERROR(shared_->Run(Op::kReadFile, path));
  return shared_->base->ReadFile(path);
}

// Made of this file system's own calls, so that each step can be made to fail.
Status FaultyFileSystem::WriteFileAtomically(const std::string& path, std::string_view data) {
  const std::string temporary = path + ".tmp";
  const auto write = [&]() -> Status {
    ASSIGN_OR_RETURN(const std::unique_ptr<File> file, Open(temporary, Mode::kTruncate));
    RETURN_IF_ERROR(file->Append(data));
    RETURN_IF_ERROR(file->Sync());
    RETURN_IF_ERROR(file->Close());
    return Rename(temporary, path);
  };
  const Status status = write();
  if (!status) {
    Ignore(shared_->base->Remove(temporary));  // best effort: the first error is the one to tell
    return status;
  }
  return SyncFolder(FolderOf(path));
}

Status FaultyFileSystem::Rename(const std::string& from, const std::string& to) {
  RETURN_IF_ERROR(shared_->Run(Op::kRename, from));
  return shared_->base->Rename(from, to);
}

Status FaultyFileSystem::Link(const std::string& from, const std::string& to) {
  RETURN_IF_ERROR(shared_->Run(Op::kLink, from));
  return shared_->base->Link(from, to);
}

Status FaultyFileSystem::Remove(const std::string& path) {
  RETURN_IF_ERROR(shared_->Run(Op::kRemove, path));
  return shared_->base->Remove(path);
}

Status FaultyFileSystem::RemoveAll(const std::string& path) {
  RETURN_IF_ERROR(shared_->Run(Op::kRemoveAll, path));
  return shared_->base->RemoveAll(path);
}

Status FaultyFileSystem::CreateFolders(const std::string& path) {
  RETURN_IF_ERROR(shared_->Run(Op::kCreateFolders, path));
  return shared_->base->CreateFolders(path);
}

Status FaultyFileSystem::SyncFolder(const std::string& path) {
  RETURN_IF_ERROR(shared_->Run(Op::kSyncFolder, path));
  return shared_->base->SyncFolder(path);
}

Result<std::vector<FileInfo>> FaultyFileSystem::List(const std::string& folder) {
  RETURN_IF_ERROR(shared_->Run(Op::kList, folder));
  return shared_->base->List(folder);
}

Result<FileInfo> FaultyFileSystem::Stat(const std::string& path) {
  RETURN_IF_ERROR(shared_->Run(Op::kStat, path));
  return shared_->base->Stat(path);
}

Result<std::unique_ptr<File>> FaultyFileSystem::Lock(const std::string& path) {
  RETURN_IF_ERROR(shared_->Run(Op::kLock, path));
  return shared_->base->Lock(path);
}

Result<FileSystem::Space> FaultyFileSystem::FreeSpace(const std::string& path) {
  RETURN_IF_ERROR(shared_->Run(Op::kFreeSpace, path));
  return shared_->base->FreeSpace(path);
}

}  // namespace tocsin::base
