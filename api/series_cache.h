#pragma once

// Which series a sender's label bytes mean: so that a sample of a known series costs one comparison and
// its labels are neither decoded nor looked up.
//
// Senders write their series in one order again and again, so each entry knows which one followed it:
// the next series of a request is compared with that one first, by one hash of as many bytes as its
// labels had.  The table is only asked when the order changes.
//
// Keys are 128-bit hashes with a seed of this process: two label sets with one key do not happen, nor
// can a sender make them.
//
// Threads: any; a Cursor belongs to one.  What is expected is found without a lock.
// Bounds:  kMaxEntries of about 42 bytes.  What does not fit is resolved each time, until Sweep() has
//          dropped what nobody asks for any more, or ForgetGone() what is no series any more.

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include <absl/container/flat_hash_set.h>

#include "base/digest.h"
#include "base/mutex.h"
#include "storage/appender.h"

namespace tocsin::api {

class SeriesCache {
  struct Entry;
  class Entries;

 public:
  static constexpr size_t kMaxEntries = 4 << 20;

  explicit SeriesCache(size_t max_entries = kMaxEntries);
  ~SeriesCache();
  SeriesCache(const SeriesCache&) = delete;
  SeriesCache& operator=(const SeriesCache&) = delete;

  // The look-ups of one request, in its order.
  class Cursor {
   public:
    explicit Cursor(SeriesCache* cache);
    ~Cursor();
    Cursor(const Cursor&) = delete;
    Cursor& operator=(const Cursor&) = delete;

    // The series that followed the last one found, when that was found before: how many bytes its
    // labels have, 0 when that is not known; and their key.
    size_t expected_bytes() const;
    const base::Hash128& expected_key() const;
    // It is the next one of the request.
    storage::SeriesRef TakeExpected();

    // The series of a key; 0 if it is not known.
    storage::SeriesRef Find(const base::Hash128& key);
    // Remembers a series that was resolved.  `label_bytes`: of what was hashed, 0 when the labels do
    // not stand together at the start.
    void Put(const base::Hash128& key, size_t label_bytes, storage::SeriesRef ref);

   private:
    void MoveTo(Entry* entry);

    const std::shared_ptr<Entries> entries_;
    Entry* last_ = nullptr;
    Entry* expected_ = nullptr;
  };

  // Forgets what was not asked for since the last call.
  void Sweep();
  // Forgets what is no series of the storage any more.
  void ForgetGone(const storage::Appendable& storage);
  size_t size() const;

 private:
  std::shared_ptr<Entries> entries() const;
  void Replace(std::shared_ptr<Entries> kept);

  const size_t max_entries_;
  mutable base::Mutex mu_;
  std::shared_ptr<Entries> entries_ TOCSIN_GUARDED_BY(mu_);
};

}  // namespace tocsin::api
