#include "net/stream.h"

#include <netdb.h>
#include <uv.h>

#include <utility>

#include "base/check.h"
#include "net/address.h"

namespace tocsin::net {
namespace {

constexpr int kBacklog = 511;
constexpr unsigned kKeepAliveSeconds = 60;

base::Status UvStatus(int error, std::string_view what) {
  if (error >= 0) return {};
  return base::Unavailable(std::string(what) + uv_strerror(error));
}

std::string AddressOf(const uv_tcp_t* tcp, bool peer) {
  sockaddr_storage storage{};
  int size = sizeof storage;
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  const int error =
      peer ? uv_tcp_getpeername(tcp, address, &size) : uv_tcp_getsockname(tcp, address, &size);
  return error == 0 ? FormatAddress(address) : std::string();
}

}  // namespace

// Kept alive by the handle (`self`) until libuv has closed it.
struct Stream::Rep : std::enable_shared_from_this<Stream::Rep> {
  uv_tcp_t tcp;
  std::shared_ptr<Rep> self;
  std::string remote;
  OnData on_data;
  OnEnd on_end;
  bool reading = false;
  bool paused = false;
  bool ended = false;
  bool closed = false;
  std::unique_ptr<TlsSession> tls;
  Done handshake_done;
  char buffer[64 << 10];

  struct WriteRequest {
    uv_write_t req;
    std::string data;
    Done done;
    std::shared_ptr<Rep> rep;
  };

  explicit Rep(EventLoop* loop) { uv_tcp_init(loop->uv(), &tcp); }
  void Own() {
    self = shared_from_this();
    tcp.data = this;
  }
  uv_stream_t* stream() { return reinterpret_cast<uv_stream_t*>(&tcp); }

  void Close();
  void SetReading();
  void Received(ssize_t n);
  void ReceivedTls(std::string_view bytes);
  void End(base::Status status);
  void WriteRaw(std::string data, Done done);
  void BeginTls(std::unique_ptr<TlsSession> session, Done done);
};

void Stream::Rep::Close() {
  if (closed) return;
  closed = true;
  on_data = nullptr;
  on_end = nullptr;
  handshake_done = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&tcp), [](uv_handle_t* h) {
    auto last = std::move(static_cast<Rep*>(h->data)->self);
  });
}

void Stream::Rep::SetReading() {
  const bool want = on_data != nullptr && !paused && !ended && !closed;
  if (want == reading) return;
  reading = want;
  if (!want) {
    uv_read_stop(stream());
    return;
  }
  uv_read_start(
      stream(),
      [](uv_handle_t* h, size_t, uv_buf_t* out) {
        auto* rep = static_cast<Rep*>(h->data);
        *out = uv_buf_init(rep->buffer, sizeof rep->buffer);
      },
      [](uv_stream_t* s, ssize_t n, const uv_buf_t*) {
        if (n != 0) static_cast<Rep*>(s->data)->Received(n);
      });
}

void Stream::Rep::Received(ssize_t n) {
  auto keep = shared_from_this();
  if (n == UV_EOF) {
    if (tls != nullptr && !tls->established()) {
      End(base::Unavailable("tls: connection closed during the handshake"));
    } else {
      End({});
    }
  } else if (n < 0) {
    End(UvStatus(static_cast<int>(n), ""));
  } else if (tls != nullptr) {
    ReceivedTls(std::string_view(buffer, static_cast<size_t>(n)));
  } else {
    auto call = on_data;  // it may replace or destroy itself
    call(std::string_view(buffer, static_cast<size_t>(n)));
  }
}

void Stream::Rep::ReceivedTls(std::string_view bytes) {
  const bool was_established = tls->established();
  std::string plain;
  base::Status status = tls->Advance(bytes, &plain);
  if (std::string out = tls->TakeOutput(); !out.empty()) WriteRaw(std::move(out), nullptr);
  if (!was_established && (tls->established() || !status) && handshake_done != nullptr) {
    auto done = std::exchange(handshake_done, nullptr);
    done(status);
    if (closed) return;
  }
  if (!plain.empty() && on_data != nullptr) {
    auto call = on_data;
    call(plain);
    if (closed) return;
  }
  if (!status) {
    End(std::move(status));
  } else if (tls->peer_closed()) {
    End({});
  }
}

