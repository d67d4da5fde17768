#include "tools/inbox.h"

#include <signal.h>

#include <charconv>

#include "base/text.h"
#include "tools/inbox_page.h"
#include "tools/smtp_receiver.h"

namespace tocsin::tools {
namespace {

constexpr size_t kMaxMessages = 1000;
constexpr size_t kMaxBytes = 64 << 20;
constexpr size_t kMaxBody = 10 << 20;

size_t SizeOf(const InboxMessage& m) { return m.raw.size() + m.text.size() + m.html.size() + 500; }

}  // namespace

Inbox::Inbox(net::EventLoop* loop, std::function<void(const InboxMessage&)> arrived)
    : loop_(loop), arrived_(std::move(arrived)) {}

Inbox::~Inbox() = default;

base::Status Inbox::Start(const InboxOptions& options) {
  smtp_ = std::make_unique<SmtpReceiver>(loop_, [this](const MailEnvelope& envelope, const std::string& data) {
    Add(FromMail(envelope, data));
  });
  ASSIGN_OR_RETURN(smtp_address_, smtp_->Listen(options.smtp_address));
  net::HttpServerOptions http;
  http.max_body_bytes = kMaxBody;
  http.max_connections = 100;
  web_ = std::make_unique<net::HttpServer>(
      loop_, std::move(http), [this](std::shared_ptr<net::HttpExchange> exchange) { Handle(std::move(exchange)); });
  ASSIGN_OR_RETURN(web_address_, web_->Listen(options.web_address));
  return {};
}

void Inbox::Add(InboxMessage message) {
  message.id = next_id_++;
  message.received = loop_->Now();
  bytes_ += SizeOf(message);
  messages_.push_back(std::move(message));
  while (messages_.size() > kMaxMessages || (bytes_ > kMaxBytes && messages_.size() > 1)) {
    bytes_ -= SizeOf(messages_.front());
    messages_.pop_front();
  }
  if (arrived_) arrived_(messages_.back());
}

void Inbox::Handle(std::shared_ptr<net::HttpExchange> exchange) {
  exchange->Respond(Answer(exchange->request()));
}

net::HttpResponse Inbox::Answer(const net::HttpRequest& r) {
  const bool reading = r.method == "GET" || r.method == "HEAD";
  if (r.path == "/api/messages") {
    if (reading) return net::HttpResponse::Json(200, ListJson(r));
    if (r.method == "DELETE") {
      messages_.clear();
      bytes_ = 0;
      return net::HttpResponse::Json(200, "{}");
    }
    return net::HttpResponse::Text(405, "GET lists the messages, DELETE forgets them\n");
  }
  if (reading && (r.path == "/-/healthy" || r.path == "/-/ready")) return net::HttpResponse::Text(200, "OK");
  if (reading && r.path == "/") return net::HttpResponse::Html(200, std::string(kInboxPage));
  if (reading) return net::HttpResponse::Text(404, "the list is at /, webhooks are sent by POST to any other path\n");
  if (r.method != "POST" && r.method != "PUT") return net::HttpResponse::Text(405, "send webhooks by POST\n");

  // Slack's oldest form: the JSON in a form's field.
  std::string body = r.body;
  if (r.headers.Get("Content-Type").starts_with("application/x-www-form-urlencoded")) {
    if (auto form = r.Form(); form && form->Has("payload")) body = form->Get("payload");
  }
  InboxMessage message = FromHttp(r.path, body);
  const bool slack = message.kind == "slack";
  Add(std::move(message));
  if (!slack) return net::HttpResponse::Json(200, "{}");
  if (r.path.ends_with("chat.postMessage") || r.path.ends_with("chat.update")) {
    const uint64_t id = messages_.back().id;
    return net::HttpResponse::Json(
        200, R"({"ok":true,"channel":"C0000INBOX","ts":")" +
                 std::to_string(base::ToUnixMillis(messages_.back().received) / 1000) + "." +
                 std::to_string(100000 + id % 900000) + R"("})");
  }
  return net::HttpResponse::Text(200, "ok");
}

// ?kind=slack and ?after=<id> leave out others.
std::string Inbox::ListJson(const net::HttpRequest& r) const {
  const std::string_view kind = r.query.Get("kind");
  const std::string_view after_text = r.query.Get("after");
  uint64_t after = 0;
  std::from_chars(after_text.data(), after_text.data() + after_text.size(), after);
  std::string out = "[";
  for (const InboxMessage& m : messages_) {
    if (m.id <= after || (!kind.empty() && m.kind != kind)) continue;
    if (out.size() > 1) out += ',';
    out += MessageJson(m);
  }
  return out + "]";
}

int RunInbox(const std::vector<std::string>& args, const ToolIo& io) {
  InboxOptions options;
  bool json = false;
  FlagSet flags("tocsin inbox [FLAGS]",
                "Receives mails (SMTP) and Slack messages or other webhooks (HTTP POST to any path) on this machine and "
                "shows what would have been delivered, here and on a page.  Nothing is passed on.");
  flags.String("smtp.listen-address", &options.smtp_address, "Where mails arrive.");
  flags.String("web.listen-address", &options.web_address, "Where webhooks arrive and the page is.");
  flags.Bool("json", &json, "Print each message as one line of JSON.");
  flags.Examples(
      "  tocsin inbox                      show messages until Ctrl-C\n"
      "  tocsin inbox --json | jq .title   titles only\n"
      "  curl http://127.0.0.1:2580/api/messages\n"
      "\n"
      "In alertmanager.yml:\n"
      "  global:\n"
      "    smtp_smarthost: 127.0.0.1:2525\n"
      "    smtp_from: tocsin@example.org\n"
      "    smtp_require_tls: false         # or true with insecure_skip_verify\n"
      "    slack_api_url: http://127.0.0.1:2580/services/example\n"
      "  webhook_configs: [{url: http://127.0.0.1:2580/hook}]\n");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  if (!words.empty()) {
    io.err("tocsin inbox: unexpected argument \"" + words[0] + "\"; it takes flags only, see --help\n");
    return 1;
  }

  net::EventLoop loop({.threads = 1});
  Inbox inbox(&loop, [&](const InboxMessage& m) {
    io.out(json ? MessageJson(m) + "\n" : RenderMessage(m, io.color));
  });
  if (auto started = inbox.Start(options); !started) {
    io.err("tocsin inbox: " + started.error().message() + "\n");
    return 1;
  }
  io.err("mails: " + inbox.smtp_address() + "   webhooks and page: http://" + inbox.web_address() + "/\n");
  for (int signal : {SIGINT, SIGTERM}) loop.OnSignal(signal, [&] { loop.Stop(); });
  loop.Run();
  return 0;
}

}  // namespace tocsin::tools
