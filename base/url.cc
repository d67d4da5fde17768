#include "base/url.h"

#include "base/number.h"
#include "base/text.h"

namespace tocsin::base {
namespace {

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsHex(char c) { return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// What is wrong with the escapes of `text`; empty: nothing.
std::string BadEscape(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') continue;
    if (i + 2 >= text.size() || !IsHex(text[i + 1]) || !IsHex(text[i + 2])) {
      return "invalid URL escape " + Quote(text.substr(i, 3));
    }
    i += 2;
  }
  return {};
}

std::string BadHost(std::string_view host) {
  size_t end_of_name = host.size();
  if (host.starts_with('[')) {
    size_t close = host.rfind(']');
    if (close == std::string_view::npos) return "missing ']' in host";
    end_of_name = close + 1;
  } else if (size_t colon = host.rfind(':'); colon != std::string_view::npos) {
    end_of_name = colon;
  }
  std::string_view port = host.substr(end_of_name);
  bool sound = port.empty() || (port[0] == ':' && port.find_first_not_of("0123456789", 1) == port.npos);
  if (!sound) return "invalid port " + Quote(port) + " after host";
  for (char c : host.substr(0, end_of_name)) {
    auto byte = static_cast<unsigned char>(c);
    bool allowed = byte >= 0x80 || IsLetter(c) || IsDigit(c) ||
                   std::string_view("-_.~!$&'()*+,;=:[]<>\"%").find(c) != std::string_view::npos;
    if (!allowed) return "invalid character " + Quote(std::string_view(&c, 1)) + " in host name";
  }
  return BadEscape(host);
}

// Takes scheme: off the front.  An error is a text; no scheme leaves it empty.
std::string TakeScheme(std::string_view* rest, std::string* scheme) {
  for (size_t i = 0; i < rest->size(); ++i) {
    char c = (*rest)[i];
    if (IsLetter(c)) continue;
    if (IsDigit(c) || c == '+' || c == '-' || c == '.') {
      if (i == 0) return {};
      continue;
    }
    if (c != ':') return {};
    if (i == 0) return "missing protocol scheme";
    *scheme = ToLower(rest->substr(0, i));
    rest->remove_prefix(i + 1);
    return {};
  }
  return {};
}

std::string TakeAuthority(std::string_view authority, Url* url) {
  if (size_t at = authority.rfind('@'); at != std::string_view::npos) {
    std::string_view info = authority.substr(0, at);
    authority.remove_prefix(at + 1);
    for (char c : info) {
      bool allowed = IsLetter(c) || IsDigit(c) || std::string_view("-._:~!$&'()*+,;=%@").find(c) != info.npos;
      if (!allowed) return "net/url: invalid userinfo";
    }
    if (std::string bad = BadEscape(info); !bad.empty()) return bad;
    size_t colon = info.find(':');
    url->has_user = true;
    PathUnescape(info.substr(0, colon), &url->user);
    if (colon != info.npos) {
      url->has_password = true;
      PathUnescape(info.substr(colon + 1), &url->password);
    }
  }
  url->host = authority;
  return BadHost(authority);
}

std::string Fill(std::string_view rest, Url* url) {
  for (char c : rest) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return "net/url: invalid control character in URL";
  }
  if (size_t hash = rest.find('#'); hash != rest.npos) {
    url->fragment = rest.substr(hash + 1);
    rest = rest.substr(0, hash);
    if (std::string bad = BadEscape(url->fragment); !bad.empty()) return bad;
  }
  if (std::string bad = TakeScheme(&rest, &url->scheme); !bad.empty()) return bad;
  if (size_t mark = rest.find('?'); mark != rest.npos) {
    url->has_query = true;
    url->query = rest.substr(mark + 1);
    rest = rest.substr(0, mark);
  }
  if (!rest.starts_with('/')) {
    if (!url->scheme.empty()) {
      url->opaque = rest;
      return {};
    }
    std::string_view segment = rest.substr(0, rest.find('/'));
    if (segment.find(':') != segment.npos) return "first path segment in URL cannot contain colon";
  }
  if (rest.starts_with("//") && (!url->scheme.empty() || !rest.starts_with("///"))) {
    rest.remove_prefix(2);
    size_t slash = rest.find('/');
    std::string_view authority = rest.substr(0, slash);
    rest = slash == rest.npos ? std::string_view() : rest.substr(slash);
    if (std::string bad = TakeAuthority(authority, url); !bad.empty()) return bad;
  }
  url->path = rest;
  return BadEscape(rest);
}

std::string Print(const Url& url, bool redacted) {
  std::string out;
  if (!url.scheme.empty()) out += url.scheme + ":";
  if (!url.opaque.empty()) {
    out += url.opaque;
  } else {
    if (!url.scheme.empty() || !url.host.empty() || url.has_user) {
      if (!url.host.empty() || !url.path.empty() || url.has_user) out += "//";
      if (url.has_user) {
        out += PathEscape(url.user);
        if (url.has_password) out += ":" + (redacted ? "xxxxx" : PathEscape(url.password));
        out += "@";
      }
      out += url.host;
    }
    out += url.path;
  }
  if (url.has_query) out += "?" + url.query;
  if (!url.fragment.empty()) out += "#" + url.fragment;
  return out;
}

}  // namespace

Result<Url> ParseUrl(std::string_view text) {
  Url url;
  std::string bad = Fill(text, &url);
  if (!bad.empty()) return InvalidArgument("parse " + Quote(text) + ": " + bad);
  return url;
}

std::string Url::hostname() const {
  if (host.starts_with('[')) return host.substr(1, host.rfind(']') - 1);
  return host.substr(0, host.rfind(':'));
}

std::string Url::port() const {
  size_t colon = host.rfind(':');
  if (colon == std::string::npos || host.find(']', colon) != std::string::npos) return {};
  return host.substr(colon + 1);
}

std::string Url::ToString() const { return Print(*this, false); }
std::string Url::Redacted() const { return Print(*this, true); }

std::string RedactUrl(std::string_view text) {
  const auto url = ParseUrl(text);
  return url ? url->Redacted() : "<secret>";
}

}  // namespace tocsin::base
