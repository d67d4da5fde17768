#include "alertmanager/preview.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "alertmanager/notifier.h"
#include "alertmanager/prepared.h"
#include "alertmanager/secret_mask.h"
#include "base/text.h"

namespace tocsin::alertmanager {
namespace {

constexpr size_t kMaxAnswer = 2000;
constexpr base::Duration kTestTimeout = std::chrono::seconds(30);

// What messages say of where they come from.
struct Sender {
  std::string external_url;
  std::string hostname;
};
Sender SenderOf(const Alertmanager& am) { return {.external_url = am.options().external_url, .hostname = am.options().hostname}; }

RenderedRequest Show(const Message& message, const SecretMask& mask) {
  RenderedRequest out;
  if (const auto* http = std::get_if<net::FetchRequest>(&message)) {
    out.method = http->method;
    out.url = mask.Text(http->url);
    for (const auto& [name, value] : http->headers) out.headers.emplace_back(name, mask.Header(name, value));
    out.body = mask.Text(http->body);
    return out;
  }
  const auto& mail = std::get<net::SmtpMessage>(message);
  out.method = "SMTP";
  out.url = mail.smarthost;
  out.headers = {{"MAIL FROM", mail.from}, {"RCPT TO", base::Join(mail.recipients, ", ")}};
  out.body = mask.Text(mail.data);
  return out;
}

// What the group's receiver would be told.  Expands templates: on a worker.
Notification NotificationOf(const FlushedGroup& group, const Sender& sender) {
  Notification notification{
      .group_key = group.key,
      .data = MakeNotificationData(group, group.route->options().receiver, group.alerts, "first notification", sender.external_url),
      .route_labels = group.route->options().labels,
      .receiver_data = {},
      .now = group.tick,
      .random = static_cast<uint64_t>(group.tick.time_since_epoch().count()),
      .hostname = sender.hostname};
  // One that fails shows empty, as in the message itself.
  base::Ignore(ExpandRouteLabels(*group.prepared->templates, &notification));
  return notification;
}

// Alerts as a flush sees them: those that fire have no end.
std::vector<model::AlertPtr> AsFlushed(std::vector<model::AlertPtr> alerts, base::Time now) {
  for (model::AlertPtr& alert : alerts) {
    if (alert->ResolvedAt(now) || alert->ends_at == base::Time{}) continue;
    auto firing = std::make_shared<model::Alert>(*alert);
    firing->ends_at = base::Time{};
    alert = std::move(firing);
  }
  SortAlerts(&alerts);
  return alerts;
}

void Render(const FlushedGroup& group, const Sender& sender, RoutePreview* out) {
  const Notification notification = NotificationOf(group, sender);
  const bool any_firing = std::ranges::any_of(group.alerts, [](const auto& a) { return a->ends_at == base::Time{}; });
  for (const Integration& i : group.prepared->Integrations(out->receiver)) {
    const SecretMask mask(*group.prepared, i, notification, base::RealFileSystem());
    RenderedMessage m{.integration = i.key, .error = {}, .replaced = {}, .request = {}};
    m.nothing = !any_firing && !i.send_resolved;
    if (!m.nothing) {
      auto built = i.receiver->Build(notification, {});
      if (built) {
        m.request = Show(built->message, mask);
        if (built->replaced) m.replaced = mask.Text(built->replaced->message());
      } else {
        m.error = mask.Text(built.error().message());
      }
    }
    out->messages.push_back(std::move(m));
  }
}

}  // namespace

model::AlertPtr MadeUpAlert(const std::string& receiver, base::Time now) {
  auto alert = std::make_shared<model::Alert>();
  alert->labels = model::Labels::FromPairs({{"alertname", "TocsinTest"}, {"receiver", receiver}, {"severity", "none"}});
  alert->annotations = model::Labels::FromPairs(
      {{"summary", "A test of the receiver " + receiver}, {"description", "Somebody tests whether this receiver works. Nothing is wrong."}});
  alert->starts_at = now;
  return alert;
}

void Preview(const Alertmanager* am, base::Executor* executor, std::vector<model::AlertPtr> alerts, std::string receiver,
             std::function<void(std::vector<RoutePreview>)> done) {
  struct Work {
    std::vector<RoutePreview> previews;
    std::vector<FlushedGroup> groups;  // one each
  };
  auto work = std::make_shared<Work>();
  const base::Time now = executor->Now();
  const PreparedPtr prepared = am->prepared();
  if (prepared == nullptr) return done({});
  std::map<std::pair<int, std::string>, size_t> known;  // route and group labels
  for (const model::AlertPtr& alert : alerts) {
    for (const Route* route : prepared->root->Match(alert->labels)) {
      const RouteOptions& o = route->options();
      if (!receiver.empty() && o.receiver != receiver) continue;
      const model::Labels group_labels = route->GroupLabels(alert->labels);
      const auto [at, added] = known.try_emplace({route->index(), std::string(group_labels.view().encoded())}, work->previews.size());
      if (added) {
        RoutePreview p{.path = route->key(), .receiver = o.receiver, .group_key = GroupKey(*route, group_labels), .group_labels = group_labels,
                       .group_wait = o.group_wait, .group_interval = o.group_interval, .repeat_interval = o.repeat_interval,
                       .muted_by = prepared->ActiveIntervals(o.mute_time_intervals, now), .alerts = {}, .statuses = {}, .messages = {}};
        if (!o.active_time_intervals.empty() && prepared->ActiveIntervals(o.active_time_intervals, now).empty()) {
          p.muted_by = o.active_time_intervals;
        }
        work->groups.push_back({.prepared = prepared, .route = route, .key = p.group_key, .labels = group_labels, .tick = now, .alerts = {}});
        work->previews.push_back(std::move(p));
      }
      work->groups[at->second].alerts.push_back(alert);
    }
  }
  for (size_t i = 0; i < work->groups.size(); ++i) {
    work->groups[i].alerts = AsFlushed(std::move(work->groups[i].alerts), now);
    work->previews[i].alerts = work->groups[i].alerts;
    for (const model::AlertPtr& alert : work->groups[i].alerts) work->previews[i].statuses.push_back(am->StatusOf(*alert));
  }
  executor->Offload(
      base::Lane::kQueries,
      [work, sender = SenderOf(*am)] {
        for (size_t i = 0; i < work->groups.size(); ++i) Render(work->groups[i], sender, &work->previews[i]);
      },
      [work, done = std::move(done)] { done(std::move(work->previews)); });
}

// ---- the test of a receiver ----------------------------------------------------------------------

namespace {

// One receiver being tested: its integrations one after the other, each step by step.
class Test : public std::enable_shared_from_this<Test> {
 public:
  Test(const Alertmanager* am, base::Executor* executor, FlushedGroup group, const std::vector<Integration>* integrations,
       std::function<void(base::Result<std::vector<IntegrationTest>>)> done)
      : executor_(executor), transport_(am->transport()), group_(std::move(group)), integrations_(integrations), done_(std::move(done)),
        sender_(SenderOf(*am)) {}

