#pragma once

// Numbers that are given and taken back, the lowest free one first: so that what is kept by number gathers at the
// beginning when many are gone, and whole pages of it can be given back.
//
// Threads: the owner's lock guards it.
// Memory:  a bit for each number ever given.
// Cost:    finding the lowest passes 4096 numbers with one look at a word.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

namespace tocsin::tsdb::index {

class FreeNumbers {
 public:
  // The lowest number that is free; end() when none is, which then grows.
  uint32_t Take() {
    for (; lowest_ < any_.size(); ++lowest_) {
      if (any_[lowest_] == 0) continue;
      const size_t word = lowest_ * 64 + static_cast<size_t>(std::countr_zero(any_[lowest_]));
      const int bit = std::countr_zero(free_[word]);
      free_[word] &= free_[word] - 1;
      if (free_[word] == 0) any_[lowest_] &= any_[lowest_] - 1;
      return static_cast<uint32_t>(word * 64 + static_cast<size_t>(bit));
    }
    return end_++;
  }

  // REQUIRES: taken.
  void Put(uint32_t number) {
    const size_t word = number / 64, group = word / 64;
    if (word >= free_.size()) free_.resize(word + 1);
    if (group >= any_.size()) any_.resize(group + 1);
    free_[word] |= uint64_t{1} << (number % 64);
    any_[group] |= uint64_t{1} << (word % 64);
    lowest_ = std::min(lowest_, group);
  }

  // All numbers ever given are below it.
  uint32_t end() const { return end_; }

 private:
  uint32_t end_ = 0;
  std::vector<uint64_t> free_;  // a bit for each number
  std::vector<uint64_t> any_;   // a bit for each word of free_ that has one
  size_t lowest_ = 0;           // before it any_ is zero
};

}  // namespace tocsin::tsdb::index
