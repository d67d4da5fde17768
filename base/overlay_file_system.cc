#include "base/overlay_file_system.h"

#include <algorithm>

#include "base/text.h"

namespace tocsin::base {
namespace {

// One name for one file: "/a/b" or "./a/b".
std::string KeyOf(const std::string& path) {
  std::string key = path.starts_with('/') ? "/" : "./";
  for (const std::string_view part : Split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (!key.ends_with('/')) key += '/';
    key += part;
  }
  return key;
}

// The upper file system does not tell absolute paths from relative ones.
std::string UpperPath(const std::string& key) {
  return key.starts_with('/') ? "absolute" + key : "relative" + key.substr(1);
}

std::string ParentOf(const std::string& key) {
  const size_t slash = key.rfind('/');
  return slash == 0 ? "/" : key.substr(0, slash);
}

bool IsRoot(const std::string& key) { return key == "/" || key == "." || key == "./"; }

}  // namespace

std::vector<std::string> OverlayFileSystem::Changes() const {
  MutexLock lock(&mu_);
  return changes_;
}

std::optional<std::string> OverlayFileSystem::Below(const std::string& key) const {
  // The nearest of the path and its parents that was moved or hidden decides.
  std::string rest;
  for (std::string at = key;; at = ParentOf(at)) {
    if (const auto it = moved_.find(at); it != moved_.end()) return it->second + rest;
    if (hidden_.contains(at)) return std::nullopt;
    if (IsRoot(at)) return key.size() > 2 && key.starts_with("./") ? key.substr(2) : key;
    rest = at.substr(at.rfind('/')) + rest;
  }
}

Result<FileInfo> OverlayFileSystem::StatLocked(const std::string& key) {
  if (auto info = upper_.Stat(UpperPath(key))) return info;
  if (const auto path = Below(key)) return lower_->Stat(*path);
  return NotFound(key + ": removed");
}

Status OverlayFileSystem::PrepareParent(const std::string& key) {
  const std::string parent = ParentOf(key);
  if (IsRoot(parent)) return upper_.CreateFolders(UpperPath(parent));
  ASSIGN_OR_RETURN(const FileInfo info, StatLocked(parent));
  if (!info.is_folder) return InvalidArgument(parent + ": not a folder");
  return upper_.CreateFolders(UpperPath(parent));
}

Status OverlayFileSystem::CopyUp(const std::string& key) {
  if (upper_.Stat(UpperPath(key))) return {};
  const auto path = Below(key);
  if (!path) return NotFound(key + ": removed");
  ASSIGN_OR_RETURN(const std::unique_ptr<MappedFile> file, lower_->Map(*path));
  RETURN_IF_ERROR(PrepareParent(key));
  return upper_.WriteFileAtomically(UpperPath(key), file->data());
}

void OverlayFileSystem::Hide(const std::string& key) {
  moved_.erase(key);
  // What was below it says nothing of what may come to stand here.
  for (auto it = moved_.lower_bound(key + "/"); it != moved_.end() && it->first.starts_with(key + "/");) {
    it = moved_.erase(it);
  }
  for (auto it = hidden_.lower_bound(key + "/"); it != hidden_.end() && it->starts_with(key + "/");) {
    it = hidden_.erase(it);
  }
  hidden_.insert(key);
}

Result<std::unique_ptr<File>> OverlayFileSystem::Open(const std::string& path, Mode mode) {
  MutexLock lock(&mu_);
  const std::string key = KeyOf(path);
  const bool above = upper_.Stat(UpperPath(key)).has_value();
  if (mode == Mode::kRead) {
    if (above) return upper_.Open(UpperPath(key), mode);
    if (const auto below = Below(key)) return lower_->Open(*below, mode);
    return NotFound(path + ": removed");
  }
  const bool there = StatLocked(key).has_value();
  if (mode == Mode::kCreate && there) return AlreadyExists(path + ": exists");
  if (there && !above && mode != Mode::kTruncate) RETURN_IF_ERROR(CopyUp(key));
  RETURN_IF_ERROR(PrepareParent(key));
  changes_.push_back("write " + path);
  return upper_.Open(UpperPath(key), mode);
}

Result<std::unique_ptr<MappedFile>> OverlayFileSystem::Map(const std::string& path) {
  MutexLock lock(&mu_);
  const std::string key = KeyOf(path);
  if (upper_.Stat(UpperPath(key))) return upper_.Map(UpperPath(key));
  if (const auto below = Below(key)) return lower_->Map(*below);
  return NotFound(path + ": removed");
}

Result<std::string> OverlayFileSystem::ReadFile(const std::string& path) {
  MutexLock lock(&mu_);
  const std::string key = KeyOf(path);
  if (upper_.Stat(UpperPath(key))) return upper_.ReadFile(UpperPath(key));
  if (const auto below = Below(key)) return lower_->ReadFile(*below);
  return NotFound(path + ": removed");
}

Status OverlayFileSystem::WriteFileAtomically(const std::string& path, std::string_view data) {
  MutexLock lock(&mu_);
  const std::string key = KeyOf(path);
  RETURN_IF_ERROR(PrepareParent(key));
  changes_.push_back("write " + path);
  return upper_.WriteFileAtomically(UpperPath(key), data);
}

Status OverlayFileSystem::Rename(const std::string& from, const std::string& to) {
  MutexLock lock(&mu_);
  const std::string source = KeyOf(from), target = KeyOf(to);
  ASSIGN_OR_RETURN(const FileInfo info, StatLocked(source));
  RETURN_IF_ERROR(PrepareParent(target));
  if (!info.is_folder) RETURN_IF_ERROR(upper_.RemoveAll(UpperPath(target)));
  const std::optional<std::string> below = Below(source);
  const bool lower_has = below && lower_->Stat(*below).has_value();
  // Parts of a lower folder that were moved or hidden go along.
  std::map<std::string, std::string> moved;
  for (auto it = moved_.lower_bound(source + "/"); it != moved_.end() && it->first.starts_with(source + "/"); ++it) {
    moved[target + it->first.substr(source.size())] = it->second;
  }
  std::vector<std::string> hidden;
  for (auto it = hidden_.lower_bound(source + "/"); it != hidden_.end() && it->starts_with(source + "/"); ++it) {
    hidden.push_back(target + it->substr(source.size()));
  }
  if (upper_.Stat(UpperPath(source))) RETURN_IF_ERROR(upper_.Rename(UpperPath(source), UpperPath(target)));
  Hide(source);
  Hide(target);
  if (lower_has) moved_[target] = *below;
  moved_.insert(moved.begin(), moved.end());
  hidden_.insert(hidden.begin(), hidden.end());
  changes_.push_back("rename " + from + " " + to);
  return {};
}

Status OverlayFileSystem::Link(const std::string& from, const std::string& to) {
  MutexLock lock(&mu_);
  const std::string source = KeyOf(from), target = KeyOf(to);
  if (StatLocked(target)) return AlreadyExists(to + ": exists");
  RETURN_IF_ERROR(PrepareParent(target));
  changes_.push_back("link " + from + " " + to);
  if (upper_.Stat(UpperPath(source))) return upper_.Link(UpperPath(source), UpperPath(target));
  const auto below = Below(source);
  if (!below || !lower_->Stat(*below)) return NotFound(from + ": no such file");
  moved_[target] = *below;
  return {};
}

Status OverlayFileSystem::Remove(const std::string& path) {
  {
    MutexLock lock(&mu_);
    const std::string key = KeyOf(path);
    ASSIGN_OR_RETURN(const FileInfo info, StatLocked(key));
    if (!info.is_folder) {
      RETURN_IF_ERROR(upper_.RemoveAll(UpperPath(key)));
      Hide(key);
      changes_.push_back("remove " + path);
      return {};
    }
  }
  ASSIGN_OR_RETURN(const std::vector<FileInfo> files, List(path));
  if (!files.empty()) return FailedPrecondition(path + ": the folder is not empty");
  return RemoveAll(path);
}

Status OverlayFileSystem::RemoveAll(const std::string& path) {
  MutexLock lock(&mu_);
  const std::string key = KeyOf(path);
  if (!StatLocked(key)) return {};
  RETURN_IF_ERROR(upper_.RemoveAll(UpperPath(key)));
  Hide(key);
  changes_.push_back("remove " + path);
  return {};
}

Status OverlayFileSystem::CreateFolders(const std::string& path) {
  MutexLock lock(&mu_);
  const std::string key = KeyOf(path);
  if (const auto info = StatLocked(key)) {
    return info->is_folder ? Status() : Status(AlreadyExists(path + ": a file"));
  }
  changes_.push_back("create " + path);
  return upper_.CreateFolders(UpperPath(key));
}

Status OverlayFileSystem::SyncFolder(const std::string&) { return {}; }

Result<std::vector<FileInfo>> OverlayFileSystem::List(const std::string& folder) {
  MutexLock lock(&mu_);
  const std::string key = KeyOf(folder);
  ASSIGN_OR_RETURN(const FileInfo info, StatLocked(key));
  if (!info.is_folder) return InvalidArgument(folder + ": not a folder");
  std::map<std::string, FileInfo> all;
  const std::string prefix = key.ends_with('/') ? key : key + "/";
  if (const auto below = Below(key)) {
    if (auto files = lower_->List(*below)) {
      for (FileInfo& f : *files) {
        const std::string child = prefix + f.name;
        if (!hidden_.contains(child) || moved_.contains(child)) all[f.name] = std::move(f);
      }
    }
  }
  for (auto it = moved_.lower_bound(prefix); it != moved_.end() && it->first.starts_with(prefix); ++it) {
    const std::string name = it->first.substr(prefix.size());
    if (name.find('/') != std::string::npos) continue;
    ASSIGN_OR_RETURN(FileInfo f, lower_->Stat(it->second));
    f.name = name;
    all[name] = std::move(f);
  }
  if (auto files = upper_.List(UpperPath(key))) {
    for (FileInfo& f : *files) all[f.name] = std::move(f);
  }
  std::vector<FileInfo> out;
  for (auto& [name, f] : all) out.push_back(std::move(f));
  return out;
}

Result<FileInfo> OverlayFileSystem::Stat(const std::string& path) {
  MutexLock lock(&mu_);
  ASSIGN_OR_RETURN(FileInfo info, StatLocked(KeyOf(path)));
  info.name = NameOf(path);
  return info;
}

Result<std::unique_ptr<File>> OverlayFileSystem::Lock(const std::string& path) {
  MutexLock lock(&mu_);
  const std::string key = KeyOf(path);
  RETURN_IF_ERROR(PrepareParent(key));
  return upper_.Lock(UpperPath(key));
}

Result<FileSystem::Space> OverlayFileSystem::FreeSpace(const std::string& path) { return lower_->FreeSpace(path); }

}  // namespace tocsin::base
