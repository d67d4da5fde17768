#include "alertmanager/receiver.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <set>
#include <span>

#include "base/digest.h"
#include "base/number.h"
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
  using Maker = std::unique_ptr<Receiver> (*)(const IntegrationConfig&, const ReceiverContext&);
  constexpr std::pair<std::string_view, Maker> kMakers[] = {
      {"webhook", MakeWebhook},
      {"slack", MakeSlack},
      {"email", MakeEmail},
      {"pagerduty", MakePagerDuty},
      {"opsgenie", MakeOpsGenie},
      {"victorops", MakeVictorOps},
      {"pushover", MakePushover},
      {"telegram", MakeTelegram},
      {"discord", MakeDiscord},
      {"webex", MakeWebex},
      {"msteams", MakeTeams},
      {"msteamsv2", MakeTeamsV2},
      {"wechat", MakeWeChat},
      {"sns", MakeSns},
      {"rocketchat", MakeRocketChat},
      {"mattermost", MakeMattermost},
      {"jira", MakeJira},
      {"incidentio", MakeIncidentIo},
  };
  for (const auto& [name, make] : kMakers) {
    if (name == config.kind->integration) return make(config, context);
  }
  return nullptr;
}

Outcome Receiver::Judge(const Notification&, const Step&, const net::FetchResponse& response) const {
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

Expander::Expander(const ReceiverContext& context, const Notification& n)
    : context_(context), notification_(n), functions_(RouteLabelFunctions(n.route_labels)) {}

base::Status ExpandRouteLabels(const templates::TemplateSet& templates, Notification* n) {
  if (n->route_labels.empty()) return {};
  const templates::Value data = templates::MakeNotificationValue(n->data);
  const templates::FunctionMap functions = RouteLabelFunctions(n->route_labels);
  base::Status status;
  for (const auto& [name, text] : n->route_labels) {
    auto expanded = templates.ExecuteText(text, data, {.mode = templates::Mode::kText, .functions = &functions});
    if (!expanded && status) status = std::unexpected(expanded.error().Within("route label " + name));
    n->data.route_labels.emplace_back(name, expanded ? std::move(*expanded) : std::string());
  }
  return status;
}

std::string Expander::Run(std::string_view text, templates::Mode mode, bool replace) {
  if (!status_ || text.empty()) return {};
  if (!templates::HasActions(text) && mode == templates::Mode::kText) return std::string(text);
  const bool exhausted = replaced_ && replaced_->code() == base::Code::kResourceExhausted;
  if (exhausted && replace) return FallbackText(notification_, *replaced_);  // once was enough
  if (!data_) data_ = templates::MakeNotificationValue(notification_.data);
  auto out = context_.templates->ExecuteText(text, *data_, {.mode = mode, .functions = &functions_});
  if (out) return std::move(*out);
  if (!replace || context_.compat.no_fallback_text) {
    status_ = base::InvalidArgument(out.error().message());
    return {};
  }
  if (!replaced_) replaced_ = out.error();
  return FallbackText(notification_, out.error());
}

std::string Expander::Text(std::string_view text) { return Run(text, templates::Mode::kText, true); }
std::string Expander::Html(std::string_view text) { return Run(text, templates::Mode::kHtml, true); }
std::string Expander::Key(std::string_view text) { return Run(text, templates::Mode::kText, false); }

base::Result<Built> Expander::Finish(Message message) const {
  if (!status_) return std::unexpected(status_.error());
  return Built{.message = std::move(message), .replaced = replaced_};
}

net::FetchRequest JsonPost(const Block& block, const ReceiverContext& context, std::string url) {
  net::FetchRequest request{.method = "POST", .url = std::move(url), .config = block.Http()};
  request.headers = {{"Content-Type", "application/json"}, {"User-Agent", context.user_agent}};
  // 0: as long as the flush may take.
  const bool timed = std::ranges::any_of(block.table().fields, [](const Field& f) { return f.key == "timeout"; });
  request.timeout = timed ? block.Span("timeout") : base::Duration{};
  return request;
}

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

void AppendPairs(const templates::KeyValues& pairs, std::string* out) {
  JsonObject o(out);
  for (const auto& [name, value] : pairs) o.Text(name, value);
  o.Close();
}

bool LooksLikeNumber(std::string_view text) {
  return !text.empty() && (text[0] == '-' || (text[0] >= '0' && text[0] <= '9')) &&
         text.find_first_not_of("0123456789+-.eE") == std::string_view::npos &&
         base::ParseFloat(text).has_value();
}

// A scalar's value as JSON: plain true, null, 5 keep their type.
void AppendScalar(const base::yaml::Node& node, std::string* out) {
  if (node.style == base::yaml::Node::Style::kPlain && node.tag.empty()) {
    if (node.text == "true" || node.text == "false") {
      *out += node.text;
      return;
    }
    if (LooksLikeNumber(node.text)) {
      // As JSON writes numbers: 007 and 1. are not its forms.
      base::AppendJson(*base::ParseFloat(node.text), out);
      return;
    }
  }
  AppendText(node.text, out);
}

constexpr int kMaxTreeDepth = 100;

base::Status AppendNode(const base::yaml::Node& node, Expander& expand, bool rendered, int depth, std::string* out) {
  if (depth > kMaxTreeDepth) return base::InvalidArgument("nested too deeply");
  if (node.IsMapping()) {
    *out += '{';
    for (size_t i = 0; i < node.entries.size(); ++i) {
      if (i > 0) *out += ',';
      const std::string& key = node.entries[i].key.text;
      AppendText(rendered ? key : expand.Text(key), out);
      *out += ':';
      RETURN_IF_ERROR(AppendNode(node.entries[i].value, expand, rendered, depth + 1, out));
    }
    *out += '}';
  } else if (node.IsSequence()) {
    *out += '[';
    for (size_t i = 0; i < node.items.size(); ++i) {
      if (i > 0) *out += ',';
      RETURN_IF_ERROR(AppendNode(node.items[i], expand, rendered, depth + 1, out));
    }
    *out += ']';
  } else if (node.IsNull()) {
    *out += "null";
  } else if (rendered || !templates::HasActions(node.text)) {
    AppendScalar(node, out);
  } else {
    const std::string text = expand.Text(node.text);
    auto inner = base::yaml::Parse(text, "payload");
    if (inner && (inner->root().IsMapping() || inner->root().IsSequence())) {
      return AppendNode(inner->root(), expand, true, depth + 1, out);
    }
    if (inner && inner->root().IsScalar() && inner->root().style == base::yaml::Node::Style::kPlain) {
      AppendScalar(inner->root(), out);
    } else {
      AppendText(text, out);
    }
  }
  return expand.status();
}

}  // namespace

