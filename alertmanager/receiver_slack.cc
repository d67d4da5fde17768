// slack: one attachment (or blocks of one's own) to an incoming webhook, or to chat.postMessage with
// a bot's token.  With update_message the first message is edited by chat.update instead of posting
// again; with post_updates_to_thread what comes later answers it in its thread; with both, both.

#include <simdjson.h>

#include "alertmanager/receiver.h"
#include "base/number.h"
#include "base/text.h"

namespace tocsin::alertmanager {

namespace {

constexpr size_t kMaxTitleRunes = 1024;

class Slack : public Receiver {
 public:
  Slack(const IntegrationConfig& config, const ReceiverContext& context)
      : block_(config.block), context_(context) {}

  base::Result<Built> Build(const Notification& n, const Step& step) const override {
    auto request = JsonPost(block_, context_, "");
    RETURN_IF_ERROR(SetAddress(&request));
    const std::optional<SlackPost> first = FirstMessage(n);
    const Action action = ActionOf(first, step);
    if (action == Action::kEdit) request.url = UpdateUrl(request.url);
    Expander expand(context_, n);
    ASSIGN_OR_RETURN(request.body, Body(expand, action, first));
    return expand.Finish(std::move(request));
  }

  // Slack answers 200 also for errors: "ok" as text, or {"ok": true, ...}.
  Outcome Judge(const Notification& n, const Step& step, const net::FetchResponse& response) const override {
    Outcome o = Receiver::Judge(n, step, response);
    if (!o.ok) {
      if (response.status == 429 && !context_.compat.ignore_retry_after) {
        o.retry = true;
        if (auto seconds = base::ParseFloat(response.headers.Get("Retry-After")); seconds && *seconds >= 0 && *seconds < 3600) {
          o.retry_after = std::chrono::milliseconds(static_cast<int64_t>(*seconds * 1000));
        }
      }
      return o;
    }
    auto failed = [&](std::string_view error) {
      return Outcome{.reason = FailureReason::kClientError, .error = "error response from Slack: " + base::TruncateRunes(error, 1000)};
    };
    if (!response.headers.Get("Content-Type").starts_with("application/json")) {
      return base::Trim(response.body) == "ok" || response.body.empty() ? o : failed(response.body);
    }
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    bool ok = false;
    if (parser.parse(response.body).get(root) != simdjson::SUCCESS || root["ok"].get(ok) != simdjson::SUCCESS) {
      return failed("could not unmarshal JSON response " + response.body);
    }
    std::string_view text;
    if (!ok) return failed(root["error"].get(text) == simdjson::SUCCESS ? text : std::string_view(response.body));
    const std::optional<SlackPost> first = FirstMessage(n);
    const Action action = ActionOf(first, step);
    std::string_view channel;
    if (KeepsFirst() && action != Action::kReply && root["ts"].get(text) == simdjson::SUCCESS &&
        root["channel"].get(channel) == simdjson::SUCCESS) {
      o.receiver_data = EncodeSlackPost({.channel = std::string(channel), .ts = std::string(text)});
    }
    o.more = o.told = action == Action::kEdit && Replies();
    return o;
  }

 private:
  enum class Action { kPost, kEdit, kReply };

  bool Replies() const { return block_.Flag("post_updates_to_thread"); }
  bool KeepsFirst() const { return block_.Flag("update_message") || Replies(); }

  // The message that an earlier notification of the group's present life posted.
  std::optional<SlackPost> FirstMessage(const Notification& n) const {
    if (!KeepsFirst() || n.data.notification_reason == "first notification") return std::nullopt;
    return DecodeSlackPost(n.receiver_data);
  }
  Action ActionOf(const std::optional<SlackPost>& first, const Step& step) const {
    if (!first) return Action::kPost;
    return step.index == 0 && block_.Flag("update_message") ? Action::kEdit : Action::kReply;
  }

  base::Status SetAddress(net::FetchRequest* request) const {
    if (block_.Has("app_token") || block_.Has("app_token_file")) {
      ASSIGN_OR_RETURN(const std::string token, SecretText(block_, "app_token", "app_token_file", context_.fs));
      request->headers.Set("Authorization", "Bearer " + token);
      request->url = block_.Text("app_url");
    }
    if (request->url.empty() || block_.Has("api_url") || block_.Has("api_url_file")) {
      ASSIGN_OR_RETURN(request->url, SecretText(block_, "api_url", "api_url_file", context_.fs));
    }
    return {};
  }

  static std::string UpdateUrl(std::string url) {
    const size_t at = url.rfind("chat.postMessage");
    return at == std::string::npos ? url : url.replace(at, std::string_view("chat.postMessage").size(), "chat.update");
  }

