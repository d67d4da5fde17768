#pragma once

// The time-series database: a head in memory with a write-ahead log, and blocks, all in
// Prometheus's format on disk.
//
//   tsdb::DbOptions options{.path = "data", .executor = loop, .registry = &metrics};
//   ASSIGN_OR_RETURN(std::unique_ptr<tsdb::Db> db, tsdb::Db::Open(std::move(options)));
//   auto appender = db->NewAppender();          // write (any worker)
//   auto querier = db->NewQuerier(window);      // read (any worker)
//
// Threads: every method from any thread unless it says otherwise.  What blocks (Open, Snapshot,
//          DeleteSeries, CleanTombstones, Compact, Commit with kSynced) belongs on a worker.
// Time:    sample times are ms; the clock is the executor's and is used for log lines only: what is
//          old is measured against the newest sample.
// Errors:  Open fails with kUnavailable when another process holds the folder, with the file
//          system's error when it cannot be read or written; damage in data files never refuses a
//          start: it is repaired, counted (prometheus_tsdb_wal_corruptions_total) and logged.
// Bounds:  the head keeps what is newer than its last truncation (1.5 block ranges, 3 h, once blocks
//          are cut; a head span of the retention when compaction is off).

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/file_system.h"
#include "base/metrics.h"
#include "base/result.h"
#include "base/time.h"
#include "model/exemplar.h"
#include "model/labels.h"
#include "model/matcher.h"
#include "model/sample.h"
#include "storage/appender.h"
#include "storage/change_stream.h"
#include "storage/queryable.h"
#include "tsdb/progress.h"

namespace tocsin::tsdb {

enum class WalCompression { kNone, kSnappy, kZstd };
enum class WalSync {
  kBatch,  // Durability::kSynced waits for fdatasync; writers that wait together share one
  kNone,   // kSynced is kWritten: survives kill -9, not power loss
};

struct DbOptions {
  std::string path;
  base::FileSystem* fs = base::RealFileSystem();
  base::Executor* executor = nullptr;   // null: nothing runs in the background (tools, tests)
  base::Registry* registry = nullptr;   // null: no metrics
  base::Duration retention_time = std::chrono::hours(15 * 24);  // 0: keep for ever
  uint64_t retention_bytes = 0;                                 // 0: no limit
  double retention_percentage = 0;      // of the file system's size, in place of retention_bytes; 0: no limit
  bool xor2 = false;                    // float chunks of new blocks in encoding 4, which versions before 3.14 cannot read
  // When what a sample counts began is kept with it, in forms that versions before 3.14 cannot read.  Chunks of
  // histograms have it with the second only (encodings 5 and 6, which may still change); else only the log has.
  bool start_times = false;
  bool histogram_start_times = false;
  base::Duration min_block_duration = std::chrono::hours(2);
  base::Duration max_block_duration = base::Duration(0);        // 0: a tenth of retention, at most 31 d
  bool wal = true;                      // false: nothing survives the process (promqltest, backtest)
  WalCompression wal_compression = WalCompression::kSnappy;
  WalSync wal_sync = WalSync::kBatch;
  base::Duration maintenance_interval = std::chrono::minutes(1);  // of compaction and retention; at least 1 s
  size_t wal_segment_bytes = 128 << 20;  // a multiple of 32 KiB
  // The log is checkpointed once it has as many samples that chunks have too, if they are half of it; reading through a
  // log of fewer (some MiB) is not worth it.
  uint64_t wal_shorten_samples = 500'000;
  base::Duration out_of_order_window = base::Duration(0);
  size_t max_exemplars = 0;             // 0: exemplars are not kept
  bool memory_snapshot = false;         // a clean stop writes what is in memory, and a start reads it
  bool lock_file = true;                // `lock` in the folder, held while open
  std::shared_ptr<Progress> progress = std::make_shared<Progress>();
};

// What /api/v1/status/tsdb shows.
struct HeadStats {
  struct Row {
    std::string name;
    uint64_t value = 0;
  };
  uint64_t series = 0;
  uint64_t label_pairs = 0;
  uint64_t chunks = 0;
  model::Timestamp min_time = model::kMaxTimestamp;  // kMaxTimestamp, kMinTimestamp: empty
  model::Timestamp max_time = model::kMinTimestamp;
  // The largest first, equal ones by name.
  std::vector<Row> series_by_metric_name;
  std::vector<Row> values_by_label_name;
  std::vector<Row> memory_by_label_name;  // bytes of the values' text
  std::vector<Row> series_by_label_pair;  // "name=value"
};

// A block as its meta.json tells it; [min_time, max_time).
struct BlockInfo {
  std::string ulid;
  std::string folder;
  model::Timestamp min_time = 0;
  model::Timestamp max_time = 0;
  uint64_t samples = 0;
  uint64_t series = 0;
  uint64_t chunks = 0;
  uint64_t tombstones = 0;
  uint64_t bytes = 0;
  int level = 1;
  std::vector<std::string> sources;
};

class Db : public storage::Appendable, public storage::Queryable, public storage::ChangeSource {
 public:
  static base::Result<std::unique_ptr<Db>> Open(DbOptions options);
  ~Db() override;  // closes the files if Stop() was not called; does not wait for the loop

