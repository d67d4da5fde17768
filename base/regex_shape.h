#pragma once

// What can be known of an anchored pattern from its text alone: that it stands for a set of
// strings, or for plain text with gaps, or begins with plain text.  Only for base/regex.
//
// Everything this does not surely understand is kOther, and left to RE2.

#include <string>
#include <string_view>
#include <vector>

namespace tocsin::base {

struct RegexShape {
  enum class Kind {
    kOther,
    kSet,     // a|b|c(d|e): exactly `set`
    kPieces,  // text and gaps in turn: foo.*bar.+
  };
  struct Piece {
    std::string text;
    size_t gap_before = 0;  // at least so many bytes; kNoGap: none may stand there
  };
  static constexpr size_t kNoGap = static_cast<size_t>(-1);

  Kind kind = Kind::kOther;
  std::vector<std::string> set;  // sorted, without repetition
  std::vector<Piece> pieces;     // the first without a gap, perhaps of empty text
  size_t gap_at_end = kNoGap;
  std::string prefix;

  bool exact() const { return kind != Kind::kOther; }
};

RegexShape AnalyzeShape(std::string_view pattern);
bool MatchesPieces(const RegexShape& shape, std::string_view text);

}  // namespace tocsin::base
