#include "net/http_client.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <optional>

#include "base/compress.h"
#include "net/http_server.h"
#include "net/test_support.h"
#include "net/tls.h"
#include "net/url.h"

namespace tocsin::net {
namespace {

using namespace std::chrono_literals;  // NOLINT

class HttpClientThreadsTest : public testing::Test {
 protected:
  void SetUp() override {
    server_ = std::make_unique<HttpServer>(&loop_, HttpServerOptions{},
                                           [this](std::shared_ptr<HttpExchange> x) { Handle(std::move(x)); });
    base_ = "http://" + *server_->Listen("127.0.0.1:0");
    client_ = MakeHttpClient(&loop_);
  }

  void Handle(std::shared_ptr<HttpExchange> x) {
    seen_.push_back(x->request_ptr());
    const HttpRequest& r = x->request();
    if (r.path == "/hold") {
      held_.push_back(std::move(x));
      return;
    }
    HttpResponse response = HttpResponse::Text(200, r.method + " " + r.target + " " + r.body);
    if (r.path == "/big") response.body = std::string(1 << 20, 'b');
    if (r.path == "/bomb") {
      response.body = base::Gzip(std::string(10 << 20, 'x'));
      response.headers.Set("Content-Encoding", "gzip");
    }
    if (r.path == "/broken-gzip") {
      response.body = "not gzip";
      response.headers.Set("Content-Encoding", "gzip");
    }
    if (r.path == "/token") response = HttpResponse::Json(200, R"({"access_token":"T","expires_in":3600})");
    if (r.path == "/status") response.status = std::stoi(std::string(r.query.Get("code")));
    if (r.query.Has("to")) {
      response = HttpResponse::Redirect(std::stoi("0" + std::string(r.query.Get("code"))), r.query.Get("to"));
    }
    x->Respond(std::move(response));
  }

  base::Result<FetchResponse> Get(FetchRequest request) {
    std::optional<base::Result<FetchResponse>> got;
    Call call = client_->Fetch(std::move(request), [&](base::Result<FetchResponse> r) { got = std::move(r); });
    EXPECT_FALSE(got) << "answered before Fetch() has returned";
    RunUntil(&loop_, [&] { return got.has_value(); });
    return std::move(*got);
  }
  base::Result<FetchResponse> Get(const std::string& path, HttpConfig config = {}) {
    FetchRequest request;
    request.url = path.starts_with('/') ? base_ + path : path;
    request.config = std::make_shared<HttpConfig>(std::move(config));
    return Get(std::move(request));
  }

