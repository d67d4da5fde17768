#pragma once

// The log's writing end: records appended to numbered segments, synced in groups, truncated behind a
// checkpoint.
//
//   ASSIGN_OR_RETURN(auto log, wal::Log::Open({.fs = fs, .folder = "data/wal"}));
//   ASSIGN_OR_RETURN(uint64_t n, log->Append(packed));   // one write()
//   RETURN_IF_ERROR(log->WaitSynced(n));                 // stable; waits together with others
//
// Group commit: there is no thread and no timer.  The first waiter syncs; those that come meanwhile
// wait for the next sync, which one of them begins as soon as the first has ended.
//
// Threads: every method from any thread.  Append() holds a mutex for one write(); a sync does not.
// Errors:  Append: kResourceExhausted (disk full) and other I/O errors; the segment is then closed and
//          the next append begins a new one, so that a half-written record damages nothing behind it.
//          WaitSynced: kUnavailable when the sync that covers the append failed.  A failed sync is
//          never tried again on the same file: what it covered may be lost whatever a later one says.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/wal/segment.h"

namespace tocsin::tsdb::wal {

struct LogMetrics {  // any may be null
  base::Counter* page_flushes = nullptr;
  base::Counter* pages_completed = nullptr;
  base::Counter* writes_failed = nullptr;
  base::Counter* bytes = nullptr;
  base::Summary* fsync_seconds = nullptr;
  base::Gauge* segment = nullptr;
};

struct LogOptions {
  base::FileSystem* fs = nullptr;
  std::string folder;
  size_t segment_bytes = 128 << 20;  // a multiple of 32 KiB
  std::function<base::Duration()> monotonic;  // for fsync_seconds; may be empty
  LogMetrics metrics;
};

class Log {
 public:
  // Begins a new segment behind those that are there.  Makes the folder.
  static base::Result<std::unique_ptr<Log>> Open(LogOptions options);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // Writes the records with one write() and returns the number to wait for.
  base::Result<uint64_t> Append(std::span<const PackedRecord> records);

  // The number of the last append.
  uint64_t appended() const;
  // Returns when everything up to append `number` is on stable storage.
  base::Status WaitSynced(uint64_t number);

  // Begins a new segment; returns its number.
  base::Result<int> Cut();
  // Removes the segments before `index`.
  base::Status Truncate(int index);
  // The segment that is written, and where in it the next record will stand.
  int segment() const { return position().segment; }
  struct Position {
    int segment = 0;
    uint64_t offset = 0;
  };
  Position position() const;
  // Bytes of all segments and checkpoints in the folder.
  uint64_t SizeBytes() const;

  // Syncs and closes.  No more appends.
  base::Status Close();

 private:
  explicit Log(LogOptions options) : options_(std::move(options)) {}
  base::Status BeginSegment(int index) TOCSIN_REQUIRES(mu_);
  void Abandon() TOCSIN_REQUIRES(mu_);
  base::Status SyncOnce(uint64_t* reached);

  const LogOptions options_;

  // Lock order: sync_mu_ before mu_.
  mutable base::Mutex mu_;
  std::shared_ptr<base::File> file_ TOCSIN_GUARDED_BY(mu_);  // null after a failure, until the next append
  std::vector<std::shared_ptr<base::File>> unsynced_ TOCSIN_GUARDED_BY(mu_);  // earlier segments
  bool folder_unsynced_ TOCSIN_GUARDED_BY(mu_) = false;
  int index_ TOCSIN_GUARDED_BY(mu_) = -1;
  uint64_t offset_ TOCSIN_GUARDED_BY(mu_) = 0;
  uint64_t appended_ TOCSIN_GUARDED_BY(mu_) = 0;  // number of the last append
  bool closed_ TOCSIN_GUARDED_BY(mu_) = false;
  std::string buffer_ TOCSIN_GUARDED_BY(mu_);

  base::Mutex sync_mu_;
  base::CondVar sync_cv_;
  bool syncing_ TOCSIN_GUARDED_BY(sync_mu_) = false;
  uint64_t synced_ TOCSIN_GUARDED_BY(sync_mu_) = 0;  // every append up to it is stable, or failed
  struct Failure {
    uint64_t after, upto;  // appends (after, upto] may be lost
    std::string message;
  };
  std::vector<Failure> failures_ TOCSIN_GUARDED_BY(sync_mu_);  // the last few
};

}  // namespace tocsin::tsdb::wal
