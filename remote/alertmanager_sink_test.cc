#include "remote/alertmanager_sink.h"

#include <gtest/gtest.h>

#include "base/log.h"
#include "base/simulated_executor.h"

namespace tocsin::remote {
namespace {

using namespace std::chrono_literals;  // NOLINT

// Keeps requests until the test answers them.
class FakeHttp : public net::HttpClient {
 public:
  struct Pending {
    net::FetchRequest request;
    net::FetchDone done;
  };
  net::Call Fetch(net::FetchRequest request, net::FetchDone done) override {
    pending.push_back({std::move(request), std::move(done)});
    return net::Call([this] { ++cancelled; });
  }
  void Answer(int status) {
    Pending p = std::move(pending.front());
    pending.erase(pending.begin());
    net::FetchResponse r;
    r.status = status;
    p.done(std::move(r));
  }
  std::vector<Pending> pending;
  int cancelled = 0;
};

class AlertmanagerSinkTest : public testing::Test {
 protected:
  AlertmanagerSinkTest() {
    AlertmanagerConfig one;
    one.path_prefix = "/am/";
    config_.alertmanagers.push_back(one);
    Make();
  }
  void Make(size_t capacity = 10000) {
    sink_ = nullptr;
    registry_ = std::make_unique<base::Registry>();
    AlertmanagerSinkOptions o;
    o.executor = &sim_;
    o.http = &http_;
    o.registry = registry_.get();
    o.queue_capacity = capacity;
    sink_ = std::make_unique<AlertmanagerSink>(o);
  }
  static discovery::TargetGroups Targets(std::vector<std::string> addresses) {
    auto group = std::make_shared<model::TargetGroup>();
    group->source = "s";
    group->labels = model::Labels::FromPairs({{"dc", "a"}});
    for (const std::string& a : addresses) {
      group->targets.push_back(model::Labels::FromPairs({{"__address__", a}}));
    }
    return {group};
  }
  static std::vector<model::AlertPtr> Alerts(int n, int from = 0) {
    std::vector<model::AlertPtr> out;
    for (int i = from; i < from + n; ++i) {
      auto a = std::make_shared<model::Alert>();
      a->labels = model::Labels::FromPairs({{"alertname", "A"}, {"i", std::to_string(i)}});
      a->annotations = model::Labels::FromPairs({{"summary", "<\"x\">"}});
      a->starts_at = base::FromUnixMillis(1600000000123);
      a->ends_at = base::FromUnixMillis(1600000240000);
      a->generator_url = "http://p/graph?g0.expr=up";
      out.push_back(a);
    }
    return out;
  }
  bool Exposes(const std::string& line) const { return registry_->Expose().find(line + "\n") != std::string::npos; }

