#pragma once

// Several stores read as one: the head and its blocks, a local and a remote store.  Series with equal
// labels become one; where several stores have a sample at one time, the first store's is taken.
//
//   std::vector<std::unique_ptr<Querier>> parts;  // the most trusted first
//   auto q = MakeMergeQuerier(std::move(parts));
//
// Threads: as Querier.
// Errors:  the first error of any part, in the order of the parts.
// Cost:    a selection that only one part answers is handed through as it is; otherwise one merge of
//          the sorted sets, and a series that several parts have is decoded from each and merged.

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

// Appends the samples of `parts[..]` (each the samples of one series, series 0) in order of time to
// `out`; of equal times the first part's.  Offsets are the caller's.
void MergeSamples(std::span<const SampleColumns> parts, SampleColumns* out);

}  // namespace tocsin::storage
