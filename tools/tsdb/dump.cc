// `tsdb list`, `tsdb dump` and `tsdb dump-openmetrics`.

#include <algorithm>

#include <fmt/format.h>

#include "base/number.h"
#include "base/text.h"
#include "promql/parse/parser.h"
#include "tools/tsdb/data_folder.h"
#include "tools/tsdb/verbs.h"

namespace tocsin::tools {
namespace {

constexpr size_t kFlushBytes = 64 << 10;

// Text on its way out, in large pieces.
class Output {
 public:
  explicit Output(const ToolIo& io) : io_(io) {}
  ~Output() { io_.out(text_); }
  std::string* text() {
    if (text_.size() >= kFlushBytes) {
      io_.out(text_);
      text_.clear();
    }
    return &text_;
  }

 private:
  const ToolIo& io_;
  std::string text_;
};

enum class DumpFormat { kProm, kSeriesJson, kOpenMetrics };

// {a="b",c="d"} without the metric's name.
std::string CondensedLabels(model::LabelsView labels) {
  std::string text = "{";
  for (const model::Label& l : labels) {
    if (l.name == model::kMetricName) continue;
    if (text.size() > 1) text += ',';
    text.append(l.name).append("=").append(base::Quote(l.value));
  }
  return text + "}";
}

std::string LabelsJson(model::LabelsView labels) {
  std::string text = "{";
  for (const model::Label& l : labels) {
    if (text.size() > 1) text += ',';
    base::AppendJsonString(l.name, &text, base::JsonEscape::kGo);
    text += ':';
    base::AppendJsonString(l.value, &text, base::JsonEscape::kGo);
  }
  return text + "}";
}

// `columns` holds one series.
void WriteSamples(DumpFormat format, model::LabelsView labels, const storage::SampleColumns& columns, Output* output) {
  const std::string head = format == DumpFormat::kProm
                               ? labels.ToString()
                               : std::string(labels.MetricName()) + CondensedLabels(labels);
  size_t h = 0;
  for (size_t i = 0; i < columns.times.size(); ++i) {
    const bool histogram = h < columns.histogram_at.size() && columns.histogram_at[h] == i;
    const double v = columns.values[i];
    if (format == DumpFormat::kOpenMetrics) {
      // Native histograms and stale markers cannot be said in OpenMetrics: read back, a marker would be a sample.
      h += histogram;
      if (histogram || model::IsStale(v)) continue;
      fmt::format_to(std::back_inserter(*output->text()), "{} {} {:.3f}\n", head, base::FormatG(v),
                     static_cast<double>(columns.times[i]) / 1000);
      continue;
    }
    const std::string value = histogram ? columns.histograms[h++]->ToString() : base::FormatG(v);
    fmt::format_to(std::back_inserter(*output->text()), "{} {} {}\n", head, value, columns.times[i]);
  }
}

// Writes the series of all selections in order of labels, each once.
base::Status WriteSets(DumpFormat format, const std::vector<std::unique_ptr<storage::SeriesSet>>& sets,
                       storage::Window window, Output* output) {
  std::vector<size_t> at(sets.size(), 0);
  storage::SampleColumns columns;
  for (;;) {
    size_t best = sets.size();
    for (size_t s = 0; s < sets.size(); ++s) {
      if (at[s] == sets[s]->size()) continue;
      if (best == sets.size() || sets[s]->labels(at[s]) < sets[best]->labels(at[best])) best = s;
    }
    if (best == sets.size()) return {};
    const model::LabelsView labels = sets[best]->labels(at[best]);
    if (format == DumpFormat::kSeriesJson) {
      *output->text() += LabelsJson(labels) + "\n";
    } else {
      RETURN_IF_ERROR(sets[best]->Read(at[best], 1, window, &columns));
      WriteSamples(format, labels, columns, output);
    }
    for (size_t s = 0; s < sets.size(); ++s) at[s] += at[s] < sets[s]->size() && sets[s]->labels(at[s]) == labels;
  }
}

struct DumpRequest {
  std::string path = kDefaultDbPath;
  int64_t min_time = model::kMinTimestamp;
  int64_t max_time = model::kMaxTimestamp;
  std::vector<std::string> match = {"{__name__=~'(?s:.*)'}"};
  DumpFormat format = DumpFormat::kProm;
};

base::Result<int> Dump(const DumpRequest& request, const ToolIo& io) {
  ASSIGN_OR_RETURN(const std::unique_ptr<DataFolder> folder, DataFolder::Open(io, request.path));
  std::vector<model::Matchers> selectors;
  for (const std::string& text : request.match) {
    ASSIGN_OR_RETURN(model::Matchers matchers, promql::ParseMetricSelector(text));
    selectors.push_back(std::move(matchers));
  }
  ASSIGN_OR_RETURN(tsdb::Db* const db, folder->OpenDb());
  const storage::Window window{.after = request.min_time == model::kMinTimestamp ? request.min_time : request.min_time - 1,
                               .upto = request.max_time};
  const std::unique_ptr<storage::Querier> querier = db->NewQuerier(window);
  std::vector<std::unique_ptr<storage::SeriesSet>> sets;
  for (const model::Matchers& matchers : selectors) {
    ASSIGN_OR_RETURN(sets.emplace_back(), querier->Select({.window = window}, matchers));
  }
  {
    Output output(io);
    RETURN_IF_ERROR(WriteSets(request.format, sets, window, &output));
    if (request.format == DumpFormat::kOpenMetrics) *output.text() += "# EOF\n";
  }
  return folder->ExitStatus();
}

// The flags that both dumps have.
void AddFlags(FlagSet* flags, DumpRequest* request, std::string* sandbox) {
  flags->String("sandbox-dir-root", sandbox, "Accepted for promtool's sake: reading writes nothing anywhere.");
  flags->Int("min-time", &request->min_time, "First time, in milliseconds since the epoch.");
  flags->Int("max-time", &request->max_time, "Last time, in milliseconds since the epoch.");
  flags->Strings("match", &request->match, "Series selector; may be repeated.");
}

int RunDump(FlagSet* flags, DumpRequest* request, const std::string* format, const std::vector<std::string>& args,
            const ToolIo& io) {
  std::vector<std::string> words;
  if (auto exit = flags->Parse(args, io, &words)) return *exit;
  if (words.size() > 1) return Fail(io, "error: unexpected " + words[1] + "; try --help");
  if (!words.empty()) request->path = words[0];
  if (format != nullptr && *format == "seriesjson") request->format = DumpFormat::kSeriesJson;
  if (format != nullptr && *format != "prom" && *format != "seriesjson") {
    return Fail(io, "error: --format must be prom or seriesjson, got \"" + *format + "\"");
  }
  const auto status = Dump(*request, io);
  return status ? *status : Fail(io, status.error().message());
}

}  // namespace

int TsdbList(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("promtool tsdb list [FLAGS] [DIR]", "Lists the blocks of a database (default data/).");
  bool human = false;
  flags.Bool("human-readable", &human, "Times and sizes for people.", 'r');
  flags.Examples("  tocsin tsdb list -r /var/lib/tocsin\n");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  if (words.size() > 1) return Fail(io, "error: unexpected " + words[1] + "; try --help");
  const auto folder = DataFolder::Open(io, words.empty() ? kDefaultDbPath : words[0]);
  if (!folder) return Fail(io, folder.error().message());
  const auto blocks = (*folder)->Blocks();
  if (!blocks) return Fail(io, blocks.error().message());
  std::vector<BlockRow> rows;
  for (const auto& b : *blocks) rows.push_back({&b->meta(), b->size_bytes()});
  io.out(FormatBlockTable(rows, human ? BlockTable::kHumanReadable : BlockTable::kPlain));
  return (*folder)->ExitStatus();
}

int TsdbDump(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("promtool tsdb dump [FLAGS] [DIR]",
                "Prints the samples of a database (default data/), or its series: blocks and what is in the log.  Nothing\n"
                "in the folder changes; a running server's can be read.");
  DumpRequest request;
  std::string sandbox, format = "prom";
  AddFlags(&flags, &request, &sandbox);
  flags.String("format", &format, "prom: labels, value, time; seriesjson: the labels of each series.");
  flags.Examples("  tocsin tsdb dump --match='up{job=\"node\"}' --min-time=1795125600000 /var/lib/tocsin\n"
                 "  tocsin tsdb dump --format=seriesjson /var/lib/tocsin\n");
  return RunDump(&flags, &request, &format, args, io);
}

int TsdbDumpOpenMetrics(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("promtool tsdb dump-openmetrics [FLAGS] [DIR]",
                "Prints the samples of a database (default data/) as OpenMetrics, to be read back with\n"
                "create-blocks-from openmetrics; native histograms and stale markers are left out.");
  DumpRequest request;
  request.format = DumpFormat::kOpenMetrics;
  std::string sandbox;
  AddFlags(&flags, &request, &sandbox);
  flags.Examples("  tocsin tsdb dump-openmetrics --match='{job=\"node\"}' /var/lib/tocsin > node.om\n");
  return RunDump(&flags, &request, nullptr, args, io);
}

}  // namespace tocsin::tools
