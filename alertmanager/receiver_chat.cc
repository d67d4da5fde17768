// telegram, discord, webex and Microsoft Teams (both forms): one message to a room.

#include "alertmanager/receiver.h"
#include "base/text.h"

namespace tocsin::alertmanager {

namespace {

// ---- telegram ----------------------------------------------------------------------------------

constexpr size_t kMaxTelegramRunes = 4096;

class Telegram : public Receiver {
 public:
  Telegram(const IntegrationConfig& config, const ReceiverContext& context)
      : block_(config.block), context_(context) {}

  base::Result<Built> Build(const Notification& n, const Step&) const override {
    Expander expand(context_, n);
    ASSIGN_OR_RETURN(const std::string token, SecretText(block_, "bot_token", "bot_token_file", context_.fs));
    std::string chat = std::to_string(block_.Number("chat_id"));
    if (block_.Has("chat_id_file")) {
      ASSIGN_OR_RETURN(chat, context_.fs->ReadFile(block_.Text("chat_id_file")));
      chat = std::string(base::Trim(chat));
    }
    const std::string& mode = block_.Text("parse_mode");
    std::string text = mode == "HTML" ? expand.Html(block_.Text("message")) : expand.Text(block_.Text("message"));
    if (base::RuneCount(text) > kMaxTelegramRunes) {
      // Cut HTML may be no HTML any more, and Telegram refuses it.
      text = mode == "HTML" ? base::EscapeHtml(FallbackText(n, base::Error(base::Code::kInvalidArgument, "the message is longer than 4096 characters")))
                            : TruncateRunes(text, kMaxTelegramRunes);
    }
    auto request = JsonPost(block_, context_, block_.Text("api_url") + "/bot" + token + "/sendMessage");
    JsonObject o(&request.body);  // every value is a text, as upstream's library sends them
    o.Text("chat_id", chat);
    if (block_.Flag("disable_notifications")) o.Text("disable_notification", "true");
    o.Text("disable_web_page_preview", "true");
    if (block_.Has("message_thread_id")) o.Text("message_thread_id", std::to_string(block_.Number("message_thread_id")));
    o.TextIfAny("parse_mode", mode);
    o.Text("text", text);
    o.Close();
    return expand.Finish(std::move(request));
  }

  Outcome Judge(const Notification& n, const Step& step, const net::FetchResponse& response) const override {
    Outcome o = Receiver::Judge(n, step, response);
    o.retry = !o.ok;
    return o;
  }

 private:
  const Block block_;
  const ReceiverContext context_;
};

// ---- rooms that differ only in the shape of the message ------------------------------------------

using Shape = base::Status (*)(const Block& block, const Notification& n, Expander& expand, net::FetchRequest* request);

class Room : public Receiver {
 public:
  Room(const IntegrationConfig& config, const ReceiverContext& context, Shape shape)
      : block_(config.block), context_(context), shape_(shape) {}

  base::Result<Built> Build(const Notification& n, const Step&) const override {
    Expander expand(context_, n);
    auto request = JsonPost(block_, context_, "");
    if (block_.table().name == "webex_config") {
      request.url = block_.Text("api_url");
    } else {
      ASSIGN_OR_RETURN(request.url, SecretText(block_, "webhook_url", "webhook_url_file", context_.fs));
    }
    RETURN_IF_ERROR(shape_(block_, n, expand, &request));
    request.body += '\n';
    return expand.Finish(std::move(request));
  }