void Stream::Rep::End(base::Status status) {
  if (ended || closed) return;
  ended = true;
  SetReading();
  if (handshake_done != nullptr) {
    auto done = std::exchange(handshake_done, nullptr);
    done(status ? base::Status(base::Unavailable("connection closed")) : status);
    if (closed) return;
  }
  if (on_end != nullptr) {
    auto call = std::exchange(on_end, nullptr);
    call(std::move(status));
  }
}

void Stream::Rep::WriteRaw(std::string data, Done done) {
  if (closed) return;
  auto* write = new WriteRequest{
      .req = {}, .data = std::move(data), .done = std::move(done), .rep = shared_from_this()};
  write->req.data = write;
  uv_buf_t buf = uv_buf_init(write->data.data(), static_cast<unsigned>(write->data.size()));
  auto written = [](uv_write_t* req, int error) {
    std::unique_ptr<WriteRequest> w(static_cast<WriteRequest*>(req->data));
    if (w->rep->closed) return;
    base::Status status = UvStatus(error, "");
    if (w->done) w->done(status);
    if (!status) w->rep->End(status);
  };
  const int error = uv_write(&write->req, stream(), &buf, 1, written);
  if (error != 0) {
    // Not queued: told from the loop's next turn would need a timer; the peer is gone either way.
    std::unique_ptr<WriteRequest> w(write);
    base::Status status = UvStatus(error, "");
    if (w->done) w->done(status);
    if (!w->rep->closed) w->rep->End(status);
  }
}

void Stream::Rep::BeginTls(std::unique_ptr<TlsSession> session, Done done) {
  TOCSIN_CHECK(tls == nullptr) << "TLS on TLS";
  tls = std::move(session);
  handshake_done = std::move(done);
  auto keep = shared_from_this();
  ReceivedTls({});
}

Stream::Stream(std::shared_ptr<Rep> rep) : rep_(std::move(rep)) {}
Stream::~Stream() { rep_->Close(); }

void Stream::Start(OnData on_data, OnEnd on_end) {
  rep_->on_data = std::move(on_data);
  rep_->on_end = std::move(on_end);
  rep_->SetReading();
}

void Stream::PauseReading() {
  rep_->paused = true;
  rep_->SetReading();
}

void Stream::ResumeReading() {
  rep_->paused = false;
  rep_->SetReading();
}

void Stream::Write(std::string data, Done done) {
  auto keep = rep_;
  if (rep_->tls == nullptr) {
    rep_->WriteRaw(std::move(data), std::move(done));
    return;
  }
  base::Status status = rep_->tls->Write(data);
  if (!status) {
    if (done) done(status);
    keep->End(status);
    return;
  }
  rep_->WriteRaw(rep_->tls->TakeOutput(), std::move(done));
}

size_t Stream::unwritten() const { return uv_stream_get_write_queue_size(rep_->stream()); }

void Stream::Shutdown() {
  if (rep_->tls != nullptr) {
    rep_->tls->Close();
    if (std::string out = rep_->tls->TakeOutput(); !out.empty()) {
      rep_->WriteRaw(std::move(out), nullptr);
    }
  }
  if (rep_->closed) return;
  auto* req = new uv_shutdown_t;
  const int error = uv_shutdown(req, rep_->stream(), [](uv_shutdown_t* r, int) { delete r; });
  if (error != 0) delete req;
}

void Stream::StartTlsClient(std::shared_ptr<TlsClientContext> context,
                            const std::string& server_name, Done done) {
  rep_->BeginTls(std::make_unique<TlsSession>(std::move(context), server_name), std::move(done));
}

void Stream::StartTlsServer(std::shared_ptr<TlsServerContext> context, Done done) {
  rep_->BeginTls(std::make_unique<TlsSession>(std::move(context)), std::move(done));
}

