#pragma once

// What would be sent, before it is: the routes some alerts take and the messages rendered for them,
// with nothing sent; and the test of a receiver, which sends the real request once and tells the answer.
// Secrets of the configuration are masked in what is shown.
//
// Threads: loop only; messages are rendered on workers.
// Errors:  kNotFound: no such receiver, or one that no route uses and that was therefore not made.

#include <functional>
#include <string>
#include <vector>

#include "alertmanager/alertmanager.h"
#include "base/executor.h"

namespace tocsin::alertmanager {

// A request as it would leave.
struct RenderedRequest {
  std::string method;   // POST; SMTP for mail
  std::string url;      // the mail's smarthost
  std::vector<std::pair<std::string, std::string>> headers;  // From and recipients of a mail
  std::string body;
};

struct RenderedMessage {
  std::string integration;  // team/slack/0
  std::string error;        // why there is none
  std::string replaced;     // a template failed and a plain text took its place
  bool nothing = false;     // only ended alerts, and send_resolved is false
  RenderedRequest request;  // the first, if there are several
};

struct RoutePreview {
  std::string path;
  std::string receiver;
  std::string group_key;
  model::Labels group_labels;
  base::Duration group_wait{}, group_interval{}, repeat_interval{};
  std::vector<std::string> muted_by;         // time intervals, as of now
  std::vector<model::AlertPtr> alerts;
  std::vector<AlertStatus> statuses;         // of the alerts
  std::vector<RenderedMessage> messages;
};

// `receiver` empty: all.
void Preview(const Alertmanager* am, base::Executor* executor, std::vector<model::AlertPtr> alerts, std::string receiver,
             std::function<void(std::vector<RoutePreview>)> done);

struct TestedRequest {
  RenderedRequest request;
  int status = 0;
  std::string answer;   // the first 2,000 bytes
  std::string error;    // why the receiver does not take it as success
  base::Duration duration{};
};
struct IntegrationTest {
  std::string integration;
  bool ok = false;
  bool retry = false;   // a notification would be tried again
  std::string error;    // no request could be made
  std::string replaced;
  std::vector<TestedRequest> requests;  // of all steps
};

// Sends to each integration of `receiver`, once.  The group key begins with "test/", so that no real
// incident is touched.
void TestReceiver(const Alertmanager* am, base::Executor* executor, const std::string& receiver, std::vector<model::AlertPtr> alerts,
                  std::function<void(base::Result<std::vector<IntegrationTest>>)> done);

// A made-up alert: TocsinTest{receiver="..."}.
model::AlertPtr MadeUpAlert(const std::string& receiver, base::Time now);

}  // namespace tocsin::alertmanager
