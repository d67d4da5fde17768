#pragma once

// The way of each alert, step by step, for `tocsin explain`: received, grouped, suppressed by what,
// notified to whom with which result, resolved.  Events are small JSON objects with "type" first;
// they are packed and written about once a second.
//
//   journal.Add(JournalEvent("notified").Text("group", key).Texts("firing", fingerprints));
//
// Threads: loop only.
// Limits:  kMaxWaiting events wait for the disk; beyond it they are dropped and counted.

#include <span>
#include <string>
#include <string_view>

#include "base/executor.h"
#include "base/metrics.h"
#include "base/time.h"
#include "model/labels.h"
#include "state/store.h"

namespace tocsin::alertmanager {

class JournalEvent {
 public:
  explicit JournalEvent(std::string_view type) : json_("{") { Text("type", type); }
  JournalEvent& Text(std::string_view key, std::string_view value);
  JournalEvent& Number(std::string_view key, int64_t value);
  JournalEvent& Texts(std::string_view key, std::span<const std::string> values);
  JournalEvent& Labels(std::string_view key, model::LabelsView labels);
  std::string Take() { return std::move(json_) + "}"; }

 private:
  void Key(std::string_view key);
  std::string json_;
};

std::string FingerprintText(uint64_t fingerprint);  // 16 hex digits

class AlertJournal {
 public:
  AlertJournal(base::Executor* executor, state::Store* store, base::Registry* registry);
  void Add(JournalEvent&& event);
  // Hands what waits to the store, then calls `done`.
  void Flush(base::Task done);

 private:
  static constexpr size_t kMaxWaiting = 100'000;
  base::Executor* const executor_;
  state::Store* const store_;
  std::vector<state::Event> waiting_;
  base::Timer timer_;
  bool armed_ = false;
  base::Counter* dropped_;
  base::Gate gate_;
};

}  // namespace tocsin::alertmanager
