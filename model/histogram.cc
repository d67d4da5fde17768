#include "model/histogram.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/number.h"

namespace tocsin::model {
namespace {

using base::InvalidArgument;

constexpr int32_t kMinSchema = -4;
constexpr int32_t kMaxSchema = 8;
constexpr double kInf = std::numeric_limits<double>::infinity();

// Prometheus's table of bounds in [0.5, 1) strays from the nearest double by a few units in the last
// place.  A digit for each of the 256 bounds of schema 8: how many units the nearest double is
// above the table's; 'm': one below.  The smaller schemas have every second, fourth... of them.
constexpr std::string_view kStrayed =
    "00000010001000000012001111111111001000100111001100110m1100110011"
    "0000001111221021001000100001000000010m00102200110111001010221111"
    "1010112211211011111111212122212200110010112210221122101121221121"
    "1132112122322232222222333344324311211222213311222132112222432233";
static_assert(kStrayed.size() == 256);

std::array<double, 256> MakeBounds() {
  std::array<double, 256> bounds;
  for (size_t i = 0; i < bounds.size(); ++i) {
    double bound = static_cast<double>(std::exp2(static_cast<long double>(i) / 256) / 2);
    int strayed = kStrayed[i] == 'm' ? -1 : kStrayed[i] - '0';
    for (; strayed > 0; --strayed) bound = std::nextafter(bound, 0);
    if (strayed < 0) bound = std::nextafter(bound, 1);
    bounds[i] = bound;
  }
  return bounds;
}

base::Status CheckSpans(const std::vector<Span>& spans, size_t buckets) {
  uint64_t needed = 0;
  for (size_t i = 0; i < spans.size(); ++i) {
    if (i > 0 && spans[i].offset < 0) {
      return InvalidArgument("span number " + std::to_string(i + 1) + " with offset " +
                             std::to_string(spans[i].offset) +
                             ": histogram has a span whose offset is negative");
    }
    needed += spans[i].length;
  }
  if (needed != buckets) {
    return InvalidArgument("spans need " + std::to_string(needed) + " buckets, have " +
                           std::to_string(buckets) +
                           " buckets: histogram spans specify different number of buckets than provided");
  }
  return {};
}

base::Status CheckCounts(const std::vector<double>& buckets, double* sum) {
  for (size_t i = 0; i < buckets.size(); ++i) {
    if (buckets[i] < 0) {
      return InvalidArgument("bucket number " + std::to_string(i + 1) + " has observation count of " +
                             base::FormatV(buckets[i]) +
                             ": histogram has a bucket whose observation count is negative");
    }
    *sum += buckets[i];
  }
  return {};
}

base::Status CheckCustomBounds(const Histogram& h) {
  double previous = -kInf;
  for (double bound : h.custom_values) {
    if (std::isnan(bound)) return InvalidArgument("histogram custom bounds must not be NaN");
    if (bound <= previous) {
      return InvalidArgument("previous bound is " + base::FormatPrecision(previous, 'f', 6) + " and current is " +
                             base::FormatPrecision(bound, 'f', 6) +
                             ": histogram custom bounds must be in strictly increasing order");
    }
    previous = bound;
  }
  if (previous == kInf) {
    return InvalidArgument("last +Inf bound must not be explicitly defined: histogram custom bounds must be finite");
  }
  uint64_t reach = 0;
  for (size_t i = 0; i < h.positive_spans.size(); ++i) {
    const Span& span = h.positive_spans[i];
    if (span.offset < 0) {
      return InvalidArgument("span number " + std::to_string(i + 1) + " with offset " + std::to_string(span.offset) +
                             ": histogram has a span whose offset is negative");
    }
    reach += static_cast<uint64_t>(span.offset) + span.length;
  }
  RETURN_IF_ERROR(CheckSpans(h.positive_spans, h.positive_buckets.size()));
  if (h.custom_values.size() + 1 < reach) {
    return InvalidArgument("only " + std::to_string(h.custom_values.size()) +
                           " custom bounds defined which is insufficient to cover total span length of " +
                           std::to_string(reach) + ": histogram custom bounds are too few");
  }
  return {};
}

base::Status Within(const char* where, base::Status status) {
  if (status) return status;
  return std::unexpected(status.error().Within(where));
}

// Calls `visit(index, count)` for each bucket of one side, by index.
template <class Visit>
void Walk(const std::vector<Span>& spans, const std::vector<double>& buckets, Visit visit) {
  int64_t index = 0;
  size_t at = 0;
  for (const Span& span : spans) {
    index += span.offset;
    for (uint32_t i = 0; i < span.length && at < buckets.size(); ++i) {
      visit(static_cast<int32_t>(index++), buckets[at++]);
    }
  }
}

void AppendBucket(const Bucket& b, std::string* out) {
  *out += b.lower_inclusive ? ", [" : ", (";
  *out += base::FormatG(b.lower) + "," + base::FormatG(b.upper);
  *out += b.upper_inclusive ? "]:" : "):";
  *out += base::FormatV(b.count);
}

bool SameBits(const std::vector<double>& a, const std::vector<double>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](double x, double y) { return model::SameBits(x, y); });
}

}  // namespace

