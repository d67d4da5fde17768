#pragma once

// When a recurring silence holds: a list of time intervals, as time_intervals of alertmanager.yml have
// them, in JSON (or YAML, of which it is a part):
//
//   [{"weekdays": ["saturday"], "times": [{"start_time": "02:00", "end_time": "04:00"}], "location": "Europe/Berlin"}]
//
// and in short, for people: "saturday 02:00-04:00 Europe/Berlin".
//
// Threads: plain values.  Errors: kInvalidArgument, in the words of the configuration's.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "alertmanager/time_interval.h"
#include "base/result.h"

namespace tocsin::alertmanager {

using SchedulePtr = std::shared_ptr<const std::vector<TimeInterval>>;

// Null for an empty text or list: always.
base::Result<SchedulePtr> ReadSchedule(std::string_view text);

// "monday:friday,sunday 22:00-24:00,00:00-06:00 Europe/Berlin", each part optional, as JSON.  A text that
// begins with [ or { is taken as it is.
base::Result<std::string> ScheduleFromShort(std::string_view text);

}  // namespace tocsin::alertmanager
