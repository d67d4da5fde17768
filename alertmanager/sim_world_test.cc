#include "alertmanager/sim_world_test.h"

#include "state/transaction.h"

namespace tocsin::alertmanager {

void KeptStore::Commit(state::Transaction t, Done done) {
  ++commits;
  for (state::Change& change : t.rep()->changes) {
    if (auto* s = std::get_if<state::SilenceRecord>(&change)) {
      silences_[s->id] = *s;
    } else if (auto* n = std::get_if<state::NotificationRecord>(&change)) {
      intents_.erase({n->group_key, n->receiver_key});
      notifications_[{n->group_key, n->receiver_key}] = *n;
    } else if (auto* i = std::get_if<state::IntentRecord>(&change)) {
      intents_[{i->group_key, i->receiver_key}] = *i;
    } else if (auto* f = std::get_if<state::ForgetIntentChange>(&change)) {
      intents_.erase({f->group_key, f->receiver_key});
    } else if (auto* a = std::get_if<state::AlertRecord>(&change)) {
      alerts_[a->fingerprint] = *a;
    } else if (auto* g = std::get_if<state::ForgetAlertChange>(&change)) {
      alerts_.erase(g->fingerprint);
    }
  }
  for (auto& [journal, list] : t.rep()->events) {
    for (state::Event& e : list) events.push_back(std::move(e));
  }
  auto keep = std::make_shared<Done>(std::move(done));
  sim_->Post([keep] { (*keep)({}); });
}

void KeptStore::ReadEvents(state::EventQuery, EventsDone done) {
  auto keep = std::make_shared<EventsDone>(std::move(done));
  sim_->Post([this, keep] { (*keep)(events); });
}

state::Contents KeptStore::Contents() const {
  state::Contents c;
  for (const auto& [key, r] : silences_) c.silences.push_back(r);
  for (const auto& [key, r] : notifications_) c.notifications.push_back(r);
  for (const auto& [key, r] : intents_) c.intents.push_back(r);
  for (const auto& [key, r] : alerts_) c.alerts.push_back(r);
  return c;
}

}  // namespace tocsin::alertmanager
