#pragma once

// The head's series in order of labels, kept up to date as series come and go, so that sorting a large
// selection compares numbers and not labels.
//
// Threads: all but ranks under the head's index lock, exclusively.  Ranks are immutable.
// Cost:    Update() sorts what came since the last and merges it in: linear in all series, logarithmic in the
//          new ones.
// Memory:  8 bytes a series, once it was used.

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace tocsin::tsdb {

class LabelOrder {
 public:
  static constexpr uint32_t kNoRank = UINT32_MAX;
  struct Ranks {
    std::vector<uint32_t> of_slot;  // kNoRank: the slot had no series
    uint32_t count = 0;
  };
  using RanksPtr = std::shared_ptr<const Ranks>;

  // A series took the slot or left it.
  void Note(uint32_t slot) {
    if (!tracking_) return;
    changed_.push_back(slot);
    if (changed_.size() > kManyChanges && !sorting_) *this = LabelOrder();
  }
  bool current() const { return ranks_ != nullptr && changed_.empty(); }
  RanksPtr ranks() const { return ranks_; }

  // Whether Update() has much to sort: then the caller begins anew, sorts all series without the lock, and
  // installs the result, in which Update() then puts what changed meanwhile.
  bool stale() const { return !tracking_ || changed_.size() > kManyChanges; }
  void Begin() {
    *this = LabelOrder();
    tracking_ = sorting_ = true;
  }
  void Install(std::vector<uint32_t> sorted) {
    order_ = std::move(sorted);
    sorting_ = false;
  }

  // `live` says whether a slot has a series, `less` compares two slots' labels.
  RanksPtr Update(uint32_t slots_end, const std::function<bool(uint32_t)>& live,
                  const std::function<bool(uint32_t, uint32_t)>& less);

 private:
  static constexpr size_t kManyChanges = 20000;  // some 10 ms of sorting
  bool tracking_ = false;
  bool sorting_ = false;  // between Begin() and Install()
  RanksPtr ranks_;
  std::vector<uint32_t> order_;    // slots by labels
  std::vector<uint32_t> changed_;  // since ranks_ was made; may repeat
};

}  // namespace tocsin::tsdb
