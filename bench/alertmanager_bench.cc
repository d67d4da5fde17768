// What the Alertmanager promises under load: 100,000 active alerts in 10,000 groups, sent again all
// the time at 5,000 a second.  Flushes are at most a second late and the loop is never held for more
// than 20 ms.  The real event loop and the real store on disk; receivers answer at once.
//
//   alertmanager_bench --benchmark_filter=Storm
//
// hold_ms is processor time of the loop's thread between two probes of 2 ms, so that a busy machine
// does not show in it.  Bound from the back of an envelope: 5,000 look-ups of 1 us and 2,000 flushes of
// 40 us a second are 9 % of a core.

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <vector>

#include "alertmanager/alertmanager.h"
#include "net/event_loop.h"

namespace tocsin::alertmanager {
namespace {

using namespace std::chrono_literals;

// Answers 200 in the next turn and notes how late the message is.
class Sink : public net::HttpClient {
 public:
  explicit Sink(net::EventLoop* loop) : loop_(loop) {}
  net::Call Fetch(net::FetchRequest request, net::FetchDone done) override {
    ++requests;
    bytes += request.body.size();
    auto keep = std::make_shared<net::FetchDone>(std::move(done));
    loop_->Post([keep] { (*keep)(net::FetchResponse{.status = 200}); });
    return {};
  }
  size_t requests = 0, bytes = 0;

 private:
  net::EventLoop* const loop_;
};

class NoMail : public net::MailClient {
 public:
  net::Call Send(net::SmtpMessage, net::SmtpDone done) override {
    done(base::Unavailable("no mail here"));
    return {};
  }
};

base::Duration ThreadTime() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

constexpr size_t kAlerts = 100'000, kGroups = 10'000;
constexpr size_t kBatch = 50;
constexpr base::Duration kBetweenAlerts = base::Duration(1s) / 5'000;

model::Alert MakeAlert(size_t i, base::Time now) {
  model::Alert a;
  const size_t g = i % kGroups;
  a.labels = model::Labels::FromPairs({{"alertname", fmt::format("Alert{}", g % 100)},
                                       {"cluster", fmt::format("prod-{}", g / 100 % 2)},
                                       {"container", "app"},
                                       {"instance", fmt::format("10.0.{}.{}:9100", i / 250 % 250, i % 250)},
                                       {"job", "kube-state-metrics"},
                                       {"namespace", fmt::format("team-{}", g / 100)},
                                       {"pod", fmt::format("app-{}-{}", g, i)},
                                       {"severity", g % 3 == 0 ? "critical" : "warning"}});
  a.annotations = model::Labels::FromPairs({{"summary", fmt::format("Pod app-{} is not healthy.", g)},
                                            {"runbook_url", "https://runbooks.example/PodNotHealthy"}});
  a.generator_url = "http://prometheus.example:9090/graph?g0.expr=kube_pod_status_phase&g0.tab=1";
  a.starts_at = now - 1min;
  a.ends_at = now + 5min;
  return a;
}

struct Storm {
  explicit Storm(const std::string& folder) {
    state::Contents contents;
    store = *state::OpenSqliteStore({.folder = folder, .executor = &loop, .registry = &registry}, &contents);
    Options options;
    options.clock = [this] { return loop.Now(); };
    options.seed = 1;
    am = std::make_unique<Alertmanager>(&loop, store.get(), &registry, Transport{.http = &sink, .mail = &mail}, options);
    auto config = LoadConfig(
        "route: {receiver: ops, group_by: [alertname, cluster, namespace], group_wait: 1s, group_interval: 5s, repeat_interval: 4h}\n"
        "receivers: [{name: ops, webhook_configs: [{url: 'http://hook/'}]}]\n",
        "am.yml");
    am->Apply(*Alertmanager::Prepare(*config, options));
  }

  void Feed() {
    feed = loop.After(kBatch * kBetweenAlerts, [this] { Feed(); });
    // Batches that a busy machine delayed are made up for.
    const auto due = static_cast<size_t>((loop.Monotonic() - begin) / kBetweenAlerts);
    for (int i = 0; i < 4 && sent + kBatch <= due; ++i) {
      std::vector<model::Alert> batch;
      for (size_t n = 0; n < kBatch; ++n) batch.push_back(MakeAlert(sent++ % kAlerts, loop.Now()));
      base::Ignore(am->Post(std::move(batch)));
    }
  }

  void Probe() {
    const base::Duration now = ThreadTime();
    holds.push_back(now - last);
    last = now;
    probe = loop.After(2ms, [this] { Probe(); });
  }

  // How late the groups' flushes are now.
  void Look() {
    const base::Time now = loop.Now();
    am->ListGroups({}, [this, now](std::vector<GroupView> groups) {
      for (const GroupView& g : groups) latest = std::max(latest, now - g.next_flush);
      listed = groups.size();
      freeing = std::jthread([done = std::move(groups)] {});  // as a worker does that has answered with it
    });
    look = loop.After(1s, [this] { Look(); });
  }

  net::EventLoop loop{{}};
  base::Registry registry;
  std::unique_ptr<state::Store> store;
  Sink sink{&loop};
  NoMail mail;
  std::unique_ptr<Alertmanager> am;
  base::Timer feed, probe, look, end;
  base::Duration begin{}, last{}, latest{};
  std::vector<base::Duration> holds;
  std::jthread freeing;
  size_t sent = 0, listed = 0;
};

double Milliseconds(base::Duration d) { return std::chrono::duration<double, std::milli>(d).count(); }

void BM_StormOfAlerts(benchmark::State& state) {
  for (auto _ : state) {
    const std::string folder = (std::filesystem::temp_directory_path() / fmt::format("tocsin-storm-{}", getpid())).string();
    {
      Storm storm(folder);
      storm.begin = storm.loop.Monotonic();
      storm.last = ThreadTime();
      const base::Duration cpu = storm.last;
      storm.Feed();
      storm.Probe();
      storm.Look();
      storm.end = storm.loop.After(std::chrono::seconds(state.range(0)), [&] { storm.loop.Stop(); });
      storm.loop.Run();
      std::ranges::sort(storm.holds);
      state.counters["hold_ms_max"] = Milliseconds(storm.holds.back());
      state.counters["hold_ms_p99"] = Milliseconds(storm.holds[storm.holds.size() * 99 / 100]);
      state.counters["flush_late_ms_max"] = Milliseconds(storm.latest);
      state.counters["loop_us_per_alert"] = Milliseconds(ThreadTime() - cpu) * 1000 / static_cast<double>(storm.sent);
      state.counters["alerts_per_s"] = static_cast<double>(storm.sent) / static_cast<double>(state.range(0));
      state.counters["groups"] = static_cast<double>(storm.listed);
      state.counters["messages"] = static_cast<double>(storm.sink.requests);
      rusage usage{};
      getrusage(RUSAGE_SELF, &usage);
      state.counters["rss_mb"] = static_cast<double>(usage.ru_maxrss) / 1024;
      storm.feed.Cancel();
      storm.probe.Cancel();
      storm.look.Cancel();
      bool stopped = false;
      storm.am->Stop([&] { storm.store->Stop([&] {
        stopped = true;
        storm.loop.Stop();
      }); });
      while (!stopped) storm.loop.Run();
    }
    std::filesystem::remove_all(folder);
  }
}
BENCHMARK(BM_StormOfAlerts)->Name("BM_Storm/seconds")->Arg(30)->Iterations(1)->Unit(benchmark::kSecond);

}  // namespace
}  // namespace tocsin::alertmanager
