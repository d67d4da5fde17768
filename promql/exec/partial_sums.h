#pragma once

// Sums over windows that overlap: compensated sums of blocks of samples, from each sample to the ends of
// its block and of whole blocks.  A window is a few of them; nothing is ever subtracted, so that an
// infinity or a huge value is forgotten with its sample.
//
// Threads: one.

#include <vector>

#include "promql/exec/kahan.h"

namespace tocsin::promql::exec {

class PartialSums {
 public:
  static constexpr size_t kBlock = 16;
  // Windows shorter than this are summed directly, in Prometheus's order.
  static constexpr size_t kWorthwhile = 4 * kBlock;

  // Forgets the samples; cheap.
  void Reset(const double* v, size_t n) {
    values_ = v;
    count_ = n;
    built_ = false;
  }

  // The sum of [lo, hi) and its compensation.  REQUIRES: lo < hi.
  struct Sum {
    double sum = 0;
    double c = 0;
  };
  Sum Of(size_t lo, size_t hi) {
    if (!built_) Build();
    const size_t first = lo / kBlock;
    const size_t last = (hi - 1) / kBlock;
    if (first == last) {
      Sum s;
      for (size_t i = lo; i < hi; ++i) KahanAdd(values_[i], &s.sum, &s.c);
      return s;
    }
    Sum s = to_end_[lo];
    for (size_t b = first + 1; b < last; ++b) Add(to_end_[b * kBlock], &s);
    Add(from_begin_[hi - 1], &s);
    return s;
  }

 private:
  static void Add(const Sum& x, Sum* s) {
    KahanAdd(x.sum, &s->sum, &s->c);
    s->c += x.c;
  }
  void Build();

  const double* values_ = nullptr;
  size_t count_ = 0;
  bool built_ = false;
  std::vector<Sum> to_end_;      // of [i, end of the block)
  std::vector<Sum> from_begin_;  // of [begin of the block, i]
};

}  // namespace tocsin::promql::exec