bool Stream::tls() const { return rep_->tls != nullptr; }
const std::string& Stream::remote_address() const { return rep_->remote; }

namespace {

using ConnectDone = std::move_only_function<void(base::Result<std::unique_ptr<Stream>>)>;

// Tries one address after the other.  Owned by the Call; a connect in flight holds its Rep only.
struct Attempt : std::enable_shared_from_this<Attempt> {
  EventLoop* loop;
  std::vector<std::string> addresses;
  size_t next = 0;
  uint16_t port = 0;
  std::string failure;
  Call lookup;
  std::unique_ptr<Stream> stream;
  ConnectDone done;

  void Next();
};

struct ConnectRequest {
  uv_connect_t req;
  std::weak_ptr<Attempt> attempt;
  std::shared_ptr<Stream::Rep> rep;
};

void Attempt::Next() {
  auto keep = shared_from_this();
  stream.reset();
  while (next < addresses.size()) {
    const std::string& address = addresses[next++];
    sockaddr_storage storage{};
    if (uv_ip4_addr(address.c_str(), port, reinterpret_cast<sockaddr_in*>(&storage)) != 0 &&
        uv_ip6_addr(address.c_str(), port, reinterpret_cast<sockaddr_in6*>(&storage)) != 0) {
      continue;
    }
    auto rep = std::make_shared<Stream::Rep>(loop);
    rep->Own();
    rep->remote = JoinHostPort(address, std::to_string(port));
    stream = std::make_unique<Stream>(rep);
    auto* request = new ConnectRequest{.req = {}, .attempt = weak_from_this(), .rep = rep};
    request->req.data = request;
    const int error = uv_tcp_connect(
        &request->req, &rep->tcp, reinterpret_cast<const sockaddr*>(&storage),
        [](uv_connect_t* req, int status) {
          std::unique_ptr<ConnectRequest> r(static_cast<ConnectRequest*>(req->data));
          auto attempt = r->attempt.lock();
          if (attempt == nullptr || r->rep->closed) return;
          if (status != 0) {
            attempt->failure = "dial tcp " + r->rep->remote + ": " + uv_strerror(status);
            attempt->Next();
            return;
          }
          uv_tcp_nodelay(&r->rep->tcp, 1);
          auto finished = std::exchange(attempt->done, nullptr);
          finished(std::move(attempt->stream));
        });
    if (error == 0) return;
    delete request;
    failure = "dial tcp " + rep->remote + ": " + uv_strerror(error);
    stream.reset();
  }
  auto finished = std::exchange(done, nullptr);
  finished(base::Unavailable(failure.empty() ? "no usable address" : failure));
}

}  // namespace

Call Connect(EventLoop* loop, Resolver* resolver, const std::string& host, uint16_t port,
             ConnectDone done) {
  auto attempt = std::make_shared<Attempt>();
  attempt->loop = loop;
  attempt->port = port;
  attempt->done = std::move(done);
  attempt->lookup = resolver->Resolve(
      host, [weak = std::weak_ptr(attempt)](base::Result<std::vector<std::string>> found) {
        auto alive = weak.lock();
        if (alive == nullptr) return;
        if (!found) {
          auto finished = std::exchange(alive->done, nullptr);
          finished(std::unexpected(found.error()));
          return;
        }
        alive->addresses = std::move(*found);
        alive->Next();
      });
  return Call([attempt]() mutable { attempt.reset(); });
}

struct Listener::Rep {
  uv_tcp_t tcp;
  EventLoop* loop;
  std::string address;
  OnConnection on_connection;
  bool paused = false;
  bool waiting = false;  // a connection has been announced while paused
  bool closed = false;

  void Accept();
};