  EventLoop loop_;
  std::vector<std::shared_ptr<const HttpRequest>> seen_;
  std::deque<std::shared_ptr<HttpExchange>> held_;
  std::unique_ptr<HttpServer> server_;
  std::unique_ptr<HttpClient> client_;
  std::string base_;
};

TEST_F(HttpClientThreadsTest, GetsAndPosts) {
  auto got = Get("/a?b=c%20d");
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(got->status, 200);
  EXPECT_EQ(got->body, "GET /a?b=c%20d ");
  EXPECT_EQ(got->headers.Get("content-type"), "text/plain; charset=utf-8");
  EXPECT_GT(got->duration.count(), 0);
  EXPECT_FALSE(seen_[0]->headers.Has("Accept"));
  EXPECT_EQ(seen_[0]->headers.Get("Accept-Encoding"), "gzip");
  EXPECT_TRUE(seen_[0]->headers.Get("User-Agent").starts_with("tocsin/"));

  FetchRequest post;
  post.method = "POST";
  post.url = base_ + "/p";
  post.body = std::string(100000, 'x') + std::string("\0y", 2);
  post.headers = {{"Content-Type", "application/json"}, {"X-Empty", ""}};
  auto posted = Get(std::move(post));
  ASSERT_TRUE(posted) << posted.error().message();
  EXPECT_EQ(seen_[1]->body.size(), 100002u);
  EXPECT_EQ(seen_[1]->headers.Get("Content-Type"), "application/json");
  EXPECT_TRUE(seen_[1]->headers.Has("X-Empty"));
  EXPECT_FALSE(seen_[1]->headers.Has("Expect"));
  for (const char* method : {"HEAD", "DELETE", "PUT"}) {
    FetchRequest other;
    other.method = method;
    other.url = base_ + "/m";
    auto answer = Get(std::move(other));
    ASSERT_TRUE(answer) << method << answer.error().message();
    EXPECT_EQ(seen_.back()->method, method);
  }
}

TEST_F(HttpClientThreadsTest, ConnectionsAreReused) {
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(Get("/r"));
  EXPECT_EQ(server_->connections(), 1);
  for (const auto& r : seen_) EXPECT_EQ(r->remote_address, seen_[0]->remote_address);
}

TEST_F(HttpClientThreadsTest, ARepeatedRequestIsSentAsTheFirstOneWas) {
  auto config = std::make_shared<HttpConfig>();
  config->basic_auth = BasicAuth{.username = "u", .username_file = "", .password = "p", .password_file = ""};
  const auto get = [&](std::string path, Headers headers, HttpConfigPtr with) {
    seen_.clear();
    EXPECT_TRUE(Get({.url = base_ + path, .headers = std::move(headers), .config = std::move(with)}));
  };
  // The same URL with other headers, and with another configuration, between equal ones.
  for (int i = 0; i < 3; ++i) {
    get("/a?x=1", {{"X-Number", "1"}}, config);
    EXPECT_EQ(seen_[0]->target, "/a?x=1");
    EXPECT_EQ(seen_[0]->headers.Get("X-Number"), "1");
    EXPECT_EQ(seen_[0]->headers.Get("Authorization"), "Basic dTpw");
    if (i == 0) continue;
    get("/a?x=1", {{"X-Number", "2"}}, nullptr);
    EXPECT_EQ(seen_[0]->headers.Get("X-Number"), "2");
    EXPECT_FALSE(seen_[0]->headers.Has("Authorization"));
    // A redirect on the same host has the credentials too.
    get("/b?code=302&to=/c", {}, config);
    ASSERT_EQ(seen_.size(), 2u);
    EXPECT_EQ(seen_[1]->target, "/c");
    EXPECT_EQ(seen_[1]->headers.Get("Authorization"), "Basic dTpw");
  }
}

TEST_F(HttpClientThreadsTest, ManyAtOnceAllArrive) {
  int done = 0;
  std::vector<Call> calls;
  for (int i = 0; i < 100; ++i) {
    FetchRequest r;
    r.url = base_ + "/" + std::to_string(i);
    calls.push_back(client_->Fetch(std::move(r), [&, i](base::Result<FetchResponse> got) {
      ASSERT_TRUE(got);
      EXPECT_EQ(got->body, "GET /" + std::to_string(i) + " ");
      ++done;
    }));
  }
  RunUntil(&loop_, [&] { return done == 100; });
}

TEST_F(HttpClientThreadsTest, AnErrorStatusIsAnAnswer) {
  EXPECT_EQ(Get("/status?code=404")->status, 404);
  EXPECT_EQ(Get("/status?code=503")->status, 503);
}

TEST_F(HttpClientThreadsTest, GzipIsDecodedWithinTheLimit) {
  auto got = Get("/bomb");  // 10 MiB, the default limit exactly
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(got->body.size(), 10u << 20);
  EXPECT_FALSE(got->headers.Has("Content-Encoding"));

  FetchRequest bounded;
  bounded.url = base_ + "/bomb";
  bounded.max_response_bytes = 1 << 20;
  auto refused = Get(std::move(bounded));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), base::Code::kResourceExhausted);

  FetchRequest raw;
  raw.url = base_ + "/bomb";
  raw.decode_gzip = false;
  auto undecoded = Get(std::move(raw));
  ASSERT_TRUE(undecoded);
  EXPECT_LT(undecoded->body.size(), 1u << 20);
  EXPECT_FALSE(seen_.back()->headers.Has("Accept-Encoding"));

  auto broken = Get("/broken-gzip");
  ASSERT_FALSE(broken);
  EXPECT_NE(broken.error().message().find("gzip"), std::string::npos);
}

