#include "config/prometheus_config.h"

#include <algorithm>
#include <cstdlib>
#include <set>

#include "base/number.h"
#include "base/text.h"
#include "config/sections.h"

namespace tocsin::config {
namespace {

using base::yaml::Errors;
using base::yaml::Node;
using base::yaml::Reader;

// Go's os.Expand: $name, ${name}; $$ stands for one $.
std::string ExpandEnv(std::string_view text, const std::function<std::string(const std::string&)>& value) {
  auto is_name = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  constexpr std::string_view kSpecial = "*#$@!?-0123456789";
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 >= text.size()) {
      out.push_back(text[i]);
      continue;
    }
    std::string_view rest = text.substr(i + 1);
    if (rest[0] == '{') {
      size_t close = rest.find('}');
      // An open brace without its end, or nothing within: Go eats the syntax.
      if (close == rest.npos) {
        ++i;
        continue;
      }
      std::string name(rest.substr(1, close - 1));
      if (!name.empty()) out += value(name);
      i += close + 1;
      continue;
    }
    size_t end = 0;
    if (kSpecial.find(rest[0]) != kSpecial.npos) {
      end = 1;
    } else {
      while (end < rest.size() && is_name(rest[end])) ++end;
    }
    if (end == 0) {
      out.push_back('$');
      continue;
    }
    out += value(std::string(rest.substr(0, end)));
    i += end;
  }
  return out;
}

bool IsPatternInLastElementOnly(std::string_view path) {
  size_t star = path.find('*');
  return star == path.npos || path.find('/', star) == path.npos;
}

class Loader {
 public:
  Loader(base::FileSystem* fs, const LoadOptions& options, const std::string& path, const std::string& folder)
      : fs_(fs), options_(options), folder_(folder), errors_(path) {
    config_.path = path;
  }

  base::Result<PrometheusConfig> Run(std::string_view text) {
    auto doc = base::yaml::Parse(text, config_.path);
    if (!doc) return std::unexpected(AsFieldSetTwice(doc.error()));
    if (doc->has_more_documents()) {
      config_.warnings.push_back(config_.path + ": only the first YAML document of the file is read");
    }
    Read(doc->root());
    SetDirectories();
    base::Status status = errors_.ToStatus();
    if (status && options_.read_scrape_config_files) status = ReadScrapeConfigFiles();
    if (!status) return std::unexpected(status.error());
    FindUnsupported();
    return std::move(config_);
  }

 private:
  // A repeated key of a section, in the words of Go's decoder of structures.
  static base::Error AsFieldSetTwice(const base::Error& error) {
    std::string out;
    for (std::string_view line : base::Split(error.message(), '\n')) {
      constexpr std::string_view kBegin = "mapping key \"";
      constexpr std::string_view kEnd = "\" already defined at line";
      size_t begin = line.find(kBegin);
      size_t end = line.find(kEnd);
      if (!out.empty()) out += '\n';
      out += line;
      if (begin == line.npos || end == line.npos) continue;
      begin += kBegin.size();
      out += ": field " + std::string(line.substr(begin, end - begin)) + " already set in type config.plain";
    }
    return base::Error(error.code(), std::move(out));
  }

