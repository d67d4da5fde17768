#include "api/series_cache.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

namespace tocsin::api {

namespace {

using Place = uint32_t;  // of an entry
constexpr Place kNone = UINT32_MAX;

}  // namespace

struct SeriesCache::Entry {
  base::Hash128 key;
  std::atomic<storage::SeriesRef> ref = 0;
  std::atomic<Place> next = kNone;  // the entry that followed last time
  uint16_t label_bytes = 0;
  std::atomic<bool> used = false;   // since the last sweep
};

// Entries stay where they are; a sweep makes others, and who still has these keeps them.
class SeriesCache::Entries {
 public:
  explicit Entries(size_t most) : most_(most), table_(0, HashOf{this}, Equal{this}) {
    static_assert(sizeof(Entry) == 32);
  }
  ~Entries() {
    for (auto& run : runs_) delete run.load(std::memory_order_relaxed);
  }
  Entries(const Entries&) = delete;
  Entries& operator=(const Entries&) = delete;

  // REQUIRES: `place` was read from an entry's `next`, or under mu_.
  Entry* At(Place place) const {
    return &(*runs_[place / kRunEntries].load(std::memory_order_acquire))[place % kRunEntries];
  }

  Place Find(const base::Hash128& key) const {
    base::MutexLock lock(&mu_);
    const auto found = table_.find(key);
    return found == table_.end() ? kNone : *found;
  }

  // kNone: there is no room.
  Place Put(const base::Hash128& key, size_t label_bytes, storage::SeriesRef ref) {
    base::MutexLock lock(&mu_);
    if (const auto found = table_.find(key); found != table_.end()) {
      At(*found)->ref.store(ref, std::memory_order_relaxed);
      return *found;
    }
    return count_ < most_ ? Add(key, label_bytes, ref) : kNone;
  }

  // What was used since the last time; with a storage, what is a series of it.
  std::shared_ptr<Entries> Kept(const storage::Appendable* storage) const {
    auto kept = std::make_shared<Entries>(most_);
    base::MutexLock lock(&mu_);
    base::MutexLock theirs(&kept->mu_);
    std::vector<Place> moved(count_, kNone);
    std::vector<storage::SeriesRef> refs;
    for (Place place = 0; place < count_; ++place) {
      if (place % kRunEntries == 0) {
        refs.clear();
        for (Place p = place; p < count_ && p < place + kRunEntries; ++p) refs.push_back(At(p)->ref.load(std::memory_order_relaxed));
        if (storage != nullptr) storage->ForgetGone(refs);
      }
      const Entry& e = *At(place);
      const storage::SeriesRef ref = refs[place % kRunEntries];
      const bool used = e.used.load(std::memory_order_relaxed);
      if (storage == nullptr ? !used : ref == 0) continue;
      moved[place] = kept->Add(e.key, e.label_bytes, ref);
      if (storage != nullptr) kept->At(moved[place])->used.store(used, std::memory_order_relaxed);
    }
    for (Place place = 0; place < count_; ++place) {
      const Place next = At(place)->next.load(std::memory_order_relaxed);
      if (moved[place] == kNone || next == kNone || next >= count_) continue;
      kept->At(moved[place])->next.store(moved[next], std::memory_order_relaxed);
    }
    return kept;
  }

  size_t size() const {
    base::MutexLock lock(&mu_);
    return count_;
  }

 private:
  static constexpr size_t kRunEntries = 4096;
  using Run = std::array<Entry, kRunEntries>;

  struct HashOf {
    using is_transparent = void;
    const Entries* entries;
    size_t operator()(const base::Hash128& key) const { return key.low; }
    size_t operator()(Place place) const { return entries->At(place)->key.low; }
  };
  struct Equal {
    using is_transparent = void;
    const Entries* entries;
    bool operator()(Place a, Place b) const { return a == b; }
    bool operator()(Place a, const base::Hash128& b) const { return entries->At(a)->key == b; }
    bool operator()(const base::Hash128& a, Place b) const { return (*this)(b, a); }
  };

