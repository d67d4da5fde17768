#include "tools/query_analyze.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include "base/duration.h"
#include "base/number.h"
#include "tools/query.h"
#include "tools/server.h"

namespace tocsin::tools {
namespace {

using Json = nlohmann::ordered_json;

// The lowest, average and highest of some numbers.
struct Spread {
  int64_t min = INT64_MAX;
  int64_t max = 0;
  double avg = 0;
  int64_t count = 0;

  void Add(int64_t n) {
    min = std::min(min, n);
    max = std::max(max, n);
    ++count;
    avg += static_cast<double>(n) / static_cast<double>(count) - avg / static_cast<double>(count);
  }
  std::string Text() const { return fmt::format("{}/{:.3f}/{}", min, avg, max); }
  friend bool operator==(const Spread&, const Spread&) = default;
};

// Populated buckets of a histogram over time, and all that it ever had.
struct Populated {
  Spread at_once;
  int64_t total = 0;

  std::string Text() const {
    return at_once.max == total ? at_once.Text() : at_once.Text() + "/" + std::to_string(total);
  }
};

// Of all histograms of a kind.
class Summary {
 public:
  void Add(const Populated& p) {
    min_.Add(p.at_once.min);
    avg_.Add(static_cast<int64_t>(p.at_once.avg));
    max_.Add(p.at_once.max);
    total_.Add(p.total);
  }
  std::string Text(std::string_view kind) const {
    if (min_.count == 0) return "";
    std::string text = fmt::format("\n{} histogram series ({} in total):\n- min populated: {}\n- avg populated: {}\n- max populated: {}",
                                   kind, min_.count, min_.Text(), avg_.Text(), max_.Text());
    if (max_ != total_) text += "\n- total: " + total_.Text();
    return text + "\n";
  }