  void Read(const Node& root) {
    Reader r(root, &errors_, "config.plain");
    r.With("global", [&](const Node& node) { ReadGlobal(node); });
    if (options_.protobuf_first && !config_.global.scrape.scrape_protocols) {
      config_.global.scrape.scrape_protocols = {scrape::Protocol::kPrometheusProto, scrape::Protocol::kOpenMetricsText1_0_0,
                                                scrape::Protocol::kOpenMetricsText0_0_1, scrape::Protocol::kPrometheusText1_0_0,
                                                scrape::Protocol::kPrometheusText0_0_4};
    }
    model::NameScheme scheme = config_.global.scrape.name_validation;
    r.With("runtime", [&](const Node& node) { ReadRuntime(node, &errors_, &config_); });
    r.With("alerting", [&](const Node& node) { remote::ReadAlerting(node, scheme, &errors_, &config_.alerting); });
    ReadPatterns("rule_files", "invalid rule file path ", &r, &config_.rule_files);
    ReadPatterns("scrape_config_files", "invalid scrape config file path ", &r, &config_.scrape_config_files);
    r.Each("scrape_configs", [&](const Node& node) { ReadJob(node, config_.path, &errors_); });
    config_.own_scrape_jobs = config_.scrape_jobs.size();
    r.With("storage", [&](const Node& node) { ReadStorage(node, &errors_, &config_.storage); });
    if (!config_.storage.retention) config_.storage.retention = options_.retention;
    for (const char* key : {"tracing", "remote_write", "remote_read"}) block_positions_[key] = r.At(key);
    r.With("tracing", [&](const Node& node) { ReadTracing(node, &errors_, &config_.tracing); });
    r.Each("remote_write", [&](const Node& node) {
      remote::ReadRemoteWrite(node, scheme, &errors_, &config_.remote_write.emplace_back());
      CheckName(config_.remote_write.back().name, "remote write", node, &write_names_);
    });
    r.Each("remote_read", [&](const Node& node) {
      remote::ReadRemoteRead(node, &errors_, &config_.remote_read.emplace_back());
      CheckName(config_.remote_read.back().name, "remote read", node, &read_names_);
    });
    r.With("otlp", [&](const Node& node) { ReadOtlp(node, scheme, &errors_, &config_.otlp); });
    if (options_.agent) CheckAgent(&r);
    r.Finish();
  }

  void ReadGlobal(const Node& node) {
    GlobalConfig& g = config_.global;
    Reader r(node, &errors_, "config.plain");
    scrape::ReadGlobalScrapeKeys(&r, &g.scrape);
    r.Duration("evaluation_interval", &g.evaluation_interval);
    if (g.evaluation_interval.count() == 0) g.evaluation_interval = std::chrono::minutes(1);
    r.Duration("rule_query_offset", &g.rule_query_offset);
    r.String("query_log_file", &g.query_log_file);
    std::vector<std::pair<std::string, std::string>> labels;
    r.StringMap("external_labels", &labels);
    bool legacy = g.scrape.name_validation == model::NameScheme::kLegacy;
    for (auto& [name, value] : labels) {
      if (!(legacy ? model::IsLegacyLabelName(name) : model::IsValidLabelName(name))) {
        r.Error("external_labels", base::Quote(name) + " is not a valid label name");
      } else if (!base::IsValidUtf8(value)) {
        r.Error("external_labels", base::Quote(value) + " is not a valid label value");
      }
      value = ExpandEnv(value, [this](const std::string& variable) { return Variable(variable); });
    }
    g.external_labels = model::Labels::FromPairs(labels);
    r.Finish();
  }

  std::string Variable(const std::string& name) {
    if (name == "$") return "$";
    std::string value;
    if (options_.env) {
      value = options_.env(name);
    } else if (const char* found = std::getenv(name.c_str())) {
      value = found;
    }
    if (value.empty()) config_.warnings.push_back("external_labels: environment variable " + name + " is empty");
    return value;
  }

  void ReadPatterns(std::string_view key, std::string_view refusal, Reader* r, std::vector<std::string>* out) {
    r->Strings(key, out);
    for (const std::string& pattern : *out) {
      if (IsPatternInLastElementOnly(pattern)) continue;
      r->Error("", std::string(refusal) + base::Quote(pattern) + "; * may stand in the last element of a path only");
    }
  }

  void ReadJob(const Node& node, const std::string& file, Errors* errors) {
    ScrapeJob& job = config_.scrape_jobs.emplace_back();
    job.file = file;
    job.position = node.position;
    scrape::ReadScrapeConfig(node, config_.global.scrape, errors, &job.scrape, &job.discovery);
    const std::string& name = job.scrape.job_name;
    if (name.empty()) return;
    auto [at, added] = job_files_.emplace(name, file);
    if (added) return;
    std::string where = at->second == config_.path ? "the main config file" : at->second;
    errors->Add(node.position, "found multiple scrape configs with job name " + base::Quote(name) +
                                   ", first found in " + where);
  }

