#include "app/serve.h"

#include "app/features.h"
#include "app/flags.h"
#include "app/service.h"
#include "app/verbs.h"
#include "base/log.h"
#include "base/text.h"
#include "base/version.h"

namespace tocsin::app {
namespace {

constexpr std::string_view kExamples =
    "Examples:\n"
    "  tocsin serve --config.file=prometheus.yml --alertmanager.config.file=alertmanager.yml\n"
    "  tocsin serve --storage.tsdb.path=/var/lib/tocsin --storage.tsdb.retention.time=30d --web.enable-lifecycle\n";

std::optional<std::string> ConfigureLogFrom(const Flags& flags) {
  base::LogOptions options;
  const std::string& level = flags.String("log.level");
  if (level == "debug") options.level = base::LogLevel::kDebug;
  else if (level == "info") options.level = base::LogLevel::kInfo;
  else if (level == "warn") options.level = base::LogLevel::kWarn;
  else if (level == "error") options.level = base::LogLevel::kError;
  else return "--log.level=" + level + ": write debug, info, warn or error";
  const std::string& format = flags.String("log.format");
  if (format == "json") options.format = base::LogFormat::kJson;
  else if (format != "logfmt") return "--log.format=" + format + ": write logfmt or json";
  base::ConfigureLog(options);
  return std::nullopt;
}

}  // namespace

int Serve(const std::vector<std::string>& args, const tools::ToolIo& io) {
  Flags flags(ServeFlagTable(), "tocsin serve [FLAGS]", kExamples);
  if (auto exit = flags.Parse(args, io)) return *exit;
  if (flags.Bool("version")) {
    io.out(VersionText("tocsin"));
    return 0;
  }
  if (auto wrong = ConfigureLogFrom(flags)) {
    io.err("error: " + *wrong + "\n");
    return 2;
  }
  if (flags.Bool("agent")) {
    io.err("error: --agent: this version has no agent mode\n");
    return 2;
  }
  if (const auto given = flags.GivenWith("storage.agent."); !given.empty()) {
    io.err("error: --" + base::Join(given, ", --") + ": can only be used in agent mode, which this version does not have\n");
    return 3;
  }
  for (const FeatureNote& note : NotesOnFeatures(flags)) base::LogWarn(note.text, {{"option", note.feature}});
  for (const std::string& name : flags.GivenButIgnored()) {
    base::LogInfo("This flag is accepted and has no meaning here", {{"flag", "--" + name}});
  }
  base::LogInfo("Starting tocsin", {{"version", base::kVersion}, {"prometheus", base::kPrometheusVersion},
                                    {"alertmanager", base::kAlertmanagerVersion}});
  Service service(flags, io.fs);
  if (auto started = service.Start(); !started) {
    base::LogError("Could not start", {});
    io.err(started.error().message() + "\n");
    return 1;
  }
  return service.Run();
}

}  // namespace tocsin::app
