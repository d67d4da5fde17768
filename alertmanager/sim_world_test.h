#pragma once

// The production objects on virtual time: an Alertmanager with a store in memory, and receivers that
// write down what they get and answer as told.

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "alertmanager/alertmanager.h"
#include "base/log.h"
#include "base/simulated_executor.h"
#include "state/store.h"

namespace tocsin::alertmanager {

using namespace std::chrono_literals;

inline const base::Time kStart = base::FromUnixMillis(1'700'000'000'000);

// Wall-clock time may be set; timers do not care.
class JumpingExecutor : public base::SimulatedExecutor {
 public:
  using SimulatedExecutor::SimulatedExecutor;
  base::Time Now() const override { return SimulatedExecutor::Now() + offset_; }
  base::Time True() const { return SimulatedExecutor::Now(); }
  void Jump(base::Duration by) { offset_ += by; }

 private:
  base::Duration offset_{};
};

class FakeHttp : public net::HttpClient {
 public:
  struct Request {
    base::Duration at;  // since kStart
    net::FetchRequest request;
  };
  explicit FakeHttp(base::SimulatedExecutor* sim) : sim_(sim) {}
  net::Call Fetch(net::FetchRequest request, net::FetchDone done) override {
    requests.push_back({sim_->Now() - kStart, request});
    auto cancelled = std::make_shared<bool>(false);
    auto keep = std::make_shared<net::FetchDone>(std::move(done));
    int status = 200;
    if (!statuses.empty()) {
      status = statuses.front();
      statuses.pop_front();
    }
    if (request.unsent != nullptr) *request.unsent = status == kNoConnection;
    if (status == kNever) return net::Call([cancelled] { *cancelled = true; });
    timers_.push_back(sim_->After(latency, [this, cancelled, keep, status, headers = headers] {
      if (*cancelled) return;
      net::FetchResponse r;
      r.status = status;
      r.headers = headers;
      if (!bodies.empty()) {
        r.body = bodies.front();
        bodies.pop_front();
      }
      if (status == kReset || status == kNoConnection) {
        (*keep)(base::Unavailable(status == kReset ? "connection reset" : "connection refused"));
      } else {
        (*keep)(std::move(r));
      }
    }));
    return net::Call([cancelled] { *cancelled = true; });
  }

  static constexpr int kNever = -1;  // no answer at all
  static constexpr int kReset = -2;
  static constexpr int kNoConnection = -3;
  std::vector<Request> requests;
  std::deque<int> statuses;  // of the next answers; then 200
  net::Headers headers;      // of answers
  std::deque<std::string> bodies;  // of the next answers; then empty
  base::Duration latency = 1ms;

 private:
  base::SimulatedExecutor* const sim_;
  std::vector<base::Timer> timers_;
};

class FakeMail : public net::MailClient {
 public:
  explicit FakeMail(base::SimulatedExecutor* sim) : sim_(sim) {}
  net::Call Send(net::SmtpMessage message, net::SmtpDone done) override {
    messages.push_back(std::move(message));
    auto keep = std::make_shared<net::SmtpDone>(std::move(done));
    sim_->Post([this, keep] {
      if (answers.empty()) return (*keep)({});
      auto a = std::move(answers.front());
      answers.pop_front();
      (*keep)(std::move(a));
    });
    return {};
  }
  std::vector<net::SmtpMessage> messages;
  std::deque<base::Status> answers;

 private:
  base::SimulatedExecutor* const sim_;
};

// Keeps records like the durable store: what is committed survives a "crash" of the Alertmanager.
class KeptStore : public state::Store {
 public:
  explicit KeptStore(base::SimulatedExecutor* sim) : sim_(sim) {}
  void Commit(state::Transaction t, Done done) override;
  void ReadPacks(state::PackQuery query, Done done) override;
  void Stop(base::Task done) override { sim_->Post(std::move(done)); }
  state::Contents Contents() const;
  void Reset();  // as a new one
  std::vector<JournalEntry> Journal() const;  // all of it, in the order of writing
  std::vector<state::EventPack> packs;
  int commits = 0;
  std::optional<base::Error> broken;  // the answer to every commit
  bool slow = false;                  // commits are kept, but their callers do not hear of it

 private:
  base::SimulatedExecutor* const sim_;
  std::map<std::string, state::SilenceRecord> silences_;
  std::map<std::pair<std::string, std::string>, state::NotificationRecord> notifications_;
  std::map<std::pair<std::string, std::string>, state::IntentRecord> intents_;
  std::map<uint64_t, state::AlertRecord> alerts_;
};

// A fixture: alerts, silences and time for one Alertmanager.
class World : public testing::Test {
 protected:
  using Names = std::vector<std::pair<std::string, std::string>>;

  World() {
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

  base::CaptureLog log_;
  JumpingExecutor sim_{kStart};
  KeptStore store_{&sim_};
  FakeHttp http_{&sim_};
  FakeMail mail_{&sim_};
  Options options_;
  std::unique_ptr<base::Registry> registry_;
  std::unique_ptr<Alertmanager> am_;
};

}  // namespace tocsin::alertmanager
