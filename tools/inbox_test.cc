#include "tools/inbox.h"

#include <gtest/gtest.h>

#include <optional>

#include "net/http_client.h"
#include "net/smtp_client.h"
#include "net/test_support.h"
#include "tools/mail_text.h"

namespace tocsin::tools {
namespace {

TEST(MailTextTest, PartsHeadersAndEncodingsAreDecoded) {
  const std::string raw =
      "From: =?UTF-8?q?=C3=84larm?= <a@example.org>\r\n"
      "Subject: =?utf-8?q?=5BFIRING=3A1=5D_?=\r\n =?utf-8?B?4piD?= end\r\n"
      "Content-Type: multipart/alternative;  boundary=\"b1\"\r\n\r\n"
      "--b1\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
      "caf=C3=A9 =\r\nlong\r\n"
      "--b1\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPHA+aGk8\r\nL3A+\r\n"
      "--b1--\r\n";
  const Mail mail = ReadMail(raw);
  EXPECT_EQ(mail.Header("from"), "Älarm <a@example.org>");
  EXPECT_EQ(mail.Header("subject"), "[FIRING:1] ☃ end");
  EXPECT_EQ(mail.text, "café long\r");
  EXPECT_EQ(mail.html, "<p>hi</p>");
}

TEST(MailTextTest, HtmlBecomesText) {
  EXPECT_EQ(HtmlToText("<html><head><title>t</title><style>p{}</style></head><body><h1>Big &amp; bold</h1>"
                       "<p>one<br>two</p><ul><li>a</li><li>b</li></ul>"
                       "<a href=\"http://x/?a=1&amp;b=2\">go</a> &#9731; &lt;tag&gt; &unknown;</body></html>"),
            "Big & bold\n\none\ntwo\n\n- a\n- b\ngo (http://x/?a=1&b=2) ☃ <tag> &unknown;\n");
  EXPECT_EQ(HtmlToText("<table><tr><td>a</td><td>b</td></tr></table>"), "a b\n");
}

TEST(MailTextTest, BrokenMailsAreShownAsTheyCome) {
  for (std::string_view raw : {"", "\r\n", "no headers at all", "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x",
                               "Subject: =?utf-8?q?open", "Content-Type: text/html\n\n<p", "A: b\n c\n\n=?="}) {
    ReadMail(raw);
  }
  std::string nested;
  for (int i = 0; i < 1000; ++i) nested += "Content-Type: multipart/mixed; boundary=x\n\n--x\n";
  ReadMail(nested);
}

TEST(InboxMessageTest, SlackMessagesAreReadable) {
  const InboxMessage m = FromHttp("/services/T/B/x", R"json({"channel":"#ops","username":"Alertmanager","attachments":[{
    "title":"[FIRING:1] Down (h1 page)","title_link":"http://p/#/alerts","text":"*bold* <http://x|see> &lt;b&gt;",
    "fallback":"f","color":"danger","fields":[{"title":"host","value":"h1","short":true}]}]})json");
  EXPECT_EQ(m.kind, "slack");
  EXPECT_EQ(m.to, "#ops");
  EXPECT_EQ(m.title, "[FIRING:1] Down (h1 page)");
  EXPECT_EQ(m.status, "firing");
  EXPECT_EQ(m.text, "*bold* see (http://x) <b>\nhost: h1\nhttp://p/#/alerts\n");
}

TEST(InboxMessageTest, WebhooksAreReadable) {
  const InboxMessage m = FromHttp("/hook", R"({"receiver":"ops","status":"resolved","groupLabels":{"alertname":"Down"},
    "alerts":[{"status":"resolved","labels":{"alertname":"Down","i":"1"},"annotations":{"summary":"s"}}]})");
  EXPECT_EQ(m.kind, "webhook");
  EXPECT_EQ(m.title, "[RESOLVED:1] Down");
  EXPECT_EQ(m.text, "receiver ops\nresolved Down (i=1)\n  summary: s\n");
  EXPECT_EQ(FromHttp("/x", R"({"a":[1,2]})").title, "JSON");
  EXPECT_EQ(FromHttp("/x", "plain\nwords").title, "plain");
  for (const char* odd : {R"({"attachments":[1,null,{"fields":[3],"title":5}]})", R"({"alerts":[1,{"labels":4}]})",
                          R"({"alerts":[],"status":7,"groupLabels":[]})", "[1]", "null", "\"x\""}) {
    FromHttp("/x", odd);
  }
}

TEST(InboxMessageTest, ATerminalIsNeverSteeredBySenders) {
  InboxMessage m;
  m.kind = "webhook";
  m.title = "a\x1b[2Jb";
  m.text = "x\x07y\r\nz \xc2\x9b" "1m";
  const std::string shown = RenderMessage(m, false);
  EXPECT_EQ(shown.find('\x1b'), std::string::npos);
  EXPECT_EQ(shown.find('\x07'), std::string::npos);
  EXPECT_EQ(shown.find("\xc2\x9b"), std::string::npos);
  EXPECT_NE(RenderMessage(m, true).find("\x1b[1"), std::string::npos);
}

TEST(InboxMessageTest, LongMessagesAreCut) {
  InboxMessage m;
  for (int i = 0; i < 100; ++i) m.text += "line\n";
  EXPECT_NE(RenderMessage(m, false).find("... 60 more lines"), std::string::npos);
}

