#pragma once

// Quantiles and fractions of classic histograms.  Source: Prometheus 3.14, promql/quantile.go.

#include <vector>

namespace tocsin::promql::exec {

struct ClassicBucket {
  double upper_bound = 0;
  double count = 0;  // of all observations up to the bound
};

// What had to be done to make counts grow with their bounds.
struct ForcedBuckets {
  bool forced = false;
  double min_bucket = 0;
  double max_bucket = 0;
  double max_diff = 0;
};

// REQUIRES: at least one bucket, sorted by bound.  They are changed.
double BucketQuantile(double q, std::vector<ClassicBucket>* buckets, ForcedBuckets* forced);
double BucketFraction(double lower, double upper, std::vector<ClassicBucket>* buckets);

}  // namespace tocsin::promql::exec
