#pragma once

// A set of slots (series numbers of the head) as postings need it: small where it is small, cheap to
// insert into anywhere, quick to intersect.  Containers of 2^16 slots, each a sorted array of its low
// halves or, from 4096 on, a bitmap (the layout of Roaring bitmaps, Lemire et al., 2016).
//
// Memory:  16 bytes for sets of up to three slots; else 2 bytes a slot and 24 a container, at most 8 KiB.
// Threads: the owner's lock guards it.

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace tocsin::tsdb::index {

class SlotSet {
 public:
  SlotSet() = default;
  SlotSet(SlotSet&& other) noexcept { Swap(other); }
  SlotSet& operator=(SlotSet&& other) noexcept {
    Swap(other);
    return *this;
  }
  SlotSet(const SlotSet&) = delete;
  SlotSet& operator=(const SlotSet&) = delete;
  ~SlotSet();

  void Add(uint32_t slot);
  void Remove(uint32_t slot);
  bool Contains(uint32_t slot) const;
  uint32_t size() const { return size_ <= kInline ? size_ : big_->size; }
  bool empty() const { return size_ == 0; }
  size_t MemoryBytes() const;

  // Appends all, ascending.
  void AppendTo(std::vector<uint32_t>* out) const;
  // Sets the bits of all; `bits` is large enough.
  void MarkIn(std::span<uint64_t> bits) const;
  // Keeps of the sorted `slots` those in the set (kIn) or not in it (kOut).
  enum class Keep { kIn, kOut };
  void Filter(Keep keep, std::vector<uint32_t>* slots) const;

 private:
  static constexpr uint32_t kInline = 3;
  struct Container {
    uint32_t key;     // high half
    uint32_t count;
    std::vector<uint16_t> values;        // sorted; empty when `bits` is set
    std::unique_ptr<uint64_t[]> bits;
    bool Has(uint16_t low) const;
  };
  struct Big {
    uint32_t size = 0;
    std::vector<Container> containers;  // by key
  };
  void Swap(SlotSet& other) noexcept {
    char bytes[sizeof(SlotSet)];
    __builtin_memcpy(bytes, static_cast<void*>(&other), sizeof(SlotSet));
    __builtin_memcpy(static_cast<void*>(&other), static_cast<const void*>(this), sizeof(SlotSet));
    __builtin_memcpy(static_cast<void*>(this), bytes, sizeof(SlotSet));
  }
  Container* FindContainer(uint32_t key) const;
  void Grow();

  // size_ <= kInline: the slots, sorted; kBig: `big_`.
  static constexpr uint32_t kBig = kInline + 1;
  uint32_t size_ = 0;
  // Kept apart from the union's natural alignment so that a set is 16 bytes.
  union {
    uint32_t small_[kInline];
    struct {
      uint32_t unused_;
      Big* big_;
    } __attribute__((packed));
  };
};

static_assert(sizeof(SlotSet) == 16);

}  // namespace tocsin::tsdb::index
