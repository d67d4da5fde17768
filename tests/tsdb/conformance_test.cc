// What Prometheus answered from its own data directories, against what this program answers from copies of them:
// every recorded request goes through the router.  Without the conformance kit the tests are skipped.

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "api/http/fake_exchange.h"
#include "api/prometheus.h"
#include "base/simulated_executor.h"
#include "base/simulated_file_system.h"
#include "base/text.h"
#include "tsdb/kit_test_util.h"

namespace tocsin::tsdb {
namespace {

using nlohmann::json;

std::string TextOf(const json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

std::string TargetOf(const json& request) {
  std::string target = request["path"];
  char separator = '?';
  const auto add = [&](const std::string& name, const json& value) {
    target += separator + base::QueryEscape(name) + "=" + base::QueryEscape(TextOf(value));
    separator = '&';
  };
  for (const auto& [name, value] : request["params"].items()) {
    if (value.is_array()) {
      for (const json& one : value) add(name, one);
    } else {
      add(name, value);
    }
  }
  return target;
}

// A selector alone, whose values must be the same text; what is computed may differ in the last digits.
bool IsPlainSelector(const std::string& query) { return query.find_first_of("(+-*/") == std::string::npos; }

// Empty when equal.
std::string Difference(const json& expected, const json& got, bool exact, const std::string& place) {
  const std::string both = place + ": " + expected.dump().substr(0, 200) + " expected, " + got.dump().substr(0, 200);
  if (expected.is_string() && got.is_string()) {
    const std::string a = expected, b = got;
    if (a == b) return "";
    char *end_a = nullptr, *end_b = nullptr;
    const double x = std::strtod(a.c_str(), &end_a), y = std::strtod(b.c_str(), &end_b);
    const bool numbers = *end_a == '\0' && *end_b == '\0' && !a.empty() && !b.empty();
    return !exact && numbers && std::abs(x - y) <= 1e-9 * std::max(std::abs(x), std::abs(y)) ? "" : both;
  }
  if (expected.is_array() && got.is_array()) {
    if (expected.size() != got.size()) return both + " (" + std::to_string(expected.size()) + " and " + std::to_string(got.size()) + ")";
    for (size_t i = 0; i < expected.size(); ++i) {
      std::string d = Difference(expected[i], got[i], exact, place + "[" + std::to_string(i) + "]");
      if (!d.empty()) return d;
    }
    return "";
  }
  if (expected.is_object() && got.is_object()) {
    if (expected.size() != got.size()) return both;
    for (const auto& [key, value] : expected.items()) {
      if (!got.contains(key)) return both + " (no " + key + ")";
      std::string d = Difference(value, got[key], exact, place + "." + key);
      if (!d.empty()) return d;
    }
    return "";
  }
  return expected == got ? "" : both;
}

// Lists whose order means nothing, by what names their elements.
json Sorted(const json& list) {
  std::map<std::string, json> by_name;
  for (const json& one : list) {
    by_name[one.is_object() && one.contains("metric") ? one["metric"].dump() : one.dump()] = one;
  }
  json out = json::array();
  for (auto& [name, one] : by_name) out.push_back(std::move(one));
  return out;
}

void Normalize(bool ordered, json* response) {
  response->erase("warnings");
  response->erase("infos");
  if (!response->contains("data") || ordered) return;
  json& data = (*response)["data"];
  if (data.is_array() && !(data.size() > 0 && data[0].contains("exemplars"))) data = Sorted(data);
  if (data.is_object() && data["result"].is_array() && data["resultType"] != "scalar") data["result"] = Sorted(data["result"]);
}

// Where this program means to answer otherwise.
const std::map<std::pair<std::string, int>, const char*> kOtherwise = {
    // Samples lie on the left edges of the subquery's windows, which were counted in 2.42 and are not since 3.0.
    {{"blocks-and-wal", 32}, "3.0125"},
};

class AnswersTest : public testing::TestWithParam<const char*> {};

TEST_P(AnswersTest, AreThoseOfPrometheus) {
  const std::string folder = KitFolder(GetParam());
  const auto text = base::RealFileSystem()->ReadFile(folder + "/expected.json");
  if (!text) GTEST_SKIP() << "no conformance kit: set TOCSIN_SHARED to its folder";
  base::SimulatedFileSystem fs;
  CopyFolder(folder + "/data", &fs, "data");
  base::SimulatedExecutor executor(base::FromUnixMillis(1'795'160'100'000));
  base::Registry registry;
  promql::Engine engine({.clock = &executor});
  auto db = tsdb::Db::Open({.path = "data",
                            .fs = &fs,
                            .retention_time = std::chrono::hours(10 * 365 * 24),
                            .max_exemplars = 100'000});
  ASSERT_TRUE(db) << db.error().message();
  api::PrometheusBackend backend;
  backend.executor = &executor;
  backend.registry = &registry;
  backend.engine = &engine;
  backend.queryable = db->get();
  backend.appendable = db->get();
  backend.tsdb = api::AccessTo(db->get());
  api::Router router;
  api::PrometheusApi api({}, &backend);
  api.Register(&router);

  const json requests = json::parse(*text);
  EXPECT_GT(requests.size(), 30u);
  for (const json& request : requests) {
    SCOPED_TRACE(request["id"].dump() + ": " + request["path"].dump() + " " + request["params"].dump());
    auto x = std::make_shared<api::FakeExchange>("GET", TargetOf(request));
    router.Serve(x);
    executor.RunPosted();
    executor.RunFor(std::chrono::milliseconds(1));
    EXPECT_EQ(x->status(), request["http_status"].get<int>()) << x->body();
    json expected = request["response"], got = json::parse(x->body(), nullptr, false);
    if (expected["status"] == "error") {
      expected.erase("error");
      got.erase("error");
    }
    const std::string query = request["params"].value("query", "");
    if (const auto it = kOtherwise.find({GetParam(), request["id"].get<int>()}); it != kOtherwise.end()) {
      expected["data"]["result"][0]["value"][1] = it->second;
    }
    const bool ordered = query.find("topk") != std::string::npos;
    Normalize(ordered, &expected);
    Normalize(ordered, &got);
    EXPECT_EQ(Difference(expected, got, IsPlainSelector(query), ""), "");
  }
}

INSTANTIATE_TEST_SUITE_P(Directories, AnswersTest, testing::Values("blocks-and-wal", "compacted"),
                         [](const auto& of) { return std::string(of.param) == "compacted" ? "Compacted" : "BlocksAndWal"; });

}  // namespace
}  // namespace tocsin::tsdb