  void CheckName(const std::string& name, const char* what, const Node& node, std::set<std::string>* names) {
    if (name.empty() || names->insert(name).second) return;
    errors_.Add(node.position, "found multiple " + std::string(what) + " configs with job name " + base::Quote(name));
  }

  void CheckAgent(Reader* r) {
    auto refuse = [r](std::string_view key) {
      r->Error("", "field " + std::string(key) + " is not allowed in agent mode");
    };
    if (!config_.alerting.alertmanagers.empty() || !config_.alerting.alert_relabel.empty()) refuse("alerting");
    if (!config_.rule_files.empty()) refuse("rule_files");
    if (!config_.remote_read.empty()) refuse("remote_read");
  }

  void SetDirectories() {
    auto join = [this](std::string* path) {
      if (!path->empty()) *path = base::JoinPath(folder_, *path);
    };
    join(&config_.global.query_log_file);
    join(&config_.global.scrape.scrape_failure_log_file);
    for (std::string& file : config_.rule_files) join(&file);
    for (std::string& file : config_.scrape_config_files) join(&file);
    for (ScrapeJob& job : config_.scrape_jobs) {
      scrape::SetDirectory(folder_, &job.scrape);
      job.discovery.SetDirectory(folder_);
    }
    remote::SetDirectory(folder_, &config_.alerting);
    for (auto& write : config_.remote_write) write.http.SetDirectory(folder_);
    for (auto& read : config_.remote_read) read.http.SetDirectory(folder_);
    config_.tracing.tls.SetDirectory(folder_);
  }

  base::Status ReadScrapeConfigFiles() {
    std::string all;
    auto fail = [&all](const std::string& message) { all += (all.empty() ? "" : "\n") + message; };
    for (const std::string& pattern : config_.scrape_config_files) {
      auto files = base::Glob(fs_, pattern);
      if (!files) {
        fail("error retrieving scrape config files for " + base::Quote(pattern) + ": " + files.error().message());
        continue;
      }
      for (const std::string& file : *files) {
        if (auto status = ReadScrapeConfigFile(file); !status) fail(status.error().message());
      }
    }
    if (!all.empty()) return base::InvalidArgument(std::move(all));
    return {};
  }

  base::Status ReadScrapeConfigFile(const std::string& file) {
    ASSIGN_OR_RETURN(std::string text, fs_->ReadFile(file));
    ASSIGN_OR_RETURN(base::yaml::Document doc, base::yaml::Parse(text, file));
    Errors errors(file);
    size_t first = config_.scrape_jobs.size();
    Reader r(doc.root(), &errors, "config.ScrapeConfigs");
    r.Each("scrape_configs", [&](const Node& node) { ReadJob(node, file, &errors); });
    r.Finish();
    std::string folder = base::FolderOf(file);
    for (size_t i = first; i < config_.scrape_jobs.size(); ++i) {
      scrape::SetDirectory(folder, &config_.scrape_jobs[i].scrape);
      config_.scrape_jobs[i].discovery.SetDirectory(folder);
    }
    return errors.ToStatus();
  }