class InboxTest : public testing::Test {
 protected:
  InboxTest() : inbox_(&loop_, [this](const InboxMessage& m) { arrived_.push_back(m.kind + " " + m.title); }) {
    auto started = inbox_.Start({.smtp_address = "127.0.0.1:0", .web_address = "127.0.0.1:0"});
    EXPECT_TRUE(started) << started.error().message();
    http_ = net::MakeHttpClient(&loop_);
    mail_ = net::MakeSmtpClient(&loop_);
  }
  std::string Ask(const std::string& method, const std::string& path, const std::string& body = "") {
    net::FetchRequest r;
    r.method = method;
    r.url = "http://" + inbox_.web_address() + path;
    r.body = body;
    std::string got;
    bool done = false;
    net::Call call = http_->Fetch(std::move(r), [&](base::Result<net::FetchResponse> response) {
      got = response ? std::to_string(response->status) + " " + response->body : response.error().message();
      done = true;
    });
    net::RunUntil(&loop_, [&] { return done; });
    return got;
  }
  base::Status Mail(net::SmtpMessage m) {
    m.smarthost = inbox_.smtp_address();
    m.from = "a@example.org";
    m.recipients = {"b@example.org"};
    m.data = "Subject: [FIRING:1] Down\n\nhello\n.dot\n";
    std::optional<base::Status> got;
    net::Call call = mail_->Send(std::move(m), [&](base::Status s) { got = std::move(s); });
    net::RunUntil(&loop_, [&] { return got.has_value(); });
    return *got;
  }

  net::EventLoop loop_;
  std::vector<std::string> arrived_;
  Inbox inbox_;
  std::unique_ptr<net::HttpClient> http_;
  std::unique_ptr<net::MailClient> mail_;
};

TEST_F(InboxTest, MailsArriveWithAndWithoutTlsAndLogin) {
  net::SmtpMessage plain;
  plain.require_tls = false;
  ASSERT_TRUE(Mail(plain));
  net::SmtpMessage tls;
  tls.tls.insecure_skip_verify = true;
  tls.username = "u";
  tls.password = "p";
  auto sent = Mail(tls);
  ASSERT_TRUE(sent) << sent.error().message();
  tls.password = "";
  tls.secret = "s";
  ASSERT_TRUE(Mail(tls));
  EXPECT_EQ(arrived_, std::vector<std::string>(3, "email [FIRING:1] Down"));
  EXPECT_EQ(inbox_.messages()[0].to, "b@example.org");
  EXPECT_NE(inbox_.messages()[0].text.find("hello\n.dot"), std::string::npos) << inbox_.messages()[0].text;
  EXPECT_NE(inbox_.messages()[2].text.find("logged in as u over TLS"), std::string::npos);
}

TEST_F(InboxTest, WebhooksArriveAndAreListed) {
  EXPECT_EQ(Ask("POST", "/services/x", R"({"text":"hi","channel":"#c"})"), "200 ok");
  EXPECT_EQ(Ask("POST", "/api/chat.postMessage", R"({"text":"hi","channel":"#c"})").substr(0, 37),
            R"(200 {"ok":true,"channel":"C0000INBOX")");
  EXPECT_EQ(Ask("POST", "/hook", R"({"a":1})"), "200 {}");
  const std::string list = Ask("GET", "/api/messages");
  EXPECT_TRUE(list.starts_with("200 [{")) << list;
  EXPECT_NE(list.find(R"("kind":"slack")"), std::string::npos);
  EXPECT_EQ(Ask("GET", "/api/messages?kind=email"), "200 []");
  EXPECT_NE(Ask("GET", "/api/messages?after=2").find(R"("id":3)"), std::string::npos);
  EXPECT_TRUE(Ask("GET", "/").starts_with("200 <!doctype html>"));
  EXPECT_TRUE(Ask("GET", "/elsewhere").starts_with("404 "));
  EXPECT_TRUE(Ask("POST", "/api/messages", "x").starts_with("405 "));
  EXPECT_EQ(Ask("DELETE", "/api/messages"), "200 {}");
  EXPECT_EQ(Ask("GET", "/api/messages"), "200 []");
}

TEST_F(InboxTest, OldMessagesMakeRoom) {
  for (int i = 0; i < 8; ++i) Ask("POST", "/hook", std::string(9 << 20, 'x'));
  EXPECT_LT(inbox_.messages().size(), 8u);
  EXPECT_EQ(inbox_.messages().back().id, 8u);
}

TEST(RunInboxTest, MistakesAreNamed) {
  std::string err;
  ToolIo io;
  io.out = [](std::string_view) {};
  io.err = [&](std::string_view text) { err += text; };
  EXPECT_EQ(RunInbox({"word"}, io), 1);
  EXPECT_NE(err.find("unexpected argument \"word\""), std::string::npos);
  EXPECT_EQ(RunInbox({"--smtp.listen-address=nonsense"}, io), 1);
  EXPECT_NE(err.find("missing port in address"), std::string::npos);
  EXPECT_EQ(RunInbox({"--help"}, io), 0);
}

}  // namespace
}  // namespace tocsin::tools
