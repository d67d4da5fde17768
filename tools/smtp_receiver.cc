#include "tools/smtp_receiver.h"

#include <algorithm>

#include "base/digest.h"
#include "base/text.h"

namespace tocsin::tools {
namespace {

constexpr size_t kMaxSessions = 50;
constexpr size_t kMaxMail = 10 << 20;
constexpr size_t kMaxLine = 64 << 10;
constexpr size_t kMaxRecipients = 100;
constexpr base::Duration kSilence = std::chrono::minutes(5);

// The address in FROM:<a@b> SIZE=5.
std::string AddressIn(std::string_view argument) {
  const size_t colon = argument.find(':');
  if (colon != std::string_view::npos) argument.remove_prefix(colon + 1);
  argument = base::Trim(argument);
  if (argument.starts_with('<')) return std::string(argument.substr(1, argument.find('>') - 1));
  return std::string(argument.substr(0, argument.find(' ')));
}

}  // namespace

class SmtpReceiver::Session : public std::enable_shared_from_this<SmtpReceiver::Session> {
 public:
  Session(SmtpReceiver* owner, std::unique_ptr<net::Stream> stream) : owner_(owner), stream_(std::move(stream)) {}

  void Start() {
    Touch();
    stream_->Start([this](std::string_view bytes) { OnData(bytes); }, [this](base::Status) { End(); });
    Say("220 tocsin inbox");
  }

 private:
  enum class Reading { kCommands, kData, kLoginUser, kLoginPassword, kPlain, kCram };

  void Say(const std::string& text) { stream_->Write(text + "\r\n"); }
  void Touch() {
    silence_ = owner_->loop_->After(kSilence, [this] { End(); });
  }

  void End() {
    auto keep = shared_from_this();
    ended_ = true;
    silence_.Cancel();
    stream_.reset();
    owner_->sessions_.erase(keep);
  }

  void OnData(std::string_view bytes) {
    auto keep = shared_from_this();
    Touch();
    buffer_.append(bytes);
    size_t begin = 0;
    for (size_t end; !ended_ && (end = buffer_.find('\n', begin)) != std::string::npos; begin = end + 1) {
      std::string line = buffer_.substr(begin, end - begin);
      if (line.ends_with('\r')) line.pop_back();
      OnLine(line);
    }
    buffer_.erase(0, begin);
    if (!ended_ && buffer_.size() > kMaxLine) {
      Say("500 line too long");
      End();
    }
  }

  void OnLine(const std::string& line) {
    switch (reading_) {
      case Reading::kData: DataLine(line); return;
      case Reading::kCommands: Command(line); return;
      case Reading::kLoginUser:
        SetUser(line);
        reading_ = Reading::kLoginPassword;
        Say("334 " + base::Base64Encode("Password:"));
        return;
      case Reading::kPlain: PlainLogin(line); return;
      case Reading::kCram: {
        std::string decoded;
        base::Base64Decode(line, &decoded);
        envelope_.user = decoded.substr(0, decoded.rfind(' '));
        break;
      }
      case Reading::kLoginPassword: break;
    }
    reading_ = Reading::kCommands;
    Say("235 welcome");
  }

  void SetUser(const std::string& encoded) {
    if (!base::Base64Decode(encoded, &envelope_.user)) envelope_.user = encoded;
  }

  void PlainLogin(const std::string& encoded) {
    std::string decoded;
    base::Base64Decode(encoded, &decoded);
    const auto parts = base::Split(decoded, '\0');
    if (parts.size() > 1) envelope_.user = parts[1];
    reading_ = Reading::kCommands;
    Say("235 welcome");
  }

