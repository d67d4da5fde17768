#include "alertmanager/notifier.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "alertmanager/gated.h"
#include "base/check.h"
#include "base/log.h"

namespace tocsin::alertmanager {

namespace {

// Exponential back-off between attempts: 500 ms, times 1.5 each, give or take half, at most 60 s.
base::Duration BackOff(int attempt, double uniform) {
  const double seconds = std::min(60.0, 0.5 * std::pow(1.5, attempt)) * (0.5 + uniform);
  return std::chrono::duration_cast<base::Duration>(std::chrono::duration<double>(seconds));
}

bool IsResolved(const model::Alert& alert) { return alert.ends_at != base::Time{}; }
bool IsEnded(const model::AlertPtr& alert) { return IsResolved(*alert); }

}  // namespace

// One integration being told of one flush.
class Notifier::Delivery {
 public:
  Delivery(Notifier* owner, std::shared_ptr<const FlushedGroup> group, const Integration* integration,
           std::shared_ptr<const std::vector<model::AlertPtr>> suppressed, std::move_only_function<void(bool)> done)
      : owner_(owner), group_(std::move(group)), integration_(integration), alerts_(group_->alerts),
        suppressed_(std::move(suppressed)), done_(std::move(done)), clock_offset_(owner->parts_.log->ClockOffset()),
        deadline_(owner->parts_.executor->Monotonic() + group_->budget) {}

  std::string lane() const { return group_->key + '\n' + integration_->key; }

  // Compares with the log, then sends or not.
  void Start();
  void Cancel() {
    if (recorded_) return End(true);  // only the disk is waited for
    Fail(FailureReason::kContextCanceled, "canceled");
  }

 private:
  const Parts& parts() const { return owner_->parts_; }
  void Decide();
  void Attempt();
  void NextStep();
  void BuiltOne(base::Result<Built> built);
  void NotBuilt(const base::Error& error);
  void Answered(Outcome outcome);
  void Retry(const Outcome& outcome, base::Duration wait);
  void Succeed(std::optional<std::string> receiver_data);
  void Fail(FailureReason reason, const std::string& error);
  void Record(std::optional<std::string> receiver_data);
  void End(bool ok);
  // For the journal.
  AlertJournal::FlushOf Flush() const {
    return {.group = AlertJournal::GroupOf(group_->key, group_->route->options()),
            .integration = integration_->key,
            .tick = group_->tick,
            .reason = repeats_.empty() ? reason_ : std::string_view(repeats_),
            .alerts = &alerts_};
  }
  void NotSent(const NotificationEntry* last);
  std::vector<uint64_t> LeftOut() const;
  UnansweredSend Says() const { return {.tick = group_->tick, .firing = firing_, .resolved = resolved_}; }

  Notifier* const owner_;
  const std::shared_ptr<const FlushedGroup> group_;
  const Integration* const integration_;
  std::vector<model::AlertPtr> alerts_;
  const std::shared_ptr<const std::vector<model::AlertPtr>> suppressed_;
  std::move_only_function<void(bool)> done_;
  const base::Duration clock_offset_;  // at the tick
  const base::Duration deadline_;  // of the monotonic clock

