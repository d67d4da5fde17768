#include "scrape/target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/file_system.h"
#include "scrape/negotiate.h"

namespace tocsin::scrape {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

ScrapeConfig Config() {
  ScrapeConfig config;
  config.job_name = "node";
  config.scrape_interval = 15s;
  config.scrape_timeout = 10s;
  return config;
}

model::TargetGroup Group(std::vector<model::Labels> targets, model::Labels labels = {}) {
  return {.source = "0", .labels = std::move(labels), .targets = std::move(targets)};
}

model::Labels Address(std::string_view address) {
  return model::Labels::FromPairs({{"__address__", address}});
}

model::RelabelRule Replace(std::string target, std::string replacement) {
  model::RelabelRule rule;
  rule.target_label = std::move(target);
  rule.replacement = std::move(replacement);
  return rule;
}

TEST(TargetTest, ATargetGetsTheJobsSettingsAndItsInstance) {
  ScrapeConfig config = Config();
  config.params = {{"a", {"1", "2"}}, {"empty", {}}};
  const TargetSet set = BuildTargets(
      config, {Group({Address("h:1")}, model::Labels::FromPairs({{"dc", "x"}, {"__meta_y", "z"}}))});
  ASSERT_THAT(set.active, SizeIs(1));
  const Target& t = *set.active[0];
  EXPECT_EQ(t.labels.ToString(), R"({dc="x", instance="h:1", job="node"})");
  EXPECT_EQ(t.url, "http://h:1/metrics?a=1&a=2");
  EXPECT_EQ(t.interval, 15s);
  EXPECT_EQ(t.timeout, 10s);
  EXPECT_FALSE(t.all_labels.Has("__meta_y"));
  EXPECT_EQ(t.all_labels.Get("__param_a"), "1");
  EXPECT_EQ(t.discovered.Get("__meta_y"), "z");
  EXPECT_EQ(t.discovered.Get("__scrape_interval__"), "15s");
}

TEST(TargetTest, RelabelingSteersTheScrape) {
  ScrapeConfig config = Config();
  config.params = {{"module", {"http"}}};
  config.relabel = {Replace("__scheme__", "https"),         Replace("__metrics_path__", "probe me"),
                    Replace("__param_module", "icmp"),      Replace("__param_target", "a b"),
                    Replace("__scrape_interval__", "1m"),   Replace("__scrape_timeout__", "30s"),
                    Replace("__scrape_native_histograms__", "1"), Replace("__unix_socket__", "/run/x"),
                    Replace("instance", "me")};
  const TargetSet set = BuildTargets(config, {Group({Address("h:1")})});
  ASSERT_THAT(set.active, SizeIs(1));
  const Target& t = *set.active[0];
  EXPECT_EQ(t.url, "https://h:1/probe%20me?module=icmp&target=a+b");
  EXPECT_EQ(t.interval, 60s);
  EXPECT_EQ(t.timeout, 30s);
  EXPECT_TRUE(t.native_histograms);
  EXPECT_EQ(t.unix_socket, "/run/x");
  EXPECT_EQ(t.labels.Get("instance"), "me");
}

TEST(TargetTest, HistogramSettingsCanBeReadByRelabeling) {
  ScrapeConfig config = Config();
  model::RelabelRule copy;
  copy.source_labels = {"__scrape_native_histograms__", "__convert_classic_histograms_to_nhcb__"};
  copy.target_label = "settings";
  config.relabel = {copy};
  config.convert_classic_histograms_to_nhcb = true;
  const TargetSet set = BuildTargets(config, {Group({Address("h:1")})});
  ASSERT_THAT(set.active, SizeIs(1));
  EXPECT_EQ(set.active[0]->labels.Get("settings"), "false;true");
  EXPECT_TRUE(set.active[0]->convert_to_nhcb);
  EXPECT_FALSE(set.active[0]->discovered.Has("__scrape_native_histograms__"));
  EXPECT_EQ(set.active[0]->discovered.Get("__convert_classic_histograms_to_nhcb__"), "true");
}

TEST(TargetTest, WhatCannotBeScrapedIsToldWithItsGroup) {
  struct Row {
    const char* label;
    const char* value;
    const char* error;
  };
  const Row rows[] = {
      {"__address__", "", "no address"},
      {"__address__", "h/path", "\"h/path\" is not a valid hostname"},
      {"__scrape_interval__", "x", "error parsing scrape interval"},
      {"__scrape_interval__", "0s", "scrape interval cannot be 0"},
      {"__scrape_timeout__", "x", "error parsing scrape timeout"},
      {"__scrape_timeout__", "0s", "scrape timeout cannot be 0"},
      {"__scrape_timeout__", "1h", "scrape timeout cannot be greater than scrape interval (\"1h\" > \"15s\")"},
      {"__scrape_native_histograms__", "maybe", "error parsing scrape native histograms"},
      {"__always_scrape_classic_histograms__", "x", "error parsing always scrape classic"},
      {"__convert_classic_histograms_to_nhcb__", "x", "error parsing convert classic"},
  };
  for (const Row& row : rows) {
    ScrapeConfig config = Config();
    config.relabel = {Replace(row.label, row.value)};
    const TargetSet set = BuildTargets(config, {Group({Address("h:1")})});
    EXPECT_THAT(set.active, IsEmpty()) << row.error;
    ASSERT_THAT(set.failures, SizeIs(1)) << row.error;
    EXPECT_THAT(set.failures[0], HasSubstr(std::string("instance 0 in group 0: ") + row.error));
  }
  const TargetSet bytes = BuildTargets(
      Config(), {Group({Address("h:1")}, model::Labels::FromPairs({{"a", "\xff"}}))});
  EXPECT_THAT(bytes.failures, SizeIs(1));
}

TEST(TargetTest, DroppedTargetsAreCountedAndKeptUpToTheLimit) {
  ScrapeConfig config = Config();
  model::RelabelRule drop;
  drop.action = model::RelabelAction::kDrop;
  drop.source_labels = {"__address__"};
  drop.regex = *base::Regex::Anchored("gone.*");
  config.relabel = {drop};
  config.keep_dropped_targets = 1;
  const TargetSet set =
      BuildTargets(config, {Group({Address("gone:1"), Address("gone:2"), Address("h:1"), Address("h:1")})});
  EXPECT_THAT(set.active, SizeIs(1));  // the repeated target is one
  EXPECT_EQ(set.dropped_count, 2u);
  ASSERT_THAT(set.dropped, SizeIs(1));
  EXPECT_EQ(set.dropped[0].discovered.Get("__address__"), "gone:1");
}

TEST(TargetTest, ATargetThatIsDiscoveredTwiceShowsTheLast) {
  const TargetSet set = BuildTargets(Config(), {Group({Address("h:1")}, model::Labels::FromPairs({{"__meta_n", "1"}})),
                                                Group({Address("h:1")}, model::Labels::FromPairs({{"__meta_n", "2"}}))});
  ASSERT_THAT(set.active, SizeIs(1));
  EXPECT_EQ(set.active[0]->discovered.Get("__meta_n"), "2");
}

TEST(TargetTest, SlotsAreSteadyAndSpread) {
  std::vector<model::Labels> addresses;
  for (int i = 0; i < 100; ++i) addresses.push_back(Address("h:" + std::to_string(i)));
  const TargetSet set = BuildTargets(Config(), {Group(addresses)});
  std::vector<int> quarters(4);
  for (const TargetPtr& t : set.active) {
    const base::Time now = base::FromUnixMillis(1'700'000'000'123);
    const base::Duration wait = TimeToSlot(*t, 7, now);
    EXPECT_GT(wait, 0s);
    EXPECT_LE(wait, 15s);
    // Asked again a little later, the slot is the same point in time.
    const base::Duration again = TimeToSlot(*t, 7, now + 1s);
    EXPECT_EQ((wait.count() - again.count() - base::Duration(1s).count()) % base::Duration(15s).count(), 0);
    ++quarters[static_cast<size_t>(wait * 4 / 15s) % 4];
  }
  for (const int n : quarters) EXPECT_GT(n, 10);
  EXPECT_NE(OffsetSeed("a", model::Labels()), OffsetSeed("b", model::Labels()));
}

TEST(NegotiateTest, TheDefaultBeginsWithProtobufForNativeHistograms) {
  EXPECT_THAT(AcceptHeader(DefaultProtocols(true), Escaping::kAllowUtf8),
              testing::StartsWith("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"
                                  "encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;"
                                  "escaping=allow-utf-8;q=0.5,"));
  EXPECT_EQ(AcceptHeader({}, Escaping::kDots), "*/*;q=0.6");
}

TEST(NegotiateTest, MediaTypesAreReadAsGoDoes) {
  EXPECT_EQ(*ParseMediaType("Text/Plain; charset=\"utf-8\"; x=y"), "text/plain");
  EXPECT_EQ(*ParseMediaType("text/plain;"), "text/plain");
  EXPECT_FALSE(ParseMediaType("text/plain; =x"));
  EXPECT_FALSE(ParseMediaType("text/plain; a=\"x"));
  EXPECT_FALSE(ParseMediaType("a b/c"));
}

json Shared(const std::string& name) {
  const char* shared = std::getenv("TOCSIN_SHARED");
  const auto text = base::RealFileSystem()->ReadFile(
      base::JoinPath(shared != nullptr ? shared : "../shared", "conformance/exposition/" + name));
  return text ? json::parse(*text) : json();
}

std::optional<Protocol> ProtocolOf(const json& name) {
  for (const auto& [protocol, text] : kProtocolNames) {
    if (name.is_string() && name.get<std::string>() == text) return protocol;
  }
  return std::nullopt;
}

TEST(NegotiateConformanceTest, HeadersAreThoseOfPrometheus) {
  const json cases = Shared("scrape_cases.json");
  if (cases.is_null()) GTEST_SKIP() << "no shared test data";
  for (const json& row : cases["accept_header"]) {
    std::vector<Protocol> protocols;
    for (const json& p : row["scrape_protocols"]) protocols.push_back(*ProtocolOf(p));
    Escaping escaping = Escaping::kAllowUtf8;
    for (const auto& [value, name] : kEscapingNames) {
      if (row["escaping"].get<std::string>() == name) escaping = value;
    }
    EXPECT_EQ(AcceptHeader(protocols, escaping), row["accept"]) << row["name"];
  }
  for (const json& row : cases["content_type"]) {
    const MediaType type =
        ReadMediaType(row["content_type"].get<std::string>(), ProtocolOf(row["fallback_scrape_protocol"]));
    const std::string parser = !type.format                              ? "null"
                               : *type.format == BodyFormat::kText       ? "\"text\""
                               : *type.format == BodyFormat::kOpenMetrics ? "\"openmetrics\""
                                                                         : "\"protobuf\"";
    EXPECT_EQ(parser, row["parser"].dump()) << row["name"];
    if (row["error"].is_null()) {
      EXPECT_EQ(type.problem, "") << row["name"];
    } else {
      EXPECT_THAT(type.problem, HasSubstr(row["error"].get<std::string>())) << row["name"];
    }
  }
}

}  // namespace
}  // namespace tocsin::scrape
