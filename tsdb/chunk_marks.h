#pragma once

// Marks of a block's float chunks (chunk::XorMarks), by reference: the same moment is asked for again and again by a
// dashboard, and decoding then begins near it.  A small table in which a later chunk takes an earlier one's place.
//
// Threads: any.
// Memory:  88 bytes an entry, made by the thousand; 262,144 of all blocks together.  What nobody used is given back by
//          ForgetUnused().

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/mutex.h"
#include "tsdb/chunk/xor.h"

namespace tocsin::tsdb {

class ChunkMarks {
 public:
  // Returns decode(marks): they are the chunk's, or empty, and what it adds is kept.
  template <class Decode>
  auto With(uint64_t ref, Decode&& decode) {
    const uint64_t hash = ref * 0x9e3779b97f4a7c15ULL;
    Shard& shard = shards_[hash >> (64 - kShardBits)];
    const size_t at = hash << kShardBits >> (64 - kEntryBits);
    chunk::XorMarks marks{};
    {
      base::MutexLock lock(&shard.mu);
      shard.used = true;
      if (shard.entries != nullptr && shard.entries->items[at].ref == ref) marks = shard.entries->items[at].marks;
    }
    const uint32_t known = marks.count;
    auto result = decode(&marks);
    if (marks.count > known) {
      base::MutexLock lock(&shard.mu);
      if (shard.entries == nullptr && Entries::alive.load(std::memory_order_relaxed) < kMostParts) {
        shard.entries = std::make_unique<Entries>();
      }
      if (shard.entries != nullptr) shard.entries->items[at] = {ref, marks};
    }
    return result;
  }

  void ForgetUnused() {
    for (Shard& shard : shards_) {
      base::MutexLock lock(&shard.mu);
      if (!std::exchange(shard.used, false)) shard.entries.reset();
    }
  }

 private:
  static constexpr int kShardBits = 6, kEntryBits = 10;
  struct Entry {
    uint64_t ref = 0;  // no chunk begins there
    chunk::XorMarks marks;
  };
  static_assert(sizeof(Entry) == 88);
  static constexpr int kMostParts = 256;
  struct Entries {
    Entries() { alive.fetch_add(1, std::memory_order_relaxed); }
    ~Entries() { alive.fetch_sub(1, std::memory_order_relaxed); }
    Entries(const Entries&) = delete;
    Entries& operator=(const Entries&) = delete;

    static inline std::atomic<int> alive{0};
    std::array<Entry, 1 << kEntryBits> items{};
  };
  struct Shard {
    base::Mutex mu;
    bool used TOCSIN_GUARDED_BY(mu) = false;
    std::unique_ptr<Entries> entries TOCSIN_GUARDED_BY(mu);
  };
  std::array<Shard, 1 << kShardBits> shards_;
};

}  // namespace tocsin::tsdb
