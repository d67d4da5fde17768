// What range functions compute of the floats of one window.  Source: Prometheus 3.14,
// promql/functions.go; sums are compensated in the same order, so that results agree to the last bit.

#include <algorithm>
#include <cmath>
#include <limits>

#include "promql/exec/kahan.h"
#include "promql/exec/range_kernels.h"

namespace tocsin::promql::exec {

double SumOf(const double* v, size_t n) {
  double sum = 0;
  double c = 0;
  for (size_t i = 0; i < n; ++i) KahanAdd(v[i], &sum, &c);
  return std::isinf(sum) ? sum : sum + c;
}

double AverageOf(const double* v, size_t n) {
  double sum = v[0];
  double c = 0;
  size_t i = 1;
  for (; i < n; ++i) {
    double next = sum;
    double next_c = c;
    KahanAdd(v[i], &next, &next_c);
    if (std::isinf(next)) break;
    sum = next;
    c = next_c;
  }
  if (i == n) {
    const double count = static_cast<double>(n);
    return sum / count + c / count;
  }
  // The sum would overflow: from here on the mean itself is carried.
  double mean = sum / static_cast<double>(i);
  c /= static_cast<double>(i);
  for (; i < n; ++i) {
    const double count = static_cast<double>(i + 1);
    const double q = (count - 1) / count;
    mean *= q;
    c *= q;
    KahanAdd(v[i] / count, &mean, &c);
  }
  return mean + c;
}

double VarianceOf(const double* v, size_t n) {
  double mean = 0;
  double c_mean = 0;
  double aux = 0;
  double c_aux = 0;
  for (size_t i = 0; i < n; ++i) {
    const double delta = v[i] - (mean + c_mean);
    KahanAdd(delta / static_cast<double>(i + 1), &mean, &c_mean);
    KahanAdd(delta * (v[i] - (mean + c_mean)), &aux, &c_aux);
  }
  return (aux + c_aux) / static_cast<double>(n);
}

double QuantileOf(double q, std::vector<double>* values) {
  if (values->empty() || std::isnan(q)) return std::numeric_limits<double>::quiet_NaN();
  if (q < 0) return -std::numeric_limits<double>::infinity();
  if (q > 1) return std::numeric_limits<double>::infinity();
  // NaN counts as the smallest.
  const auto less = [](double a, double b) { return std::isnan(a) ? !std::isnan(b) : a < b; };
  const double last = static_cast<double>(values->size() - 1);
  const double rank = q * last;
  const double lower = std::max(0.0, std::floor(rank));
  const double upper = std::min(last, lower + 1);
  const double weight = rank - std::floor(rank);
  const auto low = values->begin() + static_cast<std::ptrdiff_t>(lower);
  std::nth_element(values->begin(), low, values->end(), less);
  const double a = *low;
  double b = a;
  if (upper > lower) b = *std::min_element(low + 1, values->end(), less);
  return a * (1 - weight) + b * weight;
}

double MedianDeviationOf(const double* v, size_t n, std::vector<double>* scratch) {
  scratch->assign(v, v + n);
  for (double x : *scratch) {
    if (std::isnan(x)) return std::numeric_limits<double>::quiet_NaN();
  }
  const double median = QuantileOf(0.5, scratch);
  for (double& x : *scratch) x = std::fabs(x - median);
  return QuantileOf(0.5, scratch);
}

Line LinearRegression(const model::Timestamp* t, const double* v, size_t n,
                      model::Timestamp intercept_time) {
  double sum_x = 0;
  double c_x = 0;
  double sum_y = 0;
  double c_y = 0;
  double sum_xy = 0;
  double c_xy = 0;
  double sum_x2 = 0;
  double c_x2 = 0;
  bool constant = true;
  for (size_t i = 0; i < n; ++i) {
    if (i > 0 && v[i] != v[0]) constant = false;
    const double x = static_cast<double>(t[i] - intercept_time) / 1e3;
    KahanAdd(x, &sum_x, &c_x);
    KahanAdd(v[i], &sum_y, &c_y);
    KahanAdd(x * v[i], &sum_xy, &c_xy);
    KahanAdd(x * x, &sum_x2, &c_x2);
  }
  if (constant) {
    if (std::isinf(v[0])) {
      const double nan = std::numeric_limits<double>::quiet_NaN();
      return {nan, nan};
    }
    return {0, v[0]};
  }
  sum_x += c_x;
  sum_y += c_y;
  sum_xy += c_xy;
  sum_x2 += c_x2;
  const double count = static_cast<double>(n);
  const double covariance = sum_xy - sum_x * sum_y / count;
  const double variance = sum_x2 - sum_x * sum_x / count;
  const double slope = covariance / variance;
  return {slope, sum_y / count - slope * sum_x / count};
}

double SmoothExponentially(const double* v, size_t n, double smoothing, double trend) {
  double before = 0;
  double now = v[0];
  double b = v[1] - v[0];
  for (size_t i = 1; i < n; ++i) {
    const double x = smoothing * v[i];
    if (i > 1) b = trend * (now - before) + (1 - trend) * b;
    const double y = (1 - smoothing) * (now + b);
    before = now;
    now = x + y;
  }
  return now;
}

}  // namespace tocsin::promql::exec
