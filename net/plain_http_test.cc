#include "net/plain_http.h"

#include <gtest/gtest.h>

#include <optional>

#include "net/test_support.h"

namespace tocsin::net {
namespace {

// A server that answers each request with the next text, and then, if told so, closes.
class PlainHttpThreadsTest : public testing::Test {
 protected:
  struct Reply {
    std::string bytes;
    bool close = false;
  };

  PlainHttpThreadsTest() {
    auto listener = Listener::Listen(&loop_, "127.0.0.1:0", [this](std::unique_ptr<Stream> accepted) {
      ++connections_;
      streams_.push_back(std::move(accepted));
      Stream* const stream = streams_.back().get();
      stream->Start(
          [this, stream](std::string_view bytes) {
            requests_.emplace_back(bytes);
            if (replies_.empty()) return;
            const Reply reply = replies_.front();
            replies_.erase(replies_.begin());
            stream->Write(reply.bytes);
            if (reply.close) stream->Shutdown();
          },
          [](base::Status) {});
    });
    EXPECT_TRUE(listener);
    listener_ = std::move(*listener);
    port_ = ParsePort(SplitHostPort(listener_->address())->port);
  }

  base::Result<FetchResponse> Ask(size_t max_body = 0) {
    std::optional<base::Result<FetchResponse>> got;
    Call call = http_->Send({.address = "127.0.0.1", .port = port_, .head = "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
                             .max_body_bytes = max_body, .max_header_bytes = 1000},
                            [&](base::Result<FetchResponse> r) { got = std::move(r); });
    EXPECT_FALSE(got) << "answered before Send() has returned";
    RunUntil(&loop_, [&] { return got.has_value(); });
    return std::move(*got);
  }

  EventLoop loop_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::unique_ptr<Listener> listener_;
  std::vector<Reply> replies_;
  std::vector<std::string> requests_;
  int connections_ = 0;
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
  const Reply ok = {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"};
  replies_ = {ok, ok};
  ASSERT_TRUE(Ask());
  streams_.clear();  // the server closes
  bool seen = false;
  const base::Timer wait = loop_.After(std::chrono::milliseconds(20), [&] { seen = true; });
  RunUntil(&loop_, [&] { return seen; });
  EXPECT_TRUE(Ask());
  EXPECT_EQ(connections_, 2);
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
  bool later = false;
  const base::Timer wait = loop_.After(std::chrono::milliseconds(20), [&] { later = true; });
  RunUntil(&loop_, [&] { return later; });
  EXPECT_FALSE(answered);
}

}  // namespace
}  // namespace tocsin::net