TEST_F(HttpClientThreadsTest, ATooLargeBodyIsCutOffEarly) {
  FetchRequest r;
  r.url = base_ + "/big";
  r.max_response_bytes = 1000;
  r.decode_gzip = false;
  auto got = Get(std::move(r));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code(), base::Code::kResourceExhausted);
  EXPECT_EQ(got.error().message(), "body size limit exceeded: more than 1000 bytes");
}

TEST_F(HttpClientThreadsTest, ErrorsSayWhatHappened) {
  server_.reset();
  const auto refused = Get("/x");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), base::Code::kUnavailable);
  EXPECT_NE(refused.error().message().find("connection refused after "), std::string::npos) << refused.error().message();

  const std::pair<std::string, std::string> rows[] = {
      {"ftp://h/x", "unsupported protocol scheme"},
      {"localhost:80/x", "unsupported protocol scheme"},
      {"http:///x", "no host in URL"},
      {"http://h:99999/", "invalid URL"},
      {"http://no-such-host.invalid/", "no such host"},
  };
  for (const auto& [url, message] : rows) {
    const auto got = Get(url);
    ASSERT_FALSE(got) << url;
    const bool as_expected = got.error().message().find(message) != std::string::npos ||
                             (message == "no such host" && got.error().message().find("lookup") != std::string::npos);
    EXPECT_TRUE(as_expected) << url << ": " << got.error().message();
  }
}

TEST_F(HttpClientThreadsTest, WhatIsNoHttpIsAnError) {
  std::unique_ptr<Stream> accepted;
  std::string answer;
  bool close = true;
  auto listener = Listener::Listen(&loop_, "127.0.0.1:0", [&](std::unique_ptr<Stream> s) {
    accepted = std::move(s);
    accepted->Start(
        [&](std::string_view) {
          if (!answer.empty()) accepted->Write(answer);
          if (close) accepted->Shutdown();
        },
        [](base::Status) {});
  });
  ASSERT_TRUE(listener);
  const std::pair<std::string, std::string> rows[] = {
      {"", "EOF"},
      {"garbage\r\n\r\n", "malformed HTTP response"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "unexpected EOF"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", "unexpected EOF"},
  };
  for (const auto& [bytes, message] : rows) {
    answer = bytes;
    auto got = Get("http://" + (*listener)->address() + "/");
    ASSERT_FALSE(got) << bytes;
    EXPECT_NE(got.error().message().find(message), std::string::npos) << bytes << ": " << got.error().message();
  }
  close = false;
  answer = "HTTP/1.1 200 OK\r\n" + std::string(2 << 20, 'a') + ": b\r\n\r\n";
  EXPECT_FALSE(Get("http://" + (*listener)->address() + "/"));
}

TEST_F(HttpClientThreadsTest, OfARequestWithoutAnswerItIsKnownWhetherItWasSent) {
  std::unique_ptr<Stream> accepted;
  auto listener = Listener::Listen(&loop_, "127.0.0.1:0", [&](std::unique_ptr<Stream> s) {
    accepted = std::move(s);
    accepted->Start([&](std::string_view) { accepted->Shutdown(); }, [](base::Status) {});
  });
  ASSERT_TRUE(listener);
  struct Row {
    std::string url;
    bool unsent;
  };
  for (const char* method : {"GET", "POST"}) {
    for (const Row& row : {Row{"http://" + (*listener)->address() + "/", false}, Row{base_ + "/hold", false}, Row{base_ + "/broken-gzip", false},
                           Row{"http://127.0.0.1:1/", true}, Row{"http://no-such-host.invalid/", true}, Row{"ftp://h/x", true}}) {
      FetchRequest r;
      r.method = method;
      r.url = row.url;
      r.timeout = row.url.ends_with("/hold") ? base::Duration(50ms) : base::Duration(10s);
      r.unsent = std::make_shared<bool>(!row.unsent);
      const auto unsent = r.unsent;
      EXPECT_FALSE(Get(std::move(r))) << row.url;
      EXPECT_EQ(*unsent, row.unsent) << method << " " << row.url;
    }
    FetchRequest r;
    r.method = method;
    r.url = base_ + "/hold";
    r.unsent = std::make_shared<bool>(true);
    const size_t held = held_.size();
    Call call = client_->Fetch(r, [](base::Result<FetchResponse>) { FAIL(); });
    EXPECT_TRUE(*r.unsent);
    RunUntil(&loop_, [&] { return held_.size() > held; });
    call.Cancel();
    EXPECT_FALSE(*r.unsent) << method;
  }
}

TEST_F(HttpClientThreadsTest, TheDeadlineCoversEverything) {
  FetchRequest r;
  r.url = base_ + "/hold";
  r.timeout = 10ms;
  auto got = Get(std::move(r));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code(), base::Code::kDeadlineExceeded);
  EXPECT_TRUE(got.error().message().starts_with("context deadline exceeded after 10ms")) << got.error().message();
}