 private:
  const Block block_;
  const ReceiverContext context_;
  const Shape shape_;
};

base::Status DiscordShape(const Block& b, const Notification& n, Expander& expand, net::FetchRequest* request) {
  const int64_t color = n.data.status == "firing" ? 0x992D22 : n.data.status == "resolved" ? 0x2ECC71 : 0x95A5A6;
  JsonObject o(&request->body);
  o.Text("content", TruncateRunes(expand.Text(b.Text("content")), 2000));
  *o.Key("embeds") += '[';
  JsonObject embed(&request->body);
  embed.Text("title", TruncateRunes(expand.Text(b.Text("title")), 256));
  embed.Text("description", TruncateRunes(expand.Text(b.Text("message")), 4096));
  embed.Number("color", color);
  embed.Close();
  request->body += ']';
  o.TextIfAny("username", b.Text("username"));
  o.TextIfAny("avatar_url", b.Text("avatar_url"));
  o.Close();
  return {};
}

base::Status WebexShape(const Block& b, const Notification&, Expander& expand, net::FetchRequest* request) {
  constexpr size_t kMaxBytes = 7439;
  std::string text = expand.Text(b.Text("message"));
  if (text.size() > kMaxBytes) {
    size_t keep = kMaxBytes - 3;  // the ellipsis has three bytes
    while (keep > 0 && (static_cast<unsigned char>(text[keep]) & 0xC0) == 0x80) --keep;
    text = text.substr(0, keep) + "…";
  }
  JsonObject o(&request->body);
  o.Text("markdown", text);
  o.Text("roomId", expand.Key(b.Text("room_id")));
  o.Close();
  return {};
}

// Teams refuses more than 28 KB; the rest of the message needs some of it.
constexpr size_t kMaxTeamsBytes = 24'000;

std::string TeamsText(Expander& expand, const std::string& text) {
  std::string out = expand.Text(text);
  while (out.size() > kMaxTeamsBytes) out = TruncateRunes(out, base::RuneCount(out) * kMaxTeamsBytes / out.size());
  return out;
}

base::Status TeamsShape(const Block& b, const Notification& n, Expander& expand, net::FetchRequest* request) {
  JsonObject o(&request->body);
  o.Text("@context", "http://schema.org/extensions");
  o.Text("type", "MessageCard");
  o.Text("title", expand.Text(b.Text("title")));
  o.Text("summary", expand.Text(b.Text("summary")));
  o.Text("text", TeamsText(expand, b.Text("text")));
  o.Text("themeColor", n.data.status == "firing" ? "8C1A1A" : n.data.status == "resolved" ? "2DC72D" : "808080");
  o.Close();
  return {};
}

base::Status TeamsV2Shape(const Block& b, const Notification& n, Expander& expand, net::FetchRequest* request) {
  std::string* out = &request->body;
  JsonObject o(out);
  o.Text("type", "message");
  *o.Key("attachments") += '[';
  JsonObject a(out);
  a.Text("contentType", "application/vnd.microsoft.card.adaptive");
  *a.Key("contentUrl") += "null";
  JsonObject card(a.Key("content"));
  card.Text("$schema", "http://adaptivecards.io/schemas/adaptive-card.json");
  card.Text("type", "AdaptiveCard");
  card.Text("version", "1.2");
  *card.Key("body") += '[';
  JsonObject title(out);
  title.Text("type", "TextBlock");
  title.Text("text", expand.Text(b.Text("title")));
  title.Text("weight", "Bolder");
  title.Text("size", "Medium");
  title.Flag("wrap", true);
  title.Text("style", "heading");
  title.Text("color", n.data.status == "firing" ? "Attention" : n.data.status == "resolved" ? "Good" : "Warning");
  title.Close();
  *out += ',';
  JsonObject text(out);
  text.Text("type", "TextBlock");
  text.Text("text", TeamsText(expand, b.Text("text")));
  text.Flag("wrap", true);
  text.Close();
  *out += ']';
  JsonObject teams(card.Key("msteams"));
  teams.Text("width", "full");
  teams.Close();
  card.Close();
  a.Close();
  *out += ']';
  o.Close();
  return {};
}

}  // namespace

std::unique_ptr<Receiver> MakeTelegram(const IntegrationConfig& config, const ReceiverContext& context) {
  return std::make_unique<Telegram>(config, context);
}
std::unique_ptr<Receiver> MakeDiscord(const IntegrationConfig& config, const ReceiverContext& context) {
  return std::make_unique<Room>(config, context, DiscordShape);
}
std::unique_ptr<Receiver> MakeWebex(const IntegrationConfig& config, const ReceiverContext& context) {
  return std::make_unique<Room>(config, context, WebexShape);
}
std::unique_ptr<Receiver> MakeTeams(const IntegrationConfig& config, const ReceiverContext& context) {
  return std::make_unique<Room>(config, context, TeamsShape);
}
std::unique_ptr<Receiver> MakeTeamsV2(const IntegrationConfig& config, const ReceiverContext& context) {
  return std::make_unique<Room>(config, context, TeamsV2Shape);
}

}  // namespace tocsin::alertmanager
