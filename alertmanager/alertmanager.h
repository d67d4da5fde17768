#pragma once

// The Alertmanager: takes alerts, groups them by the routes of alertmanager.yml and notifies
// receivers, unless an inhibition, a silence or a time interval says not to.  Used by `tocsin serve`
// (in process) and `tocsin alertmanager`.
//
//   Alertmanager am(executor, store, registry, {.http = client, .mail = mailer}, options);
//   am.Restore(std::move(contents));
//   ASSIGN_OR_RETURN(auto prepared, Alertmanager::Prepare(config, options));   // any thread
//   am.Apply(prepared);                                                        // first time: starts
//   am.Send(alerts);
//   am.Stop([] { ... });
//
// Threads: loop only, but for Prepare().  What the queries return is immutable.
// Errors:  nothing but Prepare() and the calls that take `done` can fail.
// Order:   the inhibitor knows every alert before the first flush, at start and after each Apply().

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "alertmanager/config.h"
#include "alertmanager/journal.h"
#include "alertmanager/silences.h"
#include "base/executor.h"
#include "base/file_system.h"
#include "base/metrics.h"
#include "base/regex.h"
#include "base/result.h"
#include "model/alert.h"
#include "net/http_client.h"
#include "net/smtp_client.h"
#include "state/store.h"

namespace tocsin::alertmanager {

// How messages leave the process.  Both outlive the Alertmanager.
struct Transport {
  net::HttpClient* http = nullptr;
  net::MailClient* mail = nullptr;
};

// Where tocsin deliberately does not do what Alertmanager does.  `true` is upstream's behaviour;
// --alertmanager.compat=upstream sets them all.
struct Compat {
  // Alerts that resolve while silenced, inhibited or muted are never reported as resolved (#226).
  bool drop_resolved_while_suppressed = false;
  // repeat_interval is measured from the end of the send, so that an exact multiple of
  // group_interval comes one interval late (#676, #917).
  bool repeat_from_end_of_send = false;
  // A reload cancels sends that are under way (#2417).
  bool cancel_sends_on_reload = false;
  // Slack's Retry-After is not honoured: 429 waits for the next tick (#2205).
  bool ignore_retry_after = false;
  // A template that fails means no notification, instead of a plain text that names the error.
  bool no_fallback_text = false;
  // A mail server's final refusal (5xx) is retried like a temporary one.
  bool retry_refused_mail = false;
  // HTML mails have no text part, and no mail says Auto-Submitted.
  bool bare_mail = false;
  // What a receiver was told is forgotten after two repeat intervals even if it was told of firing
  // alerts, so that one that failed for longer is never told that they ended.
  bool forget_told_firing = false;
  // Alerts are forgotten at a restart until senders repeat them.
  bool forget_alerts_at_restart = false;

  static Compat Upstream();
  // One line each: name and meaning, for --help.
  static std::vector<std::pair<std::string_view, std::string_view>> Describe();
};

struct Options {
  std::string external_url;  // without a slash at the end
  base::Duration retention = std::chrono::hours(120);
  base::Duration maintenance_interval = std::chrono::minutes(15);
  base::Duration alert_gc_interval = std::chrono::minutes(30);
  base::Duration dispatch_maintenance_interval = std::chrono::seconds(30);
  base::Duration dispatch_start_delay{};
  int64_t per_alertname_limit = 0;  // 0: none
  SilenceLimits silence_limits;
  JournalOptions journal;
  bool event_recorder = false;  // write events where alertmanager.yml says
  bool log_silences = false;
  bool alert_names_in_metrics = false;
  bool receiver_names_in_metrics = false;
  bool group_keys_in_metrics = false;
  MatcherMode matcher_mode = MatcherMode::kFallback;
  Compat compat;
  std::string version = "0.34.0";  // of User-Agent Alertmanager/<version>
  uint64_t seed = 0;               // of back-off, ids and boundaries; 0: random
  std::string hostname = "localhost";  // in Message-Id
  std::function<base::Time()> clock;   // any thread; for `now` in templates: the executor's Now()
};

struct AlertStatus {
  bool suppressed = false;
  std::vector<std::string> silenced_by;   // ids
  std::vector<std::string> inhibited_by;  // fingerprints
  std::vector<std::string> muted_by;      // names of time intervals
};

struct AlertView {
  model::AlertPtr alert;
  AlertStatus status;
  std::shared_ptr<const std::vector<std::string>> receivers;  // in the order of the routes; never null
};

struct GroupView {
  std::string key;
  model::Labels labels;
  int route_index = 0;  // in the tree, depth first
  Pairs route_labels;  // texts, not expanded
  std::string receiver;
  std::vector<AlertView> alerts;  // by job, instance, labels: as in messages
  base::Time next_flush{};
};

struct AlertFilter {
  Matchers matchers;           // every one must match
  Matchers receiver_matchers;  // against the receiver's labels
  std::optional<base::Regex> receiver;
  bool active = true;
  bool silenced = true;
  bool inhibited = true;
  bool muted = true;
};

struct NotificationEntry;

// What Prepare() made of a configuration: routes, receivers, templates.
class Prepared;
class Route;
using PreparedPtr = std::shared_ptr<const Prepared>;

class Alertmanager : public model::AlertSink {
 public:
  Alertmanager(base::Executor* executor, state::Store* store, base::Registry* registry,
               Transport transport, Options options);
  ~Alertmanager() override;
  Alertmanager(const Alertmanager&) = delete;
  Alertmanager& operator=(const Alertmanager&) = delete;

