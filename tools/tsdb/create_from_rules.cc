// `tsdb create-blocks-from rules`: recording rules evaluated over the past by a server, the results as blocks.
//
// One block holds all rules' results of its range: blocks of a rule each would overlap and have to be merged.
// A rule that reads another's results sees what the server has of them, not what is made here.

#include <algorithm>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "base/duration.h"
#include "base/number.h"
#include "ruler/group.h"
#include "ruler/rule_file.h"
#include "tools/server.h"
#include "tools/tsdb/create_blocks.h"
#include "tools/tsdb/verbs.h"

namespace tocsin::tools {
namespace {

using Json = nlohmann::ordered_json;

struct Backfill {
  base::Time start;
  base::Time end;
  base::Duration interval = std::chrono::minutes(1);  // of groups without one
  int64_t block_ms = kDefaultBlockMs;
  std::string output;
};

class RuleBackfill {
 public:
  RuleBackfill(const ToolIo& io, const Server& server, Backfill request)
      : io_(io), server_(server), request_(std::move(request)) {}

  // All rules over all ranges.  Returns the number of rules that failed.
  base::Result<size_t> Run(const std::vector<ruler::GroupSpec>& groups, BlockPrinter* printer);

 private:
  // The rule's results from `from` on until `upto`, both inclusive.
  base::Status Evaluate(const ruler::GroupSpec& group, const ruler::RuleSpec& rule, base::Time from, base::Time upto,
                        BlockBuilder* builder);
  base::Status AddSeries(const ruler::RuleSpec& rule, const Json& series, BlockBuilder* builder);

