#include "base/number.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "base/text.h"

namespace tocsin::base {
namespace {

// A finite number as 0.d1d2d3... * 10^point, with the fewest digits that read back the same.
struct Shortest {
  char digits[32];
  int count = 0;
  int point = 0;
  bool negative = false;
};

Shortest Decompose(double v) {
  Shortest s;
  char text[40];
  auto end = std::to_chars(text, text + sizeof text, v, std::chars_format::scientific).ptr;
  const char* p = text;
  if (*p == '-') {
    s.negative = true;
    ++p;
  }
  for (; p != end && *p != 'e'; ++p) {
    if (*p != '.') s.digits[s.count++] = *p;
  }
  int exponent = 0;
  const char* from = p + 1;
  if (*from == '+') ++from;
  std::from_chars(from, end, exponent);
  s.point = exponent + 1;
  if (s.count == 1 && s.digits[0] == '0') {
    s.count = 0;
    s.point = 0;
  }
  return s;
}

bool AppendSpecial(double v, std::string* out) {
  if (std::isnan(v)) {
    out->append("NaN");
    return true;
  }
  if (std::isinf(v)) {
    out->append(v > 0 ? "+Inf" : "-Inf");
    return true;
  }
  return false;
}

void AppendFixed(const Shortest& s, std::string* out) {
  if (s.negative) out->push_back('-');
  if (s.point <= 0) {
    out->push_back('0');
  } else {
    int whole = s.count < s.point ? s.count : s.point;
    out->append(s.digits, whole);
    out->append(s.point - whole, '0');
  }
  if (s.count > s.point) {
    out->push_back('.');
    if (s.point < 0) out->append(-s.point, '0');
    int from = s.point > 0 ? s.point : 0;
    out->append(s.digits + from, s.count - from);
  }
}

void AppendExponential(const Shortest& s, std::string* out) {
  if (s.negative) out->push_back('-');
  out->push_back(s.count > 0 ? s.digits[0] : '0');
  if (s.count > 1) {
    out->push_back('.');
    out->append(s.digits + 1, s.count - 1);
  }
  int exponent = s.count > 0 ? s.point - 1 : 0;
  out->push_back('e');
  out->push_back(exponent < 0 ? '-' : '+');
  if (exponent < 0) exponent = -exponent;
  if (exponent < 10) out->push_back('0');
  out->append(std::to_string(exponent));
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// Integers below it are exact, and have no more digits than a double tells.
constexpr double kExactIntegers = 1e15;

int HexValue(char c) {
  if (IsDigit(c)) return c - '0';
  c = Lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::unexpected<Error> BadNumber(std::string_view text, std::string_view why) {
  std::string shown = text.size() > 100 ? std::string(text.substr(0, 100)) + "..." : std::string(text);
  return InvalidArgument("strconv.ParseFloat: parsing " + Quote(shown) + ": " + std::string(why));
}

bool EqualsLower(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (Lower(text[i]) != lower[i]) return false;
  }
  return true;
}

// Digits with at most one point; returns how many digits there were, and moves past them.
template <class Accept>
size_t SkipMantissa(std::string_view text, size_t* at, Accept accept) {
  size_t digits = 0;
  bool point = false;
  for (; *at < text.size(); ++*at) {
    if (text[*at] == '.' && !point) {
      point = true;
    } else if (accept(text[*at])) {
      ++digits;
    } else {
      break;
    }
  }
  return digits;
}

bool SkipExponent(std::string_view text, size_t* at) {
  ++*at;
  if (*at < text.size() && (text[*at] == '+' || text[*at] == '-')) ++*at;
  size_t first = *at;
  while (*at < text.size() && IsDigit(text[*at])) ++*at;
  return *at > first;
}

// `body` has no sign and has been checked to be a number in full.  strtod is the slow way that
// tells overflow from underflow.
Result<double> Convert(std::string_view body, std::string_view text, bool hex) {
  double v = 0;
  const char* first = body.data() + (hex ? 2 : 0);
  const char* last = body.data() + body.size();
  auto [end, error] =
      std::from_chars(first, last, v, hex ? std::chars_format::hex : std::chars_format::general);
  if (error == std::errc() && end == last) return v;
  v = std::strtod(std::string(body).c_str(), nullptr);
  if (std::isinf(v)) return BadNumber(text, "value out of range");
  return v;
}

// Underscores stand between digits, or between a base prefix and a digit.
bool UnderscoresAllowed(std::string_view text) {
  size_t i = 0;
  char last = '^';
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) ++i;
  bool hex = false;
  if (text.size() >= i + 2 && text[i] == '0') {
    char base = Lower(text[i + 1]);
    if (base == 'b' || base == 'o' || base == 'x') {
      i += 2;
      last = '0';
      hex = base == 'x';
    }
  }
  for (; i < text.size(); ++i) {
    char c = text[i];
    if (IsDigit(c) || (hex && HexValue(c) >= 0)) {
      last = '0';
    } else if (c == '_') {
      if (last != '0') return false;
      last = '_';
    } else {
      if (last == '_') return false;
      last = '!';
    }
  }
  return last != '_';
}

// Go's ParseInt with base 0, without underscores; false: not an integer, or too large for 64 bits.
bool ParseInteger(std::string_view text, double* out) {
  bool negative = false;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  int base = 10;
  if (text.size() > 1 && text[0] == '0') {
    switch (Lower(text[1])) {
      case 'x': base = 16; break;
      case 'o': base = 8; break;
      case 'b': base = 2; break;
      default:
        if (!IsDigit(text[1])) return false;
        base = 8;
    }
    text.remove_prefix(IsDigit(text[1]) ? 1 : 2);
  }
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return false;
  if (value > uint64_t{1} << 63 || (!negative && value == uint64_t{1} << 63)) return false;
  *out = negative ? -static_cast<double>(value) : static_cast<double>(value);
  return true;
}

// Runes that Go's unicode.IsPrint refuses: controls, formats, spaces but U+0020, private use.
// Unassigned code points inside scripts are let through.
bool IsPrint(char32_t r) {
  if (r < 0x7f) return r >= 0x20;
  static constexpr char32_t kRanges[][2] = {
      {0x7f, 0xa0},       {0xad, 0xad},       {0x378, 0x379},     {0x600, 0x605},
      {0x61c, 0x61c},     {0x6dd, 0x6dd},     {0x70f, 0x70f},     {0x890, 0x891},
      {0x8e2, 0x8e2},     {0x1680, 0x1680},   {0x180e, 0x180e},   {0x2000, 0x200f},
      {0x2028, 0x202f},   {0x205f, 0x206f},   {0x3000, 0x3000},   {0xd800, 0xf8ff},
      {0xfeff, 0xfeff},   {0xfff0, 0xfffb},   {0xfffe, 0xffff},   {0x110bd, 0x110bd},
      {0x110cd, 0x110cd}, {0x13430, 0x1343f}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a},
      {0x1fffe, 0x1ffff}, {0x2fffe, 0x2ffff}, {0x3fffe, 0xe00ff}, {0xe01f0, 0x10ffff}};
  for (const auto& range : kRanges) {
    if (r >= range[0] && r <= range[1]) return false;
  }
  return true;
}

void AppendHex(uint32_t value, int digits, std::string* out) {
  static constexpr char kDigits[] = "0123456789abcdef";
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) {
    out->push_back(kDigits[(value >> shift) & 15]);
  }
}

