#pragma once

// An Executor whose time is a number: it jumps from timer to timer, and work offloaded to a lane
// runs in the caller's thread, in order.  Nothing in it waits, so a week passes in milliseconds.
//
//   base::SimulatedExecutor sim(base::FromUnixMillis(0));
//   auto timer = sim.After(1h, [&] { fired = true; });
//   sim.RunFor(2h);

#include <cstdint>
#include <deque>
#include <map>
#include <utility>

#include "base/executor.h"

namespace tocsin::base {

class SimulatedExecutor : public Executor {
 public:
  explicit SimulatedExecutor(Time start) : now_(start), start_(start) {}

  Time Now() const override { return now_; }
  Duration Monotonic() const override { return now_ - start_; }
  Timer After(Duration delay, Task fn) override;
  void Post(Task fn) override;
  void Offload(Lane lane, Task work, Task done) override;
  bool OnThread() const override { return true; }

  // Runs everything due up to `end` (inclusive); afterwards Now() is `end`.
  void RunUntil(Time end);
  void RunFor(Duration d) { RunUntil(now_ + d); }
  // Runs what is posted, without letting time pass.
  void RunPosted();

  // How long a lane takes for each piece of work: zero unless set.
  void SetWorkDuration(Duration d) { work_duration_ = d; }

 private:
  using Key = std::pair<Time, uint64_t>;  // equal times in order of setting

  Time now_;
  const Time start_;
  uint64_t next_ = 0;
  Duration work_duration_{0};
  std::deque<Task> posted_;
  // Shared so that a Timer may outlive the executor.
  std::shared_ptr<std::map<Key, Task>> timers_ = std::make_shared<std::map<Key, Task>>();
};

}  // namespace tocsin::base