  const ToolIo& io_;
  const Server& server_;
  const Backfill request_;
  uint64_t histograms_ = 0;
};

base::Status RuleBackfill::AddSeries(const ruler::RuleSpec& rule, const Json& series, BlockBuilder* builder) {
  model::LabelsBuilder labels;
  for (const auto& [name, value] : series.at("metric").items()) labels.Set(name, value.get<std::string>());
  for (const auto& [name, value] : rule.labels) labels.Set(name, value);
  labels.Set(model::kMetricName, rule.record);
  histograms_ += series.contains("histograms") ? series["histograms"].size() : 0;
  if (!series.contains("values")) return {};
  const size_t number = builder->SeriesOf(labels.Build());
  for (const Json& point : series["values"]) {
    ASSIGN_OR_RETURN(const double v, base::ParseFloat(point.at(1).get<std::string>()));
    builder->Add(number, std::llround(point.at(0).get<double>() * 1000), v);
  }
  return {};
}

base::Status RuleBackfill::Evaluate(const ruler::GroupSpec& group, const ruler::RuleSpec& rule, base::Time from,
                                    base::Time upto, BlockBuilder* builder) {
  const base::Duration interval = group.interval.count() > 0 ? group.interval : request_.interval;
  // The slots at which a server would have evaluated the group.
  base::Time first = ruler::SlotAt(group, interval, from);
  while (first < from) first += interval;
  if (first > upto) return {};
  net::Params form;
  form.Add("query", rule.query);
  form.Add("start", FormatTimeArgument(first));
  form.Add("end", FormatTimeArgument(upto));
  form.Add("step", base::FormatF(base::ToSeconds(interval)));
  ASSIGN_OR_RETURN(const Json data, server_.Data("/api/v1/query_range", form));
  if (data.value("resultType", "") != "matrix") {
    return base::FailedPrecondition("rule result is wrong type " + data.value("resultType", ""));
  }
  try {
    for (const Json& series : data.at("result")) RETURN_IF_ERROR(AddSeries(rule, series, builder));
  } catch (const Json::exception& e) {
    return base::FailedPrecondition(std::string("the server's answer is not a matrix: ") + e.what());
  }
  return {};
}

base::Result<size_t> RuleBackfill::Run(const std::vector<ruler::GroupSpec>& groups, BlockPrinter* printer) {
  size_t failed = 0;
  uint64_t repeated = 0;
  const int64_t first = base::ToUnixMillis(request_.start), last = base::ToUnixMillis(request_.end);
  std::vector<std::string> errors;  // a rule that fails does so for every range
  for (int64_t block = BlockStart(first, request_.block_ms); block <= last; block += request_.block_ms) {
    const base::Time from = std::max(base::FromUnixMillis(block), request_.start);
    const base::Time upto =
        std::min(base::Time(std::chrono::floor<std::chrono::seconds>(base::FromUnixMillis(block + request_.block_ms - 1))),
                 request_.end);
    BlockBuilder builder;
    for (const ruler::GroupSpec& group : groups) {
      for (const ruler::RuleSpec& rule : group.rules) {
        if (rule.is_alert()) continue;
        const base::Status status = Evaluate(group, rule, from, upto, &builder);
        if (status) continue;
        ++failed;
        std::string text = fmt::format("{}: group \"{}\", rule \"{}\": {}", group.file, group.name, rule.record,
                                       status.error().message());
        if (std::find(errors.begin(), errors.end(), text) != errors.end()) continue;
        io_.err("error: " + text + "\n");
        errors.push_back(std::move(text));
      }
    }
    if (builder.empty()) continue;
    ASSIGN_OR_RETURN(const std::string folder,
                     builder.Write(io_.fs, request_.output, ProcessNow(), request_.block_ms, &repeated));
    RETURN_IF_ERROR(printer->Print(folder));
  }
  if (histograms_ > 0) {
    io_.err(fmt::format("warning: {} native histograms left out: the query API does not hand them over whole\n", histograms_));
  }
  if (repeated > 0) {
    io_.err(fmt::format("warning: {} samples left out: two rules recorded one series; the first counts\n", repeated));
  }
  return failed;
}

base::Result<size_t> RunBackfill(const ToolIo& io, const Server& server, Backfill request,
                                 const std::vector<std::string>& files, BlockPrinter* printer) {
  for (const std::string& file : files) {
    ASSIGN_OR_RETURN(const base::FileInfo info, io.fs->Stat(file));
    if (info.is_folder) return base::InvalidArgument(file + ": a folder; give rule files");
  }
  ASSIGN_OR_RETURN(const std::vector<ruler::GroupSpec> groups, ruler::LoadRuleFiles(io.fs, files));
  RETURN_IF_ERROR(io.fs->CreateFolders(request.output));
  return RuleBackfill(io, server, std::move(request)).Run(groups, printer);
}

}  // namespace

int TsdbCreateBlocksFromRules(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("promtool tsdb create-blocks-from rules --start=TIME [FLAGS] RULE-FILE...",
                "Evaluates the recording rules of the files over the past, by a server's query API, and makes blocks of\n"
                "the results.  Alerting rules are left out.");
  Server server(io);
  server.AddFlags(&flags);
  std::string url = "http://localhost:9090", start, end, longest = "2h", interval = "60s";
  bool human = false, quiet = false;
  Backfill request;
  request.output = kDefaultDbPath;
  flags.String("url", &url, "The server that has the data.");
  flags.String("start", &start, "From when on: RFC 3339 or seconds since the epoch.  Required.");
  flags.String("end", &end, "Until when; default: three hours ago.");
  flags.String("output-dir", &request.output, "Where the blocks go.");
  flags.String("eval-interval", &interval, "Interval of groups that have none.");
  flags.String("max-block-duration", &longest, "The longest stretch of a block; 2h, 6h, 18h ... are made.");
  flags.Bool("human-readable", &human, "Times and sizes for people.", 'r');
  flags.Bool("quiet", &quiet, "Do not print the blocks.", 'q');
  flags.Examples("  tocsin tsdb create-blocks-from rules --start=2026-11-01T00:00:00Z --output-dir=/var/lib/tocsin "
                 "rules/*.yml\n");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  if (words.empty()) return Fail(io, "error: give a rule file; try --help");
  if (start.empty()) return Fail(io, "error: --start is required; try --help");
  server.set_url(url);
  const auto begin = ParseTimeArgument(start);
  if (!begin) return Fail(io, "error parsing start time: " + begin.error().message());
  request.start = std::chrono::floor<std::chrono::seconds>(*begin);
  request.end = std::chrono::floor<std::chrono::seconds>(ProcessNow() - std::chrono::hours(3));
  if (!end.empty()) {
    const auto upto = ParseTimeArgument(end);
    if (!upto) return Fail(io, "error parsing end time: " + upto.error().message());
    request.end = std::chrono::floor<std::chrono::seconds>(*upto);
  }
  if (request.end <= request.start) return Fail(io, "start time is not before end time");
  const auto step = base::ParseGoDuration(interval);
  if (!step || step->count() <= 0) return Fail(io, "error: --eval-interval=" + interval + ": write a duration as 60s");
  request.interval = *step;
  const auto duration = base::ParseGoDuration(longest);
  if (!duration) return Fail(io, "error: --max-block-duration: " + duration.error().message());
  request.block_ms = CompatibleBlockDuration(*duration);

  BlockPrinter printer(io, quiet, human);
  const auto failed = RunBackfill(io, server, std::move(request), words, &printer);
  if (!failed) return Fail(io, failed.error().message());
  return *failed == 0 ? 0 : Fail(io, "error in rule backfilling");
}

}  // namespace tocsin::tools
