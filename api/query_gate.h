#pragma once

// Lets so many queries run at once; others wait in line, at most as long as a query may take.
// Threads: loop only.

#include <cstdint>
#include <list>
#include <memory>

#include "base/executor.h"

namespace tocsin::api {

class QueryGate {
 public:
  QueryGate(base::Executor* executor, int limit) : executor_(executor), limit_(limit) {}

  // Calls `run` when it is the query's turn: at once, or later; or `timed_out` after `timeout` in
  // line.  After `run` the caller owes a Leave().
  // Returns a ticket for Forget(); 0 when `run` has been called.
  uint64_t Enter(base::Duration timeout, base::Task run, base::Task timed_out);
  // Takes a waiting query out of line; neither of its tasks runs.  False: it was not in line.
  bool Forget(uint64_t ticket);
  void Leave();

  int running() const { return running_; }
  size_t waiting() const { return waiting_.size(); }
  int limit() const { return limit_; }

 private:
  struct Entry {
    uint64_t ticket;
    base::Task run;
    base::Task timed_out;
    base::Timer timer;
  };
  base::Executor* const executor_;
  const int limit_;
  int running_ = 0;
  uint64_t last_ticket_ = 0;
  std::list<Entry> waiting_;
};

}  // namespace tocsin::api
