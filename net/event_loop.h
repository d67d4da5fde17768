#pragma once

// The real Executor: a libuv loop with its timers, and lanes of workers beside it.
//
//   net::EventLoop loop;
//   loop.OnSignal(SIGTERM, [&] { server.Stop([&] { loop.Stop(); }); });
//   loop.Run();                       // until Stop()
//
// Threads: the thread that constructs the loop is the loop's thread (until another calls Run());
// everything is loop only, but Post(), Offload(), Now(), Monotonic(), OnThread() and Stop().
// Time:    Now() is the system's clock, Monotonic() its monotonic one.
// Process: constructing a loop ignores SIGPIPE.  HUP, TERM and INT keep their default action until
//          OnSignal() names them; workers mask them.

#include <functional>
#include <memory>

#include "base/executor.h"
#include "base/helpers.h"

struct uv_loop_s;

namespace tocsin::net {

struct EventLoopOptions {
  int threads = 0;  // workers that the lanes share; 0: by the number of processors
};

class EventLoop : public base::Executor {
 public:
  explicit EventLoop(const EventLoopOptions& options = {});
  // Waits for all offloaded work, drops what is posted.
  ~EventLoop() override;
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Runs until Stop().  May be called again afterwards.
  void Run();
  // Waits for the next event and runs what it brings.  For tests and tools.
  void RunNext();
  // Lets Run() return after the current turn.  Any thread; safe to call twice.
  void Stop();

  // Runs `fn` on the loop at each arrival of `signal`, replacing an earlier one.  Null: default again.
  void OnSignal(int signal, std::function<void()> fn);

  base::Time Now() const override;
  base::Duration Monotonic() const override;
  [[nodiscard]] base::Timer After(base::Duration delay, base::Task fn) override;
  void Post(base::Task fn) override;
  void Offload(base::Lane lane, base::Task work, base::Task done) override;
  bool OnThread() const override;
  // Idle workers, for as long as the loop is there.
  base::Helpers* helpers() const;

  // For the other files of net/.
  uv_loop_s* uv() const;

 private:
  struct Rep;
  std::unique_ptr<Rep> rep_;
};

}  // namespace tocsin::net
