#include "net/http_server.h"

#include <algorithm>
#include <deque>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "net/http_connection.h"
#include "net/stream.h"
#include "net/tls.h"

namespace tocsin::net {
namespace {

constexpr base::Duration kFreshPatience = std::chrono::seconds(1);

}  // namespace

struct HttpServer::Rep : HttpConnectionOwner, std::enable_shared_from_this<HttpServer::Rep> {
  EventLoop* loop_;
  HttpServerOptions options_;
  Handler handler;
  std::vector<std::unique_ptr<Listener>> listeners;
  std::unordered_map<HttpConnection*, std::shared_ptr<HttpConnection>> connections;
  size_t buffered = 0;
  std::deque<std::unique_ptr<Stream>> waiting;  // accepted, no room yet; one a listener at most
  base::Timer look_again;
  bool paused = false;
  bool admitting = false;
  bool stopping = false;
  base::Task stopped;
  base::Timer grace;

  EventLoop* loop() override { return loop_; }
  const HttpServerOptions& options() override { return options_; }
  void Handle(std::shared_ptr<HttpExchange> exchange) override { handler(std::move(exchange)); }
  bool WantsClose() override { return stopping || paused; }

  bool Buffer(size_t more) override {
    if (more > options_.max_buffered_bytes - std::min(buffered, options_.max_buffered_bytes)) {
      return false;
    }
    buffered += more;
    return true;
  }
  void Unbuffer(size_t bytes) override { buffered -= std::min(bytes, buffered); }

  void Closed(HttpConnection* connection) override {
    connections.erase(connection);
    Admit();
    CheckStopped();
  }

  void Accept(std::unique_ptr<Stream> stream) {
    if (stopping) return;
    waiting.push_back(std::move(stream));
    Admit();
  }

  // Lets waiting connections in while there is room, or room can be made.  While one waits nothing
  // is accepted: the system's queue holds the rest.
  void Admit() {
    if (admitting) return;  // closing and accepting lead back here; the loop below sees it all
    admitting = true;
    do {
      AdmitWhileRoom();
      const bool pause = !waiting.empty();
      if (pause != std::exchange(paused, pause)) {
        for (auto& listener : listeners) pause ? listener->Pause() : listener->Resume();
      }
    } while (!paused && !waiting.empty());
    admitting = false;
    if (paused) {
      look_again = loop_->After(kFreshPatience, [this] { Admit(); });
    } else {
      look_again.Cancel();
    }
  }

  void AdmitWhileRoom() {
    const auto limit = static_cast<size_t>(options_.max_connections);
    while (!stopping && !waiting.empty()) {
      if (connections.size() >= limit && !CloseOldestIdle()) break;
      auto connection = std::make_shared<HttpConnection>(this, std::move(waiting.front()));
      waiting.pop_front();
      connections.emplace(connection.get(), connection);
      connection->Start();
    }
  }

  // Closes the connection that has been silent for longest.  One that has never asked anything gets
  // some patience first, for its request may be on the way.
  bool CloseOldestIdle() {
    HttpConnection* oldest = nullptr;
    const base::Duration now = loop_->Monotonic();
    for (const auto& [raw, owned] : connections) {
      if (!raw->idle() || (raw->fresh() && now - raw->idle_since() < kFreshPatience)) continue;
      if (oldest == nullptr || raw->idle_since() < oldest->idle_since()) oldest = raw;
    }
    if (oldest == nullptr) return false;
    oldest->Close();
    return true;
  }

  void CloseAll(bool only_idle) {
    std::vector<std::shared_ptr<HttpConnection>> all;
    for (const auto& [raw, owned] : connections) {
      if (!only_idle || raw->idle()) all.push_back(owned);
    }
    for (auto& connection : all) connection->Close();
  }

  void CheckStopped() {
    if (!stopping || !connections.empty() || !stopped) return;
    grace.Cancel();
    loop_->Post(std::exchange(stopped, nullptr));
  }
};

HttpServer::HttpServer(EventLoop* loop, HttpServerOptions options, Handler handler)
    : rep_(std::make_shared<Rep>()) {
  rep_->loop_ = loop;
  rep_->options_ = std::move(options);
  rep_->handler = std::move(handler);
}

HttpServer::~HttpServer() {
  rep_->stopping = true;
  rep_->stopped = nullptr;
  rep_->grace.Cancel();
  rep_->listeners.clear();
  rep_->waiting.clear();
  rep_->look_again.Cancel();
  rep_->CloseAll(false);
}

base::Result<std::string> HttpServer::Listen(const std::string& address) {
  TOCSIN_DCHECK(rep_->loop_->OnThread());
  ASSIGN_OR_RETURN(auto listener, Listener::Listen(rep_->loop_, address,
                                                   [rep = rep_.get()](std::unique_ptr<Stream> s) {
                                                     rep->Accept(std::move(s));
                                                   }));
  rep_->listeners.push_back(std::move(listener));
  return rep_->listeners.back()->address();
}

std::vector<std::string> HttpServer::addresses() const {
  std::vector<std::string> out;
  for (const auto& listener : rep_->listeners) out.push_back(listener->address());
  return out;
}

void HttpServer::Reconfigure(std::shared_ptr<TlsServerContext> tls, Headers extra_headers) {
  TOCSIN_DCHECK(rep_->loop_->OnThread());
  if ((tls == nullptr) == (rep_->options_.tls == nullptr)) rep_->options_.tls = std::move(tls);
  rep_->options_.extra_headers = std::move(extra_headers);
}

void HttpServer::Stop(base::Duration grace, base::Task done) {
  TOCSIN_DCHECK(rep_->loop_->OnThread());
  rep_->stopping = true;
  rep_->stopped = std::move(done);
  rep_->listeners.clear();
  rep_->waiting.clear();
  rep_->look_again.Cancel();
  rep_->CloseAll(true);
  rep_->grace = rep_->loop_->After(grace, [rep = rep_.get()] { rep->CloseAll(false); });
  rep_->CheckStopped();
}

int HttpServer::connections() const { return static_cast<int>(rep_->connections.size()); }

}  // namespace tocsin::net
