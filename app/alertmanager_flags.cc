#include "app/alertmanager_main.h"

namespace tocsin::app {
namespace {

using enum FlagKind;
constexpr FlagUse kIgnored = FlagUse::kIgnored;

// Alertmanager 0.34's flags, then ours.
constexpr FlagRow kFlags[] = {
    {"config.file", kString, "alertmanager.yml", "The configuration, an alertmanager.yml."},
    {"storage.path", kString, "data/", "Folder of the state: silences, notification log, alerts, journal."},
    {"data.retention", kDuration, "120h", "How long silences and the notification log are kept."},
    {"data.maintenance-interval", kDuration, "15m", "How often what has expired is forgotten."},
    {"silences.max-silences", kInt, "0", "Most silences, expired ones included; 0: no limit."},
    {"silences.max-silence-size-bytes", kInt, "0", "Largest silence in bytes; 0: no limit."},
    {"log.silences", kBool, "false", "Log each change of a silence."},
    {"alerts.gc-interval", kDuration, "30m", "How often resolved alerts are forgotten."},
    {"alerts.per-alertname-limit", kInt, "0", "Most alerts of one alertname; 0: no limit."},
    {"dispatch.maintenance-interval", kDuration, "30s", "How often empty groups are removed."},
    {"dispatch.start-delay", kDuration, "0s", "No notification earlier than this after the start."},
    {"web.listen-address", kList, ":9093", "Where to listen; may be repeated."},
    {"web.config.file", kString, "", "TLS, basic auth, headers and rate limit of the server; re-read when it changes."},
    {"web.systemd-socket", kBool, "false", "Take listeners from systemd.", kIgnored},
    {"web.external-url", kString, "", "The address under which people reach this server, for links."},
    {"web.route-prefix", kString, "", "Prefix of all routes; default: the path of web.external-url."},
    {"web.get-concurrency", kInt, "0", "Most GET requests at once; 0: by the number of processors, at least 8."},
    {"web.timeout", kDuration, "0s", "Longest time to answer a request of the API, then 503; 0s: no limit."},
    {"auto-gomemlimit.ratio", kFloat, "0.9", "Go's memory limit.", kIgnored},
    {"cluster.listen-address", kString, "0.0.0.0:9094", "Gossip (not in this program; see the log line)."},
    {"cluster.advertise-address", kString, "", "Gossip."},
    {"cluster.peer-name", kString, "", "Gossip."},
    {"cluster.peer", kList, "", "Gossip."},
    {"cluster.peer-timeout", kDuration, "15s", "Gossip."},
    {"cluster.peers-resolve-timeout", kDuration, "15s", "Gossip."},
    {"cluster.gossip-interval", kDuration, "200ms", "Gossip."},
    {"cluster.pushpull-interval", kDuration, "1m", "Gossip."},
    {"cluster.tcp-timeout", kDuration, "10s", "Gossip."},
    {"cluster.probe-timeout", kDuration, "500ms", "Gossip."},
    {"cluster.probe-interval", kDuration, "1s", "Gossip."},
    {"cluster.settle-timeout", kDuration, "1m", "Gossip."},
    {"cluster.reconnect-interval", kDuration, "10s", "Gossip."},
    {"cluster.reconnect-timeout", kDuration, "6h", "Gossip."},
    {"cluster.tls-config", kString, "", "Gossip."},
    {"cluster.allow-insecure-public-advertise-address-discovery", kBool, "false", "Gossip."},
    {"cluster.label", kString, "", "Gossip."},
    {"enable-feature", kList, "", "alert-names-in-metrics, receiver-name-in-metrics, group-key-in-metrics, event-recorder, classic-mode, utf8-strict-mode."},
    {"log.level", kString, "info", "debug, info, warn or error."},
    {"log.format", kString, "logfmt", "logfmt or json."},
    {"version", kBool, "false", "Print the version and exit."},
    // tocsin's own.
    {"journal.retention", kDuration, "30d", "How long the alerts' journal is kept, for explain and history; 0: none is written."},
    {"journal.max-size", kBytes, "512MB", "Most bytes of the journal's file; the oldest hours go first."},
    {"alertmanager.compat", kString, "", "upstream: behave as Alertmanager also where this one deliberately does not, see below."},
};

}  // namespace

std::span<const FlagRow> AlertmanagerFlagTable() { return kFlags; }

}  // namespace tocsin::app
