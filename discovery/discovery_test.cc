#include "discovery/discovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/log.h"
#include "base/simulated_executor.h"
#include "base/simulated_file_system.h"

namespace tocsin::discovery {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class DiscoveryTest : public ::testing::Test {
 protected:
  DiscoveryConfig Files(std::vector<std::string> patterns, base::Duration refresh = 5min) {
    DiscoveryConfig c;
    c.files.push_back({.files = std::move(patterns), .refresh_interval = refresh});
    return c;
  }
  DiscoveryConfig Static(std::string_view address) {
    DiscoveryConfig c;
    c.static_groups.push_back(std::make_shared<TargetGroup>(
        TargetGroup{.source = "0", .targets = {model::Labels::FromPairs({{"__address__", address}})}}));
    return c;
  }
  void Write(const std::string& path, std::string_view text) {
    fs_.SetTime(sim_.Now());
    ASSERT_TRUE(fs_.CreateFolders(base::FolderOf(path)));
    ASSERT_TRUE(fs_.WriteFileAtomically(path, text));
  }
  std::vector<std::string> Addresses(const TargetGroups& groups) {
    std::vector<std::string> out;
    for (const auto& g : groups) {
      for (const auto& t : g->targets) out.emplace_back(t.Get("__address__"));
    }
    return out;
  }

