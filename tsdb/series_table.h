#pragma once

// The head's series as columns: pages of 256 slots, each page with its mutex.  A page never moves
// while a slot of it is used, and an empty page gives its memory back.
//
// Bytes of an active series: see "What a series costs" in ARCHITECTURE.md; bench/head_memory measures them.
//
// Threads: what a page holds is guarded by its mutex; a reader takes it for a run of slots.  PageOf()
//          takes no lock.  Slots are given and taken under the head's index lock.
// Invariants (checked where they are made):
//   1. samples of a slot ascend: sealed chunks, then the open one; last_t, last_v are its last sample;
//   2. a slot with reference 0 has no samples: it is free, or out of the index and free soon;
//   3. the last `tail` samples of a slot, and those in `earlier`, belong to batches `batch` and before.

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "base/mutex.h"
#include "base/result.h"
#include "model/histogram.h"
#include "model/sample.h"
#include "storage/appender.h"
#include "storage/queryable.h"
#include "tsdb/block_meta.h"
#include "tsdb/chunk/chunk.h"
#include "tsdb/chunk/xor.h"
#include "tsdb/head_chunks.h"
#include "tsdb/index/free_numbers.h"
#include "tsdb/index/lazy_array.h"
#include "tsdb/index/postings.h"

namespace tocsin::tsdb {

using Slot = uint32_t;
inline constexpr Slot kNoSlot = UINT32_MAX;

// The bytes of a sealed chunk that is not in chunks_head/ yet (or never will be: a head without files).
struct MemoryChunk {
  uint32_t size;
  char bytes[];
  std::string_view data() const { return {bytes, size}; }
};

// A chunk that takes no more samples: its bounds, and where its bytes are.
struct SealedChunk {
  model::Timestamp mint;
  uint64_t place;  // the number in chunks_head/, or kInMemory and the address of a MemoryChunk
  uint32_t span;   // maxt - mint
  uint16_t count;
  chunk::Encoding encoding;
  uint8_t unused;

  static constexpr uint64_t kInMemory = uint64_t{1} << 63;
  model::Timestamp maxt() const { return mint + span; }
  bool in_memory() const { return (place & kInMemory) != 0; }
  MemoryChunk* memory() const { return reinterpret_cast<MemoryChunk*>(place & ~kInMemory); }
};
static_assert(sizeof(SealedChunk) == 24);

// Sealed chunks of a slot, oldest first.
struct SealedList {
  uint32_t count;
  uint32_t capacity;
  SealedChunk items[];
  std::span<SealedChunk> span() { return {items, count}; }
  std::span<const SealedChunk> span() const { return {items, count}; }
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
  size_t buckets = 0;  // of all its histograms
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
  uint64_t batch = 0;
};

// What came late for one slot.
struct LateSamples {
  std::vector<LateSample> samples;  // by time, each time once
  std::vector<SealedChunk> chunks;  // of earlier ones, in order of their making; they may overlap
};

inline constexpr uint32_t kPageSlots = 256;

// Marks of a page's open chunks (chunk::XorMarks).  A query for a moment before the newest samples, or for a short
// window, decodes up to kEvery samples that it does not need, and not the whole chunk.
struct ReadMarks {
  // All pages together; what is asked for beyond is decoded from the start of its chunk.
  static constexpr int kMostPages = 1024;

  struct Of {
    model::Timestamp mint;  // of the chunk that they belong to, while
    uint32_t edits;         // this is the slot's
    chunk::XorMarks marks;
  };
  static_assert(sizeof(Of) == 96);
  Of of[kPageSlots] = {};
  bool used = true;  // since ForgetUnused() looked last

  ReadMarks() { pages.fetch_add(1, std::memory_order_relaxed); }
  ~ReadMarks() { pages.fetch_sub(1, std::memory_order_relaxed); }
  ReadMarks(const ReadMarks&) = delete;
  ReadMarks& operator=(const ReadMarks&) = delete;

  static inline std::atomic<int> pages{0};
};

// From a sample of an open chunk on, when what the samples count began; 0: not known.
struct StartRun {
  uint32_t first;
  model::Timestamp start;
};

// Start times of a page's samples, where some have any: of those in open chunks, and of late ones in memory.
struct PageStarts {
  absl::InlinedVector<StartRun, 1> open[kPageSlots];  // of samples before the first run none is known
  absl::flat_hash_map<std::pair<uint32_t, model::Timestamp>, model::Timestamp> late;  // by slot and time
};

struct SeriesPage {
  static constexpr uint32_t kSlots = kPageSlots;

