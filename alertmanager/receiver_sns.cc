// sns: Amazon's Publish, signed with AWS Signature Version 4.

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "alertmanager/receiver.h"
#include "base/digest.h"
#include "base/text.h"
#include "base/url.h"
#include "templates/go_time.h"

namespace tocsin::alertmanager {

namespace {

constexpr size_t kMaxMessageBytes = 256 * 1024;
constexpr size_t kMaxSmsBytes = 1600;

std::string Hmac(std::string_view key, std::string_view data) {
  const auto mac = base::HmacSha256(key, data);
  return std::string(reinterpret_cast<const char*>(mac.data()), mac.size());
}

std::string Sha256Hex(std::string_view data) { return base::Hex(base::Sha256(data)); }

struct Credentials {
  std::string access_key, secret_key, session_token;
};

// Adds the headers of Signature Version 4 (AWS General Reference, "Signing AWS API requests").
base::Status Sign(const Credentials& c, const std::string& region, base::Time now, net::FetchRequest* request) {
  ASSIGN_OR_RETURN(const base::Url url, base::ParseUrl(request->url));
  const auto t = templates::GoTime::FromTime(now);
  const std::string stamp = t.Format("20060102T150405Z"), date = t.Format("20060102");
  request->headers.Set("X-Amz-Date", stamp);
  if (!c.session_token.empty()) request->headers.Set("X-Amz-Security-Token", c.session_token);
  std::string headers = "content-type:" + std::string(request->headers.Get("Content-Type")) + "\nhost:" + url.host +
                        "\nx-amz-date:" + stamp + "\n";
  std::string names = "content-type;host;x-amz-date";
  if (!c.session_token.empty()) {
    headers += "x-amz-security-token:" + c.session_token + "\n";
    names += ";x-amz-security-token";
  }
  const std::string canonical = fmt::format("{}\n{}\n{}\n{}\n{}\n{}", request->method, url.path.empty() ? "/" : url.path,
                                            url.query, headers, names, Sha256Hex(request->body));
  const std::string scope = fmt::format("{}/{}/sns/aws4_request", date, region);
  const std::string to_sign = fmt::format("AWS4-HMAC-SHA256\n{}\n{}\n{}", stamp, scope, Sha256Hex(canonical));
  std::string key = "AWS4" + c.secret_key;
  for (const std::string& part : {date, region, std::string("sns"), std::string("aws4_request")}) key = Hmac(key, part);
  const std::string signature = Hmac(key, to_sign);
  request->headers.Set("Authorization",
                       fmt::format("AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={}", c.access_key,
                                   scope, names, base::Hex(signature.data(), signature.size())));
  return {};
}

std::string CutBytes(std::string text, size_t max) {
  if (text.size() <= max) return text;
  while (max > 0 && (static_cast<unsigned char>(text[max]) & 0xC0) == 0x80) --max;
  return text.substr(0, max);
}

class Sns : public Receiver {
 public:
  Sns(const IntegrationConfig& config, const ReceiverContext& context) : block_(config.block), context_(context) {
    if (!block_.Blocks("sigv4").empty()) {
      const Block& sig = block_.Blocks("sigv4").front();
      region_ = sig.Text("region");
      credentials_ = {.access_key = sig.Text("access_key"), .secret_key = sig.Text("secret_key"), .session_token = {}};
    }
    // Without keys in the file, those of the environment, as Amazon's own tools.
    auto environment = [](const char* name) {
      const char* value = std::getenv(name);
      return std::string(value != nullptr ? value : "");
    };
    if (credentials_.access_key.empty()) {
      credentials_ = {.access_key = environment("AWS_ACCESS_KEY_ID"),
                      .secret_key = environment("AWS_SECRET_ACCESS_KEY"),
                      .session_token = environment("AWS_SESSION_TOKEN")};
    }
    if (region_.empty()) region_ = environment("AWS_REGION");
  }

  base::Result<Built> Build(const Notification& n, const Step&) const override {
    Expander expand(context_, n);
    if (credentials_.access_key.empty() || region_.empty()) {
      return base::InvalidArgument("sns: no credentials or no region; set sigv4 or AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION");
    }
    net::Params p;
    p.Add("Action", "Publish");
    p.Add("Version", "2010-03-31");
    const std::string topic = expand.Key(block_.Text("topic_arn"));
    const std::string phone = expand.Key(block_.Text("phone_number"));
    const std::string target = expand.Key(block_.Text("target_arn"));
    if (!topic.empty()) p.Add("TopicArn", topic);
    if (!phone.empty()) p.Add("PhoneNumber", phone);
    if (!target.empty()) p.Add("TargetArn", target);
    if (topic.ends_with(".fifo")) {
      p.Add("MessageDeduplicationId", HashOfKey(n.group_key));
      p.Add("MessageGroupId", HashOfKey(n.group_key));
    }
    const std::string message = expand.Text(block_.Text("message"));
    const std::string cut = CutBytes(message, phone.empty() ? kMaxMessageBytes : kMaxSmsBytes);
    p.Add("Message", cut);
    if (const std::string subject = expand.Text(block_.Text("subject")); !subject.empty()) p.Add("Subject", subject);
    Pairs attributes;
    for (const auto& [name, value] : block_.Map("attributes")) attributes.emplace_back(name, expand.Text(value));
    if (cut.size() < message.size()) attributes.emplace_back("truncated", "true");
    for (size_t i = 0; i < attributes.size(); ++i) {
      const std::string entry = fmt::format("MessageAttributes.entry.{}.", i + 1);
      p.Add(entry + "Name", attributes[i].first);
      p.Add(entry + "Value.DataType", "String");
      p.Add(entry + "Value.StringValue", attributes[i].second);
    }
    std::string url = expand.Key(block_.Text("api_url"));
    RETURN_IF_ERROR(expand.status());
    if (url.empty()) url = "https://sns." + region_ + ".amazonaws.com/";
    auto request = JsonPost(block_, context_, std::move(url));
    request.headers.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
    request.body = p.Encode();
    RETURN_IF_ERROR(Sign(credentials_, region_, n.now, &request));
    return expand.Finish(std::move(request));
  }

 private:
  const Block block_;
  const ReceiverContext context_;
  std::string region_;
  Credentials credentials_;
};

}  // namespace

std::unique_ptr<Receiver> MakeSns(const IntegrationConfig& config, const ReceiverContext& context) {
  return std::make_unique<Sns>(config, context);
}

}  // namespace tocsin::alertmanager
