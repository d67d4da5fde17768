#include "tools/check_config.h"

#include <algorithm>
#include <map>

#include "base/duration.h"
#include "base/number.h"
#include "base/text.h"
#include "config/prometheus_config.h"
#include "discovery/config.h"
#include "model/relabel.h"
#include "scrape/target.h"
#include "tools/check_rules.h"

namespace tocsin::tools {
namespace {

constexpr std::string_view kLintAll = "all";
constexpr std::string_view kLintDuplicates = "duplicate-rules";
constexpr std::string_view kLintInterval = "too-long-scrape-interval";
constexpr std::string_view kLintNone = "none";

struct Options {
  bool syntax_only = false;
  bool agent = false;
  bool fatal = false;
  bool ignore_unknown = false;
  bool lint_interval = false;
  bool lint_duplicates = false;
  base::Duration lookback = std::chrono::minutes(5);
};

void ReadLint(const std::string& list, const ToolIo& io, Options* options) {
  for (std::string_view option : base::Split(list, ',')) {
    if (option == kLintAll || option == kLintInterval) options->lint_interval = true;
    if (option == kLintAll || option == kLintDuplicates) options->lint_duplicates = true;
    if (option == kLintNone) {
      options->lint_interval = options->lint_duplicates = false;
      return;
    }
    if (option != kLintAll && option != kLintInterval && option != kLintDuplicates && !option.empty()) {
      io.out("WARNING: unknown lint option: " + base::Quote(option) + "\n");
    }
  }
}

base::Status Missing(base::FileSystem* fs, const std::string& path, const std::string& what) {
  if (path.empty()) return {};
  auto info = fs->Stat(path);
  if (info) return {};
  return base::NotFound("error checking " + what + " " + base::Quote(path) + ": " + info.error().message());
}

base::Status CheckTls(base::FileSystem* fs, const net::TlsConfig& tls, bool syntax_only) {
  if (!tls.cert_file.empty() && tls.key_file.empty() && tls.key.empty()) {
    return base::InvalidArgument("client cert file " + base::Quote(tls.cert_file) +
                                 " specified without client key file");
  }
  if (!tls.key_file.empty() && tls.cert_file.empty() && tls.cert.empty()) {
    return base::InvalidArgument("client key file " + base::Quote(tls.key_file) +
                                 " specified without client cert file");
  }
  if (syntax_only) return {};
  RETURN_IF_ERROR(Missing(fs, tls.cert_file, "client cert file"));
  return Missing(fs, tls.key_file, "client key file");
}

using Groups = std::vector<discovery::TargetGroupPtr>;
using CheckGroups = std::function<base::Status(const Groups&)>;

base::Status CheckScrapeGroups(const scrape::ScrapeConfig& config, const Groups& groups) {
  for (size_t g = 0; g < groups.size(); ++g) {
    const auto& targets = groups[g]->targets;
    for (size_t i = 0; i < targets.size(); ++i) {
      auto target = scrape::BuildTarget(config, scrape::DiscoveredLabels(config, targets[i], groups[g]->labels));
      if (!target) {
        return std::unexpected(target.error().Within("instance " + std::to_string(i) + " in group " +
                                                     (groups[g]->source.empty() ? std::to_string(g)
                                                                                : groups[g]->source)));
      }
    }
  }
  return {};
}

base::Status CheckAlertmanagerGroups(const remote::AlertmanagerConfig& config, const Groups& groups) {
  for (const auto& group : groups) {
    for (const model::Labels& target : group->targets) {
      model::LabelsBuilder labels(target);
      labels.Set("__scheme__", config.scheme);
      labels.Set("__alerts_path__", "/" + config.path_prefix + "/api/" + config.api_version + "/alerts");
      for (const model::Label& label : group->labels) {
        if (!target.Has(label.name)) labels.Set(label.name, label.value);
      }
      if (!model::Relabel(config.relabel, &labels)) continue;
      std::string address(labels.Get("__address__"));
      if (address.find('/') != std::string::npos) {
        return base::InvalidArgument(base::Quote(address) + " is not a valid hostname; write host:port");
      }
    }
  }
  return {};
}

// The files of file_sd, and with them and the static targets what relabeling makes of them.
base::Status CheckDiscovery(const discovery::DiscoveryConfig& discovery, const std::string& owner,
                            const CheckGroups& check, const Options& options, const ToolIo& io) {
  RETURN_IF_ERROR(check(discovery.static_groups));
  if (options.syntax_only) return {};
  for (const auto& sd : discovery.files) {
    for (const std::string& pattern : sd.files) {
      ASSIGN_OR_RETURN(std::vector<std::string> files, base::Glob(io.fs, pattern));
      if (files.empty()) {
        io.out("  WARNING: file " + base::Quote(pattern) + " for file_sd in " + owner + " does not exist\n");
      }
      for (const std::string& file : files) {
        std::string where = "checking SD file " + base::Quote(file);
        auto text = io.fs->ReadFile(file);
        if (!text) return std::unexpected(text.error().Within(where));
        auto doc = base::yaml::Parse(*text, file);
        if (!doc) return std::unexpected(doc.error().Within(where));
        auto groups = discovery::ReadTargetGroups(*doc, file, "__meta_filepath", file);
        if (!groups) return std::unexpected(groups.error().Within(where));
        RETURN_IF_ERROR(check(*groups));
      }
    }
  }
  return {};
}

base::Status FindRuleFiles(const config::PrometheusConfig& config, const ToolIo& io, std::vector<std::string>* out) {
  for (const std::string& pattern : config.rule_files) {
    ASSIGN_OR_RETURN(std::vector<std::string> files, base::Glob(io.fs, pattern));
    if (files.empty() && pattern.find('*') == std::string::npos) {
      return base::NotFound(base::Quote(pattern) + " does not point to an existing file");
    }
    out->insert(out->end(), files.begin(), files.end());
  }
  return {};
}

base::Status CheckJob(const config::ScrapeJob& job, const Options& options, const ToolIo& io) {
  const net::HttpConfig& http = job.scrape.http;
  if (!options.syntax_only && http.authorization) {
    RETURN_IF_ERROR(Missing(io.fs, http.authorization->credentials_file,
                            "authorization credentials or bearer token file"));
  }
  RETURN_IF_ERROR(CheckTls(io.fs, http.tls, options.syntax_only));
  return CheckDiscovery(
      job.discovery, "scrape job " + base::Quote(job.scrape.job_name),
      [&job](const Groups& groups) { return CheckScrapeGroups(job.scrape, groups); }, options, io);
}

base::Status CheckOne(const std::string& file, const Options& options, const ToolIo& io,
                      std::vector<std::string>* rule_files, std::vector<config::ScrapeJob>* jobs) {
  config::LoadOptions load;
  load.agent = options.agent;
  load.read_scrape_config_files = !options.syntax_only;
  ASSIGN_OR_RETURN(config::PrometheusConfig config, config::LoadPrometheusConfig(io.fs, file, load));
  for (const std::string& warning : config.warnings) io.err("  WARNING: " + warning + "\n");
  if (!options.syntax_only) RETURN_IF_ERROR(FindRuleFiles(config, io, rule_files));
  for (const config::ScrapeJob& job : config.scrape_jobs) RETURN_IF_ERROR(CheckJob(job, options, io));
  for (const auto& am : config.alerting.alertmanagers) {
    RETURN_IF_ERROR(CheckDiscovery(
        am.discovery, "alertmanager config",
        [&am](const Groups& groups) { return CheckAlertmanagerGroups(am, groups); }, options, io));
  }
  for (const config::Unsupported& block : config.unsupported) {
    std::string where = block.position.line > 0 ? block.file + ":" + std::to_string(block.position.line) : block.file;
    io.err("  WARNING: " + where + ": " + block.what + ": sound, but this version cannot run it\n");
  }
  *jobs = std::move(config.scrape_jobs);
  return {};
}

// True: a finding.
bool LintIntervals(const std::vector<config::ScrapeJob>& jobs, const Options& options, const ToolIo& io) {
  if (!options.lint_interval) return false;
  for (const config::ScrapeJob& job : jobs) {
    if (job.scrape.scrape_interval < options.lookback) continue;
    io.err("  FAILED: too long scrape interval found, data point will be marked as stale - job: " +
           job.scrape.job_name + ", interval: " + base::FormatDuration(job.scrape.scrape_interval) + "\n");
    return true;
  }
  return false;
}

std::string Failure(const std::string& file, const base::Error& error) {
  const std::string& message = error.message();
  if (message.find("cannot unmarshal") != std::string::npos || message.find(" not found in type ") != std::string::npos) {
    return "parsing YAML file " + file + ": yaml: unmarshal errors:\n  " + base::ReplaceAll(message, "\n", "\n  ");
  }
  return message;
}

}  // namespace

int CheckConfig(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("promtool check config [FLAGS] FILE...", "Checks prometheus.yml files and what they name.");
  Options options;
  std::string lint(kLintDuplicates);
  std::string lookback = "5m";
  std::vector<std::string> features;
  flags.Bool("syntax-only", &options.syntax_only, "Check the files alone, not what they name.");
  flags.String("lint", &lint, "Lint checks: all, duplicate-rules, none, too-long-scrape-interval; comma separated.");
  flags.Bool("lint-fatal", &options.fatal, "Exit with 3 when lint finds something.");
  flags.Bool("ignore-unknown-fields", &options.ignore_unknown, "Accept keys that are not known in rule files.");
  flags.Bool("agent", &options.agent, "Check for an agent, which has no rules and no queries.");
  flags.String("query.lookback-delta", &lookback, "What too-long-scrape-interval compares with.");
  flags.Strings("enable-feature", &features, "Language features by name, comma separated.");
  flags.Examples("  promtool check config --lint=all --lint-fatal prometheus.yml\n");
  std::vector<std::string> files;
  if (auto exit = flags.Parse(args, io, &files)) return *exit;
  if (files.empty()) {
    io.err("error: required argument 'config-files' not provided; name a file, as in `check config prometheus.yml`\n");
    return 1;
  }
  for (const std::string& file : files) {
    if (io.fs->Stat(file)) continue;
    io.err("error: path '" + file + "' does not exist\n");
    return 1;
  }
  auto delta = base::ParseDuration(lookback);
  if (!delta) {
    io.err("error: --query.lookback-delta: " + delta.error().message() + "\n");
    return 1;
  }
  options.lookback = *delta;
  ReadLint(lint, io, &options);

  bool failed = false;
  bool linted = false;
  for (const std::string& file : files) {
    io.out("Checking " + file + "\n");
    std::vector<std::string> rule_files;
    std::vector<config::ScrapeJob> jobs;
    auto status = CheckOne(file, options, io, &rule_files, &jobs);
    if (!status) {
      io.err("  FAILED: " + Failure(file, status.error()) + "\n");
      failed = true;
      rule_files.clear();
    } else {
      if (!rule_files.empty()) {
        io.out("  SUCCESS: " + std::to_string(rule_files.size()) + " rule files found\n");
      }
      io.out(" SUCCESS: " + file + " is valid prometheus config file syntax\n");
    }
    io.out("\n");
    if (options.syntax_only) continue;
    linted |= LintIntervals(jobs, options, io);
    if (rule_files.empty()) continue;
    std::vector<std::string> rule_args = {
        "--lint=" + std::string(options.lint_duplicates ? kLintDuplicates : kLintNone), "--lint-fatal"};
    if (options.ignore_unknown) rule_args.emplace_back("--ignore-unknown-fields");
    for (const std::string& feature : features) rule_args.push_back("--enable-feature=" + feature);
    rule_args.emplace_back("--");
    rule_args.insert(rule_args.end(), rule_files.begin(), rule_files.end());
    int exit = CheckRules(rule_args, io);
    failed |= exit == 1;
    linted |= exit == 3;
  }
  if (failed) return 1;
  return linted && options.fatal ? 3 : 0;
}

}  // namespace tocsin::tools
