#include "net/http_connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/compress.h"
#include "base/log.h"
#include "base/text.h"

namespace tocsin::net {
namespace {

// A body of this size is not copied behind its head: answers may be hundreds of megabytes.
constexpr size_t kWrittenAlone = 64 << 10;
// Smaller bodies do not get smaller on the wire by compression.
constexpr size_t kCompressFrom = 1024;
// Larger bodies are compressed on a lane; gzip takes about 1 ms for this much.
constexpr size_t kCompressOnLoop = 32 << 10;
constexpr int kGzipLevel = 4;
// Pipelined requests wait unread beyond this.
constexpr size_t kMaxPending = 64 << 10;
// After an early answer the client may still be sending; closing at once would reset the
// connection before it has read why.
constexpr base::Duration kLinger = std::chrono::seconds(2);

// Whether the client takes gzip: named, or *, without q=0.
bool AcceptsGzip(const HttpRequest& request) {
  bool any = false, named = false, named_ok = false;
  for (std::string_view value : request.headers.All("Accept-Encoding")) {
    for (std::string_view part : base::Split(value, ',')) {
      const std::string_view coding = base::Trim(part.substr(0, part.find(';')));
      const size_t q = part.find("q=");
      const bool refused =
          q != std::string_view::npos && part.find_first_not_of("0. ", q + 2) == std::string_view::npos;
      if (base::EqualsIgnoreCase(coding, "gzip")) {
        named = true;
        named_ok = !refused;
      } else if (coding == "*") {
        any = !refused;
      }
    }
  }
  return named ? named_ok : any;
}

bool IsCompressible(const HttpResponse& response) {
  const std::string_view type = response.headers.Get("Content-Type");
  return response.compress && !response.headers.Has("Content-Encoding") &&
         !type.starts_with("image/") && !type.starts_with("font/");
}

bool HasNoBody(int status) { return status == 204 || status == 304 || status < 200; }

class Exchange : public HttpExchange {
 public:
  Exchange(EventLoop* loop, std::weak_ptr<HttpConnection> connection, uint64_t serial,
           std::shared_ptr<const HttpRequest> request)
      : loop_(loop), connection_(std::move(connection)), serial_(serial), request_(std::move(request)) {}

  ~Exchange() override {
    if (responded_) return;
    // May be a worker's thread, where the connection must not even be held.
    loop_->Post([connection = connection_, serial = serial_, target = request_->target] {
      auto alive = connection.lock();
      if (alive == nullptr) return;
      base::LogError("request left without an answer", {{"target", target}});
      alive->Respond(serial, HttpResponse::Text(500, "the request was not answered\n"));
    });
  }

  const HttpRequest& request() const override { return *request_; }
  std::shared_ptr<const HttpRequest> request_ptr() const override { return request_; }

  void Respond(HttpResponse response) override {
    TOCSIN_DCHECK(loop_->OnThread());
    TOCSIN_CHECK(!responded_) << request_->target << " answered twice";
    responded_ = true;
    if (auto alive = connection_.lock()) alive->Respond(serial_, std::move(response));
  }
  bool responded() const override { return responded_; }
  void SetRoute(std::string_view name) override {
    if (auto alive = connection_.lock()) alive->SetRoute(serial_, name);
  }
  void OnClientGone(base::Task fn) override {
    if (auto alive = connection_.lock()) alive->OnClientGone(serial_, std::move(fn));
  }
  bool client_gone() const override {
    auto alive = connection_.lock();
    return alive == nullptr || alive->client_gone();
  }

