// query, query_range, query_exemplars, format_query, parse_query.

#include <fmt/core.h>

#include <algorithm>

#include "api/params.h"
#include "api/prometheus_impl.h"
#include "api/tree_json.h"
#include "api/value_json.h"
#include "base/duration.h"
#include "base/number.h"
#include "net/address.h"
#include "promql/parse/printer.h"
#include "promql/plan/explain.h"

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
  out->options.count_samples = !out->stats.empty() || (run.log != nullptr && run.log->enabled());
  out->options.per_step_stats = out->stats == "all";
  return std::nullopt;
}

void WriteSteps(std::string_view name, const promql::SamplesOfSteps& steps, const std::vector<int64_t>& counts,
                JsonWriter* json) {
  json->Key(name);
  json->BeginArray();
  for (size_t i = 0; i < counts.size(); ++i) {
    json->BeginArray();
    json->SampleTime(steps.start + static_cast<int64_t>(i) * steps.step_ms);
    json->Int(counts[i]);
    json->EndArray();
  }
  json->EndArray();
}

void WriteStats(const promql::QueryStats& stats, base::Duration in_line, JsonWriter* json) {
  double eval = base::ToSeconds(stats.eval_time);
  double prepare = base::ToSeconds(stats.prepare_time);
  double waited = base::ToSeconds(in_line);
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
  if (stats.steps) WriteSteps("totalQueryableSamplesPerStep", *stats.steps, stats.steps->looked_at, json);
  json->Member("totalQueryableSamples", stats.samples_looked_at);
  if (stats.steps) WriteSteps("samplesReadPerStep", *stats.steps, stats.steps->read, json);
  json->Member("samplesRead", stats.samples_read);
  json->Member("peakSamples", stats.peak_samples);
  json->EndObject();
  json->EndObject();
}

Answer Show(promql::QueryResult result, const CommonParams& params, const QueryRun& run) {
  promql::LimitAnnotations(kMaxAnnotations, &result);
  Answer answer = Answer::Data();
  JsonWriter json = answer.json();
  json.BeginObject();
  json.Member("resultType", promql::ValueTypeCode(result.type()));
  json.Key("result");
  bool truncated = WriteValue(result.value, params.limit, &json, &run.cancelled);
  if (!params.stats.empty()) {
    json.Key("stats");
    WriteStats(result.stats, run.waited, &json);
  }
  json.EndObject();
  answer.SetAnnotations(std::move(result.warnings), std::move(result.infos));
  if (truncated) answer.AddWarning("results truncated due to limit");
  if (!params.stats.empty() && params.stats != "true" && params.stats != "all") {
    answer.AddWarning(fmt::format(
        "value {} for parameter \"stats\" is deprecated and will be rejected in the next major "
        "release, use \"true\" or \"all\"",
        base::Quote(params.stats)));
  }
  return answer;
}

// When a query looks at its data.
struct QueryTimes {
  bool instant = true;
  model::Timestamp start = 0;
  model::Timestamp end = 0;
  base::Duration step{0};
};

// Errors: an answer.
std::optional<Answer> ReadInstant(const net::Params& form, const QueryRun& run, QueryTimes* out) {
  out->start = base::ToUnixMillis(run.call.now);
  if (std::string_view text = form.Get("time"); !text.empty()) {
    auto time = ParseTime(text);
    if (!time) {
      return Answer::BadParam("time", "invalid time value for 'time': " + time.error().message());
    }
    out->start = *time;
  }
  out->end = out->start;
  return std::nullopt;
}

std::optional<Answer> ReadRange(const net::Params& form, QueryTimes* out) {
  auto start = ParseTime(form.Get("start"));
  if (!start) return Answer::BadParam("start", start.error().message());
  auto end = ParseTime(form.Get("end"));
  if (!end) return Answer::BadParam("end", end.error().message());
  if (*end < *start) {
    return Answer::BadParam("end", "end timestamp must not be before start time");
  }
  auto step = ParseDurationParam(form.Get("step"));
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
  // Steps are whole milliseconds.
  *out = {.instant = false,
          .start = *start,
          .end = *end,
          .step = std::max<base::Duration>(
              std::chrono::duration_cast<std::chrono::milliseconds>(*step),
              std::chrono::milliseconds(1))};
  return std::nullopt;
}

