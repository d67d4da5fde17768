#include "script.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/duration.h"
#include "base/number.h"
#include "base/text.h"

namespace tocsin::promqltest {
namespace {

std::unexpected<base::Error> Raise(int line, std::string_view what) {
  return base::InvalidArgument(fmt::format("line {}: {}", line, what));
}

base::Result<int64_t> ParseMs(std::string_view text) {
  ASSIGN_OR_RETURN(base::Duration d, base::ParseDuration(text));
  return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
}

// The next word, and the rest without blanks before it.
std::string_view NextWord(std::string_view* rest) {
  *rest = base::Trim(*rest);
  const size_t end = std::min(rest->find_first_of(" \t"), rest->size());
  std::string_view word = rest->substr(0, end);
  *rest = base::Trim(rest->substr(end));
  return word;
}

class ScriptParser {
 public:
  ScriptParser(std::string_view text, const promql::ParseOptions& options) : options_(options) {
    for (std::string_view line : base::Split(text, '\n')) {
      line = base::Trim(line);
      lines_.push_back(line.starts_with("#") ? std::string_view() : line);
    }
  }

  base::Result<std::vector<Command>> Parse() {
    std::vector<Command> commands;
    for (; at_ < lines_.size(); ++at_) {
      std::string_view rest = lines_[at_];
      if (rest.empty()) continue;
      const std::string word = base::ToLower(NextWord(&rest));
      if (word == "clear") {
        commands.emplace_back(ClearCommand{});
      } else if (word.starts_with("load")) {
        ASSIGN_OR_RETURN(LoadCommand load, ParseLoad(word, rest));
        commands.emplace_back(std::move(load));
      } else if (word.starts_with("eval")) {
        ASSIGN_OR_RETURN(EvalCommand eval, ParseEval(word, rest));
        commands.emplace_back(std::move(eval));
      } else {
        return Raise(line(), fmt::format("invalid command \"{}\"", lines_[at_]));
      }
    }
    return commands;
  }

 private:
  int line() const { return static_cast<int>(at_) + 1; }

  // Goes to the next line of a command; false at its end.
  bool Next() {
    if (at_ + 1 >= lines_.size() || lines_[at_ + 1].empty()) return false;
    ++at_;
    return true;
  }

  base::Result<LoadCommand> ParseLoad(std::string_view word, std::string_view rest) {
    LoadCommand load;
    load.line = line();
    load.with_nhcb = word == "load_with_nhcb";
    if (word != "load" && !load.with_nhcb) {
      return Raise(line(), "invalid load command. (load[_with_nhcb] <step:duration>)");
    }
    auto step = ParseMs(rest);
    if (!step) {
      return Raise(line(), fmt::format("invalid step definition \"{}\": {}", rest,
                                       step.error().message()));
    }
    load.step_ms = *step;
    std::optional<std::vector<promql::StartOffset>> starts;
    while (Next()) {
      // A line `name@st offsets` gives the start timestamps of the next line's samples.
      const std::string_view text = lines_[at_];
      const size_t st = text.find("@st ");
      if (st != std::string_view::npos && text.find(' ') == st + 3) {
        if (starts) return Raise(line(), "@st line has no following sample line");
        auto offsets = promql::ParseStartOffsets(text.substr(st + 4));
        if (!offsets) return Raise(line(), offsets.error().message());
        starts = std::move(*offsets);
        continue;
      }
      ASSIGN_OR_RETURN(auto series, ParseSeries(text));
      if (starts && starts->size() != series.values.size()) {
        return Raise(line(), fmt::format("@st line has {} values but sample line has {}",
                                         starts->size(), series.values.size()));
      }
      LoadCommand::Series loaded{std::move(series), std::move(starts).value_or(
                                                        std::vector<promql::StartOffset>())};
      starts.reset();
      auto same = std::ranges::find(load.series, loaded.description.labels,
                                    [](const auto& s) { return s.description.labels; });
      if (same != load.series.end()) {
        *same = std::move(loaded);
      } else {
        load.series.push_back(std::move(loaded));
      }
    }
    if (starts) return Raise(line(), "@st line has no following sample line");
    return load;
  }

  base::Result<promql::SeriesDescription> ParseSeries(std::string_view text) {
    auto series = promql::ParseSeriesDescription(text);
    if (!series) return Raise(line(), series.error().message());
    return std::move(*series);
  }

