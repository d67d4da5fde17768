#pragma once

// Label matchers as people write them in alertmanager.yml, silences and filters: foo=bar,
// {foo!="bar", "a b"=~"c.*"}.  There are two grammars.  UTF-8 (since 0.27): names and values bare or
// double-quoted as Go strings.  Classic: names as in Prometheus 2, values nearly anything.  The
// default tries UTF-8 and falls back to classic; where both accept the text but disagree, classic
// counts and a warning says how to write it.
//
//   ASSIGN_OR_RETURN(Matchers m, ParseMatchers(R"({team="db", severity=~"page|warn"})"));
//
// These are not model::Matcher: here `.` does not match a newline, as in Alertmanager.
//
// Threads: any; a Matcher is immutable.  Errors: kInvalidArgument in Alertmanager's words.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/regex.h"
#include "base/result.h"
#include "model/labels.h"
#include "model/matcher.h"

namespace tocsin::alertmanager {

using model::MatchOp;

class Matcher {
 public:
  static base::Result<Matcher> Make(MatchOp op, std::string_view name, std::string_view value);
  static Matcher Equal(std::string_view name, std::string_view value);

  MatchOp op() const { return op_; }
  const std::string& name() const { return name_; }
  const std::string& value() const { return value_; }

  bool Matches(std::string_view label_value) const;
  bool Matches(model::LabelsView labels) const { return Matches(labels.Get(name_)); }
  bool matches_empty() const { return Matches(std::string_view()); }

  // All that a =~ can match, if that is a set of texts (a|b|c); else empty.
  std::vector<std::string> set_matches() const;

  // foo="bar"; the name is quoted where the UTF-8 grammar needs it.
  std::string ToString() const;

  friend bool operator==(const Matcher& a, const Matcher& b) {
    return a.op_ == b.op_ && a.name_ == b.name_ && a.value_ == b.value_;
  }
  // By name, value, operator: the order in which Alertmanager prints sets.
  friend bool operator<(const Matcher& a, const Matcher& b);

 private:
  MatchOp op_ = MatchOp::kEqual;
  std::string name_;
  std::string value_;
  bool MatchesRegex(std::string_view text) const;
  // The second one, in which `.` matches no newline, is for patterns with a `.` and texts of several
  // lines; the first one tells the same of all others, and knows its sets and prefixes.
  std::optional<base::Regex> regex_;
  std::optional<base::Regex> regex_by_line_;
};

using Matchers = std::vector<Matcher>;

bool MatchesAll(std::span<const Matcher> matchers, model::LabelsView labels);
// {a="x",b=~"y"}, in the given order.  Sorted it is part of group keys, so it never changes.
std::string MatchersText(std::span<const Matcher> matchers);
// {a="x"} or {b="y"}
std::string MatcherSetsText(std::span<const Matchers> sets);

enum class MatcherMode { kFallback, kUtf8, kClassic };

// One warning of the fallback mode.  `suggestion` is how to write the input so that both agree.
struct MatcherWarning {
  std::string message;
  std::string suggestion;
};

// Zero or more matchers.  Warnings are appended when `warnings` is given.
base::Result<Matchers> ParseMatchers(std::string_view input, MatcherMode mode = MatcherMode::kFallback,
                                     std::vector<MatcherWarning>* warnings = nullptr);
// Exactly one matcher.
base::Result<Matcher> ParseMatcher(std::string_view input, MatcherMode mode = MatcherMode::kFallback,
                                   std::vector<MatcherWarning>* warnings = nullptr);

// Whether a label may have this name: [a-zA-Z_][a-zA-Z0-9_]* in classic mode, else any UTF-8.
bool IsValidLabelName(std::string_view name, MatcherMode mode);

}  // namespace tocsin::alertmanager
