#include "alertmanager/alertmanager.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "alertmanager/alerts.h"
#include "alertmanager/am_metrics.h"
#include "alertmanager/dispatcher.h"
#include "alertmanager/inhibitor.h"
#include "alertmanager/journal.h"
#include "alertmanager/notification_log.h"
#include "alertmanager/notifier.h"
#include "alertmanager/prepared.h"
#include "alertmanager/random.h"
#include "base/check.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/text.h"

namespace tocsin::alertmanager {

namespace {

// How long Stop() waits for sends that are under way.
constexpr base::Duration kStopGrace = std::chrono::seconds(5);

// A number out of the configuration's MD5, as upstream's metric.
double ConfigHash(std::string_view text) {
  const auto md5 = base::Md5(text);
  uint64_t sum = 0;
  for (size_t i = 0; i < 6; ++i) sum |= static_cast<uint64_t>(md5[i]) << (8 * i);
  return static_cast<double>(sum);
}

// What is wrong with an alert, in Alertmanager's words.
base::Status ValidateAlert(const model::Alert& a) {
  if (a.starts_at == base::Time{}) return base::InvalidArgument("start time missing");
  if (a.ends_at != base::Time{} && a.ends_at < a.starts_at) {
    return base::InvalidArgument("start time must be before end time");
  }
  if (a.labels.empty()) return base::InvalidArgument("at least one label pair required");
  for (const auto& [labels, what] : {std::pair{&a.labels, "label set"}, std::pair{&a.annotations, "annotations"}}) {
    for (const auto [name, value] : *labels) {
      if (name.empty() || !base::IsValidUtf8(name)) {
        return base::InvalidArgument(fmt::format("invalid {}: invalid name \"{}\"", what, base::ReplaceInvalidUtf8(name)));
      }
      if (!base::IsValidUtf8(value)) {
        return base::InvalidArgument(fmt::format("invalid {}: invalid value \"{}\"", what, base::ReplaceInvalidUtf8(value)));
      }
    }
  }
  return {};
}

}  // namespace

class Alertmanager::Impl {
 public:
  Impl(base::Executor* executor_in, state::Store* store_in, base::Registry* registry, Transport transport_in,
       Options options_in)
      : executor(executor_in), store(store_in), transport(transport_in), options(std::move(options_in)), random(options.seed),
        metrics(registry, options.version, options.receiver_names_in_metrics, options.alert_names_in_metrics),
        journal(executor, store, registry, options.journal),
        silences(executor, store, registry,
                 {.retention = options.retention,
                  .limits = options.silence_limits,
                  .log_changes = options.log_silences,
                  .new_id = [this] { return random.Uuid(); },
                  .on_change = [this](const Silence& now, const Silence* before) { JournalSilence(now, before); }}),
        log(executor, store, registry, options.retention),
        alerts(executor, store, registry,
               {.per_alertname_limit = options.per_alertname_limit,
                .names_in_metrics = options.alert_names_in_metrics,
                .durable = !options.compat.forget_alerts_at_restart}),
        notifier({.executor = executor, .transport = transport, .log = &log, .silences = &silences,
                  .metrics = &metrics, .journal = &journal, .random = &random, .options = &options}),
        started(executor->Now()) {
    registry->AddCollector([this] { SetStateMetrics(); });
    ArmMaintenance();
    ArmAlertGc();
  }

  void Apply(PreparedPtr next);
  void Store(std::span<const model::AlertPtr> batch);
  AlertStatus StatusOf(const model::Alert& alert) const;
  void AddReceivers(const model::Alert& alert, AlertView* view) const;
  void CountReceived(const model::Alert& alert, std::string_view version);
  void JournalSilence(const Silence& silence, const Silence* before);
  void SetStateMetrics();
  void ArmMaintenance();
  void ArmAlertGc();
  void Stop(base::Task done);

