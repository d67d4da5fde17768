#include "net/plain_http.h"

#include <fmt/format.h>
#include <llhttp.h>
#include <uv.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/duration.h"
#include "base/text.h"

namespace tocsin::net {
namespace {

constexpr size_t kBufferBytes = 64 << 10;
constexpr unsigned kKeepAliveSeconds = 60;
// A body gets this much memory on the server's word; the rest as it comes.
constexpr uint64_t kMostReserved = 1 << 20;

base::Error Unanswerable(std::string what) { return base::Error(base::Code::kFailedPrecondition, std::move(what)); }

}  // namespace

struct PlainHttp::Parser {
  llhttp_t parser;
  std::string name, value;
  FetchResponse response;
  size_t header_bytes = 0;
  size_t max_header_bytes = 0;
  size_t max_body_bytes = 0;
  bool started = false;
  bool headers_done = false;
  bool complete = false;
  bool too_large = false;

  static Parser* Of(llhttp_t* p) { return static_cast<Parser*>(p->data); }

  static const llhttp_settings_t* Settings() {
    static const llhttp_settings_t kSettings = [] {
      llhttp_settings_t s;
      llhttp_settings_init(&s);
      s.on_header_field = [](llhttp_t* p, const char* at, size_t n) { return Of(p)->AddHeader(&Of(p)->name, at, n); };
      s.on_header_value = [](llhttp_t* p, const char* at, size_t n) { return Of(p)->AddHeader(&Of(p)->value, at, n); };
      s.on_header_value_complete = [](llhttp_t* p) {
        Parser* self = Of(p);
        // Trailers say nothing that is used.
        if (!self->headers_done) self->response.headers.Add(self->name, base::Trim(self->value));
        self->name.clear();
        self->value.clear();
        return 0;
      };
      s.on_headers_complete = [](llhttp_t* p) {
        Parser* self = Of(p);
        self->headers_done = true;
        self->response.status = p->status_code;
        self->response.version = p->http_major * 10 + p->http_minor;
        const uint64_t told = p->content_length;
        if ((p->flags & F_CONTENT_LENGTH) != 0 && told <= self->Limit()) {
          self->response.body.reserve(std::min(told, kMostReserved));
        }
        return 0;
      };
      s.on_body = [](llhttp_t* p, const char* at, size_t n) -> int {
        Parser* self = Of(p);
        self->too_large = n > self->Limit() - self->response.body.size();
        if (self->too_large) return HPE_USER;
        self->response.body.append(at, n);
        return 0;
      };
      s.on_message_complete = [](llhttp_t* p) -> int {
        Parser* self = Of(p);
        if (p->status_code / 100 == 1) {  // the answer is still to come
          self->response = {};
          self->headers_done = false;
          return 0;
        }
        self->complete = true;
        return HPE_PAUSED;
      };
      return s;
    }();
    return &kSettings;
  }

  size_t Limit() const { return max_body_bytes == 0 ? SIZE_MAX : max_body_bytes; }

  int AddHeader(std::string* to, const char* at, size_t n) {
    header_bytes += n;
    if (header_bytes > max_header_bytes) return HPE_USER;
    to->append(at, n);
    return 0;
  }

