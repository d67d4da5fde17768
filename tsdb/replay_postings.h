#pragma once

// Makes the postings of series that are replayed, on a thread of its own: nothing asks for them before all are there.
// Series are added in the order of their coming, as without it.
//
// Threads: one that adds.  Until Finish() the postings belong to this.
// Bounds:  a few batches of slots; whoever adds waits when they are full.

#include <deque>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "tsdb/index/postings.h"
#include "tsdb/series_table.h"

namespace tocsin::tsdb {

class ReplayPostings {
 public:
  explicit ReplayPostings(index::Postings* postings);
  ~ReplayPostings();  // finishes
  ReplayPostings(const ReplayPostings&) = delete;
  ReplayPostings& operator=(const ReplayPostings&) = delete;

  // REQUIRES: the labels stay where they are until Finish().
  void Add(Slot slot, const SeriesLabels* labels);
  // Returns when all are in the postings; how many they were.  Once, and nothing is added after it.
  size_t Finish();

 private:
  struct Series {
    Slot slot;
    const SeriesLabels* labels;
  };
  using Batch = std::vector<Series>;
  static constexpr size_t kBatchSeries = 4096;
  static constexpr size_t kMaxQueued = 8;

  void Hand();
  void Run();

  index::Postings* const postings_;
  Batch filling_;
  size_t added_ = 0;
  base::Mutex mu_;
  base::CondVar changed_;
  std::deque<Batch> queue_ TOCSIN_GUARDED_BY(mu_);
  bool stop_ TOCSIN_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace tocsin::tsdb
