// wechat: a token first, kept for as long as it is good, then the message.

#include <simdjson.h>

#include "alertmanager/receiver.h"
#include "base/mutex.h"
#include "base/text.h"

namespace tocsin::alertmanager {

namespace {

constexpr base::Duration kTokenLife = std::chrono::hours(2);
constexpr int64_t kTokenExpired = 42001;

class WeChat : public Receiver {
 public:
  WeChat(const IntegrationConfig& config, const ReceiverContext& context)
      : block_(config.block), context_(context) {}

  base::Result<Built> Build(const Notification& n, const Step&) const override {
    Expander expand(context_, n);
    const std::string token = Token(n.now);
    if (token.empty()) {
      ASSIGN_OR_RETURN(const std::string secret, SecretText(block_, "api_secret", "api_secret_file", context_.fs));
      net::Params p;
      p.Add("corpsecret", expand.Key(secret));
      p.Add("corpid", expand.Key(block_.Text("corp_id")));
      auto request = JsonPost(block_, context_, block_.Text("api_url") + "gettoken?" + p.Encode());
      request.method = "GET";
      request.headers.Remove("Content-Type");
      return expand.Finish(std::move(request));
    }
    net::Params p;
    p.Add("access_token", token);
    auto request = JsonPost(block_, context_, block_.Text("api_url") + "message/send?" + p.Encode());
    const std::string message = expand.Text(block_.Text("message"));
    const bool markdown = block_.Text("message_type") == "markdown";
    auto content = [&](std::string* out, const std::string& text) {
      JsonObject o(out);
      o.Text("content", text);
      o.Close();
    };
    JsonObject o(&request.body);
    content(o.Key("text"), markdown ? "" : message);
    o.TextIfAny("touser", expand.Text(block_.Text("to_user")));
    o.TextIfAny("toparty", expand.Text(block_.Text("to_party")));
    o.TextIfAny("totag", expand.Text(block_.Text("to_tag")));
    o.TextIfAny("agentid", expand.Text(block_.Text("agent_id")));
    o.Text("safe", "0");
    o.Text("msgtype", markdown ? "markdown" : "text");
    content(o.Key("markdown"), markdown ? message : "");
    o.Close();
    request.body += '\n';
    return expand.Finish(std::move(request));
  }

  // What the answer holds tells which request it answers: a token, or an error code.
  Outcome Judge(const Notification& n, const Step& step, const net::FetchResponse& response) const override {
    Outcome o = Receiver::Judge(n, step, response);
    if (response.status != 200) {
      o.ok = false;
      o.retry = true;
      return o;
    }
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    if (parser.parse(response.body).get(root) != simdjson::SUCCESS) {
      return {.error = "WeChat's answer is no JSON: " + base::TruncateRunes(response.body, 200)};
    }
    std::string_view token;
    if (root["access_token"].get(token) == simdjson::SUCCESS && !token.empty()) {
      base::MutexLock lock(&mutex_);
      token_ = token;
      token_at_ = n.now;
      o.more = true;
      return o;
    }
    int64_t code = 0;
    if (root["errcode"].get(code) == simdjson::SUCCESS && code == 0) return o;
    if (code == kTokenExpired) {
      base::MutexLock lock(&mutex_);
      token_.clear();
    }
    return {.retry = code == kTokenExpired, .reason = FailureReason::kClientError,
            .error = "WeChat: " + base::TruncateRunes(response.body, 200)};
  }

  std::vector<std::string> Secrets() const override {
    base::MutexLock lock(&mutex_);
    return {token_};
  }

 private:
  std::string Token(base::Time now) const {
    base::MutexLock lock(&mutex_);
    return now - token_at_ < kTokenLife ? token_ : std::string();
  }

  const Block block_;
  const ReceiverContext context_;
  mutable base::Mutex mutex_;  // builds run on workers, at the same time for several groups
  mutable std::string token_ TOCSIN_GUARDED_BY(mutex_);
  mutable base::Time token_at_ TOCSIN_GUARDED_BY(mutex_){};
};

}  // namespace

std::unique_ptr<Receiver> MakeWeChat(const IntegrationConfig& config, const ReceiverContext& context) {
  return std::make_unique<WeChat>(config, context);
}

}  // namespace tocsin::alertmanager
