#pragma once

// An Executor is where decisions run: one thread (the loop), its timers, and lanes of workers for
// anything that computes, touches a disk or waits.  Time is a parameter: whatever acts on time
// takes an Executor, so that service, unit tests of rules, backtests and simulations are one code
// path.  There are two: net::EventLoop (real) and base::SimulatedExecutor.
//
//   executor->Offload(Lane::kQueries, [=] { result->Compute(); }, gate_.Wrap([=] { Show(result); }));
//   timer_ = executor->After(30s, gate_.Wrap([this] { Flush(); }));
//
// Threads: After() and Slice() on the loop only; Now(), Post(), Offload() from any thread.

#include <functional>
#include <memory>
#include <utility>

#include "base/time.h"

namespace tocsin::base {

using Task = std::move_only_function<void()>;

enum class Lane {
  kIntake,      // scrape bodies, remote write, rule evaluations
  kQueries,     // ad-hoc queries, lists, rendering for the API
  kBackground,  // compaction, retention, backups: never holds the last thread
  kDurable,     // one thread: the durable state (silences, notification log)
};

// Cancels its timer when destroyed.  Loop only.
class Timer {
 public:
  Timer() = default;
  explicit Timer(std::move_only_function<void()> cancel) : cancel_(std::move(cancel)) {}
  Timer(Timer&& other) noexcept : cancel_(std::exchange(other.cancel_, nullptr)) {}
  Timer& operator=(Timer&& other) noexcept {
    if (this != &other) {
      Cancel();
      cancel_ = std::exchange(other.cancel_, nullptr);
    }
    return *this;
  }
  ~Timer() { Cancel(); }

  // No effect when the timer has fired or was never set.
  void Cancel() {
    if (cancel_) std::exchange(cancel_, nullptr)();
  }

 private:
  std::move_only_function<void()> cancel_;
};

class Executor {
 public:
  virtual ~Executor() = default;

  // Wall-clock time.  May step with the system's clock.
  virtual Time Now() const = 0;
  // For measuring durations: never goes back.  Only differences mean anything.
  virtual Duration Monotonic() const = 0;

  // Runs `fn` on the loop once, `delay` from now (at once when negative), unless the Timer dies before.
  [[nodiscard]] virtual Timer After(Duration delay, Task fn) = 0;

  // Runs `fn` on the loop soon, in order of posting.
  virtual void Post(Task fn) = 0;

  // Runs `work` on a worker of `lane`, then `done` on the loop, if it is not empty.
  virtual void Offload(Lane lane, Task work, Task done) = 0;

  // Calls `step` on the loop until it returns false, giving the loop back after each 2 ms; then `done`.
  void Slice(std::move_only_function<bool()> step, Task done);

  // Whether the caller is on the loop's thread.
  virtual bool OnThread() const = 0;
};

// Drops callbacks that arrive after their owner has stopped, and tells when none is in flight.
// Loop only; a wrapped task may be destroyed on any thread.
class Gate {
 public:
  Gate();
  ~Gate();  // closes: callbacks wrapped earlier do nothing
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  // The task, made harmless once the gate is closed.
  Task Wrap(Task task);

  // From now on wrapped tasks do nothing.
  void Close();
  bool closed() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace tocsin::base
