#include "net/plain_http.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>

#include "net/test_support.h"

namespace tocsin::net {
namespace {

struct Reply {
  std::string bytes;
  bool close = false;
};

const std::string kHead = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const Reply kOk = {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"};

// A server that answers each request with the next text, and then, if told so, closes.
class PlainHttpThreadsTest : public testing::Test {
 protected:
  PlainHttpThreadsTest() : listener_(Listen()), port_(PortOf(*listener_)) {}

  std::unique_ptr<Listener> Listen() {
    auto listener = Listener::Listen(&loop_, "127.0.0.1:0", [this](std::unique_ptr<Stream> accepted) {
      ++connections_;
      streams_.push_back(std::move(accepted));
      Stream* const stream = streams_.back().get();
      stream->Start(
          [this, stream](std::string_view bytes) {
            requests_.emplace_back(bytes);
            Answer(stream);
          },
          [this](base::Status) { ++ended_; });
      if (answers_unasked_) {
        stream->PauseReading();
        Answer(stream);
      }
    });
    EXPECT_TRUE(listener);
    return std::move(*listener);
  }

  static uint16_t PortOf(const Listener& listener) { return ParsePort(SplitHostPort(listener.address())->port); }

  void Answer(Stream* stream) {
    if (replies_.empty()) return;
    const Reply reply = replies_.front();
    replies_.erase(replies_.begin());
    stream->Write(reply.bytes);
    if (reply.close) stream->Shutdown();
  }

  base::Result<FetchResponse> Send(PlainHttp* http, PlainHttp::Request request) {
    request.address = "127.0.0.1";
    request.max_header_bytes = 1000;
    std::optional<base::Result<FetchResponse>> got;
    Call call = http->Send(std::move(request), [&](base::Result<FetchResponse> r) { got = std::move(r); });
    EXPECT_FALSE(got) << "answered before Send() has returned";
    RunUntil(&loop_, [&] { return got.has_value(); });
    return std::move(*got);
  }

  base::Result<FetchResponse> Ask(size_t max_body = 0) {
    return Send(http_.get(), {.port = port_, .head = kHead, .max_body_bytes = max_body});
  }

  // By a connection of its own.  What happened on others of the same listener before has been seen then.
  void RoundTrip() {
    PlainHttp other(&loop_, 0);
    replies_.push_back(kOk);
    ASSERT_TRUE(Send(&other, {.port = port_, .head = kHead}));
  }


  EventLoop loop_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<Reply> replies_;
  std::vector<std::string> requests_;
  bool answers_unasked_ = false;  // and does not read
  int connections_ = 0;
  int ended_ = 0;  // by the client
  std::unique_ptr<Listener> listener_;
  uint16_t port_ = 0;
  std::unique_ptr<PlainHttp> http_ = std::make_unique<PlainHttp>(&loop_, 8);
};

TEST_F(PlainHttpThreadsTest, BodiesOfEveryFramingAreRead) {
  struct Row {
    Reply reply;
    std::string body;
    bool kept;
  };
  const Row rows[] = {
      {{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"}, "abc", true},
      {{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nT: r\r\n\r\n"}, "abc", true},
      {{"HTTP/1.1 103 Early\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}, "", true},
      {{"HTTP/1.1 204 No Content\r\n\r\n"}, "", true},
      {{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"}, "abc", false},
      {{"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc"}, "abc", false},
      {{"HTTP/1.1 200 OK\r\n\r\nabc", true}, "abc", false},
      {{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcjunk"}, "abc", false},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.reply.bytes);
    http_ = std::make_unique<PlainHttp>(&loop_, 8);
    const int before = connections_;
    replies_ = {row.reply, {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2"}};
    const auto got = Ask();
    ASSERT_TRUE(got) << got.error().message();
    EXPECT_EQ(got->body, row.body);
    EXPECT_FALSE(got->headers.Has("X")) << "of the interim answer";
    EXPECT_EQ(Ask()->body, "2");
    EXPECT_EQ(connections_ - before, row.kept ? 1 : 2);
  }
}

TEST_F(PlainHttpThreadsTest, FaultsAreToldOrLeftToOthers) {
  struct Row {
    Reply reply;
    base::Code code;
    std::string message;
  };
  const Row rows[] = {
      {{"", true}, base::Code::kUnavailable, "EOF: the connection was closed without an answer"},
      {{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", true}, base::Code::kUnavailable, "unexpected EOF"},
      {{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n012345678"}, base::Code::kResourceExhausted, "more than 5 bytes"},
      {{"garbage\r\n\r\n"}, base::Code::kFailedPrecondition, "malformed HTTP response"},
      {{"HTTP/1.1 200 OK\r\nA: " + std::string(2000, 'a') + "\r\n\r\n"}, base::Code::kFailedPrecondition, ""},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.reply.bytes);
    replies_ = {row.reply};
    const auto got = Ask(5);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code(), row.code);
    EXPECT_NE(got.error().message().find(row.message), std::string::npos) << got.error().message();
  }
  listener_ = nullptr;
  streams_.clear();
  EXPECT_EQ(Ask().error().code(), base::Code::kFailedPrecondition);  // refused
}

TEST_F(PlainHttpThreadsTest, AKeptConnectionThatIsClosedIsNotUsedAgain) {
  replies_ = {kOk};
  ASSERT_TRUE(Ask());
  streams_.clear();  // the server closes
  RoundTrip();
  replies_ = {kOk};
  EXPECT_TRUE(Ask());
  EXPECT_EQ(connections_, 3);
}

TEST_F(PlainHttpThreadsTest, AConnectionWhoseRequestIsNotSentYetIsNotKept) {
  answers_unasked_ = true;
  replies_ = {kOk};
  ASSERT_TRUE(Send(http_.get(), {.port = port_, .head = std::string(32 << 20, 'x')}));
  answers_unasked_ = false;
  replies_ = {kOk};
  EXPECT_TRUE(Ask());
  EXPECT_EQ(connections_, 2);
}

TEST_F(PlainHttpThreadsTest, ALengthThatCannotBeIsNotBelieved) {
  replies_ = {{"HTTP/1.1 200 OK\r\nContent-Length: 9000000000000000000\r\n\r\nabc", true}};
  const auto got = Ask();
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().message(), "unexpected EOF: the connection was closed inside the body");
}

TEST_F(PlainHttpThreadsTest, TheConnectionUnusedForLongestMakesRoom) {
  const std::unique_ptr<Listener> gone = Listen();
  http_ = std::make_unique<PlainHttp>(&loop_, 1);
  replies_ = {kOk, kOk, kOk};
  ASSERT_TRUE(Send(http_.get(), {.port = PortOf(*gone), .head = kHead}));
  ASSERT_TRUE(Ask());
  ASSERT_TRUE(Ask());
  EXPECT_EQ(connections_, 2);
}

TEST_F(PlainHttpThreadsTest, AConnectionUnusedForTooLongIsClosedWhileOthersAreUsed) {
  const std::unique_ptr<Listener> gone = Listen();
  http_ = std::make_unique<PlainHttp>(&loop_, 8, base::Duration{});
  replies_ = {kOk, kOk};
  ASSERT_TRUE(Send(http_.get(), {.port = PortOf(*gone), .head = kHead}));
  EXPECT_EQ(ended_, 0);
  ASSERT_TRUE(Ask());
  RunUntil(&loop_, [&] { return ended_ == 1; });
}

TEST_F(PlainHttpThreadsTest, AnAddressThatDoesNotAnswerIsLeftAfterTheTimeToConnect) {
  // Linux drops who wants to connect to a listener whose queue is full.
  const int full = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(full, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(full, 0), 0);
  ASSERT_EQ(getsockname(full, reinterpret_cast<sockaddr*>(&address), &size), 0);
  std::vector<int> waiting;
  for (bool connected = true; connected && waiting.size() < 100;) {
    waiting.push_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    connect(waiting.back(), reinterpret_cast<sockaddr*>(&address), size);
    pollfd ready{.fd = waiting.back(), .events = POLLOUT, .revents = 0};
    connected = poll(&ready, 1, 50) == 1;
  }
  const auto got = Send(http_.get(), {.port = ntohs(address.sin_port), .head = kHead, .connect_timeout = std::chrono::milliseconds(10)});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code(), base::Code::kFailedPrecondition);
  EXPECT_EQ(got.error().message(), "no connection within 10ms");
  for (const int fd : waiting) close(fd);
  close(full);
}

TEST_F(PlainHttpThreadsTest, WhatIsCancelledIsNotAnswered) {
  bool answered = false;
  const auto send = [&] {
    return http_->Send({.address = "127.0.0.1", .port = port_, .head = "GET / HTTP/1.1\r\n\r\n", .max_header_bytes = 1000},
                       [&](base::Result<FetchResponse>) { answered = true; });
  };
  {
    const Call call = send();  // before it is connected
  }
  Call call = send();
  RunUntil(&loop_, [&] { return !requests_.empty(); });
  call.Cancel();
  Call last = send();
  http_ = nullptr;
  last.Cancel();
  streams_.back()->Write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  RoundTrip();
  EXPECT_FALSE(answered);
}

}  // namespace
}  // namespace tocsin::net
