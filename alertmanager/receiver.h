#pragma once

// A receiver turns a group into a request.  Build() renders the templates and reads secrets, on a
// worker; the pipeline sends the request and asks Judge() what the answer means.  A new receiver is
// one file with these two functions, a table in config_receivers.cc and a row in MakeReceiver().
//
// Threads: a Receiver is immutable; Build() on any thread, at the same time for several groups.
// Errors:  Build() fails with kInvalidArgument for what no retry can mend (a template, an address),
//          kUnavailable for what may pass (a secrets file being replaced).

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "alertmanager/alertmanager.h"
#include "alertmanager/config.h"
#include "base/file_system.h"
#include "base/result.h"
#include "net/http_client.h"
#include "net/smtp_client.h"
#include "templates/notification_data.h"
#include "templates/template.h"

namespace tocsin::alertmanager {

// What a receiver is told: one flush of one group.
struct Notification {
  std::string group_key;
  templates::NotificationData data;
  Pairs route_labels;          // templates; data.route_labels are their texts
  std::string receiver_data;   // what the receiver asked to keep when it was last told
  base::Time now{};
  uint64_t random = 0;         // for ids and boundaries
  std::string hostname;
};

using Message = std::variant<net::FetchRequest, net::SmtpMessage>;

struct Built {
  Message message;
  // A template failed and a plain text that names the error stands in its place.
  std::optional<base::Error> replaced;
};

// Why a notification failed, as the metric's label says it.
enum class FailureReason {
  kOther, kClientError, kServerError, kContextCanceled, kContextDeadlineExceeded, kAuthError, kRateLimited
};
std::string_view FailureReasonName(FailureReason reason);
std::span<const std::string_view> FailureReasonNames();

struct Outcome {
  bool ok = false;
  bool retry = false;
  FailureReason reason = FailureReason::kOther;
  std::string error;
  std::optional<base::Duration> retry_after;      // the server's wish
  std::optional<std::string> receiver_data;       // to keep, when ok
};

// What every receiver needs besides its block.
struct ReceiverContext {
  std::shared_ptr<const templates::TemplateSet> templates;
  base::FileSystem* fs = nullptr;
  Compat compat;
  std::string user_agent;
};

class Receiver {
 public:
  virtual ~Receiver() = default;
  virtual base::Result<Built> Build(const Notification& n) const = 0;
  // Of an HTTP answer; 2xx is fine and 5xx worth a retry unless a receiver knows better.
  virtual Outcome Judge(const Notification& n, const net::FetchResponse& response) const;
};

// Null for a kind that is not built.
std::unique_ptr<Receiver> MakeReceiver(const IntegrationConfig& config, const ReceiverContext& context);

std::unique_ptr<Receiver> MakeWebhook(const IntegrationConfig& config, const ReceiverContext& context);
std::unique_ptr<Receiver> MakeSlack(const IntegrationConfig& config, const ReceiverContext& context);
std::unique_ptr<Receiver> MakeEmail(const IntegrationConfig& config, const ReceiverContext& context);

// ---- tools of receivers ------------------------------------------------------------------------

// Expands texts with one notification's data; after the first error it gives empty texts, and
// status() tells the error.
class Expander {
 public:
  Expander(const templates::TemplateSet& set, const Notification& n);
  std::string Text(std::string_view text);
  std::string Html(std::string_view text);
  const base::Status& status() const { return status_; }

 private:
  std::string Run(std::string_view text, templates::Mode mode);
  const templates::TemplateSet& set_;
  const templates::Value data_;
  templates::FunctionMap functions_;  // routeLabels
  base::Status status_;
};

// The value of `key`, or else the trimmed text of the file that `file_key` names.
base::Result<std::string> SecretText(const Block& block, std::string_view key, std::string_view file_key,
                                     base::FileSystem* fs);

// At most `max` runes, the last of them `…` if any were cut.
std::string TruncateRunes(std::string_view text, size_t max);

// "[FIRING:1] Down (2 alerts)  template error: ...": what is sent when a template fails.
std::string FallbackText(const Notification& n, const base::Error& error);

// The notification as JSON: Alertmanager's webhook data without the closing brace.
void AppendNotificationJson(const templates::NotificationData& data, std::string* out);

Outcome OutcomeOfError(const base::Error& error);
std::string HashOfKey(std::string_view group_key);  // sha256, hex

}  // namespace tocsin::alertmanager
