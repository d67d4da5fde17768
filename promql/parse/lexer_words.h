#pragma once

// What the two halves of the lexer share: runes and tables of words.  Internal to promql/parse.

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>

#include "promql/parse/lexer.h"

namespace tocsin::promql {

inline constexpr char32_t kEofRune = 0xFFFFFFFF;

struct Word {
  std::string_view text;
  TokenType type;
};

inline bool IsSpaceRune(char32_t r) { return r == ' ' || r == '\t' || r == '\n' || r == '\r'; }
inline bool IsDigitRune(char32_t r) { return r >= '0' && r <= '9'; }
inline bool IsAlphaRune(char32_t r) {
  return r == '_' || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z');
}

std::string QuoteRune(char32_t r);  // Go's %q of a rune: 'x'

// Words that the tables hold are shorter than this.
inline constexpr size_t kLongestWord = 24;

// The type of a word in any case of letters, from a table sorted by text; kError if it is not there.
template <size_t N>
TokenType FindWord(const Word (&table)[N], std::string_view word) {
  if (word.size() > kLongestWord) return TokenType::kError;
  char lower[kLongestWord];
  for (size_t i = 0; i < word.size(); ++i) {
    lower[i] = word[i] >= 'A' && word[i] <= 'Z' ? static_cast<char>(word[i] + 32) : word[i];
  }
  std::string_view key(lower, word.size());
  const Word* it = std::ranges::lower_bound(table, key, {}, &Word::text);
  return it != std::end(table) && it->text == key ? it->type : TokenType::kError;
}

TokenType KeywordType(std::string_view word);  // kError if it is no keyword

}  // namespace tocsin::promql
