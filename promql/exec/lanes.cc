#include "promql/exec/lanes.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "promql/exec/kahan.h"

namespace tocsin::promql::exec {
namespace {

// Of 64 bytes; compilers split it where registers are shorter.  Passed by reference only, for how
// such a value is passed differs between instruction sets.
using Lanes = double __attribute__((vector_size(kLanes * sizeof(double))));
using Mask = long long __attribute__((vector_size(kLanes * sizeof(double))));

#define TOCSIN_INLINE [[gnu::always_inline]] inline

TOCSIN_INLINE void Load(const double* from, Lanes* to) { std::memcpy(to, from, sizeof *to); }

TOCSIN_INLINE void Absolute(const Lanes& x, Lanes* out) {
  *out = reinterpret_cast<Lanes>(reinterpret_cast<Mask>(x) & std::numeric_limits<long long>::max());
}

// KahanAdd() for each lane.
TOCSIN_INLINE void AddCompensated(const Lanes& x, Lanes* sum, Lanes* c) {
  const Lanes t = *sum + x;
  Lanes size_t_, size_sum, size_x;
  Absolute(t, &size_t_);
  Absolute(*sum, &size_sum);
  Absolute(x, &size_x);
  const Mask sum_is_larger = size_sum >= size_x;
  const Lanes larger = sum_is_larger ? *sum : x;
  const Lanes smaller = sum_is_larger ? x : *sum;
  const Mask infinite = size_t_ > std::numeric_limits<double>::max();
  const Lanes zero = {};
  *c = infinite ? zero : *c + ((larger - t) + smaller);
  *sum = t;
}

TOCSIN_INLINE void ExtrapolateBody(const Extrapolation& in, size_t count, double* out) {
  for (size_t i = 0; i < count; i += kLanes) {
    Lanes first, difference, sampled, start, end;
    Load(in.first + i, &first);
    Load(in.difference + i, &difference);
    Load(in.sampled + i, &sampled);
    Load(in.to_start + i, &start);
    Load(in.to_end + i, &end);
    if (in.counter) {
      const Lanes to_zero = sampled * (first / difference);
      start = ((difference > 0) & (first >= 0) & (to_zero < start)) ? to_zero : start;
    }
    const Lanes result = difference * ((sampled + start + end) / sampled / in.divisor);
    std::memcpy(out + i, &result, sizeof(double) * (count - i < kLanes ? count - i : kLanes));
  }
}

// Sample `i` of each window.
TOCSIN_INLINE void LoadWindows(const double* v, const uint32_t* lo, size_t i, bool adjacent,
                               Lanes* out) {
  if (adjacent) {
    Load(v + lo[0] + i, out);
    return;
  }
  double x[kLanes];
  for (size_t k = 0; k < kLanes; ++k) x[k] = v[lo[k] + i];
  Load(x, out);
}

// Two groups of lanes at once, for one has to wait for itself.
TOCSIN_INLINE bool FoldBody(WindowFold fold, const double* v, const uint32_t* lo, size_t size,
                            double* out) {
  constexpr size_t kGroups = 2;
  bool adjacent = true;
  for (size_t k = 1; k < kGroups * kLanes; ++k) adjacent = adjacent && lo[k] == lo[0] + k;
  Lanes a[kGroups] = {};
  Lanes c[kGroups] = {};
  Lanes result[kGroups] = {};
  const auto n = static_cast<double>(size);
  if (fold == WindowFold::kVariance) {
    Lanes square[kGroups] = {};
    Lanes square_c[kGroups] = {};
    for (size_t i = 0; i < size; ++i) {
      const auto count = static_cast<double>(i + 1);
      for (size_t g = 0; g < kGroups; ++g) {
        Lanes x;
        LoadWindows(v, lo + g * kLanes, i, adjacent, &x);
        const Lanes delta = x - (a[g] + c[g]);
        AddCompensated(delta / count, &a[g], &c[g]);
        AddCompensated(delta * (x - (a[g] + c[g])), &square[g], &square_c[g]);
      }
    }
    for (size_t g = 0; g < kGroups; ++g) result[g] = (square[g] + square_c[g]) / n;
  } else {
    size_t i = 0;
    if (fold == WindowFold::kAverage) {  // which begins with the first sample, even if it is -0
      for (size_t g = 0; g < kGroups; ++g) LoadWindows(v, lo + g * kLanes, 0, adjacent, &a[g]);
      i = 1;
    }
    for (; i < size; ++i) {
      for (size_t g = 0; g < kGroups; ++g) {
        Lanes x;
        LoadWindows(v, lo + g * kLanes, i, adjacent, &x);
        AddCompensated(x, &a[g], &c[g]);
      }
    }
    for (size_t g = 0; g < kGroups; ++g) {
      if (fold == WindowFold::kSum) {
        result[g] = a[g] + c[g];
        continue;
      }
      for (size_t k = 0; k < kLanes; ++k) {
        if (!std::isfinite(a[g][k])) return false;
      }
      result[g] = a[g] / n + c[g] / n;
    }
  }
  std::memcpy(out, result, sizeof result);
  return true;
}

TOCSIN_INLINE void AddRowBody(const double* row, size_t count, double* sums, double* compensations) {
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    Lanes x, sum, c;
    Load(row + i, &x);
    Load(sums + i, &sum);
    Load(compensations + i, &c);
    AddCompensated(x, &sum, &c);
    std::memcpy(sums + i, &sum, sizeof sum);
    std::memcpy(compensations + i, &c, sizeof c);
  }
  for (; i < count; ++i) KahanAdd(row[i], &sums[i], &compensations[i]);
}

#undef TOCSIN_INLINE

// The same bodies, compiled for each instruction set.
struct Baseline {
  static void Extrapolate(const Extrapolation& in, size_t count, double* out) {
    ExtrapolateBody(in, count, out);
  }
  static bool Fold(WindowFold fold, const double* v, const uint32_t* lo, size_t size, double* out) {
    return FoldBody(fold, v, lo, size, out);
  }
  static void AddRow(const double* row, size_t count, double* sums, double* compensations) {
    AddRowBody(row, count, sums, compensations);
  }
};

struct Functions {
  void (*extrapolate)(const Extrapolation&, size_t, double*) = &Baseline::Extrapolate;
  bool (*fold)(WindowFold, const double*, const uint32_t*, size_t, double*) = &Baseline::Fold;
  void (*add_row)(const double*, size_t, double*, double*) = &Baseline::AddRow;
};

#if defined(__x86_64__)
struct Avx2 {
  [[gnu::target("avx2")]] static void Extrapolate(const Extrapolation& in, size_t count,
                                                  double* out) {
    ExtrapolateBody(in, count, out);
  }
  [[gnu::target("avx2")]] static bool Fold(WindowFold fold, const double* v, const uint32_t* lo,
                                           size_t size, double* out) {
    return FoldBody(fold, v, lo, size, out);
  }
  [[gnu::target("avx2")]] static void AddRow(const double* row, size_t count, double* sums,
                                             double* compensations) {
    AddRowBody(row, count, sums, compensations);
  }
};

struct Avx512 {
  [[gnu::target("avx512f,avx512dq")]] static void Extrapolate(const Extrapolation& in,
                                                              size_t count, double* out) {
    ExtrapolateBody(in, count, out);
  }
  [[gnu::target("avx512f,avx512dq")]] static bool Fold(WindowFold fold, const double* v,
                                                       const uint32_t* lo, size_t size,
                                                       double* out) {
    return FoldBody(fold, v, lo, size, out);
  }
  [[gnu::target("avx512f,avx512dq")]] static void AddRow(const double* row, size_t count,
                                                         double* sums, double* compensations) {
    AddRowBody(row, count, sums, compensations);
  }
};

Functions Choose() {
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) {
    return {&Avx512::Extrapolate, &Avx512::Fold, &Avx512::AddRow};
  }
  if (__builtin_cpu_supports("avx2")) return {&Avx2::Extrapolate, &Avx2::Fold, &Avx2::AddRow};
  return {};
}
#else
Functions Choose() { return {}; }
#endif

const Functions& Chosen() {
  static const Functions functions = Choose();
  return functions;
}

}  // namespace

void Extrapolate(const Extrapolation& in, size_t count, double* out) {
  Chosen().extrapolate(in, count, out);
}

bool FoldWindows(WindowFold fold, const double* v, const uint32_t* lo, size_t size, double* out) {
  return Chosen().fold(fold, v, lo, size, out);
}

void AddRow(const double* row, size_t count, double* sums, double* compensations) {
  Chosen().add_row(row, count, sums, compensations);
}

}  // namespace tocsin::promql::exec
