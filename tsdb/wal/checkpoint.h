#pragma once

// Checkpoints: folders `checkpoint.<8 digits>` in the log's folder that stand for the segments up to
// their number, holding only what is still needed.  And the repair of a damaged log before it is read.
//
// Threads: blocking; the caller keeps others from truncating the same folder.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "model/sample.h"
#include "storage/appender.h"
#include "tsdb/wal/segment.h"

namespace tocsin::tsdb::wal {

struct CheckpointRef {
  std::string path;
  int index = -1;  // of the last segment it stands for
};

// The newest checkpoint, if any.  Leftovers `*.tmp` are ignored.
base::Result<std::optional<CheckpointRef>> LastCheckpoint(base::FileSystem* fs, const std::string& folder);

struct CheckpointStats {
  uint64_t series = 0, dropped_series = 0;
  uint64_t samples = 0, dropped_samples = 0;
  uint64_t tombstones = 0, dropped_tombstones = 0;
  uint64_t exemplars = 0, dropped_exemplars = 0;
};

struct CheckpointFilter {
  // From when on the samples of a series are kept; nullopt: the series and all that is of it go.
  std::function<std::optional<model::Timestamp>(storage::SeriesRef)> keep_from;
  // Tombstones and exemplars that end before these go.
  model::Timestamp tombstones_from = model::kMinTimestamp;
  model::Timestamp exemplars_from = model::kMinTimestamp;
  // Whether start times are kept, which older versions of Prometheus cannot read.
  bool start_times = false;
};

// Writes the checkpoint of the last checkpoint and segments up to `last`, keeping what the filter says, syncs it
// and puts it in place.  Records that cannot be read are left out; repair them before.
base::Result<CheckpointStats> WriteCheckpoint(base::FileSystem* fs, const std::string& folder, int last,
                                              const CheckpointFilter& filter, Compression compression);

// Removes checkpoints before `index`.
base::Status RemoveCheckpoints(base::FileSystem* fs, const std::string& folder, int index);

// What RepairSegment found and did.
struct Repair {
  std::string kept_in;   // path of the damaged original; empty for a torn end, which is cut
  std::vector<Damage> damage;
};

// Makes a segment readable from end to end.  The torn end of a `last` segment is cut.  A segment
// damaged elsewhere is kept in the folder `damaged`, and what can be read of it written in its place.
// What stands before `from`, where a record begins, is neither read nor moved.
base::Result<Repair> RepairSegment(base::FileSystem* fs, const std::string& path, const std::string& damaged,
                                   bool last, uint64_t from = 0);

}  // namespace tocsin::tsdb::wal
