#include "alertmanager/secret_mask.h"

#include <algorithm>
#include <functional>
#include <set>

#include "base/text.h"

namespace tocsin::alertmanager {
namespace {

// Shorter ones would hide ordinary words.
constexpr size_t kLeastSecret = 4;

// Gathers secrets; what is found more than once is kept once.
class Collector {
 public:
  Collector(const Prepared& prepared, const Notification& notification, base::FileSystem* fs)
      : context_{.templates = prepared.templates, .fs = fs, .compat = {}, .user_agent = {}}, notification_(notification), fs_(fs) {}

  void Secret(std::string_view text) {
    text = base::Trim(text);
    if (text.size() < kLeastSecret) return;
    found_.emplace(text);
    if (text.find("{{") == std::string_view::npos) return;
    // One that fails shows nowhere.
    if (std::string expanded = Expander(context_, notification_).Key(text); expanded.size() >= kLeastSecret) found_.insert(std::move(expanded));
  }

  void File(const std::string& path) {
    if (path.empty()) return;
    // What cannot be read cannot be shown either.
    if (auto text = fs_->ReadFile(path)) Secret(*text);
  }

  void Http(const net::HttpConfigPtr& http) {
    if (http == nullptr) return;
    if (http->basic_auth) {
      Secret(http->basic_auth->password);
      File(http->basic_auth->password_file);
    }
    if (http->authorization) {
      Secret(http->authorization->credentials);
      File(http->authorization->credentials_file);
    }
    if (http->oauth2) {
      Secret(http->oauth2->client_secret);
      File(http->oauth2->client_secret_file);
    }
    Secret(http->proxy.proxy_url);
    for (const net::HttpHeaderValues& header : http->headers) {
      for (const std::string& secret : header.secrets) Secret(secret);
      for (const std::string& path : header.files) File(path);
    }
  }

  void Of(const Block& block) {
    for (const Field& field : block.table().fields) {
      if (!block.Has(field.key)) continue;
      switch (field.kind) {
        case Kind::kSecret:
        case Kind::kSecretUrl:
        case Kind::kTemplateUrl: Secret(block.Text(field.key)); break;
        case Kind::kPath: File(block.Text(field.key)); break;
        case Kind::kBlock:
        case Kind::kBlocks:
          for (const Block& inner : block.Blocks(field.key)) Of(inner);
          break;
        case Kind::kHttp: Http(block.Http(field.key)); break;
        default: break;
      }
    }
  }

  const std::set<std::string>& found() const { return found_; }

 private:
  const ReceiverContext context_;
  const Notification& notification_;
  base::FileSystem* const fs_;
  std::set<std::string> found_;
};

std::string JsonForm(const std::string& text, base::JsonEscape escape) {
  std::string out;
  base::AppendJsonString(text, &out, escape);
  return out.substr(1, out.size() - 2);  // without its quotes
}

}  // namespace

SecretMask::SecretMask(const Prepared& prepared, const Integration& integration, const Notification& notification,
                       base::FileSystem* fs) {
  Collector collector(prepared, notification, fs);
  collector.Of(prepared.config->global);
  if (const ReceiverConfig* receiver = prepared.config->FindReceiver(integration.receiver_name)) {
    for (const IntegrationConfig& i : receiver->integrations) collector.Of(i.block);
  }
  for (const std::string& secret : integration.receiver->Secrets()) collector.Secret(secret);
  std::set<std::string> forms;
  for (const std::string& secret : collector.found()) {
    forms.insert({secret, base::QueryEscape(secret), base::PathEscape(secret), base::EscapeHtml(secret),
                  JsonForm(secret, base::JsonEscape::kPlain), JsonForm(secret, base::JsonEscape::kGo)});
  }
  forms_.assign(forms.begin(), forms.end());
  std::ranges::stable_sort(forms_, std::greater<>(), &std::string::size);
}

std::string SecretMask::Text(std::string text) const {
  for (const std::string& form : forms_) text = base::ReplaceAll(text, form, kMaskedSecret);
  return text;
}

std::string SecretMask::CutText(std::string text) const {
  text = Text(std::move(text));
  size_t hidden = 0;
  for (const std::string& form : forms_) {
    for (size_t n = std::min(form.size(), text.size()); n >= kLeastSecret && n > hidden; --n) {
      if (!std::string_view(text).ends_with(std::string_view(form).substr(0, n))) continue;
      hidden = n;
      break;
    }
  }
  if (hidden > 0) text.replace(text.size() - hidden, hidden, kMaskedSecret);
  return text;
}

std::string SecretMask::Header(std::string_view name, std::string value) const {
  const std::string lower = base::ToLower(name);
  for (const char* part : {"authorization", "token", "secret", "cookie", "api-key", "password"}) {
    if (lower.find(part) != std::string::npos) return std::string(kMaskedSecret);
  }
  return Text(std::move(value));
}

}  // namespace tocsin::alertmanager
