#pragma once

// The parameters of /api/v1, in Prometheus's forms and with its messages.
// Threads: plain functions.  Errors: kInvalidArgument.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "model/matcher.h"
#include "model/sample.h"
#include "net/http_message.h"
#include "storage/queryable.h"

namespace tocsin::api {

// What start and end are when they are not given.
inline constexpr model::Timestamp kFirstTime = -9'223'309'901'257'974'000;
inline constexpr model::Timestamp kLastTime = 9'223'309'901'257'974'999;

// 1435781451.781 or RFC 3339.
base::Result<model::Timestamp> ParseTime(std::string_view text);
// 15, 0.5, 1m30s.
base::Result<base::Duration> ParseDurationParam(std::string_view text);
// A count; empty is 0, which means no limit.
base::Result<size_t> ParseLimit(std::string_view text);
// As strconv.ParseBool: 1, t, TRUE, true, ...; nullopt for anything else.
std::optional<bool> ParseBool(std::string_view text);
// A number with sign; nullopt for anything else.
std::optional<int64_t> ParseInt(std::string_view text);
base::Result<std::vector<model::Matchers>> ParseMatcherSets(const std::vector<std::string>& texts);

// start and end, both optional.  The message names the parameter.
struct TimeRange {
  model::Timestamp start = kFirstTime;
  model::Timestamp end = kLastTime;
  // The samples of [start, end].
  storage::Window window() const;
};
base::Result<TimeRange> ParseTimeRange(const net::Params& params);

}  // namespace tocsin::api
