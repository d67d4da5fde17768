#include "tsdb/head.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

#include "base/check.h"
#include "base/log.h"
#include "tsdb/index/shrink.h"

namespace tocsin::tsdb {
namespace {

// Changes kept for standing queries.  A consumer that fell behind further resolves again, which costs about what
// reading this many changes does, or as many as there are series.
constexpr size_t kMinChanges = 1 << 14, kMaxChanges = 1 << 18;
// References noted as used on disk at a time, so that none is used again after a restart even if the
// log no longer names it.
constexpr storage::SeriesRef kRefReserve = 1 << 16;
// Series removed before others may use the index lock.
constexpr size_t kRemoveSlice = 256;

}  // namespace

Head::Head(HeadOptions options)
    : options_(std::move(options)),
      policy_{.chunk_range_ms = options_.chunk_range_ms},
      metrics_(options_.metrics),
      by_labels_(0, TableHash{}, TableEqual{this}),
      out_of_order_ms_(options_.out_of_order_ms) {
  exemplars_.Resize(options_.max_exemplars);
}

Head::~Head() = default;

// ---- Labels ----

const SeriesLabels* Head::LabelsOfSlot(Slot slot) const {
  return table_.PageOf(slot)->data->labels[SeriesTable::At(slot)];
}

bool Head::SameLabels(Slot slot, model::LabelsView labels) const {
  const SeriesLabels* own = LabelsOfSlot(slot);
  uint32_t i = 0;
  for (const auto& [name, value] : labels) {
    if (i == own->count || symbols_.Text(own->pairs[i].name) != name || symbols_.Text(own->pairs[i].value) != value) {
      return false;
    }
    ++i;
  }
  return i == own->count;
}

void Head::EncodeLabels(const SeriesLabels& labels, std::string* out) const {
  for (const index::SymbolPair& p : labels.span()) {
    model::AppendEncodedLabel(symbols_.Text(p.name), symbols_.Text(p.value), out);
  }
}

std::strong_ordering Head::CompareLabels(const SeriesLabels& a, const SeriesLabels& b) const {
  const uint32_t n = std::min(a.count, b.count);
  for (uint32_t i = 0; i < n; ++i) {
    // One text has one number: equal numbers need no look at the text.
    if (a.pairs[i].name != b.pairs[i].name) return symbols_.Text(a.pairs[i].name) <=> symbols_.Text(b.pairs[i].name);
    if (a.pairs[i].value != b.pairs[i].value) return symbols_.Text(a.pairs[i].value) <=> symbols_.Text(b.pairs[i].value);
  }
  return a.count <=> b.count;
}

LabelOrder::RanksPtr Head::Ranks() {
  base::MutexLock building(&order_mu_);
  const auto live = [this](Slot slot) {
    PageHandle* page = table_.PageOf(slot);
    base::MutexLock page_lock(&page->mu);
    return page->data != nullptr && page->data->ref[SeriesTable::At(slot)] != 0;
  };
  const auto less = [this](Slot a, Slot b) { return CompareLabels(*LabelsOfSlot(a), *LabelsOfSlot(b)) < 0; };
  {
    base::ReaderLock lock(&index_mu_);
    if (order_.current()) return order_.ranks();
  }
  std::vector<Slot> all;
  {
    base::WriterLock lock(&index_mu_);
    if (!order_.stale()) return order_.Update(table_.slots_end(), live, less);
    order_.Begin();
    const uint32_t end = table_.slots_end();
    for (Slot slot = 0; slot < end; ++slot) {
      if (live(slot)) all.push_back(slot);
    }
  }
  std::sort(all.begin(), all.end(), less);  // the caller's view keeps their labels
  base::WriterLock lock(&index_mu_);
  order_.Install(std::move(all));
  return order_.Update(table_.slots_end(), live, less);
}

std::optional<model::Labels> Head::LabelsOf(storage::SeriesRef ref) const {
  base::ReaderLock lock(&index_mu_);
  const Slot slot = refs_.Find(ref);
  if (slot == RefTable::kNone) return std::nullopt;
  std::string text;
  EncodeLabels(*LabelsOfSlot(slot), &text);
  return model::Labels::FromEncoded(text);
}

void Head::ForgetGone(std::span<storage::SeriesRef> refs) const {
  base::ReaderLock lock(&index_mu_);
  for (storage::SeriesRef& ref : refs) {
    if (refs_.Find(ref) == RefTable::kNone) ref = 0;
  }
}

size_t Head::symbol_bytes() const {
  base::ReaderLock lock(&index_mu_);
  return symbols_.text_bytes();
}

// ---- Series come and go ----

std::optional<Slot> Head::FindSeries(const Probe& probe) const {
  const auto it = by_labels_.find(probe);
  if (it == by_labels_.end()) return std::nullopt;
  return it->slot;
}

base::Status Head::ReserveRefs(storage::SeriesRef upto) {
  if (upto < reserved_refs_) return {};
  if (upto + kRefReserve >= RefTable::kMaxRef) {
    return base::ResourceExhausted(fmt::format("series reference {}: no number below {} is left", upto, RefTable::kMaxRef));
  }
  if (options_.wal) {
    RETURN_IF_ERROR(options_.fs->WriteFileAtomically(base::JoinPath(options_.folder, kRefsFile),
                                                     fmt::format("{}\n", upto + kRefReserve)));
  }
  reserved_refs_ = upto + kRefReserve;
  return {};
}

Slot Head::EnterSeries(storage::SeriesRef ref, const Probe& probe) {
  const auto n = static_cast<uint32_t>(probe.labels.size());
  auto* labels = static_cast<SeriesLabels*>(std::malloc(sizeof(SeriesLabels) + n * sizeof(index::SymbolPair)));
  TOCSIN_CHECK(labels != nullptr) << n << " labels";
  labels->count = n;
  labels->hash = probe.tag;
  uint32_t i = 0;
  for (const auto& [name, value] : probe.labels) {
    labels->pairs[i] = symbols_.InternLabel(i, name, value);
    ++i;
  }
  const Slot slot = table_.Allocate(ref, labels);
  by_labels_.insert(TableKey{probe.tag, slot});
  refs_.Set(ref, slot);
  series_count_.fetch_add(1, std::memory_order_relaxed);
  return slot;
}

Slot Head::CreateSeries(storage::SeriesRef ref, const Probe& probe) {
  const Slot slot = EnterSeries(ref, probe);
  {
    PageHandle* page = table_.PageOf(slot);
    base::MutexLock lock(&page->mu);
    page->data->flags[SeriesTable::At(slot)] |= SeriesPage::kUnlogged;
  }
  postings_.Add(slot, LabelsOfSlot(slot)->span());
  order_.Note(slot);
  NoteChange(ref, true);
  metrics_->series_created->Add();
  return slot;
}

void Head::NoteChange(storage::SeriesRef ref, bool created) {
  changes_.push_back({ref, created ? 1u : 0u});
  const size_t most = std::clamp<size_t>(series_count_.load(std::memory_order_relaxed), kMinChanges, kMaxChanges);
  while (changes_.size() > most) {
    changes_.pop_front();
    ++first_change_;
  }
  generation_.store(first_change_ + changes_.size(), std::memory_order_release);
}

// Takes a series without samples out of everything; the slot is freed when its readers are gone.
// False: it has samples again, or an open batch has some for it.
bool Head::RemoveSeries(Slot slot) {
  const SeriesLabels* labels = LabelsOfSlot(slot);
  storage::SeriesRef ref;
  {
    PageHandle* handle = table_.PageOf(slot);
    base::MutexLock lock(&handle->mu);
    SeriesPage* page = handle->data.get();
    const uint32_t at = SeriesTable::At(slot);
    ref = page->ref[at];
    if (ref == 0 || page->pending[at] > 0 || MinTimeOf(*page, at) != model::kMaxTimestamp) return false;
    page->ref[at] = 0;  // an appender that found the slot before finds no series in it
    if (page->has(at, SeriesPage::kStaleLast)) stale_.fetch_sub(1, std::memory_order_relaxed);
    if (!page->has(at, SeriesPage::kUnlogged) && log_ != nullptr) removed_[ref] = log_->segment();
  }
  by_labels_.erase(TableKey{labels->hash, slot});
  index::ShrinkIfSparse(&by_labels_);
  postings_.Remove(slot, labels->span());
  order_.Note(slot);
  NoteChange(ref, false);  // before the stamp: see Generation()
  limbo_.push_back({isolation_.Stamp(), slot, refs_.Clear(ref)});
  series_count_.fetch_sub(1, std::memory_order_relaxed);
  series_gone_.fetch_add(1, std::memory_order_relaxed);
  metrics_->series_removed->Add();
  base::MutexLock lock(&metadata_mu_);
  if (metadata_.erase(ref) > 0) index::ShrinkIfSparse(&metadata_);
  return true;
}

void Head::SweepLimbo() {
  while (!limbo_.empty() && isolation_.AllGoneSince(limbo_.front().stamp)) {
    const Slot slot = limbo_.front().slot;
    if (slot != kNoSlot) {
      for (const index::SymbolPair& p : LabelsOfSlot(slot)->span()) {
        symbols_.Release(p.name);
        symbols_.Release(p.value);
      }
      table_.Free(slot);
    }
    limbo_.pop_front();
  }
}

void Head::NoteTimes(model::Timestamp mint, model::Timestamp maxt) {
  for (auto now = min_time_.load(std::memory_order_relaxed); mint < now;) {
    if (min_time_.compare_exchange_weak(now, mint, std::memory_order_relaxed)) break;
  }
  for (auto now = max_time_.load(std::memory_order_relaxed); maxt > now;) {
    if (max_time_.compare_exchange_weak(now, maxt, std::memory_order_relaxed)) break;
  }
}

// ---- Change stream ----

std::optional<storage::SeriesChanges> Head::ChangesSince(uint64_t generation) const {
  base::ReaderLock lock(&index_mu_);
  const uint64_t now = first_change_ + changes_.size();
  if (generation < first_change_ || generation > now) return std::nullopt;
  storage::SeriesChanges out;
  out.generation = now;
  std::string text;
  for (size_t i = generation - first_change_; i < changes_.size(); ++i) {
    const Change& c = changes_[i];
    if (!c.created) {
      out.deleted.push_back(c.ref);
      continue;
    }
    const Slot slot = refs_.Find(c.ref);
    if (slot == RefTable::kNone) continue;  // gone again: its deletion follows
    text.clear();
    EncodeLabels(*LabelsOfSlot(slot), &text);
    out.created.push_back({c.ref, model::Labels::FromEncoded(text)});
  }
  return out;
}

// ---- Truncation ----

// Drops chunks before `mint` and series that have nothing left.  Returns the number of series removed.
size_t Head::CollectGarbage(model::Timestamp mint) {
  size_t removed = 0, chunks = 0;
  const uint64_t cut_batch = cut_batch_.load(std::memory_order_relaxed);
  std::vector<Slot> empty;
  const uint32_t end = table_.slots_end();
  model::Timestamp oldest = model::kMaxTimestamp;
  {
    base::MutexLock commit(&commit_mu_);
    oldest_since_ = model::kMaxTimestamp;
  }
  for (Slot first = 0; first < end; first += SeriesPage::kSlots) {
    PageHandle* handle = table_.PageOf(first);
    {
      base::MutexLock lock(&handle->mu);
      SeriesPage* page = handle->data.get();
      if (page == nullptr) continue;
      for (uint32_t at = 0; at < SeriesPage::kSlots; ++at) {
        if (page->ref[at] == 0) continue;
        const size_t dropped = DropChunksBefore(page, at, mint);
        chunks += dropped;
        if (dropped > 0) ++page->edits[at];
        late_samples_.fetch_sub(DropLate(page, at, mint, cut_batch), std::memory_order_relaxed);
        const model::Timestamp first_t = MinTimeOf(*page, at);
        if (first_t == model::kMaxTimestamp && page->pending[at] == 0) empty.push_back(first + at);
        // A chunk that lies across `mint` stays whole, but blocks have what is before.  Late samples that are in no
        // chunk may have come after the block was cut.
        oldest = std::min(oldest, std::max(first_t, mint));
        if (page->has(at, SeriesPage::kOutOfOrder)) {
          const std::vector<LateSample>& late = page->late->find(at)->second.samples;
          if (!late.empty()) oldest = std::min(oldest, late.front().t);
        }
      }
    }
    if (empty.size() < kRemoveSlice && first + SeriesPage::kSlots < end) continue;
    base::WriterLock index(&index_mu_);
    for (const Slot slot : empty) {
      removed += RemoveSeries(slot);
    }
    empty.clear();
    SweepLimbo();
  }
  {
    base::WriterLock index(&index_mu_);
    SweepLimbo();
  }
  chunk_count_.fetch_sub(chunks, std::memory_order_relaxed);
  metrics_->chunks_removed->Add(static_cast<double>(chunks));
  {
    // In order nothing before `mint` is taken any more (min_valid_).
    base::MutexLock commit(&commit_mu_);
    min_time_.store(std::max(min_time(), std::min({oldest, mint, oldest_since_})), std::memory_order_relaxed);
  }
  if (removed > 0 || chunks > 0) freed_.store(true, std::memory_order_relaxed);
  return removed;
}

void Head::RaiseMinValid(model::Timestamp mint) {
  base::MutexLock commit(&commit_mu_);  // a batch that is applied now has read the bound
  min_valid_.store(std::max(mint, min_valid_.load(std::memory_order_relaxed)), std::memory_order_relaxed);
}

void Head::BeginCut(model::Timestamp mint) {
  base::MutexLock commit(&commit_mu_);
  min_valid_.store(std::max(mint, min_valid_.load(std::memory_order_relaxed)), std::memory_order_relaxed);
  cut_batch_.store(next_batch_ - 1, std::memory_order_relaxed);
}

base::Status Head::Truncate(model::Timestamp mint) {
  base::MutexLock once(&truncate_mu_);
  metrics_->head_truncations->Add();
  RaiseMinValid(mint);
  const base::Duration begin = options_.monotonic ? options_.monotonic() : base::Duration(0);
  late_log_stale_ = log_ != nullptr;
  const size_t removed = CollectGarbage(mint);
  cut_batch_.store(UINT64_MAX, std::memory_order_relaxed);
  if (options_.monotonic) metrics_->head_gc_seconds->Observe(base::ToSeconds(options_.monotonic() - begin));
  base::LogDebug("head truncated", {{"mint", mint}, {"series_removed", removed}});
  base::Status status = FlushChunks();
  if (status && chunk_files_ != nullptr) {
    base::MutexLock flush(&flush_mu_);
    status = chunk_files_->Truncate(mint, FirstLateFile());
  }
  {
    base::WriterLock index(&index_mu_);
    if (mint > aliases_until_) aliases_.clear();
  }
  if (base::Status log = TruncateLog(mint); !log) status = std::move(log);
  if (status && log_ != nullptr) status = TruncateLateLog();
  if (!status) metrics_->head_truncations_failed->Add();
  return status;
}

// ---- Deletion ----

base::Status Head::Delete(model::Timestamp mint, model::Timestamp maxt, std::span<const model::Matchers> any_of) {
  base::MutexLock once(&truncate_mu_);
  // What the log of late samples still has comes back at the next start, though only blocks have it now.
  if (late_log_stale_) {
    if (base::Status truncated = TruncateLateLog(); !truncated) {
      return std::unexpected(truncated.error().Within("samples that came out of order would come back from wbl/, which could not be truncated; "
                                                      "nothing is deleted in the head, try again later"));
    }
  }
  const uint64_t id = isolation_.EnterWriter();  // keeps the slots
  std::vector<Slot> slots;
  {
    base::ReaderLock lock(&index_mu_);
    for (const model::Matchers& m : any_of) {
      const std::vector<Slot> some = postings_.Select(m);
      slots.insert(slots.end(), some.begin(), some.end());
    }
  }
  std::sort(slots.begin(), slots.end());
  slots.erase(std::unique(slots.begin(), slots.end()), slots.end());

  base::Status status;
  base::MutexLock commit(&commit_mu_);
  // Logged first: a deletion that was answered does not come back.
  std::vector<wal::Tombstone> stones;
  for (const Slot slot : slots) {
    PageHandle* page = table_.PageOf(slot);
    base::MutexLock lock(&page->mu);
    const uint32_t at = SeriesTable::At(slot);
    model::Timestamp first = MinTimeOf(*page->data, at);
    model::Timestamp last = first == model::kMaxTimestamp ? model::kMinTimestamp : MaxTimeOf(*page->data, at);
    if (late_log_stale_) {  // it cannot be begun anew before a restart
      first = std::min(first, late_log_from_);
      last = std::max(last, min_valid_time());
    }
    if (first > maxt || last < mint) continue;
    stones.push_back({page->data->ref[at], std::max(mint, first), std::min(maxt, last)});
  }
  if (!stones.empty() && log_ != nullptr) {
    std::string record;
    wal::EncodeTombstones(stones, &record);
    const wal::PackedRecord packed = wal::Pack(std::move(record), options_.compression);
    auto number = log_->Append({&packed, 1});
    if (!number) {
      status = std::unexpected(number.error());
    } else if (options_.sync) {
      status = log_->WaitSynced(*number);
    }
  }
  for (size_t i = 0; status && i < stones.size(); ++i) {
    const Slot slot = refs_.Find(stones[i].ref);
    PageHandle* page = table_.PageOf(slot);
    base::MutexLock lock(&page->mu);
    HideDeleted(page->data.get(), SeriesTable::At(slot), {stones[i].mint, stones[i].maxt});
    edits_.fetch_add(1, std::memory_order_relaxed);
  }
  isolation_.Leave(id);
  return status;
}

}  // namespace tocsin::tsdb
