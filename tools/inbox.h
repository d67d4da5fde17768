#pragma once

// `tocsin inbox`: a mail server and a webhook on this machine that show what would have been
// delivered, on the terminal and on a small page.  For trying configurations without an account
// anywhere.
//
// Limits: the newest 1000 messages and 64 MiB of them are kept; one message may have 10 MiB.

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/event_loop.h"
#include "net/http_server.h"
#include "net/stream.h"
#include "tools/inbox_message.h"
#include "tools/tool.h"

namespace tocsin::tools {

class SmtpReceiver;

struct InboxOptions {
  std::string smtp_address = "127.0.0.1:2525";
  std::string web_address = "127.0.0.1:2580";
};

// Threads: loop only.
class Inbox {
 public:
  // `arrived` runs for each message.
  Inbox(net::EventLoop* loop, std::function<void(const InboxMessage&)> arrived);
  ~Inbox();
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  // Errors: kUnavailable, kInvalidArgument, naming the address.
  base::Status Start(const InboxOptions& options);
  const std::string& smtp_address() const { return smtp_address_; }  // as bound
  const std::string& web_address() const { return web_address_; }
  const std::deque<InboxMessage>& messages() const { return messages_; }

 private:
  void Add(InboxMessage message);
  void Handle(std::shared_ptr<net::HttpExchange> exchange);
  net::HttpResponse Answer(const net::HttpRequest& request);
  std::string ListJson(const net::HttpRequest& request) const;

  net::EventLoop* const loop_;
  const std::function<void(const InboxMessage&)> arrived_;
  std::deque<InboxMessage> messages_;  // oldest first
  size_t bytes_ = 0;
  uint64_t next_id_ = 1;
  std::unique_ptr<SmtpReceiver> smtp_;
  std::unique_ptr<net::HttpServer> web_;
  std::string smtp_address_, web_address_;
};

// The verb.  Runs until SIGINT or SIGTERM.
int RunInbox(const std::vector<std::string>& args, const ToolIo& io);

}  // namespace tocsin::tools
