#include "alertmanager/alertmanager.h"

#include <fmt/format.h>

#include <algorithm>

#include "alertmanager/alert_lists.h"
#include "alertmanager/alerts.h"
#include "alertmanager/am_metrics.h"
#include "alertmanager/dispatcher.h"
#include "alertmanager/event_recorder.h"
#include "alertmanager/gated.h"
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
// Alerts looked at in one step of a slice, and by a scrape of our metrics in one go.
constexpr size_t kStep = 64;
constexpr size_t kCountedAtOnce = 2000;
// Resolved alerts forgotten in one turn of the loop, and how soon the next ones are.
constexpr size_t kForgottenAtOnce = 5000;
constexpr base::Duration kForgetMore = std::chrono::milliseconds(50);

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
        metrics(registry, options.version, {.receiver_names = options.receiver_names_in_metrics,
                                            .alert_names = options.alert_names_in_metrics,
                                            .group_keys = options.group_keys_in_metrics}),
        journal(executor, store, registry, options.journal),
        silences(executor, store, registry,
                 {.retention = options.retention,
                  .limits = options.silence_limits,
                  .log_changes = options.log_silences,
                  .new_id = [this] { return random.Uuid(); },
                  .on_change = [this](const Silence& now, const Silence* before) { JournalSilence(now, before); }}),
        log(executor, store, registry, options.retention, options.compat.forget_told_firing),
        alerts(executor, store, registry,
               {.per_alertname_limit = options.per_alertname_limit,
                .names_in_metrics = options.alert_names_in_metrics,
                .durable = !options.compat.forget_alerts_at_restart}),
        notifier({.executor = executor, .transport = transport, .log = &log, .silences = &silences,
                  .metrics = &metrics, .journal = &journal, .random = &random, .options = &options}),
        started(executor->Now()), started_monotonic(executor->Monotonic()) {
    if (options.event_recorder) {
      recorder = std::make_unique<EventRecorder>(EventRecorder::Parts{
          .executor = executor, .http = transport.http, .journal = &journal, .registry = registry, .instance = options.hostname});
    }
    registry->AddCollector([this] { SetStateMetrics(); });
    ArmMaintenance();
    ArmAlertGc(options.alert_gc_interval);
  }

  void Apply(PreparedPtr next);
  void Store(std::span<const model::AlertPtr> batch);
  ListParts Parts();
  void CountReceived(const model::Alert& alert, std::string_view version);
  void JournalSilence(const Silence& silence, const Silence* before);
  void SetStateMetrics();
  void CountStates();
  void CountGroups();
  void SetGroupGauges(const std::vector<GroupView>& groups);
  void SetAlertGauges(double active, double suppressed);
  void ArmMaintenance();
  void ArmAlertGc(base::Duration after);
  void Stop(base::Task done);

  base::Executor* const executor;
  state::Store* const store;
  const Transport transport;
  const Options options;
  Random random;
  AmMetrics metrics;
  AlertJournal journal;
  std::unique_ptr<EventRecorder> recorder;  // null: none
  Silences silences;
  NotificationLog log;
  AlertStore alerts;
  Notifier notifier;
  const base::Time started;
  const base::Duration started_monotonic;
  PreparedPtr prepared;
  std::unique_ptr<Inhibitor> inhibitor;
  std::unique_ptr<Dispatcher> dispatcher;
  bool stopping = false;
  bool extended = false;  // restored alerts, at the first Apply()
  bool counting = false;  // alerts by state
  base::Timer maintenance_timer;
  base::Timer gc_timer;
  base::Timer stop_timer;
  base::Gate gate;
};

