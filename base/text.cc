#include "base/text.h"

#include <array>
#include <cstdint>
#include <cstring>

namespace tocsin::base {
namespace {

constexpr char32_t kReplacement = 0xfffd;

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
char AsciiLower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
bool IsAlnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

template <class Keep>
std::string PercentEscape(std::string_view text, Keep keep) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (IsAlnum(c) || c == '-' || c == '_' || c == '.' || c == '~' || keep(c)) {
      out.push_back(c);
    } else {
      out.push_back('%');
      out.push_back(kHex[byte >> 4]);
      out.push_back(kHex[byte & 15]);
    }
  }
  return out;
}

bool PercentUnescape(std::string_view text, bool plus_is_space, std::string* out) {
  out->clear();
  out->reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (i + 2 >= text.size()) return false;
      const int high = HexValue(text[i + 1]);
      const int low = HexValue(text[i + 2]);
      if (high < 0 || low < 0) return false;
      out->push_back(static_cast<char>(high * 16 + low));
      i += 2;
    } else {
      out->push_back(plus_is_space && text[i] == '+' ? ' ' : text[i]);
    }
  }
  return true;
}

// Simple case mapping.  Ranges of pairs: in `kAlternating` upper and lower case follow each other,
// in `kShifted` lower case is `shift` above.
// Source: Unicode 15, UnicodeData.txt, blocks Latin-1 to Latin Extended Additional, Greek, Cyrillic.
struct Shifted {
  char32_t first, last;  // of upper case
  int32_t shift;
};
constexpr auto kShifted = std::to_array<Shifted>({
    {0x41, 0x5a, 32},       {0xc0, 0xd6, 32},    {0xd8, 0xde, 32},    {0x178, 0x178, -121},
    {0x386, 0x386, 38},     {0x388, 0x38a, 37},  {0x38c, 0x38c, 64},  {0x38e, 0x38f, 63},
    {0x391, 0x3a1, 32},     {0x3a3, 0x3ab, 32},  {0x3cf, 0x3cf, 8},   {0x400, 0x40f, 80},
    {0x410, 0x42f, 32},     {0x4c0, 0x4c0, 15},  {0x531, 0x556, 48},  {0xff21, 0xff3a, 32},
});
struct Alternating {
  char32_t first, last;  // first is upper case
};
constexpr auto kAlternating = std::to_array<Alternating>({
    {0x100, 0x12f}, {0x132, 0x137}, {0x139, 0x148}, {0x14a, 0x177}, {0x179, 0x17e},
    {0x1cd, 0x1dc}, {0x1de, 0x1ef}, {0x1f8, 0x21f}, {0x222, 0x233}, {0x3d8, 0x3ef},
    {0x460, 0x481}, {0x48a, 0x4bf}, {0x4c1, 0x4ce}, {0x4d0, 0x52f}, {0x1e00, 0x1e95},
    {0x1ea0, 0x1eff},
});

char32_t LowerRune(char32_t rune) {
  if (rune < 0x80) return rune >= 'A' && rune <= 'Z' ? rune + 32 : rune;
  for (const Shifted& r : kShifted) {
    if (rune >= r.first && rune <= r.last) return static_cast<char32_t>(static_cast<int32_t>(rune) + r.shift);
  }
  for (const Alternating& r : kAlternating) {
    if (rune >= r.first && rune <= r.last) return rune + (((rune - r.first) & 1) == 0 ? 1 : 0);
  }
  if (rune == 0x130) return 'i';
  if (rune == 0x1e9e) return 0xdf;
  return rune;
}

char32_t UpperRune(char32_t rune) {
  if (rune < 0x80) return rune >= 'a' && rune <= 'z' ? rune - 32 : rune;
  if (rune == 0xb5) return 0x39c;   // micro sign
  if (rune == 0x131) return 'I';
  if (rune == 0x17f) return 'S';
  if (rune == 0x3c2) return 0x3a3;  // final sigma
  for (const Shifted& r : kShifted) {
    const auto upper = static_cast<char32_t>(static_cast<int32_t>(rune) - r.shift);
    if (upper >= r.first && upper <= r.last) return upper;
  }
  for (const Alternating& r : kAlternating) {
    if (rune >= r.first && rune <= r.last) return rune - ((rune - r.first) & 1);
  }
  return rune;
}

