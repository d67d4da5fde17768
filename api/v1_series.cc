// series, labels, label values: what there is in the storage.

#include <fmt/core.h>

#include <algorithm>

#include "api/params.h"
#include "api/prometheus_impl.h"
#include "base/number.h"
#include "base/text.h"

namespace tocsin::api {
namespace {

constexpr std::string_view kTruncated = "results truncated due to limit";

// One more than asked for, to see whether something is left out.
size_t HintLimit(size_t limit) { return limit == 0 ? 0 : limit + 1; }

struct ListParams {
  size_t limit = 0;
  TimeRange range;
  std::vector<model::Matchers> sets;
};

// Errors: an answer.  `match_error_names_param`: series says invalid parameter "match[]".
std::optional<Answer> Read(const net::Params& params, bool match_error_names_param,
                           ListParams* out) {
  auto limit = ParseLimit(params.Get("limit"));
  if (!limit) return Answer::BadParam("limit", limit.error().message());
  out->limit = *limit;
  auto range = ParseTimeRange(params);
  if (!range) return Answer::Error(ErrorType::kBadData, range.error().message());
  out->range = *range;
  auto sets = ParseMatcherSets(params.All("match[]"));
  if (!sets) {
    if (match_error_names_param) return Answer::BadParam("match[]", sets.error().message());
    return Answer::Error(ErrorType::kBadData, sets.error().message());
  }
  out->sets = *std::move(sets);
  return std::nullopt;
}

// The union of what `list` gives for each set of matchers (all when there is none), sorted.
template <class List>
base::Result<std::vector<std::string>> Union(const std::vector<model::Matchers>& sets, List list) {
  if (sets.empty()) return list(std::span<const model::Matcher>());
  std::vector<std::string> all;
  for (const model::Matchers& set : sets) {
    ASSIGN_OR_RETURN(std::vector<std::string> part, list(std::span<const model::Matcher>(set)));
    all.insert(all.end(), std::make_move_iterator(part.begin()), std::make_move_iterator(part.end()));
  }
  std::ranges::sort(all);
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

Answer ShowStrings(base::Result<std::vector<std::string>> strings, size_t limit) {
  if (!strings) return Answer::Error(strings.error());
  Answer answer = Answer::Data();
  bool truncated = limit > 0 && strings->size() > limit;
  if (truncated) strings->resize(limit);
  JsonWriter json = answer.json();
  json.BeginArray();
  for (const std::string& s : *strings) json.String(s);
  json.EndArray();
  if (truncated) answer.AddWarning(std::string(kTruncated));
  return answer;
}

// The name that U__ stands for: _xx_ is the rune with that number, __ is _.  As it is when malformed.
std::string UnescapeName(std::string_view escaped) {
  std::string_view rest = escaped.substr(3);
  std::string name;
  while (!rest.empty()) {
    if (rest.front() != '_') {
      name += rest.front();
      rest.remove_prefix(1);
      continue;
    }
    if (rest.size() > 1 && rest[1] == '_') {
      name += '_';
      rest.remove_prefix(2);
      continue;
    }
    uint32_t rune = 0;
    size_t i = 1;
    for (; i < rest.size() && i <= 6 && rest[i] != '_'; ++i) {
      char c = rest[i];
      int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10
                  : c >= 'A' && c <= 'F'                               ? c - 'A' + 10
                                                                       : -1;
      if (digit < 0) return std::string(escaped);
      rune = rune * 16 + static_cast<uint32_t>(digit);
    }
    bool valid = i > 1 && i < rest.size() && rest[i] == '_' && rune <= 0x10FFFF &&
                 (rune < 0xD800 || rune > 0xDFFF);
    if (!valid) return std::string(escaped);
    base::AppendUtf8(rune, &name);
    rest.remove_prefix(i + 1);
  }
  return name;
}

}  // namespace

Answer ListSeries(const Call& call) {
  auto form = call.request->Form();
  if (!form) {
    return Answer::Error(ErrorType::kBadData,
                         "error parsing form values: " + form.error().message());
  }
  if (!form->Has("match[]")) {
    return Answer::Error(ErrorType::kBadData, "no match[] parameter provided");
  }
  ListParams params;
  if (auto error = Read(*form, true, &params)) return *std::move(error);
  storage::Window window = params.range.window();
  auto querier = call.queryable->NewQuerier(window);
  const bool several = params.sets.size() > 1;
  // The first set goes to the answer as it comes; more have to be merged.
  std::vector<std::unique_ptr<storage::SeriesSet>> found;
  std::vector<model::LabelsView> labels;
  for (const model::Matchers& matchers : params.sets) {
    auto set = querier->Select(
        {.window = window, .limit = HintLimit(params.limit), .sorted = several}, matchers);
    if (!set) return Answer::Error(set.error());
    for (size_t i = 0; i < (*set)->size(); ++i) labels.push_back((*set)->labels(i));
    found.push_back(*std::move(set));
  }
  if (several) {
    std::ranges::sort(labels, [](auto a, auto b) { return a < b; });
    labels.erase(std::unique(labels.begin(), labels.end()), labels.end());
  }
  bool truncated = params.limit > 0 && labels.size() > params.limit;
  if (truncated) labels.resize(params.limit);
  Answer answer = Answer::Data();
  JsonWriter json = answer.json();
  json.BeginArray();
  for (model::LabelsView l : labels) json.Labels(l);
  json.EndArray();
  if (truncated) answer.AddWarning(std::string(kTruncated));
  return answer;
}

Answer LabelNames(const Call& call) {
  auto form = call.request->Form();
  if (!form) return Answer::Error(ErrorType::kBadData, form.error().message());
  ListParams params;
  if (auto error = Read(*form, false, &params)) return *std::move(error);
  storage::LabelQuery query{.window = params.range.window(), .limit = HintLimit(params.limit)};
  auto querier = call.queryable->NewQuerier(query.window);
  return ShowStrings(Union(params.sets,
                           [&](std::span<const model::Matcher> matchers) {
                             return querier->LabelNames(query, matchers);
                           }),
                     params.limit);
}

Answer LabelValues(const Call& call) {
  std::string name(call.path.Get("name"));
  if (name.starts_with("U__")) name = UnescapeName(name);
  if (!model::IsValidLabelName(name)) {
    return Answer::Error(ErrorType::kBadData,
                         fmt::format("invalid label name: {}", base::Quote(name)));
  }
  auto form = call.request->Form();
  if (!form) return Answer::Error(ErrorType::kBadData, form.error().message());
  ListParams params;
  if (auto error = Read(*form, false, &params)) return *std::move(error);
  storage::LabelQuery query{.window = params.range.window(), .limit = HintLimit(params.limit)};
  auto querier = call.queryable->NewQuerier(query.window);
  return ShowStrings(Union(params.sets,
                           [&](std::span<const model::Matcher> matchers) {
                             return querier->LabelValues(name, query, matchers);
                           }),
                     params.limit);
}

}  // namespace tocsin::api
