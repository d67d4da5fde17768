#pragma once

// Who reads and writes the head now.  Each committed batch has a number; a reader sees the batches
// published when it began, for as long as it lives.  Slots and tables that were taken out of the
// index are freed when everybody who may have seen them is gone.
//
// Threads: any; one short lock to enter, leave, publish.

#include <algorithm>
#include <cstdint>
#include <map>

#include "base/mutex.h"

namespace tocsin::tsdb {

class Isolation {
 public:
  struct Reader {
    uint64_t id;
    uint64_t visible;  // the highest batch it may see
  };

  Reader EnterReader() {
    base::MutexLock lock(&mu_);
    active_.emplace_hint(active_.end(), ++last_id_, published_);
    ++readers_;
    return {last_id_, published_};
  }
  // A writer holds references, but no view of batches.
  uint64_t EnterWriter() {
    base::MutexLock lock(&mu_);
    active_.emplace_hint(active_.end(), ++last_id_, kWriter);
    return last_id_;
  }
  void Leave(uint64_t id) {
    base::MutexLock lock(&mu_);
    const auto it = active_.find(id);
    if (it->second != kWriter) --readers_;
    active_.erase(it);
  }

  void Publish(uint64_t batch) {
    base::MutexLock lock(&mu_);
    published_ = batch;
  }
  // The lowest batch number that an open reader has; the largest number when there is none.
  // Readers that enter later see all that is published now.
  uint64_t OldestVisible() const {
    base::MutexLock lock(&mu_);
    if (readers_ == 0) return kWriter;
    uint64_t oldest = kWriter;
    for (const auto& [id, visible] : active_) {
      if (visible == kWriter) continue;
      oldest = std::min(oldest, visible);
      break;  // later readers see more
    }
    return oldest;
  }

  // The last batch published, and the last that every open reader sees.
  struct Batches {
    uint64_t highest;
    uint64_t lowest;
  };
  Batches batches() const {
    const uint64_t oldest = OldestVisible();
    base::MutexLock lock(&mu_);
    return {published_, std::min(published_, oldest)};
  }

  // A stamp for something taken out of the index now, and whether everybody from before it is gone.
  uint64_t Stamp() const {
    base::MutexLock lock(&mu_);
    return last_id_;
  }
  bool AllGoneSince(uint64_t stamp) const {
    base::MutexLock lock(&mu_);
    return active_.empty() || active_.begin()->first > stamp;
  }
  size_t writers() const {
    base::MutexLock lock(&mu_);
    return active_.size() - readers_;
  }

 private:
  static constexpr uint64_t kWriter = UINT64_MAX;
  mutable base::Mutex mu_;
  std::map<uint64_t, uint64_t> active_ TOCSIN_GUARDED_BY(mu_);  // id to visible batch
  size_t readers_ TOCSIN_GUARDED_BY(mu_) = 0;
  uint64_t last_id_ TOCSIN_GUARDED_BY(mu_) = 0;
  uint64_t published_ TOCSIN_GUARDED_BY(mu_) = 0;
};

}  // namespace tocsin::tsdb
