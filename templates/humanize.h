#pragma once

// Numbers for people, as rule and notification templates print them.
// Source: prometheus/common, helpers/templates.

#include <string>

#include "base/result.h"
#include "templates/value.h"

namespace tocsin::templates {

// A number, or a string that is one, or a duration in seconds.
base::Result<double> ToFloat(const Value& v);

std::string Humanize(double v);            // 1.235M, 120m
std::string Humanize1024(double v);        // 1.177Mi
std::string HumanizeDuration(double v);    // of seconds: 1d 1h 0m 0s, 123.5ms
std::string HumanizePercentage(double v);  // 0.1234567: 12.35%
// Seconds since the epoch to a time of whole milliseconds.  Errors: NaN, infinite, beyond the range.
base::Result<GoTime> FloatToTime(double v);

}  // namespace tocsin::templates
