#include "base/workers.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>

namespace tocsin::base {
namespace {

constexpr int kMinThreads = 3;
constexpr std::array<int, 3> kTurns = {4, 2, 1};  // intake, queries, background
constexpr int kIntake = static_cast<int>(Lane::kIntake);
constexpr int kQueries = static_cast<int>(Lane::kQueries);
constexpr int kBackground = static_cast<int>(Lane::kBackground);
constexpr int kDurable = static_cast<int>(Lane::kDurable);
static_assert(kIntake == 0 && kQueries == 1 && kBackground == 2 && kDurable == 3);

// Signals are the loop's; a worker that took one would end the process.
void MaskSignals(sigset_t* old) {
  sigset_t masked;
  sigemptyset(&masked);
  for (const int signal : {SIGHUP, SIGTERM, SIGINT, SIGPIPE}) sigaddset(&masked, signal);
  pthread_sigmask(SIG_BLOCK, &masked, old);
}

// Moves the thread away from a core that is busy with who woke it: where a machine has few cores the kernel often wakes
// a thread beside its waker, and leaves it there for tens of milliseconds.
void LeaveCore(int core) {
  if (core < 0 || ::sched_getcpu() != core) return;
  cpu_set_t all;
  if (pthread_getaffinity_np(pthread_self(), sizeof all, &all) != 0) return;
  cpu_set_t others = all;
  CPU_CLR(core, &others);
  if (CPU_COUNT(&others) == 0 || pthread_setaffinity_np(pthread_self(), sizeof others, &others) != 0) return;
  pthread_setaffinity_np(pthread_self(), sizeof all, &all);
}

}  // namespace

Workers::Workers(int threads) : shared_count_(std::max(threads, kMinThreads)) {
  sigset_t old;
  MaskSignals(&old);  // threads inherit the mask, so that no signal finds one without it
  threads_.emplace_back([this] {
    pthread_setname_np(pthread_self(), "durable");
    RunDurable();
  });
  for (int i = 0; i < shared_count_; ++i) {
    threads_.emplace_back([this] {
      pthread_setname_np(pthread_self(), "worker");
      RunShared();
    });
  }
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
}

Workers::~Workers() { Stop(); }

bool Workers::Submit(Lane lane, Task work) {
  {
    const MutexLock lock(&mu_);
    if (stopping_) return false;
    queues_[static_cast<size_t>(lane)].push_back(std::move(work));
  }
  (lane == Lane::kDurable ? durable_ready_ : shared_ready_).NotifyOne();
  return true;
}

bool Workers::AnyWaits() const {
  return !queues_[kIntake].empty() || !queues_[kQueries].empty() || !queues_[kBackground].empty();
}

bool Workers::Invite(Task work) {
  {
    const MutexLock lock(&mu_);
    const int long_work = running_[kQueries] + running_[kBackground];
    if (stopping_ || idle_ == 0 || AnyWaits() || long_work >= shared_count_ - 1) return false;
    queues_[kQueries].push_back([core = ::sched_getcpu(), work = std::move(work)]() mutable {
      LeaveCore(core);
      work();
    });
  }
  shared_ready_.NotifyOne();
  return true;
}

bool Workers::Wanted() const {
  const MutexLock lock(&mu_);
  return stopping_ || AnyWaits();
}

void Workers::Stop() {
  {
    const MutexLock lock(&mu_);
    stopping_ = true;
  }
  shared_ready_.NotifyAll();
  durable_ready_.NotifyAll();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

size_t Workers::Waiting(Lane lane) const {
  const MutexLock lock(&mu_);
  return queues_[static_cast<size_t>(lane)].size();
}

int Workers::Pick() {
  const int long_work = running_[kQueries] + running_[kBackground];
  const auto may_run = [&](int lane) TOCSIN_NO_THREAD_SAFETY_ANALYSIS {
    if (queues_[static_cast<size_t>(lane)].empty()) return false;
    if (lane == kIntake) return true;
    if (long_work >= shared_count_ - 1) return false;
    return lane == kQueries || running_[kBackground] < shared_count_ - 2;
  };
  // Two rounds: when every lane that may run has used up its turns, all get new ones.
  for (int round = 0; round < 2; ++round) {
    for (int lane = kIntake; lane <= kBackground; ++lane) {
      int& used = turns_[static_cast<size_t>(lane)];
      if (!may_run(lane) || used >= kTurns[static_cast<size_t>(lane)]) continue;
      ++used;
      return lane;
    }
    turns_.fill(0);
  }
  return -1;
}

void Workers::RunShared() {
  mu_.Lock();
  while (true) {
    const int lane = Pick();
    if (lane < 0) {
      // Work that may not run yet is taken by a thread that is busy now, when it is done.
      if (stopping_ && !AnyWaits()) break;
      ++idle_;
      shared_ready_.Wait(&mu_);
      --idle_;
      continue;
    }
    auto& queue = queues_[static_cast<size_t>(lane)];
    Task work = std::move(queue.front());
    queue.pop_front();
    ++running_[static_cast<size_t>(lane)];
    mu_.Unlock();
    work();
    work = nullptr;  // what it holds is destroyed outside the lock
    mu_.Lock();
    --running_[static_cast<size_t>(lane)];
    // The place that is free now lets one more work run, and this thread takes it: nobody else is woken for that.
    if (stopping_) shared_ready_.NotifyAll();
  }
  mu_.Unlock();
}

void Workers::RunDurable() {
  mu_.Lock();
  while (true) {
    auto& queue = queues_[kDurable];
    if (queue.empty()) {
      if (stopping_) break;
      durable_ready_.Wait(&mu_);
      continue;
    }
    Task work = std::move(queue.front());
    queue.pop_front();
    mu_.Unlock();
    work();
    work = nullptr;
    mu_.Lock();
  }
  mu_.Unlock();
}

}  // namespace tocsin::base
