#include "base/duration.h"

#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <limits>

#include "base/number.h"

namespace tocsin::base {
namespace {

using std::chrono::nanoseconds;

constexpr int64_t kMillisecond = 1000000;
constexpr int64_t kSecond = 1000 * kMillisecond;
constexpr int64_t kMinute = 60 * kSecond;
constexpr int64_t kHour = 60 * kMinute;
constexpr int64_t kDay = 24 * kHour;

struct Unit {
  std::string_view name;
  int64_t nanoseconds;
};

// In the order in which a duration has them.
constexpr Unit kPrometheusUnits[] = {
    {"y", 365 * kDay}, {"w", 7 * kDay},  {"d", kDay},           {"h", kHour},
    {"m", kMinute},    {"s", kSecond},   {"ms", kMillisecond},
};

constexpr Unit kGoUnits[] = {
    {"ns", 1},          {"us", 1000},     {"µs", 1000},     {"μs", 1000},
    {"ms", kMillisecond}, {"s", kSecond}, {"m", kMinute}, {"h", kHour},
};

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

std::string_view TakeWhile(std::string_view* text, bool (*accept)(char)) {
  size_t n = 0;
  while (n < text->size() && accept((*text)[n])) ++n;
  std::string_view taken = text->substr(0, n);
  text->remove_prefix(n);
  return taken;
}

bool IsUnitByte(char c) { return c != '.' && c != '+' && c != '-' && !IsDigit(c); }

std::string Shown(std::string_view text) {
  constexpr size_t kMax = 60;
  return Quote(text.size() > kMax ? std::string(text.substr(0, kMax)) + "..." : std::string(text));
}

std::unexpected<Error> BadDuration(std::string_view text, const std::string& why) {
  return InvalidArgument("not a valid duration string: " + Shown(text) + ": " + why +
                         "; write it as 30s, 5m, 1h30m or 7d, units y w d h m s ms in this order");
}

std::unexpected<Error> BadGoDuration(std::string_view text, const std::string& why) {
  return InvalidArgument("time: " + why + " " + Shown(text) +
                         "; write it as 300ms, 1.5h or 1m30s, units ns us ms s m h");
}

// `whole` and `fraction` decimal digits of a unit; false: too large.
bool AddGoPart(std::string_view whole, std::string_view fraction, int64_t unit, uint64_t* total) {
  constexpr uint64_t kLimit = uint64_t{1} << 63;
  uint64_t value = 0;
  for (char c : whole) {
    if (value > kLimit / 10) return false;
    value = value * 10 + static_cast<uint64_t>(c - '0');
    if (value > kLimit) return false;
  }
  auto scale = static_cast<uint64_t>(unit);
  if (value > kLimit / scale) return false;
  value *= scale;
  double part = 0;
  double place = 1;
  for (char c : fraction) {
    place /= 10;
    part += place * (c - '0');
  }
  if (!fraction.empty()) {
    // Digits past the unit's own resolution are cut, as in Go.
    uint64_t digits = 0;
    uint64_t power = 1;
    for (char c : fraction) {
      if (power > kLimit / 100) break;
      digits = digits * 10 + static_cast<uint64_t>(c - '0');
      power *= 10;
    }
    part = static_cast<double>(digits) * (static_cast<double>(unit) / static_cast<double>(power));
    value += static_cast<uint64_t>(part);
  }
  if (value > kLimit || *total > kLimit - value) return false;
  *total += value;
  return true;
}

void AppendGoFraction(uint64_t value, uint64_t unit, std::string* out) {
  out->append(std::to_string(value / unit));
  uint64_t rest = value % unit;
  if (rest == 0) return;
  out->push_back('.');
  for (uint64_t place = unit / 10; rest > 0; place /= 10) {
    out->push_back(static_cast<char>('0' + rest / place));
    rest %= place;
  }
}

// A fixed number of digits at the front; false: not digits.
bool TakeDigits(std::string_view* text, size_t count, int* out) {
  if (text->size() < count) return false;
  int value = 0;
  for (size_t i = 0; i < count; ++i) {
    if (!IsDigit((*text)[i])) return false;
    value = value * 10 + ((*text)[i] - '0');
  }
  text->remove_prefix(count);
  *out = value;
  return true;
}

bool TakeByte(std::string_view* text, char byte) {
  if (!text->starts_with(byte)) return false;
  text->remove_prefix(1);
  return true;
}

constexpr std::string_view kZeroText = "0001-01-01T00:00:00";  // of kZeroTime

struct Civil {
  std::chrono::year_month_day date;
  int64_t seconds;      // of the day
  int64_t nanoseconds;  // of the second
};

Civil AsCivil(Time t) {
  int64_t ns = t.time_since_epoch().count();
  int64_t day = ns / kDay;
  if (ns % kDay < 0) --day;
  // Near the ends of the range day * kDay would overflow; the unsigned difference does not.
  auto rest = static_cast<int64_t>(static_cast<uint64_t>(ns) -
                                   static_cast<uint64_t>(day) * static_cast<uint64_t>(kDay));
  return {std::chrono::year_month_day(std::chrono::sys_days(std::chrono::days(day))), rest / kSecond,
          rest % kSecond};
}

// `value` as `width` decimal digits at `to`.  REQUIRES: it is not negative and fits.
char* WriteDigits(int64_t value, int width, char* to) {
  for (int i = width - 1; i >= 0; --i, value /= 10) to[i] = static_cast<char>('0' + value % 10);
  return to + width;
}

// 2006-01-02T15:04:05, 19 bytes: base::Time ends before the year 2263.
char* WriteDateAndTime(const Civil& c, char* to) {
  to = WriteDigits(static_cast<int>(c.date.year()), 4, to);
  *to++ = '-';
  to = WriteDigits(static_cast<unsigned>(c.date.month()), 2, to);
  *to++ = '-';
  to = WriteDigits(static_cast<unsigned>(c.date.day()), 2, to);
  *to++ = 'T';
  to = WriteDigits(c.seconds / 3600, 2, to);
  *to++ = ':';
  to = WriteDigits(c.seconds / 60 % 60, 2, to);
  *to++ = ':';
  return WriteDigits(c.seconds % 60, 2, to);
}

}  // namespace

Result<Duration> ParseDuration(std::string_view text) {
  if (text.empty()) return InvalidArgument("empty duration string; write it as 30s, 5m or 1h30m");
  if (text == "0") return Duration(0);
  std::string_view rest = text;
  size_t next_unit = 0;
  int64_t total = 0;
  while (!rest.empty()) {
    std::string_view digits = TakeWhile(&rest, IsDigit);
    std::string_view name = TakeWhile(&rest, IsUnitByte);
    if (digits.empty()) return BadDuration(text, "found no number before " + Shown(std::string(name) + std::string(rest)));
    if (name.empty()) {
      return BadDuration(text, "the number " + std::string(digits) + " has no unit");
    }
    size_t unit = 0;
    while (unit < std::size(kPrometheusUnits) && kPrometheusUnits[unit].name != name) ++unit;
    if (unit == std::size(kPrometheusUnits)) {
      return InvalidArgument("unknown unit " + Shown(name) + " in duration " + Shown(text) +
                             "; use ms, s, m, h, d, w or y, as in 5m");
    }
    if (unit < next_unit) {
      return BadDuration(text, "unit " + Shown(name) + " must stand before smaller ones, once");
    }
    next_unit = unit + 1;
    int64_t count = 0;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
    int64_t scaled = 0;
    if (error != std::errc() ||
        __builtin_mul_overflow(count, kPrometheusUnits[unit].nanoseconds, &scaled) ||
        __builtin_add_overflow(total, scaled, &total)) {
      return InvalidArgument("duration out of range: " + Shown(text) + " is more than 292 years");
    }
  }
  return Duration(total);
}

std::string FormatDuration(Duration d) {
  int64_t ms = std::chrono::duration_cast<nanoseconds>(d).count() / kMillisecond;
  if (ms == 0) return "0s";
  std::string out;
  if (ms < 0) out.push_back('-');
  uint64_t rest = ms < 0 ? -static_cast<uint64_t>(ms) : static_cast<uint64_t>(ms);
  for (const Unit& unit : kPrometheusUnits) {
    auto size = static_cast<uint64_t>(unit.nanoseconds / kMillisecond);
    uint64_t count = rest / size;
    // Years and weeks only where nothing would be left over, for 400d should stay 400d.
    bool exact_only = unit.name == "y" || unit.name == "w";
    if (count == 0 || (exact_only && rest % size != 0)) continue;
    out += std::to_string(count);
    out += unit.name;
    rest -= count * size;
  }
  return out;
}

Result<Duration> ParseGoDuration(std::string_view text) {
  std::string_view rest = text;
  bool negative = false;
  if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) {
    negative = rest[0] == '-';
    rest.remove_prefix(1);
  }
  if (rest == "0") return Duration(0);
  if (rest.empty()) return BadGoDuration(text, "invalid duration");
  uint64_t total = 0;
  while (!rest.empty()) {
    std::string_view whole = TakeWhile(&rest, IsDigit);
    std::string_view fraction;
    if (TakeByte(&rest, '.')) fraction = TakeWhile(&rest, IsDigit);
    if (whole.empty() && fraction.empty()) return BadGoDuration(text, "invalid duration");
    std::string_view name = TakeWhile(&rest, IsUnitByte);
    if (name.empty()) return BadGoDuration(text, "missing unit in duration");
    const Unit* found = nullptr;
    for (const Unit& unit : kGoUnits) {
      if (unit.name == name) found = &unit;
    }
    if (found == nullptr) return BadGoDuration(text, "unknown unit " + Quote(name) + " in duration");
    if (!AddGoPart(whole, fraction, found->nanoseconds, &total)) {
      return BadGoDuration(text, "invalid duration, too large:");
    }
  }
  constexpr uint64_t kLimit = uint64_t{1} << 63;
  if (total > kLimit - (negative ? 0 : 1)) return BadGoDuration(text, "invalid duration, too large:");
  return Duration(static_cast<int64_t>(negative ? -total : total));
}

