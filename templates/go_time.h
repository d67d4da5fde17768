#pragma once

// Go's time.Time and its layouts: a point in time with a zone, from year 1 on.
//
// Threads: immutable values.  Zones come from the system's tzdata.

#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace tocsin::templates {

class Zone {
 public:
  Zone() = default;  // UTC
  static Zone Fixed(std::string name, int offset_seconds);
  static Zone Local();  // TZ or /etc/localtime
  // "UTC", "Local", "Europe/Paris".  Errors: kInvalidArgument, "unknown time zone X".
  static base::Result<Zone> Load(std::string_view name);

  std::string name() const;  // "UTC", "Local", "Europe/Paris"
  struct Rep;
  const Rep* rep() const { return rep_.get(); }  // null: UTC

 private:
  std::shared_ptr<const Rep> rep_;
};

struct GoTime {
  int64_t seconds = -62135596800;  // since the Unix epoch; the default is Go's zero time
  int32_t nanos = 0;               // [0, 1e9)
  Zone zone;

  static GoTime FromTime(base::Time t);  // UTC; kZeroTime is the zero time
  static GoTime FromUnix(int64_t seconds, int64_t nanos, Zone zone = {});
  base::Time ToTime() const;             // saturates at what base::Time holds

  bool IsZero() const { return seconds == -62135596800 && nanos == 0; }
  friend std::strong_ordering operator<=>(const GoTime& a, const GoTime& b) {
    if (auto c = a.seconds <=> b.seconds; c != 0) return c;
    return a.nanos <=> b.nanos;
  }
  friend bool operator==(const GoTime& a, const GoTime& b) { return (a <=> b) == 0; }

  struct Civil {
    int64_t year;
    int month, day, hour, minute, second;
    int weekday;   // 0: Sunday
    int year_day;  // from 1
    int offset;    // seconds east of UTC
    std::string zone;
  };
  Civil civil() const;

  GoTime Add(base::Duration d) const;
  base::Duration Sub(const GoTime& other) const;  // saturates, as Go's
  GoTime AddDate(int64_t years, int64_t months, int64_t days) const;
  GoTime Truncate(base::Duration d) const;
  GoTime In(Zone z) const { return {seconds, nanos, std::move(z)}; }

  std::string Format(std::string_view layout) const;  // "2006-01-02T15:04:05Z07:00"
  std::string ToString() const;                       // 2006-01-02 15:04:05.999 +0000 UTC
  std::string ToRfc3339Nano() const;                  // as in JSON

  // Errors: kInvalidArgument with Go's wording: parsing time "x" as "2006": cannot parse ...
  static base::Result<GoTime> Parse(std::string_view layout, std::string_view text, Zone zone = {});
};

}  // namespace tocsin::templates
