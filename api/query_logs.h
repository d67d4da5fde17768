#pragma once

// Two records of queries: the API's that run, in a file that outlives a crash, and the log of all.  A rule's
// query is in the log alone: it takes microseconds, and to note it in a file would take as long again.
//
//   ActiveQueries active(fs, "data/queries.active", 20);
//   { const ActiveQueries::Entry entry = active.Enter("sum(rate(x[5m]))", now); ... }
//
// Threads: any; both lock.  They write files: not on the loop, but for SetPath() and enabled().
// Errors:  a query is never refused because it cannot be noted; what fails is logged once, and of the
//          query log counted.
// Source:  Prometheus's promql/query_logger.go and util/logging/file.go, for the formats.

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "base/time.h"

namespace tocsin::api {

class ActiveQueries {
 public:
  // Logs the queries that the file says had not ended, then begins anew.  `slots`: as many queries as
  // run at once.
  ActiveQueries(base::FileSystem* fs, std::string path, int slots);
  // Their JSON; empty: none.
  const std::string& unfinished() const { return unfinished_; }

  // Takes the query off the list when it dies.
  class Entry {
   public:
    Entry() = default;
    Entry(ActiveQueries* owner, size_t slot) : owner_(owner), slot_(slot) {}
    Entry(Entry&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)), slot_(other.slot_) {}
    Entry& operator=(Entry&&) = delete;
    ~Entry() {
      if (owner_ != nullptr) owner_->Leave(slot_);
    }

   private:
    ActiveQueries* owner_ = nullptr;
    size_t slot_ = 0;
  };
  Entry Enter(std::string_view query, base::Time now);

 private:
  static constexpr size_t kEntryBytes = 1000;
  void Leave(size_t slot);
  void Write(size_t slot, std::string entry) TOCSIN_REQUIRES(mu_);

  const std::string path_;
  std::string unfinished_;
  base::Mutex mu_;
  std::unique_ptr<base::File> file_ TOCSIN_GUARDED_BY(mu_);  // null: could not be opened
  std::vector<size_t> free_ TOCSIN_GUARDED_BY(mu_);
  bool failed_ TOCSIN_GUARDED_BY(mu_) = false;
};

// global.query_log_file: a line of JSON for each query that ended.
class QueryLog {
 public:
  QueryLog(base::FileSystem* fs, base::Registry* registry);

  // From now on to this file; none: "".  The same path opens the file again, for it may have been
  // moved away.  No file is touched before the next line.
  void SetPath(std::string path);
  bool enabled() const;
  void Append(std::string line);  // without its end

 private:
  base::FileSystem* const fs_;
  base::Gauge* const enabled_metric_;
  base::Counter* const failures_;
  // Lives as long as a query that began with it writes.
  struct Target {
    explicit Target(std::string p) : path(std::move(p)) {}
    const std::string path;
    base::Mutex mu;
    std::unique_ptr<base::File> file TOCSIN_GUARDED_BY(mu);
    bool failed TOCSIN_GUARDED_BY(mu) = false;
  };
  std::shared_ptr<Target> target() const;

  mutable base::Mutex mu_;  // not held while a file is written: the loop sets the path
  std::shared_ptr<Target> target_ TOCSIN_GUARDED_BY(mu_);  // null: none
};

}  // namespace tocsin::api
