#pragma once

// Bounds and indices of native histograms' buckets.

#include <cstdint>
#include <vector>

#include "model/histogram.h"

namespace tocsin::promql::exec {

// Upper bound of the exponential bucket `index`; that of index - 1 is its lower bound.
double BucketBound(int32_t index, int32_t schema);

// The bucket of a lower resolution that bucket `index` belongs to.
inline int32_t ReducedIndex(int32_t index, int32_t from, int32_t to) {
  return ((index - 1) >> (from - to)) + 1;
}

// fn(index, count) for each bucket, also empty ones, by index.
template <class Fn>
void ForEachBucket(const std::vector<model::Span>& spans, const std::vector<double>& buckets,
                   Fn&& fn) {
  int32_t index = 0;
  size_t i = 0;
  for (const model::Span& span : spans) {
    index += span.offset;
    for (uint32_t k = 0; k < span.length && i < buckets.size(); ++k) fn(index++, buckets[i++]);
  }
}

}  // namespace tocsin::promql::exec
