#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "api/http/fake_exchange.h"
#include "api/http/json.h"
#include "api/http/router.h"

namespace tocsin::api {
namespace {

TEST(JsonWriterTest, CommasStandWhereTheyMust) {
  std::string out;
  JsonWriter json(&out);
  json.BeginObject();
  json.Member("a", 1);
  json.Member("b", "x\"y");
  json.Key("c");
  json.BeginArray();
  json.Int(-1);
  json.Bool(true);
  json.BeginObject();
  json.EndObject();
  json.Null();
  json.EndArray();
  json.Member("d", 0.5);
  json.MemberList("e", std::vector<std::string>{"f", "g"});
  json.EndObject();
  EXPECT_EQ(out, R"({"a":1,"b":"x\"y","c":[-1,true,{},null],"d":0.5,"e":["f","g"]})");
}

TEST(JsonWriterTest, SamplesAreWrittenAsPrometheusDoes) {
  auto time = [](int64_t ms) {
    std::string out;
    JsonWriter(&out).SampleTime(ms);
    return out;
  };
  EXPECT_EQ(time(1435781451781), "1435781451.781");
  EXPECT_EQ(time(1000), "1");
  EXPECT_EQ(time(1500), "1.5");
  EXPECT_EQ(time(1010), "1.01");
  EXPECT_EQ(time(-1), "-0.001");
  EXPECT_EQ(time(0), "0");
  EXPECT_EQ(time(INT64_MIN), "-9223372036854775.808");
  auto value = [](double v) {
    std::string out;
    JsonWriter(&out).SampleValue(v);
    return out;
  };
  EXPECT_EQ(value(1.5), "\"1.5\"");
  EXPECT_EQ(value(INFINITY), "\"+Inf\"");
  EXPECT_EQ(value(NAN), "\"NaN\"");
  EXPECT_EQ(value(1e-7), "\"1e-07\"");
  EXPECT_EQ(value(1e21), "\"1e+21\"");
}

class RouterTest : public ::testing::Test {
 protected:
  RouterTest() {
    auto say = [](std::string what) {
      return [what](ExchangePtr x, const PathParams& p) {
        x->Respond(net::HttpResponse::Text(
            200, what + std::string(p.Get("name")) + std::string(p.Get("rest"))));
      };
    };
    for (Router* router : {&plain_, &prefixed_}) {
      router->Add({"GET", "POST"}, "/api/v1/query", say("query"));
      router->Add({"GET"}, "/api/v1/label/:name/values", say("label "));
      router->Add({"GET"}, "/files/*rest", say("file "));
      router->Add({"OPTIONS"}, "/api/v1/*rest", say("options "));
      router->Add({"GET"}, "/", say("root"));
    }
  }

  static std::shared_ptr<FakeExchange> Serve(const Router& router, std::string_view method,
                                             std::string_view target) {
    auto x = std::make_shared<FakeExchange>(method, target);
    router.Serve(x);
    return x;
  }

  Router plain_;
  Router prefixed_{{.prefix = "/mon"}};
};

TEST_F(RouterTest, PathsFindTheirHandlers) {
  struct Row {
    std::string_view method;
    std::string_view target;
    int status;
    std::string_view body;
  };
  constexpr Row kRows[] = {
      {"GET", "/api/v1/query?x=y", 200, "query"},
      {"POST", "/api/v1/query", 200, "query"},
      {"PUT", "/api/v1/query", 405, "Method Not Allowed\n"},
      {"HEAD", "/api/v1/query", 405, "Method Not Allowed\n"},
      {"GET", "/api/v1/label/job/values", 200, "label job"},
      {"GET", "/api/v1/label/job", 404, "404 page not found\n"},
      {"GET", "/api/v1/nosuch", 404, "404 page not found\n"},
      {"OPTIONS", "/api/v1/query", 200, "options query"},
      {"GET", "/files/a/b.js", 200, "file a/b.js"},
      {"GET", "/files/", 200, "file "},
      {"GET", "/", 200, "root"},
      {"GET", "/api/v1/label//values", 301, ""},
      {"GET", "/api/../api/v1/query?x=1", 301, ""},
      {"GET", "/api/v1/query/", 301, ""},
      {"POST", "/api//v1/query", 308, ""},
  };
  for (const Row& row : kRows) {
    auto x = Serve(plain_, row.method, row.target);
    EXPECT_EQ(x->status(), row.status) << row.method << " " << row.target;
    if (row.status < 300 || row.status >= 400) {
      EXPECT_EQ(x->body(), row.body) << row.target;
    }
  }
}

TEST_F(RouterTest, WhatIsAllowedIsTold) {
  EXPECT_EQ(Serve(plain_, "PUT", "/api/v1/query")->response().headers.Get("Allow"),
            "GET, OPTIONS, POST");
  EXPECT_EQ(Serve(plain_, "OPTIONS", "/")->status(), 200);
}

TEST_F(RouterTest, ARedirectKeepsTheQuery) {
  EXPECT_EQ(Serve(plain_, "GET", "/api/v1//query?a=b%20c")->response().headers.Get("Location"),
            "/api/v1/query?a=b%20c");
}

TEST_F(RouterTest, ThePatternIsTheRoutesName) {
  EXPECT_EQ(Serve(plain_, "GET", "/api/v1/label/x/values")->route(), "/api/v1/label/:name/values");
}

TEST_F(RouterTest, APrefixStandsBeforeAllPaths) {
  EXPECT_EQ(Serve(prefixed_, "GET", "/mon/api/v1/query")->body(), "query");
  EXPECT_EQ(Serve(prefixed_, "GET", "/api/v1/query")->status(), 404);
  EXPECT_EQ(Serve(prefixed_, "GET", "/monitor/")->status(), 404);
  EXPECT_EQ(Serve(prefixed_, "GET", "/")->response().headers.Get("Location"), "/mon/");
  EXPECT_EQ(Serve(prefixed_, "GET", "/mon")->response().headers.Get("Location"), "/mon/");
  EXPECT_EQ(Serve(prefixed_, "GET", "/mon/")->body(), "root");
}

TEST(HttpMetricsTest, RequestsAreCountedByRouteAndCode) {
  base::Registry registry;
  auto observe = PrometheusHttpMetrics(&registry);
  observe({.route = "/metrics", .status = 200, .duration = std::chrono::milliseconds(5)});
  EXPECT_THAT(registry.Expose(),
              ::testing::HasSubstr("prometheus_http_requests_total{handler=\"/metrics\",code=\"200\"} 1"));
}

}  // namespace
}  // namespace tocsin::api
