#pragma once

// Points in time for alerts, timers and logs: nanoseconds since the Unix epoch.  Samples use
// model::Timestamp (milliseconds).  "Now" comes from an Executor, never from the OS.

#include <chrono>
#include <cstdint>

namespace tocsin::base {

using namespace std::chrono_literals;  // NOLINT: 5min, 30s

using Duration = std::chrono::nanoseconds;
using Time = std::chrono::sys_time<std::chrono::nanoseconds>;

// Go's zero time, 0001-01-01T00:00:00Z, does not fit; this stands for it and prints as it.
inline constexpr Time kZeroTime = Time(Duration(INT64_MIN));

inline Time FromUnixMillis(int64_t ms) { return Time(std::chrono::milliseconds(ms)); }
inline int64_t ToUnixMillis(Time t) {
  return std::chrono::floor<std::chrono::milliseconds>(t).time_since_epoch().count();
}
inline double ToSeconds(Duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace tocsin::base
