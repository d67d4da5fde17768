#pragma once

// A promqltest script as commands.  The language: the reference runner's (promql/promqltest), old
// spellings included.
//
// Errors: kInvalidArgument, with the line.

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/regex.h"
#include "base/result.h"
#include "promql/parse/parser.h"
#include "promql/parse/series_notation.h"

namespace tocsin::promqltest {

struct ClearCommand {};

struct LoadCommand {
  int line = 0;
  int64_t step_ms = 0;
  bool with_nhcb = false;
  struct Series {
    promql::SeriesDescription description;
    std::vector<promql::StartOffset> starts;  // empty, or one a value
  };
  std::vector<Series> series;
};

// `msg: text`, `regex: pattern`, or anything.
struct Expectation {
  std::optional<std::string> message;
  std::optional<base::Regex> regex;
  bool Matches(std::string_view text) const;
  std::string ToString() const;
};

struct ExpectedSeries {
  model::Labels labels;
  std::vector<promql::SequenceValue> values;
  size_t position = 0;
};

struct EvalCommand {
  int line = 0;
  std::string expr;
  bool is_range = false;
  model::Timestamp start = 0;
  model::Timestamp end = 0;  // of an instant query: its time
  int64_t step_ms = 0;
  model::Timestamp at = 0;   // of an instant query

  bool ordered = false;
  std::optional<Expectation> fail;
  int fail_lines = 0;  // `expect fail`
  std::vector<Expectation> warn;
  std::vector<Expectation> info;
  bool any_warn = false;  // eval_warn
  bool any_info = false;
  bool no_warn = false;
  bool no_info = false;
  std::optional<std::string> string;
  bool range_vector = false;
  std::optional<double> scalar;
  std::vector<ExpectedSeries> series;
};

using Command = std::variant<ClearCommand, LoadCommand, EvalCommand>;

base::Result<std::vector<Command>> ParseScript(std::string_view text,
                                               const promql::ParseOptions& options);

}  // namespace tocsin::promqltest