  // storage::Appendable.  Appenders must be gone before the Db is.
  std::unique_ptr<storage::Appender> NewAppender() override;
  base::Status WaitSynced(storage::SyncTicket ticket) override;
  uint64_t series_gone() const override;
  void ForgetGone(std::span<storage::SeriesRef> refs) const override;

  // storage::Queryable.  Queriers must be gone before the Db is.
  std::unique_ptr<storage::Querier> NewQuerier(storage::Window window) override;
  storage::StandingSource* standing() override;
  base::Result<std::vector<storage::ExemplarSeries>> SelectExemplars(
      storage::Window window, std::span<const model::Matchers> any_of) override;

  // storage::ChangeSource, of the head's series.
  uint64_t Generation() const override;
  std::optional<storage::SeriesChanges> ChangesSince(uint64_t generation) const override;

  // Labels of a series of the head.
  std::optional<model::Labels> LabelsOf(storage::SeriesRef ref) const;

  HeadStats Stats(size_t top = 10) const;
  uint64_t LogCorruptions() const;  // of the write-ahead log, since the start
  std::vector<BlockInfo> Blocks() const;  // by time
  // The oldest sample's time, in blocks or head; nullopt: there is none.
  std::optional<model::Timestamp> MinTime() const;
  std::optional<model::Timestamp> MaxTime() const;

  // Hides the samples of matching series in [mint, maxt], both inclusive.
  base::Status DeleteSeries(model::Timestamp mint, model::Timestamp maxt,
                            std::span<const model::Matchers> any_of);
  // Rewrites blocks and head without what is hidden.
  base::Status CleanTombstones();
  enum class SnapshotHead { kInclude, kSkip };
  // Writes `<path>/snapshots/<name>`: blocks as hard links and the head as a block.  Returns the name.
  base::Result<std::string> Snapshot(SnapshotHead head = SnapshotHead::kInclude);

  // One round of housekeeping: cuts blocks from the head, compacts, applies retention, truncates
  // head and log.  Runs by itself once a minute when there is an executor.
  base::Status Compact();

  // Settings that a reload may change.
  void SetOutOfOrderWindow(base::Duration window);
  void SetMaxExemplars(size_t count);
  struct Retention {
    base::Duration time = base::Duration(0);
    uint64_t bytes = 0;
    double percentage = 0;
  };
  void SetRetention(const Retention& retention);
  void SetXor2(bool on);  // of blocks that are written from now on

  // Ends background work, syncs and closes the log, then calls `done` on the loop (at once when
  // there is no executor).  Loop only.  REQUIRES: no appender is open.
  void Stop(base::Task done);

  class Impl;

 private:
  explicit Db(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tocsin::tsdb
