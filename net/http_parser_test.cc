#include "net/http_parser.h"

#include <gtest/gtest.h>

namespace tocsin::net {
namespace {

using State = HttpRequestParser::State;

// Feeds `text` in pieces of `step` bytes; returns what was left over after the first request.
std::string Feed(HttpRequestParser* parser, std::string text, size_t step) {
  std::string pending;
  while (!text.empty() || !pending.empty()) {
    if (parser->state() == State::kComplete || parser->state() == State::kFailed) break;
    if (!text.empty()) {
      pending += text.substr(0, step);
      text.erase(0, step);
    }
    size_t n = 0;
    do {
      n = parser->Consume(pending);
      pending.erase(0, n);
    } while (n > 0 && !pending.empty());
    if (text.empty()) break;
  }
  return pending + text;
}

TEST(HttpRequestParserTest, ReadsARequestHoweverItIsCut) {
  const std::string text =
      "POST /api/v1/query%20x?query=up&a=%zz HTTP/1.1\r\nHost: h\r\nX-A:  v \r\n"
      "Content-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n";
  for (size_t step = 1; step <= text.size(); ++step) {
    HttpRequestParser parser(65536);
    EXPECT_EQ(Feed(&parser, text, step), "GET / HTTP/1.1\r\n") << step;
    ASSERT_EQ(parser.state(), State::kComplete) << step << parser.error();
    const HttpRequest& r = parser.request();
    EXPECT_EQ(r.method, "POST");
    EXPECT_EQ(r.path, "/api/v1/query x");
    EXPECT_EQ(r.raw_query, "query=up&a=%zz");
    EXPECT_EQ(r.query.Get("query"), "up");
    EXPECT_EQ(r.headers.Get("x-a"), "v");
    EXPECT_EQ(r.body, "hello");
    EXPECT_TRUE(parser.keep_alive());
  }
}

TEST(HttpRequestParserTest, ReadsChunkedBodiesHoweverTheyAreCut) {
  const std::string text =
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: t\r\n\r\nNEXT";
  for (size_t step = 1; step <= text.size(); ++step) {
    HttpRequestParser parser(65536);
    EXPECT_EQ(Feed(&parser, text, step), "NEXT") << step;
    ASSERT_EQ(parser.state(), State::kComplete) << step << parser.error();
    EXPECT_EQ(parser.request().body, "hello world");
    EXPECT_FALSE(parser.request().headers.Has("X-Trailer"));
  }
}

TEST(HttpRequestParserTest, RefusesWhatTwoServersCouldReadDifferently) {
  struct Row {
    const char* name;
    std::string text;
    int status;
  };
  const std::string post = "POST / HTTP/1.1\r\nHost: h\r\n";
  const Row rows[] = {
      {"both lengths", post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"both, other order", post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400},
      {"both, case", post + "content-length: 3\r\ntransfer-encoding: CHUNKED\r\n\r\n0\r\n\r\n", 400},
      {"other coding", post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400},
      {"two codings", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
      {"coding twice", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"coding and tab", post + "Transfer-Encoding:\tchunked\t, identity\r\n\r\n0\r\n\r\n", 400},
      {"space before colon", post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400},
      {"lengths differ", post + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400},
      {"length twice", post + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400},
      {"length list", post + "Content-Length: 3, 3\r\n\r\nabc", 400},
      {"length signed", post + "Content-Length: +3\r\n\r\nabc", 400},
      {"length negative", post + "Content-Length: -3\r\n\r\nabc", 400},
      {"length hex", post + "Content-Length: 0x3\r\n\r\nabc", 400},
      {"length too large", post + "Content-Length: 99999999999999999999\r\n\r\n", 400},
      {"folded line", post + "X-A: b\r\n c\r\n\r\n", 400},
      {"folded by tab", post + "X-A: b\r\n\tTransfer-Encoding: chunked\r\n\r\n", 400},
      {"bare line feed", "GET / HTTP/1.1\nHost: h\n\n", 400},
      {"bare line feed inside", "GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", 400},
      {"bare carriage return", "GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", 400},
      {"zero byte", std::string("GET / HTTP/1.1\r\nHost: h\0\r\n\r\n", 27), 400},
      {"no host", "GET / HTTP/1.1\r\n\r\n", 400},
      {"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
      {"version 2", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
      {"version 0.9", "GET /\r\n\r\n", 505},
      {"chunked in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"unknown method", "FROB / HTTP/1.1\r\nHost: h\r\n\r\n", 501},
      {"garbage", std::string("\x16\x03\x01\x02\x00\x01\xfc\r\n\r\n", 11), 400},
      {"path escape", "GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"relative target", "GET metrics HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"other expectation", post + "Expect: tea\r\nContent-Length: 1\r\n\r\n", 417},
      {"bad chunk size", post + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400},
      {"chunk size overflow", post + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400},
      {"chunk too long for its size", post + "Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n", 400},
  };
  for (const Row& row : rows) {
    for (const size_t step : {size_t{1}, size_t{7}, row.text.size()}) {
      HttpRequestParser parser(65536);
      Feed(&parser, row.text, step);
      EXPECT_EQ(parser.state(), State::kFailed) << row.name;
      EXPECT_EQ(parser.error_status(), row.status) << row.name << ": " << parser.error();
    }
  }
}

TEST(HttpRequestParserTest, BoundsTheHead) {
  HttpRequestParser parser(1000);
  Feed(&parser, "GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(2000, 'x'), 100);
  EXPECT_EQ(parser.error_status(), 431);
  HttpRequestParser fields(1 << 20);
  std::string many = "GET / HTTP/1.1\r\nHost: h\r\n";
  for (int i = 0; i < 2000; ++i) many += "a: b\r\n";
  Feed(&fields, many + "\r\n", 4096);
  EXPECT_EQ(fields.error_status(), 431);
}

TEST(HttpRequestParserTest, BoundsTheBody) {
  HttpRequestParser announced(1000);
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n";
  announced.Consume(head);
  announced.SetBodyLimit(10);
  EXPECT_EQ(announced.error_status(), 413);

  HttpRequestParser chunked(1000);
  chunked.Consume("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
  chunked.SetBodyLimit(10);
  chunked.Consume("5\r\nhello\r\n");
  EXPECT_EQ(chunked.state(), State::kBody);
  chunked.Consume("6\r\n world\r\n");
  EXPECT_EQ(chunked.error_status(), 413);
}

TEST(HttpRequestParserTest, BoundsChunkExtensions) {
  HttpRequestParser parser(1000);
  parser.Consume("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
  Feed(&parser, "1;" + std::string(1 << 20, 'x'), 4096);
  EXPECT_EQ(parser.error_status(), 400);
}

TEST(HttpRequestParserTest, AnUpgradeIsIgnoredAndTheRequestAnswered) {
  HttpRequestParser parser(1000);
  Feed(&parser, "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n", 1000);
  EXPECT_EQ(parser.state(), State::kComplete) << parser.error();
}

// Each byte of a good request, replaced by some others: never a crash, and the state stays sound.
TEST(HttpRequestParserTest, SurvivesFlippedBytes) {
  const std::string good =
      "POST /a?b=c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  for (size_t i = 0; i < good.size(); ++i) {
    for (const char c : {'\0', '\r', '\n', ' ', ':', 'a', '0', '\xff'}) {
      std::string bad = good;
      bad[i] = c;
      HttpRequestParser parser(1000);
      Feed(&parser, bad, 16);
      if (parser.state() == State::kFailed) {
        EXPECT_GE(parser.error_status(), 400);
      }
    }
  }
}

}  // namespace
}  // namespace tocsin::net
