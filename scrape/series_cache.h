#pragma once

// What a target's last scrapes looked like: for each series its bytes as written and where it is
// stored.  A line is first compared with the one that stood at its place in the last scrape, then
// looked up by hash.
//
// Threads: one at a time.
// Cost:    per series 32 bytes, its bytes as written, and about 6 for the hash table.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/exemplar.h"
#include "storage/appender.h"

namespace tocsin::scrape {

class SeriesCache {
 public:
  using Index = uint32_t;
  static constexpr Index kNone = UINT32_MAX;

  struct Entry {
    storage::SeriesRef ref = 0;
    uint32_t text_at = 0;
    uint32_t text_size = 0;
    uint32_t position = 0;      // in the last scrape that had it
    uint32_t seen = 0;          // the last scrape that had it
    uint32_t tracked = 0;       // the last scrape in which it counted for staleness
    model::MetricType type{};   // of its family when it was decoded
    bool dropped = false;       // by relabeling
  };

  SeriesCache();
  ~SeriesCache();
  SeriesCache(const SeriesCache&) = delete;
  SeriesCache& operator=(const SeriesCache&) = delete;

  // The series expected next, empty if none is: a hint for the parser.
  std::string_view Expected() const;
  // Moves the expectation on.  kNone if unknown; Touch() is the caller's.
  Index Find(std::string_view series);
  // kNone: there is no room for more (4 GiB of series' bytes).
  Index Add(std::string_view series, model::MetricType type);
  // Notes that the series is in this scrape.  False if it was already.
  bool Touch(Index i);
  // Forgets some that were added in this scrape.
  void Remove(const std::vector<Index>& added);

  Entry& operator[](Index i) { return entries_[i]; }
  const Entry& operator[](Index i) const { return entries_[i]; }
  std::string_view Text(Index i) const {
    return std::string_view(texts_).substr(entries_[i].text_at, entries_[i].text_size);
  }

  // The series counts for staleness: it gets a marker when the next scrape lacks it.
  void Track(Index i);
  // Of the series tracked in the scrape before, and of `also`, those that this one has not tracked.
  std::vector<storage::SeriesRef> Stale(std::span<const storage::SeriesRef> also) const;
  // References of series tracked in the last scrape, for another cache to take over.
  std::vector<storage::SeriesRef> Tracked() const;

  // Ends this scrape.  A flush forgets series that were not in it; without one the cache is still
  // kept from growing beyond twice its size after the last flush.  True if that was forced.
  bool EndScrape(bool flush);

  size_t size() const;

 private:
  struct Lookup;
  void Forget(Index i);
  void CompactTexts();

  std::vector<Entry> entries_;
  std::vector<Index> free_;
  std::string texts_;
  size_t garbage_ = 0;  // bytes of texts_ that no entry has
  std::unique_ptr<Lookup> lookup_;
  std::vector<Index> order_;       // of this scrape
  std::vector<Index> last_order_;
  size_t expected_ = 0;            // index into last_order_
  std::vector<Index> tracked_;     // in this scrape
  std::vector<Index> last_tracked_;
  uint32_t scrape_ = 1;
  size_t size_after_flush_ = 0;
};

}  // namespace tocsin::scrape