TEST_F(HttpClientThreadsTest, ACancelledCallIsNeverAnswered) {
  bool answered = false;
  FetchRequest r;
  r.url = base_ + "/hold";
  Call call = client_->Fetch(r, [&](base::Result<FetchResponse>) { answered = true; });
  RunUntil(&loop_, [&] { return !held_.empty(); });
  bool gone = false;
  held_[0]->OnClientGone([&] { gone = true; });
  call.Cancel();
  RunUntil(&loop_, [&] { return gone; });
  EXPECT_FALSE(answered);
  { Call at_once = client_->Fetch(r, [&](base::Result<FetchResponse>) { answered = true; }); }
  ASSERT_TRUE(Get("/after"));
  EXPECT_FALSE(answered);
}

TEST_F(HttpClientThreadsTest, TheClientMayDieInACallback) {
  bool answered = false;
  FetchRequest r;
  r.url = base_ + "/x";
  FetchRequest held;
  held.url = base_ + "/hold";
  Call hold = client_->Fetch(held, [](base::Result<FetchResponse>) { FAIL(); });
  Call call = client_->Fetch(r, [&](base::Result<FetchResponse>) {
    client_.reset();
    answered = true;
  });
  RunUntil(&loop_, [&] { return answered; });
}

TEST_F(HttpClientThreadsTest, RedirectsAreFollowedAsGoDoes) {
  struct Row {
    int code;
    const char* method;
    const char* then;
  };
  for (const Row& row : {Row{301, "POST", "GET"}, Row{302, "POST", "GET"}, Row{303, "PUT", "GET"},
                         Row{307, "POST", "POST"}, Row{308, "PUT", "PUT"}, Row{302, "HEAD", "HEAD"}}) {
    FetchRequest r;
    r.method = row.method;
    r.url = base_ + "/from?code=" + std::to_string(row.code) + "&to=/to%3Fa=b";
    r.body = row.method == std::string("HEAD") ? "" : "body";
    auto got = Get(std::move(r));
    ASSERT_TRUE(got) << row.code << got.error().message();
    EXPECT_EQ(seen_.back()->method, row.then) << row.code;
    EXPECT_EQ(seen_.back()->target, "/to?a=b");
    EXPECT_EQ(seen_.back()->body, row.then == std::string(row.method) && row.method != std::string("HEAD") ? "body" : "");
    EXPECT_EQ(got->url, base_ + "/to?a=b");
  }
  HttpConfig stay;
  stay.follow_redirects = false;
  EXPECT_EQ(Get("/from?code=302&to=/to", stay)->status, 302);
  auto loop = Get("/from?code=302&to=/from%3Fcode=302%26to=/from");
  ASSERT_TRUE(loop) << "the second hop has no status of a redirect";
}

TEST_F(HttpClientThreadsTest, EndlessRedirectsEnd) {
  std::string self = base_ + "/from?code=302&to=";
  // The server answers /spin with a redirect to itself through the query of the first hop.
  HttpServer spinner(&loop_, {}, [](std::shared_ptr<HttpExchange> x) {
    x->Respond(HttpResponse::Redirect(302, "/again"));
  });
  auto got = Get("http://" + *spinner.Listen("127.0.0.1:0") + "/");
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().message(), "stopped after 10 redirects");
}