std::string FormatGoDuration(Duration d) {
  int64_t ns = std::chrono::duration_cast<nanoseconds>(d).count();
  if (ns == 0) return "0s";
  std::string out;
  if (ns < 0) out.push_back('-');
  uint64_t rest = ns < 0 ? -static_cast<uint64_t>(ns) : static_cast<uint64_t>(ns);
  if (rest < static_cast<uint64_t>(kSecond)) {
    bool milli = rest >= static_cast<uint64_t>(kMillisecond);
    bool micro = !milli && rest >= 1000;
    AppendGoFraction(rest, milli ? kMillisecond : micro ? 1000 : 1, &out);
    out += milli ? "ms" : micro ? "µs" : "ns";
    return out;
  }
  uint64_t hours = rest / kHour;
  uint64_t minutes = rest / kMinute % 60;
  if (hours > 0) out += std::to_string(hours) + "h";
  if (hours > 0 || minutes > 0) out += std::to_string(minutes) + "m";
  AppendGoFraction(rest % kMinute, kSecond, &out);
  out.push_back('s');
  return out;
}

namespace {
constexpr std::string_view kByteUnits[] = {"B", "KB", "MB", "GB", "TB", "PB", "EB"};
}

Result<uint64_t> ParseBytes(std::string_view text) {
  auto bad = [](const std::string& why) {
    return InvalidArgument("units: " + why + "; write it as 512MB or 10GiB, units B KB MB GB TB PB EB in powers of 1024");
  };
  auto invalid = [&] { return bad("invalid " + std::string(text)); };
  constexpr auto kLimit = static_cast<double>(std::numeric_limits<int64_t>::max());
  if (text == "0") return 0;
  std::string_view rest = text;
  uint64_t total = 0;
  do {
    std::string_view whole = TakeWhile(&rest, IsDigit);
    std::string_view fraction;
    if (TakeByte(&rest, '.')) fraction = TakeWhile(&rest, IsDigit);
    if (whole.empty() && fraction.empty()) return invalid();
    std::string name(TakeWhile(&rest, IsUnitByte));
    size_t unit = 0;
    std::string plain = name.size() == 3 && name[1] == 'i' ? name.substr(0, 1) + name.substr(2) : name;
    while (unit < std::size(kByteUnits) && kByteUnits[unit] != plain) ++unit;
    if (unit == std::size(kByteUnits)) {
      return bad("unknown unit " + name + " in " + std::string(text));
    }
    uint64_t value = 0;
    if (!whole.empty()) {
      auto [end, error] = std::from_chars(whole.data(), whole.data() + whole.size(), value);
      if (error != std::errc()) return bad("too large: " + std::string(text));
    }
    uint64_t scale = uint64_t{1} << (10 * unit);
    if (static_cast<double>(value) * static_cast<double>(scale) + static_cast<double>(total) >= kLimit) {
      return bad("too large: " + std::string(text));
    }
    double part = 0;
    double place = 1;
    for (char c : fraction) {
      place /= 10;
      part += place * (c - '0');
    }
    total += value * scale + static_cast<uint64_t>(part * static_cast<double>(scale));
  } while (!rest.empty());
  return total;
}

