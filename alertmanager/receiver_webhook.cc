// webhook: the notification as JSON (version 4), or the user's own payload.

#include <fmt/format.h>

#include <algorithm>

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
    const auto limit = static_cast<size_t>(block_.Number("max_alerts"));
    const size_t shown = limit == 0 ? n.data.alerts.size() : std::min(limit, n.data.alerts.size());
    const size_t truncated = n.data.alerts.size() - shown;
    std::string body;
    AppendNotificationJson(n.data, shown, &body);
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
