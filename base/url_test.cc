#include "base/url.h"

#include <gtest/gtest.h>

namespace tocsin::base {
namespace {

TEST(UrlTest, PartsAreTakenAsGoTakesThem) {
  struct Row {
    const char *text, *scheme, *host, *hostname, *port, *path, *query;
  };
  for (const Row& row : {
           Row{"http://host", "http", "host", "host", "", "", ""},
           {"HTTPS://Host:443/a%20b/c?x=1&y#z", "https", "Host:443", "Host", "443", "/a%20b/c", "x=1&y"},
           {"http://[::1]:9090/", "http", "[::1]:9090", "::1", "9090", "/", ""},
           {"unix:///run/x.sock", "unix", "", "", "", "/run/x.sock", ""},
           {"/only/path", "", "", "", "", "/only/path", ""},
           {"localhost", "", "", "", "", "localhost", ""},
           {"//host/x", "", "host", "host", "", "/x", ""},
           {"http://a_b-c.d:1?q", "http", "a_b-c.d:1", "a_b-c.d", "1", "", "q"},
           {"", "", "", "", "", "", ""},
       }) {
    auto url = ParseUrl(row.text);
    ASSERT_TRUE(url) << row.text << ": " << url.error().message();
    EXPECT_EQ(url->scheme, row.scheme) << row.text;
    EXPECT_EQ(url->host, row.host);
    EXPECT_EQ(url->hostname(), row.hostname);
    EXPECT_EQ(url->port(), row.port);
    EXPECT_EQ(url->path, row.path);
    EXPECT_EQ(url->query, row.query);
  }
  EXPECT_EQ(ParseUrl("mailto:x@y")->opaque, "x@y");
  EXPECT_EQ(ParseUrl("localhost:9090")->scheme, "localhost");
}

TEST(UrlTest, PasswordsAreDecodedAndHiddenOnDemand) {
  auto url = ParseUrl("https://me:p%40ss@host/x?a=b#c");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->user, "me");
  EXPECT_EQ(url->password, "p@ss");
  EXPECT_EQ(url->Redacted(), "https://me:xxxxx@host/x?a=b#c");
  EXPECT_EQ(RedactUrl("http://me:hush@proxy:3128"), "http://me:xxxxx@proxy:3128");
  EXPECT_EQ(RedactUrl("://me:hush@proxy"), "<secret>");
  EXPECT_EQ(ParseUrl(url->ToString())->password, "p@ss");
}

TEST(UrlTest, ABadUrlSaysWhyInGosWords) {
  struct Row {
    const char *text, *why;
  };
  for (const Row& row : {
           Row{"://invalid", "missing protocol scheme"},
           {"http://a b/", "invalid character \" \" in host name"},
           {"http://host:x/", "invalid port \":x\" after host"},
           {"http://[::1/", "missing ']' in host"},
           {"http://host/%zz", "invalid URL escape \"%zz\""},
           {"http://host/%2", "invalid URL escape \"%2\""},
           {"1host:90", "first path segment in URL cannot contain colon"},
           {"http://a\nb", "net/url: invalid control character in URL"},
           {"http://a{b:c@h/", "net/url: invalid userinfo"},
       }) {
    auto url = ParseUrl(row.text);
    ASSERT_FALSE(url) << row.text;
    EXPECT_EQ(url.error().message(), "parse " + std::string(row.text == std::string("http://a\nb")
                                                                ? "\"http://a\\nb\""
                                                                : "\"" + std::string(row.text) + "\"") +
                                         ": " + row.why);
  }
}

}  // namespace
}  // namespace tocsin::base
