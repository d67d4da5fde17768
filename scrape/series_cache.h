#pragma once

// What a target's last scrapes looked like: for each series its bytes as written and where it is
// stored.  A line is first compared with the one that stood at its place in the last scrape, then
// looked up by hash.
//
// While each series of a scrape is, in order, one of the last scrape, the scrape repeats it and nothing
// is written: the state after the last one is the state after this one.  With the first other series
// what was read so far is written down, and the scrape is an ordinary one.
//
// What stands between two series (comments) is remembered as a size and a hash, so that comments
// that have not changed need not be parsed.
//
// Threads: one at a time.
// Cost:    per series 40 bytes, its bytes as written, 16 for two orders, and about 6 for the hash table;
//          40 bytes for each piece of text between series.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/exemplar.h"
#include "scrape/families.h"
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

  // What stands before a series, from the end of the line of the series before it, and what was in
  // effect after it.
  struct Gap {
    uint32_t position = 0;  // in the order of series
    uint32_t size = 0;      // 0: nothing
    uint64_t hash = 0;
    const Families::value_type* family = nullptr;  // the last one described; null: none
    model::MetricType type{};
    friend bool operator==(const Gap&, const Gap&) = default;
  };

  // Series of the last scrape at the same place: how to go on.
  struct Step {
    Index series = kNone;
    size_t size = 0;           // of the gap and the series
    const Gap* gap = nullptr;  // null: none.  Until Take().
  };

  SeriesCache();
  ~SeriesCache();
  SeriesCache(const SeriesCache&) = delete;
  SeriesCache& operator=(const SeriesCache&) = delete;

  // The series expected next, empty if none is: a hint for the parser.
  std::string_view Expected() const;
  // Whether `text` begins with what is expected next and the gap before it.  It changes nothing.
  Step Match(std::string_view text) const;
  // Takes the series of the step, as Find() and Touch() would.  False if it is in this scrape already.
  // REQUIRES: nothing was asked for since.
  bool Take(const Step& step);
  // Moves the expectation on.  kNone if unknown; Touch() is the caller's.
  Index Find(std::string_view series);
  // What stood before the series that is touched next.
  void SetGap(const Gap& gap) { gap_ = gap; }
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
  // Tracks, at the end of a scrape that repeats the last one, the same series as that did, if they
  // are `count`.  False: they are not, and nothing has happened.
  bool TrackAgain(size_t count);
  // Of the series tracked in the scrape before, and of `also`, those that this one has not tracked.
  std::vector<storage::SeriesRef> Stale(std::span<const storage::SeriesRef> also) const;
  // References of series tracked in the last scrape, for another cache to take over.
  std::vector<storage::SeriesRef> Tracked() const;

  // Ends this scrape.  A flush forgets series that were not in it; without one the cache is still
  // kept from growing beyond twice its size after the last flush.  True if that was forced.
  bool EndScrape(bool flush);

  // Between scrapes: what stood between series is read anew in the next one, because families have gone.
  void ForgetGaps() { last_gaps_.clear(); }

  size_t size() const;

 private:
  struct Lookup;
  // The scrape does not repeat the last one: writes down what it has had so far.
  void Diverge();
  void Note(Index i);
  void Expect(size_t position);
  void Forget(Index i);
  void CompactTexts();

  std::vector<Entry> entries_;
  std::vector<Index> free_;
  std::string texts_;
  size_t garbage_ = 0;  // bytes of texts_ that no entry has
  std::unique_ptr<Lookup> lookup_;
  std::vector<Index> order_;       // of this scrape
  std::vector<Index> last_order_;
  std::vector<Gap> gaps_;          // of this scrape, by position
  std::vector<Gap> last_gaps_;
  size_t expected_ = 0;            // index into last_order_
  size_t expected_gap_ = 0;        // the first of last_gaps_ that is not before expected_
  Gap gap_;                        // before the next series
  bool repeating_ = false;
  size_t repeated_ = 0;            // series, while repeating
  bool found_in_order_ = false;    // the last Find() answered what was expected
  bool tracked_again_ = false;
  std::vector<Index> tracked_;     // in this scrape
  std::vector<Index> last_tracked_;
  uint32_t scrape_ = 1;
  size_t size_after_flush_ = 0;
};

}  // namespace tocsin::scrape
