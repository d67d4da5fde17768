#pragma once

// The head's samples of a stretch of time as chunks, in order of labels: what a block is cut from.
//
// Threads: one; the head goes on meanwhile.  What is committed later than the export's beginning is not in it.

#include <memory>
#include <string_view>
#include <vector>

#include "tsdb/block_writer.h"
#include "tsdb/head_querier.h"

namespace tocsin::tsdb {

class HeadExport {
 public:
  // Samples in [mint, maxt).
  HeadExport(Head* head, model::Timestamp mint, model::Timestamp maxt);

  size_t size() const { return items_.size(); }
  // Every name and value, sorted; they live as long as the export.
  std::vector<std::string_view> Symbols() const;
  void Labels(size_t i, std::string* encoded) const;
  // Appends the chunks of series i; none when its samples are not visible.
  base::Status Chunks(size_t i, std::vector<ChunkOut>* out) const;

 private:
  struct Item {
    Slot slot;
    const SeriesLabels* labels;
  };
  HeadView view_;
  const model::Timestamp mint_, maxt_;
  std::vector<Item> items_;
};

}  // namespace tocsin::tsdb
