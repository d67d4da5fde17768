#pragma once

// Outgoing HTTP.  HttpClient is the interface, so that tests and simulations can stand in; the real
// one is libcurl on the event loop.
//
//   std::unique_ptr<net::HttpClient> client = net::MakeHttpClient(&loop);
//   call_ = client->Fetch({.method = "POST", .url = url, .body = json, .timeout = 10s, .config = config},
//                         [this](base::Result<net::FetchResponse> r) { ... });
//
// Threads: loop only.  Names are resolved, small files read and gzip bodies decoded on workers.
// Errors:  kInvalidArgument (URL, secrets file missing), kDeadlineExceeded, kResourceExhausted (body
//          over its limit), kUnavailable for the rest of the network (refused, reset, DNS, TLS): worth
//          a retry.  Messages do not repeat the URL.  An HTTP status is never an error here.

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/result.h"
#include "base/time.h"
#include "net/event_loop.h"
#include "net/http_config.h"
#include "net/http_message.h"

namespace tocsin::net {

struct FetchRequest {
  std::string method = "GET";
  std::string url;   // http:// or https://
  Headers headers;   // User-Agent is tocsin/<version> unless set
  std::string body;
  base::Duration timeout = std::chrono::seconds(30);  // of everything, redirects and look-ups too
  size_t max_response_bytes = 10 << 20;               // after decoding; 0: none
  // Ask for gzip and decode it on a worker.  False: no Accept-Encoding of our own; what the caller
  // asked for by header arrives as sent.
  bool decode_gzip = true;
  HttpConfigPtr config;     // null: defaults
  std::string unix_socket;  // connect here instead; the URL's host goes into Host
  // Who must know whether the server may have acted on a request that was not answered sets this.  It is true
  // when `done` runs, or when the call is cancelled, if nothing of the request was sent.
  std::shared_ptr<bool> unsent{};
};

struct FetchResponse {
  int status = 0;
  Headers headers;
  std::string body;
  base::Duration duration{};  // of the whole exchange
  std::string url;            // the one that answered, after redirects
  int version = 11;           // 10, 11, 20
};

// A request in flight.  Cancels it when destroyed (`done` is then never called) unless detached.
class Call {
 public:
  Call() = default;
  explicit Call(std::move_only_function<void()> cancel) : cancel_(std::move(cancel)) {}
  Call(Call&& other) noexcept : cancel_(std::exchange(other.cancel_, nullptr)) {}
  Call& operator=(Call&& other) noexcept {
    if (this != &other) {
      Cancel();
      cancel_ = std::exchange(other.cancel_, nullptr);
    }
    return *this;
  }
  ~Call() { Cancel(); }
  void Cancel() {
    if (cancel_) std::exchange(cancel_, nullptr)();
  }
  void Detach() { cancel_ = nullptr; }

 private:
  std::move_only_function<void()> cancel_;
};

using FetchDone = std::move_only_function<void(base::Result<FetchResponse>)>;

class HttpClient {
 public:
  virtual ~HttpClient() = default;
  // `done` runs on the loop, never before Fetch() has returned.
  [[nodiscard]] virtual Call Fetch(FetchRequest request, FetchDone done) = 0;
};

struct HttpClientOptions {
  std::string user_agent;           // default: tocsin/<version>
  int max_connections = 1024;       // kept open unused, of plain GETs and of other requests each
  int max_connections_per_host = 0; // 0: no limit
};

// The client may be destroyed with requests in flight: their `done` is then never called.
std::unique_ptr<HttpClient> MakeHttpClient(EventLoop* loop, const HttpClientOptions& options = {});

}  // namespace tocsin::net