  enum Flag : uint8_t {
    kHistogramRun = 1,   // open is a HistogramRun
    kUnlogged = 2,       // its series record is not in the log yet
    kStaleLast = 4,      // the last sample is a stale marker
    kHasSamples = 8,     // last_t and last_v mean something
    kOutOfOrder = 16,    // has late samples beside its chunks
    kDeleted = 32,       // some of its samples are deleted
    kLateIsNewest = 64,  // perhaps a late sample is after the last one in order
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

  // Of slots with kOutOfOrder.
  std::unique_ptr<absl::flat_hash_map<uint32_t, LateSamples>> late;
  // Of slots with kDeleted.
  std::unique_ptr<absl::flat_hash_map<uint32_t, Intervals>> deleted;
  // What readers of open chunks noted for the next reader; made when the first one decodes one.
  mutable std::unique_ptr<ReadMarks> marks;
  // Made by the first sample that has a start time.
  std::unique_ptr<PageStarts> starts;

  OpenChunk* xor_chunk(uint32_t at) const { return static_cast<OpenChunk*>(open[at]); }
  HistogramRun* run(uint32_t at) const { return static_cast<HistogramRun*>(open[at]); }
  bool has(uint32_t at, Flag f) const { return (flags[at] & f) != 0; }
  std::span<SealedChunk> sealed_of(uint32_t at) const { return sealed[at] == nullptr ? std::span<SealedChunk>() : sealed[at]->span(); }
};

// The marks of the slot's open float chunk; null when it is short, or there are too many.
chunk::XorMarks* MarksOf(const SeriesPage& page, uint32_t at);

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
  // Gives back the marks that no reader used since the last call.
  void ForgetUnusedMarks();
  static uint32_t At(Slot slot) { return slot % SeriesPage::kSlots; }

 private:
  index::LazyArray<PageHandle> pages_{kMaxPages};
  index::FreeNumbers numbers_;
  std::atomic<uint32_t> slots_end_{0};
};

// ---- Chunks of one slot.  REQUIRES for all: the page's mutex is held. ----

// What an append did to the numbers the head keeps.
struct AppendEffect {
  bool appended = false;     // false: not later than the last sample
  bool chunk_created = false;
  bool sealed = false;       // a chunk was sealed: it is to be written
  int stale_change = 0;      // +1, -1: the series became stale, or alive again
};

AppendEffect AppendFloat(SeriesPage* page, uint32_t at, model::Timestamp t, double v, const CutPolicy& policy);
AppendEffect AppendHistogram(SeriesPage* page, uint32_t at, model::Timestamp t, const model::HistogramPtr& h,
                             const CutPolicy& policy);

// Asks the memory for a line that is written soon.  With the right to write it: what another core's worker wrote last
// is fetched once, and not again by the write.  __builtin_prefetch() only does that for newer processors than it may assume;
// older ones take the instruction for none.
inline void PrefetchForWrite(const void* p) {
#if defined(__x86_64__)
  asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(p)));
#else
  __builtin_prefetch(p, 1);
#endif
}

// How many appends before its own a slot's open chunk is asked for.
inline constexpr size_t kPrefetchAhead = 6;
// Asks the memory for open chunks that are written soon: the place that the next append of `soon` writes to, and the
// chunk of `later`; each may lie on two lines.  Slots of other pages than `now`'s are left alone: their lock is not held.
inline void PrefetchOpen(const SeriesPage& page, Slot now, Slot soon, Slot later) {
  if (later / SeriesPage::kSlots == now / SeriesPage::kSlots) {
    if (const auto* c = static_cast<const char*>(page.open[later % SeriesPage::kSlots]); c != nullptr) {
      PrefetchForWrite(c);
      PrefetchForWrite(c + sizeof(OpenChunk) - 1);
    }
  }
  if (soon / SeriesPage::kSlots != now / SeriesPage::kSlots) return;
  const uint32_t at = soon % SeriesPage::kSlots;
  if (page.open[at] == nullptr || page.has(at, SeriesPage::kHistogramRun)) return;
  const OpenChunk* c = page.xor_chunk(at);
  const uint8_t* const end = c->bytes + c->state.bits / 8;
  PrefetchForWrite(end);
  PrefetchForWrite(end + sizeof(uint64_t) - 1);
}

// Start times: of the last sample of the open chunk, 0 for one without; of all of them, appended to `out`.
void NoteStart(SeriesPage* page, uint32_t at, model::Timestamp start);
inline bool HasOpenStarts(const SeriesPage& page, uint32_t at) { return page.starts != nullptr && !page.starts->open[at].empty(); }
void AppendOpenStarts(const SeriesPage& page, uint32_t at, std::vector<model::Timestamp>* out);
// Of a late sample in memory; 0: not known.
model::Timestamp LateStartOf(const SeriesPage& page, uint32_t at, model::Timestamp t);
void ForgetLateStart(SeriesPage* page, uint32_t at, model::Timestamp t);

