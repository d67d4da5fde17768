#include "net/event_loop.h"

#include <signal.h>
#include <uv.h>

#include <atomic>
#include <chrono>
#include <iterator>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/mutex.h"
#include "base/workers.h"

namespace tocsin::net {
namespace {

using base::Duration;
using base::MutexLock;
using base::Task;

// A deadline and, for equal ones, the order of setting.
using TimerKey = std::pair<Duration, uint64_t>;
using Timers = std::map<TimerKey, Task>;

struct SignalWatch {
  uv_signal_t handle;
  std::function<void()> fn;
};

// Timers and posted tasks that are due together run for so long before sockets are looked at again.
constexpr Duration kTurn = std::chrono::milliseconds(4);

Duration MonotonicNow() { return Duration(static_cast<int64_t>(uv_hrtime())); }

}  // namespace

struct EventLoop::Rep {
  uv_loop_t loop;
  uv_async_t wake;
  uv_timer_t timer;
  // What the loop posts to itself runs before it waits for sockets the next time, without a wake-up.
  uv_prepare_t before_wait;
  uv_idle_t awake;  // while active the loop looks at its sockets without waiting
  bool one_turn = false;
  std::atomic<std::thread::id> thread;
  std::map<int, SignalWatch*> signals;

  // Shared so that a Timer may outlive the loop.
  std::shared_ptr<Timers> timers = std::make_shared<Timers>();
  uint64_t next_timer = 0;
  Duration armed_for = Duration::max();  // the deadline that `timer` waits for

  base::Mutex mu;
  std::vector<Task> posted TOCSIN_GUARDED_BY(mu);
  bool stopping TOCSIN_GUARDED_BY(mu) = false;

  std::unique_ptr<base::Workers> workers;

