#include "tools/check_discovery.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/duration.h"
#include "config/prometheus_config.h"
#include "discovery/discovery.h"
#include "net/event_loop.h"
#include "net/http_client.h"
#include "scrape/target.h"
#include "tools/amtool.h"

namespace tocsin::tools {
namespace {

using Json = nlohmann::ordered_json;

struct Found {
  std::optional<discovery::TargetGroups> groups;  // nullopt: not every source answered in time
  size_t failures = 0;                            // sources that could not be read, each said
};

// What the job's sources give when each has been asked once, for `timeout` at most.
Found Discover(const config::ScrapeJob& job, base::Duration timeout, const ToolIo& io) {
  net::EventLoop loop({.threads = 2});
  const std::unique_ptr<net::HttpClient> http = net::MakeHttpClient(&loop);
  Found found;
  const auto on_failure = [&](const std::string& source, const std::string& error) {
    io.err("error: " + source + ": " + error + "\n");
    ++found.failures;
  };
  discovery::Discovery discovery({.executor = &loop, .fs = io.fs, .http = http.get(), .on_failure = on_failure},
                                 [&](const std::string&, const discovery::TargetGroups& groups) {
                                   found.groups = groups;
                                   loop.Stop();
                                 });
  discovery.Apply({{job.scrape.job_name, job.discovery}});
  const base::Timer limit = loop.After(timeout, [&loop] { loop.Stop(); });
  loop.Run();
  discovery.Stop();
  return found;
}

Json LabelsJson(const model::Labels& labels) {
  Json out = Json::object();
  for (const model::Label& l : labels) out[std::string(l.name)] = std::string(l.value);
  return out;
}

// A row for each target, as promtool: equal ones of a source once, the labels of one that is dropped empty.
Json Rows(const scrape::ScrapeConfig& config, const discovery::TargetGroups& groups) {
  Json rows = Json::array();
  for (const discovery::TargetGroupPtr& group : groups) {
    for (const model::Labels& own : group->targets) {
      const model::Labels discovered = scrape::DiscoveredLabels(config, own, group->labels);
      const auto target = scrape::BuildTarget(config, discovered);
      Json row = {{"discoveredLabels", LabelsJson(discovered)}, {"labels", Json::object()}};
      if (!target) {
        row["error"] = target.error().message();
      } else if (*target != nullptr) {
        row["labels"] = LabelsJson((*target)->all_labels);
      }
      if (std::find(rows.begin(), rows.end(), row) == rows.end()) rows.push_back(std::move(row));
    }
  }
  return rows;
}

}  // namespace

int CheckServiceDiscovery(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("promtool check service-discovery [FLAGS] CONFIG-FILE JOB",
                "Finds the targets of a scrape job and prints their labels before and after relabeling, as JSON.  Ends when every\n"
                "source has been asked once.  Exit status: 1 when one of them could not be read.");
  std::string timeout = "30s";
  bool extended = false;
  flags.String("timeout", &timeout, "How long to wait for the sources.");
  flags.Bool("extended", &extended, "Accepted for compatibility.");
  flags.Examples("  promtool check service-discovery --timeout=5s prometheus.yml node\n");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  if (words.size() != 2) return Fail(io, "error: give a configuration file and a job; try --help");
  const auto limit = base::ParseGoDuration(timeout);
  if (!limit) return Fail(io, "error: --timeout: " + limit.error().message());
  const auto config = config::LoadPrometheusConfig(io.fs, words[0], {});
  if (!config) return Fail(io, "Cannot load config " + config.error().message());
  const auto job = std::find_if(config->scrape_jobs.begin(), config->scrape_jobs.end(),
                                [&](const config::ScrapeJob& j) { return j.scrape.job_name == words[1]; });
  if (job == config->scrape_jobs.end()) {
    std::string text = "Job " + words[1] + " not found. Select one of:\n";
    for (const config::ScrapeJob& j : config->scrape_jobs) text += "\t" + j.scrape.job_name + "\n";
    io.err(text);
    return 1;
  }
  for (const discovery::UnsupportedSd& sd : job->discovery.unsupported) {
    io.err("error: " + job->file + ":" + std::to_string(sd.position.line) + ": " + sd.key +
           ": sound, but this version cannot run it; its targets are not among these\n");
  }
  const auto [groups, failures] = Discover(*job, *limit, io);
  if (!groups) io.err("error: not every source answered within " + timeout + "; --timeout waits longer\n");
  io.out(GoJson(Rows(job->scrape, groups.value_or(discovery::TargetGroups())).dump(2)));
  return groups && failures == 0 && job->discovery.unsupported.empty() ? 0 : 1;
}

}  // namespace tocsin::tools
