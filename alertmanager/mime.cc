#include "alertmanager/mime.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace tocsin::alertmanager {

namespace {

class AddressParser {
 public:
  explicit AddressParser(std::string_view text) : rest_(text) {}

  base::Result<std::vector<MailAddress>> List() {
    std::vector<MailAddress> out;
    for (;;) {
      SkipSpace();
      if (rest_.empty()) break;
      if (rest_.front() == ',') {
        rest_.remove_prefix(1);
        continue;
      }
      ASSIGN_OR_RETURN(MailAddress a, One());
      out.push_back(std::move(a));
      SkipSpace();
      if (!rest_.empty() && rest_.front() != ',') return Bad("expected comma");
    }
    if (out.empty()) return Bad("no address");
    return out;
  }

 private:
  std::unexpected<base::Error> Bad(std::string_view what) const {
    return base::InvalidArgument(fmt::format("mail: {} at {:.40}", what, rest_.empty() ? "the end" : rest_));
  }

  // White space and comments in parentheses.
  void SkipSpace() {
    int depth = 0;
    while (!rest_.empty()) {
      const char c = rest_.front();
      if (c == '(') {
        ++depth;
      } else if (c == ')' && depth > 0) {
        --depth;
      } else if (depth == 0 && c != ' ' && c != '\t' && c != '\r' && c != '\n') {
        return;
      }
      rest_.remove_prefix(1);
    }
  }

  static bool IsAtom(char c) {
    return static_cast<unsigned char>(c) > 0x7F || (c > ' ' && std::string_view("()<>[]:;@\\,\"").find(c) == std::string_view::npos && c != 0x7F);
  }

  base::Result<std::string> Quoted() {
    rest_.remove_prefix(1);
    std::string out;
    while (!rest_.empty()) {
      char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '"') return out;
      if (c == '\\' && !rest_.empty()) {
        c = rest_.front();
        rest_.remove_prefix(1);
      }
      out += c;
    }
    return Bad("unclosed quoted-string");
  }

  std::string Atom() {
    const auto end = std::ranges::find_if_not(rest_, IsAtom);
    std::string out(rest_.begin(), end);
    rest_.remove_prefix(out.size());
    return out;
  }

  // local@domain, up to '>' , ',' or white space.
  base::Result<std::string> Spec(std::string local) {
    if (rest_.empty() || rest_.front() != '@') return Bad("missing '@' or angle-addr");
    rest_.remove_prefix(1);
    std::string domain;
    if (!rest_.empty() && rest_.front() == '[') {
      const size_t end = rest_.find(']');
      if (end == std::string_view::npos) return Bad("unclosed domain-literal");
      domain = rest_.substr(0, end + 1);
      rest_.remove_prefix(end + 1);
    } else {
      domain = Atom();
    }
    if (local.empty() || domain.empty()) return Bad("incomplete address");
    // A local part that was quoted and needs it is quoted again.
    if (!std::ranges::all_of(local, IsAtom)) {
      local = '"' + base::ReplaceAll(base::ReplaceAll(local, "\\", "\\\\"), "\"", "\\\"") + '"';
    }
    return local + "@" + domain;
  }

  base::Result<MailAddress> One() {
    MailAddress out;
    std::string words;
    for (;;) {
      SkipSpace();
      if (rest_.empty()) return Bad("missing '@' or angle-addr");
      std::string word;
      if (rest_.front() == '<') {
        rest_.remove_prefix(1);
        SkipSpace();
        std::string local;
        if (!rest_.empty() && rest_.front() == '"') {
          ASSIGN_OR_RETURN(local, Quoted());
        } else {
          local = Atom();
        }
        ASSIGN_OR_RETURN(out.address, Spec(std::move(local)));
        SkipSpace();
        if (rest_.empty() || rest_.front() != '>') return Bad("unclosed angle-addr");
        rest_.remove_prefix(1);
        out.name = std::move(words);
        return out;
      }
      if (rest_.front() == '"') {
        ASSIGN_OR_RETURN(word, Quoted());
      } else {
        word = Atom();
        if (word.empty()) return Bad("unexpected character");
      }
      if (!rest_.empty() && rest_.front() == '@' && words.empty()) {
        ASSIGN_OR_RETURN(out.address, Spec(std::move(word)));
        return out;
      }
      if (!words.empty()) words += ' ';
      words += word;
    }
  }

  std::string_view rest_;
};

constexpr std::string_view kHex = "0123456789ABCDEF";

void AppendEscaped(char c, std::string* out) {
  *out += '=';
  *out += kHex[static_cast<unsigned char>(c) >> 4];
  *out += kHex[static_cast<unsigned char>(c) & 15];
}

}  // namespace

base::Result<std::vector<MailAddress>> ParseAddressList(std::string_view text) {
  return AddressParser(text).List();
}

std::string EncodeHeader(std::string_view text) {
  const bool plain = std::ranges::all_of(text, [](char c) { return c == '\t' || (c >= ' ' && c < 0x7F); });
  if (plain) return std::string(text);
  constexpr std::string_view kOpen = "=?utf-8?q?";
  constexpr size_t kMaxContent = 75 - kOpen.size() - 2;  // RFC 2047: an encoded word has at most 75
  std::string out(kOpen);
  size_t used = 0;
  while (!text.empty()) {
    int size = 1;
    base::DecodeRune(text, &size);  // a word never splits a rune
    std::string piece;
    for (char c : text.substr(0, static_cast<size_t>(size))) {
      if (c == ' ') {
        piece += '_';
      } else if (c > ' ' && c < 0x7F && c != '=' && c != '?' && c != '_') {
        piece += c;
      } else {
        AppendEscaped(c, &piece);
      }
    }
    if (used + piece.size() > kMaxContent) {
      out += "?=\r\n ";
      out += kOpen;
      used = 0;
    }
    out += piece;
    used += piece.size();
    text.remove_prefix(static_cast<size_t>(size));
  }
  return out + "?=";
}

std::string QuotedPrintable(std::string_view text) {
  constexpr size_t kMaxLine = 76;
  std::string out;
  size_t column = 0;
  auto put = [&](std::string_view piece) {
    if (column + piece.size() > kMaxLine - 1) {
      out += "=\r\n";
      column = 0;
    }
    out += piece;
    column += piece.size();
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n' || (c == '\r' && i + 1 < text.size() && text[i + 1] == '\n')) {
      if (c == '\r') ++i;
      out += "\r\n";
      column = 0;
      continue;
    }
    const bool space = c == ' ' || c == '\t';
    const bool at_line_end = i + 1 == text.size() || text[i + 1] == '\n' || text[i + 1] == '\r';
    if ((c > ' ' && c < 0x7F && c != '=') || (space && !at_line_end)) {
      put(std::string_view(&c, 1));
    } else {
      std::string escaped;
      AppendEscaped(c, &escaped);
      put(escaped);
    }
  }
  return out;
}

}  // namespace tocsin::alertmanager
