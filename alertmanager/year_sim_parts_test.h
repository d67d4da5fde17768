#pragma once

// What surrounds the Alertmanager in the simulated year (year_sim_test.cc): a clock that is set, a disk
// that takes its time, receivers that fail in every way.

#include <fmt/format.h>

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "alertmanager/random.h"
#include "alertmanager/shared_kit_test.h"
#include "alertmanager/sim_world_test.h"
#include "state/transaction.h"

namespace tocsin::alertmanager::year {

// A request that the journal tells of.
struct JournalRow {
  base::Time written{};  // true time
  JournalKind kind = JournalKind::kRequest;
  std::string group;
  std::string integration;
  bool answered = false;
};

// Writes in order, each commit after a while; a kill loses what is not written.
class SlowStore : public state::Store {
 public:
  SlowStore(JumpingExecutor* sim, Random* random) : sim_(sim), random_(random), kept_(sim) {}

  void Commit(state::Transaction t, Done done) override {
    calls_.push_back({.transaction = std::move(t), .query = {}, .done = std::move(done)});
    if (calls_.size() == 1) Arm();
  }
  void ReadPacks(state::PackQuery query, Done done) override {
    calls_.push_back({.transaction = {}, .query = std::move(query), .done = std::move(done)});
    if (calls_.size() == 1) Arm();
  }
  void Stop(base::Task done) override { sim_->Post(std::move(done)); }
  state::Contents Contents() const { return kept_.Contents(); }

  void Kill() {
    calls_.clear();
    timer_.Cancel();
  }
  bool idle() const { return calls_.empty(); }

  std::vector<JournalRow> rows;
  std::function<void(const JournalEntry&)> on_entry;  // of the journal, as it is written

 private:
  struct Call {
    state::Transaction transaction;
    state::PackQuery query;
    Done done;
  };

