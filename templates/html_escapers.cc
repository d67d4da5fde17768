#include "templates/html_escapers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "templates/html_context.h"

namespace tocsin::templates {

namespace {

using Content = Type::Content;

// Stands for a value that could not be made safe.
constexpr std::string_view kUnsafe = "ZgotmplZ";

struct Text {
  std::string text;
  Content content = Content::kPlain;
};

Text TextOf(const Value& v) {
  if (v.is_nil()) return {};
  return {Printed(v), v.type()->content};
}

// Replaces single bytes; nullptr keeps one.
template <class Table>
std::string Replace(std::string_view s, Table table) {
  std::string out;
  out.reserve(s.size());
  for (const char c : s) {
    if (const char* r = table(c); r != nullptr) {
      out += r;
    } else {
      out += c;
    }
  }
  return out;
}

const char* HtmlNormal(char c) {
  switch (c) {
    case '\0': return "\uFFFD";
    case '"': return "&#34;";
    case '\'': return "&#39;";
    case '+': return "&#43;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    default: return nullptr;
  }
}
const char* HtmlFull(char c) { return c == '&' ? "&amp;" : HtmlNormal(c); }

const char* NoSpaceNormal(char c) {
  switch (c) {
    case '\0': return "&#xfffd;";
    case '\t': return "&#9;";
    case '\n': return "&#10;";
    case '\v': return "&#11;";
    case '\f': return "&#12;";
    case '\r': return "&#13;";
    case ' ': return "&#32;";
    case '=': return "&#61;";
    case '`': return "&#96;";
    default: return HtmlNormal(c);
  }
}
const char* NoSpaceFull(char c) { return c == '&' ? "&amp;" : NoSpaceNormal(c); }

const char* JsText(char c) {
  switch (c) {
    case '\0': return "\\u0000";
    case '\t': return "\\t";
    case '\n': return "\\n";
    case '\v': return "\\u000b";
    case '\f': return "\\f";
    case '\r': return "\\r";
    case '"': return "\\u0022";
    case '`': return "\\u0060";
    case '&': return "\\u0026";
    case '\'': return "\\u0027";
    case '+': return "\\u002b";
    case '/': return "\\/";
    case '<': return "\\u003c";
    case '>': return "\\u003e";
    case '\\': return "\\\\";
    default: return nullptr;
  }
}
const char* JsTemplateText(char c) {
  switch (c) {
    case '$': return "\\u0024";
    case '{': return "\\u007b";
    case '}': return "\\u007d";
    default: return JsText(c);
  }
}
const char* JsRegexpText(char c) {
  switch (c) {
    case '$': return "\\$";
    case '(': return "\\(";
    case ')': return "\\)";
    case '*': return "\\*";
    case '-': return "\\-";
    case '.': return "\\.";
    case '?': return "\\?";
    case '[': return "\\[";
    case ']': return "\\]";
    case '^': return "\\^";
    case '{': return "\\{";
    case '|': return "\\|";
    case '}': return "\\}";
    default: return JsText(c);
  }
}

// JavaScript ends lines at U+2028 and U+2029.
std::string JsLines(std::string s) {
  s = base::ReplaceAll(s, "\xe2\x80\xa8", "\\u2028");
  return base::ReplaceAll(s, "\xe2\x80\xa9", "\\u2029");
}

bool IsJsWordByte(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$'; }

// A value as a JavaScript expression.
std::string JsValue(const Value& v) {
  if (!v.is_nil() && v.type()->content == Content::kJs) return v.as_string();
  Value shown = v;
  if (!v.is_nil() && v.type()->to_string && !v.type()->to_json) shown = Value::String(v.type()->to_string(v));
  base::Result<std::string> json = ToJson(shown);
  if (!json) return " /* " + base::ReplaceAll(json.error().message(), "*/", "* /") + " */null ";
  const bool pad = !json->empty() && (IsJsWordByte(json->front()) || IsJsWordByte(json->back()));
  return pad ? " " + *json + " " : *json;
}

// Whether a URL has no scheme, or a harmless one.
bool IsSafeUrl(std::string_view url) {
  const size_t colon = url.find(':');
  if (colon == std::string_view::npos) return true;
  const std::string_view scheme = url.substr(0, colon);
  if (scheme.find('/') != std::string_view::npos) return true;
  return base::EqualsIgnoreCase(scheme, "http") || base::EqualsIgnoreCase(scheme, "https") ||
         base::EqualsIgnoreCase(scheme, "mailto");
}

// Percent-encodes; when normalizing, what is a URL's structure or already encoded stays.
std::string EncodeUrl(std::string_view s, bool normalize) {
  std::string out;
  for (size_t i = 0; i < s.size(); ++i) {
    const char c = s[i];
    const bool alnum = std::isalnum(static_cast<unsigned char>(c)) && static_cast<unsigned char>(c) < 0x80;
    const bool reserved = std::string_view("!#$&*+,/:;=?@[]").find(c) != std::string_view::npos;
    const bool encoded = c == '%' && i + 2 < s.size() && std::isxdigit(static_cast<unsigned char>(s[i + 1])) &&
                         std::isxdigit(static_cast<unsigned char>(s[i + 2]));
    if (alnum || c == '-' || c == '.' || c == '_' || c == '~' || (normalize && (reserved || encoded))) {
      out += c;
    } else {
      out += fmt::format("%{:02x}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

bool IsHtmlSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r'; }

std::string SrcsetElement(std::string_view s) {
  size_t start = 0;
  while (start < s.size() && IsHtmlSpace(s[start])) ++start;
  size_t end = start;
  while (end < s.size() && !IsHtmlSpace(s[end])) ++end;
  const std::string_view url = s.substr(start, end - start);
  const std::string_view metadata = s.substr(end);
  const bool plain = std::ranges::all_of(metadata, [](char c) {
    return IsHtmlSpace(c) || (static_cast<unsigned char>(c) < 0x80 && std::isalnum(static_cast<unsigned char>(c)));
  });
  if (!IsSafeUrl(url) || !plain) return "#" + std::string(kUnsafe);
  return std::string(s.substr(0, start)) + EncodeUrl(url, true) + std::string(metadata);
}

std::string Srcset(const Text& t) {
  if (t.content == Content::kUrl) return base::ReplaceAll(EncodeUrl(t.text, true), ",", "%2c");
  std::string out;
  std::string_view rest = t.text;
  for (;;) {
    const size_t comma = rest.find(',');
    out += SrcsetElement(rest.substr(0, comma));
    if (comma == std::string_view::npos) return out;
    out += ',';
    rest.remove_prefix(comma + 1);
  }
}

std::string CssString(std::string_view s) {
  std::string out;
  for (size_t i = 0; i < s.size(); ++i) {
    const auto c = static_cast<unsigned char>(s[i]);
    if (c == '\\') {
      out += "\\\\";
    } else if (std::string_view("\0\t\n\f\r\"&'()+/:;<>{}", 18).find(s[i]) != std::string_view::npos) {
      out += fmt::format("\\{:x}", c);
      const char next = i + 1 < s.size() ? s[i + 1] : ' ';
      // A blank ends the escape where more digits would seem to follow.
      if (std::isxdigit(static_cast<unsigned char>(next)) || std::string_view("\t\n\f\r ").find(next) != std::string_view::npos) {
        out += ' ';
      }
    } else {
      out += s[i];
    }
  }
  return out;
}

std::string CssValue(const Text& t) {
  if (t.content == Content::kCss) return t.text;
  std::string word;
  for (size_t i = 0; i < t.text.size(); ++i) {
    const char c = t.text[i];
    if (c == '\0' || std::string_view("\"'()/;@[\\]`{}<>").find(c) != std::string_view::npos) return std::string(kUnsafe);
    if (c == '-' && i > 0 && t.text[i - 1] == '-') return std::string(kUnsafe);
    if (std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-') {
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
  }
  const bool active = word.find("expression") != std::string::npos || word.find("mozbinding") != std::string::npos;
  return active ? std::string(kUnsafe) : t.text;
}

std::string HtmlName(const Text& t) {
  if (t.content == Content::kHtmlAttr) return t.text;
  std::string name;
  for (const char c : t.text) name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const bool plain = std::ranges::all_of(name, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'); });
  return name.empty() || !plain || AttrContentOf(name) != AttrContent::kPlain ? std::string(kUnsafe) : name;
}

}  // namespace

Value ApplyEscaper(Escaper escaper, const Value& value) {
  if (escaper == Escaper::kJsValue) return Value::String(JsValue(value));
  if (escaper == Escaper::kNothing) return value;
  const Text t = TextOf(value);
  const bool html = t.content == Content::kHtml;
  switch (escaper) {
    case Escaper::kHtml: return Value::String(html ? t.text : Replace(t.text, HtmlFull));
    case Escaper::kRcdata: return Value::String(Replace(t.text, html ? HtmlNormal : HtmlFull));
    case Escaper::kAttr: return Value::String(html ? Replace(StripTags(t.text), HtmlNormal) : Replace(t.text, HtmlFull));
    case Escaper::kNoSpace:
      return Value::String(html ? Replace(StripTags(t.text), NoSpaceNormal) : Replace(t.text, NoSpaceFull));
    case Escaper::kHtmlName: return Value::String(HtmlName(t));
    case Escaper::kComment: return Value::String("");
    case Escaper::kUrlFilter:
      if (t.content == Content::kUrl) return value;
      return Value::String(IsSafeUrl(t.text) ? t.text : "#" + std::string(kUnsafe));
    case Escaper::kUrlNormalize: return Value::String(EncodeUrl(t.text, true));
    case Escaper::kUrlEscape: return Value::String(EncodeUrl(t.text, t.content == Content::kUrl));
    case Escaper::kSrcset: return Value::String(Srcset(t));
    case Escaper::kJsString: return Value::String(JsLines(Replace(t.text, JsText)));
    case Escaper::kJsTemplate: return Value::String(JsLines(Replace(t.text, JsTemplateText)));
    case Escaper::kJsRegexp: return Value::String(t.text.empty() ? "(?:)" : JsLines(Replace(t.text, JsRegexpText)));
    case Escaper::kCssValue: return Value::String(CssValue(t));
    case Escaper::kCssString: return Value::String(CssString(t.text));
    case Escaper::kJsValue:
    case Escaper::kNothing: break;
  }
  return value;
}

}  // namespace tocsin::templates