// The open chunk as it is sealed.  `made` holds the bytes where they stand nowhere else.  REQUIRES: there is one.
struct EncodedOpen {
  chunk::Encoding encoding;
  uint16_t count;
  std::string_view data;
};
EncodedOpen EncodeOpen(const SeriesPage& page, uint32_t at, std::string* made);

// Ends the open chunk, if there is one with samples.
void SealOpen(SeriesPage* page, uint32_t at);

// The first sample's time, late ones included; kMaxTimestamp when there is none.
model::Timestamp MinTimeOf(const SeriesPage& page, uint32_t at);
// The last sample's time; late ones included.  REQUIRES: there is one.
model::Timestamp MaxTimeOf(const SeriesPage& page, uint32_t at);

// Late samples of a series that wait in memory before they become a chunk (Prometheus's number).
inline constexpr size_t kMaxLateSamples = 32;
// Puts a chunk of late samples beside the others.
void AddLate(SeriesPage* page, uint32_t at, const SealedChunk& chunk);
// Keeps a sample that came late.  False: there is one at that time already.
bool InsertLate(SeriesPage* page, uint32_t at, const LateSample& sample, model::Timestamp start = 0);
// Turns the late samples in memory into sealed chunks; returns how many chunks.
size_t SealLate(SeriesPage* page, uint32_t at, const CutPolicy& policy);
// Drops late samples before `mint`, and late chunks that end before it; returns how many samples.
size_t DropLate(SeriesPage* page, uint32_t at, model::Timestamp mint, uint64_t last_batch = UINT64_MAX);

// Hides samples at the times of the interval.
void HideDeleted(SeriesPage* page, uint32_t at, Interval interval);

// Drops chunks whose last sample is before `mint`; returns how many.
size_t DropChunksBefore(SeriesPage* page, uint32_t at, model::Timestamp mint);

// Samples at the end that a reader of batches up to `visible` must not see.
size_t HiddenSamples(const SeriesPage& page, uint32_t at, uint64_t visible);

// Notes that the samples just appended belong to `batch`.  `oldest`: the lowest batch number that an
// open reader has.
void NoteBatch(SeriesPage* page, uint32_t at, uint64_t batch, uint32_t samples, uint64_t oldest);

// Appends the samples of the window that batches up to `visible` have, without deleted ones, to `out` (offsets
// are the caller's).  `files` may be null when no chunk was written.
base::Status ReadSlot(const SeriesPage& page, uint32_t at, storage::Window window, uint64_t visible,
                      const HeadChunks* files, storage::SampleColumns* out);
// The bytes of a sealed chunk, valid while the page's mutex is held.
base::Result<std::string_view> BytesOf(const SealedChunk& c, const HeadChunks* files);

// The same in two layers: the samples that came in order, and those that came late.
base::Status ReadInOrder(const SeriesPage& page, uint32_t at, storage::Window window, uint64_t visible,
                         const HeadChunks* files, storage::SampleColumns* out);
base::Status ReadLate(const SeriesPage& page, uint32_t at, storage::Window window, uint64_t visible,
                      const HeadChunks* files, storage::SampleColumns* out);

// Puts a sealed chunk behind the others.  REQUIRES: it follows them, and there is no open chunk.
void AddSealed(SeriesPage* page, uint32_t at, const SealedChunk& chunk);
// Puts one where it belongs among the others.  False: it overlaps them, or the open chunk.
bool InsertSealed(SeriesPage* page, uint32_t at, const SealedChunk& chunk);
// A chunk with its bytes in memory.
SealedChunk MakeSealed(model::Timestamp mint, model::Timestamp maxt, uint16_t count, chunk::Encoding encoding,
                       std::string_view data);
inline void FreeBytes(const SealedChunk& c) {
  if (c.in_memory()) std::free(c.memory());
}

// Makes an encoded float chunk, whose times ascend, the open one.  REQUIRES: there is no open chunk.
// Errors: kDataLoss; it does not follow the others.
base::Status RestoreOpen(SeriesPage* page, uint32_t at, std::string_view data, const CutPolicy& policy);

// Appends samples in order of time.
void AppendSamples(SeriesPage* page, uint32_t at, const storage::SampleColumns& samples, const CutPolicy& policy);
// Replaces all chunks by the given samples.
void Rebuild(SeriesPage* page, uint32_t at, const storage::SampleColumns& samples, const CutPolicy& policy);

}  // namespace tocsin::tsdb