void Alertmanager::Impl::Apply(PreparedPtr next) {
  dispatcher.reset();  // its groups' clocks stop; what they are sending goes on
  if (options.compat.cancel_sends_on_reload) notifier.CancelAll();
  prepared = std::move(next);
  if (recorder != nullptr) {
    recorder->Apply(*prepared->config);
  } else if (prepared->config->event_recorder) {
    base::LogWarn("event_recorder has no effect; it takes --enable-feature=event-recorder");
  }
  inhibitor = std::make_unique<Inhibitor>(prepared->config->inhibit_rules);
  notifier.SetInhibitor(inhibitor.get());
  if (!std::exchange(extended, true)) alerts.Extend(prepared->config->resolve_timeout());
  const base::Time now = executor->Now();
  alerts.ForEach([&](const KnownAlert& known) { inhibitor->Update(known.alert, now); });
  dispatcher = std::make_unique<Dispatcher>(
      Dispatcher::Parts{.executor = executor,
                        .notifier = &notifier,
                        .metrics = &metrics,
                        .journal = &journal,
                        .alerts = &alerts,
                        .maintenance_interval = options.dispatch_maintenance_interval,
                        .not_before = started_monotonic + options.dispatch_start_delay},
      prepared);
  dispatcher->Load(now);
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
  for (const model::AlertPtr& alert : batch) {
    const auto stored = alerts.Put(alert);
    if (!stored) continue;
    const bool fires = !alert->ResolvedAt(now);
    if (stored->was_firing != fires) {
      if (fires) {
        journal.Received(*alert, stored->was_known);
      } else {
        journal.Resolved(*alert);
      }
    }
    if (dispatcher == nullptr || stopping) continue;
    inhibitor->Update(stored->known->alert, now);
    dispatcher->Insert(stored->known);
  }
}

ListParts Alertmanager::Impl::Parts() {
  return {.alerts = &alerts,
          .silences = &silences,
          .inhibitor = inhibitor.get(),
          .dispatcher = dispatcher.get(),
          .prepared = prepared,
          .now = executor->Now()};
}

void Alertmanager::Impl::CountReceived(const model::Alert& alert, std::string_view version) {
  const bool fires = alert.ends_at > executor->Now();
  const std::string_view state = fires ? "firing" : "resolved";
  if (options.alert_names_in_metrics) {
    metrics.received->With({state, version, alert.name()})->Add();
  } else if (version == "v2") {
    (fires ? metrics.received_firing : metrics.received_resolved)->Add();
  } else {
    metrics.received->With({state, version})->Add();
  }
}

void Alertmanager::Impl::JournalSilence(const Silence& silence, const Silence* before) {
  const std::string matchers = MatcherSetsText(silence.matcher_sets);
  const bool ended = silence.ends_at <= executor->Now();
  const SilenceChange change = before == nullptr ? SilenceChange::kCreated
                               : ended           ? SilenceChange::kExpired
                                                 : SilenceChange::kUpdated;
  if (change == SilenceChange::kCreated && MutesNearlyAll(silence)) {
    base::LogWarn("a silence mutes nearly every alert; expire it if that was not meant",
                  {{"id", silence.id}, {"matchers", matchers}, {"created_by", silence.created_by}, {"ends_at", silence.ends_at}});
  }
  journal.Silence(change, silence.id, matchers, silence.created_by, silence.comment, silence.starts_at, silence.ends_at);
}

void Alertmanager::Impl::SetStateMetrics() {
  const base::Time now = executor->Now();
  for (SilenceState s : {SilenceState::kActive, SilenceState::kPending, SilenceState::kExpired}) {
    metrics.silences->With({SilenceStateName(s)})->Set(static_cast<double>(silences.CountInState(s, now)));
  }
  if (counting) return;
  if (options.group_keys_in_metrics) {
    CountGroups();
  } else {
    CountStates();
  }
}