  void Next() {
    if (results_.size() == integrations_->size()) return done_(std::move(results_));
    results_.push_back({.integration = (*integrations_)[results_.size()].key, .error = {}, .replaced = {}, .requests = {}});
    step_ = {};
    NextStep();
  }

 private:
  const Integration& Current() const { return (*integrations_)[results_.size() - 1]; }

  void NextStep() {
    struct Made {
      std::optional<base::Result<Built>> built;
      SecretMask mask;
    };
    auto made = std::make_shared<Made>();
    const Integration* integration = &Current();
    // While a step is built nothing else touches the test.
    executor_->Offload(
        base::Lane::kQueries,
        [self = shared_from_this(), made, integration] {
          if (!self->notification_) self->notification_ = NotificationOf(self->group_, self->sender_);
          made->built.emplace(integration->receiver->Build(*self->notification_, self->step_));
          made->mask = SecretMask(*self->group_.prepared, *integration, *self->notification_, base::RealFileSystem());
        },
        [self = shared_from_this(), made] {
          self->mask_ = std::move(made->mask);
          self->Send(std::move(*made->built));
        });
  }

  void Send(base::Result<Built> built) {
    IntegrationTest& result = results_.back();
    if (!built) {
      result.error = mask_.Text(built.error().message());
      return Next();
    }
    if (built->replaced) result.replaced = mask_.Text(built->replaced->message());
    result.requests.push_back({.request = Show(built->message, mask_), .answer = {}, .error = {}});
    began_ = executor_->Monotonic();
    auto self = shared_from_this();
    if (auto* request = std::get_if<net::FetchRequest>(&built->message)) {
      request->timeout = request->timeout > base::Duration{} ? std::min(kTestTimeout, request->timeout) : kTestTimeout;
      call_ = transport_.http->Fetch(std::move(*request), [self](base::Result<net::FetchResponse> r) {
        if (!r) return self->Answered(OutcomeOfError(r.error()));
        TestedRequest& last = self->results_.back().requests.back();
        last.status = r->status;
        Outcome outcome = self->Current().receiver->Judge(*self->notification_, self->step_, *r);
        // What the next request needs may be a credential.
        last.answer = outcome.more ? "(not shown: the next request is made of it)" : self->mask_.CutText(r->body.substr(0, kMaxAnswer));
        self->Answered(std::move(outcome));
      });
    } else {
      auto& mail = std::get<net::SmtpMessage>(built->message);
      mail.timeout = kTestTimeout;
      call_ = transport_.mail->Send(std::move(mail), [self](base::Status s) {
        if (!s) return self->Answered(OutcomeOfError(s.error()));
        self->results_.back().requests.back().answer = "accepted";
        Outcome accepted;
        accepted.ok = true;
        self->Answered(std::move(accepted));
      });
    }
  }

