#include "alertmanager/sim_world_test.h"

#include "state/transaction.h"

namespace tocsin::alertmanager {

void KeptStore::Commit(state::Transaction t, Done done) {
  ++commits;
  if (broken) {
    sim_->Post([keep = std::make_shared<Done>(std::move(done)), error = *broken] { (*keep)(std::unexpected(error)); });
    return;
  }
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
  for (auto& [journal, list] : t.rep()->packs) {
    for (state::EventPack& pack : list) packs.push_back(std::move(pack));
  }
  if (slow) return;
  auto keep = std::make_shared<Done>(std::move(done));
  sim_->Post([keep] { (*keep)({}); });
}

void KeptStore::ReadPacks(state::PackQuery query, Done done) {
  std::map<int64_t, std::vector<const state::EventPack*>, std::greater<>> chapters;
  for (const state::EventPack& pack : packs) {
    if (pack.first < query.to) chapters[pack.chapter].push_back(&pack);
  }
  bool wanted = true;
  for (const auto& [number, list] : chapters) {
    if (!wanted || list.back()->last < query.from) continue;
    for (const state::EventPack* pack : list) wanted = query.visit(*pack) && wanted;
  }
  auto keep = std::make_shared<Done>(std::move(done));
  sim_->Post([keep] { (*keep)({}); });
}

std::vector<JournalEntry> KeptStore::Journal() const {
  std::vector<JournalEntry> out;
  std::map<int64_t, JournalChapter> chapters;
  for (const state::EventPack& pack : packs) {
    EXPECT_TRUE(chapters[pack.chapter].Read(pack.bytes, [&](JournalEntry e) { out.push_back(std::move(e)); }));
  }
  return out;
}

void KeptStore::Reset() {
  silences_.clear();
  notifications_.clear();
  intents_.clear();
  alerts_.clear();
  packs.clear();
}

state::Contents KeptStore::Contents() const {
  state::Contents c;
  for (const auto& [key, r] : silences_) c.silences.push_back(r);
  for (const auto& [key, r] : notifications_) c.notifications.push_back(r);
  for (const auto& [key, r] : intents_) c.intents.push_back(r);
  for (const auto& [key, r] : alerts_) c.alerts.push_back(r);
  for (const state::EventPack& pack : packs) c.last_alert_chapter = std::max(c.last_alert_chapter, pack.chapter);
  return c;
}

}  // namespace tocsin::alertmanager