  void ArmTimer();
  void RunTimers();
  bool RunPosted();
  void BeforeWait();
};

void EventLoop::Rep::ArmTimer() {
  if (timers->empty()) {
    armed_for = Duration::max();
    uv_timer_stop(&timer);
    return;
  }
  const Duration due = timers->begin()->first.first;
  if (due == armed_for) return;
  armed_for = due;
  const Duration delay = due - MonotonicNow();
  // Rounded up: a timer must not fire early.  Never zero: libuv runs a timer that is due again at
  // once in the same turn, before any socket.
  const int64_t ms =
      delay.count() <= 0 ? 1 : std::chrono::ceil<std::chrono::milliseconds>(delay).count();
  uv_update_time(&loop);
  uv_timer_start(
      &timer, [](uv_timer_t* t) { static_cast<Rep*>(t->data)->RunTimers(); },
      static_cast<uint64_t>(ms), 0);
}

// Runs what was due at the start, so that timers set meanwhile cannot keep the sockets waiting.
void EventLoop::Rep::RunTimers() {
  armed_for = Duration::max();
  const TimerKey limit{MonotonicNow(), next_timer};
  while (!timers->empty() && timers->begin()->first < limit) {
    auto node = timers->extract(timers->begin());
    node.mapped()();
    if (MonotonicNow() - limit.first >= kTurn) {
      // Ten thousand groups may be due at once: sockets and posted tasks get their turn in between.
      MutexLock lock(&mu);
      posted.push_back([this] { RunTimers(); });
      return;
    }
  }
  ArmTimer();
}

bool EventLoop::Rep::RunPosted() {
  std::vector<Task> tasks;
  bool stop = false;
  {
    MutexLock lock(&mu);
    tasks.swap(posted);
    stop = std::exchange(stopping, false);
  }
  const Duration begin = MonotonicNow();
  for (size_t i = 0; i < tasks.size(); ++i) {
    tasks[i]();
    tasks[i] = nullptr;  // what it holds dies before the next one runs
    if (stop || MonotonicNow() - begin < kTurn) continue;
    // The rest comes first in the next turn.
    const auto rest = tasks.begin() + static_cast<std::ptrdiff_t>(i) + 1;
    MutexLock lock(&mu);
    posted.insert(posted.begin(), std::make_move_iterator(rest), std::make_move_iterator(tasks.end()));
    return true;
  }
  if (stop) uv_stop(&loop);
  return !tasks.empty();
}

void EventLoop::Rep::BeforeWait() {
  const bool ran = RunPosted();
  bool more = false;
  {
    MutexLock lock(&mu);
    more = !posted.empty();
  }
  // RunNext() was to wait for an event, and this was one.
  if (more || (ran && one_turn)) {
    uv_idle_start(&awake, [](uv_idle_t*) {});
  } else {
    uv_idle_stop(&awake);
  }
}

EventLoop::EventLoop(const EventLoopOptions& options) : rep_(std::make_unique<Rep>()) {
  signal(SIGPIPE, SIG_IGN);
  TOCSIN_CHECK(uv_loop_init(&rep_->loop) == 0) << "no event loop";
  TOCSIN_CHECK(uv_async_init(&rep_->loop, &rep_->wake, [](uv_async_t* a) {
                 static_cast<Rep*>(a->data)->RunPosted();
               }) == 0) << "no wake-up descriptor";
  uv_timer_init(&rep_->loop, &rep_->timer);
  uv_prepare_init(&rep_->loop, &rep_->before_wait);
  uv_idle_init(&rep_->loop, &rep_->awake);
  rep_->before_wait.data = rep_.get();
  uv_prepare_start(&rep_->before_wait, [](uv_prepare_t* p) { static_cast<Rep*>(p->data)->BeforeWait(); });
  rep_->wake.data = rep_.get();
  rep_->timer.data = rep_.get();
  rep_->thread = std::this_thread::get_id();

  // Workers inherit a mask without signals: these belong to the loop's thread.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  rep_->workers = std::make_unique<base::Workers>(
      options.threads > 0 ? options.threads : static_cast<int>(std::thread::hardware_concurrency()));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

EventLoop::~EventLoop() {
  // Work finishes first, so that its `done` is among the tasks dropped here.
  rep_->workers.reset();
  // Tasks may own sockets and timers, so they go while the loop can still close handles.
  std::vector<Task> dropped;
  {
    MutexLock lock(&rep_->mu);
    dropped.swap(rep_->posted);
  }
  dropped.clear();
  Timers timers;
  timers.swap(*rep_->timers);
  timers.clear();
  for (auto& [number, watch] : rep_->signals) {
    uv_close(reinterpret_cast<uv_handle_t*>(&watch->handle), [](uv_handle_t* h) {
      delete static_cast<SignalWatch*>(h->data);
    });
  }
  uv_walk(
      &rep_->loop,
      [](uv_handle_t* h, void*) {
        if (!uv_is_closing(h)) uv_close(h, nullptr);
      },
      nullptr);
  uv_run(&rep_->loop, UV_RUN_DEFAULT);
  TOCSIN_CHECK(uv_loop_close(&rep_->loop) == 0) << "handles left open";
}

void EventLoop::Run() {
  rep_->thread = std::this_thread::get_id();
  uv_run(&rep_->loop, UV_RUN_DEFAULT);
}

void EventLoop::RunNext() {
  rep_->thread = std::this_thread::get_id();
  rep_->one_turn = true;
  uv_run(&rep_->loop, UV_RUN_ONCE);
  rep_->one_turn = false;
}

void EventLoop::Stop() {
  {
    MutexLock lock(&rep_->mu);
    rep_->stopping = true;
  }
  uv_async_send(&rep_->wake);
}

void EventLoop::OnSignal(int number, std::function<void()> fn) {
  TOCSIN_DCHECK(OnThread());
  auto found = rep_->signals.find(number);
  if (fn == nullptr) {
    if (found == rep_->signals.end()) return;
    uv_close(reinterpret_cast<uv_handle_t*>(&found->second->handle), [](uv_handle_t* h) {
      delete static_cast<SignalWatch*>(h->data);
    });
    rep_->signals.erase(found);
    return;
  }
  if (found != rep_->signals.end()) {
    found->second->fn = std::move(fn);
    return;
  }
  auto* watch = new SignalWatch{.handle = {}, .fn = std::move(fn)};
  TOCSIN_CHECK(uv_signal_init(&rep_->loop, &watch->handle) == 0) << "signal " << number;
  watch->handle.data = watch;
  const int error = uv_signal_start(
      &watch->handle,
      [](uv_signal_t* h, int) {
        auto run = static_cast<SignalWatch*>(h->data)->fn;  // it may replace itself
        run();
      },
      number);
  TOCSIN_CHECK(error == 0) << "signal " << number << ": " << uv_strerror(error);
  rep_->signals[number] = watch;
}

base::Time EventLoop::Now() const {
  return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
}

base::Duration EventLoop::Monotonic() const { return MonotonicNow(); }

base::Timer EventLoop::After(Duration delay, Task fn) {
  TOCSIN_DCHECK(OnThread());
  const Duration now = MonotonicNow();
  const Duration due =
      delay > Duration::max() - now ? Duration::max() - Duration(1) : now + std::max(delay, Duration(0));
  const TimerKey key{due, rep_->next_timer++};
  const bool first = rep_->timers->empty() || key < rep_->timers->begin()->first;
  rep_->timers->emplace(key, std::move(fn));
  if (first) rep_->ArmTimer();
  // A cancelled timer leaves the libuv timer armed: it wakes once for nothing.
  return base::Timer([timers = std::weak_ptr(rep_->timers), key] {
    if (auto alive = timers.lock()) {
      auto node = alive->extract(key);  // dies after the map is consistent again
    }
  });
}

void EventLoop::Post(Task fn) {
  bool was_empty = false;
  {
    MutexLock lock(&rep_->mu);
    was_empty = rep_->posted.empty();
    rep_->posted.push_back(std::move(fn));
  }
  if (was_empty && !OnThread()) uv_async_send(&rep_->wake);
}

void EventLoop::Offload(base::Lane lane, Task work, Task done) {
  rep_->workers->Submit(lane, [this, work = std::move(work), done = std::move(done)]() mutable {
    work();
    work = nullptr;  // the worker's share dies on the worker, before the loop goes on
    if (done) Post(std::move(done));
  });
}

base::Helpers* EventLoop::helpers() const { return rep_->workers.get(); }

bool EventLoop::OnThread() const {
  return rep_->thread.load(std::memory_order_relaxed) == std::this_thread::get_id();
}

uv_loop_s* EventLoop::uv() const { return &rep_->loop; }

}  // namespace tocsin::net