// Reads `digits` hexadecimal digits at text[*at].
bool ReadHex(std::string_view text, size_t* at, int digits, uint32_t* out) {
  uint32_t value = 0;
  for (int i = 0; i < digits; ++i) {
    int d = *at < text.size() ? HexValue(text[*at]) : -1;
    if (d < 0) return false;
    value = value << 4 | static_cast<uint32_t>(d);
    ++*at;
  }
  *out = value;
  return true;
}

// One escape after its backslash.
bool AppendUnescaped(std::string_view text, size_t* at, char quote, std::string* out) {
  if (*at >= text.size()) return false;
  char c = text[(*at)++];
  uint32_t value = 0;
  switch (c) {
    case 'a': out->push_back('\a'); return true;
    case 'b': out->push_back('\b'); return true;
    case 'f': out->push_back('\f'); return true;
    case 'n': out->push_back('\n'); return true;
    case 'r': out->push_back('\r'); return true;
    case 't': out->push_back('\t'); return true;
    case 'v': out->push_back('\v'); return true;
    case '\\': out->push_back('\\'); return true;
    case '\'':
    case '"':
      if (c != quote) return false;
      out->push_back(c);
      return true;
    case 'x':
      if (!ReadHex(text, at, 2, &value)) return false;
      out->push_back(static_cast<char>(value));
      return true;
    case 'u':
    case 'U':
      if (!ReadHex(text, at, c == 'u' ? 4 : 8, &value)) return false;
      if (value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return false;
      AppendUtf8(value, out);
      return true;
    default: break;
  }
  if (c < '0' || c > '7') return false;
  value = static_cast<uint32_t>(c - '0');
  for (int i = 0; i < 2; ++i) {
    if (*at >= text.size() || text[*at] < '0' || text[*at] > '7') return false;
    value = value * 8 + static_cast<uint32_t>(text[(*at)++] - '0');
  }
  if (value > 255) return false;
  out->push_back(static_cast<char>(value));
  return true;
}

}  // namespace