void Listener::Rep::Accept() {
  auto rep = std::make_shared<Stream::Rep>(loop);
  rep->Own();
  auto stream = std::make_unique<Stream>(rep);
  if (uv_accept(reinterpret_cast<uv_stream_t*>(&tcp), rep->stream()) != 0) return;
  uv_tcp_nodelay(&rep->tcp, 1);
  uv_tcp_keepalive(&rep->tcp, 1, kKeepAliveSeconds);
  rep->remote = AddressOf(&rep->tcp, true);
  auto call = on_connection;
  call(std::move(stream));
}

namespace {

// The socket address to bind for `host`: an address, a name (the first of its addresses), or empty.
base::Status BindAddress(const std::string& host, uint16_t port, sockaddr_storage* out) {
  if (uv_ip4_addr(host.c_str(), port, reinterpret_cast<sockaddr_in*>(out)) == 0) return {};
  if (uv_ip6_addr(host.c_str(), port, reinterpret_cast<sockaddr_in6*>(out)) == 0) return {};
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  // Only when a listener starts, before anything is served.
  const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (error != 0) {
    return base::InvalidArgument("listen tcp: lookup " + host + ": " + gai_strerror(error));
  }
  const addrinfo* chosen = list;
  // "localhost" means 127.0.0.1 to most people's configuration of clients.
  for (const addrinfo* a = list; a != nullptr; a = a->ai_next) {
    if (a->ai_family == AF_INET) {
      chosen = a;
      break;
    }
  }
  std::copy_n(reinterpret_cast<const char*>(chosen->ai_addr), chosen->ai_addrlen,
              reinterpret_cast<char*>(out));
  freeaddrinfo(list);
  return {};
}

}  // namespace

base::Result<std::unique_ptr<Listener>> Listener::Listen(EventLoop* loop,
                                                         const std::string& address,
                                                         OnConnection on_connection) {
  auto split = SplitHostPort(address);
  if (!split) return std::unexpected(split.error().Within("listen tcp"));
  const uint16_t port = ParsePort(split->port);
  if (port == 0 && split->port != "0") {
    return base::InvalidArgument("listen tcp: address " + address + ": \"" + split->port +
                                 "\" is not a port; write a number from 0 to 65535");
  }
  std::vector<std::string> hosts = {split->host};
  if (split->host.empty()) hosts = {"::", "0.0.0.0"};  // the second where IPv6 is switched off
  std::string failure;
  for (const std::string& host : hosts) {
    sockaddr_storage storage{};
    RETURN_IF_ERROR(BindAddress(host, port, &storage));
    auto* rep = new Rep{.tcp = {}, .loop = loop, .address = {}, .on_connection = on_connection};
    uv_tcp_init(loop->uv(), &rep->tcp);
    rep->tcp.data = rep;
    auto listener = std::make_unique<Listener>(rep);
    int error = uv_tcp_bind(&rep->tcp, reinterpret_cast<const sockaddr*>(&storage), 0);
    if (error == 0) {
      error = uv_listen(reinterpret_cast<uv_stream_t*>(&rep->tcp), kBacklog,
                        [](uv_stream_t* s, int status) {
                          auto* r = static_cast<Rep*>(s->data);
                          if (status != 0 || r->closed) return;
                          if (r->paused) {
                            r->waiting = true;  // libuv asks no further until it is accepted
                          } else {
                            r->Accept();
                          }
                        });
    }
    if (error == 0) {
      rep->address = AddressOf(&rep->tcp, false);
      return listener;
    }
    failure = "listen tcp " + address + ": bind: " + uv_strerror(error);
    if (error != UV_EAFNOSUPPORT && error != UV_EADDRNOTAVAIL) break;
  }
  return base::Unavailable(failure);
}

Listener::~Listener() {
  rep_->closed = true;
  rep_->on_connection = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&rep_->tcp),
           [](uv_handle_t* h) { delete static_cast<Rep*>(h->data); });
}

const std::string& Listener::address() const { return rep_->address; }
void Listener::Pause() { rep_->paused = true; }

void Listener::Resume() {
  if (!rep_->paused) return;
  rep_->paused = false;
  if (std::exchange(rep_->waiting, false)) rep_->Accept();
}

}  // namespace tocsin::net
