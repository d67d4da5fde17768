// Go's time layouts: formatting and parsing by the example 2006-01-02 15:04:05 -0700 MST.
// Source of the rules: Go's documentation of package time, "Layout".

#include <array>
#include <cctype>
#include <cstring>

#include "base/duration.h"
#include "base/number.h"
#include "templates/go_time.h"

namespace tocsin::templates {

namespace internal {
int64_t ResolveWallClock(int64_t year, int month, int day, int hour, int minute, int second, const Zone& zone);
}

namespace {

constexpr std::array<std::string_view, 12> kMonths = {
    "January", "February", "March",     "April",   "May",      "June",
    "July",    "August",   "September", "October", "November", "December"};
constexpr std::array<std::string_view, 7> kDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                   "Thursday", "Friday", "Saturday"};

enum class Std {
  kNone, kLongMonth, kMonth, kNumMonth, kZeroMonth, kLongWeekDay, kWeekDay, kDay, kUnderDay, kZeroDay,
  kUnderYearDay, kZeroYearDay, kHour, kHour12, kZeroHour12, kMinute, kZeroMinute, kSecond, kZeroSecond,
  kLongYear, kYear, kPM, kpm, kTZ, kIsoTZ, kIsoSecondsTZ, kIsoShortTZ, kIsoColonTZ, kIsoColonSecondsTZ,
  kNumTZ, kNumSecondsTz, kNumShortTZ, kNumColonTZ, kNumColonSecondsTZ, kFracSecond0, kFracSecond9,
};

struct Chunk {
  std::string_view prefix;  // literal text before it
  Std std = Std::kNone;
  std::string_view text;  // the element as written
  std::string_view suffix;
  int digits = 0;  // of a fraction
};

struct Element {
  std::string_view text;
  Std std;
};

// Longer ones before their prefixes.
constexpr Element kElements[] = {
    {"-07:00:00", Std::kNumColonSecondsTZ}, {"-070000", Std::kNumSecondsTz}, {"-07:00", Std::kNumColonTZ},
    {"-0700", Std::kNumTZ}, {"-07", Std::kNumShortTZ},
    {"Z07:00:00", Std::kIsoColonSecondsTZ}, {"Z070000", Std::kIsoSecondsTZ}, {"Z07:00", Std::kIsoColonTZ},
    {"Z0700", Std::kIsoTZ}, {"Z07", Std::kIsoShortTZ},
    {"January", Std::kLongMonth}, {"Jan", Std::kMonth}, {"Monday", Std::kLongWeekDay}, {"Mon", Std::kWeekDay},
    {"MST", Std::kTZ},
    {"002", Std::kZeroYearDay}, {"01", Std::kZeroMonth}, {"02", Std::kZeroDay}, {"03", Std::kZeroHour12},
    {"04", Std::kZeroMinute}, {"05", Std::kZeroSecond}, {"06", Std::kYear},
    {"15", Std::kHour}, {"1", Std::kNumMonth}, {"2006", Std::kLongYear}, {"2", Std::kDay},
    {"__2", Std::kUnderYearDay}, {"_2", Std::kUnderDay},
    {"3", Std::kHour12}, {"4", Std::kMinute}, {"5", Std::kSecond}, {"PM", Std::kPM}, {"pm", Std::kpm},
};

bool IsDigit(std::string_view s, size_t i) { return i < s.size() && s[i] >= '0' && s[i] <= '9'; }

// The first element of the layout and what stands around it.
Chunk NextChunk(std::string_view layout) {
  for (size_t i = 0; i < layout.size(); ++i) {
    const std::string_view rest = layout.substr(i);
    if ((rest[0] == '.' || rest[0] == ',') && rest.size() > 1 && (rest[1] == '0' || rest[1] == '9')) {
      size_t j = 1;
      while (j < rest.size() && rest[j] == rest[1]) ++j;
      if (!IsDigit(rest, j)) {
        return {layout.substr(0, i), rest[1] == '0' ? Std::kFracSecond0 : Std::kFracSecond9,
                rest.substr(0, j), rest.substr(j), static_cast<int>(j - 1)};
      }
    }
    // "_2006" is an underscore before the year, not a padded day.
    if (rest.starts_with("_2006")) {
      return {layout.substr(0, i + 1), Std::kLongYear, layout.substr(i + 1, 4), layout.substr(i + 5), 0};
    }
    for (const Element& e : kElements) {
      if (!rest.starts_with(e.text)) continue;
      // "Jan" within "January" is found first; in "Janet" it is plain text.
      if ((e.std == Std::kMonth || e.std == Std::kWeekDay) && rest.size() > 3 && rest[3] >= 'a' && rest[3] <= 'z') {
        continue;
      }
      return {layout.substr(0, i), e.std, e.text, rest.substr(e.text.size()), 0};
    }
  }
  return {layout, Std::kNone, {}, {}, 0};
}

void AppendPadded(int64_t v, int width, char pad, std::string* out) {
  std::string digits = std::to_string(v < 0 ? -v : v);
  if (v < 0) out->push_back('-');
  if (static_cast<int>(digits.size()) < width) out->append(width - digits.size(), pad);
  *out += digits;
}

void AppendFraction(int nanos, const Chunk& chunk, std::string* out) {
  std::string digits = std::to_string(nanos);
  digits.insert(0, 9 - digits.size(), '0');
  digits.resize(chunk.digits > 9 ? 9 : chunk.digits, '0');
  if (chunk.std == Std::kFracSecond9) {
    while (!digits.empty() && digits.back() == '0') digits.pop_back();
    if (digits.empty()) return;
  }
  out->push_back(chunk.text[0]);
  *out += digits;
}

bool IsIso(Std s) {
  return s == Std::kIsoTZ || s == Std::kIsoColonTZ || s == Std::kIsoSecondsTZ || s == Std::kIsoShortTZ ||
         s == Std::kIsoColonSecondsTZ;
}

bool IsZone(Std s) { return s >= Std::kIsoTZ && s <= Std::kNumColonSecondsTZ; }

void AppendOffset(int offset, Std std, std::string* out) {
  if (offset == 0 && IsIso(std)) {
    out->push_back('Z');
    return;
  }
  out->push_back(offset < 0 ? '-' : '+');
  const int abs = offset < 0 ? -offset : offset;
  AppendPadded(abs / 3600, 2, '0', out);
  if (std == Std::kIsoShortTZ || std == Std::kNumShortTZ) return;
  const bool colon = std == Std::kIsoColonTZ || std == Std::kNumColonTZ || std == Std::kIsoColonSecondsTZ ||
                     std == Std::kNumColonSecondsTZ;
  if (colon) out->push_back(':');
  AppendPadded(abs / 60 % 60, 2, '0', out);
  if (std == Std::kIsoSecondsTZ || std == Std::kNumSecondsTz || std == Std::kIsoColonSecondsTZ ||
      std == Std::kNumColonSecondsTZ) {
    if (colon) out->push_back(':');
    AppendPadded(abs % 60, 2, '0', out);
  }
}

void AppendChunk(const Chunk& chunk, const GoTime::Civil& c, int nanos, std::string* out) {
  switch (chunk.std) {
    case Std::kNone: break;
    case Std::kYear: AppendPadded((c.year < 0 ? 0 : c.year) % 100, 2, '0', out); break;
    case Std::kLongYear: AppendPadded(c.year, 4, '0', out); break;
    case Std::kMonth: *out += kMonths[c.month - 1].substr(0, 3); break;
    case Std::kLongMonth: *out += kMonths[c.month - 1]; break;
    case Std::kNumMonth: AppendPadded(c.month, 0, '0', out); break;
    case Std::kZeroMonth: AppendPadded(c.month, 2, '0', out); break;
    case Std::kWeekDay: *out += kDays[c.weekday].substr(0, 3); break;
    case Std::kLongWeekDay: *out += kDays[c.weekday]; break;
    case Std::kDay: AppendPadded(c.day, 0, '0', out); break;
    case Std::kUnderDay: AppendPadded(c.day, 2, ' ', out); break;
    case Std::kZeroDay: AppendPadded(c.day, 2, '0', out); break;
    case Std::kUnderYearDay: AppendPadded(c.year_day, 3, ' ', out); break;
    case Std::kZeroYearDay: AppendPadded(c.year_day, 3, '0', out); break;
    case Std::kHour: AppendPadded(c.hour, 2, '0', out); break;
    case Std::kHour12: AppendPadded(c.hour % 12 == 0 ? 12 : c.hour % 12, 0, '0', out); break;
    case Std::kZeroHour12: AppendPadded(c.hour % 12 == 0 ? 12 : c.hour % 12, 2, '0', out); break;
    case Std::kMinute: AppendPadded(c.minute, 0, '0', out); break;
    case Std::kZeroMinute: AppendPadded(c.minute, 2, '0', out); break;
    case Std::kSecond: AppendPadded(c.second, 0, '0', out); break;
    case Std::kZeroSecond: AppendPadded(c.second, 2, '0', out); break;
    case Std::kPM: *out += c.hour >= 12 ? "PM" : "AM"; break;
    case Std::kpm: *out += c.hour >= 12 ? "pm" : "am"; break;
    case Std::kTZ:
      if (!c.zone.empty()) {
        *out += c.zone;
      } else {
        AppendOffset(c.offset, Std::kNumTZ, out);
      }
      break;
    case Std::kFracSecond0:
    case Std::kFracSecond9: AppendFraction(nanos, chunk, out); break;
    default: AppendOffset(c.offset, chunk.std, out);
  }
}

// What parsing collects.
struct Parsed {
  int64_t year = 0;
  int month = -1, day = -1, year_day = -1, hour = 0, minute = 0, second = 0, nanos = 0;
  bool pm_set = false, am_set = false;
  bool utc = false;
  bool has_offset = false;
  int offset = 0;
  std::string zone_name;
  std::string out_of_range;  // which element
};

// Reads `min` to `max` digits.
bool ReadNumber(std::string_view* text, int min, int max, int* out) {
  int n = 0;
  int v = 0;
  while (n < max && IsDigit(*text, n)) v = v * 10 + ((*text)[n++] - '0');
  if (n < min) return false;
  text->remove_prefix(n);
  *out = v;
  return true;
}

template <size_t N>
bool ReadName(const std::array<std::string_view, N>& names, size_t length, std::string_view* text, int* out) {
  for (size_t i = 0; i < N; ++i) {
    const std::string_view name = names[i].substr(0, length);
    if (text->size() < name.size()) continue;
    bool same = true;
    for (size_t j = 0; j < name.size(); ++j) {
      same = same && std::tolower(static_cast<unsigned char>((*text)[j])) ==
                         std::tolower(static_cast<unsigned char>(name[j]));
    }
    if (!same) continue;
    text->remove_prefix(name.size());
    *out = static_cast<int>(i);
    return true;
  }
  return false;
}

bool ReadFraction(std::string_view* text, size_t digits, int* nanos) {
  if (text->size() < digits + 1 || ((*text)[0] != '.' && (*text)[0] != ',')) return false;
  int64_t v = 0;
  for (size_t i = 1; i <= digits; ++i) {
    if (!IsDigit(*text, i)) return false;
    if (i <= 9) v = v * 10 + ((*text)[i] - '0');
  }
  for (size_t i = digits; i < 9; ++i) v *= 10;
  *nanos = static_cast<int>(v);
  text->remove_prefix(digits + 1);
  return true;
}

bool ReadOffset(Std std, std::string_view* text, Parsed* p) {
  if (IsIso(std) && text->starts_with("Z")) {
    text->remove_prefix(1);
    p->utc = true;
    return true;
  }
  if (text->empty() || ((*text)[0] != '+' && (*text)[0] != '-')) return false;
  const int sign = (*text)[0] == '-' ? -1 : 1;
  text->remove_prefix(1);
  const bool colon = std == Std::kIsoColonTZ || std == Std::kNumColonTZ || std == Std::kIsoColonSecondsTZ ||
                     std == Std::kNumColonSecondsTZ;
  const bool seconds = std == Std::kIsoSecondsTZ || std == Std::kNumSecondsTz ||
                       std == Std::kIsoColonSecondsTZ || std == Std::kNumColonSecondsTZ;
  const int parts = std == Std::kIsoShortTZ || std == Std::kNumShortTZ ? 1 : seconds ? 3 : 2;
  int total = 0;
  constexpr int kUnits[] = {3600, 60, 1};
  constexpr int kMost[] = {24, 60, 60};
  for (int i = 0; i < parts; ++i) {
    if (i > 0 && colon) {
      if (!text->starts_with(":")) return false;
      text->remove_prefix(1);
    }
    int v = 0;
    if (!ReadNumber(text, 2, 2, &v)) return false;
    if (v > kMost[i]) p->out_of_range = "time zone offset";
    total += v * kUnits[i];
  }
  p->has_offset = true;
  p->offset = sign * total;
  return true;
}

// An abbreviation: three or four capitals, or five ending in ST, or a signed number.
bool ReadZoneName(std::string_view* text, Parsed* p) {
  if (text->starts_with("UTC")) {
    text->remove_prefix(3);
    p->utc = true;
    return true;
  }
  size_t n = 0;
  if (!text->empty() && ((*text)[0] == '+' || (*text)[0] == '-')) {
    n = 1;
    while (n < 3 && IsDigit(*text, n)) ++n;
    if (n == 1) return false;
  } else {
    while (n < text->size() && n < 6 && (*text)[n] >= 'A' && (*text)[n] <= 'Z') ++n;
    if (n < 3 || n > 5) return false;
  }
  p->zone_name = std::string(text->substr(0, n));
  text->remove_prefix(n);
  return true;
}

bool InRange(int v, int low, int high, const char* what, Parsed* p) {
  if (v < low || v > high) p->out_of_range = what;
  return true;
}

bool ReadChunk(const Chunk& chunk, std::string_view* text, Parsed* p) {
  int v = 0;
  switch (chunk.std) {
    case Std::kYear:
      if (!ReadNumber(text, 2, 2, &v)) return false;
      p->year = v >= 69 ? 1900 + v : 2000 + v;
      return true;
    case Std::kLongYear:
      if (!ReadNumber(text, 4, 4, &v)) return false;
      p->year = v;
      return true;
    case Std::kMonth:
    case Std::kLongMonth:
      if (!ReadName(kMonths, chunk.std == Std::kMonth ? 3 : 99, text, &v)) return false;
      p->month = v + 1;
      return true;
    case Std::kNumMonth:
    case Std::kZeroMonth:
      return ReadNumber(text, chunk.std == Std::kZeroMonth ? 2 : 1, 2, &p->month) &&
             InRange(p->month, 1, 12, "month", p);
    case Std::kWeekDay: return ReadName(kDays, 3, text, &v);
    case Std::kLongWeekDay: return ReadName(kDays, 99, text, &v);
    case Std::kUnderDay:
    case Std::kDay:
    case Std::kZeroDay:
      if (chunk.std == Std::kUnderDay && text->starts_with(" ")) text->remove_prefix(1);
      return ReadNumber(text, chunk.std == Std::kZeroDay ? 2 : 1, 2, &p->day);
    case Std::kUnderYearDay:
    case Std::kZeroYearDay:
      for (int i = 0; i < 2 && chunk.std == Std::kUnderYearDay && text->starts_with(" "); ++i) {
        text->remove_prefix(1);
      }
      return ReadNumber(text, chunk.std == Std::kZeroYearDay ? 3 : 1, 3, &p->year_day);
    case Std::kHour: return ReadNumber(text, 1, 2, &p->hour) && InRange(p->hour, 0, 23, "hour", p);
    case Std::kHour12:
    case Std::kZeroHour12:
      return ReadNumber(text, chunk.std == Std::kZeroHour12 ? 2 : 1, 2, &p->hour) &&
             InRange(p->hour, 0, 12, "hour", p);
    case Std::kMinute:
    case Std::kZeroMinute:
      return ReadNumber(text, chunk.std == Std::kZeroMinute ? 2 : 1, 2, &p->minute) &&
             InRange(p->minute, 0, 59, "minute", p);
    case Std::kSecond:
    case Std::kZeroSecond: {
      if (!ReadNumber(text, chunk.std == Std::kZeroSecond ? 2 : 1, 2, &p->second)) return false;
      InRange(p->second, 0, 59, "second", p);
      // A fraction may follow although the layout does not show one.
      if (text->size() >= 2 && ((*text)[0] == '.' || (*text)[0] == ',') && IsDigit(*text, 1)) {
        const Std next = NextChunk(chunk.suffix).std;
        if (next != Std::kFracSecond0 && next != Std::kFracSecond9) {
          size_t n = 1;
          while (IsDigit(*text, n)) ++n;
          return ReadFraction(text, n - 1, &p->nanos);
        }
      }
      return true;
    }
    case Std::kPM:
    case Std::kpm: {
      const bool upper = chunk.std == Std::kPM;
      if (text->starts_with(upper ? "PM" : "pm")) {
        p->pm_set = true;
      } else if (text->starts_with(upper ? "AM" : "am")) {
        p->am_set = true;
      } else {
        return false;
      }
      text->remove_prefix(2);
      return true;
    }
    case Std::kTZ: return ReadZoneName(text, p);
    case Std::kFracSecond0: return ReadFraction(text, chunk.digits, &p->nanos);
    case Std::kFracSecond9: {
      if (text->size() < 2 || ((*text)[0] != '.' && (*text)[0] != ',') || !IsDigit(*text, 1)) return true;
      size_t n = 1;
      while (IsDigit(*text, n)) ++n;
      return ReadFraction(text, n - 1, &p->nanos);
    }
    default: return IsZone(chunk.std) && ReadOffset(chunk.std, text, p);
  }
}

int DaysIn(int64_t year, int month) {
  constexpr int kLengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return month == 2 && leap ? 29 : kLengths[month - 1];
}

// Works out month and day, checks them.
void ResolveDate(Parsed* p) {
  const bool leap = DaysIn(p->year, 2) == 29;
  if (p->year_day >= 0) {
    if (p->year_day < 1 || p->year_day > (leap ? 366 : 365)) {
      p->out_of_range = "day-of-year";
      return;
    }
    int rest = p->year_day;
    int month = 1;
    while (rest > DaysIn(p->year, month)) rest -= DaysIn(p->year, month++);
    if ((p->month >= 0 && p->month != month) || (p->day >= 0 && p->day != rest)) {
      p->out_of_range = p->month >= 0 && p->month != month ? "day-of-year does not match month"
                                                           : "day-of-year does not match day";
    }
    p->month = month;
    p->day = rest;
    return;
  }
  if (p->month < 0) p->month = 1;
  if (p->day < 0) p->day = 1;
  if (p->day < 1 || p->day > DaysIn(p->year, p->month)) p->out_of_range = "day";
}

}  // namespace

