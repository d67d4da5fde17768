#pragma once

// Sends one mail to one smarthost.  MailClient is the interface, so that tests and simulations can
// stand in; the real one speaks SMTP over the event loop's sockets, in the order of Go's net/smtp:
// EHLO, STARTTLS, EHLO, AUTH, MAIL, RCPT, DATA, QUIT.
//
// Threads: loop only.
// Errors:  kUnavailable is worth a retry (network, 4xx, and 5xx that may pass); kInvalidArgument is
//          not (a 5xx answer to MAIL, RCPT or the message, an address with a line break);
//          kPermissionDenied: authentication refused; kFailedPrecondition: TLS required and not
//          offered; kDeadlineExceeded.  Messages name the step and hold the server's words.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "net/event_loop.h"
#include "net/http_client.h"
#include "net/http_config.h"

namespace tocsin::net {

struct SmtpMessage {
  std::string smarthost;  // host:port
  std::string hello = "localhost";
  std::string from;                     // bare address
  std::vector<std::string> recipients;  // bare addresses
  std::string data;                     // headers and body; line ends and dots are taken care of
  bool implicit_tls = false;            // TLS from the first byte
  bool require_tls = true;              // STARTTLS or fail; false: never STARTTLS
  TlsConfig tls;                        // server_name defaults to the smarthost's host
  // Used only if the server advertises AUTH and `username` is set; tried in the server's order.
  std::string username;
  std::string password;  // PLAIN (only over TLS or to localhost) and LOGIN
  std::string secret;    // CRAM-MD5
  std::string identity;  // PLAIN
  base::Duration timeout = std::chrono::seconds(60);       // of everything
  base::Duration step_timeout = std::chrono::seconds(30);  // of each answer
  // As FetchRequest's, for what the server may have accepted: true unless its answer to the final dot is the
  // one that did not come.
  std::shared_ptr<bool> unsent{};
};

using SmtpDone = std::move_only_function<void(base::Status)>;

class MailClient {
 public:
  virtual ~MailClient() = default;
  // OK once the server has accepted the message (its answer to the final dot).  `done` runs on the
  // loop, never before Send() has returned.
  [[nodiscard]] virtual Call Send(SmtpMessage message, SmtpDone done) = 0;
};

std::unique_ptr<MailClient> MakeSmtpClient(EventLoop* loop);

}  // namespace tocsin::net
