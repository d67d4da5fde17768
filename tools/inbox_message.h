#pragma once

// One message as the inbox shows it: a mail, a Slack message or a webhook's call.
// Threads: plain values.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace tocsin::tools {

struct InboxMessage {
  uint64_t id = 0;
  std::string kind;              // email, slack, webhook
  base::Time received{};
  std::string to;                // the recipients, the channel or the path
  std::string title;             // subject or title, one line
  std::string text;              // readable, several lines
  std::string status;            // firing, resolved; empty if the message does not say
  std::string html;              // of a mail
  std::string raw;               // as received
};

struct MailEnvelope {
  std::string from;
  std::vector<std::string> to;
  bool tls = false;
  std::string user;  // that logged in; empty: nobody
};

InboxMessage FromMail(const MailEnvelope& envelope, std::string_view data);
// A POST's body: Slack's form (attachments, or text with a channel, or to Slack's paths), else any webhook.
InboxMessage FromHttp(std::string_view path, std::string_view body);

// For a terminal: colours only if asked for, and never control characters of the sender's.
std::string RenderMessage(const InboxMessage& message, bool color);
// One line of JSON.
std::string MessageJson(const InboxMessage& message);

}  // namespace tocsin::tools