  base::SimulatedExecutor sim_{base::FromUnixMillis(1600000000000)};
  FakeHttp http_;
  std::unique_ptr<base::Registry> registry_;
  AlertingConfig config_;
  std::unique_ptr<AlertmanagerSink> sink_;
};

TEST_F(AlertmanagerSinkTest, AlertsGoToEachAlertmanagerAsApiV2Wants) {
  sink_->Apply(config_);
  sink_->SetTargets("config-0", Targets({"a:9093", "b:9093", "a:9093"}));
  EXPECT_EQ(sink_->ActiveUrls(),
            (std::vector<std::string>{"http://a:9093/am/api/v2/alerts", "http://b:9093/am/api/v2/alerts"}));
  sink_->Send(Alerts(1));
  ASSERT_EQ(http_.pending.size(), 2u);
  EXPECT_EQ(http_.pending[0].request.url, "http://a:9093/am/api/v2/alerts");
  EXPECT_EQ(http_.pending[0].request.headers.Get("Content-Type"), "application/json");
  EXPECT_EQ(http_.pending[0].request.timeout, 10s);
  EXPECT_EQ(http_.pending[0].request.body,
            R"([{"labels":{"alertname":"A","i":"0"},"annotations":{"summary":"<\"x\">"},)"
            R"("startsAt":"2020-09-13T12:26:40.123Z","endsAt":"2020-09-13T12:30:40.000Z",)"
            R"("generatorURL":"http://p/graph?g0.expr=up"}])");
  http_.Answer(200);
  EXPECT_TRUE(Exposes(R"(prometheus_notifications_sent_total{alertmanager="http://a:9093/am/api/v2/alerts"} 1)"));
  EXPECT_TRUE(Exposes(R"(prometheus_notifications_errors_total{alertmanager="http://a:9093/am/api/v2/alerts"} 0)"));
  EXPECT_TRUE(Exposes("prometheus_notifications_alertmanagers_discovered 2"));
}

TEST_F(AlertmanagerSinkTest, BatchesFollowEachOtherAndTheOldestAreDroppedFromAFullQueue) {
  Make(1000);
  sink_->Apply(config_);
  sink_->SetTargets("config-0", Targets({"a:9093"}));
  base::CaptureLog log;
  sink_->Send(Alerts(1200));
  ASSERT_EQ(http_.pending.size(), 1u);
  EXPECT_NE(http_.pending[0].request.body.find(R"("i":"200")"), std::string::npos);
  EXPECT_EQ(http_.pending[0].request.body.find(R"("i":"199")"), std::string::npos);
  EXPECT_EQ(http_.pending[0].request.body.find(R"("i":"456")"), std::string::npos) << "256 in a batch";
  const std::string am = R"({alertmanager="http://a:9093/am/api/v2/alerts"} )";
  EXPECT_TRUE(Exposes("prometheus_notifications_dropped_total" + am + "200"));
  EXPECT_TRUE(Exposes("prometheus_notifications_queue_length" + am + "744"));
  for (int i = 0; i < 4; ++i) http_.Answer(200);
  EXPECT_TRUE(http_.pending.empty());
  EXPECT_TRUE(Exposes("prometheus_notifications_sent_total" + am + "1000"));
  EXPECT_TRUE(Exposes("prometheus_notifications_queue_length" + am + "0"));
}

TEST_F(AlertmanagerSinkTest, AFailedBatchIsCountedAndTheNextOneSent) {
  sink_->Apply(config_);
  sink_->SetTargets("config-0", Targets({"a:9093"}));
  base::CaptureLog log;
  sink_->Send(Alerts(300));
  http_.Answer(500);
  EXPECT_NE(log.lines()[0].find("bad response status 500"), std::string::npos);
  const std::string am = R"({alertmanager="http://a:9093/am/api/v2/alerts"} )";
  EXPECT_TRUE(Exposes("prometheus_notifications_errors_total" + am + "256"));
  EXPECT_TRUE(Exposes("prometheus_notifications_dropped_total" + am + "256"));
  EXPECT_EQ(http_.pending.size(), 1u);
}

TEST_F(AlertmanagerSinkTest, RelabelingChoosesAlertmanagersAndChangesAlerts) {
  model::RelabelRule drop;
  drop.action = model::RelabelAction::kDrop;
  drop.source_labels = {"__address__"};
  drop.regex = *base::Regex::Anchored("b:.*");
  config_.alertmanagers[0].relabel = {drop};
  model::RelabelRule keep;
  keep.action = model::RelabelAction::kKeep;
  keep.source_labels = {"i"};
  keep.regex = *base::Regex::Anchored("1");
  config_.alertmanagers[0].alert_relabel = {keep};
  sink_->Apply(config_);
  sink_->SetTargets("config-0", Targets({"a:9093", "b:9093", "http://c/"}));
  EXPECT_EQ(sink_->ActiveUrls().size(), 1u);
  EXPECT_EQ(sink_->DroppedUrls(), std::vector<std::string>{"http://b:9093/am/api/v2/alerts"});
  sink_->Send(Alerts(3));
  ASSERT_EQ(http_.pending.size(), 1u);
  EXPECT_EQ(http_.pending[0].request.body.find(R"("i":"0")"), std::string::npos);
  EXPECT_NE(http_.pending[0].request.body.find(R"("i":"1")"), std::string::npos);
  http_.Answer(200);
  sink_->Send(Alerts(1));
  EXPECT_TRUE(http_.pending.empty()) << "nothing left to send";
}

TEST_F(AlertmanagerSinkTest, AnAlertmanagerThatIsGoneGetsNoMoreAndItsMetricsEnd) {
  sink_->Apply(config_);
  sink_->SetTargets("config-0", Targets({"a:9093", "b:9093"}));
  sink_->Send(Alerts(1));
  sink_->SetTargets("config-0", Targets({"b:9093"}));
  http_.Answer(200);
  EXPECT_EQ(registry_->Expose().find("a:9093"), std::string::npos);
  sink_->Apply(config_);
  sink_->Send(Alerts(1));
  EXPECT_EQ(sink_->ActiveUrls().size(), 1u) << "kept until discovery answers anew";
  sink_->Apply({});
  EXPECT_TRUE(sink_->ActiveUrls().empty());
}

TEST_F(AlertmanagerSinkTest, StopSendsWhatWaitsWithinItsGrace) {
  sink_->Apply(config_);
  sink_->SetTargets("config-0", Targets({"a:9093"}));
  sink_->Send(Alerts(300));
  bool stopped = false;
  sink_->Stop(10s, [&] { stopped = true; });
  sink_->Send(Alerts(1));
  http_.Answer(200);
  sim_.RunPosted();
  EXPECT_FALSE(stopped);
  http_.Answer(200);
  sim_.RunPosted();
  EXPECT_TRUE(stopped);
}

TEST_F(AlertmanagerSinkTest, StopGivesUpAfterItsGrace) {
  sink_->Apply(config_);
  sink_->SetTargets("config-0", Targets({"a:9093"}));
  sink_->Send(Alerts(300));
  bool stopped = false;
  base::CaptureLog log;
  sink_->Stop(10s, [&] { stopped = true; });
  sim_.RunFor(11s);
  EXPECT_TRUE(stopped);
  EXPECT_EQ(http_.cancelled, 1);
}

}  // namespace
}  // namespace tocsin::remote
