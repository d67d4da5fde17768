// /federate: the newest samples of selected series as an exposition, for other Prometheis.

#include <fmt/core.h>

#include <algorithm>

#include "api/prometheus_impl.h"
#include "base/number.h"
#include "base/text.h"
#include "promql/parse/parser.h"

namespace tocsin::api {
namespace {

constexpr std::string_view kTextFormat = "text/plain; version=0.0.4; charset=utf-8";

struct Row {
  model::LabelsView labels;
  std::string_view name;
  model::Timestamp t = 0;
  double v = 0;
  model::HistogramPtr h;
};

net::HttpResponse Refuse(int status, std::string_view message) {
  return net::HttpResponse::Text(status, std::string(message) + "\n");
}

void AppendEscaped(std::string_view value, std::string* out) {
  for (char c : value) {
    switch (c) {
      case '\\': *out += "\\\\"; break;
      case '"': *out += "\\\""; break;
      case '\n': *out += "\\n"; break;
      default: *out += c;
    }
  }
}

// Names that the format knows stand plain, others in quotes.
void AppendName(std::string_view name, bool plain, std::string* out) {
  if (plain) {
    *out += name;
    return;
  }
  *out += '"';
  AppendEscaped(name, out);
  *out += '"';
}

// Writes lines of one family; labels are those of the row and the external ones it lacks.
class Lines {
 public:
  Lines(const model::Labels& external, std::string* out) : external_(external), out_(out) {}

  void Line(const Row& row, std::string_view suffix, std::string_view le, double value) {
    bool plain = model::IsLegacyMetricName(row.name);
    std::string name = std::string(row.name) + std::string(suffix);
    bool first = true;
    if (plain) *out_ += name;
    auto open = [&] {
      *out_ += first ? '{' : ',';
      first = false;
    };
    if (!plain) {
      open();
      AppendName(name, false, out_);
    }
    auto label = [&](std::string_view key, std::string_view text) {
      open();
      AppendName(key, model::IsLegacyLabelName(key), out_);
      *out_ += "=\"";
      AppendEscaped(text, out_);
      *out_ += '"';
    };
    for (const model::Label& l : row.labels) {
      if (l.name != model::kMetricName) label(l.name, l.value);
    }
    for (const model::Label& l : external_) {
      if (!row.labels.Has(l.name)) label(l.name, l.value);
    }
    // An aggregate keeps an empty instance, so that the scraping server does not put its own there.
    if (!row.labels.Has(model::kInstance) && !external_.Has(model::kInstance)) {
      label(model::kInstance, "");
    }
    if (!le.empty()) label("le", le);
    if (!first) *out_ += '}';
    *out_ += ' ';
    *out_ += base::FormatG(value);
    *out_ += fmt::format(" {}\n", row.t);
  }

 private:
  const model::Labels& external_;
  std::string* out_;
};

// A histogram with custom bounds as the classic series it was made from.
void WriteClassic(const Row& row, Lines* lines) {
  const model::Histogram& h = *row.h;
  double cumulative = 0;
  size_t next = 0;
  std::vector<model::Bucket> buckets = model::AllBuckets(h);
  for (double bound : h.custom_values) {
    while (next < buckets.size() && buckets[next].upper <= bound) cumulative += buckets[next++].count;
    lines->Line(row, "_bucket", base::FormatG(bound), cumulative);
  }
  lines->Line(row, "_bucket", "+Inf", h.count);
  lines->Line(row, "_sum", "", h.sum);
  lines->Line(row, "_count", "", h.count);
}

base::Status Collect(storage::Querier* querier, storage::Window window,
                     std::span<const model::Matcher> matchers,
                     std::vector<std::unique_ptr<storage::SeriesSet>>* sets, std::vector<Row>* rows) {
  ASSIGN_OR_RETURN(auto set, querier->Select({.window = window}, matchers));
  storage::LastColumns last;
  RETURN_IF_ERROR(set->ReadLast(0, set->size(), window, &last));
  for (size_t i = 0; i < set->size(); ++i) {
    if (last.times[i] == model::kMinTimestamp || model::IsStale(last.values[i])) continue;
    Row row{.labels = set->labels(i), .t = last.times[i], .v = last.values[i]};
    if (!last.histograms.empty()) row.h = last.histograms[i];
    row.name = row.labels.MetricName();
    // Neither has a form in the text format: series without a name, exponential histograms.
    if (row.name.empty() || (row.h != nullptr && !row.h->uses_custom_buckets())) continue;
    rows->push_back(row);
  }
  sets->push_back(std::move(set));
  return {};
}

}  // namespace

net::HttpResponse Federate(const Call& call, const model::Labels& external_labels) {
  auto form = call.request->Form();
  if (!form) return Refuse(400, "error parsing form values: " + form.error().message());
  std::vector<model::Matchers> selectors;
  for (const std::string& text : form->All("match[]")) {
    auto matchers = promql::ParseMetricSelector(text);
    if (!matchers) return Refuse(400, matchers.error().message());
    selectors.push_back(*std::move(matchers));
  }
  model::Timestamp now = base::ToUnixMillis(call.now);
  auto lookback = std::chrono::duration_cast<std::chrono::milliseconds>(
      call.engine->options().lookback);
  storage::Window window{.after = now - lookback.count() - 1, .upto = now};
  auto querier = call.queryable->NewQuerier(window);
  std::vector<std::unique_ptr<storage::SeriesSet>> sets;
  std::vector<Row> rows;
  for (const model::Matchers& matchers : selectors) {
    if (auto status = Collect(querier.get(), window, matchers, &sets, &rows); !status) {
      return Refuse(500, status.error().message());
    }
  }
  // By name, since a family's lines must stand together; each series once.
  std::ranges::sort(rows, [](const Row& a, const Row& b) {
    if (a.name != b.name) return a.name < b.name;
    return a.labels < b.labels;
  });
  auto same = [](const Row& a, const Row& b) { return a.labels == b.labels; };
  rows.erase(std::unique(rows.begin(), rows.end(), same), rows.end());

  net::HttpResponse response;
  response.headers.Set("Content-Type", kTextFormat);
  Lines lines(external_labels, &response.body);
  std::string_view family;
  bool family_of_histograms = false;
  for (const Row& row : rows) {
    bool histogram = row.h != nullptr;
    if (row.name != family || histogram != family_of_histograms) {
      family = row.name;
      family_of_histograms = histogram;
      response.body += "# TYPE ";
      AppendName(row.name, model::IsLegacyMetricName(row.name), &response.body);
      response.body += histogram ? " histogram\n" : " untyped\n";
    }
    if (histogram) {
      WriteClassic(row, &lines);
    } else {
      lines.Line(row, "", "", row.v);
    }
  }
  return response;
}

}  // namespace tocsin::api
