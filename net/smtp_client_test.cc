#include "net/smtp_client.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>

#include "base/digest.h"
#include "base/text.h"
#include "net/test_support.h"
#include "net/tls.h"

namespace tocsin::net {
namespace {

using namespace std::chrono_literals;  // NOLINT

// A server that follows a script: for each command the answer, and "!" to start TLS after it.
class SmtpClientTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = MakeSelfSignedCertificate({"mail.test", "127.0.0.1"});
    cert_ = made->cert;
    TlsServerConfig tls;
    tls.cert = made->cert;
    tls.key = made->key;
    tls_ = *TlsServerContext::Make(tls);
    listener_ = *Listener::Listen(&loop_, "127.0.0.1:0", [this](std::unique_ptr<Stream> s) {
      stream_ = std::move(s);
      in_data_ = false;
      buffer_.clear();
      stream_->Start([this](std::string_view bytes) { OnData(bytes); }, [this](base::Status) { ++closed_; });
      if (implicit_tls_) {
        stream_->StartTlsServer(tls_, [this](base::Status ok) {
          if (ok) stream_->Write(greeting_ + "\r\n");
        });
      } else if (!greeting_.empty()) {
        stream_->Write(greeting_ + "\r\n");
      }
    });
    client_ = MakeSmtpClient(&loop_);
  }

  void OnData(std::string_view bytes) {
    buffer_ += bytes;
    size_t end = 0;
    while ((end = buffer_.find("\r\n")) != std::string::npos) {
      const std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 2);
      if (in_data_) {
        if (line != ".") {
          data_ += line + "\r\n";
          continue;
        }
        in_data_ = false;
        Answer("DATA-END", "250 queued");
        continue;
      }
      commands_.push_back(line);
      const std::string command = line.substr(0, line.find_first_of(" :"));
      if (command == "EHLO") {
        Answer("EHLO", stream_->tls() && tls_extensions_ ? *tls_extensions_ : extensions_);
      } else if (command == "STARTTLS") {
        stream_->Write("220 go\r\n");
        stream_->StartTlsServer(tls_, [](base::Status) {});
      } else if (command == "DATA") {
        in_data_ = true;
        Answer("DATA", "354 go on");
        if (answers_.contains("DATA")) in_data_ = false;
      } else if (command == "AUTH" && line == "AUTH LOGIN") {
        Answer("AUTH", "334 " + base::Base64Encode("Username:"));
        logins_ = 0;
      } else if (command == "AUTH" && line == "AUTH CRAM-MD5") {
        Answer("AUTH", "334 " + base::Base64Encode("<1.2@h>"));
        logins_ = 1;
      } else if (command == "AUTH") {
        Answer("AUTH", "235 ok");
      } else if (logins_ >= 0) {
        stream_->Write(logins_ == 0 ? "334 " + base::Base64Encode("Password:") + "\r\n" : "235 ok\r\n");
        logins_ = logins_ == 0 ? 1 : -1;
      } else {
        Answer(command, command == "QUIT" ? "221 bye" : "250 ok");
      }
    }
  }

  void Answer(const std::string& command, const std::string& usual) {
    auto found = answers_.find(command);
    const std::string text = found == answers_.end() ? usual : found->second;
    if (text == "drop") {
      stream_->Shutdown();
    } else if (text != "silence") {
      stream_->Write(text + "\r\n");
    }
  }

  SmtpMessage Message() {
    SmtpMessage m;
    m.smarthost = listener_->address();
    m.hello = "me.example";
    m.from = "a@example.org";
    m.recipients = {"b@example.org", "c@example.org"};
    m.data = "Subject: x\r\n\r\n.dot\nline\r\n..two\nend";
    m.require_tls = false;
    return m;
  }

  base::Status Send(SmtpMessage m) {
    std::optional<base::Status> got;
    Call call = client_->Send(std::move(m), [&](base::Status s) { got = std::move(s); });
    EXPECT_FALSE(got);
    RunUntil(&loop_, [&] { return got.has_value(); });
    return std::move(*got);
  }

  EventLoop loop_;
  std::string cert_;
  std::shared_ptr<TlsServerContext> tls_;
  bool implicit_tls_ = false;
  std::string greeting_ = "220 mail.test ESMTP";
  std::string extensions_ = "250-mail.test\r\n250-8BITMIME\r\n250 SIZE 1000000";
  std::optional<std::string> tls_extensions_;
  std::map<std::string, std::string> answers_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Stream> stream_;
  std::string buffer_;
  bool in_data_ = false;
  int logins_ = -1;
  std::vector<std::string> commands_;
  std::string data_;
  int closed_ = 0;
  std::unique_ptr<MailClient> client_;
};

using Lines = std::vector<std::string>;

