#pragma once

// One client of an HttpServer: reads requests one after the other, hands each to the handler, and
// writes its answer before it looks at the next.  Deadlines per phase stand in HttpServerOptions.
// Threads: loop only.

#include <list>
#include <memory>
#include <string>

#include "net/http_parser.h"
#include "net/http_server.h"
#include "net/stream.h"

namespace tocsin::net {

class HttpConnection;

// What a connection needs of its server.
class HttpConnectionOwner {
 public:
  virtual ~HttpConnectionOwner() = default;
  virtual EventLoop* loop() = 0;
  virtual const HttpServerOptions& options() = 0;
  virtual void Handle(std::shared_ptr<HttpExchange> exchange) = 0;
  // Whether connections should end after their answer: stopping, or no room for new ones.
  virtual bool WantsClose() = 0;
  // Accounts for body bytes held; false when there is no room for `more`.
  virtual bool Buffer(size_t more) = 0;
  virtual void Unbuffer(size_t bytes) = 0;
  virtual void Closed(HttpConnection* connection) = 0;
};

class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(HttpConnectionOwner* owner, std::unique_ptr<Stream> stream);
  ~HttpConnection();

  void Start();
  // Nothing requested, nothing being answered; `fresh()`: never was.
  bool idle() const { return phase_ == Phase::kIdle; }
  bool fresh() const { return serial_ == 0; }
  base::Duration idle_since() const { return phase_since_; }
  // Ends the connection now; the owner hears Closed().
  void Close();

  void Respond(uint64_t serial, HttpResponse response);
  void OnClientGone(uint64_t serial, base::Task fn);
  void SetRoute(uint64_t serial, std::string_view route);
  bool client_gone() const { return gone_; }

 private:
  enum class Phase { kIdle, kHead, kBody, kHandling, kWriting, kLingering, kClosed };

  void Enter(Phase phase);
  void SetDeadline(base::Duration from_now);
  void ArmTimer();
  void DeadlinePassed();
  void OnData(std::string_view bytes);
  void OnEnd(base::Status status);
  void Parse();
  void HeadArrived();
  void RequestArrived();
  void Refuse(int status, std::string_view why);
  void ClientGone();

  void Send(HttpResponse response);
  std::string Head(const HttpResponse& response, bool has_length, size_t length) const;
  void SendWhole(HttpResponse response);
  void SendStream(HttpResponse response);
  void NoteUnwritten();
  void NextPart();
  void PartArrived(uint64_t serial, base::Result<std::string> part);
  void Finished(bool complete);
  void Linger();

  HttpConnectionOwner* const owner_;
  std::unique_ptr<Stream> stream_;
  HttpRequestParser parser_;
  Phase phase_ = Phase::kIdle;
  base::Duration phase_since_{};
  base::Duration request_since_{};  // first byte of the current request
  base::Duration deadline_ = base::Duration::max();
  base::Duration timer_at_ = base::Duration::max();
  base::Timer timer_;
  size_t unwritten_seen_ = 0;

  std::string pending_;    // read, not parsed yet
  size_t buffered_ = 0;    // of the current body, accounted with the owner
  bool ended_ = false;     // the client sends no more
  bool gone_ = false;
  bool keep_alive_ = true;

  // The exchange in progress.
  uint64_t serial_ = 0;
  std::shared_ptr<const HttpRequest> request_;
  bool responded_ = false;
  base::Duration handled_since_{};
  std::string route_;
  base::Task on_gone_;
  int status_ = 0;
  uint64_t sent_ = 0;
  bool chunked_ = false;
  BodySource source_;
};

}  // namespace tocsin::net
