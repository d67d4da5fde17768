#include "runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/number.h"
#include "base/workers.h"
#include "compare.h"
#include "memory_storage.h"
#include "promql/parse/functions.h"
#include "promql/parse/printer.h"
#include "promql/plan/functions.h"

namespace tocsin::promqltest {
namespace {

using promql::As;
using promql::Expr;
using promql::ExprKind;

constexpr int64_t kMinuteMs = 60'000;

bool IsTimeOfQuery(std::string_view name) {
  return name == "start" || name == "end" || name == "range" || name == "step";
}

// Puts @ at a time on the selectors and outermost subqueries that have none.  False: the expression has
// a function that depends on the evaluation's time.
bool PutAt(Expr& e, model::Timestamp t) {
  const auto put = [t](promql::TimeShift& shift) {
    if (shift.at == promql::AtKind::kTimestamp) return;
    shift.at = promql::AtKind::kTimestamp;
    shift.at_ms = t;
  };
  switch (e.kind) {
    case ExprKind::kVectorSelector: put(As<promql::VectorSelector>(e).shift); return true;
    case ExprKind::kMatrixSelector: put(As<promql::MatrixSelector>(e).vector->shift); return true;
    case ExprKind::kSubquery: put(As<promql::Subquery>(e).shift); return true;
    case ExprKind::kCall: {
      auto& call = As<promql::Call>(e);
      const auto function = promql::plan::FindFunctionByName(call.function->name);
      bool fixed = !IsTimeOfQuery(call.function->name) &&
                   !(function && promql::plan::DependsOnTime(*function));
      for (auto& arg : call.args) fixed = PutAt(*arg, t) && fixed;
      return fixed;
    }
    case ExprKind::kAggregate: {
      auto& a = As<promql::Aggregate>(e);
      const bool param = !a.param || PutAt(*a.param, t);
      return PutAt(*a.expr, t) && param;
    }
    case ExprKind::kBinary: {
      auto& b = As<promql::Binary>(e);
      const bool left = PutAt(*b.lhs, t);
      return PutAt(*b.rhs, t) && left;
    }
    case ExprKind::kUnary: return PutAt(*As<promql::Unary>(e).expr, t);
    case ExprKind::kParen: return PutAt(*As<promql::Paren>(e).expr, t);
    default: return true;
  }
}

// start(), end(), range() and step() mean something else in a range query.
bool MentionsQueryTimes(std::string_view text) {
  for (std::string_view name : {"start", "end", "range", "step"}) {
    for (size_t at = text.find(name); at != std::string_view::npos; at = text.find(name, at + 1)) {
      std::string_view rest = text.substr(at + name.size());
      while (rest.starts_with(' ')) rest.remove_prefix(1);
      if (!rest.starts_with('(')) continue;
      const bool begins =
          at == 0 || !(std::isalnum(static_cast<unsigned char>(text[at - 1])) || text[at - 1] == '_');
      if (begins) return true;
    }
  }
  return false;
}

// A classic histogram as a native one with custom buckets.
struct ClassicHistogram {
  std::map<double, double> buckets;  // count up to the bound
  std::optional<double> count;
  double sum = 0;

  base::Result<model::HistogramPtr> Convert() const {
    auto h = std::make_shared<model::Histogram>();
    h->schema = model::kCustomBucketsSchema;
    h->sum = sum;
    h->count = count.value_or(buckets.empty() ? 0 : buckets.rbegin()->second);
    std::map<double, double> all = buckets;
    all.try_emplace(std::numeric_limits<double>::infinity(), h->count);
    double before = 0;
    for (const auto& [bound, up_to] : all) {
      if (up_to < before) {
        return base::InvalidArgument("load_with_nhcb: the buckets' counts are not cumulative");
      }
      if (!std::isinf(bound)) h->custom_values.push_back(bound);
      h->positive_buckets.push_back(up_to - before);
      before = up_to;
    }
    if (before != h->count) {
      return base::InvalidArgument("load_with_nhcb: the +Inf bucket and _count differ");
    }
    h->positive_spans = {{.offset = 0, .length = static_cast<uint32_t>(all.size())}};
    return model::HistogramPtr(h);
  }
};

class Runner {
 public:
  explicit Runner(const RunnerOptions& options) : options_(options), engine_(options.engine) {}