  void Command(const std::string& line) {
    const size_t space = std::min(line.find(' '), line.size());
    const std::string name = base::ToUpper(line.substr(0, space));
    const std::string argument(base::Trim(std::string_view(line).substr(space)));
    if (name == "EHLO") {
      std::string text = "250-tocsin inbox\r\n";
      if (!stream_->tls() && owner_->tls_ != nullptr) text += "250-STARTTLS\r\n";
      Say(text + "250-AUTH PLAIN LOGIN CRAM-MD5\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE " + std::to_string(kMaxMail));
    } else if (name == "HELO" || name == "NOOP") {
      Say("250 tocsin inbox");
    } else if (name == "STARTTLS" && !stream_->tls() && owner_->tls_ != nullptr) {
      Say("220 go ahead");
      envelope_ = {};
      buffer_.clear();
      stream_->StartTlsServer(owner_->tls_, [this](base::Status ok) {
        if (!ok) End();
      });
      envelope_.tls = true;
    } else if (name == "AUTH") {
      Auth(argument);
    } else if (name == "MAIL") {
      envelope_.from = AddressIn(argument);
      envelope_.to.clear();
      Say("250 sender noted");
    } else if (name == "RCPT") {
      if (envelope_.to.size() >= kMaxRecipients) return Say("452 too many recipients");
      envelope_.to.push_back(AddressIn(argument));
      Say("250 recipient noted");
    } else if (name == "DATA") {
      if (envelope_.to.empty()) return Say("503 who is it for? RCPT comes before DATA");
      reading_ = Reading::kData;
      data_.clear();
      Say("354 go on, end with a dot");
    } else if (name == "RSET") {
      envelope_.to.clear();
      Say("250 forgotten");
    } else if (name == "QUIT") {
      Say("221 goodbye");
      stream_->Shutdown();
    } else {
      Say("500 unknown command");
    }
  }

  void Auth(const std::string& argument) {
    const size_t space = std::min(argument.find(' '), argument.size());
    const std::string mechanism = base::ToUpper(argument.substr(0, space));
    const std::string initial(base::Trim(std::string_view(argument).substr(space)));
    if (mechanism == "PLAIN" && !initial.empty()) {
      PlainLogin(initial);
    } else if (mechanism == "PLAIN") {
      reading_ = Reading::kPlain;
      Say("334 ");
    } else if (mechanism == "LOGIN" && !initial.empty()) {
      SetUser(initial);
      reading_ = Reading::kLoginPassword;
      Say("334 " + base::Base64Encode("Password:"));
    } else if (mechanism == "LOGIN") {
      reading_ = Reading::kLoginUser;
      Say("334 " + base::Base64Encode("Username:"));
    } else if (mechanism == "CRAM-MD5") {
      reading_ = Reading::kCram;
      Say("334 " + base::Base64Encode("<1.1@inbox>"));
    } else {
      Say("504 unknown mechanism");
    }
  }

  void DataLine(const std::string& line) {
    if (line == ".") {
      reading_ = Reading::kCommands;
      if (data_.size() > kMaxMail) return Say("552 the mail is larger than 10 MiB");
      owner_->on_mail_(envelope_, data_);
      Say("250 shown");
    } else if (data_.size() <= kMaxMail) {
      data_ += line.starts_with('.') ? line.substr(1) : line;
      data_ += "\r\n";
    }
  }

  SmtpReceiver* const owner_;
  std::unique_ptr<net::Stream> stream_;
  base::Timer silence_;
  std::string buffer_;
  Reading reading_ = Reading::kCommands;
  MailEnvelope envelope_;
  std::string data_;
  bool ended_ = false;
};

SmtpReceiver::SmtpReceiver(net::EventLoop* loop, OnMail on_mail) : loop_(loop), on_mail_(std::move(on_mail)) {
  // Without a certificate mails still arrive, in the clear.
  auto made = net::MakeSelfSignedCertificate({"localhost", "127.0.0.1", "::1"});
  if (!made) return;
  net::TlsServerConfig config;
  config.cert = made->cert;
  config.key = made->key;
  if (auto context = net::TlsServerContext::Make(config)) tls_ = std::move(*context);
}

SmtpReceiver::~SmtpReceiver() = default;

base::Result<std::string> SmtpReceiver::Listen(const std::string& address) {
  ASSIGN_OR_RETURN(listener_, net::Listener::Listen(loop_, address, [this](std::unique_ptr<net::Stream> stream) {
                     Accept(std::move(stream));
                   }));
  return listener_->address();
}

void SmtpReceiver::Accept(std::unique_ptr<net::Stream> stream) {
  if (sessions_.size() >= kMaxSessions) return;  // closes it
  auto session = std::make_shared<Session>(this, std::move(stream));
  sessions_.insert(session);
  session->Start();
}

}  // namespace tocsin::tools
