#pragma once

// From a series reference to its slot: a tree of three levels by the number's bits.  References are
// handed out in order, so neighbours are on one leaf.
//
// Threads: Find takes no lock; the rest under the head's index lock, exclusively.  A leaf that Clear()
//          empties is handed to the caller, who frees it when nobody who may look at it is left.
// Memory:  4 bytes a reference while one of its 4096 neighbours lives.

#include <atomic>
#include <cstdint>
#include <memory>

#include "storage/appender.h"
#include "tsdb/index/lazy_array.h"

namespace tocsin::tsdb {

class RefTable {
 public:
  static constexpr int kLeafBits = 12, kMiddleBits = 12, kTopBits = 14;
  // References at or beyond it cannot be kept.
  static constexpr storage::SeriesRef kMaxRef = storage::SeriesRef{1} << (kLeafBits + kMiddleBits + kTopBits);
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Leaf {
    std::atomic<uint32_t> slot_plus_one[1 << kLeafBits];
    uint32_t used;
  };

  RefTable() = default;
  ~RefTable() {
    for (int i = 0; i < 1 << kTopBits; ++i) {
      Middle* m = top_[i].load(std::memory_order_relaxed);
      if (m == nullptr) continue;
      for (auto& leaf : m->leaves) delete leaf.load(std::memory_order_relaxed);
      delete m;
    }
  }
  RefTable(const RefTable&) = delete;
  RefTable& operator=(const RefTable&) = delete;

  uint32_t Find(storage::SeriesRef ref) const {
    if (ref >= kMaxRef) return kNone;
    const Middle* m = top_[ref >> (kLeafBits + kMiddleBits)].load(std::memory_order_acquire);
    if (m == nullptr) return kNone;
    const Leaf* leaf = m->leaves[ref >> kLeafBits & kMiddleMask].load(std::memory_order_acquire);
    if (leaf == nullptr) return kNone;
    return leaf->slot_plus_one[ref & kLeafMask].load(std::memory_order_acquire) - 1;
  }

  // REQUIRES: ref < kMaxRef and not set.
  void Set(storage::SeriesRef ref, uint32_t slot) {
    auto& middle = top_[ref >> (kLeafBits + kMiddleBits)];
    Middle* m = middle.load(std::memory_order_relaxed);
    if (m == nullptr) {
      m = new Middle();
      middle.store(m, std::memory_order_release);
    }
    auto& place = m->leaves[ref >> kLeafBits & kMiddleMask];
    Leaf* leaf = place.load(std::memory_order_relaxed);
    if (leaf == nullptr) {
      leaf = new Leaf();
      place.store(leaf, std::memory_order_release);
    }
    leaf->slot_plus_one[ref & kLeafMask].store(slot + 1, std::memory_order_release);
    ++leaf->used;
  }

  // Forgets a reference.  Returns the leaf when it was the last one on it.
  std::unique_ptr<Leaf> Clear(storage::SeriesRef ref) {
    Middle* m = top_[ref >> (kLeafBits + kMiddleBits)].load(std::memory_order_relaxed);
    auto& place = m->leaves[ref >> kLeafBits & kMiddleMask];
    Leaf* leaf = place.load(std::memory_order_relaxed);
    leaf->slot_plus_one[ref & kLeafMask].store(0, std::memory_order_release);
    if (--leaf->used > 0) return nullptr;
    place.store(nullptr, std::memory_order_release);
    return std::unique_ptr<Leaf>(leaf);
  }

 private:
  static constexpr uint64_t kLeafMask = (1 << kLeafBits) - 1, kMiddleMask = (1 << kMiddleBits) - 1;
  struct Middle {
    std::atomic<Leaf*> leaves[1 << kMiddleBits];
  };
  index::LazyArray<Middle> top_{1 << kTopBits};
};

}  // namespace tocsin::tsdb
