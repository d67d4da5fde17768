#pragma once

// The threads behind the lanes of a real Executor.  Intake, queries and background share
// `threads` workers; durable work has one thread of its own.
//
// Of N shared threads background work takes at most N - 2 and, together with queries, at most
// N - 1: a compaction never keeps queries waiting, and neither keeps a scrape waiting.  Waiting
// work is taken in turns of 4 intake, 2 queries, 1 background, so that no lane starves.
//
// Threads: Submit() from any; Stop() once, not from a worker.  Workers mask HUP, TERM, INT and PIPE.

#include <array>
#include <cstddef>
#include <deque>
#include <thread>
#include <vector>

#include "base/executor.h"
#include "base/mutex.h"

namespace tocsin::base {

class Workers {
 public:
  // At least 3 shared threads are started, whatever is asked for.
  explicit Workers(int threads);
  ~Workers();  // stops
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Runs `work` on a thread of `lane`, each lane's work begun in order.  False after Stop(): the
  // work is dropped.
  bool Submit(Lane lane, Task work);

  // Finishes everything submitted, then ends the threads.  Work that is run meanwhile cannot submit
  // more.  Blocks: call it when the loop has ended.
  void Stop();

  int threads() const { return shared_count_; }
  // Work waiting in a lane, for metrics.
  size_t Waiting(Lane lane) const;

 private:
  static constexpr size_t kShared = 3;  // lanes that share threads: intake, queries, background

  void RunShared();
  void RunDurable();
  // The lane to serve next, or -1 when nothing may run now.
  int Pick() TOCSIN_REQUIRES(mu_);

  const int shared_count_;
  mutable Mutex mu_;
  CondVar shared_ready_;
  CondVar durable_ready_;
  std::array<std::deque<Task>, 4> queues_ TOCSIN_GUARDED_BY(mu_);
  std::array<int, kShared> running_ TOCSIN_GUARDED_BY(mu_) = {};
  std::array<int, kShared> turns_ TOCSIN_GUARDED_BY(mu_) = {};
  bool stopping_ TOCSIN_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace tocsin::base
