#include "tools/mail_text.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "base/digest.h"
#include "base/text.h"

namespace tocsin::tools {
namespace {

constexpr int kMaxDepth = 10;
constexpr int kMaxParts = 100;

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

std::string Decode64(std::string_view text) {
  std::string dense, out;
  for (char c : text) {
    if (c != '\r' && c != '\n' && c != ' ' && c != '\t') dense += c;
  }
  return base::Base64Decode(dense, &out) ? out : std::string(text);
}

// Other charsets than UTF-8 and Latin-1 are rare in alerts; their ASCII part stays readable.
std::string ToUtf8(std::string text, std::string_view charset) {
  if (base::EqualsIgnoreCase(charset, "iso-8859-1") || base::EqualsIgnoreCase(charset, "windows-1252")) {
    std::string out;
    for (char c : text) base::AppendUtf8(static_cast<unsigned char>(c), &out);
    return out;
  }
  return base::ReplaceInvalidUtf8(text);
}

using HeaderList = std::vector<std::pair<std::string, std::string>>;

// Takes the headers off `*text`.
HeaderList TakeHeaders(std::string_view* text) {
  HeaderList out;
  while (!text->empty()) {
    const size_t end = std::min(text->find('\n'), text->size());
    std::string_view line = text->substr(0, end);
    text->remove_prefix(std::min(end + 1, text->size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) break;
    if ((line[0] == ' ' || line[0] == '\t') && !out.empty()) {
      out.back().second += " " + std::string(base::Trim(line));
      continue;
    }
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    out.emplace_back(line.substr(0, colon), base::Trim(line.substr(colon + 1)));
  }
  return out;
}

std::string Find(const HeaderList& headers, std::string_view name) {
  for (const auto& [key, value] : headers) {
    if (base::EqualsIgnoreCase(key, name)) return value;
  }
  return {};
}

// A parameter of a header value: boundary in `multipart/mixed; boundary="x"`.
std::string Parameter(const std::string& value, std::string_view name) {
  for (std::string_view part : base::Split(value, ';')) {
    part = base::Trim(part);
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos || !base::EqualsIgnoreCase(base::Trim(part.substr(0, equals)), name)) continue;
    std::string_view text = base::Trim(part.substr(equals + 1));
    if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
    return std::string(text);
  }
  return {};
}

struct Parts {
  std::string text, html;
  int count = 0;
};

void ReadPart(std::string_view body, const HeaderList& headers, int depth, Parts* out) {
  if (depth > kMaxDepth || ++out->count > kMaxParts) return;
  const std::string type_header = Find(headers, "Content-Type");
  const std::string type = base::ToLower(base::Trim(std::string_view(type_header).substr(0, type_header.find(';'))));
  const std::string boundary = Parameter(type_header, "boundary");
  if (type.starts_with("multipart/") && !boundary.empty()) {
    const std::string mark = "--" + boundary;
    size_t at = body.find(mark);
    while (at != std::string_view::npos) {
      const size_t begin = body.find('\n', at);
      if (begin == std::string_view::npos || body.substr(at + mark.size()).starts_with("--")) break;
      const size_t end = body.find("\n" + mark, begin);
      std::string_view part = body.substr(begin + 1, end == std::string_view::npos ? std::string_view::npos : end - begin - 1);
      const HeaderList part_headers = TakeHeaders(&part);
      ReadPart(part, part_headers, depth + 1, out);
      at = end == std::string_view::npos ? end : end + 1;
    }
    return;
  }
  const std::string encoding = base::ToLower(Find(headers, "Content-Transfer-Encoding"));
  std::string decoded = encoding == "base64"             ? Decode64(body)
                        : encoding == "quoted-printable" ? DecodeQuotedPrintable(body)
                                                         : std::string(body);
  decoded = base::ReplaceAll(ToUtf8(std::move(decoded), Parameter(type_header, "charset")), "\r\n", "\n");
  if (type == "text/html") {
    if (out->html.empty()) out->html = std::move(decoded);
  } else if (type.empty() || type.starts_with("text/")) {
    if (out->text.empty()) out->text = std::move(decoded);
  }
}

struct Entity {
  std::string_view name;
  std::string_view text;
};
constexpr Entity kEntities[] = {
    {"amp", "&"},   {"lt", "<"},     {"gt", ">"},     {"quot", "\""}, {"apos", "'"},
    {"nbsp", " "},  {"ndash", "–"},  {"mdash", "—"},  {"hellip", "…"}, {"copy", "©"},
    {"bull", "•"},  {"middot", "·"}, {"rarr", "→"},   {"larr", "←"},   {"times", "×"},
};

// The text of the entity at the start of `text`, and its length; 0 if it is none.
size_t DecodeEntity(std::string_view text, std::string* out) {
  const size_t end = text.substr(0, 12).find(';');
  if (end == std::string_view::npos || end < 2) return 0;
  const std::string_view name = text.substr(1, end - 1);
  if (name[0] == '#') {
    const bool hex = name.size() > 1 && (name[1] == 'x' || name[1] == 'X');
    uint32_t rune = 0;
    const std::string_view digits = name.substr(hex ? 2 : 1);
    const auto [at, error] = std::from_chars(digits.data(), digits.data() + digits.size(), rune, hex ? 16 : 10);
    if (error != std::errc() || at != digits.data() + digits.size() || rune == 0 || rune > 0x10ffff) return 0;
    base::AppendUtf8(rune, out);
    return end + 1;
  }
  for (const Entity& e : kEntities) {
    if (e.name == name) {
      *out += e.text;
      return end + 1;
    }
  }
  return 0;
}

bool IsOneOf(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

std::string Attribute(std::string_view tag, std::string_view name) {
  const std::string lower = base::ToLower(tag);
  const size_t at = lower.find(" " + std::string(name) + "=");
  if (at == std::string::npos) return {};
  std::string_view rest = tag.substr(at + name.size() + 2);
  if (rest.empty()) return {};
  const char quote = rest[0];
  if (quote == '"' || quote == '\'') return std::string(rest.substr(1, rest.find(quote, 1) - 1));
  return std::string(rest.substr(0, rest.find_first_of(" \t\n>")));
}

// Removes blanks at line ends and more than one empty line in a row.
std::string Tidy(std::string_view text) {
  std::string out;
  int empty = 1;
  for (std::string_view line : base::Split(text, '\n')) {
    line = base::Trim(line);
    empty = line.empty() ? empty + 1 : 0;
    if (empty > 1) continue;
    out += line;
    out += '\n';
  }
  while (out.ends_with("\n\n")) out.pop_back();
  return out == "\n" ? "" : out;
}

}  // namespace

std::string_view Mail::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (base::EqualsIgnoreCase(key, name)) return value;
  }
  return {};
}

