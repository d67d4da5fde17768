#pragma once

// The head's series as columns: pages of 256 slots, each page with its mutex.  A page never moves
// while a slot of it is used, and an empty page gives its memory back.
//
// Bytes of an active series (11 labels, 15 s counters; the headline figure):
//   columns                     68   last time, last value, reference, three pointers, batch, counts
//   labels                      88   8 a label, and 16 of the allocator
//   open chunk                  56 + 2 to 3 a sample, room for up to 1.5 of that
//   sealed chunk                24 + 2 to 3 a sample, every 120 samples
//   postings                    22   2 a label and containers
//   table of label sets         14
//   reference to slot            4
// about 0.5 KB in all.  Symbols come on top: 16 bytes and the text for each distinct value.
//
// Threads: what a page holds is guarded by its mutex; a reader takes it for a run of slots.  PageOf()
//          takes no lock.  Slots are given and taken under the head's index lock.
// Invariants (checked where they are made):
//   1. samples of a slot ascend: sealed chunks, then the open one; last_t, last_v are its last sample;
//   2. a slot with reference 0 has no samples: it is free, or out of the index and free soon;
//   3. the last `tail` samples of a slot, and those in `earlier`, belong to batches `batch` and before.

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"
#include "base/result.h"
#include "model/histogram.h"
#include "model/sample.h"
#include "storage/appender.h"
#include "storage/queryable.h"
#include "tsdb/chunk/chunk.h"
#include "tsdb/chunk/xor.h"
#include "tsdb/index/lazy_array.h"
#include "tsdb/index/postings.h"

namespace tocsin::tsdb {

using Slot = uint32_t;
inline constexpr Slot kNoSlot = UINT32_MAX;

// A chunk that takes no more samples.  Allocated with its bytes.
struct SealedChunk {
  model::Timestamp mint;
  model::Timestamp maxt;
  uint32_t size;
  uint16_t count;
  chunk::Encoding encoding;
  uint8_t unused;
  char bytes[];
  std::string_view data() const { return {bytes, size}; }
};
static_assert(sizeof(SealedChunk) == 24);

// Sealed chunks of a slot, oldest first.
struct SealedList {
  uint32_t count;
  uint32_t capacity;
  SealedChunk* items[];
};

// The open float chunk, allocated with room for its bytes.
struct OpenChunk {
  chunk::XorState state;
  model::Timestamp mint;
  model::Timestamp next_at;  // a sample at or after it begins a new chunk
  uint32_t capacity;
  uint8_t bytes[];
};

// The open run of histograms, encoded when it is sealed.
struct HistogramRun {
  model::CounterReset header = model::CounterReset::kUnknown;
  model::Timestamp next_at = 0;
  std::vector<model::Timestamp> times;
  std::vector<model::HistogramPtr> histograms;
};

// Labels of a series: count, then pairs.
struct SeriesLabels {
  uint32_t count;
  uint32_t hash;  // of the encoded labels: the tag in the table of label sets
  index::SymbolPair pairs[];
  std::span<const index::SymbolPair> span() const { return {pairs, count}; }
};

// A sample that came after later ones.
struct LateSample {
  model::Timestamp t = 0;
  double v = 0;
  model::HistogramPtr histogram;  // null for a float
};

struct SeriesPage {
  static constexpr uint32_t kSlots = 256;

  enum Flag : uint8_t {
    kHistogramRun = 1,   // open is a HistogramRun
    kUnlogged = 2,       // its series record is not in the log yet
    kStaleLast = 4,      // the last sample is a stale marker
    kHasSamples = 8,     // last_t and last_v mean something
    kOutOfOrder = 16,    // has out-of-order samples beside its chunks
  };

  model::Timestamp last_t[kSlots];
  double last_v[kSlots];
  storage::SeriesRef ref[kSlots];
  void* open[kSlots];
  SealedList* sealed[kSlots];
  SeriesLabels* labels[kSlots];
  uint64_t batch[kSlots];      // of the last sample
  uint32_t edits[kSlots];      // raised by everything that is not an in-order append
  uint32_t tail[kSlots];       // samples of `batch` at the end
  uint32_t pending[kSlots];    // samples in open batches: the slot must not go
  uint8_t flags[kSlots];
  uint32_t used = 0;

  // Samples of batches before `batch` that an open reader may not see yet.
  struct Earlier {
    uint32_t at;
    uint32_t count;
    uint64_t batch;
  };
  std::vector<Earlier> earlier;

  // Of slots with kOutOfOrder: by time, each time once.
  std::unique_ptr<absl::flat_hash_map<uint32_t, std::vector<LateSample>>> out_of_order;

