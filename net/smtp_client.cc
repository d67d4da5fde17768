#include "net/smtp_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/check.h"
#include "base/digest.h"
#include "base/duration.h"
#include "base/text.h"
#include "net/address.h"
#include "net/resolver.h"
#include "net/stream.h"
#include "net/tls.h"

namespace tocsin::net {
namespace {

// An answer longer than this is not one.
constexpr size_t kMaxReplyBytes = 64 << 10;
// How long the server may take to say goodbye after the message has been accepted.
constexpr base::Duration kQuitPatience = std::chrono::seconds(1);

struct Reply {
  int code = 0;
  std::string text;  // lines joined by \n
};

struct ServicePort {
  std::string_view name;
  uint16_t port;
};
constexpr ServicePort kServices[] = {{"smtp", 25}, {"submission", 587}, {"smtps", 465}, {"submissions", 465}};

uint16_t PortOf(std::string_view text) {
  for (const ServicePort& s : kServices) {
    if (s.name == text) return s.port;
  }
  return ParsePort(text);
}

bool IsLocalhost(std::string_view host) {
  return host == "localhost" || host == "127.0.0.1" || host == "::1";
}

// Line ends as \r\n, a dot more before each that begins a line, and the final dot.
std::string DotEncode(std::string_view data) {
  std::string out;
  out.reserve(data.size() + data.size() / 32 + 5);
  bool line_begins = true;
  for (size_t i = 0; i < data.size(); ++i) {
    const char c = data[i];
    if (line_begins && c == '.') out += '.';
    if (c == '\n' && (i == 0 || data[i - 1] != '\r')) out += '\r';
    out += c;
    line_begins = c == '\n';
  }
  if (!line_begins) out += "\r\n";
  out += ".\r\n";
  return out;
}

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(EventLoop* loop, Resolver* resolver, SmtpMessage message, SmtpDone done,
          std::function<void()> forget)
      : loop_(loop), resolver_(resolver), m_(std::move(message)), done_(std::move(done)), forget_(std::move(forget)) {
    SetUnsent(true);
  }

  void Start();
  void Cancel();

 private:
  // What to do with an answer; the step's name is for messages.
  using Next = void (Session::*)(const Reply&);

  void Dial();
  void Connected(std::unique_ptr<Stream> stream);
  void Say(std::string_view step, std::string line, Next next);
  void OnData(std::string_view bytes);
  void OnEnd(base::Status status);
  void StepTimer();

  void Greeted(const Reply& r);
  void EhloAnswered(const Reply& r);
  void HeloAnswered(const Reply& r);
  void StartTlsAnswered(const Reply& r);
  void Authenticate();
  void LoginUserAsked(const Reply& r);
  void LoginPasswordAsked(const Reply& r);
  void CramAsked(const Reply& r);
  void AuthAnswered(const Reply& r);
  void AuthAborted(const Reply& r);
  void SendMail();
  void MailAnswered(const Reply& r);
  void RcptAnswered(const Reply& r);
  void NextRecipient();
  void DataAnswered(const Reply& r);
  void MessageAnswered(const Reply& r);
  void QuitAnswered(const Reply& r);

  // Ends with the server's refusal; `final` 5xx answers are not worth a retry.
  enum class Permanent { kYes, kNo };
  void Refused(const Reply& r, Permanent permanent);
  void Quit();
  // Whether the server cannot have accepted the message.
  void SetUnsent(bool unsent) {
    if (m_.unsent != nullptr) *m_.unsent = unsent;
  }
  void Finish(base::Status status);
  void Close();