  Place Add(const base::Hash128& key, size_t label_bytes, storage::SeriesRef ref) TOCSIN_REQUIRES(mu_) {
    const auto place = static_cast<Place>(count_++);
    auto& run = runs_[place / kRunEntries];
    if (run.load(std::memory_order_relaxed) == nullptr) run.store(new Run, std::memory_order_release);
    Entry* e = At(place);
    e->key = key;
    // More than fits is looked up each time.
    e->label_bytes = label_bytes > std::numeric_limits<uint16_t>::max() ? 0 : static_cast<uint16_t>(label_bytes);
    e->ref.store(ref, std::memory_order_relaxed);
    table_.insert(place);
    return place;
  }

  const size_t most_;
  std::array<std::atomic<Run*>, kMaxEntries / kRunEntries> runs_{};
  mutable base::Mutex mu_;
  size_t count_ TOCSIN_GUARDED_BY(mu_) = 0;
  absl::flat_hash_set<Place, HashOf, Equal> table_ TOCSIN_GUARDED_BY(mu_);
};

SeriesCache::SeriesCache(size_t max_entries)
    : max_entries_(std::min(max_entries, kMaxEntries)), entries_(std::make_shared<Entries>(max_entries_)) {}

SeriesCache::~SeriesCache() = default;

std::shared_ptr<SeriesCache::Entries> SeriesCache::entries() const {
  base::MutexLock lock(&mu_);
  return entries_;
}

size_t SeriesCache::size() const { return entries()->size(); }

// What others put into the old ones meanwhile is resolved once more.
void SeriesCache::Replace(std::shared_ptr<Entries> kept) {
  base::MutexLock lock(&mu_);
  entries_ = std::move(kept);
}

void SeriesCache::Sweep() { Replace(entries()->Kept(nullptr)); }
void SeriesCache::ForgetGone(const storage::Appendable& storage) { Replace(entries()->Kept(&storage)); }

SeriesCache::Cursor::Cursor(SeriesCache* cache) : entries_(cache->entries()) {}
SeriesCache::Cursor::~Cursor() = default;

size_t SeriesCache::Cursor::expected_bytes() const { return expected_ == nullptr ? 0 : expected_->label_bytes; }
const base::Hash128& SeriesCache::Cursor::expected_key() const { return expected_->key; }

// `used` is only written when it changes, so that the steady state dirties no memory that others read.
void SeriesCache::Cursor::MoveTo(Entry* entry) {
  if (!entry->used.load(std::memory_order_relaxed)) entry->used.store(true, std::memory_order_relaxed);
  last_ = entry;
  const Place next = entry->next.load(std::memory_order_acquire);
  expected_ = next == kNone ? nullptr : entries_->At(next);
}

storage::SeriesRef SeriesCache::Cursor::TakeExpected() {
  const storage::SeriesRef ref = expected_->ref.load(std::memory_order_relaxed);
  MoveTo(expected_);
  return ref;
}

storage::SeriesRef SeriesCache::Cursor::Find(const base::Hash128& key) {
  if (expected_ != nullptr && expected_->key == key) return TakeExpected();
  const Place place = entries_->Find(key);
  if (place == kNone) return 0;
  if (last_ != nullptr) last_->next.store(place, std::memory_order_release);
  Entry* entry = entries_->At(place);
  MoveTo(entry);
  return entry->ref.load(std::memory_order_relaxed);
}

void SeriesCache::Cursor::Put(const base::Hash128& key, size_t label_bytes, storage::SeriesRef ref) {
  const Place place = entries_->Put(key, label_bytes, ref);
  if (place == kNone) return;
  if (last_ != nullptr) last_->next.store(place, std::memory_order_release);
  MoveTo(entries_->At(place));
}

}  // namespace tocsin::api
