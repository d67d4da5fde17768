#include "net/http_message.h"

#include <gtest/gtest.h>

namespace tocsin::net {
namespace {

TEST(HeadersTest, NamesCompareWithoutCaseAndTheFirstValueAnswers) {
  Headers h{{"Content-Type", "a"}, {"X-Many", "1"}, {"x-many", "2"}};
  EXPECT_EQ(h.Get("content-type"), "a");
  EXPECT_EQ(h.Get("X-MANY"), "1");
  EXPECT_EQ(h.All("x-Many").size(), 2u);
  h.Set("x-many", "3");
  EXPECT_EQ(h.All("X-Many").size(), 1u);
  EXPECT_EQ(h.Get("X-Many"), "3");
  h.Remove("CONTENT-TYPE");
  EXPECT_FALSE(h.Has("Content-Type"));
}

TEST(HeadersTest, ValuesCannotBreakOutOfTheirField) {
  Headers h;
  h.Add("Location", "/x\r\nSet-Cookie: a=b");
  h.Add("Bad Name", "v");
  h.Add("Bad\r\nName", "v");
  h.Add("", "v");
  ASSERT_EQ(h.size(), 1u);
  EXPECT_EQ(h.Get("Location"), "/x  Set-Cookie: a=b");
}

TEST(HeadersTest, TokensAreFoundInLists) {
  Headers h{{"Connection", "keep-alive, Close"}};
  EXPECT_TRUE(h.HasToken("connection", "close"));
  EXPECT_FALSE(h.HasToken("connection", "clo"));
}

TEST(ParamsTest, DecodesAsGoDoes) {
  struct Row {
    const char* text;
    const char* name;
    std::vector<std::string> values;
    const char* error;
  };
  const Row rows[] = {
      {"a=1&b=2&a=3", "a", {"1", "3"}, ""},
      {"q=up%7Bjob%3D%22x+y%22%7D", "q", {"up{job=\"x y\"}"}, ""},
      {"a", "a", {""}, ""},
      {"&&a=1&", "a", {"1"}, ""},
      {"a=%zz&a=2", "a", {"2"}, "invalid URL escape \"%zz\""},
      {"a=%4", "a", {}, "invalid URL escape \"%4\""},
      {"a=1;b=2&c=3", "c", {"3"}, "invalid semicolon separator in query"},
      {"m%5B%5D=x", "m[]", {"x"}, ""},
  };
  for (const Row& row : rows) {
    base::Status error;
    const Params p = Params::Parse(row.text, &error);
    EXPECT_EQ(p.All(row.name), row.values) << row.text;
    EXPECT_EQ(error ? "" : error.error().message(), row.error) << row.text;
  }
}

TEST(ParamsTest, EncodesSortedByName) {
  Params p;
  p.Add("match[]", "up");
  p.Add("a", "x y&z");
  EXPECT_EQ(p.Encode(), "a=x+y%26z&match%5B%5D=up");
}

TEST(HttpRequestTest, AFormHoldsTheBodyFirstAndThenTheQuery) {
  HttpRequest r;
  r.method = "POST";
  r.raw_query = "query=b";
  r.body = "query=a";
  r.headers.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
  auto form = r.Form();
  ASSERT_TRUE(form);
  EXPECT_EQ(form->Get("query"), "a");
  EXPECT_EQ(form->All("query").size(), 2u);
  r.headers.Set("Content-Type", "application/json");
  EXPECT_EQ(r.Form()->Get("query"), "b");
  r.raw_query = "query=%";
  EXPECT_EQ(r.Form().error().code(), base::Code::kInvalidArgument);
}

TEST(HttpRequestTest, AMultipartFormIsRead) {
  HttpRequest r;
  r.method = "POST";
  r.headers.Set("Content-Type", "multipart/form-data; boundary=\"xyz\"");
  const auto part = [](std::string_view more, std::string_view text) {
    return "--xyz\r\nContent-Disposition: form-data; " + std::string(more) + "\r\n\r\n" + std::string(text) + "\r\n";
  };
  r.body = part("name=\"query\"", "sum(up)\r\n+ 1") + part("name=\"time\"", "") + part("name=\"f\"; filename=\"x\"", "a file") + "--xyz--\r\n";
  const auto form = r.Form();
  ASSERT_TRUE(form) << form.error().message();
  EXPECT_EQ(form->Get("query"), "sum(up)\r\n+ 1");
  EXPECT_TRUE(form->Has("time"));
  EXPECT_FALSE(form->Has("f"));
  r.body = "a preamble\r\n" + r.body;
  EXPECT_EQ(r.Form()->Get("query"), "sum(up)\r\n+ 1");
  // Whatever is cut off: an answer, no crash.
  const std::string whole = r.body;
  for (size_t n = 0; n < whole.size(); ++n) {
    r.body = whole.substr(0, n);
    EXPECT_EQ(r.Form().has_value(), n >= whole.size() - 2) << n;
  }
  r.body = whole;
  r.headers.Set("Content-Type", "multipart/form-data");
  EXPECT_EQ(r.Form().error().message(), "no multipart boundary param in Content-Type");
}

TEST(HttpRequestTest, BasicAuthIsDecoded) {
  HttpRequest r;
  std::string user, password;
  r.headers.Set("Authorization", "Basic dXNlcjpwYTpzcw==");
  ASSERT_TRUE(r.BasicAuth(&user, &password));
  EXPECT_EQ(user, "user");
  EXPECT_EQ(password, "pa:ss");
  r.headers.Set("Authorization", "Bearer dXNlcjpwYXNz");
  EXPECT_FALSE(r.BasicAuth(&user, &password));
}

TEST(HttpDateTest, IsWrittenInGmt) {
  EXPECT_EQ(FormatHttpDate(base::FromUnixMillis(784111777000)), "Sun, 06 Nov 1994 08:49:37 GMT");
}

}  // namespace
}  // namespace tocsin::net
