#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "state/transaction.h"

namespace tocsin::state {
namespace {

// Only journals are ever read back, so only they are kept.
class MemoryStore : public Store {
 public:
  explicit MemoryStore(base::Executor* executor) : executor_(executor) {}

  void Commit(Transaction transaction, Done done) override {
    Transaction::Rep* rep = transaction.rep();
    for (auto& [journal, packs] : rep->packs) {
      for (EventPack& pack : packs) journals_[journal].push_back(std::move(pack));
    }
    for (const auto& [journal, bound] : rep->bounds) {
      std::vector<EventPack>& packs = journals_[journal];
      std::map<int64_t, base::Time> ends;
      for (const EventPack& p : packs) ends[p.chapter] = std::max(ends[p.chapter], p.last);
      const int64_t newest = packs.empty() ? 0 : packs.back().chapter;
      std::erase_if(packs, [&](const EventPack& p) { return p.chapter != newest && ends[p.chapter] < bound.before; });
    }
    executor_->Post(gate_.Wrap([done = std::move(done)]() mutable { done({}); }));
  }

  void ReadPacks(PackQuery query, Done done) override {
    std::map<int64_t, std::vector<const EventPack*>, std::greater<>> chapters;
    std::set<int64_t> asked_for;
    for (const EventPack& pack : journals_[query.journal]) {
      if (pack.first >= query.to) continue;
      chapters[pack.chapter].push_back(&pack);
      if (pack.last >= query.from) asked_for.insert(pack.chapter);
    }
    bool wanted = true;
    for (auto it = chapters.begin(); it != chapters.end() && wanted; ++it) {
      if (!asked_for.contains(it->first)) continue;
      for (const EventPack* pack : it->second) wanted = query.visit(*pack) && wanted;
    }
    executor_->Post(gate_.Wrap([done = std::move(done)]() mutable { done({}); }));
  }

  void Stop(base::Task done) override { executor_->Post(gate_.Wrap(std::move(done))); }

 private:
  base::Executor* const executor_;
  std::map<Journal, std::vector<EventPack>> journals_;
  base::Gate gate_;
};

}  // namespace

std::unique_ptr<Store> NewMemoryStore(base::Executor* executor) {
  return std::make_unique<MemoryStore>(executor);
}

}  // namespace tocsin::state