  base::SimulatedExecutor sim_{base::FromUnixMillis(1'000'000'000'000)};
  base::SimulatedFileSystem fs_;
  base::Registry registry_;
  std::vector<std::pair<std::string, TargetGroups>> updates_;
  Discovery discovery_{{.executor = &sim_, .fs = &fs_, .registry = &registry_},
                       [this](const std::string& job, const TargetGroups& groups) { updates_.emplace_back(job, groups); }};
};

TEST_F(DiscoveryTest, StaticTargetsArriveAtOnce) {
  discovery_.Apply({{"a", Static("h:1")}, {"empty", DiscoveryConfig()}});
  EXPECT_THAT(updates_, IsEmpty());
  sim_.RunFor(0s);
  ASSERT_EQ(updates_.size(), 2u);
  EXPECT_EQ(updates_[0].first, "a");
  EXPECT_THAT(Addresses(updates_[0].second), ElementsAre("h:1"));
  EXPECT_THAT(updates_[1].second, IsEmpty());
}

TEST_F(DiscoveryTest, FilesAreReadAgainWhenTheyChange) {
  Write("/t/one.yml", "- targets: [a:1, b:2]\n  labels: {env: prod}\n");
  Write("/t/two.json", "[{\"targets\": [\"c:3\"]}]");
  discovery_.Apply({{"job", Files({"/t/*.yml", "/t/two.json"})}});
  sim_.RunFor(1s);
  ASSERT_EQ(updates_.size(), 1u);
  EXPECT_THAT(Addresses(updates_[0].second), ElementsAre("a:1", "b:2", "c:3"));
  EXPECT_EQ(updates_[0].second[0]->labels.ToString(), "{__meta_filepath=\"/t/one.yml\", env=\"prod\"}");
  EXPECT_EQ(updates_[0].second[0]->source, "/t/one.yml:0");
  sim_.RunFor(10min);
  size_t before = updates_.size();
  Write("/t/one.yml", "- targets: [a:1]\n");
  Write("/t/three.yml", "- targets: [d:4]\n");
  sim_.RunFor(10s);
  ASSERT_EQ(updates_.size(), before + 1);
  EXPECT_THAT(Addresses(updates_.back().second), ElementsAre("a:1", "d:4", "c:3"));
  ASSERT_TRUE(fs_.Remove("/t/three.yml"));
  sim_.RunFor(10s);
  EXPECT_THAT(Addresses(updates_.back().second), ElementsAre("a:1", "c:3"));
}

TEST_F(DiscoveryTest, ABrokenFileKeepsItsLastTargets) {
  Write("/t/one.yml", "- targets: [a:1]\n");
  discovery_.Apply({{"job", Files({"/t/one.yml"})}});
  sim_.RunFor(1s);
  base::CaptureLog log;
  for (const char* broken : {"- targets: [a:1\n", "targets: [x]\n", "- ~\n", "- target: [x]\n", "- labels: {'': x}\n"}) {
    Write("/t/one.yml", broken);
    sim_.RunFor(6s);
    ASSERT_EQ(updates_.size(), 1u) << broken;
  }
  EXPECT_EQ(log.lines().size(), 5u);
  EXPECT_NE(registry_.Expose().find("prometheus_sd_file_read_errors_total 5"), std::string::npos);
  Write("/t/one.yml", "- targets: [b:1]\n");
  sim_.RunFor(6s);
  EXPECT_THAT(Addresses(updates_.back().second), ElementsAre("b:1"));
}

TEST_F(DiscoveryTest, AFileThatIsNotThereGivesAnEmptyFirstUpdate) {
  discovery_.Apply({{"job", Files({"/none/*.yml"})}});
  base::CaptureLog log;
  sim_.RunFor(1s);
  ASSERT_EQ(updates_.size(), 1u);
  EXPECT_THAT(updates_[0].second, IsEmpty());
}

TEST_F(DiscoveryTest, ManyChangesBecomeOneUpdateInFiveSeconds) {
  Write("/t/one.yml", "- targets: [a:0]\n");
  discovery_.Apply({{"job", Files({"/t/one.yml"}, 100ms)}});
  sim_.RunFor(1s);
  size_t before = updates_.size();
  for (int i = 1; i <= 100; ++i) {
    Write("/t/one.yml", "- targets: ['a:" + std::to_string(i) + "']\n");
    sim_.RunFor(100ms);
  }
  EXPECT_LE(updates_.size() - before, 3u);
  sim_.RunFor(5s);
  EXPECT_THAT(Addresses(updates_.back().second), ElementsAre("a:100"));
}

TEST_F(DiscoveryTest, AJobThatIsTheSameKeepsItsSourcesAndOneThatIsGoneIsSilent) {
  Write("/t/one.yml", "- targets: [a:1]\n");
  discovery_.Apply({{"keep", Files({"/t/one.yml"})}, {"gone", Static("g:1")}});
  sim_.RunFor(1s);
  updates_.clear();
  discovery_.Apply({{"keep", Files({"/t/one.yml"})}, {"new", Static("n:1")}});
  sim_.RunFor(0s);
  ASSERT_EQ(updates_.size(), 2u);
  EXPECT_THAT(Addresses(updates_[0].second), ElementsAre("a:1"));
  EXPECT_THAT(Addresses(updates_[1].second), ElementsAre("n:1"));
  EXPECT_EQ(registry_.Expose().find("config=\"gone\""), std::string::npos);
}

TEST_F(DiscoveryTest, NothingComesAfterStop) {
  Write("/t/one.yml", "- targets: [a:1]\n");
  discovery_.Apply({{"job", Files({"/t/one.yml"})}, {"s", Static("s:1")}});
  discovery_.Stop();
  sim_.RunFor(1h);
  EXPECT_THAT(updates_, IsEmpty());
}

// A client whose answers the test writes.
class ScriptedClient : public net::HttpClient {
 public:
  net::Call Fetch(net::FetchRequest request, net::FetchDone done) override {
    requests.push_back(std::move(request));
    waiting = std::move(done);
    return net::Call([this, n = requests.size()] {
      if (n == requests.size()) waiting = nullptr;
    });
  }
  void Answer(int status, std::string type, std::string body) {
    net::FetchResponse r{.status = status, .body = std::move(body)};
    r.headers.Set("Content-Type", type);
    std::exchange(waiting, nullptr)(std::move(r));
  }
  std::vector<net::FetchRequest> requests;
  net::FetchDone waiting;
};

TEST_F(DiscoveryTest, HttpAnswersReplaceTheTargetsAndFailuresKeepThem) {
  ScriptedClient client;
  Discovery discovery({.executor = &sim_, .fs = &fs_, .http = &client, .registry = &registry_},
                      [this](const std::string& job, const TargetGroups& groups) { updates_.emplace_back(job, groups); });
  DiscoveryConfig config;
  config.http.push_back({.url = "http://sd/x", .refresh_interval = 30s});
  discovery.Apply({{"job", config}});
  ASSERT_EQ(client.requests.size(), 1u);
  EXPECT_EQ(client.requests[0].headers.Get("X-Prometheus-Refresh-Interval-Seconds"), "30");
  client.Answer(200, "application/json; charset=utf-8", R"([{"targets": ["a:1"], "labels": {"x": "y"}}])");
  sim_.RunFor(1s);
  ASSERT_EQ(updates_.size(), 1u);
  EXPECT_THAT(Addresses(updates_[0].second), ElementsAre("a:1"));
  EXPECT_EQ(updates_[0].second[0]->labels.ToString(), "{__meta_url=\"http://sd/x\", x=\"y\"}");
  base::CaptureLog log;
  struct Row {
    int status;
    const char *type, *body;
  };
  for (const Row& row : {Row{500, "application/json", "[]"}, {200, "text/html", "[]"}, {200, "application/json", "{"}}) {
    sim_.RunFor(30s);
    client.Answer(row.status, row.type, row.body);
    sim_.RunFor(1s);
    EXPECT_EQ(updates_.size(), 1u) << row.body;
  }
  EXPECT_EQ(log.lines().size(), 3u);
}

}  // namespace
}  // namespace tocsin::discovery
