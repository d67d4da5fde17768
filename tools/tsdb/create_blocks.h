#pragma once

// Blocks made of samples from elsewhere: `tsdb create-blocks-from openmetrics|rules`.
//
// Threads: one.
// Memory:  16 bytes a sample that was added and not yet written.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/file_system.h"
#include "base/result.h"
#include "base/time.h"
#include "model/labels.h"
#include "model/sample.h"
#include "tools/tool.h"
#include "tools/tsdb/data_folder.h"

namespace tocsin::tools {

inline constexpr int64_t kDefaultBlockMs = 2 * 3600 * 1000;

// The longest of 2h, 6h, 18h ... (ten of them) that is not above `wanted`; at least 2h.
int64_t CompatibleBlockDuration(base::Duration wanted);

// The start of the block range that holds t.
model::Timestamp BlockStart(model::Timestamp t, int64_t block_ms);

// Samples of one block's range, in any order.
class BlockBuilder {
 public:
  void Add(const model::Labels& labels, model::Timestamp t, double v) { Add(SeriesOf(labels), t, v); }
  // The number of a series, to add to it without another look-up.
  size_t SeriesOf(const model::Labels& labels);
  void Add(size_t series, model::Timestamp t, double v) { series_[series].samples.push_back({t, v}); }
  // Whether no sample was added.
  bool empty() const;

  // Writes the samples as a block in `parent` and forgets them.  Of several samples of a series at one time the
  // first counts; `*repeated` is raised by the others.  Returns the folder.  REQUIRES: !empty().
  base::Result<std::string> Write(base::FileSystem* fs, const std::string& parent, base::Time now, int64_t block_ms,
                                  uint64_t* repeated);

 private:
  struct Series {
    model::Labels labels;
    std::vector<model::Sample> samples;
  };
  std::vector<Series> series_;
  absl::flat_hash_map<model::Labels, size_t, model::LabelsHash, model::LabelsEqual> numbers_;
};

// Prints blocks as they are made, the table's header before the first.
class BlockPrinter {
 public:
  BlockPrinter(const ToolIo& io, bool quiet, bool human) : io_(io), quiet_(quiet), human_(human) {}
  base::Status Print(const std::string& folder);

 private:
  const ToolIo& io_;
  const bool quiet_;
  const bool human_;
  bool header_ = true;
};

}  // namespace tocsin::tools
