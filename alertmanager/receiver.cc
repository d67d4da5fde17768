#include "alertmanager/receiver.h"

#include <fmt/format.h>

#include <array>
#include <memory>
#include <set>

#include "base/digest.h"
#include "base/text.h"

namespace tocsin::alertmanager {

namespace {
constexpr std::array<std::string_view, 7> kReasons = {
    "other",     "clientError", "serverError", "contextCanceled", "contextDeadlineExceeded",
    "authError", "rateLimited"};
}

std::string_view FailureReasonName(FailureReason reason) { return kReasons[static_cast<size_t>(reason)]; }
std::span<const std::string_view> FailureReasonNames() { return kReasons; }

std::unique_ptr<Receiver> MakeReceiver(const IntegrationConfig& config, const ReceiverContext& context) {
  if (config.kind->integration == "webhook") return MakeWebhook(config, context);
  if (config.kind->integration == "slack") return MakeSlack(config, context);
  if (config.kind->integration == "email") return MakeEmail(config, context);
  return nullptr;
}

Outcome Receiver::Judge(const Notification&, const net::FetchResponse& response) const {
  const int status = response.status;
  if (status / 100 == 2) return {.ok = true};
  Outcome o{.retry = status / 100 == 5};
  o.reason = status == 401 || status == 403 ? FailureReason::kAuthError
             : status == 429                ? FailureReason::kRateLimited
             : status / 100 == 4            ? FailureReason::kClientError
             : status / 100 == 5            ? FailureReason::kServerError
                                            : FailureReason::kOther;
  o.error = fmt::format("unexpected status code {}", status);
  if (!response.body.empty()) o.error += ": " + base::TruncateRunes(base::Trim(response.body), 1000);
  return o;
}

Outcome OutcomeOfError(const base::Error& error) {
  Outcome o{.error = error.message()};
  o.retry = error.code() == base::Code::kUnavailable || error.code() == base::Code::kDeadlineExceeded;
  if (error.code() == base::Code::kDeadlineExceeded) o.reason = FailureReason::kContextDeadlineExceeded;
  if (error.code() == base::Code::kCancelled) o.reason = FailureReason::kContextCanceled;
  if (error.code() == base::Code::kPermissionDenied) o.reason = FailureReason::kAuthError;
  return o;
}

// ---- templates ---------------------------------------------------------------------------------

namespace {

// {{ routeLabels "x" }}: the text of the route's label x, whose template may ask for others.
templates::FunctionMap RouteLabelFunctions(const Pairs& labels) {
  struct State {
    std::map<std::string, std::string, std::less<>> texts;
    std::set<std::string, std::less<>> running;
  };
  auto state = std::make_shared<State>();
  state->texts.insert(labels.begin(), labels.end());
  templates::FunctionMap functions;
  functions.Add("routeLabels", {templates::types::String()},
                [state](templates::CallContext& context,
                        std::span<const templates::Value> args) -> base::Result<templates::Value> {
                  const std::string& name = args[0].as_string();
                  const auto it = state->texts.find(name);
                  if (it == state->texts.end()) return templates::Value::String("");
                  if (!state->running.insert(name).second) {
                    return base::InvalidArgument(fmt::format("route label {} refers to itself", name));
                  }
                  auto text = context.RunText(it->second, context.root());
                  state->running.erase(name);
                  if (!text) return std::unexpected(text.error());
                  return templates::Value::String(std::move(*text));
                });
  return functions;
}

}  // namespace

Expander::Expander(const templates::TemplateSet& set, const Notification& n)
    : set_(set), data_(templates::MakeNotificationValue(n.data)), functions_(RouteLabelFunctions(n.route_labels)) {}

std::string Expander::Run(std::string_view text, templates::Mode mode) {
  if (!status_ || text.empty()) return {};
  if (!templates::HasActions(text) && mode == templates::Mode::kText) return std::string(text);
  auto out = set_.ExecuteText(text, data_, {.mode = mode, .functions = &functions_});
  if (!out) {
    status_ = std::unexpected(out.error());
    return {};
  }
  return std::move(*out);
}

std::string Expander::Text(std::string_view text) { return Run(text, templates::Mode::kText); }
std::string Expander::Html(std::string_view text) { return Run(text, templates::Mode::kHtml); }

// ---- texts -------------------------------------------------------------------------------------

base::Result<std::string> SecretText(const Block& block, std::string_view key, std::string_view file_key,
                                     base::FileSystem* fs) {
  if (block.Has(key)) return block.Text(key);
  if (!block.Has(file_key)) return std::string();
  auto text = fs->ReadFile(block.Text(file_key));
  if (!text) {
    return base::Unavailable(fmt::format("{}: {}", file_key, text.error().message()));
  }
  return std::string(base::Trim(*text));
}

std::string TruncateRunes(std::string_view text, size_t max) {
  if (base::RuneCount(text) <= max) return std::string(text);
  if (max <= 3) return base::TruncateRunes(text, max);
  return base::TruncateRunes(text, max - 1) + "…";
}

std::string FallbackText(const Notification& n, const base::Error& error) {
  size_t firing = 0;
  for (const auto& a : n.data.alerts) firing += a.status == "firing" ? 1 : 0;
  std::string group;
  for (const auto& [name, value] : n.data.group_labels) {
    if (!group.empty()) group += ", ";
    group += name + "=" + value;
  }
  return fmt::format("[{}] {} ({} firing, {} resolved): the notification's template failed: {}",
                     base::ToUpper(n.data.status), group, firing, n.data.alerts.size() - firing,
                     TruncateRunes(error.message(), 500));
}

std::string HashOfKey(std::string_view group_key) { return base::Hex(base::Sha256(group_key)); }

// ---- JSON --------------------------------------------------------------------------------------

namespace {

void AppendText(std::string_view text, std::string* out) {
  base::AppendJsonString(text, out, base::JsonEscape::kGo);
}

void AppendKey(std::string_view key, std::string* out) {
  if (out->back() != '{') *out += ',';
  *out += '"';
  *out += key;
  *out += "\":";
}

void AppendField(std::string_view key, std::string_view value, std::string* out) {
  AppendKey(key, out);
  AppendText(value, out);
}

void AppendPairs(std::string_view key, const templates::KeyValues& pairs, std::string* out) {
  AppendKey(key, out);
  *out += '{';
  for (const auto& [name, value] : pairs) {
    if (out->back() != '{') *out += ',';
    AppendText(name, out);
    *out += ':';
    AppendText(value, out);
  }
  *out += '}';
}

}  // namespace

void AppendNotificationJson(const templates::NotificationData& d, std::string* out) {
  *out += '{';
  AppendField("receiver", d.receiver, out);
  AppendField("status", d.status, out);
  AppendKey("alerts", out);
  *out += '[';
  for (const templates::NotificationAlert& a : d.alerts) {
    if (out->back() != '[') *out += ',';
    *out += '{';
    AppendField("status", a.status, out);
    AppendPairs("labels", a.labels, out);
    AppendPairs("annotations", a.annotations, out);
    AppendField("startsAt", a.starts_at.ToRfc3339Nano(), out);
    AppendField("endsAt", a.ends_at.ToRfc3339Nano(), out);
    AppendField("generatorURL", a.generator_url, out);
    AppendField("fingerprint", a.fingerprint, out);
    *out += '}';
  }
  *out += ']';
  AppendField("notification_reason", d.notification_reason, out);
  AppendPairs("groupLabels", d.group_labels, out);
  AppendPairs("commonLabels", d.common_labels, out);
  AppendPairs("commonAnnotations", d.common_annotations, out);
  AppendPairs("routeLabels", d.route_labels, out);
  AppendField("externalURL", d.external_url, out);
}

}  // namespace tocsin::alertmanager
