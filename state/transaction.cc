#include "state/transaction.h"

#include <algorithm>
#include <iterator>

namespace tocsin::state {

Transaction::Transaction() : rep_(std::make_unique<Rep>()) {}
Transaction::Transaction(Transaction&&) noexcept = default;
Transaction& Transaction::operator=(Transaction&&) noexcept = default;
Transaction::~Transaction() = default;

void Transaction::PutSilence(SilenceRecord record) { rep_->changes.emplace_back(std::move(record)); }
void Transaction::ForgetSilence(std::string id) {
  rep_->changes.emplace_back(ForgetSilenceChange{std::move(id)});
}
void Transaction::PutNotification(NotificationRecord record) {
  rep_->changes.emplace_back(std::move(record));
}
void Transaction::ForgetNotification(std::string group_key, std::string receiver_key) {
  rep_->changes.emplace_back(ForgetNotificationChange{std::move(group_key), std::move(receiver_key)});
}
void Transaction::PutIntent(IntentRecord record) { rep_->changes.emplace_back(std::move(record)); }
void Transaction::ForgetIntent(std::string group_key, std::string receiver_key) {
  rep_->changes.emplace_back(ForgetIntentChange{std::move(group_key), std::move(receiver_key)});
}
void Transaction::PutAlert(AlertRecord record) { rep_->changes.emplace_back(std::move(record)); }
void Transaction::ForgetAlert(uint64_t fingerprint) {
  rep_->changes.emplace_back(ForgetAlertChange{fingerprint});
}
void Transaction::AppendEvent(Journal journal, Event event) {
  rep_->events[journal].push_back(std::move(event));
}
void Transaction::ForgetExpired(base::Time now, base::Time alerts_ended_by) {
  rep_->changes.emplace_back(ForgetExpiredChange{now, alerts_ended_by});
}
void Transaction::ForgetEventsBefore(Journal journal, base::Time before) {
  const auto [at, added] = rep_->forget_events_before.try_emplace(journal, before);
  if (!added) at->second = std::max(at->second, before);
}

bool Transaction::empty() const {
  return rep_->changes.empty() && rep_->events.empty() && rep_->forget_events_before.empty();
}

void Transaction::Rep::Take(Rep* other) {
  std::move(other->changes.begin(), other->changes.end(), std::back_inserter(changes));
  for (auto& [journal, more] : other->events) {
    std::move(more.begin(), more.end(), std::back_inserter(events[journal]));
  }
  for (const auto& [journal, before] : other->forget_events_before) {
    const auto [at, added] = forget_events_before.try_emplace(journal, before);
    if (!added) at->second = std::max(at->second, before);
  }
}

}  // namespace tocsin::state