  base::Result<std::string> Body(Expander& expand, Action action, const std::optional<SlackPost>& first) const {
    std::string out;
    auto text = [&](std::string_view key) { return expand.Text(block_.Text(key)); };
    JsonObject o(&out);
    o.TextIfAny("channel", first ? first->channel : expand.Key(block_.Text("channel")));
    if (first) o.Text(action == Action::kEdit ? "ts" : "thread_ts", first->ts);
    o.TextIfAny("username", text("username"));
    o.TextIfAny("icon_emoji", text("icon_emoji"));
    o.TextIfAny("icon_url", text("icon_url"));
    if (block_.Flag("link_names")) o.Flag("link_names", true);
    const base::yaml::Node* blocks = block_.Tree("blocks");
    if (blocks != nullptr && !blocks->IsNull()) {
      // The text is what a phone's notification shows of a message made of blocks.
      o.Text("text", block_.Has("message_text") ? text("message_text") : text("fallback"));
      RETURN_IF_ERROR(AppendTree(*blocks, expand, o.Key("blocks")));
    } else {
      o.TextIfAny("text", text("message_text"));
      AppendAttachment(expand, o.Key("attachments"));
    }
    o.Close();
    return out + "\n";
  }

  void AppendAttachment(Expander& expand, std::string* out) const {
    auto text = [&](std::string_view key) { return expand.Text(block_.Text(key)); };
    *out += '[';
    JsonObject a(out);
    a.TextIfAny("title", TruncateRunes(text("title"), kMaxTitleRunes));
    a.TextIfAny("title_link", text("title_link"));
    a.TextIfAny("pretext", text("pretext"));
    a.Text("text", text("text"));
    a.Text("fallback", text("fallback"));
    a.Text("callback_id", text("callback_id"));
    if (!block_.Blocks("fields").empty()) AppendFields(expand, a.Key("fields"));
    if (!block_.Blocks("actions").empty()) AppendActions(expand, a.Key("actions"));
    a.TextIfAny("image_url", text("image_url"));
    a.TextIfAny("thumb_url", text("thumb_url"));
    a.Text("footer", text("footer"));
    a.TextIfAny("color", text("color"));
    AppendMarkdownIn(a.Key("mrkdwn_in"));
    a.Close();
    *out += ']';
  }

  void AppendMarkdownIn(std::string* out) const {
    static const std::vector<std::string> kUsual = {"fallback", "pretext", "text"};
    const auto& given = block_.Texts("mrkdwn_in");
    *out += '[';
    for (const std::string& item : given.empty() ? kUsual : given) {
      if (out->back() != '[') *out += ',';
      base::AppendJsonString(item, out, base::JsonEscape::kGo);
    }
    *out += ']';
  }

  void AppendFields(Expander& expand, std::string* out) const {
    *out += '[';
    for (const Block& field : block_.Blocks("fields")) {
      if (out->back() != '[') *out += ',';
      JsonObject o(out);
      o.TextIfAny("title", expand.Text(field.Text("title")));
      o.TextIfAny("value", expand.Text(field.Text("value")));
      o.Flag("short", field.IsSet("short") ? field.Flag("short") : block_.Flag("short_fields"));
      o.Close();
    }
    *out += ']';
  }

  static void AppendActions(Expander& expand, const Block& block, std::string* out) {
    *out += '[';
    for (const Block& action : block.Blocks("actions")) {
      if (out->back() != '[') *out += ',';
      auto text = [&](std::string_view key) { return expand.Text(action.Text(key)); };
      JsonObject o(out);
      o.Text("type", text("type"));
      o.Text("text", text("text"));
      o.TextIfAny("url", text("url"));
      o.TextIfAny("style", text("style"));
      o.TextIfAny("name", text("name"));
      o.TextIfAny("value", text("value"));
      if (!action.Blocks("confirm").empty()) {
        const Block& confirm = action.Blocks("confirm").front();
        JsonObject c(o.Key("confirm"));
        c.Text("text", expand.Text(confirm.Text("text")));
        c.TextIfAny("title", expand.Text(confirm.Text("title")));
        c.TextIfAny("ok_text", expand.Text(confirm.Text("ok_text")));
        c.TextIfAny("dismiss_text", expand.Text(confirm.Text("dismiss_text")));
        c.Close();
      }
      o.Close();
    }
    *out += ']';
  }
  void AppendActions(Expander& expand, std::string* out) const { AppendActions(expand, block_, out); }

  const Block block_;
  const ReceiverContext context_;
};

}  // namespace

// Channel and time stamp, apart by a line feed.
std::string EncodeSlackPost(const SlackPost& post) { return post.channel + "\n" + post.ts; }

std::optional<SlackPost> DecodeSlackPost(std::string_view data) {
  const size_t split = data.find('\n');
  if (split == std::string_view::npos || split == 0 || split + 1 == data.size()) return std::nullopt;
  return SlackPost{.channel = std::string(data.substr(0, split)), .ts = std::string(data.substr(split + 1))};
}

std::unique_ptr<Receiver> MakeSlack(const IntegrationConfig& config, const ReceiverContext& context) {
  return std::make_unique<Slack>(config, context);
}

}  // namespace tocsin::alertmanager
