// webhook: the notification as JSON (version 4), or the user's own payload.

#include <fmt/format.h>

#include "alertmanager/receiver.h"
#include "base/text.h"

namespace tocsin::alertmanager {

namespace {

class Webhook : public Receiver {
 public:
  Webhook(const IntegrationConfig& config, const ReceiverContext& context)
      : block_(config.block), context_(context) {}

  base::Result<Built> Build(const Notification& n, const Step&) const override {
    Expander expand(context_, n);
    ASSIGN_OR_RETURN(const std::string url, SecretText(block_, "url", "url_file", context_.fs));
    auto request = JsonPost(block_, context_, std::string(base::Trim(expand.Key(url))));
    RETURN_IF_ERROR(expand.status());
    if (request.url.empty()) return base::InvalidArgument("webhook url is empty after its template was expanded");
    if (const base::yaml::Node* payload = block_.Tree("payload")) {
      RETURN_IF_ERROR(AppendTree(*payload, expand, &request.body));
    } else {
      request.body = Body(n);
    }
    return expand.Finish(std::move(request));
  }

 private:
  std::string Body(const Notification& n) const {
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
    return body + fmt::format(",\"truncatedAlerts\":{}}}\n", truncated);
  }

  const Block block_;
  const ReceiverContext context_;
};

}  // namespace

std::unique_ptr<Receiver> MakeWebhook(const IntegrationConfig& config, const ReceiverContext& context) {
  return std::make_unique<Webhook>(config, context);
}

}  // namespace tocsin::alertmanager