base::Status AppendTree(const base::yaml::Node& node, Expander& expand, std::string* out) {
  return AppendNode(node, expand, false, 0, out);
}

std::string* JsonObject::Key(std::string_view key) {
  if (!first_) *out_ += ',';
  first_ = false;
  AppendText(key, out_);
  *out_ += ':';
  return out_;
}
void JsonObject::Text(std::string_view key, std::string_view value) { AppendText(value, Key(key)); }
void JsonObject::TextIfAny(std::string_view key, std::string_view value) {
  if (!value.empty()) Text(key, value);
}
void JsonObject::Flag(std::string_view key, bool value) { *Key(key) += value ? "true" : "false"; }
void JsonObject::Number(std::string_view key, int64_t value) { *Key(key) += std::to_string(value); }

void AppendNotificationJson(const templates::NotificationData& d, size_t max_alerts, std::string* out) {
  JsonObject o(out);
  o.Text("receiver", d.receiver);
  o.Text("status", d.status);
  *o.Key("alerts") += '[';
  for (const templates::NotificationAlert& a : std::span(d.alerts).first(std::min(max_alerts, d.alerts.size()))) {
    if (out->back() != '[') *out += ',';
    JsonObject alert(out);
    alert.Text("status", a.status);
    AppendPairs(a.labels, alert.Key("labels"));
    AppendPairs(a.annotations, alert.Key("annotations"));
    alert.Text("startsAt", a.starts_at.ToRfc3339Nano());
    alert.Text("endsAt", a.ends_at.ToRfc3339Nano());
    alert.Text("generatorURL", a.generator_url);
    alert.Text("fingerprint", a.fingerprint);
    alert.Close();
  }
  *out += ']';
  o.Text("notification_reason", d.notification_reason);
  AppendPairs(d.group_labels, o.Key("groupLabels"));
  AppendPairs(d.common_labels, o.Key("commonLabels"));
  AppendPairs(d.common_annotations, o.Key("commonAnnotations"));
  AppendPairs(d.route_labels, o.Key("routeLabels"));
  o.Text("externalURL", d.external_url);
}

}  // namespace tocsin::alertmanager
