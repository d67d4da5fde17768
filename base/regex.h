#pragma once

// Regular expressions in Go's RE2 syntax; the door to RE2.  Values match whole and `.` matches a
// newline, as in Prometheus 3: ^(?s:...)$.
//
// Threads: immutable, use from any.  Copies share the program.
// Errors:  kInvalidArgument with Go's wording ("missing closing ]: `[`").
// Cost:    sets of literals, prefixes and plain text do not run the automaton.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tocsin::base {

class Regex {
 public:
  // Anchored at both ends, `.` matches newline: matchers and relabeling.
  static Result<Regex> Anchored(std::string_view pattern);
  // As Go's regexp.Compile: finds anywhere.
  static Result<Regex> Unanchored(std::string_view pattern);

  const std::string& pattern() const;  // as given

  bool Matches(std::string_view text) const;

  // What plans need to know of an anchored pattern.
  const std::vector<std::string>& set_matches() const;  // "a|b|c": all it can match; else empty
  const std::string& prefix() const;                    // every match begins with it; may be empty
  bool matches_empty() const;

  // Groups of the first match, [0] the whole; nullopt groups did not take part.  False: no match.
  bool Find(std::string_view text, std::vector<std::optional<std::string_view>>* groups) const;

  // Go's Expand: $1, ${1}, $name, ${name}, $$.  Unknown groups expand to nothing.
  void Expand(std::string_view replacement, const std::vector<std::optional<std::string_view>>& groups,
              std::string* out) const;

  std::string ReplaceAll(std::string_view text, std::string_view replacement) const;
  std::vector<std::string> FindAll(std::string_view text) const;

 private:
  struct Program;
  explicit Regex(std::shared_ptr<const Program> program) : program_(std::move(program)) {}
  std::shared_ptr<const Program> program_;
};

// Escapes what has a meaning in a pattern (regexp.QuoteMeta).
std::string QuoteMeta(std::string_view text);

}  // namespace tocsin::base
