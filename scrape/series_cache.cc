#include "scrape/series_cache.h"

#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <utility>

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

SeriesCache::Step SeriesCache::Match(std::string_view text) const {
  Step step;
  if (expected_ >= last_order_.size()) return step;
  if (expected_gap_ < last_gaps_.size() && last_gaps_[expected_gap_].position == expected_) {
    step.gap = &last_gaps_[expected_gap_];
    step.size = step.gap->size;
    if (text.size() < step.size || base::Xxh3(text.substr(0, step.size)) != step.gap->hash) return step;
  }
  const Index i = last_order_[expected_];
  if (!text.substr(step.size).starts_with(Text(i))) return step;
  step.size += entries_[i].text_size;
  step.series = i;
  return step;
}

bool SeriesCache::Take(const Step& step) {
  const bool repeated = !repeating_ && entries_[step.series].seen == scrape_;
  if (repeating_) {
    ++repeated_;
  } else if (!repeated) {
    if (step.gap != nullptr) {
      gaps_.push_back(*step.gap);
      gaps_.back().position = static_cast<uint32_t>(order_.size());
    }
    Note(step.series);
  }
  if (step.gap != nullptr) ++expected_gap_;
  ++expected_;
  return !repeated;
}

void SeriesCache::Expect(size_t position) {
  if (position == expected_ + 1) {
    while (expected_gap_ < last_gaps_.size() && last_gaps_[expected_gap_].position < position) ++expected_gap_;
  } else {
    expected_gap_ = static_cast<size_t>(
        std::lower_bound(last_gaps_.begin(), last_gaps_.end(), position,
                         [](const Gap& gap, size_t at) { return gap.position < at; }) -
        last_gaps_.begin());
  }
  expected_ = position;
}

SeriesCache::Index SeriesCache::Find(std::string_view series) {
  found_in_order_ = false;
  if (expected_ < last_order_.size()) {
    const Index i = last_order_[expected_];
    if (Text(i) == series) {
      if (repeating_) {
        const bool has = expected_gap_ < last_gaps_.size() && last_gaps_[expected_gap_].position == expected_;
        gap_.position = has ? static_cast<uint32_t>(expected_) : 0;
        if (gap_ != (has ? last_gaps_[expected_gap_] : Gap{})) Diverge();
      }
      found_in_order_ = true;
      Expect(expected_ + 1);
      return i;
    }
  }
  if (repeating_) Diverge();
  const auto found = lookup_->set.find(series);
  if (found == lookup_->set.end()) return kNone;
  Expect(entries_[*found].position + 1);  // go on from where this one stood
  return *found;
}

void SeriesCache::Diverge() {
  repeating_ = false;
  for (size_t k = 0; k < repeated_; ++k) Note(last_order_[k]);
  for (const Gap& gap : last_gaps_) {
    if (gap.position >= repeated_) break;
    gaps_.push_back(gap);
  }
}

void SeriesCache::Note(Index i) {
  entries_[i].seen = scrape_;
  entries_[i].position = static_cast<uint32_t>(order_.size());
  order_.push_back(i);
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
  if (repeating_ && found_in_order_) {
    found_in_order_ = false;
    ++repeated_;
    gap_ = {};
    return true;
  }
  const Gap gap = std::exchange(gap_, {});
  if (repeating_) Diverge();
  if (entries_[i].seen == scrape_) return false;
  if (gap.size > 0) {
    gaps_.push_back(gap);
    gaps_.back().position = static_cast<uint32_t>(order_.size());
  }
  Note(i);
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

bool SeriesCache::TrackAgain(size_t count) {
  if (!repeating_ || repeated_ != last_order_.size() || count != last_tracked_.size()) return false;
  tracked_again_ = true;
  return true;
}

std::vector<storage::SeriesRef> SeriesCache::Stale(std::span<const storage::SeriesRef> also) const {
  const std::vector<Index>& tracked = tracked_again_ ? last_tracked_ : tracked_;
  std::vector<storage::SeriesRef> stale(also.begin(), also.end());
  if (!tracked_again_) {
    for (const Index i : last_tracked_) {
      if (entries_[i].tracked != scrape_) stale.push_back(entries_[i].ref);
    }
  }
  if (stale.empty() || tracked.empty()) return stale;
  // References, not entries: the same series may be written in another way now, such as with its
  // labels in another order.
  absl::flat_hash_set<storage::SeriesRef> present;
  for (const Index i : tracked) present.insert(entries_[i].ref);
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
  const bool repeat = flush && repeating_ && repeated_ == last_order_.size();
  if ((flush || forced) && !repeat) {
    if (repeating_) Diverge();
    // Most scrapes have all series: then there is nothing to look for.
    if (order_.size() != size()) {
      for (Index i = 0; i < entries_.size(); ++i) {
        if (entries_[i].seen != 0 && entries_[i].seen != scrape_) Forget(i);
      }
      if (garbage_ > texts_.size() / 2 + kSlackBytes) CompactTexts();
    }
    last_order_.swap(order_);
    last_gaps_.swap(gaps_);
  } else if (repeat && order_.capacity() > 0) {
    // A page that goes on so needs no second set.
    order_ = {};
    gaps_ = {};
  }
  if (flush) size_after_flush_ = size();
  order_.clear();
  gaps_.clear();
  if (!tracked_again_) {
    last_tracked_.swap(tracked_);
    tracked_.clear();
  } else if (tracked_.capacity() > 0) {
    tracked_ = {};
  }
  tracked_again_ = false;
  expected_ = 0;
  expected_gap_ = 0;
  gap_ = {};
  repeating_ = !last_order_.empty();
  repeated_ = 0;
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
