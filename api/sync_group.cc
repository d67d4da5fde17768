#include "api/sync_group.h"

#include <algorithm>
#include <utility>

namespace tocsin::api {

void SyncGroup::Expect() {
  base::MutexLock lock(&mu_);
  ++expected_;
}

std::vector<SyncGroup::Waiting> SyncGroup::Arrived(bool expected) {
  if (expected) {
    --expected_;
    if (missing_ > 0) --missing_;
  }
  return missing_ == 0 ? std::exchange(waiting_, {}) : std::vector<Waiting>();
}

void SyncGroup::Leave() {
  std::vector<Waiting> group;
  {
    base::MutexLock lock(&mu_);
    group = Arrived(true);
  }
  Sync(std::move(group));
}

void SyncGroup::Join(storage::Appendable* storage, storage::SyncTicket ticket, bool expected, Then then) {
  std::vector<Waiting> group;
  {
    base::MutexLock lock(&mu_);
    // Counted with itself, which arrives now.
    if (waiting_.empty()) missing_ = std::min(expected_, kMost);
    waiting_.push_back({storage, ticket, std::move(then)});
    group = Arrived(expected);
  }
  Sync(std::move(group));
}

void SyncGroup::Sync(std::vector<Waiting> group) {
  // The last one's sync covers the others; what became of each is asked then.
  std::ranges::sort(group, std::ranges::greater{}, &Waiting::ticket);
  for (Waiting& w : group) w.then(w.storage->WaitSynced(w.ticket));
}

}  // namespace tocsin::api
