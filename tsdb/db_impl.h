#pragma once

// What stands behind Db: for the files of this folder only.

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "tsdb/db.h"
#include "tsdb/head.h"
#include "tsdb/metrics.h"

namespace tocsin::tsdb {

class Db::Impl {
 public:
  explicit Impl(DbOptions options);

  base::Status Open();
  void AddGauges();
  void ScheduleMaintenance();       // loop only
  void Close(base::Task done);      // loop only
  void CloseNow();
  base::Status Compact();
  std::optional<model::Timestamp> MinTime() const;

  const DbOptions options;
  std::unique_ptr<base::Registry> own_registry;
  Metrics metrics;
  std::unique_ptr<Head> head;
  std::unique_ptr<base::File> lock;
  std::atomic<int64_t> retention_ms;
  std::atomic<uint64_t> retention_bytes;
  base::Mutex compact_mu;  // one round of housekeeping at a time
  bool closed = false;

  // Touched on the loop only; callbacks share it so that they may outlive the database.
  struct LoopState {
    base::Timer timer;
    bool busy = false;     // housekeeping is on a worker
    bool stopped = false;
    base::Task when_idle;
  };
  const std::shared_ptr<LoopState> loop = std::make_shared<LoopState>();
};

}  // namespace tocsin::tsdb
