// A simulated year: the production objects on virtual time, senders that repeat their alerts as
// Prometheus does, receivers that fail in every way, kills (also between a message and its record), stops,
// reloads that change routes, silences, inhibition, mute times and a clock that is set, drawn from a seed.
// What holds for every seed:
//
//   1. What fires and nothing suppresses is announced within kSoon of the last disturbance, and again
//      within repeat_interval and kSoon.
//   2. What has ended is reported as ended, silenced or not, to a receiver that believes that it fires
//      and wants to know.
//   3. A message says something new, or repeats what is due; else one before had no answer, and the
//      journal says so.
//   4. What is suppressed is not announced.
//   5. No two requests about one group are under way to one receiver; each request has one row in the
//      journal, but for what a kill cut off.
//
// What 2 says of ends waits for a clock that was set back.  A disturbance is what changes the world: the alert
// itself, its receiver, its suppression, a start, a reload, the clock.  Each seed lives eight hours, so that 1,100 are a year; TOCSIN_SEED is the first one,
// TOCSIN_ROUNDS their number.  A single one prints its story.

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "alertmanager/alertmanager.h"
#include "alertmanager/year_sim_parts_test.h"
#include "base/log.h"

namespace tocsin::alertmanager::year {
namespace {

constexpr base::Duration kGroupWait = 10s, kGroupInterval = 1min, kRepeat = 30min, kResolveTimeout = 5min;
constexpr base::Duration kLifetime = 8h;
// A flush may last as long as an interval, and what it tells and records takes a moment.
constexpr base::Duration kLate = kGroupInterval + 10s;
// The next flush may come after one that lasts its whole time; a new group waits before.
constexpr base::Duration kSoon = kGroupWait + kGroupInterval + kLate;
constexpr base::Duration kLook = 10s;  // between looks at the world

constexpr const char* kAll = "http://all/";
constexpr const char* kNoResolves = "http://firing/";
constexpr const char* kOne = "http://one/";
constexpr const char* kTwo = "http://two/";
const std::map<std::string, std::string> kIntegrations = {
    {kAll, "all/webhook/0"}, {kNoResolves, "firing/webhook/0"}, {kOne, "pair/webhook/0"}, {kTwo, "pair/webhook/1"}};

// Job c's receivers are two, are told nothing in the intervals, and job c's warnings wait for its page.
std::string ConfigText(bool b_apart, bool by_severity) {
  return fmt::format(R"(global: {{resolve_timeout: 5m}}
route:
  receiver: all
  group_by: [{}]
  group_wait: 10s
  group_interval: 1m
  repeat_interval: 30m
  routes:
{}  - matchers: ['job="c"']
    receiver: pair
    mute_time_intervals: [breaks]
inhibit_rules:
- source_matchers: ['severity="page"']
  target_matchers: ['severity="warn"', 'job="c"']
  equal: [job]
time_intervals:
- name: breaks
  time_intervals: [{{times: [{{start_time: '00:30', end_time: '01:00'}}, {{start_time: '02:00', end_time: '02:10'}}, {{start_time: '04:00', end_time: '05:00'}}]}}]
receivers:
- name: all
  webhook_configs: [{{url: 'http://all/'}}]
- name: firing
  webhook_configs: [{{url: 'http://firing/', send_resolved: false}}]
- name: pair
  webhook_configs: [{{url: 'http://one/'}}, {{url: 'http://two/', timeout: 10s}}]
)",
                     by_severity ? "job, severity" : "job",
                     b_apart ? "  - matchers: ['job=\"b\"']\n    receiver: firing\n" : "");
}

bool InBreak(base::Time now) {
  const auto day = now.time_since_epoch() % std::chrono::duration_cast<base::Duration>(24h);
  const auto minute = std::chrono::floor<std::chrono::minutes>(day).count();
  return (minute >= 30 && minute < 60) || (minute >= 120 && minute < 130) || (minute >= 240 && minute < 300);
}

// An alert as its sender knows it, and what follows of it.
struct Subject {
  std::string instance, job, severity;
  model::Labels labels;
  bool firing = false;
  base::Time starts{}, ends{};  // wall clock
  base::Time changed{};         // true time, as all below; zero: never fired
  base::Time unsettled{};       // the Alertmanager may not know its state so far
  base::Time interrupted{};     // it may have counted as ended or suppressed then
  base::Time since{};           // of `suppressed`
  bool suppressed = false;
};

struct Mute {
  std::string id;  // empty: its acknowledgement was cut off by a kill
  std::set<std::string> instances;
  base::Time starts{}, ends{};  // wall clock
};

class World {
 public:
  World(uint64_t seed, bool tell)
      : random_(seed), tell_(tell), kills_(seed % 4 != 0), sim_(kStart), store_(&sim_, &random_), http_(&sim_, &random_), mail_(&sim_) {
    options_.external_url = "http://am";
    options_.clock = [this] { return sim_.Now(); };
    http_.on_heard = [this](const Receivers::Lane& lane, const Told& now) { Heard(lane, now); };
    if (tell) {
      store_.on_entry = [this](const JournalEntry& e) {
        if (!e.integration.empty()) Tell("    journal: {} {} {} {}", JournalKindName(e.kind), JournalCauseName(e), e.integration, e.group->key);
      };
    }
    http_.on_problem = [this](std::string what) { Fail(std::move(what)); };
    constexpr const char* kJobs[] = {"a", "b", "c"};
    for (int i = 0; i < 9; ++i) {
      Subject s{.instance = fmt::format("i{}", i), .job = kJobs[i % 3], .severity = i < 3 ? "page" : "warn", .labels = {}};
      s.labels = model::Labels::FromPairs({{"alertname", "Down"}, {"instance", s.instance}, {"job", s.job}, {"severity", s.severity}});
      subjects_.push_back(std::move(s));
    }
    Start();
    Repeat();
  }

