#pragma once

// A received mail made readable: encoded words, MIME parts, HTML as text.  Made for showing mails,
// not for keeping them: what cannot be decoded is shown as it came.
// Threads: pure functions.  Bounded: nesting and the number of parts have limits.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tocsin::tools {

struct Mail {
  std::vector<std::pair<std::string, std::string>> headers;  // decoded, in order
  std::string text;  // the text/plain part, else the text of `html`
  std::string html;  // the text/html part; may be empty

  std::string_view Header(std::string_view name) const;  // the first; empty if absent
};

Mail ReadMail(std::string_view raw);

// Tags away, blocks on lines of their own, links as "text (address)", entities decoded.
std::string HtmlToText(std::string_view html);

// RFC 2047: =?utf-8?q?caf=C3=A9?=
std::string DecodeEncodedWords(std::string_view text);
std::string DecodeQuotedPrintable(std::string_view text);

}  // namespace tocsin::tools
