#include "net/http_server.h"

#include <deque>

#include "base/compress.h"
#include "base/log.h"
#include "net/test_support.h"
#include "net/tls.h"

namespace tocsin::net {
namespace {

using namespace std::chrono_literals;  // NOLINT

// A server on a port of the system's choice that echoes, unless the test takes the exchanges.
class HttpServerThreadsTest : public testing::Test {
 protected:
  void Start(HttpServerOptions options = {}) {
    options.on_request = [this](const HttpRequestStats& s) {
      stats_.push_back(std::string(s.method) + " " + std::string(s.route) + " " + std::to_string(s.status));
    };
    server_ = std::make_unique<HttpServer>(&loop_, std::move(options),
                                           [this](std::shared_ptr<HttpExchange> x) { Handle(std::move(x)); });
    auto bound = server_->Listen("127.0.0.1:0");
    ASSERT_TRUE(bound) << bound.error().message();
    address_ = *bound;
  }

  void Handle(std::shared_ptr<HttpExchange> x) {
    if (keep_) {
      kept_.push_back(std::move(x));
      return;
    }
    const HttpRequest& r = x->request();
    x->SetRoute(r.path);
    std::string text = r.method + " " + r.target + " " + r.body + "\n";
    if (r.path == "/big") text = std::string(200000, 'b');
    if (r.path == "/medium") text = std::string(3000, 'm');
    x->Respond(HttpResponse::Text(200, text));
  }

  std::string Ask(const std::string& bytes) {
    RawClient client(&loop_, address_);
    client.Send(bytes);
    return client.WaitForEnd();
  }