  std::shared_ptr<Notification> notification_;
  std::vector<uint64_t> firing_;
  std::vector<uint64_t> resolved_;
  std::string_view reason_;
  std::string repeats_;  // the reason with a mark, after a crash
  std::string last_error_;  // of an attempt, and why it failed
  FailureReason last_reason_ = FailureReason::kOther;
  int attempts_ = 0;
  bool intended_ = false;
  bool ended_ = false;
  bool recorded_ = false;  // the receiver knows, and the log
  bool calling_ = false;  // a request is out
  std::shared_ptr<bool> unsent_;  // it cannot have been heard
  bool unanswered_ = false;  // one before may have been heard
  bool told_ = false;     // the journal has the refusal
  int status_ = 0;        // of the answer, where it has one
  base::Duration began_{};  // the attempt
  Step step_;
  base::Timer timer_;
  base::Timer deadline_timer_;
  net::Call call_;
  base::Gate gate_;
};

void Notifier::Delivery::Start() {
  // Alerts that ended while suppressed matter only to a receiver that knows of them.
  if (integration_->send_resolved && !suppressed_->empty()) {
    const NotificationLog::Beliefs beliefs = parts().log->BeliefsOf(group_->key, integration_->key);
    for (const model::AlertPtr& a : *suppressed_) {
      if (IsResolved(*a) && beliefs.MayFire(AlertHash(a->labels))) alerts_.push_back(a);
    }
    SortAlerts(&alerts_);
  }
  for (const model::AlertPtr& a : alerts_) {
    (IsResolved(*a) ? resolved_ : firing_).push_back(AlertHash(a->labels));
  }
  std::ranges::sort(firing_);
  std::ranges::sort(resolved_);
  Decide();
}

void Notifier::Delivery::NotSent(const NotificationEntry* last) {
  NotSentCause cause = NotSentCause::kRepeatNotDue;
  base::Time due{};
  if (last == nullptr) {
    cause = alerts_.empty() ? NotSentCause::kAllSuppressed : NotSentCause::kNeverTold;
  } else if (firing_.empty()) {
    cause = alerts_.empty() ? NotSentCause::kAllSuppressed : NotSentCause::kToldResolved;
  } else {
    due = last->sent_at + group_->route->options().repeat_interval;
  }
  parts().journal->NotSent(Flush(), cause, due);
  End(true);
}

void Notifier::Delivery::Decide() {
  parts().log->FollowClock();
  const NotificationEntry* last = parts().log->Find(group_->key, integration_->key);
  const UnansweredSend* unanswered = parts().log->Unanswered(group_->key, integration_->key);
  const NotifyDecision decision = DecideNotification(
      {.last = last,
       .unanswered = parts().options->compat.forget_told_firing ? nullptr : unanswered,
       .firing = firing_,
       .resolved = resolved_,
       .send_resolved = integration_->send_resolved,
       .tick = group_->tick,
       .repeat_interval = group_->route->options().repeat_interval,
       .strictly_older = parts().options->compat.repeat_from_end_of_send});
  if (alerts_.empty() || !decision.notify) return NotSent(last);
  reason_ = decision.reason;
  parts().metrics->Of(parts().metrics->notifications, integration_->name, integration_->receiver_name)->Add();
  if (!integration_->send_resolved) {
    if (firing_.empty()) {
      // Nothing to say, but the log must forget what was firing.
      parts().journal->NotSent(Flush(), NotSentCause::kResolvedUnwanted);
      return Record(std::nullopt);
    }
    std::erase_if(alerts_, [](const model::AlertPtr& a) { return IsResolved(*a); });
  }
  notification_ = std::make_shared<Notification>(Notification{
      .group_key = group_->key,
      .data = {},  // made by the worker that needs it first
      .route_labels = group_->route->options().labels,
      .receiver_data = last != nullptr ? last->receiver_data : std::string(),
      .now = parts().executor->Now(),
      .random = parts().random->Next(),
      .hostname = parts().options->hostname});
  if (unanswered != nullptr) {
    repeats_ = std::string(reason_) + ", repeats one whose answer is not known";
    base::LogWarn("the answer to the notification before is not known; what it said may be repeated",
                  {{"group", group_->key}, {"integration", integration_->key}});
  }
  deadline_timer_ = parts().executor->After(deadline_ - parts().executor->Monotonic(), gate_.Wrap([this] {
    if (calling_ || last_error_.empty()) last_reason_ = FailureReason::kContextDeadlineExceeded;
    Fail(last_reason_, last_error_.empty() ? "context deadline exceeded" : last_error_);
  }));
  intended_ = true;
  parts().log->Intend(group_->key, integration_->key, Says(), gate_.Wrap([this] { Attempt(); }));
}

void Notifier::Delivery::Attempt() {
  calling_ = false;
  ++attempts_;
  step_ = {};
  notification_->now = parts().executor->Now();
  parts().metrics->Of(parts().metrics->requests, integration_->name, integration_->receiver_name)->Add();
  began_ = parts().executor->Monotonic();
  NextStep();
}

void Notifier::Delivery::NextStep() {
  auto built = std::make_shared<std::optional<base::Result<Built>>>();
  const Receiver* receiver = integration_->receiver.get();
  // The worker holds the configuration, so that the receiver outlives this delivery.
  base::Task build = [receiver, built, n = notification_, group = group_, step = step_] {
    built->emplace(receiver->Build(*n, step));
  };
  if (notification_->data.alerts.empty()) {
    build = [build = std::move(build), n = notification_, group = group_, alerts = alerts_, reason = reason_,
             receiver_name = integration_->receiver_name, url = parts().options->external_url]() mutable {
      n->data = MakeNotificationData(*group, receiver_name, alerts, reason, url);
      if (auto expanded = ExpandRouteLabels(*group->prepared->templates, n.get()); !expanded) {
        base::LogError("a route's label could not be expanded; it is empty", {{"group", group->key}, {"error", expanded.error()}});
      }
      build();
    };
  }
  // Not behind queries, which may take their time.
  parts().executor->Offload(base::Lane::kIntake, std::move(build),
                            gate_.Wrap([this, built] { BuiltOne(std::move(**built)); }));
}

void Notifier::Delivery::BuiltOne(base::Result<Built> built) {
  if (!built) return NotBuilt(built.error());
  status_ = 0;
  calling_ = true;
  unsent_ = std::make_shared<bool>(false);
  if (built->replaced) {
    parts().metrics->templates_replaced->Add();
    base::LogError("a notification template failed; a plain text was sent instead",
                   {{"integration", integration_->key}, {"group", group_->key}, {"error", *built->replaced}});
  }
  const base::Duration left =
      std::max<base::Duration>(deadline_ - parts().executor->Monotonic(), std::chrono::milliseconds(1));
  if (auto* request = std::get_if<net::FetchRequest>(&built->message)) {
    // The receiver's own timeout, of one attempt, is 0 if it has none.
    request->timeout = request->timeout > base::Duration{} ? std::min(left, request->timeout) : left;
    request->unsent = unsent_;
    call_ = parts().transport.http->Fetch(std::move(*request), Gated<base::Result<net::FetchResponse>>(gate_, [this](base::Result<net::FetchResponse> r) {
      if (!r) return Answered(OutcomeOfError(r.error()));
      status_ = r->status;
      Answered(integration_->receiver->Judge(*notification_, step_, *r));
    }));
  } else {
    auto& mail = std::get<net::SmtpMessage>(built->message);
    mail.timeout = left;
    mail.unsent = unsent_;
    call_ = parts().transport.mail->Send(std::move(mail), Gated<base::Status>(gate_, [this](base::Status s) {
      if (s) return Answered({.ok = true});
      Outcome outcome = OutcomeOfError(s.error());
      // Wrong credentials and missing TLS may be mended at the server; a refused message will not.
      outcome.retry = s.error().code() != base::Code::kInvalidArgument || parts().options->compat.retry_refused_mail;
      Answered(std::move(outcome));
    }));
  }
}

// No request was made of this attempt's step: a template, an address or a secret is wrong.
void Notifier::Delivery::NotBuilt(const base::Error& error) {
  const Outcome outcome = OutcomeOfError(error);
  parts().metrics->Of(parts().metrics->requests_failed, integration_->name, integration_->receiver_name)->Add();
  if (!outcome.retry) return Fail(outcome.reason, outcome.error);
  Retry(outcome, BackOff(attempts_ - 1, parts().random->Uniform()));
}

void Notifier::Delivery::Answered(Outcome outcome) {
  calling_ = false;
  AlertJournal::Answer answer{.outcome = outcome.more ? RequestOutcome::kAccepted : RequestOutcome::kDelivered,
                              .attempt = attempts_,
                              .step = step_.index,
                              .status = status_,
                              .duration = parts().executor->Monotonic() - began_,
                              .text = outcome.error};
  if (outcome.ok && outcome.more) {
    unanswered_ = unanswered_ || outcome.told;
    parts().journal->Request(Flush(), answer);
    step_ = {.index = step_.index + 1, .carried = std::move(outcome.carried)};
    return NextStep();
  }
  parts().metrics->Of(parts().metrics->latency, integration_->name, integration_->receiver_name)
      ->Observe(base::ToSeconds(parts().executor->Monotonic() - began_));
  if (outcome.ok) {
    parts().journal->Request(Flush(), answer);
    return Succeed(std::move(outcome.receiver_data));
  }
  parts().metrics->Of(parts().metrics->requests_failed, integration_->name, integration_->receiver_name)->Add();
  unanswered_ = unanswered_ || (status_ == 0 && !*unsent_);
  if (!outcome.retry) {
    answer.outcome = RequestOutcome::kRefused;
    parts().journal->Request(Flush(), answer);
    told_ = true;
    return Fail(outcome.reason, outcome.error);
  }
  base::Duration wait = BackOff(attempts_ - 1, parts().random->Uniform());
  if (outcome.retry_after) wait = std::max(wait, *outcome.retry_after);
  answer.outcome = RequestOutcome::kRetry;
  answer.wait = wait;
  parts().journal->Request(Flush(), answer);
  Retry(outcome, wait);
}

void Notifier::Delivery::Retry(const Outcome& outcome, base::Duration wait) {
  if (outcome.error != last_error_) {
    base::LogWarn("notify attempt failed, will retry later", {{"integration", integration_->key},
                                                              {"group", group_->key},
                                                              {"attempts", attempts_},
                                                              {"error", outcome.error}});
  }
  last_error_ = outcome.error;
  last_reason_ = outcome.reason;
  timer_ = parts().executor->After(wait, gate_.Wrap([this] { Attempt(); }));
}

void Notifier::Delivery::Succeed(std::optional<std::string> receiver_data) {
  const base::LogFields fields = {{"integration", integration_->key}, {"group", group_->key},
                                  {"attempts", attempts_}, {"reason", reason_}};
  if (attempts_ > 1) {
    base::LogInfo("notify success", fields);
  } else {
    base::LogDebug("notify success", fields);
  }
  Record(std::move(receiver_data));
}

void Notifier::Delivery::Record(std::optional<std::string> receiver_data) {
  const bool from_end = parts().options->compat.repeat_from_end_of_send;
  NotificationEntry entry{.sent_at = from_end ? parts().executor->Now() : group_->tick,
                          .firing = firing_,
                          .resolved = resolved_,
                          .clock_offset = from_end ? parts().log->ClockOffset() : clock_offset_};
  if (receiver_data) {
    entry.receiver_data = std::move(*receiver_data);
  } else if (notification_ != nullptr && reason_ != "first notification") {
    entry.receiver_data = notification_->receiver_data;
  }
  if (integration_->send_resolved) entry.left_out = LeftOut();
  recorded_ = true;
  deadline_timer_.Cancel();
  // Nothing repeats more often than the group ticks, so the entry must outlive a tick too.
  const RouteOptions& route = group_->route->options();
  parts().log->Record(group_->key, integration_->key, std::move(entry),
                      std::max(route.repeat_interval, route.group_interval), gate_.Wrap([this] { End(true); }));
}

// The suppressed alerts that the receiver goes on believing to fire.
std::vector<uint64_t> Notifier::Delivery::LeftOut() const {
  const NotificationLog::Beliefs beliefs = parts().log->BeliefsOf(group_->key, integration_->key);
  std::vector<uint64_t> hashes;
  for (const model::AlertPtr& a : *suppressed_) {
    const uint64_t hash = AlertHash(a->labels);
    if (!std::ranges::binary_search(resolved_, hash) && beliefs.MayFire(hash)) hashes.push_back(hash);
  }
  std::ranges::sort(hashes);
  return hashes;
}

void Notifier::Delivery::Fail(FailureReason reason, const std::string& error) {
  if (ended_) return;
  parts().metrics->CountFailure(integration_->name, integration_->receiver_name, reason);
  base::LogError("notify failed", {{"integration", integration_->key},
                                   {"group", group_->key},
                                   {"attempts", attempts_},
                                   {"error", error}});
  if (calling_) {
    const UnansweredCause cause = reason != FailureReason::kContextCanceled ? UnansweredCause::kDeadline
                                  : owner_->stopping_                      ? UnansweredCause::kStop
                                                                           : UnansweredCause::kReload;
    parts().journal->Unanswered(Flush(), cause, attempts_, last_error_);
  } else if (!told_) {
    parts().journal->GaveUp(Flush(), attempts_, error);
  }
  call_.Cancel();  // says whether the request was sent
  // One that may have arrived stays marked, so that its repetition is known as one.
  if (intended_ && (unanswered_ || (calling_ && !*unsent_))) {
    parts().log->LeaveUnanswered(group_->key, integration_->key, Says());
  } else if (intended_) {
    parts().log->Abandon(group_->key, integration_->key);
  }
  End(false);
}

void Notifier::Delivery::End(bool ok) {
  if (std::exchange(ended_, true)) return;
  gate_.Close();
  call_.Cancel();
  timer_.Cancel();
  deadline_timer_.Cancel();
  auto done = std::move(done_);
  done(ok);
  owner_->Finished(this);  // destroys this
}

// ---- the notifier ------------------------------------------------------------------------------

Notifier::Notifier(Parts parts) : parts_(parts) {}
Notifier::~Notifier() = default;

void Notifier::Suppress(const FlushedGroup& group, const model::AlertPtr& alert, SuppressCause cause,
                        std::span<const std::string> by, Selection* selection) {
  constexpr std::string_view kReasons[] = {"inhibition", "active_time_interval", "mute_time_interval", "silence"};
  parts_.metrics->suppressed->With({kReasons[static_cast<size_t>(cause)]})->Add();
  parts_.journal->Suppressed(*alert, AlertJournal::GroupOf(group.key, group.route->options()), cause, by);
  selection->suppressed.push_back(alert);
}

Notifier::Selection Notifier::Select(const FlushedGroup& group) {
  Selection s;
  const RouteOptions& route = group.route->options();
  const auto active = group.prepared->ActiveIntervals(route.active_time_intervals, group.tick);
  const bool inactive = !route.active_time_intervals.empty() && active.empty();
  const auto muting = group.prepared->ActiveIntervals(route.mute_time_intervals, group.tick);
  if (inactive) {
    s.muted_by = route.active_time_intervals;
  } else {
    s.muted_by = muting;
  }
  for (const model::AlertPtr& alert : group.alerts) {
    if (auto source = inhibitor_ != nullptr ? inhibitor_->InhibitedBy(alert->labels, group.tick) : std::nullopt) {
      const std::string by[] = {FingerprintText(*source)};
      Suppress(group, alert, SuppressCause::kInhibition, by, &s);
    } else if (inactive) {
      Suppress(group, alert, SuppressCause::kActiveInterval, route.active_time_intervals, &s);
    } else if (!muting.empty()) {
      Suppress(group, alert, SuppressCause::kMuteInterval, muting, &s);
    } else if (auto ids = parts_.silences->Muting(alert->labels, parts_.executor->Now(), route.receiver); !ids.empty()) {
      Suppress(group, alert, SuppressCause::kSilence, ids, &s);
    } else {
      parts_.journal->Passed(*alert, AlertJournal::GroupOf(group.key, route));
      s.kept.push_back(alert);
    }
  }
  if (parts_.options->compat.drop_resolved_while_suppressed) s.suppressed.clear();
  return s;
}

void Notifier::Notify(FlushedGroup flushed, std::move_only_function<void(NotifyResult)> done) {
  auto group = std::make_shared<FlushedGroup>(std::move(flushed));
  Selection selection = Select(*group);
  const auto& integrations = group->prepared->Integrations(group->route->options().receiver);
  struct Waiting {
    size_t left;
    NotifyResult result;
    std::move_only_function<void(NotifyResult)> done;
  };
  auto waiting = std::make_shared<Waiting>(Waiting{
      .left = integrations.size(), .result = {.ok = true, .muted_by = std::move(selection.muted_by)}, .done = std::move(done)});
  if (integrations.empty() || (selection.kept.empty() && std::ranges::none_of(selection.suppressed, IsEnded))) {
    parts_.journal->NotSent({.group = AlertJournal::GroupOf(group->key, group->route->options()),
                             .tick = group->tick,
                             .alerts = &group->alerts},
                            integrations.empty() ? NotSentCause::kNoIntegrations : NotSentCause::kAllSuppressed);
    waiting->done(std::move(waiting->result));
    return;
  }
  for (const model::AlertPtr& alert : group->alerts) {
    if (IsResolved(*alert)) parts_.journal->FoundResolved(*alert);
  }
  group->alerts = selection.kept;  // from here on: those that nothing suppresses
  const auto suppressed = std::make_shared<const std::vector<model::AlertPtr>>(std::move(selection.suppressed));
  std::vector<Delivery*> ready;
  for (const Integration& integration : integrations) {
    auto delivery = std::make_unique<Delivery>(this, group, &integration, suppressed, [waiting](bool ok) {
      waiting->result.ok = waiting->result.ok && ok;
      if (--waiting->left == 0) waiting->done(std::move(waiting->result));
    });
    Delivery* raw = delivery.get();
    deliveries_.emplace(raw, std::move(delivery));
    auto& lane = lanes_[raw->lane()];
    lane.push_back(raw);
    if (lane.size() == 1) ready.push_back(raw);
  }
  for (Delivery* d : ready) d->Start();
}

void Notifier::Finished(Delivery* delivery) {
  auto lane = lanes_.find(delivery->lane());
  TOCSIN_CHECK(lane != lanes_.end());
  std::erase(lane->second, delivery);
  Delivery* next = lane->second.empty() ? nullptr : lane->second.front();
  if (next == nullptr) lanes_.erase(lane);
  const auto it = deliveries_.find(delivery);
  TOCSIN_CHECK(it != deliveries_.end());
  // The delivery is still on the stack: it goes when the loop comes round.
  auto last = std::make_shared<std::unique_ptr<Delivery>>(std::move(it->second));
  deliveries_.erase(it);
  parts_.executor->Post([last] { last->reset(); });
  if (next != nullptr) {
    parts_.executor->Post(gate_.Wrap([this, next] {
      if (deliveries_.contains(next)) next->Start();
    }));
  }
  if (deliveries_.empty() && on_idle_) std::exchange(on_idle_, nullptr)();
}

bool Notifier::WasTold(const Prepared& prepared, const Route& route, const std::string& group_key,
                       const model::Alert& alert) const {
  const uint64_t hash = AlertHash(alert.labels);
  return std::ranges::any_of(prepared.Integrations(route.options().receiver), [&](const Integration& i) {
    return parts_.log->BeliefsOf(group_key, i.key).MayFire(hash);
  });
}

void Notifier::TickWaits(std::string_view key, const RouteOptions& route, base::Time tick) {
  parts_.journal->NotSent({.group = AlertJournal::GroupOf(key, route), .tick = tick}, NotSentCause::kStillSending);
}

void Notifier::CancelAll() {
  while (!deliveries_.empty()) deliveries_.begin()->first->Cancel();
}

}  // namespace tocsin::alertmanager
