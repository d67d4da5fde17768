#pragma once

// Kahan's summation with Neumaier's improvement, with Prometheus's rule for overflow: the
// compensation is dropped when the sum becomes infinite (util/kahansum).

#include <cmath>
#include <limits>

namespace tocsin::promql::exec {

inline bool IsInfinite(double v) {
  return v > std::numeric_limits<double>::max() || v < -std::numeric_limits<double>::max();
}

inline void KahanAdd(double x, double* sum, double* c) {
  const double t = *sum + x;
  if (IsInfinite(t)) {
    *c = 0;
  } else if (std::fabs(*sum) >= std::fabs(x)) {
    *c += (*sum - t) + x;
  } else {
    *c += (x - t) + *sum;
  }
  *sum = t;
}

}  // namespace tocsin::promql::exec
