#pragma once

// Loops over windows in vector registers: eight windows side by side, each computed in the order that
// Prometheus computes it in, so that results are the same bits on every processor.  The widest
// instructions that the processor has are chosen when the program starts.
//
// Threads: free functions.

#include <cstddef>
#include <cstdint>

namespace tocsin::promql::exec {

inline constexpr size_t kLanes = 8;

// What rate(), increase() and delta() make of the ends of their windows, one element a window.
struct Extrapolation {
  const double* first;       // value of the first sample
  const double* difference;  // of the last and the first, resets of the counter added
  const double* sampled;     // seconds between the two
  const double* to_start;    // seconds to extrapolate before the first, and behind the last
  const double* to_end;
  double divisor;            // seconds of the range for rate(), else 1
  bool counter;              // whether the series cannot have begun below zero
};
// REQUIRES: the inputs have room for a multiple of kLanes elements.
void Extrapolate(const Extrapolation& in, size_t count, double* out);

enum class WindowFold { kSum, kAverage, kVariance };

// out[k] = the fold of v[lo[k]] to v[lo[k] + size - 1], for 2 * kLanes windows of the same size.  False:
// an average overflows on the way, and nothing is said of `out`.
// REQUIRES: size > 0.
bool FoldWindows(WindowFold fold, const double* v, const uint32_t* lo, size_t size, double* out);
inline constexpr size_t kWindowsAtOnce = 2 * kLanes;

// Adds a row of floats to sums with their compensations, as KahanAdd() does.
void AddRow(const double* row, size_t count, double* sums, double* compensations);

}  // namespace tocsin::promql::exec