TEST_F(SmtpClientTest, SpeaksAsGosClientDoes) {
  ASSERT_TRUE(Send(Message()));
  RunUntil(&loop_, [&] { return closed_ == 1; });
  EXPECT_EQ(commands_, (Lines{"EHLO me.example", "MAIL FROM:<a@example.org> BODY=8BITMIME", "RCPT TO:<b@example.org>",
                              "RCPT TO:<c@example.org>", "DATA", "QUIT"}));
  EXPECT_EQ(data_, "Subject: x\r\n\r\n..dot\r\nline\r\n...two\r\nend\r\n");
}

TEST_F(SmtpClientTest, FallsBackToHelo) {
  answers_["EHLO"] = "502 what";
  ASSERT_TRUE(Send(Message()));
  EXPECT_EQ(commands_[1], "HELO me.example");
  EXPECT_EQ(commands_[2], "MAIL FROM:<a@example.org>");
}

TEST_F(SmtpClientTest, AuthenticatesInTheServersOrderWithWhatItHas) {
  struct Row {
    std::string offer;
    std::string password, secret;
    std::string first;
  };
  const std::string plain = "AUTH PLAIN " + base::Base64Encode(std::string("id\0u\0p w", 8));
  const Row rows[] = {
      {"AUTH PLAIN LOGIN", "p w", "", plain},
      {"AUTH LOGIN PLAIN", "p w", "", "AUTH LOGIN"},
      {"AUTH CRAM-MD5 LOGIN PLAIN", "p w", "", "AUTH LOGIN"},
      {"AUTH CRAM-MD5 PLAIN", "p w", "s", "AUTH CRAM-MD5"},
      {"AUTH xoauth2 plain", "p w", "", plain},
      {"SIZE 5", "p w", "", "MAIL FROM:<a@example.org>"},
  };
  for (const Row& row : rows) {
    commands_.clear();
    extensions_ = "250-h\r\n250 " + row.offer;
    SmtpMessage m = Message();
    m.username = "u";
    m.password = row.password;
    m.secret = row.secret;
    m.identity = "id";
    const int closed = closed_;
    ASSERT_TRUE(Send(m)) << row.offer;
    RunUntil(&loop_, [&] { return closed_ > closed; });
    EXPECT_EQ(commands_[1], row.first) << row.offer;
    if (row.first == "AUTH LOGIN") {
      EXPECT_EQ(commands_[2], base::Base64Encode("u"));
      EXPECT_EQ(commands_[3], base::Base64Encode("p w"));
    }
    if (row.first == "AUTH CRAM-MD5") {
      EXPECT_EQ(commands_[2], base::Base64Encode("u " + base::Hex(base::HmacMd5("s", "<1.2@h>"))));
    }
  }
}

TEST_F(SmtpClientTest, ARefusedLoginIsAborted) {
  extensions_ = "250-h\r\n250 AUTH PLAIN";
  answers_["AUTH"] = "535 no";
  SmtpMessage m = Message();
  m.username = "u";
  m.password = "p";
  auto status = Send(m);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), base::Code::kPermissionDenied);
  EXPECT_EQ(status.error().message(), "PLAIN auth: 535 no");
  RunUntil(&loop_, [&] { return closed_ == 1; });
  EXPECT_EQ(commands_[2], "*");
}

TEST_F(SmtpClientTest, NoUsableMechanismIsAnError) {
  extensions_ = "250-h\r\n250 AUTH CRAM-MD5 GSSAPI";
  SmtpMessage m = Message();
  m.username = "u";
  m.password = "p";
  auto status = Send(m);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message().find("missing secret for CRAM-MD5"), std::string::npos);
}

TEST_F(SmtpClientTest, StartTlsIsUsedWhenRequiredAndThenExtensionsAreAskedAgain) {
  extensions_ = "250-h\r\n250 STARTTLS";
  tls_extensions_ = "250-h\r\n250 AUTH PLAIN";
  SmtpMessage m = Message();
  m.require_tls = true;
  m.tls.ca = cert_;
  m.tls.server_name = "mail.test";
  m.username = "u";
  m.password = "p";
  auto status = Send(m);
  ASSERT_TRUE(status) << status.error().message();
  EXPECT_EQ(commands_[0], "EHLO me.example");
  EXPECT_EQ(commands_[1], "STARTTLS");
  EXPECT_EQ(commands_[2], "EHLO me.example");
  EXPECT_TRUE(commands_[3].starts_with("AUTH PLAIN "));

  m.tls.server_name = "other.test";
  auto wrong = Send(m);
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message().find("mismatch"), std::string::npos) << wrong.error().message();
  m.tls.insecure_skip_verify = true;
  EXPECT_TRUE(Send(m));
}

