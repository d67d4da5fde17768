#include "api/params.h"

#include <fmt/core.h>

#include <charconv>
#include <cmath>

#include "base/duration.h"
#include "base/number.h"
#include "promql/parse/parser.h"

namespace tocsin::api {
namespace {

// The boundary times as Prometheus prints them: years that no other parser takes.
constexpr std::string_view kFirstTimeText = "-292273086-05-16T16:47:06Z";
constexpr std::string_view kLastTimeText = "292277025-08-18T07:12:54.999999999Z";

}  // namespace

base::Result<model::Timestamp> ParseTime(std::string_view text) {
  auto bad = [&] {
    return base::InvalidArgument(
        fmt::format("cannot parse {} to a valid timestamp", base::Quote(text)));
  };
  if (auto seconds = base::ParseFloat(text)) {
    double whole = 0;
    double fraction = std::modf(*seconds, &whole);
    // So many seconds are the ends of 64 bits of milliseconds.
    constexpr double kBound = 9.223372036854776e15;
    if (!(whole <= kBound && whole >= -kBound)) return bad();
    // What lies beyond the first and the last time has no samples either.
    if (whole <= kFirstTime / 1000) return kFirstTime;
    if (whole >= kLastTime / 1000) return kLastTime;
    return static_cast<int64_t>(whole) * 1000 + static_cast<int64_t>(std::round(fraction * 1000));
  }
  if (auto time = base::ParseRfc3339(text)) return base::ToUnixMillis(*time);
  if (text == kFirstTimeText) return kFirstTime;
  if (text == kLastTimeText) return kLastTime;
  return bad();
}

base::Result<base::Duration> ParseDurationParam(std::string_view text) {
  auto bad = [&](std::string_view why) {
    return base::InvalidArgument(
        fmt::format("cannot parse {} to a valid duration{}", base::Quote(text), why));
  };
  if (auto seconds = base::ParseFloat(text)) {
    double ns = *seconds * 1e9;
    constexpr double kBound = 9223372036854775808.0;
    if (ns >= kBound || ns < -kBound) return bad(". It overflows int64");
    if (std::isnan(ns)) return bad("");
    return base::Duration(static_cast<int64_t>(ns));
  }
  if (auto duration = base::ParseDuration(text)) return *duration;
  return bad("");
}

base::Result<size_t> ParseLimit(std::string_view text) {
  if (text.empty()) return 0;
  int64_t limit = 0;
  std::string_view digits = text.starts_with('+') ? text.substr(1) : text;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), limit);
  if (error == std::errc::result_out_of_range) {
    return base::InvalidArgument(
        fmt::format("strconv.Atoi: parsing {}: value out of range", base::Quote(text)));
  }
  if (error != std::errc() || end != digits.data() + digits.size()) {
    return base::InvalidArgument(
        fmt::format("strconv.Atoi: parsing {}: invalid syntax", base::Quote(text)));
  }
  if (limit < 0) return base::InvalidArgument("limit must be non-negative");
  return static_cast<size_t>(limit);
}

std::optional<bool> ParseBool(std::string_view text) {
  for (std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == yes) return true;
  }
  for (std::string_view no : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (text == no) return false;
  }
  return std::nullopt;
}

std::optional<int64_t> ParseInt(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

base::Result<std::vector<model::Matchers>> ParseMatcherSets(const std::vector<std::string>& texts) {
  std::vector<model::Matchers> sets;
  for (const std::string& text : texts) {
    ASSIGN_OR_RETURN(model::Matchers matchers, promql::ParseMetricSelector(text));
    sets.push_back(std::move(matchers));
  }
  for (const model::Matchers& set : sets) {
    bool selective = false;
    for (const model::Matcher& m : set) selective = selective || !m.matches_empty();
    if (!selective) {
      return base::InvalidArgument("match[] must contain at least one non-empty matcher");
    }
  }
  return sets;
}

storage::Window TimeRange::window() const {
  return {.after = start == model::kMinTimestamp ? start : start - 1, .upto = end};
}

base::Result<TimeRange> ParseTimeRange(const net::Params& params) {
  TimeRange range;
  for (auto [name, value] : {std::pair("start", &range.start), std::pair("end", &range.end)}) {
    std::string_view text = params.Get(name);
    if (text.empty()) continue;
    auto time = ParseTime(text);
    if (!time) {
      return base::InvalidArgument(fmt::format(
          "invalid parameter \"{}\": invalid time value for '{}': {}", name, name,
          time.error().message()));
    }
    *value = *time;
  }
  return range;
}

}  // namespace tocsin::api
