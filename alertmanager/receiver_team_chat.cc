// rocketchat, mattermost and incidentio: Slack-like attachments, and Alertmanager's own JSON.

#include <fmt/format.h>
#include <simdjson.h>

#include "alertmanager/receiver.h"
#include "base/text.h"

namespace tocsin::alertmanager {

namespace {

void AppendFields(const Block& block, Expander& expand, bool short_by_default, std::string* out) {
  *out += '[';
  for (const Block& field : block.Blocks("fields")) {
    if (out->back() != '[') *out += ',';
    JsonObject o(out);
    o.Text("title", expand.Text(field.Text("title")));
    o.Text("value", expand.Text(field.Text("value")));
    o.Flag("short", field.IsSet("short") ? field.Flag("short") : short_by_default);
    o.Close();
  }
  *out += ']';
}

class RocketChat : public Receiver {
 public:
  RocketChat(const IntegrationConfig& config, const ReceiverContext& context)
      : block_(config.block), context_(context) {}

  base::Result<Built> Build(const Notification& n, const Step&) const override {
    Expander expand(context_, n);
    ASSIGN_OR_RETURN(const std::string id, SecretText(block_, "token_id", "token_id_file", context_.fs));
    ASSIGN_OR_RETURN(const std::string token, SecretText(block_, "token", "token_file", context_.fs));
    std::string url = block_.Text("api_url");
    if (!url.ends_with('/')) url += '/';
    auto request = JsonPost(block_, context_, url + "api/v1/chat.postMessage");
    request.headers.Set("X-User-Id", id);
    request.headers.Set("X-Auth-Token", token);
    auto text = [&](std::string_view key) { return expand.Text(block_.Text(key)); };
    std::string* out = &request.body;
    JsonObject o(out);
    o.TextIfAny("channel", expand.Key(block_.Text("channel")));
    o.TextIfAny("emoji", text("emoji"));
    o.TextIfAny("avatar", text("icon_url"));
    if (block_.Flag("link_names")) o.Flag("parseUrls", true);
    *o.Key("attachments") += '[';
    JsonObject a(out);
    a.TextIfAny("title", TruncateRunes(text("title"), 1024));
    a.TextIfAny("title_link", text("title_link"));
    a.TextIfAny("text", text("text"));
    a.TextIfAny("image_url", text("image_url"));
    a.TextIfAny("thumb_url", text("thumb_url"));
    a.TextIfAny("color", text("color"));
    if (!block_.Blocks("fields").empty()) AppendFields(block_, expand, block_.Flag("short_fields"), a.Key("fields"));
    if (!block_.Blocks("actions").empty()) {
      *a.Key("actions") += '[';
      for (const Block& action : block_.Blocks("actions")) {
        if (out->back() != '[') *out += ',';
        JsonObject b(out);
        for (const Field& f : action.table().fields) b.TextIfAny(f.key, expand.Text(action.Text(f.key)));
        b.Close();
      }
      *out += ']';
    }
    a.Close();
    *out += ']';
    o.Close();
    return expand.Finish(std::move(request));
  }

  // Refusals come with status 200 too.
  Outcome Judge(const Notification& n, const Step& step, const net::FetchResponse& response) const override {
    Outcome o = Receiver::Judge(n, step, response);
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    bool success = true;
    if (o.ok && parser.parse(response.body).get(root) == simdjson::SUCCESS &&
        root["success"].get(success) == simdjson::SUCCESS && !success) {
      return {.reason = FailureReason::kClientError, .error = "Rocket.Chat: " + base::TruncateRunes(response.body, 500)};
    }
    return o;
  }

 private:
  const Block block_;
  const ReceiverContext context_;
};

class Mattermost : public Receiver {
 public:
  Mattermost(const IntegrationConfig& config, const ReceiverContext& context)
      : block_(config.block), context_(context) {}

