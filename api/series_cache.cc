#include "api/series_cache.h"

#include <utility>

namespace tocsin::api {

void SeriesCache::Insert(Shard* shard, const base::Hash128& key, storage::SeriesRef ref) {
  if (shard->young.size() >= kGeneration) {
    shard->old = std::move(shard->young);
    shard->young = Map();
  }
  shard->young[key] = ref;
}

std::optional<storage::SeriesRef> SeriesCache::Find(const base::Hash128& key) {
  Shard& shard = ShardOf(key);
  base::MutexLock lock(&shard.mu);
  if (auto it = shard.young.find(key); it != shard.young.end()) return it->second;
  auto it = shard.old.find(key);
  if (it == shard.old.end()) return std::nullopt;
  storage::SeriesRef ref = it->second;
  shard.old.erase(it);
  Insert(&shard, key, ref);
  return ref;
}

void SeriesCache::Put(const base::Hash128& key, storage::SeriesRef ref) {
  Shard& shard = ShardOf(key);
  base::MutexLock lock(&shard.mu);
  shard.old.erase(key);
  Insert(&shard, key, ref);
}

}  // namespace tocsin::api
