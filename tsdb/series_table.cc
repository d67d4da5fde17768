#include "tsdb/series_table.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "base/check.h"
#include "tsdb/chunk/histogram_chunk.h"
#include "tsdb/chunk/xor2.h"

namespace tocsin::tsdb {
namespace {

constexpr uint32_t kFirstOpenBytes = 64;
constexpr uint32_t kOpenRoom = chunk::kXorHeaderBytes + chunk::kMaxXorSampleBytes + chunk::kWriteSlack;  // of an append
// Of a run of histograms: a chunk is a small part of what chunks_head/ takes, unless one histogram is as large.
constexpr size_t kMaxRunBuckets = 1 << 17;
constexpr uint32_t kMaxXorChunkBytes = 1024 - 19;  // as Prometheus, so that a chunk fits its readers' pages

void* Allocate(size_t bytes) {
  void* p = std::malloc(bytes);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

// The end of the chunk range that holds t (division towards zero, as in Go).
model::Timestamp RangeEnd(model::Timestamp t, int64_t width) { return t / width * width + width; }

// Where a chunk that is a quarter full at `now` should end so that the chunks up to `max` are equally
// long.
model::Timestamp ChunkEnd(model::Timestamp start, model::Timestamp now, model::Timestamp max) {
  const double n = static_cast<double>(max - start) / (static_cast<double>(now - start + 1) * 4);
  if (n <= 1) return max;
  return static_cast<model::Timestamp>(static_cast<double>(start) + static_cast<double>(max - start) / std::floor(n));
}

void FreeOpen(SeriesPage* page, uint32_t at) {
  if (page->open[at] == nullptr) return;
  if (page->has(at, SeriesPage::kHistogramRun)) {
    delete page->run(at);
  } else {
    std::free(page->open[at]);
  }
  page->open[at] = nullptr;
  page->flags[at] &= static_cast<uint8_t>(~SeriesPage::kHistogramRun);
  if (page->starts != nullptr) [[unlikely]] page->starts->open[at].clear();
}

void FreeChunks(SeriesPage* page, uint32_t at) {
  FreeOpen(page, at);
  for (const SealedChunk& c : page->sealed_of(at)) FreeBytes(c);
  std::free(page->sealed[at]);
  page->sealed[at] = nullptr;
}

OpenChunk* NewOpen(model::Timestamp t, const CutPolicy& policy) {
  auto* c = static_cast<OpenChunk*>(Allocate(sizeof(OpenChunk) + kFirstOpenBytes));
  new (c) OpenChunk{chunk::XorState(), t, RangeEnd(t, policy.chunk_range_ms), kFirstOpenBytes};
  return c;
}

// Raises the number of stale series when a series becomes stale, and the reverse.
int NoteLast(SeriesPage* page, uint32_t at, model::Timestamp t, double v) {
  const bool was = page->has(at, SeriesPage::kStaleLast), is = model::IsStale(v);
  page->last_t[at] = t;
  std::memcpy(&page->last_v[at], &v, sizeof v);
  page->flags[at] |= SeriesPage::kHasSamples;
  if (page->has(at, SeriesPage::kLateIsNewest) && MaxTimeOf(*page, at) == t) [[unlikely]] {
    page->flags[at] &= static_cast<uint8_t>(~SeriesPage::kLateIsNewest);
  }
  if (is) {
    page->flags[at] |= SeriesPage::kStaleLast;
  } else {
    page->flags[at] &= static_cast<uint8_t>(~SeriesPage::kStaleLast);
  }
  return static_cast<int>(is) - static_cast<int>(was);
}

}  // namespace

SeriesTable::~SeriesTable() {
  for (size_t i = 0; i < kMaxPages; ++i) {
    PageHandle* page = pages_[i].load(std::memory_order_relaxed);
    if (page == nullptr) break;
    if (page->data) {
      for (uint32_t at = 0; at < SeriesPage::kSlots; ++at) {
        FreeChunks(page->data.get(), at);
        DropLate(page->data.get(), at, model::kMaxTimestamp);
        std::free(page->data->labels[at]);
      }
    }
    delete page;
  }
}

Slot SeriesTable::Allocate(storage::SeriesRef ref, SeriesLabels* labels) {
  const Slot slot = numbers_.Take();
  if (slot == slots_end_.load(std::memory_order_relaxed)) {
    TOCSIN_CHECK(slot / SeriesPage::kSlots < kMaxPages) << "series table full";
    auto& page = pages_[slot / SeriesPage::kSlots];
    if (page.load(std::memory_order_relaxed) == nullptr) page.store(new PageHandle, std::memory_order_release);
    slots_end_.store(slot + 1, std::memory_order_release);
  }
  PageHandle* page = PageOf(slot);
  base::MutexLock lock(&page->mu);
  if (page->data == nullptr) page->data = std::make_unique<SeriesPage>();
  SeriesPage* p = page->data.get();
  const uint32_t at = At(slot);
  TOCSIN_CHECK(p->ref[at] == 0) << "slot " << slot << " has series " << p->ref[at];
  p->ref[at] = ref;
  p->labels[at] = labels;
  p->last_t[at] = model::kMinTimestamp;
  ++p->used;
  return slot;
}

void SeriesTable::Free(Slot slot) {
  PageHandle* page = PageOf(slot);
  base::MutexLock lock(&page->mu);
  SeriesPage* p = page->data.get();
  const uint32_t at = At(slot);
  FreeChunks(p, at);
  DropLate(p, at, model::kMaxTimestamp);
  std::free(p->labels[at]);
  p->labels[at] = nullptr;
  p->ref[at] = 0;
  p->last_t[at] = 0;
  p->last_v[at] = 0;
  p->batch[at] = 0;
  p->edits[at] = 0;
  if (p->marks) p->marks->of[at] = {};
  p->tail[at] = 0;
  p->pending[at] = 0;
  p->flags[at] = 0;
  std::erase_if(p->earlier, [at](const SeriesPage::Earlier& e) { return e.at == at; });
  if (p->deleted) p->deleted->erase(at);
  if (--p->used == 0) page->data.reset();
  numbers_.Put(slot);
}

void SeriesTable::ForgetUnusedMarks() {
  for (Slot slot = 0; slot < slots_end(); slot += SeriesPage::kSlots) {
    PageHandle* page = PageOf(slot);
    base::MutexLock lock(&page->mu);
    if (page->data == nullptr || page->data->marks == nullptr) continue;
    if (!std::exchange(page->data->marks->used, false)) page->data->marks.reset();
  }
}

chunk::XorMarks* MarksOf(const SeriesPage& page, uint32_t at) {
  const OpenChunk& c = *page.xor_chunk(at);
  if (c.state.count <= chunk::XorMarks::kEvery) return nullptr;
  if (page.marks == nullptr) {
    if (ReadMarks::pages.load(std::memory_order_relaxed) >= ReadMarks::kMostPages) return nullptr;
    page.marks = std::make_unique<ReadMarks>();
  }
  page.marks->used = true;
  ReadMarks::Of& of = page.marks->of[at];
  if (of.mint != c.mint || of.edits != page.edits[at]) of = {.mint = c.mint, .edits = page.edits[at], .marks = {}};
  return &of.marks;
}

SealedChunk MakeSealed(model::Timestamp mint, model::Timestamp maxt, uint16_t count, chunk::Encoding encoding,
                       std::string_view data) {
  TOCSIN_CHECK(maxt - mint <= UINT32_MAX) << "a chunk from " << mint << " to " << maxt;
  auto* m = static_cast<MemoryChunk*>(Allocate(sizeof(MemoryChunk) + data.size()));
  m->size = static_cast<uint32_t>(data.size());
  std::memcpy(m->bytes, data.data(), data.size());
  return {.mint = mint,
          .place = reinterpret_cast<uint64_t>(m) | SealedChunk::kInMemory,
          .span = static_cast<uint32_t>(maxt - mint),
          .count = count,
          .encoding = encoding,
          .unused = 0};
}

namespace {

// The slot's list with room for one more.
SealedList* WithRoom(SeriesPage* page, uint32_t at) {
  SealedList* list = page->sealed[at];
  if (list == nullptr || list->count == list->capacity) {
    const uint32_t n = list == nullptr ? 0 : list->count;
    const uint32_t capacity = n == 0 ? 1 : n < 4 ? n + 1 : n * 3 / 2;
    auto* grown = static_cast<SealedList*>(std::realloc(list, sizeof(SealedList) + capacity * sizeof(SealedChunk)));
    if (grown == nullptr) throw std::bad_alloc();
    grown->count = n;
    grown->capacity = capacity;
    page->sealed[at] = list = grown;
  }
  return list;
}

}  // namespace

void AddSealed(SeriesPage* page, uint32_t at, const SealedChunk& chunk) {
  SealedList* list = WithRoom(page, at);
  TOCSIN_DCHECK(list->count == 0 || list->items[list->count - 1].maxt() < chunk.mint) << "invariant 1";
  list->items[list->count++] = chunk;
}

namespace {

uint16_t OpenCount(const SeriesPage& page, uint32_t at) {
  if (page.open[at] == nullptr) return 0;
  return page.has(at, SeriesPage::kHistogramRun) ? static_cast<uint16_t>(page.run(at)->times.size()) : page.xor_chunk(at)->state.count;
}

}  // namespace

void NoteStart(SeriesPage* page, uint32_t at, model::Timestamp start) {
  if (page->starts == nullptr) {
    if (start == 0) return;
    page->starts = std::make_unique<PageStarts>();
  }
  auto& runs = page->starts->open[at];
  if (start != (runs.empty() ? 0 : runs.back().start)) runs.push_back({OpenCount(*page, at) - 1u, start});
}

void AppendOpenStarts(const SeriesPage& page, uint32_t at, std::vector<model::Timestamp>* out) {
  const size_t begin = out->size(), count = OpenCount(page, at);
  out->resize(begin + count);
  for (const StartRun& run : page.starts->open[at]) {
    std::fill(out->begin() + static_cast<ptrdiff_t>(begin + run.first), out->end(), run.start);
  }
}

model::Timestamp LateStartOf(const SeriesPage& page, uint32_t at, model::Timestamp t) {
  if (page.starts == nullptr) return 0;
  const auto it = page.starts->late.find({at, t});
  return it == page.starts->late.end() ? 0 : it->second;
}

void ForgetLateStart(SeriesPage* page, uint32_t at, model::Timestamp t) {
  if (page->starts != nullptr) page->starts->late.erase({at, t});
}

EncodedOpen EncodeOpen(const SeriesPage& page, uint32_t at, std::string* made) {
  EncodedOpen open{.encoding = chunk::Encoding::kXor, .count = OpenCount(page, at), .data = {}};
  std::vector<model::Timestamp> starts;
  if (HasOpenStarts(page, at)) [[unlikely]] AppendOpenStarts(page, at, &starts);
  if (page.has(at, SeriesPage::kHistogramRun)) {
    const HistogramRun& run = *page.run(at);
    *made = chunk::EncodeHistograms(run.times, run.histograms, run.header, &open.encoding, starts);
    open.data = *made;
    return open;
  }
  const OpenChunk& c = *page.xor_chunk(at);
  open.data = {reinterpret_cast<const char*>(c.bytes), (c.state.bits + 7) / 8};
  if (starts.empty()) return open;
  std::vector<model::Timestamp> times;
  std::vector<double> values;
  const base::Status read = chunk::DecodeXor(open.data, {}, 0, &times, &values);
  TOCSIN_CHECK(read && times.size() == starts.size()) << "an open chunk of " << open.count << " samples reads as " << times.size();
  *made = chunk::EncodeXor2(times, values, starts);
  open.encoding = chunk::Encoding::kXor2;
  open.data = *made;
  return open;
}

void SealOpen(SeriesPage* page, uint32_t at) {
  if (OpenCount(*page, at) > 0) {
    const model::Timestamp mint = page->has(at, SeriesPage::kHistogramRun) ? page->run(at)->times.front() : page->xor_chunk(at)->mint;
    std::string made;
    const EncodedOpen open = EncodeOpen(*page, at, &made);
    AddSealed(page, at, MakeSealed(mint, page->last_t[at], open.count, open.encoding, open.data));
  }
  FreeOpen(page, at);
}

AppendEffect AppendFloat(SeriesPage* page, uint32_t at, model::Timestamp t, double v, const CutPolicy& policy) {
  AppendEffect effect;
  if (t <= page->last_t[at] && page->has(at, SeriesPage::kHasSamples)) return effect;
  if (page->has(at, SeriesPage::kHistogramRun)) {
    if (model::IsStale(v)) {
      // A series of histograms goes stale with a histogram, so that it stays one kind.
      auto stale = std::make_shared<model::Histogram>();
      stale->integer = page->run(at)->histograms.back()->integer;
      std::memcpy(&stale->sum, &v, sizeof v);
      return AppendHistogram(page, at, t, stale, policy);
    }
    SealOpen(page, at);
    effect.sealed = true;
  }
  OpenChunk* c = page->xor_chunk(at);
  if (c != nullptr) {
    const int n = c->state.count;
    if (n == policy.samples / 4) c->next_at = ChunkEnd(c->mint, page->last_t[at], c->next_at);
    if (t >= c->next_at || n >= policy.samples * 2 || c->state.bits / 8 > kMaxXorChunkBytes) {
      SealOpen(page, at);
      effect.sealed = true;
      c = nullptr;
    }
  }
  if (c == nullptr) {
    c = NewOpen(t, policy);
    page->open[at] = c;
    effect.chunk_created = true;
  }
  if (c->state.bits / 8 + kOpenRoom > c->capacity) [[unlikely]] {
    const uint32_t capacity = (c->state.bits / 8 + kOpenRoom) + c->capacity / 2;
    c = static_cast<OpenChunk*>(std::realloc(c, sizeof(OpenChunk) + capacity));
    if (c == nullptr) throw std::bad_alloc();
    c->capacity = capacity;
    page->open[at] = c;
  }
  chunk::AppendXor(&c->state, c->bytes, page->last_t[at], page->last_v[at], t, v);
  effect.appended = true;
  effect.stale_change = NoteLast(page, at, t, v);
  return effect;
}

AppendEffect AppendHistogram(SeriesPage* page, uint32_t at, model::Timestamp t, const model::HistogramPtr& h,
                             const CutPolicy& policy) {
  AppendEffect effect;
  if (t <= page->last_t[at] && page->has(at, SeriesPage::kHasSamples)) return effect;
  if (page->open[at] != nullptr && !page->has(at, SeriesPage::kHistogramRun)) {
    SealOpen(page, at);
    effect.sealed = true;
  }
  model::CounterReset header = chunk::FirstHeader(*h);
  HistogramRun* run = page->run(at);
  if (run != nullptr) {
    const auto n = static_cast<int>(run->times.size());
    if (n == policy.samples / 4) run->next_at = ChunkEnd(run->times.front(), run->times.back(), run->next_at);
    const bool gauge = run->header == model::CounterReset::kGauge;
    const bool fits = chunk::FitsChunk(*run->histograms.back(), gauge, *h, &header);
    if (!fits || t >= run->next_at || n >= policy.samples * 2 || run->buckets > kMaxRunBuckets) {
      if (fits) header = gauge ? model::CounterReset::kGauge : model::CounterReset::kNotReset;
      SealOpen(page, at);
      effect.sealed = true;
      run = nullptr;
    }
  }
  if (run == nullptr) {
    run = new HistogramRun;
    run->header = header;
    run->next_at = RangeEnd(t, policy.chunk_range_ms);
    page->open[at] = run;
    page->flags[at] |= SeriesPage::kHistogramRun;
    effect.chunk_created = true;
  }
  // Kept as a reader of the sealed chunk will see it.
  const model::CounterReset hint =
      h->IsStale() ? model::CounterReset::kUnknown : chunk::HintFor(run->header, run->times.size());
  model::HistogramPtr stored = h;
  if (h->counter_reset != hint) {
    auto copy = std::make_shared<model::Histogram>(*h);
    copy->counter_reset = hint;
    stored = std::move(copy);
  }
  run->times.push_back(t);
  run->buckets += h->positive_buckets.size() + h->negative_buckets.size();
  run->histograms.push_back(std::move(stored));
  effect.appended = true;
  effect.stale_change = NoteLast(page, at, t, h->sum);
  return effect;
}

namespace {

model::Timestamp MinOpenTimeOf(const SeriesPage& page, uint32_t at) {
  if (page.open[at] == nullptr) return model::kMaxTimestamp;
  return page.has(at, SeriesPage::kHistogramRun) ? page.run(at)->times.front() : page.xor_chunk(at)->mint;
}

}  // namespace

model::Timestamp MinTimeOf(const SeriesPage& page, uint32_t at) {
  const std::span<const SealedChunk> sealed = page.sealed_of(at);
  model::Timestamp t = sealed.empty() ? MinOpenTimeOf(page, at) : sealed.front().mint;
  if (!page.has(at, SeriesPage::kOutOfOrder)) [[likely]] return t;
  const LateSamples& late = page.late->find(at)->second;
  if (!late.samples.empty()) t = std::min(t, late.samples.front().t);
  for (const SealedChunk& c : late.chunks) t = std::min(t, c.mint);
  return t;
}

bool InsertSealed(SeriesPage* page, uint32_t at, const SealedChunk& chunk) {
  const std::span<const SealedChunk> sealed = page->sealed_of(at);
  const auto next = std::find_if(sealed.begin(), sealed.end(), [&](const SealedChunk& c) { return c.mint > chunk.mint; });
  if (next != sealed.begin() && std::prev(next)->maxt() >= chunk.mint) return false;
  if (chunk.maxt() >= (next == sealed.end() ? MinOpenTimeOf(*page, at) : next->mint)) return false;
  const auto place = next - sealed.begin();
  SealedList* list = WithRoom(page, at);
  std::copy_backward(list->items + place, list->items + list->count, list->items + list->count + 1);
  list->items[place] = chunk;
  ++list->count;
  return true;
}

model::Timestamp MaxTimeOf(const SeriesPage& page, uint32_t at) {
  model::Timestamp t = page.has(at, SeriesPage::kHasSamples) ? page.last_t[at] : model::kMinTimestamp;
  if (!page.has(at, SeriesPage::kOutOfOrder)) [[likely]] return t;
  const LateSamples& late = page.late->find(at)->second;
  if (!late.samples.empty()) t = std::max(t, late.samples.back().t);
  for (const SealedChunk& c : late.chunks) t = std::max(t, c.maxt());
  return t;
}

size_t DropChunksBefore(SeriesPage* page, uint32_t at, model::Timestamp mint) {
  size_t dropped = 0;
  if (SealedList* list = page->sealed[at]) {
    while (dropped < list->count && list->items[dropped].maxt() < mint) FreeBytes(list->items[dropped++]);
    if (dropped == list->count) {
      std::free(list);
      page->sealed[at] = nullptr;
    } else if (dropped > 0) {
      list->count -= static_cast<uint32_t>(dropped);
      std::memmove(list->items, list->items + dropped, list->count * sizeof(SealedChunk));
    }
  }
  if (page->open[at] != nullptr && page->last_t[at] < mint) {
    FreeOpen(page, at);
    ++dropped;
  }
  return dropped;
}

size_t HiddenSamples(const SeriesPage& page, uint32_t at, uint64_t visible) {
  if (page.batch[at] <= visible) [[likely]] return 0;
  size_t n = page.tail[at];
  for (const SeriesPage::Earlier& e : page.earlier) {
    if (e.at == at && e.batch > visible) n += e.count;
  }
  return n;
}

void NoteBatch(SeriesPage* page, uint32_t at, uint64_t batch, uint32_t samples, uint64_t oldest) {
  if (page->batch[at] == batch) {
    page->tail[at] += samples;
    return;
  }
  if (page->batch[at] > oldest) [[unlikely]] {
    std::erase_if(page->earlier, [oldest](const SeriesPage::Earlier& e) { return e.batch <= oldest; });
    page->earlier.push_back({at, page->tail[at], page->batch[at]});
  } else if (!page->earlier.empty()) [[unlikely]] {
    std::erase_if(page->earlier, [oldest](const SeriesPage::Earlier& e) { return e.batch <= oldest; });
  }
  page->batch[at] = batch;
  page->tail[at] = samples;
}

void AppendSamples(SeriesPage* page, uint32_t at, const storage::SampleColumns& samples, const CutPolicy& policy) {
  size_t next_histogram = 0;
  for (size_t i = 0; i < samples.times.size(); ++i) {
    if (next_histogram < samples.histogram_at.size() && samples.histogram_at[next_histogram] == i) {
      AppendHistogram(page, at, samples.times[i], samples.histograms[next_histogram++], policy);
    } else {
      AppendFloat(page, at, samples.times[i], samples.values[i], policy);
    }
    if (!samples.start_times.empty()) NoteStart(page, at, samples.start_times[i]);
  }
}

base::Status RestoreOpen(SeriesPage* page, uint32_t at, std::string_view data, const CutPolicy& policy) {
  thread_local std::vector<model::Timestamp> times;
  thread_local std::vector<double> values;
  times.clear(), values.clear();
  chunk::XorCursor cursor;
  RETURN_IF_ERROR(chunk::ContinueXor(data, chunk::SampleCount(chunk::Encoding::kXor, data), &cursor, &times, &values));
  if (times.empty()) return base::DataLoss("an empty chunk");
  if (page->has(at, SeriesPage::kHasSamples) && times.front() <= page->last_t[at]) return base::DataLoss("a chunk that overlaps another");
  if (times.back() - times.front() > UINT32_MAX) return base::DataLoss("a chunk of more than 49 days");
  const auto size = static_cast<uint32_t>(data.size());
  const uint32_t capacity = size + kOpenRoom;
  auto* c = static_cast<OpenChunk*>(Allocate(sizeof(OpenChunk) + capacity));
  new (c) OpenChunk{{.delta = cursor.delta, .bits = cursor.bits, .count = cursor.count, .leading = cursor.leading, .trailing = cursor.trailing},
                    times.front(), RangeEnd(times.front(), policy.chunk_range_ms), capacity};
  if (cursor.count > policy.samples / 4) c->next_at = ChunkEnd(c->mint, times[static_cast<size_t>(policy.samples) / 4 - 1], c->next_at);
  std::memcpy(c->bytes, data.data(), size);
  page->open[at] = c;
  NoteLast(page, at, times.back(), values.back());
  return {};
}

void Rebuild(SeriesPage* page, uint32_t at, const storage::SampleColumns& samples, const CutPolicy& policy) {
  FreeChunks(page, at);
  DropLate(page, at, model::kMaxTimestamp);
  page->flags[at] &= static_cast<uint8_t>(~(SeriesPage::kHasSamples | SeriesPage::kStaleLast));
  page->last_t[at] = model::kMinTimestamp;
  page->batch[at] = 0;
  page->tail[at] = 0;
  std::erase_if(page->earlier, [at](const SeriesPage::Earlier& e) { return e.at == at; });
  AppendSamples(page, at, samples, policy);
  ++page->edits[at];
}

}  // namespace tocsin::tsdb