  base::Result<Built> Build(const Notification& n, const Step&) const override {
    constexpr size_t kMaxTextRunes = 16383;
    Expander expand(context_, n);
    ASSIGN_OR_RETURN(std::string url, SecretText(block_, "webhook_url", "webhook_url_file", context_.fs));
    auto request = JsonPost(block_, context_, std::move(url));
    auto text = [&](std::string_view key) { return expand.Text(block_.Text(key)); };
    std::string* out = &request.body;
    JsonObject o(out);
    o.TextIfAny("channel", expand.Key(block_.Text("channel")));
    o.TextIfAny("username", text("username"));
    for (std::string_view key : {"icon_url", "icon_emoji", "type"}) o.TextIfAny(key, text(key));
    *o.Key("attachments") += '[';
    if (block_.Blocks("attachments").empty()) {
      AppendAttachment(block_, expand, kMaxTextRunes, out);
    }
    for (const Block& a : block_.Blocks("attachments")) {
      if (out->back() != '[') *out += ',';
      AppendAttachment(a, expand, kMaxTextRunes, out);
    }
    *out += ']';
    if (!block_.Blocks("props").empty()) {
      JsonObject props(o.Key("props"));
      props.TextIfAny("card", expand.Text(block_.Blocks("props").front().Text("card")));
      props.Close();
    }
    if (!block_.Blocks("priority").empty()) {
      const Block& priority = block_.Blocks("priority").front();
      JsonObject p(o.Key("priority"));
      p.TextIfAny("priority", expand.Text(priority.Text("priority")));
      if (priority.Flag("requested_ack")) p.Flag("requested_ack", true);
      if (priority.Flag("persistent_notifications")) p.Flag("persistent_notifications", true);
      p.Close();
    }
    o.Close();
    return expand.Finish(std::move(request));
  }

 private:
  static void AppendAttachment(const Block& b, Expander& expand, size_t max_runes, std::string* out) {
    JsonObject a(out);
    a.TextIfAny("text", TruncateRunes(expand.Text(b.Text("text")), max_runes));
    for (std::string_view key : {"fallback", "color", "pretext", "author_name", "author_link", "author_icon", "title",
                                 "title_link", "thumb_url", "footer", "footer_icon", "image_url"}) {
      a.TextIfAny(key, expand.Text(b.Text(key)));
    }
    if (!b.Blocks("fields").empty()) AppendFields(b, expand, false, a.Key("fields"));
    a.Close();
  }

  const Block block_;
  const ReceiverContext context_;
};

class IncidentIo : public Receiver {
 public:
  IncidentIo(const IntegrationConfig& config, const ReceiverContext& context)
      : block_(config.block), context_(context) {}

  base::Result<Built> Build(const Notification& n, const Step&) const override {
    constexpr size_t kMaxBytes = 512 * 1024;
    ASSIGN_OR_RETURN(std::string url, SecretText(block_, "url", "url_file", context_.fs));
    auto request = JsonPost(block_, context_, std::move(url));
    ASSIGN_OR_RETURN(const std::string token,
                     SecretText(block_, "alert_source_token", "alert_source_token_file", context_.fs));
    if (!token.empty()) request.headers.Set("Authorization", "Bearer " + token);
    const auto max = static_cast<size_t>(block_.Number("max_alerts"));
    request.body = Body(n, max == 0 ? n.data.alerts.size() : max);
    if (request.body.size() > kMaxBytes) request.body = Body(n, 1);
    return Built{.message = std::move(request), .replaced = {}};
  }

  Outcome Judge(const Notification& n, const Step& step, const net::FetchResponse& response) const override {
    Outcome o = Receiver::Judge(n, step, response);
    if (!o.ok && response.status == 429) o.retry = true;
    return o;
  }

 private:
  static std::string Body(const Notification& n, size_t max) {
    const size_t shown = std::min(max, n.data.alerts.size());
    const size_t truncated = n.data.alerts.size() - shown;
    std::string body;
    AppendNotificationJson(n.data, shown, &body);
    body += ",\"version\":\"1\",\"groupKey\":";
    base::AppendJsonString(n.group_key, &body, base::JsonEscape::kGo);
    return body + fmt::format(",\"truncatedAlerts\":{}}}\n", truncated);
  }

  const Block block_;
  const ReceiverContext context_;
};

}  // namespace

std::unique_ptr<Receiver> MakeRocketChat(const IntegrationConfig& config, const ReceiverContext& context) {
  return std::make_unique<RocketChat>(config, context);
}
std::unique_ptr<Receiver> MakeMattermost(const IntegrationConfig& config, const ReceiverContext& context) {
  return std::make_unique<Mattermost>(config, context);
}
std::unique_ptr<Receiver> MakeIncidentIo(const IntegrationConfig& config, const ReceiverContext& context) {
  return std::make_unique<IncidentIo>(config, context);
}

}  // namespace tocsin::alertmanager
