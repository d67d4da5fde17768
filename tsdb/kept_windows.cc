#include "tsdb/kept_windows.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "tsdb/head_querier.h"

namespace tocsin::tsdb {
namespace {

// The narrowest table; five minutes at one sample in 15 s take 20.
constexpr uint32_t kLeastSamples = 8;

std::string_view OpenBytes(const OpenChunk& c) {
  return {reinterpret_cast<const char*>(c.bytes), (c.state.bits + 7) / 8};
}

}  // namespace

void KeptWindows::Rearrange(const std::vector<uint32_t>& from) {
  count_ = from.size();
  if (rows_.empty()) return;
  KeptWindows before;
  std::swap(before.rows_, rows_);
  std::swap(before.places_, places_);
  std::swap(before.times_, times_);
  std::swap(before.values_, values_);
  before.stride_ = stride_;
  long_rows_ = 0;
  if (StrideFor(stride_) == 0) {  // more rows than before
    Clear();
    return;
  }
  rows_.resize(count_);
  places_.resize(count_);
  times_.resize(count_ * stride_);
  values_.resize(count_ * stride_);
  for (size_t i = 0; i < count_; ++i) {
    if (from[i] == kNew) continue;
    rows_[i] = before.rows_[from[i]];
    places_[i] = before.places_[from[i]];
    long_rows_ += places_[i].too_long ? 1 : 0;
    std::copy_n(before.times_of(from[i]), stride_, times_.data() + i * stride_);
    std::copy_n(before.values_of(from[i]), stride_, values_.data() + i * stride_);
  }
}

void KeptWindows::Clear() {
  const size_t count = count_;
  *this = KeptWindows();
  count_ = count;
}

uint32_t KeptWindows::StrideFor(uint32_t samples) const {
  const uint32_t stride = std::min(std::bit_ceil(std::max(samples, kLeastSamples)), kMostSamples);
  return count_ * stride * (sizeof(model::Timestamp) + sizeof(double)) > kMostBytes ? 0 : stride;
}

void KeptWindows::Begin(model::Timestamp after) {
  after_ = after;
  if (wanted_ <= stride_ || count_ == 0) return;
  // Rows are filled again: it happens a few times in a table's life.
  const uint32_t stride = StrideFor(wanted_);
  if (stride == 0) {
    wanted_ = stride_;
    return;
  }
  long_rows_ = 0;
  stride_ = stride;
  rows_.assign(count_, Row());
  places_.assign(count_, Place());
  times_.assign(count_ * stride_, 0);
  values_.assign(count_ * stride_, 0);
}

base::Status KeptWindows::Read(size_t row, const SeriesPage& page, uint32_t at, const View& view,
                               storage::Window window, storage::SampleColumns* out) {
  ASSIGN_OR_RETURN(const bool kept, Bring(row, page, at, view, window));
  if (!kept) {
    if (page.last_t[at] <= window.after && !page.has(at, SeriesPage::kOutOfOrder)) return {};
    return ReadSlot(page, at, window, view.visible, view.files, out);
  }
  const Row& r = rows_[row];
  const model::Timestamp* t = times_of(row);
  const double* v = values_of(row);
  size_t first = r.begin, last = r.end;
  if (window.after > r.after) first = static_cast<size_t>(std::upper_bound(t + first, t + last, window.after) - t);
  if (t[last - 1] > window.upto) last = static_cast<size_t>(std::upper_bound(t + first, t + last, window.upto) - t);
  out->times.insert(out->times.end(), t + first, t + last);
  out->values.insert(out->values.end(), v + first, v + last);
  return {};
}

base::Status KeptWindows::ReadLast(size_t row, const SeriesPage& page, uint32_t at, const View& view,
                                   storage::Window window, size_t place, storage::LastColumns* out) {
  const model::Timestamp newest = page.last_t[at];
  const bool in_column = newest > window.after && newest <= window.upto && page.batch[at] <= view.visible;
  if (in_column || newest <= window.after) return ReadLastOf(page, at, view.visible, view.files, window, place, out);
  ASSIGN_OR_RETURN(const bool kept, Bring(row, page, at, view, window));
  if (!kept) return ReadLastOf(page, at, view.visible, view.files, window, place, out);
  const Row& r = rows_[row];
  const model::Timestamp* t = times_of(row);
  size_t last = r.end;  // what is too late stands at the end
  while (last > r.begin && t[last - 1] > window.upto) --last;
  if (last == r.begin || t[last - 1] <= window.after) return {};
  out->times[place] = t[last - 1];
  std::memcpy(&out->values[place], values_of(row) + last - 1, sizeof(double));
  return {};
}

base::Result<bool> KeptWindows::Bring(size_t row, const SeriesPage& page, uint32_t at, const View& view,
                                      storage::Window window) {
  if (rows_.empty()) {
    wanted_ = std::max(wanted_, kLeastSamples);
    return false;
  }
  Row& r = rows_[row];
  const bool good = r.edits == page.edits[at] && r.after <= after_ && r.begin < r.end;
  // The last sample is known, and visible to this reader too; late ones raise the edit count.
  if (good && times_of(row)[r.end - 1] == page.last_t[at] && page.batch[at] <= view.visible && window.after >= after_)
      [[likely]] {
    const model::Timestamp* t = times_of(row);
    while (r.begin < r.end && t[r.begin] <= after_) ++r.begin;
    r.after = after_;
    return r.begin < r.end;
  }
  Place& place = places_[row];
  if (place.too_long || window.after < after_ || page.open[at] == nullptr || page.last_t[at] <= after_ ||
      page.has(at, SeriesPage::kHistogramRun) || page.has(at, SeriesPage::kDeleted) || page.has(at, SeriesPage::kOutOfOrder) ||
      HiddenSamples(page, at, view.visible) > 0 || HasOpenStarts(page, at)) {
    return false;
  }
  thread_local storage::SampleColumns fresh;
  fresh.Clear();
  bool extended = false;
  if (good) {
    // The row goes on from its place only when all was read: an error half way leaves both as they are.
    Place next = place;
    ASSIGN_OR_RETURN(extended, Extend(page, at, view.files, &next, &fresh));
    if (extended) place = next;
  }
  if (!extended) {
    r = Row();
    fresh.Clear();
    ASSIGN_OR_RETURN(const bool plain, Fill(page, at, after_, view.files, &place, &fresh));
    if (!plain) return false;
  }
  r.after = after_;
  r.edits = page.edits[at];
  if (Put(row, fresh)) return true;
  r = Row();
  return false;
}

bool KeptWindows::Put(size_t row, const storage::SampleColumns& fresh) {
  Row& r = rows_[row];
  model::Timestamp* t = times_.data() + row * stride_;
  double* v = values_.data() + row * stride_;
  while (r.begin < r.end && t[r.begin] <= r.after) ++r.begin;
  const auto first = static_cast<size_t>(std::upper_bound(fresh.times.begin(), fresh.times.end(), r.after) -
                                         fresh.times.begin());
  const size_t more = fresh.times.size() - first;
  const size_t total = r.end - r.begin + more;
  if (total > stride_) {
    if (total > kMostSamples || StrideFor(static_cast<uint32_t>(total)) == 0) {
      places_[row].too_long = true;
      ++long_rows_;
    } else {
      // With some room, so that a row is moved to its front now and then only.
      wanted_ = std::max(wanted_, static_cast<uint32_t>(std::min<size_t>(total + total / 4, kMostSamples)));
    }
    return false;
  }
  if (r.end + more > stride_) {
    std::memmove(t, t + r.begin, (r.end - r.begin) * sizeof *t);
    std::memmove(v, v + r.begin, (r.end - r.begin) * sizeof *v);
    r.end = static_cast<uint16_t>(r.end - r.begin);
    r.begin = 0;
  }
  std::copy(fresh.times.begin() + static_cast<ptrdiff_t>(first), fresh.times.end(), t + r.end);
  std::memcpy(v + r.end, fresh.values.data() + first, more * sizeof *v);  // a stale marker keeps its bits
  r.end = static_cast<uint16_t>(r.end + more);
  return r.begin < r.end;
}

base::Result<bool> KeptWindows::Fill(const SeriesPage& page, uint32_t at, model::Timestamp after,
                                     const HeadChunks* files, Place* place, storage::SampleColumns* fresh) {
  const std::span<const SealedChunk> sealed = page.sealed_of(at);
  size_t first = sealed.size();
  while (first > 0 && sealed[first - 1].maxt() > after) --first;
  for (const SealedChunk& c : sealed.subspan(first)) {
    if (c.encoding != chunk::Encoding::kXor) return false;
    chunk::XorCursor cursor;
    ASSIGN_OR_RETURN(const std::string_view bytes, BytesOf(c, files));
    RETURN_IF_ERROR(chunk::ContinueXor(bytes, c.count, &cursor, &fresh->times, &fresh->values));
  }
  const OpenChunk& c = *page.xor_chunk(at);
  place->cursor = {};
  place->chunk_mint = c.mint;
  RETURN_IF_ERROR(chunk::ContinueXor(OpenBytes(c), c.state.count, &place->cursor, &fresh->times, &fresh->values));
  return true;
}

base::Result<bool> KeptWindows::Extend(const SeriesPage& page, uint32_t at, const HeadChunks* files, Place* place,
                                       storage::SampleColumns* fresh) {
  const OpenChunk& open = *page.xor_chunk(at);
  if (open.mint != place->chunk_mint) {
    // The chunk was sealed: its rest first, then those that followed it.
    const std::span<const SealedChunk> sealed = page.sealed_of(at);
    size_t i = sealed.size();
    while (i > 0 && sealed[i - 1].mint > place->chunk_mint) --i;
    if (i == 0 || sealed[i - 1].mint != place->chunk_mint) return false;
    for (const SealedChunk& c : sealed.subspan(i - 1)) {
      if (c.encoding != chunk::Encoding::kXor) return false;
      ASSIGN_OR_RETURN(const std::string_view bytes, BytesOf(c, files));
      RETURN_IF_ERROR(chunk::ContinueXor(bytes, c.count, &place->cursor, &fresh->times, &fresh->values));
      place->cursor = {};
    }
    place->chunk_mint = open.mint;
  }
  RETURN_IF_ERROR(chunk::ContinueXor(OpenBytes(open), open.state.count, &place->cursor, &fresh->times, &fresh->values));
  return true;
}

}  // namespace tocsin::tsdb
