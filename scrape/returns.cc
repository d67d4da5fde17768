#include "scrape/returns.h"

#include <utility>

#include "base/mutex.h"

namespace tocsin::scrape {

// Shared with the workers.
struct Returns::Come {
  base::Mutex mu;
  std::vector<base::Task> tasks TOCSIN_GUARDED_BY(mu);
};

Returns::Returns(base::Executor* executor) : executor_(executor), come_(std::make_shared<Come>()) {}
Returns::~Returns() = default;

void Returns::Offload(base::Lane lane, base::Task work, base::Task done) {
  ++out_;
  executor_->Offload(
      lane,
      [work = std::move(work), done = std::move(done), come = come_]() mutable {
        work();
        work = nullptr;
        base::MutexLock lock(&come->mu);
        come->tasks.push_back(std::move(done));
      },
      nullptr);
  Arm();
}

void Returns::Arm() {
  if (std::exchange(armed_, true)) return;
  timer_ = executor_->After(kPatience, [this] {
    armed_ = false;
    std::vector<base::Task> tasks = Collect();
    if (out_ > 0) Arm();
    for (base::Task& task : tasks) task();
  });
}

std::vector<base::Task> Returns::Collect() {
  std::vector<base::Task> tasks;
  base::MutexLock lock(&come_->mu);
  tasks.swap(come_->tasks);
  out_ -= tasks.size();
  return tasks;
}

void Returns::Take() {
  for (base::Task& task : Collect()) task();
}

}  // namespace tocsin::scrape
