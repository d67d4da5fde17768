#include "tsdb/head_querier.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <set>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "storage/label_groups.h"
#include "storage/reading_order.h"
#include "tsdb/page_cursor.h"

namespace tocsin::tsdb {
namespace {

constexpr size_t kLabelBlockBytes = 64 << 10;
// Series read under one hold of a page's lock, so that a writer of the page does not wait for a whole
// query.
constexpr size_t kReadRun = 32;
constexpr size_t kLastRun = 8 * kReadRun;  // where only the newest samples are read

storage::Window Narrow(storage::Window a, storage::Window b) {
  return {std::max(a.after, b.after), std::min(a.upto, b.upto)};
}

}  // namespace

const char* HeadView::Keep(const SeriesLabels& labels) {
  thread_local std::string text;
  text.clear();
  head_->EncodeLabels(labels, &text);
  const size_t need = 4 + text.size();
  char* place;
  {
    base::MutexLock lock(&mu_);
    if (size_ - used_ < need) {
      size_ = std::max(kLabelBlockBytes, need);
      blocks_.push_back(std::make_unique_for_overwrite<char[]>(size_));
      used_ = 0;
    }
    place = blocks_.back().get() + used_;
    used_ += (need + 3) / 4 * 4;
    used_ = std::min(used_, size_);
  }
  const auto n = static_cast<uint32_t>(text.size());
  std::memcpy(place, &n, 4);
  std::memcpy(place + 4, text.data(), n);
  return place;
}

base::Status ReadLastOf(const SeriesPage& page, uint32_t at, uint64_t visible, const HeadChunks* files,
                        storage::Window window, size_t place, storage::LastColumns* out) {
  const auto put = [&](const model::HistogramPtr& histogram) {
    if (out->histograms.empty()) out->histograms.resize(out->times.size());
    out->histograms[place] = histogram;
  };
  if (ReadLastColumn(page, at, visible, window, place, out)) [[likely]] return {};
  const model::Timestamp t = page.last_t[at];
  if (t > window.after && t <= window.upto && page.batch[at] <= visible && page.has(at, SeriesPage::kHasSamples) &&
      page.has(at, SeriesPage::kHistogramRun) && !page.has(at, SeriesPage::kDeleted) &&
      !page.has(at, SeriesPage::kLateIsNewest)) {
    out->times[place] = t;
    std::memcpy(&out->values[place], &page.last_v[at], sizeof(double));
    put(page.run(at)->histograms.back());
    return {};
  }
  // The newest sample is later than asked for, or not visible yet.
  const size_t hidden = HiddenSamples(page, at, visible);
  const bool plain = !page.has(at, SeriesPage::kHistogramRun) && !page.has(at, SeriesPage::kOutOfOrder) &&
                     !page.has(at, SeriesPage::kDeleted);
  if (page.open[at] != nullptr && plain) {
    const OpenChunk& c = *page.xor_chunk(at);
    if (hidden < c.state.count && c.mint <= window.upto) {
      model::Timestamp found = 0;
      ASSIGN_OR_RETURN(const bool any,
                       chunk::DecodeXorLast({reinterpret_cast<const char*>(c.bytes), (c.state.bits + 7) / 8}, window,
                                            hidden, &found, &out->values[place], MarksOf(page, at)));
      if (any) out->times[place] = found;
      return {};
    }
  }
  thread_local storage::SampleColumns scratch;
  scratch.Clear();
  RETURN_IF_ERROR(ReadSlot(page, at, window, visible, files, &scratch));
  if (scratch.times.empty()) return {};
  out->times[place] = scratch.times.back();
  std::memcpy(&out->values[place], &scratch.values.back(), sizeof(double));
  if (!scratch.histogram_at.empty() && scratch.histogram_at.back() + 1 == scratch.times.size()) {
    put(scratch.histograms.back());
    scratch.Clear();
  }
  return {};
}

class HeadSeriesSet : public storage::SeriesSet, public storage::LabelGroups, public storage::ReadingOrder {
 public:
  using Item = HeadItem;
  // `by_slot`: the items' places in order of their slots; empty when they stand in that order.
  HeadSeriesSet(std::shared_ptr<HeadView> view, storage::Window window, std::vector<Item> items,
                std::vector<uint32_t> by_slot)
      : view_(std::move(view)),
        window_(window),
        items_(std::move(items)),
        kept_(new std::atomic<const char*>[items_.size()]()),
        by_slot_(std::move(by_slot)),
        layers_(view_->head()->has_out_of_order() ? 2 : 1) {}

  size_t size() const override { return items_.size(); }

