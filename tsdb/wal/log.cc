#include "tsdb/wal/log.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"

namespace tocsin::tsdb::wal {
namespace {

// Failures kept for those that still wait; more waiters than that cannot have been asleep meanwhile.
constexpr size_t kMaxFailures = 64;
// Segments that were full before anybody asked for a sync.
constexpr size_t kMaxUnsyncedSegments = 2;

}  // namespace

base::Result<std::unique_ptr<Log>> Log::Open(LogOptions options) {
  TOCSIN_CHECK(options.segment_bytes % kPageBytes == 0 && options.segment_bytes > 0) << options.segment_bytes;
  RETURN_IF_ERROR(options.fs->CreateFolders(options.folder));
  ASSIGN_OR_RETURN(const std::vector<int> segments, ListSegments(options.fs, options.folder));
  std::unique_ptr<Log> log(new Log(std::move(options)));
  base::MutexLock lock(&log->mu_);
  RETURN_IF_ERROR(log->BeginSegment(segments.empty() ? 0 : segments.back() + 1));
  return log;
}

Log::~Log() = default;

base::Status Log::BeginSegment(int index) {
  ASSIGN_OR_RETURN(std::unique_ptr<base::File> file,
                   options_.fs->Open(SegmentPath(options_.folder, index), base::FileSystem::Mode::kCreate));
  if (file_ != nullptr) unsynced_.push_back(std::move(file_));
  file_ = std::move(file);
  index_ = index;
  offset_ = 0;
  folder_unsynced_ = true;
  if (options_.metrics.segment != nullptr) options_.metrics.segment->Set(index);
  if (unsynced_.size() > kMaxUnsyncedSegments) {
    // Nobody waits for syncs.  A failure shows at the next one that somebody waits for, or never.
    base::Ignore(unsynced_.front()->Sync());
    unsynced_.erase(unsynced_.begin());
  }
  return {};
}

base::Result<uint64_t> Log::Append(std::span<const PackedRecord> records) {
  base::MutexLock lock(&mu_);
  if (closed_) return base::FailedPrecondition(options_.folder + ": the log is closed");
  size_t most = 0;
  for (const PackedRecord& r : records) most += FramedBytes(r.bytes.size());
  if (most > options_.segment_bytes && records.size() == 1) {
    return base::ResourceExhausted(fmt::format("{}: a record of {} bytes does not fit a segment of {}", options_.folder,
                                               records[0].bytes.size(), options_.segment_bytes));
  }
  if (file_ == nullptr) {
    RETURN_IF_ERROR(BeginSegment(index_ + 1));  // the one before was given up
  } else if (offset_ + most > options_.segment_bytes && offset_ > 0) {
    RETURN_IF_ERROR(BeginSegment(index_ + 1));
  }
  buffer_.clear();
  const uint64_t before = offset_;
  for (const PackedRecord& r : records) {
    if (FramedBytes(r.bytes.size()) > options_.segment_bytes) {
      return base::ResourceExhausted(fmt::format("{}: a record of {} bytes does not fit a segment of {}",
                                                 options_.folder, r.bytes.size(), options_.segment_bytes));
    }
    if (offset_ + FramedBytes(r.bytes.size()) > options_.segment_bytes && offset_ > 0) {
      // Only a batch larger than a segment comes here.
      if (auto written = file_->Append(buffer_); !written) {
        Abandon();
        return std::unexpected(written.error());
      }
      buffer_.clear();
      RETURN_IF_ERROR(BeginSegment(index_ + 1));
    }
    Frame(r, &offset_, &buffer_);
  }
  if (auto written = file_->Append(buffer_); !written) {
    if (options_.metrics.writes_failed != nullptr) options_.metrics.writes_failed->Add();
    // An unknown part may stand in the file.  Cut it off; if that fails too, leave the segment, whose
    // torn end the next reader skips.
    if (offset_ - before != buffer_.size() || !file_->Truncate(before)) {
      Abandon();
    } else {
      offset_ = before;
    }
    return std::unexpected(written.error());
  }
  if (options_.metrics.bytes != nullptr) {
    options_.metrics.bytes->Add(static_cast<double>(buffer_.size()));
    options_.metrics.page_flushes->Add();
    if (const uint64_t begin = offset_ - buffer_.size(); offset_ / kPageBytes > begin / kPageBytes) {
      options_.metrics.pages_completed->Add(static_cast<double>(offset_ / kPageBytes - begin / kPageBytes));
    }
  }
  // One large batch should not hold its memory.  An assignment of an empty text would keep it.
  if (buffer_.capacity() > (4 << 20)) std::string().swap(buffer_);
  return ++appended_;
}

// Leaves the current file; the next sync covers what was appended to it.
void Log::Abandon() {
  if (file_ != nullptr) unsynced_.push_back(std::move(file_));
  file_ = nullptr;
}

// One sync of everything appended before the call.  Called by one thread at a time, without sync_mu_.
base::Status Log::SyncOnce(uint64_t* reached) {
  std::vector<std::shared_ptr<base::File>> files;
  bool sync_folder;
  {
    base::MutexLock lock(&mu_);
    files.swap(unsynced_);
    if (file_ != nullptr) files.push_back(file_);
    sync_folder = std::exchange(folder_unsynced_, false);
    *reached = appended_;
  }
  base::Status status;
  const bool timed = options_.metrics.fsync_seconds != nullptr && options_.monotonic;
  const base::Duration begin = timed ? options_.monotonic() : base::Duration(0);
  for (const auto& file : files) {
    if (base::Status one = file->Sync(); !one) status = std::move(one);
  }
  if (sync_folder && status) status = options_.fs->SyncFolder(options_.folder);
  if (timed) options_.metrics.fsync_seconds->Observe(base::ToSeconds(options_.monotonic() - begin));
  if (!status) {
    // What is in that file, and what others appended to it meanwhile, may be lost.
    base::MutexLock lock(&mu_);
    *reached = appended_;
    file_ = nullptr;
    folder_unsynced_ = true;
  }
  return status;
}

base::Status Log::WaitSynced(uint64_t number) {
  sync_mu_.Lock();
  while (synced_ < number) {
    if (syncing_) {
      sync_cv_.Wait(&sync_mu_);
      continue;
    }
    syncing_ = true;
    sync_mu_.Unlock();
    uint64_t reached = 0;
    base::Status status = SyncOnce(&reached);
    sync_mu_.Lock();
    syncing_ = false;
    if (!status) {
      failures_.push_back({synced_, reached, status.error().message()});
      if (failures_.size() > kMaxFailures) failures_.erase(failures_.begin());
    }
    synced_ = std::max(synced_, reached);
    sync_cv_.NotifyAll();
  }
  base::Status result;
  for (const Failure& f : failures_) {
    if (number > f.after && number <= f.upto) {
      result = base::Unavailable("write-ahead log: sync failed, what was written may be lost: " + f.message +
                                 "; send it again");
    }
  }
  sync_mu_.Unlock();
  return result;
}

uint64_t Log::appended() const {
  base::MutexLock lock(&mu_);
  return appended_;
}

base::Result<int> Log::Cut() {
  base::MutexLock lock(&mu_);
  if (closed_) return base::FailedPrecondition(options_.folder + ": the log is closed");
  if (offset_ > 0 || file_ == nullptr) RETURN_IF_ERROR(BeginSegment(index_ + 1));
  return index_;
}

base::Status Log::Truncate(int index) {
  ASSIGN_OR_RETURN(const std::vector<int> segments, ListSegments(options_.fs, options_.folder));
  for (int segment : segments) {
    if (segment >= index) break;
    RETURN_IF_ERROR(options_.fs->Remove(SegmentPath(options_.folder, segment)));
  }
  return {};
}

Log::Position Log::position() const {
  base::MutexLock lock(&mu_);
  return {index_, offset_};
}

uint64_t Log::SizeBytes() const {
  uint64_t bytes = 0;
  std::vector<std::string> folders = {options_.folder};
  while (!folders.empty()) {
    const std::string folder = std::move(folders.back());
    folders.pop_back();
    auto files = options_.fs->List(folder);
    if (!files) continue;  // removed meanwhile
    for (const base::FileInfo& f : *files) {
      if (f.is_folder) {
        folders.push_back(base::JoinPath(folder, f.name));
      } else {
        bytes += f.size;
      }
    }
  }
  return bytes;
}

base::Status Log::Close() {
  {
    base::MutexLock lock(&mu_);
    if (closed_) return {};
    closed_ = true;
  }
  uint64_t reached = 0;
  base::Status status = SyncOnce(&reached);
  base::MutexLock lock(&mu_);
  file_ = nullptr;
  return status;
}

}  // namespace tocsin::tsdb::wal
