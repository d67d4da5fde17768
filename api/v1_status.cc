// status/*, features, notifications and the admin endpoints.

#include <limits>
#include <thread>

#include <fmt/core.h>

#include "api/params.h"
#include "api/prometheus_impl.h"
#include "base/number.h"
#include "base/version.h"
#include "promql/parse/functions.h"

namespace tocsin::api {
namespace {

void WriteRows(std::string_view name, const std::vector<tsdb::HeadStats::Row>& rows,
               JsonWriter* json) {
  json->Key(name);
  json->BeginArray();
  for (const tsdb::HeadStats::Row& row : rows) {
    json->BeginObject();
    json->Member("name", row.name);
    json->Member("value", row.value);
    json->EndObject();
  }
  json->EndArray();
}

void WriteFeatures(const Features& features, JsonWriter* json) {
  json->BeginObject();
  for (const auto& [area, list] : features) {
    json->Key(area);
    json->BeginObject();
    for (const auto& [name, on] : list) json->Member(name, on);
    json->EndObject();
  }
  json->EndObject();
}

// What the language has with these options.
void AddLanguage(const promql::EngineOptions& options, Features* features) {
  const promql::ParseOptions& parse = options.parse;
  auto& language = (*features)["promql"];
  for (const char* name : {"at_modifier", "bool", "by", "group_left", "group_right", "ignoring",
                           "negative_offset", "offset", "on", "per_query_lookback_delta",
                           "subqueries", "without"}) {
    language[name] = true;
  }
  language["anchored"] = language["smoothed"] = parse.extended_range_selectors;
  language["fill"] = language["fill_left"] = language["fill_right"] = parse.binop_fill_modifiers;
  language["duration_expr"] = parse.duration_expressions;
  language["delayed_name_removal"] = options.delayed_name_removal;
  language["type_and_unit_labels"] = options.type_and_unit_labels;
  language["per_step_stats"] = options.per_step_stats;
  for (const promql::FunctionSpec& f : promql::AllFunctions()) {
    (*features)["promql_functions"][std::string(f.name)] =
        !f.experimental || parse.experimental_functions;
  }
  auto& operators = (*features)["promql_operators"];
  for (int i = 0; i <= static_cast<int>(promql::BinaryOp::kTrimLower); ++i) {
    operators[std::string(promql::BinaryOpText(static_cast<promql::BinaryOp>(i)))] = true;
  }
  for (const char* op : {"=~", "!~", "@"}) operators[op] = true;
  for (int i = 0; i <= static_cast<int>(promql::AggregateOp::kLimitRatio); ++i) {
    auto op = static_cast<promql::AggregateOp>(i);
    bool experimental =
        op == promql::AggregateOp::kLimitk || op == promql::AggregateOp::kLimitRatio;
    operators[std::string(promql::AggregateOpName(op))] =
        !experimental || parse.experimental_functions;
  }
}

}  // namespace

Answer TsdbStatus(const Call& call) {
  constexpr int64_t kMaxLimit = 10'000;
  int64_t limit = 10;
  if (std::string_view text = call.request->query.Get("limit"); !text.empty()) {
    auto count = ParseInt(text);
    if (!count || *count < 1) {
      return Answer::Error(ErrorType::kBadData, "limit must be a positive number");
    }
    if (*count > kMaxLimit) {
      return Answer::Error(ErrorType::kBadData, fmt::format("limit must not exceed {}", kMaxLimit));
    }
    limit = *count;
  }
  if (!call.tsdb.stats) return Answer::Error(ErrorType::kUnavailable, "there is no local storage");
  tsdb::HeadStats stats = call.tsdb.stats(static_cast<size_t>(limit));
  Answer answer = Answer::Data();
  JsonWriter json = answer.json();
  json.BeginObject();
  json.Key("headStats");
  json.BeginObject();
  json.Member("numSeries", stats.series);
  json.Member("numLabelPairs", stats.label_pairs);
  json.Member("chunkCount", stats.chunks);
  json.Member("minTime", stats.min_time);
  json.Member("maxTime", stats.max_time);
  json.EndObject();
  WriteRows("seriesCountByMetricName", stats.series_by_metric_name, &json);
  WriteRows("labelValueCountByLabelName", stats.values_by_label_name, &json);
  WriteRows("memoryInBytesByLabelName", stats.memory_by_label_name, &json);
  WriteRows("seriesCountByLabelValuePair", stats.series_by_label_pair, &json);
  json.EndObject();
  return answer;
}

Answer TsdbBlocks(const Call& call) {
  if (!call.tsdb.blocks) return Answer::Error(ErrorType::kUnavailable, "there is no local storage");
  Answer answer = Answer::Data();
  JsonWriter json = answer.json();
  json.BeginObject();
  json.Key("blocks");
  json.BeginArray();
  for (const tsdb::BlockInfo& block : call.tsdb.blocks()) {
    json.BeginObject();
    json.Member("ulid", block.ulid);
    json.Member("minTime", block.min_time);
    json.Member("maxTime", block.max_time);
    json.Key("stats");
    json.BeginObject();
    json.Member("numSamples", block.samples);
    json.Member("numSeries", block.series);
    json.Member("numChunks", block.chunks);
    if (block.tombstones > 0) json.Member("numTombstones", block.tombstones);
    json.EndObject();
    json.Key("compaction");
    json.BeginObject();
    json.Member("level", block.level);
    json.MemberList("sources", block.sources);
    json.EndObject();
    json.Member("version", 1);
    json.EndObject();
  }
  json.EndArray();
  json.EndObject();
  return answer;
}

Answer DeleteSeries(const Call& call) {
  auto form = call.request->Form();
  if (!form) {
    return Answer::Error(ErrorType::kBadData,
                         "error parsing form values: " + form.error().message());
  }
  if (!form->Has("match[]")) {
    return Answer::Error(ErrorType::kBadData, "no match[] parameter provided");
  }
  auto range = ParseTimeRange(*form);
  if (!range) return Answer::Error(ErrorType::kBadData, range.error().message());
  std::vector<model::Matchers> sets;
  for (const std::string& text : form->All("match[]")) {
    auto matchers = promql::ParseMetricSelector(text);
    if (!matchers) return Answer::BadParam("match[]", matchers.error().message());
    sets.push_back(*std::move(matchers));
  }
  if (auto status = call.tsdb.delete_series(range->start, range->end, sets); !status) {
    return Answer::Error(ErrorType::kInternal, status.error().message());
  }
  return Answer::Nothing();
}

Answer CleanTombstones(const Call& call) {
  if (auto status = call.tsdb.clean_tombstones(); !status) {
    return Answer::Error(ErrorType::kInternal, status.error().message());
  }
  return Answer::Nothing();
}

Answer TakeSnapshot(const Call& call) {
  auto form = call.request->Form();
  if (!form) return Answer::Error(ErrorType::kBadData, form.error().message());
  auto head = tsdb::Db::SnapshotHead::kInclude;
  if (std::string_view text = form->Get("skip_head"); !text.empty()) {
    std::optional<bool> skip = ParseBool(text);
    if (!skip) {
      return Answer::BadParam(
          "skip_head", fmt::format("unable to parse boolean: strconv.ParseBool: parsing {}: invalid "
                                   "syntax",
                                   base::Quote(text)));
    }
    if (*skip) head = tsdb::Db::SnapshotHead::kSkip;
  }
  auto name = call.tsdb.snapshot(head);
  if (!name) {
    return Answer::Error(ErrorType::kInternal, "create snapshot: " + name.error().message());
  }
  Answer answer = Answer::Data();
  JsonWriter json = answer.json();
  json.BeginObject();
  json.Member("name", *name);
  json.EndObject();
  return answer;
}

Answer ShowConfig(const Backend& backend) {
  Answer answer = Answer::Data();
  JsonWriter json = answer.json();
  json.BeginObject();
  json.Member("yaml", backend.config_yaml ? backend.config_yaml() : std::string());
  json.EndObject();
  return answer;
}

Answer ShowFlags(const Backend& backend) {
  Answer answer = Answer::Data();
  JsonWriter json = answer.json();
  json.BeginObject();
  if (backend.flags) {
    for (const auto& [name, value] : backend.flags()) json.Member(name, value);
  }
  json.EndObject();
  return answer;
}

Answer ShowRuntimeInfo(const Backend& backend, const Call& call) {
  RuntimeInfo info = backend.runtime_info ? backend.runtime_info() : RuntimeInfo();
  Answer answer = Answer::Data();
  JsonWriter json = answer.json();
  json.BeginObject();
  json.Key("startTime");
  json.Time(info.start_time);
  json.Member("CWD", info.working_directory);
  json.Member("hostname", info.host);
  json.Key("serverTime");
  json.Time(call.now);
  json.Member("reloadConfigSuccess", info.reload_ok);
  json.Key("lastConfigTime");
  json.Time(info.last_config_time);
  json.Member("corruptionCount", info.wal_corruptions);
  // Of Go's runtime; what has no equal here is as where it is off.
  json.Member("goroutineCount", info.threads);
  json.Member("GOMAXPROCS", static_cast<int>(std::thread::hardware_concurrency()));
  json.Member("GOMEMLIMIT", std::numeric_limits<int64_t>::max());
  json.Member("GOGC", "");
  json.Member("GODEBUG", "");
  json.Member("storageRetention", info.retention);
  json.EndObject();
  return answer;
}

void WriteBuildInfo(JsonWriter* json) {
  json->BeginObject();
  json->Member("version", base::kPrometheusVersion);
  json->Member("revision", fmt::format("tocsin {}", base::kVersion));
  json->Member("branch", "");
  json->Member("buildUser", "");
  json->Member("buildDate", "");
  json->Member("goVersion", "");
  json->Member("tocsin", base::kVersion);
  json->EndObject();
}

Answer ShowBuildInfo() {
  Answer answer = Answer::Data();
  JsonWriter json = answer.json();
  WriteBuildInfo(&json);
  return answer;
}

Answer ShowFeatures(const Backend& backend, const PrometheusApiOptions& options) {
  Features features;
  if (backend.features) features = backend.features();
  auto& api = features["api"];
  for (const char* name : {"exclude_alerts", "label_values_match", "query_stats", "query_warnings",
                           "time_range_labels", "time_range_series"}) {
    api[name] = true;
  }
  for (const char* name : {"openapi_3.1", "openapi_3.2", "otlp_write_receiver", "search",
                           "search_fuzz_alg_jarowinkler", "search_fuzz_alg_subsequence"}) {
    api.emplace(name, false);
  }
  api["admin"] = options.enable_admin_api;
  api["lifecycle"] = options.enable_lifecycle;
  api["remote_write_receiver"] = options.remote_write_receiver;
  AddLanguage(backend.engine->options(), &features);
  Answer answer = Answer::Data();
  JsonWriter json = answer.json();
  WriteFeatures(features, &json);
  return answer;
}

Answer ShowWalReplay(const Backend& backend) {
  Answer answer = Answer::Data();
  JsonWriter json = answer.json();
  const tsdb::WalReplayProgress* progress = backend.progress == nullptr ? nullptr : &backend.progress->replay;
  json.BeginObject();
  json.Member("min", progress != nullptr ? progress->min.load() : 0);
  json.Member("max", progress != nullptr ? progress->max.load() : 0);
  json.Member("current", progress != nullptr ? progress->current.load() : 0);
  json.EndObject();
  return answer;
}

// Ours: {} while no block is made.
Answer ShowCompaction(const Backend& backend) {
  using Source = tsdb::CompactionProgress::Source;
  Answer answer = Answer::Data();
  JsonWriter json = answer.json();
  json.BeginObject();
  const Source source = backend.progress == nullptr ? Source::kNone : backend.progress->compaction.source.load();
  if (source != Source::kNone) {
    const tsdb::CompactionProgress& progress = backend.progress->compaction;
    json.Member("source", source == Source::kHead ? "head" : "blocks");
    json.Member("minTime", progress.min_time.load());
    json.Member("maxTime", progress.max_time.load());
    json.Member("series", progress.series.load());
    json.Member("ofSeries", progress.of_series.load());
  }
  json.EndObject();
  return answer;
}

Answer ShowNotifications(const Backend& backend) {
  Answer answer = Answer::Data();
  JsonWriter json = answer.json();
  json.BeginArray();
  if (backend.notifications != nullptr) {
    for (const Notification& n : backend.notifications->all()) WriteNotification(n, &json);
  }
  json.EndArray();
  return answer;
}

// 204 tells an EventSource not to ask again.
net::HttpResponse StreamNotifications(const Backend& backend) {
  net::HttpResponse response;
  response.headers.Set("Content-Type", "text/event-stream");
  response.headers.Set("Cache-Control", "no-cache");
  std::optional<net::BodySource> events;
  if (backend.notifications != nullptr) events = backend.notifications->Subscribe();
  if (!events) {
    response.status = 204;
    return response;
  }
  response.stream = std::move(*events);
  response.compress = false;
  return response;
}

}  // namespace tocsin::api