  model::LabelsView labels(size_t i) const override {
    const char* kept = kept_[i].load(std::memory_order_acquire);
    if (kept == nullptr) {
      // Two threads may both encode them; either copy will do.
      kept = view_->Keep(*items_[i].labels);
      kept_[i].store(kept, std::memory_order_release);
    }
    return HeadView::ViewOf(kept);
  }

  // Late samples are the second layer.
  size_t layers() const override { return layers_; }
  base::Status ReadLayer(size_t layer, size_t first, size_t count, storage::Window window,
                         storage::SampleColumns* out) const override {
    if (layers_ == 1) return Read(first, count, window, out);
    return ReadEach(first, count, window, out, [&](const SeriesPage& page, uint32_t at, storage::Window w) -> base::Status {
      return (layer == 0 ? ReadInOrder : ReadLate)(page, at, w, view_->visible(), view_->head()->chunk_files_.get(), out);
    });
  }

  void GroupBy(std::span<const std::string> names, bool without, std::vector<uint32_t>* group_of) const override;

  base::Status Read(size_t first, size_t count, storage::Window window, storage::SampleColumns* out) const override {
    return ReadEach(first, count, window, out, [&](const SeriesPage& page, uint32_t at, storage::Window w) {
      return ReadSlot(page, at, w, view_->visible(), view_->head()->chunk_files_.get(), out);
    });
  }

  template <class ReadOne>
  base::Status ReadEach(size_t first, size_t count, storage::Window window, storage::SampleColumns* out,
                        ReadOne read_one) const {
    out->Clear();
    out->offsets.reserve(count + 1);
    out->offsets.push_back(0);
    window = Narrow(window, window_);
    PageCursor cursor(view_->head()->table_);
    for (size_t i = 0; i < count; ++i) {
      if (i % kReadRun == 0) cursor.Release();
      const Slot slot = items_[first + i].slot;
      const SeriesPage* page = cursor.MoveTo(slot);
      const uint32_t at = SeriesTable::At(slot);
      if (page->last_t[at] > window.after || page->has(at, SeriesPage::kOutOfOrder)) {
        RETURN_IF_ERROR(read_one(*page, at, window));
      }
      out->offsets.push_back(static_cast<uint32_t>(out->times.size()));
    }
    out->PadStartTimes();
    return {};
  }

  base::Status ReadLast(size_t first, size_t count, storage::Window window, storage::LastColumns* out) const override {
    out->times.assign(count, model::kMinTimestamp);
    out->values.assign(count, 0);
    out->histograms.clear();
    window = Narrow(window, window_);
    PageCursor cursor(view_->head()->table_);
    size_t done = 0;
    const auto one = [&](size_t item, size_t place) -> base::Status {
      if (++done % kLastRun == 0) cursor.Release();
      const Slot slot = items_[item].slot;
      return ReadLastOf(*cursor.MoveTo(slot), SeriesTable::At(slot), place, window, out);
    };
    if (by_slot_.empty() || count < items_.size() / 16) {
      for (size_t i = 0; i < count; ++i) RETURN_IF_ERROR(one(first + i, i));
    } else {
      // In the order of the columns, wherever the results belong.
      for (size_t k = 0; k < by_slot_.size(); ++k) {
        const uint32_t i = by_slot_[k];
        if (i < first || i >= first + count) continue;
        if (k + kAhead < by_slot_.size()) Prefetch(cursor, items_[by_slot_[k + kAhead]].slot, window);
        RETURN_IF_ERROR(one(i, i - first));
      }
    }
    return {};
  }

  std::span<const uint32_t> reading_order() const override { return by_slot_; }
  base::Status ReadLastOf(std::span<const uint32_t> series, storage::Window window, storage::LastColumns* out) const override {
    out->times.assign(series.size(), model::kMinTimestamp);
    out->values.assign(series.size(), 0);
    out->histograms.clear();
    window = Narrow(window, window_);
    PageCursor cursor(view_->head()->table_);
    for (size_t k = 0; k < series.size(); ++k) {
      if (k % kLastRun == 0) cursor.Release();
      if (k + kAhead < series.size()) Prefetch(cursor, items_[series[k + kAhead]].slot, window);
      const Slot slot = items_[series[k]].slot;
      RETURN_IF_ERROR(ReadLastOf(*cursor.MoveTo(slot), SeriesTable::At(slot), k, window, out));
    }
    return {};
  }

 private:
  base::Status ReadLastOf(const SeriesPage& page, uint32_t at, size_t place, storage::Window window, storage::LastColumns* out) const {
    return tsdb::ReadLastOf(page, at, view_->visible(), view_->head()->chunk_files_.get(), window, place, out);
  }

