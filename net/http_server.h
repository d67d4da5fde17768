#pragma once

// HTTP/1.1 for one Handler: parsing (llhttp, strict), keep-alive, pipelining, limits, compression.
// Routing is api/'s.
//
//   net::HttpServer server(&loop, options, [](std::shared_ptr<net::HttpExchange> x) {
//     x->SetRoute("/-/healthy");
//     x->Respond(net::HttpResponse::Text(200, "OK"));
//   });
//   ASSIGN_OR_RETURN(std::string bound, server.Listen("127.0.0.1:0"));  // "127.0.0.1:41873"
//
// Threads: loop only.  Bodies over 64 KiB are compressed on a lane.
// Limits:  what a client gets at each is in HttpServerOptions.  A request with both Content-Length
//          and Transfer-Encoding, an obsolete line fold, a bare LF or a repeated Content-Length is
//          answered 400 and the connection closed.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/result.h"
#include "net/event_loop.h"
#include "net/http_message.h"

namespace tocsin::net {

class TlsServerContext;

// One request and its answer.  The handler keeps it (shared) until it has responded; one that dies
// unanswered answers 500.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  // Immutable; workers may read it as long as they hold the exchange or request_ptr().
  virtual const HttpRequest& request() const = 0;
  virtual std::shared_ptr<const HttpRequest> request_ptr() const = 0;

  // Loop only, once.  Does nothing when the client has gone.
  virtual void Respond(HttpResponse response) = 0;
  virtual bool responded() const = 0;

  // The name that metrics use for this request ("/api/v1/query"); "unknown" unless set.
  virtual void SetRoute(std::string_view name) = 0;

  // Runs `fn` on the loop once if the client closes before the answer is complete, so that its
  // work can be cancelled.  Replaces an earlier one; dropped at the end of the exchange.
  virtual void OnClientGone(base::Task fn) = 0;
  virtual bool client_gone() const = 0;
};

using Handler = std::function<void(std::shared_ptr<HttpExchange>)>;

// What one finished request was, for metrics and access logs.
struct HttpRequestStats {
  std::string_view method;
  std::string_view route;
  std::string_view target;
  std::string_view remote_address;
  int status = 0;
  base::Duration duration{};  // from the complete head to the last byte handed to the system
  uint64_t request_bytes = 0;
  uint64_t response_bytes = 0;  // of the body
};

struct HttpServerOptions {
  size_t max_header_bytes = 64 << 10;       // 431
  size_t max_body_bytes = 32 << 20;         // 413, unless body_limit says otherwise
  size_t max_buffered_bytes = 512 << 20;    // bodies of all connections together; 503 beyond
  int max_connections = 512;                // the oldest idle one is closed; else new ones wait
  base::Duration header_timeout = std::chrono::seconds(30);   // first byte to end of head; 408
  base::Duration idle_timeout = std::chrono::minutes(5);      // between requests
  base::Duration stall_timeout = std::chrono::seconds(30);    // no byte of a body moved, in or out
  base::Duration read_timeout = std::chrono::minutes(5);      // head and body together; 408
  // The limit for a request whose head has arrived (its body is empty yet); null: max_body_bytes.
  std::function<size_t(const HttpRequest& head)> body_limit;
  std::function<void(const HttpRequestStats&)> on_request;
  std::shared_ptr<TlsServerContext> tls;    // null: plain
  Headers extra_headers;                    // added to every answer
};

class HttpServer {
 public:
  HttpServer(EventLoop* loop, HttpServerOptions options, Handler handler);
  ~HttpServer();  // closes everything at once; prefer Stop()
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Listens on "127.0.0.1:9090", "[::1]:0", ":9093" (all addresses, v6 and v4), "localhost:9090".
  // May be called several times.  Returns the bound address, with the port the system chose for 0.
  // Errors: kInvalidArgument (the text), kUnavailable (in use, not permitted).
  base::Result<std::string> Listen(const std::string& address);
  std::vector<std::string> addresses() const;  // as bound

  // For connections and answers from now on.  REQUIRES: `tls` is null exactly if the options' was.
  void Reconfigure(std::shared_ptr<TlsServerContext> tls, Headers extra_headers);

  // Stops accepting, closes idle connections, lets running answers finish (at most `grace`), then
  // calls `done`.
  void Stop(base::Duration grace, base::Task done);

  int connections() const;

 private:
  struct Rep;
  std::shared_ptr<Rep> rep_;
};

}  // namespace tocsin::net