std::string FormatBytes(uint64_t bytes) {
  static constexpr std::string_view kNames[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes == 0) return "0B";
  std::string out;
  for (size_t unit = std::size(kNames); unit-- > 0;) {
    uint64_t scale = uint64_t{1} << (10 * unit);
    if (bytes < scale) continue;
    out += std::to_string(bytes / scale) + std::string(kNames[unit]);
    bytes %= scale;
  }
  return out;
}

Result<Time> ParseRfc3339(std::string_view text) {
  auto bad = [text] {
    return InvalidArgument("cannot parse " + Shown(text) +
                           " as a time; write it as 2006-01-02T15:04:05Z or 2006-01-02T15:04:05.999+02:00");
  };
  std::string_view rest = text;
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if (!TakeDigits(&rest, 4, &year) || !TakeByte(&rest, '-') || !TakeDigits(&rest, 2, &month) ||
      !TakeByte(&rest, '-') || !TakeDigits(&rest, 2, &day) ||
      !(TakeByte(&rest, 'T') || TakeByte(&rest, 't')) || !TakeDigits(&rest, 2, &hour) ||
      !TakeByte(&rest, ':') || !TakeDigits(&rest, 2, &minute) || !TakeByte(&rest, ':') ||
      !TakeDigits(&rest, 2, &second)) {
    return bad();
  }
  int64_t nanos = 0;
  if (TakeByte(&rest, '.') || TakeByte(&rest, ',')) {
    std::string_view digits = TakeWhile(&rest, IsDigit);
    if (digits.empty()) return bad();
    int64_t place = kSecond / 10;
    for (char c : digits) {
      nanos += place * (c - '0');
      place /= 10;
    }
  }
  int64_t offset = 0;
  if (!TakeByte(&rest, 'Z') && !TakeByte(&rest, 'z')) {
    int hours = 0, minutes = 0;
    bool west = rest.starts_with('-');
    if (!TakeByte(&rest, '+') && !TakeByte(&rest, '-')) return bad();
    if (!TakeDigits(&rest, 2, &hours) || !TakeByte(&rest, ':') || !TakeDigits(&rest, 2, &minutes)) return bad();
    if (hours > 24 || minutes > 60) return bad();
    offset = (hours * 60 + minutes) * 60 * (west ? -1 : 1);
  }
  std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                   std::chrono::day(static_cast<unsigned>(day))};
  if (!rest.empty() || !date.ok() || hour > 23 || minute > 59 || second > 59) return bad();
  int64_t seconds = std::chrono::sys_days(date).time_since_epoch().count() * int64_t{86400} + hour * 3600 +
                    minute * 60 + second - offset;
  constexpr int64_t kGoZero = -62135596800;  // 0001-01-01T00:00:00Z
  if (seconds == kGoZero && nanos == 0) return kZeroTime;
  int64_t ns = 0;
  if (__builtin_mul_overflow(seconds, kSecond, &ns) || __builtin_add_overflow(ns, nanos, &ns)) {
    return InvalidArgument("the time " + Shown(text) + " is out of range; years 1678 to 2262 can be told");
  }
  return Time(Duration(ns));
}

std::string FormatRfc3339(Time t) {
  if (t == kZeroTime) return std::string(kZeroText) + "Z";
  const Civil c = AsCivil(t);
  char text[32];
  char* end = WriteDateAndTime(c, text);
  if (c.nanoseconds > 0) {
    *end++ = '.';
    end = WriteDigits(c.nanoseconds, 9, end);
    while (end[-1] == '0') --end;
  }
  *end++ = 'Z';
  return std::string(text, end);
}

std::string FormatRfc3339Millis(Time t) {
  if (t == kZeroTime) return std::string(kZeroText) + ".000Z";
  const Civil c = AsCivil(t);
  char text[32];
  char* end = WriteDateAndTime(c, text);
  *end++ = '.';
  end = WriteDigits(c.nanoseconds / kMillisecond, 3, end);
  *end++ = 'Z';
  return std::string(text, end);
}

}  // namespace tocsin::base
