// sns: Amazon's Publish, signed; with role_arn a request for the role's credentials comes before it
// whenever those of the last one have ended.

#include <fmt/format.h>

#include "alertmanager/receiver.h"
#include "base/duration.h"
#include "base/mutex.h"
#include "net/sigv4.h"

namespace tocsin::alertmanager {

namespace {

constexpr size_t kMaxMessageBytes = 256 * 1024;
constexpr size_t kMaxSmsBytes = 1600;

// Assumed credentials are taken as gone this long before they end.
constexpr base::Duration kExpiryMargin = std::chrono::minutes(5);
constexpr base::Duration kDefaultLife = std::chrono::hours(1);

// The text of the first <tag> of an answer of Amazon's; empty: there is none.
std::string_view XmlText(std::string_view xml, std::string_view tag) {
  const std::string open = fmt::format("<{}>", tag), close = fmt::format("</{}>", tag);
  const size_t begin = xml.find(open);
  if (begin == std::string_view::npos) return {};
  const size_t end = xml.find(close, begin);
  return end == std::string_view::npos ? std::string_view() : xml.substr(begin + open.size(), end - begin - open.size());
}

std::string CutBytes(std::string text, size_t max) {
  if (text.size() <= max) return text;
  while (max > 0 && (static_cast<unsigned char>(text[max]) & 0xC0) == 0x80) --max;
  return text.substr(0, max);
}

class Sns : public Receiver {
 public:
  Sns(const IntegrationConfig& config, const ReceiverContext& context) : block_(config.block), context_(context) {
    if (block_.Blocks("sigv4").empty()) return;
    const Block& sig = block_.Blocks("sigv4").front();
    settings_ = {.region = sig.Text("region"),
                 .credentials = {.access_key = sig.Text("access_key"), .secret_key = sig.Text("secret_key"), .session_token = {}},
                 .profile = sig.Text("profile")};
    role_ = sig.Text("role_arn");
    external_id_ = sig.Text("external_id");
    fips_ = sig.Flag("use_fips_sts_endpoint");
  }

  base::Result<Built> Build(const Notification& n, const Step&) const override {
    Expander expand(context_, n);
    ASSIGN_OR_RETURN(net::AwsIdentity identity, net::FindAwsIdentity(settings_, context_.fs, net::ProcessEnvironment));
    if (!role_.empty()) {
      const net::AwsCredentials assumed = Assumed(n.now);
      if (assumed.empty()) return AssumeRole(n, identity, expand);
      identity.credentials = assumed;
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
    if (url.empty()) url = "https://sns." + identity.region + ".amazonaws.com/";
    return Signed(std::move(url), p, identity, "sns", n, expand);
  }

  // What the answer holds tells which request it answers: a role's credentials, or a publication.
  Outcome Judge(const Notification& n, const Step& step, const net::FetchResponse& response) const override {
    Outcome o = Receiver::Judge(n, step, response);
    if (!o.ok || role_.empty()) return o;
    const std::string_view key = XmlText(response.body, "AccessKeyId"), secret = XmlText(response.body, "SecretAccessKey");
    if (key.empty() || secret.empty()) return o;
    const auto expiry = base::ParseRfc3339(XmlText(response.body, "Expiration"));
    base::MutexLock lock(&mutex_);
    assumed_ = {.access_key = std::string(key),
                .secret_key = std::string(secret),
                .session_token = std::string(XmlText(response.body, "SessionToken"))};
    assumed_until_ = expiry ? *expiry : n.now + kDefaultLife;
    o.more = true;
    return o;
  }

  std::vector<std::string> Secrets() const override {
    base::MutexLock lock(&mutex_);
    return {assumed_.secret_key, assumed_.session_token};
  }

 private:
  base::Result<Built> Signed(std::string url, const net::Params& form, const net::AwsIdentity& identity,
                             std::string_view service, const Notification& n, Expander& expand) const {
    auto request = JsonPost(block_, context_, std::move(url));
    request.headers.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
    request.body = form.Encode();
    RETURN_IF_ERROR(net::SignAws(identity.credentials, identity.region, service, n.now, &request));
    return expand.Finish(std::move(request));
  }

  // The request for a role's credentials.  AWS_ENDPOINT_URL_STS moves it, as in Amazon's tools.
  base::Result<Built> AssumeRole(const Notification& n, const net::AwsIdentity& identity, Expander& expand) const {
    net::Params p;
    p.Add("Action", "AssumeRole");
    p.Add("Version", "2011-06-15");
    p.Add("RoleArn", role_);
    p.Add("RoleSessionName", fmt::format("tocsin-{:x}", n.random));
    if (!external_id_.empty()) p.Add("ExternalId", external_id_);
    std::string url = net::ProcessEnvironment("AWS_ENDPOINT_URL_STS");
    if (url.empty()) url = fmt::format("https://sts{}.{}.amazonaws.com/", fips_ ? "-fips" : "", identity.region);
    return Signed(std::move(url), p, identity, "sts", n, expand);
  }

  net::AwsCredentials Assumed(base::Time now) const {
    base::MutexLock lock(&mutex_);
    return now + kExpiryMargin < assumed_until_ ? assumed_ : net::AwsCredentials();
  }

  const Block block_;
  const ReceiverContext context_;
  net::AwsSettings settings_;
  std::string role_;
  std::string external_id_;
  bool fips_ = false;
  mutable base::Mutex mutex_;  // builds run on workers, at the same time for several groups
  mutable net::AwsCredentials assumed_ TOCSIN_GUARDED_BY(mutex_);
  mutable base::Time assumed_until_ TOCSIN_GUARDED_BY(mutex_){};
};

}  // namespace

std::unique_ptr<Receiver> MakeSns(const IntegrationConfig& config, const ReceiverContext& context) {
  return std::make_unique<Sns>(config, context);
}

}  // namespace tocsin::alertmanager