TEST_F(HttpClientThreadsTest, CredentialsAreNotForwardedToAnotherHost) {
  std::vector<std::shared_ptr<const HttpRequest>> other_saw;
  HttpServer other(&loop_, {}, [&](std::shared_ptr<HttpExchange> x) {
    other_saw.push_back(x->request_ptr());
    x->Respond(HttpResponse::Text(200, "other"));
  });
  const std::string there = "http://" + *other.Listen("127.0.0.1:0") + "/";
  HttpConfig c;
  c.basic_auth = BasicAuth{.username = "u", .username_file = "", .password = "p", .password_file = ""};
  c.headers.push_back({.name = "X-Open", .values = {"v"}, .secrets = {}, .files = {}});
  c.headers.push_back({.name = "X-Secret", .values = {}, .secrets = {"s"}, .files = {}});
  FetchRequest r;
  r.url = base_ + "/from?code=307&to=" + there;
  r.method = "POST";
  r.body = "b";
  r.headers = {{"Cookie", "c=d"}, {"X-Plain", "p"}};
  r.config = std::make_shared<HttpConfig>(c);
  ASSERT_TRUE(Get(r));
  EXPECT_EQ(seen_[0]->headers.Get("Authorization"), "Basic dTpw");
  EXPECT_EQ(seen_[0]->headers.Get("X-Secret"), "s");
  ASSERT_EQ(other_saw.size(), 1u);
  EXPECT_EQ(other_saw[0]->body, "b");
  EXPECT_EQ(other_saw[0]->headers.Get("X-Open"), "v");
  EXPECT_EQ(other_saw[0]->headers.Get("X-Plain"), "p");
  for (const char* name : {"Authorization", "Cookie", "X-Secret"}) EXPECT_FALSE(other_saw[0]->headers.Has(name)) << name;

  r.url = base_ + "/from?code=307&to=/same";
  ASSERT_TRUE(Get(r));
  EXPECT_EQ(seen_.back()->headers.Get("Authorization"), "Basic dTpw");
}

TEST_F(HttpClientThreadsTest, CredentialsComeFromConfigFilesOrUrl) {
  // A folder of this run alone: the same program may run twice at once.
  std::string folder = "/tmp/tocsin_net_XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::string file = folder + "/secret";
  std::ofstream(file) << "first\n";
  HttpConfig c;
  c.authorization = Authorization{.type = "Token", .credentials = "", .credentials_file = file};
  ASSERT_TRUE(Get("/", c));
  EXPECT_EQ(seen_.back()->headers.Get("Authorization"), "Token first");
  std::ofstream(file) << "second";
  ASSERT_TRUE(Get("/", c));
  EXPECT_EQ(seen_.back()->headers.Get("Authorization"), "Token second");
  c.authorization->credentials_file = folder + "/missing";
  auto missing = Get("/", c);
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message().find("unable to read authorization credentials file"), std::string::npos);

  std::string with_user = base_;
  with_user.insert(7, "us%40er:pa%3Ass@");
  ASSERT_TRUE(Get(with_user + "/"));
  std::string user, password;
  ASSERT_TRUE(seen_.back()->BasicAuth(&user, &password));
  EXPECT_EQ(user + " " + password, "us@er pa:ss");
  std::filesystem::remove_all(folder);
}

TEST_F(HttpClientThreadsTest, AnOAuth2TokenIsFetchedOnceAndUsed) {
  HttpConfig c;
  c.oauth2.emplace();
  c.oauth2->client_id = "id";
  c.oauth2->client_secret = "sec";
  c.oauth2->token_url = base_ + "/token";
  c.oauth2->scopes = {"a", "b"};
  c.oauth2->endpoint_params = {{"aud", "x"}};
  ASSERT_TRUE(Get("/one", c));
  ASSERT_TRUE(Get("/two", c));
  ASSERT_EQ(seen_.size(), 3u);
  EXPECT_EQ(seen_[0]->body, "aud=x&grant_type=client_credentials&scope=a+b");
  EXPECT_EQ(seen_[0]->headers.Get("Authorization"), "Basic aWQ6c2Vj");
  EXPECT_EQ(seen_[1]->headers.Get("Authorization"), "Bearer T");
  EXPECT_EQ(seen_[2]->path, "/two");
  c.oauth2->token_url = base_ + "/status?code=403";
  auto refused = Get("/three", c);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().message().starts_with("oauth2: cannot fetch token: 403")) << refused.error().message();
}