// Times that the clock's type does not hold are shown as the farthest it does.
std::string DateText(model::Timestamp ms) {
  constexpr int64_t kFarthest = INT64_MAX / 1'000'000;
  return base::FormatRfc3339Millis(base::FromUnixMillis(std::clamp(ms, -kFarthest, kFarthest)));
}

// What a line of the query log begins with, as Prometheus writes it.
void BeginLogLine(base::Time now, std::string_view query, const QueryTimes& times, JsonWriter* json) {
  json->BeginObject();
  json->Key("time");
  json->Time(now);
  json->Member("level", "INFO");
  json->Member("msg", "promql query logged");
  json->Key("params");
  json->BeginObject();
  json->Member("end", DateText(times.end));
  json->Member("query", query);
  json->Member("start", DateText(times.start));
  json->Member("step", std::chrono::duration_cast<std::chrono::seconds>(times.step).count());
  json->EndObject();
}

std::string LogLine(const QueryRun& run, const CommonParams& params, const QueryTimes& times,
                    const base::Result<promql::QueryResult>& result) {
  const net::HttpRequest& request = *run.call.request;
  std::string line;
  JsonWriter json(&line);
  BeginLogLine(run.call.executor->Now(), params.query, times, &json);
  if (result) {
    json.Key("stats");
    WriteStats(result->stats, run.waited, &json);
  } else {
    json.Member("error", result.error().message());
  }
  json.Key("httpRequest");
  json.BeginObject();
  const auto client = net::SplitHostPort(request.remote_address);
  json.Member("clientIP", client ? client->host : request.remote_address);
  json.Member("method", request.method);
  json.Member("path", request.path);
  json.EndObject();
  json.EndObject();
  return line;
}

// Plans the query and runs it.
base::Result<promql::QueryResult> Evaluate(const QueryRun& run, const CommonParams& params,
                                           const QueryTimes& times,
                                           const promql::PreparedQuery& query) {
  if (params.has_timeout && params.options.timeout <= base::Duration::zero()) {
    return base::DeadlineExceeded("query timed out in expression evaluation");
  }
  if (run.cancelled) return base::Cancelled("query was canceled in expression evaluation");
  if (times.instant) return query.Run(run.call.queryable, times.start, params.options);
  return query.RunRange(run.call.queryable,
                        {.start = times.start, .end = times.end, .step = times.step},
                        params.options);
}

Answer QueryFailed(const base::Error& error) {
  if (error.code() == base::Code::kInvalidArgument) return Answer::BadParam("query", error.message());
  return Answer::Error(error);
}

// Plans the query, runs it, and shows it with `show`.
template <class ShowResult>
Answer Run(const QueryRun& run, const CommonParams& params, const QueryTimes& times,
           ShowResult show) {
  const ActiveQueries::Entry entry =
      run.active ? run.active->Enter(params.query, run.call.now) : ActiveQueries::Entry();
  const base::Duration begin = run.call.executor->Monotonic();
  auto prepared = run.call.engine->Prepare(params.query);
  run.prepared = run.call.executor->Monotonic() - begin;
  if (!prepared) return QueryFailed(prepared.error());
  base::Result<promql::QueryResult> result = Evaluate(run, params, times, *prepared);
  run.evaluated = run.call.executor->Monotonic() - begin - run.prepared;
  if (result) {
    result->stats.prepare_time = run.prepared;
    run.samples_looked_at = result->stats.samples_looked_at;
    run.samples_read = result->stats.samples_read;
  }
  if (run.log != nullptr && run.log->enabled()) {
    run.log->Append(LogLine(run, params, times, result));
  }
  if (!result) return QueryFailed(result.error());
  return show(*std::move(result));
}

