#pragma once

// The production objects on virtual time: an Alertmanager with a store in memory, and receivers that
// write down what they get and answer as told.

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "alertmanager/alertmanager.h"
#include "base/simulated_executor.h"
#include "state/store.h"

namespace tocsin::alertmanager {

using namespace std::chrono_literals;

inline const base::Time kStart = base::FromUnixMillis(1'700'000'000'000);

// Keeps records like the durable store; what is committed survives a "crash" of the Alertmanager.
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
    if (status == kNever) return net::Call([cancelled] { *cancelled = true; });
    timers_.push_back(sim_->After(latency, [cancelled, keep, status, headers = headers] {
      if (*cancelled) return;
      net::FetchResponse r;
      r.status = status;
      r.headers = headers;
      if (status == kReset) {
        (*keep)(base::Unavailable("connection reset"));
      } else {
        (*keep)(std::move(r));
      }
    }));
    return net::Call([cancelled] { *cancelled = true; });
  }

  static constexpr int kNever = -1;  // no answer at all
  static constexpr int kReset = -2;
  std::vector<Request> requests;
  std::deque<int> statuses;  // of the next answers; then 200
  net::Headers headers;      // of answers
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

// A store that hands its records to the next one, as a disk would.
class KeptStore : public state::Store {
 public:
  explicit KeptStore(base::SimulatedExecutor* sim) : sim_(sim) {}
  void Commit(state::Transaction t, Done done) override;
  void ReadPacks(state::PackQuery query, Done done) override;
  void Stop(base::Task done) override { sim_->Post(std::move(done)); }
  state::Contents Contents() const;
  std::vector<JournalEntry> Journal() const;  // all of it, in the order of writing
  std::vector<state::EventPack> packs;
  int commits = 0;

 private:
  base::SimulatedExecutor* const sim_;
  std::map<std::string, state::SilenceRecord> silences_;
  std::map<std::pair<std::string, std::string>, state::NotificationRecord> notifications_;
  std::map<std::pair<std::string, std::string>, state::IntentRecord> intents_;
  std::map<uint64_t, state::AlertRecord> alerts_;
};

}  // namespace tocsin::alertmanager
