#pragma once

// Several stores read as one: the head and its blocks, a local and a remote store.  Series with equal
// labels become one, and of several samples at one time one is taken (MergeSamples says which).
//
//   std::vector<std::unique_ptr<Querier>> parts;
//   auto q = MakeMergeQuerier(std::move(parts));
//
// Threads: as Querier.
// Errors:  the first error of any part, in the order of the parts.
// Cost:    a selection that only one part answers is handed through as it is; otherwise one merge of
//          the sorted sets.  A batch of series is one read of each part; samples that follow each other in time
//          are copied in runs.

#include <memory>
#include <span>
#include <vector>

#include "storage/queryable.h"

namespace tocsin::storage {

std::unique_ptr<Querier> MakeMergeQuerier(std::vector<std::unique_ptr<Querier>> parts);

// Reads several Queryables as one.  They are borrowed and outlive it.
class MergeQueryable : public Queryable {
 public:
  explicit MergeQueryable(std::vector<Queryable*> parts) : parts_(std::move(parts)) {}
  std::unique_ptr<Querier> NewQuerier(Window window) override;
  base::Result<std::vector<ExemplarSeries>> SelectExemplars(Window window,
                                                            std::span<const model::Matchers> any_of) override;

 private:
  std::vector<Queryable*> parts_;
};

// Samples [begin, end) of `columns`, of one series.
struct SampleRun {
  const SampleColumns* columns = nullptr;
  uint32_t begin = 0;
  uint32_t end = 0;
};

// Appends the samples of the runs in order of time, one for each time, to `out`; offsets are the caller's.
// Where a time stands in several runs the choice is Prometheus's: the run that is being read joins a binary heap of
// the others, behind those with its time, and the top is read on.
void MergeSamples(std::span<const SampleRun> runs, SampleColumns* out);

}  // namespace tocsin::storage
