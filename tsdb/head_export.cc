#include "tsdb/head_export.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "tsdb/chunk/histogram_chunk.h"
#include "tsdb/page_cursor.h"

namespace tocsin::tsdb {

HeadExport::HeadExport(Head* head, model::Timestamp mint, model::Timestamp maxt) : view_(head), mint_(mint), maxt_(maxt) {
  std::vector<Slot> slots;
  {
    base::ReaderLock lock(&head->index_mu_);
    slots = head->postings_.Select({});
  }
  {
    PageCursor cursor(head->table_);
    for (const Slot slot : slots) {
      const SeriesPage* page = cursor.MoveTo(slot);
      const uint32_t at = SeriesTable::At(slot);
      if (MinTimeOf(*page, at) < maxt && MaxTimeOf(*page, at) >= mint) {
        items_.push_back({slot, page->labels[at]});
      }
    }
  }
  std::sort(items_.begin(), items_.end(),
            [head](const Item& a, const Item& b) { return head->CompareLabels(*a.labels, *b.labels) < 0; });
}

std::vector<std::string_view> HeadExport::Symbols() const {
  absl::flat_hash_set<index::Symbol> symbols;
  for (const Item& item : items_) {
    for (const index::SymbolPair& p : item.labels->span()) {
      symbols.insert(p.name);
      symbols.insert(p.value);
    }
  }
  std::vector<std::string_view> out;
  out.reserve(symbols.size());
  for (const index::Symbol s : symbols) out.push_back(view_.head()->symbols_.Text(s));
  std::sort(out.begin(), out.end());
  return out;
}

void HeadExport::Labels(size_t i, std::string* encoded) const {
  encoded->clear();
  view_.head()->EncodeLabels(*items_[i].labels, encoded);
}

base::Status HeadExport::Chunks(size_t i, std::vector<ChunkOut>* out) const {
  const Slot slot = items_[i].slot;
  PageCursor cursor(view_.head()->table_);
  const SeriesPage& page = *cursor.MoveTo(slot);
  const uint32_t at = SeriesTable::At(slot);
  const HeadChunks* files = view_.head()->chunk_files_.get();
  const std::span<const SealedChunk> sealed = page.sealed_of(at);

  // Whole chunks are copied as they are.
  bool whole = HiddenSamples(page, at, view_.visible()) == 0 && !page.has(at, SeriesPage::kOutOfOrder) &&
               !page.has(at, SeriesPage::kDeleted);
  const auto inside = [&](model::Timestamp first, model::Timestamp last) { return first >= mint_ && last < maxt_; };
  const auto outside = [&](model::Timestamp first, model::Timestamp last) { return last < mint_ || first >= maxt_; };
  for (size_t k = 0; whole && k < sealed.size(); ++k) {
    whole = inside(sealed[k].mint, sealed[k].maxt()) || outside(sealed[k].mint, sealed[k].maxt());
  }
  const bool is_run = page.has(at, SeriesPage::kHistogramRun);
  model::Timestamp open_first = model::kMaxTimestamp;
  if (page.open[at] != nullptr) open_first = is_run ? page.run(at)->times.front() : page.xor_chunk(at)->mint;
  const bool open_in = page.open[at] != nullptr && inside(open_first, page.last_t[at]);
  whole = whole && (page.open[at] == nullptr || open_in || outside(open_first, page.last_t[at]));
  if (!whole) {
    storage::SampleColumns samples;
    const model::Timestamp after = mint_ == model::kMinTimestamp ? mint_ : mint_ - 1;
    RETURN_IF_ERROR(ReadSlot(page, at, {after, maxt_ - 1}, view_.visible(), files, &samples));
    cursor.Release();
    std::vector<ChunkOut> chunks = EncodeChunks(samples, view_.head()->chunk_range_ms());
    std::move(chunks.begin(), chunks.end(), std::back_inserter(*out));
    return {};
  }
  for (const SealedChunk& c : sealed) {
    if (!inside(c.mint, c.maxt())) continue;
    ASSIGN_OR_RETURN(const std::string_view bytes, BytesOf(c, files));
    out->push_back({c.mint, c.maxt(), c.count, c.encoding, std::string(bytes)});
  }
  if (!open_in) return {};
  std::string made;
  const EncodedOpen open = EncodeOpen(page, at, &made);
  std::string data = made.empty() ? std::string(open.data) : std::move(made);
  out->push_back({open_first, page.last_t[at], open.count, open.encoding, std::move(data)});
  return {};
}

}  // namespace tocsin::tsdb
