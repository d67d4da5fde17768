#include "api/notifications.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "api/http/json.h"

namespace tocsin::api {
namespace {

constexpr size_t kMostWaiting = 10;
// A comment this often finds listeners that have gone without a word.
constexpr base::Duration kHeartbeat = std::chrono::seconds(15);

std::string EventOf(const Notification& notification) {
  std::string event = "data: ";
  JsonWriter json(&event);
  WriteNotification(notification, &json);
  return event + "\n\n";
}

}  // namespace

void WriteNotification(const Notification& notification, JsonWriter* json) {
  json->BeginObject();
  json->Member("text", notification.text);
  json->Key("date");
  json->Time(notification.date);
  json->Member("active", notification.active);
  json->EndObject();
}

struct Notifications::State {
  base::Executor* executor = nullptr;
  size_t max_subscribers = 0;
  base::Gauge* subscribed = nullptr;
  base::Counter* sent = nullptr;
  base::Counter* dropped = nullptr;
  std::vector<Notification> all;
  std::vector<Subscription*> subscriptions;
  bool ended = false;

  void Tell(const Notification& notification);
};

// One listener; it lives as long as its answer.
struct Notifications::Subscription {
  explicit Subscription(std::shared_ptr<State> owner) : state(std::move(owner)) {
    state->subscriptions.push_back(this);
    state->subscribed->Set(static_cast<double>(state->subscriptions.size()));
    for (const Notification& notification : state->all) events.push_back(EventOf(notification));
  }
  ~Subscription() {
    std::erase(state->subscriptions, this);
    state->subscribed->Set(static_cast<double>(state->subscriptions.size()));
  }

  void Next(net::BodyPart part) {
    next = std::move(part);
    heartbeat = state->executor->After(kHeartbeat, [this] { Give(":\n\n"); });
    Flush();
  }

  // Whatever waits goes out as one part.
  void Flush() {
    if (!next) return;
    if (events.empty() && !state->ended) return;
    std::string all;
    for (std::string& event : events) all += event;
    events.clear();
    Give(std::move(all));
  }

  void Give(std::string part) {
    if (!next) return;
    heartbeat.Cancel();
    std::exchange(next, nullptr)(std::move(part));  // may end this subscription
  }

  const std::shared_ptr<State> state;
  std::deque<std::string> events;
  net::BodyPart next;  // null: the listener is still busy with the last part
  base::Timer heartbeat;
};

void Notifications::State::Tell(const Notification& notification) {
  const std::string event = EventOf(notification);
  const std::vector<Subscription*> present = subscriptions;
  for (Subscription* s : present) {
    if (std::ranges::find(subscriptions, s) == subscriptions.end()) continue;  // gone meanwhile
    sent->Add();
    if (s->events.size() < kMostWaiting) {
      s->events.push_back(event);
      s->Flush();
    } else {
      dropped->Add();
    }
  }
}

Notifications::Notifications(base::Executor* executor, base::Registry* registry, size_t max_subscribers)
    : state_(std::make_shared<State>()) {
  state_->executor = executor;
  state_->max_subscribers = max_subscribers;
  state_->subscribed = registry->AddGauge("prometheus_api_notification_active_subscribers",
                                          "The current number of active notification subscribers.");
  state_->sent = registry->AddCounter("prometheus_api_notification_updates_sent_total",
                                      "Total number of notification updates sent.");
  state_->dropped = registry->AddCounter("prometheus_api_notification_updates_dropped_total",
                                         "Total number of notification updates dropped.");
}

Notifications::~Notifications() { EndStreams(); }

const std::vector<Notification>& Notifications::all() const { return state_->all; }

void Notifications::Add(std::string_view text) {
  auto at = std::ranges::find(state_->all, text, &Notification::text);
  if (at == state_->all.end()) {
    state_->all.push_back({.text = std::string(text)});
    at = state_->all.end() - 1;
  }
  at->date = state_->executor->Now();
  state_->Tell(Notification(*at));
}

void Notifications::Remove(std::string_view text) {
  const auto at = std::ranges::find(state_->all, text, &Notification::text);
  if (at == state_->all.end()) return;
  Notification gone = std::move(*at);
  state_->all.erase(at);
  gone.active = false;
  state_->Tell(gone);
}

std::optional<net::BodySource> Notifications::Subscribe() {
  if (state_->ended || state_->subscriptions.size() >= state_->max_subscribers) return std::nullopt;
  return [subscription = std::make_unique<Subscription>(state_)](net::BodyPart next) { subscription->Next(std::move(next)); };
}

void Notifications::EndStreams() {
  state_->ended = true;
  const std::vector<Subscription*> present = state_->subscriptions;
  for (Subscription* s : present) {
    if (std::ranges::find(state_->subscriptions, s) != state_->subscriptions.end()) s->Flush();
  }
}

}  // namespace tocsin::api
