#pragma once

// Requests that wait for the log together.  One whose batch is written waits for those that are being taken then, then one sync serves them all: of n senders that write at once each waits for one sync, not for n.
//
//   group.Expect();                                        // when a request is handed to a worker
//   group.Join(storage, ticket, [](base::Status s) {...}); // when its batch is written; or Leave()
//
// Nobody waits for a request that comes after its batch is written, nor for more than kMost - 1 others; no timer is
// needed.  A worker only blocks for the sync itself.
//
// Threads: any.  Errors: each request is told of its own ticket.

#include <functional>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "storage/appender.h"

namespace tocsin::api {

class SyncGroup {
 public:
  using Then = std::move_only_function<void(base::Status)>;

  // A request that will come soon, and with Join() or Leave().
  void Expect();
  // It has nothing to wait for.
  void Leave();
  // Calls `then` when the ticket's batch is stable: now, or when the last one of the group has come, by that one's
  // thread.  `expected`: Expect() was called for it.
  void Join(storage::Appendable* storage, storage::SyncTicket ticket, bool expected, Then then);

 private:
  static constexpr size_t kMost = 8;  // of a group

  struct Waiting {
    storage::Appendable* storage;
    storage::SyncTicket ticket;
    Then then;
  };

  // One of those expected has come.  Returns the group that is complete with it, or nothing.
  std::vector<Waiting> Arrived(bool expected) TOCSIN_REQUIRES(mu_);
  static void Sync(std::vector<Waiting> group);

  base::Mutex mu_;
  size_t expected_ TOCSIN_GUARDED_BY(mu_) = 0;
  std::vector<Waiting> waiting_ TOCSIN_GUARDED_BY(mu_);
  size_t missing_ TOCSIN_GUARDED_BY(mu_) = 0;  // that the waiting ones wait for
};

}  // namespace tocsin::api
