#include "random_queries.h"

namespace tocsin::promqltest {
namespace {

const std::vector<const char*> kCounters = {"requests_total", "errors_total", "latency_bucket", "latency_count"};
const std::vector<const char*> kGauges = {"load", "temperature", "build_info", "up", "size"};
const std::vector<const char*> kRanges = {"1m", "2m", "5m", "5m", "7m30s", "20m", "1h"};
const std::vector<const char*> kLabels = {"job", "instance", "code", "le", "version", "nosuch", "__name__"};

}  // namespace

std::string RandomQueries::Matchers() {
  const std::vector<const char*> some = {
      "job=\"api\"",       "job=~\"a.*|web\"",     "job!=\"api\"",       "instance=~\"i[0-3]\"", "instance=\"i1\"",
      "code!~\"5..\"",     "code=\"500\"",         "nosuch=\"\"",        "version=~\".+\"",      "instance!~\"i2|i4\"",
      "le=~\"0.1|\\\\+Inf\""};
  std::string out;
  const size_t n = Below(3);
  for (size_t i = 0; i < n; ++i) out += (i > 0 ? "," : "") + std::string(Any(some));
  return out;
}

std::string RandomQueries::Shift() {
  if (Often(85)) return "";
  return Any({" offset 1m", " offset 7m", " offset -1m", " @ start()", " @ end() offset 2m", " @ 1700001000", " offset 40m"});
}

std::string RandomQueries::Selector(bool counters) {
  if (Often(4)) return "{__name__=~\"load|up|size\"" + std::string(Often(50) ? ",job=\"api\"" : "") + "}";
  const std::string matchers = Matchers();
  std::string name = counters || Often(40) ? Any(kCounters) : Any(kGauges);
  if (Often(4)) name = "native";
  return name + (matchers.empty() ? "" : "{" + matchers + "}");
}

std::string RandomQueries::RangeCall(int depth) {
  std::string range;
  if (depth > 0 && Often(12)) {
    range = "(" + Vector(depth - 1) + ")[" + Any({"5m", "10m", "17m"}) + ":" + Any({"", "1m", "45s"}) + "]" + Shift();
  } else {
    range = Selector(Often(60)) + "[" + Any(kRanges) + "]" + Shift();
  }
  if (Often(8)) return "quantile_over_time(" + std::string(Any({"0.5", "0.9", "1.5"})) + ", " + range + ")";
  if (Often(6)) return "predict_linear(" + range + ", 600)";
  const char* function = Any({"rate", "rate", "rate", "increase", "increase", "delta", "irate", "idelta", "avg_over_time",
                              "sum_over_time", "min_over_time", "max_over_time", "count_over_time", "last_over_time",
                              "changes", "resets", "deriv", "stddev_over_time", "present_over_time",
                              "absent_over_time", "first_over_time", "mad_over_time", "ts_of_last_over_time"});
  return std::string(function) + "(" + range + ")";
}

std::string RandomQueries::Labels() {
  std::string out = "(";
  const size_t n = Below(3);
  for (size_t i = 0; i < n; ++i) out += (i > 0 ? "," : "") + std::string(Any(kLabels));
  return out + ")";
}

std::string RandomQueries::Aggregation(int depth) {
  const std::string grouping = Often(80) ? std::string(Often(70) ? " by " : " without ") + Labels() + " " : "";
  if (Often(10)) {
    // What stays of equal values depends on the order of rows: only of series, which are in order.
    const std::string of = Often(50) ? Selector() : RangeCall(0);
    return std::string(Any({"topk", "bottomk", "limitk"})) + grouping + "(2, " + of + ")";
  }
  const std::string of = Vector(depth - 1);
  if (Often(5)) return "count_values" + grouping + "(\"value\", " + of + ")";
  if (Often(8)) return "quantile" + grouping + "(0.7, " + of + ")";
  return Any({"sum", "sum", "sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"}) + grouping + "(" + of + ")";
}

std::string RandomQueries::Binary(int depth) {
  const std::string op = Any({"+", "-", "*", "/", "%", "^", "==", "!=", ">", "<", ">=", "<=", "> bool", "== bool"});
  if (Often(45)) {
    const std::string vector = Vector(depth - 1);
    const std::string scalar = Scalar(depth - 1);
    return "(" + (Often(75) ? vector + " " + op + " " + scalar : scalar + " " + op + " " + vector) + ")";
  }
  std::string matching;
  if (Often(30)) {
    return "(" + Vector(depth - 1) + " " + Any({"and", "or", "unless"}) + " " +
           (Often(50) ? "on " + Labels() + " " : "") + Vector(depth - 1) + ")";
  }
  if (Often(60)) {
    matching = std::string(Often(70) ? "on " : "ignoring ") + Labels() + " ";
    if (Often(40)) matching += std::string(Any({"group_left ", "group_right "})) + Any({"", "()", "(version)"}) + " ";
  }
  return "(" + Vector(depth - 1) + " " + op + " " + matching + Vector(depth - 1) + ")";
}

std::string RandomQueries::Scalar(int depth) {
  if (depth > 0 && Often(20)) return "scalar(" + Vector(depth - 1) + ")";
  return Any({"0", "1", "2.5", "-3", "100", "time()", "NaN", "pi()", "(time() - 1700000000)"});
}

std::string RandomQueries::Call(int depth) {
  const std::string of = Vector(depth - 1);
  switch (Below(14)) {
    case 0: return "histogram_quantile(0.9, sum by (le" + std::string(Often(50) ? ", job" : "") + ") (rate(latency_bucket[5m])))";
    case 1: return "histogram_quantile(0.5, " + Selector(true) + ")";
    case 2: return "label_replace(" + of + ", \"job\", \"$1-x\", \"instance\", \"(i.).*\")";
    case 3: return "label_join(" + of + ", \"both\", \"/\", \"job\", \"instance\")";
    case 4: return "absent(" + of + ")";
    case 5: return "clamp(" + of + ", -5, 50)";
    case 6: return "timestamp(" + of + ")";
    case 7: return "sort_desc(" + of + ")";
    case 8: return "vector(" + Scalar(depth - 1) + ")";
    case 9: return "-" + of;
    case 10: return std::string(Any({"hour", "minute", "day_of_week"})) + "(" + of + ")";
    case 11: return "histogram_" + std::string(Any({"count", "sum", "avg"})) + "(" + (Often(60) ? "native" : of) + ")";
    case 12: return "timestamp(" + Selector() + ")";
    default: return std::string(Any({"abs", "ceil", "floor", "exp", "ln", "sqrt", "sgn", "round"})) + "(" + of + ")";
  }
}

std::string RandomQueries::Vector(int depth) {
  constexpr size_t kRemembered = 6;
  constexpr size_t kLongest = 200;  // bytes; or they would grow without end
  if (!written_.empty() && Often(30)) return written_[Below(written_.size())];
  std::string text = Fresh(depth);
  if (text.size() <= kLongest) {
    if (written_.size() == kRemembered) written_.erase(written_.begin());
    written_.push_back(text);
  }
  return text;
}

std::string RandomQueries::Fresh(int depth) {
  if (depth <= 0) return Often(45) ? RangeCall(0) : Selector() + Shift();
  switch (Below(10)) {
    case 0: return Selector() + Shift();
    case 1:
    case 2: return RangeCall(depth - 1);
    case 3:
    case 4:
    case 5: return Aggregation(depth);
    case 6:
    case 7:
    case 8: return Binary(depth);
    default: return Call(depth);
  }
}

}  // namespace tocsin::promqltest
