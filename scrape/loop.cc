#include "scrape/loop.h"

#include <algorithm>

#include "base/duration.h"
#include "base/file_system.h"
#include "base/log.h"
#include "base/number.h"
#include "base/text.h"

namespace tocsin::scrape {

void InFlight::End() {
  if (--count_ == 0 && done_) std::exchange(done_, nullptr)();
}

void InFlight::WhenNone(base::Task done) {
  if (count_ == 0) {
    done();
  } else {
    done_ = std::move(done);
  }
}

Loop::Loop(Env* env, ScrapeConfigPtr config, TargetPtr target, std::shared_ptr<Intake> intake)
    : env_(env), config_(std::move(config)), target_(std::move(target)),
      metadata_(std::make_shared<FamilyMetadata>()) {
  Reconfigure(config_, target_);
  if (intake != nullptr) intake_->Continue(intake.get());
}

Loop::~Loop() { SetMetadata(nullptr); }

void Loop::SetMetadata(std::shared_ptr<const FamilyMetadata> metadata) {
  double entries = 0;
  double bytes = 0;
  const auto count = [&](const FamilyMetadata* families, double sign) {
    if (families == nullptr) return;
    entries += sign * static_cast<double>(families->size());
    for (const auto& [name, m] : *families) {
      bytes += sign * static_cast<double>(m.help.size() + m.unit.size() + model::MetricTypeName(m.type).size());
    }
  };
  count(metadata_.get(), -1);
  count(metadata.get(), 1);
  metadata_ = std::move(metadata);
  if (entries != 0) env_->metrics->metadata_entries->With({config_->job_name})->Add(entries);
  if (bytes != 0) env_->metrics->metadata_bytes->With({config_->job_name})->Add(bytes);
}

std::shared_ptr<Intake> Loop::MakeIntake() const {
  return std::make_shared<Intake>(IntakeOptions{.config = config_,
                                                .target = target_,
                                                .executor = env_->options.executor,
                                                .storage = env_->options.storage,
                                                .metrics = env_->metrics.get(),
                                                .append_metadata = env_->options.append_metadata,
                                                .start_zeros = env_->options.start_zeros,
                                                .start_times = env_->options.start_times,
                                                .type_and_unit_labels = env_->options.type_and_unit_labels,
                                                .extra_scrape_metrics = env_->options.extra_scrape_metrics});
}

void Loop::Reconfigure(ScrapeConfigPtr config, TargetPtr target) {
  if (busy_) {
    next_settings_.emplace(std::move(config), std::move(target));
    return;
  }
  config_ = std::move(config);
  target_ = std::move(target);
  const std::string interval = base::FormatGoDuration(target_->interval);
  interval_length_ = env_->metrics->interval_length->With({interval});
  interval_length_histogram_ = env_->metrics->interval_length_histogram->With({interval});
  http_ = net::HttpConfigPtr(config_, &config_->http);
  accept_ = AcceptHeader(config_->scrape_protocols.empty() ? DefaultProtocols(target_->native_histograms)
                                                           : config_->scrape_protocols,
                         config_->name_escaping);
  std::shared_ptr<Intake> before = std::exchange(intake_, MakeIntake());
  if (before != nullptr) intake_->Continue(before.get());
}

void Loop::Start() {
  const base::Time now = env_->options.executor->Now();
  const base::Duration wait = TimeToSlot(*target_, env_->seed, now);
  aligned_ = now + wait;
  next_slot_ = env_->options.executor->Monotonic() + wait;
  Schedule(wait);
}

void Loop::Schedule(base::Duration wait) {
  timer_ = env_->options.executor->After(wait, gate_.Wrap([this] { OnSlot(); }));
}

base::Time Loop::NextSlot() const {
  return env_->options.executor->Now() + (next_slot_ - env_->options.executor->Monotonic());
}

// The time that samples get: the slot itself where the timer was a little late, so that intervals
// are equal and compress well.
base::Time Loop::Align(base::Time now) {
  if (!env_->options.align_timestamps) return now;
  const base::Duration interval = target_->interval;
  const base::Duration tolerance = std::min(interval / 100, env_->options.timestamp_tolerance);
  // To the nearest slot.
  aligned_ += ((now - aligned_ + interval / 2) / interval) * interval;
  const base::Duration off = now - aligned_;
  if (off >= -tolerance && off <= tolerance) return aligned_;
  // The wall clock was set: slots are where the timer fires now.
  if (off < -tolerance) aligned_ = now;
  return now;
}

void Loop::OnSlot() {
  env_->returns->Take();
  const base::Duration now = env_->options.executor->Monotonic();
  do {
    next_slot_ += target_->interval;
  } while (next_slot_ <= now);
  Schedule(next_slot_ - now);
  if (busy_) {
    env_->metrics->skipped->Add();
    return;
  }
  Scrape(Align(env_->options.executor->Now()));
}

void Loop::Scrape(base::Time at) {
  busy_ = true;
  const base::Duration begin = env_->options.executor->Monotonic();
  if (last_begin_) {
    interval_length_->Observe(base::ToSeconds(begin - *last_begin_));
    interval_length_histogram_->Observe(base::ToSeconds(begin - *last_begin_));
  }
  last_begin_ = begin;
  env_->metrics->scrapes->Add();
  auto scraped = std::make_shared<Scraped>();
  scraped->t = base::ToUnixMillis(at);
  scraped->begin = begin;
  if (!forced_error_.empty()) {
    scraped->fetched = base::FailedPrecondition(forced_error_);
    Store(std::move(scraped));
    return;
  }
  call_ = env_->options.client->Fetch(
      Request(), [this, scraped](base::Result<net::FetchResponse> response) {
        OnResponse(scraped, std::move(response));
      });
}

net::FetchRequest Loop::Request() const {
  net::FetchRequest request;
  request.url = target_->url;
  request.headers.Add("Accept", accept_);
  request.headers.Add("User-Agent", env_->options.user_agent);
  request.headers.Add("X-Prometheus-Scrape-Timeout-Seconds",
                      base::FormatF(base::ToSeconds(target_->timeout)));
  request.headers.Add("Accept-Encoding", config_->enable_compression ? "gzip" : "identity");
  // The worker that reads the body decodes it too.
  request.decode_gzip = false;
  request.timeout = target_->timeout;
  request.max_response_bytes = std::max<size_t>(1, MostBodyBytes(*config_));  // 0 would be no limit
  // What gzip cannot make smaller it makes a little larger.
  if (config_->enable_compression) request.max_response_bytes += request.max_response_bytes / 1000 + 1024;
  request.config = http_;
  request.unix_socket = target_->unix_socket;
  return request;
}

void Loop::OnResponse(std::shared_ptr<Scraped> scraped, base::Result<net::FetchResponse> response) {
  env_->returns->Take();
  if (!response) {
    const base::Error& error = response.error();
    if (error.code() == base::Code::kResourceExhausted) {
      scraped->body_too_large = true;
    } else if (error.code() == base::Code::kDeadlineExceeded) {
      scraped->fetched = std::unexpected(base::Error(
          error.code(), "Get " + base::Quote(target_->url) + ": context deadline exceeded after " +
                            base::FormatGoDuration(target_->timeout)));
    } else {
      scraped->fetched = std::unexpected(error.Within("Get " + base::Quote(target_->url)));
    }
  } else if (response->status != 200) {
    scraped->fetched = base::Unavailable("server returned HTTP status " + std::to_string(response->status) +
                                         " " + std::string(net::StatusText(response->status)));
  } else {
    scraped->body = std::move(response->body);
    scraped->content_type = response->headers.Get("Content-Type");
    scraped->gzipped = base::EqualsIgnoreCase(response->headers.Get("Content-Encoding"), "gzip");
  }
  Store(std::move(scraped));
}

void Loop::Store(std::shared_ptr<Scraped> scraped) {
  *lent_ = true;
  scraped->now = env_->options.executor->Now();
  const base::Time at = base::FromUnixMillis(scraped->t);
  auto report = std::make_shared<ScrapeReport>();
  env_->in_flight->Begin();
  auto finish = gate_.Wrap([this, report, at] { Finish(*report, at); });
  env_->returns->Offload(
      base::Lane::kIntake,
      [intake = intake_, scraped, report] { *report = intake->Run(std::move(*scraped)); },
      [finish = std::move(finish), lent = lent_, in_flight = env_->in_flight]() mutable {
        *lent = false;
        finish();
        in_flight->End();
      });
}

void Loop::Finish(const ScrapeReport& report, base::Time at) {
  busy_ = false;
  health_ = report.status ? Health::kUp : Health::kDown;
  last_error_ = report.status ? std::string() : report.status.error().message();
  last_scrape_ = at;
  last_duration_ = report.duration;
  env_->metrics->duration->Observe(base::ToSeconds(report.duration));
  if (report.metadata != nullptr) SetMetadata(report.metadata);
  if (!report.status) {
    env_->metrics->scrapes_failed->Add();
    base::LogDebug("Scrape failed", {{"scrape_pool", config_->job_name},
                                     {"target", target_->url},
                                     {"err", report.status.error()}});
    if (!config_->scrape_failure_log_file.empty()) LogFailure(last_error_);
  }
  if (next_settings_) {
    auto [config, target] = std::move(*next_settings_);
    next_settings_.reset();
    Reconfigure(std::move(config), std::move(target));
  }
}

// Opened for each line, so that a rotated file needs no reload.
void Loop::LogFailure(const std::string& error) const {
  std::string line = "{\"time\":";
  base::AppendJsonString(base::FormatRfc3339Millis(env_->options.executor->Now()), &line);
  line += ",\"level\":\"ERROR\",\"msg\":";
  base::AppendJsonString(error, &line);
  line += ",\"job_name\":";
  base::AppendJsonString(config_->job_name, &line);
  line += ",\"target\":";
  base::AppendJsonString(target_->url, &line);
  line += "}\n";
  env_->in_flight->Begin();
  env_->options.executor->Offload(
      base::Lane::kBackground,
      [path = config_->scrape_failure_log_file, line = std::move(line)] {
        auto file = base::RealFileSystem()->Open(path, base::FileSystem::Mode::kAppend);
        const base::Status written = file ? (*file)->Append(line) : std::unexpected(file.error());
        if (!written) {
          base::LogWarn("scrape failure could not be written to its log", {{"err", written.error()}});
        }
      },
      [in_flight = env_->in_flight] { in_flight->End(); });
}

TargetStatus Loop::Status() const {
  return {.job = config_->job_name,
          .target = target_,
          .health = health_,
          .last_error = last_error_,
          .last_scrape = last_scrape_,
          .last_duration = last_duration_,
          .metadata = metadata_};
}

LentIntake Loop::TakeIntake() { return {.intake = std::move(intake_), .lent = lent_}; }

}  // namespace tocsin::scrape
