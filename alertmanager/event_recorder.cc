#include "alertmanager/event_recorder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>

#include "alertmanager/event_json.h"
#include "alertmanager/gated.h"
#include "base/file_system.h"
#include "base/log.h"

namespace tocsin::alertmanager {
namespace {

// Of a webhook, where the configuration says nothing.
constexpr base::Duration kTimeout = std::chrono::seconds(10);
constexpr int64_t kWorkers = 4;
constexpr int64_t kMaxRetries = 3;  // attempts, whatever the key's name says
constexpr base::Duration kBackOff = std::chrono::milliseconds(500);
constexpr int64_t kBatchEvents = 100;
constexpr int64_t kBatchBytes = 1 << 20;
constexpr base::Duration kBatchWait = std::chrono::milliseconds(100);

constexpr base::Duration kMaxBackOff = std::chrono::seconds(30);

// Opened for each second's events, so that a log that was rotated away is left at once.
base::Status AppendTo(const std::string& path, std::string_view lines) {
  if (path.empty()) {
    if (std::fwrite(lines.data(), 1, lines.size(), stdout) != lines.size() || std::fflush(stdout) != 0) {
      return base::Unavailable("standard output cannot be written");
    }
    return {};
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<base::File> file, base::RealFileSystem()->Open(path, base::FileSystem::Mode::kAppend));
  RETURN_IF_ERROR(file->Append(lines));
  return file->Close();
}

std::string NameOf(const std::string& path) { return path.empty() ? "stdout" : "file:" + path; }

}  // namespace

// ---- a webhook ---------------------------------------------------------------------------------

// Posts events, several at once and each again after a failure, in no certain order.
class EventRecorder::Webhook {
 public:
  Webhook(EventRecorder* owner, const Block& block, std::string name)
      : owner_(owner), block_(block), name_(std::move(name)), drops_(owner->metrics_.output_drops->With({name_})) {}

  const std::string& name() const { return name_; }
  bool idle() const { return queue_.empty() && posts_.empty(); }

  void Add(const std::string& event) {
    if (queue_.size() >= kMaxQueued) return drops_->Add();
    bytes_ += event.size() + 1;
    queue_.push_back(event);
    Go();
  }

  // Nothing is waited for any more that could fill a batch.
  void Finish() {
    finishing_ = true;
    Go();
  }

 private:
  struct Post {
    std::string body;
    int attempts = 0;
    net::Call call;
    base::Timer timer;
  };

  base::Executor* executor() const { return owner_->parts_.executor; }
  int64_t Number(std::string_view key, int64_t usual) const { return block_.Has(key) ? block_.Number(key) : usual; }
  base::Duration Span(std::string_view key, base::Duration usual) const { return block_.Has(key) ? block_.Span(key) : usual; }

  void Go() {
    while (!queue_.empty() && posts_.size() < static_cast<size_t>(Number("workers", kWorkers))) {
      const bool full = !block_.Flag("batch") || queue_.size() >= MostEvents() || bytes_ >= MostBytes();
      if (!full && !finishing_ && !due_) {
        if (!armed_) {
          armed_ = true;
          flush_ = executor()->After(Span("batch_flush_interval", kBatchWait), gate_.Wrap([this] {
            armed_ = false;
            due_ = true;
            Go();
          }));
        }
        return;
      }
      due_ = false;
      const uint64_t id = next_++;
      posts_[id].body = block_.Flag("batch") ? TakeBatch() : TakeOne();
      Send(id);
    }
  }

  size_t MostEvents() const { return static_cast<size_t>(Number("batch_max_events", kBatchEvents)); }
  size_t MostBytes() const { return static_cast<size_t>(Number("batch_max_bytes", kBatchBytes)); }

  std::string TakeOne() {
    std::string event = std::move(queue_.front());
    queue_.pop_front();
    bytes_ -= event.size() + 1;
    return event;
  }

  // One at least, however large.
  std::string TakeBatch() {
    std::string body = "[";
    for (size_t n = 0; n < MostEvents() && !queue_.empty() && (n == 0 || body.size() + queue_.front().size() < MostBytes()); ++n) {
      if (n > 0) body += ',';
      body += TakeOne();
    }
    return body + ']';
  }

