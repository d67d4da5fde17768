#pragma once

// What the server has to tell everybody who looks at its pages: that it starts, that it stops, that its
// configuration could not be reloaded.  As a list, and as a stream of server-sent events.
//
//   api::Notifications notifications(&loop, &registry, 16);
//   notifications.Add("The configuration could not be reloaded.");
//   notifications.Remove("The configuration could not be reloaded.");
//
// Threads: loop only.  Subscriptions may outlive the object.
// Source:  Prometheus 3.14, /api/v1/notifications and /api/v1/notifications/live.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/metrics.h"
#include "base/time.h"
#include "net/http_message.h"

namespace tocsin::api {

struct Notification {
  std::string text;
  base::Time date{};
  bool active = true;  // false in the event that takes it back
};

class JsonWriter;
// As /api/v1/notifications and its events show it.
void WriteNotification(const Notification& notification, JsonWriter* json);

class Notifications {
 public:
  // `executor` and `registry` outlive all subscriptions too.
  Notifications(base::Executor* executor, base::Registry* registry, size_t max_subscribers);
  ~Notifications();  // ends all streams
  Notifications(const Notifications&) = delete;
  Notifications& operator=(const Notifications&) = delete;

  // A text that is there already gets a new time.
  void Add(std::string_view text);
  void Remove(std::string_view text);
  const std::vector<Notification>& all() const;

  // The events of a listener, first those of all().  nullopt: there are as many listeners as may be.  One
  // that does not read loses events beyond the tenth.
  std::optional<net::BodySource> Subscribe();
  // Ends all streams and takes no new ones.
  void EndStreams();

 private:
  struct Subscription;
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace tocsin::api