double BucketBound(int32_t schema, int32_t index, const std::vector<double>& custom_values) {
  if (schema == kCustomBucketsSchema) {
    if (index < 0) return -kInf;
    auto at = static_cast<size_t>(index);
    return at < custom_values.size() ? custom_values[at] : kInf;
  }
  // The exponent of the bucket just before overflow would make it +Inf; it is the largest number.
  constexpr int kOverflow = 1024;
  constexpr double kMax = std::numeric_limits<double>::max();
  if (schema <= 0) {
    int64_t exponent = static_cast<int64_t>(index) * (int64_t{1} << -schema);
    if (exponent == kOverflow) return kMax;
    return std::ldexp(1, static_cast<int>(std::clamp<int64_t>(exponent, -5000, 5000)));
  }
  static const std::array<double, 256> kBounds = MakeBounds();
  int32_t mask = (1 << schema) - 1;
  double fraction = kBounds[static_cast<size_t>(index & mask) << (kMaxSchema - schema)];
  int exponent = (index >> schema) + 1;
  if (fraction == 0.5 && exponent == kOverflow + 1) return kMax;
  return std::ldexp(fraction, exponent);
}

base::Status Histogram::Validate() const {
  double negative = 0;
  double positive = 0;
  if (uses_custom_buckets()) {
    RETURN_IF_ERROR(Within("custom buckets", CheckCustomBounds(*this)));
    if (zero_count != 0) return InvalidArgument("custom buckets: must have zero count of 0");
    if (zero_threshold != 0) return InvalidArgument("custom buckets: must have zero threshold of 0");
    if (!negative_spans.empty()) return InvalidArgument("custom buckets: must not have negative spans");
    if (!negative_buckets.empty()) return InvalidArgument("custom buckets: must not have negative buckets");
  } else if (schema >= kMinSchema && schema <= kMaxSchema) {
    RETURN_IF_ERROR(Within("positive side", CheckSpans(positive_spans, positive_buckets.size())));
    RETURN_IF_ERROR(Within("negative side", CheckSpans(negative_spans, negative_buckets.size())));
    RETURN_IF_ERROR(Within("negative side", CheckCounts(negative_buckets, &negative)));
    if (!custom_values.empty()) {
      return InvalidArgument("histogram with exponential schema must not have custom bounds");
    }
  } else {
    return InvalidArgument(
        "histogram has an invalid schema, which must be between -4 and 8 for exponential buckets, or -53 for "
        "custom buckets, got schema " +
        std::to_string(schema));
  }
  RETURN_IF_ERROR(Within("positive side", CheckCounts(positive_buckets, &positive)));
  if (zero_count < 0) {
    return InvalidArgument("zero bucket has observation count of " + base::FormatV(zero_count) +
                           ": histogram has a bucket whose observation count is negative");
  }
  if (count < 0) {
    return InvalidArgument("observation count is " + base::FormatV(count) +
                           ": histogram's observation count is negative");
  }
  // Rounding would make false alarms of a float histogram's counts.
  if (!integer) return {};
  double in_buckets = negative + positive + zero_count;
  std::string found = base::FormatF(in_buckets) + " observations found in buckets, but the Count field is " +
                      base::FormatF(count) + ": ";
  if (std::isnan(sum)) {
    if (in_buckets > count) {
      return InvalidArgument(found + "histogram's observation count should be at least the number of observations "
                                     "found in the buckets");
    }
  } else if (in_buckets != count) {
    return InvalidArgument(found + "histogram's observation count should equal the number of observations found in "
                                   "the buckets (in absence of NaN)");
  }
  return {};
}

std::vector<Bucket> AllBuckets(const Histogram& h) {
  std::vector<Bucket> all;
  bool custom = h.uses_custom_buckets();
  auto add = [&](double lower, double upper, double count, bool first) {
    all.push_back({.lower = lower,
                   .upper = upper,
                   .lower_inclusive = custom ? first : lower < 0,
                   .upper_inclusive = custom || upper > 0,
                   .count = count});
  };
  Walk(h.negative_spans, h.negative_buckets, [&](int32_t index, double count) {
    add(-BucketBound(h.schema, index, h.custom_values), -BucketBound(h.schema, index - 1, h.custom_values), count,
        index == 0);
  });
  std::reverse(all.begin(), all.end());
  if (h.zero_count != 0) {
    all.push_back({.lower = -h.zero_threshold,
                   .upper = h.zero_threshold,
                   .lower_inclusive = true,
                   .upper_inclusive = true,
                   .count = h.zero_count});
  }
  Walk(h.positive_spans, h.positive_buckets, [&](int32_t index, double count) {
    add(BucketBound(h.schema, index - 1, h.custom_values), BucketBound(h.schema, index, h.custom_values), count,
        index == 0);
  });
  return all;
}

std::string Histogram::ToString() const {
  std::string out = "{count:" + base::FormatG(count) + ", sum:" + base::FormatG(sum);
  for (const Bucket& bucket : AllBuckets(*this)) {
    if (bucket.count != 0) AppendBucket(bucket, &out);
  }
  return out + "}";
}

bool operator==(const Histogram& a, const Histogram& b) {
  return a.counter_reset == b.counter_reset && a.integer == b.integer && a.schema == b.schema &&
         SameBits(a.zero_threshold, b.zero_threshold) && SameBits(a.zero_count, b.zero_count) &&
         SameBits(a.count, b.count) && SameBits(a.sum, b.sum) && a.positive_spans == b.positive_spans &&
         a.negative_spans == b.negative_spans && SameBits(a.positive_buckets, b.positive_buckets) &&
         SameBits(a.negative_buckets, b.negative_buckets) && SameBits(a.custom_values, b.custom_values);
}

}  // namespace tocsin::model
