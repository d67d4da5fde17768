#include "templates/go_time.h"

#include <absl/time/time.h>

#include <limits>

namespace tocsin::templates {

// Either a fixed offset or a zone of the system's tzdata.
struct Zone::Rep {
  bool fixed = true;
  int offset = 0;
  std::string name;
  absl::TimeZone zone;
};

namespace {

constexpr int64_t kSecondsPerDay = 86400;
constexpr int64_t kNanosPerSecond = 1'000'000'000;

// Days since 1970-01-01 of a proleptic Gregorian date.
// Source: Howard Hinnant, "chrono-compatible low-level date algorithms", days_from_civil.
int64_t DaysFromCivil(int64_t year, int month, int day) {
  year -= month <= 2;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const int64_t of_era = year - era * 400;
  const int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void CivilFromDays(int64_t days, int64_t* year, int* month, int* day) {
  days += 719468;
  const int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  const int64_t of_era = days - era * 146097;
  const int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  const int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
  const int64_t mp = (5 * of_year + 2) / 153;
  *day = static_cast<int>(of_year - (153 * mp + 2) / 5 + 1);
  *month = static_cast<int>(mp < 10 ? mp + 3 : mp - 9);
  *year = y + era * 400 + (*month <= 2);
}

int64_t FloorDivide(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

int64_t SecondsFromCivil(int64_t year, int month, int day, int hour, int minute, int second) {
  return DaysFromCivil(year, month, day) * kSecondsPerDay + hour * 3600 + minute * 60 + second;
}

// Seconds since the epoch of a wall clock reading in `zone`.
int64_t ResolveLocal(int64_t wall_seconds, const Zone& zone) {
  if (zone.rep() == nullptr) return wall_seconds;
  if (zone.rep()->fixed) return wall_seconds - zone.rep()->offset;
  const absl::CivilSecond civil = absl::ToCivilSecond(absl::FromUnixSeconds(wall_seconds), absl::UTCTimeZone());
  return absl::ToUnixSeconds(absl::FromCivil(civil, zone.rep()->zone));
}

}  // namespace

Zone Zone::Fixed(std::string name, int offset_seconds) {
  Zone z;
  auto rep = std::make_shared<Rep>();
  rep->offset = offset_seconds;
  rep->name = std::move(name);
  z.rep_ = std::move(rep);
  return z;
}

std::string Zone::name() const { return rep_ == nullptr ? "UTC" : rep_->name; }

Zone Zone::Local() {
  Zone z;
  auto rep = std::make_shared<Rep>();
  rep->fixed = false;
  rep->name = "Local";
  rep->zone = absl::LocalTimeZone();
  z.rep_ = std::move(rep);
  return z;
}

base::Result<Zone> Zone::Load(std::string_view name) {
  if (name.empty() || name == "UTC") return Zone();
  if (name == "Local") return Local();
  auto rep = std::make_shared<Rep>();
  rep->fixed = false;
  rep->name = name;
  // A name that could lead out of the zone folder is refused, as in Go.
  const bool unsafe = name.find("..") != std::string_view::npos || name.front() == '/' ||
                      name.find('\\') != std::string_view::npos || name.starts_with("Fixed/");
  if (unsafe || !absl::LoadTimeZone(absl::string_view(name.data(), name.size()), &rep->zone)) {
    return base::InvalidArgument("unknown time zone " + std::string(name));
  }
  Zone z;
  z.rep_ = std::move(rep);
  return z;
}

GoTime GoTime::FromTime(base::Time t) {
  if (t == base::kZeroTime) return {};
  const int64_t ns = t.time_since_epoch().count();
  const int64_t s = FloorDivide(ns, kNanosPerSecond);
  return {s, static_cast<int32_t>(ns - s * kNanosPerSecond), {}};
}

GoTime GoTime::FromUnix(int64_t seconds, int64_t nanos, Zone zone) {
  const int64_t carry = FloorDivide(nanos, kNanosPerSecond);
  return {seconds + carry, static_cast<int32_t>(nanos - carry * kNanosPerSecond), std::move(zone)};
}

base::Time GoTime::ToTime() const {
  if (IsZero()) return base::kZeroTime;
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  if (seconds > kMax / kNanosPerSecond - 1) return base::Time(base::Duration(kMax));
  if (seconds < -(kMax / kNanosPerSecond) + 1) return base::Time(base::Duration(-kMax));
  return base::Time(base::Duration(seconds * kNanosPerSecond + nanos));
}

GoTime::Civil GoTime::civil() const {
  Civil c;
  c.offset = 0;
  c.zone = "UTC";
  if (const Zone::Rep* rep = zone.rep(); rep != nullptr) {
    if (rep->fixed) {
      c.offset = rep->offset;
      c.zone = rep->name;
    } else {
      const absl::TimeZone::CivilInfo info = rep->zone.At(absl::FromUnixSeconds(seconds));
      c.offset = info.offset;
      c.zone = info.zone_abbr;
    }
  }
  const int64_t wall = seconds + c.offset;
  const int64_t days = FloorDivide(wall, kSecondsPerDay);
  const int64_t of_day = wall - days * kSecondsPerDay;
  CivilFromDays(days, &c.year, &c.month, &c.day);
  c.hour = static_cast<int>(of_day / 3600);
  c.minute = static_cast<int>(of_day / 60 % 60);
  c.second = static_cast<int>(of_day % 60);
  c.weekday = static_cast<int>(((days + 4) % 7 + 7) % 7);  // 1970-01-01 was a Thursday
  c.year_day = static_cast<int>(days - DaysFromCivil(c.year, 1, 1)) + 1;
  return c;
}

GoTime GoTime::Add(base::Duration d) const {
  const int64_t s = d.count() / kNanosPerSecond;
  return FromUnix(seconds + s, nanos + (d.count() - s * kNanosPerSecond), zone);
}

base::Duration GoTime::Sub(const GoTime& other) const {
  const __int128 d = (static_cast<__int128>(seconds) - other.seconds) * kNanosPerSecond + nanos - other.nanos;
  if (d > std::numeric_limits<int64_t>::max()) return base::Duration::max();
  if (d < std::numeric_limits<int64_t>::min()) return base::Duration::min();
  return base::Duration(static_cast<int64_t>(d));
}

GoTime GoTime::AddDate(int64_t years, int64_t months, int64_t days) const {
  const Civil c = civil();
  // Months beyond the year are carried, days beyond the month run on into the next, as in Go.
  const int64_t month0 = c.month - 1 + months;
  const int64_t carry = FloorDivide(month0, 12);
  const int64_t day_number =
      DaysFromCivil(c.year + years + carry, static_cast<int>(month0 - carry * 12) + 1, 1) + c.day - 1 + days;
  const int64_t wall = day_number * kSecondsPerDay + c.hour * 3600 + c.minute * 60 + c.second;
  return {ResolveLocal(wall, zone), nanos, zone};
}

GoTime GoTime::Truncate(base::Duration d) const {
  if (d.count() <= 0) return *this;
  // Multiples are counted from the zero time.
  const __int128 since_zero = (static_cast<__int128>(seconds) + 62135596800) * kNanosPerSecond + nanos;
  __int128 rest = since_zero % d.count();
  if (rest < 0) rest += d.count();
  return Add(base::Duration(-static_cast<int64_t>(rest)));
}

namespace internal {
int64_t ResolveWallClock(int64_t year, int month, int day, int hour, int minute, int second, const Zone& zone) {
  return ResolveLocal(SecondsFromCivil(year, month, day, hour, minute, second), zone);
}
}  // namespace internal

}  // namespace tocsin::templates