template <class Map>
std::string MapRunes(std::string_view text, Map map) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    int size = 0;
    const char32_t rune = DecodeRune(text, &size);
    AppendUtf8(map(rune), &out);
    text.remove_prefix(static_cast<size_t>(size));
  }
  return out;
}

// What strings.Title takes for the end of a word.
bool SeparatesWords(char32_t rune) {
  if (rune < 0x80) return !IsAlnum(static_cast<char>(rune)) && rune != '_';
  return rune == 0x85 || rune == 0xa0 || rune == 0x1680 || (rune >= 0x2000 && rune <= 0x200a) ||
         rune == 0x2028 || rune == 0x2029 || rune == 0x202f || rune == 0x205f || rune == 0x3000;
}

}  // namespace

char32_t DecodeRune(std::string_view text, int* size) {
  *size = text.empty() ? 0 : 1;
  if (text.empty()) return kReplacement;
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = at(0);
  if (first < 0x80) return first;
  size_t length = 0;
  char32_t rune = 0;
  char32_t smallest = 0;
  if (first >= 0xc2 && first <= 0xdf) {
    length = 2, rune = first & 0x1f, smallest = 0x80;
  } else if (first >= 0xe0 && first <= 0xef) {
    length = 3, rune = first & 0x0f, smallest = 0x800;
  } else if (first >= 0xf0 && first <= 0xf4) {
    length = 4, rune = first & 0x07, smallest = 0x10000;
  } else {
    return kReplacement;
  }
  if (text.size() < length) return kReplacement;
  for (size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xc0) != 0x80) return kReplacement;
    rune = rune << 6 | (at(i) & 0x3f);
  }
  if (rune < smallest || rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff)) return kReplacement;
  *size = static_cast<int>(length);
  return rune;
}

void AppendUtf8(char32_t rune, std::string* out) {
  if (rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff)) rune = kReplacement;
  if (rune < 0x80) {
    out->push_back(static_cast<char>(rune));
  } else if (rune < 0x800) {
    out->push_back(static_cast<char>(0xc0 | rune >> 6));
    out->push_back(static_cast<char>(0x80 | (rune & 0x3f)));
  } else if (rune < 0x10000) {
    out->push_back(static_cast<char>(0xe0 | rune >> 12));
    out->push_back(static_cast<char>(0x80 | (rune >> 6 & 0x3f)));
    out->push_back(static_cast<char>(0x80 | (rune & 0x3f)));
  } else {
    out->push_back(static_cast<char>(0xf0 | rune >> 18));
    out->push_back(static_cast<char>(0x80 | (rune >> 12 & 0x3f)));
    out->push_back(static_cast<char>(0x80 | (rune >> 6 & 0x3f)));
    out->push_back(static_cast<char>(0x80 | (rune & 0x3f)));
  }
}

bool IsValidUtf8(std::string_view text) {
  while (!text.empty()) {
    if (text.size() >= 8) {
      uint64_t bytes = 0;
      std::memcpy(&bytes, text.data(), sizeof bytes);
      if ((bytes & 0x8080808080808080) == 0) {
        text.remove_prefix(8);
        continue;
      }
    }
    if (static_cast<unsigned char>(text[0]) < 0x80) {
      text.remove_prefix(1);
      continue;
    }
    int size = 0;
    if (DecodeRune(text, &size) == kReplacement && size == 1) return false;
    text.remove_prefix(static_cast<size_t>(size));
  }
  return true;
}

size_t RuneCount(std::string_view utf8) {
  size_t count = 0;
  for (int size = 0; !utf8.empty(); ++count) {
    DecodeRune(utf8, &size);
    utf8.remove_prefix(static_cast<size_t>(size));
  }
  return count;
}

std::string TruncateRunes(std::string_view utf8, size_t max_runes) {
  size_t at = 0;
  for (; max_runes > 0 && at < utf8.size(); --max_runes) {
    int size = 0;
    DecodeRune(utf8.substr(at), &size);
    at += static_cast<size_t>(size);
  }
  return std::string(utf8.substr(0, at));
}