std::string GoTime::Format(std::string_view layout) const {
  const Civil c = civil();
  std::string out;
  while (!layout.empty()) {
    const Chunk chunk = NextChunk(layout);
    out += chunk.prefix;
    if (chunk.std == Std::kNone) break;
    AppendChunk(chunk, c, nanos, &out);
    layout = chunk.suffix;
  }
  return out;
}

std::string GoTime::ToString() const { return Format("2006-01-02 15:04:05.999999999 -0700 MST"); }

std::string GoTime::ToRfc3339Nano() const {
  // Nearly every time is in UTC and within what base::Time holds, the years 1678 to 2261.
  constexpr int64_t kLimit = 9'200'000'000;
  if (zone.rep() == nullptr && (IsZero() || (seconds > -kLimit && seconds < kLimit))) {
    return base::FormatRfc3339(ToTime());
  }
  return Format("2006-01-02T15:04:05.999999999Z07:00");
}

base::Result<GoTime> GoTime::Parse(std::string_view layout, std::string_view text, Zone zone) {
  const std::string head = "parsing time " + base::Quote(text);
  const std::string as = head + " as " + base::Quote(layout) + ": cannot parse ";
  Parsed p;
  std::string_view rest = text;
  for (;;) {
    const Chunk chunk = NextChunk(layout);
    if (!rest.starts_with(chunk.prefix)) {
      return base::InvalidArgument(as + base::Quote(rest) + " as " + base::Quote(chunk.prefix));
    }
    rest.remove_prefix(chunk.prefix.size());
    if (chunk.std == Std::kNone) {
      if (!rest.empty()) return base::InvalidArgument(head + ": extra text: " + base::Quote(rest));
      break;
    }
    layout = chunk.suffix;
    const std::string_view held = rest;
    if (!ReadChunk(chunk, &rest, &p)) {
      return base::InvalidArgument(as + base::Quote(held) + " as " + base::Quote(chunk.text));
    }
    if (!p.out_of_range.empty()) return base::InvalidArgument(head + ": " + p.out_of_range + " out of range");
  }
  if (p.pm_set && p.hour < 12) p.hour += 12;
  if (p.am_set && p.hour == 12) p.hour = 0;
  ResolveDate(&p);
  if (!p.out_of_range.empty()) return base::InvalidArgument(head + ": " + p.out_of_range + " out of range");

  Zone in = zone;
  if (p.utc) {
    in = Zone();
  } else if (p.has_offset) {
    in = p.offset == 0 && p.zone_name.empty() ? Zone() : Zone::Fixed(p.zone_name, p.offset);
  } else if (!p.zone_name.empty()) {
    in = Zone::Fixed(p.zone_name, 0);  // an unknown abbreviation: Go too makes up an offset of 0
  }
  return GoTime{internal::ResolveWallClock(p.year, p.month, p.day, p.hour, p.minute, p.second, in), p.nanos, in};
}

}  // namespace tocsin::templates
