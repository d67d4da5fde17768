#pragma once

// A byte stream over TCP or a unix socket on the event loop, with TLS on top when asked for (from
// the start, or in the middle as STARTTLS does), and the listener that accepts them.
//
// Threads: loop only.  A callback may destroy the stream or listener that called it.
// Errors:  kUnavailable: "connection refused", "connection reset by peer", "tls: ...".

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/event_loop.h"
#include "net/http_client.h"
#include "net/resolver.h"
#include "net/tls.h"

namespace tocsin::net {

class Stream {
 public:
  using OnData = std::function<void(std::string_view)>;
  using OnEnd = std::function<void(base::Status)>;  // OK: the peer has closed its side
  using Done = std::move_only_function<void(base::Status)>;

  ~Stream();  // closes at once
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Begins to read.  After on_end nothing more is read; writing may still go on.
  void Start(OnData on_data, OnEnd on_end);
  // Holds back reading, so that the peer is slowed down by TCP; does not nest.
  void PauseReading();
  void ResumeReading();

  // Queues all of `data`; `done` runs when the system has taken it, or with the error.  Errors also
  // go to on_end.
  void Write(std::string data, Done done = nullptr);
  size_t unwritten() const;  // bytes queued here that the system has not taken

  // Sends what is queued, then closes our side.
  void Shutdown();

  // Turns the stream into TLS; `done` runs after the handshake, and Write() may be called from then.
  // REQUIRES: nothing read is left over, Start() has been called.
  void StartTlsClient(std::shared_ptr<TlsClientContext> context, const std::string& server_name,
                      Done done);
  void StartTlsServer(std::shared_ptr<TlsServerContext> context, Done done);
  bool tls() const;

  const std::string& remote_address() const;

  struct Rep;
  explicit Stream(std::shared_ptr<Rep> rep);

 private:
  std::shared_ptr<Rep> rep_;
};

// Resolves `host` and connects to its addresses in turn.  The caller bounds the time by cancelling.
[[nodiscard]] Call Connect(EventLoop* loop, Resolver* resolver, const std::string& host,
                           uint16_t port,
                           std::move_only_function<void(base::Result<std::unique_ptr<Stream>>)> done);

class Listener {
 public:
  using OnConnection = std::function<void(std::unique_ptr<Stream>)>;

  // `address`: "127.0.0.1:9090", "[::1]:0", ":9093" (all addresses, v6 and v4), "localhost:9090".
  // Errors: kInvalidArgument (the text), kUnavailable (in use, not permitted).
  static base::Result<std::unique_ptr<Listener>> Listen(EventLoop* loop, const std::string& address,
                                                        OnConnection on_connection);
  ~Listener();  // closes
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  const std::string& address() const;  // as bound, with the port the system chose for 0
  // While paused, connections wait in the system's queue.
  void Pause();
  void Resume();

  struct Rep;
  explicit Listener(Rep* rep) : rep_(rep) {}

 private:
  Rep* rep_;  // freed by libuv's close callback
};

}  // namespace tocsin::net
