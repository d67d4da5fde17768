#pragma once

// Access tokens of OAuth 2.0's client credentials grant (RFC 6749 section 4.4), kept until shortly before
// they expire.  Requests that need the same token while it is being fetched wait for one fetch.
// Threads: loop only.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "net/http_client.h"
#include "net/http_config.h"

namespace tocsin::net {

class OAuthTokens {
 public:
  // The value of the Authorization header.
  using Done = std::move_only_function<void(base::Result<std::string>)>;

  // Fetches through `client`, which owns this object.
  OAuthTokens(EventLoop* loop, HttpClient* client) : loop_(loop), client_(client) {}

  // `done` may run before Get() has returned.
  void Get(const OAuth2& config, const std::string& secret, Done done);
  // After the token was refused: the next Get() fetches a new one.
  void Forget(const OAuth2& config, const std::string& secret);

 private:
  struct Token {
    std::string authorization;
    base::Duration until{};
    bool fetching = false;
    std::vector<Done> waiting;
    Call call;
  };
  void Fetch(const std::string& key, const OAuth2& config, const std::string& secret, bool in_header);
  void Finish(const std::string& key, base::Result<std::string> result, base::Duration lifetime);

  EventLoop* const loop_;
  HttpClient* const client_;
  std::map<std::string, Token> tokens_;
};

}  // namespace tocsin::net