  EventLoop* const loop_;
  Resolver* const resolver_;
  const SmtpMessage m_;
  SmtpDone done_;
  std::function<void()> forget_;
  base::Gate gate_;
  HostPort target_;
  std::shared_ptr<TlsClientContext> tls_;
  base::Timer deadline_, step_timer_;
  Call connecting_;
  std::unique_ptr<Stream> stream_;
  std::string step_ = "connecting";
  Next next_ = nullptr;
  std::string buffer_;
  Reply reply_;
  std::map<std::string, std::string> extensions_;  // upper case, with their parameters
  size_t recipient_ = 0;
  std::string auth_failure_;
};

void Session::Start() {
  deadline_ = loop_->After(m_.timeout, gate_.Wrap([this] {
    Finish(base::DeadlineExceeded(fmt::format("context deadline exceeded after {} while {}",
                                              base::FormatGoDuration(m_.timeout), step_)));
  }));
  auto target = SplitHostPort(m_.smarthost);
  if (!target) {
    Finish(base::InvalidArgument("invalid smarthost: " + target.error().message()));
    return;
  }
  target_ = std::move(*target);
  for (const std::string* text : {&m_.from, &m_.hello, &m_.identity}) {
    if (text->find_first_of("\r\n") != std::string::npos) {
      Finish(base::InvalidArgument("smtp: a line must not contain CR or LF"));
      return;
    }
  }
  for (const std::string& to : m_.recipients) {
    if (to.find_first_of("\r\n<>") != std::string::npos) {
      Finish(base::InvalidArgument("smtp: bad recipient address \"" + to + "\""));
      return;
    }
  }
  if (m_.recipients.empty()) {
    Finish(base::InvalidArgument("smtp: no recipients"));
    return;
  }
  if (!m_.implicit_tls && !m_.require_tls) {
    Dial();
    return;
  }
  // Certificates are read from disk.
  auto made = std::make_shared<base::Result<std::shared_ptr<TlsClientContext>>>();
  loop_->Offload(
      base::Lane::kIntake, [made, config = m_.tls] { *made = TlsClientContext::Make(config); },
      gate_.Wrap([this, made] {
        if (!*made) {
          Finish(std::unexpected(made->error().Within("parse TLS configuration")));
          return;
        }
        tls_ = std::move(**made);
        Dial();
      }));
}

void Session::Dial() {
  const uint16_t port = PortOf(target_.port);
  if (port == 0) {
    Finish(base::InvalidArgument("invalid smarthost " + m_.smarthost + ": bad port"));
    return;
  }
  StepTimer();
  connecting_ = Connect(loop_, resolver_, target_.host.empty() ? "localhost" : target_.host, port,
                        [this](base::Result<std::unique_ptr<Stream>> stream) {
                          auto keep = shared_from_this();
                          if (!stream) {
                            Finish(std::unexpected(stream.error().Within("establish connection to server")));
                          } else {
                            Connected(std::move(*stream));
                          }
                        });
}

void Session::Connected(std::unique_ptr<Stream> stream) {
  stream_ = std::move(stream);
  step_ = "waiting for the greeting";
  next_ = &Session::Greeted;
  StepTimer();
  stream_->Start([this](std::string_view bytes) { OnData(bytes); },
                 [this](base::Status status) { OnEnd(std::move(status)); });
  if (!m_.implicit_tls) return;
  const std::string name = m_.tls.server_name.empty() ? target_.host : m_.tls.server_name;
  stream_->StartTlsClient(tls_, name, [this](base::Status status) {
    auto keep = shared_from_this();
    if (!status) Finish(std::unexpected(status.error().Within("establish TLS connection to server")));
  });
}

// Sends a line and takes the next answer to `next`.
void Session::Say(std::string_view step, std::string line, Next next) {
  step_ = step;
  next_ = next;
  StepTimer();
  stream_->Write(std::move(line) + "\r\n");
}

void Session::StepTimer() {
  step_timer_ = loop_->After(m_.step_timeout, gate_.Wrap([this] {
    Finish(base::DeadlineExceeded(fmt::format("the mail server did not answer within {} while {}",
                                              base::FormatGoDuration(m_.step_timeout), step_)));
  }));
}

void Session::OnData(std::string_view bytes) {
  auto keep = shared_from_this();
  buffer_.append(bytes);
  size_t end = 0;
  while (stream_ != nullptr && (end = buffer_.find('\n')) != std::string::npos) {
    std::string line = buffer_.substr(0, end);
    buffer_.erase(0, end + 1);
    if (line.ends_with('\r')) line.pop_back();
    const bool digits = line.size() >= 3 && std::all_of(line.begin(), line.begin() + 3,
                                                        [](char c) { return c >= '0' && c <= '9'; });
    if (!digits || (line.size() > 3 && line[3] != '-' && line[3] != ' ')) {
      Finish(base::Unavailable(fmt::format("{}: malformed answer \"{}\"", step_, base::TruncateRunes(line, 100))));
      return;
    }
    reply_.code = std::stoi(line.substr(0, 3));
    if (!reply_.text.empty()) reply_.text += '\n';
    if (line.size() > 4) reply_.text += line.substr(4);
    if (reply_.text.size() > kMaxReplyBytes) break;
    if (line.size() > 3 && line[3] == '-') continue;
    step_timer_.Cancel();
    const Next next = std::exchange(next_, nullptr);
    const Reply reply = std::exchange(reply_, Reply{});
    if (next != nullptr) (this->*next)(reply);
  }
  if (stream_ != nullptr && buffer_.size() + reply_.text.size() > kMaxReplyBytes) {
    Finish(base::Unavailable(step_ + ": the answer is longer than 64 KiB"));
  }
}

void Session::OnEnd(base::Status status) {
  auto keep = shared_from_this();
  Finish(base::Unavailable(step_ + ": " + (status ? "EOF: the server closed the connection" : status.error().message())));
}

void Session::Refused(const Reply& r, Permanent permanent) {
  const std::string message = fmt::format("{}: {} {}", step_, r.code, r.text);
  base::Status status = permanent == Permanent::kYes && r.code / 100 == 5
                            ? base::Status(base::InvalidArgument(message))
                            : base::Status(base::Unavailable(message));
  auto done = std::exchange(done_, nullptr);
  Quit();
  if (done) done(std::move(status));
}

void Session::Greeted(const Reply& r) {
  step_ = "greeting";
  if (r.code != 220) return Refused(r, Permanent::kNo);
  Say("send EHLO command", "EHLO " + m_.hello, &Session::EhloAnswered);
}

void Session::EhloAnswered(const Reply& r) {
  extensions_.clear();
  if (r.code != 250) {
    Say("send HELO command", "HELO " + m_.hello, &Session::HeloAnswered);
    return;
  }
  bool first = true;
  for (std::string_view line : base::Split(r.text, '\n')) {
    if (!std::exchange(first, false)) {
      const size_t space = line.find(' ');
      extensions_[base::ToUpper(line.substr(0, space))] =
          space == std::string_view::npos ? "" : std::string(line.substr(space + 1));
    }
  }
  if (m_.require_tls && !m_.implicit_tls && !stream_->tls()) {
    if (!extensions_.contains("STARTTLS")) {
      auto done = std::exchange(done_, nullptr);
      Quit();
      if (done) {
        done(base::FailedPrecondition("'require_tls' is true (default) but \"" + m_.smarthost +
                                      "\" does not advertise the STARTTLS extension"));
      }
      return;
    }
    Say("send STARTTLS command", "STARTTLS", &Session::StartTlsAnswered);
    return;
  }
  Authenticate();
}

void Session::HeloAnswered(const Reply& r) {
  if (r.code != 250) return Refused(r, Permanent::kNo);
  if (m_.require_tls && !stream_->tls()) {
    auto done = std::exchange(done_, nullptr);
    Quit();
    if (done) {
      done(base::FailedPrecondition("'require_tls' is true (default) but \"" + m_.smarthost +
                                    "\" knows no extensions, so no STARTTLS"));
    }
    return;
  }
  SendMail();
}

void Session::StartTlsAnswered(const Reply& r) {
  if (r.code != 220) return Refused(r, Permanent::kNo);
  if (!buffer_.empty()) {
    // What came in plain text before the handshake must not count as said under it.
    Finish(base::Unavailable("STARTTLS: the server sent plain text after agreeing to TLS"));
    return;
  }
  step_ = "starting TLS";
  StepTimer();
  const std::string name = m_.tls.server_name.empty() ? target_.host : m_.tls.server_name;
  stream_->StartTlsClient(tls_, name, [this](base::Status status) {
    auto keep = shared_from_this();
    if (!status) {
      Finish(std::unexpected(status.error().Within("send STARTTLS command")));
      return;
    }
    Say("send EHLO command", "EHLO " + m_.hello, &Session::EhloAnswered);
  });
}

void Session::Authenticate() {
  auto offered = extensions_.find("AUTH");
  if (offered == extensions_.end() || m_.username.empty()) {
    SendMail();
    return;
  }
  std::vector<std::string> missing;
  step_ = "find auth mechanism";
  for (std::string_view offer : base::Split(offered->second, ' ')) {
    const std::string mechanism = base::ToUpper(offer);
    if (mechanism == "CRAM-MD5") {
      if (m_.secret.empty()) {
        missing.push_back("missing secret for CRAM-MD5 auth mechanism");
        continue;
      }
      return Say("CRAM-MD5 auth", "AUTH CRAM-MD5", &Session::CramAsked);
    }
    if (mechanism == "PLAIN") {
      if (m_.password.empty()) {
        missing.push_back("missing password for PLAIN auth mechanism");
        continue;
      }
      if (!stream_->tls() && !IsLocalhost(target_.host)) {
        auth_failure_ = "PLAIN auth: unencrypted connection; set require_tls, or the password would be readable on the way";
        break;
      }
      std::string text = m_.identity + '\0' + m_.username + '\0' + m_.password;
      return Say("PLAIN auth", "AUTH PLAIN " + base::Base64Encode(text), &Session::AuthAnswered);
    }
    if (mechanism == "LOGIN") {
      if (m_.password.empty()) {
        missing.push_back("missing password for LOGIN auth mechanism");
        continue;
      }
      return Say("LOGIN auth", "AUTH LOGIN", &Session::LoginUserAsked);
    }
  }
  if (auth_failure_.empty()) {
    auth_failure_ = "find auth mechanism: " + (missing.empty() ? "unknown auth mechanism: " + offered->second
                                                               : base::Join(missing, "; "));
  }
  auto done = std::exchange(done_, nullptr);
  const std::string failure = auth_failure_;
  Quit();
  if (done) done(base::PermissionDenied(failure));
}

void Session::LoginUserAsked(const Reply& r) {
  if (r.code != 334) return AuthAnswered(r);
  Say("LOGIN auth", base::Base64Encode(m_.username), &Session::LoginPasswordAsked);
}

void Session::LoginPasswordAsked(const Reply& r) {
  if (r.code != 334) return AuthAnswered(r);
  Say("LOGIN auth", base::Base64Encode(m_.password), &Session::AuthAnswered);
}

void Session::CramAsked(const Reply& r) {
  std::string challenge;
  if (r.code != 334 || !base::Base64Decode(r.text, &challenge)) return AuthAnswered(r);
  const auto digest = base::HmacMd5(m_.secret, challenge);
  Say("CRAM-MD5 auth", base::Base64Encode(m_.username + " " + base::Hex(digest)), &Session::AuthAnswered);
}

void Session::AuthAnswered(const Reply& r) {
  if (r.code == 235) return SendMail();
  auth_failure_ = fmt::format("{}: {} {}", step_, r.code, r.text);
  // Aborts what the server may still be waiting for, as Go's client does.
  Say(step_, "*", &Session::AuthAborted);
}

void Session::AuthAborted(const Reply&) {
  auto done = std::exchange(done_, nullptr);
  const std::string failure = auth_failure_;
  Quit();
  if (done) done(base::PermissionDenied(failure));
}

void Session::SendMail() {
  std::string line = "MAIL FROM:<" + m_.from + ">";
  if (extensions_.contains("8BITMIME")) line += " BODY=8BITMIME";
  if (extensions_.contains("SMTPUTF8")) line += " SMTPUTF8";
  Say("send MAIL command", std::move(line), &Session::MailAnswered);
}

void Session::MailAnswered(const Reply& r) {
  if (r.code != 250) return Refused(r, Permanent::kYes);
  NextRecipient();
}

void Session::NextRecipient() {
  if (recipient_ == m_.recipients.size()) {
    return Say("send DATA command", "DATA", &Session::DataAnswered);
  }
  Say("send RCPT command", "RCPT TO:<" + m_.recipients[recipient_++] + ">", &Session::RcptAnswered);
}

void Session::RcptAnswered(const Reply& r) {
  if (r.code / 10 != 25) return Refused(r, Permanent::kYes);
  NextRecipient();
}

void Session::DataAnswered(const Reply& r) {
  if (r.code != 354) return Refused(r, Permanent::kYes);
  step_ = "delivery";
  next_ = &Session::MessageAnswered;
  StepTimer();
  SetUnsent(false);
  stream_->Write(DotEncode(m_.data));
}

// The answer to the final dot is what counts.
void Session::MessageAnswered(const Reply& r) {
  if (r.code != 250) {
    SetUnsent(true);
    return Refused(r, Permanent::kYes);
  }
  auto done = std::exchange(done_, nullptr);
  Quit();
  if (done) done({});
}

// Says goodbye after the outcome is known; nothing of it matters any more.
void Session::Quit() {
  if (stream_ == nullptr) return Close();
  Say("send QUIT command", "QUIT", &Session::QuitAnswered);
  deadline_.Cancel();
  step_timer_ = loop_->After(kQuitPatience, gate_.Wrap([this] { Close(); }));
}

void Session::QuitAnswered(const Reply&) { Close(); }

void Session::Finish(base::Status status) {
  auto done = std::exchange(done_, nullptr);
  Close();
  if (done) done(std::move(status));
}

void Session::Cancel() {
  done_ = nullptr;
  Close();
}

void Session::Close() {
  auto keep = weak_from_this().lock();
  gate_.Close();
  deadline_.Cancel();
  step_timer_.Cancel();
  connecting_.Cancel();
  stream_.reset();
  if (auto forget = std::exchange(forget_, nullptr)) forget();
}

class SmtpClient : public MailClient {
 public:
  explicit SmtpClient(EventLoop* loop) : loop_(loop), resolver_(loop) {}
  ~SmtpClient() override {
    alive_.reset();
    gate_.Close();
    auto sessions = std::exchange(sessions_, {});
    for (auto& [id, session] : sessions) session->Cancel();
  }

  Call Send(SmtpMessage message, SmtpDone done) override {
    TOCSIN_DCHECK(loop_->OnThread());
    const uint64_t id = next_id_++;
    auto session = std::make_shared<Session>(loop_, &resolver_, std::move(message), std::move(done),
                                             [this, alive = std::weak_ptr(alive_), id] {
                                               if (!alive.expired()) sessions_.erase(id);
                                             });
    sessions_.emplace(id, session);
    loop_->Post(gate_.Wrap([this, id] {
      auto found = sessions_.find(id);
      if (found == sessions_.end()) return;
      auto keep = found->second;
      keep->Start();
    }));
    return Call([this, alive = std::weak_ptr(alive_), id] {
      if (alive.expired()) return;
      auto found = sessions_.find(id);
      if (found == sessions_.end()) return;
      auto keep = found->second;
      keep->Cancel();
    });
  }

 private:
  EventLoop* const loop_;
  Resolver resolver_;
  base::Gate gate_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::map<uint64_t, std::shared_ptr<Session>> sessions_;
  uint64_t next_id_ = 1;
};

}  // namespace

std::unique_ptr<MailClient> MakeSmtpClient(EventLoop* loop) { return std::make_unique<SmtpClient>(loop); }

}  // namespace tocsin::net
