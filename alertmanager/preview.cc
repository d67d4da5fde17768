#include "alertmanager/preview.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "alertmanager/notifier.h"
#include "alertmanager/prepared.h"
#include "base/text.h"

namespace tocsin::alertmanager {
namespace {

constexpr size_t kMaxAnswer = 2000;
constexpr base::Duration kTestTimeout = std::chrono::seconds(30);

// The texts of a receiver's secrets, longest first.
std::vector<std::string> SecretsOf(const Config& config, const std::string& receiver) {
  std::vector<std::string> out;
  auto add = [&](const Block& block) {
    for (const Field& field : block.table().fields) {
      const bool secret = field.kind == Kind::kSecret || field.kind == Kind::kSecretUrl || field.kind == Kind::kTemplateUrl;
      if (secret && block.Has(field.key)) out.push_back(block.Text(field.key));
    }
  };
  add(config.global);
  if (const ReceiverConfig* r = config.FindReceiver(receiver)) {
    for (const IntegrationConfig& i : r->integrations) add(i.block);
  }
  std::erase_if(out, [](const std::string& s) { return s.size() < 4; });
  std::ranges::sort(out, std::greater<>(), &std::string::size);
  return out;
}

// And those that stand in files; reads them, so on a worker.
void AddSecretFiles(const Config& config, const std::string& receiver, base::FileSystem* fs, std::vector<std::string>* out) {
  auto add = [&](const Block& block) {
    for (const Field& field : block.table().fields) {
      if (field.kind != Kind::kPath || !block.Has(field.key)) continue;
      // What cannot be read cannot be shown either.
      if (auto text = fs->ReadFile(block.Text(field.key)); text && base::Trim(*text).size() >= 4) out->emplace_back(base::Trim(*text));
    }
  };
  add(config.global);
  if (const ReceiverConfig* r = config.FindReceiver(receiver)) {
    for (const IntegrationConfig& i : r->integrations) add(i.block);
  }
  std::ranges::sort(*out, std::greater<>(), &std::string::size);
}

std::string Masked(std::string text, const std::vector<std::string>& secrets) {
  for (const std::string& secret : secrets) text = base::ReplaceAll(text, secret, kMaskedSecret);
  return text;
}

RenderedRequest Show(const Message& message, const std::vector<std::string>& secrets) {
  RenderedRequest out;
  if (const auto* http = std::get_if<net::FetchRequest>(&message)) {
    out.method = http->method;
    out.url = Masked(http->url, secrets);
    for (const auto& [name, value] : http->headers) {
      const bool hidden = base::EqualsIgnoreCase(name, "Authorization") || base::EqualsIgnoreCase(name, "X-Auth-Token");
      out.headers.emplace_back(name, hidden ? std::string(kMaskedSecret) : Masked(value, secrets));
    }
    out.body = Masked(http->body, secrets);
    return out;
  }
  const auto& mail = std::get<net::SmtpMessage>(message);
  out.method = "SMTP";
  out.url = mail.smarthost;
  out.headers = {{"MAIL FROM", mail.from}, {"RCPT TO", base::Join(mail.recipients, ", ")}};
  out.body = Masked(mail.data, secrets);
  return out;
}

std::shared_ptr<Notification> NotificationOf(const Alertmanager& am, const FlushedGroup& group, std::string_view reason, base::Time now) {
  auto notification = std::make_shared<Notification>(Notification{
      .group_key = group.key,
      .data = MakeNotificationData(group, group.route->options().receiver, group.alerts, reason, am.options().external_url),
      .route_labels = group.route->options().labels,
      .receiver_data = {},
      .now = now,
      .random = static_cast<uint64_t>(now.time_since_epoch().count()),
      .hostname = am.options().hostname});
  // One that fails shows empty, as in the message itself.
  base::Ignore(ExpandRouteLabels(*group.prepared->templates, notification.get()));
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
  std::ranges::stable_sort(alerts, [](const auto& a, const auto& b) { return AlertBefore(*a, *b); });
  return alerts;
}

void Render(const FlushedGroup& group, const Notification& notification, bool any_firing, RoutePreview* out) {
  std::vector<std::string> secrets = SecretsOf(*group.prepared->config, out->receiver);
  AddSecretFiles(*group.prepared->config, out->receiver, base::RealFileSystem(), &secrets);
  for (const Integration& i : group.prepared->Integrations(out->receiver)) {
    RenderedMessage m{.integration = i.key, .error = {}, .replaced = {}, .request = {}};
    m.nothing = !any_firing && !i.send_resolved;
    if (!m.nothing) {
      auto built = i.receiver->Build(notification, {});
      if (built) {
        m.request = Show(built->message, secrets);
        if (built->replaced) m.replaced = built->replaced->message();
      } else {
        m.error = built.error().message();
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
    std::vector<std::shared_ptr<Notification>> notifications;
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
    work->notifications.push_back(NotificationOf(*am, work->groups[i], "first notification", now));
  }
  executor->Offload(
      base::Lane::kQueries,
      [work] {
        for (size_t i = 0; i < work->groups.size(); ++i) {
          const bool any_firing = std::ranges::any_of(work->groups[i].alerts, [](const auto& a) { return a->ends_at == base::Time{}; });
          Render(work->groups[i], *work->notifications[i], any_firing, &work->previews[i]);
        }
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
        notification_(NotificationOf(*am, group_, "first notification", executor->Now())) {}

  void Next() {
    if (results_.size() == integrations_->size()) return done_(std::move(results_));
    results_.push_back({.integration = (*integrations_)[results_.size()].key, .error = {}, .replaced = {}, .requests = {}});
    step_ = {};
    NextStep();
  }

 private:
  const Integration& Current() const { return (*integrations_)[results_.size() - 1]; }

  void NextStep() {
    auto built = std::make_shared<std::optional<base::Result<Built>>>();
    auto secrets = std::make_shared<std::vector<std::string>>();
    const Integration* integration = &Current();
    executor_->Offload(
        base::Lane::kQueries,
        [self = shared_from_this(), built, secrets, integration] {
          *secrets = SecretsOf(*self->group_.prepared->config, integration->receiver_name);
          AddSecretFiles(*self->group_.prepared->config, integration->receiver_name, base::RealFileSystem(), secrets.get());
          built->emplace(integration->receiver->Build(*self->notification_, self->step_));
        },
        [self = shared_from_this(), built, secrets] { self->Send(std::move(**built), *secrets); });
  }

  void Send(base::Result<Built> built, const std::vector<std::string>& secrets) {
    IntegrationTest& result = results_.back();
    if (!built) {
      result.error = built.error().message();
      return Next();
    }
    if (built->replaced) result.replaced = built->replaced->message();
    result.requests.push_back({.request = Show(built->message, secrets), .answer = {}, .error = {}});
    began_ = executor_->Monotonic();
    auto self = shared_from_this();
    if (auto* request = std::get_if<net::FetchRequest>(&built->message)) {
      request->timeout = request->timeout > base::Duration{} ? std::min(kTestTimeout, request->timeout) : kTestTimeout;
      call_ = transport_.http->Fetch(std::move(*request), [self, secrets](base::Result<net::FetchResponse> r) {
        if (!r) return self->Answered(OutcomeOfError(r.error()));
        TestedRequest& last = self->results_.back().requests.back();
        last.status = r->status;
        last.answer = Masked(r->body.substr(0, kMaxAnswer), secrets);
        self->Answered(self->Current().receiver->Judge(*self->notification_, self->step_, *r));
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
    result.requests.back().error = outcome.error;
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
  const std::shared_ptr<Notification> notification_;
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
