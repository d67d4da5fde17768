#pragma once

// Decoded samples of the series of a kept set, kept from one evaluation to the next: a window that moves on
// costs a decode of what was appended since, and a copy, instead of a decode of its chunks.
//
// Kept are plain float series whose samples are all visible, up to kMostSamples each: 16 bytes a sample and
// about 130 a series.  Others are read from their chunks.  A row holds as long as the series' edit count is
// what it was.
//
// Threads: rows are independent; several threads may read different ones at once.
// REQUIRES for Read(): the page's mutex is held.

#include <atomic>
#include <limits>
#include <vector>

#include "storage/queryable.h"
#include "tsdb/chunk/xor.h"
#include "tsdb/series_table.h"

namespace tocsin::tsdb {

class KeptWindows {
 public:
  static constexpr uint32_t kNew = UINT32_MAX;
  // Longer windows are not kept: decoding them is paid for by what is computed from them.
  static constexpr size_t kMostSamples = 160;

  // There are as many rows as `from` has entries; each is what row from[i] was, or new.
  void Rearrange(const std::vector<uint32_t>& from);
  // An evaluation begins that looks at nothing at or before `after`.
  void Begin(model::Timestamp after);

  // Appends the samples of the window to `out` (offsets are the caller's), as ReadSlot() does.
  base::Status Read(size_t row, const SeriesPage& page, uint32_t at, uint64_t visible, const HeadChunks* files,
                    storage::Window window, storage::SampleColumns* out);

 private:
  struct Row {
    std::vector<model::Timestamp> times;  // from `begin` on: all later than `after`
    std::vector<double> values;
    uint32_t begin = 0;
    uint32_t edits = 0;
    model::Timestamp after = std::numeric_limits<model::Timestamp>::max();  // nothing is kept
    model::Timestamp chunk_mint = 0;  // of the chunk that the cursor is in
    chunk::XorCursor cursor;
    bool too_long = false;
  };

  static base::Status Fill(const SeriesPage& page, uint32_t at, model::Timestamp after, const HeadChunks* files,
                           Row* row);
  // Adds what was appended; false: the cursor's chunk is gone.
  static base::Result<bool> Extend(const SeriesPage& page, uint32_t at, const HeadChunks* files, Row* row);
  static void Forget(model::Timestamp after, Row* row);

  size_t count_ = 0;
  model::Timestamp after_ = model::kMinTimestamp;
  std::atomic<bool> wanted_{false};  // windows are read at all
  std::vector<Row> rows_;            // empty, or count_
};

}  // namespace tocsin::tsdb