std::string ReplaceInvalidUtf8(std::string_view text) {
  if (IsValidUtf8(text)) return std::string(text);
  return MapRunes(text, [](char32_t rune) { return rune; });
}

std::string ToLower(std::string_view utf8) { return MapRunes(utf8, LowerRune); }
std::string ToUpper(std::string_view utf8) { return MapRunes(utf8, UpperRune); }

std::string Title(std::string_view utf8) {
  char32_t previous = ' ';
  return MapRunes(utf8, [&previous](char32_t rune) {
    const char32_t mapped = SeparatesWords(previous) ? UpperRune(rune) : rune;
    previous = rune;
    return mapped;
  });
}

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::string Join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out += separator;
    out += parts[i];
  }
  return out;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to) {
  if (from.empty()) return std::string(text);
  std::string out;
  while (true) {
    const size_t at = text.find(from);
    out += text.substr(0, at);
    if (at == std::string_view::npos) return out;
    out += to;
    text.remove_prefix(at + from.size());
  }
}

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (AsciiLower(a[i]) != AsciiLower(b[i])) return false;
  }
  return true;
}

std::string EscapeHtml(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      case '"': out += "&#34;"; break;
      case '\'': out += "&#39;"; break;
      default: out.push_back(c);
    }
  }
  return out;
}

std::string QueryEscape(std::string_view text) {
  std::string out = PercentEscape(text, [](char c) { return c == ' '; });
  for (char& c : out) {
    if (c == ' ') c = '+';
  }
  return out;
}

std::string PathEscape(std::string_view text) {
  return PercentEscape(text,
                       [](char c) { return c == '$' || c == '&' || c == '+' || c == '=' || c == ':' || c == '@'; });
}

bool QueryUnescape(std::string_view text, std::string* out) { return PercentUnescape(text, true, out); }
bool PathUnescape(std::string_view text, std::string* out) { return PercentUnescape(text, false, out); }

namespace {

// Whether a byte of a JSON string stands for itself: ASCII that is neither control, quote nor
// backslash, and under kGo none of < > &.
constexpr std::array<bool, 256> PlainJsonBytes(bool go) {
  std::array<bool, 256> plain{};
  for (int c = 0x20; c < 0x80; ++c) plain[static_cast<size_t>(c)] = c != '"' && c != '\\';
  if (go) plain['<'] = plain['>'] = plain['&'] = false;
  return plain;
}
constexpr std::array<bool, 256> kPlainJson = PlainJsonBytes(false);
constexpr std::array<bool, 256> kPlainGoJson = PlainJsonBytes(true);

void AppendEscapedByte(char c, std::string* out) {
  constexpr char kHex[] = "0123456789abcdef";
  switch (c) {
    case '"': out->append("\\\""); return;
    case '\\': out->append("\\\\"); return;
    case '\n': out->append("\\n"); return;
    case '\r': out->append("\\r"); return;
    case '\t': out->append("\\t"); return;
    case '\b': out->append("\\b"); return;
    case '\f': out->append("\\f"); return;
    default: break;
  }
  const auto byte = static_cast<unsigned char>(c);
  out->append("\\u00");
  out->push_back(kHex[byte >> 4]);
  out->push_back(kHex[byte & 15]);
}

}  // namespace

void AppendJsonString(std::string_view text, std::string* out, JsonEscape escape) {
  const std::array<bool, 256>& plain = escape == JsonEscape::kGo ? kPlainGoJson : kPlainJson;
  out->push_back('"');
  const char* p = text.data();
  const char* const end = p + text.size();
  while (true) {
    const char* run = p;
    while (p != end && plain[static_cast<unsigned char>(*p)]) ++p;
    out->append(run, p);
    if (p == end) break;
    if (static_cast<unsigned char>(*p) < 0x80) {
      AppendEscapedByte(*p++, out);
      continue;
    }
    int size = 1;
    const char32_t rune = DecodeRune(std::string_view(p, end), &size);
    if (escape == JsonEscape::kGo && (rune == 0x2028 || rune == 0x2029)) {
      out->append(rune == 0x2028 ? "\\u2028" : "\\u2029");
    } else {
      AppendUtf8(rune, out);
    }
    p += size;
  }
  out->push_back('"');
}

}  // namespace tocsin::base
