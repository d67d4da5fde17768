#include "app/configuration.h"

#include "base/digest.h"
#include "base/log.h"

namespace tocsin::app {
namespace {

base::Result<alertmanager::PreparedPtr> LoadAlertmanager(const ConfigurationSources& sources) {
  ASSIGN_OR_RETURN(const std::string text, sources.fs->ReadFile(sources.alertmanager_file));
  ASSIGN_OR_RETURN(alertmanager::ConfigPtr config,
                   alertmanager::LoadConfig(text, sources.alertmanager_file,
                                            {.matcher_mode = sources.alertmanager.matcher_mode}));
  for (const std::string& warning : config->warnings) {
    base::LogWarn(warning, {{"file", sources.alertmanager_file}});
  }
  return alertmanager::Alertmanager::Prepare(std::move(config), sources.alertmanager, sources.fs);
}

}  // namespace

base::Result<std::shared_ptr<const Configuration>> LoadConfiguration(const ConfigurationSources& sources) {
  auto loaded = std::make_shared<Configuration>();
  std::string problems;
  base::Code code = base::Code::kInvalidArgument;
  auto note = [&](const base::Error& error) {
    problems += (problems.empty() ? "" : "\n") + error.message();
    code = error.code();
  };

  auto prometheus = config::LoadPrometheusConfig(sources.fs, sources.prometheus_file, sources.load);
  if (prometheus) {
    loaded->prometheus = std::move(*prometheus);
    if (auto status = loaded->prometheus.UnsupportedStatus(); !status) note(status.error());
    for (const std::string& warning : loaded->prometheus.warnings) {
      base::LogWarn(warning, {{"file", sources.prometheus_file}});
    }
    loaded->prometheus_yaml = loaded->prometheus.ToYaml();
    auto groups = ruler::LoadRuleFiles(sources.fs, loaded->prometheus.rule_files, {.parse = sources.parse});
    if (groups) loaded->groups = std::move(*groups);
    else note(groups.error());
  } else {
    note(prometheus.error());
  }
  if (!sources.alertmanager_file.empty()) {
    auto prepared = LoadAlertmanager(sources);
    if (prepared) loaded->alertmanager = std::move(*prepared);
    else note(prepared.error());
  }
  if (!problems.empty()) return base::MakeError(code, std::move(problems));
  return loaded;
}

uint64_t ConfigurationDigest(const ConfigurationSources& sources) {
  uint64_t digest = base::kFnv1a64Offset;
  auto add = [&](const std::string& file) {
    const auto text = sources.fs->ReadFile(file);
    digest = base::Fnv1a64(digest, file);
    digest = base::Fnv1a64(digest, text ? *text : text.error().message());
  };
  add(sources.prometheus_file);
  if (!sources.alertmanager_file.empty()) add(sources.alertmanager_file);
  const auto prometheus = config::LoadPrometheusConfig(sources.fs, sources.prometheus_file, sources.load);
  if (!prometheus) return digest;
  for (const auto* patterns : {&prometheus->rule_files, &prometheus->scrape_config_files}) {
    const auto files = config::ExpandPatterns(sources.fs, *patterns);
    if (!files) continue;
    for (const std::string& file : *files) add(file);
  }
  return digest;
}

}  // namespace tocsin::app
