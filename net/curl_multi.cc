#include "net/curl_multi.h"

#include <curl/curl.h>
#include <uv.h>

#include "base/check.h"

namespace tocsin::net {

struct CurlMulti::Socket {
  uv_poll_t poll;
  CurlMulti* multi;
  int fd;
};

CurlMulti::CurlMulti(EventLoop* loop, int max_connections, int max_per_host,
                     std::function<void(CURL*, int)> on_done)
    : loop_(loop), on_done_(std::move(on_done)) {
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  TOCSIN_CHECK(initialised == CURLE_OK);
  multi_ = curl_multi_init();
  TOCSIN_CHECK(multi_ != nullptr);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION,
                    +[](CURL*, curl_socket_t fd, int what, void* self, void* socket) {
                      return static_cast<CurlMulti*>(self)->OnSocket(fd, what, static_cast<Socket*>(socket));
                    });
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION,
                    +[](CURLM*, long ms, void* self) { return static_cast<CurlMulti*>(self)->OnTimer(ms); });
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(max_connections));
  curl_multi_setopt(multi_, CURLMOPT_MAX_HOST_CONNECTIONS, static_cast<long>(max_per_host));
}

CurlMulti::~CurlMulti() {
  gate_.Close();
  curl_multi_cleanup(multi_);  // closes kept connections, through OnSocket
}

void CurlMulti::Add(CURL* easy) {
  const CURLMcode code = curl_multi_add_handle(multi_, easy);
  TOCSIN_CHECK(code == CURLM_OK) << curl_multi_strerror(code);
}

void CurlMulti::Remove(CURL* easy) { curl_multi_remove_handle(multi_, easy); }

int CurlMulti::OnTimer(long ms) {
  if (ms < 0) {
    timer_.Cancel();
  } else if (ms == 0) {
    // At once, but not from within libcurl.
    timer_.Cancel();
    loop_->Post(gate_.Wrap([this] { TimeoutAction(); }));
  } else {
    timer_ = loop_->After(std::chrono::milliseconds(ms), [this] { TimeoutAction(); });
  }
  return 0;
}

int CurlMulti::OnSocket(int fd, int what, Socket* socket) {
  if (what == CURL_POLL_REMOVE) {
    if (socket != nullptr) {
      curl_multi_assign(multi_, fd, nullptr);
      uv_poll_stop(&socket->poll);
      uv_close(reinterpret_cast<uv_handle_t*>(&socket->poll),
               [](uv_handle_t* h) { delete static_cast<Socket*>(h->data); });
    }
    return 0;
  }
  if (socket == nullptr) {
    socket = new Socket{.poll = {}, .multi = this, .fd = fd};
    uv_poll_init_socket(loop_->uv(), &socket->poll, fd);
    socket->poll.data = socket;
    curl_multi_assign(multi_, fd, socket);
  }
  int events = 0;
  if (what != CURL_POLL_IN) events |= UV_WRITABLE;
  if (what != CURL_POLL_OUT) events |= UV_READABLE;
  uv_poll_start(&socket->poll, events, [](uv_poll_t* p, int status, int got) {
    auto* s = static_cast<Socket*>(p->data);
    int flags = 0;
    if (status < 0) flags |= CURL_CSELECT_ERR;
    if (got & UV_READABLE) flags |= CURL_CSELECT_IN;
    if (got & UV_WRITABLE) flags |= CURL_CSELECT_OUT;
    s->multi->Action(s->fd, flags);
  });
  return 0;
}

void CurlMulti::Action(int fd, int events) {
  int running = 0;
  curl_multi_socket_action(multi_, fd, events, &running);
  CollectFinished();
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
