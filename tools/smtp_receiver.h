#pragma once

// A mail server that takes every mail and keeps none: EHLO, STARTTLS with a certificate made at the
// start, AUTH PLAIN, LOGIN and CRAM-MD5 (any password is right), MAIL, RCPT, DATA.
// Threads: loop only.
// Limits:  50 clients, 10 MiB a mail, 100 recipients, 5 minutes of silence.

#include <functional>
#include <memory>
#include <string>
#include <unordered_set>

#include "base/result.h"
#include "net/event_loop.h"
#include "net/stream.h"
#include "net/tls.h"
#include "tools/inbox_message.h"

namespace tocsin::tools {

class SmtpReceiver {
 public:
  using OnMail = std::function<void(const MailEnvelope&, const std::string& data)>;
  SmtpReceiver(net::EventLoop* loop, OnMail on_mail);
  ~SmtpReceiver();

  // Returns the bound address.
  base::Result<std::string> Listen(const std::string& address);

 private:
  class Session;
  void Accept(std::unique_ptr<net::Stream> stream);

  net::EventLoop* const loop_;
  const OnMail on_mail_;
  std::shared_ptr<net::TlsServerContext> tls_;
  std::unique_ptr<net::Listener> listener_;
  std::unordered_set<std::shared_ptr<Session>> sessions_;
};

}  // namespace tocsin::tools
