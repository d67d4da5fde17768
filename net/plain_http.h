#pragma once

// One GET after another over kept connections without TLS or proxy: what a scrape needs and no more.  It
// costs a fraction of libcurl's work a request, and a service that scrapes a thousand targets does little else.
// HttpClient uses it where it fits; anything unusual is libcurl's.
//
// Threads: loop only.
// Errors:  kResourceExhausted (body), kUnavailable (closed or broken; messages as HttpClient's),
//          kFailedPrecondition: nothing has been sent, or the answer is none that is understood here:
//          ask in another way.

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/event_loop.h"
#include "net/http_client.h"

namespace tocsin::net {

class PlainHttp {
 public:
  struct Request {
    std::string address;  // of the server, as text
    uint16_t port = 0;
    std::string head;     // request line and headers, with the empty line
    size_t max_body_bytes = 0;    // 0: no limit
    size_t max_header_bytes = 0;
    base::Duration connect_timeout{};  // until the connection is there, else kFailedPrecondition; 0: none
  };
  using Done = std::move_only_function<void(base::Result<FetchResponse>)>;  // without duration and URL

  // Servers close what is unused for long, often after minutes: such a connection is not tried.
  static constexpr base::Duration kMaxIdleTime = std::chrono::seconds(300);

  // Keeps at most `max_idle` connections that nobody uses; a new one takes the place of the one unused
  // for longest.
  PlainHttp(EventLoop* loop, size_t max_idle, base::Duration max_idle_time = kMaxIdleTime);
  ~PlainHttp();  // closes all; what is under way is not answered
  PlainHttp(const PlainHttp&) = delete;
  PlainHttp& operator=(const PlainHttp&) = delete;

  // `done` never runs before Send() has returned.
  [[nodiscard]] Call Send(Request request, Done done);

 private:
  struct Connection;
  struct Parser;
  using Key = std::pair<std::string, uint16_t>;

  Connection* TakeIdle(const Key& key);
  void CloseOld();
  void Connect(Connection* c);
  void Write(Connection* c);
  void Received(Connection* c, std::string_view bytes);
  void Ended(Connection* c, int error);
  void Answered(Connection* c);
  void Failed(Connection* c, base::Error error);
  void Close(Connection* c);

  EventLoop* const loop_;
  const size_t max_idle_;
  const base::Duration max_idle_time_;
  std::map<Key, std::vector<Connection*>> idle_;  // the one used last is taken first
  std::list<Connection*> idle_order_;             // the same, the one unused for longest first
  std::vector<Connection*> all_;
  std::map<uint64_t, Connection*> busy_;  // by the number of the request
  uint64_t next_ticket_ = 1;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::unique_ptr<char[]> buffer_;  // what is read is looked at before the next read
};

}  // namespace tocsin::net
