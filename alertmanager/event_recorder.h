#pragma once

// The event recorder (`event_recorder` in alertmanager.yml): what the journal tells, as lines of JSON
// (event_json.h), to files, to standard output and to webhooks.  Packs of the journal are read and written on a
// worker, so that recording costs the loop a copy of each.
//
// Threads: loop only.
// Errors:  none leaves it.  A file that cannot be written and a webhook that refuses are logged and counted; what
//          waits is bounded by kMaxWaiting bytes of packs and kMaxQueued events of a webhook, and dropped beyond.

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "alertmanager/config.h"
#include "alertmanager/journal.h"
#include "base/executor.h"
#include "base/metrics.h"
#include "net/http_client.h"

namespace tocsin::alertmanager {

class EventRecorder {
 public:
  struct Parts {
    base::Executor* executor;
    net::HttpClient* http;
    AlertJournal* journal;
    base::Registry* registry;
    std::string instance;  // in each event
  };
  explicit EventRecorder(Parts parts);
  ~EventRecorder();

  // The outputs of `config`; those of before finish what they have.
  void Apply(const Config& config);
  // After the journal's last pack: calls `done` when all is written, or webhooks have had kStopGrace.
  void Stop(base::Task done);

  static constexpr size_t kMaxWaiting = 16 << 20;
  static constexpr size_t kMaxQueued = 1024;
  static constexpr base::Duration kStopGrace = std::chrono::seconds(5);

 private:
  class Webhook;
  struct Work;
  struct Reader;
  struct Metrics {
    explicit Metrics(base::Registry* r);
    base::Family<base::Counter>* recorded;
    base::Family<base::Counter>* bytes;
    base::Counter* dropped;
    base::Family<base::Counter>* output_drops;
  };

  void Take(int64_t chapter, std::string_view pack, uint32_t events);
  void Next();
  void Written(const Work& work);
  void Settle();  // forgets webhooks that have finished, and ends Stop()

  const Parts parts_;
  const Metrics metrics_;
  std::vector<std::string> files_;  // "" is standard output
  std::vector<bool> failing_;       // of files_: it is logged already
  std::vector<std::unique_ptr<Webhook>> webhooks_;
  std::vector<std::unique_ptr<Webhook>> leaving_;  // of configurations before
  struct Pack {
    int64_t chapter;
    std::string bytes;
  };
  std::vector<Pack> waiting_;
  size_t waiting_bytes_ = 0;
  bool busy_ = false;
  std::shared_ptr<Reader> reader_;  // lent to the worker
  base::Task stopped_;
  base::Timer stop_timer_;
  base::Gate gate_;
};

}  // namespace tocsin::alertmanager
