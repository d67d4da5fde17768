#include "alertmanager/journal.h"

#include <fmt/format.h>

#include "base/log.h"
#include "base/text.h"

namespace tocsin::alertmanager {

void JournalEvent::Key(std::string_view key) {
  if (json_.size() > 1) json_ += ',';
  base::AppendJsonString(key, &json_);
  json_ += ':';
}

JournalEvent& JournalEvent::Text(std::string_view key, std::string_view value) {
  Key(key);
  base::AppendJsonString(value, &json_);
  return *this;
}

JournalEvent& JournalEvent::Number(std::string_view key, int64_t value) {
  Key(key);
  json_ += std::to_string(value);
  return *this;
}

JournalEvent& JournalEvent::Texts(std::string_view key, std::span<const std::string> values) {
  Key(key);
  json_ += '[';
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) json_ += ',';
    base::AppendJsonString(values[i], &json_);
  }
  json_ += ']';
  return *this;
}

JournalEvent& JournalEvent::Labels(std::string_view key, model::LabelsView labels) {
  Key(key);
  json_ += '{';
  for (const auto [name, value] : labels) {
    if (json_.back() != '{') json_ += ',';
    base::AppendJsonString(name, &json_);
    json_ += ':';
    base::AppendJsonString(value, &json_);
  }
  json_ += '}';
  return *this;
}

std::string FingerprintText(uint64_t fingerprint) { return fmt::format("{:016x}", fingerprint); }

AlertJournal::AlertJournal(base::Executor* executor, state::Store* store, base::Registry* registry)
    : executor_(executor), store_(store) {
  dropped_ = registry->AddCounter("tocsin_alert_journal_dropped_total",
                                  "Events of the alert journal dropped because the disk is too slow.");
}

void AlertJournal::Add(JournalEvent&& event) {
  if (waiting_.size() >= kMaxWaiting) {
    dropped_->Add();
    return;
  }
  waiting_.push_back({.at = executor_->Now(), .bytes = event.Take()});
  if (armed_) return;
  armed_ = true;
  timer_ = executor_->After(std::chrono::seconds(1), gate_.Wrap([this] { Flush([] {}); }));
}

void AlertJournal::Flush(base::Task done) {
  armed_ = false;
  timer_.Cancel();
  state::Transaction t;
  for (state::Event& e : waiting_) t.AppendEvent(state::Journal::kAlerts, std::move(e));
  waiting_.clear();
  store_->Commit(std::move(t), [done = std::move(done)](base::Status s) mutable {
    if (!s) base::LogWarn("events of the alert journal were lost", {{"error", s.error()}});
    done();
  });
}

}  // namespace tocsin::alertmanager
