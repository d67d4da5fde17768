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
#include <vector>

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

// Where a receiver that needs several requests stands; each retry begins anew.
struct Step {
  int index = 0;
  std::string carried;  // what the outcome of the step before handed on
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
  bool more = false;                              // ok so far; the next step follows
  bool told = false;                              // with `more`: the message itself was in this step
  std::string carried;                            // for the next step
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
  virtual base::Result<Built> Build(const Notification& n, const Step& step) const = 0;
  // Of the HTTP answer to a step; 2xx is fine and 5xx worth a retry unless a receiver knows better.
  virtual Outcome Judge(const Notification& n, const Step& step, const net::FetchResponse& response) const;
  // What servers gave it that must not be shown: tokens and keys that its next requests bear.
  virtual std::vector<std::string> Secrets() const { return {}; }
};

// Null for a kind that is not built.
std::unique_ptr<Receiver> MakeReceiver(const IntegrationConfig& config, const ReceiverContext& context);

std::unique_ptr<Receiver> MakeWebhook(const IntegrationConfig& config, const ReceiverContext& context);
std::unique_ptr<Receiver> MakeSlack(const IntegrationConfig& config, const ReceiverContext& context);
std::unique_ptr<Receiver> MakeEmail(const IntegrationConfig& config, const ReceiverContext& context);
std::unique_ptr<Receiver> MakePagerDuty(const IntegrationConfig& config, const ReceiverContext& context);
std::unique_ptr<Receiver> MakeOpsGenie(const IntegrationConfig& config, const ReceiverContext& context);
std::unique_ptr<Receiver> MakeVictorOps(const IntegrationConfig& config, const ReceiverContext& context);
std::unique_ptr<Receiver> MakePushover(const IntegrationConfig& config, const ReceiverContext& context);
std::unique_ptr<Receiver> MakeTelegram(const IntegrationConfig& config, const ReceiverContext& context);
std::unique_ptr<Receiver> MakeDiscord(const IntegrationConfig& config, const ReceiverContext& context);
std::unique_ptr<Receiver> MakeWebex(const IntegrationConfig& config, const ReceiverContext& context);
std::unique_ptr<Receiver> MakeTeams(const IntegrationConfig& config, const ReceiverContext& context);
std::unique_ptr<Receiver> MakeTeamsV2(const IntegrationConfig& config, const ReceiverContext& context);
std::unique_ptr<Receiver> MakeWeChat(const IntegrationConfig& config, const ReceiverContext& context);
std::unique_ptr<Receiver> MakeSns(const IntegrationConfig& config, const ReceiverContext& context);
std::unique_ptr<Receiver> MakeRocketChat(const IntegrationConfig& config, const ReceiverContext& context);
std::unique_ptr<Receiver> MakeMattermost(const IntegrationConfig& config, const ReceiverContext& context);
std::unique_ptr<Receiver> MakeJira(const IntegrationConfig& config, const ReceiverContext& context);
std::unique_ptr<Receiver> MakeIncidentIo(const IntegrationConfig& config, const ReceiverContext& context);

// ---- tools of receivers ------------------------------------------------------------------------

// Expands texts with one notification's data.  A text that fails is replaced by a plain one that
// names the error, unless compat says otherwise; addresses and keys are never replaced.  After an
// error that counts, all texts are empty and status() tells it.
class Expander {
 public:
  Expander(const ReceiverContext& context, const Notification& n);
  std::string Text(std::string_view text);  // for people
  std::string Html(std::string_view text);
  std::string Key(std::string_view text);   // for machines: an address, a key, a choice
  const base::Status& status() const { return status_; }
  // `message`, with the first error that was replaced; or status()'s error.
  base::Result<Built> Finish(Message message) const;

 private:
  std::string Run(std::string_view text, templates::Mode mode, bool replace);
  const ReceiverContext& context_;
  const Notification& notification_;
  std::optional<templates::Value> data_;  // made for the first template
  templates::FunctionMap functions_;      // routeLabels
  base::Status status_;
  std::optional<base::Error> replaced_;
};

// Expands the route's labels into n->data.route_labels; one that fails stays empty and is told.
base::Status ExpandRouteLabels(const templates::TemplateSet& templates, Notification* n);

// A POST of JSON to `url` under the block's http_config and timeout.
net::FetchRequest JsonPost(const Block& block, const ReceiverContext& context, std::string url);

// Writes a JSON object field by field.
class JsonObject {
 public:
  explicit JsonObject(std::string* out) : out_(out) { *out_ += '{'; }
  void Text(std::string_view key, std::string_view value);
  void TextIfAny(std::string_view key, std::string_view value);
  void Flag(std::string_view key, bool value);
  void Number(std::string_view key, int64_t value);
  // For a value that the caller writes.
  std::string* Key(std::string_view key);
  void Close() { *out_ += '}'; }

 private:
  std::string* const out_;
  bool first_ = true;
};

// Any YAML as JSON, its keys and texts expanded; a text that comes out as YAML other than a text
// counts as that, so that "{{ toJson .Alerts }}" gives a list.
base::Status AppendTree(const base::yaml::Node& node, Expander& expand, std::string* out);

// The value of `key`, or else the trimmed text of the file that `file_key` names.
base::Result<std::string> SecretText(const Block& block, std::string_view key, std::string_view file_key,
                                     base::FileSystem* fs);

// At most `max` runes, the last of them `…` if any were cut.
std::string TruncateRunes(std::string_view text, size_t max);

// "[FIRING] alertname=Down (1 firing, 0 resolved): the notification's template failed: ...".
std::string FallbackText(const Notification& n, const base::Error& error);

// The notification as JSON, with the first `max_alerts`: Alertmanager's webhook data without the
// closing brace.
void AppendNotificationJson(const templates::NotificationData& data, size_t max_alerts, std::string* out);

// The message that later notifications edit or answer, as Slack's receiver_data has it.
struct SlackPost {
  std::string channel;
  std::string ts;
};
std::string EncodeSlackPost(const SlackPost& post);
std::optional<SlackPost> DecodeSlackPost(std::string_view receiver_data);  // nullopt: there is none

Outcome OutcomeOfError(const base::Error& error);
std::string HashOfKey(std::string_view group_key);  // sha256, hex

}  // namespace tocsin::alertmanager
