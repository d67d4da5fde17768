#pragma once

// A label matcher: name, operator, value.  Regular expressions match whole values.  A missing label
// is the empty value.
// Threads: immutable.  Copies share the compiled expression.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/regex.h"
#include "base/result.h"
#include "model/labels.h"

namespace tocsin::model {

enum class MatchOp { kEqual, kNotEqual, kRegex, kNotRegex };

std::string_view MatchOpText(MatchOp op);  // = != =~ !~

class Matcher {
 public:
  // Errors: kInvalidArgument for a bad expression, with Go's wording.
  static base::Result<Matcher> Make(MatchOp op, std::string_view name, std::string_view value);
  static Matcher Equal(std::string_view name, std::string_view value);

  MatchOp op() const { return op_; }
  const std::string& name() const { return name_; }
  const std::string& value() const { return value_; }
  const base::Regex* regex() const { return regex_ ? &*regex_ : nullptr; }

  bool Matches(std::string_view label_value) const;
  bool Matches(LabelsView labels) const { return Matches(labels.Get(name_)); }
  bool matches_empty() const { return Matches(std::string_view()); }
  bool negative() const { return op_ == MatchOp::kNotEqual || op_ == MatchOp::kNotRegex; }

  std::string ToString() const;  // name="value", the name quoted where it must be

  friend bool operator==(const Matcher& a, const Matcher& b) {
    return a.op_ == b.op_ && a.name_ == b.name_ && a.value_ == b.value_;
  }

 private:
  MatchOp op_ = MatchOp::kEqual;
  std::string name_;
  std::string value_;
  std::optional<base::Regex> regex_;
};

using Matchers = std::vector<Matcher>;
bool MatchesAll(std::span<const Matcher> matchers, LabelsView labels);

}  // namespace tocsin::model