  base::Executor* const executor;
  state::Store* const store;
  const Transport transport;
  const Options options;
  Random random;
  AmMetrics metrics;
  AlertJournal journal;
  Silences silences;
  NotificationLog log;
  AlertStore alerts;
  Notifier notifier;
  const base::Time started;
  PreparedPtr prepared;
  std::unique_ptr<Inhibitor> inhibitor;
  std::unique_ptr<Dispatcher> dispatcher;
  bool stopping = false;
  base::Timer maintenance_timer;
  base::Timer gc_timer;
  base::Timer stop_timer;
  base::Gate gate;
};

void Alertmanager::Impl::Apply(PreparedPtr next) {
  dispatcher.reset();  // its groups' clocks stop; what they are sending goes on
  if (options.compat.cancel_sends_on_reload) notifier.CancelAll();
  prepared = std::move(next);
  inhibitor = std::make_unique<Inhibitor>(prepared->config->inhibit_rules);
  notifier.SetInhibitor(inhibitor.get());
  const auto known = alerts.List();
  for (const model::AlertPtr& alert : known) inhibitor->Update(alert, executor->Now());
  dispatcher = std::make_unique<Dispatcher>(
      Dispatcher::Parts{.executor = executor,
                        .notifier = &notifier,
                        .metrics = &metrics,
                        .journal = &journal,
                        .maintenance_interval = options.dispatch_maintenance_interval,
                        .not_before = started + options.dispatch_start_delay},
      prepared);
  dispatcher->Load(known, executor->Now());
  size_t integrations = 0;
  for (const auto& [name, list] : prepared->receivers) integrations += list.size();
  metrics.receivers->Set(static_cast<double>(prepared->receivers.size()));
  metrics.integrations->Set(static_cast<double>(integrations));
  metrics.inhibition_rules->Set(static_cast<double>(inhibitor->rules()));
  metrics.config_hash->Set(ConfigHash(prepared->config->text));
  journal.Service(ServiceEvent::kConfigurationLoaded, prepared->config->file);
  metrics.reload_successful->Set(1);
  metrics.reload_time->Set(static_cast<double>(base::ToUnixMillis(executor->Now())) / 1000);
}

void Alertmanager::Impl::Store(std::span<const model::AlertPtr> batch) {
  const base::Time now = executor->Now();
  // What each alert was before, for the journal.
  for (const model::AlertPtr& alert : batch) {
    const model::AlertPtr before = alerts.Find(alert->fingerprint());
    const bool was_firing = before != nullptr && !before->ResolvedAt(now);
    const bool fires = !alert->ResolvedAt(now);
    if (was_firing == fires) continue;
    if (fires) {
      journal.Received(*alert, before != nullptr);
    } else {
      journal.Resolved(*alert);
    }
  }
  const auto stored = alerts.Put(batch);
  if (dispatcher == nullptr || stopping) return;
  for (const model::AlertPtr& alert : stored) inhibitor->Update(alert, now);
  for (const model::AlertPtr& alert : stored) dispatcher->Insert(alert);
}

AlertStatus Alertmanager::Impl::StatusOf(const model::Alert& alert) const {
  AlertStatus status;
  const base::Time now = executor->Now();
  status.silenced_by = silences.Muting(alert.labels, now);
  if (inhibitor != nullptr) {
    if (auto source = inhibitor->InhibitedBy(alert.labels, now)) status.inhibited_by.push_back(FingerprintText(*source));
  }
  status.suppressed = !status.silenced_by.empty() || !status.inhibited_by.empty();
  return status;
}

void Alertmanager::Impl::AddReceivers(const model::Alert& alert, AlertView* view) const {
  if (prepared == nullptr) return;
  for (const Route* route : prepared->root->Match(alert.labels)) {
    view->receivers.push_back(route->options().receiver);
    const AggregationGroup* group = dispatcher->Find(*route, alert.labels);
    if (group == nullptr) continue;
    for (const std::string& name : group->muted_by()) {
      if (std::ranges::find(view->status.muted_by, name) == view->status.muted_by.end()) {
        view->status.muted_by.push_back(name);
      }
    }
  }
}

void Alertmanager::Impl::CountReceived(const model::Alert& alert, std::string_view version) {
  const std::string_view state = alert.ends_at > executor->Now() ? "firing" : "resolved";
  if (options.alert_names_in_metrics) {
    metrics.received->With({state, version, alert.name()})->Add();
  } else {
    metrics.received->With({state, version})->Add();
  }
}

void Alertmanager::Impl::JournalSilence(const Silence& silence, const Silence* before) {
  std::string matchers;
  for (const Matchers& set : silence.matcher_sets) {
    if (!matchers.empty()) matchers += " or ";
    matchers += MatchersText(set);
  }
  const bool ended = silence.ends_at <= executor->Now();
  const SilenceChange change = before == nullptr ? SilenceChange::kCreated
                               : ended           ? SilenceChange::kExpired
                                                 : SilenceChange::kUpdated;
  journal.Silence(change, silence.id, matchers, silence.created_by, silence.comment, silence.starts_at, silence.ends_at);
}

void Alertmanager::Impl::SetStateMetrics() {
  const base::Time now = executor->Now();
  for (SilenceState s : {SilenceState::kActive, SilenceState::kPending, SilenceState::kExpired}) {
    metrics.silences->With({SilenceStateName(s)})->Set(static_cast<double>(silences.CountInState(s, now)));
  }
  double active = 0, suppressed = 0;
  for (const model::AlertPtr& alert : alerts.List()) {
    if (alert->ResolvedAt(now)) continue;
    (StatusOf(*alert).suppressed ? suppressed : active) += 1;
  }
  metrics.alerts->With({"active"})->Set(active);
  metrics.alerts->With({"suppressed"})->Set(suppressed);
}

void Alertmanager::Impl::ArmMaintenance() {
  maintenance_timer = executor->After(options.maintenance_interval, gate.Wrap([this] {
    silences.Collect();
    log.Collect();
    journal.Collect();
    state::Transaction t;
    // Alerts are forgotten by their own collection.
    t.ForgetExpired(executor->Now(), base::Time(base::Duration(1)));
    store->Commit(std::move(t), [](base::Status s) {
      if (!s) base::LogWarn("expired records could not be forgotten", {{"error", s.error()}});
    });
    ArmMaintenance();
  }));
}

void Alertmanager::Impl::ArmAlertGc() {
  gc_timer = executor->After(options.alert_gc_interval, gate.Wrap([this] {
    for (const model::AlertPtr& alert : alerts.Collect()) {
      if (inhibitor != nullptr) inhibitor->Forget(*alert);
    }
    ArmAlertGc();
  }));
}

void Alertmanager::Impl::Stop(base::Task done) {
  TOCSIN_CHECK(!stopping) << "stopped twice";
  stopping = true;
  notifier.Stopping();
  journal.Service(ServiceEvent::kStopping, "");
  dispatcher.reset();
  maintenance_timer.Cancel();
  gc_timer.Cancel();
  auto finish = [this, done = std::move(done)]() mutable {
    stop_timer.Cancel();
    notifier.CancelAll();
    journal.Flush(std::move(done));
  };
  if (notifier.in_flight() == 0) return finish();
  notifier.OnIdle(gate.Wrap(std::move(finish)));
  stop_timer = executor->After(kStopGrace, gate.Wrap([this] { notifier.CancelAll(); }));
}

// ---- the public face ---------------------------------------------------------------------------

Alertmanager::Alertmanager(base::Executor* executor, state::Store* store, base::Registry* registry,
                           Transport transport, Options options)
    : impl_(std::make_unique<Impl>(executor, store, registry, transport, std::move(options))) {}
Alertmanager::~Alertmanager() = default;

void Alertmanager::Restore(state::Contents contents) {
  impl_->journal.Service(ServiceEvent::kStarted, impl_->options.version);
  if (!impl_->options.compat.repeat_from_end_of_send) impl_->journal.Recover(contents.intents, contents.notifications);
  impl_->silences.Restore(std::move(contents.silences));
  impl_->log.Restore(std::move(contents.notifications), std::move(contents.intents));
  if (!impl_->options.compat.forget_alerts_at_restart) impl_->alerts.Restore(std::move(contents.alerts));
}

void Alertmanager::Apply(PreparedPtr prepared) { impl_->Apply(std::move(prepared)); }
void Alertmanager::ReloadFailed() {
  impl_->journal.Service(ServiceEvent::kConfigurationRefused, "");
  impl_->metrics.reload_successful->Set(0);
}
void Alertmanager::Stop(base::Task done) { impl_->Stop(std::move(done)); }
void Alertmanager::Send(std::span<const model::AlertPtr> alerts) {
  const base::Time now = impl_->executor->Now();
  std::vector<model::AlertPtr> batch;
  batch.reserve(alerts.size());
  for (const model::AlertPtr& alert : alerts) {
    auto copy = std::make_shared<model::Alert>(*alert);
    copy->updated_at = now;
    if (copy->ends_at == base::Time{}) {
      copy->timeout = true;
      copy->ends_at = now + (impl_->prepared ? impl_->prepared->config->resolve_timeout() : base::Duration(std::chrono::minutes(5)));
    }
    impl_->CountReceived(*copy, "v2");
    batch.push_back(std::move(copy));
  }
  impl_->Store(batch);
}

base::Status Alertmanager::Post(std::vector<model::Alert> alerts, std::string_view api_version) {
  const base::Time now = impl_->executor->Now();
  TOCSIN_CHECK(impl_->prepared != nullptr) << "Post() before Apply()";
  std::vector<model::AlertPtr> valid;
  std::string problems;
  for (model::Alert& a : alerts) {
    a.updated_at = now;
    if (a.starts_at == base::Time{}) a.starts_at = a.ends_at == base::Time{} ? now : a.ends_at;
    if (a.ends_at == base::Time{}) {
      a.timeout = true;
      a.ends_at = now + impl_->prepared->config->resolve_timeout();
    }
    impl_->CountReceived(a, api_version);
    if (auto ok = ValidateAlert(a); !ok) {
      impl_->metrics.invalid->With({api_version})->Add();
      if (!problems.empty()) problems += "; ";
      problems += ok.error().message();
      continue;
    }
    valid.push_back(std::make_shared<const model::Alert>(std::move(a)));
  }
  impl_->Store(valid);
  if (!problems.empty()) return base::InvalidArgument(problems);
  return {};
}

Silences& Alertmanager::silences() { return impl_->silences; }
const Silences& Alertmanager::silences() const { return impl_->silences; }
ConfigPtr Alertmanager::config() const { return impl_->prepared ? impl_->prepared->config : nullptr; }
const std::string& Alertmanager::config_yaml() const {
  static const std::string kNone;
  return impl_->prepared ? impl_->prepared->yaml : kNone;
}
base::Time Alertmanager::started() const { return impl_->started; }
const Options& Alertmanager::options() const { return impl_->options; }
size_t Alertmanager::sends_in_flight() const { return impl_->notifier.in_flight(); }
AlertStatus Alertmanager::StatusOf(const model::Alert& alert) const { return impl_->StatusOf(alert); }

namespace {

bool Wanted(const AlertFilter& filter, const AlertStatus& status) {
  const bool muted = !status.muted_by.empty();
  if (!filter.active && !status.suppressed && !muted) return false;
  if (!filter.silenced && !status.silenced_by.empty()) return false;
  if (!filter.inhibited && !status.inhibited_by.empty()) return false;
  return filter.muted || !muted;
}

bool ReceiverWanted(const AlertFilter& filter, const Config& config, const std::string& name) {
  if (filter.receiver && !filter.receiver->Matches(name)) return false;
  if (filter.receiver_matchers.empty()) return true;
  const ReceiverConfig* receiver = config.FindReceiver(name);
  return receiver != nullptr && MatchesAll(filter.receiver_matchers, model::Labels::FromPairs(receiver->labels));
}

}  // namespace

std::vector<AlertView> Alertmanager::Alerts(const AlertFilter& filter) const {
  std::vector<AlertView> out;
  if (impl_->prepared == nullptr) return out;
  const base::Time now = impl_->executor->Now();
  for (const model::AlertPtr& alert : impl_->alerts.List()) {
    if (alert->ResolvedAt(now) || !MatchesAll(filter.matchers, alert->labels)) continue;
    AlertView view{.alert = alert, .status = {}, .receivers = {}};
    impl_->AddReceivers(*alert, &view);
    if ((filter.receiver || !filter.receiver_matchers.empty()) &&
        std::ranges::none_of(view.receivers, [&](const std::string& name) {
          return ReceiverWanted(filter, *impl_->prepared->config, name);
        })) {
      continue;
    }
    AlertStatus status = impl_->StatusOf(*alert);
    status.muted_by = std::move(view.status.muted_by);
    status.suppressed = status.suppressed || !status.muted_by.empty();
    view.status = std::move(status);
    if (Wanted(filter, view.status)) out.push_back(std::move(view));
  }
  return out;
}

std::vector<GroupView> Alertmanager::Groups(const AlertFilter& filter) const {
  std::vector<GroupView> out;
  if (impl_->dispatcher == nullptr) return out;
  const base::Time now = impl_->executor->Now();
  std::map<uint64_t, std::vector<std::string>> receivers;  // of each alert, among the groups wanted
  for (const AggregationGroup* group : impl_->dispatcher->Groups()) {
    const RouteOptions& route = group->route().options();
    if (!ReceiverWanted(filter, *impl_->prepared->config, route.receiver)) continue;
    GroupView view{.key = group->key(),
                   .labels = group->labels(),
                   .route_labels = route.labels,
                   .receiver = route.receiver,
                   .alerts = {},
                   .next_flush = group->next_flush()};
    for (const model::AlertPtr& member : group->Alerts()) {
      if (member->ResolvedAt(now) || !MatchesAll(filter.matchers, member->labels)) continue;
      AlertView alert{.alert = member, .status = impl_->StatusOf(*member), .receivers = {}};
      alert.status.muted_by = group->muted_by();
      alert.status.suppressed = alert.status.suppressed || !group->muted_by().empty();
      if (!Wanted(filter, alert.status)) continue;
      receivers[member->fingerprint()].push_back(route.receiver);
      view.alerts.push_back(std::move(alert));
    }
    std::ranges::stable_sort(view.alerts, [](const AlertView& a, const AlertView& b) { return AlertBefore(*a.alert, *b.alert); });
    if (!view.alerts.empty()) out.push_back(std::move(view));
  }
  for (auto& [fingerprint, names] : receivers) std::ranges::sort(names);
  for (GroupView& view : out) {
    for (AlertView& alert : view.alerts) alert.receivers = receivers[alert.alert->fingerprint()];
  }
  std::ranges::stable_sort(out, [](const GroupView& a, const GroupView& b) {
    if (a.labels != b.labels) return LabelSetBefore(a.labels, b.labels);
    return a.receiver < b.receiver;
  });
  return out;
}

// ---- for explain, preview and the history --------------------------------------------------------

const PreparedPtr& Alertmanager::prepared() const { return impl_->prepared; }
state::Store* Alertmanager::store() const { return impl_->store; }
const Transport& Alertmanager::transport() const { return impl_->transport; }
AlertJournal& Alertmanager::journal() const { return impl_->journal; }

std::vector<model::AlertPtr> Alertmanager::Known(const Matchers& matchers, size_t limit) const {
  std::vector<model::AlertPtr> out;
  for (const model::AlertPtr& alert : impl_->alerts.List()) {
    if (!MatchesAll(matchers, alert->labels)) continue;
    out.push_back(alert);
    if (out.size() == limit) break;
  }
  return out;
}

model::AlertPtr Alertmanager::FindAlert(uint64_t fingerprint) const { return impl_->alerts.Find(fingerprint); }

const NotificationEntry* Alertmanager::LastTold(const std::string& group_key, const std::string& integration_key) const {
  return impl_->log.Find(group_key, integration_key);
}

std::map<std::string, Alertmanager::GroupClock, std::less<>> Alertmanager::GroupClocks() const {
  std::map<std::string, GroupClock, std::less<>> out;
  if (impl_->dispatcher == nullptr) return out;
  for (const AggregationGroup* group : impl_->dispatcher->Groups()) {
    out[group->key()] = {.next_flush = group->next_flush(), .muted_by = group->muted_by()};
  }
  return out;
}

}  // namespace tocsin::alertmanager
