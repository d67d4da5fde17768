#pragma once

// Names to addresses, on a few threads of its own (getaddrinfo blocks, for seconds when a name
// server is silent, and must not hold a lane).  Equal look-ups in flight are one; answers are kept
// for some seconds, so that a thousand targets on one host ask once.
//
// Threads: loop only; the look-ups themselves run elsewhere.
// Errors:  kUnavailable: "no such host", "look-up of NAME failed: ..."; kResourceExhausted when too many wait.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/event_loop.h"
#include "net/http_client.h"

namespace tocsin::net {

class Resolver {
 public:
  using Done = std::move_only_function<void(base::Result<std::vector<std::string>>)>;

  explicit Resolver(EventLoop* loop);
  ~Resolver();  // does not wait for look-ups that run
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // The addresses of `host` as text, in the system's order of preference.  `done` runs on the loop,
  // never before Resolve() has returned; an address resolves to itself.
  [[nodiscard]] Call Resolve(const std::string& host, Done done);

 private:
  struct Shared;
  struct Rep;
  std::shared_ptr<Rep> rep_;
};

}  // namespace tocsin::net
