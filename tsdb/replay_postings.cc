#include "tsdb/replay_postings.h"

#include <utility>

namespace tocsin::tsdb {

ReplayPostings::ReplayPostings(index::Postings* postings) : postings_(postings), thread_([this] { Run(); }) {}

ReplayPostings::~ReplayPostings() { Finish(); }

void ReplayPostings::Add(Slot slot, const SeriesLabels* labels) {
  filling_.push_back({slot, labels});
  if (filling_.size() == kBatchSeries) Hand();
}

void ReplayPostings::Hand() {
  added_ += filling_.size();
  base::MutexLock lock(&mu_);
  while (queue_.size() >= kMaxQueued) changed_.Wait(&mu_);
  queue_.push_back(std::exchange(filling_, {}));
  filling_.reserve(kBatchSeries);
  changed_.NotifyAll();
}

size_t ReplayPostings::Finish() {
  if (!thread_.joinable()) return added_;
  Hand();
  {
    base::MutexLock lock(&mu_);
    stop_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
  return added_;
}

void ReplayPostings::Run() {
  for (;;) {
    Batch batch;
    {
      base::MutexLock lock(&mu_);
      while (queue_.empty() && !stop_) changed_.Wait(&mu_);
      if (queue_.empty()) return;
      batch = std::move(queue_.front());
      queue_.pop_front();
      changed_.NotifyAll();
    }
    for (const Series& s : batch) postings_->Add(s.slot, s.labels->span());
  }
}

}  // namespace tocsin::tsdb