std::string DecodeQuotedPrintable(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '=') {
      out += text[i];
    } else if (text.substr(i + 1).starts_with("\r\n")) {
      i += 2;
    } else if (text.substr(i + 1).starts_with("\n")) {
      i += 1;
    } else if (i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 && HexDigit(text[i + 2]) >= 0) {
      out += static_cast<char>(HexDigit(text[i + 1]) * 16 + HexDigit(text[i + 2]));
      i += 2;
    } else {
      out += '=';
    }
  }
  return out;
}

std::string DecodeEncodedWords(std::string_view text) {
  std::string out;
  bool after_word = false;
  while (!text.empty()) {
    const size_t begin = text.find("=?");
    const size_t charset_end = begin == std::string_view::npos ? begin : text.find('?', begin + 2);
    const size_t kind_end = charset_end == std::string_view::npos ? charset_end : text.find('?', charset_end + 1);
    const size_t end = kind_end == std::string_view::npos ? kind_end : text.find("?=", kind_end + 1);
    if (end == std::string_view::npos) break;
    const std::string_view before = text.substr(0, begin);
    // White space between two encoded words only separates them.
    if (!(after_word && base::Trim(before).empty())) out += before;
    const std::string_view kind = text.substr(charset_end + 1, kind_end - charset_end - 1);
    const std::string_view data = text.substr(kind_end + 1, end - kind_end - 1);
    std::string decoded = base::EqualsIgnoreCase(kind, "b")
                              ? Decode64(data)
                              : DecodeQuotedPrintable(base::ReplaceAll(data, "_", " "));
    out += ToUtf8(std::move(decoded), text.substr(begin + 2, charset_end - begin - 2));
    text.remove_prefix(end + 2);
    after_word = true;
  }
  return out + std::string(text);
}

std::string HtmlToText(std::string_view html) {
  std::string out;
  std::string link;
  size_t link_begin = 0;
  for (size_t i = 0; i < html.size();) {
    const char c = html[i];
    if (c == '&') {
      const size_t n = DecodeEntity(html.substr(i), &out);
      if (n > 0) {
        i += n;
        continue;
      }
    }
    if (c != '<') {
      const bool blank = c == '\n' || c == '\r' || c == '\t' || c == ' ';
      if (!blank) {
        out += c;
      } else if (!out.empty() && out.back() != ' ' && out.back() != '\n') {
        out += ' ';
      }
      ++i;
      continue;
    }
    if (html.substr(i).starts_with("<!--")) {
      const size_t end = html.find("-->", i);
      i = end == std::string_view::npos ? html.size() : end + 3;
      continue;
    }
    const size_t end = html.find('>', i);
    if (end == std::string_view::npos) break;
    const std::string_view tag = html.substr(i, end - i + 1);
    std::string name = base::ToLower(tag.substr(1, tag.find_first_of(" \t\r\n/>", 2) - 1));
    i = end + 1;
    if (IsOneOf(name, {"style", "script", "head", "title"})) {
      const size_t close = base::ToLower(html.substr(i)).find("</" + name);
      i = close == std::string_view::npos ? html.size() : i + close;
      continue;
    }
    if (name == "a") {
      link = Attribute(tag, "href");
      link_begin = out.size();
    } else if (name == "/a") {
      std::string address;
      for (size_t k = 0; k < link.size();) {
        const size_t n = link[k] == '&' ? DecodeEntity(std::string_view(link).substr(k), &address) : 0;
        if (n == 0) address += link[k];
        k += std::max<size_t>(n, 1);
      }
      if (!address.empty() && out.substr(link_begin) != address) out += " (" + address + ")";
      link.clear();
    } else if (name == "li") {
      out += "\n- ";
    } else if (IsOneOf(name, {"br", "/p", "/div", "/tr", "/table", "/ul", "/ol", "/h1", "/h2", "/h3", "/h4", "p",
                              "div", "tr", "h1", "h2", "h3", "h4", "hr"})) {
      out += '\n';
    } else if (name == "/td" || name == "/th") {
      out += ' ';
    }
  }
  return Tidy(out);
}

Mail ReadMail(std::string_view raw) {
  Mail out;
  const HeaderList headers = TakeHeaders(&raw);
  for (const auto& [name, value] : headers) out.headers.emplace_back(name, DecodeEncodedWords(value));
  Parts parts;
  ReadPart(raw, headers, 0, &parts);
  out.html = std::move(parts.html);
  out.text = base::Trim(parts.text).empty() ? HtmlToText(out.html) : std::move(parts.text);
  return out;
}

}  // namespace tocsin::tools