  ScriptResult Run(std::string_view text) {
    auto commands = ParseScript(text, options_.engine.parse);
    if (!commands) {
      result_.failures.push_back({0, commands.error().message()});
      return std::move(result_);
    }
    for (const Command& command : *commands) {
      if (std::holds_alternative<ClearCommand>(command)) {
        storage_.Clear();
      } else if (const auto* load = std::get_if<LoadCommand>(&command)) {
        if (auto loaded = Load(*load); !loaded) {
          result_.failures.push_back({load->line, loaded.error().message()});
        }
      } else {
        const auto& eval = std::get<EvalCommand>(command);
        std::string wrong = eval.is_range ? EvalRange(eval) : EvalInstant(eval);
        if (wrong.empty()) {
          ++result_.passed;
        } else {
          result_.failures.push_back({eval.line, eval.expr + ": " + wrong});
        }
      }
    }
    return std::move(result_);
  }

 private:
  base::Status Load(const LoadCommand& load) {
    for (const auto& [series, starts] : load.series) {
      for (size_t i = 0; i < series.values.size(); ++i) {
        const promql::SequenceValue& v = series.values[i];
        if (v.omitted && !v.histogram) continue;
        const int64_t t = static_cast<int64_t>(i) * load.step_ms;
        const model::Timestamp start = !starts.empty() && !starts[i].omitted ? t + starts[i].ms : 0;
        RETURN_IF_ERROR(storage_.Append(series.labels, t, v.value, v.histogram, start));
      }
    }
    return load.with_nhcb ? LoadClassic(load) : base::Status();
  }

  base::Status LoadClassic(const LoadCommand& load) {
    std::map<model::Labels, std::map<int64_t, ClassicHistogram>> histograms;
    for (const auto& [series, starts] : load.series) {
      const std::string_view name = series.labels.MetricName();
      const bool bucket = name.ends_with("_bucket");
      const bool count = name.ends_with("_count");
      if (!bucket && !count && !name.ends_with("_sum")) continue;
      double bound = 0;
      if (bucket) {
        auto parsed = base::ParseFloat(series.labels.Get(model::kBucketLabel));
        if (!parsed || std::isnan(*parsed)) continue;
        bound = *parsed;
      }
      model::LabelsBuilder base(series.labels);
      base.Set(model::kMetricName, name.substr(0, name.rfind('_')));
      base.Del(model::kBucketLabel);
      auto& by_time = histograms[base.Build()];
      for (size_t i = 0; i < series.values.size(); ++i) {
        const promql::SequenceValue& v = series.values[i];
        if (v.omitted || v.histogram) continue;
        ClassicHistogram& h = by_time[static_cast<int64_t>(i) * load.step_ms];
        if (bucket) {
          h.buckets[bound] = v.value;
        } else if (count) {
          h.count = v.value;
        } else {
          h.sum = v.value;
        }
      }
    }
    for (const auto& [labels, by_time] : histograms) {
      for (const auto& [t, classic] : by_time) {
        ASSIGN_OR_RETURN(model::HistogramPtr h, classic.Convert());
        RETURN_IF_ERROR(storage_.Append(labels, t, 0, std::move(h)));
      }
    }
    return {};
  }

  static std::string CheckFailure(const EvalCommand& eval, const base::Error& error) {
    if (!eval.fail) return "error evaluating query: " + error.message();
    if (eval.fail->Matches(error.message())) return {};
    return fmt::format("expected error matching {}, but got: {}", eval.fail->ToString(),
                       error.message());
  }

