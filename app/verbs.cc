#include "app/verbs.h"

#include "app/alertmanager_main.h"
#include "app/serve.h"
#include "base/version.h"
#include "tools/alertmanager_export.h"
#include "tools/amtool.h"
#include "tools/check_config.h"
#include "tools/check_discovery.h"
#include "tools/check_metrics.h"
#include "tools/check_rules.h"
#include "tools/check_web_config.h"
#include "tools/debug_archive.h"
#include "tools/explain.h"
#include "tools/inbox.h"
#include "tools/promql_verbs.h"
#include "tools/push_metrics.h"
#include "tools/query.h"
#include "tools/template_render.h"
#include "tools/test_rules.h"
#include "tools/tsdb/verbs.h"

namespace tocsin::app {
namespace {

constexpr VerbRow kVerbs[] = {
    {"serve", "tocsin", Serve, "The service: scraping, storage, rules, Alertmanager, web pages, on one port."},
    {"alertmanager", "tocsin", AlertmanagerVerb, "The Alertmanager alone; flags as Alertmanager's."},
    {"alertmanager export", "tocsin", tools::AlertmanagerExport, "Silences and notification log as files that Alertmanager reads."},
    {"inbox", "tocsin", tools::RunInbox, "A local mail server and Slack look-alike that shows what would be delivered."},
    {"explain", "tocsin", tools::ExplainVerb, "Why a notification was or was not sent, now or at a time."},
    {"journal", "tocsin", tools::JournalVerb, "What happened to alerts: their way, each request and its answer."},
    {"preview", "tocsin", tools::PreviewVerb, "The routes alerts take and their messages, with nothing sent."},
    {"receiver test", "tocsin", tools::ReceiverTestVerb, "Send a test to a receiver and show its answer."},
    {"tsdb verify", "tocsin", tools::TsdbVerify, "Check every checksum, order and reference of a database."},
    {"tsdb repair", "tocsin", tools::TsdbRepair, "Mend a damaged database; nothing with samples is deleted."},

    {"check config", "promtool", tools::CheckConfig, "Check prometheus.yml files and what they name."},
    {"check rules", "promtool", tools::CheckRules, "Check rule files."},
    {"check web-config", "promtool", tools::CheckWebConfig, "Check files of --web.config.file."},
    {"check metrics", "promtool", tools::CheckMetrics, "Check the names of an exposition on standard input."},
    {"check service-discovery", "promtool", tools::CheckServiceDiscovery, "Show the targets that a job's discovery finds."},
    {"check healthy", "promtool", tools::CheckHealthy, "Ask whether a server is healthy."},
    {"check ready", "promtool", tools::CheckReady, "Ask whether a server is ready."},
    {"test rules", "promtool", tools::TestRules, "Run unit tests of rules."},
    {"query", "promtool", tools::QueryVerb, "Ask a server: instant, range, series, labels, analyze."},
    {"promql", "promtool", tools::PromqlVerb, "Format an expression, or edit its matchers."},
    {"push metrics", "promtool", tools::PushMetrics, "Send metrics by remote write."},
    {"debug", "promtool", tools::DebugVerb, "Collect what a server says of itself: pprof, metrics, all."},
    {"tsdb list", "promtool", tools::TsdbList, "List the blocks of a database."},
    {"tsdb dump", "promtool", tools::TsdbDump, "Print the samples or the series of a database."},
    {"tsdb dump-openmetrics", "promtool", tools::TsdbDumpOpenMetrics, "Print samples as OpenMetrics."},
    {"tsdb analyze", "promtool", tools::TsdbAnalyze, "Show what a block's series are made of."},
    {"tsdb bench write", "promtool", tools::TsdbBenchWrite, "Measure how fast the database takes samples."},
    {"tsdb create-blocks-from openmetrics", "promtool", tools::TsdbCreateBlocksFromOpenMetrics,
     "Make blocks of an OpenMetrics file."},
    {"tsdb create-blocks-from rules", "promtool", tools::TsdbCreateBlocksFromRules,
     "Make blocks of recording rules over the past."},

    {"alert", "amtool", tools::AlertVerb, "Show alerts of an Alertmanager, or add one."},
    {"silence", "amtool", tools::SilenceVerb, "Show, add, change and end silences."},
    {"check-config", "amtool", tools::CheckConfigVerb, "Check an alertmanager.yml and its templates."},
    {"config", "amtool", tools::AmtoolConfigVerb, "Show a server's configuration; show and test routes."},
    {"template render", "amtool", tools::TemplateRender, "Render a template text with notification data."},
    {"cluster", "amtool", tools::ClusterVerb, "Show the peers of an Alertmanager."},
};

}  // namespace

std::span<const VerbRow> Verbs() { return kVerbs; }

std::string HelpText(std::string_view group, bool color) {
  const std::string bold = color ? "\033[1m" : "";
  const std::string plain = color ? "\033[0m" : "";
  std::string text = "usage: " + std::string(group.empty() ? "tocsin" : group) +
                     " COMMAND [ARGUMENTS]     (each with --help)\n";
  struct Section {
    std::string_view group;
    std::string_view title;
  };
  for (const auto& [name, title] : {Section{"tocsin", "Services and tocsin's own"},
                                    Section{"promtool", "As promtool"}, Section{"amtool", "As amtool"}}) {
    if (!group.empty() && group != name) continue;
    text += "\n" + bold + std::string(title) + plain + "\n";
    for (const VerbRow& row : kVerbs) {
      if (row.group != name) continue;
      text += "  " + std::string(row.name);
      if (row.name.size() >= 24) text += "\n  ";
      text.append(row.name.size() < 24 ? 24 - row.name.size() : 24, ' ');
      text += row.help;
      text += "\n";
    }
  }
  if (group.empty()) {
    text += "\nExamples:\n"
            "  tocsin serve --config.file=prometheus.yml --alertmanager.config.file=alertmanager.yml\n"
            "  tocsin test rules rules/*.test.yml\n"
            "  tocsin silence add alertname=DiskFull -d 2h -c \"being replaced\" "
            "--alertmanager.url=http://127.0.0.1:9090\n";
  }
  return text;
}

std::string VersionText(std::string_view program) {
  return std::string(program) + ", version " + std::string(base::kVersion) + " (compatible with Prometheus " +
         std::string(base::kPrometheusVersion) + " and Alertmanager " +
         std::string(base::kAlertmanagerVersion) + ")\n";
}

}  // namespace tocsin::app
