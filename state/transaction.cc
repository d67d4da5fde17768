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
void Transaction::AppendPack(Journal journal, EventPack pack) {
  rep_->packs[journal].push_back(std::move(pack));
}
void Transaction::ForgetExpired(base::Time now) {
  rep_->changes.emplace_back(ForgetExpiredChange{now});
}
namespace {
void Tighten(const JournalBound& more, JournalBound* bound) {
  bound->before = std::max(bound->before, more.before);
  bound->max_bytes = std::min(bound->max_bytes, more.max_bytes);
}
}  // namespace

void Transaction::BoundJournal(Journal journal, base::Time before, uint64_t max_bytes) {
  Tighten({.before = before, .max_bytes = max_bytes}, &rep_->bounds[journal]);
}

bool Transaction::empty() const {
  return rep_->changes.empty() && rep_->packs.empty() && rep_->bounds.empty();
}

void Transaction::Rep::Take(Rep* other) {
  std::move(other->changes.begin(), other->changes.end(), std::back_inserter(changes));
  for (auto& [journal, more] : other->packs) {
    std::move(more.begin(), more.end(), std::back_inserter(packs[journal]));
  }
  for (const auto& [journal, bound] : other->bounds) Tighten(bound, &bounds[journal]);
}

}  // namespace tocsin::state