  std::string EvalRange(const EvalCommand& eval) {
    const promql::RangeParams range{eval.start, eval.end, std::chrono::milliseconds(eval.step_ms)};
    auto got = engine_.Range(&storage_, eval.expr, range);
    if (!got) return CheckFailure(eval, got.error());
    if (eval.fail) return "expected error but got none";
    std::string wrong = CompareAnnotations(eval, *got);
    return wrong.empty() ? CompareValue(eval, got->value) : wrong;
  }

  std::string EvalInstant(const EvalCommand& eval) {
    std::string wrong = EvalForm(eval, eval.expr, eval.at);
    if (!wrong.empty() || !options_.repeat) return wrong;
    auto parsed = promql::Parse(eval.expr, options_.engine.parse);
    if (!parsed) return parsed.error().message();
    if (!PutAt(**parsed, eval.at)) return {};
    const std::string with_at = promql::Print(**parsed);
    std::vector<model::Timestamp> times = {-10 * eval.at, 0, eval.at / 5, eval.at, 10 * eval.at};
    if (eval.at == 0) times = {-1000, 0, 1000};
    for (model::Timestamp t : times) {
      wrong = EvalForm(eval, with_at, t);
      if (!wrong.empty()) return fmt::format("as {} at {}ms: {}", with_at, t, wrong);
    }
    return {};
  }

  // As an instant query, then as the middle of a range query.
  std::string EvalForm(const EvalCommand& eval, const std::string& expr, model::Timestamp at) {
    auto got = engine_.Instant(&storage_, expr, at);
    if (!got) return CheckFailure(eval, got.error());
    if (eval.fail) return "expected error but got none";
    std::string wrong = CompareAnnotations(eval, *got);
    if (wrong.empty()) wrong = CompareValue(eval, got->value);
    if (!wrong.empty() || !options_.repeat) return wrong;
    if (eval.range_vector || eval.string || MentionsQueryTimes(expr)) return {};

    const promql::RangeParams range{at - kMinuteMs, at + kMinuteMs, std::chrono::minutes(1)};
    auto in_range = engine_.Range(&storage_, expr, range);
    if (!in_range) return "in range mode: " + in_range.error().message();
    if (eval.ordered) return {};
    promql::Vector middle;
    for (const promql::MatrixSeries& s : std::get<promql::Matrix>(in_range->value)) {
      for (const auto& p : s.floats) {
        if (p.t == at) middle.push_back({s.labels, p.t, p.v, nullptr});
      }
      for (const auto& p : s.histograms) {
        if (p.t == at) middle.push_back({s.labels, p.t, 0, p.h});
      }
    }
    promql::Value value = middle;
    if (std::holds_alternative<promql::Scalar>(got->value)) {
      if (middle.size() != 1) return "in range mode: no scalar";
      value = promql::Scalar{at, middle[0].v};
    }
    wrong = CompareValue(eval, value);
    return wrong.empty() ? wrong : "in range mode: " + wrong;
  }

  const RunnerOptions& options_;
  promql::Engine engine_;
  MemoryStorage storage_;
  ScriptResult result_;
};

}  // namespace

promql::EngineOptions InPieces(promql::EngineOptions options) {
  static base::Workers workers(4);
  options.helpers = &workers;
  options.pieces = {.worthwhile = 0, .shared = 0, .cells = 1, .fewest_rows = 1};
  return options;
}

RunnerOptions ConformanceOptions() {
  RunnerOptions options;
  options.engine.max_samples = 10'000;
  options.engine.delayed_name_removal = true;
  options.engine.use_start_timestamps = true;
  options.engine.parse.experimental_functions = true;
  options.engine.parse.extended_range_selectors = true;
  options.engine.parse.binop_fill_modifiers = true;
  options.engine.parse.duration_expressions = true;
  return options;
}

ScriptResult RunScript(std::string_view text, const RunnerOptions& options) {
  return Runner(options).Run(text);
}

}  // namespace tocsin::promqltest
