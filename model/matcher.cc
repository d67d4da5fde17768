#include "model/matcher.h"

#include <algorithm>

#include "base/number.h"

namespace tocsin::model {

std::string_view MatchOpText(MatchOp op) {
  switch (op) {
    case MatchOp::kEqual: return "=";
    case MatchOp::kNotEqual: return "!=";
    case MatchOp::kRegex: return "=~";
    case MatchOp::kNotRegex: break;
  }
  return "!~";
}

base::Result<Matcher> Matcher::Make(MatchOp op, std::string_view name, std::string_view value) {
  Matcher m;
  m.op_ = op;
  m.name_ = name;
  m.value_ = value;
  if (op == MatchOp::kRegex || op == MatchOp::kNotRegex) {
    ASSIGN_OR_RETURN(m.regex_, base::Regex::Anchored(value));
  }
  return m;
}

Matcher Matcher::Equal(std::string_view name, std::string_view value) {
  Matcher m;
  m.name_ = name;
  m.value_ = value;
  return m;
}

bool Matcher::Matches(std::string_view label_value) const {
  switch (op_) {
    case MatchOp::kEqual: return label_value == value_;
    case MatchOp::kNotEqual: return label_value != value_;
    case MatchOp::kRegex: return regex_->Matches(label_value);
    case MatchOp::kNotRegex: break;
  }
  return !regex_->Matches(label_value);
}

std::string Matcher::ToString() const {
  std::string out = IsLegacyLabelName(name_) ? name_ : base::Quote(name_);
  out += MatchOpText(op_);
  out += base::Quote(value_);
  return out;
}

bool MatchesAll(std::span<const Matcher> matchers, LabelsView labels) {
  return std::all_of(matchers.begin(), matchers.end(),
                     [labels](const Matcher& m) { return m.Matches(labels); });
}

}  // namespace tocsin::model
