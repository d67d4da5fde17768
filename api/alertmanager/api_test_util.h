#pragma once

// An Alertmanager on virtual time behind a router, for the tests of both halves of /api/v2.

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "alertmanager/alertmanager.h"
#include "api/http/fake_exchange.h"
#include "base/log.h"
#include "base/simulated_executor.h"

namespace tocsin::api {

class AlertmanagerWorld : public testing::Test {
 protected:
  void Start(const std::string& config, alertmanager::Transport transport, alertmanager::Options options) {
    options.seed = 3;
    options.clock = [this] { return sim_.Now(); };
    am_ = std::make_unique<alertmanager::Alertmanager>(&sim_, store_.get(), &registry_, transport, options);
    am_->Restore({});
    am_->Apply(*alertmanager::Alertmanager::Prepare(*alertmanager::LoadConfig(config, "am.yml"), options));
  }

  std::shared_ptr<FakeExchange> Ask(std::string_view method, std::string_view target, std::string_view body = {},
                                    std::string_view content_type = "application/json") {
    net::Headers headers;
    if (!content_type.empty()) headers.Set("Content-Type", content_type);
    auto x = std::make_shared<FakeExchange>(method, target, body, std::move(headers));
    router_.Serve(x);
    sim_.RunFor(std::chrono::milliseconds(100));
    return x;
  }

  base::CaptureLog log_;
  base::SimulatedExecutor sim_{base::FromUnixMillis(1'700'000'000'000)};
  base::Registry registry_;
  std::unique_ptr<state::Store> store_ = state::NewMemoryStore(&sim_);
  std::unique_ptr<alertmanager::Alertmanager> am_;
  Router router_;
};

}  // namespace tocsin::api