  // Series whose chunks are on their way from memory while one is decoded.
  static constexpr size_t kAhead = 4;
  static void Prefetch(const PageCursor& cursor, Slot slot, storage::Window window) {
    const SeriesPage* page = cursor.Peek(slot);
    if (page == nullptr || page->last_t[SeriesTable::At(slot)] <= window.upto) return;
    const char* chunk = static_cast<const char*>(page->open[SeriesTable::At(slot)]);
    if (chunk == nullptr) return;
    for (int line = 0; line < 4; ++line) __builtin_prefetch(chunk + line * 64);
  }

  const std::shared_ptr<HeadView> view_;
  const storage::Window window_;
  const std::vector<Item> items_;
  const std::unique_ptr<std::atomic<const char*>[]> kept_;  // labels encoded when first asked for
  const std::vector<uint32_t> by_slot_;
  const size_t layers_;
};

// By symbols: texts are not looked at.
void HeadSeriesSet::GroupBy(std::span<const std::string> names, bool without, std::vector<uint32_t>* group_of) const {
  std::vector<index::Symbol> wanted;
  {
    Head* head = view_->head();
    const base::ReaderLock lock(&head->index_mu_);
    for (const std::string& name : names) {
      if (const std::optional<index::Symbol> symbol = head->symbols_.Find(name)) wanted.push_back(*symbol);
    }
  }
  group_of->clear();
  group_of->reserve(items_.size());
  absl::flat_hash_map<std::string, uint32_t> groups;
  std::string key, last;
  uint32_t group = 0;
  for (const Item& item : items_) {
    key.clear();
    for (const index::SymbolPair& pair : item.labels->span()) {
      const bool named = std::find(wanted.begin(), wanted.end(), pair.name) != wanted.end();
      if (named != without) key.append(reinterpret_cast<const char*>(&pair), sizeof pair);
    }
    // Neighbours in order of labels are often of one group.
    if (group_of->empty() || key != last) {
      group = groups.try_emplace(key, static_cast<uint32_t>(groups.size())).first->second;
      last = key;
    }
    group_of->push_back(group);
  }
}

// By ranks where these are up to date; they are not made for a small selection.
bool HeadQuerier::SortByRanks(Head* head, std::vector<HeadItem>* items, std::vector<uint32_t>* by_slot) {
  LabelOrder::RanksPtr ranks;
  {
    const base::ReaderLock lock(&head->index_mu_);
    if (head->order_.current()) ranks = head->order_.ranks();
  }
  if (!ranks) return false;
  std::vector<uint64_t> keys;  // rank and index into items
  keys.reserve(items->size());
  for (size_t i = 0; i < items->size(); ++i) {
    const Slot slot = (*items)[i].slot;
    const uint32_t rank = slot < ranks->of_slot.size() ? ranks->of_slot[slot] : LabelOrder::kNoRank;
    if (rank == LabelOrder::kNoRank) return false;
    keys.push_back(uint64_t{rank} << 32 | i);
  }
  std::sort(keys.begin(), keys.end());
  std::vector<HeadItem> sorted;
  sorted.reserve(items->size());
  for (const uint64_t key : keys) {
    const auto i = static_cast<uint32_t>(key);
    (*by_slot)[i] = static_cast<uint32_t>(sorted.size());
    sorted.push_back((*items)[i]);
  }
  *items = std::move(sorted);
  return true;
}

// Small selections compare labels; large ones look their places up.  Returns the new places of the items in
// their old order, that of slots.
std::vector<uint32_t> HeadQuerier::SortByLabels(Head* head, std::vector<HeadItem>* items) {
  std::vector<uint32_t> by_slot(items->size());
  constexpr size_t kSmall = 1024;
  if (items->size() <= kSmall) {
    if (SortByRanks(head, items, &by_slot)) return by_slot;
  } else {
    const LabelOrder::RanksPtr ranks = head->Ranks();
    std::vector<uint32_t> at(ranks->count, UINT32_MAX);  // by rank: index into items
    bool known = true;  // a series that was removed meanwhile has no rank any more
    for (size_t i = 0; i < items->size() && known; ++i) {
      const Slot slot = (*items)[i].slot;
      const uint32_t rank = slot < ranks->of_slot.size() ? ranks->of_slot[slot] : LabelOrder::kNoRank;
      known = rank != LabelOrder::kNoRank;
      if (known) at[rank] = static_cast<uint32_t>(i);
    }
    if (known) {
      std::vector<HeadItem> sorted;
      sorted.reserve(items->size());
      for (const uint32_t i : at) {
        if (i == UINT32_MAX) continue;
        by_slot[i] = static_cast<uint32_t>(sorted.size());
        sorted.push_back((*items)[i]);
      }
      *items = std::move(sorted);
      return by_slot;
    }
  }
  std::sort(items->begin(), items->end(),
            [head](const auto& a, const auto& b) { return head->CompareLabels(*a.labels, *b.labels) < 0; });
  std::iota(by_slot.begin(), by_slot.end(), 0);
  std::sort(by_slot.begin(), by_slot.end(), [&](uint32_t a, uint32_t b) { return (*items)[a].slot < (*items)[b].slot; });
  return by_slot;
}

bool HeadQuerier::Overlaps(storage::Window window) const {
  return view_->head()->max_time() > window.after && view_->head()->min_time() <= window.upto;
}

base::Result<std::unique_ptr<storage::SeriesSet>> HeadQuerier::Select(const storage::SelectHints& hints,
                                                                      std::span<const model::Matcher> matchers) {
  Head* head = view_->head();
  const storage::Window window = Narrow(hints.window, window_);
  std::vector<HeadItem> items;
  if (window.after < window.upto && Overlaps(window)) {
    std::vector<Slot> slots;
    {
      base::ReaderLock lock(&head->index_mu_);
      slots = head->postings_.Select(matchers);
    }
    items.reserve(slots.size());
    storage::SampleColumns scratch;
    PageCursor cursor(head->table_);
    for (const Slot slot : slots) {
      const SeriesPage* page = cursor.MoveTo(slot);
      const uint32_t at = SeriesTable::At(slot);
      const model::Timestamp last = page->last_t[at];
      if (last <= window.after && !page->has(at, SeriesPage::kOutOfOrder)) continue;
      if ((last > window.upto || last <= window.after) && MinTimeOf(*page, at) > window.upto) continue;
      if (!page->has(at, SeriesPage::kHasSamples) && !page->has(at, SeriesPage::kOutOfOrder)) continue;
      const bool deleted = page->has(at, SeriesPage::kDeleted);
      if (page->batch[at] > view_->visible() || !page->has(at, SeriesPage::kHasSamples) || deleted) {
        // Whether anything is visible takes a look.
        scratch.Clear();
        RETURN_IF_ERROR(ReadSlot(*page, at, deleted ? window : storage::Window{}, view_->visible(), view_->head()->chunk_files_.get(), &scratch));
        if (scratch.times.empty()) continue;
      }
      items.push_back({slot, page->labels[at]});
    }
  }
  std::vector<uint32_t> by_slot;
  if (hints.sorted) by_slot = SortByLabels(head, &items);
  if (hints.limit > 0 && items.size() > hints.limit) {
    items.resize(hints.limit);
    std::erase_if(by_slot, [&](uint32_t i) { return i >= hints.limit; });
  }
  return std::make_unique<HeadSeriesSet>(view_, window, std::move(items), std::move(by_slot));
}

base::Result<std::vector<std::string>> HeadQuerier::LabelNames(const storage::LabelQuery& query,
                                                               std::span<const model::Matcher> matchers) {
  Head* head = view_->head();
  std::vector<std::string> out;
  if (!Overlaps(Narrow(query.window, window_))) return out;
  base::ReaderLock lock(&head->index_mu_);
  if (matchers.empty()) {
    for (const std::string_view name : head->postings_.Names()) out.emplace_back(name);
  } else {
    absl::flat_hash_set<index::Symbol> names;
    for (const Slot slot : head->postings_.Select(matchers)) {
      for (const index::SymbolPair& p : head->LabelsOfSlot(slot)->span()) names.insert(p.name);
    }
    for (const index::Symbol s : names) out.emplace_back(head->symbols_.Text(s));
  }
  std::sort(out.begin(), out.end());
  if (query.limit > 0 && out.size() > query.limit) out.resize(query.limit);
  return out;
}

base::Result<std::vector<std::string>> HeadQuerier::LabelValues(std::string_view name, const storage::LabelQuery& query,
                                                                std::span<const model::Matcher> matchers) {
  Head* head = view_->head();
  std::vector<std::string> out;
  if (!Overlaps(Narrow(query.window, window_))) return out;
  base::ReaderLock lock(&head->index_mu_);
  if (matchers.empty()) {
    for (const std::string_view value : head->postings_.ValuesOf(name)) out.emplace_back(value);
  } else if (const std::optional<index::Symbol> symbol = head->symbols_.Find(name)) {
    absl::flat_hash_set<index::Symbol> values;
    for (const Slot slot : head->postings_.Select(matchers)) {
      for (const index::SymbolPair& p : head->LabelsOfSlot(slot)->span()) {
        if (p.name == *symbol) values.insert(p.value);
      }
    }
    for (const index::Symbol s : values) out.emplace_back(head->symbols_.Text(s));
  }
  std::sort(out.begin(), out.end());
  if (query.limit > 0 && out.size() > query.limit) out.resize(query.limit);
  return out;
}

std::unique_ptr<storage::Querier> Head::NewQuerier(storage::Window window) {
  return std::make_unique<HeadQuerier>(this, window);
}

}  // namespace tocsin::tsdb
