// Go's package fmt over Values.
//   1. Printer keeps the flags of the verb at hand and pads what is made.
//   2. PrintArg chooses by type: a type's own String() for %v %s %q %x, else by kind.
//   3. Sprintf reads flags, width, precision and argument indexes.
// Source of the rules: Go's documentation of package fmt.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/number.h"
#include "base/text.h"
#include "templates/value.h"

namespace tocsin::templates {

namespace {

// Widths and precisions beyond it are refused, as in Go.
constexpr int kMaxNumber = 1'000'000;
// Values nest at most so deep; deeper ones print as "...".
constexpr int kMaxDepth = 100;

struct Flags {
  bool width_set = false, precision_set = false;
  bool minus = false, plus = false, sharp = false, space = false, zero = false;
  bool plus_v = false, sharp_v = false;
  int width = 0, precision = 0;
};

class Printer {
 public:
  Flags flags;
  std::string out;

  void PrintArg(const Value& v, char32_t verb);
  void PrintValue(const Value& v, char32_t verb, int depth);
  void BadVerb(const Value& v, char32_t verb);

 private:
  void Pad(std::string_view text);
  void Padding(size_t n) { out.append(n, flags.zero && !flags.minus ? '0' : ' '); }
  bool PrintByMethod(const Value& v, char32_t verb);
  void FormatInteger(uint64_t u, bool is_signed, char32_t verb, int base);
  void PrintInteger(const Value& v, uint64_t u, bool is_signed, char32_t verb);
  void FormatFloat(double d, char verb, int precision);
  void PrintFloat(const Value& v, double d, char32_t verb);
  void PrintText(const Value& v, std::string_view s, char32_t verb);
  void PrintHex(std::string_view s, const char* digits);
  void PrintQuoted(std::string_view s);
  void PrintRune(uint64_t u, char32_t verb);
  void PrintList(const Value& v, char32_t verb, int depth);
  void PrintMap(const Value& v, char32_t verb, int depth);
  void PrintStruct(const Value& v, char32_t verb, int depth);
};

void Printer::Pad(std::string_view text) {
  const size_t runes = flags.width_set ? base::RuneCount(text) : 0;
  const size_t width = static_cast<size_t>(flags.width);
  if (!flags.width_set || runes >= width) {
    out += text;
  } else if (flags.minus) {
    out += text;
    Padding(width - runes);
  } else {
    Padding(width - runes);
    out += text;
  }
}

void Printer::FormatInteger(uint64_t u, bool is_signed, char32_t verb, int number_base) {
  const bool negative = is_signed && static_cast<int64_t>(u) < 0;
  if (negative) u = -u;
  size_t precision = 0;
  if (flags.precision_set) {
    precision = static_cast<size_t>(flags.precision);
    if (precision == 0 && u == 0) {
      if (flags.width_set) out.append(static_cast<size_t>(flags.width), ' ');
      return;
    }
  } else if (flags.zero && !flags.minus && flags.width_set) {
    precision = static_cast<size_t>(flags.width);
    if ((negative || flags.plus || flags.space) && precision > 0) --precision;
  }
  const char* digits = verb == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string text;
  do {
    text.push_back(digits[u % static_cast<unsigned>(number_base)]);
    u /= static_cast<unsigned>(number_base);
  } while (u != 0);
  if (text.size() < precision) text.append(precision - text.size(), '0');
  if (flags.sharp) {
    if (number_base == 2) text += "b0";
    if (number_base == 8 && text.back() != '0') text += '0';
    if (number_base == 16) text += verb == 'X' ? "X0" : "x0";
  }
  if (verb == 'O') text += "o0";
  if (negative) {
    text += '-';
  } else if (flags.plus) {
    text += '+';
  } else if (flags.space) {
    text += ' ';
  }
  std::ranges::reverse(text);
  const bool zero = std::exchange(flags.zero, false);
  Pad(text);
  flags.zero = zero;
}

void Printer::PrintRune(uint64_t u, char32_t verb) {
  const char32_t rune = u > 0x10ffff ? 0xfffd : static_cast<char32_t>(u);
  std::string utf8;
  base::AppendUtf8(rune, &utf8);
  if (verb == 'c') return Pad(utf8);
  if (verb == 'U') {
    std::string text = fmt::format("U+{:04X}", u);
    if (flags.sharp && u <= 0x10ffff) text += " '" + utf8 + "'";
    const bool zero = std::exchange(flags.zero, false);
    Pad(text);
    flags.zero = zero;
    return;
  }
  std::string quoted = utf8 == "'" ? "\\'" : utf8 == "\"" ? "\"" : base::Quote(utf8);
  if (quoted.size() > 2 && quoted.front() == '"') quoted = quoted.substr(1, quoted.size() - 2);
  Pad("'" + quoted + "'");
}

void Printer::PrintInteger(const Value& v, uint64_t u, bool is_signed, char32_t verb) {
  switch (verb) {
    case 'v':
      if (flags.sharp_v && !is_signed) {
        const bool sharp = std::exchange(flags.sharp, true);
        FormatInteger(u, is_signed, 'x', 16);
        flags.sharp = sharp;
        return;
      }
      [[fallthrough]];
    case 'd': return FormatInteger(u, is_signed, verb, 10);
    case 'b': return FormatInteger(u, is_signed, verb, 2);
    case 'o':
    case 'O': return FormatInteger(u, is_signed, verb, 8);
    case 'x':
    case 'X': return FormatInteger(u, is_signed, verb, 16);
    case 'c':
    case 'q':
    case 'U': return PrintRune(u, verb);
    default: BadVerb(v, verb);
  }
}

// Go writes at least two digits of exponent.
std::string HexFloat(double d, int precision, bool upper) {
  char buffer[512];
  if (precision > 200) precision = 200;
  if (precision < 0) {
    std::snprintf(buffer, sizeof buffer, "%a", d);
  } else {
    std::snprintf(buffer, sizeof buffer, "%.*a", precision, d);
  }
  std::string s = buffer;
  if (const size_t p = s.find('p'); p != std::string::npos && s.size() == p + 3) s.insert(p + 2, "0");
  if (upper) std::ranges::transform(s, s.begin(), [](unsigned char c) { return std::toupper(c); });
  return s;
}

// %#g keeps the point and trailing zeros up to the precision.
std::string WithPoint(std::string num, char verb, int precision) {
  size_t e = num.find_first_of("eE");
  std::string tail = e == std::string::npos ? "" : num.substr(e);
  if (e != std::string::npos) num.resize(e);
  if (num.find('.') == std::string::npos) num += '.';
  if (verb == 'g' || verb == 'G') {
    int digits = 0;
    bool significant = false;
    for (const char c : num) {
      if (c >= '1' && c <= '9') significant = true;
      if (c >= '0' && c <= '9' && significant) ++digits;
    }
    const int wanted = precision < 0 ? 6 : precision;
    while (digits < wanted) {
      num += '0';
      ++digits;
    }
  }
  return num + tail;
}

void Printer::FormatFloat(double d, char verb, int precision) {
  if (flags.precision_set) precision = flags.precision;
  std::string num;
  if (verb == 'x' || verb == 'X') {
    num = HexFloat(d, precision, verb == 'X');
  } else if (precision < 0) {
    num = base::FormatG(d);
    if (verb == 'G') std::ranges::replace(num, 'e', 'E');
  } else {
    num = base::FormatPrecision(d, verb, precision);
  }
  if (num.front() != '-' && num.front() != '+') num.insert(0, "+");
  if (flags.space && num.front() == '+' && !flags.plus) num.front() = ' ';
  if (num[1] == 'I' || num[1] == 'N') {
    const bool zero = std::exchange(flags.zero, false);
    // Infinities show their sign, NaN only when asked to.
    Pad(num[1] == 'N' && !flags.space && !flags.plus ? std::string_view(num).substr(1) : std::string_view(num));
    flags.zero = zero;
    return;
  }
  if (flags.sharp && verb != 'x' && verb != 'X') num = WithPoint(num, verb, precision);
  if (!flags.plus && num.front() == '+') return Pad(std::string_view(num).substr(1));
  if (flags.zero && !flags.minus && flags.width_set && static_cast<size_t>(flags.width) > num.size()) {
    out += num.front();
    Padding(static_cast<size_t>(flags.width) - num.size());
    out += std::string_view(num).substr(1);
    return;
  }
  Pad(num);
}

void Printer::PrintFloat(const Value& v, double d, char32_t verb) {
  switch (verb) {
    case 'v': return FormatFloat(d, 'g', -1);
    case 'g':
    case 'G':
    case 'x':
    case 'X': return FormatFloat(d, static_cast<char>(verb), -1);
    case 'f':
    case 'e':
    case 'E': return FormatFloat(d, static_cast<char>(verb), 6);
    case 'F': return FormatFloat(d, 'f', 6);
    default: BadVerb(v, verb);
  }
}

void Printer::PrintHex(std::string_view s, const char* digits) {
  std::string text;
  if (flags.precision_set) s = s.substr(0, static_cast<size_t>(flags.precision));
  const std::string prefix = std::string("0") + (digits[10] == 'A' ? 'X' : 'x');
  if (flags.sharp && !flags.space && !s.empty()) text += prefix;
  for (size_t i = 0; i < s.size(); ++i) {
    if (flags.space && i > 0) text += ' ';
    if (flags.space && flags.sharp) text += prefix;
    const auto byte = static_cast<unsigned char>(s[i]);
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  Pad(text);
}

std::string ToAscii(std::string_view quoted) {
  std::string text;
  for (size_t i = 0; i < quoted.size();) {
    int size = 0;
    const char32_t rune = base::DecodeRune(quoted.substr(i), &size);
    if (rune < 0x80) {
      text += quoted[i];
    } else {
      text += rune > 0xffff ? fmt::format("\\U{:08x}", static_cast<uint32_t>(rune))
                            : fmt::format("\\u{:04x}", static_cast<uint32_t>(rune));
    }
    i += static_cast<size_t>(size);
  }
  return text;
}

void Printer::PrintQuoted(std::string_view s) {
  const std::string cut = flags.precision_set ? base::TruncateRunes(s, static_cast<size_t>(flags.precision))
                                              : std::string(s);
  const bool plain = std::ranges::none_of(cut, [](unsigned char c) { return c == '`' || c == 0x7f || (c < 0x20 && c != '\t'); });
  if (flags.sharp && plain && base::IsValidUtf8(cut)) return Pad("`" + cut + "`");
  const std::string quoted = base::Quote(cut);
  Pad(flags.plus ? ToAscii(quoted) : quoted);
}

void Printer::PrintText(const Value& v, std::string_view s, char32_t verb) {
  switch (verb) {
    case 'v':
      if (flags.sharp_v) return PrintQuoted(s);
      [[fallthrough]];
    case 's':
      return flags.precision_set ? Pad(base::TruncateRunes(s, static_cast<size_t>(flags.precision))) : Pad(s);
    case 'x': return PrintHex(s, "0123456789abcdef");
    case 'X': return PrintHex(s, "0123456789ABCDEF");
    case 'q': return PrintQuoted(s);
    default: BadVerb(v, verb);
  }
}

bool Printer::PrintByMethod(const Value& v, char32_t verb) {
  if (v.type() == nullptr || !v.type()->to_string || flags.sharp_v) return false;
  if (verb != 'v' && verb != 's' && verb != 'x' && verb != 'X' && verb != 'q') return false;
  PrintText(Value::String(""), v.type()->to_string(v), verb);
  return true;
}

void Printer::BadVerb(const Value& v, char32_t verb) {
  out += "%!";
  base::AppendUtf8(verb, &out);
  out += '(';
  if (v.is_nil()) {
    out += "<nil>";
  } else {
    out += v.type_name();
    out += '=';
    PrintArg(v, 'v');
  }
  out += ')';
}

void Printer::PrintArg(const Value& v, char32_t verb) {
  if (verb == 'T' && !v.is_nil()) return Pad(v.type_name());
  if (v.is_nil()) return verb == 'T' || verb == 'v' ? Pad("<nil>") : BadVerb(v, verb);
  if (!PrintByMethod(v, verb)) PrintValue(v, verb, 0);
}

void Printer::PrintList(const Value& v, char32_t verb, int depth) {
  if (flags.sharp_v) {
    out += v.type_name();
    if (v.is_nil_container()) {
      out += "(nil)";
      return;
    }
  }
  out += flags.sharp_v ? '{' : '[';
  bool first = true;
  for (const Value& item : v.as_list()) {
    if (!first) out += flags.sharp_v ? ", " : " ";
    first = false;
    PrintValue(item, verb, depth + 1);
    if (out.size() > kMaxFormatted) break;
  }
  out += flags.sharp_v ? '}' : ']';
}

void Printer::PrintMap(const Value& v, char32_t verb, int depth) {
  if (flags.sharp_v) {
    out += v.type_name();
    if (v.is_nil_container()) {
      out += "(nil)";
      return;
    }
  }
  out += flags.sharp_v ? "{" : "map[";
  bool first = true;
  for (const auto& [key, item] : v.as_map()) {
    if (!first) out += flags.sharp_v ? ", " : " ";
    first = false;
    PrintText(Value::String(""), key, verb);
    out += ':';
    PrintValue(item, verb, depth + 1);
    if (out.size() > kMaxFormatted) break;
  }
  out += flags.sharp_v ? '}' : ']';
}

void Printer::PrintStruct(const Value& v, char32_t verb, int depth) {
  if (depth == 0 && v.type_name().starts_with('*')) out += '&';
  if (flags.sharp_v) out += v.type_name();
  out += '{';
  for (size_t i = 0; i < v.fields().size(); ++i) {
    if (i > 0) out += flags.sharp_v ? ", " : " ";
    if (flags.plus_v || flags.sharp_v) out += v.type()->fields[i].name + ":";
    PrintValue(v.fields()[i], verb, depth + 1);
  }
  out += '}';
}

void Printer::PrintValue(const Value& v, char32_t verb, int depth) {
  if (depth > kMaxDepth || out.size() > kMaxFormatted) {
    out += "...";
    return;
  }
  if (depth > 0 && PrintByMethod(v, verb)) return;
  switch (v.kind()) {
    case Kind::kNil:
      if (verb == 'v') {
        out += "<nil>";
      } else {
        BadVerb(v, verb);
      }
      return;
    case Kind::kBool:
      if (verb != 't' && verb != 'v') return BadVerb(v, verb);
      return Pad(v.as_bool() ? "true" : "false");
    case Kind::kInt: return PrintInteger(v, static_cast<uint64_t>(v.as_int()), true, verb);
    case Kind::kUint: return PrintInteger(v, v.as_uint(), false, verb);
    case Kind::kFloat: return PrintFloat(v, v.as_float(), verb);
    case Kind::kComplex: {
      out += '(';
      PrintFloat(v, v.as_complex().first, verb);
      const bool plus = std::exchange(flags.plus, true);
      PrintFloat(v, v.as_complex().second, verb);
      flags.plus = plus;
      out += "i)";
      return;
    }
    case Kind::kString: return PrintText(v, v.as_string(), verb);
    case Kind::kList: return PrintList(v, verb, depth);
    case Kind::kMap: return PrintMap(v, verb, depth);
    case Kind::kStruct: return PrintStruct(v, verb, depth);
    case Kind::kTime: return PrintText(v, v.as_time().ToString(), verb == 'd' ? U'v' : verb);
    case Kind::kFunction: return Pad("0x1");  // Go prints an address
  }
}

// Reads the parts of a format.
class FormatReader {
 public:
  FormatReader(std::string_view format, std::span<const Value> args) : format_(format), args_(args) {}
  std::string Run();

 private:
  void Verb();
  void ReadFlags();
  void ReadIndex();      // [n]
  void ReadWidth();
  void ReadPrecision();
  bool ReadNumber(int* number);
  bool TakeInteger(int* number);  // *
  void PrintExtra();

  std::string_view format_;
  std::span<const Value> args_;
  size_t i_ = 0;
  size_t arg_ = 0;
  bool reordered_ = false;
  bool good_index_ = true;
  bool after_index_ = false;
  Printer p_;
};

bool FormatReader::ReadNumber(int* number) {
  const size_t start = i_;
  int64_t n = 0;
  while (i_ < format_.size() && format_[i_] >= '0' && format_[i_] <= '9') {
    n = std::min<int64_t>(n * 10 + (format_[i_++] - '0'), kMaxNumber + 1);
  }
  if (i_ == start || n > kMaxNumber) return false;
  *number = static_cast<int>(n);
  return true;
}

void FormatReader::ReadIndex() {
  if (i_ >= format_.size() || format_[i_] != '[') return;
  reordered_ = true;
  const size_t close = format_.find(']', i_);
  if (close == std::string_view::npos) {
    good_index_ = false;
    ++i_;
    return;
  }
  const size_t start = i_ + 1;
  i_ = start;
  int n = 0;
  const bool ok = ReadNumber(&n) && i_ == close && n >= 1 && static_cast<size_t>(n) <= args_.size();
  i_ = close + 1;
  if (!ok) {
    good_index_ = false;
    return;
  }
  arg_ = static_cast<size_t>(n) - 1;
  after_index_ = true;
}

bool FormatReader::TakeInteger(int* number) {
  if (arg_ >= args_.size()) return false;
  const Value& v = args_[arg_++];
  int64_t n = 0;
  if (v.kind() == Kind::kInt) {
    n = v.as_int();
  } else if (v.kind() == Kind::kUint && v.as_uint() <= kMaxNumber) {
    n = static_cast<int64_t>(v.as_uint());
  } else {
    return false;
  }
  if (n > kMaxNumber || n < -kMaxNumber) return false;
  *number = static_cast<int>(n);
  return true;
}

void FormatReader::ReadFlags() {
  for (; i_ < format_.size(); ++i_) {
    switch (format_[i_]) {
      case '#': p_.flags.sharp = true; break;
      case '0': p_.flags.zero = true; break;
      case '+': p_.flags.plus = true; break;
      case '-': p_.flags.minus = true; break;
      case ' ': p_.flags.space = true; break;
      default: return;
    }
  }
}

void FormatReader::ReadWidth() {
  if (i_ < format_.size() && format_[i_] == '*') {
    ++i_;
    p_.flags.width_set = TakeInteger(&p_.flags.width);
    if (!p_.flags.width_set) p_.out += "%!(BADWIDTH)";
    if (p_.flags.width < 0) {
      p_.flags.width = -p_.flags.width;
      p_.flags.minus = true;
    }
    after_index_ = false;
    return;
  }
  p_.flags.width_set = ReadNumber(&p_.flags.width);
  if (after_index_ && p_.flags.width_set) good_index_ = false;  // "%[3]2d"
}

void FormatReader::ReadPrecision() {
  if (i_ >= format_.size() || format_[i_] != '.') return;
  ++i_;
  if (after_index_) good_index_ = false;  // "%[3].2d"
  ReadIndex();
  if (i_ < format_.size() && format_[i_] == '*') {
    ++i_;
    p_.flags.precision_set = TakeInteger(&p_.flags.precision) && p_.flags.precision >= 0;
    if (!p_.flags.precision_set) {
      p_.flags.precision = 0;
      p_.out += "%!(BADPREC)";
    }
    after_index_ = false;
    return;
  }
  p_.flags.precision_set = true;
  if (!ReadNumber(&p_.flags.precision)) p_.flags.precision = 0;
}

void FormatReader::Verb() {
  p_.flags = Flags{};
  good_index_ = true;
  after_index_ = false;
  ReadFlags();
  ReadIndex();
  ReadWidth();
  ReadPrecision();
  if (!after_index_) ReadIndex();
  if (i_ >= format_.size()) {
    p_.out += "%!(NOVERB)";
    return;
  }
  int size = 1;
  const char32_t verb = base::DecodeRune(format_.substr(i_), &size);
  i_ += static_cast<size_t>(size);
  auto complain = [&](std::string_view what) {
    p_.out += "%!";
    base::AppendUtf8(verb, &p_.out);
    p_.out += what;
  };
  if (verb == '%') {
    p_.out += '%';
  } else if (!good_index_) {
    complain("(BADINDEX)");
  } else if (arg_ >= args_.size()) {
    complain("(MISSING)");
  } else {
    if (verb == 'v') {
      p_.flags.sharp_v = std::exchange(p_.flags.sharp, false);
      p_.flags.plus_v = std::exchange(p_.flags.plus, false);
    }
    p_.PrintArg(args_[arg_++], verb);
  }
}

void FormatReader::PrintExtra() {
  p_.flags = Flags{};
  p_.out += "%!(EXTRA ";
  for (size_t i = arg_; i < args_.size(); ++i) {
    if (i > arg_) p_.out += ", ";
    if (args_[i].is_nil()) {
      p_.out += "<nil>";
      continue;
    }
    p_.out += args_[i].type_name();
    p_.out += '=';
    p_.PrintArg(args_[i], 'v');
  }
  p_.out += ')';
}

std::string FormatReader::Run() {
  while (i_ < format_.size()) {
    const size_t percent = std::min(format_.find('%', i_), format_.size());
    p_.out += format_.substr(i_, percent - i_);
    i_ = percent + 1;
    if (percent == format_.size()) break;
    Verb();
    if (p_.out.size() > kMaxFormatted) return std::move(p_.out) + "%!(TOOLONG)";
  }
  if (!reordered_ && arg_ < args_.size()) PrintExtra();
  return std::move(p_.out);
}

}  // namespace

std::string Sprint(std::span<const Value> args) {
  Printer p;
  bool previous_string = true;
  for (const Value& v : args) {
    const bool is_string = v.kind() == Kind::kString;
    if (!is_string && !previous_string) p.out += ' ';
    p.PrintArg(v, 'v');
    previous_string = is_string;
    if (p.out.size() > kMaxFormatted) return std::move(p.out) + "%!(TOOLONG)";
  }
  return std::move(p.out);
}

std::string Sprintln(std::span<const Value> args) {
  Printer p;
  for (size_t i = 0; i < args.size() && p.out.size() <= kMaxFormatted; ++i) {
    if (i > 0) p.out += ' ';
    p.PrintArg(args[i], 'v');
  }
  return std::move(p.out) + "\n";
}

std::string Sprintf(std::string_view format, std::span<const Value> args) { return FormatReader(format, args).Run(); }

std::string Printed(const Value& v) {
  if (v.kind() == Kind::kString && (v.type() == nullptr || !v.type()->to_string)) return v.as_string();
  if (v.is_nil()) return "<no value>";
  return Sprint(std::span(&v, 1));
}

}  // namespace tocsin::templates