void AppendFormatF(double v, std::string* out) {
  if (AppendSpecial(v, out)) return;
  AppendFixed(Decompose(v), out);
}

std::string FormatF(double v) {
  std::string out;
  AppendFormatF(v, &out);
  return out;
}

std::string FormatG(double v) {
  std::string out;
  if (AppendSpecial(v, &out)) return out;
  Shortest s = Decompose(v);
  int exponent = s.count > 0 ? s.point - 1 : 0;
  constexpr int kShortestPrecision = 6;  // what Go takes for the decision when none is given
  if (exponent < -4 || exponent >= kShortestPrecision) {
    AppendExponential(s, &out);
  } else {
    AppendFixed(s, &out);
  }
  return out;
}

std::string FormatV(double v) { return FormatG(v); }

char* WriteJson(double v, char* out) {
  const double size = std::fabs(v);
  if (size < kExactIntegers) {
    const auto whole = static_cast<int64_t>(v);
    if (static_cast<double>(whole) == v && (whole != 0 || !std::signbit(v))) {
      return std::to_chars(out, out + kMaxJsonNumber, whole).ptr;
    }
    // Where digits end before the point does, the library's fixed form is the shortest too.
    if (size >= 1e-6) return std::to_chars(out, out + kMaxJsonNumber, v, std::chars_format::fixed).ptr;
  }
  std::string text;
  AppendJson(v, &text);
  return std::copy(text.begin(), text.end(), out);
}

void AppendJson(double v, std::string* out) {
  if (AppendSpecial(v, out)) return;
  double size = std::fabs(v);
  Shortest s = Decompose(v);
  if (size != 0 && (size < 1e-6 || size >= 1e21)) {
    AppendExponential(s, out);
  } else {
    AppendFixed(s, out);
  }
}

std::string FormatJson(double v) {
  std::string out;
  AppendJson(v, &out);
  return out;
}

std::string FormatPrecision(double v, char verb, int precision) {
  std::string out;
  if (AppendSpecial(v, &out)) return out;
  char lower = Lower(verb);
  if (precision < 0) {
    Shortest s = Decompose(v);
    if (lower == 'e') AppendExponential(s, &out);
    if (lower == 'f') AppendFixed(s, &out);
    if (lower == 'g') out = FormatG(v);
  } else {
    auto format = lower == 'e'   ? std::chars_format::scientific
                  : lower == 'f' ? std::chars_format::fixed
                                 : std::chars_format::general;
    out.resize(350 + static_cast<size_t>(precision));
    auto end = std::to_chars(out.data(), out.data() + out.size(), v, format, precision).ptr;
    out.resize(end - out.data());
  }
  if (lower != verb) {
    for (char& c : out) {
      if (c == 'e') c = 'E';
    }
  }
  return out;
}

