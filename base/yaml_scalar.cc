// Scalars: how Go's YAML decoder types them, and how its encoder quotes them.

#include <cctype>

#include "base/number.h"
#include "base/text.h"
#include "base/yaml.h"

namespace tocsin::base::yaml {
namespace {

bool OneOf(std::string_view text, std::initializer_list<std::string_view> choices) {
  for (std::string_view choice : choices) {
    if (text == choice) return true;
  }
  return false;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// 0x1f, 0b11, 0o17, 017, 1_000, with a sign.
bool LooksLikeInt(std::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  if (text.empty() || !IsDigit(text[0])) return false;
  auto all = [&text](size_t from, std::string_view accepted) {
    return text.size() > from && text.find_first_not_of(accepted, from) == std::string_view::npos;
  };
  if (text.starts_with("0x") || text.starts_with("0X")) return all(2, "0123456789abcdefABCDEF_");
  if (text.starts_with("0b")) return all(2, "01_");
  if (text.starts_with("0o")) return all(2, "01234567_");
  return all(0, "0123456789_");
}

bool LooksLikeFloat(std::string_view text) {
  if (OneOf(text, {".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", ".nan", ".NaN",
                   ".NAN"})) {
    return true;
  }
  if (text.empty() || (!IsDigit(text[0]) && text[0] != '-' && text[0] != '+' && text[0] != '.')) return false;
  bool digit = false;
  for (char c : text) {
    digit = digit || IsDigit(c);
    if (!IsDigit(c) && std::string_view("+-.eE_").find(c) == std::string_view::npos) return false;
  }
  std::string plain = ReplaceAll(text, "_", "");
  return digit && ParseFloat(plain).has_value();
}

// 2001-01-01, 2001-01-01T01:02:03Z and the like, which YAML 1.1 takes for times.
bool LooksLikeTime(std::string_view text) {
  size_t i = 0;
  while (i < text.size() && IsDigit(text[i])) ++i;
  if (i != 4 || text.size() < 8 || text[4] != '-') return false;
  return text.find_first_not_of("0123456789-:.TtZz+ ") == std::string_view::npos;
}

// 1:20, which YAML 1.1 takes for a number to base 60.
bool LooksLikeBase60(std::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  size_t colon = text.find(':');
  return colon != std::string_view::npos && colon > 0 && IsDigit(text[0]) &&
         text.find_first_not_of("0123456789_:.") == std::string_view::npos;
}

bool HasUnprintable(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    int size = 1;
    char32_t rune = DecodeRune(text.substr(i), &size);
    bool printable = rune == '\n' || (rune >= 0x20 && rune < 0x7f) || (rune >= 0xa0 && rune != 0xfeff);
    if (!printable || (rune == 0xfffd && size == 1)) return true;
    i += static_cast<size_t>(size);
  }
  return false;
}

// Whether the characters allow the text to stand without quotes in a block.
bool PlainAllowed(std::string_view text) {
  if (text.empty() || text.front() == ' ' || text.back() == ' ') return false;
  if (text.starts_with("---") || text.starts_with("...")) return false;
  auto space_at = [text](size_t i) { return i >= text.size() || text[i] == ' '; };
  char first = text[0];
  if (std::string_view("#,[]{}&*!|>'\"%@`").find(first) != std::string_view::npos) return false;
  if (std::string_view("-?:").find(first) != std::string_view::npos && space_at(1)) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ':' && space_at(i + 1)) return false;
    if (text[i] == '#' && i > 0 && text[i - 1] == ' ') return false;
    if (text[i] == '\n' || text[i] == '\t') return false;
  }
  return true;
}

std::string DoubleQuoted(std::string_view text) {
  std::string out = "\"";
  for (size_t i = 0; i < text.size();) {
    int size = 1;
    char32_t rune = DecodeRune(text.substr(i), &size);
    std::string_view bytes = text.substr(i, static_cast<size_t>(size));
    i += static_cast<size_t>(size);
    switch (rune) {
      case '"': out += "\\\""; continue;
      case '\\': out += "\\\\"; continue;
      case '\n': out += "\\n"; continue;
      case '\r': out += "\\r"; continue;
      case '\t': out += "\\t"; continue;
      default: break;
    }
    if (!HasUnprintable(bytes)) {
      out += bytes;
    } else if (rune < 0x100 || (rune == 0xfffd && size == 1)) {
      static constexpr char kHex[] = "0123456789ABCDEF";
      auto byte = size == 1 ? static_cast<unsigned char>(bytes[0]) : static_cast<unsigned char>(rune);
      out += std::string("\\x") + kHex[byte >> 4] + kHex[byte & 15];
    } else {
      out += bytes;
    }
  }
  return out + "\"";
}

}  // namespace

ScalarType ResolvePlain(std::string_view text) {
  if (OneOf(text, {"", "~", "null", "Null", "NULL"})) return ScalarType::kNull;
  if (OneOf(text, {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y", "false", "False",
                   "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N"})) {
    return ScalarType::kBool;
  }
  if (LooksLikeInt(text)) return ScalarType::kInt;
  if (LooksLikeFloat(text)) return ScalarType::kFloat;
  return ScalarType::kString;
}

bool ScalarText(const Node& node, std::string* out) {
  if (!node.IsScalar()) return false;
  *out = node.text;
  return true;
}

std::string QuoteScalar(std::string_view text) {
  if (HasUnprintable(text) || text.find('\n') != std::string_view::npos) return DoubleQuoted(text);
  bool string = ResolvePlain(text) == ScalarType::kString && text != "<<" && !LooksLikeTime(text) &&
                !LooksLikeBase60(text);
  if (!string) return DoubleQuoted(text);
  if (PlainAllowed(text)) return std::string(text);
  return "'" + ReplaceAll(text, "'", "''") + "'";
}

std::string Describe(const Node& node) {
  constexpr size_t kShown = 40;
  std::string shown = node.text.size() > kShown ? TruncateRunes(node.text, kShown) + "..." : node.text;
  switch (node.kind) {
    case Node::Kind::kNull: return "!!null";
    case Node::Kind::kSequence: return "!!seq";
    case Node::Kind::kMapping: return "!!map";
    case Node::Kind::kScalar: break;
  }
  std::string_view type = "!!str";
  if (node.style == Node::Style::kPlain) {
    switch (ResolvePlain(node.text)) {
      case ScalarType::kBool: type = "!!bool"; break;
      case ScalarType::kInt: type = "!!int"; break;
      case ScalarType::kFloat: type = "!!float"; break;
      default: break;
    }
  }
  return std::string(type) + " `" + shown + "`";
}

}  // namespace tocsin::base::yaml
