#include "base/executor.h"

#include <algorithm>

#include "base/simulated_executor.h"

namespace tocsin::base {
namespace {

constexpr Duration kSlice = std::chrono::milliseconds(2);

struct SliceRun {
  Executor* executor;
  std::move_only_function<bool()> step;
  Task done;
};

void RunSlice(std::shared_ptr<SliceRun> run) {
  const Duration begin = run->executor->Monotonic();
  while (run->step()) {
    if (run->executor->Monotonic() - begin >= kSlice) {
      run->executor->Post([run] { RunSlice(run); });
      return;
    }
  }
  run->done();
}

}  // namespace

void Executor::Slice(std::move_only_function<bool()> step, Task done) {
  RunSlice(std::make_shared<SliceRun>(SliceRun{this, std::move(step), std::move(done)}));
}

struct Gate::State {
  bool closed = false;
};

Gate::Gate() : state_(std::make_shared<State>()) {}
Gate::~Gate() { Close(); }
void Gate::Close() { state_->closed = true; }
bool Gate::closed() const { return state_->closed; }

Task Gate::Wrap(Task task) {
  return [state = state_, task = std::move(task)]() mutable {
    if (!state->closed) task();
  };
}

Timer SimulatedExecutor::After(Duration delay, Task fn) {
  const Key key{now_ + std::max(delay, Duration(0)), next_++};
  timers_->emplace(key, std::move(fn));
  return Timer([timers = std::weak_ptr(timers_), key] {
    if (auto alive = timers.lock()) alive->erase(key);
  });
}

void SimulatedExecutor::Post(Task fn) { posted_.push_back(std::move(fn)); }

void SimulatedExecutor::Offload(Lane, Task work, Task done) {
  if (work_duration_ == Duration(0)) {
    Post([work = std::move(work), done = std::move(done)]() mutable {
      work();
      if (done) done();
    });
    return;
  }
  timers_->emplace(Key{now_ + work_duration_, next_++},
                   [work = std::move(work), done = std::move(done)]() mutable {
                     work();
                     if (done) done();
                   });
}

void SimulatedExecutor::RunPosted() {
  while (!posted_.empty()) {
    Task task = std::move(posted_.front());
    posted_.pop_front();
    task();
  }
}

void SimulatedExecutor::RunUntil(Time end) {
  RunPosted();
  while (!timers_->empty() && timers_->begin()->first.first <= end) {
    auto node = timers_->extract(timers_->begin());
    now_ = std::max(now_, node.key().first);
    node.mapped()();
    RunPosted();
  }
  now_ = std::max(now_, end);
}

}  // namespace tocsin::base