void WriteExplained(const promql::plan::Explained& node, JsonWriter* json) {
  json->BeginObject();
  json->Member("kind", node.kind);
  json->Member("operation", node.operation);
  const auto place = [json](std::string_view name, const promql::ByteRange& pos) {
    json->Key(name);
    json->BeginObject();
    json->Member("start", pos.start);
    json->Member("end", pos.end);
    json->EndObject();
  };
  place("position", node.pos);
  if (node.shared_with) place("sharedWith", *node.shared_with);
  if (node.cost) {
    json->Member("series", node.cost->series);
    json->Member("samples", node.cost->samples);
    json->Member("seconds", base::ToSeconds(node.cost->time));
  }
  json->Key("inputs");
  json->BeginArray();
  for (const promql::plan::Explained& input : node.inputs) WriteExplained(input, json);
  json->EndArray();
  json->EndObject();
}

// With the members that `more` adds.
template <class More>
Answer ShowPlan(const promql::plan::Explained& plan, More more) {
  Answer answer = Answer::Data();
  JsonWriter json = answer.json();
  json.BeginObject();
  json.Member("text", promql::plan::ToText(plan));
  json.Key("plan");
  WriteExplained(plan, &json);
  more(&json);
  json.EndObject();
  return answer;
}

}  // namespace

std::string RuleQueryLine(const ruler::RuleQuery& query, base::Time now) {
  std::string line;
  JsonWriter json(&line);
  BeginLogLine(now, query.text, {.start = query.at, .end = query.at}, &json);
  if (query.error.empty()) {
    promql::QueryStats stats;
    stats.samples_looked_at = stats.samples_read = query.samples_read;
    stats.peak_samples = query.peak_samples;
    stats.eval_time = query.took;
    json.Key("stats");
    WriteStats(stats, base::Duration(0), &json);
  } else {
    json.Member("error", query.error);
  }
  json.Key("ruleGroup");
  json.BeginObject();
  json.Member("file", query.file);
  json.Member("name", query.group);
  json.EndObject();
  json.EndObject();
  return line;
}

Answer InstantQuery(const QueryRun& run) {
  auto form = run.call.request->Form();
  if (!form) return Answer::Error(ErrorType::kBadData, form.error().message());
  CommonParams params;
  auto limit = ParseLimit(form->Get("limit"));
  if (!limit) return Answer::BadParam("limit", limit.error().message());
  params.limit = *limit;
  QueryTimes times;
  if (auto error = ReadInstant(*form, run, &times)) return *std::move(error);
  if (auto error = ReadCommon(*form, run, &params)) return *std::move(error);
  return Run(run, params, times, [&](promql::QueryResult result) {
    return Show(std::move(result), params, run);
  });
}

Answer RangeQuery(const QueryRun& run) {
  auto form = run.call.request->Form();
  if (!form) return Answer::Error(ErrorType::kBadData, form.error().message());
  CommonParams params;
  auto limit = ParseLimit(form->Get("limit"));
  if (!limit) return Answer::BadParam("limit", limit.error().message());
  params.limit = *limit;
  QueryTimes times;
  if (auto error = ReadRange(*form, &times)) return *std::move(error);
  if (auto error = ReadCommon(*form, run, &params)) return *std::move(error);
  return Run(run, params, times, [&](promql::QueryResult result) {
    return Show(std::move(result), params, run);
  });
}

// The plan, with what its nodes cost in a run: over a range where step is given, else at one time; with
// run=false the plan alone.
Answer ExplainQuery(const QueryRun& run) {
  auto form = run.call.request->Form();
  if (!form) return Answer::Error(ErrorType::kBadData, form.error().message());
  CommonParams params;
  QueryTimes times;
  auto error = form->Has("step") ? ReadRange(*form, &times) : ReadInstant(*form, run, &times);
  if (error) return *std::move(error);
  if (auto common = ReadCommon(*form, run, &params)) return *std::move(common);
  if (form->Get("run") == "false") {
    auto prepared = run.call.engine->Prepare(params.query);
    if (!prepared) return QueryFailed(prepared.error());
    return ShowPlan(prepared->Explain(), [](JsonWriter*) {});
  }
  params.options.explain = true;
  return Run(run, params, times, [&](promql::QueryResult result) {
    promql::LimitAnnotations(kMaxAnnotations, &result);
    Answer answer = ShowPlan(*result.explained, [&](JsonWriter* json) {
      json->Key("stats");
      WriteStats(result.stats, run.waited, json);
    });
    answer.SetAnnotations(std::move(result.warnings), std::move(result.infos));
    return answer;
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