  void FindUnsupported() {
    auto add = [this](const std::string& file, base::yaml::Position at, std::string what) {
      config_.unsupported.push_back({.file = file, .position = at, .what = std::move(what)});
    };
    auto add_discovery = [&](const std::string& file, const discovery::DiscoveryConfig& d, const std::string& owner) {
      for (const auto& sd : d.unsupported) add(file, sd.position, owner + ": " + sd.key);
      for (const auto& sd : d.http) {
        for (const std::string& key : sd.http.UnsupportedKeys()) add(file, {}, owner + ": http_sd_configs: " + key);
      }
    };
    for (const ScrapeJob& job : config_.scrape_jobs) {
      std::string owner = "job " + base::Quote(job.scrape.job_name);
      add_discovery(job.file, job.discovery, owner);
      for (const std::string& key : job.scrape.http.UnsupportedKeys()) add(job.file, job.position, owner + ": " + key);
    }
    for (const auto& am : config_.alerting.alertmanagers) {
      add_discovery(config_.path, am.discovery, "alertmanagers");
      if (!am.cloud_auth.key.empty()) add(config_.path, am.cloud_auth.block.position, "alertmanagers: sigv4");
      for (const std::string& key : am.http.UnsupportedKeys()) add(config_.path, {}, "alertmanagers: " + key);
    }
    // Blocks that are read and checked whole, and that nothing runs yet.
    if (!config_.remote_write.empty()) add(config_.path, block_positions_["remote_write"], "remote_write");
    if (!config_.remote_read.empty()) add(config_.path, block_positions_["remote_read"], "remote_read");
    if (!config_.tracing.endpoint.empty()) add(config_.path, block_positions_["tracing"], "tracing");
  }

  base::FileSystem* const fs_;
  const LoadOptions& options_;
  const std::string folder_;
  Errors errors_;
  PrometheusConfig config_;
  std::map<std::string, std::string> job_files_;
  std::map<std::string, base::yaml::Position> block_positions_;
  std::set<std::string> write_names_;
  std::set<std::string> read_names_;
};

}  // namespace

base::Result<PrometheusConfig> ParsePrometheusConfig(base::FileSystem* fs, std::string_view text,
                                                     const std::string& path, const std::string& folder,
                                                     const LoadOptions& options) {
  return Loader(fs, options, path, folder).Run(text);
}

base::Result<PrometheusConfig> LoadPrometheusConfig(base::FileSystem* fs, const std::string& path,
                                                    const LoadOptions& options) {
  ASSIGN_OR_RETURN(std::string text, fs->ReadFile(path));
  return ParsePrometheusConfig(fs, text, path, base::FolderOf(path), options);
}

base::Status PrometheusConfig::UnsupportedStatus() const {
  if (unsupported.empty()) return {};
  std::string message = path + ": this version cannot do what is asked: ";
  for (size_t i = 0; i < unsupported.size(); ++i) {
    const Unsupported& u = unsupported[i];
    if (i > 0) message += "; ";
    message += u.what;
    if (u.position.line > 0) message += " (" + u.file + ":" + std::to_string(u.position.line) + ")";
  }
  return base::Unimplemented(message + "; take these blocks out");
}

std::map<std::string, discovery::DiscoveryConfig> PrometheusConfig::ScrapeDiscovery() const {
  std::map<std::string, discovery::DiscoveryConfig> jobs;
  for (const ScrapeJob& job : scrape_jobs) jobs.emplace(job.scrape.job_name, job.discovery);
  return jobs;
}

std::map<std::string, discovery::DiscoveryConfig> PrometheusConfig::AlertingDiscovery() const {
  std::map<std::string, discovery::DiscoveryConfig> jobs;
  for (size_t i = 0; i < alerting.alertmanagers.size(); ++i) {
    jobs.emplace("config-" + std::to_string(i), alerting.alertmanagers[i].discovery);
  }
  return jobs;
}

base::Result<std::vector<std::string>> ExpandPatterns(base::FileSystem* fs, const std::vector<std::string>& patterns) {
  std::vector<std::string> files;
  std::set<std::string> seen;
  for (const std::string& pattern : patterns) {
    if (pattern.find_first_of("*?[") == std::string::npos) {
      if (seen.insert(pattern).second) files.push_back(pattern);
      continue;
    }
    ASSIGN_OR_RETURN(std::vector<std::string> found, base::Glob(fs, pattern));
    for (std::string& file : found) {
      if (seen.insert(file).second) files.push_back(std::move(file));
    }
  }
  return files;
}

}  // namespace tocsin::config