 private:
  EventLoop* const loop_;
  const std::weak_ptr<HttpConnection> connection_;
  const uint64_t serial_;
  const std::shared_ptr<const HttpRequest> request_;
  bool responded_ = false;
};

}  // namespace

HttpConnection::HttpConnection(HttpConnectionOwner* owner, std::unique_ptr<Stream> stream)
    : owner_(owner), stream_(std::move(stream)), parser_(owner->options().max_header_bytes) {}

HttpConnection::~HttpConnection() = default;

void HttpConnection::Start() {
  Enter(Phase::kIdle);
  stream_->Start([this](std::string_view bytes) { OnData(bytes); },
                 [this](base::Status status) { OnEnd(std::move(status)); });
  // A client that connects has something to say; only between requests may it be silent for long.
  SetDeadline(owner_->options().header_timeout);
  if (owner_->options().tls == nullptr) return;
  stream_->StartTlsServer(owner_->options().tls, [this](base::Status status) {
    if (!status) Close();
  });
}

void HttpConnection::Enter(Phase phase) {
  const HttpServerOptions& o = owner_->options();
  phase_ = phase;
  phase_since_ = owner_->loop()->Monotonic();
  switch (phase) {
    case Phase::kIdle: SetDeadline(o.idle_timeout); break;
    case Phase::kHead:
      request_since_ = phase_since_;
      SetDeadline(o.header_timeout);
      break;
    case Phase::kBody:
    case Phase::kWriting: SetDeadline(o.stall_timeout); break;
    case Phase::kHandling:
    case Phase::kClosed: deadline_ = base::Duration::max(); break;
    case Phase::kLingering: SetDeadline(kLinger); break;
  }
}

void HttpConnection::SetDeadline(base::Duration from_now) {
  deadline_ = owner_->loop()->Monotonic() + from_now;
  // An earlier timer looks again when it fires, so that progress costs no timer operation.
  if (timer_at_ > deadline_) ArmTimer();
}

void HttpConnection::ArmTimer() {
  timer_at_ = deadline_;
  timer_ = owner_->loop()->After(deadline_ - owner_->loop()->Monotonic(), [this] {
    timer_at_ = base::Duration::max();
    if (deadline_ == base::Duration::max()) return;
    if (owner_->loop()->Monotonic() < deadline_) {
      ArmTimer();
    } else {
      auto keep = shared_from_this();
      DeadlinePassed();
    }
  });
}

void HttpConnection::DeadlinePassed() {
  deadline_ = base::Duration::max();
  switch (phase_) {
    case Phase::kHead: Refuse(408, "the head of the request did not arrive in time"); break;
    case Phase::kBody: Refuse(408, "the body of the request did not arrive in time"); break;
    case Phase::kWriting: {
      // Still moving: a slow reader is not a dead one.
      const size_t unwritten = stream_->unwritten();
      if (unwritten < unwritten_seen_ || unwritten == 0) {
        unwritten_seen_ = unwritten;
        SetDeadline(owner_->options().stall_timeout);
      } else {
        Close();
      }
      break;
    }
    case Phase::kHandling: break;
    default: Close();
  }
}

void HttpConnection::OnData(std::string_view bytes) {
  if (phase_ == Phase::kLingering || phase_ == Phase::kClosed) return;  // read over
  auto keep = shared_from_this();
  pending_.append(bytes);
  if (phase_ == Phase::kHandling || phase_ == Phase::kWriting) {
    if (pending_.size() > kMaxPending) stream_->PauseReading();
    return;
  }
  Parse();
}

void HttpConnection::OnEnd(base::Status) {
  auto keep = shared_from_this();
  ended_ = true;
  if (phase_ == Phase::kHandling || phase_ == Phase::kWriting) {
    // A client that only closed its sending side still gets its answer.
    ClientGone();
  } else {
    Close();
  }
}

void HttpConnection::ClientGone() {
  if (gone_) return;
  gone_ = true;
  if (on_gone_) std::exchange(on_gone_, nullptr)();
}

// Takes from pending_ until a request is complete or more bytes are needed.
void HttpConnection::Parse() {
  while (phase_ == Phase::kIdle || phase_ == Phase::kHead || phase_ == Phase::kBody) {
    if (pending_.empty() && parser_.state() != HttpRequestParser::State::kComplete) return;
    const auto before = parser_.state();
    pending_.erase(0, parser_.Consume(pending_));
    const auto after = parser_.state();
    if (phase_ == Phase::kIdle && parser_.started()) Enter(Phase::kHead);
    if (before == HttpRequestParser::State::kHead && after != before &&
        after != HttpRequestParser::State::kFailed) {
      HeadArrived();
    }
    if (before == HttpRequestParser::State::kBody && parser_.state() != HttpRequestParser::State::kFailed) {
      const size_t size = parser_.request().body.size();
      if (!owner_->Buffer(size - buffered_)) {
        Refuse(503, "too many request bodies are being read; try again later");
        return;
      }
      buffered_ = size;
      // Progress moves the deadline, up to the limit for the whole request.
      const base::Duration left = request_since_ + owner_->options().read_timeout -
                                  owner_->loop()->Monotonic();
      SetDeadline(std::min(owner_->options().stall_timeout, left));
    }
    if (parser_.state() == HttpRequestParser::State::kFailed) {
      Refuse(parser_.error_status(), parser_.error());
      return;
    }
    if (parser_.state() == HttpRequestParser::State::kComplete) RequestArrived();
  }
}

void HttpConnection::HeadArrived() {
  HttpRequest& r = parser_.request();
  r.remote_address = stream_->remote_address();
  r.tls = stream_->tls();
  r.received = owner_->loop()->Now();
  const HttpServerOptions& o = owner_->options();
  parser_.SetBodyLimit(o.body_limit ? o.body_limit(r) : o.max_body_bytes);
  if (parser_.state() != HttpRequestParser::State::kBody) return;
  Enter(Phase::kBody);
  if (parser_.expects_continue()) stream_->Write("HTTP/1.1 100 Continue\r\n\r\n");
}

void HttpConnection::RequestArrived() {
  keep_alive_ = parser_.keep_alive();
  request_ = parser_.TakeRequest();
  responded_ = false;
  handled_since_ = owner_->loop()->Monotonic();
  route_ = "unknown";
  status_ = 0;
  sent_ = 0;
  Enter(Phase::kHandling);
  auto exchange =
      std::make_shared<Exchange>(owner_->loop(), weak_from_this(), ++serial_, request_);
  owner_->Handle(std::move(exchange));
}

// Answers what was no proper request, and ends the connection: where the next request begins is
// anybody's guess.
void HttpConnection::Refuse(int status, std::string_view why) {
  keep_alive_ = false;
  pending_.clear();
  request_ = parser_.TakeRequest();
  if (request_ == nullptr) request_ = std::make_shared<HttpRequest>();
  ++serial_;
  responded_ = true;
  route_ = "refused";
  handled_since_ = owner_->loop()->Monotonic();
  Send(HttpResponse::Text(status, fmt::format("{} {}: {}\n", status, StatusText(status), why)));
}

void HttpConnection::SetRoute(uint64_t serial, std::string_view route) {
  if (serial == serial_) route_ = route;
}

void HttpConnection::OnClientGone(uint64_t serial, base::Task fn) {
  if (serial != serial_ || phase_ == Phase::kClosed) return;
  if (gone_) {
    fn();
  } else {
    on_gone_ = std::move(fn);
  }
}

void HttpConnection::Respond(uint64_t serial, HttpResponse response) {
  if (serial != serial_ || responded_ || phase_ != Phase::kHandling) return;
  responded_ = true;
  Send(std::move(response));
}

void HttpConnection::Send(HttpResponse response) {
  auto keep = shared_from_this();
  if (owner_->WantsClose() || ended_) keep_alive_ = false;
  status_ = response.status;
  for (const auto& [name, value] : owner_->options().extra_headers) {
    response.headers.SetDefault(name, value);
  }
  if (response.stream) {
    SendStream(std::move(response));
    return;
  }
  const std::string& body = response.shared_body ? *response.shared_body : response.body;
  if (body.size() < kCompressFrom || !IsCompressible(response)) {
    SendWhole(std::move(response));
    return;
  }
  response.headers.Add("Vary", "Accept-Encoding");
  if (!AcceptsGzip(*request_)) {
    SendWhole(std::move(response));
    return;
  }
  response.headers.Set("Content-Encoding", "gzip");
  if (body.size() <= kCompressOnLoop) {
    response.body = base::Gzip(body, kGzipLevel);
    response.shared_body = nullptr;
    SendWhole(std::move(response));
    return;
  }
  auto shared = std::make_shared<HttpResponse>(std::move(response));
  owner_->loop()->Offload(
      base::Lane::kQueries,
      [shared] {
        shared->body =
            base::Gzip(shared->shared_body ? *shared->shared_body : shared->body, kGzipLevel);
        shared->shared_body = nullptr;
      },
      [weak = weak_from_this(), serial = serial_, shared] {
        auto alive = weak.lock();
        if (alive == nullptr || alive->serial_ != serial || alive->phase_ == Phase::kClosed) return;
        alive->SendWhole(std::move(*shared));
      });
}

std::string HttpConnection::Head(const HttpResponse& response, bool has_length, size_t length) const {
  std::string out = fmt::format("HTTP/1.1 {} {}\r\n", response.status, StatusText(response.status));
  for (const auto& [name, value] : response.headers) {
    // These are the server's to say.
    if (base::EqualsIgnoreCase(name, "content-length") || base::EqualsIgnoreCase(name, "connection") ||
        base::EqualsIgnoreCase(name, "transfer-encoding") || base::EqualsIgnoreCase(name, "date")) {
      continue;
    }
    out += name;
    out += ": ";
    out += value;
    out += "\r\n";
  }
  fmt::format_to(std::back_inserter(out), "Date: {}\r\n", FormatHttpDate(owner_->loop()->Now()));
  if (has_length) fmt::format_to(std::back_inserter(out), "Content-Length: {}\r\n", length);
  if (chunked_) out += "Transfer-Encoding: chunked\r\n";
  if (!keep_alive_) {
    out += "Connection: close\r\n";
  } else if (request_->version_minor == 0) {
    out += "Connection: keep-alive\r\n";
  }
  out += "\r\n";
  return out;
}

void HttpConnection::SendWhole(HttpResponse response) {
  chunked_ = false;
  const std::string& body = response.shared_body ? *response.shared_body : response.body;
  const bool no_body = HasNoBody(response.status);
  std::string out = Head(response, !no_body, body.size());
  const bool large = body.size() >= kWrittenAlone && response.shared_body == nullptr;
  const bool with_body = !no_body && request_->method != "HEAD";
  if (with_body) sent_ = body.size();
  Enter(Phase::kWriting);
  if (with_body && large) {
    stream_->Write(std::move(out));
    if (phase_ == Phase::kClosed) return;
    out = std::move(response.body);
  } else if (with_body) {
    out += body;
  }
  stream_->Write(std::move(out), [this, weak = weak_from_this()](base::Status status) {
    auto keep = weak.lock();
    if (keep == nullptr || phase_ == Phase::kClosed) return;
    if (status) {
      Finished(true);
    } else {
      ClientGone();
      Close();
    }
  });
  NoteUnwritten();
}

void HttpConnection::NoteUnwritten() { unwritten_seen_ = stream_ ? stream_->unwritten() : 0; }

void HttpConnection::SendStream(HttpResponse response) {
  const bool no_body = HasNoBody(response.status) || request_->method == "HEAD";
  chunked_ = !no_body && request_->version_minor == 1;
  if (!no_body && !chunked_) keep_alive_ = false;  // the end of the connection ends the body
  source_ = std::move(response.stream);
  if (no_body) source_ = nullptr;
  Enter(Phase::kWriting);
  std::string out = Head(response, false, 0);
  stream_->Write(std::move(out), [this, weak = weak_from_this()](base::Status status) {
    auto keep = weak.lock();
    if (keep == nullptr || phase_ == Phase::kClosed) return;
    if (!status) {
      ClientGone();
      Close();
    } else if (source_) {
      NextPart();
    } else {
      Finished(true);
    }
  });
  NoteUnwritten();
}

void HttpConnection::NextPart() {
  // The source may take its time: only writing is bounded.
  deadline_ = base::Duration::max();
  source_([weak = weak_from_this(), serial = serial_](base::Result<std::string> part) {
    if (auto alive = weak.lock()) alive->PartArrived(serial, std::move(part));
  });
}

void HttpConnection::PartArrived(uint64_t serial, base::Result<std::string> part) {
  if (serial != serial_ || phase_ != Phase::kWriting) return;
  if (!part) {
    // The head has gone out; breaking off is the only way left to tell.
    base::LogWarn("streamed answer broken off", {{"target", request_->target}, {"error", part.error()}});
    Close();
    return;
  }
  const bool last = part->empty();
  if (last && !chunked_) {
    Finished(true);
    return;
  }
  std::string out;
  if (last) {
    out = "0\r\n\r\n";
  } else {
    sent_ += part->size();
    if (chunked_) {
      out = fmt::format("{:x}\r\n{}\r\n", part->size(), *part);
    } else {
      out = std::move(*part);
    }
  }
  SetDeadline(owner_->options().stall_timeout);
  stream_->Write(std::move(out), [this, last, weak = weak_from_this()](base::Status status) {
    auto keep = weak.lock();
    if (keep == nullptr || phase_ == Phase::kClosed) return;
    if (!status) {
      ClientGone();
      Close();
    } else if (last) {
      Finished(true);
    } else {
      NextPart();
    }
  });
  NoteUnwritten();
}

// The exchange is over; `complete`: the answer went out whole.
void HttpConnection::Finished(bool complete) {
  auto keep = shared_from_this();
  on_gone_ = nullptr;
  source_ = nullptr;
  owner_->Unbuffer(std::exchange(buffered_, 0));
  if (owner_->options().on_request && request_ != nullptr) {
    owner_->options().on_request({.method = request_->method,
                                  .route = route_,
                                  .target = request_->target,
                                  .remote_address = request_->remote_address,
                                  .status = complete ? status_ : 499,
                                  .duration = owner_->loop()->Monotonic() - handled_since_,
                                  .request_bytes = request_->body.size(),
                                  .response_bytes = sent_});
  }
  request_ = nullptr;
  if (phase_ == Phase::kClosed) return;
  if (!keep_alive_ || ended_) {
    Linger();
    return;
  }
  parser_.Reset();
  Enter(Phase::kIdle);
  stream_->ResumeReading();
  Parse();
}

void HttpConnection::Linger() {
  Enter(Phase::kLingering);
  if (ended_) {
    Close();
    return;
  }
  stream_->Shutdown();
  stream_->ResumeReading();
}

void HttpConnection::Close() {
  if (phase_ == Phase::kClosed) return;
  auto keep = shared_from_this();
  const bool in_exchange = request_ != nullptr;
  phase_ = Phase::kClosed;
  deadline_ = base::Duration::max();
  timer_.Cancel();
  ClientGone();
  if (in_exchange) Finished(false);
  owner_->Unbuffer(std::exchange(buffered_, 0));
  stream_.reset();
  owner_->Closed(this);
}

}  // namespace tocsin::net