 private:
  Spread min_, avg_, max_, total_;
};

// Of one series of native histograms; nullopt when there are less than two.
std::optional<Populated> OfNative(const Json& histograms) {
  if (histograms.size() < 2) return std::nullopt;
  Populated out;
  std::set<std::tuple<int, std::string, std::string>> all;
  for (const Json& point : histograms) {
    const Json buckets = point.at(1).value("buckets", Json::array());
    for (const Json& b : buckets) {
      all.emplace(b.at(0).get<int>(), b.at(1).get<std::string>(), b.at(2).get<std::string>());
    }
    out.at_once.Add(static_cast<int64_t>(buckets.size()));
  }
  out.total = static_cast<int64_t>(all.size());
  return out;
}

struct Bucket {
  double le = 0;
  std::vector<double> counts;  // over time
};

// Of the buckets of one classic histogram; nullopt when it has less than two samples.
std::optional<Populated> OfClassic(std::vector<Bucket> buckets) {
  if (buckets.empty() || buckets[0].counts.size() < 2) return std::nullopt;
  const size_t samples = buckets[0].counts.size();
  std::stable_sort(buckets.begin(), buckets.end(), [](const Bucket& a, const Bucket& b) { return a.le < b.le; });
  Populated out;
  out.total = static_cast<int64_t>(buckets.size());
  for (size_t i = 0; i < samples; ++i) {
    int64_t populated = 0;
    double below = 0;
    for (const Bucket& b : buckets) {
      if (i >= b.counts.size()) break;  // a series that begins later: what is known of the others counts
      populated += b.counts[i] != below;
      below = b.counts[i];
    }
    out.at_once.Add(populated);
  }
  return out;
}

// Prints each histogram's line; the server's answer may lack fields.
void AnalyzeMatrix(const Json& matrix, const ToolIo& io, Summary* native, Summary* classic) {
  std::map<std::string, std::vector<Bucket>> histograms;  // classic ones, by name and labels but le
  for (const Json& series : matrix) {
    const Json& metric = series.at("metric");
    if (!series.contains("values")) {
      const auto populated = OfNative(series.value("histograms", Json::array()));
      if (!populated) continue;
      io.out("- " + MetricText(metric) + " (native): " + populated->Text() + "\n");
      native->Add(*populated);
      continue;
    }
    const std::string name = metric.value("__name__", "");
    constexpr std::string_view kSuffix = "_bucket";
    if (!metric.contains("le") || !name.ends_with(kSuffix)) continue;
    Json others = metric;
    others.erase("le");
    others.erase("__name__");
    std::string key = name.substr(0, name.size() - kSuffix.size()) + (others.empty() ? "{}" : MetricText(others));
    Bucket bucket;
    bucket.le = base::ParseFloat(metric["le"].get<std::string>()).value_or(0);
    for (const Json& point : series["values"]) {
      bucket.counts.push_back(base::ParseFloat(point.at(1).get<std::string>()).value_or(0));
    }
    histograms[std::move(key)].push_back(std::move(bucket));
  }
  for (auto& [key, buckets] : histograms) {
    const auto populated = OfClassic(std::move(buckets));
    if (!populated) continue;
    io.out("- " + key + " (classic): " + populated->Text() + "\n");
    classic->Add(*populated);
  }
}

constexpr const char* kHeader =
    "Bucket stats for each histogram series over time\n"
    "------------------------------------------------\n"
    "First the min, avg, and max number of populated buckets, followed by the total\n"
    "number of buckets (only if different from the max number of populated buckets\n"
    "which is typical for classic but not native histograms).\n\n";
constexpr const char* kFooter =
    "\nAggregated bucket stats\n"
    "-----------------------\n"
    "Each line shows min/avg/max over the series above.\n";

}  // namespace

int QueryAnalyze(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("promtool query analyze --server=URL --type=histogram --match=SELECTOR [FLAGS]",
                "Shows how many buckets of histograms hold observations: of native ones, and of classic ones by their _bucket series.");
  Server server(io);
  server.AddFlags(&flags);
  std::string url, type, duration = "1h", time;
  std::vector<std::string> matches;
  flags.String("server", &url, "The server.  Required.");
  flags.String("type", &type, "What is analyzed: histogram.  Required.");
  flags.String("duration", &duration, "How far back.");
  flags.String("time", &time, "Until when: RFC 3339 or seconds since the epoch; default: now.");
  flags.Strings("match", &matches, "Series selector; may be repeated.  Required.");
  flags.Examples("  promtool query analyze --server=http://127.0.0.1:9090 --type=histogram --match=prometheus_http_request_duration_seconds_bucket\n");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  if (!words.empty()) return Fail(io, "error: unexpected " + words[0] + "; try --help");
  for (const auto& [name, missing] : {std::pair("--server", url.empty()), {"--type", type.empty()}, {"--match", matches.empty()}}) {
    if (missing) return Fail(io, fmt::format("error: {} is required; try --help", name));
  }
  if (type != "histogram") return Fail(io, "query error: analyze type is " + type + ", must be 'histogram'");
  const auto range = base::ParseDuration(duration);
  if (!range) return Fail(io, "error: --duration: " + range.error().message());
  base::Time end = ProcessNow();
  if (!time.empty()) {
    const auto read = ParseTimeArgument(time);
    if (!read) return Fail(io, "query error: error parsing time '" + time + "': " + read.error().message());
    end = *read;
  }
  server.set_url(url);
  io.out(kHeader);
  Summary native, classic;
  for (const std::string& match : matches) {
    net::Params form;
    form.Add("query", match + "[" + base::FormatDuration(*range) + "]");
    form.Add("time", FormatTimeArgument(end));
    const auto data = server.Data("/api/v1/query", form);
    if (!data) return Fail(io, "query error: " + data.error().message());
    if (data->value("resultType", "") != "matrix") return Fail(io, "query error: query of buckets resulted in non-Matrix");
    AnalyzeMatrix(data->at("result"), io, &native, &classic);
  }
  io.out(kFooter + native.Text("Native") + classic.Text("Classic"));
  return 0;
}

}  // namespace tocsin::tools
