#pragma once

// Small operations on text that the standard library lacks.

#include <string>
#include <string_view>
#include <vector>

namespace tocsin::base {

bool IsValidUtf8(std::string_view text);
size_t RuneCount(std::string_view utf8);            // invalid bytes count one each
std::string TruncateRunes(std::string_view utf8, size_t max_runes);  // no ellipsis
std::string ReplaceInvalidUtf8(std::string_view text);               // U+FFFD, as Go
void AppendUtf8(char32_t rune, std::string* out);
// Decodes the rune at the start; invalid: U+FFFD with *size 1.
char32_t DecodeRune(std::string_view text, int* size);

std::string ToLower(std::string_view utf8);  // Unicode simple case mapping for Latin, Greek, Cyrillic
std::string ToUpper(std::string_view utf8);
std::string Title(std::string_view utf8);

std::vector<std::string_view> Split(std::string_view text, char separator);  // "a,,b" gives three
std::string Join(const std::vector<std::string>& parts, std::string_view separator);
std::string_view Trim(std::string_view text);  // ASCII white space at both ends
std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to);
bool EqualsIgnoreCase(std::string_view a, std::string_view b);  // ASCII

std::string EscapeHtml(std::string_view text);  // Go's html.EscapeString: &lt; &gt; &amp; &#34; &#39;
std::string QueryEscape(std::string_view text);   // url.QueryEscape: space is +
std::string PathEscape(std::string_view text);
bool QueryUnescape(std::string_view text, std::string* out);
bool PathUnescape(std::string_view text, std::string* out);

// JSON string with quotes.  Invalid UTF-8 becomes U+FFFD.  kGo also writes <, >, & as \u003c....
enum class JsonEscape { kPlain, kGo };
void AppendJsonString(std::string_view text, std::string* out, JsonEscape escape = JsonEscape::kPlain);

}  // namespace tocsin::base
