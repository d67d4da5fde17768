#include "alertmanager/time_interval.h"

#include <absl/time/time.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>

#include "base/text.h"

namespace tocsin::alertmanager {

namespace {

constexpr std::array<std::string_view, 7> kWeekdays = {"sunday",   "monday", "tuesday", "wednesday",
                                                       "thursday", "friday", "saturday"};
constexpr std::array<std::string_view, 12> kMonths = {
    "january", "february", "march",     "april",   "may",      "june",
    "july",    "august",   "september", "october", "november", "december"};

absl::TimeZone Zone(const std::string& location) {
  absl::TimeZone zone = absl::UTCTimeZone();
  if (location == "Local") return absl::LocalTimeZone();
  if (!location.empty()) absl::LoadTimeZone(location, &zone);  // checked when it was read
  return zone;
}

bool In(const std::vector<InclusiveRange>& ranges, int value) {
  return ranges.empty() || std::ranges::any_of(ranges, [&](const InclusiveRange& r) {
           return r.begin <= value && value <= r.end;
         });
}

int DaysInMonth(absl::CivilDay day) {
  const absl::CivilMonth month(day);
  return static_cast<int>(absl::CivilDay(month + 1) - absl::CivilDay(month));
}

bool InDaysOfMonth(const std::vector<InclusiveRange>& ranges, absl::CivilDay day) {
  if (ranges.empty()) return true;
  const int days = DaysInMonth(day);
  for (const InclusiveRange& r : ranges) {
    // Negative days count from the end: -1 is the last.
    int begin = r.begin < 0 ? days + r.begin + 1 : r.begin;
    int end = r.end < 0 ? days + r.end + 1 : r.end;
    if (begin > days) continue;  // the month has no such day
    begin = std::clamp(begin, 1, days);
    end = std::clamp(end, 0, days);
    if (begin <= day.day() && day.day() <= end) return true;
  }
  return false;
}

}  // namespace

bool TimeInterval::Contains(base::Time t) const {
  const absl::CivilSecond civil = absl::ToCivilSecond(
      absl::FromUnixNanos(t.time_since_epoch().count()), Zone(location));
  const absl::CivilDay day(civil);
  if (!times.empty()) {
    const int minute = civil.hour() * 60 + civil.minute();
    if (std::ranges::none_of(times, [&](const MinuteRange& r) {
          return r.begin <= minute && minute < r.end;
        })) {
      return false;
    }
  }
  // absl counts from Monday, as 0.
  const int weekday = (static_cast<int>(absl::GetWeekday(day)) + 1) % 7;
  return InDaysOfMonth(days_of_month, day) && In(months, civil.month()) && In(weekdays, weekday) &&
         In(years, static_cast<int>(civil.year()));
}

bool ContainsTime(std::span<const TimeInterval> intervals, base::Time t) {
  return std::ranges::any_of(intervals, [&](const TimeInterval& i) { return i.Contains(t); });
}

namespace {

using base::yaml::Errors;
using base::yaml::Node;
using base::yaml::Position;

std::optional<int> ParseInt(std::string_view text) {
  std::string copy(text);
  char* end = nullptr;
  const long value = std::strtol(copy.c_str(), &end, 10);
  if (copy.empty() || *end != 0 || value < -1000000 || value > 1000000) return std::nullopt;
  return static_cast<int>(value);
}

// HH:MM from 00:00 to 24:00.
std::optional<int> ParseClock(std::string_view text) {
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  for (size_t i : {0, 1, 3, 4}) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
  }
  const int hour = (text[0] - '0') * 10 + text[1] - '0';
  const int minute = (text[3] - '0') * 10 + text[4] - '0';
  if (hour > 24 || minute > 59 || (hour == 24 && minute > 0)) return std::nullopt;
  return hour * 60 + minute;
}

void ReadTimes(const Node& node, Errors* errors, std::vector<MinuteRange>* out) {
  base::yaml::Reader r(node, errors, "time_range");
  std::string start, end;
  r.String("start_time", &start);
  r.String("end_time", &end);
  const Position at = node.position;
  r.Finish();
  if (start.empty() || end.empty()) {
    errors->Add(at, start.empty() && end.empty() ? "missing start and end time: both start_time and end_time must be provided"
                                                 : "both start and end times must be provided");
    return;
  }
  auto parse = [&](const std::string& text) {
    auto minutes = ParseClock(text);
    if (!minutes) errors->Add(at, fmt::format("couldn't parse timestamp {}, invalid format; write HH:MM, from 00:00 to 24:00", text));
    return minutes;
  };
  const auto begin = parse(start);
  const auto stop = parse(end);
  if (!begin || !stop) return;
  if (*begin >= *stop) {
    errors->Add(at, "start time cannot be equal or greater than end time");
    return;
  }
  out->push_back({.begin = *begin, .end = *stop});
}

struct RangeKind {
  std::string_view what;                         // in messages
  std::span<const std::string_view> names;       // of values, numbered from `first_name`
  int first_name = 0;
  bool numbers = true;                           // whether plain numbers are allowed
};

std::optional<int> ParseValue(std::string_view text, const RangeKind& kind) {
  for (size_t i = 0; i < kind.names.size(); ++i) {
    if (kind.names[i] == text) return static_cast<int>(i) + kind.first_name;
  }
  return kind.numbers ? ParseInt(text) : std::nullopt;
}

// Reads "a", "a:b" over a list.  False after an error.
bool ParseRange(std::string_view text, const RangeKind& kind, Position at, Errors* errors,
                InclusiveRange* out) {
  const std::string lower = base::ToLower(base::Trim(text));
  const auto parts = base::Split(lower, ':');
  if (parts.size() > 2) {
    errors->Add(at, fmt::format("couldn't parse {} range {}, invalid format; write begin:end", kind.what, text));
    return false;
  }
  int values[2] = {};
  for (size_t i = 0; i < parts.size(); ++i) {
    auto v = ParseValue(base::Trim(parts[i]), kind);
    if (!v) {
      errors->Add(at, kind.names.empty()
                          ? fmt::format("couldn't parse {} {}: not a number", kind.what, text)
                          : fmt::format("{} is not a valid {}", parts[i], kind.what));
      return false;
    }
    values[i] = *v;
  }
  *out = {.begin = values[0], .end = parts.size() == 2 ? values[1] : values[0]};
  return true;
}

void ReadRanges(base::yaml::Reader& r, std::string_view key, const RangeKind& kind, Errors* errors,
                const std::function<std::string(const InclusiveRange&)>& check,
                std::vector<InclusiveRange>* out) {
  r.Each(key, [&](const Node& item) {
    std::string text;
    if (!base::yaml::ScalarText(item, &text)) {
      errors->Add(item.position, fmt::format("{}: expected a text such as a or a:b", key));
      return;
    }
    InclusiveRange range;
    if (!ParseRange(text, kind, item.position, errors, &range)) return;
    if (std::string problem = check(range); !problem.empty()) {
      errors->Add(item.position, problem);
      return;
    }
    out->push_back(range);
  });
}

std::string CheckWeekdays(const InclusiveRange& r) {
  return r.begin > r.end ? "start day cannot be before end day" : "";
}

std::string CheckDays(const InclusiveRange& r) {
  for (int day : {r.begin, r.end}) {
    if (day == 0 || day < -31 || day > 31) {
      return fmt::format("{} is not a valid day of the month: out of range", day);
    }
  }
  // "If beginning is negative, end must be too"; the other way round is fine (1:-1).
  if (r.begin < 0 && r.end > 0) return "end day must be negative if start day is negative";
  // Compared in the longest month, as -31:31 is refused above and 5:-30 could never match.
  const int begin = r.begin < 0 ? 31 + r.begin + 1 : r.begin;
  const int end = r.end < 0 ? 31 + r.end + 1 : r.end;
  if (begin > end) return fmt::format("end day {} is always before start day {}", r.end, r.begin);
  return "";
}

std::string CheckMonths(const InclusiveRange& r) {
  for (int month : {r.begin, r.end}) {
    if (month < 1 || month > 12) return fmt::format("{} is not a valid month: out of range", month);
  }
  return r.begin > r.end ? fmt::format("end month {} is before start month {}", kMonths[r.end - 1], kMonths[r.begin - 1]) : "";
}

std::string CheckYears(const InclusiveRange& r) {
  return r.begin > r.end ? fmt::format("end year {} is before start year {}", r.end, r.begin) : "";
}

}  // namespace

