#pragma once

// The threads behind the lanes of a real Executor.  Intake, queries and background share
// `threads` workers; durable work has one thread of its own.
//
// Of N shared threads background work takes at most N - 2 and, together with queries, at most
// N - 1: a compaction never keeps queries waiting, and neither keeps a scrape waiting.  Waiting
// work is taken in turns of 4 intake, 2 queries, 1 background, so that no lane starves.
//
// A thread that is idle may be invited to help a query: it counts as one more query, and only while no
// other work waits.
//
// Threads: Submit() and what Helpers has from any; Stop() once, not from a worker.  Workers mask HUP, TERM, INT and PIPE.

#include <array>
#include <cstddef>
#include <deque>
#include <thread>
#include <vector>

#include "base/executor.h"
#include "base/helpers.h"
#include "base/mutex.h"

namespace tocsin::base {

class Workers : public Helpers {
 public:
  // At least 3 shared threads are started, whatever is asked for.
  explicit Workers(int threads);
  ~Workers() override;  // stops
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Runs `work` on a thread of `lane`, each lane's work begun in order.  False after Stop(): the
  // work is dropped.
  bool Submit(Lane lane, Task work);

  // Finishes everything submitted, then ends the threads.  Work that is run meanwhile cannot submit
  // more.  Blocks: call it when the loop has ended.
  void Stop();

  size_t most() const override { return static_cast<size_t>(shared_count_ - 2); }
  bool Invite(Task work) override;
  bool Wanted() const override;

  int threads() const { return shared_count_; }
  // Work waiting in a lane, for metrics.
  size_t Waiting(Lane lane) const;

 private:
  static constexpr size_t kShared = 3;  // lanes that share threads: intake, queries, background

  void RunShared();
  void RunDurable();
  bool AnyWaits() const TOCSIN_REQUIRES(mu_);
  // The lane to serve next, or -1 when nothing may run now.
  int Pick() TOCSIN_REQUIRES(mu_);

  const int shared_count_;
  mutable Mutex mu_;
  CondVar shared_ready_;
  CondVar durable_ready_;
  std::array<std::deque<Task>, 4> queues_ TOCSIN_GUARDED_BY(mu_);
  std::array<int, kShared> running_ TOCSIN_GUARDED_BY(mu_) = {};
  std::array<int, kShared> turns_ TOCSIN_GUARDED_BY(mu_) = {};
  int idle_ TOCSIN_GUARDED_BY(mu_) = 0;  // shared threads that wait for work
  bool stopping_ TOCSIN_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace tocsin::base