  OpenChunk* xor_chunk(uint32_t at) const { return static_cast<OpenChunk*>(open[at]); }
  HistogramRun* run(uint32_t at) const { return static_cast<HistogramRun*>(open[at]); }
  bool has(uint32_t at, Flag f) const { return (flags[at] & f) != 0; }
};

// A page and its lock; `data` is null while no slot of it is used.
struct PageHandle {
  base::Mutex mu;
  std::unique_ptr<SeriesPage> data TOCSIN_GUARDED_BY(mu);
};

// How chunks are cut.
struct CutPolicy {
  int64_t chunk_range_ms = 2 * 3600 * 1000;
  int samples = chunk::kSamplesPerChunk;
};

class SeriesTable {
 public:
  SeriesTable() = default;
  ~SeriesTable();

  static constexpr size_t kMaxPages = 1 << 20;  // 268 M series

  // A free slot, the lowest that is known; its columns are zero.
  Slot Allocate(storage::SeriesRef ref, SeriesLabels* labels);
  // Frees what the slot has.  REQUIRES: no reader of the slot is left.
  void Free(Slot slot);

  PageHandle* PageOf(Slot slot) const {
    return pages_[slot / SeriesPage::kSlots].load(std::memory_order_acquire);
  }
  uint32_t slots_end() const { return slots_end_.load(std::memory_order_acquire); }
  static uint32_t At(Slot slot) { return slot % SeriesPage::kSlots; }

 private:
  index::LazyArray<PageHandle> pages_{kMaxPages};
  std::vector<Slot> free_;  // a heap, the lowest on top
  std::atomic<uint32_t> slots_end_{0};
};

// ---- Chunks of one slot.  REQUIRES for all: the page's mutex is held. ----

// What an append did to the numbers the head keeps.
struct AppendEffect {
  bool appended = false;     // false: not later than the last sample
  bool chunk_created = false;
  int stale_change = 0;      // +1, -1: the series became stale, or alive again
};

AppendEffect AppendFloat(SeriesPage* page, uint32_t at, model::Timestamp t, double v, const CutPolicy& policy);
AppendEffect AppendHistogram(SeriesPage* page, uint32_t at, model::Timestamp t, const model::HistogramPtr& h,
                             const CutPolicy& policy);

// Ends the open chunk, if there is one with samples.
void SealOpen(SeriesPage* page, uint32_t at);

// The first sample's time, out-of-order ones included or not; kMaxTimestamp when there is none.
model::Timestamp MinTimeOf(const SeriesPage& page, uint32_t at);
model::Timestamp MinChunkTimeOf(const SeriesPage& page, uint32_t at);

// Keeps a sample that came late.  False: there is one at that time already.
bool InsertOutOfOrder(SeriesPage* page, uint32_t at, const LateSample& sample);
// Drops those before `mint`; returns how many.
size_t DropOutOfOrder(SeriesPage* page, uint32_t at, model::Timestamp mint);

// Drops chunks whose last sample is before `mint`; returns how many.
size_t DropChunksBefore(SeriesPage* page, uint32_t at, model::Timestamp mint);

// Number of chunks, the open one included.
size_t ChunkCount(const SeriesPage& page, uint32_t at);

// Samples at the end that a reader of batches up to `visible` must not see.
size_t HiddenSamples(const SeriesPage& page, uint32_t at, uint64_t visible);

// Notes that the samples just appended belong to `batch`.  `oldest`: the lowest batch number that an
// open reader has.
void NoteBatch(SeriesPage* page, uint32_t at, uint64_t batch, uint32_t samples, uint64_t oldest);

// Appends the visible samples of the window to `out` (offsets are the caller's).
base::Status ReadSlot(const SeriesPage& page, uint32_t at, storage::Window window, size_t hidden,
                      storage::SampleColumns* out);

// The same in two layers: the samples that came in order, and those that came late.
base::Status ReadChunks(const SeriesPage& page, uint32_t at, storage::Window window, size_t hidden,
                        storage::SampleColumns* out);
void ReadLate(const SeriesPage& page, uint32_t at, storage::Window window, storage::SampleColumns* out);

// Puts a sealed chunk behind the others.  REQUIRES: it follows them, and there is no open chunk.
void AddSealed(SeriesPage* page, uint32_t at, model::Timestamp mint, model::Timestamp maxt, uint16_t count,
               chunk::Encoding encoding, std::string_view data);

// Replaces all chunks by the given samples (after a deletion or a merge of out-of-order samples).
void Rebuild(SeriesPage* page, uint32_t at, const storage::SampleColumns& samples, const CutPolicy& policy);

}  // namespace tocsin::tsdb
