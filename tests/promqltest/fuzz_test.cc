// Input that means harm, and input that means nothing: the parser, the planner and the engine answer any
// text with a value or an error, in bounded time and memory, and a range query gives what instant queries
// at its steps give.  TOCSIN_FUZZ_ROUNDS=1000000 runs for longer; a failure prints the text and the seed.

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <map>
#include <random>

#include "memory_storage.h"
#include "promql/engine.h"
#include "promql/parse/printer.h"

namespace tocsin::promqltest {
namespace {

using promql::Engine;
using promql::EngineOptions;

constexpr int64_t kMinute = 60'000;

void Fill(MemoryStorage* storage) {
  for (int i = 0; i < 4; ++i) {
    for (const char* name : {"x_total", "y", "h"}) {
      const auto labels = model::Labels::FromPairs(
          {{"__name__", name}, {"i", std::to_string(i)}, {"g", i % 2 != 0 ? "odd" : "even"}});
      double v = 0;
      for (int k = 0; k < 30; ++k) {
        if ((k + i) % 11 == 0) continue;
        v = (k * 7 + i) % 13 == 0 ? 0 : v + 1.5 * i + k % 3;
        model::HistogramPtr histogram;
        if (*name == 'h') {
          auto h = std::make_shared<model::Histogram>();
          h->count = v;
          h->sum = 2 * v;
          histogram = h;
        }
        ASSERT_TRUE(storage->Append(labels, k * kMinute / 2, v, histogram));
      }
    }
    for (const char* le : {"0.1", "1", "+Inf"}) {
      const auto labels = model::Labels::FromPairs(
          {{"__name__", "b_bucket"}, {"i", std::to_string(i)}, {"le", le}});
      for (int k = 0; k < 30; ++k) {
        ASSERT_TRUE(storage->Append(labels, k * kMinute / 2, k * (le[0] == '+' ? 3.0 : 2.0), nullptr));
      }
    }
  }
}

EngineOptions Everything() {
  EngineOptions options;
  options.max_samples = 100'000;
  options.parse.experimental_functions = true;
  options.parse.extended_range_selectors = true;
  options.parse.binop_fill_modifiers = true;
  return options;
}

std::string Repeat(std::string_view text, size_t times) {
  std::string out;
  out.reserve(text.size() * times);
  for (size_t i = 0; i < times; ++i) out += text;
  return out;
}

TEST(HostileQueryTest, TheErrorNamesTheLimit) {
  struct Row {
    const char* name;
    std::string text;
    const char* error;  // a part of it
  };
  MemoryStorage storage;
  Fill(&storage);
  const Engine engine(Everything());
  for (const Row& row : {
           Row{"parentheses", Repeat("(", 10'000) + "1" + Repeat(")", 10'000), "nest"},
           {"open parentheses", Repeat("(", 10'000), "nest"},
           {"signs", Repeat("-", 10'000) + "y", "nest"},
           {"calls", Repeat("abs(", 10'000) + "y" + Repeat(")", 10'000), "nest"},
           {"aggregations", Repeat("sum(", 10'000) + "y" + Repeat(")", 10'000), "nest"},
           {"operands", "1" + Repeat(" + y", 10'000), "the limit is"},
           {"powers", "1" + Repeat(" ^ y", 10'000), "nest"},
           {"subqueries", "y" + Repeat("[1m:1m]", 10'000), "parse error"},
           {"bytes", "y" + Repeat(" ", 10 << 20), "the limit is"},
           {"a name", Repeat("y", 10 << 20), "the limit is"},
           {"a regex that repeats", "y{i=~\"((a{100}){100}){100}\"}", "repeat"},
           {"samples of a subquery", "sum_over_time(y[100y:1ms])", "too many samples"},
           {"samples of subqueries", "sum_over_time(sum_over_time(y[1y:1s])[1y:1s])", "too many samples"},
       }) {
    SCOPED_TRACE(row.name);
    const auto begin = std::chrono::steady_clock::now();
    const auto result = engine.Instant(&storage, row.text, 10 * kMinute);
    ASSERT_FALSE(result);
    EXPECT_NE(result.error().message().find(row.error), std::string::npos)
        << result.error().message().substr(0, 300);
    EXPECT_LT(result.error().message().size(), 3000u);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
  }
}

TEST(HostileQueryTest, AllSeriesOverAllTimeAreReadWithinTheLimit) {
  MemoryStorage storage;
  Fill(&storage);
  EngineOptions options = Everything();
  const auto all = Engine(options).Instant(&storage, "{__name__=~\".+\"}[100y]", 30 * kMinute);
  ASSERT_TRUE(all) << all.error().message();
  options.max_samples = 100;
  const auto few = Engine(options).Instant(&storage, "{__name__=~\".+\"}[100y]", 30 * kMinute);
  ASSERT_FALSE(few);
  EXPECT_NE(few.error().message().find("too many samples"), std::string::npos);
  // A regular expression that takes a backtracking engine until the end of days.
  const auto regex = Engine(Everything()).Instant(&storage, "y{i=~\"(a+)+(a+)+(a+)+$\"}", 0);
  EXPECT_TRUE(regex) << regex.error().message();
}

constexpr const char* kSeeds[] = {
    "sum by (g) (rate(x_total[5m]))",
    "histogram_quantile(0.9, sum by (le) (rate(b_bucket[2m])))",
    "y{i=~\"[0-2]\", g!=\"odd\"} offset 1m30s",
    "x_total @ 300 + on (i) group_left (g) y",
    "topk(2, y) or bottomk by (g) (1, x_total)",
    "max_over_time(rate(x_total[1m])[5m:30s] offset -1m)",
    "label_replace(y, \"j\", \"$1-x\", \"i\", \"(.)\") unless ignoring (j) x_total > 3",
    "quantile_over_time(0.3, y[3m]) / avg_over_time(y[3m])",
    "-y ^ 2 % 3 == bool 1",
    "count_values(\"v\", y) * 0x1F + 1e3 - .5",
    "absent(nothing{a=\"b\"}) or vector(time())",
    "histogram_sum(h) / histogram_count(h)",
    "stddev_over_time(y[4m]) + stdvar by () (y)",
    "predict_linear(x_total[4m], 60) > -1",
    "sort_desc(sum without (i) (y)) * scalar(count(y))",
    "deriv(y[3m]) atan2 changes(y[3m])",
    "limitk(2, y) and limit_ratio(0.5, y)",
    "sum_over_time(y[2m + 30s]) @ end()",
    "clamp(y, 1, 10) < 5 and on () vector(1)",
    "increase(x_total[2m] smoothed) - delta(x_total[2m] anchored)",
    "y + on (i) fill_left (0) x_total{i=\"1\"}",
    "timestamp(y) - minute() * 60",
    "double_exponential_smoothing(y[5m], 0.5, 0.1)",
    "rate(h[2m]) + h * 2",
};

std::string Mutated(std::mt19937_64* random) {
  const auto below = [&](size_t n) { return static_cast<size_t>((*random)() % n); };
  static constexpr std::string_view kPieces[] = {
      "(", ")", "[", "]", "{", "}", ",", "\"", "'", "`", "\\", "@", "offset ", "5m", ":", " by (g) ",
      "sum", "rate", "and", "or", "unless", "bool ", "-", "+", "*", "/", "^", "==", "=~", "!~", "1", "0",
      "1e308", "Inf", "NaN", "y", "x_total", "[1m]", "[2m:30s]", "start()", "#", "\n", "\xff", "\xc3\xa9",
      "group_left", "on (i) ", "ignoring () ", "fill (1)", "anchored", "100y", "1ms", "9223372036854775808"};
  std::string text = kSeeds[below(std::size(kSeeds))];
  if (below(3) == 0) {
    static constexpr std::string_view kJoints[] = {" + ", " and ", " > bool ", " / on (g) ", ", "};
    text += kJoints[below(std::size(kJoints))];
    text += kSeeds[below(std::size(kSeeds))];
  }
  for (size_t changes = below(4); changes > 0 && !text.empty(); --changes) {
    const size_t at = below(text.size());
    const size_t length = std::min(text.size() - at, 1 + below(8));
    switch (below(5)) {
      case 0: text.erase(at, length); break;
      case 1: text.insert(at, kPieces[below(std::size(kPieces))]); break;
      case 2: text.replace(at, length, kPieces[below(std::size(kPieces))]); break;
      case 3: text.insert(below(text.size()), text.substr(at, length)); break;
      default: text[at] = static_cast<char>((*random)()); break;
    }
  }
  return text;
}

struct Cell {
  double v = 0;
  bool histogram = false;
};
using Cells = std::map<std::string, Cell>;

bool Same(const Cells& a, const Cells& b) {
  if (a.size() != b.size()) return false;
  for (auto i = a.begin(), j = b.begin(); i != a.end(); ++i, ++j) {
    if (i->first != j->first || i->second.histogram != j->second.histogram) return false;
    const double x = i->second.v;
    const double y = j->second.v;
    if (std::isnan(x) && std::isnan(y)) continue;
    if (x != y && !(std::fabs(x - y) <= 1e-9 * std::max({1.0, std::fabs(x), std::fabs(y)}))) return false;
  }
  return true;
}

// What depends on more than the step's own time, or on an order that is not told.
bool DependsOnTheRange(std::string_view text) {
  for (const std::string_view word : {"start", "end", "range", "step", "topk", "bottomk", "limitk"}) {
    if (text.find(word) != std::string_view::npos) return true;
  }
  return false;
}

std::map<model::Timestamp, Cells> ByTime(const promql::Matrix& matrix) {
  std::map<model::Timestamp, Cells> out;
  for (const promql::MatrixSeries& s : matrix) {
    for (const auto& p : s.floats) out[p.t][s.labels.ToString()] = {p.v, false};
    for (const auto& p : s.histograms) out[p.t][s.labels.ToString()] = {p.h->sum, true};
  }
  return out;
}

Cells Of(const base::Result<promql::QueryResult>& result) {
  Cells out;
  if (const auto* vector = std::get_if<promql::Vector>(&result->value)) {
    for (const promql::VectorSample& s : *vector) {
      out[s.labels.ToString()] = s.h ? Cell{s.h->sum, true} : Cell{s.v, false};
    }
  } else if (const auto* scalar = std::get_if<promql::Scalar>(&result->value)) {
    out["{}"] = {scalar->v, false};
  }
  return out;
}

int Rounds() {
  const char* text = std::getenv("TOCSIN_FUZZ_ROUNDS");
  return text != nullptr ? std::atoi(text) : 3000;
}

TEST(FuzzTest, AnyTextGivesAValueOrAnErrorAndARangeIsItsInstants) {
  MemoryStorage storage;
  Fill(&storage);
  const Engine engine(Everything());
  constexpr model::Timestamp kStart = 2 * kMinute + 250;
  constexpr int64_t kStep = 97'000;
  constexpr int kSteps = 7;
  int parsed = 0;
  int compared = 0;
  const int rounds = Rounds();
  for (int seed = 0; seed < rounds; ++seed) {
    std::mt19937_64 random(static_cast<uint64_t>(seed));
    const std::string text = Mutated(&random);
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + text);
    const auto expr = promql::Parse(text, engine.options().parse);
    if (!expr) {
      EXPECT_FALSE(expr.error().message().empty());
      continue;
    }
    ++parsed;
    const std::string printed = promql::Print(**expr);
    const auto again = promql::Parse(printed, engine.options().parse);
    ASSERT_TRUE(again) << printed << ": " << again.error().message();
    EXPECT_EQ(promql::Print(**again), printed);

    const auto query = engine.Prepare(text);
    ASSERT_TRUE(query) << query.error().message();
    const auto first = query->Run(&storage, kStart);
    if (query->type() != promql::ValueType::kVector && query->type() != promql::ValueType::kScalar) continue;
    const auto range = query->RunRange(
        &storage, {kStart, kStart + (kSteps - 1) * kStep, std::chrono::milliseconds(kStep)});
    // A limit may be met by the whole and not by its parts.
    if (!range || DependsOnTheRange(text)) continue;
    ++compared;
    auto by_time = ByTime(std::get<promql::Matrix>(range->value));
    for (int k = 0; k < kSteps; ++k) {
      const model::Timestamp t = kStart + k * kStep;
      const auto instant = query->Run(&storage, t);
      ASSERT_TRUE(instant) << "at step " << k << ": " << instant.error().message();
      EXPECT_TRUE(Same(Of(instant), by_time[t])) << "at step " << k;
    }
    if (HasFailure()) return;
  }
  EXPECT_GT(parsed, rounds / 10);
  EXPECT_GT(compared, rounds / 20);
}

TEST(FuzzTest, RandomBytesAreNoExpression) {
  std::mt19937_64 random(1);
  const Engine engine(Everything());
  for (int round = 0; round < 2000; ++round) {
    std::string text(1 + random() % 200, '\0');
    for (char& c : text) c = static_cast<char>(random());
    const auto query = engine.Prepare(text);
    if (!query) {
      EXPECT_EQ(query.error().code(), base::Code::kInvalidArgument);
    }
  }
}

}  // namespace
}  // namespace tocsin::promqltest