  void Send(uint64_t id) {
    Post& post = posts_.at(id);
    ++post.attempts;
    net::FetchRequest request{.method = "POST", .url = block_.Text("url"), .body = post.body, .config = block_.Http()};
    request.headers = {{"Content-Type", "application/json"}};
    request.timeout = Span("timeout", kTimeout);
    post.call = owner_->parts_.http->Fetch(std::move(request), Gated<base::Result<net::FetchResponse>>(gate_, [this, id](base::Result<net::FetchResponse> r) {
      if (r && r->status / 100 == 2) return Done(id);
      Failed(id, r ? fmt::format("status {}", r->status) : r.error().message());
    }));
  }

  void Failed(uint64_t id, const std::string& error) {
    Post& post = posts_.at(id);
    if (post.attempts >= Number("max_retries", kMaxRetries)) {
      base::LogError("events could not be posted; they are dropped", {{"output", name_}, {"attempts", post.attempts}, {"error", error}});
      drops_->Add();
      return Done(id);
    }
    const base::Duration wait = std::min(kMaxBackOff, Span("retry_backoff", kBackOff) * (int64_t{1} << std::min(post.attempts - 1, 16)));
    post.timer = executor()->After(wait, gate_.Wrap([this, id] { Send(id); }));
  }

  void Done(uint64_t id) {
    // The call that has just ended is still on the stack.
    executor()->Post(gate_.Wrap([this, id] {
      posts_.erase(id);
      Go();
      owner_->Settle();  // may destroy this
    }));
  }

  EventRecorder* const owner_;
  const Block block_;
  const std::string name_;
  base::Counter* const drops_;
  std::deque<std::string> queue_;
  size_t bytes_ = 0;  // of the queue
  std::map<uint64_t, Post> posts_;
  uint64_t next_ = 0;
  bool finishing_ = false;
  bool due_ = false;  // the batch has waited long enough
  bool armed_ = false;
  base::Timer flush_;
  base::Gate gate_;
};

// ---- the recorder ------------------------------------------------------------------------------

// Where reading stands; a chapter's packs refer to those before.
struct EventRecorder::Reader {
  JournalChapter chapter;
  int64_t number = 0;
};

struct EventRecorder::Work {
  std::vector<Pack> packs;
  std::vector<std::string> files;
  std::vector<RecordedEvent> events{};
  std::vector<base::Status> statuses{};  // of the files

