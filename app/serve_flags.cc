#include "app/flags.h"

namespace tocsin::app {
namespace {

using enum FlagKind;
constexpr FlagUse kIgnored = FlagUse::kIgnored;

// Prometheus 3.14's flags in its own groups, then ours.
constexpr FlagRow kServeFlags[] = {
    {"config.file", kString, "prometheus.yml", "The configuration, a prometheus.yml."},
    {"config.auto-reload", kBool, "false", "Reload when a configuration or rule file changes."},
    {"config.auto-reload-interval", kDuration, "30s", "How often to look for changes."},
    {"web.listen-address", kList, "0.0.0.0:9090", "Where to listen; may be repeated."},
    {"web.config.file", kString, "", "TLS, basic auth, headers and rate limit of the server; re-read when it changes."},
    {"web.read-timeout", kDuration, "5m", "Longest time to read a request."},
    {"web.max-connections", kInt, "512", "Most connections at once."},
    {"web.max-notifications-subscribers", kInt, "16", "Most listeners to /api/v1/notifications/live."},
    {"web.external-url", kString, "", "The address under which people reach this server, for links."},
    {"web.route-prefix", kString, "", "Prefix of all routes; default: the path of web.external-url."},
    {"web.user-assets", kString, "", "Folder of files to serve under /user.", kIgnored},
    {"web.enable-lifecycle", kBool, "false", "Allow POST /-/reload and /-/quit."},
    {"web.enable-admin-api", kBool, "false", "Allow deletion and snapshots through the API."},
    {"web.enable-remote-write-receiver", kBool, "false", "Accept POST /api/v1/write."},
    {"web.remote-write-receiver.accepted-protobuf-messages", kList, "prometheus.WriteRequest",
     "Messages that the receiver takes."},
    {"web.enable-otlp-receiver", kBool, "false", "Accept OTLP metrics (not in this version).", kIgnored},
    {"web.console.templates", kString, "consoles", "Folder of console templates.", kIgnored},
    {"web.console.libraries", kString, "console_libraries", "Folder of console libraries.", kIgnored},
    {"web.page-title", kString, "tocsin", "Title of the pages.", kIgnored},
    {"web.cors.origin", kString, ".*", "Origins allowed to call the API, an anchored regex."},
    {"web.search.max-limit", kInt, "10000", "Largest limit of a search.", kIgnored},
    {"storage.tsdb.path", kString, "data/", "Folder of the database."},
    {"storage.tsdb.retention.time", kDuration, "", "How long to keep samples (15d)."},
    {"storage.tsdb.retention.size", kBytes, "", "How many bytes to keep."},
    {"storage.tsdb.no-lockfile", kBool, "false", "Do not lock the database's folder."},
    {"storage.tsdb.head-chunks-write-queue-size", kInt, "0", "Queue of head chunks.", kIgnored},
    {"storage.tsdb.delay-compact-file.path", kString, "", "File of a shipper to wait for.", kIgnored},
    {"storage.tsdb.min-block-duration", kDuration, "2h", "Shortest block."},
    {"storage.tsdb.max-block-duration", kDuration, "", "Longest block; default: a tenth of the retention."},
    {"storage.tsdb.max-block-chunk-segment-size", kString, "512MB", "Size of a chunk file.", kIgnored},
    {"storage.tsdb.wal-segment-size", kBytes, "128MB", "Size of a log segment: 32KB to 1GB."},
    {"storage.tsdb.allow-overlapping-compaction", kBool, "true", "Merge overlapping blocks.", kIgnored},
    {"storage.tsdb.wal-compression", kBool, "true", "Compress the log."},
    {"storage.tsdb.wal-compression-type", kString, "snappy", "snappy or zstd."},
    {"storage.tsdb.samples-per-chunk", kInt, "120", "Samples a chunk aims at."},
    {"storage.tsdb.block-reload-interval", kDuration, "1m", "How often there is compaction and retention; at least 1s."},
    {"storage.tsdb.delayed-compaction.max-percent", kInt, "10", "Spread of compactions.", kIgnored},
    {"scrape.adjust-timestamps", kBool, "true", "Snap scrape times to their schedule."},
    {"scrape.timestamp-tolerance", kDuration, "2ms", "How far a scrape time may be snapped."},
    {"scrape.discovery-reload-interval", kDuration, "5s", "Debouncing of discovery."},
    {"storage.agent.path", kString, "data-agent/", "Agent mode (not in this version).", kIgnored},
    {"storage.agent.wal-compression", kBool, "true", "Agent mode.", kIgnored},
    {"storage.agent.retention.min-time", kString, "5m", "Agent mode.", kIgnored},
    {"storage.agent.retention.max-time", kString, "4h", "Agent mode.", kIgnored},
    {"storage.agent.no-lockfile", kBool, "false", "Agent mode.", kIgnored},
    {"storage.remote.flush-deadline", kDuration, "1m", "Longest flush at the end.", kIgnored},
    {"storage.remote.read-sample-limit", kInt, "50000000", "Most samples of a remote read.", kIgnored},
    {"storage.remote.read-concurrent-limit", kInt, "10", "Most remote reads at once.", kIgnored},
    {"storage.remote.read-max-bytes-in-frame", kInt, "1048576", "Frame of a remote read.", kIgnored},
    {"rules.alert.for-outage-tolerance", kDuration, "1h", "Longest outage after which `for` is restored."},
    {"rules.alert.for-grace-period", kDuration, "10m", "Least time a restored `for` still runs."},
    {"rules.alert.resend-delay", kDuration, "1m", "Least time between sendings of one alert."},
    {"rules.max-concurrent-evals", kInt, "4", "Rules of a group evaluated at once.", kIgnored},
    {"alertmanager.notification-queue-capacity", kInt, "10000", "Alerts waiting for an Alertmanager."},
    {"alertmanager.notification-batch-size", kInt, "256", "Alerts in one request."},
    {"alertmanager.drain-notification-queue-on-shutdown", kBool, "true", "Send what waits at the end."},
    {"query.lookback-delta", kDuration, "5m", "How far an instant selector looks back."},
    {"query.timeout", kDuration, "2m", "Longest query."},
    {"query.max-concurrency", kInt, "20", "Most queries at once."},
    {"query.max-samples", kInt, "50000000", "Most samples of one query in memory."},
    {"enable-feature", kList, "", "Features by name, comma separated; may be repeated."},
    {"agent", kBool, "false", "Agent mode (not in this version)."},
    {"auto-gomaxprocs", kBool, "true", "Go's scheduler.", kIgnored},
    {"auto-gomemlimit", kBool, "true", "Go's memory limit.", kIgnored},
    {"auto-gomemlimit.ratio", kFloat, "0.9", "Go's memory limit.", kIgnored},
    {"auto-gomemlimit.refresh-interval", kString, "", "Go's memory limit.", kIgnored},
    {"log.level", kString, "info", "debug, info, warn or error."},
    {"log.format", kString, "logfmt", "logfmt or json."},
    {"version", kBool, "false", "Print the version and exit."},
    // tocsin's own.
    {"alertmanager.config.file", kString, "",
     "The Alertmanager's configuration, an alertmanager.yml; without it alerts are not notified from here."},
    {"storage.path", kString, "", "Folder of the Alertmanager's state; default: alertmanager/ in the database's."},
    {"data.retention", kDuration, "5d", "How long silences and the notification log are kept."},
    {"journal.retention", kDuration, "30d", "How long the alerts' journal is kept, for explain and history; 0: none is written."},
    {"journal.max-size", kBytes, "512MB", "Most bytes of the journal's file; the oldest hours go first."},
    {"storage.tsdb.wal-sync", kString, "batch",
     "batch: a remote write is answered once it is on stable storage, and survives power loss (waiting requests share one "
     "fdatasync); none: once it is written, as Prometheus does, and survives the end of the process only."},
    {"alertmanager.compat", kString, "",
     "upstream: behave as Alertmanager also where this one deliberately does not "
     "(tocsin alertmanager --help lists where)."},
};

}  // namespace

std::span<const FlagRow> ServeFlagTable() { return kServeFlags; }

}  // namespace tocsin::app
