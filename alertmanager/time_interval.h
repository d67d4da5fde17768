#pragma once

// time_intervals of alertmanager.yml: when routes are muted or active.  All given fields of an
// interval must match; of a list any one interval.  Ends of `times` are exclusive, all other ranges
// inclusive.
//
// Threads: immutable.  Errors: go to the Errors given, in Alertmanager's words.

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/time.h"
#include "base/yaml.h"

namespace tocsin::alertmanager {

struct MinuteRange {
  int begin = 0;  // minutes of the day
  int end = 0;    // exclusive, up to 1440
  friend bool operator==(const MinuteRange&, const MinuteRange&) = default;
};

struct InclusiveRange {
  int begin = 0;
  int end = 0;
  friend bool operator==(const InclusiveRange&, const InclusiveRange&) = default;
};

class TimeInterval {
 public:
  std::vector<MinuteRange> times;
  std::vector<InclusiveRange> weekdays;       // 0 is Sunday
  std::vector<InclusiveRange> days_of_month;  // 1..31, or -31..-1 from the end
  std::vector<InclusiveRange> months;         // 1..12
  std::vector<InclusiveRange> years;
  std::string location;  // IANA name, "Local"; empty: UTC

  bool Contains(base::Time t) const;
  // As YAML lines of a list item, below `indent` spaces ("- " before the first).
  void Print(int indent, std::string* out) const;
};

bool ContainsTime(std::span<const TimeInterval> intervals, base::Time t);

// Reads one interval: a mapping.
TimeInterval ReadTimeInterval(const base::yaml::Node& node, base::yaml::Errors* errors);

}  // namespace tocsin::alertmanager
