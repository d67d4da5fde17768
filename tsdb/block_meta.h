#pragma once

// A block's meta.json, its tombstones file, and names of blocks (ULIDs).
//
// Threads: plain values and pure functions.

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "model/sample.h"

namespace tocsin::tsdb {

struct BlockMeta {
  struct Parent {
    std::string ulid;
    model::Timestamp min_time = 0;
    model::Timestamp max_time = 0;
  };
  std::string ulid;
  model::Timestamp min_time = 0;  // [min_time, max_time)
  model::Timestamp max_time = 0;
  uint64_t samples = 0;
  uint64_t float_samples = 0;
  uint64_t histogram_samples = 0;
  uint64_t series = 0;
  uint64_t chunks = 0;
  uint64_t tombstones = 0;
  int level = 1;
  bool deletable = false;
  bool failed = false;
  std::vector<std::string> sources;
  std::vector<Parent> parents;
  std::vector<std::string> hints;
  int version = 1;

  bool Has(std::string_view hint) const;
};

// Hints of Prometheus.  Blocks of late samples, and of series that went stale while others go on, say nothing about
// how far the head's samples have come into blocks.
inline constexpr std::string_view kFromOutOfOrder = "from-out-of-order";
inline constexpr std::string_view kFromStaleSeries = "from-stale-series";
inline constexpr std::string_view kFromSelectedSeries = "from-selected-series";

// Errors: kDataLoss: not JSON, a field of the wrong kind, a version other than 1 (2 comes from a
// broken release: see RepairIndexVersion in block.h).
base::Result<BlockMeta> ParseBlockMeta(std::string_view json);
std::string FormatBlockMeta(const BlockMeta& meta);

// 26 characters of Crockford's base 32: 48 bits of ms, 80 bits that tell blocks of one ms apart, drawn
// from `salt` and a counter of the process.
std::string MakeUlid(int64_t unix_ms, std::string_view salt);
bool IsUlid(std::string_view name);

struct Interval {
  model::Timestamp mint = 0;  // both inclusive
  model::Timestamp maxt = 0;
  friend bool operator==(const Interval&, const Interval&) = default;
};
using Intervals = std::vector<Interval>;  // by time, apart from each other

// Joins an interval with those that touch it.
void AddInterval(Intervals* intervals, Interval add);
bool Covers(const Intervals& intervals, model::Timestamp mint, model::Timestamp maxt);

// Deleted stretches by series id: `magic(4) version(1) { u id, v mint, v maxt }* crc(4)`, the crc of the
// entries.
using Tombstones = std::map<uint64_t, Intervals>;
base::Result<Tombstones> ParseTombstones(std::string_view file);
std::string FormatTombstones(const Tombstones& tombstones);

}  // namespace tocsin::tsdb