  std::unexpected<base::Error> EvalError(const EvalCommand& eval, std::string_view what) {
    return base::InvalidArgument(
        fmt::format("error in eval {} (line {}): {}", eval.expr, eval.line, what));
  }

  base::Result<EvalCommand> ParseEval(std::string_view word, std::string_view rest) {
    EvalCommand eval;
    eval.line = line();
    const std::string_view kind = NextWord(&rest);
    RETURN_IF_ERROR(kind == "instant" ? ParseInstant(rest, &eval)
                    : kind == "range" ? ParseRange(rest, &eval)
                                      : base::Status(Malformed()));
    auto parsed = promql::Parse(eval.expr, options_);
    if (!parsed) return Raise(eval.line, parsed.error().message());
    RETURN_IF_ERROR(ReadTimes(&eval));

    if (word == "eval_ordered" && !eval.is_range) {
      eval.ordered = true;
    } else if (word == "eval_fail") {
      eval.fail.emplace();
    } else if (word == "eval_warn") {
      eval.any_warn = true;
    } else if (word == "eval_info") {
      eval.any_info = true;
    } else if (word != "eval") {
      return Malformed();
    }
    for (size_t position = 1; Next(); ++position) {
      ASSIGN_OR_RETURN(const LineResult result, ParseLine(&eval, position));
      if (result == LineResult::kLast) break;
      if (result == LineResult::kNoSeries) --position;
    }
    return eval;
  }

  std::unexpected<base::Error> Malformed() {
    return Raise(line(),
                 "invalid evaluation command. Must be either 'eval[_fail|_warn|_ordered] instant "
                 "[at <offset:duration>] <query>' or 'eval[_fail|_warn] range from <from> to <to> "
                 "step <step> <query>'");
  }

  base::Status ParseInstant(std::string_view rest, EvalCommand* eval) {
    if (NextWord(&rest) != "at") return Malformed();
    times_[0] = NextWord(&rest);
    eval->expr = rest;
    if (rest.empty()) return Malformed();
    return {};
  }

  base::Status ParseRange(std::string_view rest, EvalCommand* eval) {
    eval->is_range = true;
    for (const auto& [i, name] : {std::pair(0, "from"), std::pair(1, "to"), std::pair(2, "step")}) {
      if (NextWord(&rest) != name) return Malformed();
      times_[i] = NextWord(&rest);
    }
    eval->expr = rest;
    if (rest.empty()) return Malformed();
    return {};
  }

  base::Status ReadTimes(EvalCommand* eval) {
    if (!eval->is_range) {
      auto at = ParseMs(times_[0]);
      if (!at) {
        return EvalError(*eval, fmt::format("invalid timestamp definition \"{}\": {}", times_[0],
                                            at.error().message()));
      }
      eval->at = eval->start = eval->end = *at;
      return {};
    }
    return ReadRange(eval);
  }

  base::Status ReadRange(EvalCommand* eval) {
    int64_t ms[3] = {};
    constexpr std::string_view kNames[] = {"start timestamp", "end timestamp", "step"};
    for (int i = 0; i < 3; ++i) {
      auto parsed = ParseMs(times_[i]);
      if (!parsed) {
        return EvalError(*eval, fmt::format("invalid {} definition \"{}\": {}", kNames[i],
                                            times_[i], parsed.error().message()));
      }
      ms[i] = *parsed;
    }
    if (ms[1] < ms[0]) {
      return EvalError(*eval, fmt::format("invalid test definition, end timestamp ({}) is before "
                                          "start timestamp ({})",
                                          times_[1], times_[0]));
    }
    eval->start = ms[0];
    eval->end = ms[1];
    eval->step_ms = ms[2];
    return {};
  }

  enum class LineResult { kSeries, kNoSeries, kLast };