// A few alerts are counted at once; of many the numbers are those of the last count, which goes on in
// slices and was begun by the scrape before.
void Alertmanager::Impl::CountStates() {
  struct Count {
    std::vector<uint64_t> fingerprints;
    size_t at = 0;
    double active = 0, suppressed = 0;
  };
  auto count = std::make_shared<Count>(Count{.fingerprints = alerts.Fingerprints()});
  auto step = [this, count](size_t n) {
    const ListParts parts = Parts();
    for (; n > 0 && count->at < count->fingerprints.size(); --n, ++count->at) {
      const KnownAlert* known = alerts.Find(count->fingerprints[count->at]);
      if (known == nullptr || known->alert->ResolvedAt(parts.now)) continue;
      (StatusOfAlert(parts, *known->alert).suppressed ? count->suppressed : count->active) += 1;
    }
    return count->at < count->fingerprints.size();
  };
  if (count->fingerprints.size() <= kCountedAtOnce) {
    step(count->fingerprints.size());
    return SetAlertGauges(count->active, count->suppressed);
  }
  counting = true;
  executor->Slice(GatedStep(gate, [step] { return step(kStep); }), gate.Wrap([this, count] {
    counting = false;
    SetAlertGauges(count->active, count->suppressed);
  }));
}

void Alertmanager::Impl::CountGroups() {
  auto list = std::make_shared<GroupList>(Parts(), AlertFilter{});
  if (alerts.size() <= kCountedAtOnce) {
    list->Step(Parts(), SIZE_MAX);
    return SetGroupGauges(list->Take());
  }
  counting = true;
  executor->Slice(GatedStep(gate, [this, list] { return list->Step(Parts(), kStep); }), gate.Wrap([this, list] {
    counting = false;
    SetGroupGauges(list->Take());
  }));
}

void Alertmanager::Impl::SetGroupGauges(const std::vector<GroupView>& groups) {
  metrics.alerts->Clear();
  for (const GroupView& group : groups) {
    const auto suppressed = static_cast<size_t>(
        std::ranges::count_if(group.alerts, [](const AlertView& a) { return a.status.suppressed; }));
    metrics.alerts->With({"active", group.key})->Set(static_cast<double>(group.alerts.size() - suppressed));
    metrics.alerts->With({"suppressed", group.key})->Set(static_cast<double>(suppressed));
    metrics.alerts->With({"unprocessed", group.key})->Set(0);
  }
}

void Alertmanager::Impl::SetAlertGauges(double active, double suppressed) {
  metrics.alerts->With({"active"})->Set(active);
  metrics.alerts->With({"suppressed"})->Set(suppressed);
}

void Alertmanager::Impl::ArmMaintenance() {
  maintenance_timer = executor->After(options.maintenance_interval, gate.Wrap([this] {
    silences.Collect();
    log.Collect();
    journal.Collect();
    state::Transaction t;
    t.ForgetExpired(executor->Now());
    store->Commit(std::move(t), [](base::Status s) {
      if (!s) base::LogWarn("expired records could not be forgotten", {{"error", s.error()}});
    });
    ArmMaintenance();
  }));
}

