#include "base/duration.h"
#include "base/log.h"
#include "base/number.h"

namespace tocsin::base {

LogField::LogField(std::string_view k, double v) : key(k), value(FormatG(v)) {
  // JSON has no word for infinities and NaN; they are written as text.
  number = v - v == 0;
}
LogField::LogField(std::string_view k, Duration v) : key(k), value(FormatGoDuration(v)) {}
LogField::LogField(std::string_view k, Time v) : key(k), value(FormatRfc3339Millis(v)) {}

}  // namespace tocsin::base
