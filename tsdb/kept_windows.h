#pragma once

// Decoded samples of the series of a kept set, kept from one evaluation to the next: a window that moves on
// costs a decode of what was appended since, and a copy, instead of a decode of its chunks.
//
// Kept are plain float series whose samples are all visible, up to kMostSamples each.  Others are read from
// their chunks.  A row holds as long as the series' edit count is what it was.  All rows stand in one table, so
// that an evaluation walks along memory: 16 bytes a sample of the longest row, rounded up to a power of two, and 72;
// kMostBytes in all.  Where longer rows would take more they are not kept.
//
// Threads: one at a time.  REQUIRES for reads: the page's mutex is held.

#include <vector>

#include "storage/queryable.h"
#include "tsdb/chunk/xor.h"
#include "tsdb/series_table.h"

namespace tocsin::tsdb {

class KeptWindows {
 public:
  static constexpr uint32_t kNew = UINT32_MAX;
  // Longer windows are not kept: decoding them is paid for by what is computed from them.
  static constexpr uint32_t kMostSamples = 128;
  static constexpr size_t kMostBytes = 64 << 20;

  // There are as many rows as `from` has entries; each is what row from[i] was, or new.
  void Rearrange(const std::vector<uint32_t>& from);
  // Nothing at or before `after` is looked at any more, but by ReadSlot().
  void Begin(model::Timestamp after);
  // Whether what Begin() asks for is more than can be kept of most rows.
  bool too_long() const { return long_rows_ * 2 > count_; }
  // Forgets everything.
  void Clear();

  // What a reader of the head sees, and where sealed chunks are.
  struct View {
    uint64_t visible = 0;
    const HeadChunks* files = nullptr;
  };
  // Appends the samples of the window to `out` (offsets are the caller's), as ReadSlot() does.
  base::Status Read(size_t row, const SeriesPage& page, uint32_t at, const View& view, storage::Window window,
                    storage::SampleColumns* out);
  // The newest sample of the window, as ReadLastOf() does.
  base::Status ReadLast(size_t row, const SeriesPage& page, uint32_t at, const View& view, storage::Window window,
                        size_t place, storage::LastColumns* out);

 private:
  // What every read looks at.
  struct Row {
    model::Timestamp after = model::kMaxTimestamp;  // all later samples are kept; kMaxTimestamp: the row is empty
    uint32_t edits = 0;
    uint16_t begin = 0;  // of its part of the table
    uint16_t end = 0;
  };
  static_assert(sizeof(Row) == 16);
  // What it takes to go on.
  struct Place {
    model::Timestamp chunk_mint = 0;  // of the chunk that the cursor is in
    chunk::XorCursor cursor;
    bool too_long = false;
  };

  const model::Timestamp* times_of(size_t row) const { return times_.data() + row * stride_; }
  const double* values_of(size_t row) const { return values_.data() + row * stride_; }

  // Brings a row up to date.  False: it is not kept.
  base::Result<bool> Bring(size_t row, const SeriesPage& page, uint32_t at, const View& view, storage::Window window);
  // Appends what the row's chunks have beyond its cursor to fresh_.  False: the cursor's chunk is gone.
  static base::Result<bool> Extend(const SeriesPage& page, uint32_t at, const HeadChunks* files, Place* place,
                                   storage::SampleColumns* fresh);
  static base::Result<bool> Fill(const SeriesPage& page, uint32_t at, model::Timestamp after, const HeadChunks* files,
                                 Place* place, storage::SampleColumns* fresh);
  // The width of a table with room for so many samples in each row; 0: it would be too large.
  uint32_t StrideFor(uint32_t samples) const;
  // Puts samples behind those of the row; false: they do not fit.
  bool Put(size_t row, const storage::SampleColumns& fresh);

  size_t count_ = 0;
  uint32_t stride_ = 0;
  model::Timestamp after_ = model::kMinTimestamp;
  // Samples that a row needs, as far as was seen: the table is made, or made wider, by the next Begin().
  uint32_t wanted_ = 0;
  size_t long_rows_ = 0;
  std::vector<Row> rows_;      // empty: nothing is kept, else count_
  std::vector<Place> places_;  // likewise
  std::vector<model::Timestamp> times_;
  std::vector<double> values_;
};

}  // namespace tocsin::tsdb