void Alertmanager::Impl::ArmAlertGc(base::Duration after) {
  gc_timer = executor->After(after, gate.Wrap([this] {
    const auto gone = alerts.Collect(kForgottenAtOnce, [this](const KnownAlert& known) { return dispatcher == nullptr || !dispatcher->Holds(known); });
    for (const model::AlertPtr& alert : gone) {
      if (inhibitor != nullptr) inhibitor->Forget(*alert);
    }
    ArmAlertGc(gone.size() == kForgottenAtOnce ? kForgetMore : options.alert_gc_interval);
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
    alerts.SaveAll();
    journal.Flush([this, done = std::move(done)]() mutable {
      if (recorder == nullptr) return done();
      recorder->Stop(std::move(done));
    });
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
  impl_->journal.ContinueAfter(contents.last_alert_chapter);
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
    copy->known_fingerprint = copy->labels.Fingerprint();
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
  std::vector<std::shared_ptr<model::Alert>> shared;
  shared.reserve(alerts.size());
  for (model::Alert& a : alerts) shared.push_back(std::make_shared<model::Alert>(std::move(a)));
  return Post(shared, api_version);
}

base::Status Alertmanager::Post(std::span<const std::shared_ptr<model::Alert>> alerts, std::string_view api_version) {
  const base::Time now = impl_->executor->Now();
  TOCSIN_CHECK(impl_->prepared != nullptr) << "Post() before Apply()";
  std::vector<model::AlertPtr> valid;
  valid.reserve(alerts.size());
  std::string problems;
  for (const std::shared_ptr<model::Alert>& alert : alerts) {
    model::Alert& a = *alert;
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
    if (a.known_fingerprint == 0) a.known_fingerprint = a.labels.Fingerprint();
    valid.push_back(alert);
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
AlertStatus Alertmanager::StatusOf(const model::Alert& alert) const { return StatusOfAlert(impl_->Parts(), alert); }

// ---- lists -------------------------------------------------------------------------------------

std::vector<AlertView> Alertmanager::Alerts(const AlertFilter& filter) const {
  AlertList list(impl_->Parts(), filter);
  list.Step(impl_->Parts(), SIZE_MAX);
  return list.Take();
}

std::vector<GroupView> Alertmanager::Groups(const AlertFilter& filter) const {
  GroupList list(impl_->Parts(), filter);
  list.Step(impl_->Parts(), SIZE_MAX);
  auto groups = list.Take();
  GroupList::Finish(&groups);
  return groups;
}

void Alertmanager::ListAlerts(AlertFilter filter, std::move_only_function<void(std::vector<AlertView>)> done) {
  auto list = std::make_shared<AlertList>(impl_->Parts(), std::move(filter));
  impl_->executor->Slice(GatedStep(impl_->gate, [impl = impl_.get(), list] { return list->Step(impl->Parts(), kStep); }),
                         [list, done = std::move(done)]() mutable { done(list->Take()); });
}

void Alertmanager::ListGroups(AlertFilter filter, std::move_only_function<void(std::vector<GroupView>)> done) {
  auto list = std::make_shared<GroupList>(impl_->Parts(), std::move(filter));
  impl_->executor->Slice(GatedStep(impl_->gate, [impl = impl_.get(), list] { return list->Step(impl->Parts(), kStep); }),
                         [list, done = std::move(done)]() mutable { done(list->Take()); });
}

void Alertmanager::SortGroups(std::vector<GroupView>* groups) { GroupList::Finish(groups); }

// ---- for explain, preview and the history --------------------------------------------------------

const PreparedPtr& Alertmanager::prepared() const { return impl_->prepared; }
state::Store* Alertmanager::store() const { return impl_->store; }
const Transport& Alertmanager::transport() const { return impl_->transport; }
AlertJournal& Alertmanager::journal() const { return impl_->journal; }

void Alertmanager::FindKnown(Matchers matchers, size_t limit,
                             std::move_only_function<void(std::vector<model::AlertPtr>)> done) const {
  auto list = std::make_shared<KnownList>(impl_->Parts(), std::move(matchers), limit);
  impl_->executor->Slice(GatedStep(impl_->gate, [impl = impl_.get(), list] { return list->Step(impl->Parts(), kStep); }),
                         [list, done = std::move(done)]() mutable { done(list->Take()); });
}

model::AlertPtr Alertmanager::FindAlert(uint64_t fingerprint) const {
  const KnownAlert* known = impl_->alerts.Find(fingerprint);
  return known == nullptr ? nullptr : known->alert;
}

const NotificationEntry* Alertmanager::LastTold(const std::string& group_key, const std::string& integration_key) const {
  return impl_->log.Find(group_key, integration_key);
}

std::optional<Alertmanager::GroupClock> Alertmanager::ClockOf(const Route& route, model::LabelsView labels) const {
  const AggregationGroup* group = impl_->dispatcher == nullptr ? nullptr : impl_->dispatcher->Find(route, labels);
  if (group == nullptr) return std::nullopt;
  return GroupClock{.next_flush = group->next_flush(), .muted_by = group->muted_by()};
}

}  // namespace tocsin::alertmanager
