#pragma once

// Which series a sender's label bytes mean: so that a sample of a known series costs one look-up and
// its labels are neither decoded nor compared.
//
// Keys are 128-bit hashes with a seed of this process: two label sets with one key do not happen, nor
// can a sender make them.  Two generations bound it: when the young one is full it becomes the old
// one, and what is asked for moves back; the rest is forgotten.
//
// Threads: any.  Memory: at most 4 M entries of 33 bytes.

#include <array>
#include <cstdint>
#include <span>

#include <absl/container/flat_hash_map.h>

#include "base/digest.h"
#include "base/mutex.h"
#include "storage/appender.h"

namespace tocsin::api {

class SeriesCache {
 public:
  // The series of each key; 0 if it is not known.  Cost: one lock a shard, and look-ups that wait for
  // memory side by side rather than one after another.  REQUIRES: keys.size() == refs.size().
  void Find(std::span<const base::Hash128> keys, std::span<storage::SeriesRef> refs);
  void Put(const base::Hash128& key, storage::SeriesRef ref);

 private:
  static constexpr size_t kShards = 64;
  static constexpr size_t kGeneration = 32'768;  // entries of a shard's generation

  struct HashOfKey {
    size_t operator()(const base::Hash128& key) const { return key.low; }
  };
  using Map = absl::flat_hash_map<base::Hash128, storage::SeriesRef, HashOfKey>;
  struct Shard {
    base::Mutex mu;
    Map young TOCSIN_GUARDED_BY(mu);
    Map old TOCSIN_GUARDED_BY(mu);
  };

  static storage::SeriesRef FindIn(Shard* shard, const base::Hash128& key) TOCSIN_REQUIRES(shard->mu);
  static void Insert(Shard* shard, const base::Hash128& key, storage::SeriesRef ref)
      TOCSIN_REQUIRES(shard->mu);
  static size_t ShardOf(const base::Hash128& key) { return key.high % kShards; }

  std::array<Shard, kShards> shards_;
};

}  // namespace tocsin::api