  void Begin(const Request& request) {
    llhttp_init(&parser, HTTP_RESPONSE, Settings());
    parser.data = this;
    name.clear();
    value.clear();
    response = {};
    header_bytes = 0;
    max_header_bytes = request.max_header_bytes;
    max_body_bytes = request.max_body_bytes;
    started = headers_done = complete = too_large = false;
  }
};

struct PlainHttp::Connection {
  uv_tcp_t tcp;
  uv_connect_t connecting;
  uv_write_t writing;
  PlainHttp* owner = nullptr;  // null: closing
  Key key;
  Parser parser;
  Request request;
  Done done;             // null: idle
  uint64_t ticket = 0;   // of the request
  bool used = false;     // has answered before
  bool reading = false;
  base::Duration begun{};
  base::Timer connect_limit;
  base::Duration idle_since{};
  std::list<Connection*>::iterator idle_place;  // in idle_order_, while idle
};

PlainHttp::PlainHttp(EventLoop* loop, size_t max_idle, base::Duration max_idle_time)
    : loop_(loop), max_idle_(max_idle), max_idle_time_(max_idle_time), buffer_(std::make_unique<char[]>(kBufferBytes)) {}

PlainHttp::~PlainHttp() {
  alive_.reset();
  while (!all_.empty()) Close(all_.back());
}

void PlainHttp::Close(Connection* c) {
  if (c->owner == nullptr) return;
  c->owner = nullptr;
  c->done = nullptr;
  c->connect_limit.Cancel();
  busy_.erase(c->ticket);
  all_.erase(std::find(all_.begin(), all_.end(), c));
  if (const auto idle = idle_.find(c->key); idle != idle_.end()) {
    if (std::erase(idle->second, c) > 0) idle_order_.erase(c->idle_place);
    if (idle->second.empty()) idle_.erase(idle);
  }
  uv_close(reinterpret_cast<uv_handle_t*>(&c->tcp), [](uv_handle_t* h) { delete static_cast<Connection*>(h->data); });
}

void PlainHttp::CloseOld() {
  const base::Duration now = loop_->Monotonic();
  while (!idle_order_.empty() && now - idle_order_.front()->idle_since >= max_idle_time_) Close(idle_order_.front());
}

PlainHttp::Connection* PlainHttp::TakeIdle(const Key& key) {
  CloseOld();
  const auto found = idle_.find(key);
  if (found == idle_.end()) return nullptr;
  Connection* c = found->second.back();
  found->second.pop_back();
  if (found->second.empty()) idle_.erase(found);
  idle_order_.erase(c->idle_place);
  return c;
}

Call PlainHttp::Send(Request request, Done done) {
  TOCSIN_DCHECK(loop_->OnThread());
  Key key{request.address, request.port};
  Connection* c = TakeIdle(key);
  const bool kept = c != nullptr;
  if (!kept) {
    c = new Connection;
    c->owner = this;
    c->key = std::move(key);
    all_.push_back(c);
    uv_tcp_init(loop_->uv(), &c->tcp);
    c->tcp.data = c;
  }
  c->request = std::move(request);
  c->done = std::move(done);
  c->begun = loop_->Monotonic();
  c->ticket = next_ticket_++;
  busy_.emplace(c->ticket, c);
  c->parser.Begin(c->request);
  if (kept) {
    Write(c);
  } else {
    Connect(c);
  }
  return Call([this, alive = std::weak_ptr<bool>(alive_), ticket = c->ticket] {
    if (alive.expired()) return;
    if (const auto found = busy_.find(ticket); found != busy_.end()) Close(found->second);
  });
}

void PlainHttp::Connect(Connection* c) {
  sockaddr_storage address{};
  const bool v6 = c->key.first.find(':') != std::string::npos;
  int error = v6 ? uv_ip6_addr(c->key.first.c_str(), c->key.second, reinterpret_cast<sockaddr_in6*>(&address))
                 : uv_ip4_addr(c->key.first.c_str(), c->key.second, reinterpret_cast<sockaddr_in*>(&address));
  c->connecting.data = c;
  if (error == 0) {
    error = uv_tcp_connect(&c->connecting, &c->tcp, reinterpret_cast<sockaddr*>(&address), [](uv_connect_t* req, int status) {
      auto* connection = static_cast<Connection*>(req->data);
      PlainHttp* self = connection->owner;
      if (self == nullptr) return;
      connection->connect_limit.Cancel();
      if (status != 0) {
        self->Failed(connection, Unanswerable(uv_strerror(status)));
        return;
      }
      uv_tcp_nodelay(&connection->tcp, 1);
      uv_tcp_keepalive(&connection->tcp, 1, kKeepAliveSeconds);
      self->Write(connection);
    });
  }
  if (error != 0) {
    loop_->Post([this, alive = std::weak_ptr<bool>(alive_), ticket = c->ticket, error] {
      if (alive.expired()) return;
      if (const auto found = busy_.find(ticket); found != busy_.end()) Failed(found->second, Unanswerable(uv_strerror(error)));
    });
  } else if (c->request.connect_timeout > base::Duration{}) {
    c->connect_limit = loop_->After(c->request.connect_timeout, [this, c] {
      Failed(c, Unanswerable(fmt::format("no connection within {}", base::FormatGoDuration(c->request.connect_timeout))));
    });
  }
}

void PlainHttp::Write(Connection* c) {
  if (!c->reading) {
    c->reading = true;
    uv_read_start(
        reinterpret_cast<uv_stream_t*>(&c->tcp),
        [](uv_handle_t* h, size_t, uv_buf_t* out) {
          *out = uv_buf_init(static_cast<Connection*>(h->data)->owner->buffer_.get(), kBufferBytes);
        },
        [](uv_stream_t* s, ssize_t n, const uv_buf_t* buffer) {
          auto* connection = static_cast<Connection*>(s->data);
          PlainHttp* self = connection->owner;
          if (n > 0) self->Received(connection, std::string_view(buffer->base, static_cast<size_t>(n)));
          if (n < 0) self->Ended(connection, static_cast<int>(n));
        });
  }
  std::string& head = c->request.head;
  uv_buf_t buffer = uv_buf_init(head.data(), static_cast<unsigned>(head.size()));
  const int written = uv_try_write(reinterpret_cast<uv_stream_t*>(&c->tcp), &buffer, 1);
  if (written == static_cast<int>(head.size())) return;
  // Errors of both come as the end of what is read.
  const unsigned done = written > 0 ? static_cast<unsigned>(written) : 0;
  buffer = uv_buf_init(head.data() + done, static_cast<unsigned>(head.size()) - done);
  uv_write(&c->writing, reinterpret_cast<uv_stream_t*>(&c->tcp), &buffer, 1, nullptr);
}

void PlainHttp::Received(Connection* c, std::string_view bytes) {
  if (c->done == nullptr) {  // it speaks unasked
    Close(c);
    return;
  }
  Parser& p = c->parser;
  p.started = true;
  const llhttp_errno_t error = llhttp_execute(&p.parser, bytes.data(), bytes.size());
  if (p.complete) {
    // Bytes behind the answer belong to nothing.
    const bool all = error == HPE_PAUSED && llhttp_get_error_pos(&p.parser) == bytes.data() + bytes.size();
    llhttp_resume(&p.parser);
    if (!all || llhttp_should_keep_alive(&p.parser) == 0) c->used = false;
    else c->used = true;
    Answered(c);
  } else if (p.too_large) {
    Failed(c, base::Error(base::Code::kResourceExhausted,
                          fmt::format("body size limit exceeded: more than {} bytes", p.max_body_bytes)));
  } else if (error != HPE_OK) {
    const char* reason = llhttp_get_error_reason(&p.parser);
    Failed(c, Unanswerable(fmt::format("malformed HTTP response: {}", reason != nullptr ? reason : llhttp_errno_name(error))));
  }
}

void PlainHttp::Ended(Connection* c, int error) {
  Parser& p = c->parser;
  if (c->done == nullptr) {
    Close(c);
    return;
  }
  if (!p.started && c->used) {
    // Closed while nobody used it: a new one answers.
    Failed(c, Unanswerable("the kept connection was closed"));
    return;
  }
  if (error == UV_EOF && p.headers_done && llhttp_message_needs_eof(&p.parser) != 0) {
    llhttp_finish(&p.parser);
    c->used = false;
    Answered(c);
    return;
  }
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(loop_->Monotonic() - c->begun).count();
  std::string message;
  if (error != UV_EOF) {
    message = fmt::format("{} after {} ms", base::ToLower(uv_strerror(error)), ms);
  } else if (!p.started) {
    message = fmt::format("EOF: the connection was closed without an answer after {} ms", ms);
  } else {
    message = "unexpected EOF: the connection was closed inside the body";
  }
  Failed(c, base::Error(base::Code::kUnavailable, std::move(message)));
}

void PlainHttp::Answered(Connection* c) {
  Done done = std::exchange(c->done, nullptr);
  busy_.erase(c->ticket);
  FetchResponse response = std::move(c->parser.response);
  // A server may answer before it has read all: what the system has still to send is in the request.
  const bool sent = uv_stream_get_write_queue_size(reinterpret_cast<uv_stream_t*>(&c->tcp)) == 0;
  CloseOld();
  if (!c->used || !sent || max_idle_ == 0) {
    Close(c);
  } else {
    if (idle_order_.size() >= max_idle_) Close(idle_order_.front());
    c->idle_since = loop_->Monotonic();
    c->request = {};
    idle_[c->key].push_back(c);
    c->idle_place = idle_order_.insert(idle_order_.end(), c);
  }
  done(std::move(response));
}

void PlainHttp::Failed(Connection* c, base::Error error) {
  Done done = std::exchange(c->done, nullptr);
  Close(c);
  done(std::unexpected(std::move(error)));
}

}  // namespace tocsin::net
