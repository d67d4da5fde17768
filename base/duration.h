#pragma once

// Durations and sizes as text, in the forms users' files have.
//   Prometheus: 1h30m, 5m, 1d, 0   (units y w d h m s ms, each once, in this order)
//   Go:         1.5h, 300ms, 1m30s, -2us
// Errors: kInvalidArgument, with what was found and what may stand there.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace tocsin::base {

// Prometheus's form, without a sign; kept in milliseconds.
Result<Duration> ParseDuration(std::string_view text);
// The shortest exact Prometheus form: 90m as 1h30m, 7d as 1w, zero as 0s.
std::string FormatDuration(Duration d);

Result<Duration> ParseGoDuration(std::string_view text);
std::string FormatGoDuration(Duration d);  // "1m30s", "1.5s", "0s"

// Bytes with a unit, in powers of 1024: 512MB, 10GiB, 1KB, 0.  A plain number is refused unless 0.
Result<uint64_t> ParseBytes(std::string_view text);
std::string FormatBytes(uint64_t bytes);  // "1MiB"

// RFC 3339 with up to nine digits of fraction.
Result<Time> ParseRfc3339(std::string_view text);
std::string FormatRfc3339(Time t);        // UTC, fraction without trailing zeros, Z
std::string FormatRfc3339Millis(Time t);  // UTC, always three digits, Z

}  // namespace tocsin::base
