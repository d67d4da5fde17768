#pragma once

// Numbers as text, in Go's forms.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tocsin::base {

// strconv.FormatFloat(v, 'g'-like shortest, with %v's rule: exponent below -4 or from 21): 1e+06 is
// FormatFloat's; what PromQL prints and exposition writes.
std::string FormatG(double v);          // 'g', shortest: 1e+06, 0.1, +Inf, NaN
std::string FormatF(double v);          // 'f', shortest: 1000000, 0.1
std::string FormatV(double v);          // fmt's %v: 'g' with the exponent from 21: 1e+06 for 1000000.0
std::string FormatJson(double v);       // API values: 'f', but 'e' below 1e-6 and from 1e21
std::string FormatPrecision(double v, char verb, int precision);  // verb in e E f g G
void AppendFormatF(double v, std::string* out);
void AppendJson(double v, std::string* out);

// strconv.ParseFloat: decimal, hex (0x1p-2), inf, infinity, nan, with sign; `_` only in ParseGoNumber.
Result<double> ParseFloat(std::string_view text);
// A number as PromQL reads it: also 0x1f, 017 (octal), 1_000.
Result<double> ParsePromNumber(std::string_view text);

// Go's %q of valid UTF-8 (strconv.Quote), and its reverse for "..", '..' and `..`.
std::string Quote(std::string_view text);
Result<std::string> Unquote(std::string_view quoted);

}  // namespace tocsin::base