  void Run(Reader* reader, const std::string& instance) {
    for (const Pack& pack : packs) {
      if (std::exchange(reader->number, pack.chapter) != pack.chapter) reader->chapter = {};
      // What stands before damage, which there cannot be, has been given out.
      base::Ignore(reader->chapter.Read(pack.bytes, [&](const JournalEntry& e) { AppendEvents(e, instance, &events); }));
    }
    std::string lines;
    if (!files.empty()) {
      for (const RecordedEvent& event : events) lines.append(event.json).append("\n");
    }
    for (const std::string& path : files) statuses.push_back(lines.empty() ? base::Status() : AppendTo(path, lines));
  }
};

EventRecorder::Metrics::Metrics(base::Registry* r)
    : recorded(r->AddCounterFamily("alertmanager_events_recorded_total", "The total number of events recorded by the event recorder.",
                                   {"event_type", "output", "result"})),
      bytes(r->AddCounterFamily("alertmanager_event_recorder_bytes_written_total", "The total number of bytes written to the event recorder.",
                                {"event_type", "output"})),
      dropped(r->AddCounter("tocsin_event_recorder_dropped_total", "Events of the journal that were not recorded because the outputs are too slow.")),
      output_drops(r->AddCounterFamily("alertmanager_event_output_drops_total",
                                       "The total number of events dropped by an output due to a full local buffer.", {"output"})) {}

EventRecorder::EventRecorder(Parts parts) : parts_(std::move(parts)), metrics_(parts_.registry), reader_(std::make_shared<Reader>()) {}
EventRecorder::~EventRecorder() = default;

void EventRecorder::Apply(const Config& config) {
  for (std::unique_ptr<Webhook>& webhook : webhooks_) {
    webhook->Finish();
    leaving_.push_back(std::move(webhook));
  }
  webhooks_.clear();
  files_.clear();
  if (config.event_recorder) {
    for (const Block& file : config.event_recorder->Blocks("file_outputs")) files_.push_back(file.Text("path"));
    if (!config.event_recorder->Blocks("stdout_outputs").empty()) files_.emplace_back();
    size_t number = 0;
    for (const Block& webhook : config.event_recorder->Blocks("webhook_outputs")) {
      webhooks_.push_back(std::make_unique<Webhook>(this, webhook, fmt::format("webhook:{}", number++)));
    }
  }
  failing_.assign(files_.size(), false);
  Settle();
  if (files_.empty() && webhooks_.empty()) return parts_.journal->Watch(nullptr);
  if (!parts_.journal->on()) {
    base::LogWarn("event_recorder writes what the journal tells, and none is kept; set --journal.retention");
    return;
  }
  parts_.journal->Watch([this](int64_t chapter, std::string_view pack, uint32_t events) { Take(chapter, pack, events); });
}

void EventRecorder::Take(int64_t chapter, std::string_view pack, uint32_t events) {
  if (waiting_bytes_ + pack.size() > kMaxWaiting) return metrics_.dropped->Add(events);
  waiting_bytes_ += pack.size();
  waiting_.push_back({.chapter = chapter, .bytes = std::string(pack)});
  Next();
}

void EventRecorder::Next() {
  if (busy_ || waiting_.empty()) return;
  busy_ = true;
  auto work = std::make_shared<Work>(Work{.packs = std::exchange(waiting_, {}), .files = files_});
  waiting_bytes_ = 0;
  parts_.executor->Offload(
      base::Lane::kBackground, [work, reader = reader_, instance = parts_.instance] { work->Run(reader.get(), instance); },
      gate_.Wrap([this, work] {
        busy_ = false;
        Written(*work);
        Next();
        Settle();
      }));
}

void EventRecorder::Written(const Work& work) {
  auto count = [&](const std::string& output, bool ok) {
    for (const RecordedEvent& event : work.events) {
      metrics_.recorded->With({event.type, output, ok ? "success" : "error"})->Add();
      if (ok) metrics_.bytes->With({event.type, output})->Add(static_cast<double>(event.json.size() + 1));
    }
  };
  for (size_t i = 0; i < work.files.size(); ++i) {
    const base::Status& status = work.statuses[i];
    count(NameOf(work.files[i]), status.has_value());
    // Once for each failure, while the configuration is the same.
    if (work.files != files_) continue;
    const bool known = failing_[i];
    failing_[i] = !status;
    if (status || known) continue;
    base::LogError("events cannot be recorded; those of this time are lost", {{"output", NameOf(work.files[i])}, {"error", status.error()}});
  }
  for (const std::unique_ptr<Webhook>& webhook : webhooks_) {
    for (const RecordedEvent& event : work.events) webhook->Add(event.json);
    count(webhook->name(), true);  // those that it drops are counted by themselves
  }
}

void EventRecorder::Settle() {
  std::erase_if(leaving_, [](const std::unique_ptr<Webhook>& webhook) { return webhook->idle(); });
  if (!stopped_ || busy_ || !waiting_.empty()) return;
  for (const std::unique_ptr<Webhook>& webhook : webhooks_) webhook->Finish();
  const bool idle = leaving_.empty() && std::ranges::all_of(webhooks_, &Webhook::idle);
  if (!idle) return;
  stop_timer_.Cancel();
  std::exchange(stopped_, nullptr)();
}

void EventRecorder::Stop(base::Task done) {
  stopped_ = std::move(done);
  stop_timer_ = parts_.executor->After(kStopGrace, gate_.Wrap([this] {
    base::LogWarn("the last events could not be recorded in time");
    if (stopped_) std::exchange(stopped_, nullptr)();
  }));
  Settle();
}

}  // namespace tocsin::alertmanager
