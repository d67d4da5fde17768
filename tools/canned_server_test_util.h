#pragma once

// An HTTP server for tests of verbs, on a thread of its own: the verb waits for its answers on the test's thread.
//
//   CannedServer server;
//   server.Answer("/api/v1/query", R"({"status":"success","data":{}})");
//   EXPECT_EQ(Run(Verb, {"--url=" + server.url()}), 0);
//   EXPECT_EQ(server.requests()[0].body, "query=up");
//
// Threads: any.

#include <gtest/gtest.h>

#include <future>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "net/event_loop.h"
#include "net/http_server.h"

namespace tocsin::tools {

class CannedServer {
 public:
  CannedServer() {
    std::promise<std::string> bound;
    std::promise<net::EventLoop*> loop;
    thread_ = std::thread([this, &bound, &loop] {
      net::EventLoop own({.threads = 1});
      net::HttpServer server(&own, {}, [this](std::shared_ptr<net::HttpExchange> x) { x->Respond(Take(x->request())); });
      loop.set_value(&own);
      bound.set_value(server.Listen("127.0.0.1:0").value());
      own.Run();
    });
    loop_ = loop.get_future().get();
    url_ = "http://" + bound.get_future().get();
  }
  ~CannedServer() {
    loop_->Stop();
    thread_.join();
  }
  CannedServer(const CannedServer&) = delete;
  CannedServer& operator=(const CannedServer&) = delete;

  const std::string& url() const { return url_; }
  // What requests of `path` are answered; others get 404.
  void Answer(const std::string& path, std::string body, int status = 200) {
    base::MutexLock lock(&mu_);
    answers_[path] = net::HttpResponse::Text(status, std::move(body));
  }
  // Those that came, in order.
  std::vector<net::HttpRequest> requests() const {
    base::MutexLock lock(&mu_);
    return requests_;
  }

 private:
  net::HttpResponse Take(const net::HttpRequest& request) {
    base::MutexLock lock(&mu_);
    requests_.push_back(request);
    const auto it = answers_.find(request.path);
    if (it == answers_.end()) return net::HttpResponse::Text(404, "no such page\n");
    net::HttpResponse answer;
    answer.status = it->second.status;
    answer.headers = it->second.headers;
    answer.body = it->second.body;
    return answer;
  }

  mutable base::Mutex mu_;
  std::map<std::string, net::HttpResponse> answers_ TOCSIN_GUARDED_BY(mu_);
  std::vector<net::HttpRequest> requests_ TOCSIN_GUARDED_BY(mu_);
  net::EventLoop* loop_ = nullptr;
  std::string url_;
  std::thread thread_;
};

}  // namespace tocsin::tools
