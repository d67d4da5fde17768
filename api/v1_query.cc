// query, query_range, query_exemplars, format_query, parse_query.

#include <fmt/core.h>

#include "api/params.h"
#include "api/prometheus_impl.h"
#include "api/tree_json.h"
#include "api/value_json.h"
#include "base/number.h"
#include "promql/parse/printer.h"

namespace tocsin::api {
namespace {

// More annotations of a kind are only counted.
constexpr size_t kMaxAnnotations = 10;
constexpr int64_t kMaxPointsPerSeries = 11'000;

// The parameters that query and query_range share.
struct CommonParams {
  std::string_view query;
  size_t limit = 0;
  bool has_timeout = false;
  std::string_view stats;
  promql::QueryOptions options;
};

// Errors: an answer.
std::optional<Answer> ReadCommon(const net::Params& params, const QueryRun& run, CommonParams* out) {
  out->query = params.Get("query");
  out->options.cancelled = &run.cancelled;
  if (std::string_view text = params.Get("timeout"); !text.empty()) {
    auto timeout = ParseDurationParam(text);
    if (!timeout) return Answer::BadParam("timeout", timeout.error().message());
    out->options.timeout = *timeout - run.waited;
    out->has_timeout = true;
  }
  if (std::string_view text = params.Get("lookback_delta"); !text.empty()) {
    auto lookback = ParseDurationParam(text);
    if (!lookback) {
      return Answer::Error(ErrorType::kBadData, "error parsing lookback delta duration: " +
                                                    lookback.error().message());
    }
    out->options.lookback = std::max(*lookback, base::Duration::zero());
  }
  out->stats = params.Get("stats");
  return std::nullopt;
}

void WriteStats(const promql::QueryStats& stats, const QueryRun& run, JsonWriter* json) {
  double eval = base::ToSeconds(stats.eval_time);
  double prepare = base::ToSeconds(stats.prepare_time);
  double waited = base::ToSeconds(run.waited);
  json->BeginObject();
  json->Key("timings");
  json->BeginObject();
  json->Member("evalTotalTime", eval + prepare);
  json->Member("resultSortTime", 0.0);
  json->Member("queryPreparationTime", prepare);
  json->Member("innerEvalTime", eval);
  json->Member("execQueueTime", waited);
  json->Member("execTotalTime", eval + prepare + waited);
  json->EndObject();
  json->Key("samples");
  json->BeginObject();
  json->Member("totalQueryableSamples", stats.samples_read);
  json->Member("samplesRead", stats.samples_read);
  json->Member("peakSamples", stats.peak_samples);
  json->EndObject();
  json->EndObject();
}

Answer Show(base::Result<promql::QueryResult> result, const CommonParams& params,
            const QueryRun& run) {
  if (!result) return Answer::Error(result.error());
  promql::LimitAnnotations(kMaxAnnotations, &*result);
  Answer answer = Answer::Data();
  JsonWriter json = answer.json();
  json.BeginObject();
  json.Member("resultType", promql::ValueTypeCode(result->type()));
  json.Key("result");
  bool truncated = WriteValue(result->value, params.limit, &json);
  if (!params.stats.empty()) {
    json.Key("stats");
    WriteStats(result->stats, run, &json);
  }
  json.EndObject();
  answer.SetAnnotations(std::move(result->warnings), std::move(result->infos));
  if (truncated) answer.AddWarning("results truncated due to limit");
  if (!params.stats.empty() && params.stats != "true" && params.stats != "all") {
    answer.AddWarning(fmt::format(
        "value {} for parameter \"stats\" is deprecated and will be rejected in the next major "
        "release, use \"true\" or \"all\"",
        base::Quote(params.stats)));
  }
  return answer;
}

// Plans the query and runs it with `evaluate`.
template <class Evaluate>
Answer Run(const QueryRun& run, const CommonParams& params, Evaluate evaluate) {
  auto prepared = run.call.engine->Prepare(params.query);
  if (!prepared) {
    if (prepared.error().code() != base::Code::kInvalidArgument) {
      return Answer::Error(prepared.error());
    }
    return Answer::BadParam("query", prepared.error().message());
  }
  if (params.has_timeout && params.options.timeout <= base::Duration::zero()) {
    return Answer::Error(ErrorType::kTimeout, "query timed out in expression evaluation");
  }
  if (run.cancelled) {
    return Answer::Error(ErrorType::kCanceled, "query was canceled in expression evaluation");
  }
  auto result = evaluate(*prepared);
  if (!result && result.error().code() == base::Code::kInvalidArgument) {
    return Answer::BadParam("query", result.error().message());
  }
  return Show(std::move(result), params, run);
}

}  // namespace

Answer InstantQuery(const QueryRun& run) {
  auto form = run.call.request->Form();
  if (!form) return Answer::Error(ErrorType::kBadData, form.error().message());
  CommonParams params;
  auto limit = ParseLimit(form->Get("limit"));
  if (!limit) return Answer::BadParam("limit", limit.error().message());
  params.limit = *limit;
  model::Timestamp at = base::ToUnixMillis(run.call.now);
  if (std::string_view text = form->Get("time"); !text.empty()) {
    auto time = ParseTime(text);
    if (!time) {
      return Answer::BadParam("time", "invalid time value for 'time': " + time.error().message());
    }
    at = *time;
  }
  if (auto error = ReadCommon(*form, run, &params)) return *std::move(error);
  return Run(run, params, [&](const promql::PreparedQuery& query) {
    return query.Run(run.call.queryable, at, params.options);
  });
}

Answer RangeQuery(const QueryRun& run) {
  auto form = run.call.request->Form();
  if (!form) return Answer::Error(ErrorType::kBadData, form.error().message());
  CommonParams params;
  auto limit = ParseLimit(form->Get("limit"));
  if (!limit) return Answer::BadParam("limit", limit.error().message());
  params.limit = *limit;
  auto start = ParseTime(form->Get("start"));
  if (!start) return Answer::BadParam("start", start.error().message());
  auto end = ParseTime(form->Get("end"));
  if (!end) return Answer::BadParam("end", end.error().message());
  if (*end < *start) {
    return Answer::BadParam("end", "end timestamp must not be before start time");
  }
  auto step = ParseDurationParam(form->Get("step"));
  if (!step) return Answer::BadParam("step", step.error().message());
  if (*step <= base::Duration::zero()) {
    return Answer::BadParam("step",
                            "zero or negative query resolution step widths are not accepted. Try a "
                            "positive integer");
  }
  // In 128 bits: milliseconds of any two times are farther apart than 64 bits of nanoseconds hold.
  __int128 points = (static_cast<__int128>(*end) - *start) * 1'000'000 / step->count();
  if (points > kMaxPointsPerSeries) {
    return Answer::Error(ErrorType::kBadData,
                         "exceeded maximum resolution of 11,000 points per timeseries. Try "
                         "decreasing the query resolution (?step=XX)");
  }
  if (auto error = ReadCommon(*form, run, &params)) return *std::move(error);
  return Run(run, params, [&](const promql::PreparedQuery& query) {
    // Steps are whole milliseconds.
    base::Duration ms_step = std::max<base::Duration>(
        std::chrono::duration_cast<std::chrono::milliseconds>(*step), std::chrono::milliseconds(1));
    return query.RunRange(run.call.queryable, {.start = *start, .end = *end, .step = ms_step},
                          params.options);
  });
}

namespace {

// The matchers of all selectors of the tree.
void CollectSelectors(const promql::Expr& e, std::vector<model::Matchers>* out) {
  if (e.kind == promql::ExprKind::kVectorSelector) {
    out->push_back(promql::As<promql::VectorSelector>(e).matchers);
  }
  for (const promql::Expr* child : promql::Children(e)) CollectSelectors(*child, out);
}

}  // namespace

Answer QueryExemplars(const Call& call) {
  auto form = call.request->Form();
  if (!form) return Answer::Error(ErrorType::kBadData, form.error().message());
  auto range = ParseTimeRange(*form);
  if (!range) return Answer::Error(ErrorType::kBadData, range.error().message());
  if (range->end < range->start) {
    return Answer::Error(ErrorType::kBadData, "end timestamp must not be before start timestamp");
  }
  auto tree = promql::Parse(form->Get("query"), call.engine->options().parse);
  if (!tree) return Answer::Error(ErrorType::kBadData, tree.error().message());
  std::vector<model::Matchers> selectors;
  CollectSelectors(**tree, &selectors);
  if (selectors.empty()) return Answer::Nothing();
  auto series = call.queryable->SelectExemplars(range->window(), selectors);
  if (!series) return Answer::Error(series.error());
  Answer answer = Answer::Data();
  JsonWriter json = answer.json();
  json.BeginArray();
  for (const storage::ExemplarSeries& s : *series) {
    json.BeginObject();
    json.Member("seriesLabels", s.labels.view());
    json.Key("exemplars");
    json.BeginArray();
    for (const model::Exemplar& e : s.exemplars) WriteExemplar(e, &json);
    json.EndArray();
    json.EndObject();
  }
  json.EndArray();
  return answer;
}

Answer FormatQuery(const Call& call) {
  auto form = call.request->Form();
  if (!form) return Answer::Error(ErrorType::kBadData, form.error().message());
  auto tree = promql::Parse(form->Get("query"), call.engine->options().parse);
  if (!tree) return Answer::BadParam("query", tree.error().message());
  Answer answer = Answer::Data();
  answer.json().String(promql::Prettify(**tree));
  return answer;
}

Answer ParseQuery(const Call& call) {
  auto form = call.request->Form();
  if (!form) return Answer::Error(ErrorType::kBadData, form.error().message());
  auto tree = promql::Parse(form->Get("query"), call.engine->options().parse);
  if (!tree) return Answer::BadParam("query", tree.error().message());
  Answer answer = Answer::Data();
  JsonWriter json = answer.json();
  WriteTree(**tree, &json);
  return answer;
}

}  // namespace tocsin::api
