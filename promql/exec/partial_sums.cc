#include "promql/exec/partial_sums.h"

#include <algorithm>

namespace tocsin::promql::exec {

void PartialSums::Build() {
  built_ = true;
  to_end_.resize(count_);
  from_begin_.resize(count_);
  for (size_t begin = 0; begin < count_; begin += kBlock) {
    const size_t end = std::min(begin + kBlock, count_);
    Sum s;
    for (size_t i = begin; i < end; ++i) {
      KahanAdd(values_[i], &s.sum, &s.c);
      from_begin_[i] = s;
    }
    s = {};
    for (size_t i = end; i-- > begin;) {
      KahanAdd(values_[i], &s.sum, &s.c);
      to_end_[i] = s;
    }
  }
}

}  // namespace tocsin::promql::exec