Result<double> ParseFloat(std::string_view text) {
  std::string_view body = text;
  bool negative = false;
  bool sign = false;
  if (!body.empty() && (body[0] == '+' || body[0] == '-')) {
    sign = true;
    negative = body[0] == '-';
    body.remove_prefix(1);
  }
  if (body.empty()) return BadNumber(text, "invalid syntax");
  if (Lower(body[0]) == 'i') {
    if (!EqualsLower(body, "inf") && !EqualsLower(body, "infinity")) {
      return BadNumber(text, "invalid syntax");
    }
    return negative ? -HUGE_VAL : HUGE_VAL;
  }
  if (Lower(body[0]) == 'n') {
    if (sign || !EqualsLower(body, "nan")) return BadNumber(text, "invalid syntax");
    return std::nan("");
  }
  size_t at = 0;
  bool hex = body.size() > 2 && body[0] == '0' && Lower(body[1]) == 'x';
  if (hex) {
    at = 2;
    size_t digits = SkipMantissa(body, &at, [](char c) { return HexValue(c) >= 0; });
    if (digits == 0 || at >= body.size() || Lower(body[at]) != 'p' || !SkipExponent(body, &at)) {
      return BadNumber(text, "invalid syntax");
    }
  } else {
    size_t digits = SkipMantissa(body, &at, IsDigit);
    if (digits == 0) return BadNumber(text, "invalid syntax");
    if (at < body.size() && Lower(body[at]) == 'e' && !SkipExponent(body, &at)) {
      return BadNumber(text, "invalid syntax");
    }
  }
  if (at != body.size()) return BadNumber(text, "invalid syntax");
  ASSIGN_OR_RETURN(double v, Convert(body, text, hex));
  return negative ? -v : v;
}

Result<double> ParsePromNumber(std::string_view text) {
  std::string plain;
  std::string_view body = text;
  if (text.find('_') != std::string_view::npos) {
    if (!UnderscoresAllowed(text)) return BadNumber(text, "invalid syntax");
    for (char c : text) {
      if (c != '_') plain.push_back(c);
    }
    body = plain;
  }
  double integer = 0;
  if (ParseInteger(body, &integer)) return integer;
  auto v = ParseFloat(body);
  if (!v && body.data() != text.data()) return BadNumber(text, "invalid syntax");
  return v;
}

std::string Quote(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 2);
  out.push_back('"');
  for (size_t i = 0; i < text.size();) {
    auto c = static_cast<unsigned char>(text[i]);
    int size = 1;
    char32_t rune = c < 0x80 ? c : DecodeRune(text.substr(i), &size);
    if (rune == 0xfffd && size == 1 && c >= 0x80) {
      out.append("\\x");
      AppendHex(c, 2, &out);
      ++i;
      continue;
    }
    switch (rune) {
      case '\\': out.append("\\\\"); break;
      case '"': out.append("\\\""); break;
      case '\a': out.append("\\a"); break;
      case '\b': out.append("\\b"); break;
      case '\f': out.append("\\f"); break;
      case '\n': out.append("\\n"); break;
      case '\r': out.append("\\r"); break;
      case '\t': out.append("\\t"); break;
      case '\v': out.append("\\v"); break;
      default:
        if (IsPrint(rune)) {
          out.append(text.substr(i, static_cast<size_t>(size)));
        } else if (rune < ' ' || rune == 0x7f) {
          out.append("\\x");
          AppendHex(rune, 2, &out);
        } else if (rune < 0x10000) {
          out.append("\\u");
          AppendHex(rune, 4, &out);
        } else {
          out.append("\\U");
          AppendHex(rune, 8, &out);
        }
    }
    i += static_cast<size_t>(size);
  }
  out.push_back('"');
  return out;
}

Result<std::string> Unquote(std::string_view quoted) {
  auto bad = [] { return InvalidArgument("invalid syntax"); };
  if (quoted.size() < 2 || quoted.front() != quoted.back()) return bad();
  char quote = quoted.front();
  std::string_view body = quoted.substr(1, quoted.size() - 2);
  if (quote == '`') {
    if (body.find('`') != std::string_view::npos) return bad();
    std::string out;
    for (char c : body) {
      if (c != '\r') out.push_back(c);
    }
    return out;
  }
  if ((quote != '"' && quote != '\'') || body.find('\n') != std::string_view::npos) return bad();
  std::string out;
  for (size_t i = 0; i < body.size();) {
    char c = body[i++];
    if (c == quote) return bad();
    if (c != '\\') {
      out.push_back(c);
    } else if (!AppendUnescaped(body, &i, quote, &out)) {
      return bad();
    }
  }
  return out;
}

}  // namespace tocsin::base
