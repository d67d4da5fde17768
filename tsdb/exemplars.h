#pragma once

// The exemplars kept: one ring for all series, the oldest overwritten.
//
// Threads: any; one lock.
// Bounds:  the ring's size; labels of a series are held while it has exemplars in the ring.

#include <memory>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"
#include "model/exemplar.h"
#include "model/matcher.h"
#include "storage/appender.h"
#include "storage/queryable.h"
#include "tsdb/wal/record.h"

namespace tocsin::tsdb {

class Exemplars {
 public:
  // Keeps the newest when the ring shrinks; 0 keeps none.
  void Resize(size_t capacity);
  bool enabled() const;

  // What Add() would do: kOutOfOrder, kDuplicateTimestamp (an exact repeat of the newest), kOk.
  storage::AppendOutcome Check(storage::SeriesRef ref, const model::Exemplar& exemplar) const;
  storage::AppendOutcome Add(storage::SeriesRef ref, model::LabelsView labels, const model::Exemplar& exemplar);

  // By series labels; of each series by time.
  std::vector<storage::ExemplarSeries> Select(storage::Window window, std::span<const model::Matchers> any_of) const;

  // The oldest first.
  std::vector<wal::ExemplarEntry> All() const;

  size_t size() const;
  size_t series() const;
  model::Timestamp oldest_time() const;  // 0: there is none
  size_t capacity() const;

 private:
  struct Entry {
    storage::SeriesRef ref;
    model::Exemplar exemplar;
  };
  struct Series {
    model::Labels labels;
    size_t count = 0;
    model::Exemplar newest;
  };
  storage::AppendOutcome CheckLocked(storage::SeriesRef ref, const model::Exemplar& e) const TOCSIN_REQUIRES(mu_);
  void DropOldest() TOCSIN_REQUIRES(mu_);

  mutable base::Mutex mu_;
  size_t capacity_ TOCSIN_GUARDED_BY(mu_) = 0;
  std::vector<Entry> ring_ TOCSIN_GUARDED_BY(mu_);
  size_t first_ TOCSIN_GUARDED_BY(mu_) = 0;  // the oldest
  size_t count_ TOCSIN_GUARDED_BY(mu_) = 0;
  absl::flat_hash_map<storage::SeriesRef, Series> series_ TOCSIN_GUARDED_BY(mu_);
};

}  // namespace tocsin::tsdb