  void Answered(Outcome outcome) {
    IntegrationTest& result = results_.back();
    result.requests.back().duration = executor_->Monotonic() - began_;
    result.requests.back().error = mask_.CutText(outcome.error);  // it may cite the beginning of an answer
    if (outcome.ok && outcome.more) {
      step_ = {.index = step_.index + 1, .carried = std::move(outcome.carried)};
      return NextStep();
    }
    result.ok = outcome.ok;
    result.retry = outcome.retry;
    // The call that has just ended is still on the stack.
    executor_->Post([self = shared_from_this()] { self->Next(); });
  }

  base::Executor* const executor_;
  const Transport transport_;
  const FlushedGroup group_;  // holds the configuration
  const std::vector<Integration>* const integrations_;
  const std::function<void(base::Result<std::vector<IntegrationTest>>)> done_;
  const Sender sender_;
  std::optional<Notification> notification_;
  SecretMask mask_;  // of the step
  std::vector<IntegrationTest> results_;
  Step step_;
  base::Duration began_{};
  net::Call call_;
};

// The first route, depth first, that leads to the receiver.
const Route* RouteTo(const Route& route, const std::string& receiver) {
  if (route.options().receiver == receiver) return &route;
  for (const auto& child : route.children()) {
    if (const Route* found = RouteTo(*child, receiver)) return found;
  }
  return nullptr;
}

}  // namespace

void TestReceiver(const Alertmanager* am, base::Executor* executor, const std::string& receiver, std::vector<model::AlertPtr> alerts,
                  std::function<void(base::Result<std::vector<IntegrationTest>>)> done) {
  const PreparedPtr prepared = am->prepared();
  if (prepared == nullptr || prepared->config->FindReceiver(receiver) == nullptr) {
    return done(base::NotFound(fmt::format("there is no receiver {}", receiver)));
  }
  const Route* route = RouteTo(*prepared->root, receiver);
  if (route == nullptr) {
    return done(base::NotFound(fmt::format("no route leads to the receiver {}, so it is not made; name it in a route first", receiver)));
  }
  const base::Time now = executor->Now();
  if (alerts.empty()) alerts.push_back(MadeUpAlert(receiver, now));
  FlushedGroup group{.prepared = prepared, .route = route, .key = {}, .labels = route->GroupLabels(alerts.front()->labels), .tick = now,
                     .alerts = AsFlushed(std::move(alerts), now)};
  group.key = "test/" + GroupKey(*route, group.labels);
  std::make_shared<Test>(am, executor, std::move(group), &prepared->Integrations(receiver), std::move(done))->Next();
}

}  // namespace tocsin::alertmanager
