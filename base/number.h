#pragma once

// Numbers as text, in Go's forms.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tocsin::base {

// The shortest digits that read back as the same number; +Inf, -Inf, NaN.
std::string FormatG(double v);          // 'g': 1e+06, 1.5e-05, 0.1 (exponent below -4 or from 6)
std::string FormatF(double v);          // 'f': 1000000, 0.1; what PromQL prints and rules write
std::string FormatV(double v);          // fmt's %v, which is 'g'
std::string FormatJson(double v);       // API values: 'f', but 'e' below 1e-6 and from 1e21
std::string FormatPrecision(double v, char verb, int precision);  // verb in e E f g G
void AppendFormatF(double v, std::string* out);
void AppendJson(double v, std::string* out);
// The same into a buffer of at least kMaxJsonNumber bytes, without allocating for common numbers; returns
// the end.
inline constexpr size_t kMaxJsonNumber = 40;
char* WriteJson(double v, char* out);

// strconv.ParseFloat: decimal, hex (0x1p-2), inf, infinity, nan, with sign; `_` only in ParseGoNumber.
Result<double> ParseFloat(std::string_view text);
// A number as PromQL reads it: also 0x1f, 017 (octal), 1_000.
Result<double> ParsePromNumber(std::string_view text);

// Go's %q of valid UTF-8 (strconv.Quote), and its reverse for "..", '..' and `..`.
std::string Quote(std::string_view text);
Result<std::string> Unquote(std::string_view quoted);

}  // namespace tocsin::base
