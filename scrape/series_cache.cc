#include "scrape/series_cache.h"

#include <absl/container/flat_hash_set.h>

#include "base/digest.h"

namespace tocsin::scrape {
namespace {

// Below this a cache does not bother to be compacted, and failing scrapes may add this many series.
constexpr size_t kSlackSeries = 1000;
constexpr size_t kSlackBytes = 64 << 10;

}  // namespace

// The set holds indexes; hashing and comparing go through the cache to the bytes.
struct SeriesCache::Lookup {
  struct Hash {
    using is_transparent = void;
    const SeriesCache* cache;
    size_t operator()(Index i) const { return (*this)(cache->Text(i)); }
    size_t operator()(std::string_view text) const { return base::Xxh64(text); }
  };
  struct Equal {
    using is_transparent = void;
    const SeriesCache* cache;
    bool operator()(Index a, Index b) const { return a == b; }
    bool operator()(Index a, std::string_view b) const { return cache->Text(a) == b; }
    bool operator()(std::string_view a, Index b) const { return cache->Text(b) == a; }
  };
  explicit Lookup(const SeriesCache* cache) : set(0, Hash{cache}, Equal{cache}) {}
  absl::flat_hash_set<Index, Hash, Equal> set;
};

SeriesCache::SeriesCache() : lookup_(std::make_unique<Lookup>(this)) {}
SeriesCache::~SeriesCache() = default;

size_t SeriesCache::size() const { return lookup_->set.size(); }

std::string_view SeriesCache::Expected() const {
  return expected_ < last_order_.size() ? Text(last_order_[expected_]) : std::string_view();
}

SeriesCache::Index SeriesCache::Find(std::string_view series) {
  if (expected_ < last_order_.size()) {
    const Index i = last_order_[expected_];
    if (Text(i) == series) {
      ++expected_;
      return i;
    }
  }
  const auto found = lookup_->set.find(series);
  if (found == lookup_->set.end()) return kNone;
  expected_ = entries_[*found].position + 1;  // go on from where this one stood
  return *found;
}

SeriesCache::Index SeriesCache::Add(std::string_view series, model::MetricType type) {
  if (texts_.size() + series.size() >= UINT32_MAX) return kNone;
  Index i = static_cast<Index>(entries_.size());
  if (free_.empty()) {
    entries_.emplace_back();
  } else {
    i = free_.back();
    free_.pop_back();
    entries_[i] = {};
  }
  entries_[i].text_at = static_cast<uint32_t>(texts_.size());
  entries_[i].text_size = static_cast<uint32_t>(series.size());
  entries_[i].type = type;
  texts_ += series;
  lookup_->set.insert(i);
  return i;
}

bool SeriesCache::Touch(Index i) {
  Entry& e = entries_[i];
  if (e.seen == scrape_) return false;
  e.seen = scrape_;
  e.position = static_cast<uint32_t>(order_.size());
  order_.push_back(i);
  return true;
}

void SeriesCache::Remove(const std::vector<Index>& added) {
  if (added.empty()) return;
  for (const Index i : added) {
    entries_[i].seen = 0;
    entries_[i].tracked = 0;
  }
  std::erase_if(order_, [&](Index i) { return entries_[i].seen == 0; });
  std::erase_if(tracked_, [&](Index i) { return entries_[i].tracked == 0; });
  for (const Index i : added) Forget(i);
}

void SeriesCache::Forget(Index i) {
  lookup_->set.erase(i);
  garbage_ += entries_[i].text_size;
  entries_[i] = {};
  free_.push_back(i);
}

void SeriesCache::Track(Index i) {
  if (entries_[i].tracked == scrape_) return;
  entries_[i].tracked = scrape_;
  tracked_.push_back(i);
}

std::vector<storage::SeriesRef> SeriesCache::Stale(std::span<const storage::SeriesRef> also) const {
  std::vector<storage::SeriesRef> stale(also.begin(), also.end());
  for (const Index i : last_tracked_) {
    if (entries_[i].tracked != scrape_) stale.push_back(entries_[i].ref);
  }
  if (stale.empty() || tracked_.empty()) return stale;
  // References, not entries: the same series may be written in another way now, such as with its
  // labels in another order.
  absl::flat_hash_set<storage::SeriesRef> present;
  for (const Index i : tracked_) present.insert(entries_[i].ref);
  std::erase_if(stale, [&](storage::SeriesRef ref) { return present.contains(ref); });
  return stale;
}

std::vector<storage::SeriesRef> SeriesCache::Tracked() const {
  std::vector<storage::SeriesRef> refs;
  refs.reserve(last_tracked_.size());
  for (const Index i : last_tracked_) refs.push_back(entries_[i].ref);
  return refs;
}

bool SeriesCache::EndScrape(bool flush) {
  const bool forced = !flush && size() > size_after_flush_ * 2 + kSlackSeries;
  if (flush || forced) {
    // Most scrapes have all series: then there is nothing to look for.
    if (order_.size() != size()) {
      for (Index i = 0; i < entries_.size(); ++i) {
        if (entries_[i].seen != 0 && entries_[i].seen != scrape_) Forget(i);
      }
      if (garbage_ > texts_.size() / 2 + kSlackBytes) CompactTexts();
    }
    last_order_.swap(order_);
  }
  if (flush) size_after_flush_ = size();
  order_.clear();
  last_tracked_.swap(tracked_);
  tracked_.clear();
  expected_ = 0;
  ++scrape_;
  return forced;
}

void SeriesCache::CompactTexts() {
  std::string texts;
  texts.reserve(texts_.size() - garbage_);
  for (Entry& e : entries_) {
    const auto at = static_cast<uint32_t>(texts.size());
    texts.append(texts_, e.text_at, e.text_size);
    e.text_at = at;
  }
  texts_ = std::move(texts);
  garbage_ = 0;
}

}  // namespace tocsin::scrape
