// `tsdb create-blocks-from openmetrics`.
//
// 1. The file is read once to check it and to count the samples of each block's range.
// 2. Ranges are taken together as long as their samples fit into memory; each such turn reads the file again and
//    writes the ranges' blocks.  Most files take one turn.

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "base/duration.h"
#include "scrape/exposition.h"
#include "tools/server.h"
#include "tools/tsdb/create_blocks.h"
#include "tools/tsdb/verbs.h"

namespace tocsin::tools {
namespace {

constexpr uint64_t kSamplesAtOnce = 16 << 20;  // 256 MiB

using Ranges = std::map<model::Timestamp, uint64_t>;  // samples by the range's start

base::Result<Ranges> CountRanges(std::string_view body, int64_t block_ms) {
  scrape::ExpositionParser parser(scrape::ExpositionFormat::kOpenMetrics, body);
  scrape::Entry entry;
  Ranges ranges;
  for (;;) {
    auto more = parser.Next(&entry);
    if (!more) return std::unexpected(more.error().Within("getting min and max timestamp: next"));
    if (!*more) return ranges;
    if (entry.kind != scrape::EntryKind::kSeries) continue;
    if (!entry.has_timestamp) {
      return base::InvalidArgument(fmt::format("getting min and max timestamp: line {}: expected timestamp for series {}, "
                                               "got none; write it in seconds behind the value",
                                               std::ranges::count(body.substr(0, parser.position()), '\n'), entry.series));
    }
    ++ranges[BlockStart(entry.t, block_ms)];
  }
}

struct Request {
  std::vector<std::pair<std::string, std::string>> labels;  // added to every series
  int64_t block_ms = kDefaultBlockMs;
};

// Reads the samples of [begin, end) into a builder for each range.
base::Status Fill(std::string_view body, const Request& request, model::Timestamp begin, model::Timestamp end,
                  std::map<model::Timestamp, BlockBuilder>* builders) {
  scrape::ExpositionParser parser(scrape::ExpositionFormat::kOpenMetrics, body);
  scrape::Entry entry;
  scrape::LabelPairs pairs;
  model::LabelsBuilder labels;
  model::MetricType type = model::MetricType::kUnknown;
  // Lines of one series mostly follow each other.
  std::string_view last_text;
  model::Labels last;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, parser.Next(&entry));
    if (!more) return {};
    if (entry.kind == scrape::EntryKind::kType) type = entry.type;
    if (entry.kind != scrape::EntryKind::kSeries || entry.t < begin || entry.t >= end) continue;
    if (entry.series != last_text || last.empty()) {
      RETURN_IF_ERROR(scrape::ParseSeries(entry.series, scrape::ExpositionFormat::kOpenMetrics, type, &pairs));
      labels.Reset(model::Labels::FromPairs(pairs));
      for (const auto& [name, value] : request.labels) labels.Set(name, value);
      last = labels.Build();
      last_text = entry.series;
    }
    (*builders)[BlockStart(entry.t, request.block_ms)].Add(last, entry.t, entry.value);
  }
}

base::Status CreateBlocks(const ToolIo& io, std::string_view body, const std::string& output, const Request& request,
                          BlockPrinter* printer) {
  ASSIGN_OR_RETURN(const Ranges ranges, CountRanges(body, request.block_ms));
  uint64_t repeated = 0;
  for (auto it = ranges.begin(); it != ranges.end();) {
    const model::Timestamp begin = it->first;
    model::Timestamp end = begin;
    for (uint64_t samples = 0; it != ranges.end() && (samples == 0 || samples + it->second <= kSamplesAtOnce); ++it) {
      samples += it->second;
      end = it->first + request.block_ms;
    }
    std::map<model::Timestamp, BlockBuilder> builders;
    RETURN_IF_ERROR(Fill(body, request, begin, end, &builders));
    for (auto& [start, builder] : builders) {
      auto folder = builder.Write(io.fs, output, ProcessNow(), request.block_ms, &repeated);
      if (!folder) return std::unexpected(folder.error().Within("block creation"));
      RETURN_IF_ERROR(printer->Print(*folder));
    }
  }
  if (repeated > 0) {
    io.err(fmt::format("warning: {} samples left out: their series has an earlier one in the file at the same time\n", repeated));
  }
  return {};
}

}  // namespace

int TsdbCreateBlocksFromOpenMetrics(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("promtool tsdb create-blocks-from openmetrics [FLAGS] FILE [DIR]",
                "Makes blocks in DIR (default data/) of the samples of an OpenMetrics file; each needs a time.  A server\n"
                "takes them over at its next start; do not make blocks of times that its log still holds.");
  bool human = false, quiet = false;
  std::string longest = "2h";
  std::vector<std::string> labels;
  flags.Bool("human-readable", &human, "Times and sizes for people.", 'r');
  flags.Bool("quiet", &quiet, "Do not print the blocks.", 'q');
  flags.String("max-block-duration", &longest, "The longest stretch of a block; 2h, 6h, 18h ... are made.");
  flags.Strings("label", &labels, "Label for all series, as name=value; may be repeated.");
  flags.Examples("  tocsin tsdb create-blocks-from openmetrics --label=site=berlin history.om /var/lib/tocsin\n");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  if (words.empty() || words.size() > 2) return Fail(io, "error: give a file and at most a folder; try --help");
  Request request;
  const auto duration = base::ParseGoDuration(longest);
  if (!duration) return Fail(io, "error: --max-block-duration: " + duration.error().message());
  request.block_ms = CompatibleBlockDuration(*duration);
  for (const std::string& label : labels) {
    const size_t equals = label.find('=');
    if (equals == std::string::npos || equals == 0) return Fail(io, "error: --label=" + label + ": write name=value");
    request.labels.emplace_back(label.substr(0, equals), label.substr(equals + 1));
  }
  const std::string output = words.size() == 2 ? words[1] : kDefaultDbPath;
  const auto file = io.fs->Map(words[0]);
  if (!file) return Fail(io, file.error().message());
  if (const auto made = io.fs->CreateFolders(output); !made) {
    return Fail(io, made.error().Within("create output dir").message());
  }
  BlockPrinter printer(io, quiet, human);
  const base::Status status = CreateBlocks(io, (*file)->data(), output, request, &printer);
  return status ? 0 : Fail(io, status.error().message());
}

}  // namespace tocsin::tools
