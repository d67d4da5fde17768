#pragma once

// Drives libcurl's multi interface from the event loop: its sockets through poll handles, its timeout
// through a timer.
// Threads: loop only.

#include <functional>
#include <map>
#include <memory>
#include <set>

#include "base/executor.h"
#include "net/event_loop.h"

typedef void CURL;
typedef void CURLM;

namespace tocsin::net {

class CurlMulti {
 public:
  // `on_done` gets each finished handle with its CURLcode; the handle has been removed by then.
  CurlMulti(EventLoop* loop, int max_connections, int max_per_host,
            std::function<void(CURL*, int)> on_done);
  ~CurlMulti();  // REQUIRES: no handle is added
  CurlMulti(const CurlMulti&) = delete;
  CurlMulti& operator=(const CurlMulti&) = delete;

  void Add(CURL* easy);
  void Remove(CURL* easy);

 private:
  struct Socket;
  void Action(int fd, int events);
  void TimeoutAction();
  void CollectFinished();
  int OnSocket(int fd, int what);
  int OnTimer(long ms);
  void Watch(Socket* socket, int events);
  void Forget(int fd);

  EventLoop* const loop_;
  CURLM* multi_;
  std::function<void(CURL*, int)> on_done_;
  std::map<int, Socket*> sockets_;  // by descriptor, until libcurl closes it
  std::set<int> connections_;       // descriptors of connections: libcurl tells when it closes these, and no others
  base::Timer timer_;
  bool due_ = false;     // libcurl wants to be called at once
  bool acting_ = false;  // Action() is on the stack
  base::Gate gate_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace tocsin::net