  void Arm() {
    timer_ = sim_->After(std::chrono::microseconds(100 + random_->Next() % 30'000), [this] { Write(); });
  }

  void Write() {
    Call call = std::move(calls_.front());
    calls_.pop_front();
    if (!calls_.empty()) Arm();
    if (call.query.visit != nullptr) return kept_.ReadPacks(std::move(call.query), std::move(call.done));
    for (auto& [journal, packs] : call.transaction.rep()->packs) {
      for (const state::EventPack& pack : packs) ReadRows(pack);
    }
    kept_.Commit(std::move(call.transaction), std::move(call.done));
  }

  void ReadRows(const state::EventPack& pack) {
    if (std::exchange(chapter_number_, pack.chapter) != pack.chapter) chapter_ = {};
    const base::Status read = chapter_.Read(pack.bytes, [this](JournalEntry e) {
      if (on_entry) on_entry(e);
      if (e.kind != JournalKind::kRequest && e.kind != JournalKind::kUnanswered && e.kind != JournalKind::kRecovered) return;
      rows.push_back({.written = sim_->True(),
                      .kind = e.kind,
                      .group = e.group->key,
                      .integration = e.integration,
                      .answered = e.kind == JournalKind::kRequest && e.status != 0});
    });
    EXPECT_TRUE(read.has_value()) << read.error().message();
  }

  JumpingExecutor* const sim_;
  Random* const random_;
  KeptStore kept_;
  std::deque<Call> calls_;
  base::Timer timer_;
  JournalChapter chapter_;
  int64_t chapter_number_ = 0;
};

enum class Mode {
  kFine,
  kFlaky,        // each request as one of those below, or fine
  kServerError,
  kRateLimited,
  kRefused,
  kGarbage,
  kSilent,       // never answers, and has not listened
  kReset,
  kHeardSilent,  // has listened, and never answers
  kHeardReset,
};
constexpr unsigned kModes = 10;

// What one message said.
struct Told {
  base::Time at{};               // true time
  std::set<std::string> firing;  // instances
  std::set<std::string> resolved;
};

// Receivers by URL.
class Receivers : public net::HttpClient {
 public:
  using Lane = std::pair<std::string, std::string>;  // URL and group key

  Receivers(JumpingExecutor* sim, Random* random) : sim_(sim), random_(random) {}

  net::Call Fetch(net::FetchRequest request, net::FetchDone done) override {
    const uint64_t id = next_++;
    Request& r = open_[id];
    r.mode = modes[request.url];
    if (r.mode == Mode::kFlaky) r.mode = random_->Next() % 2 == 0 ? Mode::kFine : static_cast<Mode>(2 + random_->Next() % (kModes - 2));
    r.lane = {request.url, Read(request.body, &r.says)};
    r.done = std::move(done);
    r.gives_up = sim_->True() + request.timeout;
    // Of those that do not listen, some cannot be reached.
    if (r.mode == Mode::kSilent || r.mode == Mode::kReset) *request.unsent = random_->Next() % 2 == 0;
    ++requests[r.lane];
    for (const auto& [other, o] : open_) {
      if (other != id && o.lane == r.lane) on_problem(fmt::format("two requests at once to {} about {}", r.lane.first, r.lane.second));
    }
    r.timer = sim_->After(Milliseconds(1, 1500), [this, id] { Arrived(id); });
    return net::Call([this, id] { Cancelled(id); });
  }

  std::map<std::string, Mode> modes;
  std::map<Lane, uint64_t> requests;
  // Messages that were heard, but whose sender did not get the answer.
  std::set<Lane> unanswered;
  // For each message that a receiver hears.
  std::function<void(const Lane& lane, const Told& now)> on_heard;
  std::function<void(std::string)> on_problem;

 private:
  struct Request {
    Mode mode = Mode::kFine;
    Lane lane;
    Told says;
    bool heard = false;
    net::FetchDone done;
    base::Time gives_up{};  // its sender
    base::Timer timer;
  };

  base::Duration Milliseconds(unsigned from, unsigned to) {
    return std::chrono::milliseconds(from + random_->Next() % (to - from));
  }

  // Returns the group key.
  static std::string Read(const std::string& body, Told* says) {
    simdjson::dom::parser parser;
    const simdjson::padded_string text(body);
    const auto root = parser.parse(text);
    for (const auto alert : root["alerts"].get_array()) {
      (TextOf(alert["status"]) == "firing" ? says->firing : says->resolved).insert(TextOf(alert["labels"]["instance"]));
    }
    return TextOf(root["groupKey"]);
  }

  void Arrived(uint64_t id) {
    Request& r = open_.at(id);
    r.heard = r.mode == Mode::kFine || r.mode == Mode::kHeardSilent || r.mode == Mode::kHeardReset;
    if (r.heard) {
      r.says.at = sim_->True();
      on_heard(r.lane, r.says);
    }
    const bool silent = r.mode == Mode::kSilent || r.mode == Mode::kHeardSilent;
    r.timer = sim_->After(silent ? r.gives_up - sim_->True() : Milliseconds(1, 1500), [this, id] { Answer(id); });
  }

  void Answer(uint64_t id) {
    Request r = std::move(open_.at(id));
    open_.erase(id);
    net::FetchResponse response;
    switch (r.mode) {
      case Mode::kServerError: response.status = 500; break;
      case Mode::kRateLimited:
        response.status = 429;
        response.headers.Set("Retry-After", std::to_string(1 + random_->Next() % 20));
        break;
      case Mode::kRefused: response.status = 400; break;
      case Mode::kGarbage:
        response.status = 302;
        response.body = std::string(100, '\xff');
        break;
      case Mode::kHeardSilent: unanswered.insert(r.lane); [[fallthrough]];
      case Mode::kSilent: return r.done(base::DeadlineExceeded("timed out"));
      case Mode::kHeardReset: unanswered.insert(r.lane); [[fallthrough]];
      case Mode::kReset: return r.done(base::Unavailable("connection reset"));
      default:
        response.status = 200;
        unanswered.erase(r.lane);
    }
    r.done(std::move(response));
  }

  void Cancelled(uint64_t id) {
    const auto it = open_.find(id);
    if (it == open_.end()) return;
    if (it->second.heard) unanswered.insert(it->second.lane);
    open_.erase(it);
  }

  JumpingExecutor* const sim_;
  Random* const random_;
  uint64_t next_ = 0;
  std::map<uint64_t, Request> open_;
};

}  // namespace tocsin::alertmanager::year
