// victorops and pushover: services that page people.

#include <algorithm>
#include <map>

#include "alertmanager/receiver.h"
#include "base/text.h"

namespace tocsin::alertmanager {

namespace {

constexpr size_t kMaxStateMessageRunes = 20480;

class VictorOps : public Receiver {
 public:
  VictorOps(const IntegrationConfig& config, const ReceiverContext& context)
      : block_(config.block), context_(context) {}

  base::Result<Built> Build(const Notification& n, const Step&) const override {
    Expander expand(context_, n);
    ASSIGN_OR_RETURN(const std::string key, SecretText(block_, "api_key", "api_key_file", context_.fs));
    auto request = JsonPost(block_, context_, block_.Text("api_url") + key + "/" + expand.Key(block_.Text("routing_key")));
    std::string type = expand.Key(block_.Text("message_type"));
    constexpr std::string_view kTypes[] = {"INFO", "WARNING", "CRITICAL"};
    if (n.data.status == "resolved") {
      type = "RECOVERY";
    } else if (std::ranges::find(kTypes, type) == std::end(kTypes)) {
      type = "CRITICAL";
    }
    std::map<std::string, std::string> fields = {
        {"message_type", type},
        {"entity_id", HashOfKey(n.group_key)},
        {"entity_display_name", expand.Text(block_.Text("entity_display_name"))},
        {"state_message", TruncateRunes(expand.Text(block_.Text("state_message")), kMaxStateMessageRunes)},
        {"monitoring_tool", expand.Text(block_.Text("monitoring_tool"))}};
    for (const auto& [name, value] : block_.Map("custom_fields")) fields[name] = expand.Text(value);
    JsonObject o(&request.body);
    for (const auto& [name, value] : fields) o.Text(name, value);
    o.Close();
    request.body += '\n';
    return expand.Finish(std::move(request));
  }

 private:
  const Block block_;
  const ReceiverContext context_;
};

constexpr std::string_view kPushoverUrl = "https://api.pushover.net/1/messages.json";

class Pushover : public Receiver {
 public:
  Pushover(const IntegrationConfig& config, const ReceiverContext& context)
      : block_(config.block), context_(context) {}

  // Everything goes into the query, as upstream does it; the body is empty.
  base::Result<Built> Build(const Notification& n, const Step&) const override {
    Expander expand(context_, n);
    ASSIGN_OR_RETURN(const std::string user, SecretText(block_, "user_key", "user_key_file", context_.fs));
    ASSIGN_OR_RETURN(const std::string token, SecretText(block_, "token", "token_file", context_.fs));
    auto text = [&](std::string_view name) { return expand.Text(block_.Text(name)); };
    net::Params p;
    p.Add("token", expand.Key(token));
    p.Add("user", expand.Key(user));
    p.Add("title", TruncateRunes(text("title"), 250));
    if (block_.Flag("html")) p.Add("html", "1");
    if (block_.Flag("monospace")) p.Add("monospace", "1");
    const std::string message = block_.Flag("html") ? expand.Html(block_.Text("message")) : text("message");
    const std::string cut = TruncateRunes(message, 1024);
    // Pushover refuses an empty message.
    p.Add("message", base::Trim(cut).empty() ? "(no details)" : base::Trim(cut));
    p.Add("url", TruncateRunes(text("url"), 512));
    p.Add("url_title", text("url_title"));
    p.Add("priority", text("priority"));
    auto seconds = [&](std::string_view name) {
      return std::to_string(std::chrono::floor<std::chrono::seconds>(block_.Span(name)).count());
    };
    p.Add("retry", seconds("retry"));
    p.Add("expire", seconds("expire"));
    if (const std::string device = text("device"); !device.empty()) p.Add("device", device);
    p.Add("sound", text("sound"));
    if (block_.Span("ttl") >= std::chrono::seconds(1)) p.Add("ttl", seconds("ttl"));
    auto request = JsonPost(block_, context_, std::string(kPushoverUrl) + "?" + p.Encode());
    request.headers.Set("Content-Type", "text/plain");
    return expand.Finish(std::move(request));
  }

 private:
  const Block block_;
  const ReceiverContext context_;
};

}  // namespace

std::unique_ptr<Receiver> MakeVictorOps(const IntegrationConfig& config, const ReceiverContext& context) {
  return std::make_unique<VictorOps>(config, context);
}
std::unique_ptr<Receiver> MakePushover(const IntegrationConfig& config, const ReceiverContext& context) {
  return std::make_unique<Pushover>(config, context);
}

}  // namespace tocsin::alertmanager
