#pragma once

// How far long work of a database is, for pages and logs.
//
// Threads: the work's own thread writes; any reads, also while Db::Open() runs.

#include <atomic>
#include <cstdint>

#include "model/sample.h"

namespace tocsin::tsdb {

// Segment numbers of the log that is read at the start.
struct WalReplayProgress {
  std::atomic<int> min{0};
  std::atomic<int> max{0};
  std::atomic<int> current{0};
};

// The block that is made now.
struct CompactionProgress {
  enum class Source : uint8_t { kNone, kHead, kBlocks };  // kNone: nothing is
  std::atomic<Source> source{Source::kNone};
  std::atomic<model::Timestamp> min_time{0};  // of the block
  std::atomic<model::Timestamp> max_time{0};
  std::atomic<uint64_t> series{0};     // read so far; a series of two blocks counts twice
  std::atomic<uint64_t> of_series{0};
};

struct Progress {
  WalReplayProgress replay;
  CompactionProgress compaction;
};

}  // namespace tocsin::tsdb
