// How errors are shown.

#include <fmt/core.h>

#include <algorithm>

#include "promql/parse/parser.h"

namespace tocsin::promql {
namespace {

struct LineColumn {
  int line = 1;
  int column = 1;        // in bytes, as Prometheus counts
  size_t line_start = 0;
};

LineColumn Locate(std::string_view text, int32_t pos) {
  LineColumn at;
  for (int32_t i = 0; i < pos; ++i) {
    if (text[static_cast<size_t>(i)] != '\n') continue;
    ++at.line;
    at.line_start = static_cast<size_t>(i) + 1;
  }
  at.column = pos - static_cast<int32_t>(at.line_start) + 1;
  return at;
}

struct Hint {
  std::string_view part;  // of the message
  std::string_view hint;
};

// The first that fits.
constexpr Hint kHints[] = {
    {"expected type range vector in call to function \"absent_over_time\"",
     "give the selector a range: absent_over_time(metric[5m])"},
    {"got instant vector, expected range vector", "give the selector a range, as in metric[5m]"},
    {"expected type range vector", "give the selector a range, as in rate(metric[5m])"},
    {"expected type instant vector in aggregation expression, got range vector",
     "put a function such as rate() around the range: sum(rate(metric[5m]))"},
    {"expected type instant vector", "for a number write vector(1); for a range put a function "
                                     "such as rate() or last_over_time() around it"},
    {"comparisons between scalars must use BOOL", "write bool after the operator: 1 > bool 0"},
    {"bool modifier can only", "leave bool out: it makes comparisons give 0 or 1"},
    {"set operator", "and, or, unless work on vectors; for numbers write vector(1)"},
    {"vector selector must contain", "name a metric, or give one matcher that does not match the "
                                     "empty value, as in {job=~\".+\"}"},
    {"metric name must not be set twice", "keep the name before the braces or the __name__ matcher"},
    {"unclosed left parenthesis", "add a closing parenthesis"},
    {"unexpected right parenthesis", "take the closing parenthesis away, or open one before it"},
    {"unexpected end of input inside braces", "close the braces with }"},
    {"unexpected end of input in duration", "close the range with ], as in [5m]"},
    {"unexpected end of input", "an operand is missing at the end"},
    {"unterminated quoted string", "close the string with the same quote; a line break is \\n"},
    {"unterminated raw string", "close the string with `"},
    {"unknown escape sequence", "write \\\\ for a backslash, or put the string in backquotes"},
    {"not a valid duration", "units come once each, from large to small: 1h30m"},
    {"bad number or duration syntax", "durations look like 5m, 1h30m, 500ms; units are ms s m h d w y"},
    {"duration must be greater than 0", "a range and a step are at least 1ms"},
    {"unknown function with name", "the functions are listed in the documentation of PromQL; "
                                   "aggregations are sum, avg, count, ..."},
    {"is not enabled", "the function is experimental: --enable-feature=promql-experimental-functions"},
    {"modifier is experimental", "--enable-feature=promql-extended-range-selectors turns it on"},
    {"binop fill modifiers are experimental", "--enable-feature=promql-binop-fill-modifiers turns "
                                              "them on"},
    {"in label matching, expected string", "put the value in quotes: {job=\"api\"}"},
    {"expected label matching operator", "write one of = != =~ !~ after the label"},
    {"in grouping opts, expected \"(\"", "put the labels in parentheses: by (job, instance)"},
    {"unexpected <group_left>", "group_left and group_right come after on (...) or ignoring (...)"},
    {"unexpected <group_right>", "group_left and group_right come after on (...) or ignoring (...)"},
    {"unexpected \"=\"", "write == to compare; = is for matchers in braces"},
    {"ranges only allowed for vector selectors", "for other expressions write a subquery with a "
                                                 "colon: expr[5m:]"},
    {"subquery is only allowed on instant vector", "put a function such as rate() around the inner "
                                                   "range first"},
    {"offset modifier must be preceded", "write offset directly after the selector: "
                                         "rate(metric[5m] offset 1h)"},
    {"@ modifier must be preceded", "write @ directly after the selector: rate(metric[5m] @ end())"},
    {"no offset modifiers allowed before range", "write the range first: metric[5m] offset 1m"},
    {"no @ modifiers allowed before range", "write the range first: metric[5m] @ end()"},
    {"wrong number of arguments for aggregate", "topk, bottomk, quantile, count_values, limitk and "
                                                "limit_ratio take a parameter first: topk(3, x)"},
    {"trailing commas not allowed", "take the last comma away"},
    {"no expression found", "write an expression, for example up == 0"},
    {"error parsing regexp", "regular expressions are RE2's: no look-around, no back references"},
    {"vector matching only allowed", "take on (...) or ignoring (...) away: a number matches all"},
};

std::string_view HintFor(std::string_view message) {
  for (const Hint& h : kHints) {
    if (message.find(h.part) != std::string_view::npos) return h.hint;
  }
  return {};
}

// Cut around the place so that a caret fits on a screen.
constexpr size_t kMaxLine = 160;

void AppendSource(std::string_view text, const ParseError& e, std::string* out) {
  LineColumn at = Locate(text, e.pos.start);
  size_t end = std::min(text.find('\n', at.line_start), text.size());
  size_t caret = static_cast<size_t>(e.pos.start);
  size_t from = at.line_start;
  if (end - from > kMaxLine && caret - from > kMaxLine / 2) from = caret - kMaxLine / 2;
  size_t to = std::min(end, from + kMaxLine);
  // Not in the middle of a character.
  while (from > at.line_start && (text[from] & 0xC0) == 0x80) --from;
  while (to < end && (text[to] & 0xC0) == 0x80) ++to;

  *out += "  ";
  std::string_view before = from > at.line_start ? "... " : "";
  *out += before;
  for (char c : text.substr(from, to - from)) *out += c == '\t' || c == '\r' ? ' ' : c;
  if (to < end) *out += " ...";
  *out += "\n  ";
  auto columns = [&](size_t a, size_t b) {
    return std::count_if(text.begin() + static_cast<std::ptrdiff_t>(a),
                         text.begin() + static_cast<std::ptrdiff_t>(b),
                         [](char c) { return (c & 0xC0) != 0x80; });
  };
  out->append(before.size() + static_cast<size_t>(columns(from, caret)), ' ');
  size_t last = std::clamp(static_cast<size_t>(std::max(e.pos.end, 0)), caret, to);
  out->append(std::max<size_t>(1, static_cast<size_t>(columns(caret, last))), '^');
  *out += '\n';
}

}  // namespace

std::string ParseErrors::First(std::string_view text) const {
  if (errors.empty()) return "error contains no error message";
  const ParseError& e = errors.front();
  if (text.empty()) return "unknown position: parse error: " + e.message;
  if (e.pos.start < 0 || static_cast<size_t>(e.pos.start) > text.size()) {
    return "invalid position: parse error: " + e.message;
  }
  LineColumn at = Locate(text, e.pos.start);
  return fmt::format("{}:{}: parse error: {}", at.line, at.column, e.message);
}

std::string ParseErrors::Explain(std::string_view text) const {
  std::string out = First(text) + "\n";
  if (errors.empty()) return out;
  const ParseError& e = errors.front();
  if (!text.empty() && e.pos.start >= 0 && static_cast<size_t>(e.pos.start) <= text.size()) {
    AppendSource(text, e, &out);
  }
  if (std::string_view hint = HintFor(e.message); !hint.empty()) {
    out += fmt::format("hint: {}\n", hint);
  }
  return out;
}

}  // namespace tocsin::promql