TEST_F(HttpClientThreadsTest, AProxyGetsTheWholeUrl) {
  HttpConfig c;
  c.proxy.proxy_url = base_;
  c.proxy.connect_headers = {{"X-Only-Connect", {"v"}}};
  ASSERT_TRUE(Get("http://hook.example.org:8080/p?x=1", c));
  EXPECT_EQ(seen_[0]->target, "http://hook.example.org:8080/p?x=1");
  EXPECT_EQ(seen_[0]->headers.Get("Host"), "hook.example.org:8080");
}

TEST_F(HttpClientThreadsTest, ALookUpByLibcurlLeavesNothingInTheWayOfTheNextConnection) {
  HttpConfig c;
  c.proxy.from_environment = true;  // libcurl finds the address
  EXPECT_FALSE(Get("http://no-such-host.invalid/", c));
  EXPECT_TRUE(Get("/plain"));
  EXPECT_TRUE(Get("/libcurl", c));
}

TEST_F(HttpClientThreadsTest, TlsIsChecked) {
  auto made = MakeSelfSignedCertificate({"tocsin.test"});
  ASSERT_TRUE(made);
  TlsServerConfig tls;
  tls.cert = made->cert;
  tls.key = made->key;
  HttpServerOptions options;
  options.tls = *TlsServerContext::Make(tls);
  std::string host;
  HttpServer server(&loop_, std::move(options), [&](std::shared_ptr<HttpExchange> x) {
    host = x->request().headers.Get("Host");
    x->Respond(HttpResponse::Text(200, "secure"));
  });
  const std::string address = *server.Listen("127.0.0.1:0");
  const std::string url = "https://" + address + "/";
  auto unknown = Get(url);
  ASSERT_FALSE(unknown);
  EXPECT_TRUE(unknown.error().message().starts_with("tls: ")) << unknown.error().message();
  HttpConfig c;
  c.tls.ca = made->cert;
  EXPECT_FALSE(Get(url, c)) << "the certificate is for another name";
  c.tls.server_name = "tocsin.test";
  auto named = Get(url, c);
  ASSERT_TRUE(named) << named.error().message();
  EXPECT_EQ(host, address);
  HttpConfig skip;
  skip.tls.insecure_skip_verify = true;
  EXPECT_TRUE(Get(url, skip));
  EXPECT_FALSE(Get("http://" + address + "/")) << "plain HTTP on a TLS port";
  EXPECT_FALSE(Get("https" + base_.substr(4) + "/")) << "TLS on a plain port";
}

TEST(UrlTest, IsTakenApart) {
  auto u = ParseUrl("https://us%40er:p@[::1]:8443/a/../b?c=d#e");
  ASSERT_TRUE(u) << u.error().message();
  EXPECT_EQ(u->user, "us@er");
  EXPECT_EQ(u->host, "::1");
  EXPECT_EQ(u->Authority(), "[::1]:8443");
  EXPECT_EQ(u->path_and_query, "/a/../b?c=d");
  EXPECT_EQ(ParseUrl("http://h")->Text(), "http://h/");
  EXPECT_EQ(ResolveUrl(*ParseUrl("http://h/a/b?c"), "../d")->Text(), "http://h/d");
  EXPECT_EQ(ResolveUrl(*ParseUrl("http://h/a"), "//other/d")->Text(), "http://other/d");
  EXPECT_TRUE(ParseUrl("http://h/")->SameHost(*ParseUrl("https://H/x")));
  EXPECT_FALSE(ParseUrl("http://h/")->SameHost(*ParseUrl("http://h:81/")));
  EXPECT_FALSE(ParseUrl("https://h/")->SameHost(*ParseUrl("http://h/")));
}

}  // namespace
}  // namespace tocsin::net