  base::Result<LineResult> ParseLine(EvalCommand* eval, size_t position) {
    const std::string_view text = lines_[at_];
    if (eval->fail && text.starts_with("expected_fail_message")) {
      eval->fail->message = base::Trim(text.substr(21));
      return LineResult::kLast;
    }
    if (eval->fail && text.starts_with("expected_fail_regexp")) {
      const std::string_view pattern = base::Trim(text.substr(20));
      auto regex = base::Regex::Unanchored(pattern);
      if (!regex) {
        return EvalError(*eval, fmt::format("invalid regexp '{}' for expected_fail_regexp: {}",
                                            pattern, regex.error().message()));
      }
      eval->fail->regex = std::move(*regex);
      return LineResult::kLast;
    }
    if (text.starts_with("expect range vector")) {
      RETURN_IF_ERROR(ParseRangeVector(text.substr(19), eval));
      return LineResult::kSeries;
    }
    if (text.starts_with("expect string")) {
      if (text.size() < 15) {
        return EvalError(*eval,
                         "expected string literal not valid - a quoted string literal is required");
      }
      auto value = base::Unquote(text.substr(14));
      if (!value) {
        return EvalError(*eval, "expected string literal not valid - check that the string is "
                                "correctly quoted");
      }
      eval->string = std::move(*value);
      return LineResult::kSeries;
    }
    if (text.substr(0, text.find(' ')) == "expect") {
      RETURN_IF_ERROR(ParseExpect(text, eval));
      return LineResult::kNoSeries;
    }
    if (auto number = base::ParsePromNumber(text)) {
      eval->scalar = *number;
      return LineResult::kLast;
    }
    ASSIGN_OR_RETURN(auto series, ParseSeries(text));
    if (series.values.size() > 1 && !eval->is_range && !eval->range_vector) {
      return EvalError(*eval,
                       "expecting multiple values in instant evaluation not allowed. consider "
                       "using 'expect range vector' directive to enable a range vector result for "
                       "an instant query");
    }
    eval->series.push_back({std::move(series.labels), std::move(series.values), position});
    return LineResult::kSeries;
  }

  base::Status ParseRangeVector(std::string_view rest, EvalCommand* eval) {
    for (const auto& [i, name] : {std::pair(0, "from"), std::pair(1, "to"), std::pair(2, "step")}) {
      if (NextWord(&rest) != name || rest.empty()) {
        return EvalError(*eval, fmt::format("invalid range vector definition \"{}\"", lines_[at_]));
      }
      times_[i] = NextWord(&rest);
    }
    RETURN_IF_ERROR(ReadRange(eval));
    eval->at = eval->end;
    eval->range_vector = true;
    return {};
  }

  base::Status ParseExpect(std::string_view text, EvalCommand* eval) {
    constexpr std::string_view kForm =
        "invalid expect statement, must match `expect <type> <match_type>: <string>` format";
    std::string_view rest = text;
    NextWord(&rest);
    const std::string_view kind = NextWord(&rest);
    Expectation expectation;
    if (rest.starts_with("msg:") && rest.size() > 4) {
      expectation.message = base::Trim(rest.substr(4));
    } else if (rest.starts_with("regex:") && rest.size() > 6) {
      const std::string_view pattern = base::Trim(rest.substr(6));
      auto regex = base::Regex::Unanchored(pattern);
      if (!regex) {
        return EvalError(*eval, fmt::format("invalid regex {} for {}", pattern, kind));
      }
      expectation.regex = std::move(*regex);
    } else if (!rest.empty()) {
      return EvalError(*eval, kForm);
    }
    if (kind == "ordered") {
      eval->ordered = true;
    } else if (kind == "fail") {
      if (++eval->fail_lines > 1) {
        return EvalError(*eval, "invalid expect lines, multiple expect fail lines are not allowed");
      }
      eval->fail = std::move(expectation);
    } else if (kind == "warn") {
      eval->warn.push_back(std::move(expectation));
    } else if (kind == "info") {
      eval->info.push_back(std::move(expectation));
    } else if (kind == "no_warn") {
      eval->no_warn = true;
    } else if (kind == "no_info") {
      eval->no_info = true;
    } else {
      return EvalError(*eval, kForm);
    }
    if (eval->no_info && !eval->info.empty()) {
      return EvalError(*eval, "invalid expect lines, info and no_info cannot be used together");
    }
    if (eval->no_warn && !eval->warn.empty()) {
      return EvalError(*eval, "invalid expect lines, warn and no_warn cannot be used together");
    }
    return {};
  }

  const promql::ParseOptions& options_;
  std::vector<std::string_view> lines_;
  size_t at_ = 0;
  std::string_view times_[3];
};

}  // namespace

bool Expectation::Matches(std::string_view text) const {
  if (message) return text == *message;
  return !regex || regex->Matches(text);
}

std::string Expectation::ToString() const {
  if (message) return "message \"" + *message + "\"";
  return regex ? "pattern \"" + regex->pattern() + "\"" : "anything";
}

base::Result<std::vector<Command>> ParseScript(std::string_view text,
                                               const promql::ParseOptions& options) {
  return ScriptParser(text, options).Parse();
}

}  // namespace tocsin::promqltest
