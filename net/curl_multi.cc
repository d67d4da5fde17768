#include "net/curl_multi.h"

#include <curl/curl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/check.h"

namespace tocsin::net {

struct CurlMulti::Socket {
  uv_poll_t poll;
  CurlMulti* multi;
  int fd;
  int events = 0;     // that the loop looks for
  bool idle = false;  // its connection is kept for the next request
};

namespace {

// libcurl asks to be called again at once this often in a row before others get their turn.
constexpr int kRounds = 16;

}  // namespace

CurlMulti::CurlMulti(EventLoop* loop, int max_connections, int max_per_host,
                     std::function<void(CURL*, int)> on_done)
    : loop_(loop), on_done_(std::move(on_done)) {
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  TOCSIN_CHECK(initialised == CURLE_OK);
  multi_ = curl_multi_init();
  TOCSIN_CHECK(multi_ != nullptr);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION,
                    +[](CURL*, curl_socket_t fd, int what, void* self, void*) {
                      return static_cast<CurlMulti*>(self)->OnSocket(fd, what);
                    });
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION,
                    +[](CURLM*, long ms, void* self) { return static_cast<CurlMulti*>(self)->OnTimer(ms); });
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(max_connections));
  curl_multi_setopt(multi_, CURLMOPT_MAX_HOST_CONNECTIONS, static_cast<long>(max_per_host));
}

CurlMulti::~CurlMulti() {
  gate_.Close();
  curl_multi_cleanup(multi_);  // closes kept connections, through OnSocket and CloseSocket
  while (!sockets_.empty()) Forget(sockets_.begin()->first);
}

void CurlMulti::Add(CURL* easy) {
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, this);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, +[](void* self, curlsocktype, curl_sockaddr* address) {
    const curl_socket_t fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd >= 0) static_cast<CurlMulti*>(self)->connections_.insert(fd);
    return fd;
  });
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, this);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, +[](void* self, curl_socket_t fd) {
    static_cast<CurlMulti*>(self)->Forget(fd);
    return close(fd);
  });
  const CURLMcode code = curl_multi_add_handle(multi_, easy);
  TOCSIN_CHECK(code == CURLM_OK) << curl_multi_strerror(code);
  if (due_ && !acting_) TimeoutAction();
}

void CurlMulti::Remove(CURL* easy) { curl_multi_remove_handle(multi_, easy); }

int CurlMulti::OnTimer(long ms) {
  timer_.Cancel();
  due_ = ms == 0;
  // Not from within libcurl: Add() and Action() go on with what is due; elsewhere the loop does.
  if (due_ && !acting_) {
    loop_->Post(gate_.Wrap([this] {
      if (due_) TimeoutAction();
    }));
  } else if (ms > 0) {
    timer_ = loop_->After(std::chrono::milliseconds(ms), [this] { TimeoutAction(); });
  }
  return 0;
}

// The loop goes on looking at the socket of a connection that is kept: registering it anew for each
// request costs more than the request's bytes.  Other descriptors, such as the one that wakes for an
// answer of libcurl's own look-ups, are closed after this without another word.
int CurlMulti::OnSocket(int fd, int what) {
  if (what == CURL_POLL_REMOVE) {
    const auto found = sockets_.find(fd);
    if (found == sockets_.end()) return 0;
    if (!connections_.contains(fd)) {
      Forget(fd);
      return 0;
    }
    Socket* const kept = found->second;
    kept->idle = true;
    if (kept->events != UV_READABLE) Watch(kept, UV_READABLE);
    return 0;
  }
  Socket*& socket = sockets_[fd];
  if (socket == nullptr) {
    socket = new Socket{.poll = {}, .multi = this, .fd = fd};
    uv_poll_init_socket(loop_->uv(), &socket->poll, fd);
    socket->poll.data = socket;
  }
  socket->idle = false;
  int events = 0;
  if (what != CURL_POLL_IN) events |= UV_WRITABLE;
  if (what != CURL_POLL_OUT) events |= UV_READABLE;
  if (events != socket->events) Watch(socket, events);
  return 0;
}

void CurlMulti::Watch(Socket* socket, int events) {
  socket->events = events;
  if (events == 0) {
    uv_poll_stop(&socket->poll);
    return;
  }
  uv_poll_start(&socket->poll, events, [](uv_poll_t* p, int status, int got) {
    auto* s = static_cast<Socket*>(p->data);
    if (s->idle) {
      // The other end has closed it, or speaks unasked: libcurl finds that when it wants to use it.
      s->multi->Watch(s, 0);
      return;
    }
    int flags = 0;
    if (status < 0) flags |= CURL_CSELECT_ERR;
    if (got & UV_READABLE) flags |= CURL_CSELECT_IN;
    if (got & UV_WRITABLE) flags |= CURL_CSELECT_OUT;
    s->multi->Action(s->fd, flags);
  });
}

void CurlMulti::Forget(int fd) {
  connections_.erase(fd);
  const auto node = sockets_.extract(fd);
  if (node.empty()) return;
  uv_close(reinterpret_cast<uv_handle_t*>(&node.mapped()->poll),
           [](uv_handle_t* h) { delete static_cast<Socket*>(h->data); });
}

void CurlMulti::Action(int fd, int events) {
  const std::weak_ptr<bool> alive = alive_;
  acting_ = true;
  int round = 0;
  do {
    due_ = false;
    int running = 0;
    curl_multi_socket_action(multi_, fd, events, &running);
    CollectFinished();
    if (alive.expired()) return;
    fd = CURL_SOCKET_TIMEOUT;
    events = 0;
  } while (due_ && ++round < kRounds);
  acting_ = false;
  if (due_) OnTimer(0);
}

void CurlMulti::TimeoutAction() { Action(CURL_SOCKET_TIMEOUT, 0); }

void CurlMulti::CollectFinished() {
  const std::weak_ptr<bool> alive = alive_;
  int left = 0;
  // One at a time: what `on_done_` does may cancel another that has finished, or destroy this object.
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL* const easy = message->easy_handle;
    const int code = message->data.result;
    curl_multi_remove_handle(multi_, easy);
    on_done_(easy, code);
    if (alive.expired()) return;
  }
}

}  // namespace tocsin::net