  void Run() {
    while (sim_.True() < kStart + kLifetime && problem_.empty()) {
      // Bursts of events, and calms long enough for every promise to fall due.
      const bool burst = Chance(3) != 0;
      Advance(std::chrono::milliseconds(1 + random_.Next() % (burst ? 30'000 : 1'500'000)));
      if (problem_.empty() && am_ != nullptr && !stopping_) Act();
    }
    for (const auto& [url, integration] : kIntegrations) SetMode(url, Mode::kFine);
    armed_ = false;
    Advance(kRepeat + 2 * kSoon + kResolveTimeout);
    if (problem_.empty() && am_ != nullptr && !stopping_) Stop(1h);
    Advance(20s);
    if (problem_.empty()) CheckJournal();
  }

  const std::string& problem() const { return problem_; }

 private:
  unsigned Chance(unsigned n) { return static_cast<unsigned>(random_.Next() % n); }
  base::Duration Seconds(unsigned below) { return std::chrono::milliseconds(random_.Next() % (below * 1000)); }
  double At() const { return base::ToSeconds(sim_.True() - kStart); }
  template <class... Args>
  void Tell(fmt::format_string<Args...> format, Args&&... args) {
    if (tell_) fmt::print("{:10.3f} {}\n", At(), fmt::format(format, std::forward<Args>(args)...));
  }
  void Fail(std::string what) {
    if (problem_.empty()) problem_ = fmt::format("after {:.3f} s: {}", At(), what);
  }

  // ---- the Alertmanager ------------------------------------------------------------------------

  void Start() {
    Tell("start");
    options_.seed = random_.Next() | 1;
    registry_ = std::make_unique<base::Registry>();
    am_ = std::make_unique<Alertmanager>(&sim_, &store_, registry_.get(), Transport{.http = &http_, .mail = &mail_}, options_);
    am_->Restore(store_.Contents());
    started_ = sim_.True();
    Apply();
    // What ended while nobody listened, and is not repeated any more, ends by the timeout.
    for (Subject& s : subjects_) {
      if (!s.firing && s.changed != base::Time{}) s.unsettled = sim_.True() + kResolveTimeout;
    }
  }

  void Apply() {
    auto loaded = LoadConfig(ConfigText(b_apart_, by_severity_), "am.yml");
    ASSERT_TRUE(loaded.has_value()) << loaded.error().message();
    auto prepared = Alertmanager::Prepare(*loaded, options_);
    ASSERT_TRUE(prepared.has_value()) << prepared.error().message();
    am_->Apply(*prepared);
    disturbed_ = sim_.True();
  }

  void Kill(base::Duration down) {
    Tell("kill");
    am_.reset();
    store_.Kill();
    // Answers of the last moment may not be on the disk.
    for (const auto& [lane, told] : last_) {
      if (told.at + 5s > sim_.True()) http_.unanswered.insert(lane);
    }
    restart_ = sim_.After(down, [this] { Start(); });
  }

  void Stop(base::Duration down) {
    Tell("stop");
    stopping_ = true;
    am_->Stop([this, down] {
      restart_ = sim_.After(1s, [this, down] {
        if (!store_.idle()) Fail("a second after the stop something was not written");
        stopping_ = false;
        am_.reset();
        restart_ = sim_.After(down, [this] { Start(); });
      });
    });
    restart_ = sim_.After(8s, [this] { Fail("the stop did not end"); });
  }

  // ---- what happens ----------------------------------------------------------------------------

  // Senders repeat each minute what fires, and for 15 minutes what has ended.
  void Repeat() {
    for (const Subject& s : subjects_) Send(s);
    repeat_ = sim_.After(1min, [this] { Repeat(); });
  }

  void Send(const Subject& s) {
    if (am_ == nullptr || s.changed == base::Time{}) return;
    if (!s.firing && sim_.True() - s.changed > 15min) return;
    model::Alert a;
    a.labels = s.labels;
    a.starts_at = s.starts;
    a.ends_at = s.firing ? sim_.Now() + 4min : s.ends;
    base::Ignore(am_->Post({a}));  // refused while a clock that was set back has not caught up
  }

  void SetMode(const std::string& url, Mode mode) {
    if (std::exchange(http_.modes[url], mode) == mode) return;
    mode_since_[url] = sim_.True();
    Tell("{} is {}", url, static_cast<int>(mode));
  }

  void Act() {
    Look();
    switch (Chance(16)) {
      case 0: case 1: case 2: case 3: case 4: Flip(&subjects_[Chance(9)]); break;
      case 5: case 6: SetMode(std::next(kIntegrations.begin(), Chance(4))->first, static_cast<Mode>(Chance(kModes))); break;
      case 7: case 8:
        for (const auto& [url, integration] : kIntegrations) SetMode(url, Mode::kFine);
        break;
      case 9: case 10: AddSilence(); break;
      case 11: ExpireSilence(); break;
      case 12:
        if (kills_ && Chance(2) == 0) armed_ = true;
        else if (kills_) Kill(Seconds(Chance(4) == 0 ? 3000 : 5));
        break;
      case 13: Stop(Seconds(5)); break;
      case 14:
        if (Chance(2) == 0) {
          (Chance(2) == 0 ? b_apart_ : by_severity_) ^= true;
          rerouted_ = sim_.True();
        }
        Tell("reload {} {}", b_apart_, by_severity_);
        Apply();
        break;
      case 15:
        if (Chance(3) != 0) break;
        const auto by = std::chrono::seconds(static_cast<int64_t>(random_.Next() % 7200) - 3600);
        Tell("the clock jumps by {} s", by.count());
        latest_ = std::max(latest_, sim_.Now());
        sim_.Jump(by);
        jumped_ = sim_.True();
        break;
    }
    Look();
  }

  void Flip(Subject* s) {
    s->firing = !s->firing;
    s->changed = sim_.True();
    // An end before its start would be refused; so a clock that was set back delays the end.
    if (s->firing) s->starts = sim_.Now();
    else s->ends = std::max(sim_.Now(), s->starts);
    Tell("{} of job {} {}", s->instance, s->job, s->firing ? "fires" : "ends");
    Send(*s);
  }

  void AddSilence() {
    class Silence s;
    Mute mute{.id = "", .instances = {fmt::format("i{}", Chance(9)), fmt::format("i{}", Chance(9))}, .starts = sim_.Now(),
              .ends = sim_.Now() + std::chrono::minutes(1 + Chance(60))};
    const std::string matcher = fmt::format("instance=~\"{}|{}\"", *mute.instances.begin(), *mute.instances.rbegin());
    s.matcher_sets = {*ParseMatchers(matcher)};
    s.starts_at = sim_.Now();
    s.ends_at = mute.ends;
    s.created_by = s.comment = "sim";
    Tell("silence {}", matcher);
    mutes_.push_back(std::move(mute));
    am_->silences().Set(std::move(s), [this, i = mutes_.size() - 1](base::Result<std::string> id) {
      if (!id) return Fail("a silence was refused: " + id.error().message());
      mutes_[i].id = *id;
    });
    sim_.RunFor(1s);
  }

  void ExpireSilence() {
    if (mutes_.empty()) return;
    Mute* mute = &mutes_[Chance(static_cast<unsigned>(mutes_.size()))];
    if (mute->id.empty() || mute->ends <= sim_.Now() || am_->silences().Find(mute->id) == nullptr) return;
    Tell("silence of {} ends", *mute->instances.begin());
    const base::Time asked = sim_.Now();
    // Cut off by a kill, it may hold or not.
    const std::string id = std::exchange(mute->id, "");
    am_->silences().Expire(id, [this, mute, id, asked](base::Status done) {
      if (!done) return Fail("a silence could not be ended: " + done.error().message());
      mute->id = id;
      mute->ends = asked;
    });
    sim_.RunFor(1s);
  }

  // ---- what must hold --------------------------------------------------------------------------

  void Advance(base::Duration by) {
    const base::Time until = sim_.True() + by;
    while (problem_.empty() && sim_.True() < until) {
      sim_.RunFor(std::min<base::Duration>(until - sim_.True(), kLook));
      Look();
      if (am_ != nullptr && !stopping_) Check();
    }
  }

  std::vector<std::string> UrlsOf(const Subject& s) const {
    if (s.job == "c") return {kOne, kTwo};
    return {s.job == "b" && b_apart_ ? kNoResolves : kAll};
  }

  std::string GroupOf(const Subject& s) const {
    const std::string route = s.job == "c" || (s.job == "b" && b_apart_) ? fmt::format("{{}}/{{job=\"{}\"}}", s.job) : "{}";
    return by_severity_ ? fmt::format("{}:{{job=\"{}\", severity=\"{}\"}}", route, s.job, s.severity)
                        : fmt::format("{}:{{job=\"{}\"}}", route, s.job);
  }

  // Nullopt: not known.
  std::optional<bool> Silenced(const Subject& s) const {
    bool maybe = false;
    for (const Mute& m : mutes_) {
      if (m.starts > sim_.Now() || m.ends <= sim_.Now() || !m.instances.contains(s.instance)) continue;
      if (!m.id.empty()) return true;
      maybe = true;
    }
    return maybe ? std::nullopt : std::optional(false);
  }

  // Whether it counts as firing; nullopt: not known.
  std::optional<bool> Fires(const Subject& s) const {
    const base::Time now = sim_.True();
    if (s.changed == base::Time{}) return false;
    // A jump ends what fires until it is repeated; a clock that was set back keeps what has ended, and
    // refuses what starts later.
    if (jumped_ + 70s > now || (s.firing ? s.starts > sim_.Now() + 4min : s.ends > sim_.Now())) return std::nullopt;
    if (!s.firing && s.unsettled > now) return std::nullopt;
    return s.firing;
  }

  // What follows of the state of the world for each alert.
  void Look() {
    const base::Time now = sim_.True();
    for (Subject& s : subjects_) {
      const auto fires = Fires(s);
      const auto silenced = Silenced(s);
      std::optional<bool> inhibited = false;
      if (s.job == "c" && s.severity == "warn") inhibited = Fires(subjects_[2]);
      const bool suppressed = silenced.value_or(false) || inhibited.value_or(false) || (s.job == "c" && InBreak(sim_.Now()));
      const bool known = fires && (suppressed || (silenced && inhibited));
      if (std::exchange(s.suppressed, suppressed) != suppressed) s.since = now;
      if (!known) s.unsettled = std::max(s.unsettled, now);
      if (!known || suppressed || !*fires) s.interrupted = now;
    }
  }

  struct Belief {
    bool firing = false;
    base::Time at{};
  };
  using Heard1 = std::pair<Receivers::Lane, std::string>;

  void Check() {
    const base::Time now = sim_.True();
    for (const Subject& s : subjects_) {
      if (s.changed == base::Time{}) continue;
      for (const std::string& url : UrlsOf(s)) {
        if (http_.modes[url] != Mode::kFine) continue;
        const base::Time source = s.job == "c" ? std::max(subjects_[2].changed, subjects_[2].unsettled) : base::Time{};
        if (now - std::max({s.changed, s.unsettled, s.since, disturbed_, jumped_, mode_since_[url], source}) <= kSoon) continue;
        const auto it = beliefs_.find({{url, GroupOf(s)}, s.instance});
        const Belief belief = it == beliefs_.end() ? Belief{} : it->second;
        if (s.firing && !s.suppressed) {
          if (!belief.firing) Fail(fmt::format("{} fires and {} was not told", s.instance, url));
          // A start knows nothing of the clock before.
          const bool followed = jumped_ + kLate < belief.at || started_ < belief.at;
          if (belief.at + kRepeat + kSoon < now && followed) Fail(fmt::format("{} was not told again of {}", url, s.instance));
        }
        // Groups of routes that were given up are not told; nor are they when the routes come back later.
        // An end is a time of the wall clock, and one that is not told is put off at a start.
        const bool wants = url != kNoResolves && belief.at > rerouted_ && sim_.Now() > latest_ + kResolveTimeout + kSoon;
        if (!s.firing && belief.firing && wants) Fail(fmt::format("{} has ended and {} was not told", s.instance, url));
      }
    }
  }

  void Heard(const Receivers::Lane& lane, const Told& now) {
    Tell("{} hears {} fires, {} ended of {}", lane.first, fmt::join(now.firing, " "), fmt::join(now.resolved, " "), lane.second);
    if (std::exchange(armed_, false)) {
      killer_ = sim_.After(std::chrono::milliseconds(random_.Next() % 1600), [this] {
        if (am_ != nullptr && !stopping_) Kill(Seconds(5));
      });
    }
    Look();
    CheckNews(lane, now);
    for (const auto& [instances, firing] : {std::pair(&now.firing, true), std::pair(&now.resolved, false)}) {
      for (const std::string& instance : *instances) {
        beliefs_[{lane, instance}] = {.firing = firing, .at = now.at};
        const Subject& s = subjects_[static_cast<size_t>(instance[1] - '0')];
        if (firing && s.suppressed && s.since + kLate < now.at && jumped_ + kLate < now.at) {
          Fail(fmt::format("{} is suppressed and {} was told", instance, lane.first));
        }
      }
    }
    last_[lane] = now;
  }

  void CheckNews(const Receivers::Lane& lane, const Told& now) {
    const auto found = last_.find(lane);
    if (found == last_.end()) return;
    const base::Time last = found->second.at;
    auto news = [&](const std::string& instance, bool firing) {
      const Subject& s = subjects_[static_cast<size_t>(instance[1] - '0')];
      const auto believed = beliefs_.find({lane, instance});
      const bool says_new = believed == beliefs_.end() ? firing : believed->second.firing != firing;
      return says_new || std::max(s.interrupted, s.changed) + kLate >= last;
    };
    if (std::ranges::any_of(now.firing, [&](const std::string& i) { return news(i, true); })) return;
    if (std::ranges::any_of(now.resolved, [&](const std::string& i) { return news(i, false); })) return;
    if (now.at - last >= kRepeat - kLate) return;
    // The wall clock decides when a repeat is due.
    if (jumped_ + kLate >= last) return;
    if (!http_.unanswered.contains(lane)) {
      return Fail(fmt::format("{} was told again of {} after {:.3f} s", lane.first, lane.second, base::ToSeconds(now.at - last)));
    }
    repeated_.push_back({lane, last, now.at});
  }

  void CheckJournal() {
    for (const auto& [lane, last, at] : repeated_) {
      const bool known = std::ranges::any_of(store_.rows, [&](const JournalRow& r) {
        return r.integration == kIntegrations.at(lane.first) && r.group == lane.second && !r.answered &&
               r.written >= last && r.written <= at + 1h;
      });
      if (!known) Fail(fmt::format("the journal does not say why {} was told again of {} after {:.3f} s", lane.first, lane.second, base::ToSeconds(at - kStart)));
    }
    if (kills_) return;
    std::map<Receivers::Lane, uint64_t> rows;
    for (const JournalRow& r : store_.rows) {
      const auto url = std::ranges::find(kIntegrations, r.integration, [](const auto& i) { return i.second; });
      ++rows[{url->first, r.group}];
    }
    for (const auto& [lane, requests] : http_.requests) {
      if (rows[lane] == requests) continue;
      Fail(fmt::format("{} requests to {} about {} have {} rows", requests, lane.first, lane.second, rows[lane]));
    }
  }

  Random random_;
  const bool tell_;
  const bool kills_;
  base::CaptureLog log_;
  JumpingExecutor sim_;
  SlowStore store_;
  Receivers http_;
  FakeMail mail_;
  Options options_;
  std::unique_ptr<base::Registry> registry_;
  std::unique_ptr<Alertmanager> am_;
  bool stopping_ = false;
  bool armed_ = false;  // a kill follows the next message
  bool b_apart_ = true, by_severity_ = false;
  base::Timer repeat_, restart_, killer_;
  std::vector<Subject> subjects_;
  std::deque<Mute> mutes_;
  base::Time disturbed_{}, started_{}, jumped_{}, rerouted_{};
  base::Time latest_{};  // wall-clock time before it was set
  std::map<std::string, base::Time> mode_since_;
  std::map<Heard1, Belief> beliefs_;
  std::map<Receivers::Lane, Told> last_;
  struct Repeated {
    Receivers::Lane lane;
    base::Time last{}, at{};
  };
  std::vector<Repeated> repeated_;
  std::string problem_;
};

uint64_t Number(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(YearSim, EveryPromiseHoldsForEverySeed) {
  const uint64_t seed = Number("TOCSIN_SEED", 1);
  const uint64_t rounds = Number("TOCSIN_ROUNDS", 20);
  int failed = 0;
  for (uint64_t i = 0; i < rounds && failed < 5; ++i) {
    World world(seed + i, rounds == 1);
    world.Run();
    if (world.problem().empty()) continue;
    ++failed;
    ADD_FAILURE() << world.problem() << "; its story: TOCSIN_SEED=" << seed + i << " TOCSIN_ROUNDS=1";
  }
}

}  // namespace
}  // namespace tocsin::alertmanager::year
