#include "api/series_cache.h"

#include <utility>
#include <vector>

namespace tocsin::api {

void SeriesCache::Insert(Shard* shard, const base::Hash128& key, storage::SeriesRef ref) {
  if (shard->young.size() >= kGeneration) {
    shard->old = std::move(shard->young);
    shard->young = Map();
  }
  shard->young[key] = ref;
}

storage::SeriesRef SeriesCache::FindIn(Shard* shard, const base::Hash128& key) {
  if (auto it = shard->young.find(key); it != shard->young.end()) return it->second;
  if (shard->old.empty()) return 0;
  auto it = shard->old.find(key);
  if (it == shard->old.end()) return 0;
  storage::SeriesRef ref = it->second;
  shard->old.erase(it);
  Insert(shard, key, ref);
  return ref;
}

void SeriesCache::Find(std::span<const base::Hash128> keys, std::span<storage::SeriesRef> refs) {
  // The keys by shard: begin[s] is where those of shard s start in `order`.
  std::array<uint32_t, kShards + 1> begin{};
  for (const base::Hash128& key : keys) ++begin[ShardOf(key) + 1];
  for (size_t s = 0; s < kShards; ++s) begin[s + 1] += begin[s];
  std::vector<uint32_t> order(keys.size());
  std::array<uint32_t, kShards + 1> next = begin;
  for (uint32_t i = 0; i < keys.size(); ++i) order[next[ShardOf(keys[i])]++] = i;
  for (size_t s = 0; s < kShards; ++s) {
    std::span<const uint32_t> mine(order.data() + begin[s], begin[s + 1] - begin[s]);
    if (mine.empty()) continue;
    Shard& shard = shards_[s];
    base::MutexLock lock(&shard.mu);
    for (uint32_t i : mine) shard.young.prefetch(keys[i]);
    for (uint32_t i : mine) refs[i] = FindIn(&shard, keys[i]);
  }
}

void SeriesCache::Put(const base::Hash128& key, storage::SeriesRef ref) {
  Shard& shard = shards_[ShardOf(key)];
  base::MutexLock lock(&shard.mu);
  shard.old.erase(key);
  Insert(&shard, key, ref);
}

}  // namespace tocsin::api