TEST_F(SmtpClientTest, StartTlsIsNeverUsedUnlessRequired) {
  extensions_ = "250-h\r\n250 STARTTLS";
  ASSERT_TRUE(Send(Message()));
  EXPECT_TRUE(commands_[1].starts_with("MAIL"));
}

TEST_F(SmtpClientTest, ImplicitTlsBeginsWithTheHandshake) {
  implicit_tls_ = true;
  SmtpMessage m = Message();
  m.implicit_tls = true;
  m.require_tls = true;
  m.tls.ca = cert_;
  auto status = Send(m);
  ASSERT_TRUE(status) << status.error().message();
}

TEST_F(SmtpClientTest, FailuresNameTheStepAndSayWhetherToRetry) {
  struct Row {
    std::string step, answer, message;
    base::Code code;
  };
  const Row rows[] = {
      {"MAIL", "451 later", "send MAIL command: 451 later", base::Code::kUnavailable},
      {"MAIL", "550 never", "send MAIL command: 550 never", base::Code::kInvalidArgument},
      {"RCPT", "450 full", "send RCPT command: 450 full", base::Code::kUnavailable},
      {"RCPT", "550-no\r\n550 such user", "send RCPT command: 550 no\nsuch user", base::Code::kInvalidArgument},
      {"DATA", "421 bye", "send DATA command: 421 bye", base::Code::kUnavailable},
      {"DATA-END", "554 spam", "delivery: 554 spam", base::Code::kInvalidArgument},
      {"DATA-END", "452 full", "delivery: 452 full", base::Code::kUnavailable},
      {"DATA-END", "drop", "delivery: EOF", base::Code::kUnavailable},
      {"RCPT", "drop", "send RCPT command: EOF", base::Code::kUnavailable},
      {"MAIL", "hello", "malformed answer \"hello\"", base::Code::kUnavailable},
      {"MAIL", "250-" + std::string(100000, 'x'), "longer than 64 KiB", base::Code::kUnavailable},
  };
  for (const Row& row : rows) {
    answers_ = {{row.step, row.answer}};
    SmtpMessage m = Message();
    m.unsent = std::make_shared<bool>(false);
    auto status = Send(m);
    ASSERT_FALSE(status) << row.message;
    EXPECT_EQ(*m.unsent, row.message != "delivery: EOF") << row.message;
    EXPECT_NE(status.error().message().find(row.message), std::string::npos) << status.error().message();
    EXPECT_EQ(status.error().code(), row.code) << row.message;
  }
  greeting_ = "554 go away";
  EXPECT_EQ(Send(Message()).error().message(), "greeting: 554 go away");
  greeting_ = "220 h";
  SmtpMessage tls = Message();
  tls.require_tls = true;
  EXPECT_EQ(Send(tls).error().code(), base::Code::kFailedPrecondition);
  SmtpMessage bad = Message();
  bad.recipients = {"a@b>\r\nDATA"};
  EXPECT_EQ(Send(bad).error().code(), base::Code::kInvalidArgument);
  bad = Message();
  bad.smarthost = "h";
  EXPECT_NE(Send(bad).error().message().find("missing port"), std::string::npos);
  listener_.reset();
  stream_.reset();
  bad.smarthost = "127.0.0.1:1";
  EXPECT_NE(Send(bad).error().message().find("connection refused"), std::string::npos);
}

TEST_F(SmtpClientTest, ASilentServerIsLeftInTime) {
  for (const char* step : {"EHLO", "MAIL", "DATA-END"}) {
    answers_ = {{step, "silence"}};
    SmtpMessage m = Message();
    m.step_timeout = 10ms;
    m.unsent = std::make_shared<bool>(false);
    auto status = Send(m);
    ASSERT_FALSE(status) << step;
    EXPECT_EQ(*m.unsent, std::string_view(step) != "DATA-END");
    EXPECT_EQ(status.error().code(), base::Code::kDeadlineExceeded);
  }
  greeting_ = "";
  SmtpMessage m = Message();
  m.timeout = 10ms;
  auto status = Send(m);
  EXPECT_EQ(status.error().message(), "context deadline exceeded after 10ms while waiting for the greeting");
}

TEST_F(SmtpClientTest, ACancelledMailEndsTheConnection) {
  answers_ = {{"MAIL", "silence"}};
  Call call = client_->Send(Message(), [](base::Status) { FAIL(); });
  RunUntil(&loop_, [&] { return commands_.size() == 2; });
  call.Cancel();
  RunUntil(&loop_, [&] { return closed_ == 1; });
  Call second = client_->Send(Message(), [](base::Status) { FAIL(); });
  RunUntil(&loop_, [&] { return commands_.size() == 4; });
  client_.reset();
  RunUntil(&loop_, [&] { return closed_ == 2; });
}

}  // namespace
}  // namespace tocsin::net
