#include "alertmanager/prepared.h"

#include <fmt/format.h>

#include <set>

#include "base/check.h"
#include "base/log.h"
#include "templates/alertmanager_functions.h"
#include "templates/defaults.h"

namespace tocsin::alertmanager {

const std::vector<Integration>& Prepared::Integrations(const std::string& receiver) const {
  static const std::vector<Integration> kNone;
  const auto it = receivers.find(receiver);
  return it == receivers.end() ? kNone : it->second;
}

std::vector<std::string> Prepared::ActiveIntervals(const std::vector<std::string>& names, base::Time t) const {
  std::vector<std::string> out;
  for (const std::string& name : names) {
    const NamedTimeInterval* interval = config->FindTimeInterval(name);
    TOCSIN_CHECK(interval != nullptr) << name;  // LoadConfig() refuses others
    if (ContainsTime(interval->intervals, t)) out.push_back(name);
  }
  return out;
}

namespace {

base::Status ParseTemplates(const Config& config, base::FileSystem* fs, templates::TemplateSet* set) {
  RETURN_IF_ERROR(templates::AddDefaultTemplates(set));
  for (const std::string& pattern : config.templates) {
    ASSIGN_OR_RETURN(const std::vector<std::string> files, base::Glob(fs, pattern));
    for (const std::string& file : files) {
      ASSIGN_OR_RETURN(const std::string text, fs->ReadFile(file));
      if (auto parsed = set->Parse(base::NameOf(file), text); !parsed) {
        return base::InvalidArgument(fmt::format("{}: {}", file, parsed.error().message()));
      }
    }
  }
  return {};
}

void NamesInUse(const Route& route, std::set<std::string>* out) {
  out->insert(route.options().receiver);
  for (const auto& child : route.children()) NamesInUse(*child, out);
}

void WarnOfIntervals(const Route& route, const Options& options) {
  const RouteOptions& o = route.options();
  if (o.repeat_interval < o.group_interval) {
    base::LogWarn("repeat_interval is less than group_interval; notifications repeat every group_interval",
                  {{"repeat_interval", o.repeat_interval}, {"group_interval", o.group_interval}, {"route", route.key()}});
  }
  if (o.repeat_interval > options.retention) {
    base::LogWarn("repeat_interval is greater than the data retention period; notifications repeat after it",
                  {{"repeat_interval", o.repeat_interval}, {"retention", options.retention}, {"route", route.key()}});
  }
  for (const auto& child : route.children()) WarnOfIntervals(*child, options);
}

}  // namespace

base::Result<PreparedPtr> Alertmanager::Prepare(ConfigPtr config, const Options& options, base::FileSystem* fs) {
  if (auto unsupported = config->UnsupportedBlocks(); !unsupported.empty()) {
    return base::Unimplemented(unsupported.front());
  }
  auto prepared = std::make_shared<Prepared>();
  prepared->config = config;
  prepared->yaml = config->ToYaml();
  prepared->root = Route::Compile(config->route);
  TOCSIN_CHECK(options.clock != nullptr) << "Options::clock is not set";
  auto set = std::make_shared<templates::TemplateSet>(templates::AlertmanagerFunctions(options.clock));
  RETURN_IF_ERROR(ParseTemplates(*config, fs, set.get()));
  prepared->templates = set;
  const ReceiverContext context{.templates = set,
                                .fs = fs,
                                .compat = options.compat,
                                .user_agent = "Alertmanager/" + options.version};
  std::set<std::string> used;
  NamesInUse(*prepared->root, &used);
  for (const ReceiverConfig& r : config->receivers) {
    if (!used.contains(r.name)) {
      base::LogInfo("skipping creation of receiver not referenced by any route", {{"receiver", r.name}});
      continue;
    }
    std::vector<Integration>& list = prepared->receivers[r.name];
    for (const IntegrationConfig& i : r.integrations) {
      list.push_back({.receiver_name = r.name,
                      .name = std::string(i.kind->integration),
                      .key = fmt::format("{}/{}/{}", r.name, i.kind->integration, i.index),
                      .send_resolved = i.send_resolved(),
                      .receiver = MakeReceiver(i, context)});
    }
  }
  WarnOfIntervals(*prepared->root, options);
  return PreparedPtr(std::move(prepared));
}

}  // namespace tocsin::alertmanager
