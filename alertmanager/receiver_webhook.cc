// webhook: the notification as JSON (version 4), or the user's own payload.

#include <fmt/format.h>

#include "alertmanager/receiver.h"
#include "base/number.h"
#include "base/text.h"

namespace tocsin::alertmanager {

namespace {

constexpr int kMaxPayloadDepth = 100;

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
  base::AppendJsonString(node.text, out, base::JsonEscape::kGo);
}

// Keys and texts of the tree are templates; a text that comes out as YAML other than a text is taken
// as that: "{{ toJson .Alerts }}" becomes a list.
base::Status AppendPayload(const base::yaml::Node& node, Expander& expand, bool rendered, int depth,
                           std::string* out) {
  if (depth > kMaxPayloadDepth) return base::InvalidArgument("payload: nested too deeply");
  if (node.IsMapping()) {
    *out += '{';
    for (size_t i = 0; i < node.entries.size(); ++i) {
      if (i > 0) *out += ',';
      const std::string& key = node.entries[i].key.text;
      base::AppendJsonString(rendered ? key : expand.Text(key), out, base::JsonEscape::kGo);
      *out += ':';
      RETURN_IF_ERROR(AppendPayload(node.entries[i].value, expand, rendered, depth + 1, out));
    }
    *out += '}';
  } else if (node.IsSequence()) {
    *out += '[';
    for (size_t i = 0; i < node.items.size(); ++i) {
      if (i > 0) *out += ',';
      RETURN_IF_ERROR(AppendPayload(node.items[i], expand, rendered, depth + 1, out));
    }
    *out += ']';
  } else if (node.IsNull()) {
    *out += "null";
  } else if (rendered) {
    AppendScalar(node, out);
  } else if (!templates::HasActions(node.text)) {
    AppendScalar(node, out);
  } else {
    const std::string text = expand.Text(node.text);
    RETURN_IF_ERROR(expand.status());
    auto inner = base::yaml::Parse(text, "payload");
    if (inner && (inner->root().IsMapping() || inner->root().IsSequence())) {
      return AppendPayload(inner->root(), expand, true, depth + 1, out);
    }
    if (inner && inner->root().IsScalar() && inner->root().style == base::yaml::Node::Style::kPlain) {
      AppendScalar(inner->root(), out);
    } else {
      base::AppendJsonString(text, out, base::JsonEscape::kGo);
    }
  }
  return expand.status();
}

class Webhook : public Receiver {
 public:
  Webhook(const IntegrationConfig& config, const ReceiverContext& context)
      : block_(config.block), context_(context) {}

  base::Result<Built> Build(const Notification& n) const override {
    Built built;
    Expander expand(*context_.templates, n);
    net::FetchRequest request{.method = "POST", .config = block_.Http()};
    ASSIGN_OR_RETURN(const std::string url, SecretText(block_, "url", "url_file", context_.fs));
    request.url = std::string(base::Trim(expand.Text(url)));
    RETURN_IF_ERROR(expand.status());  // without an address there is nobody to tell
    if (request.url.empty()) return base::InvalidArgument("webhook url is empty after its template was expanded");
    request.headers = {{"Content-Type", "application/json"}, {"User-Agent", context_.user_agent}};
    const base::yaml::Node* payload = block_.Tree("payload");
    if (payload != nullptr) {
      base::Status status = AppendPayload(*payload, expand, false, 0, &request.body);
      if (!status && context_.compat.no_fallback_text) return std::unexpected(status.error());
      if (!status) built.replaced = status.error();
    }
    if (payload == nullptr || built.replaced) request.body = DefaultBody(n, built.replaced);
    request.timeout = block_.Span("timeout");  // 0: as long as the flush may take
    built.message = std::move(request);
    return built;
  }

 private:
  std::string DefaultBody(const Notification& n, const std::optional<base::Error>& error) const {
    templates::NotificationData data = n.data;
    size_t truncated = 0;
    const auto max = static_cast<size_t>(block_.Number("max_alerts"));
    if (max != 0 && data.alerts.size() > max) {
      truncated = data.alerts.size() - max;
      data.alerts.resize(max);
    }
    std::string body;
    AppendNotificationJson(data, &body);
    body += ",\"version\":\"4\",\"groupKey\":";
    base::AppendJsonString(n.group_key, &body, base::JsonEscape::kGo);
    body += fmt::format(",\"truncatedAlerts\":{}", truncated);
    if (error) {
      body += ",\"templateError\":";
      base::AppendJsonString(error->message(), &body, base::JsonEscape::kGo);
    }
    return body + "}\n";
  }

  const Block block_;
  const ReceiverContext context_;
};

}  // namespace

std::unique_ptr<Receiver> MakeWebhook(const IntegrationConfig& config, const ReceiverContext& context) {
  return std::make_unique<Webhook>(config, context);
}

}  // namespace tocsin::alertmanager