TimeInterval ReadTimeInterval(const base::yaml::Node& node, base::yaml::Errors* errors) {
  TimeInterval out;
  base::yaml::Reader r(node, errors, "time_interval");
  r.Each("times", [&](const Node& item) { ReadTimes(item, errors, &out.times); });
  ReadRanges(r, "weekdays", {.what = "weekday", .names = kWeekdays, .numbers = false}, errors,
             CheckWeekdays, &out.weekdays);
  ReadRanges(r, "days_of_month", {.what = "day of the month", .names = {}}, errors, CheckDays,
             &out.days_of_month);
  ReadRanges(r, "months", {.what = "month", .names = kMonths, .first_name = 1}, errors, CheckMonths,
             &out.months);
  ReadRanges(r, "years", {.what = "year", .names = {}}, errors, CheckYears, &out.years);
  if (r.String("location", &out.location) && !out.location.empty() && out.location != "Local") {
    absl::TimeZone zone;
    if (!absl::LoadTimeZone(out.location, &zone)) {
      r.Error("location", fmt::format("unknown time zone {}; use an IANA name such as Europe/Berlin",
                                      out.location));
    }
  }
  r.Finish();
  return out;
}

namespace {

// One item of a flow list, quoted as Go's encoder does.
std::string FlowItem(const std::string& text) {
  const auto colon = text.find(':');
  if (colon == std::string::npos) {
    const bool number = ParseInt(text).has_value();
    return number ? '"' + text + '"' : text;
  }
  // a:b reads as a number to base 60 when b has at most two digits below 60.
  const auto begin = ParseInt(std::string_view(text).substr(0, colon));
  const auto end = ParseInt(std::string_view(text).substr(colon + 1));
  if (begin && end && *end >= 0 && *end < 60) return '"' + text + '"';
  return '\'' + text + '\'';
}

void PrintRanges(int indent, std::string_view key, const std::vector<InclusiveRange>& ranges,
                 const std::function<std::string(int)>& name, std::string* first, std::string* out) {
  if (ranges.empty()) return;
  *out += *first + std::string(key) + ": [";
  *first = std::string(static_cast<size_t>(indent) + 2, ' ');
  for (size_t i = 0; i < ranges.size(); ++i) {
    std::string text = name(ranges[i].begin);
    if (ranges[i].begin != ranges[i].end) text += ":" + name(ranges[i].end);
    *out += (i > 0 ? ", " : "") + FlowItem(text);
  }
  *out += "]\n";
}

}  // namespace

void TimeInterval::Print(int indent, std::string* out) const {
  const std::string inner(static_cast<size_t>(indent) + 2, ' ');
  std::string first = std::string(static_cast<size_t>(indent), ' ') + "- ";
  auto number = [](int v) { return std::to_string(v); };
  if (!times.empty()) {
    *out += first + "times:\n";
    first = inner;
    for (const MinuteRange& t : times) {
      *out += fmt::format("{0}- start_time: \"{1:02}:{2:02}\"\n{0}  end_time: \"{3:02}:{4:02}\"\n", inner,
                          t.begin / 60, t.begin % 60, t.end / 60, t.end % 60);
    }
  }
  PrintRanges(indent, "weekdays", weekdays, [](int v) { return std::string(kWeekdays[v]); }, &first, out);
  PrintRanges(indent, "days_of_month", days_of_month, number, &first, out);
  PrintRanges(indent, "months", months, number, &first, out);
  PrintRanges(indent, "years", years, number, &first, out);
  if (!location.empty()) {
    *out += first + "location: " + location + "\n";
    first = inner;
  }
  if (first != inner) *out += first + "{}\n";
}

}  // namespace tocsin::alertmanager