  EventLoop loop_;
  std::vector<std::string> stats_;
  bool keep_ = false;
  std::deque<std::shared_ptr<HttpExchange>> kept_;
  std::unique_ptr<HttpServer> server_;
  std::string address_;
};

const char kClose[] = "Host: h\r\nConnection: close\r\n";

size_t Count(const std::string& text, const std::string& what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

TEST_F(HttpServerThreadsTest, AnswersARequest) {
  Start();
  const std::string got = Ask(std::string("POST /x?a=b HTTP/1.1\r\n") + kClose + "Content-Length: 2\r\n\r\nhi");
  EXPECT_TRUE(got.starts_with("HTTP/1.1 200 OK\r\n")) << got;
  EXPECT_NE(got.find("\r\nContent-Length: 15\r\n"), std::string::npos) << got;
  EXPECT_NE(got.find("\r\nDate: "), std::string::npos) << got;
  EXPECT_NE(got.find("\r\nConnection: close\r\n"), std::string::npos) << got;
  EXPECT_TRUE(got.ends_with("\r\n\r\nPOST /x?a=b hi\n")) << got;
  EXPECT_EQ(stats_, std::vector<std::string>{"POST /x 200"});
}

TEST_F(HttpServerThreadsTest, PipelinedRequestsAreAnsweredInOrder) {
  Start();
  RawClient client(&loop_, address_);
  std::string bytes;
  for (int i = 0; i < 50; ++i) {
    bytes += "POST /" + std::to_string(i) + " HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
  }
  bytes += std::string("GET /last HTTP/1.1\r\n") + kClose + "\r\n";
  client.Send(bytes);
  const std::string got = client.WaitForEnd();
  size_t at = 0;
  for (int i = 0; i < 50; ++i) {
    at = got.find("POST /" + std::to_string(i) + " abc\n", at);
    ASSERT_NE(at, std::string::npos) << i;
  }
  EXPECT_NE(got.find("GET /last", at), std::string::npos);
}

TEST_F(HttpServerThreadsTest, ALateAnswerHoldsBackTheNextRequest) {
  Start();
  keep_ = true;
  RawClient client(&loop_, address_);
  client.Send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
  RunUntil(&loop_, [&] { return !kept_.empty(); });
  EXPECT_EQ(kept_.size(), 1u);
  kept_[0]->Respond(HttpResponse::Text(200, "first"));
  client.WaitFor("first");
  RunUntil(&loop_, [&] { return kept_.size() == 2; });
  kept_[1]->Respond(HttpResponse::Text(404, "second"));
  client.WaitFor("second");
}

TEST_F(HttpServerThreadsTest, ChunkedBodiesAreRead) {
  Start();
  const std::string got = Ask(std::string("POST /c HTTP/1.1\r\n") + kClose +
                              "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_TRUE(got.ends_with("POST /c abcde\n")) << got;
}

TEST_F(HttpServerThreadsTest, AnExpectationIsAnsweredBeforeTheBody) {
  Start();
  RawClient client(&loop_, address_);
  client.Send("POST /e HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  client.WaitFor("HTTP/1.1 100 Continue\r\n\r\n");
  client.Send("ok");
  client.WaitFor("POST /e ok");
}

TEST_F(HttpServerThreadsTest, HeadHasTheLengthButNoBody) {
  Start();
  const std::string got = Ask(std::string("HEAD /medium HTTP/1.1\r\n") + kClose + "\r\n");
  EXPECT_NE(got.find("Content-Length: 3000"), std::string::npos) << got;
  EXPECT_TRUE(got.ends_with("\r\n\r\n"));
}

TEST_F(HttpServerThreadsTest, Http10ClientsGetAClosedConnectionUnlessTheyAskOtherwise) {
  Start();
  EXPECT_TRUE(Ask("GET /a HTTP/1.0\r\n\r\n").ends_with("GET /a \n"));
  RawClient client(&loop_, address_);
  client.Send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  client.WaitFor("Connection: keep-alive");
  client.Send("GET /b HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(client.WaitForEnd().ends_with("GET /b \n"));
}

TEST_F(HttpServerThreadsTest, LargeBodiesAreCompressedForThoseWhoAccept) {
  Start();
  for (const char* path : {"/big", "/medium"}) {
    const std::string got = Ask("GET " + std::string(path) + " HTTP/1.1\r\nAccept-Encoding: deflate, gzip;q=0.5\r\n" + kClose + "\r\n");
    EXPECT_NE(got.find("Content-Encoding: gzip"), std::string::npos);
    EXPECT_NE(got.find("Vary: Accept-Encoding"), std::string::npos);
    auto body = base::GunzipAll(got.substr(got.find("\r\n\r\n") + 4), 1 << 20);
    ASSERT_TRUE(body) << body.error().message();
    EXPECT_EQ(body->size(), path == std::string("/big") ? 200000u : 3000u);
  }
  for (const char* accept : {"", "Accept-Encoding: gzip;q=0\r\n", "Accept-Encoding: identity\r\n"}) {
    const std::string got = Ask("GET /medium HTTP/1.1\r\n" + std::string(accept) + kClose + "\r\n");
    EXPECT_TRUE(got.ends_with(std::string(3000, 'm'))) << accept;
    const std::string big = Ask("GET /big HTTP/1.1\r\n" + std::string(accept) + kClose + "\r\n");
    EXPECT_NE(big.find("Content-Length: 200000\r\n"), std::string::npos) << accept;
    EXPECT_TRUE(big.ends_with("\r\n\r\n" + std::string(200000, 'b'))) << accept;
  }
}

TEST_F(HttpServerThreadsTest, TooMuchHeadIs431) {
  Start();
  const std::string got = Ask("GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(1 << 20, 'x') + "\r\n\r\n");
  EXPECT_TRUE(got.starts_with("HTTP/1.1 431 ")) << got.substr(0, 200);
}

TEST_F(HttpServerThreadsTest, TooMuchBodyIs413AndTheRouteDecidesHowMuch) {
  HttpServerOptions options;
  options.body_limit = [](const HttpRequest& head) { return head.path == "/small" ? 10u : 1000000u; };
  Start(std::move(options));
  RawClient client(&loop_, address_);
  client.Send("POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\n" + std::string(500000, 'x'));
  EXPECT_TRUE(client.WaitForEnd().starts_with("HTTP/1.1 413 "));
  EXPECT_EQ(stats_.back(), "POST refused 413");
  EXPECT_TRUE(Ask(std::string("POST /large HTTP/1.1\r\n") + kClose + "Content-Length: 11\r\n\r\nhello world")
                  .ends_with("hello world\n"));
}

TEST_F(HttpServerThreadsTest, BodiesOfAllConnectionsTogetherAreBounded) {
  HttpServerOptions options;
  options.max_buffered_bytes = 1000;
  Start(std::move(options));
  RawClient first(&loop_, address_);
  first.Send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 900\r\n\r\n" + std::string(800, 'x'));
  RunUntil(&loop_, [&] { return server_->connections() == 1; });
  RawClient second(&loop_, address_);
  second.Send("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 900\r\n\r\n" + std::string(900, 'x'));
  EXPECT_TRUE(second.WaitForEnd().starts_with("HTTP/1.1 503 ")) << second.received();
  first.Send(std::string(100, 'x'));
  first.WaitFor("200 OK");
  first.Send(std::string("POST /a HTTP/1.1\r\n") + kClose + "Content-Length: 900\r\n\r\n" + std::string(900, 'x'));
  EXPECT_EQ(Count(first.WaitForEnd(), "200 OK"), 2u);
}

TEST_F(HttpServerThreadsTest, GarbageGets400AndAClosedConnection) {
  Start();
  EXPECT_TRUE(Ask("\x16\x03\x01\x02\r\n\r\n").starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(Ask("GET / HTTP/1.1\nHost: h\n\n").starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(Ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
                  .starts_with("HTTP/1.1 400 "));
}

TEST_F(HttpServerThreadsTest, ASlowHeadIs408) {
  HttpServerOptions options;
  options.header_timeout = 20ms;
  Start(std::move(options));
  RawClient client(&loop_, address_);
  client.Send("GET / HTTP/1.1\r\nHost: ");
  // One byte now and then does not move the deadline.
  std::function<void()> drip;
  base::Timer timer;
  drip = [&] {
    if (!client.ended()) client.Send("x");
    timer = loop_.After(2ms, [&] { drip(); });
  };
  drip();
  EXPECT_TRUE(client.WaitForEnd().starts_with("HTTP/1.1 408 "));
}

TEST_F(HttpServerThreadsTest, ASilentOrEndlesslySlowBodyIs408) {
  HttpServerOptions options;
  options.stall_timeout = 20ms;
  options.read_timeout = 60ms;
  Start(std::move(options));
  RawClient silent(&loop_, address_);
  silent.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nab");
  EXPECT_TRUE(silent.WaitForEnd().starts_with("HTTP/1.1 408 "));

  RawClient slow(&loop_, address_);
  slow.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
  std::function<void()> drip;
  base::Timer timer;
  drip = [&] {
    if (!slow.ended()) slow.Send("x");
    timer = loop_.After(5ms, [&] { drip(); });
  };
  drip();
  EXPECT_TRUE(slow.WaitForEnd().starts_with("HTTP/1.1 408 "));
}

TEST_F(HttpServerThreadsTest, SilentConnectionsAreClosed) {
  HttpServerOptions options;
  options.header_timeout = 10ms;
  options.idle_timeout = 10ms;
  Start(std::move(options));
  RawClient silent(&loop_, address_);
  EXPECT_EQ(silent.WaitForEnd(), "");
  RawClient idle(&loop_, address_);
  idle.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(Count(idle.WaitForEnd(), "200 OK"), 1u);
}

TEST_F(HttpServerThreadsTest, AClientThatDoesNotReadIsDropped) {
  HttpServerOptions options;
  options.stall_timeout = 20ms;
  Start(std::move(options));
  keep_ = true;
  RawClient client(&loop_, address_);
  client.PauseReading();
  client.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  RunUntil(&loop_, [&] { return !kept_.empty(); });
  bool gone = false;
  kept_[0]->OnClientGone([&] { gone = true; });
  kept_[0]->Respond(HttpResponse::Text(200, std::string(64 << 20, 'x')));
  RunUntil(&loop_, [&] { return server_->connections() == 0; });
  EXPECT_TRUE(gone);
}

TEST_F(HttpServerThreadsTest, TheOldestIdleConnectionMakesRoom) {
  HttpServerOptions options;
  options.max_connections = 2;
  Start(std::move(options));
  RawClient first(&loop_, address_), second(&loop_, address_);
  first.Send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
  first.WaitFor("/1");
  second.Send("GET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
  second.WaitFor("/2");
  RawClient third(&loop_, address_);
  third.Send("GET /3 HTTP/1.1\r\nHost: h\r\n\r\n");
  third.WaitFor("/3");
  first.WaitForEnd();
  EXPECT_FALSE(second.ended());
  EXPECT_LE(server_->connections(), 2);
}

TEST_F(HttpServerThreadsTest, WithoutIdleConnectionsNewOnesWait) {
  HttpServerOptions options;
  options.max_connections = 1;
  Start(std::move(options));
  keep_ = true;
  RawClient first(&loop_, address_);
  first.Send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
  RunUntil(&loop_, [&] { return kept_.size() == 1; });
  RawClient second(&loop_, address_);
  second.Send("GET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
  RawClient third(&loop_, address_);
  third.Send("GET /3 HTTP/1.1\r\nHost: h\r\n\r\n");
  keep_ = false;
  kept_[0]->Respond(HttpResponse::Text(200, "one"));
  first.WaitFor("one");
  second.WaitFor("200 OK");
  third.WaitFor("200 OK");
}

TEST_F(HttpServerThreadsTest, TheHandlerLearnsThatItsClientHasGone) {
  Start();
  keep_ = true;
  RawClient client(&loop_, address_);
  client.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  RunUntil(&loop_, [&] { return !kept_.empty(); });
  bool gone = false;
  kept_[0]->OnClientGone([&] { gone = true; });
  client.Close();
  RunUntil(&loop_, [&] { return gone; });
  EXPECT_TRUE(kept_[0]->client_gone());
  kept_[0]->Respond(HttpResponse::Text(200, "nobody hears"));
  RunUntil(&loop_, [&] { return server_->connections() == 0; });
}

TEST_F(HttpServerThreadsTest, AClientThatOnlyStoppedSendingIsAnswered) {
  Start();
  RawClient client(&loop_, address_);
  client.Send("GET /half HTTP/1.1\r\nHost: h\r\n\r\n");
  client.CloseSending();
  EXPECT_TRUE(client.WaitForEnd().ends_with("GET /half \n"));
}

TEST_F(HttpServerThreadsTest, AnExchangeThatDiesUnansweredAnswers500) {
  base::CaptureLog log;
  Start();
  keep_ = true;
  RawClient client(&loop_, address_);
  client.Send("GET /lost HTTP/1.1\r\nHost: h\r\n\r\n");
  RunUntil(&loop_, [&] { return !kept_.empty(); });
  // On a worker, as the last holder often is.
  loop_.Offload(base::Lane::kQueries, [x = std::move(kept_[0])]() mutable { x.reset(); }, [] {});
  kept_.clear();
  client.WaitFor("HTTP/1.1 500 ");
}

TEST_F(HttpServerThreadsTest, AStreamedBodyIsSentInChunksAsItIsMade) {
  Start();
  keep_ = true;
  RawClient client(&loop_, address_);
  client.Send("GET /s HTTP/1.1\r\nHost: h\r\n\r\n");
  RunUntil(&loop_, [&] { return !kept_.empty(); });
  HttpResponse response;
  BodyPart waiting;
  response.stream = [&](BodyPart next) { waiting = std::move(next); };
  kept_[0]->Respond(std::move(response));
  RunUntil(&loop_, [&] { return waiting != nullptr; });
  std::exchange(waiting, nullptr)(std::string("hello"));
  client.WaitFor("5\r\nhello\r\n");
  RunUntil(&loop_, [&] { return waiting != nullptr; });
  std::exchange(waiting, nullptr)(std::string());
  client.WaitFor("0\r\n\r\n");
  client.Send("GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
  RunUntil(&loop_, [&] { return kept_.size() == 2; });
  kept_[1]->Respond(HttpResponse::Text(200, "next"));
  client.WaitFor("next");
}

TEST_F(HttpServerThreadsTest, AStreamThatFailsBreaksTheConnection) {
  base::CaptureLog log;
  Start();
  keep_ = true;
  RawClient client(&loop_, address_);
  client.Send("GET /s HTTP/1.1\r\nHost: h\r\n\r\n");
  RunUntil(&loop_, [&] { return !kept_.empty(); });
  HttpResponse response;
  response.stream = [](BodyPart next) { next(base::Internal("out of bytes")); };
  kept_[0]->Respond(std::move(response));
  EXPECT_EQ(client.WaitForEnd().find("0\r\n\r\n"), std::string::npos);
}

TEST_F(HttpServerThreadsTest, HeadersOfTheHandlerCannotInjectOthers) {
  Start();
  keep_ = true;
  RawClient client(&loop_, address_);
  client.Send(std::string("GET / HTTP/1.1\r\n") + kClose + "\r\n");
  RunUntil(&loop_, [&] { return !kept_.empty(); });
  HttpResponse response = HttpResponse::Redirect(302, "/a\r\nX-Evil: 1\r\n\r\n<html>");
  response.headers.Add("Content-Length", "7");
  kept_[0]->Respond(std::move(response));
  const std::string got = client.WaitForEnd();
  EXPECT_EQ(got.find("\r\nX-Evil"), std::string::npos) << got;
  EXPECT_NE(got.find("Content-Length: 0"), std::string::npos) << got;
}

TEST_F(HttpServerThreadsTest, StopLetsRunningAnswersFinishAndClosesIdleConnections) {
  Start();
  RawClient idle(&loop_, address_);
  idle.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  idle.WaitFor("200 OK");
  keep_ = true;
  RawClient busy(&loop_, address_);
  busy.Send("GET /busy HTTP/1.1\r\nHost: h\r\n\r\n");
  RunUntil(&loop_, [&] { return !kept_.empty(); });
  bool stopped = false;
  server_->Stop(10s, [&] { stopped = true; });
  idle.WaitForEnd();
  EXPECT_FALSE(stopped);
  kept_[0]->Respond(HttpResponse::Text(200, "done"));
  EXPECT_TRUE(busy.WaitForEnd().ends_with("done"));
  RunUntil(&loop_, [&] { return stopped; });
}

TEST_F(HttpServerThreadsTest, StopWaitsNoLongerThanItsGrace) {
  Start();
  keep_ = true;
  RawClient busy(&loop_, address_);
  busy.Send("GET /busy HTTP/1.1\r\nHost: h\r\n\r\n");
  RunUntil(&loop_, [&] { return !kept_.empty(); });
  bool stopped = false;
  server_->Stop(5ms, [&] { stopped = true; });
  RunUntil(&loop_, [&] { return stopped; });
  EXPECT_EQ(stats_.back(), "GET unknown 499");
}

TEST_F(HttpServerThreadsTest, TheServerMayDieWithRequestsInProgress) {
  Start();
  keep_ = true;
  RawClient busy(&loop_, address_);
  busy.Send("GET /busy HTTP/1.1\r\nHost: h\r\n\r\n");
  RunUntil(&loop_, [&] { return !kept_.empty(); });
  server_.reset();
  kept_[0]->Respond(HttpResponse::Text(200, "late"));
  busy.WaitForEnd();
}

TEST_F(HttpServerThreadsTest, AddressesThatCannotBeBoundSayWhy) {
  Start();
  const std::pair<std::string, std::string> rows[] = {
      {address_, "address already in use"},
      {"127.0.0.1", "missing port in address"},
      {"127.0.0.1:http2", "is not a port"},
      {"[::1:80", "missing ']' in address"},
      {"::1:80", "too many colons in address"},
      {"203.0.113.1:0", "bind"},
  };
  for (const auto& [address, message] : rows) {
    auto bound = server_->Listen(address);
    ASSERT_FALSE(bound) << address;
    EXPECT_NE(bound.error().message().find(message), std::string::npos) << bound.error().message();
  }
}

TEST_F(HttpServerThreadsTest, AnEmptyHostMeansAllAddresses) {
  Start();
  auto bound = server_->Listen(":0");
  ASSERT_TRUE(bound) << bound.error().message();
  const std::string port = SplitHostPort(*bound)->port;
  RawClient client(&loop_, "127.0.0.1:" + port);
  client.Send("GET /v4 HTTP/1.1\r\nHost: h\r\n\r\n");
  client.WaitFor("GET /v4");
}

TEST_F(HttpServerThreadsTest, SpeaksTls) {
  auto made = MakeSelfSignedCertificate({"localhost", "127.0.0.1"});
  ASSERT_TRUE(made) << made.error().message();
  HttpServerOptions options;
  TlsServerConfig tls;
  tls.cert = made->cert;
  tls.key = made->key;
  auto context = TlsServerContext::Make(tls);
  ASSERT_TRUE(context) << context.error().message();
  options.tls = *context;
  Start(std::move(options));
  TlsConfig config;
  config.ca = made->cert;
  auto client_context = TlsClientContext::Make(config);
  ASSERT_TRUE(client_context);

  struct Row {
    std::string name;
    bool good;
  };
  for (const Row& row : {Row{"localhost", true}, Row{"127.0.0.1", true}, Row{"other.example", false}}) {
    Resolver resolver(&loop_);
    std::unique_ptr<Stream> stream;
    std::string got;
    bool ended = false;
    base::Status shaken;
    bool done = false;
    auto target = SplitHostPort(address_);
    Call call = Connect(&loop_, &resolver, target->host, ParsePort(target->port), [&](auto made_stream) {
      stream = std::move(*made_stream);
      stream->Start([&](std::string_view bytes) { got += bytes; }, [&](base::Status) { ended = true; });
      stream->StartTlsClient(*client_context, row.name, [&](base::Status s) {
        shaken = s;
        done = true;
        if (s) stream->Write("GET /tls HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
      });
    });
    RunUntil(&loop_, [&] { return row.good ? ended : done; });
    EXPECT_EQ(shaken.has_value(), row.good) << row.name;
    if (row.good) {
      EXPECT_TRUE(got.ends_with("GET /tls \n")) << got;
    } else {
      EXPECT_NE(shaken.error().message().find("mismatch"), std::string::npos) << shaken.error().message();
    }
  }
  // Plain bytes on the TLS port end the connection.
  Ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
}

}  // namespace
}  // namespace tocsin::net
