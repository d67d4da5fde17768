#pragma once

// Kept selections over the head: see storage/standing.h.
//
// 1. A selection is shared by all readers that ask for equal matchers: its series by labels, with their
//    slots.  It is resolved once; then every change of the head's series is held against the selections
//    that ask for its metric's name, once for all readers.
// 2. A reader enters the head, then compares two numbers: if no series came or went, its sets are as
//    they were.  A slot that it knows cannot be taken by another series before it leaves: whoever removes
//    a series raises the generation first, and frees the slot when all who entered before are gone.
// 3. The readers of a selection share the decoded samples of the windows they read, where these are not too
//    long, and add what was appended since: a series' edit count tells whether what is kept still holds.
//
// Threads: as storage/standing.h says.
// Lock order: mu_, then the head's index lock; a selection's windows, then a page.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"
#include "storage/standing.h"
#include "tsdb/head.h"

namespace tocsin::tsdb {

class Standing : public storage::StandingSource {
 public:
  // `all_in_head`: whether every sample of a window is in the head.  The head outlives this.
  Standing(Head* head, std::function<bool(storage::Window)> all_in_head)
      : head_(head), all_in_head_(std::move(all_in_head)) {}

  std::unique_ptr<storage::StandingReader> NewReader() override;

  struct Series {
    Slot slot = kNoSlot;
    storage::SeriesRef ref = 0;
    model::Labels labels;
  };
  // Of one version; immutable.
  struct SeriesList {
    uint64_t version = 0;
    std::vector<Series> series;     // by labels
    std::vector<uint32_t> by_slot;  // indices into series
  };
  using SeriesListPtr = std::shared_ptr<const SeriesList>;

 private:
  friend class StandingHeadReader;
  friend class StandingHeadSet;
  class SharedWindows;
  struct Selection {
    std::string key;
    model::Matchers matchers;
    SeriesListPtr list;  // null: not resolved yet
    std::unique_ptr<SharedWindows> windows;
    Selection();
    ~Selection();
  };
  using SelectionPtr = std::shared_ptr<Selection>;

  SelectionPtr Share(const model::Matchers& matchers);
  // Brings all selections up to date.  REQUIRES: the caller has entered the head.
  void Refresh() TOCSIN_REQUIRES(mu_);
  void Resolve(Selection* selection) TOCSIN_REQUIRES(mu_);
  void Apply(const storage::SeriesChanges& changes) TOCSIN_REQUIRES(mu_);
  void Replace(Selection* selection, std::vector<Series> series) TOCSIN_REQUIRES(mu_);
  // Forgets selections that no reader has any more.
  void Sweep() TOCSIN_REQUIRES(mu_);

  Head* const head_;
  const std::function<bool(storage::Window)> all_in_head_;

  base::Mutex mu_;
  uint64_t generation_ TOCSIN_GUARDED_BY(mu_) = UINT64_MAX;  // of the head, that the selections are of
  uint64_t last_version_ TOCSIN_GUARDED_BY(mu_) = 0;
  size_t sweep_at_ TOCSIN_GUARDED_BY(mu_) = 64;      // selections
  absl::flat_hash_map<std::string, std::weak_ptr<Selection>> selections_ TOCSIN_GUARDED_BY(mu_);
  // Selections by the metric's name that they ask for; "" for those that name none.
  std::map<std::string, std::vector<std::weak_ptr<Selection>>, std::less<>> by_name_ TOCSIN_GUARDED_BY(mu_);
};

}  // namespace tocsin::tsdb
