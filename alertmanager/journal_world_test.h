#pragma once

// A fixture for tests of the journal and of what is made of it: the production objects on virtual
// time, with alerts, silences and the journal as short lines.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "alertmanager/sim_world_test.h"
#include "base/log.h"

namespace tocsin::alertmanager {

class JournalWorld : public testing::Test {
 protected:
  using Names = std::vector<std::pair<std::string, std::string>>;

  JournalWorld() {
    options_.seed = 7;
    options_.external_url = "http://am.example.org";
    options_.clock = [this] { return sim_.Now(); };
  }

  void Start(const std::string& config) {
    registry_ = std::make_unique<base::Registry>();
    am_ = std::make_unique<Alertmanager>(&sim_, &store_, registry_.get(),
                                         Transport{.http = &http_, .mail = &mail_}, options_);
    am_->Restore(store_.Contents());
    Apply(config);
  }

  void Apply(const std::string& config) {
    auto loaded = LoadConfig(config, "am.yml");
    ASSERT_TRUE(loaded.has_value()) << loaded.error().message();
    auto prepared = Alertmanager::Prepare(*loaded, options_);
    ASSERT_TRUE(prepared.has_value()) << prepared.error().message();
    am_->Apply(*prepared);
  }

  // What a kill does: nothing more is written.
  void Kill() { am_.reset(); }
  void RunTo(base::Duration at) { sim_.RunUntil(kStart + at); }

  void Post(const Names& labels, base::Duration starts, std::optional<base::Duration> ends = 100h) {
    model::Alert a;
    a.labels = model::Labels::FromPairs(labels);
    a.annotations = model::Labels::FromPairs({{"summary", "it is down"}});
    a.starts_at = kStart + starts;
    if (ends) a.ends_at = kStart + *ends;
    auto status = am_->Post({a});
    ASSERT_TRUE(status.has_value()) << status.error().message();
  }
  void Fire(const std::string& instance, base::Duration starts) {
    Post({{"alertname", "Down"}, {"instance", instance}}, starts);
  }
  void Resolve(const std::string& instance, base::Duration starts, base::Duration ends) {
    Post({{"alertname", "Down"}, {"instance", instance}}, starts, ends);
  }

  std::string AddSilence(std::string_view matchers, base::Duration lasts) {
    Silence s;
    s.matcher_sets = {*ParseMatchers(matchers)};
    s.starts_at = sim_.Now();
    s.ends_at = sim_.Now() + lasts;
    s.created_by = "ada";
    s.comment = "being replaced";
    return AddSilence(std::move(s));
  }
  std::string AddSilence(Silence s) {
    std::string id;
    am_->silences().Set(std::move(s), [&](base::Result<std::string> r) {
      ASSERT_TRUE(r.has_value()) << r.error().message();
      id = *r;
    });
    sim_.RunPosted();
    return id;
  }

  // "0:30 request ops/webhook/0 delivered 200 #1 first notification a+ b-"
  std::vector<std::string> Rows() {
    std::vector<std::string> out;
    for (const JournalEntry& e : store_.Journal()) out.push_back(Row(e));
    return out;
  }

  static std::string Row(const JournalEntry& e) {
    const auto s = std::chrono::floor<std::chrono::seconds>(e.at - kStart).count();
    std::string line = fmt::format("{}:{:02} {}", s / 60, s % 60, JournalKindName(e.kind));
    auto add = [&](std::string_view text) {
      if (!text.empty()) line += fmt::format(" {}", text);
    };
    if (e.alert != nullptr) add(e.alert->labels.Get("instance"));
    add(e.integration);
    add(JournalCauseName(e));
    if (e.status != 0) add(std::to_string(e.status));
    if (e.attempt != 0) add("#" + std::to_string(e.attempt));
    add(e.reason);
    for (const JournalAlertPtr& a : e.firing) add(std::string(a->labels.Get("instance")) + "+");
    for (const JournalAlertPtr& a : e.resolved) add(std::string(a->labels.Get("instance")) + "-");
    return line;
  }

  base::CaptureLog log_;
  base::SimulatedExecutor sim_{kStart};
  KeptStore store_{&sim_};
  FakeHttp http_{&sim_};
  FakeMail mail_{&sim_};
  Options options_;
  std::unique_ptr<base::Registry> registry_;
  std::unique_ptr<Alertmanager> am_;
};

// One route to one webhook of the receiver ops.
inline std::string OneWebhook(std::string_view hook = "send_resolved: true", std::string_view more = "") {
  return fmt::format(
      "route:\n  receiver: ops\n  group_by: [alertname]\n  group_wait: 30s\n  group_interval: 5m\n"
      "  repeat_interval: 10m\nreceivers:\n- name: ops\n  webhook_configs:\n  - url: http://hook/\n    {}\n{}",
      hook, more);
}

}  // namespace tocsin::alertmanager
