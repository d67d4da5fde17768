#pragma once

// What stands behind Db: for the files of this folder only.
//
// Lock order: compact_mu, then blocks_mu; the head's own locks after both.

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "tsdb/block.h"
#include "tsdb/compact.h"
#include "tsdb/db.h"
#include "tsdb/head.h"
#include "tsdb/metrics.h"
#include "tsdb/standing.h"

namespace tocsin::tsdb {

using BlockList = std::vector<std::shared_ptr<Block>>;  // by min_time

class Db::Impl {
 public:
  explicit Impl(DbOptions options);
  ~Impl();

  base::Status Open();
  void AddGauges();
  void ScheduleMaintenance();       // loop only
  void Maintain();                  // loop only
  void TellProgress();              // loop only
  void Close(base::Task done);      // loop only
  void CloseNow();

  // db_blocks.cc
  base::Status OpenBlocks() TOCSIN_REQUIRES(compact_mu);
  base::Status Compact();
  base::Status CompactLocked() TOCSIN_REQUIRES(compact_mu);
  base::Status CompactHead() TOCSIN_REQUIRES(compact_mu);
  base::Status CompactBlocks() TOCSIN_REQUIRES(compact_mu);
  base::Status ApplyRetention() TOCSIN_REQUIRES(compact_mu);
  uint64_t RetentionBytes() const;
  base::Status Replace(const BlockList& gone, const std::optional<std::string>& folder) TOCSIN_REQUIRES(compact_mu);
  base::Status DeleteSeries(model::Timestamp mint, model::Timestamp maxt, std::span<const model::Matchers> any_of);
  base::Status CleanTombstones();
  base::Result<std::string> Snapshot(SnapshotHead head);
  BlockList Blocks() const;
  // Whether no block has samples of the window.
  bool AllInHead(storage::Window window) const;
  CompactContext Context(std::string parent);
  int64_t NowMs() const;

  std::optional<model::Timestamp> MinTime() const;
  std::pair<model::Timestamp, model::Timestamp> HeadTimes() const;
  std::optional<model::Timestamp> MaxTime() const;

  // What callbacks of the registry hold.
  struct Alive {
    base::Mutex mu;
    Impl* impl TOCSIN_GUARDED_BY(mu) = nullptr;
  };
  const std::shared_ptr<Alive> alive = std::make_shared<Alive>();

  const DbOptions options;
  std::unique_ptr<base::Registry> own_registry;
  Metrics metrics;
  std::unique_ptr<Head> head;
  std::unique_ptr<base::File> lock;
  std::atomic<int64_t> retention_ms;
  std::atomic<uint64_t> retention_bytes;
  std::atomic<double> retention_percentage;
  std::atomic<bool> xor2;
  std::atomic<bool> stopping{false};
  bool closed = false;
  bool blocks_changed TOCSIN_GUARDED_BY(compact_mu) = false;  // since memory was given back last

  base::Mutex compact_mu;  // one round of housekeeping, deletion or snapshot at a time
  // A block was cut up to here, and readers from before still look at the head's copy.
  struct PendingTruncation {
    model::Timestamp mint = 0;
    uint64_t stamp = 0;
  };
  std::optional<PendingTruncation> pending TOCSIN_GUARDED_BY(compact_mu);

  mutable base::Mutex blocks_mu;
  BlockList blocks TOCSIN_GUARDED_BY(blocks_mu);
  std::unique_ptr<Standing> standing;

  // Touched on the loop only; callbacks share it so that they may outlive the database.
  struct LoopState {
    base::Timer timer;
    bool open = false;
    bool busy = false;     // housekeeping is on a worker
    bool stopped = false;
    base::Task when_idle;
  };
  const std::shared_ptr<LoopState> loop = std::make_shared<LoopState>();
};

}  // namespace tocsin::tsdb
