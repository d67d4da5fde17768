#include "net/oauth_tokens.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "base/text.h"
#include "net/request_secrets.h"

namespace tocsin::net {
namespace {

constexpr size_t kMaxTokens = 1000;
// Renewed this long before the end, as Go's oauth2 does.
constexpr base::Duration kEarly = std::chrono::seconds(10);
constexpr base::Duration kForever = std::chrono::hours(24 * 365);

std::string KeyOf(const OAuth2& c, const std::string& secret) {
  std::string key;
  for (const std::string& part : {c.client_id, secret, c.token_url, base::Join(c.scopes, " ")}) {
    key += part + '\n';
  }
  for (const auto& [name, value] : c.endpoint_params) key += name + '=' + value + '\n';
  return key;
}

}  // namespace

void OAuthTokens::Get(const OAuth2& config, const std::string& secret, Done done) {
  const std::string key = KeyOf(config, secret);
  if (tokens_.size() >= kMaxTokens && !tokens_.contains(key)) {
    std::erase_if(tokens_, [](const auto& t) { return !t.second.fetching; });
  }
  Token& token = tokens_[key];
  if (!token.authorization.empty() && loop_->Monotonic() < token.until) {
    done(token.authorization);
    return;
  }
  token.waiting.push_back(std::move(done));
  if (token.fetching) return;
  token.fetching = true;
  Fetch(key, config, secret, true);
}

void OAuthTokens::Forget(const OAuth2& config, const std::string& secret) {
  auto found = tokens_.find(KeyOf(config, secret));
  if (found != tokens_.end()) found->second.authorization.clear();
}

void OAuthTokens::Fetch(const std::string& key, const OAuth2& config, const std::string& secret,
                        bool in_header) {
  Params form;
  form.Add("grant_type", "client_credentials");
  if (!config.scopes.empty()) form.Add("scope", base::Join(config.scopes, " "));
  for (const auto& [name, value] : config.endpoint_params) form.Add(name, value);
  FetchRequest request;
  request.method = "POST";
  request.url = config.token_url;
  request.headers.Set("Content-Type", "application/x-www-form-urlencoded");
  if (in_header) {
    request.headers.Set("Authorization", BasicAuthorization(base::QueryEscape(config.client_id),
                                                            base::QueryEscape(secret)));
  } else {
    form.Add("client_id", config.client_id);
    form.Add("client_secret", secret);
  }
  request.body = form.Encode();
  request.max_response_bytes = 1 << 20;
  auto http = std::make_shared<HttpConfig>();
  http->tls = config.tls;
  http->proxy = config.proxy;
  request.config = http;
  tokens_[key].call = client_->Fetch(
      std::move(request), [this, key, config, secret, in_header](base::Result<FetchResponse> response) {
        if (!response) {
          Finish(key, std::unexpected(response.error()), {});
          return;
        }
        // Some servers want the credentials in the body; which, only trying tells.
        if (response->status / 100 != 2 && in_header) {
          Fetch(key, config, secret, false);
          return;
        }
        if (response->status / 100 != 2) {
          Finish(key,
                 base::Unavailable(fmt::format("cannot fetch token: {} {}; response: {}", response->status,
                                               StatusText(response->status),
                                               base::TruncateRunes(response->body, 200))),
                 {});
          return;
        }
        const nlohmann::json json = nlohmann::json::parse(response->body, nullptr, false);
        if (!json.is_object() || !json.contains("access_token") || !json["access_token"].is_string()) {
          Finish(key, base::Unavailable("cannot fetch token: the answer has no access_token"), {});
          return;
        }
        std::string type = "Bearer";
        if (json.contains("token_type") && json["token_type"].is_string()) {
          const std::string given = json["token_type"];
          if (!given.empty() && !base::EqualsIgnoreCase(given, "bearer")) type = given;
        }
        base::Duration lifetime = kForever;
        if (json.contains("expires_in") && json["expires_in"].is_number()) {
          const double seconds = json["expires_in"];
          if (seconds > 0 && seconds < 1e9) {
            lifetime = std::chrono::duration_cast<base::Duration>(std::chrono::duration<double>(seconds));
          }
        }
        Finish(key, type + " " + json["access_token"].get<std::string>(), lifetime - kEarly);
      });
}

void OAuthTokens::Finish(const std::string& key, base::Result<std::string> result, base::Duration lifetime) {
  Token& token = tokens_[key];
  token.fetching = false;
  token.call.Detach();
  if (result) {
    token.authorization = *result;
    token.until = loop_->Monotonic() + lifetime;
  } else {
    result = std::unexpected(result.error().Within("oauth2"));
  }
  auto waiting = std::exchange(token.waiting, {});
  for (Done& done : waiting) done(result);
}

}  // namespace tocsin::net
