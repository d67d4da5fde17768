#include "promql/exec/bucket_quantile.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tocsin::promql::exec {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Relative differences of counts below this come from rounding and are no decrease.
constexpr double kSmallDelta = 1e-12;

bool AlmostEqual(double a, double b, double tolerance) {
  if (a == b) return true;
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  const double sum = std::fabs(a) + std::fabs(b);
  const double difference = std::fabs(a - b);
  constexpr double kSmallest = std::numeric_limits<double>::min();
  if (a == 0 || b == 0 || sum < kSmallest) return difference < tolerance * kSmallest;
  return difference / std::min(sum, std::numeric_limits<double>::max()) < tolerance;
}

// Counts of equal bounds are added.
void Coalesce(std::vector<ClassicBucket>* buckets) {
  size_t out = 0;
  for (size_t i = 1; i < buckets->size(); ++i) {
    if ((*buckets)[i].upper_bound == (*buckets)[out].upper_bound) {
      (*buckets)[out].count += (*buckets)[i].count;
    } else {
      (*buckets)[++out] = (*buckets)[i];
    }
  }
  buckets->resize(out + 1);
}

void MakeMonotonic(std::vector<ClassicBucket>* buckets, ForcedBuckets* forced) {
  forced->min_bucket = kInfinity;
  forced->max_bucket = -kInfinity;
  double before = (*buckets)[0].count;
  for (size_t i = 1; i < buckets->size(); ++i) {
    ClassicBucket& b = (*buckets)[i];
    if (b.count == before) continue;
    if (AlmostEqual(before, b.count, kSmallDelta)) {
      b.count = before;
    } else if (b.count < before) {
      forced->forced = true;
      forced->min_bucket = std::min(forced->min_bucket, b.upper_bound);
      forced->max_bucket = std::max(forced->max_bucket, b.upper_bound);
      forced->max_diff = std::max(forced->max_diff, before - b.count);
      b.count = before;
    } else {
      before = b.count;
    }
  }
}

}  // namespace

double BucketQuantile(double q, std::vector<ClassicBucket>* buckets, ForcedBuckets* forced) {
  *forced = {};
  if (std::isnan(q)) return kNan;
  if (q < 0) return -kInfinity;
  if (q > 1) return kInfinity;
  if (buckets->back().upper_bound != kInfinity) return kNan;
  Coalesce(buckets);
  MakeMonotonic(buckets, forced);
  const std::vector<ClassicBucket>& b = *buckets;
  if (b.size() < 2) return kNan;
  const double observations = b.back().count;
  if (observations == 0) return kNan;
  double rank = q * observations;
  // The first bucket, but for the last, that reaches the rank.  Counts are monotonic unless NaN is
  // among them: then a binary search like Prometheus's gives what it gives.
  size_t lo = 0;
  size_t hi = b.size() - 1;
  while (lo < hi) {
    const size_t middle = (lo + hi) / 2;
    if (b[middle].count >= rank) {
      hi = middle;
    } else {
      lo = middle + 1;
    }
  }
  if (lo == b.size() - 1) return b[b.size() - 2].upper_bound;
  if (lo == 0 && b[0].upper_bound <= 0) return b[0].upper_bound;
  double start = 0;
  double count = b[lo].count;
  if (lo > 0) {
    start = b[lo - 1].upper_bound;
    count -= b[lo - 1].count;
    rank -= b[lo - 1].count;
  }
  return start + (b[lo].upper_bound - start) * (rank / count);
}

double BucketFraction(double lower, double upper, std::vector<ClassicBucket>* buckets) {
  if (buckets->back().upper_bound != kInfinity) return kNan;
  Coalesce(buckets);
  const double count = buckets->back().count;
  if (count == 0 || std::isnan(lower) || std::isnan(upper)) return kNan;
  if (lower >= upper) return 0;
  double rank = 0;
  double lower_rank = 0;
  double upper_rank = 0;
  bool lower_set = false;
  bool upper_set = false;
  double lower_bound = buckets->front().upper_bound <= 0 ? -kInfinity : 0;
  for (const ClassicBucket& b : *buckets) {
    const auto place = [&](double v, double* at, bool* set) {
      if (*set) return;
      if (lower_bound >= v) {
        *at = rank;
        *set = true;
      } else if (b.upper_bound > v) {
        *at = lower_bound == -kInfinity
                  ? b.count
                  : rank + (b.count - rank) * (v - lower_bound) / (b.upper_bound - lower_bound);
        *set = true;
      }
    };
    place(lower, &lower_rank, &lower_set);
    place(upper, &upper_rank, &upper_set);
    if (lower_set && upper_set) break;
    rank = b.count;
    lower_bound = b.upper_bound;
  }
  if (!lower_set || lower_rank > count) lower_rank = count;
  if (!upper_set || upper_rank > count) upper_rank = count;
  return (upper_rank - lower_rank) / count;
}

}  // namespace tocsin::promql::exec