  // What the store had kept.  Before the first Apply().
  void Restore(state::Contents contents);

  // All of a reload that can fail: reads and parses templates, refuses what is not built.  Any
  // thread; touches no running Alertmanager.
  static base::Result<PreparedPtr> Prepare(ConfigPtr config, const Options& options,
                                           base::FileSystem* fs = base::RealFileSystem());
  // Takes it into use: cannot fail.  Sends that are under way are finished.
  void Apply(PreparedPtr prepared);
  // For the metrics of reloads that failed before Apply().
  void ReloadFailed();

  // Stops timers, lets sends that are under way finish for a moment and writes what is not yet
  // durable; then `done`.
  void Stop(base::Task done);

  // From the ruler: complete alerts, stored as they are.
  void Send(std::span<const model::AlertPtr> alerts) override;
  // From the API: completes times, drops empty labels, checks.  What is valid is stored even if
  // other alerts are not; the error names those.
  base::Status Post(std::vector<model::Alert> alerts, std::string_view api_version = "v2");
  // The same for alerts that are not shared yet, which it completes.
  base::Status Post(std::span<const std::shared_ptr<model::Alert>> alerts, std::string_view api_version = "v2");

  Silences& silences();
  const Silences& silences() const;
  std::vector<AlertView> Alerts(const AlertFilter& filter) const;  // unresolved, by fingerprint
  std::vector<GroupView> Groups(const AlertFilter& filter) const;  // by labels, receiver
  // The same in slices of loop time; groups are still to be sorted, by SortGroups() on any thread.
  void ListAlerts(AlertFilter filter, std::move_only_function<void(std::vector<AlertView>)> done);
  void ListGroups(AlertFilter filter, std::move_only_function<void(std::vector<GroupView>)> done);
  static void SortGroups(std::vector<GroupView>* groups);
  // Of the alert as it is now.
  AlertStatus StatusOf(const model::Alert& alert) const;

  ConfigPtr config() const;         // null before the first Apply()
  const std::string& config_yaml() const;  // masked; what /api/v2/status shows
  base::Time started() const;
  const Options& options() const;

  // For explain, preview and the history.
  const PreparedPtr& prepared() const;  // null before the first Apply()
  state::Store* store() const;
  const Transport& transport() const;
  AlertJournal& journal() const;
  // Alerts that match, also resolved ones, gathered in slices of loop time.
  void FindKnown(Matchers matchers, size_t limit, std::move_only_function<void(std::vector<model::AlertPtr>)> done) const;
  model::AlertPtr FindAlert(uint64_t fingerprint) const;
  const NotificationEntry* LastTold(const std::string& group_key, const std::string& integration_key) const;
  struct GroupClock {
    base::Time next_flush{};
    std::vector<std::string> muted_by;
  };
  // Of the group that an alert of these labels is in by a route of prepared(); nullopt: there is none.
  std::optional<GroupClock> ClockOf(const Route& route, model::LabelsView labels) const;

  // The number of receivers that are being notified now; for tests and orderly ends.
  size_t sends_in_flight() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tocsin::alertmanager
