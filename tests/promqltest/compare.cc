#include "compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/number.h"
#include "promql/exec/histogram_math.h"

namespace tocsin::promqltest {
namespace {

constexpr double kTolerance = 1e-6;

model::HistogramPtr Compact(const model::Histogram& h) {
  return promql::exec::HistogramSum(h).Build();
}

bool SameBuckets(const std::vector<double>& a, const std::vector<double>& b) {
  return std::ranges::equal(a, b, AlmostEqual);
}

bool SameHistogram(const promql::SequenceValue& expected, const model::Histogram& got) {
  const model::HistogramPtr a = Compact(*expected.histogram);
  const model::HistogramPtr b = Compact(got);
  return a->schema == b->schema && AlmostEqual(a->count, b->count) && AlmostEqual(a->sum, b->sum) &&
         a->zero_threshold == b->zero_threshold && AlmostEqual(a->zero_count, b->zero_count) &&
         a->positive_spans == b->positive_spans && a->negative_spans == b->negative_spans &&
         SameBuckets(a->positive_buckets, b->positive_buckets) &&
         SameBuckets(a->negative_buckets, b->negative_buckets) &&
         (!a->uses_custom_buckets() || a->custom_values == b->custom_values) &&
         (!expected.counter_reset_given || expected.histogram->counter_reset == got.counter_reset);
}

std::string Describe(const model::Histogram& h) {
  const model::HistogramPtr c = Compact(h);
  constexpr std::string_view kHints[] = {"unknown", "reset", "not_reset", "gauge"};
  return fmt::format("{} (schema {}, zero threshold {}, hint {}, custom [{}])", c->ToString(),
                     c->schema, base::FormatG(c->zero_threshold),
                     kHints[static_cast<int>(h.counter_reset)], fmt::join(c->custom_values, " "));
}

const ExpectedSeries* Find(const EvalCommand& eval, const model::Labels& labels) {
  auto it = std::ranges::find(eval.series, labels, &ExpectedSeries::labels);
  return it == eval.series.end() ? nullptr : &*it;
}

template <class Results>
std::string FindMissing(const EvalCommand& eval, const Results& got) {
  for (const ExpectedSeries& e : eval.series) {
    const bool found = std::ranges::any_of(got, [&](const auto& s) { return s.labels == e.labels; });
    if (!found) return fmt::format("expected metric {} not found", e.labels.ToString());
  }
  return {};
}

std::string ComparePoint(const promql::SequenceValue& expected, const model::Labels& labels,
                         double v, const model::HistogramPtr& h) {
  if (expected.histogram) {
    if (!h) {
      return fmt::format("expected histogram {} for {} but got float value {}",
                         Describe(*expected.histogram), labels.ToString(), base::FormatG(v));
    }
    if (!SameHistogram(expected, *h)) {
      return fmt::format("expected {} for {} but got {}", Describe(*expected.histogram),
                         labels.ToString(), Describe(*h));
    }
    return {};
  }
  if (h) {
    return fmt::format("expected float value {} for {} but got histogram {}",
                       base::FormatG(expected.value), labels.ToString(), Describe(*h));
  }
  if (!AlmostEqual(expected.value, v)) {
    return fmt::format("expected {} for {} but got {}", base::FormatG(expected.value),
                       labels.ToString(), base::FormatG(v));
  }
  return {};
}

std::string CompareSeries(const EvalCommand& eval, const ExpectedSeries& expected,
                          const promql::MatrixSeries& got) {
  size_t f = 0;
  size_t h = 0;
  for (size_t i = 0; i < expected.values.size(); ++i) {
    const model::Timestamp t = eval.start + static_cast<int64_t>(i) * eval.step_ms;
    if (t > eval.end) {
      return fmt::format(
          "expected {} points for {}, but query time range cannot return this many points",
          expected.values.size(), expected.labels.ToString());
    }
    const promql::SequenceValue& v = expected.values[i];
    const bool is_float = f < got.floats.size() && got.floats[f].t == t;
    const bool is_histogram = h < got.histograms.size() && got.histograms[h].t == t;
    if (v.omitted && !v.histogram) {
      if (is_float || is_histogram) {
        return fmt::format("unexpected value for {} at t={}", expected.labels.ToString(), t);
      }
      continue;
    }
    if (!is_float && !is_histogram) {
      return fmt::format("expected a value for {} at t={}, but there is none",
                         expected.labels.ToString(), t);
    }
    std::string wrong = ComparePoint(v, expected.labels, is_float ? got.floats[f].v : 0,
                                     is_histogram ? got.histograms[h].h : nullptr);
    if (!wrong.empty()) return fmt::format("{} (t={})", wrong, t);
    is_float ? ++f : ++h;
  }
  if (f < got.floats.size() || h < got.histograms.size()) {
    const model::Timestamp t =
        f < got.floats.size() ? got.floats[f].t : got.histograms[h].t;
    return fmt::format("unexpected value for {} at t={}", expected.labels.ToString(), t);
  }
  return {};
}

std::string CompareKind(std::string_view kind, const std::vector<Expectation>& expected, bool any,
                        bool none, const std::vector<std::string>& got) {
  const std::string list = fmt::format("{}", fmt::join(got, "; "));
  if ((any || !expected.empty()) && got.empty()) {
    return fmt::format("expected {} annotations but none were found", kind);
  }
  if (none && !got.empty()) return fmt::format("unexpected {} annotations: {}", kind, list);
  for (const Expectation& e : expected) {
    if (!std::ranges::any_of(got, [&](const std::string& a) { return e.Matches(a); })) {
      return fmt::format("expected {} annotation matching {} but found: {}", kind, e.ToString(),
                         list);
    }
  }
  if (expected.empty()) return {};
  for (const std::string& a : got) {
    if (!std::ranges::any_of(expected, [&](const Expectation& e) { return e.Matches(a); })) {
      return fmt::format("unexpected {} annotation \"{}\"", kind, a);
    }
  }
  return {};
}

}  // namespace

bool AlmostEqual(double a, double b) {
  if (model::IsStale(a) || model::IsStale(b)) return model::IsStale(a) && model::IsStale(b);
  if (std::isnan(a) && std::isnan(b)) return true;
  if (a == b) return true;
  const double sum = std::fabs(a) + std::fabs(b);
  const double difference = std::fabs(a - b);
  constexpr double kSmallest = std::numeric_limits<double>::min();
  if (a == 0 || b == 0 || sum < kSmallest) return difference < kTolerance * kSmallest;
  return difference / std::min(sum, std::numeric_limits<double>::max()) < kTolerance;
}

std::string CompareVector(const EvalCommand& eval, const promql::Vector& got) {
  if (eval.scalar) return "expected scalar result, but got a vector";
  for (size_t i = 0; i < got.size(); ++i) {
    const promql::VectorSample& s = got[i];
    const ExpectedSeries* expected = Find(eval, s.labels);
    if (expected == nullptr) {
      return fmt::format("unexpected metric {} in result, has value {}", s.labels.ToString(),
                         s.h ? Describe(*s.h) : base::FormatG(s.v));
    }
    if (eval.ordered && expected->position != i + 1) {
      return fmt::format("expected metric {} at position {} but was at {}", s.labels.ToString(),
                         expected->position, i + 1);
    }
    if (expected->values.empty()) return "no value is given for " + s.labels.ToString();
    std::string wrong = ComparePoint(expected->values[0], s.labels, s.v, s.h);
    if (!wrong.empty()) return wrong;
  }
  return FindMissing(eval, got);
}

std::string CompareMatrix(const EvalCommand& eval, const promql::Matrix& got) {
  if (eval.ordered) return "expected ordered result, but query returned a matrix";
  if (eval.scalar) return "expected scalar result, but got matrix";
  for (size_t i = 0; i < got.size(); ++i) {
    if (i > 0 && got[i].labels < got[i - 1].labels) {
      return "matrix results should always be sorted by labels, but matrix is not sorted: " +
             got[i].labels.ToString();
    }
    const ExpectedSeries* expected = Find(eval, got[i].labels);
    if (expected == nullptr) {
      std::string values;
      for (const auto& p : got[i].floats) values += " " + base::FormatG(p.v);
      for (const auto& p : got[i].histograms) values += " " + Describe(*p.h);
      return fmt::format("unexpected metric {} in result, has{}", got[i].labels.ToString(), values);
    }
    std::string wrong = CompareSeries(eval, *expected, got[i]);
    if (!wrong.empty()) return wrong;
  }
  return FindMissing(eval, got);
}

std::string CompareValue(const EvalCommand& eval, const promql::Value& got) {
  if (const auto* v = std::get_if<promql::Vector>(&got)) return CompareVector(eval, *v);
  if (const auto* m = std::get_if<promql::Matrix>(&got)) return CompareMatrix(eval, *m);
  if (const auto* s = std::get_if<promql::String>(&got)) {
    if (eval.string.value_or("") == s->text) return {};
    return fmt::format("expected string \"{}\" but got \"{}\"", eval.string.value_or(""), s->text);
  }
  const double v = std::get<promql::Scalar>(got).v;
  if (!eval.scalar) {
    return fmt::format("expected vector or matrix result, but got scalar {}", base::FormatG(v));
  }
  if (AlmostEqual(*eval.scalar, v)) return {};
  return fmt::format("expected scalar {} but got {}", base::FormatG(*eval.scalar),
                     base::FormatG(v));
}

std::string CompareAnnotations(const EvalCommand& eval, const promql::QueryResult& got) {
  std::string wrong = CompareKind("warn", eval.warn, eval.any_warn, eval.no_warn, got.warnings);
  if (!wrong.empty()) return wrong;
  return CompareKind("info", eval.info, eval.any_info, eval.no_info, got.infos);
}

}  // namespace tocsin::promqltest
