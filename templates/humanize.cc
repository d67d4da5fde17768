#include "templates/humanize.h"

#include <fmt/format.h>

#include <cmath>

#include "base/number.h"
#include "base/time.h"

namespace tocsin::templates {

namespace {

std::string FourDigits(double v) {
  if (std::isnan(v) || std::isinf(v)) return base::FormatG(v);
  return base::FormatPrecision(v, 'g', 4);
}

bool Special(double v) { return std::isnan(v) || std::isinf(v); }

}  // namespace

base::Result<double> ToFloat(const Value& v) {
  switch (v.kind()) {
    case Kind::kFloat: return v.as_float();
    case Kind::kInt:
      if (v.type() == types::Duration()) return base::ToSeconds(v.as_duration());
      return static_cast<double>(v.as_int());
    case Kind::kUint: return static_cast<double>(v.as_uint());
    case Kind::kString: {
      base::Result<double> parsed = base::ParseFloat(v.as_string());
      if (!parsed) {
        return base::InvalidArgument("strconv.ParseFloat: parsing " + base::Quote(v.as_string()) + ": invalid syntax");
      }
      return *parsed;
    }
    default: return base::InvalidArgument("can't convert " + std::string(v.type_name()) + " to float");
  }
}

std::string Humanize(double v) {
  if (v == 0 || Special(v)) return FourDigits(v);
  std::string_view prefix;
  if (std::fabs(v) >= 1) {
    for (const std::string_view p : {"k", "M", "G", "T", "P", "E", "Z", "Y"}) {
      if (std::fabs(v) < 1000) break;
      prefix = p;
      v /= 1000;
    }
  } else {
    for (const std::string_view p : {"m", "u", "n", "p", "f", "a", "z", "y"}) {
      if (std::fabs(v) >= 1) break;
      prefix = p;
      v *= 1000;
    }
  }
  return FourDigits(v) + std::string(prefix);
}

std::string Humanize1024(double v) {
  if (std::fabs(v) <= 1 || Special(v)) return FourDigits(v);
  std::string_view prefix;
  for (const std::string_view p : {"ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"}) {
    if (std::fabs(v) < 1024) break;
    prefix = p;
    v /= 1024;
  }
  return FourDigits(v) + std::string(prefix);
}

std::string HumanizeDuration(double v) {
  if (Special(v)) return FourDigits(v);
  if (v == 0) return FourDigits(v) + "s";
  if (std::fabs(v) < 1) {
    std::string_view prefix;
    for (const std::string_view p : {"m", "u", "n", "p", "f", "a", "z", "y"}) {
      if (std::fabs(v) >= 1) break;
      prefix = p;
      v *= 1000;
    }
    return FourDigits(v) + std::string(prefix) + "s";
  }
  const std::string sign = v < 0 ? "-" : "";
  v = std::fabs(v);
  const int64_t whole = v >= 0x1p63 ? INT64_MIN : static_cast<int64_t>(v);  // overflows as Go's on x86
  const int64_t seconds = whole % 60;
  const int64_t minutes = whole / 60 % 60;
  const int64_t hours = whole / 3600 % 24;
  const int64_t days = whole / 86400;
  if (days != 0) return fmt::format("{}{}d {}h {}m {}s", sign, days, hours, minutes, seconds);
  if (hours != 0) return fmt::format("{}{}h {}m {}s", sign, hours, minutes, seconds);
  if (minutes != 0) return fmt::format("{}{}m {}s", sign, minutes, seconds);
  return sign + FourDigits(v) + "s";
}

std::string HumanizePercentage(double v) { return FourDigits(v * 100) + "%"; }

base::Result<GoTime> FloatToTime(double v) {
  if (Special(v)) return base::InvalidArgument("value is NaN or Inf");
  const double nanos = v * 1e9;
  if (nanos > 0x1p63 || nanos < -0x1p63) {
    return base::InvalidArgument(base::FormatG(v) +
                                 " cannot be represented as a nanoseconds timestamp since it overflows int64");
  }
  const int64_t ns = nanos >= 0x1p63 ? INT64_MAX : static_cast<int64_t>(nanos);
  const int64_t ms = ns / 1'000'000;  // towards zero
  return GoTime::FromUnix(ms / 1000, ms % 1000 * 1'000'000);
}

}  // namespace tocsin::templates
