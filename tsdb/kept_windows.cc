#include "tsdb/kept_windows.h"

#include <algorithm>

namespace tocsin::tsdb {
namespace {

std::string_view OpenBytes(const OpenChunk& c) {
  return {reinterpret_cast<const char*>(c.bytes), (c.state.bits + 7) / 8};
}

}  // namespace

void KeptWindows::Rearrange(const std::vector<uint32_t>& from) {
  count_ = from.size();
  if (rows_.empty()) return;
  std::vector<Row> rows(count_);
  for (size_t i = 0; i < count_; ++i) {
    if (from[i] != kNew) rows[i] = std::move(rows_[from[i]]);
  }
  rows_ = std::move(rows);
}

void KeptWindows::Begin(model::Timestamp after) {
  after_ = after;
  if (rows_.empty() && wanted_.load(std::memory_order_relaxed)) rows_.resize(count_);
}

base::Status KeptWindows::Read(size_t row, const SeriesPage& page, uint32_t at, uint64_t visible,
                               const HeadChunks* files, storage::Window window, storage::SampleColumns* out) {
  const bool late = page.has(at, SeriesPage::kOutOfOrder);
  if (page.last_t[at] <= window.after && !late) return {};
  if (rows_.empty() || rows_[row].too_long || late || HiddenSamples(page, at, visible) > 0 || page.has(at, SeriesPage::kDeleted) ||
      page.has(at, SeriesPage::kHistogramRun) ||
      page.open[at] == nullptr || window.after < after_) [[unlikely]] {
    if (rows_.empty()) wanted_.store(true, std::memory_order_relaxed);
    return ReadSlot(page, at, window, visible, files, out);
  }
  Row& r = rows_[row];
  bool good = r.edits == page.edits[at] && r.after <= after_;
  if (good && (r.times.empty() || page.last_t[at] != r.times.back())) {
    ASSIGN_OR_RETURN(good, Extend(page, at, files, &r));
  }
  if (!good) RETURN_IF_ERROR(Fill(page, at, after_, files, &r));
  Forget(after_, &r);
  if (r.too_long) [[unlikely]] return ReadSlot(page, at, window, visible, files, out);
  const auto first = std::upper_bound(r.times.begin() + r.begin, r.times.end(), window.after);
  const auto last = r.times.back() <= window.upto ? r.times.end() : std::upper_bound(first, r.times.end(), window.upto);
  out->times.insert(out->times.end(), first, last);
  out->values.insert(out->values.end(), r.values.begin() + (first - r.times.begin()),
                     r.values.begin() + (last - r.times.begin()));
  return {};
}

base::Status KeptWindows::Fill(const SeriesPage& page, uint32_t at, model::Timestamp after, const HeadChunks* files, Row* row) {
  row->times.clear();
  row->values.clear();
  row->begin = 0;
  row->edits = page.edits[at];
  row->after = after;
  row->cursor = {};
  const std::span<const SealedChunk> sealed = page.sealed_of(at);
  size_t first = sealed.size();
  while (first > 0 && sealed[first - 1].maxt() > after) --first;
  for (const SealedChunk& c : sealed.subspan(first)) {
    if (c.encoding != chunk::Encoding::kXor) {
      row->too_long = true;  // it had histograms: read as it stands
      return {};
    }
    row->cursor = {};
    ASSIGN_OR_RETURN(const std::string_view bytes, BytesOf(c, files));
    RETURN_IF_ERROR(chunk::ContinueXor(bytes, c.count, &row->cursor, &row->times, &row->values));
    Forget(after, row);
    if (row->too_long) return {};
  }
  const OpenChunk& c = *page.xor_chunk(at);
  row->cursor = {};
  row->chunk_mint = c.mint;
  return chunk::ContinueXor(OpenBytes(c), c.state.count, &row->cursor, &row->times, &row->values);
}

base::Result<bool> KeptWindows::Extend(const SeriesPage& page, uint32_t at, const HeadChunks* files, Row* row) {
  const OpenChunk& open = *page.xor_chunk(at);
  if (open.mint != row->chunk_mint) {
    // The chunk was sealed: its rest first, then those that followed it.
    const std::span<const SealedChunk> sealed = page.sealed_of(at);
    size_t i = sealed.size();
    while (i > 0 && sealed[i - 1].mint > row->chunk_mint) --i;
    if (i == 0 || sealed[i - 1].mint != row->chunk_mint) return false;
    for (const SealedChunk& c : sealed.subspan(i - 1)) {
      if (c.encoding != chunk::Encoding::kXor) return false;
      ASSIGN_OR_RETURN(const std::string_view bytes, BytesOf(c, files));
      RETURN_IF_ERROR(chunk::ContinueXor(bytes, c.count, &row->cursor, &row->times, &row->values));
      row->cursor = {};
    }
    row->chunk_mint = open.mint;
  }
  RETURN_IF_ERROR(chunk::ContinueXor(OpenBytes(open), open.state.count, &row->cursor, &row->times, &row->values));
  return true;
}

void KeptWindows::Forget(model::Timestamp after, Row* row) {
  while (row->begin < row->times.size() && row->times[row->begin] <= after) ++row->begin;
  row->after = std::max(row->after, after);
  if (row->begin >= 32) {
    row->times.erase(row->times.begin(), row->times.begin() + row->begin);
    row->values.erase(row->values.begin(), row->values.begin() + row->begin);
    row->begin = 0;
  }
  if (row->times.size() - row->begin > kMostSamples) {
    *row = Row();
    row->too_long = true;
  }
}

}  // namespace tocsin::tsdb
